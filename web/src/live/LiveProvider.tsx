import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from "react";

import { realtimeTicket } from "@/api/endpoints";
import type { Desk, Viewer, ViewersTold } from "@/api/types";
import { type Told, updateCaches, viewersKey } from "@/live/caches";
import { LiveConnection, type LiveStatus } from "@/live/connection";
import { DESK_KEY, readDesk } from "@/live/desk";
import type { DeskEvent, Viewing } from "@/live/protocol";

const Context = createContext<LiveConnection | null>(null);

interface Props {
  children: ReactNode;
  /** What the page does besides updating its data, for example say that a call was lost. */
  onEvent?: (event: DeskEvent, before: Desk | undefined) => void;
}

/** Holds the socket while somebody is signed in. */
export function LiveProvider({ children, onEvent }: Props) {
  const queries = useQueryClient();
  const [live] = useState(
    () =>
      new LiveConnection({
        url: globalThis.location.origin,
        fetchTicket: realtimeTicket,
        refresh: () => {
          // What else is on the screen has missed its news too.
          for (const shown of ["ticket", "customer"]) void queries.invalidateQueries({ queryKey: [shown] });
          return queries.query({ queryKey: DESK_KEY, queryFn: () => readDesk(queries), staleTime: 0 });
        },
        read: () => queries.getQueryData<Desk>(DESK_KEY),
        write: (desk) => queries.setQueryData(DESK_KEY, desk),
        onEvent: (event, before) => {
          updateCaches(queries, event);
          onEvent?.(event, before);
        },
      }),
  );
  useEffect(() => {
    live.start();
    return () => live.stop();
  }, [live]);
  return <Context value={live}>{children}</Context>;
}

export function useLive(): LiveConnection {
  const live = useContext(Context);
  if (!live) throw new Error("useLive outside of LiveProvider");
  return live;
}

/** While this component is on the screen, a ticket or customer is followed live, if there is a connection at all. */
export function useViewing({ ticket_id, customer_id, is_editing = false, is_floor = false }: Viewing): void {
  const live = useContext(Context);
  const isSomething = ticket_id !== undefined || customer_id !== undefined || is_floor;
  useEffect(() => {
    if (isSomething) live?.viewing({ ticket_id, customer_id, is_editing, is_floor });
  }, [live, isSomething, ticket_id, customer_id, is_editing, is_floor]);
  useEffect(() => (isSomething ? () => live?.viewing({}) : undefined), [live, isSomething, ticket_id, customer_id]);
}

const NO_STATUS = () => "lost" as const;
const NOTHING_TO_HEAR = () => () => undefined;

/** Who looks at it now, oneself included; nobody while there is no connection, for what was last heard may be wrong. */
export function useViewers(kind: ViewersTold["kind"], id: number | undefined): Viewer[] {
  const live = useContext(Context);
  const state = useSyncExternalStore(live?.subscribe ?? NOTHING_TO_HEAR, live ? () => live.getStatus().state : NO_STATUS);
  const { data } = useQuery<Told>({ queryKey: viewersKey(kind, id ?? 0), enabled: false, staleTime: Infinity });
  return state === "live" && id !== undefined ? (data?.viewers ?? []) : [];
}

export function useLiveStatus(): LiveStatus {
  const live = useLive();
  return useSyncExternalStore(live.subscribe, live.getStatus);
}
