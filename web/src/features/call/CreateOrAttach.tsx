import { Button, Combobox, Select, TextInput, useCombobox } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { type SubmitEvent, useState } from "react";
import { useTranslation } from "react-i18next";

import * as api from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { ScreenPop } from "@/api/types";
import { Callout } from "@/design/Notice";
import { useProblemText } from "@/design/useProblemText";
import { formatPhone } from "@/format/phone";
import { useLanguage } from "@/i18n";
import { languageName } from "@/parts/CustomerParts";

import classes from "./ActiveCall.module.css";
import { useChooseCustomer, useCreateCustomer } from "./commands";

const LANGUAGES = ["en", "de", "zh-CN", "fr", "es", "it", "ja"];

/** Nobody was matched: say who it is, by finding the customer or with two fields for a new one. */
export function CreateOrAttach({ pop }: { pop: ScreenPop }) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const page = useLanguage();
  const attach = useChooseCustomer(pop);
  const create = useCreateCustomer(pop);
  const [name, setName] = useState("");
  const spoken = pop.call.language || page;
  const [language, setLanguage] = useState(spoken);
  const phone = pop.call.from_kind === "e164" ? (pop.call.from ?? undefined) : undefined;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (name.trim() !== "") create.mutate({ name: name.trim(), language, phone });
  };
  const choices = LANGUAGES.includes(spoken) ? LANGUAGES : [spoken, ...LANGUAGES];
  const error = attach.error ?? create.error;
  return (
    <section className={classes.whoIsIt} aria-label={t("call.whoIsCalling")}>
      <CustomerSearch onPick={(id) => attach.mutate(id)} isBusy={attach.isPending} />
      <form className={classes.newCustomer} onSubmit={submit}>
        <TextInput
          label={t("call.newCustomerName")}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          autoComplete="off"
        />
        <Select
          label={t("customer.language")}
          data={choices.map((code) => ({ value: code, label: languageName(code, page) }))}
          value={language}
          onChange={(value) => setLanguage(value ?? spoken)}
          allowDeselect={false}
        />
        <Button type="submit" variant="default" loading={create.isPending} disabled={name.trim() === ""}>
          {t("call.createCustomer")}
        </Button>
      </form>
      <p className={classes.soft}>
        {phone === undefined ? t("call.newWithoutNumber") : t("call.newWithNumber", { number: formatPhone(phone) })}
      </p>
      {error ? (
        <div role="alert">
          <Callout tone="red">{problemText(asProblem(error))}</Callout>
        </div>
      ) : null}
    </section>
  );
}

function CustomerSearch({ onPick, isBusy }: { onPick: (id: number) => void; isBusy: boolean }) {
  const { t } = useTranslation();
  const combobox = useCombobox();
  const [text, setText] = useState("");
  const [q] = useDebouncedValue(text.trim(), 200);
  const found = useQuery({
    queryKey: ["customers", "pick", q],
    queryFn: () => api.customers({ q, limit: 6 }),
    enabled: q.length >= 2,
  });
  const items = q.length >= 2 ? (found.data?.items ?? []) : [];
  return (
    <Combobox
      store={combobox}
      onOptionSubmit={(value) => {
        combobox.closeDropdown();
        onPick(Number(value));
      }}
    >
      <Combobox.Target>
        <TextInput
          label={t("call.findCustomer")}
          placeholder={t("call.findCustomerHint")}
          value={text}
          disabled={isBusy}
          onChange={(event) => {
            setText(event.currentTarget.value);
            combobox.openDropdown();
          }}
          onFocus={() => combobox.openDropdown()}
          onBlur={() => combobox.closeDropdown()}
        />
      </Combobox.Target>
      <Combobox.Dropdown hidden={q.length < 2}>
        <Combobox.Options>
          {items.map((customer) => (
            <Combobox.Option key={customer.id} value={String(customer.id)}>
              <span className={classes.menuTicket}>
                <span>{customer.name}</span>
                <span className={classes.soft}>
                  {[customer.company ?? "", ...customer.phones.map(formatPhone)].filter(Boolean).join(" · ")}
                </span>
              </span>
            </Combobox.Option>
          ))}
          {items.length === 0 && !found.isPending ? <Combobox.Empty>{t("call.nobodyFound")}</Combobox.Empty> : null}
        </Combobox.Options>
      </Combobox.Dropdown>
    </Combobox>
  );
}
