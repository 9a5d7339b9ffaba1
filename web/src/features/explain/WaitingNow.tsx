import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { calls } from "@/api/endpoints";
import type { CallLogEntry } from "@/api/types";
import { Chip } from "@/design/Chip";
import table from "@/design/Table.module.css";
import { clock, secondsSince, useNow } from "@/format/time";
import { callerText } from "@/parts/callerText";

import { ExplainDrawer } from "./ExplainDrawer";

async function waitingCalls(): Promise<CallLogEntry[]> {
  const { items } = await calls({ state: ["queued", "offering"], limit: 100 });
  const entered = (call: CallLogEntry) => Date.parse(call.queued_at ?? call.created_at);
  return items.sort((a, b) => entered(a) - entered(b));
}

const isRinging = (call: CallLogEntry) => call.offers.some(({ state }) => state === "pending");

/** The calls in line, the longest first, each with its "why is it still waiting?". */
export function WaitingNow({ queueNames }: { queueNames: ReadonlyMap<string, string> }) {
  const { t } = useTranslation();
  const now = useNow();
  const [explained, setExplained] = useState<number | null>(null);
  const { data = [] } = useQuery({ queryKey: ["calls", "waiting"], queryFn: waitingCalls, refetchInterval: 2000 });
  return (
    <>
      {data.length === 0 ? (
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
            {data.map((call) => (
              <tr key={call.id}>
                <th scope="row" className={table.caller}>
                  {callerText(t, call.from)}
                </th>
                <td>{queueNames.get(call.queue ?? "") ?? call.queue}</td>
                <td>
                  <strong>{clock(secondsSince(call.queued_at ?? call.created_at, now))}</strong>
                </td>
                <td>
                  <Chip tone={isRinging(call) ? "blue" : "amber"}>
                    {t(isRinging(call) ? "waiting.ringing" : "waiting.waiting")}
                  </Chip>
                </td>
                <td className={table.number}>
                  {call.work_item_id === null ? null : (
                    <Button size="compact-sm" variant="default" onClick={() => setExplained(call.work_item_id)}>
                      {t("waiting.why")}
                    </Button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <ExplainDrawer workItem={explained} onClose={() => setExplained(null)} />
    </>
  );
}
