import type { ReactNode } from "react";

import classes from "./Page.module.css";

/** A page with a title; `aside` sits at the end of the title's line. */
export function Page({ title, above, aside, children }: {
  title: ReactNode;
  above?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
}) {
  return (
    <div className={classes.page}>
      <header className={classes.head}>
        <div className={classes.titles}>
          {above ? <div className={classes.above}>{above}</div> : null}
          <h1 className={classes.title}>{title}</h1>
        </div>
        {aside}
      </header>
      {children}
    </div>
  );
}
