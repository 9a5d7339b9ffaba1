import type { ReactNode } from "react";

import classes from "./Page.module.css";
import { usePageTitle } from "./usePageTitle";

/** A page with its heading; `aside` sits at the end of the title's line. */
export function Page({ name, title, above, aside, children }: {
  /** For the window's title, and for the heading unless `title` says it with more. */
  name: string;
  title?: ReactNode;
  above?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
}) {
  usePageTitle(name);
  return (
    <div className={classes.page}>
      <header className={classes.head}>
        <div className={classes.titles}>
          {above ? <div className={classes.above}>{above}</div> : null}
          <h1 className={classes.title}>{title ?? name}</h1>
        </div>
        {aside}
      </header>
      {children}
    </div>
  );
}
