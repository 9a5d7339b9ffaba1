import { Modal, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { BookUser, Search, Ticket, Zap } from "lucide-react";
import { type KeyboardEvent, useId, useState } from "react";
import { useTranslation } from "react-i18next";

import * as api from "@/api/endpoints";
import type { Me } from "@/api/types";
import { formatPhone } from "@/format/phone";
import { switchLanguage, useLanguage } from "@/i18n";
import { Keycaps } from "@/keys/Keycaps";
import { type CommandId, KEYS, runCommand, useActiveCommands } from "@/keys/shortcuts";

import classes from "./CommandPalette.module.css";
import { hasDesk, PLACES } from "./navigation";

interface Entry {
  id: string;
  kind: "act" | "customer" | "ticket";
  text: string;
  aside?: string;
  keys?: CommandId;
  run: () => void;
}

interface Props {
  me: Me;
  onClose: () => void;
  onCheck?: () => void;
  onLogOut: () => void;
}

const ICON = { act: Zap, customer: BookUser, ticket: Ticket } as const;
/** Not acts of their own: the digits stand for what is on the screen, this list is open already. */
const LEFT_OUT: readonly CommandId[] = ["palette", "choice1", "choice2", "choice3", "choice4", "choice5", "choice6", "choice7", "choice8", "choice9"];
const fold = (text: string) => text.normalize("NFKD").replace(/\p{Diacritic}/gu, "").toLocaleLowerCase();

/** All that can be done now, and what can be found, from one field. What is listed is what its own key or button would do. */
export function CommandPalette({ me, onClose, onCheck, onLogOut }: Props) {
  const { t } = useTranslation();
  const id = useId();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const acts = useActs(me, onCheck, onLogOut);
  const words = fold(text).split(/\s+/).filter(Boolean);
  const fitting = acts.filter((entry) => words.every((word) => fold(entry.text).includes(word)));
  const { entries: found, isPending } = useFound(text.trim());
  const entries = [...fitting, ...found];
  const chosen = Math.min(at, entries.length - 1);
  const choose = (entry: Entry | undefined) => {
    if (!entry) return;
    onClose();
    // After the list is gone, so that the focus it gives back does not undo what the act does.
    setTimeout(entry.run);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && entries.length > 0) {
      event.preventDefault();
      setAt((chosen + step + entries.length) % entries.length);
    } else if (event.key === "Enter" && !event.nativeEvent.isComposing) {
      event.preventDefault();
      choose(entries[chosen]);
    }
  };
  return (
    <Modal.Root opened onClose={onClose} size="lg">
      <Modal.Overlay />
      <Modal.Content aria-label={t("palette.title")}>
      <TextInput
        data-autofocus
        size="md"
        variant="unstyled"
        className={classes.field}
        leftSection={<Search size={16} aria-hidden="true" />}
        placeholder={t("palette.placeholder")}
        aria-label={t("palette.title")}
        role="combobox"
        aria-expanded
        aria-controls={`${id}-list`}
        aria-activedescendant={entries.length > 0 ? `${id}-${chosen}` : undefined}
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={onKeyDown}
      />
      <ul className={classes.list} role="listbox" id={`${id}-list`} aria-label={t("palette.title")}>
        {entries.map((entry, index) => {
          const Icon = ICON[entry.kind];
          return (
            <li
              key={entry.id}
              id={`${id}-${index}`}
              role="option"
              aria-selected={index === chosen}
              className={classes.entry}
              onClick={() => choose(entry)}
              data-testid={`palette-${entry.id}`}
              ref={index === chosen ? (item) => item?.scrollIntoView({ block: "nearest" }) : undefined}
            >
              <Icon size={16} aria-hidden="true" />
              <span className={classes.text}>{entry.text}</span>
              {entry.aside ? <span className={classes.aside}>{entry.aside}</span> : null}
              {entry.keys ? <Keycaps of={entry.keys} /> : null}
            </li>
          );
        })}
      </ul>
      {entries.length === 0 ? <p className={classes.none}>{t(isPending ? "palette.searching" : "palette.nothing")}</p> : null}
      </Modal.Content>
    </Modal.Root>
  );
}

function useActs(me: Me, onCheck: (() => void) | undefined, onLogOut: () => void): Entry[] {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const language = useLanguage();
  const { active } = useActiveCommands();
  const commands = (Object.keys(KEYS) as CommandId[])
    .filter((id) => active.has(id) && !LEFT_OUT.includes(id) && !id.startsWith("go"))
    .map((id): Entry => ({ id, kind: "act", text: t(`keys.${id as "accept"}`), keys: id, run: () => void runCommand(id) }));
  const available: Entry[] = active.has("goAvailable")
    ? [{ id: "goAvailable", kind: "act", text: t("keys.goAvailable"), keys: "goAvailable", run: () => void runCommand("goAvailable") }]
    : [];
  const places = PLACES.filter(({ roles }) => roles.includes(me.role)).map(
    ({ key, to }): Entry => ({ id: `go-${key}`, kind: "act", text: t("palette.go", { place: t(`nav.${key}`) }), run: () => void navigate({ to }) }),
  );
  const other = language === "en" ? ("zh-CN" as const) : ("en" as const);
  const isLead = me.role === "supervisor" || me.role === "admin";
  const rest: Entry[] = [
    ...(isLead ? [{ id: "go-numbers", kind: "act" as const, text: t("palette.go", { place: t("numbers.title") }), run: () => void navigate({ to: "/numbers" }) }] : []),
    { id: "language", kind: "act", text: other === "en" ? "English" : "中文", aside: t("settings.language"), run: () => void switchLanguage(other) },
    ...(onCheck && hasDesk(me.role) ? [{ id: "check", kind: "act" as const, text: t("ring.check"), run: onCheck }] : []),
    { id: "log-out", kind: "act", text: t("settings.logOut"), run: onLogOut },
  ];
  return [...commands, ...available, ...places, ...rest];
}

/** Customers by name or number, tickets by number or words. */
function useFound(text: string): { entries: Entry[]; isPending: boolean } {
  const navigate = useNavigate();
  const [q] = useDebouncedValue(text, 150);
  const isAsked = q.length >= 2;
  const customers = useQuery({
    queryKey: ["customers", "palette", q],
    queryFn: () => api.customers({ q, limit: 5 }),
    enabled: isAsked,
  });
  const tickets = useQuery({ queryKey: ["tickets-found", q], queryFn: () => api.tickets({ q, limit: 5 }), enabled: isAsked });
  if (!isAsked) return { entries: [], isPending: text.length >= 2 };
  const entries = [
    ...(customers.data?.items ?? []).map(
      (each): Entry => ({
        id: `customer-${each.id}`,
        kind: "customer",
        text: each.name,
        aside: [each.company ?? "", ...each.phones.slice(0, 1).map(formatPhone)].filter(Boolean).join(" · "),
        run: () => void navigate({ to: "/customers/$customerId", params: { customerId: String(each.id) } }),
      }),
    ),
    ...(tickets.data?.items ?? []).map(
      (each): Entry => ({
        id: `ticket-${each.id}`,
        kind: "ticket",
        text: each.subject,
        aside: each.number,
        run: () => void navigate({ to: "/tickets/$ticketId", params: { ticketId: String(each.id) } }),
      }),
    ),
  ];
  return { entries, isPending: q !== text || customers.isPending || tickets.isPending };
}
