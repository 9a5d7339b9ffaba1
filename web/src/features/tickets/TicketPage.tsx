import { Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { Me, Ticket } from "@/api/types";
import { ErrorState } from "@/design/Notice";
import { Page } from "@/design/Page";
import { useViewing } from "@/live/LiveProvider";
import { CallButton } from "@/parts/CallButton";
import { Viewers } from "@/parts/Viewers";

import { TicketActivity } from "./TicketActivity";
import { TicketConflict } from "./TicketConflict";
import classes from "./TicketPage.module.css";
import { TicketProperties } from "./TicketProperties";
import { type SubjectDraft, TicketSubject } from "./TicketSubject";
import { useNoteDraft } from "./useNoteDraft";
import { useTicketForm } from "./useTicketForm";
import { useAssignees, useTicket } from "./useTickets";

/** One case: what has been said and done, and what it is now. */
export function TicketPage({ id, me }: { id: string; me: Me }) {
  const { t } = useTranslation();
  const { data: ticket, error, refetch } = useTicket(id);
  if (error) return <ErrorState error={error} retry={() => void refetch()} />;
  if (!ticket) {
    return (
      <Page name={t("ticket.loading")}>
        <Skeleton height={280} radius="lg" />
      </Page>
    );
  }
  return <Shown key={ticket.id} id={id} ticket={ticket} me={me} />;
}

function Shown({ id, ticket, me }: { id: string; ticket: Ticket; me: Me }) {
  const { t } = useTranslation();
  const form = useTicketForm(id, ticket);
  const assignees = useAssignees(ticket, me);
  const [subject, setSubject] = useState<SubjectDraft | null>(null);
  const note = useNoteDraft(ticket.id);
  const mayCall = me.role === "agent" || me.role === "supervisor" || me.role === "admin";
  useViewing({ ticket_id: ticket.id, is_editing: subject !== null || note.body.trim() !== "" });
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
          <TicketSubject ticket={ticket} form={form} draft={subject} onDraft={setSubject} />
          {mayCall && (ticket.customer || ticket.calls.length > 0) ? (
            <CallButton dialling={{ call: { ticket_id: ticket.id }, name: ticket.customer?.name ?? ticket.number }} label={t("dial.call")} />
          ) : null}
        </>
      }
      aside={<Viewers kind="ticket" id={ticket.id} />}
    >
      <div className={classes.columns}>
        <TicketActivity id={id} ticket={ticket} note={note} />
        <TicketProperties form={form} ticket={ticket} me={me} assignees={assignees} />
      </div>
      <TicketConflict
        form={form}
        nameOf={(agentId) => assignees.get(agentId) ?? String(agentId)}
        onSaved={() => setSubject(null)}
      />
    </Page>
  );
}
