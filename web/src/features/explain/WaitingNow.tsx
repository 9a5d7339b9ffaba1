import { Button, Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { calls } from "@/api/endpoints";
import type { CallLogEntry } from "@/api/types";
import { Chip } from "@/design/Chip";
import { ErrorState } from "@/design/Notice";
import table from "@/design/Table.module.css";
import { clock, secondsSince } from "@/format/time";
import { serverNow } from "@/live/clock";
import { Age, Aged, useFreshness } from "@/parts/Age";
import { callerText } from "@/parts/callerText";

import { ExplainDrawer } from "./ExplainDrawer";

interface Found {
  items: CallLogEntry[];
  /** When it was asked for: it was true a little later. */
  asOf: string;
}

async function waitingCalls(): Promise<Found> {
  const asOf = new Date(serverNow()).toISOString();
  const { items } = await calls({ state: ["queued", "offering"], limit: 100 });
  const entered = (call: CallLogEntry) => Date.parse(call.queued_at ?? call.created_at);
  return { items: items.sort((a, b) => entered(a) - entered(b)), asOf };
}

const isRinging = (call: CallLogEntry) => call.offers.some(({ state }) => state === "pending");

/** The calls in line, the longest first, each with its "why is it still waiting?". */
export function WaitingNow({ queueNames }: { queueNames: ReadonlyMap<string, string> }) {
  const [explained, setExplained] = useState<number | null>(null);
  const { data, error, refetch } = useQuery({ queryKey: ["calls", "waiting"], queryFn: waitingCalls, refetchInterval: 2000 });
  return (
    <>
      {data ? <Line found={data} queueNames={queueNames} onExplain={setExplained} /> : null}
      {!data && error ? <ErrorState error={error} retry={() => void refetch()} /> : null}
      {data || error ? null : <Skeleton height={45} />}
      <ExplainDrawer workItem={explained} onClose={() => setExplained(null)} />
    </>
  );
}

interface LineProps {
  found: Found;
  queueNames: ReadonlyMap<string, string>;
  onExplain: (workItem: number | null) => void;
}

function Line({ found: { items, asOf }, queueNames, onExplain }: LineProps) {
  const { t } = useTranslation();
  const fresh = useFreshness(asOf);
  return (
    <>
      <Aged of={fresh}>
      {items.length === 0 ? (
        <p style={{ padding: "var(--space-4)", color: "var(--ink-muted)", fontSize: "var(--text-sm)" }}>
          {t("waiting.none")}
        </p>
      ) : (
        <table className={table.table} data-testid="waiting-table">
          <thead>
            <tr>
              <th scope="col">{t("calls.from")}</th>
              <th scope="col">{t("tickets.queue")}</th>
              <th scope="col">{t("calls.waited")}</th>
              <th scope="col">{t("calls.state")}</th>
              <th scope="col">
                <span className="visually-hidden">{t("agents.actions")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {items.map((call) => (
              <tr key={call.id}>
                <th scope="row" className={table.caller}>
                  {callerText(t, call.from)}
                </th>
                <td>{queueNames.get(call.queue ?? "") ?? call.queue}</td>
                <td>
                  <strong>{clock(secondsSince(call.queued_at ?? call.created_at, fresh.now))}</strong>
                </td>
                <td>
                  <Chip tone={isRinging(call) ? "blue" : "amber"}>
                    {t(isRinging(call) ? "waiting.ringing" : "waiting.waiting")}
                  </Chip>
                </td>
                <td className={table.number}>
                  {call.work_item_id === null ? null : (
                    <Button size="compact-sm" variant="default" onClick={() => onExplain(call.work_item_id)}>
                      {t("waiting.why")}
                    </Button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      </Aged>
      <Age of={fresh} />
    </>
  );
}
