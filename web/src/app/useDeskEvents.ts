import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { useCallback } from "react";
import { useTranslation } from "react-i18next";

import type { Desk, Me, OfferEnded, PresenceChanged, TicketSummary } from "@/api/types";
import { showToast } from "@/design/toasts";
import { callerName } from "@/features/call/caller";
import { addLostOffer, LATE_KEY, lostText } from "@/features/call/lostOffers";
import type { DeskEvent } from "@/live/protocol";

/** What an event says aloud: calls that went elsewhere, presence that somebody else changed, tickets that were assigned. */
export function useDeskEvents(me: Me) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  return useCallback(
    (event: DeskEvent, before: Desk | undefined) => {
      // Wrap-up is over, by hand or by itself: a result may be missing now.
      if (event.type === "call_changed" && event.data.state === "closed") void queries.invalidateQueries({ queryKey: LATE_KEY });
      if (event.type === "offer_ended") onOfferEnded(queries, t, me, event.data, before, event.at);
      if (event.type === "presence_changed") onPresence(t, me, event.data, before);
      if (event.type === "ticket_changed") onTicket(t, me, event.data, before);
    },
    [queries, t, me],
  );
}

function onOfferEnded(
  queries: QueryClient,
  t: TFunction,
  me: Me,
  ended: OfferEnded,
  before: Desk | undefined,
  at: string,
): void {
  // Accepted, and then the phone or the telephone of this agent did not come.
  const failed = ended.reason === "connect_failed" ? before?.calls.find(({ pop }) => pop.offer_id === ended.offer_id) : undefined;
  const offer = before?.offers.find(({ offer_id }) => offer_id === ended.offer_id) ?? failed?.pop;
  const isMine = ended.outcome === "accepted" && (ended.by === null || ended.by === me.name);
  if (!offer || isMine || ended.outcome === "rejected") return;
  addLostOffer(queries, ended, at, offer);
  showToast({
    id: `offer-${ended.offer_id}`,
    tone: "grey",
    title: failed?.telephone ? t("lost.notTaken") : lostText(t, ended),
    text: `${callerName(t, offer)} · ${offer.ticket.number}`,
  });
}

/** Of a queue of tickets. Those of one's own calls come with the call. */
function onTicket(t: TFunction, me: Me, ticket: TicketSummary, before: Desk | undefined): void {
  const isOfTickets = before?.queues.some(({ key, channel }) => key === ticket.queue && channel === "ticket");
  const isNew = ticket.assignee?.id === me.id && ["new", "open"].includes(ticket.state);
  if (!before || !isOfTickets || !isNew || before.tickets.some(({ id }) => id === ticket.id)) return;
  showToast({
    id: `ticket-${ticket.id}`,
    tone: "blue",
    title: t("desk.assigned", { ticket: ticket.number }),
    text: ticket.subject,
  });
}

function onPresence(t: TFunction, me: Me, presence: PresenceChanged, before: Desk | undefined): void {
  const isForced = ![null, undefined, "system", me.name].includes(presence.by);
  const { state, next = null } = presence;
  if (before?.presence?.state === state) {
    const { next: hadNext = null, next_reason: hadReason = null } = before.presence;
    if (!isForced || (next === hadNext && (presence.next_reason ?? null) === hadReason)) return;
    const title =
      next === null
        ? t("presence.nextTakenBy", { name: presence.by, state: t(`presence.${hadNext ?? state}`) })
        : t("presence.setNextBy", { name: presence.by, state: t(`presence.${next}`) });
    showToast({ id: "presence", tone: "amber", title, text: presence.next_reason ?? undefined });
    return;
  }
  if (isForced) {
    const title = t("presence.setBy", { name: presence.by, state: t(`presence.${state}`) });
    showToast({ id: "presence", tone: "amber", title, text: presence.reason ?? undefined });
  } else if (state === "unreachable") {
    // Not responding is told by the offer that timed out.
    showToast({ id: "presence", tone: "red", title: t(`presence.${state}`), text: t(`presenceWhy.${state}`) });
  }
}
