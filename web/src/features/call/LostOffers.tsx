import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import type { PastOffer } from "@/api/types";
import { Panel } from "@/design/Panel";
import { formatPhone } from "@/format/phone";
import { ago, useNow } from "@/format/time";
import { useLanguage, useText } from "@/i18n";
import { CallButton } from "@/parts/CallButton";

import classes from "./LostOffers.module.css";
import { lostText, useLostOffers } from "./lostOffers";

/** The caller is gone, and can be called: who went to somebody else or back into the line is being looked after. */
const canBeCalled = ({ outcome, reason, number }: PastOffer) =>
  outcome === "canceled" && reason !== "connect_failed" && number !== null;

interface Props {
  /** Nothing is in hand: who talks or is rung cannot call somebody else. */
  isFree: boolean;
}

/** The trace of calls that rang here and went elsewhere, of the last day, also after a reload. */
export function LostOffers({ isFree }: Props) {
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
                {" · "}
                {offer.number === null ? null : (
                  <>
                    <span className={classes.whole}>{formatPhone(offer.number)}</span>
                    {" · "}
                  </>
                )}
                <time dateTime={offer.ended_at}>{ago(offer.ended_at, now, language)}</time>
              </span>
            </span>
            {isFree && canBeCalled(offer) ? <CallBack offer={offer} /> : null}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

/** One click: the number is called, as the customer it belongs to. */
function CallBack({ offer: { number, customer } }: { offer: PastOffer }) {
  const { t } = useTranslation();
  if (number === null) return null;
  const who = customer?.name ?? formatPhone(number);
  return <CallButton dialling={{ call: { to: number, customer_id: customer?.id }, name: who }} label={t("missed.callBack")} />;
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
