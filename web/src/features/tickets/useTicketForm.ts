import { useState } from "react";

import { asProblem } from "@/api/problem";
import type { Ticket, TicketSummary } from "@/api/types";
import type { Pick } from "@/parts/ConflictDialog";

import { type Change, useChangeTicket } from "./useTickets";

interface Clash {
  /** What the person saw when they made the change. */
  base: TicketSummary;
  theirs: TicketSummary;
  yours: Change;
  fields: string[];
}

function clashOf(error: unknown, base: TicketSummary, yours: Change): Clash | null {
  const { code, body } = asProblem(error);
  if (code !== "version_conflict" || typeof body.current !== "object" || !Array.isArray(body.conflicting)) return null;
  return { base, theirs: body.current as TicketSummary, yours, fields: body.conflicting.map(String) };
}

interface Saving {
  /** What the person saw when they made the change: the ticket on the screen, unless it has moved on since. */
  base?: TicketSummary;
  onSaved?: () => void;
}

const valueOf = (ticket: TicketSummary, field: string): unknown =>
  field === "assignee_id" ? (ticket.assignee?.id ?? null) : ticket[field as keyof TicketSummary];

/** Changes of a ticket, each saved by itself on what the person saw; and the choice where somebody else was faster in the same field. */
export function useTicketForm(key: string, ticket: Ticket) {
  const command = useChangeTicket(key, ticket.id);
  const [clash, setClash] = useState<Clash | null>(null);
  const save = (yours: Change, { base = ticket, onSaved }: Saving = {}) =>
    command.mutate(
      { change: yours, version: base.version },
      { onSuccess: onSaved, onError: (error) => setClash(clashOf(error, base, yours)) },
    );
  const choose = (picks: Record<string, Pick>, onSaved?: () => void) => {
    if (!clash) return;
    const { base, theirs, yours, fields } = clash;
    const kept = Object.entries(yours)
      .filter(([field]) => !(fields.includes(field) && picks[field] === "theirs"))
      .map(([field, value]) => [field, fields.includes(field) && picks[field] === "base" ? valueOf(base, field) : value]);
    setClash(null);
    if (kept.length === 0) onSaved?.();
    else save(Object.fromEntries(kept) as Change, { base: theirs, onSaved });
  };
  return {
    save,
    choose,
    clash,
    dismiss: () => setClash(null),
    isSaving: command.isPending,
    error: command.error && asProblem(command.error).code === "version_conflict" ? null : command.error,
  };
}

export type TicketForm = ReturnType<typeof useTicketForm>;
