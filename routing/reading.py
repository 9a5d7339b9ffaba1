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
from datetime import UTC, datetime
from heapq import nsmallest
from typing import Any, Final

from core.ids import AgentId
from infra.postgres import Connection
from routing import queries as sql
from routing.decide import asked_at_once, current_step, decide
from routing.model import (
    AgentView,
    By,
    Channel,
    Criterion,
    Decision,
    Key,
    PoolState,
    Ranks,
    SkillNeed,
    Step,
    Unread,
    WaitingItem,
    ranks_of,
    step_of,
)
from routing.order import Supply, criteria_of, profile_rank

MAX_OFFERS: Final = 10
"""In one pass: as many as a step may ask at the same time (`routing.rules`)."""
HEADS: Final = 2 * MAX_OFFERS
IDLEST: Final = 2 * MAX_OFFERS
LINES_BY_RANK: Final = 4 * HEADS
"""Where groups rank their queues, somebody may come first to what is far behind."""
NOBODY_IS_LATE: Final = datetime.min.replace(tzinfo=UTC)
BY_IDLE: Final = (Criterion(By.LONGEST_IDLE),)
MAX_NEEDS: Final = 10_000
Abilities = tuple[frozenset[str], Mapping[str, int], Ranks]
_rosters: "dict[tuple[str, int, int | None], Roster]" = {}
"""By pool, and by how many profiles it has and a checksum of their ids: as many as there are pools."""


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
    is_ranked: bool = False
    is_delayed: bool = False

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
    kind: object = None
    """Equal for those who come to the same item first, whatever waits: all, unless their groups rank queues."""


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
    queues = sorted({need.queue for need in needs if need.channel is Channel.VOICE})
    rows = await conn.fetch(sql.LONGEST_IDLE, pool, now, IDLEST, queues)
    idlest = [sql.agent_of(row) for row in rows if not row["is_beyond"]]
    is_everybody = len(idlest) == len(rows) < IDLEST
    if not idlest and is_everybody:
        needs = [need for need in needs if need.channel is Channel.TICKET]
    if not needs:
        return Reading(Decision(()))
    found = await _among_the_idlest(conn, pool, now, needs, idlest, is_everybody=is_everybody)
    return found or await _among_all(conn, pool, now, needs)


async def _among_the_idlest(
    conn: Connection,
    pool: str,
    now: datetime,
    needs: Sequence[Need],
    idlest: Sequence[AgentView],
    *,
    is_everybody: bool,
) -> Reading | None:
    """As a rule those who serve what waits and are idle longest are who is chosen. None when that cannot be known from them alone:
    somebody is chosen by something else, or an item found fewer of them than it asks for while there are more agents."""
    if any(need.criteria != BY_IDLE for need in needs) or is_by_rank(needs):  # tickets are never asked for by idle time
        return None
    served = [need for need in needs if any(_is_for(need, agent) for agent in idlest)]
    can = {need.id for need in served}
    others = [need for need in needs if need.id not in can and not is_everybody]  # somebody else may serve those
    items, unread = await _read_lines(conn, pool, now, served[:HEADS], served[HEADS:], HEADS)
    unread += tuple(map(_by_others, others[:1]))
    decision = decide(PoolState(tuple(items), tuple(idlest), MAX_OFFERS, unread=unread), now)
    if not decision.proposals and (unread or not is_everybody):
        return None
    given = Counter(proposal.item.id for proposal in decision.proposals)
    lacking = [i for i in items if given[i.id] < min(MAX_OFFERS, asked_at_once(i, i.steps[current_step(i, now)]))]
    if not is_everybody and any(item.key <= decision.proposals[-1].item.key for item in lacking):
        return None
    return Reading(decision, idlest, is_cut=bool(unread) or (bool(lacking) and not is_everybody))


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
    by_rank = is_by_rank(served)
    width, lines = HEADS, LINES_BY_RANK if by_rank else HEADS
    while True:
        items, unread = await _read_lines(conn, pool, now, served[:lines], served[lines:], width)
        agents = await _candidates(conn, pool, now, items, served, fitting, supply, named)
        if by_rank:  # who has just declined what their kind comes to first comes to something else
            declined = sorted({a for item in items for a in item.excluded} - {agent.id for agent in agents})
            agents += map(sql.agent_of, await conn.fetch(sql.AGENTS_AMONG, pool, declined)) if declined else ()
        decision = decide(PoolState(tuple(items), tuple(agents), MAX_OFFERS, supply, unread), now)
        if decision.proposals or not unread:
            return Reading(decision, agents, supply, is_cut=bool(unread))
        width, lines = (
            width * 4,
            lines * 4,
        )  # whoever was looked at has just declined everybody: look further down the line


async def _read_lines(
    conn: Connection, pool: str, now: datetime, near: Sequence[Need], far: Sequence[Need], width: int
) -> tuple[list[WaitingItem], tuple[Unread, ...]]:
    """The first of each of the lines that are near, and what was not read."""
    ids = [need.id for need in near]
    items = list(await sql.waiting_items(conn, pool=pool, needs=ids, now=now, limit=width)) if ids else []
    items.sort(key=lambda item: item.key)
    cut = []
    for need in near:
        line = [item for item in items if item.need == need.id]
        if len(line) == width:
            cut.append((need, line[-1].key))
    delayed = [need.id for need, _ in cut if need.is_delayed]
    rows = await conn.fetch(sql.OLDEST, pool, delayed) if delayed else []
    oldest = {row["need"]: row["entered_at"] for row in rows}
    unread = [
        Unread(need.queue, need.step.require, need.channel, since, oldest.get(need.id, NOBODY_IS_LATE), need.only)
        for need, since in cut
    ]
    return items, (*unread, *map(_by_others, far[:1]))


