"""Who gets what: pure, explained, repeatable. Same state and `now`, same decision.

Policy. Each free agent comes to one item first: by the rank that the agent's group gives the queue, then in the order of the line.
Of the items that somebody comes to first, the first in the line is given away; among those who come to it first the first in the
step's order (`routing.order`) gets the offer. Where nobody ranks queues, these are simply all who may serve it. An item that nobody
present can serve never holds back the next one. One offer per agent and pass; units are re-checked under lock when the offer is written. A step with `offers: n` asks up to n
agents at the same time, always in one pass. Source: reference/routing.md §0, §2.4, §2.10.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from core.ids import AgentId, WorkItemId
from routing.model import (
    AS_OTHERS,
    STICKY,
    AgentVerdict,
    AgentView,
    Channel,
    Decision,
    PoolState,
    PresenceState,
    Proposal,
    Served,
    SkillNeed,
    Step,
    Unread,
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
    wishes = _Wishes(state, now)
    supply = supply_of(free_agents(state.agents, now)) if state.supply is None else state.supply
    proposals: list[Proposal] = []
    while (item := wishes.first()) is not None:
        index = current_step(item, now)
        step = item.steps[index]
        criteria = criteria_of(step, item.pick, item.channel)
        able = [(rank(agent, step, criteria, supply), agent.id) for agent in wishes.who_want(item)]
        able.sort(key=lambda each: each[0])
        asked = min(asked_at_once(item, step), state.max_offers, len(able))
        if len(proposals) + asked > state.max_offers:
            return Decision(
                tuple(proposals), is_full=True
            )  # the next pass begins with it: a group is never asked in part
        if item.only is not None:
            by = STICKY
        else:
            by = str(deciding(able[asked - 1][0], able[asked][0] if asked < len(able) else None, criteria))
        elsewhere = wishes.elsewhere(item)
        chosen = [agent_id for _, agent_id in able[:asked]]
        proposals += [Proposal(item, agent_id, index, by, elsewhere) for agent_id in chosen]
        wishes.grant(item, chosen)
    return Decision(tuple(proposals), is_full=len(proposals) == state.max_offers)


class _Wishes:
    """What each free agent comes to first: by the rank of the queue in the agent's group, then by the order of the line.

    Where no group ranks its queues, the first item in the line that anybody can serve is the wish of all who can serve it."""

    def __init__(self, state: PoolState, now: datetime) -> None:
        self._now = now
        self._unread = state.unread
        self._line = sorted(state.items, key=lambda item: item.key)
        self._step = {item.id: item.steps[current_step(item, now)] for item in state.items}
        channels = {item.channel for item in state.items} | {each.channel for each in state.unread}
        self._free = {channel: {a.id for a in free_agents(state.agents, now, channel)} for channel in channels}
        self._left = {a.id: a for a in state.agents if any(a.id in free for free in self._free.values())}
        self._is_ranked = any(agent.ranks for agent in self._left.values())
        self._orders: dict[tuple[tuple[str, Served], ...], list[WaitingItem]] = {}
        self._rest = {agent.id: iter(self._order_of(agent)) for agent in self._left.values()}
        self._gone: set[WorkItemId] = set()
        self._wish: dict[AgentId, WaitingItem] = {}
        self._want: dict[WorkItemId, list[AgentView]] = {}
        for agent in self._left.values():
            self._choose(agent)

    def first(self) -> WaitingItem | None:
        """The first item in the line that is somebody's wish; None when there is none, or when what was not read may come before it
        or be the wish of who seems to want it."""
        if not self._want:
            return None
        item = next(item for item in self._line if item.id in self._want)
        return None if self._unread and self._is_doubtful(item) else item

    def who_want(self, item: WaitingItem) -> list[AgentView]:
        return self._want[item.id]

    def elsewhere(self, item: WaitingItem) -> dict[AgentId, str]:
        """Who may serve it as well, and comes to which queue first."""
        if not self._is_ranked:
            return {}
        return {
            agent_id: wish.queue
            for agent_id, wish in self._wish.items()
            if wish.id != item.id and self._can_have(item, self._left[agent_id])
        }

    def grant(self, item: WaitingItem, chosen: Collection[AgentId]) -> None:
        """The item and those asked are out of this pass."""
        self._gone.add(item.id)
        for agent in self._want.pop(item.id):
            del self._wish[agent.id]
            if agent.id in chosen:
                del self._left[agent.id]
            else:
                self._choose(agent)

    def _choose(self, agent: AgentView) -> None:
        """What is passed over is gone, or not for this agent in this pass."""
        for item in self._rest[agent.id]:
            if item.id not in self._gone and self._can_have(item, agent):
                self._wish[agent.id] = item
                self._want.setdefault(item.id, []).append(agent)
                return

    def _can_have(self, item: WaitingItem, agent: AgentView) -> bool:
        return agent.id in self._free[item.channel] and _may_serve(item, self._step[item.id], agent, self._now)

    def _order_of(self, agent: AgentView) -> list[WaitingItem]:
        if not agent.ranks:
            return self._line
        key = tuple(sorted(agent.ranks.items(), key=lambda pair: pair[0]))
        if key not in self._orders:
            self._orders[key] = sorted(self._line, key=lambda item: served(agent, item.queue).rank)
        return self._orders[key]

    def _is_doubtful(self, item: WaitingItem) -> bool:
        if any(each.by_nobody_known and each.since < item.key for each in self._unread):
            return True
        return any(self._may_prefer(each, agent, item) for agent in self._left.values() for each in self._unread)

    def _may_prefer(self, unread: Unread, agent: AgentView, item: WaitingItem) -> bool:
        """May something unread be this agent's wish, so that it would be asked before the item, or by who seems to want the item?"""
        if agent.id not in self._free[unread.channel] or unread.only not in (None, agent.id):
            return False
        if unread.queue not in agent.queues or not _has_what(unread.require, agent):
            return False
        here = served(agent, unread.queue)
        if unread.only is None and not _is_late(unread.oldest, here.delay_s, self._now):
            return False
        wish = self._wish.get(agent.id)
        if wish is not None and (served(agent, wish.queue).rank, wish.key) < (here.rank, unread.since):
            return False
        return unread.since < item.key or (wish is not None and wish.id == item.id)


