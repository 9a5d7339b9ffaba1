import { useTranslation } from "react-i18next";

import type { TicketSummary } from "@/api/types";
import { ConflictDialog } from "@/parts/ConflictDialog";
import { useQueueNames } from "@/parts/useQueueNames";

import type { TicketForm } from "./useTicketForm";

interface Props {
  form: TicketForm;
  nameOf: (agentId: number) => string;
  onSaved: () => void;
}

/** Somebody else was faster in the same field: its three values, in words. */
export function TicketConflict({ form, nameOf, onSaved }: Props) {
  const { t } = useTranslation();
  const queues = useQueueNames();
  if (!form.clash) return null;
  const { base, theirs, yours, fields } = form.clash;
  const label: Record<string, string> = {
    subject: t("ticket.subject"),
    state: t("tickets.state"),
    priority: t("tickets.priority"),
    queue: t("tickets.queue"),
    assignee_id: t("tickets.assignee"),
    tags: t("ticket.tags"),
    due_at: t("ticket.due"),
  };
  const words = (field: string, value: unknown): string => {
    if (Array.isArray(value)) return value.join(", ");
    if (field === "assignee_id" && typeof value === "number") return nameOf(value);
    if (typeof value !== "string") return "";
    if (field === "state") return t(`ticketState.${value as TicketSummary["state"]}`);
    if (field === "priority") return t(`priority.${value as TicketSummary["priority"]}`);
    return field === "queue" ? (queues.get(value) ?? value) : value;
  };
  const of = (ticket: TicketSummary, field: string): string =>
    field === "assignee_id" ? (ticket.assignee?.name ?? "") : words(field, ticket[field as keyof TicketSummary]);
  return (
    <ConflictDialog
      rows={fields.map((field) => ({
        field,
        label: label[field] ?? field,
        base: of(base, field),
        theirs: of(theirs, field),
        yours: words(field, yours[field as keyof typeof yours]),
      }))}
      isBusy={form.isSaving}
      onChoose={(picks) => form.choose(picks, onSaved)}
      onClose={form.dismiss}
    />
  );
}
