import { SegmentedControl, Select, Skeleton } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import type { Figures } from "@/api/types";
import { ErrorState } from "@/design/Notice";
import { Page } from "@/design/Page";
import { Panel } from "@/design/Panel";
import { dateTime, secondsSince, useNow } from "@/format/time";
import { useLanguage, useText } from "@/i18n";

import { FigureDrawer } from "./FigureDrawer";
import classes from "./Figures.module.css";
import { FiguresTable } from "./FiguresTable";
import { type FiguresSearch, PERIODS, READINGS } from "./search";
import { shownParts, shownSeconds, shownValue } from "./shown";
import { STALE_S } from "./stale";
import { Tile } from "./Tile";
import { type Catalogue, OF_AGENTS, SHOWN, useAgentTotals, useMetrics, useQueueFigures } from "./useFigures";

interface Props {
  search: FiguresSearch;
  onSearch: (search: FiguresSearch) => void;
  /** Who waits in a queue. */
  line: (queue: string) => ReactNode;
  onExplain: (workItem: number) => void;
  /** At the end of the page. */
  below?: ReactNode;
}

/** What happened in a time, of all queues together and of each. Every number opens its formula and the contacts that it counts. */
export function FiguresPage({ search, onSearch, line, onExplain, below }: Props) {
  const { t } = useTranslation();
  const text = useText();
  const language = useLanguage();
  const { period = "today", reading = "service_level" } = search;
  const catalogue = useMetrics();
  const queues = useQueueFigures(period);
  const agents = useAgentTotals(queues.data);
  const open = (metric?: string, queue?: string) => onSearch({ ...search, metric, queue });
  const error = catalogue.error ?? (queues.data ? null : queues.error);
  const retry = () => void (catalogue.error ? catalogue.refetch() : queues.refetch());
  return (
    <Page
      name={t("nav.figures")}
      aside={
        <div className={classes.choices}>
          <SegmentedControl
            size="sm"
            aria-label={t("figures.period")}
            value={period}
            onChange={(value) => onSearch({ ...search, period: value })}
            data={PERIODS.map((value) => ({ value, label: t(`figures.periods.${value}`) }))}
          />
          <Select
            w={250}
            aria-label={t("figures.reading")}
            allowDeselect={false}
            value={reading}
            onChange={(value) => onSearch({ ...search, reading: READINGS.find((key) => key === value) })}
            data={READINGS.map((value) => ({ value, label: text(catalogue.data?.get(value)?.name ?? { en: value }) }))}
          />
        </div>
      }
    >
      {error ? <ErrorState error={error} retry={retry} /> : null}
      {catalogue.data && queues.data ? (
        <>
          <Tiles catalogue={catalogue.data} queues={queues.data} agents={agents.data} reading={reading} onOpen={open} />
          <Panel title={t("figures.byQueue")} flush>
            <FiguresTable
              figures={queues.data}
              metrics={[reading, ...SHOWN]}
              catalogue={catalogue.data}
              onOpen={open}
            />
            <Foot figures={queues.data} />
          </Panel>
          <FigureDrawer
            opened={search.metric}
            queue={search.queue}
            period={period}
            reading={reading}
            catalogue={catalogue.data}
            queues={queues.data}
            agents={agents.data}
            onOpen={open}
            onClose={() => open()}
            line={line}
            onExplain={onExplain}
          />
        </>
      ) : error ? null : (
        <Skeleton height={320} radius="lg" />
      )}
      {queues.data ? (
        <p className={classes.since}>
          {t("figures.since", { from: dateTime(queues.data.from, language), to: dateTime(queues.data.as_of, language) })}
        </p>
      ) : null}
      {below}
    </Page>
  );
}

function Foot({ figures }: { figures: Figures }) {
  const { t } = useTranslation();
  const age = secondsSince(figures.as_of, useNow());
  const isStale = age > STALE_S;
  return (
    <p className={classes.foot} data-stale={isStale || undefined} role={isStale ? "status" : undefined}>
      {isStale ? t("queue.stale", { seconds: Math.floor(age) }) : t("queue.asOf", { seconds: Math.floor(age) })}
    </p>
  );
}

function Tiles({ catalogue, queues, agents, reading, onOpen }: {
  catalogue: Catalogue;
  queues: Figures;
  agents: Figures | undefined;
  reading: string;
  onOpen: (metric: string) => void;
}) {
  const { t } = useTranslation();
  const text = useText();
  const language = useLanguage();
  const valueOf = (key: string) => queues.total[key]?.value ?? null;
  const p90 = valueOf("asa_p90");
  const under: Record<string, string | null> = {
    waiting_now: valueOf("waiting_now") === null ? null : t("figures.beyond", { count: valueOf("waiting_beyond_now") ?? 0 }),
    longest_wait_now: valueOf("waiting_now") === null ? null : t("figures.waiting", { count: valueOf("waiting_now") ?? 0 }),
    asa: p90 === null ? null : t("figures.p90", { value: shownSeconds(p90) }),
  };
  return (
    <section aria-label={t("figures.all")}>
      <h2 className="visually-hidden">{t("figures.all")}</h2>
      <div className={classes.tiles}>
        {[reading, ...SHOWN, OF_AGENTS].map((key) => {
          const metric = catalogue.get(key);
          const source = key === OF_AGENTS ? agents : queues;
          const figure = source?.total[key];
          return metric ? (
            <Tile
              key={key}
              testId={`tile-${key}`}
              name={text(metric.name)}
              value={shownValue(metric.unit, figure?.value ?? null, language)}
              under={under[key] ?? (figure ? shownParts(metric, figure, language) : null)}
              asOf={source?.as_of ?? null}
              onOpen={() => onOpen(key)}
            />
          ) : null;
        })}
      </div>
    </section>
  );
}
