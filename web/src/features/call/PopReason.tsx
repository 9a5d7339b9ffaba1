import { History, Route } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { ScreenPop } from "@/api/types";
import { useText } from "@/i18n";

import classes from "./Pop.module.css";

/** Why this call, and why here. */
export function PopReason({ pop }: { pop: ScreenPop }) {
  const { t } = useTranslation();
  const text = useText();
  const { reason, call } = pop;
  return (
    <div className={classes.reason}>
      {call.calls_24h > 1 ? (
        <p className={classes.reasonLine} data-strong>
          <History aria-hidden="true" />
          {t("pop.calls24h", { count: call.calls_24h, ordinal: true })}
        </p>
      ) : null}
      <p className={classes.reasonLine}>
        <Route aria-hidden="true" />
        <span>
          <span className={classes.label}>{t("pop.whyYou")}</span> {text(reason.why)}
        </span>
      </p>
    </div>
  );
}
