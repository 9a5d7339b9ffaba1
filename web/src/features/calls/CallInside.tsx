import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import type { CallLogEntry } from "@/api/types";
import { formatPhone } from "@/format/phone";
import { clock, dateTime, secondsSince } from "@/format/time";
import { useLanguage } from "@/i18n";

import classes from "./Calls.module.css";

interface Line {
  at: string;
  until: string | null;
  text: string;
}

/** What happened in one call, in order: who was rung, who talked, which connections there were. `blockable`: the number that this person may block. */
export function CallInside({ call, blockable }: { call: CallLogEntry; blockable: string | null }) {
  const { t, i18n } = useTranslation();
  const language = useLanguage();
  const who = (name: string | null) => name ?? t("calls.somebody");
  const word = (group: "legStates" | "offerStates", state: string) => {
    const key = `calls.${group}.${state}`;
    return i18n.exists(key) ? t(key as "calls.legStates.completed") : state;
  };
  const lines: Line[] = [
    ...call.offers.map((offer) => ({ at: offer.at, until: null, text: t("calls.rangAt", { who: who(offer.agent), state: word("offerStates", offer.state) }) })),
    ...call.segments.map((segment) => ({
      at: segment.started_at,
      until: segment.ended_at,
      text: t(`calls.segments.${segment.kind}`, { who: who(segment.agent) }),
    })),
  ].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  return (
    <div className={classes.inside}>
      <section>
        <h2>{t("calls.happened")}</h2>
        {lines.length === 0 ? <p className={classes.soft}>{t("calls.nothingHappened")}</p> : null}
        <ol>
          {lines.map((line, index) => (
            <li key={index}>
              <time dateTime={line.at}>{dateTime(line.at, language)}</time>
              <span>{line.text}</span>
              <span className={classes.soft}>{line.until === null ? null : clock(secondsSince(line.at, Date.parse(line.until)))}</span>
            </li>
          ))}
        </ol>
      </section>
      <section>
        <h2>{t("calls.legs")}</h2>
        <ol>
          {call.legs.map((leg) => (
            <li key={leg.sid}>
              <time dateTime={leg.started_at}>{dateTime(leg.started_at, language)}</time>
              <span>
                {leg.kind === "agent"
                  ? t("calls.legOf", { who: who(leg.agent) })
                  : t(leg.kind === "outside" ? "calls.legOutside" : "calls.legOfCustomer")}
                {" · "}
                {word("legStates", leg.state)}
              </span>
              <code className={classes.sid}>{leg.sid}</code>
            </li>
          ))}
        </ol>
        {call.menu_choice || call.menu_path || call.source !== "webhook" ? (
          <p className={classes.soft}>
            {call.menu_path ? `${t("calls.menuPath", { path: call.menu_path.split("/").join(" › ") })} ` : null}
            {call.menu_choice ? t("calls.chose", { choice: call.menu_choice }) : null}
            {call.source === "reconciled" ? ` ${t("calls.reconciled")}` : null}
            {call.source === "timed_out" ? ` ${t("calls.timedOut")}` : null}
          </p>
        ) : null}
        {blockable === null ? null : (
          <p>
            <Link to="/numbers" search={{ add: blockable }}>
              {t("calls.block", { number: formatPhone(blockable) })}
            </Link>
          </p>
        )}
      </section>
    </div>
  );
}
