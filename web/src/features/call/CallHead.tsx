import { Button } from "@mantine/core";
import { ClockPlus, PhoneOff } from "lucide-react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { ActiveCall } from "@/api/types";
import { Chip, type Tone } from "@/design/Chip";
import { Callout } from "@/design/Notice";
import { useProblemText } from "@/design/useProblemText";
import { formatPhone } from "@/format/phone";
import { clock, secondsSince, secondsUntil, useNow } from "@/format/time";
import { useText } from "@/i18n";
import { ariaKeys, Keycaps } from "@/keys/Keycaps";
import { useShortcut } from "@/keys/shortcuts";

import classes from "./ActiveCall.module.css";
import { CallControls } from "./CallControls";
import { ConsultStrip } from "./ConsultStrip";
import { useExtendWrapUp, useHangUp } from "./commands";
import { TimeLine } from "./Deadline";

const TONE: Record<ActiveCall["state"], Tone> = {
  connecting: "amber",
  in_call: "green",
  on_hold: "amber",
  consulted: "blue",
  wrapping: "violet",
};

function useCallClock(call: ActiveCall): string {
  const now = useNow();
  if (call.state === "wrapping") {
    // Without an end the time counts up from the end of the call.
    if (call.wrap_up_ends_at !== null) return clock(secondsUntil(call.wrap_up_ends_at, now));
    return call.ended_at === null ? "" : clock(secondsSince(call.ended_at, now));
  }
  if (call.state === "consulted") return "";
  return call.connected_at === null ? "" : clock(secondsSince(call.connected_at, now));
}

/** State and time of the call, and the phone's buttons. */
export function CallHead({ call, hasKeys }: { call: ActiveCall; hasKeys: boolean }) {
  const { t } = useTranslation();
  const text = useText();
  const problemText = useProblemText();
  const time = useCallClock(call);
  const hangUp = useHangUp(call.pop.call.id);
  const isOpen = call.state !== "wrapping";
  // While somebody is consulted the ways out stand in the strip: who wants to be rid of the one must not lose the other.
  const isConsulting = call.consult ? call.consult.state !== "over" : false;
  const canHangUp = isOpen && !isConsulting;
  // While one's telephone rings the caller waits on in the line, and would go to somebody else.
  const isGivenBack = call.telephone != null && call.state === "connecting" && call.pop.call.direction !== "outbound";
  useShortcut("hangUp", () => hangUp.mutate(), hasKeys && canHangUp);
  return (
    <>
      {call.state === "wrapping" && call.wrap_up_ends_at !== null && call.ended_at !== null ? (
        <TimeLine from={call.ended_at} to={call.wrap_up_ends_at} />
      ) : null}
      <header className={classes.head}>
        <Chip tone={TONE[call.state]}>{t(`callState.${call.state}`)}</Chip>
        <strong className={classes.time} role="timer">
          {time}
        </strong>
        {call.state === "connecting" && call.pop.call.direction === "outbound" ? <Placing at={call.dial_at ?? null} /> : null}
        {call.state === "on_hold" && call.held_since ? <HeldFor since={call.held_since} /> : null}
        <p className={classes.headFacts}>
          <span>{text(call.pop.call.queue_name)}</span>
          {call.pop.call.direction === "outbound" ? (
            <span>{t("dial.shown", { number: formatPhone(call.pop.call.to) })}</span>
          ) : (
            <>
              <span>{t("pop.called", { number: formatPhone(call.pop.call.to) })}</span>
              <span>{t("pop.waited", { time: clock(call.pop.call.waited_s) })}</span>
            </>
          )}
        </p>
        {isOpen ? null : <Extend callId={call.pop.call.id} seconds={call.wrap_up.extension_s} />}
        {/* In the first row at any width, apart from what does not end the call. */}
        {canHangUp ? (
          <Button
            className={isGivenBack ? classes.apart : classes.hangUp}
            variant={isGivenBack ? "default" : undefined}
            leftSection={<PhoneOff size={16} aria-hidden="true" />}
            rightSection={hasKeys ? <Keycaps of="hangUp" /> : null}
            loading={hangUp.isPending}
            onClick={() => hangUp.mutate()}
            aria-keyshortcuts={ariaKeys("hangUp")}
            data-testid="hangup"
          >
            {t(call.pop.call.is_external ? "call.isOver" : isGivenBack ? "telephone.giveBack" : "action.hangUp")}
          </Button>
        ) : null}
        {isOpen && !call.pop.call.is_external ? (
          <div className={classes.phone} data-open>
            <CallControls call={call} hasKeys={hasKeys} />
          </div>
        ) : null}
      </header>
      <ConsultStrip call={call} hasKeys={hasKeys} />
      {hangUp.error ? (
        <div className={classes.block} role="alert">
          <Callout tone="red">{problemText(asProblem(hangUp.error))}</Callout>
        </div>
      ) : null}
    </>
  );
}

/** How far a call is that one makes: one's own phone, the provider's next free second, the customer's phone. */
function Placing({ at }: { at: string | null }) {
  const { t } = useTranslation();
  const now = useNow();
  const seconds = at === null ? 0 : Math.ceil(secondsUntil(at, now));
  return (
    <span className={classes.held} role="status" data-testid="placing">
      {at === null ? t("dial.phoneFirst") : seconds > 0 ? t("dial.placedIn", { count: seconds }) : t("dial.rings")}
    </span>
  );
}

/** How long the customer has been hearing music. */
function HeldFor({ since }: { since: string }) {
  const { t } = useTranslation();
  const now = useNow();
  return (
    <span className={classes.held} data-testid="held-for">
      {t("call.heldFor", { time: clock(secondsSince(since, now)) })}
    </span>
  );
}

/** More time for wrap-up, once. */
function Extend({ callId, seconds }: { callId: number; seconds: number }) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const extend = useExtendWrapUp(callId);
  return (
    <div className={classes.phone}>
      {extend.error ? <span role="alert">{problemText(asProblem(extend.error))}</span> : null}
      {seconds === 0 ? null : (
        <Button
          variant="default"
          leftSection={<ClockPlus size={16} aria-hidden="true" />}
          loading={extend.isPending}
          onClick={() => extend.mutate()}
          aria-label={t("call.extendLabel", { seconds })}
          data-testid="extend-wrap-up"
        >
          {t("call.extend", { seconds })}
        </Button>
      )}
    </div>
  );
}
