import { Button, SegmentedControl, Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { CountedContact, Metric } from "@/api/types";
import { ErrorState } from "@/design/Notice";
import table from "@/design/Table.module.css";
import { dateTime } from "@/format/time";
import { useLanguage } from "@/i18n";

import classes from "./Figures.module.css";
import type { Stretch } from "./search";
import { isTime, NOTHING, shownSeconds } from "./shown";
import { useContacts } from "./useFigures";

interface Props {
  metric: Metric;
  queue: string;
  stretch: Stretch;
  onExplain: (workItem: number) => void;
}

/** The very contacts that a number counts, in the order of time. */
export function Contacts({ metric, queue, stretch, onExplain }: Props) {
  const { t } = useTranslation();
  const [part, setPart] = useState<"numerator" | "denominator">("numerator");
  // Summed times are those of the very contacts that are divided by: one list is enough.
  const hasParts = metric.denominator.length > 0 && !isTime(metric.numerator);
  const found = useContacts({ metric: metric.key, part: hasParts || metric.denominator.length === 0 ? part : "denominator", queue, ...stretch });
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section aria-label={t("figures.contacts")}>
      <h3 className={classes.title}>{t("figures.contacts")}</h3>
      {hasParts ? (
        <SegmentedControl
          size="xs"
          mb="xs"
          aria-label={t("figures.part")}
          value={part}
          onChange={setPart}
          data={[
            { value: "numerator", label: t("figures.numerator") },
            { value: "denominator", label: t("figures.denominator") },
          ]}
        />
      ) : null}
      {found.error ? <ErrorState error={found.error} retry={() => void found.refetch()} /> : null}
      {found.isPending ? <Skeleton height={160} /> : null}
      {found.isSuccess && items.length === 0 ? <p className={classes.soft}>{t("figures.noContacts")}</p> : null}
      {items.length > 0 ? <ContactTable items={items} onExplain={onExplain} /> : null}
      {found.hasNextPage ? (
        <Button mt="xs" variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
          {t("action.loadMore")}
        </Button>
      ) : null}
    </section>
  );
}

function ContactTable({ items, onExplain }: { items: CountedContact[]; onExplain: (workItem: number) => void }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const isStay = items[0]?.kind === "stay";
  const seconds = (value: number | null) => (value === null ? NOTHING : shownSeconds(value));
  return (
    <div className={classes.frame} role="group" aria-label={t("figures.contacts")} tabIndex={0}>
      <table className={`${table.table} ${classes.table}`} data-testid="figure-contacts">
        <thead>
          <tr>
            <th scope="col">{t("calls.time")}</th>
            <th scope="col">{t("calls.ticket")}</th>
            {isStay ? (
              <>
                <th scope="col">{t("figures.end")}</th>
                <th scope="col" className={table.number}>
                  {t("calls.waited")}
                </th>
              </>
            ) : (
              <>
                <th scope="col">{t("figures.agent")}</th>
                <th scope="col" className={table.number}>
                  {t("calls.talked")}
                </th>
                <th scope="col" className={table.number}>
                  {t("figures.wrapUp")}
                </th>
              </>
            )}
            <th scope="col">
              <span className="visually-hidden">{t("agents.actions")}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {items.map((contact) => (
            <tr key={`${contact.at} ${contact.offer_id ?? contact.work_item_id}`}>
              <th scope="row">
                <time dateTime={contact.at}>{dateTime(contact.at, language)}</time>
              </th>
              <td>
                {contact.ticket ? (
                  <Link to="/tickets/$ticketId" params={{ ticketId: String(contact.ticket.id) }}>
                    {contact.ticket.number}
                  </Link>
                ) : (
                  NOTHING
                )}
              </td>
              {isStay ? (
                <>
                  <td>{contact.outcome === null ? t("figures.outcomes.waiting") : t(`figures.outcomes.${contact.outcome as "answered"}`)}</td>
                  <td className={table.number}>{seconds(contact.wait_s)}</td>
                </>
              ) : (
                <>
                  <td>{contact.agent_name ?? NOTHING}</td>
                  <td className={table.number}>{seconds(contact.talk_s)}</td>
                  <td className={table.number}>{seconds(contact.wrap_s)}</td>
                </>
              )}
              <td className={table.number}>
                <Button size="compact-xs" variant="default" onClick={() => onExplain(contact.work_item_id)}>
                  {t("waiting.why")}
                </Button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
