import { UnstyledButton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { ChevronRight, PhoneIncoming, PhoneMissed, PhoneOutgoing, Phone } from "lucide-react";
import { Fragment, useId, useState } from "react";
import { useTranslation } from "react-i18next";

import type { CallLogEntry, CallState } from "@/api/types";
import { Chip, type Tone } from "@/design/Chip";
import table from "@/design/Table.module.css";
import { formatPhone } from "@/format/phone";
import { clock, dateTime, secondsSince } from "@/format/time";
import { useLanguage } from "@/i18n";
import { CallButton } from "@/parts/CallButton";
import { callerText } from "@/parts/callerText";
import { Messages, Recordings } from "@/parts/Messages";
import { useOutcomeText } from "@/parts/useOutcomeText";
import { useQueueNames } from "@/parts/useQueueNames";

import { CallInside } from "./CallInside";
import classes from "./Calls.module.css";

const TONE: Partial<Record<CallState, Tone>> = {
  queued: "amber",
  offering: "blue",
  connecting: "blue",
  in_call: "green",
  on_hold: "amber",
  outside: "green",
};

/** The number of whoever is not us. */
export function otherSide(call: Pick<CallLogEntry, "direction" | "from" | "to">): string | null {
  return call.direction === "outbound" ? call.to : call.from;
}

/** The number that can be called, if it is one. */
export function callableNumber(call: CallLogEntry): string | null {
  const number = otherSide(call);
  return call.direction !== "internal" && number !== null && /^\+\d{5,}$/.test(number) ? number : null;
}

export function CallTable({ items, mayCall, mayBlock }: { items: CallLogEntry[]; mayCall: boolean; mayBlock: boolean }) {
  const { t } = useTranslation();
  const [opened, setOpened] = useState<ReadonlySet<number>>(new Set());
  const toggle = (id: number) =>
    setOpened((before) => (before.has(id) ? new Set([...before].filter((each) => each !== id)) : new Set(before).add(id)));
  return (
    <div className={table.frame}>
      <table className={table.table} data-testid="calls-table">
        <thead>
          <tr>
            <th scope="col">{t("calls.who")}</th>
            <th scope="col">{t("calls.time")}</th>
            <th scope="col">{t("calls.ourNumber")}</th>
            <th scope="col">{t("tickets.queue")}</th>
            <th scope="col">{t("calls.agent")}</th>
            <th scope="col">{t("calls.state")}</th>
            <th scope="col" className={table.number}>
              {t("calls.waited")}
            </th>
            <th scope="col" className={table.number}>
              {t("calls.talked")}
            </th>
            <th scope="col">{t("calls.ticket")}</th>
            {mayCall ? (
              <th scope="col">
                <span className={classes.unseen}>{t("dial.call")}</span>
              </th>
            ) : null}
          </tr>
        </thead>
        <tbody>
          {items.map((call) => (
            <CallRow
              key={call.id}
              call={call}
              mayCall={mayCall}
              mayBlock={mayBlock}
              isOpen={opened.has(call.id)}
              onToggle={() => toggle(call.id)}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  call: CallLogEntry;
  mayCall: boolean;
  mayBlock: boolean;
  isOpen: boolean;
  onToggle: () => void;
}

function CallRow({ call, mayCall, mayBlock, isOpen, onToggle }: RowProps) {
  const { t } = useTranslation();
  const language = useLanguage();
  const queues = useQueueNames();
  const outcomeText = useOutcomeText();
  const inside = useId();
  const other = callerText(t, otherSide(call));
  const callable = callableNumber(call);
  const ours = call.direction === "outbound" ? call.from : call.to;
  const none = <span className={table.none}>—</span>;
  const between = (from: string | null, to: string | null) =>
    from === null || to === null ? "—" : clock(secondsSince(from, Date.parse(to)));
  const waitedFrom = call.direction === "inbound" ? call.queued_at : null;
  return (
    <Fragment>
      <tr data-call={call.id}>
        <th scope="row" className={table.caller}>
          <UnstyledButton
            className={classes.opener}
            aria-expanded={isOpen}
            aria-controls={isOpen ? inside : undefined}
            onClick={onToggle}
          >
            <ChevronRight size={16} aria-hidden="true" className={classes.chevron} data-open={isOpen || undefined} />
            <DirectionIcon call={call} />
            <span>
              <span className={classes.who}>{call.customer?.name ?? other}</span>
              {call.customer ? <span className={table.under}>{other}</span> : null}
            </span>
          </UnstyledButton>
        </th>
        <td>{dateTime(call.created_at, language)}</td>
        <td>{ours === null ? none : formatPhone(ours)}</td>
        <td>{call.queue === null ? none : (queues.get(call.queue) ?? call.queue)}</td>
        <td>{call.agent?.name ?? none}</td>
        <td>
          <Chip tone={TONE[call.state] ?? (call.missed?.state === "open" ? "red" : "grey")}>
            {outcomeText(call.outcome) ?? t(`calls.states.${call.state}`)}
          </Chip>
          <Messages messages={call.voicemails} from={other} />
          <Recordings recordings={call.recordings} from={other} />
        </td>
        <td className={table.number}>{between(waitedFrom, call.answered_at ?? call.ended_at)}</td>
        <td className={table.number}>{between(call.answered_at, call.ended_at)}</td>
        <td>
          {call.ticket ? (
            <Link to="/tickets/$ticketId" params={{ ticketId: String(call.ticket.id) }}>
              {call.ticket.number}
            </Link>
          ) : null}
        </td>
        {mayCall ? (
          <td className={classes.acts}>
            {callable === null ? null : <CallButton dialling={{ call: { to: callable }, name: call.customer?.name ?? other }} />}
          </td>
        ) : null}
      </tr>
      {isOpen ? (
        <tr className={classes.insideRow}>
          <td id={inside} colSpan={mayCall ? 10 : 9}>
            <CallInside call={call} blockable={mayBlock ? callable : null} />
          </td>
        </tr>
      ) : null}
    </Fragment>
  );
}

function DirectionIcon({ call }: { call: CallLogEntry }) {
  const { t } = useTranslation();
  const missed = call.missed !== null;
  const Icon = missed ? PhoneMissed : call.direction === "outbound" ? PhoneOutgoing : call.direction === "internal" ? Phone : PhoneIncoming;
  const label = missed ? t("calls.missedCall") : t(`calls.directions.${call.direction}`);
  return <Icon size={16} role="img" aria-label={label} className={classes.direction} data-missed={missed || undefined} />;
}
