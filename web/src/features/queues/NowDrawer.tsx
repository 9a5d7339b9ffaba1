import { Drawer, Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { inHand } from "@/api/endpoints";
import type { InHand, QueueStats } from "@/api/types";
import { ErrorState } from "@/design/Notice";
import table from "@/design/Table.module.css";
import { clock, secondsSince } from "@/format/time";
import { useText } from "@/i18n";
import { observeServerTime } from "@/live/clock";
import { Age, Aged, useFreshness } from "@/parts/Age";
import { callerText } from "@/parts/callerText";

import classes from "./NowDrawer.module.css";

const READ_EVERY_MS = 2000;

interface Props {
  number: "ringing" | "in_call" | null;
  /** One, or all that the number adds up. */
  queues: QueueStats[];
  /** Whose number it is. */
  of: string;
  /** Who is in line, with what rings. */
  line: (queue: string) => ReactNode;
  onClose: () => void;
}

/** What a number of this moment counts, and how: it has no history, so the calls themselves are all there is behind it. */
export function NowDrawer({ number, queues, of, line, onClose }: Props) {
  const { t } = useTranslation();
  const text = useText();
  const name = number === null ? "" : t(number === "ringing" ? "queue.offering" : "queue.inCall");
  return (
    <Drawer
      opened={number !== null}
      onClose={onClose}
      title={`${name.charAt(0).toUpperCase()}${name.slice(1)} · ${of}`}
      size="lg"
      closeButtonProps={{ "aria-label": t("action.close") }}
    >
      {number === null ? null : (
        <div className={classes.drawer} data-testid="now-drawer">
          <p className={classes.formula}>{t(number === "ringing" ? "queue.offeringFormula" : "queue.inCallFormula")}</p>
          {queues.map((queue) => (
            <section key={queue.key} aria-label={text(queue.name)}>
              {queues.length > 1 ? <h3 className={classes.title}>{text(queue.name)}</h3> : null}
              {number === "ringing" ? line(queue.key) : <InHandOf queue={queue.key} />}
            </section>
          ))}
        </div>
      )}
    </Drawer>
  );
}

function InHandOf({ queue }: { queue: string }) {
  const { data, error, refetch } = useQuery({
    queryKey: ["queues", "in-hand", queue],
    queryFn: async () => {
      const found = await inHand(queue);
      observeServerTime(found.as_of);
      return found;
    },
    refetchInterval: READ_EVERY_MS,
  });
  if (data) return <Calls found={data} />;
  return error ? <ErrorState error={error} retry={() => void refetch()} /> : <Skeleton height={45} />;
}

function Calls({ found: { items, as_of } }: { found: InHand }) {
  const { t } = useTranslation();
  const fresh = useFreshness(as_of);
  if (items.length === 0) return <p className={classes.soft}>{t("queue.inCallNone")}</p>;
  return (
    <>
      <Aged of={fresh}>
        <table className={table.table} data-testid="in-hand">
          <thead>
            <tr>
              <th scope="col">{t("calls.from")}</th>
              <th scope="col">{t("calls.ticket")}</th>
              <th scope="col">{t("figures.agent")}</th>
              <th scope="col" className={table.number}>{t("agents.time")}</th>
            </tr>
          </thead>
          <tbody>
            {items.map((item) => (
              <tr key={item.id}>
                <th scope="row">{item.customer ?? (item.call_id === null ? "—" : callerText(t, item.caller))}</th>
                <td>
                  {item.ticket === null ? (
                    "—"
                  ) : (
                    <Link to="/tickets/$ticketId" params={{ ticketId: String(item.ticket.id) }} title={item.ticket.subject}>
                      {item.ticket.number}
                    </Link>
                  )}
                </td>
                <td>{item.agent?.name ?? "—"}</td>
                <td className={table.number}>{clock(secondsSince(item.since, fresh.now))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Aged>
      <Age of={fresh} />
    </>
  );
}
