import { useQuery } from "@tanstack/react-query";

import { queuesLive } from "@/api/endpoints";
import { observeServerTime } from "@/live/clock";
import { QUEUES_LIVE_KEY } from "@/live/caches";

const READ_EVERY_MS = 2000;

/** The socket moves the numbers at once; the reading proves that they are still true when nothing moves. */
export function useQueuesLive(enabled = true) {
  return useQuery({
    queryKey: QUEUES_LIVE_KEY,
    queryFn: async () => {
      const live = await queuesLive();
      observeServerTime(live.as_of);
      return live;
    },
    refetchInterval: READ_EVERY_MS,
    refetchIntervalInBackground: false,
    retry: false,
    enabled,
  });
}
