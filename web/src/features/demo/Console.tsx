import { Button, Chip as Toggle, UnstyledButton } from "@mantine/core";
import { Pause, Play } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import { ErrorState } from "@/design/Notice";
import { Panel } from "@/design/Panel";
import { formatPhone } from "@/format/phone";

import classes from "./Console.module.css";
import { ConsoleEntry } from "./ConsoleEntry";
import type { DemoCall } from "./demoApi";
import { ALL_GROUPS, type Group, groupOf, isAbout, useJournal, useLiveCalls } from "./journal";

const NEAR_THE_END_PX = 40;

/** Behind the scenes of the simulator: who is on the line, and each request with its answer as it happens. */
export function Console() {
  const { t } = useTranslation();
  const [isPaused, setPaused] = useState(false);
  const [sid, setSid] = useState<string | null>(null);
  const [groups, setGroups] = useState<Group[]>(ALL_GROUPS);
  const { entries, error } = useJournal(isPaused);
  const live = useLiveCalls();
  const shown = useMemo(
    () => entries.filter((entry) => groups.includes(groupOf(entry)) && (sid === null || isAbout(entry, sid))),
    [entries, groups, sid],
  );
  return (
    <div className={classes.panes}>
      <Panel title={t("console.calls")} flush>
        <Calls live={live} sid={sid} onPick={setSid} />
      </Panel>
      <Panel title={t("console.title")} flush>
        <div className={classes.tools}>
          <Toggle.Group multiple value={groups} onChange={(chosen) => setGroups(chosen)}>
            <div className={classes.groups} role="group" aria-label={t("console.show")}>
              {ALL_GROUPS.map((group) => (
                <Toggle key={group} value={group} size="xs">
                  {t(`console.group.${group}`)}
                </Toggle>
              ))}
            </div>
          </Toggle.Group>
          <Button
            variant="default"
            size="xs"
            aria-pressed={isPaused}
            leftSection={isPaused ? <Play size={14} aria-hidden="true" /> : <Pause size={14} aria-hidden="true" />}
            onClick={() => setPaused(!isPaused)}
            data-testid="console-pause"
          >
            {t(isPaused ? "console.resume" : "console.pause")}
          </Button>
        </div>
        {error ? <ErrorState error={error} /> : null}
        <Entries shown={shown} isPaused={isPaused} />
      </Panel>
    </div>
  );
}

/** Newest last; it follows the end unless somebody has scrolled up to read. */
function Entries({ shown, isPaused }: { shown: ReturnType<typeof useJournal>["entries"]; isPaused: boolean }) {
  const { t } = useTranslation();
  const list = useRef<HTMLOListElement>(null);
  const follows = useRef(true);
  const last = shown.at(-1)?.n;
  useEffect(() => {
    if (list.current && follows.current) list.current.scrollTop = list.current.scrollHeight;
  }, [last]);
  if (shown.length === 0) return <p className={classes.empty}>{t(isPaused ? "console.paused" : "console.empty")}</p>;
  return (
    <ol
      ref={list}
      className={classes.entries}
      aria-label={t("console.title")}
      tabIndex={0}
      onScroll={({ currentTarget: at }) => {
        follows.current = at.scrollHeight - at.scrollTop - at.clientHeight < NEAR_THE_END_PX;
      }}
      data-testid="console-entries"
    >
      {shown.map((entry) => (
        <li key={entry.n}>
          <ConsoleEntry entry={entry} />
        </li>
      ))}
    </ol>
  );
}

function Calls({ live, sid, onPick }: { live: DemoCall[]; sid: string | null; onPick: (sid: string | null) => void }) {
  const { t } = useTranslation();
  const isGone = sid !== null && !live.some((call) => call.sid === sid);
  return (
    <ul className={classes.calls} aria-label={t("console.calls")} data-testid="console-calls">
      <li>
        <UnstyledButton className={classes.call} aria-pressed={sid === null} onClick={() => onPick(null)}>
          {t("console.all")}
        </UnstyledButton>
      </li>
      {live.map((call) => (
        <li key={call.sid}>
          <UnstyledButton className={classes.call} aria-pressed={call.sid === sid} onClick={() => onPick(call.sid)}>
            <strong>{addressOf(call.from)}</strong>
            <span className={classes.soft}>
              {[addressOf(call.to), t(`demo.status.${call.status as "ringing"}`, { defaultValue: call.status })]
                .filter(Boolean)
                .join(" · ")}
            </span>
            <span className={classes.soft}>{call.conference ?? call.sid.slice(0, 10)}</span>
          </UnstyledButton>
        </li>
      ))}
      {isGone ? (
        <li>
          <UnstyledButton className={classes.call} aria-pressed onClick={() => onPick(null)}>
            <strong>{t("console.over")}</strong>
            <span className={classes.soft}>{sid.slice(0, 10)}</span>
          </UnstyledButton>
        </li>
      ) : null}
      {live.length === 0 && !isGone ? <li className={classes.empty}>{t("console.nobody")}</li> : null}
    </ul>
  );
}

function addressOf(address: string): string {
  return address.startsWith("+") ? formatPhone(address) : address.replace("client:", "");
}
