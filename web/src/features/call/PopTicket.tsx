import { Ticket as TicketIcon } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { PopTicket as PopTicketShape } from "@/api/types";
import { PriorityChip, TicketStateChip } from "@/parts/TicketParts";

import classes from "./Pop.module.css";

/** The ticket this call goes to, with the last thing that was said in it. */
export function PopTicket({ ticket, others = 0, restricted = 0, isAttached = false }: {
  ticket: PopTicketShape;
  others?: number;
  /** Open tickets that this agent may not see: only their number is told. */
  restricted?: number;
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
        {others + restricted > 0 ? (
          <p className={classes.soft}>
            {[
              others > 0 ? t("pop.otherTickets", { count: others }) : "",
              restricted > 0 ? t("pop.restricted", { count: restricted }) : "",
            ]
              .filter(Boolean)
              .join(" · ")}
          </p>
        ) : null}
      </div>
    </div>
  );
}
