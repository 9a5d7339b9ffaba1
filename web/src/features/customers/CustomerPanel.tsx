import { Link } from "@tanstack/react-router";
import { ArrowUpRight, PhoneIncoming, PhoneMissed, PhoneOutgoing } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { LastContact, Profile } from "@/api/types";
import { Panel } from "@/design/Panel";
import { ago, clock, useNow } from "@/format/time";
import { useLanguage } from "@/i18n";
import { Avatar, EvidenceLine, languageName, TierChip } from "@/parts/CustomerParts";
import { TicketLine } from "@/parts/TicketParts";
import { useDispositionName } from "@/parts/useDispositionName";

import classes from "./CustomerPanel.module.css";

/** The customer beside the call: how to reach them, what is open, what was last said. */
export function CustomerPanel({ profile }: { profile: Profile }) {
  const { t } = useTranslation();
  const language = useLanguage();
  return (
    <div className={classes.stack} data-testid="customer-panel">
      <Panel
        title={t("customer.title")}
        aside={
          <Link to="/customers/$customerId" params={{ customerId: String(profile.id) }} className={classes.open}>
            {t("customer.open")}
            <ArrowUpRight size={14} aria-hidden="true" />
          </Link>
        }
      >
        <div className={classes.who}>
          <Avatar name={profile.name} />
          <div className={classes.whoText}>
            <p className={classes.name}>
              {profile.name} <TierChip tier={profile.tier} />
            </p>
            <p className={classes.soft}>
              {[profile.company, profile.language ? languageName(profile.language, language) : null]
                .filter(Boolean)
                .join(" · ")}
            </p>
          </div>
        </div>
        <ul className={classes.identities}>
          {profile.identities.map((identity) => (
            <li key={`${identity.kind}:${identity.value}`}>
              <EvidenceLine evidence={identity} />
            </li>
          ))}
        </ul>
        {profile.note ? <p className={classes.note}>{profile.note}</p> : null}
      </Panel>
      <Panel title={t("customer.openTickets")} count={profile.open_tickets.length} flush>
        {profile.open_tickets.length === 0 ? (
          <p className={classes.none}>{t("customer.noOpenTickets")}</p>
        ) : (
          <ul>
            {profile.open_tickets.slice(0, 5).map((ticket) => (
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
      <Panel title={t("customer.lastContacts")} flush>
        {profile.last_contacts.length === 0 ? (
          <p className={classes.none}>{t("customer.noContacts")}</p>
        ) : (
          <ul>
            {profile.last_contacts.slice(0, 3).map((contact) => (
              <ContactLine key={contact.call_id} contact={contact} />
            ))}
          </ul>
        )}
      </Panel>
    </div>
  );
}

function ContactLine({ contact }: { contact: LastContact }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const now = useNow();
  const dispositionName = useDispositionName();
  const wasAnswered = contact.outcome === "answered" || (contact.talk_s ?? 0) > 0;
  const Icon = contact.direction === "outbound" ? PhoneOutgoing : wasAnswered ? PhoneIncoming : PhoneMissed;
  const facts = [contact.agent, dispositionName(contact.disposition), contact.talk_s ? clock(contact.talk_s) : null];
  return (
    <li className={classes.contact}>
      <Icon size={14} aria-hidden="true" className={classes.contactIcon} />
      <span className={classes.contactText}>
        <span>{wasAnswered ? t("customer.spoke") : t("customer.notReached")}</span>
        <span className={classes.soft}>{facts.filter(Boolean).join(" · ")}</span>
      </span>
      <time className={classes.soft} dateTime={contact.at}>
        {ago(contact.at, now, language)}
      </time>
    </li>
  );
}
