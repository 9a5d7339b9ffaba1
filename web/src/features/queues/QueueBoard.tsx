import { UnstyledButton } from "@mantine/core";
import { ChevronRight } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import type { QueueStats } from "@/api/types";
import { clock } from "@/format/time";
import { useText } from "@/i18n";
import { Age, useFreshness } from "@/parts/Age";

import classes from "./QueueBoard.module.css";

/** A number of the board: a figure of today or of now by its key, or what only the board has. */
export type BoardNumber =
  | "waiting_now"
  | "longest_wait_now"
  | "ringing"
  | "in_call"
  | "free"
  | "answered"
  | "abandoned"
  | "service_level";
/** Without a queue: of all of them together. */
export type OpenNumber = (number: BoardNumber, queue?: QueueStats) => void;

interface Props {
  queues: QueueStats[];
  /** When these numbers were true, by the server's clock. */
  asOf: string;
  /** Lower rows, beside other things. */
  isDense?: boolean;
  /** Adds the queues of calls up in a last row, which says of what it is the sum: of those that the viewer may see. */
  total?: string;
  /** What opens under a queue: who waits in it. */
  line?: (queue: QueueStats) => ReactNode;
  /** What can be done with a queue, at the end of its row. */
  acts?: (queue: QueueStats) => ReactNode;
  /** What a number opens: its formula, and the contacts or agents behind it. */
  onOpen?: OpenNumber;
}

/** The queues as they are now. Numbers older than five seconds turn grey and say so. */
export function QueueBoard({ queues, asOf, isDense = false, total, line, acts, onOpen }: Props) {
  const { t } = useTranslation();
  const fresh = useFreshness(asOf);
  const { isStale } = fresh;
  const age = isStale ? 0 : fresh.seconds;
  return (
    <div
      className={classes.board}
      data-stale={isStale || undefined}
      data-dense={isDense || undefined}
      data-testid="queue-board"
    >
      {/* A narrow window scrolls the table sideways, also by keyboard. */}
      <div className={classes.scroll} role="group" aria-label={t("nav.queues")} tabIndex={0}>
      <table className={classes.table}>
        <thead>
          <tr>
            <th scope="col">{t("queue.name")}</th>
            <th scope="col">{t("queue.waiting")}</th>
            <th scope="col">{t("queue.longest")}</th>
            <th scope="col">{t("queue.offering")}</th>
            <th scope="col">{t("queue.inCall")}</th>
            <th scope="col">{t("queue.free")}</th>
            <th scope="col">{t("queue.answered")}</th>
            <th scope="col">{t("queue.abandoned")}</th>
            <th scope="col">{t("queue.serviceLevel")}</th>
            {acts ? (
              <th scope="col">
                <span className="visually-hidden">{t("agents.actions")}</span>
              </th>
            ) : null}
          </tr>
        </thead>
        <tbody>
          {queues.map((queue) => (
            <Row key={queue.key} queue={queue} age={age} line={line} acts={acts} onOpen={onOpen} />
          ))}
        </tbody>
        {total !== undefined && queues.filter(isOfCalls).length > 1 ? (
          <Total label={total} queues={queues.filter(isOfCalls)} age={age} hasActs={acts !== undefined} onOpen={onOpen} />
        ) : null}
      </table>
      </div>
      <Age of={fresh} />
    </div>
  );
}

/** Tickets that wait are no calls, and are not added to them. */
export const isOfCalls = ({ channel }: QueueStats): boolean => channel !== "ticket";

const sumOf = (queues: QueueStats[], of: (queue: QueueStats) => number) => queues.reduce((sum, queue) => sum + of(queue), 0);

interface TotalProps extends Pick<Props, "onOpen"> {
  label: string;
  queues: QueueStats[];
  age: number;
  hasActs: boolean;
}

