import { useEffect } from "react";

import type { PopLayer, ScreenPop } from "@/api/types";
import { serverNow } from "@/live/clock";
import { useLive } from "@/live/LiveProvider";

/**
 * Reports when a layer of the pop is really on the screen: two frames after React wrote it.
 *
 * Only while it rings, and only where somebody could see it: a window in the background paints nothing until it is looked at, and what it
 * would report then is how long nobody looked.
 */
export function usePainted({ offer_id, offered_at, state }: ScreenPop, layer: PopLayer, isThere: boolean): void {
  const live = useLive();
  const counts = isThere && state === "pending";
  useEffect(() => {
    if (!counts || document.visibilityState !== "visible") return;
    let frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(() => {
        live.painted(offer_id, layer, Math.max(0, Math.round(serverNow() - Date.parse(offered_at))));
      });
    });
    return () => cancelAnimationFrame(frame);
  }, [live, offer_id, offered_at, layer, counts]);
}

export function isMissing(pop: ScreenPop, ...sources: NonNullable<ScreenPop["holes"]>[number]["source"][]): boolean {
  return (pop.holes ?? []).some(({ source }) => sources.includes(source));
}
