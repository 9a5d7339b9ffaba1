import { Button, Skeleton } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";

import { logIn } from "@/api/endpoints";
import type { Me } from "@/api/types";
import { ErrorState } from "@/design/Notice";
import { Panel } from "@/design/Panel";
import { DemoPhone } from "@/features/demo/DemoPhone";
import { Guide } from "@/features/demo/Guide";
import { TrafficSwitch } from "@/features/demo/TrafficSwitch";
import { RingAnnouncer } from "@/features/call/RingAnnouncer";
import { PresenceControl } from "@/features/presence/PresenceControl";
import { QueueBoard } from "@/features/queues/QueueBoard";
import { useQueuesLive } from "@/features/queues/useQueuesLive";
import { SESSION_KEY, sessionOf } from "@/features/session/session";
import { serverNow } from "@/live/clock";
import { useDesk, workOf } from "@/live/desk";
import { useSetPresence } from "@/parts/useSetPresence";

import classes from "./DemoPage.module.css";
import { DeskView } from "./DeskView";
import { ConnectionBanner } from "./shell/ConnectionBanner";
import { Logo } from "./shell/Logo";
import { hasDesk } from "./shell/navigation";
import { Settings } from "./shell/Settings";
import { Connected } from "./shell/Shell";

const AGENT = "agent1@demo.example";
const PASSWORD = "demo-ringdesk";

/** A call from both ends: the caller's phone, the agent's desk and the queue board on one page. */
export function DemoPage() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const entered = useQuery({
    queryKey: ["demo", "agent"],
    queryFn: async () => {
      const me = (await sessionOf(queries)) ?? (await logIn(AGENT, PASSWORD));
      queries.setQueryData(SESSION_KEY, me);
      return me;
    },
    staleTime: Infinity,
    retry: false,
  });
  const me = entered.data;
  return (
    <div className={classes.page}>
      <section className={classes.top} aria-label={t("demo.about")}>
        <Logo withName />
        <h1 className={classes.title}>{t("demo.title")}</h1>
        <div className={classes.topEnd}>
          <TrafficSwitch />
          <Button component={Link} to="/demo/console" variant="default">
            {t("console.open")}
          </Button>
          <Button component={Link} to="/" variant="default">
            {t("demo.openApp")}
          </Button>
          <Settings />
        </div>
      </section>
      <main className={classes.panes}>
        <div className={classes.left}>
          <Guide />
          <DemoPhone />
        </div>
        {entered.error ? <ErrorState error={entered.error} retry={() => void entered.refetch()} /> : null}
        {me && hasDesk(me.role) ? (
          <Connected me={me}>
            <div className={classes.right}>
              <BoardPane />
              <AgentPane me={me} />
            </div>
          </Connected>
        ) : null}
      </main>
    </div>
  );
}

function AgentPane({ me }: { me: Me }) {
  const { t } = useTranslation();
  const { data: desk, error, refetch } = useDesk();
  useComeAvailable(me);
  return (
    <section className={classes.desk} aria-label={t("demo.deskOf", { name: me.name })}>
      <header className={classes.paneHead}>
        <h2 className={classes.paneTitle}>{t("demo.deskOf", { name: me.name })}</h2>
        {desk?.presence ? <PresenceControl presence={desk.presence} work={workOf(desk)} /> : null}
      </header>
      <ConnectionBanner />
      {desk ? <RingAnnouncer offers={desk.offers} /> : null}
      {desk ? <DeskView desk={desk} /> : null}
      {error && !desk ? <ErrorState error={error} retry={() => void refetch()} /> : null}
      {desk || error ? null : <Skeleton height={320} m="md" />}
    </section>
  );
}

/** Whoever opens the demo finds its agent available; what happens later is left to them. */
function useComeAvailable(me: Me): void {
  const state = useDesk().data?.presence?.state;
  const { mutate } = useSetPresence();
  const hasEntered = useRef(false);
  useEffect(() => {
    if (state === undefined || hasEntered.current) return;
    hasEntered.current = true;
    const isAway = state === "offline" || state === "unreachable" || state === "not_responding";
    if (isAway && me.email === AGENT) mutate({ state: "available" });
  }, [state, me.email, mutate]);
}

function BoardPane() {
  const { t } = useTranslation();
  const live = useQueuesLive();
  const desk = useDesk().data;
  // An agent may see fewer queues than the board of a supervisor: then the desk's own numbers are shown.
  const queues = live.data?.queues ?? desk?.queues;
  const asOf = live.data?.as_of ?? new Date(serverNow()).toISOString();
  return (
    <Panel title={t("nav.queues")} flush>
      {queues ? <QueueBoard queues={queues} asOf={asOf} isDense /> : <Skeleton height={150} />}
    </Panel>
  );
}
