import type { TFunction } from "i18next";

import { formatPhone, isWithheld } from "@/format/phone";

/** A caller's number for the eye, or that it was withheld. */
export function callerText(t: TFunction, from: string | null): string {
  return from === null || isWithheld(from) ? t("pop.withheld") : formatPhone(from);
}
