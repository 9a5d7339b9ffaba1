"""The catalogue of events: past facts, dotted names equal to the routing key, one frozen model each.

On the wire an event holds ids and versions, never names, phones or texts. Fields marked `inline_only` travel with the
object to reactions in the same transaction and are never serialised.
"""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from core.ids import AgentId, CallId, CustomerId, OfferId, TicketId, WorkItemId
from core.phone import Number


def inline_only(default: Any = None) -> Any:
    return Field(default=default, exclude=True, repr=False)


Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,80}$")]
"""A name from our own vocabulary or the organisation file: a queue, a pool, a state, an outcome."""

REASONS: Final = (
    "agent_left", "caller_left", "connect_failed", "connection_lost", "missed_offer", "no_answer", "rejected", "taken", "undone",
    "answered", "busy", "canceled", "unanswered", "abandoned_ivr", "abandoned_queue", "abandoned_ringing", "deflected", "failed",
    "forwarded", "unknown", "voicemail", "",
)  # fmt: skip


def _without_text(reason: Any) -> Any:
    return reason if reason is None or reason in REASONS else "other"


def _without_name(by: Any) -> Any:
    is_id = isinstance(by, str) and by.startswith("user:") and by.removeprefix("user:").isdecimal()
    return by if is_id or by in (None, "system", "agent", "provider", "cli") else "agent"


Reason = Annotated[str, BeforeValidator(_without_text), Field(json_schema_extra={"enum": [*REASONS, "other"]})]
"""Why, in our own words. What a person typed stays in the row; on the wire it is `other`."""

By = Annotated[str, BeforeValidator(_without_name), Field(pattern=r"^(user:[0-9]+|system|agent|provider|cli)$")]
"""Who: `user:7`, or a kind of actor. Never a name; whoever is named acted for themselves and is `agent`."""


class Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", arbitrary_types_allowed=True)

    name: ClassVar[str]
    v: ClassVar[int] = 1

    @property
    def correlation_id(self) -> str | None:
        """The call this event belongs to, for logs and traces."""
        call_id = getattr(self, "call_id", None)
        return None if call_id is None else f"call_{call_id}"


class CallQueued(Event):
    """A customer's call entered a waiting line. Inline reactions give it a ticket and a work item."""

    name = "call.queued"
    call_id: CallId
    version: int
    queue: Key
    entered_at: datetime
    caller: Number | None = inline_only()
    to_number: str = inline_only("")
    language: str = inline_only("en")
    is_external: bool = inline_only(False)
    """A telephone system queues and connects it."""
    menu_choice: str | None = inline_only(None)


class CallRang(Event):
    """A telephone system rings these agents for a call."""

    name = "call.rang"
    call_id: CallId
    version: int
    agent_ids: list[AgentId]
    connection: Key


class CallRingEnded(Event):
    """A telephone system rings these agents no longer."""

    name = "call.ring_ended"
    call_id: CallId
    version: int
    agent_ids: list[AgentId]


class CallTaken(Event):
    """A telephone system has connected a call. `agent_id`: None when it is nobody we know."""

    name = "call.taken"
    call_id: CallId
    version: int
    agent_id: AgentId | None
    connection: Key
    at: datetime


class CallAnswered(Event):
    """Customer and agent are connected in the conference."""

    name = "call.answered"
    call_id: CallId
    version: int
    agent_id: AgentId
    at: datetime


class CallConnectFailed(Event):
    """An accepted call was not joined (the phone never came, the provider refused, or who had taken it by hand has undone that). The item goes back
    to its place."""

    name = "call.connect_failed"
    call_id: CallId
    version: int
    offer_id: OfferId
    reason: Reason


class CallAgentLeft(Event):
    """The agent's leg ended while the customer is still in the conference."""

    name = "call.agent_left"
    call_id: CallId
    version: int
    agent_id: AgentId
    at: datetime


class CallAgentReady(Event):
    """Of a call that an agent makes: they are in the conference, the customer may be rung."""

    name = "call.agent_ready"
    call_id: CallId
    version: int
    agent_id: AgentId
    at: datetime


class AgentTelephoneChanged(Event):
    """The telephone on which an agent is rung for a call is answered, has taken it, is given up, or is muted."""

    name = "agent.telephone_changed"
    call_id: CallId
    version: int
    agent_id: AgentId
    offer_id: OfferId
    at: datetime


