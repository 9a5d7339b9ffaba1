import { Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { FileText, Phone, Ticket } from "lucide-react";
import { useTranslation } from "react-i18next";

import * as api from "@/api/endpoints";
import type { ScreenPop, TimelineEntry } from "@/api/types";
import { ErrorState } from "@/design/Notice";
import { Panel } from "@/design/Panel";
import { ago, useNow } from "@/format/time";
import { useLanguage } from "@/i18n";

import classes from "./LostOffers.module.css";
import { usePainted } from "./usePainted";

const SHOWN = 6;
const ICON = { call: Phone, ticket: Ticket, note: FileText } as const;

/** What happened with the customer so far: the last part of a pop, read while it rings. */
export function CallerHistory({ pop, customerId }: { pop: ScreenPop; customerId: number }) {
  const { t } = useTranslation();
  const history = useQuery({
    queryKey: ["customer", customerId, "history", pop.call.id],
    queryFn: () => api.timeline(customerId, { limit: SHOWN }),
    retry: 1,
  });
  usePainted(pop, "depth", history.isSuccess);
  return (
    <Panel title={t("customers.timeline")} flush testId="caller-history">
      {history.error ? <ErrorState error={history.error} retry={() => void history.refetch()} /> : null}
      {history.isPending ? <Skeleton height={120} m="md" /> : null}
      <ol>
        {(history.data?.items ?? []).map((entry, index) => (
          <Line key={`${entry.at}${index}`} entry={entry} />
        ))}
      </ol>
    </Panel>
  );
}

function Line({ entry }: { entry: TimelineEntry }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const now = useNow();
  const Icon = ICON[entry.kind];
  const { ticket_id: ticketId, number } = entry.data;
  return (
    <li className={classes.line}>
      <Icon size={14} aria-hidden="true" className={classes.icon} />
      <span className={classes.text} data-wide>
        <span className={classes.kind}>
          <span className="visually-hidden">{t(`timeline.${entry.kind}`)}: </span>
          {typeof ticketId === "number" ? (
            <Link to="/tickets/$ticketId" params={{ ticketId: String(ticketId) }}>
              {entry.title}
            </Link>
          ) : (
            entry.title
          )}
        </span>
        <span className={classes.soft}>{typeof number === "string" ? number : null}</span>
      </span>
      <time className={classes.soft} dateTime={entry.at}>
        {ago(entry.at, now, language)}
      </time>
    </li>
  );
}
