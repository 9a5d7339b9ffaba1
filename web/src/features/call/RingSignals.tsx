import { Button } from "@mantine/core";
import { VolumeX } from "lucide-react";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";

import type { ScreenPop } from "@/api/types";
import { Callout } from "@/design/Notice";
import { useText } from "@/i18n";
import { notify, ringHere, startRinging, stopRinging } from "@/ring/ring";
import { useRing, useRingBlocked } from "@/ring/useRing";

import { useCallerName } from "./caller";

interface Props {
  agentId: number;
  offers: ScreenPop[];
  /** The agent talks to somebody. */
  isQuiet: boolean;
}

/** What is heard and seen of a ringing call outside of this page. What a telephone system rings is heard at the telephone. */
export function RingSignals({ agentId, offers, isQuiet }: Props) {
  const { t } = useTranslation();
  const text = useText();
  const nameOf = useCallerName();
  const settings = useRing(agentId);
  const isBlocked = useRingBlocked();
  const rings = offers.some(({ call }) => !call.is_external);
  useEffect(() => {
    if (!rings || !settings.isOn) return;
    const end = new AbortController();
    ringHere(settings, isQuiet, end.signal);
    return () => end.abort();
  }, [rings, settings, isQuiet]);
  const newest = offers.at(-1);
  const offerId = newest?.offer_id;
  const title = newest ? t("pop.ringingBar", { name: nameOf(newest), queue: text(newest.call.queue_name) }) : "";
  useEffect(() => {
    if (offerId === undefined || !settings.notifies) return;
    return notify(`offer-${offerId}`, title, t("ring.notification"));
  }, [offerId, title, settings.notifies, t]);
  if (!isBlocked || !settings.isOn) return null;
  const allow = async () => {
    await startRinging(settings, isQuiet);
    if (!rings) stopRinging();
  };
  return (
    <Callout
      tone="amber"
      icon={<VolumeX size={16} aria-hidden="true" />}
      action={
        <Button size="compact-sm" variant="default" onClick={() => void allow()} data-testid="allow-sound">
          {t("ring.allow")}
        </Button>
      }
    >
      {t("ring.blocked")}
    </Callout>
  );
}
