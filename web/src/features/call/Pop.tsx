import { Button } from "@mantine/core";
import { Phone, PhoneOff } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { ScreenPop } from "@/api/types";
import { Callout } from "@/design/Notice";
import { useProblemText } from "@/design/useProblemText";
import { secondsSince, useNow } from "@/format/time";
import { ariaKeys, Keycaps } from "@/keys/Keycaps";
import { useDigits, useShortcut } from "@/keys/shortcuts";

import { Candidates } from "./Candidates";
import { useAccept, useChooseCustomer, useReject } from "./commands";
import { Deadline, TimeLine } from "./Deadline";
import { FillHoles, MissingPart } from "./Holes";
import classes from "./Pop.module.css";
import { PopHead } from "./PopHead";
import { PopIdentity } from "./PopIdentity";
import { PopReason } from "./PopReason";
import { PopTicket } from "./PopTicket";
import { PopConsult, PopTransfer } from "./PopTransfer";
import { isMissing, usePainted } from "./usePainted";

interface Props {
  pop: ScreenPop;
  /** The keys belong to one pop at a time: the one that rings longest. */
  hasKeys: boolean;
  /** Beside a call that is still going on. */
  isCompact?: boolean;
}

/** A call that rings here: who, why, which ticket, until when. Accept or reject; what a telephone system rings is answered at the telephone. */
export function Pop({ pop, hasKeys, isCompact = false }: Props) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const now = useNow();
  const [pickedId, setPickedId] = useState<number | null>(null);
  const accept = useAccept();
  const reject = useReject();
  const choose = useChooseCustomer(pop);
  const isExternal = pop.call.is_external;
  const isBusy = accept.isPending || accept.isSuccess || reject.isPending || reject.isSuccess;
  const isAmbiguous = pop.customer.match === "many" && pop.customer.chosen_id === null;
  usePainted(pop, "identity", !isMissing(pop, "identity") || pop.customer.match !== "unread");
  usePainted(pop, "reason", !isCompact && !isMissing(pop, "ticket", "repeat"));
  const doAccept = () => {
    if (!isBusy) accept.mutate({ pop, customerId: pickedId });
  };
  const doReject = () => {
    if (!isBusy) reject.mutate(pop);
  };
  // Without an answer to send the choice along with, it is sent at once.
  const pick = (id: number | undefined) => {
    if (id === undefined) return;
    if (isExternal) choose.mutate(id);
    else setPickedId(id);
  };
  useShortcut("accept", doAccept, hasKeys && !isExternal);
  useShortcut("reject", doReject, hasKeys && !isExternal);
  useDigits((digit) => pick(pop.customer.candidates[digit - 1]?.id), hasKeys && isAmbiguous);

  const error = accept.error ?? reject.error ?? choose.error;
  return (
    <article className={classes.pop} data-testid="pop" data-offer={pop.offer_id} aria-label={t("pop.incoming")}>
      {isExternal ? null : <TimeLine from={pop.offered_at} to={pop.deadline} />}
      <PopHead
        call={pop.call}
        waited={pop.call.waited_s + secondsSince(pop.offered_at, now)}
        aside={isExternal ? null : <Deadline deadline={pop.deadline} />}
      />
      <PopConsult pop={pop} />
      <FillHoles pop={pop} />
      <PopIdentity pop={pop} pickedId={pickedId} />
      <MissingPart pop={pop} source="identity" />
      {isAmbiguous ? (
        <Candidates
          candidates={pop.customer.candidates}
          pickedId={pickedId}
          onPick={(candidate) => {
            if (candidate.id === pickedId) setPickedId(null);
            else pick(candidate.id);
          }}
          hasKeys={hasKeys}
        />
      ) : null}
      <PopTransfer pop={pop} />
      {isCompact ? null : (
        <>
          <PopReason pop={pop} />
          <MissingPart pop={pop} source="repeat" />
          <PopTicket ticket={pop.ticket} others={pop.other_tickets.length} restricted={pop.restricted_tickets} />
          <MissingPart pop={pop} source="ticket" />
        </>
      )}
      {error ? (
        <div className={classes.block} role="alert">
          <Callout tone="red">{problemText(asProblem(error))}</Callout>
        </div>
      ) : null}
      {isExternal ? (
        <p className={classes.atPhone} data-testid="pop-at-phone">
          <Phone size={16} aria-hidden="true" />
          {t("pop.atPhone")}
        </p>
      ) : (
        <footer className={classes.actions}>
          <Button
            size="md"
            className={classes.accept}
            leftSection={<Phone size={16} aria-hidden="true" />}
            rightSection={hasKeys ? <Keycaps of="accept" /> : null}
            loading={accept.isPending}
            disabled={isBusy && !accept.isPending}
            onClick={doAccept}
            aria-keyshortcuts={ariaKeys("accept")}
            data-testid="pop-accept"
          >
            {t("action.accept")}
          </Button>
          <Button
            size="md"
            variant="default"
            leftSection={<PhoneOff size={16} aria-hidden="true" />}
            rightSection={hasKeys ? <Keycaps of="reject" /> : null}
            loading={reject.isPending}
            disabled={isBusy && !reject.isPending}
            onClick={doReject}
            aria-keyshortcuts={ariaKeys("reject")}
            data-testid="pop-reject"
          >
            {t("action.reject")}
          </Button>
        </footer>
      )}
    </article>
  );
}
