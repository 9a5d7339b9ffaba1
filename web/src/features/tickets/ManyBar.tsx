import { Button, CloseButton, Menu, TextInput } from "@mantine/core";
import { ChevronDown } from "lucide-react";
import { type SubmitEvent, useState } from "react";
import { useTranslation } from "react-i18next";

import type { ManyChange, Me, TicketState } from "@/api/types";
import { useQueueNames } from "@/parts/useQueueNames";

import { PRIORITIES } from "./search";
import classes from "./TicketsPage.module.css";
import { useAssignees } from "./useTickets";

/** To which states many tickets can be brought at once: those that need no date. */
const STATES: TicketState[] = ["open", "pending_customer", "pending_third_party", "resolved", "closed"];

interface Props {
  count: number;
  me: Me;
  isBusy: boolean;
  onChange: (change: ManyChange) => void;
  onClear: () => void;
}

/** What can be done with the tickets that are chosen. It is done at once; the line above then says of each what came of it. */
export function ManyBar({ count, me, isBusy, onChange, onClear }: Props) {
  const { t } = useTranslation();
  const queues = useQueueNames();
  const people = useAssignees(null, me);
  const [tag, setTag] = useState("");
  const addTag = (event: SubmitEvent) => {
    event.preventDefault();
    if (tag.trim() === "") return;
    onChange({ add_tags: [tag.trim()] });
    setTag("");
  };
  return (
    <section className={classes.bar} aria-label={t("many.title")} data-testid="many-bar">
      <strong>{t("many.chosen", { count })}</strong>
      <Choice
        label={t("tickets.state")}
        isBusy={isBusy}
        options={STATES.map((state) => [t(`ticketState.${state}`), () => onChange({ state })])}
      />
      <Choice
        label={t("tickets.priority")}
        isBusy={isBusy}
        options={PRIORITIES.map((priority) => [t(`priority.${priority}`), () => onChange({ priority })])}
      />
      <Choice
        label={t("tickets.assignee")}
        isBusy={isBusy}
        options={[
          ...[...people].map(([id, name]): [string, () => void] => [name, () => onChange({ assignee_id: id })]),
          [t("ticket.unassign"), () => onChange({ assignee_id: null })],
        ]}
      />
      <Choice
        label={t("tickets.queue")}
        isBusy={isBusy}
        options={[...queues].map(([queue, name]) => [name, () => onChange({ queue })])}
      />
      <form onSubmit={addTag}>
        <TextInput
          aria-label={t("many.addTag")}
          placeholder={t("many.addTag")}
          size="xs"
          maxLength={40}
          disabled={isBusy}
          value={tag}
          onChange={(event) => setTag(event.currentTarget.value)}
        />
      </form>
      <CloseButton className={classes.clear} aria-label={t("many.clear")} onClick={onClear} />
    </section>
  );
}

function Choice({ label, options, isBusy }: { label: string; options: [string, () => void][]; isBusy: boolean }) {
  return (
    <Menu position="bottom-start">
      <Menu.Target>
        <Button
          size="compact-sm"
          variant="default"
          disabled={isBusy}
          rightSection={<ChevronDown size={13} aria-hidden="true" />}
        >
          {label}
        </Button>
      </Menu.Target>
      <Menu.Dropdown mah={320} style={{ overflowY: "auto" }}>
        {options.map(([name, run]) => (
          <Menu.Item key={name} onClick={run}>
            {name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
