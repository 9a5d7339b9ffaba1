import { Button, Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import type { Profile, TimelineEntry } from "@/api/types";
import { ErrorState } from "@/design/Notice";
import { Page } from "@/design/Page";
import { Panel } from "@/design/Panel";
import { clock, dateTime } from "@/format/time";
import { useLanguage } from "@/i18n";
import { useViewing } from "@/live/LiveProvider";
import { CallButton } from "@/parts/CallButton";
import { EvidenceLine, TierChip } from "@/parts/CustomerParts";
import { TicketLine } from "@/parts/TicketParts";
import { useDispositionName } from "@/parts/useDispositionName";
import { useOutcomeText } from "@/parts/useOutcomeText";
import { Viewers } from "@/parts/Viewers";

import { CustomerFields } from "./CustomerFields";
import { useCustomerForm } from "./useCustomerForm";
import classes from "./CustomerPage.module.css";
import { useCustomer, useTimeline } from "./useCustomers";

/** Everything we know about one customer, the newest first. */
export function CustomerPage({ id, mayCall }: { id: number; mayCall: boolean }) {
  const { t } = useTranslation();
  const { data: profile, error, refetch } = useCustomer(id);
  if (error) return <ErrorState error={error} retry={() => void refetch()} />;
  if (!profile) {
    return (
      <Page name={t("customers.loading")}>
        <Skeleton height={280} radius="lg" />
      </Page>
    );
  }
  return <Shown key={profile.id} profile={profile} mayCall={mayCall} />;
}

function Shown({ profile, mayCall }: { profile: Profile; mayCall: boolean }) {
  const { t } = useTranslation();
  const form = useCustomerForm(profile);
  useViewing({ customer_id: profile.id, is_editing: form.isChanged });
  return (
    <Page
      name={profile.name}
      aside={<Viewers kind="customer" id={profile.id} />}
      above={<Link to="/customers">{t("nav.customers")}</Link>}
      title={
        <>
          {profile.name}
          <TierChip tier={profile.tier} />
        </>
      }
    >
      <div className={classes.columns}>
        <Timeline id={profile.id} />
        <div className={classes.side}>
          <CustomerFields form={form} />
          <Identities profile={profile} mayCall={mayCall} />
          <Panel title={t("customer.openTickets")} count={profile.open_tickets.length} flush>
            {profile.open_tickets.length === 0 ? (
              <p className={classes.none}>{t("customer.noOpenTickets")}</p>
            ) : (
              <ul>
                {profile.open_tickets.map((ticket) => (
                  <li key={ticket.id}>
                    <TicketLine ticket={ticket} />
                  </li>
                ))}
              </ul>
            )}
          </Panel>
          {profile.restricted_tickets > 0 ? (
            <p className={classes.soft}>{t("pop.restricted", { count: profile.restricted_tickets })}</p>
          ) : null}
        </div>
      </div>
    </Page>
  );
}

function Identities({ profile, mayCall }: { profile: Profile; mayCall: boolean }) {
  const { t } = useTranslation();
  return (
    <Panel title={t("customers.reach")}>
      {profile.identities.length === 0 ? <p className={classes.soft}>{t("customers.noIdentities")}</p> : null}
      <ul className={classes.identities}>
        {profile.identities.map((identity) => (
          <li key={`${identity.kind}:${identity.value}`}>
            <EvidenceLine evidence={identity} />
            {mayCall && identity.kind === "phone" && identity.value.startsWith("+") ? (
              <CallButton dialling={{ call: { to: identity.value, customer_id: profile.id }, name: profile.name }} />
            ) : null}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Timeline({ id }: { id: number }) {
  const { t } = useTranslation();
  const timeline = useTimeline(id);
  const items = timeline.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Panel title={t("customers.timeline")} flush>
      {timeline.error ? <ErrorState error={timeline.error} retry={() => void timeline.refetch()} /> : null}
      {timeline.isPending ? <Skeleton height={160} m="md" /> : null}
      {timeline.isSuccess && items.length === 0 ? <p className={classes.none}>{t("customers.noTimeline")}</p> : null}
      <ol>
        {items.map((entry, index) => (
          <TimelineLine key={`${entry.at}${index}`} entry={entry} />
        ))}
      </ol>
      {timeline.hasNextPage ? (
        <Button
          variant="subtle"
          fullWidth
          loading={timeline.isFetchingNextPage}
          onClick={() => void timeline.fetchNextPage()}
        >
          {t("action.loadMore")}
        </Button>
      ) : null}
    </Panel>
  );
}

function TimelineFacts({ entry: { kind, data } }: { entry: TimelineEntry }) {
  const { t } = useTranslation();
  const dispositionName = useDispositionName();
  const outcomeText = useOutcomeText();
  const word = (name: string) => (typeof data[name] === "string" ? data[name] : null);
  const talked = typeof data.talk_s === "number" && data.talk_s > 0 ? t("ticket.talked", { time: clock(data.talk_s) }) : null;
  const missed = word("outcome") === "answered" ? null : outcomeText(word("outcome"));
  const facts =
    kind === "call"
      ? [word("number"), word("agent"), talked, dispositionName(word("disposition")), missed]
      : kind === "note"
        ? [word("number"), word("author")]
        : [word("number")];
  const line = facts.filter(Boolean).join(" · ");
  return line === "" ? null : <span className={classes.facts}>{line}</span>;
}

function TimelineLine({ entry }: { entry: TimelineEntry }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const ticketId = entry.data.ticket_id;
  return (
    <li className={classes.entry}>
      <span className={classes.kind} data-kind={entry.kind}>
        {t(`timeline.${entry.kind}`)}
      </span>
      <span className={classes.entryTitle}>
        {typeof ticketId === "number" ? (
          <Link to="/tickets/$ticketId" params={{ ticketId: String(ticketId) }}>
            {entry.title}
          </Link>
        ) : (
          entry.title
        )}
        <TimelineFacts entry={entry} />
      </span>
      <time className={classes.soft} dateTime={entry.at}>
        {dateTime(entry.at, language)}
      </time>
    </li>
  );
}
