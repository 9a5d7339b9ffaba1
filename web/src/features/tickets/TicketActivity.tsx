import { Button, Textarea } from "@mantine/core";
import { History, PhoneCall, StickyNote } from "lucide-react";
import type { ReactNode, SubmitEvent } from "react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { Ticket, TicketCall, TicketHistoryEntry, TicketNote } from "@/api/types";
import { Callout } from "@/design/Notice";
import { Panel } from "@/design/Panel";
import { useProblemText } from "@/design/useProblemText";
import { clock, dateTime } from "@/format/time";
import { useLanguage } from "@/i18n";
import { callerText } from "@/parts/callerText";
import { Messages, Recordings } from "@/parts/Messages";
import { useDispositionName } from "@/parts/useDispositionName";
import { useOutcomeText } from "@/parts/useOutcomeText";

import { useHistoryText } from "./useHistoryText";
import classes from "./TicketPage.module.css";
import type { NoteDraft } from "./useNoteDraft";
import { useAddNote } from "./useTickets";

type Entry =
  | { kind: "note"; at: string; note: TicketNote }
  | { kind: "call"; at: string; call: TicketCall }
  | { kind: "history"; at: string; entry: TicketHistoryEntry };

/** Changes that a note or a call in the stream tells already. */
const SPEAK_FOR_THEMSELVES = new Set(["note_added", "bound", "call_ended", "voicemail_left"]);

function entriesOf(ticket: Ticket): Entry[] {
  const entries: Entry[] = [
    ...ticket.notes.map((note): Entry => ({ kind: "note", at: note.created_at, note })),
    ...ticket.calls.map((call): Entry => ({ kind: "call", at: call.created_at, call })),
    ...ticket.history
      .filter(({ kind }) => !SPEAK_FOR_THEMSELVES.has(kind))
      .map((entry): Entry => ({ kind: "history", at: entry.at, entry })),
  ];
  return entries.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
}

/** Notes, calls and changes in one stream, the newest first. */
export function TicketActivity({ id, ticket, note }: { id: string; ticket: Ticket; note: NoteDraft }) {
  const { t } = useTranslation();
  const entries = entriesOf(ticket);
  return (
    <Panel title={t("ticket.activity")} flush>
      <NoteForm id={id} ticketId={ticket.id} note={note} />
      <ol>
        {entries.map((entry, index) => (
          <ActivityEntry key={`${entry.kind}${entry.at}${index}`} entry={entry} />
        ))}
      </ol>
    </Panel>
  );
}

function NoteForm({ id, ticketId, note: { body, write } }: { id: string; ticketId: number; note: NoteDraft }) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const add = useAddNote(id, ticketId);
  const submit = (event?: SubmitEvent) => {
    event?.preventDefault();
    if (body.trim() !== "" && !add.isPending) add.mutate(body.trim(), { onSuccess: () => write("") });
  };
  return (
    <form className={classes.compose} onSubmit={submit}>
      <Textarea
        aria-label={t("ticket.newNote")}
        placeholder={t("ticket.newNoteHint")}
        autosize
        minRows={2}
        maxRows={10}
        value={body}
        onChange={(event) => write(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
        }}
      />
      {add.error ? <Callout tone="red">{problemText(asProblem(add.error))}</Callout> : null}
      <Button type="submit" variant="default" loading={add.isPending} disabled={body.trim() === ""}>
        {t("ticket.addNote")}
      </Button>
    </form>
  );
}

function ActivityEntry({ entry }: { entry: Entry }) {
  const { t } = useTranslation();
  const historyText = useHistoryText();
  const dispositionName = useDispositionName();
  const outcomeText = useOutcomeText();
  if (entry.kind === "note") {
    const { note } = entry;
    return (
      <Line kind="note" icon={<StickyNote />} at={entry.at} who={note.author?.name ?? t("ticket.system")}>
        <p className={classes.body}>{note.body}</p>
      </Line>
    );
  }
  if (entry.kind === "call") {
    const { call } = entry;
    const facts = [
      call.talk_s ? t("ticket.talked", { time: clock(call.talk_s) }) : null,
      dispositionName(call.disposition),
      call.outcome === "answered" ? null : outcomeText(call.outcome),
    ];
    return (
      <Line kind="call" icon={<PhoneCall />} at={entry.at} who={t("ticket.callFrom", { number: callerText(t, call.from) })}>
        <p className={classes.soft}>{facts.filter(Boolean).join(" · ")}</p>
        <Messages messages={call.voicemails} from={callerText(t, call.from)} />
        <Recordings recordings={call.recordings} from={callerText(t, call.from)} />
      </Line>
    );
  }
  return (
    <Line kind="history" icon={<History />} at={entry.at} who={historyText(entry.entry)}>
      {null}
    </Line>
  );
}

function Line({ kind, icon, at, who, children }: {
  kind: string;
  icon: ReactNode;
  at: string;
  who: string;
  children: ReactNode;
}) {
  const language = useLanguage();
  return (
    <li className={classes.entry}>
      <span className={classes.entryIcon} data-kind={kind} aria-hidden="true">
        {icon}
      </span>
      <div className={classes.entryText}>
        <p className={classes.entryHead}>
          <span className={kind === "history" ? classes.soft : undefined}>{who}</span>
          <time dateTime={at}>{dateTime(at, language)}</time>
        </p>
        {children}
      </div>
    </li>
  );
}
