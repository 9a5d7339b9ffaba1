"""What a pass must read to decide as if it had read everything (ADR 0008).

Those in line are grouped by need (queue and requirement), those who are free by profile (queues and skills). Matching the two
groups says who can serve whom at all; of the items that somebody can serve the heads are read, and for each need the first few
agents of the profiles whose first agent comes first in that need's order. Everything not read comes later in the order of the line
or later in the order of asking, so the decision over what was read is the decision over everything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nsmallest
from typing import Any, Final

from core.ids import AgentId
from infra.postgres import Connection
from routing import queries as sql
from routing.decide import decide
from routing.model import AgentView, By, Decision, PoolState, Step, WaitingItem, step_of
from routing.order import Supply, criteria_of, profile_rank

MAX_OFFERS: Final = 8
HEADS: Final = 2 * MAX_OFFERS
MAX_KNOWN: Final = 20_000
_abilities: dict[int, tuple[frozenset[str], Mapping[str, int]]] = {}
"""What a profile can do; its id is the hash of that, so it never changes."""


@dataclass(frozen=True, slots=True)
class Need:
    """What some of those in line ask for. `first` is the key of the first of them."""

    id: int
    queue: str
    step: Step
    pick: str
    first: tuple[int, datetime, datetime, int]


@dataclass(frozen=True, slots=True)
class Profile:
    """What some of those who are free can do. `first` is the clock of the first of them, by each criterion that was asked for."""

    id: int
    queues: frozenset[str]
    skills: Mapping[str, int]
    first: Mapping[By, tuple[datetime, AgentId]]

    def fits(self, need: Need) -> bool:
        return need.queue in self.queues and all(self.skills.get(n.skill, 0) >= n.level for n in need.step.require)


@dataclass(frozen=True, slots=True)
class Reading:
    """`decision` and what it was made from; `is_cut`: some items were not looked at, another pass may serve those."""

    decision: Decision
    agents: Sequence[AgentView] = ()
    supply: Supply = field(default_factory=dict)
    is_cut: bool = False


async def read_and_decide(conn: Connection, pool: str, now: datetime) -> Reading:
    needs = [_need(row) for row in await conn.fetch(sql.NEEDS, pool)]
    clocks = sorted({criteria_of(need.step, need.pick)[-1].by for need in needs})
    profiles = await _free_profiles(conn, pool, now, clocks)
    fitting = {need.id: [p for p in profiles if p.fits(need)] for need in needs}
    served = sorted((need for need in needs if fitting[need.id]), key=lambda need: need.first)
    if not served:
        return Reading(Decision(()))
    supply = await _supply(conn, pool, now, served, profiles)
    width = HEADS
    while True:
        read, horizon = await _heads(conn, pool, now, served, width)
        looked_at = [item for item in read if horizon is None or item.key < horizon]
        agents = await _candidates(conn, pool, now, looked_at, served, fitting, supply)
        decision = decide(PoolState(tuple(looked_at), tuple(agents), MAX_OFFERS, supply), now)
        if decision.proposals or horizon is None:
            return Reading(decision, agents, supply, is_cut=horizon is not None)
        width *= 4  # whoever was looked at has just declined everybody: look further down the line


def _need(row: Any) -> Need:
    first = (-row["tier"], row["virtual_start"], row["entered_at"], row["id"])
    return Need(row["need"], row["queue"], step_of(row["step"]), row["pick"], first)


async def _free_profiles(conn: Connection, pool: str, now: datetime, clocks: Sequence[By]) -> list[Profile]:
    first: dict[int, dict[By, tuple[datetime, AgentId]]] = {}
    for by in clocks:
        for row in await conn.fetch(sql.FREE_PROFILES[by], pool, now):
            first.setdefault(row["profile"], {})[by] = (row["first"], AgentId(row["id"]))
    unknown = [agent for profile, clock in first.items() if profile not in _abilities for _, agent in clock.values()]
    if unknown:
        if len(_abilities) > MAX_KNOWN:
            _abilities.clear()
        for row in await conn.fetch(sql.ABILITIES, unknown):
            _abilities[row["profile"]] = (frozenset(row["queues"]), row["skills"])
    return [
        Profile(profile, *_abilities[profile], clock)
        for profile, clock in first.items()
        if profile in _abilities
        and len(clock) == len(clocks)  # else that agent is just changing: the next pass sees who it is
    ]


async def _supply(
    conn: Connection, pool: str, now: datetime, needs: Sequence[Need], profiles: Sequence[Profile]
) -> Supply:
    """Counted only where somebody asks for it."""
    if not any(c.by is By.PRESERVE_SPECIALISTS for need in needs for c in criteria_of(need.step, need.pick)):
        return {}
    rows = await conn.fetch(sql.FREE_OF_PROFILES, pool, now, [profile.id for profile in profiles])
    free = {row["profile"]: row["free"] for row in rows}
    supply: dict[str, int] = {}
    for profile in profiles:
        for skill, level in profile.skills.items():
            if level > 0:
                supply[skill] = supply.get(skill, 0) + free.get(profile.id, 0)
    return supply


async def _heads(
    conn: Connection, pool: str, now: datetime, needs: Sequence[Need], width: int
) -> tuple[list[WaitingItem], tuple[int, datetime, datetime, int] | None]:
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
) -> list[AgentView]:
    """For each need the agents who may be chosen: as many as can be taken by others in this pass or be excluded, and one more."""
    waiting = {item.need for item in items}
    asked = min(MAX_OFFERS, sum(max(step.offers for step in item.steps) for item in items))
    depth = asked + max((len(item.excluded) for item in items), default=0) + 1
    wanted: dict[By, set[int]] = {}
    for need in needs:
        if need.id not in waiting:
            continue
        *shared, last = criteria_of(need.step, need.pick)
        places: list[tuple[Any, ...]] = [
            (*(profile_rank(p.skills, need.step, criterion, supply) for criterion in shared), *p.first[last.by], p.id)
            for p in fitting[need.id]
        ]
        wanted.setdefault(last.by, set()).update(int(place[-1]) for place in nsmallest(depth, places))
    found: dict[AgentId, AgentView] = {}
    for by, profiles in wanted.items():
        for row in await conn.fetch(sql.CANDIDATES[by], pool, now, sorted(profiles), depth):
            agent = sql.agent_of(row)
            found[agent.id] = agent
    return list(found.values())
