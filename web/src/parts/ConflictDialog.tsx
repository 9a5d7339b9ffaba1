import { Button, Modal, Radio } from "@mantine/core";
import { type SubmitEvent, useState } from "react";
import { useTranslation } from "react-i18next";

import classes from "./ConflictDialog.module.css";

export interface ConflictRow {
  field: string;
  label: string;
  base: string;
  theirs: string;
  yours: string;
}
export type Pick = "theirs" | "yours" | "base";
const PICKS: Pick[] = ["yours", "theirs", "base"];

interface Props {
  rows: ConflictRow[];
  isBusy: boolean;
  onChoose: (picks: Record<string, Pick>) => void;
  /** Closes it; what was typed stays where it was typed. */
  onClose: () => void;
}

/** The same field, changed by two: what it was, what somebody else made of it, what you made of it. Nothing is chosen beforehand. */
export function ConflictDialog({ rows, isBusy, onChoose, onClose }: Props) {
  const { t } = useTranslation();
  const [picks, setPicks] = useState<Record<string, Pick>>({});
  const isChosen = rows.every(({ field }) => picks[field] !== undefined);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (isChosen) onChoose(picks);
  };
  return (
    <Modal
      opened
      size="xl"
      onClose={onClose}
      title={t("conflict.title")}
      closeButtonProps={{ "aria-label": t("action.close") }}
    >
      <form className={classes.form} onSubmit={submit} data-testid="conflict">
        <p className={classes.why}>{t("conflict.why")}</p>
        {rows.map(({ field, label, ...values }) => (
          <Radio.Group
            key={field}
            label={label}
            value={picks[field] ?? null}
            onChange={(pick) => setPicks({ ...picks, [field]: pick })}
          >
            <div className={classes.values}>
              {PICKS.map((pick) => (
                <Radio.Card key={pick} value={pick} className={classes.value} data-testid={`conflict-${field}-${pick}`}>
                  <Radio.Indicator />
                  <span className={classes.text}>
                    <span className={classes.whose}>{t(`conflict.${pick}`)}</span>
                    <span className={classes.shown}>{values[pick] === "" ? t("conflict.empty") : values[pick]}</span>
                  </span>
                </Radio.Card>
              ))}
            </div>
          </Radio.Group>
        ))}
        <div className={classes.buttons}>
          <Button type="submit" loading={isBusy} disabled={!isChosen}>
            {t("conflict.save")}
          </Button>
          <Button variant="default" onClick={onClose}>
            {t("conflict.back")}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
