import { Drawer, UnstyledButton } from "@mantine/core";
import { type ReactNode, useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";

import type { Figure, Figures, Metric } from "@/api/types";
import table from "@/design/Table.module.css";
import { dateTime } from "@/format/time";
import { useLanguage, useText } from "@/i18n";

import { ByAgent } from "./ByAgent";
import { Contacts } from "./Contacts";
import classes from "./Figures.module.css";
import { type Period, READINGS, stretchOf } from "./search";
import { shownPart, shownParts, shownValue } from "./shown";
import { BESIDE, type Catalogue } from "./useFigures";

interface Props {
  /** The metric that is open; closed without one. */
  opened: string | undefined;
  queue: string | undefined;
  period: Period;
  reading: string;
  catalogue: Catalogue;
  queues: Figures;
  agents: Figures | undefined;
  onOpen: (metric: string, queue?: string) => void;
  onClose: () => void;
  line: (queue: string) => ReactNode;
  onExplain: (workItem: number) => void;
}

/** One number: its formula and version, what was divided by what, and what it is made of, down to the single contact. */
export function FigureDrawer(props: Props) {
  const { t } = useTranslation();
  const text = useText();
  const { opened, queue, catalogue, queues, agents, onClose } = props;
  const metric = opened === undefined ? undefined : catalogue.get(opened);
  const row = queues.rows.find((each) => each.queue === queue);
  const figure = metric && (queue === undefined ? queues.total : row?.figures)?.[metric.key];
  const ofAgents = metric && agents?.total[metric.key];
  const of = queue === undefined ? t("figures.total") : text(row?.queue_name ?? { en: queue });
  return (
    <Drawer
      opened={metric !== undefined}
      onClose={onClose}
      title={metric ? `${text(metric.name)} · ${ofAgents ? t("figures.allAgents") : of}` : ""}
      size="lg"
      closeButtonProps={{ "aria-label": t("action.close") }}
    >
      {metric ? (
        <Content key={`${metric.key} ${queue ?? ""}`}>
          <Said metric={metric} figure={ofAgents ?? figure} from={row?.start ?? queues.from} asOf={queues.as_of} />
          {ofAgents ? <ByAgent metric={metric} from={queues.from} to={queues.to} /> : <Behind {...props} metric={metric} />}
          {READINGS.some((key) => key === metric.key) ? (
            <Readings {...props} chosen={metric.key} figures={row?.figures ?? queues.total} />
          ) : null}
        </Content>
      ) : null}
    </Drawer>
  );
}

/** Where one number has led to another, what had the focus is gone: the new number takes it. */
function Content({ children }: { children: ReactNode }) {
  const content = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (document.activeElement === document.body) content.current?.focus({ preventScroll: true });
  }, []);
  return (
    <div ref={content} tabIndex={-1} className={classes.drawer} data-testid="figure-drawer">
      {children}
    </div>
  );
}

function Said({ metric, figure, from, asOf }: { metric: Metric; figure: Figure | undefined; from: string; asOf: string }) {
  const { t } = useTranslation();
  const text = useText();
  const language = useLanguage();
  return (
    <div className={classes.said}>
      <p className={classes.big}>
        <strong>{shownValue(metric.unit, figure?.value ?? null, language)}</strong>
        {figure ? <span className={classes.soft}>{shownParts(metric, figure, language)}</span> : null}
      </p>
      <p className={classes.formula}>{text(metric.formula)}</p>
      <p>{text(metric.edges)}</p>
      <p className={classes.soft}>
        {t("figures.version", { key: metric.key, version: metric.version })}
        {" · "}
        {metric.is_of_now ? dateTime(asOf, language) : t("figures.span", { from: dateTime(from, language), to: dateTime(asOf, language) })}
      </p>
    </div>
  );
}

