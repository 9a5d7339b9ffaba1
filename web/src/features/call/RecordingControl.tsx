import { Button } from "@mantine/core";
import { CircleDot, CirclePause } from "lucide-react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { ActiveCall, CallRecording } from "@/api/types";
import { Chip, type Tone } from "@/design/Chip";
import { useProblemText } from "@/design/useProblemText";
import { ariaKeys, Keycaps } from "@/keys/Keycaps";
import { useShortcut } from "@/keys/shortcuts";

import { usePauseRecording } from "./commands";

const TONE: Record<CallRecording["state"], Tone> = {
  told: "grey",
  declined: "grey",
  recording: "red",
  paused: "amber",
  ended: "grey",
  failed: "grey",
};

/** What the provider has said of the recording, in words: nothing is called paused that is only wanted so. */
function wordsOf({ state, is_pause_wanted, problem }: CallRecording) {
  if (problem !== null) return `recording.problem.${problem}` as const;
  if (state === "recording" && is_pause_wanted) return "recording.pausing" as const;
  return `recording.state.${state}` as const;
}

/** Whether this call is recorded, and the button that pauses it. */
export function RecordingControl({ call, hasKeys }: { call: ActiveCall; hasKeys: boolean }) {
  return call.recording ? <Control call={call} recording={call.recording} hasKeys={hasKeys} /> : null;
}

function Control({ call, recording, hasKeys }: { call: ActiveCall; recording: CallRecording; hasKeys: boolean }) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const pause = usePauseRecording(call.pop.call.id);
  const { state, is_pause_wanted: isWanted } = recording;
  const isMine = call.state === "in_call" || call.state === "on_hold";
  const canPause = isMine && (state === "recording" || state === "paused");
  const press = () => {
    if (!pause.isPending) pause.mutate(!isWanted);
  };
  useShortcut("recording", press, hasKeys && canPause);
  return (
    <>
      <span role="status" data-testid="recording" data-state={state}>
        <Chip tone={recording.problem === null ? TONE[state] : "red"}>{t(wordsOf(recording))}</Chip>
      </span>
      {canPause ? (
        <Button
          variant={isWanted ? "filled" : "default"}
          leftSection={isWanted ? <CircleDot size={16} aria-hidden="true" /> : <CirclePause size={16} aria-hidden="true" />}
          rightSection={hasKeys ? <Keycaps of="recording" /> : null}
          aria-busy={pause.isPending || isWanted !== (state === "paused")}
          onClick={press}
          aria-keyshortcuts={ariaKeys("recording")}
          data-testid="recording-pause"
        >
          {t(isWanted ? "recording.resume" : "recording.pause")}
        </Button>
      ) : null}
      {pause.error ? <span role="alert">{problemText(asProblem(pause.error))}</span> : null}
    </>
  );
}