def served(agent: AgentView, queue: str) -> Served:
    """In which order and after what delay the agent serves this queue."""
    return agent.ranks.get(queue, AS_OTHERS)


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
        if not _has(need, agent):
            return Verdict.SKILL_MISSING, f"{need.skill} ≥ {need.level}"
    if (hindrance := _hindrance(agent, now, item.channel)) is not None:
        return hindrance, None
    if not _is_seen(item, agent, now):
        return Verdict.DELAYED, str(served(agent, item.queue).delay_s)
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


def _may_serve(item: WaitingItem, step: Step, agent: AgentView, now: datetime) -> bool:
    """For a free agent."""
    return (
        item.queue in agent.queues
        and item.only in (None, agent.id)
        and agent.id not in item.excluded
        and _has_what(step.require, agent)
        and _is_seen(item, agent, now)
    )


def _has_what(require: Iterable[SkillNeed], agent: AgentView) -> bool:
    return all(_has(need, agent) for need in require)


def _has(need: SkillNeed, agent: AgentView) -> bool:
    return agent.skills.get(need.skill, 0) >= need.level


def _is_seen(item: WaitingItem, agent: AgentView, now: datetime) -> bool:
    """Has it waited long enough for the agent's group? What is kept for somebody is theirs at once."""
    if not agent.ranks or item.only == agent.id:
        return True
    return _is_late(item.entered_at, served(agent, item.queue).delay_s, now)


def _is_late(since: datetime, delay_s: int, now: datetime) -> bool:
    """What came while this pass was under way may have come after `now`."""
    return not delay_s or (now - since).total_seconds() >= delay_s


def explain(
    item: WaitingItem,
    agents: Iterable[AgentView],
    now: datetime,
    *,
    chosen: Collection[AgentId] = (),
    taken: Collection[AgentId] = (),
    elsewhere: Mapping[AgentId, str] = MappingProxyType({}),
    supply: Supply | None = None,
) -> list[AgentVerdict]:
    """A verdict for every agent: the chosen, the eligible (both in the order of asking), the rest by reason, other queues' agents last.

    `chosen` are those who are asked for this item, `taken` those who were given another one before it in the same pass, `elsewhere`
    those who come to another queue first."""
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
        elif agent.id in elsewhere:
            others.append(AgentVerdict(agent.id, agent.name, Verdict.ELSEWHERE, elsewhere[agent.id]))
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
        found.append(
            explain(
                proposal.item,
                everybody,
                now,
                chosen=chosen,
                taken=taken - chosen,
                elsewhere=proposal.elsewhere,
                supply=supply,
            )
        )
        taken |= chosen
    return found
