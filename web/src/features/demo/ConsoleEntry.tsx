import { useTranslation } from "react-i18next";

import { Chip, type Tone } from "@/design/Chip";
import { timeOfDay } from "@/format/time";
import { useLanguage } from "@/i18n";

import classes from "./Console.module.css";
import { type Entry, type Group, groupOf, indented, pathOf } from "./journal";

const TONES: Record<Group, Tone> = { asked: "blue", told: "grey", rest: "violet", heard: "green", states: "grey", faults: "red" };

/** One thing that happened; what was sent and answered opens below it. */
export function ConsoleEntry({ entry }: { entry: Entry }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const group = groupOf(entry);
  const fields = Object.entries(entry.fields ?? entry.facts ?? {}).filter(([, value]) => value !== "");
  const answer = entry.answer ?? "";
  const head = (
    <>
      <span className={classes.time}>{timeOfDay(entry.at, language, true)}</span>
      <span className={classes.kind}>
        <Chip tone={TONES[group]}>{t(`console.group.${group}`)}</Chip>
      </span>
      <span className={classes.what}>{whatOf(entry)}</span>
      <Outcome entry={entry} />
    </>
  );
  if (fields.length === 0 && answer === "") return <div className={classes.head}>{head}</div>;
  return (
    <details className={classes.entry}>
      <summary className={classes.head}>{head}</summary>
      {answer === "" ? null : (
        <figure className={classes.part}>
          <figcaption>{t("console.answer")}</figcaption>
          <pre className={classes.code} tabIndex={0} aria-label={t("console.answer")}>
            {answer.startsWith("<") ? indented(answer) : answer}
          </pre>
        </figure>
      )}
      {fields.length === 0 ? null : (
        <figure className={classes.part}>
          <figcaption>{t("console.fields")}</figcaption>
          <dl className={classes.fields}>
            {fields.map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        </figure>
      )}
    </details>
  );
}

function whatOf(entry: Entry): string {
  switch (entry.kind) {
    case "webhook":
    case "callback":
      return pathOf(entry);
    case "rest":
      return `${entry.method ?? ""} ${pathOf(entry)}`;
    case "heard":
      return [entry.verb, entry.text].filter(Boolean).join(": ");
    case "conference":
      return [entry.name, entry.event].filter(Boolean).join(" · ");
    case "fault":
      return [entry.fault, pathOf(entry)].filter(Boolean).join(" · ");
    case "error":
      return [entry.code, entry.why].filter(Boolean).join(" · ");
    default:
      return [entry.event, entry.kind === "call" ? entry.status : null, entry.from && `${entry.from} → ${entry.to ?? ""}`]
        .filter(Boolean)
        .join(" · ");
  }
}

function Outcome({ entry }: { entry: Entry }) {
  const { t } = useTranslation();
  if (entry.kind !== "webhook" && entry.kind !== "callback" && entry.kind !== "rest") return null;
  const status = Number(entry.status ?? 0);
  const isBad = Boolean(entry.error) || status >= 400;
  if (status === 0 && !entry.error) return <span className={classes.outcome}>{t("console.waiting")}</span>;
  return (
    <span className={classes.outcome} data-bad={isBad || undefined}>
      {entry.error ?? status}
      {entry.took_s === undefined ? null : ` · ${Math.round(entry.took_s * 1000)} ms`}
    </span>
  );
}
