"""The API of tickets, and of what a customer's page shows beside the customer.

Whoever changes a ticket gets it back as it is then, also when the change has put it out of their sight.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from accounts.audit import audit
from core.errors import Invalid
from core.ids import CustomerId, TicketId
from core.principal import READERS, STAFF, actor_of
from customers.model import CustomerNotFound
from customers.queries import customer_version
from infra.openapi import ApiModel, ApiQuery, Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection
from ticketing import lists, profile, queries, service
from ticketing.model import (
    OPEN_STATES,
    Note,
    Priority,
    Profile,
    Ticket,
    TicketPage,
    TicketState,
    TimelinePage,
)

ROUTES: Final = Routes("tickets")

Line = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]
Body = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Slug = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^\x00-\x1f\x7f,]*$")]
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
Cursor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class TicketListParams(ApiQuery):
    """`state` may repeat; `open` means every open one. `assignee`: `me`, `none` or an id. `q`: a ticket number, or
    words that number and subject, or one note, hold; `found` of a line then shows the note."""

    state: Annotated[list[TicketState], Field(default_factory=list, max_length=8)]
    queue: Slug | None = None
    assignee: Annotated[str, StringConstraints(pattern=r"^(me|none|[0-9]{1,18})$")] | None = None
    customer: Id | None = None
    priority: Annotated[list[Priority], Field(default_factory=list, max_length=4)]
    tag: Tag | None = None
    q: Annotated[str, StringConstraints(max_length=200)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Cursor | None = None


class TimelineParams(ApiQuery):
    limit: Annotated[int, Field(ge=1, le=100)] = 30
    cursor: Cursor | None = None


class NewTicket(ApiModel):
    subject: Line
    queue: Slug
    customer_id: Id | None = None
    priority: Priority = Priority.NORMAL


class TicketChange(ApiModel):
    """Only the fields that are present change. `due_at` goes with the state `pending_until` (without it: this time tomorrow).

    `version` may come as If-Match instead."""

    version: Version | None = None
    state: TicketState | None = None
    due_at: AwareDatetime | None = None
    priority: Priority | None = None
    queue: Slug | None = None
    subject: Line | None = None
    tags: Annotated[list[Tag], Field(max_length=20)] | None = None
    customer_id: Id | None = None


class NewNote(ApiModel):
    body: Body


class Assignment(ApiModel):
    agent_id: Id | None
    version: Version | None = None


@ROUTES.query("/api/v1/tickets", roles=READERS, params=TicketListParams, returns=TicketPage)
async def list_tickets(conn: Connection, call: Call[TicketListParams]) -> TicketPage:
    """Tickets you may see, latest activity first."""
    data = call.data
    states = set(data.state)
    if TicketState.OPEN in states:
        states |= OPEN_STATES
    assignee: int | Literal["none"] | None = None
    if data.assignee == "me":
        assignee = call.who.user_id
    elif data.assignee is not None:
        assignee = "none" if data.assignee == "none" else int(data.assignee)
    wanted = lists.TicketFilter(
        states=frozenset(states),
        queue=data.queue,
        assignee=assignee,
        customer_id=None if data.customer is None else CustomerId(data.customer),
        priorities=frozenset(data.priority),
        tag=data.tag,
        q=data.q or None,
    )
    return await lists.list_tickets(conn, principal=call.who, wanted=wanted, limit=data.limit, cursor=data.cursor)


@ROUTES.command("POST", "/api/v1/tickets", roles=STAFF, body=NewTicket, returns=Ticket, status=201)
async def create_ticket(tx: Tx, call: Call[NewTicket]) -> Ticket:
    """Open a ticket by hand."""
    ticket = await service.create(
        tx,
        subject=call.data.subject,
        queue=call.data.queue,
        customer_id=None if call.data.customer_id is None else CustomerId(call.data.customer_id),
        priority=call.data.priority,
        actor=actor_of(call.who),
    )
    return await queries.ticket_after_change(tx.conn, ticket_id=ticket.id)


@ROUTES.query("/api/v1/tickets/{id}", roles=READERS, returns=Ticket)
async def read_ticket(conn: Connection, call: Call[Nothing]) -> Ticket:
    """One ticket with notes, history and calls, by id or number (dashes optional)."""
    ticket_id = await _ticket_id(conn, call)
    return await queries.ticket(conn, ticket_id=ticket_id, principal=call.who)


@ROUTES.command("PATCH", "/api/v1/tickets/{id}", roles=STAFF, body=TicketChange, returns=Ticket)
async def change_ticket(tx: Tx, call: Call[TicketChange]) -> Ticket:
    """Change fields. Somebody else's change of other fields merges; of the same field is a version_conflict."""
    ticket_id = await _ticket_id(tx.conn, call)
    wanted: dict[str, Any] = call.data.model_dump(include=call.data.model_fields_set - {"version"})
    for name, value in wanted.items():
        if value is None and name not in ("customer_id", "due_at"):
            raise Invalid(f"{name} cannot be null.", errors=[{"field": name, "message": "cannot be null"}])
    if "tags" in wanted:
        wanted["tags"] = tuple(dict.fromkeys(wanted["tags"]))
    version = _version(call.data.version, call)
    await service.change(tx, ticket_id, wanted, version=version, actor=actor_of(call.who))
    return await queries.ticket_after_change(tx.conn, ticket_id=ticket_id)


