import { MessagesSquare, PhoneForwarded } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { ScreenPop } from "@/api/types";

import classes from "./Pop.module.css";

/** Who had the call before, and what they want to be known. */
export function PopTransfer({ pop }: { pop: ScreenPop }) {
  const { t } = useTranslation();
  const { transfer } = pop;
  if (!transfer) return null;
  return (
    <div className={classes.transfer} data-testid="pop-transfer">
      <p className={classes.reasonLine} data-strong>
        <PhoneForwarded aria-hidden="true" />
        {t("pop.transferredBy", { name: transfer.by })}
      </p>
      {transfer.note ? <blockquote className={classes.transferNote}>{transfer.note}</blockquote> : null}
    </div>
  );
}

/** This is no call to take: a colleague asks about the one they have. */
export function PopConsult({ pop }: { pop: ScreenPop }) {
  const { t } = useTranslation();
  const { consult } = pop;
  if (!consult) return null;
  return (
    <div className={classes.transfer} data-testid="pop-consult">
      <p className={classes.reasonLine} data-strong>
        <MessagesSquare aria-hidden="true" />
        {t("pop.consultedBy", { name: consult.by })}
      </p>
      <p className={classes.consultHint}>{t("pop.consultHint")}</p>
      {consult.note ? <blockquote className={classes.transferNote}>{consult.note}</blockquote> : null}
    </div>
  );
}
