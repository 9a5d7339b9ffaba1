import { useMutation } from "@tanstack/react-query";

import { setReach } from "@/api/endpoints";
import { usePatchDesk, withPresence } from "@/live/desk";

export type Reach = "browser" | "telephone";

/** Where calls are taken, from the next one on. */
export function useSetReach() {
  const patch = usePatchDesk();
  return useMutation({
    mutationFn: (by: Reach) => setReach(by),
    onSuccess: (presence) => patch((desk) => withPresence(desk, presence)),
  });
}
