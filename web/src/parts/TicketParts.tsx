import { Link } from "@tanstack/react-router";
import { ChevronsUp, ChevronUp, ChevronDown } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { Priority, TicketState, TicketSummary } from "@/api/types";
import { Chip, type Tone } from "@/design/Chip";

import classes from "./TicketParts.module.css";

const STATE_TONE: Record<TicketState, Tone> = {
  new: "blue",
  open: "green",
  pending_customer: "amber",
  pending_third_party: "amber",
  pending_until: "amber",
  resolved: "grey",
  closed: "grey",
  merged: "grey",
};

export function TicketStateChip({ state }: { state: TicketState }) {
  const { t } = useTranslation();
  return <Chip tone={STATE_TONE[state]}>{t(`ticketState.${state}`)}</Chip>;
}

const PRIORITY: Record<Priority, { tone: Tone; icon: React.ReactNode } | null> = {
  urgent: { tone: "red", icon: <ChevronsUp /> },
  high: { tone: "amber", icon: <ChevronUp /> },
  normal: null,
  low: { tone: "grey", icon: <ChevronDown /> },
};

/** Normal priority says nothing unless `always`. */
export function PriorityChip({ priority, always = false }: { priority: Priority; always?: boolean }) {
  const { t } = useTranslation();
  const look = PRIORITY[priority];
  if (!look) return always ? <span className={classes.normal}>{t(`priority.${priority}`)}</span> : null;
  return (
    <Chip tone={look.tone} icon={look.icon}>
      {t(`priority.${priority}`)}
    </Chip>
  );
}

/** One ticket in a list: number and subject, state at the end. */
export function TicketLine({ ticket, aside }: { ticket: TicketSummary; aside?: React.ReactNode }) {
  return (
    <Link to="/tickets/$ticketId" params={{ ticketId: String(ticket.id) }} className={classes.line}>
      <span className={classes.text}>
        <span className={classes.subject}>{ticket.subject}</span>
        <span className={classes.number}>
          {ticket.number}
          {aside ? <> · {aside}</> : null}
        </span>
      </span>
      <PriorityChip priority={ticket.priority} />
      <TicketStateChip state={ticket.state} />
    </Link>
  );
}
