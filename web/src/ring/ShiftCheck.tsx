import { Button, Modal, Select, Slider, Switch } from "@mantine/core";
import { CircleAlert, CircleCheck, CircleDashed } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { voiceToken } from "@/api/endpoints";
import { useDeskIfRead } from "@/live/desk";
import { useLiveStatus } from "@/live/LiveProvider";
import { canNotify, type Heard, setRing, startRinging, stopRinging } from "@/ring/ring";
import { useMicrophone } from "@/ring/useMicrophone";
import { useRing } from "@/ring/useRing";

import classes from "./ShiftCheck.module.css";

type Verdict = "good" | "bad" | "open";
const SOUNDS_FOR_MS = 3000;

/** Before the shift: is a call heard, does the microphone work, does the desktop say so, is the line to the service there. */
export function ShiftCheck({ agentId, onClose }: { agentId: number; onClose: () => void }) {
  const { t } = useTranslation();
  // Where a telephone rings, neither a microphone nor the phone of this page is needed.
  const isOnTelephone = useDeskIfRead().data?.presence?.telephone?.is_used ?? false;
  const finish = () => {
    setRing(agentId, { checkedAt: new Date().toISOString() });
    onClose();
  };
  return (
    <Modal opened onClose={onClose} size="lg" title={t("ring.check")} closeButtonProps={{ "aria-label": t("action.close") }}>
      <p className={classes.about}>{t("ring.about")}</p>
      <ul className={classes.checks}>
        <Tone agentId={agentId} />
        {isOnTelephone ? null : <Microphone />}
        <Desktop agentId={agentId} />
        <Line isOnTelephone={isOnTelephone} />
      </ul>
      <div className={classes.foot}>
        <Button onClick={finish} data-testid="check-done">
          {t("ring.done")}
        </Button>
      </div>
    </Modal>
  );
}

const ICON = { good: CircleCheck, bad: CircleAlert, open: CircleDashed } as const;

function Check({ name, verdict, says, children }: { name: string; verdict: Verdict; says: string; children?: ReactNode }) {
  const Icon = ICON[verdict];
  return (
    <li className={classes.check} data-verdict={verdict}>
      <Icon size={20} aria-hidden="true" className={classes.icon} />
      <div className={classes.what}>
        <h3 className={classes.name}>{name}</h3>
        <p className={classes.says} role="status">
          {says}
        </p>
        {children}
      </div>
    </li>
  );
}

function useOutputs(): MediaDeviceInfo[] {
  const [outputs, setOutputs] = useState<MediaDeviceInfo[]>([]);
  useEffect(() => {
    const devices = globalThis.navigator.mediaDevices as MediaDevices | undefined;
    if (!devices) return;
    const read = () =>
      void devices.enumerateDevices().then(
        (all) => setOutputs(all.filter(({ kind, deviceId }) => kind === "audiooutput" && deviceId !== "")),
        () => undefined,
      );
    read();
    devices.addEventListener("devicechange", read);
    return () => devices.removeEventListener("devicechange", read);
  }, []);
  return outputs;
}

