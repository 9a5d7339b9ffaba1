import { useSyncExternalStore } from "react";

import { isCheckOpen, isRingBlocked, ringSettings, type RingSettings, subscribeRing } from "@/ring/ring";

export function useRing(agentId: number): RingSettings {
  return useSyncExternalStore(subscribeRing, () => ringSettings(agentId));
}

export function useRingBlocked(): boolean {
  return useSyncExternalStore(subscribeRing, isRingBlocked);
}

export function useCheckOpen(): boolean {
  return useSyncExternalStore(subscribeRing, isCheckOpen);
}
