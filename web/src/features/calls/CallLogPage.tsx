import { Badge, Button, SegmentedControl, Select, Skeleton, TextInput } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Ban, PhoneCall } from "lucide-react";
import { type SubmitEvent, useState } from "react";
import { useTranslation } from "react-i18next";

import type { Me } from "@/api/types";
import { EmptyState, ErrorState } from "@/design/Notice";
import { Page } from "@/design/Page";
import table from "@/design/Table.module.css";
import { useOutcomeText } from "@/parts/useOutcomeText";
import { useQueueNames } from "@/parts/useQueueNames";

import classes from "./Calls.module.css";
import { CallTable } from "./CallTable";
import { MissedList } from "./MissedList";
import { type CallsSearch, DIRECTIONS, OUTCOMES, VIEWS } from "./search";
import { useCalls, useMissedCount } from "./useCallLog";
import { useOwners } from "./useOwners";

interface Props {
  me: Me;
  search: CallsSearch;
  onSearch: (search: CallsSearch) => void;
}

/** The calls, one row each; and who reached nobody, as work. */
export function CallLogPage({ me, search, onSearch }: Props) {
  const { t } = useTranslation();
  const open = useMissedCount();
  const view = search.view ?? "log";
  return (
    <Page
      name={t("nav.calls")}
      aside={
        isLead(me) ? (
          <Button component={Link} to="/numbers" variant="default" leftSection={<Ban size={16} aria-hidden="true" />}>
            {t("numbers.title")}
          </Button>
        ) : null
      }
    >
      <div className={table.toolbar}>
        <SegmentedControl
          size="sm"
          aria-label={t("calls.view")}
          value={view}
          onChange={(next) => onSearch({ queue: search.queue, view: next === "log" ? undefined : next })}
          data={VIEWS.map((value) => ({
            value,
            label:
              value === "missed" && open ? (
                <span className={classes.counted}>
                  {t("calls.views.missed")}
                  <Badge size="sm" variant="filled" color="red" circle={open < 10}>
                    {open}
                  </Badge>
                </span>
              ) : (
                t(`calls.views.${value}`)
              ),
          }))}
        />
        <QueueFilter search={search} onSearch={onSearch} />
        {view === "log" ? <LogFilters key={search.number} me={me} search={search} onSearch={onSearch} /> : null}
        {view === "missed" ? (
          <SegmentedControl
            size="sm"
            aria-label={t("missed.owner")}
            value={search.owner ?? "all"}
            onChange={(owner) => onSearch({ ...search, owner: owner === "all" ? undefined : owner })}
            data={(["all", "none", "me"] as const).map((value) => ({ value, label: t(`missed.owners.${value}`) }))}
          />
        ) : null}
      </div>
      {view === "log" ? <Log search={search} mayCall={hasPhone(me)} mayBlock={isLead(me)} /> : <MissedList key={view} me={me} search={search} />}
    </Page>
  );
}

/** Auditors read; there is no phone for them. */
const hasPhone = ({ role }: Me) => role === "agent" || role === "supervisor" || role === "admin";
const isLead = ({ role }: Me) => role === "supervisor" || role === "admin";

function QueueFilter({ search, onSearch }: Omit<Props, "me">) {
  const { t } = useTranslation();
  const queues = useQueueNames();
  return (
    <Select
      className={classes.filter}
      aria-label={t("tickets.queue")}
      placeholder={t("tickets.everyQueue")}
      clearable
      clearButtonProps={{ "aria-label": t("tickets.everyQueue") }}
      data={[...queues].map(([value, label]) => ({ value, label }))}
      value={search.queue ?? null}
      onChange={(queue) => onSearch({ ...search, queue: queue ?? undefined })}
    />
  );
}

