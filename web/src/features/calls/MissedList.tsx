import { Button, Checkbox, Menu, Select, Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Check, CheckCheck, PhoneMissed } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { Me, MissedContact, MissedResult } from "@/api/types";
import { Chip } from "@/design/Chip";
import { EmptyState, ErrorState } from "@/design/Notice";
import table from "@/design/Table.module.css";
import { ago, dateTime, useNow } from "@/format/time";
import { useLanguage } from "@/i18n";
import { ActBar } from "@/parts/ActBar";
import { CallButton } from "@/parts/CallButton";
import { callerText } from "@/parts/callerText";
import { Messages } from "@/parts/Messages";
import { useOutcomeText } from "@/parts/useOutcomeText";
import { useQueueNames } from "@/parts/useQueueNames";

import classes from "./Calls.module.css";
import type { CallsSearch } from "./search";
import { useMissed, useMissedActs } from "./useCallLog";
import { useOwners } from "./useOwners";

const RESULTS = ["called_back", "reached_otherwise", "unreachable", "no_need"] as const satisfies readonly MissedResult[];

/** Who reached nobody: each entry somebody's, until it is done. */
export function MissedList({ me, search }: { me: Me; search: CallsSearch }) {
  const { t } = useTranslation();
  const isDone = search.view === "done";
  const found = useMissed(search);
  const { finish } = useMissedActs();
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set());
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  const marked = items.filter(({ id }) => chosen.has(id));
  const mayAct = me.role === "agent" || me.role === "supervisor" || me.role === "admin";
  const choose = (id: number, is: boolean) =>
    setChosen((before) => (is ? new Set(before).add(id) : new Set([...before].filter((each) => each !== id))));
  const done = (which: MissedContact[], result: MissedResult) => {
    finish.mutate({ items: which, result });
    setChosen(new Set());
  };
  return (
    <>
      {found.error ? <ErrorState error={found.error} retry={() => void found.refetch()} /> : null}
      {found.isPending ? <Skeleton height={320} radius="lg" /> : null}
      {found.isSuccess && items.length === 0 ? (
        <div className={table.frame}>
          <EmptyState icon={<PhoneMissed />} title={t(isDone ? "missed.noneDone" : "missed.noneTitle")}>
            {t(isDone ? "missed.noneDoneText" : "missed.noneText")}
          </EmptyState>
        </div>
      ) : null}
      {items.length > 0 ? (
        <>
          {!isDone && mayAct ? (
            <div className={classes.bulk}>
              <Checkbox
                label={t("missed.all")}
                checked={marked.length === items.length}
                indeterminate={marked.length > 0 && marked.length < items.length}
                onChange={(event) => setChosen(new Set(event.currentTarget.checked ? items.map(({ id }) => id) : []))}
              />
              <DoneMenu
                label={t("missed.doneMany", { count: marked.length })}
                disabled={marked.length === 0 || finish.isPending}
                onDone={(result) => done(marked, result)}
              />
            </div>
          ) : null}
          <div className={table.frame}>
            <table className={table.table} data-testid="missed-table">
              <thead>
                <tr>
                  {!isDone && mayAct ? (
                    <th scope="col">
                      <span className={classes.unseen}>{t("missed.choose")}</span>
                    </th>
                  ) : null}
                  <th scope="col">{t("calls.who")}</th>
                  <th scope="col" className={table.number}>
                    {t("missed.calls")}
                  </th>
                  <th scope="col">{t("missed.last")}</th>
                  <th scope="col">{t("tickets.queue")}</th>
                  <th scope="col">{t("missed.how")}</th>
                  <th scope="col">{isDone ? t("missed.result") : t("missed.owner")}</th>
                  <th scope="col">{t("calls.ticket")}</th>
                  {!isDone && mayAct ? (
                    <th scope="col">
                      <span className={classes.unseen}>{t("missed.acts")}</span>
                    </th>
                  ) : null}
                </tr>
              </thead>
              <tbody>
                {items.map((item) => (
                  <MissedRow
                    key={item.id}
                    item={item}
                    me={me}
                    mayAct={mayAct && !isDone}
                    isChosen={chosen.has(item.id)}
                    onChoose={(is) => choose(item.id, is)}
                    onDone={(result) => done([item], result)}
                  />
                ))}
              </tbody>
            </table>
          </div>
        </>
      ) : null}
      {found.hasNextPage ? (
        <Button variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
          {t("action.loadMore")}
        </Button>
      ) : null}
      <ActBar />
    </>
  );
}

interface RowProps {
  item: MissedContact;
  me: Me;
  mayAct: boolean;
  isChosen: boolean;
  onChoose: (is: boolean) => void;
  onDone: (result: MissedResult) => void;
}

