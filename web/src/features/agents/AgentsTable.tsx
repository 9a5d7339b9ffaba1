import { Select, TextInput, UnstyledButton } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown, PhoneCall, Search } from "lucide-react";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import type { AgentRow, AgentState } from "@/api/types";
import { Chip, type Tone } from "@/design/Chip";
import { clock, secondsSince } from "@/format/time";
import { Age, Aged, useFreshness } from "@/parts/Age";

import classes from "./AgentsTable.module.css";
import { ForcePresence } from "./ForcePresence";
import { type AgentFilter, type SortKey, visibleAgents } from "./useAgents";

const ROW = 44;
const TONE: Record<AgentState, Tone> = {
  available: "green",
  reserved: "blue",
  talking: "blue",
  wrapping: "violet",
  break: "amber",
  offline: "grey",
  not_responding: "red",
  reconnecting: "amber",
  unreachable: "red",
};
const STATES = Object.keys(TONE) as AgentState[];

interface Props {
  agents: AgentRow[];
  /** When this was true, by the server's clock. */
  asOf: string;
  queueNames: ReadonlyMap<string, string>;
  /** Those of a queue were asked for, elsewhere on the page; each asking is a new object. */
  asked?: { queue: string } | null;
}

/** Who is doing what and for how long. Only the rows in sight are drawn, so thousands of agents scroll as well as ten. */
export function AgentsTable({ agents, asOf, queueNames, asked = null }: Props) {
  const { t } = useTranslation();
  const fresh = useFreshness(asOf);
  const [answered, setAnswered] = useState<Props["asked"]>(null);
  const [filter, setFilter] = useState<AgentFilter>({ words: "", state: null, queue: null, sort: "since" });
  if (asked !== answered) {
    setAnswered(asked);
    if (asked) setFilter({ ...filter, queue: asked.queue });
  }
  const rows = visibleAgents(agents, filter);
  const set = (part: Partial<AgentFilter>) => setFilter({ ...filter, ...part });
  return (
    <div data-testid="agents-table">
      <div className={classes.filters}>
        <TextInput
          aria-label={t("agents.search")}
          placeholder={t("agents.search")}
          leftSection={<Search size={16} aria-hidden="true" />}
          value={filter.words}
          onChange={(event) => set({ words: event.currentTarget.value })}
        />
        <Select
          aria-label={t("agents.state")}
          placeholder={t("agents.everyState")}
          clearable
          clearButtonProps={{ "aria-label": t("agents.everyState") }}
          data={STATES.map((state) => ({ value: state, label: t(`agentState.${state}`) }))}
          value={filter.state}
          onChange={(state) => set({ state: state })}
        />
        <Select
          aria-label={t("agents.queue")}
          placeholder={t("agents.everyQueue")}
          clearable
          clearButtonProps={{ "aria-label": t("agents.everyQueue") }}
          data={[...queueNames].map(([value, label]) => ({ value, label }))}
          value={filter.queue}
          onChange={(queue) => set({ queue })}
        />
        <p className={classes.count}>{t("agents.shown", { shown: rows.length, all: agents.length })}</p>
      </div>
      <Aged of={fresh}>
        <Rows rows={rows} now={fresh.now} sort={filter.sort} onSort={(sort) => set({ sort })} queueNames={queueNames} />
      </Aged>
      <Age of={fresh} />
    </div>
  );
}

interface RowsProps {
  rows: AgentRow[];
  now: number;
  sort: SortKey;
  onSort: (sort: SortKey) => void;
  queueNames: ReadonlyMap<string, string>;
}

function Rows({ rows, now, sort, onSort, queueNames }: RowsProps) {
  const { t } = useTranslation();
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 12,
    initialRect: { width: 1000, height: 520 },
  });
  const head = (key: SortKey, label: string) => (
    <span role="columnheader" aria-sort={sort === key ? (key === "since" ? "descending" : "ascending") : "none"}>
      <UnstyledButton className={classes.sort} onClick={() => onSort(key)}>
        {label}
        {sort === key ? <ArrowDown size={12} aria-hidden="true" /> : null}
      </UnstyledButton>
    </span>
  );
  return (
    <div
      ref={scroller}
      className={classes.table}
      role="table"
      aria-label={t("agents.title")}
      aria-rowcount={rows.length + 1}
      tabIndex={0}
    >
      <div role="rowgroup" className={classes.headGroup}>
        <div role="row" className={classes.row} data-head>
          {head("name", t("agents.name"))}
          {head("state", t("agents.state"))}
          {head("since", t("agents.time"))}
          <span role="columnheader">{t("agents.queues")}</span>
          <span role="columnheader" className={classes.number}>
            {t("agents.tickets")}
          </span>
          <span role="columnheader" className={classes.number}>
            {t("agents.misses")}
          </span>
          <span role="columnheader">
            <span className="visually-hidden">{t("agents.actions")}</span>
          </span>
        </div>
      </div>
      <div role="rowgroup" style={{ height: virtual.getTotalSize(), position: "relative" }}>
        {virtual.getVirtualItems().map((item) => {
          const agent = rows[item.index];
          return agent ? (
            <Row key={agent.id} agent={agent} now={now} index={item.index} top={item.start} queueNames={queueNames} />
          ) : null;
        })}
      </div>
      {rows.length === 0 ? <p className={classes.none}>{t("agents.none")}</p> : null}
    </div>
  );
}

function Row({ agent, now, index, top, queueNames }: {
  agent: AgentRow;
  now: number;
  index: number;
  top: number;
  queueNames: ReadonlyMap<string, string>;
}) {
  const { t } = useTranslation();
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      className={classes.row}
      style={{ transform: `translateY(${top}px)`, position: "absolute" }}
      data-testid={`agent-row-${agent.id}`}
      data-state={agent.state}
    >
      <span role="rowheader" className={classes.name}>
        <span className={classes.who}>
          <span className="truncate">{agent.name}</span>
          {agent.is_on_telephone ? (
            <span title={t("telephone.uses")} data-testid="on-telephone">
              <PhoneCall size={14} aria-hidden="true" />
              <span className="visually-hidden">{t("telephone.uses")}</span>
            </span>
          ) : null}
        </span>
      </span>
      <span role="cell">
        <Chip tone={TONE[agent.state]}>{t(`agentState.${agent.state}`)}</Chip>
        {agent.reason ? <span className={classes.reason}>{agent.reason}</span> : null}
        {agent.next === null ? null : (
          <span className={classes.reason}>{t("agents.next", { state: t(`presence.${agent.next}`) })}</span>
        )}
      </span>
      <span role="cell" className={classes.time}>
        {agent.since === null ? "—" : clock(secondsSince(agent.since, now))}
      </span>
      <span role="cell" className="truncate">
        {agent.queues.map((key) => queueNames.get(key) ?? key).join(", ")}
      </span>
      <span
        role="cell"
        className={classes.number}
        title={t("agents.ticketsOf", { tickets: agent.tickets, capacity: agent.ticket_capacity })}
      >
        {agent.tickets === 0 ? "—" : agent.tickets}
      </span>
      <span role="cell" className={classes.number} data-some={agent.misses > 0 || undefined}>
        {agent.misses}
      </span>
      <span role="cell" className={classes.end}>
        <ForcePresence agent={agent} />
      </span>
    </div>
  );
}