function LogFilters({ me, search, onSearch }: Props) {
  const { t } = useTranslation();
  const people = useOwners(isLead(me));
  const outcomeText = useOutcomeText();
  const [number, setNumber] = useState(search.number ?? "");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    onSearch({ ...search, number: number.trim() || undefined });
  };
  const day = (which: "from" | "to") => (
    <TextInput
      type="date"
      className={classes.day}
      aria-label={t(which === "from" ? "calls.fromDay" : "calls.toDay")}
      title={t(which === "from" ? "calls.fromDay" : "calls.toDay")}
      value={search[which] ?? ""}
      max={which === "from" ? search.to : undefined}
      min={which === "to" ? search.from : undefined}
      onChange={(event) => onSearch({ ...search, [which]: event.currentTarget.value || undefined })}
    />
  );
  return (
    <>
      <Select
        className={classes.filter}
        aria-label={t("calls.direction")}
        placeholder={t("calls.everyDirection")}
        clearable
        clearButtonProps={{ "aria-label": t("calls.everyDirection") }}
        data={DIRECTIONS.map((value) => ({ value, label: t(`calls.directions.${value}`) }))}
        value={search.direction ?? null}
        onChange={(direction) => onSearch({ ...search, direction: DIRECTIONS.find((each) => each === direction) })}
      />
      <Select
        className={classes.filter}
        aria-label={t("calls.outcome")}
        placeholder={t("calls.everyOutcome")}
        clearable
        clearButtonProps={{ "aria-label": t("calls.everyOutcome") }}
        data={[
          { value: "going_on", label: t("calls.goingOn") },
          ...OUTCOMES.map((value) => ({ value, label: outcomeText(value) ?? value })),
        ]}
        value={search.state ?? search.outcome ?? null}
        onChange={(outcome) =>
          onSearch({
            ...search,
            state: outcome === "going_on" ? "going_on" : undefined,
            outcome: OUTCOMES.find((each) => each === outcome),
          })
        }
      />
      {isLead(me) ? (
        <Select
          className={classes.filter}
          aria-label={t("calls.agent")}
          placeholder={t("calls.everyAgent")}
          clearable
          clearButtonProps={{ "aria-label": t("calls.everyAgent") }}
          searchable
          data={people}
          value={search.agent === undefined ? null : String(search.agent)}
          onChange={(agent) => onSearch({ ...search, agent: agent === null ? undefined : Number(agent) })}
        />
      ) : null}
      <form onSubmit={submit} className={classes.number}>
        <TextInput
          aria-label={t("calls.number")}
          placeholder={t("calls.number")}
          inputMode="tel"
          maxLength={64}
          value={number}
          onChange={(event) => setNumber(event.currentTarget.value)}
        />
      </form>
      {day("from")}
      {day("to")}
      {search.customer !== undefined || search.number !== undefined ? (
        <Button
          variant="subtle"
          color="gray"
          onClick={() => onSearch({ ...search, customer: undefined, number: undefined })}
        >
          {t("calls.everybody")}
        </Button>
      ) : null}
    </>
  );
}

function Log({ search, mayCall, mayBlock }: { search: CallsSearch; mayCall: boolean; mayBlock: boolean }) {
  const { t } = useTranslation();
  const found = useCalls(search);
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  const isAll = Object.values(search).every((value) => value === undefined);
  return (
    <>
      {found.error ? <ErrorState error={found.error} retry={() => void found.refetch()} /> : null}
      {found.isPending ? <Skeleton height={320} radius="lg" /> : null}
      {found.isSuccess && items.length === 0 ? (
        <div className={table.frame}>
          <EmptyState icon={<PhoneCall />} title={t("calls.noneTitle")}>
            {t(isAll ? "calls.noneText" : "calls.noneFound")}
          </EmptyState>
        </div>
      ) : null}
      {items.length > 0 ? <CallTable items={items} mayCall={mayCall} mayBlock={mayBlock} /> : null}
      {found.hasNextPage ? (
        <Button variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
          {t("action.loadMore")}
        </Button>
      ) : null}
    </>
  );
}
