"""Who gets what: pure, explained, repeatable. Same state and `now`, same decision.

Policy. Items are taken in the order of the line; for each the step in force says what is required; among the agents that may serve
it, the first in the step's order (`routing.order`) gets the offer. An item that nobody present can serve never holds back the next
one. One offer per agent and pass; units are re-checked under lock when the offer is written. A step with `offers: n` asks up to n
agents at the same time, always in one pass. Source: reference/routing.md §0, §2.4, §2.10.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from core.ids import AgentId, WorkItemId
from routing.model import (
    STICKY,
    AgentVerdict,
    AgentView,
    Channel,
    Decision,
    PoolState,
    PresenceState,
    Proposal,
    Step,
    Verdict,
    WaitingItem,
    step_at,
)
from routing.order import Rank, Supply, criteria_of, deciding, rank, supply_of

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
    free = {channel: free_agents(state.agents, now, channel) for channel in {item.channel for item in state.items}}
    anybody = {agent.id for agents in free.values() for agent in agents}
    supply = supply_of(free_agents(state.agents, now)) if state.supply is None else state.supply
    taken: set[AgentId] = set()
    for item in sorted(state.items, key=lambda item: item.key):
        if len(taken) == len(anybody):
            break
        index = current_step(item, now)
        step = item.steps[index]
        criteria = criteria_of(step, item.pick, item.channel)
        able = [
            (rank(a, step, criteria, supply), a)
            for a in free[item.channel]
            if a.id not in taken and _may_serve(item, step, a)
        ]
        able.sort(key=lambda each: each[0])
        asked = min(asked_at_once(item, step), state.max_offers, len(able))
        if asked and len(proposals) + asked > state.max_offers:
            return Decision(
                tuple(proposals), is_full=True
            )  # the next pass begins with it: a group is never asked in part
        by = ""
        if asked and item.only is not None:
            by = STICKY
        elif asked:
            by = str(deciding(able[asked - 1][0], able[asked][0] if asked < len(able) else None, criteria))
        proposals += [Proposal(item, agent.id, index, by) for _, agent in able[:asked]]
        taken.update(agent.id for _, agent in able[:asked])
    return Decision(tuple(proposals), is_full=len(proposals) == state.max_offers)


def free_agents(agents: Iterable[AgentView], now: datetime, channel: Channel = Channel.VOICE) -> list[AgentView]:
    """Who could take a suitable item of this channel now."""
    return [agent for agent in agents if _hindrance(agent, now, channel) is None]


def asked_at_once(item: WaitingItem, step: Step) -> int:
    return 1 if item.only is not None or item.channel is Channel.TICKET else step.offers


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
    if (hindrance := _hindrance(agent, now, item.channel)) is not None:
        return hindrance, None
    if agent.id in item.excluded:
        return Verdict.EXCLUDED, None
    if item.only not in (None, agent.id):
        return Verdict.KEPT, None
    return Verdict.ELIGIBLE, None


def _hindrance(agent: AgentView, now: datetime, channel: Channel) -> Verdict | None:
    """Why this agent can take nothing at all of this channel now."""
    if agent.presence is not PresenceState.AVAILABLE:
        return _PRESENCE_VERDICTS[agent.presence]
    if not agent.is_connected:
        return Verdict.DISCONNECTED
    if channel is Channel.TICKET:
        return _ticket_hindrance(agent)
    if agent.free_units < 1:
        return _WORK_VERDICTS.get(agent.work, Verdict.CROWDED if agent.is_crowded else Verdict.FULL)
    if agent.work == "wrapping":
        return Verdict.WRAPPING
    if agent.cooldown_until is not None and agent.cooldown_until > now:
        return Verdict.COOLING_DOWN
    if agent.has_had_enough:
        return Verdict.LIMITED
    return None


def _ticket_hindrance(agent: AgentView) -> Verdict | None:
    """Of who is available. A ticket disturbs nobody who talks; who wraps up finishes first."""
    if agent.work == "wrapping":
        return Verdict.WRAPPING
    if agent.has_ticket_room:
        return None
    return Verdict.DRAINING if agent.is_draining else Verdict.FULL


def _may_serve(item: WaitingItem, step: Step, agent: AgentView) -> bool:
    """For a free agent."""
    return (
        item.queue in agent.queues
        and item.only in (None, agent.id)
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
    supply: Supply | None = None,
) -> list[AgentVerdict]:
    """A verdict for every agent: the chosen, the eligible (both in the order of asking), the rest by reason, other queues' agents last.

    `chosen` are those who are asked for this item, `taken` those who were given another one before it in the same pass."""
    everybody = list(agents)
    step = item.steps[current_step(item, now)]
    criteria = criteria_of(step, item.pick, item.channel)
    counted = supply_of(free_agents(everybody, now)) if supply is None else supply
    suitable: list[tuple[bool, Rank, AgentVerdict]] = []
    others: list[AgentVerdict] = []
    for agent in everybody:
        found = verdict_of(item, step, agent, now)
        if agent.id in chosen:
            found = AgentVerdict(agent.id, agent.name, Verdict.CHOSEN)
        elif found.verdict is not Verdict.ELIGIBLE:
            others.append(found)
            continue
        elif agent.id in taken:
            others.append(AgentVerdict(agent.id, agent.name, Verdict.TAKEN))
            continue
        suitable.append((found.verdict is Verdict.ELIGIBLE, rank(agent, step, criteria, counted), found))
    suitable.sort(key=lambda each: each[:2])
    others.sort(key=lambda each: (each.verdict is Verdict.NOT_IN_QUEUE, each.verdict.value, each.agent_id))
    return [each[2] for each in suitable] + others


def reasons(
    proposals: Sequence[Proposal], agents: Iterable[AgentView], now: datetime, *, supply: Supply | None = None
) -> list[list[AgentVerdict]]:
    """For each proposal of one pass the verdicts of all these agents, as they were when its item's turn came."""
    everybody = list(agents)
    asked: dict[WorkItemId, set[AgentId]] = {}
    for proposal in proposals:
        asked.setdefault(proposal.item.id, set()).add(proposal.agent_id)
    taken: set[AgentId] = set()
    found = []
    for proposal in proposals:
        chosen = asked[proposal.item.id]
        found.append(explain(proposal.item, everybody, now, chosen=chosen, taken=taken - chosen, supply=supply))
        taken |= chosen
    return found
