import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { secondsSince, useNow } from "@/format/time";

import classes from "./Age.module.css";

const STALE_S = 5;

export interface Freshness {
  seconds: number;
  isStale: boolean;
  /** For clocks beside the numbers: it stands still where the numbers do. */
  now: number;
}

/** How old numbers are, by the server's clock. Without news for five seconds they are grey, and no clock runs on as if they were fresh. */
export function useFreshness(asOf: string): Freshness {
  const now = useNow();
  const seconds = secondsSince(asOf, now);
  const isStale = seconds > STALE_S;
  return { seconds, isStale, now: isStale ? Date.parse(asOf) : now };
}

/** Grey when it is old. */
export function Aged({ of, children }: { of: Freshness; children: ReactNode }) {
  return (
    <div className={classes.aged} data-stale={of.isStale || undefined}>
      {children}
    </div>
  );
}

/** Says the age below the numbers; aloud only when they have become old. */
export function Age({ of: { seconds, isStale } }: { of: Freshness }) {
  const { t } = useTranslation();
  return (
    <p className={classes.age} data-stale={isStale || undefined} role={isStale ? "status" : undefined}>
      {t(isStale ? "queue.stale" : "queue.asOf", { seconds: Math.floor(seconds) })}
    </p>
  );
}
