"""What a ticket is: states and the ways between them, the row, and the shapes the API shows.

The API models are frozen pydantic; the row is a dataclass. No I/O and no clock here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from core.errors import Conflict, Invalid, NotFound, VersionConflict
from core.ids import CallId, CustomerId, TicketId
from core.texts import Text, in_language
from customers.model import Tier


class TicketState(StrEnum):
    NEW = "new"
    OPEN = "open"
    PENDING_CUSTOMER = "pending_customer"
    PENDING_THIRD_PARTY = "pending_third_party"
    PENDING_UNTIL = "pending_until"
    RESOLVED = "resolved"
    CLOSED = "closed"
    MERGED = "merged"


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class CloseReason(StrEnum):
    RESOLVED = "resolved"
    BY_HAND = "by_hand"
    SHORT_ABANDON = "short_abandon"
    MERGED_INTO = "merged_into"


_S = TicketState
PENDING_STATES: Final = frozenset({_S.PENDING_CUSTOMER, _S.PENDING_THIRD_PARTY, _S.PENDING_UNTIL})
OPEN_STATES: Final = frozenset({_S.NEW, _S.OPEN, *PENDING_STATES})
"""A caller's ticket in one of these is the one a further call belongs to."""
DONE_STATES: Final = frozenset({_S.CLOSED, _S.MERGED})

_WORK: Final = frozenset({_S.OPEN, *PENDING_STATES, _S.RESOLVED, _S.CLOSED, _S.MERGED})
TRANSITIONS: Final[Mapping[TicketState, frozenset[TicketState]]] = {
    _S.NEW: _WORK,
    _S.OPEN: _WORK - {_S.OPEN},
    _S.PENDING_CUSTOMER: _WORK - {_S.PENDING_CUSTOMER},
    _S.PENDING_THIRD_PARTY: _WORK - {_S.PENDING_THIRD_PARTY},
    # A new date is a change too.
    _S.PENDING_UNTIL: _WORK,
    _S.RESOLVED: frozenset({_S.OPEN, _S.CLOSED, _S.MERGED}),
    # Closed by mistake, or the customer is not content: it opens again and keeps its history.
    _S.CLOSED: frozenset({_S.OPEN}),
    _S.MERGED: frozenset(),
}
"""From each state the next ones. Nothing returns to `new`; `merged` is final."""

BY_PEOPLE: Final = frozenset(_S) - {_S.NEW, _S.MERGED}
"""States somebody can choose. `merged` comes about only by merging."""


DUE_AFTER: Final = timedelta(days=1)


class IllegalTransition(Conflict):
    code, title = "illegal_transition", "A ticket in this state cannot go there"


class TicketNotFound(NotFound):
    code, title = "ticket_not_found", "There is no such ticket for you"


class TicketVersionConflict(VersionConflict):
    """Somebody else changed the same field. `current` is the ticket as it is now."""


def next_states(state: TicketState) -> list[TicketState]:
    """The states a person can choose from here, in the order of the enum."""
    return [each for each in TicketState if each in TRANSITIONS[state] & BY_PEOPLE]


def check_transition(old: TicketState, new: TicketState) -> None:
    """Raises IllegalTransition with the legal ones."""
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(
            f"From {old} a ticket can only become: {', '.join(next_states(old)) or 'nothing else'}.",
            legal=[str(each) for each in next_states(old)],
        )


@dataclass(frozen=True, slots=True)
class TicketRow:
    """The changeable part of a ticket as stored."""

    id: TicketId
    number: str
    subject: str
    state: TicketState
    priority: Priority
    queue: str | None
    assignee_id: int | None
    customer_id: CustomerId | None
    close_reason: str | None
    tags: tuple[str, ...]
    version: int
    opened_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
    closed_at: datetime | None
    due_at: datetime | None