/** Of all together: by queue. Of one queue: who waits, or the contacts that are counted. */
function Behind({ metric, queue, period, queues, onOpen, line, onExplain }: Props & { metric: Metric }) {
  const { t } = useTranslation();
  if (queue === undefined) return <ByQueue metric={metric} queues={queues} onOpen={onOpen} />;
  if (metric.is_of_now) {
    return (
      <section aria-label={t("figures.line")}>
        <h3 className={classes.title}>{t("figures.line")}</h3>
        <div className={classes.lineFrame}>{line(queue)}</div>
      </section>
    );
  }
  const stretch = stretchOf(period, Date.parse(queues.as_of));
  return <Contacts key={`${metric.key} ${queue} ${period}`} metric={metric} queue={queue} stretch={stretch} onExplain={onExplain} />;
}

function ByQueue({ metric, queues, onOpen }: { metric: Metric; queues: Figures; onOpen: Props["onOpen"] }) {
  const { t } = useTranslation();
  const text = useText();
  const language = useLanguage();
  const isDivided = metric.denominator.length > 0;
  const cells = (figure: Figure | undefined) => (
    <>
      {isDivided ? (
        <>
          <td className={table.number}>{partOf(metric.numerator, figure?.numerator, language)}</td>
          <td className={table.number}>{partOf(metric.denominator, figure?.denominator, language)}</td>
        </>
      ) : null}
      <td className={table.number}>{shownValue(metric.unit, figure?.value ?? null, language)}</td>
    </>
  );
  return (
    <section aria-label={t("figures.madeOf")}>
      <h3 className={classes.title}>{t("figures.madeOf")}</h3>
      <div className={classes.frame}>
        <table className={`${table.table} ${classes.table}`}>
          <thead>
            <tr>
              <th scope="col">{t("queue.name")}</th>
              {isDivided ? (
                <>
                  <th scope="col" className={table.number}>
                    {t("figures.numerator")}
                  </th>
                  <th scope="col" className={table.number}>
                    {t("figures.denominator")}
                  </th>
                </>
              ) : null}
              <th scope="col" className={table.number}>
                {t("figures.value")}
              </th>
            </tr>
          </thead>
          <tbody>
            {queues.rows.map((row) => (
              <tr key={row.queue}>
                <th scope="row">
                  <UnstyledButton className={classes.link} onClick={() => onOpen(metric.key, row.queue ?? undefined)}>
                    {text(row.queue_name ?? { en: row.queue ?? "" })}
                  </UnstyledButton>
                </th>
                {cells(row.figures[metric.key])}
              </tr>
            ))}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row">{t("figures.total")}</th>
              {cells(queues.total[metric.key])}
            </tr>
          </tfoot>
        </table>
      </div>
    </section>
  );
}

function partOf(measures: string[], value: number | null | undefined, language: string): string {
  return value === null || value === undefined ? "—" : shownPart(measures, value, language);
}

/** The same contacts by every formula, and what the service level counts nowhere. */
function Readings({ chosen, reading, queue, catalogue, figures, onOpen }: Props & {
  chosen: string;
  figures: Record<string, Figure>;
}) {
  const { t } = useTranslation();
  const text = useText();
  const language = useLanguage();
  const rows = (keys: readonly string[]) =>
    keys.map((key) => {
      const [metric, figure] = [catalogue.get(key), figures[key]];
      return metric && figure ? (
        <tr key={key} className={key === chosen ? classes.chosen : undefined} aria-current={key === reading || undefined}>
          <th scope="row">
            <UnstyledButton className={classes.link} onClick={() => onOpen(key, queue)}>
              {text(metric.name)}
            </UnstyledButton>
          </th>
          <td className={table.number}>{shownParts(metric, figure, language)}</td>
          <td className={table.number}>{shownValue(metric.unit, figure.value, language)}</td>
        </tr>
      ) : null;
    });
  return (
    <>
      <section aria-label={t("figures.readings")}>
        <h3 className={classes.title}>{t("figures.readings")}</h3>
        <div className={classes.frame}>
          <table className={`${table.table} ${classes.table}`} data-testid="readings">
            <tbody>{rows(READINGS)}</tbody>
          </table>
        </div>
      </section>
      <section aria-label={t("figures.beside")}>
        <h3 className={classes.title}>{t("figures.beside")}</h3>
        <div className={classes.frame}>
          <table className={`${table.table} ${classes.table}`}>
            <tbody>{rows(BESIDE)}</tbody>
          </table>
        </div>
      </section>
    </>
  );
}
