import { Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import type { Me } from "@/api/types";
import { ErrorState } from "@/design/Notice";
import { Page } from "@/design/Page";
import { useViewing } from "@/live/LiveProvider";
import { CallButton } from "@/parts/CallButton";
import { PriorityChip, TicketStateChip } from "@/parts/TicketParts";

import { TicketActivity } from "./TicketActivity";
import classes from "./TicketPage.module.css";
import { TicketProperties } from "./TicketProperties";
import { useTicket } from "./useTickets";

/** One case: what has been said and done, and what it is now. */
export function TicketPage({ id, me }: { id: string; me: Me }) {
  const { t } = useTranslation();
  const { data: ticket, error, refetch } = useTicket(id);
  useViewing(ticket?.id);
  const mayCall = me.role === "agent" || me.role === "supervisor" || me.role === "admin";
  if (error) return <ErrorState error={error} retry={() => void refetch()} />;
  if (!ticket) {
    return (
      <Page name={t("ticket.loading")}>
        <Skeleton height={280} radius="lg" />
      </Page>
    );
  }
  return (
    <Page
      name={`${ticket.number} ${ticket.subject}`}
      above={
        <>
          <Link to="/tickets">{t("nav.tickets")}</Link> / {ticket.number}
        </>
      }
      title={
        <>
          {ticket.subject}
          <TicketStateChip state={ticket.state} />
          <PriorityChip priority={ticket.priority} />
          {mayCall && (ticket.customer || ticket.calls.length > 0) ? (
            <CallButton dialling={{ call: { ticket_id: ticket.id }, name: ticket.customer?.name ?? ticket.number }} label={t("dial.call")} />
          ) : null}
        </>
      }
    >
      <div className={classes.columns}>
        <TicketActivity id={id} ticket={ticket} />
        <TicketProperties key={ticket.version} id={id} ticket={ticket} me={me} />
      </div>
    </Page>
  );
}
