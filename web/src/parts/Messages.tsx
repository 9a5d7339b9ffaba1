import { Button } from "@mantine/core";
import { Play } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { soundOf } from "@/api/endpoints";
import type { Message } from "@/api/types";
import { clock } from "@/format/time";

import classes from "./Messages.module.css";

/** What callers left on the recorder. The sound is asked for only when somebody wants to hear it: who hears a message is written down. */
export function Messages({ messages, from }: { messages: Message[]; from: string }) {
  if (messages.length === 0) return null;
  return (
    <ul className={classes.messages}>
      {messages.map((message) => (
        <li key={message.id}>
          <OneMessage message={message} from={from} />
        </li>
      ))}
    </ul>
  );
}

function OneMessage({ message, from }: { message: Message; from: string }) {
  const { t } = useTranslation();
  const [state, setState] = useState<"asked" | "heard" | "failed">("asked");
  const length = clock(message.duration_s);
  if (message.is_deleted) return <p className={classes.soft}>{t("message.deleted", { length })}</p>;
  if (state === "heard") {
    return (
      <audio
        className={classes.player}
        controls
        autoPlay
        src={soundOf(message.id)}
        aria-label={t("message.from", { from })}
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
        aria-label={t("message.hear", { from, length })}
        onClick={() => setState("heard")}
      >
        {t("message.name", { length })}
      </Button>
      {state === "failed" ? (
        <span role="alert" className={classes.failed}>
          {t("message.failed")}
        </span>
      ) : null}
    </div>
  );
}
