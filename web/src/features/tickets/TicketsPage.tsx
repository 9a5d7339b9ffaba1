import { Button, SegmentedControl, Select, Skeleton, TextInput } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Search, Tickets } from "lucide-react";
import { type SubmitEvent, useState } from "react";
import { useTranslation } from "react-i18next";

import type { TicketSummary } from "@/api/types";
import { EmptyState, ErrorState } from "@/design/Notice";
import { Page } from "@/design/Page";
import table from "@/design/Table.module.css";
import { ago, dateTime, useNow } from "@/format/time";
import { useLanguage } from "@/i18n";
import { PriorityChip, TicketStateChip } from "@/parts/TicketParts";
import { useQueueNames } from "@/parts/useQueueNames";

import { type TicketSearch, VIEWS } from "./search";
import { useTickets } from "./useTickets";

interface Props {
  search: TicketSearch;
  onSearch: (search: TicketSearch) => void;
}

/** Tickets by view, queue and words. */
export function TicketsPage({ search, onSearch }: Props) {
  const { t } = useTranslation();
  const queues = useQueueNames();
  const found = useTickets(search);
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Page name={t("nav.tickets")}>
      <div className={table.toolbar}>
        <SegmentedControl
          size="sm"
          aria-label={t("tickets.view")}
          value={search.view ?? "mine"}
          onChange={(view) => onSearch({ ...search, view: view })}
          data={VIEWS.map((view) => ({ value: view, label: t(`tickets.views.${view}`) }))}
        />
        <Select
          aria-label={t("tickets.queue")}
          placeholder={t("tickets.everyQueue")}
          clearable
          clearButtonProps={{ "aria-label": t("tickets.everyQueue") }}
          data={[...queues].map(([value, label]) => ({ value, label }))}
          value={search.queue ?? null}
          onChange={(queue) => onSearch({ ...search, queue: queue ?? undefined })}
        />
        <WordSearch key={search.q} q={search.q ?? ""} onSearch={(q) => onSearch({ ...search, q: q || undefined })} />
      </div>
      {found.error ? <ErrorState error={found.error} retry={() => void found.refetch()} /> : null}
      {found.isPending ? <Skeleton height={320} radius="lg" /> : null}
      {found.isSuccess && items.length === 0 ? (
        <div className={table.frame}>
          <EmptyState icon={<Tickets />} title={t("tickets.noneTitle")}>
            {t(search.q === undefined ? "tickets.noneText" : "tickets.noneFound")}
          </EmptyState>
        </div>
      ) : null}
      {items.length > 0 ? <TicketTable items={items} queueNames={queues} /> : null}
      {found.hasNextPage ? (
        <Button variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
          {t("action.loadMore")}
        </Button>
      ) : null}
    </Page>
  );
}

function WordSearch({ q, onSearch }: { q: string; onSearch: (q: string) => void }) {
  const { t } = useTranslation();
  const [words, setWords] = useState(q);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    onSearch(words.trim());
  };
  return (
    <form onSubmit={submit} className={table.search}>
      <TextInput
        aria-label={t("tickets.search")}
        placeholder={t("tickets.searchHint")}
        leftSection={<Search size={16} aria-hidden="true" />}
        value={words}
        onChange={(event) => setWords(event.currentTarget.value)}
      />
    </form>
  );
}

function TicketTable({ items, queueNames }: { items: TicketSummary[]; queueNames: ReadonlyMap<string, string> }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const now = useNow();
  return (
    <div className={table.frame}>
      <table className={table.table} data-testid="tickets-table">
        <thead>
          <tr>
            <th scope="col">{t("tickets.subject")}</th>
            <th scope="col">{t("tickets.state")}</th>
            <th scope="col">{t("tickets.priority")}</th>
            <th scope="col">{t("tickets.customer")}</th>
            <th scope="col">{t("tickets.queue")}</th>
            <th scope="col">{t("tickets.assignee")}</th>
            <th scope="col">{t("tickets.updated")}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((ticket) => (
            <tr key={ticket.id}>
              <th scope="row">
                <Link
                  to="/tickets/$ticketId"
                  params={{ ticketId: String(ticket.id) }}
                  className={table.rowLink}
                >
                  {ticket.subject}
                </Link>
                <span className={table.under}>{ticket.number}</span>
              </th>
              <td>
                <TicketStateChip state={ticket.state} />
              </td>
              <td>
                <PriorityChip priority={ticket.priority} always />
              </td>
              <td>{ticket.customer?.name ?? <span className={table.none}>—</span>}</td>
              <td>{ticket.queue === null ? <span className={table.none}>—</span> : (queueNames.get(ticket.queue) ?? ticket.queue)}</td>
              <td>{ticket.assignee?.name ?? <span className={table.none}>{t("tickets.nobody")}</span>}</td>
              <td>
                <time dateTime={ticket.updated_at} title={dateTime(ticket.updated_at, language)}>
                  {ago(ticket.updated_at, now, language)}
                </time>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
