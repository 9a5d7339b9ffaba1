import { useTranslation } from "react-i18next";

import type { TicketHistoryEntry } from "@/api/types";
import type en from "@/i18n/en.json";

type Known = keyof typeof en.history;

function words(value: unknown): string | null {
  if (typeof value === "string" || typeof value === "number") return String(value);
  if (typeof value === "object" && value !== null && "name" in value) return String(value.name);
  return null;
}

/** One change as a sentence: who, what, from where to where. */
export function useHistoryText(): (entry: TicketHistoryEntry) => string {
  const { t, i18n } = useTranslation();
  return ({ actor, kind, data }) => {
    const key = `history.${kind}`;
    const what = i18n.exists(key) ? t(key as `history.${Known}`) : kind.replaceAll(/[._]/g, " ");
    const [from, to] = [words(data.from), words(data.to)];
    const change = to === null ? "" : from === null ? `: ${to}` : `: ${from} → ${to}`;
    return `${actor?.name ?? t("ticket.system")} · ${what}${change}`;
  };
}
