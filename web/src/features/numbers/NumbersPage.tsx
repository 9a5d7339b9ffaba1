import { Button, SegmentedControl, Skeleton, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { Ban, Search } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { ListedNumber, NumberListName } from "@/api/types";
import { Chip } from "@/design/Chip";
import { EmptyState, ErrorState } from "@/design/Notice";
import { Page } from "@/design/Page";
import table from "@/design/Table.module.css";
import { formatPhone } from "@/format/phone";
import { dateTime, useNow } from "@/format/time";
import { useLanguage } from "@/i18n";

import { AddNumber } from "./AddNumber";
import classes from "./Numbers.module.css";
import { LISTS, type NumbersSearch } from "./search";
import { useNumberActs, useNumbers } from "./useNumbers";

const TYPING_MS = 200;

interface Props {
  search: NumbersSearch;
  onSearch: (search: NumbersSearch) => void;
}

/** The numbers whose calls are not let in, and those that nobody is to call. */
export function NumbersPage({ search, onSearch }: Props) {
  const { t } = useTranslation();
  const list = search.list ?? "blocked";
  const [typed, setTyped] = useState(search.q ?? "");
  const find = useDebouncedCallback((q: string) => onSearch({ list: search.list, q: q || undefined }), TYPING_MS);
  return (
    <Page name={t("numbers.title")}>
      <div className={table.toolbar}>
        <SegmentedControl
          size="sm"
          aria-label={t("numbers.which")}
          value={list}
          onChange={(next) => onSearch({ ...search, list: LISTS.find((each) => each === next) })}
          data={LISTS.map((value) => ({ value, label: t(`numbers.lists.${value}`) }))}
        />
        <search className={table.search}>
          <TextInput
            aria-label={t("numbers.find")}
            placeholder={t("numbers.find")}
            inputMode="tel"
            maxLength={100}
            leftSection={<Search size={16} aria-hidden="true" />}
            value={typed}
            onChange={(event) => {
              setTyped(event.currentTarget.value);
              find(event.currentTarget.value.trim());
            }}
          />
        </search>
      </div>
      <AddNumber key={`${list} ${search.add ?? ""}`} list={list} number={search.add ?? ""} />
      <Listed list={list} q={search.q} />
    </Page>
  );
}

function Listed({ list, q }: { list: NumberListName; q: string | undefined }) {
  const { t } = useTranslation();
  const found = useNumbers(list, q);
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      {found.error ? <ErrorState error={found.error} retry={() => void found.refetch()} /> : null}
      {found.isPending ? <Skeleton height={240} radius="lg" /> : null}
      {found.isSuccess && items.length === 0 ? (
        <div className={table.frame}>
          <EmptyState icon={<Ban />} title={t(`numbers.noneTitle.${list}`)}>
            {t(q === undefined ? "numbers.noneText" : "numbers.noneFound")}
          </EmptyState>
        </div>
      ) : null}
      {items.length > 0 ? <NumberTable list={list} items={items} /> : null}
      {found.hasNextPage ? (
        <Button variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
          {t("action.loadMore")}
        </Button>
      ) : null}
    </>
  );
}

function NumberTable({ list, items }: { list: NumberListName; items: ListedNumber[] }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const { remove } = useNumberActs(list);
  return (
    <div className={table.frame}>
      <table className={table.table} data-testid="numbers-table">
        <thead>
          <tr>
            <th scope="col">{t("numbers.number")}</th>
            <th scope="col">{t("numbers.reason")}</th>
            <th scope="col">{t("numbers.addedBy")}</th>
            <th scope="col">{t("numbers.when")}</th>
            <th scope="col">{t("numbers.end")}</th>
            <th scope="col">
              <span className="visually-hidden">{t("agents.actions")}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr key={item.id} data-number={item.number}>
              <th scope="row" className={table.caller}>
                {formatPhone(item.number)}
              </th>
              <td className={classes.why}>{item.reason}</td>
              <td>{item.added_by}</td>
              <td>{dateTime(item.added_at, language)}</td>
              <td>
                <End at={item.expires_at} />
              </td>
              <td className={table.number}>
                <Button
                  size="compact-sm"
                  variant="default"
                  aria-label={t("numbers.removeOf", { number: formatPhone(item.number) })}
                  loading={remove.isPending && remove.variables.id === item.id}
                  onClick={() => remove.mutate(item)}
                >
                  {t("numbers.remove")}
                </Button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** What is over stays listed for a while, and counts no more. */
function End({ at }: { at: string | null }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const now = useNow();
  if (at === null) return <span className={table.none}>{t("numbers.always")}</span>;
  return Date.parse(at) <= now ? <Chip tone="grey">{t("numbers.over")}</Chip> : <>{dateTime(at, language)}</>;
}
