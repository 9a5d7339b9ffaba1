"""The life of one call: states, events and `advance(call, event)`, a pure function.

    received → (ivr →) queued → connecting → in_call ⇄ on_hold → wrap_up → closed
                         ↖───── handed on ─────┴──→ outside ──↗
    received | ivr | queued → voicemail → closed

What decides. A terminal outcome is set once and never left; facts that arrive later only fill blanks. `queued → connecting`
is our own doing (an accepted offer); `connecting → in_call` needs *both* parties in the conference, in either order; a connect
that fails, and an agent who is lost in mid-call, put the call back to `queued`. Agent legs are never missed calls: only the
customer's leg ends the call. A telephone system connects its calls itself: `PickedUp` and `HandedOver` say so when it is nobody of ours.
`on_hold` is what the provider says of the customer's seat, and only believed while it is what the agent wants (`hold_wanted`): a late word of an
earlier hold moves nothing. A caller at the recorder (`voicemail`) is no longer ours to connect; who hangs up there has left a message or has given up, which only the recording
tells: until then the call stays open. Callbacks may be doubled, late or reordered, so every event is harmless when it comes again or too late.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from core.errors import Conflict
from core.ids import AgentId, CallId, OfferId
from core.phone import Number


class CallerLeft(Conflict):
    code, title = "caller_left", "The caller has left"


class CallState(StrEnum):
    RECEIVED = "received"
    IVR = "ivr"
    QUEUED = "queued"
    CONNECTING = "connecting"
    IN_CALL = "in_call"
    ON_HOLD = "on_hold"
    OUTSIDE = "outside"
    """The caller is being put through to, or talks with, somebody at a number that is not ours."""
    VOICEMAIL = "voicemail"
    WRAP_UP = "wrap_up"
    CLOSED = "closed"


class Outcome(StrEnum):
    ANSWERED = "answered"
    ABANDONED_IVR = "abandoned_ivr"
    ABANDONED_QUEUE = "abandoned_queue"
    ABANDONED_RINGING = "abandoned_ringing"
    BUSY = "busy"
    CANCELED = "canceled"
    """Given up by our own agent before anybody answered."""
    DEFLECTED = "deflected"
    FORWARDED = "forwarded"
    REJECTED_BLOCKED = "rejected_blocked"
    UNANSWERED = "unanswered"
    VOICEMAIL = "voicemail"
    AFTER_HOURS = "after_hours"
    FAILED = "failed"
    UNKNOWN = "unknown"


TWILIO: Final = "twilio"
PBX: Final = "pbx"
"""Providers of calls. Those of a telephone system are connected and ended by it alone."""
INBOUND: Final = "inbound"
OUTBOUND: Final = "outbound"
NOT_YET: Final = "out:"
"""How the sid of a call begins whose customer's leg has no name at the provider yet."""
CLOSED: Final = "closed"
"""Why a caller is at the recorder: the number is not open."""
UNDONE: Final = "undone"
"""Why a call is not with its agent: a person has undone giving or taking it by hand."""


