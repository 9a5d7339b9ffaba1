import { Ticket as TicketIcon } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { PopTicket as PopTicketShape } from "@/api/types";
import { PriorityChip, TicketStateChip } from "@/parts/TicketParts";

import classes from "./Pop.module.css";

/** The ticket this call goes to, with the last thing that was said in it. */
export function PopTicket({ ticket, others, isAttached = false }: {
  ticket: PopTicketShape;
  others: number;
  isAttached?: boolean;
}) {
  const { t } = useTranslation();
  return (
    <div className={classes.ticket}>
      <TicketIcon aria-hidden="true" className={classes.ticketIcon} />
      <div className={classes.ticketText}>
        <p className={classes.ticketLine}>
          <span className={classes.label}>{t(ticket.is_new ? "pop.newTicket" : isAttached ? "call.ticket" : "pop.suggestedTicket")}</span>
          <span className={classes.ticketNumber}>{ticket.number}</span>
          <TicketStateChip state={ticket.state} />
          <PriorityChip priority={ticket.priority} />
        </p>
        <p className={classes.subject}>{ticket.subject}</p>
        {ticket.last_note === null ? null : <p className={classes.lastNote}>{ticket.last_note}</p>}
        {others > 0 ? <p className={classes.soft}>{t("pop.otherTickets", { count: others })}</p> : null}
      </div>
    </div>
  );
}
