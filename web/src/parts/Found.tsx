import { Fragment } from "react";

import classes from "./Found.module.css";
import { partsOf } from "./foundIn";

/** A text with the words of the search marked in it. */
export function Found({ text, q }: { text: string; q: string }) {
  return partsOf(text, q).map((part, index) =>
    part.isFound ? (
      <mark key={index} className={classes.mark}>
        {part.text}
      </mark>
    ) : (
      <Fragment key={index}>{part.text}</Fragment>
    ),
  );
}
