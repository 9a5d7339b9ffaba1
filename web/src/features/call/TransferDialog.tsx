import { Button, Modal, Skeleton, Textarea, TextInput } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { MessagesSquare, PhoneForwarded, Search, X } from "lucide-react";
import { type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import { transferTargets } from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { ActiveCall } from "@/api/types";
import { Callout, ErrorState } from "@/design/Notice";
import { useProblemText } from "@/design/useProblemText";
import { useText } from "@/i18n";

import { useConsult, useTransfer } from "./commands";
import classes from "./TransferDialog.module.css";
import { type Option, useTransferOptions } from "./transferOptions";

interface Props {
  call: ActiveCall;
  onClose: () => void;
}

/** To whom this call goes next: an agent, a queue or a number outside, and what they should know. */
export function TransferDialog({ call, onClose }: Props) {
  const { t } = useTranslation();
  return (
    <Modal opened onClose={onClose} title={t("transfer.title")} closeButtonProps={{ "aria-label": t("action.close") }}>
      <Choice call={call} onClose={onClose} />
    </Modal>
  );
}

function Choice({ call, onClose }: Props) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const callId = call.pop.call.id;
  // Whom we have called has waited in no line: there is none to come back to, so somebody must have been spoken with.
  const mayGiveAway = call.pop.call.direction !== "outbound";
  const [words, setWords] = useState("");
  const [chosen, setChosen] = useState<Option | null>(null);
  const [note, setNote] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);
  const transfer = useTransfer(callId);
  const consult = useConsult(callId);
  const isSending = transfer.isPending || consult.isPending;
  const refusal = transfer.error ?? consult.error;
  const { data, error, refetch } = useQuery({
    queryKey: ["transfer-targets", callId, words.trim()],
    queryFn: () => transferTargets(callId, words.trim()),
    placeholderData: keepPreviousData,
    enabled: chosen === null, // once the call is given away there is nobody to ask for
    refetchInterval: 2000,
  });
  const options = useTransferOptions(data, words);
  useEffect(() => {
    if (chosen !== null) field.current?.focus();
  }, [chosen]);
  const said = () => (note.trim() === "" ? undefined : note.trim());
  const send = () => {
    if (chosen === null || isSending) return;
    consult.reset();
    transfer.mutate({ to: chosen.to, name: chosen.name, note: said() }, { onSuccess: onClose });
  };
  const speakFirst = () => {
    if (chosen === null || isSending) return;
    transfer.reset();
    consult.mutate({ to: chosen.to, note: said() }, { onSuccess: onClose });
  };
  const onNoteKey = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      event.stopPropagation();
      if (event.shiftKey || !mayGiveAway) speakFirst();
      else send();
    }
  };
  if (chosen !== null) {
    return (
      <div className={classes.choice}>
        <div className={classes.chosen} data-testid="transfer-chosen">
          <span className={classes.who}>
            <span className={classes.name}>{chosen.name}</span>
            <span className={classes.soft}>{chosen.about}</span>
          </span>
          <Button
            variant="subtle"
            size="compact-sm"
            leftSection={<X size={14} aria-hidden="true" />}
            onClick={() => setChosen(null)}
          >
            {t("transfer.another")}
          </Button>
        </div>
        <Textarea
          ref={field}
          label={t("transfer.note")}
          placeholder={t("transfer.notePlaceholder")}
          description={chosen.to.number === undefined ? undefined : t("transfer.noteOutside")}
          autosize
          minRows={3}
          maxRows={6}
          maxLength={1000}
          value={note}
          onChange={(event) => setNote(event.currentTarget.value)}
          onKeyDown={onNoteKey}
          data-testid="transfer-note"
        />
        {refusal ? (
          <div role="alert">
            <Callout tone="red">{problemText(asProblem(refusal))}</Callout>
          </div>
        ) : null}
        {mayGiveAway ? (
        <div className={classes.foot}>
          <Button
            leftSection={<PhoneForwarded size={16} aria-hidden="true" />}
            loading={transfer.isPending}
            className={classes.way}
            onClick={send}
            aria-keyshortcuts="Control+Enter"
            data-testid="transfer-send"
          >
            {t("transfer.send")}
          </Button>
          <p className={classes.soft}>{t("transfer.what")}</p>
        </div>
        ) : null}
        <div className={classes.foot}>
          <Button
            variant={mayGiveAway ? "default" : "filled"}
            leftSection={<MessagesSquare size={16} aria-hidden="true" />}
            loading={consult.isPending}
            className={classes.way}
            onClick={speakFirst}
            aria-keyshortcuts="Control+Shift+Enter"
            data-testid="consult-send"
          >
            {t("consult.send")}
          </Button>
          <p className={classes.soft}>{t("consult.what")}</p>
        </div>
      </div>
    );
  }
  return (
    <div className={classes.choice}>
      <Finder words={words} onWords={setWords} options={options} onChoose={setChosen} isOutside={Boolean(data?.outside.length)} />
      {error && !data ? <ErrorState error={error} retry={() => void refetch()} /> : null}
      {data || error ? null : <Skeleton height={320} />}
    </div>
  );
}

