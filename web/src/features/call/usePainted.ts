import { useEffect } from "react";

import type { ScreenPop } from "@/api/types";
import { serverNow } from "@/live/clock";
import { useLive } from "@/live/LiveProvider";

/** Reports when the pop is really on the screen: two frames after React wrote it. */
export function usePainted({ offer_id, offered_at }: ScreenPop): void {
  const live = useLive();
  useEffect(() => {
    let frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(() => {
        live.painted(offer_id, Math.max(0, Math.round(serverNow() - Date.parse(offered_at))));
      });
    });
    return () => cancelAnimationFrame(frame);
  }, [live, offer_id, offered_at]);
}
