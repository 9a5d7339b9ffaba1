"""A database in memory: rows, transactions that are seen as a whole or not at all, row locks, and the history of commits.

A use case is a generator. It yields between its statements and while it waits for a lock, and there others may run or the process may
die. As under READ COMMITTED: a statement sees what is committed by then, and its own transaction's writes. Rows never change in place.
"""

from collections import defaultdict
from collections.abc import Generator, Hashable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, TypeVar

from core.ids import AgentId
from cti.model import Call, CallEvent
from routing.model import Criterion, ItemState, OfferState, PoolState, PresenceState, Ranks, Step

R = TypeVar("R")
T = TypeVar("T")
Steps = Generator[None, None, T]
START: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
FOREVER: Final = datetime(2100, 1, 1, tzinfo=UTC)
OPEN: Final = frozenset({OfferState.PENDING, OfferState.ACCEPTED, OfferState.WRAPPING})
TERMINAL: Final = frozenset({ItemState.DONE, ItemState.ABANDONED, ItemState.DIVERTED})


class Item(NamedTuple):
    id: int
    call_id: int
    queue: str
    pool: str
    state: ItemState
    tier: int
    boost_s: int
    entered_at: datetime
    virtual_start: datetime
    steps: tuple[Step, ...]
    rule: str
    rules: int
    step: int = 0
    version: int = 1
    end_reason: str | None = None
    ended_at: datetime | None = None
    is_tier_by_hand: bool = False
    is_boost_by_hand: bool = False

    def in_step(self, step: int) -> "Item":
        said = self.steps[step]
        tier = self.tier if said.tier is None or self.is_tier_by_hand else said.tier
        boost_s = self.boost_s if said.boost_s is None or self.is_boost_by_hand else said.boost_s
        start = self.entered_at - timedelta(seconds=boost_s)
        is_moved = (tier, boost_s) != (self.tier, self.boost_s)
        return self._replace(
            step=step, tier=tier, boost_s=boost_s, virtual_start=start, version=self.version + is_moved
        )


class Ranking(NamedTuple):
    tier: int
    boost_s: int
    is_tier_by_hand: bool
    is_boost_by_hand: bool


class Offer(NamedTuple):
    """Named as `OfferRow`, so that pure rules take either."""

    id: int
    work_item_id: int
    call_id: int
    agent_id: AgentId
    queue: str
    pool_id: str
    step: int
    state: OfferState
    created_at: datetime
    deadline: datetime
    reason: str | None = None
    units: int = 1
    version: int = 1
    accepted_clock: datetime | None = None
    """What the clock said when the answer was written, not when its transaction began."""
    wrap_ends_at: datetime | None = None
    ended_at: datetime | None = None
    by_agent_id: int | None = None
    disposition: str | None = None
    wrap_requested: bool = False


class Agent(NamedTuple):
    id: AgentId
    name: str
    pool: str
    queues: frozenset[str]
    skills: dict[str, int]
    presence: PresenceState
    presence_since: datetime
    idle_since: datetime
    last_offered_at: datetime
    presence_reason: str | None = None
    total_units: int = 1
    used_units: int = 0
    over_by: int = 0
    misses: int = 0
    version: int = 1
    cooldown_until: datetime | None = None
    next_presence: PresenceState | None = None
    """Chosen during work, for its end."""
    next_reason: str | None = None
    ranks: Ranks = MappingProxyType({})


class Queue(NamedTuple):
    key: str
    pool: str
    offer_timeout_s: int = 20
    wrap_mode: str = "timed"
    wrap_s: int = 10
    pick: str = "longest_idle"
    is_held: bool = False
    reject_s: int = 30
    busy_s: int = 10
    no_answer_s: int | None = None
    misses_before_not_responding: int = 1


class Exclusion(NamedTuple):
    until: datetime
    reason: str


class Timer(NamedTuple):
    version: int
    due_at: datetime


class Desk(NamedTuple):
    agent_id: AgentId
    replica: str
    lease_until: datetime
    is_closed: bool = False


class Leg(NamedTuple):
    """An agent's phone, or the caller's, in the conference of a call. Callbacks move it only forward."""

    seq: int
    is_in: bool


class Act(NamedTuple):
    kind: str
    item_id: int
    before: Ranking
    after: Ranking


class Decision(NamedTuple):
    offer_id: int
    item_id: int
    agent_id: AgentId
    at: datetime
    rules: int
    rule: str
    step: int
    by: str
    criteria: tuple[Criterion, ...]
    verdicts: tuple[Any, ...]
    state: PoolState
    chosen: frozenset[AgentId]
    """Whom the whole pass has chosen, and for which items: also for those that somebody held when it came to writing."""
    given: frozenset[int]


class Table(Generic[R]):
    __slots__ = ("name", "rows")

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: dict[Any, R] = {}


@dataclass(slots=True)
class Change(Generic[R]):
    key: Any
    old: R | None
    new: R | None


@dataclass(slots=True)
class Commit:
    """What one transaction has changed. `began_at` is its `now`; `at` the clock when it was committed."""

    name: str
    at: datetime
    began_at: datetime
    items: list[Change[Item]] = field(default_factory=list)
    offers: list[Change[Offer]] = field(default_factory=list)
    agents: list[Change[Agent]] = field(default_factory=list)
    decisions: list[Change[Decision]] = field(default_factory=list)
    calls: list[Change[Call]] = field(default_factory=list)
    acts: list[Change[Act]] = field(default_factory=list)
    timers: list[Change[Timer]] = field(default_factory=list)
    exclusions: list[Change[Exclusion]] = field(default_factory=list)
    queues: list[Change[Queue]] = field(default_factory=list)
    desks: list[Change[Desk]] = field(default_factory=list)
    legs: list[Change[Leg]] = field(default_factory=list)
    claims: list[Change[bool]] = field(default_factory=list)


