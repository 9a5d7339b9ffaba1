import { Button, Select, TagsInput } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { Me, Priority, Ticket, TicketState } from "@/api/types";
import { Callout } from "@/design/Notice";
import { Panel } from "@/design/Panel";
import { useProblemText } from "@/design/useProblemText";
import { dateTime } from "@/format/time";
import { useLanguage } from "@/i18n";
import { useQueueNames } from "@/parts/useQueueNames";

import classes from "./TicketPage.module.css";
import type { TicketForm } from "./useTicketForm";

const PRIORITIES: Priority[] = ["low", "normal", "high", "urgent"];

interface Props {
  form: TicketForm;
  ticket: Ticket;
  me: Me;
  assignees: ReadonlyMap<number, string>;
}

/** What the ticket is now. Every field saves by itself; only legal next states are offered. */
export function TicketProperties({ form, ticket, me, assignees }: Props) {
  const { t } = useTranslation();
  const language = useLanguage();
  const problemText = useProblemText();
  const queues = useQueueNames();
  const { save, error, isSaving: isBusy } = form;
  const states: TicketState[] = [ticket.state, ...ticket.next_states.filter((state) => state !== ticket.state)];
  return (
    <Panel title={t("ticket.properties")}>
      <div className={classes.fields}>
        {error ? (
          <div role="alert">
            <Callout tone="red">{problemText(asProblem(error))}</Callout>
          </div>
        ) : null}
        <Select
          label={t("tickets.state")}
          data={states.map((state) => ({ value: state, label: t(`ticketState.${state}`) }))}
          value={ticket.state}
          allowDeselect={false}
          disabled={isBusy}
          onChange={(state) => state !== null && state !== ticket.state && save({ state })}
        />
        <Select
          label={t("tickets.priority")}
          data={PRIORITIES.map((priority) => ({ value: priority, label: t(`priority.${priority}`) }))}
          value={ticket.priority}
          allowDeselect={false}
          disabled={isBusy}
          onChange={(value) =>
            value !== null && value !== ticket.priority && save({ priority: value })
          }
        />
        <Assignee
          ticket={ticket}
          me={me}
          known={assignees}
          isBusy={isBusy}
          onAssign={(assignee_id) => save({ assignee_id })}
        />
        <Select
          label={t("tickets.queue")}
          data={[...queues].map(([value, label]) => ({ value, label }))}
          value={ticket.queue}
          allowDeselect={false}
          disabled={isBusy}
          onChange={(queue) => queue !== null && queue !== ticket.queue && save({ queue })}
        />
        <TagsInput
          label={t("ticket.tags")}
          placeholder={ticket.tags.length === 0 ? t("ticket.tagsHint") : undefined}
          value={ticket.tags}
          disabled={isBusy}
          onChange={(tags) => save({ tags })}
        />
        <dl className={classes.facts}>
          <div className={classes.fact}>
            <dt>{t("tickets.customer")}</dt>
            <dd>
              {ticket.customer ? (
                <Link to="/customers/$customerId" params={{ customerId: String(ticket.customer.id) }}>
                  {ticket.customer.name}
                </Link>
              ) : (
                "—"
              )}
            </dd>
          </div>
          <div className={classes.fact}>
            <dt>{t("ticket.opened")}</dt>
            <dd>{dateTime(ticket.opened_at, language)}</dd>
          </div>
          <div className={classes.fact}>
            <dt>{t("tickets.updated")}</dt>
            <dd>{dateTime(ticket.updated_at, language)}</dd>
          </div>
          {ticket.due_at == null ? null : (
            <div className={classes.fact}>
              <dt>{t("ticket.due")}</dt>
              <dd>{dateTime(ticket.due_at, language)}</dd>
            </div>
          )}
          {ticket.closed_at === null ? null : (
            <div className={classes.fact}>
              <dt>{t("ticket.closed")}</dt>
              <dd>{dateTime(ticket.closed_at, language)}</dd>
            </div>
          )}
        </dl>
      </div>
    </Panel>
  );
}

interface AssigneeProps {
  ticket: Ticket;
  me: Me;
  known: ReadonlyMap<number, string>;
  isBusy: boolean;
  onAssign: (agentId: number | null) => void;
}

function Assignee({ ticket, me, known, isBusy, onAssign }: AssigneeProps) {
  const { t } = useTranslation();
  return (
    <div className={classes.assign}>
      <Select
        label={t("tickets.assignee")}
        placeholder={t("tickets.nobody")}
        data={[...known].map(([agentId, name]) => ({ value: String(agentId), label: name }))}
        value={ticket.assignee ? String(ticket.assignee.id) : null}
        clearable
        clearButtonProps={{ "aria-label": t("ticket.unassign") }}
        disabled={isBusy}
        onChange={(value) => onAssign(value === null ? null : Number(value))}
      />
      {ticket.assignee?.id === me.id ? null : (
        <Button variant="default" disabled={isBusy} onClick={() => onAssign(me.id)}>
          {t("ticket.takeIt")}
        </Button>
      )}
    </div>
  );
}
