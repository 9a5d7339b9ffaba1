import { type QueryClient, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";

import { desk as fetchDesk } from "@/api/endpoints";
import type { ActiveCall, Desk, Presence, ScreenPop, WorkState } from "@/api/types";
import { observeServerTime } from "@/live/clock";
import { newer } from "@/live/reduce";

export const DESK_KEY = ["desk"] as const;

export async function readDesk(queries: QueryClient): Promise<Desk> {
  const fetched = await fetchDesk();
  observeServerTime(fetched.server_time);
  return newer(queries.getQueryData<Desk>(DESK_KEY), fetched);
}

const options = (queries: QueryClient) => ({
  queryKey: DESK_KEY,
  queryFn: () => readDesk(queries),
  // The socket keeps it fresh; the connection itself reads it again when that is needed.
  staleTime: Infinity,
  gcTime: Infinity,
});

export function useDesk() {
  const queries = useQueryClient();
  return useQuery(options(queries));
}

/** The desk if somebody has read it already; never asks for it. */
export function useDeskIfRead() {
  const queries = useQueryClient();
  return useQuery({ ...options(queries), enabled: false });
}

export function useDeskPart<Part>(select: (desk: Desk) => Part): Part | undefined {
  const queries = useQueryClient();
  return useQuery({ ...options(queries), select }).data;
}

/** Puts the answer of a command into the desk before the socket tells the same. */
export function usePatchDesk() {
  const queries = useQueryClient();
  return useCallback(
    (patch: (desk: Desk) => Desk) => {
      queries.setQueryData<Desk>(DESK_KEY, (desk) => (desk ? patch(desk) : desk));
    },
    [queries],
  );
}

export function useReadDeskAgain() {
  const queries = useQueryClient();
  return useCallback(() => queries.invalidateQueries({ queryKey: DESK_KEY }), [queries]);
}

/** What the agent is doing, as the desk shows it. */
export function workOf({ calls, offers }: Desk): WorkState {
  if (calls.some(({ state }) => state !== "wrapping")) return "in_call";
  if (calls.length > 0) return "wrapping";
  return offers.length > 0 ? "offered" : "idle";
}

export function withPresence(desk: Desk, presence: Presence): Desk {
  return presence.version < (desk.presence?.version ?? 0) ? desk : { ...desk, presence };
}

export function withPop(desk: Desk, pop: ScreenPop): Desk {
  return withCall(desk, pop.call.id, (call) => (pop.version < call.pop.version ? call : { ...call, pop }));
}

/** A pop that was read again, wherever it stands: ringing or in hand. */
export function withPopAgain(desk: Desk, pop: ScreenPop): Desk {
  const offers = desk.offers.map((known) => (known.offer_id === pop.offer_id && known.version <= pop.version ? pop : known));
  return withPop({ ...desk, offers }, pop);
}

export function withCall(desk: Desk, callId: number, change: (call: ActiveCall) => ActiveCall): Desk {
  return { ...desk, calls: desk.calls.map((call) => (call.pop.call.id === callId ? change(call) : call)) };
}
