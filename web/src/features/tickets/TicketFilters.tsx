import { MultiSelect, Select, TextInput } from "@mantine/core";
import { Search } from "lucide-react";
import { type SubmitEvent, useState } from "react";
import { useTranslation } from "react-i18next";

import type { Me } from "@/api/types";
import { useQueueNames } from "@/parts/useQueueNames";

import { PRIORITIES, STATES, type TicketSearch } from "./search";
import classes from "./TicketsPage.module.css";
import { useAssignees } from "./useTickets";

interface Props {
  search: TicketSearch;
  me: Me;
  onSearch: (search: TicketSearch) => void;
}

/** What narrows the list down; all of it stands in the address. */
export function TicketFilters({ search, me, onSearch }: Props) {
  const { t } = useTranslation();
  const queues = useQueueNames();
  const people = useAssignees(null, me);
  const set = (part: Partial<TicketSearch>) => onSearch({ ...search, ...part });
  const some = <Word,>(words: Word[]) => (words.length === 0 ? undefined : words);
  return (
    <div className={classes.filters}>
      <TextSearch
        key={`q${search.q}`}
        label={t("tickets.search")}
        hint={t("tickets.searchHint")}
        text={search.q ?? ""}
        onSearch={(q) => set({ q })}
        isWide
      />
      <Select
        aria-label={t("tickets.queue")}
        placeholder={t("tickets.everyQueue")}
        clearable
        clearButtonProps={{ "aria-label": t("tickets.everyQueue") }}
        data={[...queues].map(([value, label]) => ({ value, label }))}
        value={search.queue ?? null}
        onChange={(queue) => set({ queue: queue ?? undefined })}
      />
      <MultiSelect
        aria-label={t("tickets.state")}
        placeholder={search.state ? undefined : t("tickets.state")}
        className={classes.many}
        data={STATES.map((state) => ({ value: state, label: t(`ticketState.${state}`) }))}
        value={search.state ?? []}
        onChange={(states) => set({ state: some(states) })}
      />
      <MultiSelect
        aria-label={t("tickets.priority")}
        placeholder={search.priority ? undefined : t("tickets.priority")}
        className={classes.many}
        data={PRIORITIES.map((priority) => ({ value: priority, label: t(`priority.${priority}`) }))}
        value={search.priority ?? []}
        onChange={(priorities) => set({ priority: some(priorities) })}
      />
      <Select
        aria-label={t("tickets.assignee")}
        placeholder={t("tickets.assignee")}
        clearable
        clearButtonProps={{ "aria-label": t("tickets.anybody") }}
        data={[
          { value: "me", label: people.get(me.id) ?? me.name },
          { value: "none", label: t("tickets.nobody") },
          ...[...people].filter(([id]) => id !== me.id).map(([id, name]) => ({ value: String(id), label: name })),
        ]}
        value={search.assignee ?? null}
        onChange={(assignee) => set({ assignee: assignee ?? undefined })}
      />
      <TextSearch
        key={`tag${search.tag}`}
        label={t("ticket.tags")}
        hint={t("tickets.tagHint")}
        text={search.tag ?? ""}
        onSearch={(tag) => set({ tag })}
      />
    </div>
  );
}

interface TextProps {
  label: string;
  hint: string;
  text: string;
  onSearch: (text: string | undefined) => void;
  isWide?: boolean;
}

function TextSearch({ label, hint, text, onSearch, isWide = false }: TextProps) {
  const [words, setWords] = useState(text);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    onSearch(words.trim() || undefined);
  };
  return (
    <form onSubmit={submit} className={isWide ? classes.words : classes.tag}>
      <TextInput
        aria-label={label}
        placeholder={hint}
        leftSection={isWide ? <Search size={16} aria-hidden="true" /> : undefined}
        maxLength={isWide ? 200 : 40}
        value={words}
        onChange={(event) => setWords(event.currentTarget.value)}
      />
    </form>
  );
}
