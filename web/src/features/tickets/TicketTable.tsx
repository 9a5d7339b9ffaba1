import { Checkbox } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { StickyNote } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { TicketFound } from "@/api/types";
import { Chip } from "@/design/Chip";
import table from "@/design/Table.module.css";
import { ago, dateTime, useNow } from "@/format/time";
import { useLanguage } from "@/i18n";
import { Found } from "@/parts/Found";
import { PriorityChip, TicketStateChip } from "@/parts/TicketParts";
import { useQueueNames } from "@/parts/useQueueNames";

import classes from "./TicketsPage.module.css";

interface Props {
  items: TicketFound[];
  q: string;
  /** Null where nothing can be done with what is chosen. */
  chosen: ReadonlySet<number> | null;
  onChoose: (ids: ReadonlySet<number>) => void;
}

/** Tickets in rows; after a search with the words marked, and the note that holds them. */
export function TicketTable({ items, q, chosen, onChoose }: Props) {
  const { t } = useTranslation();
  const all = chosen !== null && items.every(({ id }) => chosen.has(id));
  const some = chosen !== null && items.some(({ id }) => chosen.has(id));
  return (
    <div className={table.frame}>
      <table className={table.table} data-testid="tickets-table">
        <thead>
          <tr>
            {chosen === null ? null : (
              <td className={`${classes.check} ${classes.headCheck}`}>
                <Checkbox
                  aria-label={t("many.all")}
                  checked={all}
                  indeterminate={some && !all}
                  onChange={() => onChoose(new Set(all ? [] : items.slice(0, 100).map(({ id }) => id)))}
                />
              </td>
            )}
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
            <Row key={ticket.id} ticket={ticket} q={q} chosen={chosen} onChoose={onChoose} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ ticket, q, chosen, onChoose }: { ticket: TicketFound } & Omit<Props, "items">) {
  const { t } = useTranslation();
  const language = useLanguage();
  const queueNames = useQueueNames();
  const now = useNow();
  const toggle = () => {
    const next = new Set(chosen);
    if (!next.delete(ticket.id)) next.add(ticket.id);
    onChoose(next);
  };
  return (
    <tr data-chosen={chosen?.has(ticket.id) || undefined} className={classes.row}>
      {chosen === null ? null : (
        <td className={classes.check}>
          <Checkbox
            className={table.above}
            aria-label={t("many.one", { ticket: ticket.number })}
            checked={chosen.has(ticket.id)}
            onChange={toggle}
          />
        </td>
      )}
      <th scope="row">
        <Link to="/tickets/$ticketId" params={{ ticketId: String(ticket.id) }} className={table.rowLink}>
          <Found text={ticket.subject} q={q} />
        </Link>
        <span className={table.under}>
          <Found text={ticket.number} q={q} />
          {ticket.tags.map((tag) => (
            <span key={tag} className={classes.tagged}>
              <Chip>{tag}</Chip>
            </span>
          ))}
        </span>
        {ticket.found ? (
          <span className={classes.note} data-testid="found-in-note">
            <StickyNote size={13} aria-hidden="true" />
            <span className="visually-hidden">{t("tickets.foundInNote")}</span>
            <span>
              <Found text={ticket.found.text} q={q} />
            </span>
          </span>
        ) : null}
      </th>
      <td>
        <TicketStateChip state={ticket.state} />
      </td>
      <td>
        <PriorityChip priority={ticket.priority} always />
      </td>
      <td>{ticket.customer?.name ?? <span className={table.none}>—</span>}</td>
      <td>
        {ticket.queue === null ? (
          <span className={table.none}>—</span>
        ) : (
          (queueNames.get(ticket.queue) ?? ticket.queue)
        )}
      </td>
      <td>{ticket.assignee?.name ?? <span className={table.none}>{t("tickets.nobody")}</span>}</td>
      <td>
        <time dateTime={ticket.updated_at} title={dateTime(ticket.updated_at, language)}>
          {ago(ticket.updated_at, now, language)}
        </time>
      </td>
    </tr>
  );
}
