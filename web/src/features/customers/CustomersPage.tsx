import { Button, Skeleton, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { Link } from "@tanstack/react-router";
import { BookUser, Search } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { CustomerSummary } from "@/api/types";
import { EmptyState, ErrorState } from "@/design/Notice";
import { Page } from "@/design/Page";
import table from "@/design/Table.module.css";
import { formatPhone } from "@/format/phone";
import { useLanguage } from "@/i18n";
import { languageName, TierChip } from "@/parts/CustomerParts";
import { Found } from "@/parts/Found";

import { useCustomers } from "./useCustomers";

const TYPING_MS = 200;

/** Customers by name, company, number or e-mail. */
export function CustomersPage({ q, onSearch }: { q: string; onSearch: (q: string) => void }) {
  const { t } = useTranslation();
  const found = useCustomers(q);
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Page name={t("nav.customers")}>
      <div className={table.toolbar}>
        <WordSearch q={q} onSearch={onSearch} />
      </div>
      {found.error ? <ErrorState error={found.error} retry={() => void found.refetch()} /> : null}
      {found.isPending ? <Skeleton height={320} radius="lg" /> : null}
      {found.isSuccess && items.length === 0 ? (
        <div className={table.frame}>
          <EmptyState icon={<BookUser />} title={t("customers.noneTitle")}>
            {t("customers.noneText")}
          </EmptyState>
        </div>
      ) : null}
      {items.length > 0 ? <CustomerTable items={items} q={q} /> : null}
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
  const [shown, setShown] = useState(q);
  const search = useDebouncedCallback(onSearch, TYPING_MS);
  if (q !== shown) {
    // The address changed by another way than this field, for example the back button.
    setShown(q);
    if (q !== words.trim()) setWords(q);
  }
  return (
    <search className={table.search}>
      <TextInput
        aria-label={t("customers.search")}
        placeholder={t("customers.searchHint")}
        leftSection={<Search size={16} aria-hidden="true" />}
        value={words}
        onChange={(event) => {
          setWords(event.currentTarget.value);
          search(event.currentTarget.value.trim());
        }}
      />
    </search>
  );
}

function CustomerTable({ items, q }: { items: CustomerSummary[]; q: string }) {
  const { t } = useTranslation();
  const language = useLanguage();
  return (
    <div className={table.frame}>
      <table className={table.table} data-testid="customers-table">
        <thead>
          <tr>
            <th scope="col">{t("customers.name")}</th>
            <th scope="col">{t("customers.tier")}</th>
            <th scope="col">{t("customers.company")}</th>
            <th scope="col">{t("customer.language")}</th>
            <th scope="col">{t("customers.phones")}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((customer) => (
            <tr key={customer.id}>
              <th scope="row">
                <Link
                  to="/customers/$customerId"
                  params={{ customerId: String(customer.id) }}
                  className={table.rowLink}
                >
                  <Found text={customer.name} q={q} />
                </Link>
                {customer.found.map((value) => (
                  <span key={value} className={table.under}>
                    <Found text={value} q={q} />
                  </span>
                ))}
              </th>
              <td>
                <TierChip tier={customer.tier} />
              </td>
              <td>{customer.company ? <Found text={customer.company} q={q} /> : <span className={table.none}>—</span>}</td>
              <td>{customer.language ? languageName(customer.language, language) : null}</td>
              <td>
                <Found text={customer.phones.map(formatPhone).join(", ")} q={q} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
