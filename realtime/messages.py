"""What travels to a desk: one frozen model per message, shared by the socket, the REST snapshot and the generated types."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from accounts.model import Me
from core.phone import Attestation
from core.texts import Text
from customers.model import Candidate
from routing.messages import AgentLive, Presence, QueueStats
from routing.model import WrapMode
from ticketing.model import Profile, TicketOfCall, TicketSummary


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)


class PopCall(Message):
    """`from` is what may be shown and dialled: the E.164 form, a short number; null when withheld. `is_external`: a telephone system
    connects it, so it is answered, declined and ended at the telephone."""

    id: int
    from_: str | None = Field(alias="from")
    from_kind: str
    to: str
    queue: str
    queue_name: Text
    waited_s: float
    channel: Literal["voice"] = "voice"
    language: str
    calls_24h: int
    is_external: bool = False
    attestation: Attestation | None = None
    """What carriers say of whether the caller may use the number; null when nothing was said."""
    direction: Literal["inbound", "outbound", "internal"] = "inbound"
    """Of an outbound call `from` is the customer's number all the same, and `to` ours."""


class PopCustomer(Message):
    """`match` says what the number told (`unread`: nobody could be looked up just now); `chosen_id` what a person decided (or the
    one match)."""

    match: Literal["one", "many", "none", "withheld", "unread"]
    candidates: list[Candidate]
    profile: Profile | None
    chosen_id: int | None


class PopReason(Message):
    rule: str
    step: int
    why: Text


class PopTransfer(Message):
    """Who gave the call to whoever has it now, and with what words."""

    by: str
    note: str | None
    at: datetime


Source = Literal["identity", "repeat", "ticket", "profile"]
Why = Literal["slow", "failed"]


class Hole(Message):
    """What is missing in this pop: who it is, how often the number has called, the ticket's details, the customer's profile."""

    source: Source
    why: Why


class PopConsult(Message):
    """Who wants to speak about a call that they have in hand, and with what words. The call is theirs."""

    by: str
    note: str | None
    at: datetime


class CallConsult(Message):
    """The last consultation about this call that this agent has a part in. `is_asker`: they have the call; else they are consulted about it.

    `who`: the other one's name, or the queue's, or the number; `outcome` once it is over."""

    id: int
    is_asker: bool
    state: Literal["asking", "connecting", "talking", "over"]
    outcome: str | None
    to: Literal["agent", "queue", "number"]
    who: str | None
    queue_name: Text | None
    since: datetime


class CallRecording(Message):
    """`state` is what the provider has said: a pause is shown as one only then. `problem`: what it would not do; then it is as `state` says."""

    state: Literal["told", "declined", "recording", "paused", "ended", "failed"]
    is_pause_wanted: bool
    problem: Literal["start", "pause", "resume"] | None


class CallTelephone(Message):
    """Where this agent is rung for the call, when that is not the browser. `waiting`: for the provider's next free second; `answered`: the key is being asked
    for; `taken`: it was pressed; `over`: the telephone is down."""

    shown: str
    state: Literal["waiting", "ringing", "answered", "taken", "over"]
    is_mute_wanted: bool
    is_muted: bool
    """What the provider has said."""


class ScreenPop(Message):
    """Who, why, evidence, suggested ticket: what an agent sees when offered a call. Built for that agent's rights."""

    offer_id: int
    work_item_id: int
    state: str
    offered_at: datetime
    deadline: datetime
    version: int
    call: PopCall
    ticket: TicketOfCall
    other_tickets: list[TicketSummary]
    restricted_tickets: int
    customer: PopCustomer
    reason: PopReason
    transfer: PopTransfer | None = None
    holes: list[Hole] = []
    """What could not be read in time, or at all: `GET /api/v1/offers/{id}/pop` asks again."""
    consult: PopConsult | None = None
    """Set when this is no call to take but somebody who asks about theirs."""


class NoteDraft(Message):
    body: str
    version: int
    saved_at: datetime | None


class WrapUp(Message):
    mode: WrapMode
    extension_s: int
    """By so much it may be extended now; 0: not, or not again."""
    is_requested: bool
    """Where it is on request: the agent wants it."""


