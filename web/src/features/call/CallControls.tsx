import { Button, Popover } from "@mantine/core";
import { Grid3x3, Mic, MicOff, Pause, PhoneForwarded, Play, RotateCw } from "lucide-react";
import { lazy, Suspense, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { ActiveCall } from "@/api/types";
import { useProblemText } from "@/design/useProblemText";
import { ariaKeys, Keycaps } from "@/keys/Keycaps";
import { useShortcut } from "@/keys/shortcuts";
import { usePhone, usePhoneStatus } from "@/phone/PhoneProvider";

import classes from "./CallControls.module.css";
import { useSetHold } from "./commands";
import { RecordingControl } from "./RecordingControl";

const TelephoneControls = lazy(async () => ({ default: (await import("./TelephoneControls")).TelephoneControls }));
const TransferDialog = lazy(async () => ({ default: (await import("./TransferDialog")).TransferDialog }));

interface Props {
  call: ActiveCall;
  hasKeys: boolean;
}

/** What can be done while two talk: hold, mute, keypad. Without a phone in this call, the way back into it. */
export function CallControls({ call, hasKeys }: Props) {
  const { t } = useTranslation();
  const phone = usePhone();
  const status = usePhoneStatus();
  const callId = call.pop.call.id;
  const isOurs = status.callId === callId && (status.leg === "open" || status.leg === "connecting");
  const isTalking = call.state === "in_call" || call.state === "on_hold";
  const telephone = call.telephone && call.telephone.state !== "over" ? call.telephone : null;
  return (
    <div className={classes.controls} role="group" aria-label={t("call.controls")}>
      {isTalking ? (
        <>
          <HoldButton call={call} hasKeys={hasKeys} />
          {call.consult && call.consult.state !== "over" ? null : (
            <TransferButton call={call} hasKeys={hasKeys} />
          )}
        </>
      ) : null}
      {telephone ? (
        <>
          <RecordingControl call={call} hasKeys={hasKeys} />
          <Suspense>
            <TelephoneControls call={call} telephone={telephone} hasKeys={hasKeys} />
          </Suspense>
        </>
      ) : isOurs ? (
        <>
          <MuteButton hasKeys={hasKeys} />
          <Keypad hasKeys={hasKeys} />
          <RecordingControl call={call} hasKeys={hasKeys} />
        </>
      ) : (
        <Button
          variant="default"
          leftSection={<RotateCw size={16} aria-hidden="true" />}
          onClick={() => phone.connect(callId)}
          title={status.error === null ? t("phone.rejoinWhy") : t(`phone.error.${status.error}`)}
        >
          {t("phone.rejoin")}
        </Button>
      )}
    </div>
  );
}

function HoldButton({ call, hasKeys }: Props) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const hold = useSetHold(call.pop.call.id);
  const isHeld = call.state === "on_hold";
  const isUnderWay = hold.isPending || (call.hold_wanted ?? false) !== isHeld;
  const press = () => {
    if (!hold.isPending) hold.mutate(!(call.hold_wanted ?? isHeld));
  };
  useShortcut("hold", press, hasKeys);
  return (
    <>
      {hold.error ? <span role="alert">{problemText(asProblem(hold.error))}</span> : null}
      <Button
        variant={isHeld ? "filled" : "default"}
        leftSection={isHeld ? <Play size={16} aria-hidden="true" /> : <Pause size={16} aria-hidden="true" />}
        rightSection={hasKeys ? <Keycaps of="hold" /> : null}
        aria-busy={isUnderWay}
        onClick={press}
        aria-keyshortcuts={ariaKeys("hold")}
        data-testid="hold"
      >
        {t(isHeld ? "call.resume" : "call.hold")}
      </Button>
    </>
  );
}

function TransferButton({ call, hasKeys }: Props) {
  const { t } = useTranslation();
  const [isOpen, setOpen] = useState(false);
  useShortcut("transfer", () => setOpen(true), hasKeys);
  return (
    <>
      <Button
        variant="default"
        leftSection={<PhoneForwarded size={16} aria-hidden="true" />}
        rightSection={hasKeys ? <Keycaps of="transfer" /> : null}
        onClick={() => setOpen(true)}
        aria-keyshortcuts={ariaKeys("transfer")}
        data-testid="transfer"
      >
        {t("call.transfer")}
      </Button>
      {isOpen ? (
        <Suspense>
          <TransferDialog call={call} onClose={() => setOpen(false)} />
        </Suspense>
      ) : null}
    </>
  );
}

function MuteButton({ hasKeys }: { hasKeys: boolean }) {
  const { t } = useTranslation();
  const phone = usePhone();
  const { isMuted } = usePhoneStatus();
  const press = () => phone.mute(!isMuted);
  useShortcut("mute", press, hasKeys);
  return (
    <Button
      variant={isMuted ? "light" : "default"}
      aria-pressed={isMuted}
      leftSection={isMuted ? <MicOff size={16} aria-hidden="true" /> : <Mic size={16} aria-hidden="true" />}
      onClick={press}
      aria-keyshortcuts={ariaKeys("mute")}
      data-testid="mute"
    >
      {t("phone.mute")}
    </Button>
  );
}

const TONES = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];

/** Touch tones, by mouse or by typing while it is open. */
function Keypad({ hasKeys }: { hasKeys: boolean }) {
  const { t } = useTranslation();
  const phone = usePhone();
  const [isOpen, setOpen] = useState(false);
  const [sent, setSent] = useState("");
  const send = (tone: string) => {
    phone.sendDigits(tone);
    setSent((before) => before + tone);
  };
  const toggle = () => {
    setSent("");
    setOpen((open) => !open);
  };
  useShortcut("keypad", toggle, hasKeys);
  useEffect(() => {
    if (!isOpen) return;
    // Of the whole page: what is typed before the keypad has the focus is a tone all the same, not a result of the call.
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.altKey || event.metaKey || !TONES.includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      phone.sendDigits(event.key);
      setSent((before) => before + event.key);
    };
    window.addEventListener("keydown", onKey, { capture: true });
    return () => window.removeEventListener("keydown", onKey, { capture: true });
  }, [isOpen, phone]);
  return (
    <Popover opened={isOpen} onChange={setOpen} trapFocus returnFocus withinPortal>
      <Popover.Target>
        <Button
          variant="default"
          leftSection={<Grid3x3 size={16} aria-hidden="true" />}
          onClick={toggle}
          aria-keyshortcuts={ariaKeys("keypad")}
          data-testid="keypad"
        >
          {t("phone.keypad")}
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label={t("phone.keypad")}>
        <output className={classes.sent} aria-label={t("phone.sent")} data-testid="keypad-sent">
          {sent || "\u00a0"}
        </output>
        <div className={classes.pad}>
          {TONES.map((tone) => (
            <Button key={tone} variant="default" onClick={() => send(tone)} aria-label={t("phone.tone", { tone })}>
              {tone}
            </Button>
          ))}
        </div>
      </Popover.Dropdown>
    </Popover>
  );
}
