import { notifications } from "@mantine/notifications";
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { useCallback } from "react";
import { useTranslation } from "react-i18next";

import type { Desk, Me, PresenceState } from "@/api/types";
import { callerName } from "@/features/call/caller";
import { addLostOffer, type LostOffer, lostText } from "@/features/call/lostOffers";
import type { DeskEvent, OfferEnded, PresenceChanged } from "@/live/protocol";

/** What an event says aloud: calls that went elsewhere, and presence that somebody else changed. */
export function useDeskEvents(me: Me) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  return useCallback(
    (event: DeskEvent, before: Desk | undefined) => {
      if (event.type === "offer_ended") onOfferEnded(queries, t, me, event.data, before, event.at);
      if (event.type === "presence_changed") onPresence(t, me, event.data, before);
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
  const offer = before?.offers.find(({ offer_id }) => offer_id === ended.offer_id);
  const isMine = ended.outcome === "accepted" && (ended.by === null || ended.by === me.name);
  if (!offer || isMine || ended.outcome === "rejected") return;
  const lost: LostOffer = { ...ended, at, pop: offer };
  addLostOffer(queries, lost);
  notifications.show({
    id: `offer-${ended.offer_id}`,
    title: lostText(t, lost),
    message: `${callerName(t, offer)} · ${offer.ticket.number}`,
    color: "gray",
    autoClose: 6000,
    closeButtonProps: { "aria-label": t("action.close") },
  });
}

const OF_THE_ENGINE: PresenceState[] = ["not_responding", "unreachable"];

function onPresence(t: TFunction, me: Me, presence: PresenceChanged, before: Desk | undefined): void {
  if (before?.presence.state === presence.state) return;
  const isForced = presence.by !== null && presence.by !== me.name && presence.by !== me.email;
  if (isForced) {
    notifications.show({
      id: "presence",
      title: t("presence.setBy", { name: presence.by, state: t(`presence.${presence.state}`) }),
      message: presence.reason ?? "",
      color: "yellow",
      autoClose: 10_000,
      closeButtonProps: { "aria-label": t("action.close") },
    });
  } else if (OF_THE_ENGINE.includes(presence.state)) {
    notifications.show({
      id: "presence",
      title: t(`presence.${presence.state}`),
      message: t(`presenceWhy.${presence.state as "not_responding" | "unreachable"}`),
      color: "red",
      autoClose: 10_000,
      closeButtonProps: { "aria-label": t("action.close") },
    });
  }
}