class ActiveCall(Message):
    pop: ScreenPop
    state: Literal["connecting", "in_call", "on_hold", "consulted", "wrapping"]
    """`consulted`: somebody else has the call, and speaks, or is about to speak, with this agent about it."""
    conference: str
    connected_at: datetime | None
    dial_at: datetime | None = None
    """While connecting, of an outbound call: when the customer is rung; null until the agent's phone is there."""
    held_since: datetime | None = None
    hold_wanted: bool = False
    """What the agent asked for; `state` follows when the provider has done it."""
    consult: CallConsult | None = None
    recording: CallRecording | None = None
    """None where nothing is recorded."""
    telephone: CallTelephone | None = None
    ended_at: datetime | None
    wrap_up: WrapUp
    wrap_up_ends_at: datetime | None
    note: NoteDraft
    disposition: str | None
    version: int


class ClosedCall(Message):
    """The call is off the desk: wrap-up is done, or the call is somebody else's."""

    call_id: int
    state: Literal["closed"] = "closed"


class Disposition(Message):
    key: str
    name: Text
    digit: int | None
    queue: str | None
    resolves_ticket: bool
    """After a call with this result its ticket is resolved."""


class Desk(Message):
    """Everything a desk shows, and the sequence number it is true for."""

    me: Me
    presence: Presence | None
    offers: list[ScreenPop]
    calls: list[ActiveCall]
    tickets: list[TicketSummary]
    queues: list[QueueStats]
    dispositions: list[Disposition]
    seq: int
    server_time: datetime


class OfferEndedData(Message):
    """`by`: the name of who took it instead."""

    offer_id: int
    call_id: int | None
    outcome: str
    reason: str
    by: str | None


class PresenceChangedData(Presence):
    """`by`: who changed it, when it was not the agent."""

    by: str | None = None


class QueueStatsData(Message):
    queues: list[QueueStats]


class AgentsChangedData(Message):
    """Of the agents on a supervisor's floor, those that are otherwise than was told last, and the ids of those who are gone."""

    items: list[AgentLive]
    gone: list[int]


class Viewer(Message):
    """Somebody who has a ticket or a customer on the screen; with several windows once."""

    id: int
    name: str
    is_editing: bool
    since: datetime


class ViewersData(Message):
    """Who looks at this now, oneself included."""

    kind: Literal["ticket", "customer"]
    id: int
    viewers: list[Viewer]


class CustomerChangedData(Message):
    """Read the customer again: the card, or what happened with them, has changed."""

    id: int


class Envelope(Message):
    """Every server-to-client event has this one argument; its name is `type`."""

    seq: int | None
    type: str
    v: Literal[1] = 1
    at: datetime
    data: Any


Layer = Literal["identity", "reason", "context", "depth"]
"""The parts of a pop in the order in which they are painted."""


class AckIn(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    seq: int = Field(ge=0, le=2**53)


class PaintedIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    offer_id: int = Field(ge=1, le=2**53)
    ms: float = Field(ge=0, le=600_000)
    layer: Layer = "identity"


class ViewingIn(BaseModel):
    """What is on the screen: a ticket or a customer, or neither. `is_editing`: something typed is not saved yet. `is_floor`: the floor of
    a supervisor, whose agents are told as they change."""

    model_config = ConfigDict(extra="forbid", strict=True)
    ticket_id: int | None = Field(default=None, ge=1, le=2**53)
    customer_id: int | None = Field(default=None, ge=1, le=2**53)
    is_editing: bool = False
    is_floor: bool = False

    @model_validator(mode="after")
    def _only_one(self) -> "ViewingIn":
        if self.ticket_id is not None and self.customer_id is not None:
            raise ValueError("a ticket or a customer, not both")
        return self


SERVER_MESSAGES: Final[Mapping[str, Any]] = {
    "snapshot": Desk,
    "screen_pop": ScreenPop,
    "offer_ended": OfferEndedData,
    "call_changed": ActiveCall | ClosedCall,
    "presence_changed": PresenceChangedData,
    "ticket_changed": TicketSummary,
    "customer_changed": CustomerChangedData,
    "viewers": ViewersData,
    "agents_changed": AgentsChangedData,
    "queue_stats": QueueStatsData,
    "noop": dict[str, Any],
}
"""What the server sends, by the event's name: the `data` of its envelope."""

CLIENT_MESSAGES: Final[Mapping[str, type[BaseModel]]] = {"ack": AckIn, "painted": PaintedIn, "viewing": ViewingIn}
"""All that a client may send."""

SOCKET_MODELS: tuple[type[BaseModel], ...] = (
    Desk,
    ScreenPop,
    ActiveCall,
    ClosedCall,
    OfferEndedData,
    PresenceChangedData,
    QueueStatsData,
    ViewersData,
    CustomerChangedData,
    AgentsChangedData,
)
