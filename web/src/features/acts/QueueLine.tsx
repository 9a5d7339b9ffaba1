import { ActionIcon, Button, Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ChevronDown, ChevronUp } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { line, rankItem } from "@/api/endpoints";
import type { Waiting } from "@/api/types";
import { Chip } from "@/design/Chip";
import { ErrorState } from "@/design/Notice";
import { clock, secondsSince, useNow } from "@/format/time";
import { observeServerTime } from "@/live/clock";
import { callerText } from "@/parts/callerText";
import { useAct } from "@/parts/useAct";

import { PushDialog } from "./PushDialog";
import classes from "./QueueLine.module.css";

const READ_EVERY_MS = 2000;
const AHEAD_MIN = 5;
const MAX_TIER = 9;
const MAX_BOOST_S = 86_400;

/** Who waits in a queue, in the order of the line, and what a supervisor can do for each. */
export function QueueLine({ queue, onExplain }: { queue: string; onExplain: (workItem: number) => void }) {
  const { t } = useTranslation();
  const [pushed, setPushed] = useState<Waiting | null>(null);
  const { data, error, refetch } = useQuery({
    queryKey: ["queues", "line", queue],
    queryFn: async () => {
      const found = await line(queue);
      observeServerTime(found.as_of);
      return found.items;
    },
    refetchInterval: READ_EVERY_MS,
  });
  if (!data) return error ? <ErrorState error={error} retry={() => void refetch()} /> : <Skeleton height={45} />;
  if (data.length === 0) return <p className={classes.none}>{t("line.none")}</p>;
  return (
    <>
      <ol className={classes.line}>
        {data.map((waiting, index) => (
          <Line
            key={waiting.id}
            place={index + 1}
            waiting={waiting}
            onPush={() => setPushed(waiting)}
            onExplain={() => onExplain(waiting.id)}
          />
        ))}
      </ol>
      {data.length >= 100 ? <p className={classes.none}>{t("line.first", { count: data.length })}</p> : null}
      <PushDialog
        waiting={pushed && (data.find(({ id }) => id === pushed.id) ?? pushed)}
        onClose={() => setPushed(null)}
      />
    </>
  );
}

interface LineProps {
  place: number;
  waiting: Waiting;
  onPush: () => void;
  onExplain: () => void;
}

function Line({ place, waiting, onPush, onExplain }: LineProps) {
  const { t } = useTranslation();
  const now = useNow();
  const act = useAct();
  const { ticket } = waiting;
  const number = ticket === null ? callerText(t, waiting.caller) : ticket.number;
  const caller = ticket === null ? (waiting.customer ?? number) : ticket.number;
  const { id, tier, boost_s, version } = waiting;
  const rings = waiting.state === "offering";
  const rank = (change: { tier?: number; boost_s?: number }, done: string) => {
    if (!act.isPending) act.mutate({ done, run: () => rankItem(id, { ...change, version }) });
  };
  const toTier = (next: number) => rank({ tier: next }, t("act.tier", { caller, tier: next }));
  const ahead = () =>
    rank(
      { boost_s: Math.min(MAX_BOOST_S, boost_s + AHEAD_MIN * 60) },
      t("act.ahead", { caller, minutes: AHEAD_MIN }),
    );
  return (
    <li className={classes.row} data-testid={`waiting-${id}`}>
      <span className={classes.place}>{place}</span>
      <span className={classes.caller}>
        {ticket === null ? (
          <span className={classes.name}>{caller}</span>
        ) : (
          // Nobody is rung for a ticket: who is to have it is said on its own page.
          <Link className={classes.name} to="/tickets/$ticketId" params={{ ticketId: ticket.number }}>
            {caller}
          </Link>
        )}
        {ticket === null ? null : <span className={classes.soft}>{ticket.subject}</span>}
        {ticket !== null || waiting.customer === null ? null : <span className={classes.soft}>{number}</span>}
      </span>
      <span className={classes.chips}>
        {rings ? <Chip tone="blue">{t("line.ringing")}</Chip> : null}
        {tier > 0 ? <Chip tone="violet">{t("line.tier", { tier })}</Chip> : null}
        {boost_s > 0 ? <Chip>{t("line.aheadBy", { minutes: Math.round(boost_s / 60) })}</Chip> : null}
      </span>
      <strong className={classes.waited}>{clock(secondsSince(waiting.entered_at, now))}</strong>
      <span className={classes.acts}>
        <ActionIcon
          variant="default"
          size={26}
          aria-label={t("line.tierUp", { caller })}
          disabled={tier >= MAX_TIER}
          onClick={() => toTier(tier + 1)}
        >
          <ChevronUp size={16} />
        </ActionIcon>
        <ActionIcon
          variant="default"
          size={26}
          aria-label={t("line.tierDown", { caller })}
          disabled={tier <= 0}
          onClick={() => toTier(tier - 1)}
        >
          <ChevronDown size={16} />
        </ActionIcon>
        <Button
          size="compact-sm"
          variant="default"
          aria-label={t("line.aheadOf", { caller, minutes: AHEAD_MIN })}
          onClick={ahead}
        >
          {t("line.ahead", { minutes: AHEAD_MIN })}
        </Button>
        {ticket === null ? (
          // It stays where it is while it rings, so that the focus has a place.
          <Button
            size="compact-sm"
            variant="default"
            aria-label={t("line.pushOf", { caller })}
            aria-disabled={rings}
            data-disabled={rings || undefined}
            onClick={rings ? undefined : onPush}
          >
            {t("line.push")}
          </Button>
        ) : null}
        <Button size="compact-sm" variant="default" aria-label={t("line.whyOf", { caller })} onClick={onExplain}>
          {t("waiting.why")}
        </Button>
      </span>
    </li>
  );
}
