import { Skeleton } from "@mantine/core";
import { useTranslation } from "react-i18next";

import type { Metric } from "@/api/types";
import { ErrorState } from "@/design/Notice";
import table from "@/design/Table.module.css";
import { useLanguage } from "@/i18n";

import classes from "./Figures.module.css";
import { shownPart, shownValue } from "./shown";
import { useFiguresByAgent } from "./useFigures";

/** What agents did is made of time, not of contacts: the parts of each. */
export function ByAgent({ metric, from, to }: { metric: Metric; from: string; to: string }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const { data, error, refetch } = useFiguresByAgent(metric.key, from, to, true);
  if (!data) return error ? <ErrorState error={error} retry={() => void refetch()} /> : <Skeleton height={160} />;
  return (
    <section aria-label={t("figures.madeOfAgents")}>
      <h3 className={classes.title}>{t("figures.madeOfAgents")}</h3>
      {data.rows.length === 0 ? <p className={classes.soft}>{t("figures.noAgents")}</p> : null}
      <div className={classes.frame} hidden={data.rows.length === 0}>
        <table className={`${table.table} ${classes.table}`} data-testid="figure-agents">
          <thead>
            <tr>
              <th scope="col">{t("agents.name")}</th>
              <th scope="col" className={table.number}>
                {t("figures.numerator")}
              </th>
              <th scope="col" className={table.number}>
                {t("figures.denominator")}
              </th>
              <th scope="col" className={table.number}>
                {t("figures.value")}
              </th>
            </tr>
          </thead>
          <tbody>
            {data.rows.map((row) => {
              const figure = row.figures[metric.key];
              return (
                <tr key={row.agent_id}>
                  <th scope="row">{row.agent_name}</th>
                  <td className={table.number}>{shownPart(metric.numerator, figure?.numerator ?? 0, language)}</td>
                  <td className={table.number}>{shownPart(metric.denominator, figure?.denominator ?? 0, language)}</td>
                  <td className={table.number}>{shownValue(metric.unit, figure?.value ?? null, language)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}
