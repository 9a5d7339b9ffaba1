import { UnstyledButton } from "@mantine/core";
import { useTranslation } from "react-i18next";

import type { Figure, Figures } from "@/api/types";
import table from "@/design/Table.module.css";
import { secondsSince, useNow } from "@/format/time";
import { useLanguage, useText } from "@/i18n";

import classes from "./Figures.module.css";
import { shownParts, shownValue } from "./shown";
import { STALE_S } from "./stale";
import type { Catalogue } from "./useFigures";

interface Props {
  figures: Figures;
  metrics: string[];
  catalogue: Catalogue;
  onOpen: (metric: string, queue?: string) => void;
}

/** The same numbers of each queue, and of all together: sums divided once by the service, never a mean of rows. */
export function FiguresTable({ figures, metrics, catalogue, onOpen }: Props) {
  const { t } = useTranslation();
  const text = useText();
  const language = useLanguage();
  const isStale = secondsSince(figures.as_of, useNow()) > STALE_S;
  const nameOf = (key: string) => text(catalogue.get(key)?.name ?? { en: key });
  const cell = (key: string, of: Record<string, Figure>, queue: string | undefined, queueName: string) => {
    const metric = catalogue.get(key);
    const figure = of[key];
    if (!metric || !figure) return <td key={key} className={table.number} />;
    const value = shownValue(metric.unit, figure.value, language);
    return (
      <td key={key} className={table.number}>
        <UnstyledButton
          className={classes.cell}
          data-none={figure.value === null || figure.value === 0 || undefined}
          title={shownParts(metric, figure, language) ?? undefined}
          aria-haspopup="dialog"
          aria-label={t("figures.openOf", { name: nameOf(key), value, queue: queueName })}
          onClick={() => onOpen(key, queue)}
        >
          {value}
        </UnstyledButton>
      </td>
    );
  };
  return (
    <div className={classes.scroll} role="group" aria-label={t("figures.byQueue")} tabIndex={0}>
      <table className={`${table.table} ${classes.table}`} data-stale={isStale || undefined} data-testid="figures-table">
        <thead>
          <tr>
            <th scope="col">{t("queue.name")}</th>
            {metrics.map((key) => (
              <th key={key} scope="col" className={table.number}>
                {nameOf(key)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {figures.rows.map((row) => {
            const name = text(row.queue_name ?? { en: row.queue ?? "" });
            return (
              <tr key={row.queue} data-testid={`figures-row-${row.queue}`}>
                <th scope="row">{name}</th>
                {metrics.map((key) => cell(key, row.figures, row.queue ?? undefined, name))}
              </tr>
            );
          })}
        </tbody>
        <tfoot>
          <tr data-testid="figures-total">
            <th scope="row">{t("figures.total")}</th>
            {metrics.map((key) => cell(key, figures.total, undefined, t("figures.total")))}
          </tr>
        </tfoot>
      </table>
    </div>
  );
}
