/** Calls that rang here and went elsewhere: what happened, for a toast and for a list that outlives the page. */
import { type QueryClient, useQuery } from "@tanstack/react-query";
import type { TFunction } from "i18next";

import { lostOffers } from "@/api/endpoints";
import type { OfferEnded, PastOffer, ScreenPop } from "@/api/types";

const KEY = ["lost-offers"] as const;
/** Calls without a result, read again when a call is finished. */
export const LATE_KEY = ["without-result"] as const;
const KEPT = 10;

/** At once, from what the desk has on the screen; the service tells the same when it is read again. */
export function addLostOffer(queries: QueryClient, ended: OfferEnded, at: string, pop: ScreenPop): void {
  const { customer, call, ticket } = pop;
  const known = customer.profile ?? (customer.match === "one" ? customer.candidates[0] : undefined);
  const lost: PastOffer = {
    offer_id: ended.offer_id,
    call_id: call.id,
    queue_name: call.queue_name,
    number: call.from,
    ended_at: at,
    ticket: { id: ticket.id, number: ticket.number },
    customer: known ? { id: known.id, name: known.name } : null,
    outcome: ended.outcome,
    reason: ended.reason,
    by: ended.by,
    match: customer.match,
  };
  queries.setQueryData<PastOffer[]>(KEY, (before = []) =>
    [lost, ...before.filter(({ offer_id }) => offer_id !== lost.offer_id)].slice(0, KEPT),
  );
}

export function useLostOffers(): PastOffer[] {
  return useQuery({ queryKey: KEY, queryFn: lostOffers, staleTime: Infinity, gcTime: Infinity }).data ?? [];
}

export function lostText(t: TFunction, { outcome, reason, by }: Pick<OfferEnded, "outcome" | "reason" | "by">): string {
  if (outcome === "canceled" && reason === "connect_failed") return t("lost.connectFailed");
  if (outcome === "canceled") return t(reason === "undone" ? "lost.givenBack" : "lost.callerLeft");
  if (outcome === "timeout") return t("lost.timeout");
  if (by !== null) return t("lost.takenBy", { name: by });
  if (reason === "undone") return t("lost.takenBack");
  return t(reason === "agent_left" ? "lost.away" : "lost.elsewhere");
}
