"""The words of routing: queues, steps, work items, offers, and what may follow what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal, get_args

from core.errors import Conflict
from core.ids import AgentId, CallId, OfferId, TicketId, WorkItemId


class OfferTaken(Conflict):
    code, title = "offer_taken", "Somebody else has taken this call"


class OfferExpired(Conflict):
    code, title = "offer_expired", "The time to answer is over"


class OfferRescinded(Conflict):
    code, title = "offer_rescinded", "This offer was withdrawn"


class IsATicket(Conflict):
    code, title = "is_a_ticket", "This is a ticket: assign it to somebody"


class NotWaiting(Conflict):
    code, title = "not_waiting", "This is not in line any more"


class AnswerAtPhone(Conflict):
    code, title = "answer_at_phone", "Answer, decline or end this call at your telephone: its system connects it"


class CannotTake(Conflict):
    """`verdict` and `reason` say why; `anyway`: whoever may overrule that can say so."""

    code, title = "cannot_take", "This agent cannot take it now"


class DispositionRequired(Conflict):
    code, title = "disposition_required", "This queue asks for a result"


class NotWrappingUp(Conflict):
    code, title = "not_wrapping_up", "This call is not in wrap-up"


class WrapUpHasNoTimer(Conflict):
    code, title = "wrap_up_has_no_timer", "This wrap-up does not end by itself"


class WrapUpAlreadyExtended(Conflict):
    code, title = "wrap_up_already_extended", "This wrap-up was extended already"


class WrapUpNotExtensible(Conflict):
    code, title = "wrap_up_not_extensible", "Wrap-up cannot be extended in this queue"


class WrapUpNotOnRequest(Conflict):
    code, title = "wrap_up_not_on_request", "Wrap-up is not on request in this queue"


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
    EXTERNAL = "external"
    """A telephone system has it: in its own line, or with somebody we do not know. Nobody is asked here."""
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

SET_BY_ENGINE: Final = frozenset(PresenceState) - CHOOSABLE

WrapMode = Literal["none", "optional", "manual", "timed", "timed_fixed", "on_request"]
"""What follows a call in a queue: nothing; work until the agent says so or chooses available; work until the agent has given a
result; work for a time, which may be left early or not; the same, but only for who asked for it during the call."""

VOICE_UNITS: Final = 1
SECOND_THOUGHT_S: Final = 10
"""Who missed a call and may miss another is not asked for the same one for so long, where the queue names no time."""
OFFER_GRACE_S: Final = 5
RECONNECT_GRACE_S: Final = 45
LEASE_S: Final = 20
RING_S: Final = 120
"""So long a desk shows what rings at its telephone, when nobody says that it has stopped."""


@dataclass(frozen=True, slots=True)
class SkillNeed:
    skill: str
    level: int = 1


class Channel(StrEnum):
    """What work comes by. Calls ring and are accepted; tickets are assigned."""

    VOICE = "voice"
    TICKET = "ticket"


class By(StrEnum):
    """Criteria of whom to ask first; what they mean is in `routing.order`."""

    LONGEST_IDLE = "longest_idle"
    ROUND_ROBIN = "round_robin"
    WEIGHTED = "weighted"
    LEAST_LOADED = "least_loaded"
    BEST_SKILL = "best_skill"
    PRESERVE_SPECIALISTS = "preserve_specialists"
    SKILL = "skill"
    PREFER = "prefer"


class ByHand(StrEnum):
    """A person chose, not a criterion. Kept with their name as `push:Mei`."""

    PUSH = "push"
    PICK = "pick"
    TRANSFER = "transfer"
    """The agent who had the call before."""
    CONSULT = "consult"
    """The agent who has the call and wants to speak about it."""
    PBX = "pbx"
    """No person, but a telephone system, named by its connection."""


LAST: Final = frozenset({By.LONGEST_IDLE, By.ROUND_ROBIN, By.WEIGHTED, By.LEAST_LOADED})
"""These tell any two agents apart, so they come last."""
LAST_OF_TICKETS: Final = frozenset({By.ROUND_ROBIN, By.LEAST_LOADED})
"""Of those the ones that mean something for tickets, which are had side by side."""
Pick = Literal["longest_idle", "round_robin", "weighted", "least_loaded", "best_skill", "preserve_specialists"]
"""What a queue's `pick` or a step's `order` may name."""
PICKS: Final[tuple[str, ...]] = get_args(Pick)


@dataclass(frozen=True, slots=True)
class Criterion:
    by: By
    skill: str | None = None
    """Only of `By.SKILL`."""

    def __str__(self) -> str:
        return f"{self.by.value}:{self.skill}" if self.skill else self.by.value


def criterion_of(document: str | Mapping[str, Any]) -> Criterion:
    """From checked JSON: a name, or {"skill": key}."""
    return Criterion(By(document)) if isinstance(document, str) else Criterion(By.SKILL, document["skill"])


@dataclass(frozen=True, slots=True)
class Step:
    """Requirement in force from `after_s` seconds after queue entry. Offsets are absolute: no offer restarts them.

    `prefer` narrows nothing: who has it is asked first. `order` as in `routing.order`; empty: the queue's `pick`. `tier` and `boost_s`
    are the rank in line while the step is in force; both None where the rule's rank is the same in all steps."""

    after_s: float
    require: tuple[SkillNeed, ...] = ()
    offers: int = 1
    prefer: tuple[SkillNeed, ...] = ()
    order: tuple[Criterion, ...] = ()
    tier: int | None = None
    boost_s: int | None = None


