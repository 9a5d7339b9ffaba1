import { Button } from "@mantine/core";
import { Coffee, Headphones, Headset, PowerOff, TriangleAlert } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { Desk, PresenceState } from "@/api/types";
import { EmptyState } from "@/design/Notice";
import { secondsSince, useNow } from "@/format/time";
import { useText } from "@/i18n";
import { ariaKeys, Keycaps } from "@/keys/Keycaps";
import { openCheck } from "@/ring/ring";
import { useRing } from "@/ring/useRing";
import { useSetPresence } from "@/parts/useSetPresence";

import classes from "./IdleDesk.module.css";
import { WaitingHere } from "./WaitingHere";

const ICON: Record<PresenceState, typeof Headset> = {
  available: Headset,
  break: Coffee,
  offline: PowerOff,
  not_responding: TriangleAlert,
  reconnecting: TriangleAlert,
  unreachable: TriangleAlert,
};

const CHECK_AGAIN_H = 12;

/** Once a shift: are calls heard here, does the microphone work? */
function CheckReminder({ agentId }: { agentId: number }) {
  const { t } = useTranslation();
  const { checkedAt } = useRing(agentId);
  const now = useNow();
  if (checkedAt !== null && secondsSince(checkedAt, now) < CHECK_AGAIN_H * 3600) return null;
  return (
    <Button
      variant="subtle"
      size="compact-sm"
      leftSection={<Headphones size={14} aria-hidden="true" />}
      onClick={() => openCheck(true)}
      data-testid="check-reminder"
    >
      {t("ring.reminder")}
    </Button>
  );
}

/** Nothing rings: says whether calls can come, the one step if not, and how the queues stand. */
export function IdleDesk({ desk }: { desk: Desk }) {
  const { t } = useTranslation();
  const text = useText();
  const choose = useSetPresence();
  if (desk.presence === null) return <EmptyState icon={<Headset />} title={t("idle.noAgent")} />;
  const { state, telephone } = desk.presence;
  const Icon = ICON[state];
  return (
    <section className={classes.idle} data-state={state} aria-label={t("desk.idle")}>
      <span className={classes.icon} aria-hidden="true">
        <Icon />
      </span>
      <h2 className={classes.title}>{t(`idle.${state}.title`)}</h2>
      <p className={classes.text}>{t(`idle.${state}.text`)}</p>
      {telephone?.is_used ? (
        <p className={classes.text} data-testid="reached-at">
          {t("telephone.reachedAt", { number: telephone.shown })}
        </p>
      ) : null}
      {state === "available" || state === "reconnecting" ? null : (
        <Button
          size="md"
          loading={choose.isPending}
          rightSection={<Keycaps of="goAvailable" />}
          aria-keyshortcuts={ariaKeys("goAvailable")}
          onClick={() => choose.mutate({ state: "available" })}
        >
          {t("idle.goAvailable")}
        </Button>
      )}
      {telephone?.is_used ? null : <CheckReminder agentId={desk.me.id} />}
      {desk.queues.length === 0 ? null : (
        <ul className={classes.queues} aria-label={t("nav.queues")}>
          {desk.queues.map((queue) => (
            <li key={queue.key} className={classes.queue}>
              <span className={classes.queueName}>{text(queue.name)}</span>
              <span>
                <strong>{queue.waiting}</strong> {t("queue.waiting")}
              </span>
              <span>
                <strong>{queue.agents_available}</strong> {t("queue.free")}
              </span>
            </li>
          ))}
        </ul>
      )}
      {state === "available" || state === "break" ? <WaitingHere queues={desk.queues} /> : null}
    </section>
  );
}
