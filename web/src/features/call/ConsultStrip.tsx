import { Button } from "@mantine/core";
import { MessagesSquare, PhoneForwarded, Undo2, X } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { ActiveCall, CallConsult } from "@/api/types";
import { Callout } from "@/design/Notice";
import { useProblemText } from "@/design/useProblemText";
import { formatPhone } from "@/format/phone";
import { clock, secondsSince, useNow } from "@/format/time";
import { useText } from "@/i18n";
import { ariaKeys, Keycaps } from "@/keys/Keycaps";
import { useShortcut } from "@/keys/shortcuts";

import { useCompleteConsult, useEndConsult } from "./commands";
import classes from "./ConsultStrip.module.css";

interface Props {
  call: ActiveCall;
  consult: CallConsult;
  hasKeys: boolean;
}

/** Ends that the agent has not brought about, and is told of. */
const TOLD = ["declined", "not_reached", "left", "failed"] as const;
type Told = (typeof TOLD)[number];
const isTold = (outcome: string | null): outcome is Told => TOLD.some((each) => each === outcome);

/** Somebody is consulted about this call: with whom, how far it is, and the ways out of it. */
export function ConsultStrip({ call, hasKeys }: { call: ActiveCall; hasKeys: boolean }) {
  const { consult } = call;
  if (!consult || call.state === "wrapping") return null;
  if (consult.state === "over") return <HowItEnded key={consult.id} consult={consult} />;
  return <UnderWay call={call} consult={consult} hasKeys={hasKeys} />;
}

function useNameOf(consult: CallConsult): string {
  const text = useText();
  if (consult.who !== null && consult.to === "number" && consult.is_asker) return formatPhone(consult.who);
  return consult.who ?? (consult.queue_name ? text(consult.queue_name) : "");
}

function UnderWay({ call, consult, hasKeys }: Props) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const now = useNow();
  const callId = call.pop.call.id;
  const name = useNameOf(consult);
  const complete = useCompleteConsult(callId, name);
  const end = useEndConsult(callId);
  const isBusy = complete.isPending || end.isPending;
  const isThere = consult.state === "talking";
  const canComplete = consult.is_asker && isThere;
  const doComplete = () => {
    if (!isBusy && canComplete) complete.mutate();
  };
  const doEnd = () => {
    if (!isBusy) end.mutate();
  };
  useShortcut("completeConsult", doComplete, hasKeys && canComplete);
  useShortcut("endConsult", doEnd, hasKeys);
  const error = complete.error ?? end.error;
  const isTogether = consult.is_asker && isThere && call.state === "in_call";
  return (
    <section className={classes.strip} aria-label={t("consult.title")} data-testid="consult" data-state={consult.state}>
      <MessagesSquare size={20} aria-hidden="true" className={classes.icon} />
      <div className={classes.words} role="status">
        <strong>{t(consult.is_asker ? (isThere ? "consult.with" : "consult.asking") : "consult.asked", { name })}</strong>
        <span className={classes.soft}>
          {t(isTogether ? "consult.together" : consult.is_asker ? "consult.onHold" : "consult.theirs")}
        </span>
      </div>
      <span className={classes.time} role="timer">
        {clock(secondsSince(consult.since, now))}
      </span>
      <div className={classes.ways}>
        {consult.is_asker ? (
          <Button
            leftSection={<PhoneForwarded size={16} aria-hidden="true" />}
            rightSection={hasKeys && canComplete ? <Keycaps of="completeConsult" /> : null}
            disabled={!canComplete}
            loading={complete.isPending}
            onClick={doComplete}
            aria-keyshortcuts={ariaKeys("completeConsult")}
            data-testid="consult-complete"
          >
            {t("consult.complete")}
          </Button>
        ) : null}
        <Button
          variant="default"
          leftSection={<Undo2 size={16} aria-hidden="true" />}
          rightSection={hasKeys ? <Keycaps of="endConsult" /> : null}
          loading={end.isPending}
          onClick={doEnd}
          aria-keyshortcuts={ariaKeys("endConsult")}
          data-testid="consult-end"
        >
          {t(consult.is_asker ? "consult.back" : "consult.leave")}
        </Button>
      </div>
      {error ? (
        <div className={classes.error} role="alert">
          <Callout tone="red">{problemText(asProblem(error))}</Callout>
        </div>
      ) : null}
    </section>
  );
}

/** Nobody came, or they left: the agent is with the customer again, and must know it before speaking. */
function HowItEnded({ consult }: { consult: CallConsult }) {
  const { t } = useTranslation();
  const name = useNameOf(consult);
  const [isRead, setRead] = useState(false);
  const { outcome } = consult;
  if (isRead || !consult.is_asker || !isTold(outcome)) return null;
  return (
    <div className={classes.ended} role="alert" data-testid="consult-ended">
      <Callout
        tone="amber"
        action={
          <Button
            variant="subtle"
            size="compact-sm"
            onClick={() => setRead(true)}
            aria-label={t("action.close")}
            leftSection={<X size={14} aria-hidden="true" />}
          >
            {t("action.close")}
          </Button>
        }
      >
        {t(`consult.ended.${outcome}`, { name })}
      </Callout>
    </div>
  );
}
