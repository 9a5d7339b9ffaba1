import { useTranslation } from "react-i18next";

import { Panel } from "@/design/Panel";
import { formatPhone } from "@/format/phone";
import { ago, useNow } from "@/format/time";
import { useLanguage, useText } from "@/i18n";

import { useCallerName } from "./caller";
import classes from "./LostOffers.module.css";
import { lostText, useLostOffers } from "./lostOffers";

/** The trace of calls that rang here and went elsewhere. */
export function LostOffers() {
  const { t } = useTranslation();
  const text = useText();
  const language = useLanguage();
  const nameOf = useCallerName();
  const now = useNow();
  const lost = useLostOffers();
  if (lost.length === 0) return null;
  return (
    <Panel title={t("lost.title")} count={lost.length} flush>
      <ul>
        {lost.slice(0, 5).map((offer) => (
          <li key={offer.offer_id} className={classes.line}>
            <span className={classes.text}>
              <span className={classes.name}>{nameOf(offer.pop)}</span>
              <span className={classes.soft}>
                {lostText(t, offer)} · {text(offer.pop.call.queue_name)}
                {offer.pop.call.from === null ? null : ` · ${formatPhone(offer.pop.call.from)}`}
              </span>
            </span>
            <time className={classes.soft} dateTime={offer.at}>
              {ago(offer.at, now, language)}
            </time>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
