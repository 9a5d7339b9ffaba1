import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";

import * as api from "@/api/endpoints";
import type { Figures, Metric } from "@/api/types";
import { useNow } from "@/format/time";
import { FIGURES_LIVE_KEY } from "@/live/caches";
import { observeServerTime } from "@/live/clock";

import { type Period, READINGS, type Stretch, stretchOf } from "./search";

const READ_EVERY_MS = 2000;
/** Of queues, in the order of the page. */
export const SHOWN = ["waiting_now", "longest_wait_now", "offered", "answered", "abandoned", "short_abandoned", "asa", "aht"] as const;
/** Which the service level does not count. */
export const BESIDE = ["short_abandoned", "transferred", "overflowed", "closed", "failed", "undecided"] as const;
const OF_QUEUES = [...new Set([...READINGS, ...SHOWN, ...BESIDE, "waiting_beyond_now", "asa_p50", "asa_p90", "max_wait"])].join(",");
export const OF_AGENTS = "occupancy";

export type Catalogue = ReadonlyMap<string, Metric>;

export function useMetrics() {
  return useQuery({
    queryKey: ["metrics"],
    queryFn: async (): Promise<Catalogue> => new Map((await api.metrics()).items.map((metric) => [metric.key, metric])),
    staleTime: Infinity,
  });
}

/** Every queue and their total. The socket says when to read again; every two seconds it is proven that nothing has moved. */
export function useQueueFigures(period: Period) {
  const stretch = useStretch(period);
  return useLiveFigures({ metrics: OF_QUEUES, group: "queue", ...stretch });
}

/** What agents did has no queue. Of the same time as the figures of the queues. */
export function useAgentTotals(of: Figures | undefined) {
  return useLiveFigures({ metrics: OF_AGENTS, group: "none", from: of?.from, to: of?.to }, of !== undefined);
}

export function useFiguresByAgent(metric: string, from: string, to: string, enabled: boolean) {
  return useLiveFigures({ metrics: metric, group: "agent", from, to }, enabled);
}

/** A new value only with a new quarter or day, so that it can be a key. */
export function useStretch(period: Period): Stretch {
  const now = useNow();
  return stretchOf(period, now);
}

function useLiveFigures(question: api.FiguresQuestion, enabled = true) {
  return useQuery({
    queryKey: [...FIGURES_LIVE_KEY, question],
    queryFn: async () => {
      const found = await api.figures(question);
      observeServerTime(found.as_of);
      return found;
    },
    enabled,
    // The next quarter begins with the numbers of the last one, not with none.
    placeholderData: keepPreviousData,
    refetchInterval: READ_EVERY_MS,
    refetchIntervalInBackground: false,
    retry: false,
  });
}

export function useContacts(question: Omit<api.ContactsQuestion, "limit" | "cursor">) {
  return useInfiniteQuery({
    queryKey: ["figures", "contacts", question],
    queryFn: ({ pageParam }) => api.figureContacts({ ...question, limit: 50, cursor: pageParam }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchInterval: 5000,
  });
}
