import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";

import { timeOfDay } from "@/format/time";
import { useLanguage } from "@/i18n";

import type { Said } from "./demoApi";
import classes from "./DemoPhone.module.css";

/** What the caller hears, line by line. */
export function Transcript({ said, isUp }: { said: Said[]; isUp: boolean }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const end = useRef<HTMLLIElement>(null);
  useEffect(() => {
    const list = end.current?.parentElement;
    if (list) list.scrollTop = list.scrollHeight;
  }, [said.length]);
  if (said.length === 0) {
    return <p className={classes.silence}>{t(isUp ? "demo.silence" : "demo.nothingYet")}</p>;
  }
  return (
    <ol className={classes.transcript} aria-label={t("demo.heard")} tabIndex={0}>
      {said.map((line, index) => (
        <li key={index} className={classes.line} data-verb={line.verb}>
          <span className={classes.time}>{timeOfDay(line.at, language)}</span>
          <span>{line.verb === "Say" ? line.text : <em>{line.text || line.verb}</em>}</span>
        </li>
      ))}
      <li ref={end} aria-hidden="true" />
    </ol>
  );
}
