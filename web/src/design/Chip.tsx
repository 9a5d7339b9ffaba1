import type { ReactNode } from "react";

import classes from "./Chip.module.css";

export type Tone = "green" | "amber" | "red" | "blue" | "violet" | "grey";

interface Props {
  tone?: Tone;
  icon?: ReactNode;
  children: ReactNode;
  title?: string;
}

/** A small label whose colour repeats what its words say, never the only carrier of meaning. */
export function Chip({ tone = "grey", icon, children, title }: Props) {
  return (
    <span className={classes.chip} data-tone={tone} title={title}>
      {icon}
      {children}
    </span>
  );
}

export function StateDot({ tone }: { tone: Tone }) {
  return <span className={classes.dot} data-tone={tone} aria-hidden="true" />;
}