function MissedRow({ item, me, mayAct, isChosen, onChoose, onDone }: RowProps) {
  const { t } = useTranslation();
  const language = useLanguage();
  const now = useNow();
  const queues = useQueueNames();
  const outcomeText = useOutcomeText();
  const number = callerText(t, item.number);
  const who = item.customer?.name ?? number;
  return (
    <tr data-missed={item.id}>
      {mayAct ? (
        <td>
          <Checkbox aria-label={t("missed.chooseOne", { who })} checked={isChosen} onChange={(event) => onChoose(event.currentTarget.checked)} />
        </td>
      ) : null}
      <th scope="row" className={table.caller}>
        {item.customer ? (
          <Link to="/customers/$customerId" params={{ customerId: String(item.customer.id) }} className={classes.who}>
            {item.customer.name}
          </Link>
        ) : (
          <span className={classes.who}>{number}</span>
        )}
        {item.customer ? <span className={table.under}>{number}</span> : null}
      </th>
      <td className={table.number}>{item.calls}</td>
      <td>
        <time dateTime={item.last_at} title={dateTime(item.last_at, language)}>
          {ago(item.last_at, now, language)}
        </time>
      </td>
      <td>{item.queue === null ? <span className={table.none}>—</span> : (queues.get(item.queue) ?? item.queue)}</td>
      <td>
        <Chip tone={item.state === "open" ? "red" : "grey"}>{outcomeText(item.outcome)}</Chip>
        <Messages messages={item.voicemails} from={number} />
      </td>
      <td>{item.state === "done" ? <Result item={item} /> : <Owner item={item} me={me} mayAct={mayAct} who={who} />}</td>
      <td>
        {item.ticket ? (
          <Link to="/tickets/$ticketId" params={{ ticketId: String(item.ticket.id) }}>
            {item.ticket.number}
          </Link>
        ) : null}
      </td>
      {mayAct ? (
        <td className={classes.acts}>
          <span className={classes.both}>
            {item.number !== null && item.number_kind === "e164" ? (
              <CallButton dialling={{ call: { missed_contact_id: item.id }, name: who }} label={t("missed.callBack")} />
            ) : null}
            <DoneMenu label={t("missed.done")} of={who} onDone={onDone} />
          </span>
        </td>
      ) : null}
    </tr>
  );
}

function Owner({ item, me, mayAct, who }: { item: MissedContact; me: Me; mayAct: boolean; who: string }) {
  const { t } = useTranslation();
  const { own } = useMissedActs();
  const isLead = me.role === "supervisor" || me.role === "admin";
  const owners = useOwners(isLead);
  const set = (agent: number | null) => own.mutate({ id: item.id, agent });
  if (!mayAct) return <>{item.owner?.name ?? t("missed.nobody")}</>;
  if (isLead) {
    const known = item.owner && !owners.some(({ value }) => value === String(item.owner?.id)) ? [{ value: String(item.owner.id), label: item.owner.name }] : [];
    return (
      <Select
        size="xs"
        className={classes.owner}
        aria-label={t("missed.ownerOf", { who })}
        placeholder={t("missed.nobody")}
        clearable
        clearButtonProps={{ "aria-label": t("missed.nobody") }}
        searchable
        data={[...owners, ...known]}
        value={item.owner ? String(item.owner.id) : null}
        onChange={(value) => set(value === null ? null : Number(value))}
      />
    );
  }
  if (item.owner === null) {
    return (
      <Button size="compact-sm" variant="default" loading={own.isPending} aria-label={t("missed.takeOf", { who })} onClick={() => set(me.id)}>
        {t("missed.take")}
      </Button>
    );
  }
  if (item.owner.id !== me.id) return <>{item.owner.name}</>;
  return (
    <Button
      size="compact-sm"
      variant="light"
      loading={own.isPending}
      leftSection={<Check size={14} aria-hidden="true" />}
      aria-label={t("missed.giveBackOf", { who })}
      title={t("missed.giveBack")}
      onClick={() => set(null)}
    >
      {t("missed.mine")}
    </Button>
  );
}

function Result({ item }: { item: MissedContact }) {
  const { t, i18n } = useTranslation();
  const language = useLanguage();
  const key = `missed.results.${item.result}`;
  return (
    <>
      {i18n.exists(key) ? t(key as "missed.results.no_need") : item.result}
      <span className={table.under}>
        {item.done_by ?? t("missed.byItself")}
        {item.done_at ? ` · ${dateTime(item.done_at, language)}` : null}
      </span>
    </>
  );
}

function DoneMenu({ label, of, disabled, onDone }: { label: string; of?: string; disabled?: boolean; onDone: (result: MissedResult) => void }) {
  const { t } = useTranslation();
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button
          size="compact-sm"
          variant="default"
          disabled={disabled}
          data-testid={of === undefined ? "done-many" : undefined}
          aria-label={of === undefined ? undefined : t("missed.doneOf", { who: of })}
          leftSection={<CheckCheck size={14} aria-hidden="true" />}
        >
          {label}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {RESULTS.map((result) => (
          <Menu.Item key={result} onClick={() => onDone(result)}>
            {t(`missed.results.${result}`)}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
