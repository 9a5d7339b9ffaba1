/** Calls that rang here and went elsewhere: what happened, for a toast and for a short list. */
import { type QueryClient, useQuery } from "@tanstack/react-query";
import type { TFunction } from "i18next";

import type { OfferEnded, ScreenPop } from "@/api/types";

export interface LostOffer extends OfferEnded {
  at: string;
  pop: ScreenPop;
}

const KEY = ["lost-offers"] as const;
const KEPT = 10;

export function addLostOffer(queries: QueryClient, lost: LostOffer): void {
  queries.setQueryData<LostOffer[]>(KEY, (known = []) =>
    [lost, ...known.filter(({ offer_id }) => offer_id !== lost.offer_id)].slice(0, KEPT),
  );
}

export function useLostOffers(): LostOffer[] {
  return useQuery<LostOffer[]>({ queryKey: KEY, queryFn: () => [], staleTime: Infinity, gcTime: Infinity }).data ?? [];
}

export function lostText(t: TFunction, { outcome, reason, by }: OfferEnded): string {
  if (outcome === "canceled") return t(reason === "connect_failed" ? "lost.connectFailed" : "lost.callerLeft");
  if (outcome === "timeout") return t("lost.timeout");
  if (by !== null) return t("lost.takenBy", { name: by });
  if (reason === "undone") return t("lost.takenBack");
  return t(reason === "agent_left" ? "lost.away" : "lost.elsewhere");
}
