import { Button } from "@mantine/core";
import { Play } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { recordingOf, soundOf } from "@/api/endpoints";
import type { Message, RecordedCall } from "@/api/types";
import { clock } from "@/format/time";

import classes from "./Messages.module.css";

/** What callers left on the recorder. The sound is asked for only when somebody wants to hear it: who hears a message is written down. */
export function Messages({ messages, from }: { messages: Message[]; from: string }) {
  if (messages.length === 0) return null;
  return (
    <ul className={classes.messages}>
      {messages.map((message) => (
        <li key={message.id}>
          <Sound kind="message" message={message} from={from} />
        </li>
      ))}
    </ul>
  );
}

/** What was recorded of a call, after the caller was told so. */
export function Recordings({ recordings, from }: { recordings: RecordedCall[]; from: string }) {
  if (recordings.length === 0) return null;
  return (
    <ul className={classes.messages} data-testid="recordings">
      {recordings.map((recording) => (
        <li key={recording.id}>
          <Sound kind="recording" message={recording} from={from} />
        </li>
      ))}
    </ul>
  );
}

const WORDS = {
  message: { name: "message.name", hear: "message.hear", from: "message.from", deleted: "message.deleted" },
  recording: { name: "recording.name", hear: "recording.hear", from: "recording.from", deleted: "recording.deleted" },
} as const;

interface SoundProps {
  kind: "message" | "recording";
  message: Message | RecordedCall;
  from: string;
}

function Sound({ kind, message, from }: SoundProps) {
  const { t } = useTranslation();
  const [state, setState] = useState<"asked" | "heard" | "failed">("asked");
  const length = message.duration_s === null ? "" : clock(message.duration_s);
  if (message.is_deleted) return <p className={classes.soft}>{t(WORDS[kind].deleted, { length })}</p>;
  if (state === "heard") {
    return (
      <audio
        className={classes.player}
        controls
        autoPlay
        src={kind === "message" ? soundOf(message.id) : recordingOf(message.id)}
        aria-label={t(WORDS[kind].from, { from })}
        onError={() => setState("failed")}
      />
    );
  }
  return (
    <div className={classes.line}>
      <Button
        size="compact-sm"
        variant="default"
        leftSection={<Play size={14} aria-hidden="true" />}
        aria-label={t(WORDS[kind].hear, { from, length })}
        onClick={() => setState("heard")}
      >
        {t(WORDS[kind].name, { length })}
      </Button>
      {state === "failed" ? (
        <span role="alert" className={classes.failed}>
          {t("message.failed")}
        </span>
      ) : null}
    </div>
  );
}
