import { Skeleton } from "@mantine/core";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import type { QueueStats } from "@/api/types";
import { ErrorState } from "@/design/Notice";
import { Page } from "@/design/Page";
import { Panel } from "@/design/Panel";
import { HoldButton } from "@/features/acts/HoldButton";
import { QueueLine } from "@/features/acts/QueueLine";
import { AgentsTable } from "@/features/agents/AgentsTable";
import { useAgentsLive } from "@/features/agents/useAgents";
import { ExplainDrawer } from "@/features/explain/ExplainDrawer";
import { WaitingNow } from "@/features/explain/WaitingNow";
import { PopLevelPanel } from "@/features/poplevel/PopLevelPanel";
import { type BoardNumber, isOfCalls, QueueBoard } from "@/features/queues/QueueBoard";
import { useQueuesLive } from "@/features/queues/useQueuesLive";
import { useText } from "@/i18n";
import { useViewing } from "@/live/LiveProvider";
import { ActBar } from "@/parts/ActBar";

import { FloorNumber, type OpenedNumber } from "./FloorNumber";

/** The floor as it is now: queues, the calls in line, the agents; and what a supervisor can do about it. */
export function SupervisorPage() {
  const { t } = useTranslation();
  const text = useText();
  const queues = useQueuesLive();
  const agents = useAgentsLive();
  useViewing({ is_floor: true });
  const [explained, setExplained] = useState<number | null>(null);
  const [number, setNumber] = useState<OpenedNumber | null>(null);
  const [asked, setAsked] = useState<{ queue: string } | null>(null);
  const agentsPanel = useRef<HTMLDivElement>(null);
  const open = (opened: BoardNumber, queue?: QueueStats) => {
    if (opened !== "free") {
      setNumber({ number: opened, queue: queue?.key });
      return;
    }
    // Behind this number stand agents: they are on the page.
    if (queue) setAsked({ queue: queue.key });
    agentsPanel.current?.focus();
  };
  const names = new Map((queues.data?.queues ?? []).map((queue) => [queue.key, text(queue.name)]));
  return (
    <Page name={t("supervisor.title")}>
      <Panel title={t("nav.queues")} flush>
        {queues.data ? (
          <QueueBoard
            queues={queues.data.queues}
            asOf={queues.data.as_of}
            total={t("queue.totalOfAll", { count: queues.data.queues.filter(isOfCalls).length })}
            line={({ key }) => <QueueLine queue={key} onExplain={setExplained} />}
            acts={(queue) => <HoldButton queue={queue} />}
            onOpen={open}
          />
        ) : null}
        {!queues.data && queues.error ? <ErrorState error={queues.error} retry={() => void queues.refetch()} /> : null}
        {queues.isPending ? <Skeleton height={140} /> : null}
      </Panel>
      <Panel title={t("waiting.title")} flush>
        <WaitingNow queueNames={names} />
      </Panel>
      <div ref={agentsPanel} tabIndex={-1} data-testid="agents-panel">
        <Panel title={t("agents.title")} count={agents.data?.items.length} flush>
          {agents.data ? (
            <AgentsTable agents={agents.data.items} asOf={agents.data.as_of} queueNames={names} asked={asked} />
          ) : null}
          {!agents.data && agents.error ? <ErrorState error={agents.error} retry={() => void agents.refetch()} /> : null}
          {agents.isPending ? <Skeleton height={240} /> : null}
        </Panel>
      </div>
      <PopLevelPanel />
      <FloorNumber opened={number} queues={queues.data?.queues ?? []} onOpen={setNumber} onExplain={setExplained} />
      <ExplainDrawer workItem={explained} onClose={() => setExplained(null)} />
      <ActBar />
    </Page>
  );
}