def enter_state(
    old: TicketState, new: TicketState, *, now: datetime, due_at: datetime | None, reason: CloseReason | None = None
) -> dict[str, Any]:
    """The columns that a change of state sets; `pending_until` without a time means this time tomorrow.

    Raises IllegalTransition, or Invalid when the time is over."""
    check_transition(old, new)
    if new is TicketState.PENDING_UNTIL:
        due_at = due_at or now + DUE_AFTER
        if due_at <= now:
            errors = [{"field": "due_at", "message": "must be a time in the future"}]
            raise Invalid("due_at must be a time in the future.", errors=errors)
    changes: dict[str, Any] = {"state": new, "due_at": due_at if new is TicketState.PENDING_UNTIL else None}
    if new is TicketState.RESOLVED:
        changes["resolved_at"] = now
    if new in DONE_STATES:
        by_state = CloseReason.RESOLVED if old is TicketState.RESOLVED else CloseReason.BY_HAND
        changes |= {"closed_at": now, "close_reason": reason or by_state}
    elif old in DONE_STATES:
        changes |= {"closed_at": None, "close_reason": None}
    if new in OPEN_STATES and old in (TicketState.RESOLVED, *DONE_STATES):
        changes["resolved_at"] = None
    return changes


KIND_OF_FIELD: Final[Mapping[str, str]] = {
    "state": "state_changed",
    "due_at": "due_changed",
    "priority": "priority_changed",
    "queue": "queue_changed",
    "assignee_id": "assigned",
    "customer_id": "customer_changed",
    "tags": "tags_changed",
    "subject": "subject_changed",
}
FIELD_OF_KIND: Final[Mapping[str, str]] = {kind: field for field, kind in KIND_OF_FIELD.items()} | {"closed": "state"}


def told_changes(old: TicketRow, new: TicketRow) -> list[dict[str, Any]]:
    """The entries of the history that lead from `old` to `new`. Keys and ids only: no names, no texts."""
    entries = []
    for field, kind in KIND_OF_FIELD.items():
        before, after = getattr(old, field), getattr(new, field)
        if before == after:
            continue
        data: dict[str, Any] = {} if field == "subject" else {"from": before, "to": after}
        if field == "state" and after in DONE_STATES:
            kind, data = "closed", {**data, "reason": new.close_reason}
        entries.append({"kind": kind, "data": data})
    return entries


# --- what the API shows --------------------------------------------------------------------------------------------


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class Named(Shown):
    id: int
    name: str


class TicketSummary(Shown):
    id: int
    number: str
    subject: str
    state: TicketState
    priority: Priority
    queue: str | None
    assignee: Named | None
    customer: Named | None
    tags: list[str]
    version: int
    opened_at: datetime
    updated_at: datetime
    closed_at: datetime | None


class TicketOfCall(TicketSummary):
    """The ticket in a pop."""

    is_new: bool
    last_note: str | None


class Note(Shown):
    id: int
    body: str
    author: Named | None
    created_at: datetime
    call_id: int | None


class HistoryEntry(Shown):
    """`kind`: opened, bound, call_moved_here, call_moved_away, call_ended, closed, and of KIND_OF_FIELD, whose data are `from` and
    `to` (for people and customers with id and name; of the subject, which holds a name, nothing)."""

    at: datetime
    actor: Named | None
    kind: str
    data: dict[str, Any]


class Message(Shown):
    """A message that a caller left; heard at /api/v1/voicemails/{id}/audio."""

    id: int
    duration_s: int
    is_deleted: bool


class RecordedCall(Shown):
    """The recording of a call that is over; heard at /api/v1/recordings/{id}/audio. `duration_s` once the provider has told it."""

    id: int
    duration_s: int | None
    is_deleted: bool


