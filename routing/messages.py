"""What routing shows of its live state; shared by the API and the desk's socket."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from core.texts import Text
from routing.model import Channel, PresenceState


class Telephone(BaseModel):
    """The one that the organisation file allows this agent. `shown`: of its number only as much as its owner needs."""

    shown: str
    is_used: bool
    """Calls are taken there, not in the browser."""


class Presence(BaseModel):
    state: PresenceState
    reason: str | None
    since: datetime
    work: Literal["idle", "offered", "in_call", "wrapping"]
    next: PresenceState | None = None
    """Chosen during a call or wrap-up; it applies at its end."""
    next_reason: str | None = None
    telephone: Telephone | None = None
    version: int


class ServiceLevel(BaseModel):
    """Answered within the goal ÷ (answered + abandoned not short), of the queue's day. Empty is 0 of 0, shown as —."""

    numerator: int
    denominator: int
    within_s: int
    target: float


class QueueStats(BaseModel):
    key: str
    name: Text
    channel: Channel
    held_since: datetime | None
    """A supervisor holds it: nobody is asked."""
    hold_version: int
    """Who holds or releases it says which of these was looked at."""
    is_deserted: bool
    """Somebody waits, nobody who serves the queue is signed in, and the queue says that this is an alert."""
    waiting: int
    longest_wait_s: float | None
    agents_signed_in: int
    agents_available: int
    agents_busy: int
    offering: int
    in_call: int
    """Of a ticket queue: assigned."""
    answered_today: int
    abandoned_today: int
    """As in the figures: short ones are not among them."""
    service_level: ServiceLevel


class AgentCall(BaseModel):
    id: int | None
    queue: str
    since: datetime


class AgentLive(BaseModel):
    id: int
    name: str
    email: str
    role: str
    state: str
    reason: str | None
    next: PresenceState | None
    """Chosen for the end of the work in hand."""
    since: datetime | None
    connected: bool
    is_on_telephone: bool = False
    """Takes calls on a telephone, not in the browser."""
    queues: list[str]
    skills: dict[str, int]
    used_units: int
    total_units: int
    tickets: int
    """Assigned by routing's count, of `ticket_capacity` that come by themselves."""
    ticket_capacity: int
    call: AgentCall | None
    misses: int
    version: int
    presence_version: int
    """Who sets this agent's state says which of these was looked at."""