function Total({ label, queues, age, hasActs, onOpen }: TotalProps) {
  const { t } = useTranslation();
  const waits = queues.flatMap(({ waiting, longest_wait_s }) => (waiting > 0 && longest_wait_s !== null ? [longest_wait_s] : []));
  const [within, decided] = [
    sumOf(queues, (queue) => queue.service_level.numerator),
    sumOf(queues, (queue) => queue.service_level.denominator),
  ];
  const number = (key: BoardNumber, name: string, value: string | number) => (
    <Opener name={name} value={value} of={label} onOpen={onOpen && (() => onOpen(key))}>
      {value}
    </Opener>
  );
  return (
    <tfoot>
      <tr data-testid="queue-total">
        <th scope="row">{label}</th>
        <td>{number("waiting_now", t("queue.waiting"), sumOf(queues, (queue) => queue.waiting))}</td>
        <td>{number("longest_wait_now", t("queue.longest"), waits.length === 0 ? "—" : clock(Math.max(...waits) + age))}</td>
        <td>{number("ringing", t("queue.offering"), sumOf(queues, (queue) => queue.offering))}</td>
        <td>{number("in_call", t("queue.inCall"), sumOf(queues, (queue) => queue.in_call))}</td>
        <td title={t("queue.noFreeTotal")}>—</td>
        <td>{number("answered", t("queue.answered"), sumOf(queues, (queue) => queue.answered_today))}</td>
        <td>{number("abandoned", t("queue.abandoned"), sumOf(queues, (queue) => queue.abandoned_today))}</td>
        <td title={t("queue.levelOfAll", { numerator: within, denominator: decided })}>
          {number("service_level", t("queue.serviceLevel"), shownLevel(within, decided))}
        </td>
        {hasActs ? <td /> : null}
      </tr>
    </tfoot>
  );
}

interface OpenerProps {
  name: string;
  value: string | number;
  /** The queue, or what the sum is of. */
  of: string;
  onOpen: (() => void) | undefined;
  children: ReactNode;
}

/** A number that opens what is behind it; a mere number where nothing does. */
function Opener({ name, value, of, onOpen, children }: OpenerProps) {
  const { t } = useTranslation();
  if (onOpen === undefined) return children;
  return (
    <UnstyledButton
      className={classes.cell}
      aria-haspopup="dialog"
      aria-label={t("figures.openOf", { name, value, queue: of })}
      onClick={onOpen}
    >
      {children}
    </UnstyledButton>
  );
}

interface RowProps extends Pick<Props, "line" | "acts" | "onOpen"> {
  queue: QueueStats;
  age: number;
}

