"""The words of routing: queues, steps, work items, offers, and what may follow what."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from core.errors import Conflict
from core.ids import AgentId, CallId, OfferId, TicketId, WorkItemId


class OfferTaken(Conflict):
    code, title = "offer_taken", "Somebody else has taken this call"


class OfferExpired(Conflict):
    code, title = "offer_expired", "The time to answer is over"


class OfferRescinded(Conflict):
    code, title = "offer_rescinded", "This offer was withdrawn"


class OfferState(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    WRAPPING = "wrapping"
    COMPLETED = "completed"
    REJECTED = "rejected"
    TIMEOUT = "timeout"
    RESCINDED = "rescinded"
    CANCELED = "canceled"


class ItemState(StrEnum):
    QUEUED = "queued"
    OFFERING = "offering"
    ASSIGNED = "assigned"
    WRAPPING = "wrapping"
    DONE = "done"
    ABANDONED = "abandoned"
    DIVERTED = "diverted"


class PresenceState(StrEnum):
    AVAILABLE = "available"
    BREAK = "break"
    OFFLINE = "offline"
    NOT_RESPONDING = "not_responding"
    RECONNECTING = "reconnecting"
    UNREACHABLE = "unreachable"


CHOOSABLE: Final = frozenset({PresenceState.AVAILABLE, PresenceState.BREAK, PresenceState.OFFLINE})

VOICE_UNITS: Final = 1
MISSES_BEFORE_NOT_RESPONDING: Final = 1
REJECT_COOLDOWN_S: Final = 30
BUSY_COOLDOWN_S: Final = 10
OFFER_GRACE_S: Final = 5
RECONNECT_GRACE_S: Final = 45
LEASE_S: Final = 20


@dataclass(frozen=True, slots=True)
class SkillNeed:
    skill: str
    level: int = 1


@dataclass(frozen=True, slots=True)
class Step:
    """Requirement in force from `after_s` seconds after queue entry. Offsets are absolute: no offer restarts them."""

    after_s: float
    require: tuple[SkillNeed, ...] = ()
    offers: int = 1


def step_at(steps: tuple[Step, ...], waited_s: float) -> int:
    """The index of the step in force."""
    current = 0
    for index, step in enumerate(steps):
        if step.after_s <= waited_s:
            current = index
    return current


def steps_of(documents: list[dict[str, Any]]) -> tuple[Step, ...]:
    """From the stored JSON; an empty list is one step that requires nothing."""
    steps = tuple(
        Step(
            float(d.get("after_s", 0)),
            tuple(SkillNeed(need["skill"], int(need.get("level", 1))) for need in d.get("require", ())),
            int(d.get("offers", 1)),
        )
        for d in documents
    )
    return steps or (Step(0.0),)


@dataclass(frozen=True, slots=True)
class WaitingItem:
    """A work item in line, as `decide` sees it. Order: tier, virtual start, entry, id."""

    id: WorkItemId
    call_id: CallId | None
    ticket_id: TicketId
    queue: str
    tier: int
    virtual_start: datetime
    entered_at: datetime
    steps: tuple[Step, ...]
    rule: str
    ruleset_version: int
    offer_timeout_s: int
    excluded: frozenset[AgentId] = frozenset()

    @property
    def key(self) -> tuple[int, datetime, datetime, int]:
        return (-self.tier, self.virtual_start, self.entered_at, self.id)


@dataclass(frozen=True, slots=True)
class AgentView:
    """An agent of the pool, as `decide` sees it."""

    id: AgentId
    name: str
    skills: dict[str, int]
    queues: frozenset[str]
    presence: PresenceState
    is_connected: bool
    work: str
    free_units: int
    idle_since: datetime
    cooldown_until: datetime | None = None

    @property
    def has_room(self) -> bool:
        """As `HAS_ROOM` in queries: those come first when agents are read."""
        return self.presence is PresenceState.AVAILABLE and self.free_units > 0


class Verdict(StrEnum):
    """Why an agent does or does not get an item. The first that applies, in this order."""

    CHOSEN = "chosen"
    ELIGIBLE = "eligible"
    NOT_IN_QUEUE = "not_in_queue"
    OFFLINE = "offline"
    ON_BREAK = "on_break"
    NOT_RESPONDING = "not_responding"
    DISCONNECTED = "disconnected"
    SKILL_MISSING = "skill_missing"
    IN_CALL = "in_call"
    WRAPPING = "wrapping"
    OFFERED = "offered"
    FULL = "full"
    COOLING_DOWN = "cooling_down"
    EXCLUDED = "excluded"
    TAKEN = "taken_this_pass"


@dataclass(frozen=True, slots=True)
class AgentVerdict:
    agent_id: AgentId
    name: str
    verdict: Verdict
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """Offer this item to this agent, and why: a verdict for every agent that was looked at."""

    item: WaitingItem
    agent_id: AgentId
    step: int
    verdicts: tuple[AgentVerdict, ...]
    has_more: bool = False
    """More agents with room were there and not looked at: they have been idle for a shorter time than all who were."""


@dataclass(frozen=True, slots=True)
class PoolState:
    items: tuple[WaitingItem, ...]
    agents: tuple[AgentView, ...]
    max_offers: int = 8


@dataclass(frozen=True, slots=True)
class Decision:
    """`is_full`: nothing more can be given away in this pass, whatever waits behind the items that were looked at.
    `is_lacking`: an item found fewer agents than it asks for, and either got those or was passed over by one behind it.
    `is_whole`: every item that was looked at got all it asks for."""

    proposals: tuple[Proposal, ...]
    is_full: bool = False
    is_lacking: bool = False
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class OfferRow:
    id: OfferId
    work_item_id: WorkItemId
    call_id: CallId | None
    agent_id: AgentId
    queue: str
    pool_id: str
    state: OfferState
    reason: str | None
    units: int
    created_at: datetime
    deadline: datetime
    version: int
    wrap_ends_at: datetime | None = None
    extra: dict[str, Any] = field(default_factory=dict)
