import { Skeleton } from "@mantine/core";
import { lazy, Suspense, useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";

import type { Desk } from "@/api/types";
import { Panel } from "@/design/Panel";
import { showToast } from "@/design/toasts";
import { MissingPart, Painted } from "@/features/call/Holes";
import { IdleDesk } from "@/features/call/IdleDesk";
import { LostOffers } from "@/features/call/LostOffers";
import { isMissing } from "@/features/call/usePainted";
import { TicketLine } from "@/parts/TicketParts";

import classes from "./DeskPage.module.css";

// What is not needed before somebody has called comes a moment later, so that the desk is there at once.
const loadPop = () => import("@/features/call/Pop");
const Pop = lazy(async () => ({ default: (await loadPop()).Pop }));
const loadCall = () => import("@/features/call/ActiveCall");
const ActiveCall = lazy(async () => ({ default: (await loadCall()).ActiveCall }));
const loadHistory = () => import("@/features/call/CallerHistory");
const CallerHistory = lazy(async () => ({ default: (await loadHistory()).CallerHistory }));
const loadPanel = () => import("@/features/customers/CustomerPanel");
const CustomerPanel = lazy(async () => ({ default: (await loadPanel()).CustomerPanel }));
const ActBar = lazy(async () => ({ default: (await import("@/parts/ActBar")).ActBar }));
const WithoutResult = lazy(async () => ({ default: (await import("@/features/call/WithoutResult")).WithoutResult }));

/** Once, when the desk is opened: what this browser still holds of calls that are over goes where it belongs. */
function useLeftOver({ me, calls }: Desk) {
  const { t } = useTranslation();
  const isDone = useRef(false);
  useEffect(() => {
    if (isDone.current) return;
    isDone.current = true;
    const open = calls.map(({ pop }) => pop.call.id);
    const send = async () => {
      const { leftOver, sendLeftOver } = await import("@/features/call/leftOver");
      const count = await sendLeftOver(leftOver(me.id, open));
      if (count > 0) showToast({ id: "left-over", tone: "green", title: t("call.noteDelivered", { count }) });
    };
    void send().catch(() => undefined);
  }, [me.id, calls, t]);
}

/** The agent's desk: what rings, what is going on, and beside it the customer. */
export function DeskView({ desk }: { desk: Desk }) {
  const { t } = useTranslation();
  const { offers, calls } = desk;
  const focus = calls[0]?.pop ?? offers[0];
  const profile = focus?.customer.profile ?? null;
  const isIdle = focus === undefined;
  useEffect(() => {
    void loadPop().catch(() => undefined);
    void loadCall().catch(() => undefined);
    void loadHistory().catch(() => undefined);
    void loadPanel().catch(() => undefined);
  }, []);
  useLeftOver(desk);
  return (
    <div className={classes.host}>
      <h1 className="visually-hidden">{t("nav.desk")}</h1>
      <div className={classes.desk} data-idle={isIdle || undefined}>
        <div className={classes.centre}>
          <Suspense fallback={<Skeleton height={240} radius="lg" />}>
            {offers.map((pop, index) => (
              <Pop key={pop.offer_id} pop={pop} hasKeys={index === 0} isCompact={calls.length > 0} />
            ))}
          </Suspense>
          <Suspense fallback={<Skeleton height={320} radius="lg" />}>
            {calls.map((call, index) => (
              <ActiveCall
                key={call.pop.call.id}
                agentId={desk.me.id}
                call={call}
                dispositions={desk.dispositions}
                hasKeys={index === 0}
              />
            ))}
          </Suspense>
          {isIdle ? <IdleDesk desk={desk} /> : null}
        </div>
        <aside className={classes.side} aria-label={t(profile ? "customer.title" : "desk.myWork")}>
          {focus && isMissing(focus, "profile") ? (
            <Panel title={t("customer.title")} flush>
              <MissingPart pop={focus} source="profile" />
            </Panel>
          ) : null}
          <Suspense fallback={<Skeleton height={200} radius="lg" />}>
            {profile ? <CustomerPanel key={profile.id} profile={profile} /> : null}
          </Suspense>
          {focus ? <Painted pop={focus} layer="context" when={profile !== null} /> : null}
          <Suspense>
            {focus && profile ? <CallerHistory key={`history-${profile.id}`} pop={focus} customerId={profile.id} /> : null}
            {isIdle ? <WithoutResult agentId={desk.me.id} dispositions={desk.dispositions} /> : null}
          </Suspense>
          {profile ? null : (
            <Panel title={t("desk.myTickets")} count={desk.tickets.length} flush>
              {desk.tickets.length === 0 ? (
                <p className={classes.none}>{t("desk.noTickets")}</p>
              ) : (
                <ul>
                  {desk.tickets.slice(0, 8).map((ticket) => (
                    <li key={ticket.id}>
                      <TicketLine ticket={ticket} aside={ticket.customer?.name} />
                    </li>
                  ))}
                </ul>
              )}
            </Panel>
          )}
          <LostOffers isFree={isIdle} />
        </aside>
      </div>
      <Suspense>
        <ActBar />
      </Suspense>
    </div>
  );
}
