import { Button } from "@mantine/core";
import { Mic, MicOff, PhoneCall } from "lucide-react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { ActiveCall, CallTelephone } from "@/api/types";
import { useProblemText } from "@/design/useProblemText";
import { ariaKeys } from "@/keys/Keycaps";
import { useShortcut } from "@/keys/shortcuts";

import classes from "./CallControls.module.css";
import { useSetMuted } from "./commands";

interface Props {
  call: ActiveCall;
  telephone: CallTelephone;
  hasKeys: boolean;
}

/** In place of microphone and keypad, for who takes the call on a telephone: what it does, and mute, which the provider sees to. */
export function TelephoneControls({ call, telephone, hasKeys }: Props) {
  const { t } = useTranslation();
  const { shown, state } = telephone;
  if (state === "over") return null;
  const isThere = state === "taken";
  return (
    <>
      {isThere ? <MuteButton callId={call.pop.call.id} telephone={telephone} hasKeys={hasKeys} /> : null}
      <p className={classes.telephone} role="status" data-testid="telephone" data-state={state}>
        <PhoneCall size={16} aria-hidden="true" />
        <span>
          {t(`telephone.${state}`, { number: shown })}
          {isThere ? <small className={classes.soft}>{t("telephone.keys")}</small> : null}
        </span>
      </p>
    </>
  );
}

function MuteButton({ callId, telephone, hasKeys }: { callId: number; telephone: CallTelephone; hasKeys: boolean }) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const mute = useSetMuted(callId);
  const { is_muted: isMuted, is_mute_wanted: isWanted } = telephone;
  const press = () => {
    if (!mute.isPending) mute.mutate(!isWanted);
  };
  useShortcut("mute", press, hasKeys);
  return (
    <>
      {mute.error ? <span role="alert">{problemText(asProblem(mute.error))}</span> : null}
      <Button
        variant={isMuted ? "light" : "default"}
        aria-pressed={isMuted}
        aria-busy={mute.isPending || isWanted !== isMuted}
        leftSection={isMuted ? <MicOff size={16} aria-hidden="true" /> : <Mic size={16} aria-hidden="true" />}
        onClick={press}
        aria-keyshortcuts={ariaKeys("mute")}
        data-testid="mute"
      >
        {t("phone.mute")}
      </Button>
    </>
  );
}