class CallHoldChanged(Event):
    """The customer is on hold, or back; or it could not be done, and `is_held` says how it is."""

    name = "call.hold_changed"
    call_id: CallId
    version: int
    agent_id: AgentId
    is_held: bool
    at: datetime


class CallTransferred(Event):
    """An agent has given the call away: `to` a queue, an agent or a number. What it is comes as another event."""

    name = "call.transferred"
    call_id: CallId
    version: int
    agent_id: AgentId
    transfer_id: int
    to: Key
    at: datetime


class RecordingChanged(Event):
    """The recording of a call runs, is paused, could not be what was wanted (`problem`), or is wanted otherwise now."""

    name = "recording.changed"
    call_id: CallId
    version: int
    recording_id: int
    state: Key
    problem: Key | None
    at: datetime


class ConsultChanged(Event):
    """The agent who has the call consults somebody about it, and this is how that stands now. `with_agent_id`: the colleague who accepted."""

    name = "consult.changed"
    call_id: CallId
    version: int
    consult_id: int
    agent_id: AgentId
    offer_id: OfferId
    with_agent_id: AgentId | None
    with_offer_id: OfferId | None
    state: Key
    outcome: Key | None
    at: datetime


class ConsultDeclined(Event):
    """The colleague who was to be consulted said no, or nothing in time."""

    name = "consult.declined"
    call_id: CallId
    consult_id: int


class ConsultEnded(Event):
    """A consultation of a colleague is over without the call going to them: whoever is asked, or talks, is free again."""

    name = "consult.ended"
    call_id: CallId
    consult_id: int
    work_item_id: WorkItemId
    outcome: Key


class ConsultOrphaned(Event):
    """The agent is lost while a colleague whom they consulted is in the conference: the call is to be the colleague's."""

    name = "consult.orphaned"
    call_id: CallId
    consult_id: int


class CallCameBack(Event):
    """Nobody at the number outside took the call; the caller waits again, with the old place in line."""

    name = "call.came_back"
    call_id: CallId
    version: int
    at: datetime


class CallRequeued(Event):
    """The agent did not come back into a living conversation, or has undone taking it by hand; the caller waits again, with the old place in line."""

    name = "call.requeued"
    call_id: CallId
    version: int
    agent_id: AgentId
    at: datetime


class CallEnded(Event):
    """The customer's leg is over; the outcome is final."""

    name = "call.ended"
    call_id: CallId
    version: int
    outcome: Key
    at: datetime
    talk_started_at: datetime | None = None
    wait_s: float | None = None


class CallSentToRecorder(Event):
    """A caller is asked for a message instead of an agent. `reason`: asked, or why a queue let go."""

    name = "call.sent_to_recorder"
    call_id: CallId
    version: int
    reason: Key
    at: datetime


class VoicemailLeft(Event):
    """A caller has left a message. Its call has a ticket then, if it had none before."""

    name = "voicemail.left"
    call_id: CallId
    version: int
    voicemail_id: int
    duration_s: int
    queue: Key
    caller: Number | None = inline_only()
    to_number: str = inline_only("")
    language: str = inline_only("en")


class ProviderCommandIntended(Event):
    """Something is to be asked of the telephony provider; the row in `provider_commands` says what."""

    name = "provider_command.intended"
    call_id: CallId
    object: Key
    kind: Key


class TicketBound(Event):
    """A call has its ticket: the one matched customer's open one in this queue, or a new one."""

    name = "ticket.bound"
    call_id: CallId
    ticket_id: TicketId
    version: int
    is_new: bool
    queue: Key
    entered_at: datetime
    customer_id: CustomerId | None
    match: Key
    facts: dict[str, Any] = inline_only({})
    is_external: bool = inline_only(False)


class CallAttached(Event):
    """A person moved a call to another ticket."""

    name = "call.attached"
    call_id: CallId
    ticket_id: TicketId
    from_ticket_id: TicketId
    version: int
    """Of the ticket it is attached to."""


class TicketChanged(Event):
    name = "ticket.changed"
    ticket_id: TicketId
    version: int
    call_id: CallId | None = None


class TicketWorkAffected(Event):
    """A ticket that is work, or was, or may be now, has changed: routing looks at it."""

    name = "ticket.work_affected"
    ticket_id: TicketId
    version: int


class WorkQueued(Event):
    """A work item waits in its pool (again)."""

    name = "work.queued"
    work_item_id: WorkItemId
    version: int
    pool: Key
    queue: Key
    call_id: CallId | None = None