function Row({ queue, age, line, acts, onOpen }: RowProps) {
  const { t } = useTranslation();
  const text = useText();
  const [isOpen, setOpen] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  const name = text(queue.name);
  const isOfTickets = !isOfCalls(queue);
  const number = (key: BoardNumber, label: string, value: string | number, children: ReactNode = value) => (
    <Opener name={label} value={value} of={name} onOpen={onOpen && (() => onOpen(key, queue))}>
      {children}
    </Opener>
  );
  const wait = shownWait(queue, age);
  // A dialog opened from the line has an Escape of its own.
  const closeOnEscape = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || !event.currentTarget.contains(event.target as Node)) return;
    setOpen(false);
    opener.current?.focus();
  };
  return (
    <>
      <tr data-testid={`queue-row-${queue.key}`} onKeyDown={isOpen ? closeOnEscape : undefined}>
        <th scope="row">
          {line ? (
            <UnstyledButton
              ref={opener}
              className={classes.opener}
              aria-expanded={isOpen}
              title={t("queue.showLine", { queue: name })}
              onClick={() => setOpen(!isOpen)}
            >
              <ChevronRight size={16} aria-hidden="true" className={classes.chevron} />
              {name}
            </UnstyledButton>
          ) : (
            name
          )}
          {queue.channel === "ticket" && (
            <span className={classes.kind} title={t("queue.ticketsWhy")}>
              {t("queue.tickets")}
            </span>
          )}
          {queue.held_since && (
            <span className={classes.held} title={t("queue.heldWhy")}>
              {t("queue.held")}
            </span>
          )}
          {queue.is_deserted && (
            <span className={classes.held} title={t("queue.desertedWhy")}>
              {t("queue.deserted")}
            </span>
          )}
        </th>
        <td className={classes.waiting} data-some={queue.waiting > 0 || undefined}>
          {number("waiting_now", t("queue.waiting"), queue.waiting)}
        </td>
        <td>{number("longest_wait_now", t("queue.longest"), wait, <Longest queue={queue} age={age} />)}</td>
        <td>{isOfTickets ? <span className={classes.of}>—</span> : number("ringing", t("queue.offering"), queue.offering)}</td>
        <td title={isOfTickets ? t("queue.assignedWhy") : undefined}>{number("in_call", t("queue.inCall"), queue.in_call)}</td>
        <td>
          {number(
            "free",
            t("queue.free"),
            `${queue.agents_available}/${queue.agents_signed_in}`,
            <>
              {queue.agents_available}
              <span className={classes.of}>/{queue.agents_signed_in}</span>
            </>,
          )}
        </td>
        {/* Figures count contacts: a ticket queue has none. */}
        <td>{isOfTickets ? queue.answered_today : number("answered", t("queue.answered"), queue.answered_today)}</td>
        <td>{isOfTickets ? queue.abandoned_today : number("abandoned", t("queue.abandoned"), queue.abandoned_today)}</td>
        <td>
          {isOfTickets ? (
            <Level queue={queue} />
          ) : (
            number(
              "service_level",
              t("queue.serviceLevel"),
              shownLevel(queue.service_level.numerator, queue.service_level.denominator),
              <Level queue={queue} />,
            )
          )}
        </td>
        {acts ? <td>{acts(queue)}</td> : null}
      </tr>
      {line && isOpen ? (
        <tr onKeyDown={closeOnEscape} data-testid={`queue-line-${queue.key}`}>
          <td className={classes.line} colSpan={acts ? 10 : 9}>
            <section aria-label={t("queue.showLine", { queue: name })}>{line(queue)}</section>
          </td>
        </tr>
      ) : null}
    </>
  );
}

/** A dash where nobody waits. */
function shownWait({ waiting, longest_wait_s }: QueueStats, age: number): string {
  return waiting === 0 || longest_wait_s === null ? "—" : clock(longest_wait_s + age);
}

/** A dash where nothing is decided: neither 0 nor 100. */
function shownLevel(numerator: number, denominator: number): string {
  return denominator === 0 ? "—" : `${((numerator / denominator) * 100).toFixed(numerator === denominator ? 0 : 1)} %`;
}

function Longest({ queue, age }: { queue: QueueStats; age: number }) {
  const { waiting, longest_wait_s } = queue;
  if (waiting === 0 || longest_wait_s === null) return <span className={classes.of}>—</span>;
  return (
    <span className={classes.longest} data-late={longest_wait_s + age > queue.service_level.within_s || undefined}>
      {shownWait(queue, age)}
    </span>
  );
}

/** Answered in time ÷ (answered + abandoned not short); an empty queue has no service level. */
function Level({ queue }: { queue: QueueStats }) {
  const { t } = useTranslation();
  const { numerator, denominator, within_s, target } = queue.service_level;
  const goal = `${Math.round(target * 100)} % ≤ ${within_s} s`;
  if (denominator === 0) {
    return (
      <span className={classes.of} title={t("queue.noneDecided", { goal })}>
        —
      </span>
    );
  }
  return (
    <span
      className={classes.level}
      data-met={numerator / denominator >= target || undefined}
      title={t("queue.levelWhy", { numerator, denominator, goal })}
    >
      {shownLevel(numerator, denominator)}
    </span>
  );
}