def step_at(steps: tuple[Step, ...], waited_s: float) -> int:
    """The index of the step in force."""
    current = 0
    for index, step in enumerate(steps):
        if step.after_s <= waited_s:
            current = index
    return current


def steps_of(documents: list[dict[str, Any]]) -> tuple[Step, ...]:
    """From the stored JSON; an empty list is one step that requires nothing."""
    return tuple(map(step_of, documents)) or (Step(0.0),)


def step_of(document: dict[str, Any] | None) -> Step:
    """From the stored JSON; None is what requires nothing."""
    if document is None:
        return Step(0.0)
    return Step(
        float(document.get("after_s", 0)),
        _needs_of(document.get("require", ())),
        int(document.get("offers", 1)),
        _needs_of(document.get("prefer", ())),
        tuple(map(criterion_of, document.get("order", ()))),
        document.get("tier"),
        document.get("boost_s"),
    )


def _needs_of(documents: Iterable[dict[str, Any]]) -> tuple[SkillNeed, ...]:
    return tuple(SkillNeed(need["skill"], int(need.get("level", 1))) for need in documents)


class Whom(StrEnum):
    """Whom a rule may keep an item for, beside an agent by address."""

    LAST_AGENT = "last_agent"
    TICKET_OWNER = "ticket_owner"


Key = tuple[int, datetime, datetime, int]
"""A place in the line: tier (most first), virtual start, entry, id."""
STICKY: Final = "sticky"
"""In place of a criterion: the item was kept for who was chosen."""


@dataclass(frozen=True, slots=True)
class Sticky:
    """Keep the item for one agent for `wait_s` from its entry: while that agent is signed in and able, or always `if_away`.

    `agent` is one of `Whom` or an address. It narrows what the step requires, never widens it, and costs no place in line."""

    agent: str
    wait_s: int
    if_away: bool = False


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
    pick: str = "longest_idle"
    """The order of the queue, for steps that say none."""
    need: int = 0
    """Equal for items that ask for the same in the same queue."""
    only: AgentId | None = None
    """Kept for this agent just now: nobody else may have it."""
    channel: Channel = Channel.VOICE

    @property
    def key(self) -> Key:
        return (-self.tier, self.virtual_start, self.entered_at, self.id)


@dataclass(frozen=True, slots=True)
class Served:
    """How an agent's group serves a queue: smaller ranks first; what has waited less than `delay_s` is left to others."""

    rank: int = 1
    delay_s: int = 0


AS_OTHERS: Final = Served()
Ranks = Mapping[str, Served]
"""By queue, as far as it is not `AS_OTHERS`."""


def ranks_of(document: Mapping[str, Mapping[str, int]]) -> Ranks:
    """From the stored JSON, which names every queue that is served."""
    return {queue: Served(**served) for queue, served in document.items() if served}


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
    last_offered_at: datetime
    cooldown_until: datetime | None = None
    turn: float = 0.0
    """Moved on by 1 / weight with each weighted offer."""
    has_had_enough: bool = False
    """As many calls as the agent's limit allows within its time."""
    tickets: int = 0
    has_ticket_room: bool = False
    """Another ticket fits."""
    is_crowded: bool = False
    """No call at hand, but the tickets at hand leave no room for one."""
    is_draining: bool = False
    """Gets no more tickets, so that a waiting call fits."""
    ranks: Ranks = field(default_factory=dict)

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
    LIMITED = "limited"
    CROWDED = "crowded_by_tickets"
    DRAINING = "draining"
    DELAYED = "delayed"
    EXCLUDED = "excluded"
    KEPT = "kept_for_another"
    ELSEWHERE = "ranked_elsewhere"
    TAKEN = "taken_this_pass"


@dataclass(frozen=True, slots=True)
class AgentVerdict:
    agent_id: AgentId
    name: str
    verdict: Verdict
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """Offer this item to this agent. `by` is the criterion that decided, as `routing.order` writes it, or who chose by hand.

    `elsewhere`: who could have it as well, but comes to another queue first, and to which."""

    item: WaitingItem
    agent_id: AgentId
    step: int
    by: str
    elsewhere: Mapping[AgentId, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Unread:
    """Of these items some were not read: none before the key `since` in the line, none that entered before `oldest`.

    `by_nobody_known`: also those who can serve them were not read."""

    queue: str
    require: tuple[SkillNeed, ...]
    channel: Channel
    since: Key
    oldest: datetime
    only: AgentId | None = None
    by_nobody_known: bool = False


@dataclass(frozen=True, slots=True)
class PoolState:
    """`supply`: how many free agents have a skill; None: `agents` are all there are, count them. `unread`: what else waits."""

    items: tuple[WaitingItem, ...]
    agents: tuple[AgentView, ...]
    max_offers: int = 10
    supply: Mapping[str, int] | None = None
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """`is_full`: the pass ended at its limit, another may find more. Where it ended because of what was not read, the reader knows."""

    proposals: tuple[Proposal, ...]
    is_full: bool = False


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
    wrap_requested: bool = False
    wrap_extended_s: int = 0
    disposition: str | None = None
    is_external: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
