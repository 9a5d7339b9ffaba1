import { UnstyledButton } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { secondsSince, useNow } from "@/format/time";

import classes from "./Figures.module.css";
import { STALE_S } from "./stale";

interface Props {
  name: string;
  value: string;
  /** Below the value: what was divided, or what belongs to it. */
  under?: string | null;
  /** When this was true, by the server's clock; null before the first answer. */
  asOf: string | null;
  onOpen: () => void;
  testId: string;
}

/** One number with its age. Without news for five seconds it turns grey and says so. */
export function Tile({ name, value, under, asOf, onOpen, testId }: Props) {
  const { t } = useTranslation();
  const now = useNow();
  const age = asOf === null ? null : Math.floor(secondsSince(asOf, now));
  const isStale = age !== null && age > STALE_S;
  return (
    <UnstyledButton
      className={classes.tile}
      data-stale={isStale || undefined}
      data-testid={testId}
      aria-haspopup="dialog"
      onClick={onOpen}
    >
      <span className={classes.tileHead}>
        <span className={classes.tileName}>{name}</span>
        {age === null ? null : <span className={classes.age} aria-hidden="true">{t("figures.age", { seconds: age })}</span>}
      </span>
      <strong className={classes.value}>{value}</strong>
      <span className={classes.under}>{under ?? "\u00a0"}</span>
      <span className="visually-hidden">{t(isStale ? "figures.openStale" : "figures.open")}</span>
    </UnstyledButton>
  );
}
