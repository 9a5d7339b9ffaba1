"""Who gets what: pure, explained, repeatable. Same state and `now`, same decision.

Policy. Items are taken in the order of the line; for each the step in force says what is required; among the agents that may serve
it, the one idle longest gets the offer, ties by id. An item that nobody present can serve never holds back the next one. One
offer per agent and pass; units are re-checked under lock when the offer is written. Source: reference/routing.md §0, §2.4, §2.10.
"""

from collections.abc import Iterable
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
    taken: set[AgentId] = set()
    for item in sorted(state.items, key=lambda item: item.key):
        if len(proposals) >= state.max_offers:
            break
        index = current_step(item, now)
        step = item.steps[index]
        eligible = [
            a for a in state.agents if a.id not in taken and verdict_of(item, step, a, now).verdict is Verdict.ELIGIBLE
        ]
        eligible.sort(key=lambda a: (a.idle_since, a.id))
        room = state.max_offers - len(proposals)
        for agent in eligible[: min(step.offers, room)]:
            verdicts = tuple(explain(item, state.agents, now, chosen=agent.id, taken=taken))
            proposals.append(Proposal(item, agent.id, index, verdicts))
            taken.add(agent.id)
    return Decision(tuple(proposals))


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
    if agent.presence is not PresenceState.AVAILABLE:
        return _PRESENCE_VERDICTS[agent.presence], None
    if not agent.is_connected:
        return Verdict.DISCONNECTED, None
    if agent.free_units < 1:
        return _WORK_VERDICTS.get(agent.work, Verdict.FULL), None
    if agent.work == "wrapping":
        return Verdict.WRAPPING, None
    if agent.cooldown_until is not None and agent.cooldown_until > now:
        return Verdict.COOLING_DOWN, None
    if agent.id in item.excluded:
        return Verdict.EXCLUDED, None
    return Verdict.ELIGIBLE, None


def explain(
    item: WaitingItem,
    agents: Iterable[AgentView],
    now: datetime,
    *,
    chosen: AgentId | None = None,
    taken: Iterable[AgentId] = (),
) -> list[AgentVerdict]:
    """A verdict for every agent, the chosen one first, then the eligible by idle time, then the rest by reason."""
    step = item.steps[current_step(item, now)]
    busy = frozenset(taken)
    found: list[tuple[tuple[object, ...], AgentVerdict]] = []
    for agent in agents:
        verdict = verdict_of(item, step, agent, now)
        if agent.id == chosen:
            verdict = AgentVerdict(agent.id, agent.name, Verdict.CHOSEN, verdict.detail)
        elif verdict.verdict is Verdict.ELIGIBLE and agent.id in busy:
            verdict = AgentVerdict(agent.id, agent.name, Verdict.TAKEN)
        rank = {Verdict.CHOSEN: 0, Verdict.ELIGIBLE: 1}.get(verdict.verdict, 2)
        order = (
            (rank, agent.idle_since if rank == 1 else "", agent.id)
            if rank < 2
            else (rank, verdict.verdict.value, agent.id)
        )
        found.append((order, verdict))
    found.sort(key=lambda pair: (pair[0][0], str(pair[0][1]), pair[0][2]))
    return [verdict for _, verdict in found]
