"""What a pass must read to decide as if it had read everything (ADR 0008).

Those in line are grouped by need (queue and requirement), those who are free by profile (queues and skills). Matching the two
groups says who can serve whom at all; of the items that somebody can serve the heads are read, and for each need the first few
agents of the profiles whose first agent comes first in that need's order. Everything not read comes later in the order of the line
or later in the order of asking, so the decision over what was read is the decision over everything. Where only idle time counts and
those who are idle longest can serve what is first in line, nothing else is looked at.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nsmallest
from typing import Any, Final

from core.ids import AgentId
from infra.postgres import Connection
from routing import queries as sql
from routing.decide import asked_at_once, current_step, decide
from routing.model import AgentView, By, Channel, Criterion, Decision, PoolState, Step, WaitingItem, step_of
from routing.order import Supply, criteria_of, profile_rank

MAX_OFFERS: Final = 8
HEADS: Final = 2 * MAX_OFFERS
IDLEST: Final = 2 * MAX_OFFERS
BY_IDLE: Final = (Criterion(By.LONGEST_IDLE),)
MAX_KNOWN: Final = 20_000
Key = tuple[int, datetime, datetime, int]
"""A place in the line, as `WaitingItem.key`."""
Abilities = tuple[frozenset[str], Mapping[str, int]]
_known: dict[int, Abilities] = {}
"""What a profile can do; its id is the hash of that, so it never changes."""


First = tuple[datetime | float, datetime | None, AgentId]
"""A clock, what breaks its ties if anything does, and whose it is."""


@dataclass(frozen=True, slots=True)
class Need:
    """What some of those in line ask for. `first` is the key of the first of them."""

    id: int
    queue: str
    step: Step
    criteria: tuple[Criterion, ...]
    first: Key
    only: AgentId | None
    channel: Channel

    @property
    def clock(self) -> tuple[Channel, By]:
        """By what those who can serve it are read."""
        return self.channel, self.criteria[-1].by


@dataclass(frozen=True, slots=True)
class Profile:
    """What some of those who are free can do. `first` is the clock of the first of them."""

    id: int
    skills: Mapping[str, int]
    first: First


def _fits(need: Need, queues: frozenset[str], skills: Mapping[str, int]) -> bool:
    return need.queue in queues and all(skills.get(n.skill, 0) >= n.level for n in need.step.require)


def _is_for(need: Need, agent: AgentView) -> bool:
    return need.only in (None, agent.id) and _fits(need, agent.queues, agent.skills)


@dataclass(frozen=True, slots=True)
class Reading:
    """`decision` and what it was made from; `is_cut`: some items were not looked at, another pass may serve those."""

    decision: Decision
    agents: Sequence[AgentView] = ()
    supply: Supply = field(default_factory=dict)
    is_cut: bool = False


async def read_and_decide(conn: Connection, pool: str, now: datetime) -> Reading:
    needs = sorted((_need(row) for row in await conn.fetch(sql.NEEDS, pool)), key=lambda need: need.first)
    if any(need.channel is Channel.TICKET for need in needs) and not await conn.fetchval(sql.IS_ROOM_FOR_TICKETS, pool):
        needs = [need for need in needs if need.channel is Channel.VOICE]
    idlest = [sql.agent_of(row) for row in await conn.fetch(sql.LONGEST_IDLE, pool, now, IDLEST)]
    if not idlest:
        needs = [need for need in needs if need.channel is Channel.TICKET]
    if not needs:
        return Reading(Decision(()))
    return await _among_the_idlest(conn, pool, now, needs, idlest) or await _among_all(conn, pool, now, needs)


async def _among_the_idlest(
    conn: Connection, pool: str, now: datetime, needs: Sequence[Need], idlest: Sequence[AgentView]
) -> Reading | None:
    """As a rule those who are idle longest are who is chosen. None when that cannot be known from them alone: somebody is chosen by
    something else, or an item found fewer of them than it asks for while there are more agents."""
    if any(need.criteria != BY_IDLE for need in needs):  # tickets never are
        return None
    is_everybody = len(idlest) < IDLEST
    served = [need for need in needs if any(_is_for(need, agent) for agent in idlest)]
    can = {need.id for need in served}
    others = [need.first for need in needs if need.id not in can and not is_everybody]  # somebody else may serve those
    items, horizon = await _heads(conn, pool, now, served, HEADS)
    horizon = min((end for end in (horizon, *others[:1]) if end is not None), default=None)
    looked_at = [item for item in items if horizon is None or item.key < horizon]
    decision = decide(PoolState(tuple(looked_at), tuple(idlest), MAX_OFFERS), now)
    if not decision.proposals and (horizon is not None or not is_everybody):
        return None
    given = Counter(proposal.item.id for proposal in decision.proposals)
    lacking = [i for i in looked_at if given[i.id] < min(MAX_OFFERS, asked_at_once(i, i.steps[current_step(i, now)]))]
    if not is_everybody and any(item.key <= decision.proposals[-1].item.key for item in lacking):
        return None
    return Reading(decision, idlest, is_cut=horizon is not None or (bool(lacking) and not is_everybody))


async def _among_all(conn: Connection, pool: str, now: datetime, needs: Sequence[Need]) -> Reading:
    kept_for = {need.only for need in needs if need.only is not None}
    rows = await conn.fetch(sql.FREE_AMONG, pool, now, sorted(kept_for)) if kept_for else []  # only calls are kept
    named = {agent.id: agent for agent in map(sql.agent_of, rows)}
    fitting = await _fitting(conn, pool, now, [need for need in needs if need.only is None])
    served = [
        need for need in needs if fitting.get(need.id) or (need.only in named and _is_for(need, named[need.only]))
    ]
    if not served:
        return Reading(Decision(()))
    supply = await _supply(conn, pool, now, served)
    width = HEADS
    while True:
        read, horizon = await _heads(conn, pool, now, served, width)
        looked_at = [item for item in read if horizon is None or item.key < horizon]
        agents = await _candidates(conn, pool, now, looked_at, served, fitting, supply, named)
        decision = decide(PoolState(tuple(looked_at), tuple(agents), MAX_OFFERS, supply), now)
        if decision.proposals or horizon is None:
            return Reading(decision, agents, supply, is_cut=horizon is not None)
        width *= 4  # whoever was looked at has just declined everybody: look further down the line


def _need(row: Any) -> Need:
    first = (-row["tier"], row["virtual_start"], row["entered_at"], row["id"])
    step = step_of(row["step"])
    only = None if row["only_agent_id"] is None else AgentId(row["only_agent_id"])
    channel = Channel(row["channel"])
    return Need(row["need"], row["queue"], step, criteria_of(step, row["pick"], channel), first, only, channel)


async def _abilities_of(conn: Connection, pool: str) -> dict[int, Abilities]:
    """Of every profile in the pool, also of those that nobody has just now."""
    profiles = [row["profile"] for row in await conn.fetch(sql.PROFILES, pool)]
    if unknown := [profile for profile in profiles if profile not in _known]:
        if len(_known) > MAX_KNOWN:
            _known.clear()
            unknown = profiles
        for row in await conn.fetch(sql.ABILITIES, pool, unknown):
            _known[row["profile"]] = (frozenset(row["queues"]), row["skills"])
    return {profile: _known[profile] for profile in profiles}


async def _fitting(conn: Connection, pool: str, now: datetime, needs: Sequence[Need]) -> dict[int, list[Profile]]:
    """For each need the profiles that can serve it and that somebody free has."""
    abilities = await _abilities_of(conn, pool)
    able = {need.id: [p for p, (queues, skills) in abilities.items() if _fits(need, queues, skills)] for need in needs}
    first: dict[tuple[Channel, By], dict[int, First]] = {}
    for clock in sorted({need.clock for need in needs}):
        wanted = {p for need in needs if need.clock == clock for p in able[need.id]}
        rows = await conn.fetch(sql.FREE_PROFILES[clock], pool, now, sorted(wanted)) if wanted else []
        first[clock] = {row["profile"]: (row["first"], row["then"], AgentId(row["id"])) for row in rows}
    found: dict[int, list[Profile]] = {}
    for need in needs:
        free = first[need.clock]
        found[need.id] = [Profile(p, abilities[p][1], free[p]) for p in able[need.id] if p in free]
    return found


async def _supply(conn: Connection, pool: str, now: datetime, needs: Sequence[Need]) -> Supply:
    """Counted over the whole pool, and only where somebody asks for it."""
    if not any(criterion.by is By.PRESERVE_SPECIALISTS for need in needs for criterion in need.criteria):
        return {}
    abilities = await _abilities_of(conn, pool)
    rows = await conn.fetch(sql.FREE_OF_PROFILES, pool, now, list(abilities))
    supply: dict[str, int] = {}
    for row in rows:
        for skill, level in abilities[row["profile"]][1].items():
            if level > 0 and row["free"]:
                supply[skill] = supply.get(skill, 0) + row["free"]
    return supply


async def _heads(
    conn: Connection, pool: str, now: datetime, needs: Sequence[Need], width: int
) -> tuple[list[WaitingItem], Key | None]:
    """Items in the order of the line, and the key from which on some were not read; None when these are all."""
    near, far = needs[:width], needs[width:]
    items = list(await sql.waiting_items(conn, pool=pool, needs=[need.id for need in near], now=now, limit=width))
    items.sort(key=lambda item: item.key)
    ends = [far[0].first] if far else []
    for need in near:
        line = [item for item in items if item.need == need.id]
        if len(line) == width:
            ends.append(line[-1].key)  # itself included: what comes after it is not known
    return items, min(ends, default=None)


async def _candidates(
    conn: Connection,
    pool: str,
    now: datetime,
    items: Sequence[WaitingItem],
    needs: Sequence[Need],
    fitting: Mapping[int, Sequence[Profile]],
    supply: Supply,
    named: Mapping[AgentId, AgentView],
) -> list[AgentView]:
    """For each need the agents who may be chosen: as many as can be taken by others in this pass or be excluded, and one more."""
    waiting = {item.need for item in items}
    asked = min(MAX_OFFERS, sum(max(step.offers for step in item.steps) for item in items))
    depth = asked + max((len(item.excluded) for item in items), default=0) + 1
    wanted: dict[tuple[Channel, By], set[int]] = {}
    for need in needs:
        if need.id not in waiting or need.only is not None:
            continue
        *shared, _ = need.criteria
        places: list[tuple[Any, ...]] = [
            (*(profile_rank(p.skills, need.step, criterion, supply) for criterion in shared), *p.first, p.id)
            for p in fitting[need.id]
        ]
        wanted.setdefault(need.clock, set()).update(int(place[-1]) for place in nsmallest(depth, places))
    found = {need.only: named[need.only] for need in needs if need.id in waiting and need.only is not None}
    for clock, profiles in wanted.items():
        for row in await conn.fetch(sql.CANDIDATES[clock], pool, now, sorted(profiles), depth):
            agent = sql.agent_of(row)
            found[agent.id] = agent
    return list(found.values())