function Tone({ agentId }: { agentId: number }) {
  const { t } = useTranslation();
  const settings = useRing(agentId);
  const outputs = useOutputs();
  const [heard, setHeard] = useState<Heard | null>(null);
  const play = async () => {
    setHeard(await startRinging(settings));
    setTimeout(stopRinging, SOUNDS_FOR_MS);
  };
  useEffect(() => stopRinging, []);
  const says = !settings.isOn ? t("ring.isOff") : t(heard === null ? "ring.tone.open" : `ring.tone.${heard}`);
  const devices = outputs
    .filter(({ deviceId }) => deviceId !== "default")
    .map(({ deviceId, label }, index) => ({ value: deviceId, label: label || t("ring.device", { number: index + 1 }) }));
  return (
    <Check name={t("ring.toneName")} verdict={heard === null ? "open" : heard === "playing" ? "good" : "bad"} says={says}>
      <div className={classes.row}>
        <Switch
          label={t("ring.isOn")}
          checked={settings.isOn}
          onChange={(event) => setRing(agentId, { isOn: event.currentTarget.checked })}
        />
        <Button size="compact-sm" variant="default" onClick={() => void play()} disabled={!settings.isOn} data-testid="check-tone">
          {t("ring.play")}
        </Button>
      </div>
      <div className={classes.row}>
        <Select
          size="xs"
          className={classes.device}
          label={t("ring.on")}
          data={[{ value: "", label: t("ring.system") }, ...devices]}
          value={settings.deviceId}
          onChange={(deviceId) => setRing(agentId, { deviceId: deviceId ?? "" })}
          allowDeselect={false}
        />
        <div className={classes.volume}>
          <span id="ring-volume" className={classes.label}>
            {t("ring.volume")}
          </span>
          <Slider
            min={10}
            max={100}
            step={10}
            label={(value) => `${value} %`}
            value={Math.round(settings.volume * 100)}
            onChange={(value) => setRing(agentId, { volume: value / 100 })}
            thumbProps={{ "aria-labelledby": "ring-volume" }}
          />
        </div>
      </div>
    </Check>
  );
}

function Microphone() {
  const { t } = useTranslation();
  const { state, label, level, start } = useMicrophone();
  const verdict: Verdict = state === "heard" ? "good" : state === "denied" || state === "none" ? "bad" : "open";
  return (
    <Check name={t("ring.micName")} verdict={verdict} says={t(`ring.mic.${state}`)}>
      <div className={classes.row}>
        <Button size="compact-sm" variant="default" onClick={() => void start()} data-testid="check-microphone">
          {t("ring.listen")}
        </Button>
        {label === "" ? null : <span className={classes.label}>{label}</span>}
        {state === "open" || state === "heard" ? (
          <meter className={classes.level} min={0} max={1} value={level} aria-label={t("ring.level")} />
        ) : null}
      </div>
    </Check>
  );
}

function Desktop({ agentId }: { agentId: number }) {
  const { t } = useTranslation();
  const settings = useRing(agentId);
  const [permission, setPermission] = useState(canNotify);
  const ask = async () => setPermission(await Notification.requestPermission());
  return (
    <Check
      name={t("ring.desktopName")}
      verdict={permission === "granted" ? "good" : permission === "default" ? "open" : "bad"}
      says={t(`ring.desktop.${permission}`)}
    >
      <div className={classes.row}>
        <Switch
          label={t("ring.notifies")}
          checked={settings.notifies}
          onChange={(event) => setRing(agentId, { notifies: event.currentTarget.checked })}
        />
        {permission === "default" ? (
          <Button size="compact-sm" variant="default" onClick={() => void ask()} data-testid="check-desktop">
            {t("ring.ask")}
          </Button>
        ) : null}
      </div>
    </Check>
  );
}

/** The socket that brings calls, and the telephone's own permission. */
function Line({ isOnTelephone }: { isOnTelephone: boolean }) {
  const { t } = useTranslation();
  const { state } = useLiveStatus();
  const [phone, setPhone] = useState<Verdict>("open");
  useEffect(() => {
    if (isOnTelephone) return;
    let isHere = true;
    voiceToken().then(
      () => isHere && setPhone("good"),
      () => isHere && setPhone("bad"),
    );
    return () => {
      isHere = false;
    };
  }, [isOnTelephone]);
  const isGood = state === "live" && (isOnTelephone || phone === "good");
  const says = isOnTelephone && isGood ? "telephone" : state !== "live" ? "away" : phone === "bad" ? "noPhone" : phone === "good" ? "good" : "open";
  return (
    <Check name={t("ring.lineName")} verdict={isGood ? "good" : says === "open" ? "open" : "bad"} says={t(`ring.line.${says}`)} />
  );
}
