import { Button, SegmentedControl, Skeleton } from "@mantine/core";
import { Tickets } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { Me } from "@/api/types";
import { Callout, EmptyState, ErrorState } from "@/design/Notice";
import { Page } from "@/design/Page";
import table from "@/design/Table.module.css";

import { ManyBar } from "./ManyBar";
import { ManyDone } from "./ManyDone";
import { type TicketSearch, VIEWS } from "./search";
import { TicketFilters } from "./TicketFilters";
import { TicketTable } from "./TicketTable";
import { useMany } from "./useMany";
import { useTickets } from "./useTickets";
import { ViewsMenu } from "./ViewsMenu";

interface Props {
  search: TicketSearch;
  me: Me;
  onSearch: (search: TicketSearch) => void;
}

/** Tickets by view, filters and words; what is chosen can be changed together. */
export function TicketsPage({ search, me, onSearch }: Props) {
  const { t } = useTranslation();
  const found = useTickets(search);
  const many = useMany();
  const [picked, setPicked] = useState<ReadonlySet<number>>(new Set());
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  const chosen = items.filter(({ id }) => picked.has(id));
  const mayChange = me.role !== "auditor" && me.role !== "integration";
  return (
    <Page name={t("nav.tickets")}>
      <div className={table.toolbar}>
        <SegmentedControl
          size="sm"
          aria-label={t("tickets.view")}
          value={search.view ?? "mine"}
          onChange={(view) => onSearch({ ...search, view: view, state: undefined, assignee: undefined })}
          data={VIEWS.map((view) => ({ value: view, label: t(`tickets.views.${view}`) }))}
        />
        <ViewsMenu search={search} me={me} />
      </div>
      <div>
        <TicketFilters search={search} me={me} onSearch={onSearch} />
        <ManyDone
          done={many.done}
          isUndo={many.isUndo}
          error={many.error}
          isBusy={many.isBusy}
          onUndo={many.undo}
          onClose={many.close}
        />
      </div>
      {mayChange && chosen.length > 0 ? (
        <ManyBar
          count={chosen.length}
          me={me}
          isBusy={many.isBusy}
          onChange={(change) => many.change({ tickets: chosen, change }, { onSuccess: () => setPicked(new Set()) })}
          onClear={() => setPicked(new Set())}
        />
      ) : null}
      {found.error ? <ErrorState error={found.error} retry={() => void found.refetch()} /> : null}
      {found.isPending ? <Skeleton height={320} radius="lg" /> : null}
      {found.isSuccess && items.length === 0 ? (
        <div className={table.frame}>
          <EmptyState icon={<Tickets />} title={t("tickets.noneTitle")}>
            {t(search.q === undefined ? "tickets.noneText" : "tickets.noneFound")}
          </EmptyState>
        </div>
      ) : null}
      {found.data?.pages.some((page) => page.is_partial) ? (
        <Callout tone="amber">{t("tickets.partial")}</Callout>
      ) : null}
      {items.length > 0 ? (
        <TicketTable items={items} q={search.q ?? ""} chosen={mayChange ? picked : null} onChoose={setPicked} />
      ) : null}
      {found.hasNextPage ? (
        <Button variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
          {t("action.loadMore")}
        </Button>
      ) : null}
    </Page>
  );
}
