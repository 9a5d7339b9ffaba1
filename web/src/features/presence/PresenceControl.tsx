import { ActionIcon, Button, Menu, UnstyledButton } from "@mantine/core";
import { Check, ChevronDown, X } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { ChosenPresence, Presence, PresenceState, WorkState } from "@/api/types";
import { StateDot, type Tone } from "@/design/Chip";
import { useProblemText } from "@/design/useProblemText";
import { clock, secondsSince, useNow } from "@/format/time";
import { Keycaps } from "@/keys/Keycaps";
import { type CommandId, useShortcut } from "@/keys/shortcuts";
import { useSetPresence } from "@/parts/useSetPresence";

import classes from "./PresenceControl.module.css";

const TONE: Record<PresenceState, Tone> = {
  available: "green",
  break: "amber",
  offline: "grey",
  not_responding: "red",
  reconnecting: "amber",
  unreachable: "red",
};
const WORK_TONE: Record<WorkState, Tone | null> = { idle: null, offered: "blue", in_call: "blue", wrapping: "violet" };
export const BREAK_REASONS = ["break", "lunch", "meeting", "training"] as const;
type BreakReason = (typeof BREAK_REASONS)[number];

function isBreakReason(reason: string | null): reason is BreakReason {
  return BREAK_REASONS.includes(reason as BreakReason);
}

/** Where I stand: chosen by me, or set by the service with a way back. */
export function PresenceControl({ presence, work }: { presence: Presence; work: WorkState }) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const [isOpen, setOpen] = useState(false);
  const now = useNow();
  const choose = useSetPresence();
  const { state, reason, next = null, next_reason = null } = presence;
  const isSetByService = state === "not_responding" || state === "unreachable";
  useShortcut("presence", () => setOpen(true));
  useShortcut("goAvailable", () => choose.mutate({ state: "available" }), state !== "available" || next !== null);

  const textOf = (which: PresenceState, why: string | null) =>
    which === "break" && isBreakReason(why) ? t(`breakReason.${why}`) : t(`presence.${which}`);
  // What will be after the call is what was chosen; without such a choice it is what is.
  const [chosen, chosenReason] = next === null ? [state, reason] : [next, next_reason];
  const atWork = work === "in_call" || work === "wrapping";
  const workTone = WORK_TONE[work];
  // What I do matters more than that I am available; the time belongs to the state, so it is left out then.
  const isShowingWork = workTone !== null && state === "available";
  const label = isShowingWork ? t(`work.${work}`) : textOf(state, reason);
  const takeBack = () => choose.mutate(isChosenByPeople(state) ? { state, reason: reason ?? undefined } : { state: "available" });
  return (
    <div className={classes.control}>
      {isSetByService ? (
        <Button size="xs" loading={choose.isPending} onClick={() => choose.mutate({ state: "available" })}>
          {t("presence.back")}
        </Button>
      ) : null}
      <Menu opened={isOpen} onChange={setOpen} position="bottom-end" width={240} withinPortal={false}>
        <Menu.Target>
          <UnstyledButton
            className={classes.button}
            data-testid="presence"
            data-state={state}
            data-tone={isShowingWork ? workTone : TONE[state]}
          >
            <StateDot tone={isShowingWork ? workTone : TONE[state]} />
            <span className="visually-hidden">{t("presence.label")}</span>
            <span className={classes.state}>{label}</span>
            {isShowingWork ? null : <span className={classes.time}>{clock(secondsSince(presence.since, now))}</span>}
            {next === null ? null : (
              <span className={classes.next} data-testid="next-presence">
                {t("presence.next", { state: textOf(next, next_reason) })}
              </span>
            )}
            <ChevronDown size={14} aria-hidden="true" />
          </UnstyledButton>
        </Menu.Target>
        <Menu.Dropdown>
          {isSetByService ? <Menu.Label>{t(`presenceWhy.${state}`)}</Menu.Label> : null}
          {atWork ? <Menu.Label>{t("presence.appliesAfter")}</Menu.Label> : null}
          {choose.error ? <Menu.Label c="var(--tone-red-fg)">{problemText(asProblem(choose.error))}</Menu.Label> : null}
          <Choice tone="green" isChosen={chosen === "available"} keys="goAvailable" onClick={() => choose.mutate({ state: "available" })}>
            {t("presence.available")}
          </Choice>
          <Menu.Divider />
          <Menu.Label>{t("presence.break")}</Menu.Label>
          {BREAK_REASONS.map((each) => (
            <Choice
              key={each}
              tone="amber"
              isChosen={chosen === "break" && chosenReason === each}
              onClick={() => choose.mutate({ state: "break", reason: each })}
            >
              {t(`breakReason.${each}`)}
            </Choice>
          ))}
          <Menu.Divider />
          <Choice tone="grey" isChosen={chosen === "offline"} onClick={() => choose.mutate({ state: "offline" })}>
            {t("presence.offline")}
          </Choice>
        </Menu.Dropdown>
      </Menu>
      {next === null ? null : (
        <ActionIcon
          variant="subtle"
          color="gray"
          loading={choose.isPending}
          onClick={takeBack}
          aria-label={t("presence.takeBack")}
          title={t("presence.takeBack")}
          data-testid="take-back"
        >
          <X size={16} aria-hidden="true" />
        </ActionIcon>
      )}
    </div>
  );
}

function isChosenByPeople(state: PresenceState): state is ChosenPresence {
  return state === "available" || state === "break" || state === "offline";
}

function Choice({ tone, isChosen, onClick, keys, children }: {
  tone: Tone;
  keys?: CommandId;
  isChosen: boolean;
  onClick: () => void;
  children: string;
}) {
  return (
    <Menu.Item
      leftSection={<StateDot tone={tone} />}
      rightSection={isChosen ? <Check size={14} aria-hidden="true" /> : keys ? <Keycaps of={keys} /> : null}
      onClick={onClick}
      aria-current={isChosen || undefined}
    >
      {children}
    </Menu.Item>
  );
}
