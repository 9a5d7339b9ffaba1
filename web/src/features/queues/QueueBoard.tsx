import { UnstyledButton } from "@mantine/core";
import { ChevronRight } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import type { QueueStats } from "@/api/types";
import { clock, secondsSince, useNow } from "@/format/time";
import { useText } from "@/i18n";

import classes from "./QueueBoard.module.css";

const STALE_S = 5;

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
}

/** The queues as they are now. Numbers older than five seconds turn grey and say so. */
export function QueueBoard({ queues, asOf, isDense = false, total, line, acts }: Props) {
  const { t } = useTranslation();
  const now = useNow();
  const age = secondsSince(asOf, now);
  const isStale = age > STALE_S;
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
            <Row key={queue.key} queue={queue} age={isStale ? 0 : age} line={line} acts={acts} />
          ))}
        </tbody>
        {total !== undefined && queues.filter(isOfCalls).length > 1 ? (
          <Total label={total} queues={queues.filter(isOfCalls)} age={isStale ? 0 : age} hasActs={acts !== undefined} />
        ) : null}
      </table>
      </div>
      <p className={classes.age} role={isStale ? "status" : undefined}>
        {isStale ? t("queue.stale", { seconds: Math.floor(age) }) : t("queue.asOf", { seconds: Math.floor(age) })}
      </p>
    </div>
  );
}

/** Tickets that wait are no calls, and are not added to them. */
export const isOfCalls = ({ channel }: QueueStats): boolean => channel !== "ticket";

const sumOf = (queues: QueueStats[], of: (queue: QueueStats) => number) => queues.reduce((sum, queue) => sum + of(queue), 0);

function Total({ label, queues, age, hasActs }: { label: string; queues: QueueStats[]; age: number; hasActs: boolean }) {
  const { t } = useTranslation();
  const waits = queues.flatMap(({ waiting, longest_wait_s }) => (waiting > 0 && longest_wait_s !== null ? [longest_wait_s] : []));
  const [within, decided] = [
    sumOf(queues, (queue) => queue.service_level.numerator),
    sumOf(queues, (queue) => queue.service_level.denominator),
  ];
  return (
    <tfoot>
      <tr data-testid="queue-total">
        <th scope="row">{label}</th>
        <td>{sumOf(queues, (queue) => queue.waiting)}</td>
        <td>{waits.length === 0 ? "—" : clock(Math.max(...waits) + age)}</td>
        <td>{sumOf(queues, (queue) => queue.offering)}</td>
        <td>{sumOf(queues, (queue) => queue.in_call)}</td>
        <td title={t("queue.noFreeTotal")}>—</td>
        <td>{sumOf(queues, (queue) => queue.answered_today)}</td>
        <td>{sumOf(queues, (queue) => queue.abandoned_today)}</td>
        <td title={t("queue.levelOfAll", { numerator: within, denominator: decided })}>
          {decided === 0 ? "—" : `${((within / decided) * 100).toFixed(within === decided ? 0 : 1)} %`}
        </td>
        {hasActs ? <td /> : null}
      </tr>
    </tfoot>
  );
}

interface RowProps extends Pick<Props, "line" | "acts"> {
  queue: QueueStats;
  age: number;
}

function Row({ queue, age, line, acts }: RowProps) {
  const { t } = useTranslation();
  const text = useText();
  const [isOpen, setOpen] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  const name = text(queue.name);
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
          {queue.waiting}
        </td>
        <td>
          <Longest queue={queue} age={age} />
        </td>
        <td>{queue.channel === "ticket" ? <span className={classes.of}>—</span> : queue.offering}</td>
        <td title={queue.channel === "ticket" ? t("queue.assignedWhy") : undefined}>{queue.in_call}</td>
        <td>
          {queue.agents_available}
          <span className={classes.of}>/{queue.agents_signed_in}</span>
        </td>
        <td>{queue.answered_today}</td>
        <td>{queue.abandoned_today}</td>
        <td>
          <Level queue={queue} />
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

function Longest({ queue, age }: { queue: QueueStats; age: number }) {
  if (queue.waiting === 0 || queue.longest_wait_s === null) return <span className={classes.of}>—</span>;
  const waited = queue.longest_wait_s + age;
  return (
    <span className={classes.longest} data-late={waited > queue.service_level.within_s || undefined}>
      {clock(waited)}
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
  const level = numerator / denominator;
  return (
    <span
      className={classes.level}
      data-met={level >= target || undefined}
      title={t("queue.levelWhy", { numerator, denominator, goal })}
    >
      {(level * 100).toFixed(level === 1 ? 0 : 1)} %
    </span>
  );
}
