import { Button, TextInput } from "@mantine/core";
import { type SubmitEvent, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { NumberListName } from "@/api/types";
import { Callout } from "@/design/Notice";
import { Panel } from "@/design/Panel";
import { useProblemText } from "@/design/useProblemText";
import { startOf } from "@/format/time";

import classes from "./Numbers.module.css";
import { useNumberActs } from "./useNumbers";

const MOST = { number: 100, reason: 300 };

/** A number, why, and until when. The day that is chosen counts to its end. */
export function AddNumber({ list, number: given }: { list: NumberListName; number: string }) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const { add } = useNumberActs(list);
  const first = useRef<HTMLInputElement>(null);
  const [number, setNumber] = useState(given);
  const [reason, setReason] = useState("");
  const [until, setUntil] = useState("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (add.isPending) return;
    add.mutate(
      { number: number.trim(), reason: reason.trim(), expires_at: until === "" ? null : startOf(until, 1) },
      {
        onSuccess: () => {
          setNumber("");
          setReason("");
          setUntil("");
          first.current?.focus();
        },
      },
    );
  };
  const problem = add.error ? asProblem(add.error) : null;
  const badNumber = problem?.field("number") !== undefined;
  const badEnd = problem?.field("expires_at") !== undefined;
  return (
    <Panel title={t(`numbers.add.${list}`)}>
      <p className={classes.soft}>{t(`numbers.about.${list}`)}</p>
      <form className={classes.form} onSubmit={submit}>
        <TextInput
          ref={first}
          className={classes.number}
          label={t("numbers.number")}
          placeholder={t("numbers.numberHint")}
          inputMode="tel"
          maxLength={MOST.number}
          required
          autoFocus={given !== ""}
          value={number}
          onChange={(event) => setNumber(event.currentTarget.value)}
          error={badNumber ? t("numbers.badNumber") : undefined}
        />
        <TextInput
          className={classes.reason}
          label={t("numbers.reason")}
          maxLength={MOST.reason}
          required
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
        />
        <TextInput
          type="date"
          label={t("numbers.until")}
          value={until}
          onChange={(event) => setUntil(event.currentTarget.value)}
          error={badEnd ? t("numbers.badEnd") : undefined}
        />
        <Button type="submit" loading={add.isPending} disabled={number.trim() === "" || reason.trim() === ""}>
          {t(`numbers.add.${list}`)}
        </Button>
      </form>
      {problem && !badNumber && !badEnd ? (
        <div role="alert">
          <Callout tone="red">{problemText(problem)}</Callout>
        </div>
      ) : null}
    </Panel>
  );
}
