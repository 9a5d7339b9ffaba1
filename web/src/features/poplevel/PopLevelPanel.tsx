import { SegmentedControl, Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import * as api from "@/api/endpoints";
import type { PopLevel } from "@/api/types";
import { Chip } from "@/design/Chip";
import { ErrorState } from "@/design/Notice";
import { Panel } from "@/design/Panel";
import table from "@/design/Table.module.css";
import { useLanguage } from "@/i18n";
import { Age, Aged, useFreshness } from "@/parts/Age";

import classes from "./PopLevel.module.css";

const AGAIN_MS = 4_000; // grey at 5 s is honest only for what is read more often
const WINDOWS = [15, 60, 1440] as const;

/** How soon pops are painted in the agents' browsers, against their deadlines, with what is left of the budget for errors. */
export function PopLevelPanel() {
  const { t } = useTranslation();
  const [minutes, setMinutes] = useState<number>(60);
  const level = useQuery({
    queryKey: ["pop-level", minutes],
    queryFn: () => api.popLevel(minutes),
    refetchInterval: AGAIN_MS,
    placeholderData: (before) => before,
  });
  const windows = WINDOWS.map((each) => ({ value: String(each), label: t(`popLevel.m${each}`) }));
  return (
    <Panel
      title={t("popLevel.title")}
      flush
      testId="pop-level"
      aside={
        <SegmentedControl
          size="xs"
          aria-label={t("popLevel.minutes")}
          data={windows}
          value={String(minutes)}
          onChange={(value) => setMinutes(Number(value))}
        />
      }
    >
      {level.data ? <Levels level={level.data} /> : null}
      {!level.data && level.error ? <ErrorState error={level.error} retry={() => void level.refetch()} /> : null}
      {level.isPending ? <Skeleton height={180} /> : null}
    </Panel>
  );
}

function Levels({ level }: { level: PopLevel }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const percent = (part: number, digits = 1) =>
    new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: digits }).format(part);
  const freshness = useFreshness(level.as_of);
  const time = (ms: number | null) => (ms === null ? "–" : t("popLevel.ms", { ms: Math.round(ms).toLocaleString(language) }));
  return (
    <Aged of={freshness}>
      <div className={classes.frame} tabIndex={0} role="region" aria-label={t("popLevel.layer")}>
        <table className={table.table}>
          <thead>
            <tr>
              <th scope="col">{t("popLevel.layer")}</th>
              <th scope="col" className={table.number}>{t("popLevel.deadline")}</th>
              <th scope="col" className={table.number}>{t("popLevel.within")}</th>
              <th scope="col">{t("popLevel.budget")}</th>
              <th scope="col" className={table.number}>p50</th>
              <th scope="col" className={table.number}>p95</th>
              <th scope="col" className={table.number}>p99</th>
              <th scope="col" className={table.number}>{t("popLevel.count")}</th>
            </tr>
          </thead>
          <tbody>
            {level.layers.map((each) => (
              <tr key={each.layer} data-testid={`pop-level-${each.layer}`}>
                <th scope="row">{t(`popLevel.${each.layer}`)}</th>
                <td className={table.number}>{t("popLevel.seconds", { seconds: (each.deadline_ms / 1000).toLocaleString(language) })}</td>
                <td className={table.number}>{each.level === null ? "–" : percent(each.level)}</td>
                <td>{each.budget_used === null ? "–" : <Budget used={each.budget_used} text={percent(each.budget_used, 0)} />}</td>
                <td className={table.number}>{time(each.p50_ms)}</td>
                <td className={table.number}>{time(each.p95_ms)}</td>
                <td className={table.number}>{time(each.p99_ms)}</td>
                <td className={table.number}>{each.count.toLocaleString(language)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className={classes.about}>
        {level.layers.every(({ count }) => count === 0) ? `${t("popLevel.none")} ` : null}
        {t("popLevel.about", { target: percent(level.target, 0), reported: level.reported, offers: level.offers })}
      </p>
      <Age of={freshness} />
    </Aged>
  );
}

/** A bar that fills as the budget is used, and says so in words when there is nothing left. */
function Budget({ used, text }: { used: number; text: string }) {
  const { t } = useTranslation();
  return (
    <span className={classes.budget}>
      <span className={classes.bar} aria-hidden="true">
        <span className={classes.used} data-over={used > 1 || undefined} style={{ width: `${Math.min(100, used * 100)}%` }} />
      </span>
      {text}
      {used > 1 ? <Chip tone="red">{t("popLevel.missed")}</Chip> : null}
    </span>
  );
}