def _by_others(first: Need) -> Unread:
    """This need, and those that come later in the line, are not read, nor is who can serve them."""
    return Unread(first.queue, (), first.channel, first.first, NOBODY_IS_LATE, by_nobody_known=True)


def _need(row: Any) -> Need:
    first = (-row["tier"], row["virtual_start"], row["entered_at"], row["id"])
    step = step_of(row["step"])
    only = None if row["only_agent_id"] is None else AgentId(row["only_agent_id"])
    channel = Channel(row["channel"])
    criteria = criteria_of(step, row["pick"], channel)
    return Need(
        row["need"], row["queue"], step, criteria, first, only, channel, row["is_ranked"], bool(row["delays_s"])
    )


def is_by_rank(needs: Sequence[Need]) -> bool:
    """Can it matter, for what waits just now, that groups rank queues or leave them to others for a while?"""
    several = len({need.queue for need in needs}) > 1
    return any(need.is_delayed or (several and need.is_ranked) for need in needs)


@dataclass(frozen=True, slots=True)
class Roster:
    """What the profiles of a pool can do, also those that nobody has just now, and who of them can serve which need."""

    profiles: Mapping[int, Abilities]
    _able: dict[tuple[str, tuple[SkillNeed, ...]], list[int]] = field(default_factory=dict)

    def able(self, need: Need) -> list[int]:
        key = need.queue, need.step.require
        if (found := self._able.get(key)) is None:
            if len(self._able) > MAX_NEEDS:
                self._able.clear()
            found = [p for p, (queues, skills, _) in self.profiles.items() if _fits(need, queues, skills)]
            self._able[key] = found
        return found


async def _roster_of(conn: Connection, pool: str) -> Roster:
    seen = await conn.fetchrow(sql.PROFILES_SEEN, pool)
    assert seen is not None
    key = pool, seen["count"], seen["checksum"]
    if key not in _rosters:
        for old in [each for each in _rosters if each[0] == pool]:
            del _rosters[old]
        _rosters[key] = Roster(
            {
                row["profile"]: (frozenset(row["queues"]), row["skills"], ranks_of(row["queues"]))
                for row in await conn.fetch(sql.PROFILES, pool)
            }
        )
    return _rosters[key]


async def _fitting(conn: Connection, pool: str, now: datetime, needs: Sequence[Need]) -> dict[int, list[Profile]]:
    """For each need the profiles that can serve it and that somebody free has."""
    roster = await _roster_of(conn, pool)
    abilities, able = roster.profiles, {need.id: roster.able(need) for need in needs}
    first: dict[tuple[Channel, By], dict[int, First]] = {}
    for clock in sorted({need.clock for need in needs}):
        wanted = {p for need in needs if need.clock == clock for p in able[need.id]}
        rows = await conn.fetch(sql.FREE_PROFILES[clock], pool, now, sorted(wanted)) if wanted else []
        first[clock] = {row["profile"]: (row["first"], row["then"], AgentId(row["id"])) for row in rows}
    kinds: dict[int, tuple[object, tuple[int, ...]]] = {}
    if is_by_rank(needs):
        for need in needs:
            for profile in able[need.id]:
                served = tuple(sorted(abilities[profile][2].items(), key=lambda pair: pair[0]))
                _, fitting = kinds.get(profile, (served, ()))
                kinds[profile] = served, (*fitting, need.id)
    found: dict[int, list[Profile]] = {}
    for need in needs:
        free = first[need.clock]
        found[need.id] = [Profile(p, abilities[p][1], free[p], kinds.get(p)) for p in able[need.id] if p in free]
    return found


async def _supply(conn: Connection, pool: str, now: datetime, needs: Sequence[Need]) -> Supply:
    """Counted over the whole pool, and only where somebody asks for it."""
    if not any(criterion.by is By.PRESERVE_SPECIALISTS for need in needs for criterion in need.criteria):
        return {}
    abilities = (await _roster_of(conn, pool)).profiles
    rows = await conn.fetch(sql.FREE_OF_PROFILES, pool, now, list(abilities))
    supply: dict[str, int] = {}
    for row in rows:
        for skill, level in abilities[row["profile"]][1].items():
            if level > 0 and row["free"]:
                supply[skill] = supply.get(skill, 0) + row["free"]
    return supply


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
    depth = asked + max((len(item.excluded) for item in items), default=0) + len(named) + 1
    wanted: dict[tuple[Channel, By], set[int]] = {}
    for need in needs:
        if need.id not in waiting or need.only is not None:
            continue
        *shared, _ = need.criteria
        places: dict[object, list[tuple[Any, ...]]] = {}
        for p in fitting[need.id]:
            place = (*(profile_rank(p.skills, need.step, criterion, supply) for criterion in shared), *p.first, p.id)
            places.setdefault(p.kind, []).append(place)
        first = {int(place[-1]) for kind in places.values() for place in nsmallest(depth, kind)}
        wanted.setdefault(need.clock, set()).update(first)
    found = {need.only: named[need.only] for need in needs if need.id in waiting and need.only is not None}
    for clock, profiles in wanted.items():
        for row in await conn.fetch(sql.CANDIDATES[clock], pool, now, sorted(profiles), depth):
            agent = sql.agent_of(row)
            found[agent.id] = agent
    return list(found.values())