@dataclass(frozen=True, slots=True)
class Call:
    id: CallId
    account_sid: str
    sid: str
    caller: Number
    to_number: str
    language: str
    queue: str | None
    state: CallState
    outcome: Outcome | None
    agent_id: AgentId | None
    offer_id: OfferId | None
    agent_joined: bool
    caller_joined: bool
    ended_by: str | None
    version: int
    created_at: datetime
    queued_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    provider: str = TWILIO
    direction: str = INBOUND
    hold_wanted: bool = False
    held_at: datetime | None = None
    transfer_id: int | None = None
    """The transfer under way: given away by one, not yet taken by anybody."""
    recorder_at: datetime | None = None
    recorder_reason: str | None = None
    menu_choice: str | None = None
    menu_path: str | None = None
    left_at: datetime | None = None
    """When a caller at the recorder hung up, while it is not known yet whether there is a message."""

    dial_at: datetime | None = None
    """Of a call that we make: when the customer is rung."""
    dialed_at: datetime | None = None

    @property
    def is_ours(self) -> bool:
        """Made by an agent through us."""
        return self.direction == OUTBOUND and self.provider == TWILIO

    @property
    def our_number(self) -> str:
        return self.caller.raw if self.is_ours else self.to_number

    @property
    def customer_number(self) -> str | None:
        return self.caller.value if self.direction != OUTBOUND else self.to_number

    @property
    def has_leg(self) -> bool:
        """Does the provider know a leg of the customer?"""
        return not self.sid.startswith(NOT_YET)

    @property
    def is_external(self) -> bool:
        """Connected and ended by a telephone system: we only hear of it."""
        return self.provider != TWILIO

    @property
    def is_over(self) -> bool:
        return self.outcome is not None

    @property
    def is_talking(self) -> bool:
        return self.state in (CallState.IN_CALL, CallState.ON_HOLD)

    @property
    def is_held(self) -> bool:
        return self.state is CallState.ON_HOLD


@dataclass(frozen=True, slots=True)
class Queued:
    """The caller waits in our queue (first time). `choice`: what was chosen from the menu."""

    queue: str
    at: datetime
    choice: str | None = None


@dataclass(frozen=True, slots=True)
class MenuPlayed:
    """The caller hears what may be chosen. `path`: in which menu, by way of which."""

    path: str


@dataclass(frozen=True, slots=True)
class Connecting:
    """An agent accepted; caller and agent are being brought into the conference."""

    agent_id: AgentId
    offer_id: OfferId


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """The two did not come together in time; the caller still holds the line."""

    offer_id: OfferId


@dataclass(frozen=True, slots=True)
class CallerJoined:
    at: datetime


@dataclass(frozen=True, slots=True)
class AgentJoined:
    agent_id: AgentId
    at: datetime


@dataclass(frozen=True, slots=True)
class AgentLeft:
    """The agent's leg left the conference."""

    agent_id: AgentId
    at: datetime


@dataclass(frozen=True, slots=True)
class AgentLost:
    """The agent who left a conversation did not come back in time; the caller still holds the line."""

    offer_id: OfferId


@dataclass(frozen=True, slots=True)
class GivenBack:
    """The agent of this offer had taken the call out of the line by hand, and undoes that: back to the line with it."""

    offer_id: OfferId


@dataclass(frozen=True, slots=True)
class HoldWanted:
    """The agent wants the customer on hold, or back."""

    is_held: bool


@dataclass(frozen=True, slots=True)
class HoldChanged:
    """The provider says that the customer is on hold, or hears the conversation again."""

    is_held: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class HoldRefused:
    """The provider does not do it: what is stays, and nothing else is wanted any more."""


@dataclass(frozen=True, slots=True)
class HandedOn:
    """The agent of this offer has given the call away: back to the line with it, or to a number outside."""

    offer_id: OfferId
    transfer_id: int
    is_outside: bool = False


@dataclass(frozen=True, slots=True)
class Touched:
    """Something that desks show with the call has changed, a consultation or its recording; the call itself is as it was."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A consulted colleague, who is in the conference, has the call now instead of the agent of `offer_id`."""

    offer_id: OfferId
    agent_id: AgentId
    by_offer_id: OfferId
    at: datetime


@dataclass(frozen=True, slots=True)
class CameBack:
    """Nobody outside took the call; the caller still holds the line."""


@dataclass(frozen=True, slots=True)
class CallerGone:
    """The customer's leg is over, by whatever callback or look-up said so. `by`: customer, agent, system, pbx, outside. `unanswered`: what became
    of a call that nobody had answered, where that is known better than from its state."""

    at: datetime
    failed: bool = False
    by: str = "customer"
    unanswered: Outcome | None = None


