import { useTranslation } from "react-i18next";

import { clock, secondsUntil, useFineNow, useNow } from "@/format/time";

import classes from "./Pop.module.css";

/** How long one may still answer: a number that counts, and a line that gets shorter. Nothing blinks. */
export function Deadline({ deadline }: { deadline: string }) {
  const { t } = useTranslation();
  const left = Math.floor(secondsUntil(deadline, useNow()));
  return (
    <span className={classes.deadline} data-late={left <= 5 || undefined}>
      {t("pop.answerWithin", { time: clock(left) })}
    </span>
  );
}

export function TimeLine({ from, to }: { from: string; to: string }) {
  const now = useFineNow();
  const whole = Math.max(1, Date.parse(to) - Date.parse(from));
  const left = Math.min(1, Math.max(0, (Date.parse(to) - now) / whole));
  return (
    <div className={classes.timeline} aria-hidden="true">
      <div className={classes.timelineLeft} style={{ transform: `scaleX(${left})` }} />
    </div>
  );
}
