import { Button } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import * as api from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { Disposition, WithoutResult as Late } from "@/api/types";
import { Callout } from "@/design/Notice";
import { Panel } from "@/design/Panel";
import { useProblemText } from "@/design/useProblemText";
import { formatPhone } from "@/format/phone";
import { ago, useNow } from "@/format/time";
import { useLanguage, useText } from "@/i18n";
import { showDone } from "@/parts/takeBack";

import classes from "./LostOffers.module.css";
import { LATE_KEY } from "./lostOffers";

interface Props {
  agentId: number;
  dispositions: Disposition[];
}

/** Calls whose wrap-up ended without a result. They held nobody up; here their result is given late. */
export function WithoutResult({ agentId, dispositions }: Props) {
  const { t } = useTranslation();
  const late = useQuery({ queryKey: [...LATE_KEY, agentId], queryFn: api.withoutResult, staleTime: 0 });
  const [openId, setOpenId] = useState<number | null>(null);
  const items = late.data ?? [];
  if (items.length === 0) return null;
  return (
    <Panel title={t("late.title")} count={items.length} flush testId="without-result">
      <ul>
        {items.slice(0, 5).map((call) => (
          <LateCall
            key={call.offer_id}
            call={call}
            dispositions={dispositions.filter(({ queue }) => queue === null || queue === call.queue)}
            isOpen={openId === call.offer_id}
            onOpen={() => setOpenId(openId === call.offer_id ? null : call.offer_id)}
          />
        ))}
      </ul>
    </Panel>
  );
}

interface LineProps {
  call: Late;
  dispositions: Disposition[];
  isOpen: boolean;
  onOpen: () => void;
}

function LateCall({ call, dispositions, isOpen, onOpen }: LineProps) {
  const { t } = useTranslation();
  const text = useText();
  const language = useLanguage();
  const now = useNow();
  const problemText = useProblemText();
  const queries = useQueryClient();
  const readAgain = () => queries.invalidateQueries({ queryKey: LATE_KEY });
  const give = useMutation({
    mutationFn: (chosen: Disposition) => api.setResult(call.call_id, chosen.key),
    onSuccess: (_, chosen) => {
      const takeBack = () => api.setResult(call.call_id, null).finally(readAgain);
      showDone(t("late.given", { result: text(chosen.name) }), takeBack);
    },
    onSettled: readAgain,
  });
  const name = call.customer?.name ?? (call.number === null ? t("pop.withheld") : formatPhone(call.number));
  return (
    <li>
      <div className={classes.line}>
        <span className={classes.text}>
          <span className={classes.name}>{name}</span>
          <span className={classes.soft}>
            {text(call.queue_name)}
            {call.ticket ? (
              <>
                {" · "}
                <Link to="/tickets/$ticketId" params={{ ticketId: String(call.ticket.id) }}>
                  {call.ticket.number}
                </Link>
              </>
            ) : null}
            {` · ${ago(call.ended_at, now, language)}`}
          </span>
        </span>
        <Button size="compact-sm" variant="default" aria-expanded={isOpen} onClick={onOpen} data-testid={`late-${call.call_id}`}>
          {t("late.choose")}
        </Button>
      </div>
      {isOpen ? (
        <div className={classes.codes} role="group" aria-label={t("call.disposition")}>
          {dispositions.map((disposition) => (
            <Button
              key={disposition.key}
              size="compact-sm"
              variant="light"
              loading={give.isPending}
              onClick={() => give.mutate(disposition)}
              data-testid={`late-result-${disposition.key}`}
            >
              {text(disposition.name)}
            </Button>
          ))}
        </div>
      ) : null}
      {give.error ? (
        <div role="alert">
          <Callout tone="red">{problemText(asProblem(give.error))}</Callout>
        </div>
      ) : null}
    </li>
  );
}
