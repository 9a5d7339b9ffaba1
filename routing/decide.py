"""Who gets what: pure, explained, repeatable. Same state and `now`, same decision.

Policy. Items are taken in the order of the line; for each the step in force says what is required; among the agents that may serve
it, the one idle longest gets the offer, ties by id. An item that nobody present can serve never holds back the next one. One
offer per agent and pass; units are re-checked under lock when the offer is written. A step with `offers: n` asks up to n agents at
the same time, always in one pass. Source: reference/routing.md §0, §2.4, §2.10.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from core.ids import AgentId
from routing.model import (
    AgentVerdict,
    AgentView,
    Decision,
    PoolState,
    PresenceState,
    Proposal,
    Step,
    Verdict,
    WaitingItem,
    step_at,
)

_PRESENCE_VERDICTS = {
    PresenceState.OFFLINE: Verdict.OFFLINE,
    PresenceState.BREAK: Verdict.ON_BREAK,
    PresenceState.NOT_RESPONDING: Verdict.NOT_RESPONDING,
    PresenceState.RECONNECTING: Verdict.DISCONNECTED,
    PresenceState.UNREACHABLE: Verdict.DISCONNECTED,
}
_WORK_VERDICTS = {"in_call": Verdict.IN_CALL, "wrapping": Verdict.WRAPPING, "offered": Verdict.OFFERED}


def decide(state: PoolState, now: datetime) -> Decision:
    """Offers to make now, at most `state.max_offers`. Nobody free is an empty decision, not an error."""
    proposals: list[Proposal] = []
    free = free_agents(state.agents, now)
    taken: set[AgentId] = set()
    is_full, has_missed, is_lacking, looked_at = not free, False, False, 0
    for item in sorted(state.items, key=lambda item: item.key):
        if is_full:
            break
        index = current_step(item, now)
        step = item.steps[index]
        able = [a for a in free if a.id not in taken and _may_serve(item, step, a)]
        group = able[: min(step.offers, state.max_offers)]
        if len(proposals) + len(group) > state.max_offers:
            is_full = True  # the next pass begins with this item: a group is never asked in part
            break
        looked_at += 1
        has_missed |= len(group) < min(step.offers, state.max_offers)
        is_lacking |= has_missed and bool(group)
        asked = frozenset(agent.id for agent in group)
        for agent in group:
            verdicts = tuple(explain(item, state.agents, now, chosen=asked, taken=taken))
            proposals.append(Proposal(item, agent.id, index, verdicts))
        taken |= asked
        is_full = len(proposals) == state.max_offers or len(taken) == len(free)
    is_whole = looked_at == len(state.items) > 0 and not has_missed
    return Decision(tuple(proposals), is_full, is_lacking, is_whole)


def free_agents(agents: Iterable[AgentView], now: datetime) -> list[AgentView]:
    """Who could take a suitable item now, idle longest first."""
    return sorted((a for a in agents if _hindrance(a, now) is None), key=lambda a: (a.idle_since, a.id))


def current_step(item: WaitingItem, now: datetime) -> int:
    return step_at(item.steps, (now - item.entered_at).total_seconds())


def verdict_of(item: WaitingItem, step: Step, agent: AgentView, now: datetime) -> AgentVerdict:
    """The first reason, from the lasting to the passing, why this agent cannot take the item; ELIGIBLE when there is none."""
    verdict, detail = _verdict(item, step, agent, now)
    return AgentVerdict(agent.id, agent.name, verdict, detail)


def _verdict(item: WaitingItem, step: Step, agent: AgentView, now: datetime) -> tuple[Verdict, str | None]:
    if item.queue not in agent.queues:
        return Verdict.NOT_IN_QUEUE, None
    for need in step.require:
        if agent.skills.get(need.skill, 0) < need.level:
            return Verdict.SKILL_MISSING, f"{need.skill} ≥ {need.level}"
    if (hindrance := _hindrance(agent, now)) is not None:
        return hindrance, None
    if agent.id in item.excluded:
        return Verdict.EXCLUDED, None
    return Verdict.ELIGIBLE, None


def _hindrance(agent: AgentView, now: datetime) -> Verdict | None:
    """Why this agent can take nothing at all now."""
    if agent.presence is not PresenceState.AVAILABLE:
        return _PRESENCE_VERDICTS[agent.presence]
    if not agent.is_connected:
        return Verdict.DISCONNECTED
    if agent.free_units < 1:
        return _WORK_VERDICTS.get(agent.work, Verdict.FULL)
    if agent.work == "wrapping":
        return Verdict.WRAPPING
    if agent.cooldown_until is not None and agent.cooldown_until > now:
        return Verdict.COOLING_DOWN
    return None


def _may_serve(item: WaitingItem, step: Step, agent: AgentView) -> bool:
    """For a free agent."""
    return (
        item.queue in agent.queues
        and agent.id not in item.excluded
        and all(agent.skills.get(need.skill, 0) >= need.level for need in step.require)
    )


def explain(
    item: WaitingItem,
    agents: Iterable[AgentView],
    now: datetime,
    *,
    chosen: Collection[AgentId] = (),
    taken: Collection[AgentId] = (),
) -> list[AgentVerdict]:
    """A verdict for every agent: the chosen, the eligible (both by idle time), the rest by reason, other queues' agents last.

    `chosen` are those who are asked for this item, `taken` those who were given another one in the same pass."""
    step = item.steps[current_step(item, now)]
    suitable: list[tuple[bool, datetime, AgentId, AgentVerdict]] = []
    others: list[AgentVerdict] = []
    for agent in agents:
        found = verdict_of(item, step, agent, now)
        if agent.id in chosen:
            suitable.append((False, agent.idle_since, agent.id, AgentVerdict(agent.id, agent.name, Verdict.CHOSEN)))
        elif found.verdict is not Verdict.ELIGIBLE:
            others.append(found)
        elif agent.id in taken:
            others.append(AgentVerdict(agent.id, agent.name, Verdict.TAKEN))
        else:
            suitable.append((True, agent.idle_since, agent.id, found))
    suitable.sort(key=lambda each: each[:3])
    others.sort(key=lambda each: (each.verdict is Verdict.NOT_IN_QUEUE, each.verdict.value, each.agent_id))
    return [each[3] for each in suitable] + others
