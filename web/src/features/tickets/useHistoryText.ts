import { useTranslation } from "react-i18next";

import type { TicketHistoryEntry } from "@/api/types";
import type en from "@/i18n/en.json";
import { useQueueNames } from "@/parts/useQueueNames";

type Known = keyof typeof en.history;

function wordOf(value: unknown): string | null {
  if (typeof value === "string" || typeof value === "number") return String(value);
  if (typeof value === "object" && value !== null && "name" in value) return String(value.name);
  return null;
}

/** One change as a sentence: who, what, from where to where. */
export function useHistoryText(): (entry: TicketHistoryEntry) => string {
  const { t, i18n } = useTranslation();
  const queues = useQueueNames();
  const named = (value: unknown): string | null => {
    const word = wordOf(value);
    if (word === null) return null;
    if (i18n.exists(`ticketState.${word}`)) return t(`ticketState.${word as "new"}`);
    if (i18n.exists(`priority.${word}`)) return t(`priority.${word as "normal"}`);
    return queues.get(word) ?? word;
  };
  return ({ actor, kind, data }) => {
    const what = i18n.exists(`history.${kind}`) ? t(`history.${kind as Known}`) : kind.replaceAll(/[._]/g, " ");
    const [from, to] = [named(data.from), named(data.to)];
    const change = to === null ? "" : from === null ? `: ${to}` : `: ${from} → ${to}`;
    return `${actor?.name ?? t("ticket.system")} · ${what}${change}`;
  };
}