interface FinderProps {
  words: string;
  onWords: (words: string) => void;
  options: Option[];
  onChoose: (option: Option) => void;
  isOutside: boolean;
}

/** One field and one list: arrows move in the list, Enter chooses, the focus stays in the field. */
function Finder({ words, onWords, options, onChoose, isOutside }: FinderProps) {
  const { t } = useTranslation();
  const text = useText();
  const id = useId();
  const [active, setActive] = useState<string | null>(null);
  const open = options.filter(({ can }) => can);
  const at = open.findIndex(({ key }) => key === active);
  const current = open[at] ?? open[0];
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Enter" && current) {
      event.preventDefault();
      onChoose(current);
    }
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0 || open.length === 0) return;
    event.preventDefault();
    const next = open[(Math.max(at, 0) + step + open.length) % open.length];
    setActive(next?.key ?? null);
    document.getElementById(`${id}-${next?.key}`)?.scrollIntoView({ block: "nearest" });
  };
  const groups = (["agent", "queue", "number", "notNow"] as const).filter((kind) => options.some((option) => option.kind === kind));
  return (
    <>
      <TextInput
        role="combobox"
        aria-expanded
        aria-controls={`${id}-list`}
        aria-activedescendant={current ? `${id}-${current.key}` : undefined}
        aria-autocomplete="list"
        aria-label={t(isOutside ? "transfer.findAny" : "transfer.find")}
        placeholder={t(isOutside ? "transfer.findAny" : "transfer.find")}
        leftSection={<Search size={16} aria-hidden="true" />}
        data-autofocus
        autoComplete="off"
        value={words}
        onChange={(event) => onWords(event.currentTarget.value)}
        onKeyDown={onKey}
        data-testid="transfer-find"
      />
      <div className={classes.list} role="listbox" id={`${id}-list`} aria-label={t("transfer.title")} tabIndex={-1}>
        {groups.map((kind) => (
          <div key={kind} role="group" aria-labelledby={`${id}-${kind}`}>
            <p className={classes.group} id={`${id}-${kind}`}>
              {t(`transfer.${kind}`)}
            </p>
            {options
              .filter((option) => option.kind === kind)
              .map((option) => (
                <div
                  key={option.key}
                  id={`${id}-${option.key}`}
                  className={classes.option}
                  role="option"
                  aria-selected={option === current}
                  aria-disabled={!option.can}
                  data-can={option.can}
                  data-active={option === current || undefined}
                  onClick={() => {
                    if (option.can) onChoose(option);
                  }}
                >
                  <span className={classes.name}>{option.name}</span>
                  <span className={classes.soft}>{option.reason ? text(option.reason) : option.about}</span>
                </div>
              ))}
          </div>
        ))}
        {options.length === 0 ? <p className={classes.none}>{t("transfer.none")}</p> : null}
      </div>
    </>
  );
}
