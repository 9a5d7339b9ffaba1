import { useMutation } from "@tanstack/react-query";

import { setPresence } from "@/api/endpoints";
import type { ChosenPresence } from "@/api/types";
import { usePatchDesk, withPresence } from "@/live/desk";

export interface PresenceChoice {
  state: ChosenPresence;
  reason?: string;
}

export function useSetPresence() {
  const patch = usePatchDesk();
  return useMutation({
    mutationFn: ({ state, reason }: PresenceChoice) => setPresence(state, reason),
    onSuccess: (presence) => patch((desk) => withPresence(desk, presence)),
  });
}
