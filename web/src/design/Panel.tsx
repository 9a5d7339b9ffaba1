import type { ReactNode } from "react";
import { useId } from "react";

import classes from "./Panel.module.css";

interface Props {
  title: ReactNode;
  count?: number;
  aside?: ReactNode;
  children: ReactNode;
  /** Content runs to the edges, for tables and lists. */
  flush?: boolean;
  testId?: string;
}

/** A titled surface: the only box the pages are made of. */
export function Panel({ title, count, aside, children, flush = false, testId }: Props) {
  const id = useId();
  return (
    <section className={classes.panel} aria-labelledby={id} data-testid={testId}>
      <header className={classes.head}>
        <h2 id={id} className={classes.title}>
          {title}
          {count === undefined ? null : <span className={classes.count}>{count}</span>}
        </h2>
        {aside}
      </header>
      <div className={flush ? classes.flush : classes.body}>{children}</div>
    </section>
  );
}
