import { Button, Select, Skeleton } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { PhoneCall } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { calls } from "@/api/endpoints";
import type { CallLogEntry, CallState } from "@/api/types";
import { Chip, type Tone } from "@/design/Chip";
import { EmptyState, ErrorState } from "@/design/Notice";
import { Page } from "@/design/Page";
import table from "@/design/Table.module.css";
import { formatPhone } from "@/format/phone";
import { clock, dateTime, secondsSince } from "@/format/time";
import { useLanguage } from "@/i18n";
import { callerText } from "@/parts/callerText";
import { Messages, Recordings } from "@/parts/Messages";
import { useOutcomeText } from "@/parts/useOutcomeText";
import { useQueueNames } from "@/parts/useQueueNames";

const STATES = ["received", "ivr", "queued", "offering", "connecting", "in_call", "on_hold", "voicemail", "outside", "wrap_up", "closed"] as const satisfies readonly CallState[];

/** The calls as they came in, the newest first. */
export function CallLogPage() {
  const { t } = useTranslation();
  const [state, setState] = useState<CallState | null>(null);
  const found = useInfiniteQuery({
    queryKey: ["calls", state],
    queryFn: ({ pageParam }) => calls({ state: state === null ? undefined : [state], limit: 50, cursor: pageParam }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchInterval: 5000,
  });
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Page name={t("nav.calls")}>
      <div className={table.toolbar}>
        <Select
          aria-label={t("calls.state")}
          placeholder={t("calls.everyState")}
          clearable
          clearButtonProps={{ "aria-label": t("calls.everyState") }}
          data={STATES.map((value) => ({ value, label: t(`calls.states.${value}`) }))}
          value={state}
          onChange={setState}
        />
      </div>
      {found.error ? <ErrorState error={found.error} retry={() => void found.refetch()} /> : null}
      {found.isPending ? <Skeleton height={320} radius="lg" /> : null}
      {found.isSuccess && items.length === 0 ? (
        <div className={table.frame}>
          <EmptyState icon={<PhoneCall />} title={t("calls.noneTitle")}>
            {t("calls.noneText")}
          </EmptyState>
        </div>
      ) : null}
      {items.length > 0 ? <CallTable items={items} /> : null}
      {found.hasNextPage ? (
        <Button variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
          {t("action.loadMore")}
        </Button>
      ) : null}
    </Page>
  );
}

const TONE: Partial<Record<CallState, Tone>> = { queued: "amber", offering: "blue", connecting: "blue", in_call: "green", on_hold: "amber", outside: "green" };

function CallTable({ items }: { items: CallLogEntry[] }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const queues = useQueueNames();
  const outcomeText = useOutcomeText();
  const stateText = ({ outcome, state }: CallLogEntry): string =>
    outcomeText(outcome) ?? t(`calls.states.${state}`);
  const between = (from: string | null, to: string | null) =>
    from === null || to === null ? "—" : clock(secondsSince(from, Date.parse(to)));
  return (
    <div className={table.frame}>
      <table className={table.table} data-testid="calls-table">
        <thead>
          <tr>
            <th scope="col">{t("calls.from")}</th>
            <th scope="col">{t("calls.time")}</th>
            <th scope="col">{t("calls.to")}</th>
            <th scope="col">{t("tickets.queue")}</th>
            <th scope="col">{t("calls.state")}</th>
            <th scope="col" className={table.number}>
              {t("calls.waited")}
            </th>
            <th scope="col" className={table.number}>
              {t("calls.talked")}
            </th>
            <th scope="col">{t("calls.ticket")}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((call) => (
            <tr key={call.id}>
              <th scope="row" className={table.caller}>
                {callerText(t, call.from)}
              </th>
              <td>{dateTime(call.created_at, language)}</td>
              <td>{formatPhone(call.to)}</td>
              <td>
                {call.queue === null ? <span className={table.none}>—</span> : (queues.get(call.queue) ?? call.queue)}
              </td>
              <td>
                <Chip tone={TONE[call.state] ?? "grey"}>{stateText(call)}</Chip>
                <Messages messages={call.voicemails} from={callerText(t, call.from)} />
                <Recordings recordings={call.recordings} from={callerText(t, call.from)} />
              </td>
              <td className={table.number}>{between(call.queued_at, call.answered_at ?? call.ended_at)}</td>
              <td className={table.number}>{between(call.answered_at, call.ended_at)}</td>
              <td>
                {call.ticket ? (
                  <Link to="/tickets/$ticketId" params={{ ticketId: String(call.ticket.id) }}>
                    {call.ticket.number}
                  </Link>
                ) : null}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