@dataclass(frozen=True, slots=True)
class PickedUp:
    """A telephone system has connected the call with somebody who holds no offer of ours; `agent_id` when it is an agent all the same."""

    at: datetime
    agent_id: AgentId | None = None


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A telephone system has taken the call from whoever talked, and somebody else is about to talk."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Deflected:
    """The queue lets go of a waiting caller, who is told that we call back. As far as we go, the call is over."""

    at: datetime


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Not let in: blocked, or called while we are closed. `queue`: the one that is, where the caller has chosen it."""

    outcome: Outcome
    at: datetime
    queue: str | None = None
    choice: str | None = None


@dataclass(frozen=True, slots=True)
class SentToRecorder:
    """The caller is asked for a message instead of an agent. `queue`: whose work that is, where no queue had the call yet."""

    queue: str
    reason: str
    at: datetime
    choice: str | None = None


@dataclass(frozen=True, slots=True)
class MessageLeft:
    at: datetime


@dataclass(frozen=True, slots=True)
class NothingLeft:
    """There is no message, and none will come."""

    at: datetime


@dataclass(frozen=True, slots=True)
class WrapUpDone:
    at: datetime


CallEvent = (
    Queued
    | Connecting
    | ConnectFailed
    | CallerJoined
    | AgentJoined
    | AgentLeft
    | AgentLost
    | GivenBack
    | HoldWanted
    | HoldChanged
    | HoldRefused
    | HandedOn
    | Touched
    | TakenOver
    | CameBack
    | CallerGone
    | Deflected
    | PickedUp
    | HandedOver
    | MenuPlayed
    | TurnedAway
    | SentToRecorder
    | MessageLeft
    | NothingLeft
    | WrapUpDone
)


class Happened(StrEnum):
    """What others must hear of."""

    QUEUED = "queued"
    CONNECTING = "connecting"
    CONNECT_FAILED = "connect_failed"
    ANSWERED = "answered"
    AGENT_READY = "agent_ready"
    """Of a call that we make: the agent is in the conference, the customer may be rung."""
    AGENT_LEFT = "agent_left"
    AGENT_BACK = "agent_back"
    AGENT_LOST = "agent_lost"
    HELD = "held"
    RESUMED = "resumed"
    HOLD_REFUSED = "hold_refused"
    HANDED_ON = "handed_on"
    TAKEN_OVER = "taken_over"
    CAME_BACK = "came_back"
    PICKED_UP = "picked_up"
    HANDED_OVER = "handed_over"
    SENT_TO_RECORDER = "sent_to_recorder"
    LEFT_RECORDER = "left_recorder"
    ENDED = "ended"
    CLOSED = "closed"


def advance(call: Call, event: CallEvent) -> tuple[Call, Happened | None]:
    """The call after the event, and what happened; the same call and None when the event changes nothing."""
    match event:
        case WrapUpDone() if call.state is CallState.WRAP_UP:
            return _next(call, state=CallState.CLOSED), Happened.CLOSED
        case _ if call.is_over:
            return call, None
        case CallerGone() if call.state is CallState.VOICEMAIL:
            if call.left_at is not None:
                return call, None
            return _next(call, left_at=max(event.at, call.recorder_at or event.at)), Happened.LEFT_RECORDER
        case CallerGone():
            return _gone(call, event)
        case MessageLeft() | NothingLeft() if call.state is CallState.VOICEMAIL:
            return _recorded(call, event), Happened.ENDED
        case TurnedAway() if call.state in (CallState.RECEIVED, CallState.IVR):
            at = max(event.at, call.created_at)
            moved = _next(
                call,
                state=CallState.CLOSED,
                queue=event.queue,
                menu_choice=event.choice,
                outcome=event.outcome,
                ended_at=at,
                ended_by="system",
            )
            return moved, Happened.ENDED
        case SentToRecorder() if call.state in (CallState.RECEIVED, CallState.IVR, CallState.QUEUED):
            at = max(event.at, call.queued_at or call.created_at)
            queue = call.queue if call.queue is not None else event.queue
            moved = _next(
                call,
                state=CallState.VOICEMAIL,
                queue=queue,
                transfer_id=None,
                recorder_at=at,
                recorder_reason=event.reason,
                menu_choice=call.menu_choice or event.choice,
            )
            return moved, Happened.SENT_TO_RECORDER
        case Deflected() if call.state is CallState.QUEUED:
            at = max(event.at, call.queued_at or call.created_at)
            moved = _next(
                call,
                state=CallState.CLOSED,
                outcome=Outcome.DEFLECTED,
                transfer_id=None,
                ended_at=at,
                ended_by="system",
            )
            return moved, Happened.ENDED
        case Queued() if call.state in (CallState.RECEIVED, CallState.IVR):
            moved = _next(call, state=CallState.QUEUED, queue=event.queue, queued_at=event.at, menu_choice=event.choice)
            return moved, Happened.QUEUED
        case MenuPlayed() if call.state is CallState.RECEIVED or (
            call.state is CallState.IVR and call.menu_path != event.path
        ):
            return _next(call, state=CallState.IVR, menu_path=event.path), None
        case Connecting() if call.state is CallState.QUEUED or (call.is_ours and call.state is CallState.RECEIVED):
            moved = _next(
                call,
                state=CallState.CONNECTING,
                agent_id=event.agent_id,
                offer_id=event.offer_id,
                agent_joined=False,
                caller_joined=False,
            )
            return moved, Happened.CONNECTING
        case ConnectFailed() | AgentLost() | GivenBack() if call.is_ours:
            return call, None  # there is no line to go back to: who decides so ends the call
        case AgentLeft() if (
            call.is_ours
            and call.state is CallState.CONNECTING
            and call.agent_id == event.agent_id
            and call.agent_joined
        ):
            return _gone(call, CallerGone(event.at, by="agent", unanswered=Outcome.CANCELED))
        case ConnectFailed() | GivenBack() if call.state is CallState.CONNECTING and call.offer_id == event.offer_id:
            return _back_in_line(call), Happened.CONNECT_FAILED
        case GivenBack() if call.is_talking and call.offer_id == event.offer_id:
            return _back_in_line(call), Happened.AGENT_LOST
        case AgentLost() if call.is_talking and not call.agent_joined and call.offer_id == event.offer_id:
            return _back_in_line(call), Happened.AGENT_LOST
        case HoldWanted() if call.is_talking and call.hold_wanted is not event.is_held:
            return _next(call, hold_wanted=event.is_held), None
        case HoldRefused() if call.is_talking and call.hold_wanted is not call.is_held:
            return _next(call, hold_wanted=call.is_held), Happened.HOLD_REFUSED
        case HoldChanged() if call.is_talking and event.is_held is call.hold_wanted is not call.is_held:
            if event.is_held:
                return _next(call, state=CallState.ON_HOLD, held_at=event.at), Happened.HELD
            return _next(call, state=CallState.IN_CALL, held_at=None), Happened.RESUMED
        case HandedOn() if call.is_talking and call.offer_id == event.offer_id:
            moved = replace(_back_in_line(call), transfer_id=event.transfer_id)
            return replace(moved, state=CallState.OUTSIDE) if event.is_outside else moved, Happened.HANDED_ON
        case Touched():
            return _next(call), None
        case TakenOver() if call.is_talking and call.offer_id == event.offer_id:
            # On hold until the provider says otherwise, but nobody wants it any more.
            moved = _next(
                call, agent_id=event.agent_id, offer_id=event.by_offer_id, agent_joined=True, hold_wanted=False
            )
            return moved, Happened.TAKEN_OVER
        case CameBack() if call.state is CallState.OUTSIDE:
            return _next(call, state=CallState.QUEUED, transfer_id=None), Happened.CAME_BACK
        case PickedUp() if call.state in (CallState.RECEIVED, CallState.QUEUED):
            agent_id = event.agent_id if event.agent_id is not None else call.agent_id
            moved = _next(call, state=CallState.IN_CALL, agent_id=agent_id, transfer_id=None)
            return replace(moved, answered_at=call.answered_at or event.at), Happened.PICKED_UP
        case HandedOver() if call.is_talking:
            return _back_in_line(call), Happened.HANDED_OVER
        case CallerJoined() if call.state is CallState.CONNECTING and not call.caller_joined:
            return _joined(_next(call, caller_joined=True), event.at)
        case AgentJoined() if call.agent_id == event.agent_id and not call.agent_joined:
            if call.state is CallState.CONNECTING:
                return _joined(_next(call, agent_joined=True), event.at)
            if call.is_talking:
                return _next(call, agent_joined=True), Happened.AGENT_BACK
        case AgentLeft() if call.agent_id == event.agent_id and call.agent_joined:
            if call.is_talking:
                return _next(call, agent_joined=False), Happened.AGENT_LEFT
            return _next(call, agent_joined=False), None
        case _:
            pass
    return call, None


REACHED_NOBODY: Final = frozenset({Outcome.UNANSWERED, Outcome.BUSY, Outcome.FAILED})
"""How a call that we made ends when nobody answered; the agent notes it like any other."""


def _next(call: Call, **changes: object) -> Call:
    return replace(call, version=call.version + 1, **changes)  # type: ignore[arg-type]


def _back_in_line(call: Call) -> Call:
    return _next(
        call,
        state=CallState.QUEUED,
        agent_id=None,
        offer_id=None,
        agent_joined=False,
        caller_joined=False,
        hold_wanted=False,
        held_at=None,
    )


def _joined(call: Call, at: datetime) -> tuple[Call, Happened | None]:
    if call.caller_joined and call.agent_joined:
        met = replace(call, state=CallState.IN_CALL, answered_at=call.answered_at or at, transfer_id=None)
        return met, Happened.ANSWERED
    return call, Happened.AGENT_READY if call.is_ours and call.agent_joined else None


def _recorded(call: Call, event: MessageLeft | NothingLeft) -> Call:
    """Who leaves no message is who gave up where they were before."""
    if isinstance(event, MessageLeft):
        outcome = Outcome.VOICEMAIL
    elif call.recorder_reason == CLOSED:
        outcome = Outcome.AFTER_HOURS
    else:
        outcome = Outcome.ABANDONED_IVR if call.queued_at is None else Outcome.ABANDONED_QUEUE
    ended_at = call.left_at or max(event.at, call.recorder_at or event.at)
    return _next(call, state=CallState.CLOSED, outcome=outcome, ended_at=ended_at, ended_by="customer")


def _gone(call: Call, event: CallerGone) -> tuple[Call, Happened]:
    outcomes = {
        CallState.RECEIVED: Outcome.ABANDONED_IVR,
        CallState.IVR: Outcome.ABANDONED_IVR,
        CallState.QUEUED: Outcome.ABANDONED_QUEUE,
        CallState.CONNECTING: Outcome.ABANDONED_RINGING,
    }
    outcome = outcomes.get(call.state, Outcome.ANSWERED)
    if call.is_ours and outcome is not Outcome.ANSWERED:
        outcome = Outcome.UNANSWERED
    if event.failed and outcome is not Outcome.ANSWERED:
        outcome = Outcome.FAILED
    if event.unanswered is not None and outcome is not Outcome.ANSWERED:
        outcome = event.unanswered
    wraps_up = call.offer_id is not None and (
        outcome is Outcome.ANSWERED or (call.is_ours and outcome in REACHED_NOBODY)
    )
    state = CallState.WRAP_UP if wraps_up else CallState.CLOSED
    ended_at = max(event.at, call.answered_at or call.queued_at or call.created_at)
    return _next(
        call,
        state=state,
        outcome=outcome,
        ended_at=ended_at,
        ended_by=call.ended_by or event.by,
        hold_wanted=False,
        held_at=None,
        transfer_id=None,
    ), Happened.ENDED
