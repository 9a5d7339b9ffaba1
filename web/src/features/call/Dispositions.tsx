import { UnstyledButton } from "@mantine/core";
import { useId } from "react";
import { useTranslation } from "react-i18next";

import type { Disposition, PopTicket } from "@/api/types";
import { useText } from "@/i18n";
import { Keycaps } from "@/keys/Keycaps";
import { type CommandId, useDigits } from "@/keys/shortcuts";

import classes from "./ActiveCall.module.css";

interface Props {
  dispositions: Disposition[];
  chosen: string | null;
  ticket: PopTicket;
  agentId: number;
  onChoose: (key: string | null) => void;
  hasKeys: boolean;
}

/** The wrap-up codes of this queue, one key each. Alt and the digit works from inside the note too. */
export function Dispositions({ dispositions, chosen, ticket, agentId, onChoose, hasKeys }: Props) {
  const { t } = useTranslation();
  const text = useText();
  const id = useId();
  const toggle = (key: string) => onChoose(key === chosen ? null : key);
  useDigits((digit) => {
    const hit = dispositions.find((disposition) => disposition.digit === digit);
    if (hit) onChoose(hit.key);
  }, hasKeys);
  const result = dispositions.find(({ key }) => key === chosen);
  const other = ticket.assignee !== null && ticket.assignee.id !== agentId ? ticket.assignee.name : null;
  return (
    <section aria-labelledby={id} className={classes.dispositions}>
      <h3 id={id} className={classes.label}>
        {t("call.disposition")}
        {hasKeys ? <span className={classes.hint}>{t("call.dispositionHint")}</span> : null}
      </h3>
      <div className={classes.codes} role="group" aria-labelledby={id}>
        {dispositions.map((disposition) => (
          <UnstyledButton
            key={disposition.key}
            className={classes.code}
            aria-pressed={disposition.key === chosen}
            onClick={() => toggle(disposition.key)}
            data-testid={`disposition-${disposition.key}`}
          >
            {hasKeys && disposition.digit !== null ? (
              <Keycaps of={`choice${disposition.digit}` as CommandId} />
            ) : null}
            {text(disposition.name)}
          </UnstyledButton>
        ))}
      </div>
      <p className={classes.after} role="status" data-testid="after-call">
        {result === undefined
          ? null
          : result.resolves_ticket
            ? t("call.ticketResolved")
            : other === null
              ? t("call.ticketYours")
              : t("call.ticketTheirs", { name: other })}
      </p>
    </section>
  );
}
