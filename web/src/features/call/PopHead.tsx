import { PhoneIncoming } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import type { PopCall } from "@/api/types";
import { formatPhone } from "@/format/phone";
import { clock } from "@/format/time";
import { useText } from "@/i18n";

import classes from "./Pop.module.css";

interface Props {
  call: PopCall;
  waited: number;
  aside: ReactNode;
}

/** What came in, where, and how long the caller has been waiting already. */
export function PopHead({ call, waited, aside }: Props) {
  const { t } = useTranslation();
  const text = useText();
  return (
    <header className={classes.head}>
      <PhoneIncoming aria-hidden="true" className={classes.headIcon} />
      <p className={classes.headFacts}>
        <strong className={classes.waited}>{t("pop.waited", { time: clock(waited) })}</strong>
        <span>{text(call.queue_name)}</span>
        <span>{t("pop.called", { number: formatPhone(call.to) })}</span>
      </p>
      {aside}
    </header>
  );
}