class WorkWithdrawn(Event):
    """A work item left the line without an agent (caller hung up, overflow)."""

    name = "work.withdrawn"
    work_item_id: WorkItemId
    version: int
    pool: Key
    queue: Key
    reason: Reason
    call_id: CallId | None = None


class WorkDeflected(Event):
    """A queue lets go of a caller (full, too long, nobody there) and there is no other queue: the ticket is what is left, or a message."""

    name = "work.deflected"
    work_item_id: WorkItemId
    queue: Key
    reason: Key
    call_id: CallId
    to_recorder: bool = False


class OfferCreated(Event):
    name = "offer.created"
    offer_id: OfferId
    work_item_id: WorkItemId
    agent_id: AgentId
    queue: Key
    version: int
    call_id: CallId | None = None


class OfferAccepted(Event):
    name = "offer.accepted"
    offer_id: OfferId
    work_item_id: WorkItemId
    agent_id: AgentId
    queue: Key
    version: int
    call_id: CallId | None = None


class OfferEnded(Event):
    """`outcome`: rejected, timeout, rescinded, canceled. `by_agent_id` names who took it instead, where somebody did."""

    name = "offer.ended"
    offer_id: OfferId
    work_item_id: WorkItemId
    agent_id: AgentId
    queue: Key
    pool: Key
    outcome: Key
    reason: Reason
    version: int
    by_agent_id: AgentId | None = None
    call_id: CallId | None = None


class WrapUpStarted(Event):
    name = "wrap_up.started"
    offer_id: OfferId
    agent_id: AgentId
    version: int
    ends_at: datetime | None
    call_id: CallId | None = None


class WrapUpChanged(Event):
    """The agent extends wrap-up (once), asks for it during the call, or no longer, or chooses another result for the time being.
    `ends_at`: None when it does not end by itself, or has not begun."""

    name = "wrap_up.changed"
    offer_id: OfferId
    agent_id: AgentId
    version: int
    is_requested: bool
    ends_at: datetime | None
    call_id: CallId | None = None


class WrapUpEnded(Event):
    """`is_default`: nobody chose the disposition, it is the queue's."""

    name = "wrap_up.ended"
    offer_id: OfferId
    agent_id: AgentId
    version: int
    disposition: Key | None
    is_default: bool = False
    by: By
    call_id: CallId | None = None


class AgentPresenceChanged(Event):
    """`next`: chosen during a call or wrap-up; it applies at its end."""

    name = "agent.presence_changed"
    agent_id: AgentId
    version: int
    state: Key
    reason: Reason | None
    next: Key | None = None
    pool: Key | None
    by: By | None = None


class QueueHoldChanged(Event):
    """A supervisor holds a queue, or releases it: its items wait meanwhile."""

    name = "queue.hold_changed"
    queue: Key
    pool: Key
    is_held: bool


class AgentFreed(Event):
    """An agent can take work again."""

    name = "agent.freed"
    agent_id: AgentId
    version: int
    pool: Key


class CustomerChanged(Event):
    name = "customer.changed"
    customer_id: CustomerId
    version: int


class ConfigApplied(Event):
    name = "config.applied"
    change_id: int


class RulesetPublished(Event):
    name = "ruleset.published"
    version: int


CATALOGUE: tuple[type[Event], ...] = (
    CallQueued,
    CallRang,
    CallRingEnded,
    CallTaken,
    CallAnswered,
    CallConnectFailed,
    CallAgentLeft,
    CallAgentReady,
    AgentTelephoneChanged,
    CallHoldChanged,
    CallTransferred,
    RecordingChanged,
    ConsultChanged,
    ConsultDeclined,
    ConsultEnded,
    ConsultOrphaned,
    CallCameBack,
    CallRequeued,
    CallEnded,
    CallSentToRecorder,
    VoicemailLeft,
    ProviderCommandIntended,
    TicketBound,
    CallAttached,
    TicketChanged,
    TicketWorkAffected,
    WorkQueued,
    WorkWithdrawn,
    OfferCreated,
    OfferAccepted,
    OfferEnded,
    WrapUpStarted,
    WrapUpChanged,
    WrapUpEnded,
    AgentPresenceChanged,
    AgentFreed,
    CustomerChanged,
    ConfigApplied,
    RulesetPublished,
)
BY_NAME: dict[str, type[Event]] = {event.name: event for event in CATALOGUE}