@ROUTES.command("POST", "/api/v1/tickets/{id}/notes", roles=STAFF, body=NewNote, returns=Note, status=201)
async def add_ticket_note(tx: Tx, call: Call[NewNote]) -> Note:
    """Add a note."""
    ticket_id = await _ticket_id(tx.conn, call)
    return await service.add_note(tx, ticket_id, body=call.data.body, call_id=None, actor=actor_of(call.who))


@ROUTES.command("POST", "/api/v1/tickets/{id}/assign", roles=STAFF, body=Assignment, returns=Ticket)
async def assign_ticket(tx: Tx, call: Call[Assignment]) -> Ticket:
    """Give the ticket to somebody, or with null to nobody."""
    ticket_id = await _ticket_id(tx.conn, call)
    version = _version(call.data.version, call)
    await service.assign(tx, ticket_id, call.data.agent_id, version=version, actor=actor_of(call.who))
    return await queries.ticket_after_change(tx.conn, ticket_id=ticket_id)


async def _ticket_id(conn: Connection, call: Call[Any]) -> TicketId:
    return await queries.visible_ticket_id(conn, ref=call.request.match_info["id"], principal=call.who)


def _version(given: int | None, call: Call[Any]) -> int:
    version = given if given is not None else call.if_match
    if version is None:
        message = "say which version you have seen, here or in If-Match"
        raise Invalid(f"version: {message}.", errors=[{"field": "version", "message": message}])
    return version


# --- the customer's page: who has looked at whom is audited --------------------------------------------------------


@ROUTES.query("/api/v1/customers/{id}", roles=READERS, returns=Profile)
async def read_customer(conn: Connection, call: Call[Nothing]) -> Profile:
    """A customer with identities, open tickets and last contacts."""
    customer_id = CustomerId(call.id())
    shown = await profile.profile(conn, customer_id=customer_id, principal=call.who)
    await _audit_read(conn, call, customer_id, "customer.read")
    return shown


@ROUTES.query("/api/v1/customers/{id}/timeline", roles=READERS, params=TimelineParams, returns=TimelinePage)
async def read_timeline(conn: Connection, call: Call[TimelineParams]) -> TimelinePage:
    """Calls, tickets and notes of a customer, latest first."""
    customer_id = CustomerId(call.id())
    if await customer_version(conn, customer_id=customer_id) is None:
        raise CustomerNotFound
    await _audit_read(conn, call, customer_id, "customer.read_timeline")
    return await profile.timeline(
        conn, customer_id=customer_id, principal=call.who, limit=call.data.limit, cursor=call.data.cursor
    )


async def _audit_read(conn: Connection, call: Call[Any], customer_id: CustomerId, action: str) -> None:
    """One row, committed by itself: a query has no transaction."""
    resources = call.resources
    tx = Tx(conn, resources.clock.now(), call.request_id, resources.outbox)
    reason = await profile.purpose(conn, customer_id=customer_id, user_id=call.who.user_id)
    await audit(tx, actor_of(call.who), action, "customer", customer_id, purpose=reason)
