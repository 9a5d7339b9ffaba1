import { Button } from "@mantine/core";
import { useMutation, useQueries, useQueryClient } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";

import { line, pickItem } from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { QueueStats, Waiting } from "@/api/types";
import { Callout } from "@/design/Notice";
import { useProblemText } from "@/design/useProblemText";
import { clock, secondsSince, useNow } from "@/format/time";
import { useText } from "@/i18n";
import { useReadDeskAgain } from "@/live/desk";
import { showAct } from "@/parts/acts";
import { callerText } from "@/parts/callerText";
import { usePhone } from "@/phone/PhoneProvider";

import classes from "./WaitingHere.module.css";

const SHOWN = 5;
const READ_EVERY_MS = 5000;

/** The longest waits of one's own queues, each to be taken by hand. Nobody waits: nothing is shown. */
export function WaitingHere({ queues }: { queues: QueueStats[] }) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const busy = queues.filter(
    ({ channel, waiting, held_since }) => channel === "voice" && waiting > 0 && held_since === null,
  );
  const lines = useQueries({
    queries: busy.map(({ key }) => ({
      queryKey: ["queues", "line", key],
      queryFn: async () => (await line(key, SHOWN)).items,
      refetchInterval: READ_EVERY_MS,
    })),
  });
  const take = useTake();
  const found = busy
    .flatMap((queue, index) => (lines[index]?.data ?? []).map((waiting) => ({ queue, waiting })))
    .filter(({ waiting }) => waiting.state === "queued")
    .sort((a, b) => Date.parse(a.waiting.entered_at) - Date.parse(b.waiting.entered_at))
    .slice(0, SHOWN);
  if (found.length === 0 && !take.error) return null;
  return (
    <section className={classes.here} aria-label={t("take.title")} data-testid="waiting-here">
      <h3 className={classes.title}>{t("take.title")}</h3>
      {take.error ? (
        <div role="alert">
          <Callout tone="amber">{problemText(asProblem(take.error))}</Callout>
        </div>
      ) : null}
      <ol>
        {found.map(({ queue, waiting }) => (
          <Line
            key={waiting.id}
            queue={queue}
            waiting={waiting}
            isTaking={take.isPending && take.variables.id === waiting.id}
            onTake={() => (take.isPending ? undefined : take.mutate(waiting))}
          />
        ))}
      </ol>
      <p className={classes.soft}>{t("take.hint")}</p>
    </section>
  );
}

const callerOf = (t: TFunction, { customer, caller }: Waiting) =>
  customer ?? callerText(t, caller).replaceAll("*", "•");

function useTake() {
  const phone = usePhone();
  const { t } = useTranslation();
  const queries = useQueryClient();
  const readAgain = useReadDeskAgain();
  return useMutation({
    mutationFn: ({ id, version }: Waiting) => pickItem(id, version),
    onSuccess: ({ call, undo }, waiting) => {
      if (call.id !== null && !call.is_on_telephone) phone.connect(call.id);
      if (undo) showAct({ text: t("take.taken", { caller: callerOf(t, waiting) }), undo });
      return readAgain();
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ["queues", "line"] }),
  });
}

interface LineProps {
  queue: QueueStats;
  waiting: Waiting;
  isTaking: boolean;
  onTake: () => void;
}

function Line({ queue, waiting, isTaking, onTake }: LineProps) {
  const { t } = useTranslation();
  const text = useText();
  const now = useNow();
  const caller = callerOf(t, waiting);
  const name = text(queue.name);
  return (
    <li className={classes.line}>
      <span className={classes.name}>{name}</span>
      <span className={classes.caller}>{caller}</span>
      <strong className={classes.waited}>{clock(secondsSince(waiting.entered_at, now))}</strong>
      <Button
        size="compact-sm"
        variant="default"
        loading={isTaking}
        aria-label={t("take.takeOf", { caller, queue: name })}
        onClick={onTake}
      >
        {t("take.take")}
      </Button>
    </li>
  );
}