class TicketCall(Shown):
    """`from` is the caller's number, or what the provider sent instead of one (`from_kind` tells)."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    id: int
    from_: str = Field(alias="from")
    from_kind: str | None
    outcome: str | None
    created_at: datetime
    talk_s: float | None
    disposition: str | None
    voicemails: list[Message]
    recordings: list[RecordedCall]


class Ticket(TicketSummary):
    close_reason: str | None
    due_at: datetime | None
    next_states: list[TicketState]
    notes: list[Note]
    history: list[HistoryEntry]
    calls: list[TicketCall]


class FoundIn(Shown):
    """The note that holds the words that were looked for, as far as they stand in it."""

    note_id: int
    text: str


class TicketFound(TicketSummary):
    """A line of the list. `found`: a note that a search found; null where number and subject say why."""

    found: FoundIn | None


class TicketPage(Shown):
    """`is_partial`: not all tickets could be looked through for the words; another word or a filter makes it whole."""

    items: list[TicketFound]
    next_cursor: str | None
    is_partial: bool


class IdentityShown(Shown):
    kind: str
    value: str
    label: str | None
    verified_at: datetime | None
    is_shared: bool


class LastContact(Shown):
    """`agent` is the name of who took the call."""

    call_id: int
    at: datetime
    direction: str
    outcome: str | None
    queue: str | None
    agent: str | None
    disposition: str | None
    talk_s: float | None


class Profile(Shown):
    """A customer as the pop and their page show them. `restricted_tickets` are open ones the reader may not see."""

    id: int
    name: str
    tier: Tier
    language: str | None
    company: str | None
    note: str
    version: int
    identities: list[IdentityShown]
    open_tickets: list[TicketSummary]
    restricted_tickets: int
    last_contacts: list[LastContact]


class TimelineItem(Shown):
    """`kind`: call, ticket, note. `title`: the ticket's subject, or how a note begins. `data.ticket_id` is always there."""

    at: datetime
    kind: str
    title: str
    data: dict[str, Any]


class TimelinePage(Shown):
    items: list[TimelineItem]
    next_cursor: str | None


# --- subjects ------------------------------------------------------------------------------------------------------

CALL_FROM: Final[Text] = {"en": "Call from {name}", "zh-CN": "来电：{name}", "de": "Anruf von {name}"}
CALL_FROM_UNKNOWN: Final[Text] = {
    "en": "Call from unknown number",
    "zh-CN": "陌生号码来电",
    "de": "Anruf von unbekannter Nummer",
}
CALL_FROM_WITHHELD: Final[Text] = {
    "en": "Call from withheld number",
    "zh-CN": "隐藏号码来电",
    "de": "Anruf mit unterdrückter Nummer",
}
CALL_FROM_SHARED: Final[Text] = {
    "en": "Call from a number of several customers",
    "zh-CN": "多位客户共用的号码来电",
    "de": "Anruf von einer Nummer mehrerer Kunden",
}


def subject_of_call(name: str | None, language: str | None) -> str:
    """The subject of a new ticket. Some imported customers have their number for a name; subjects hold no numbers."""
    name = " ".join((name or "").split())[:200]
    if not name or sum(char.isdigit() for char in name) >= 5:
        return in_language(CALL_FROM_UNKNOWN, language)
    return in_language(CALL_FROM, language).replace("{name}", name)


def language_of_subject(subject: str, name: str | None) -> str | None:
    """The language in which a call gave the ticket this subject; None when a person has written it.

    `name` is the ticket's customer until now."""
    for language in CALL_FROM:
        nameless = (CALL_FROM_UNKNOWN[language], CALL_FROM_WITHHELD[language], CALL_FROM_SHARED[language])
        if subject in nameless or (name and subject == subject_of_call(name, language)):
            return language
    return None


@dataclass(frozen=True, slots=True)
class BoundCall:
    """What binding a call did."""

    ticket_id: TicketId
    call_id: CallId
    version: int
    is_new: bool
    was_bound: bool
    state: TicketState
    priority: Priority
    queue: str | None
    tags: tuple[str, ...]
    customer_id: CustomerId | None