class Store:
    def __init__(self) -> None:
        self.now = START
        self.items: Table[Item] = Table("items")
        self.offers: Table[Offer] = Table("offers")
        self.agents: Table[Agent] = Table("agents")
        self.queues: Table[Queue] = Table("queues")
        self.calls: Table[Call] = Table("calls")
        self.legs: Table[Leg] = Table("legs")
        self.desks: Table[Desk] = Table("desks")
        self.exclusions: Table[Exclusion] = Table("exclusions")
        self.timers: Table[Timer] = Table("timers")
        self.acts: Table[Act] = Table("acts")
        self.decisions: Table[Decision] = Table("decisions")
        self.claims: Table[bool] = Table("claims")
        """Keys of provider events that were handled."""
        self.offers_of_item: dict[int, list[int]] = defaultdict(list)
        self.open_of_agent: dict[int, set[int]] = defaultdict(set)
        self.line: set[int] = set()
        """Items that are queued."""
        self.desks_of: dict[int, list[Any]] = defaultdict(list)
        self.excluded_from: dict[int, set[AgentId]] = defaultdict(set)
        self.item_of_call: dict[int, int] = {}
        self.locks: dict[Hashable, Tx] = {}
        self.ids = 0

    def next_id(self) -> int:
        """As a sequence: a rollback leaves a gap."""
        self.ids += 1
        return self.ids

    def add(self, table: Table[R], key: Any, row: R) -> None:
        """Outside any transaction: what was there before."""
        self._index(table.name, key, table.rows.get(key), row)
        table.rows[key] = row

    def apply(self, tx: "Tx") -> Commit:
        done = Commit(tx.name, self.now, tx.now)
        for (name, key), row in tx.writes.items():
            table: Table[Any] = getattr(self, name)
            old = table.rows.get(key)
            if row is None:
                table.rows.pop(key, None)
            else:
                table.rows[key] = row
            self._index(name, key, old, row)
            getattr(done, name).append(Change(key, old, row))
        return done

    def _index(self, name: str, key: Any, old: Any, new: Any) -> None:
        if name == "offers":
            if old is None:
                self.offers_of_item[new.work_item_id].append(key)
            if new.state in OPEN:
                self.open_of_agent[new.agent_id].add(key)
            else:
                self.open_of_agent[new.agent_id].discard(key)
        elif name == "items":
            if old is None:
                self.item_of_call[new.call_id] = key
            if new.state is ItemState.QUEUED:
                self.line.add(key)
            else:
                self.line.discard(key)
        elif name == "desks" and old is None:
            self.desks_of[new.agent_id].append(key)
        elif name == "exclusions" and old is None:
            self.excluded_from[key[0]].add(key[1])

    def is_connected(self, agent_id: int) -> bool:
        rows, now = self.desks.rows, self.now
        return any(rows[key].lease_until > now for key in self.desks_of[agent_id])

    def last_seen(self, agent_id: int) -> datetime | None:
        return max((self.desks.rows[key].lease_until for key in self.desks_of[agent_id]), default=None)


class Rollback(Exception):
    """The database gave the transaction up (deadlock); whoever began it begins again."""


class Tx:
    """One open transaction. `now` is the clock at its start, `store.now` the clock of the statement."""

    __slots__ = ("after", "held", "name", "now", "store", "told", "waits_for", "wakes", "writes")

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name
        self.now = store.now
        self.writes: dict[tuple[str, Any], Any] = {}
        self.held: list[Hashable] = []
        self.waits_for: Tx | None = None
        self.wakes: list[str] = []
        self.after: list[tuple[str, int, int]] = []
        """What the provider is asked after commit: kind, call, offer."""
        self.told: list[tuple[Call, CallEvent]] = []
        """What was told to which call, as it was before."""

    def get(self, table: Table[R], key: Any) -> R | None:
        own = (table.name, key)
        if own in self.writes:
            found: R | None = self.writes[own]
            return found
        return table.rows.get(key)

    def row(self, table: Table[R], key: Any) -> R:
        found = self.get(table, key)
        assert found is not None, f"no {table.name} {key}"
        return found

    def put(self, table: Table[R], key: Any, row: R | None) -> None:
        self.writes[(table.name, key)] = row

    def lock(self, table: Table[Any], keys: Iterable[Any]) -> Steps[None]:
        """Wait for each, in order of the keys. One statement."""
        for key in sorted(set(keys)):
            yield from self.lock_one((table.name, key))
        yield

    def lock_one(self, name: Hashable) -> Steps[None]:
        locks = self.store.locks
        while (owner := locks.get(name)) is not None and owner is not self:
            self.waits_for = owner
            yield
        self.waits_for = None
        if owner is None:
            locks[name] = self
            self.held.append(name)

    def try_lock(self, name: Hashable) -> bool:
        """SKIP LOCKED, or an advisory lock."""
        owner = self.store.locks.setdefault(name, self)
        if owner is self and name not in self.held:
            self.held.append(name)
        return owner is self

    def release(self) -> None:
        for name in self.held:
            del self.store.locks[name]
        self.held.clear()
        self.waits_for = None
