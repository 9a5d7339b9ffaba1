import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import type { PastOffer } from "@/api/types";
import { Panel } from "@/design/Panel";
import { formatPhone } from "@/format/phone";
import { ago, useNow } from "@/format/time";
import { useLanguage, useText } from "@/i18n";

import classes from "./LostOffers.module.css";
import { lostText, useLostOffers } from "./lostOffers";

interface Props {
  /** What can be done about one of them: the place for a call back. Only where there is a number to call. */
  acts?: (lost: PastOffer, number: string) => ReactNode;
}

/** The trace of calls that rang here and went elsewhere, of the last day, also after a reload. */
export function LostOffers({ acts }: Props) {
  const { t } = useTranslation();
  const text = useText();
  const language = useLanguage();
  const now = useNow();
  const lost = useLostOffers();
  if (lost.length === 0) return null;
  return (
    <Panel title={t("lost.title")} count={lost.length} flush testId="lost-offers">
      <ul>
        {lost.slice(0, 5).map((offer) => (
          <li key={offer.offer_id} className={classes.line}>
            <span className={classes.text} data-wide>
              <span className={classes.name}>
                <Name offer={offer} />
              </span>
              <span className={classes.soft}>
                {lostText(t, offer)} · {text(offer.queue_name)}
                {offer.number === null ? null : ` · ${formatPhone(offer.number)}`}
              </span>
            </span>
            <span className={classes.acts}>
              {acts && offer.number !== null ? acts(offer, offer.number) : null}
              <time className={classes.soft} dateTime={offer.ended_at}>
                {ago(offer.ended_at, now, language)}
              </time>
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Name({ offer }: { offer: PastOffer }) {
  const { t } = useTranslation();
  const name =
    offer.customer?.name ?? (offer.number === null ? t("pop.withheld") : offer.match === "many" ? t("lost.several") : t("pop.unknown"));
  if (!offer.ticket) return name;
  return (
    <Link to="/tickets/$ticketId" params={{ ticketId: String(offer.ticket.id) }}>
      {name}
    </Link>
  );
}
