import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from "react";

import { realtimeTicket } from "@/api/endpoints";
import type { Desk } from "@/api/types";
import { updateCaches } from "@/live/caches";
import { LiveConnection, type LiveStatus } from "@/live/connection";
import { DESK_KEY, readDesk } from "@/live/desk";
import type { DeskEvent } from "@/live/protocol";

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
        refresh: () => queries.query({ queryKey: DESK_KEY, queryFn: () => readDesk(queries), staleTime: 0 }),
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

/** While this component is on the screen, the changes of one ticket come live, if there is a connection at all. */
export function useViewing(ticketId: number | undefined): void {
  const live = useContext(Context);
  useEffect(() => {
    if (ticketId === undefined) return;
    live?.viewing(ticketId);
    return () => live?.viewing(null);
  }, [live, ticketId]);
}

export function useLiveStatus(): LiveStatus {
  const live = useLive();
  return useSyncExternalStore(live.subscribe, live.getStatus);
}
