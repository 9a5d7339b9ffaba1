import { Button, Textarea } from "@mantine/core";
import { Check, CloudOff, PencilLine } from "lucide-react";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";

import { Callout } from "@/design/Notice";
import { timeOfDay } from "@/format/time";
import { useLanguage } from "@/i18n";
import { Keycaps } from "@/keys/Keycaps";
import { isTyping, useShortcut } from "@/keys/shortcuts";

import classes from "./ActiveCall.module.css";
import type { NoteDraft } from "./useNote";

/** The call's note. Takes the focus when the call starts, unless somebody is typing elsewhere. */
export function NoteField({ note, hasKeys }: { note: NoteDraft; hasKeys: boolean }) {
  const { t } = useTranslation();
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (hasKeys && !isTyping(document.activeElement)) field.current?.focus({ preventScroll: true });
  }, [hasKeys]);
  useShortcut("focusNote", () => field.current?.focus(), hasKeys);
  return (
    <div className={classes.note}>
      <Textarea
        ref={field}
        label={
          <span className={classes.noteLabel}>
            {t("call.note")}
            {hasKeys ? <Keycaps of="focusNote" /> : null}
          </span>
        }
        placeholder={t("call.notePlaceholder")}
        autosize
        minRows={4}
        maxRows={12}
        value={note.body}
        onChange={(event) => note.write(event.currentTarget.value)}
        onBlur={note.save}
        data-testid="call-note"
      />
      <NoteState note={note} />
      {note.theirs === null ? null : (
        <Callout tone="amber">
          <p>{t("call.noteConflict")}</p>
          <blockquote className={classes.theirs}>{note.theirs || t("call.noteEmpty")}</blockquote>
          <div className={classes.conflictActions}>
            <Button size="xs" variant="default" onClick={() => note.resolve("both")}>
              {t("call.keepBoth")}
            </Button>
            <Button size="xs" variant="default" onClick={() => note.resolve("mine")}>
              {t("call.keepMine")}
            </Button>
            <Button size="xs" variant="default" onClick={() => note.resolve("theirs")}>
              {t("call.keepTheirs")}
            </Button>
          </div>
        </Callout>
      )}
    </div>
  );
}

function NoteState({ note }: { note: NoteDraft }) {
  const { t } = useTranslation();
  const language = useLanguage();
  return (
    <p className={classes.noteState} role="status" data-state={note.state}>
      {note.state === "saved" && note.savedAt !== null && note.body !== "" ? (
        <>
          <Check aria-hidden="true" /> {t("call.noteSaved", { time: timeOfDay(note.savedAt, language) })}
        </>
      ) : null}
      {note.state === "dirty" || note.state === "saving" ? (
        <>
          <PencilLine aria-hidden="true" /> {t("call.noteSaving")}
        </>
      ) : null}
      {note.state === "failed" ? (
        <>
          <CloudOff aria-hidden="true" /> {t("call.noteFailed")}
        </>
      ) : null}
    </p>
  );
}
