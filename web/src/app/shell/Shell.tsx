import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { CircleHelp, Phone } from "lucide-react";
import { lazy, type ReactNode, Suspense, useState, useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";

import { ActionIcon } from "@mantine/core";

import type { Me } from "@/api/types";
import { useDeskEvents } from "@/app/useDeskEvents";
import { PresenceControl } from "@/features/presence/PresenceControl";
import { RingAnnouncer } from "@/features/call/RingAnnouncer";
import { useLogOut, useMe } from "@/features/session/session";
import { ariaKeys } from "@/keys/Keycaps";
import { useOwnKeys, useSetKeys } from "@/keys/keySettings";
import { useShortcut } from "@/keys/shortcuts";
import { useDesk, useDeskIfRead, workOf } from "@/live/desk";
import { LiveProvider } from "@/live/LiveProvider";
import { currentDial, openDial, subscribeDial } from "@/parts/dial";
import { openCheck } from "@/ring/ring";
import { useCheckOpen } from "@/ring/useRing";
import { PhoneProvider } from "@/phone/PhoneProvider";
import { RingSignals } from "@/features/call/RingSignals";

import { ConnectionBanner } from "./ConnectionBanner";
import { Logo } from "./Logo";
import { hasDesk, PLACES } from "./navigation";
import { QuickSearch } from "./QuickSearch";
import { RingingElsewhere } from "./RingingElsewhere";
import { Settings } from "./Settings";
import classes from "./Shell.module.css";

const CommandPalette = lazy(async () => ({ default: (await import("./CommandPalette")).CommandPalette }));
const ShiftCheck = lazy(async () => ({ default: (await import("@/ring/ShiftCheck")).ShiftCheck }));
const DialBox = lazy(async () => ({ default: (await import("@/parts/DialBox")).DialBox }));
const KeySheet = lazy(async () => ({ default: (await import("./KeySheet")).KeySheet }));

/** The frame of every page of somebody signed in. */
export function Shell() {
  const me = useMe();
  if (!me) return null;
  const frame = (
    <Frame me={me}>
      <Outlet />
    </Frame>
  );
  return hasDesk(me.role) ? <Connected me={me}>{frame}</Connected> : frame;
}

/** The socket and the phone, for those who have a desk. */
export function Connected({ me, children }: { me: Me; children: ReactNode }) {
  const onEvent = useDeskEvents(me);
  return (
    <LiveProvider onEvent={onEvent}>
      <PhoneProvider key={me.id} agentId={me.id}>
        {children}
        <Check agentId={me.id} />
      </PhoneProvider>
    </LiveProvider>
  );
}

/** Opened from the desk, the settings and the palette. */
function Check({ agentId }: { agentId: number }) {
  return useCheckOpen() ? (
    <Suspense>
      <ShiftCheck agentId={agentId} onClose={() => openCheck(false)} />
    </Suspense>
  ) : null;
}

function Frame({ me, children }: { me: Me; children: ReactNode }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const logOut = useLogOut();
  const takesCalls = useTakesCalls(me);
  const [isSheetOpen, setSheetOpen] = useState(false);
  const [isPaletteOpen, setPaletteOpen] = useState(false);
  const setKeys = useSetKeys(me.id);
  useOwnKeys(me.id);
  useShortcut("palette", () => setPaletteOpen(true));
  useShortcut("help", () => setSheetOpen(true));
  useShortcut("goDesk", () => void navigate({ to: "/desk" }));
  useShortcut("goTickets", () => void navigate({ to: "/tickets" }));
  useShortcut("goCustomers", () => void navigate({ to: "/customers" }));
  const leave = () => logOut.mutate(undefined, { onSettled: () => void navigate({ to: "/login" }) });
  return (
    <div className={classes.shell}>
      <a href="#main" className={classes.skip}>
        {t("nav.skip")}
      </a>
      <nav className={classes.rail} aria-label={t("nav.title")}>
        <Logo />
        <ul className={classes.places}>
          {PLACES.filter(({ key, roles }) => roles.includes(me.role) && (key !== "desk" || takesCalls)).map(({ to, key, icon: Icon }) => (
            <li key={to}>
              <Link to={to} className={classes.place} activeProps={{ "aria-current": "page" }}>
                <Icon size={20} aria-hidden="true" />
                {t(`nav.${key}`)}
              </Link>
            </li>
          ))}
        </ul>
        <ActionIcon
          variant="subtle"
          color="gray"
          size={36}
          className={classes.helpButton}
          aria-label={t("settings.keySheet")}
          onClick={() => setSheetOpen(true)}
        >
          <CircleHelp size={18} />
        </ActionIcon>
      </nav>
      <section className={classes.top} aria-label={t("nav.tools")}>
        <QuickSearch />
        <div className={classes.topEnd}>
          {takesCalls && hasDesk(me.role) ? <Dial me={me} /> : null}
          {hasDesk(me.role) ? <MyPresence /> : null}
          <Settings
            me={me}
            onKeySheet={() => setSheetOpen(true)}
            onKeysOff={(is_off) => setKeys.mutate({ is_off })}
            onCheck={takesCalls ? () => openCheck(true) : undefined}
            onLogOut={leave}
          />
        </div>
      </section>
      {hasDesk(me.role) ? (
        <section className={classes.notices} aria-label={t("nav.notices")}>
          <ConnectionBanner />
          <Ringing me={me} />
        </section>
      ) : null}
      <main id="main" className={classes.main} tabIndex={-1}>
        {children}
      </main>
      {isSheetOpen ? (
        <Suspense>
          <KeySheet userId={me.id} onClose={() => setSheetOpen(false)} />
        </Suspense>
      ) : null}
      {isPaletteOpen ? (
        <Suspense>
          <CommandPalette
            me={me}
            onClose={() => setPaletteOpen(false)}
            onCheck={takesCalls ? () => openCheck(true) : undefined}
            onLogOut={leave}
          />
        </Suspense>
      ) : null}

    </div>
  );
}

/** Supervisors may have a desk too, if they are agents as well. */
function useTakesCalls(me: Me): boolean {
  const presence = useDeskIfRead().data?.presence;
  return me.role === "agent" || presence != null;
}

/** The way to call somebody, from every page. */
function Dial({ me }: { me: Me }) {
  const { t } = useTranslation();
  const dialling = useSyncExternalStore(subscribeDial, currentDial);
  const open = () => openDial({ call: {} });
  useShortcut("dial", open);
  return (
    <>
      <ActionIcon
        variant="default"
        size={36}
        aria-label={t("dial.title")}
        title={t("dial.title")}
        aria-keyshortcuts={ariaKeys("dial")}
        onClick={open}
        data-testid="dial"
      >
        <Phone size={18} aria-hidden="true" />
      </ActionIcon>
      {dialling ? (
        <Suspense>
          <DialBox dialling={dialling} me={me} />
        </Suspense>
      ) : null}
    </>
  );
}

function MyPresence() {
  const desk = useDesk().data;
  return desk?.presence ? <PresenceControl presence={desk.presence} work={workOf(desk)} /> : null;
}

function Ringing({ me }: { me: Me }) {
  const desk = useDesk().data;
  const offers = desk?.offers ?? [];
  const isTalking = (desk?.calls ?? []).some(({ state }) => state !== "wrapping");
  return (
    <>
      <RingAnnouncer offers={offers} />
      <RingSignals agentId={me.id} offers={offers} isQuiet={isTalking} />
      <RingingElsewhere offers={offers} />
    </>
  );
}
