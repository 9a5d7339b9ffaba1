"""The API of missed contacts: the list of who reached nobody, whose it is to see to, and what became of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, StringConstraints

from core.principal import READERS, STAFF, Role
from cti import missed
from infra.openapi import ApiModel, ApiQuery, Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection
from realtime import call_queries as sql
from realtime.http_calls import Cursor, Key, PersonRef, TicketRef, person, ticket
from ticketing.lists import read_cursor, write_cursor
from ticketing.model import Message

ROUTES: Final = Routes("calls")
Owner = Annotated[str, StringConstraints(pattern=r"^(me|none|[0-9]{1,18})$")]
Result = Literal["called_back", "reached_otherwise", "unreachable", "no_need"]


class MissedFilter(ApiQuery):
    """`owner`: me, none, or somebody's id."""

    state: Literal["open", "done"] = "open"
    owner: Owner | None = None
    queue: Key | None = None
    limit: int = Field(default=50, ge=1, le=200)
    cursor: Cursor | None = None


class MissedContact(BaseModel):
    """One number that reached nobody, with how often. `result` called_again and called_back with `done_call_id` were found out by themselves."""

    id: int
    number: str | None
    number_kind: str
    to: str
    queue: str | None
    outcome: str
    calls: int
    first_at: datetime
    last_at: datetime
    last_call_id: int
    owner: PersonRef | None
    state: Literal["open", "done"]
    result: str | None
    note: str | None
    done_at: datetime | None
    done_by: str | None
    done_call_id: int | None
    customer: PersonRef | None
    ticket: TicketRef | None
    voicemails: list[Message]
    version: int


class MissedPage(BaseModel):
    items: list[MissedContact]
    next_cursor: str | None


@ROUTES.query("/api/v1/missed-contacts", roles=READERS - {Role.INTEGRATION}, params=MissedFilter, returns=MissedPage)
async def list_missed_contacts(conn: Connection, call: Call[MissedFilter]) -> MissedPage:
    """Who reached nobody. Agents see those of their queues and their own."""
    f = call.data
    owner = None if f.owner in (None, "none") else call.who.user_id if f.owner == "me" else int(f.owner or 0)
    rows = await sql.missed_listed(
        conn,
        state=f.state,
        queue=f.queue,
        owner=owner,
        without_owner=f.owner == "none",
        before=None if f.cursor is None else read_cursor(f.cursor),
        viewer=missed.viewer_of(call.who),
        limit=f.limit + 1,
    )
    items = [_shown(row) for row in rows[: f.limit]]
    next_cursor = None
    if len(rows) > f.limit:
        last = items[-1]
        next_cursor = write_cursor(last.done_at or last.last_at, last.id)
    return MissedPage(items=items, next_cursor=next_cursor)


class MissedCount(BaseModel):
    """At most 1000."""

    open: int


@ROUTES.query("/api/v1/missed-contacts/count", roles=READERS - {Role.INTEGRATION}, returns=MissedCount)
async def count_missed_contacts(conn: Connection, call: Call[Nothing]) -> MissedCount:
    """How many of them are open."""
    return MissedCount(open=await conn.fetchval(sql.OPEN_MISSED, missed.viewer_of(call.who)))


class OwnerIn(ApiModel):
    agent_id: int | None = Field(ge=1, lt=2**63)


@ROUTES.command("PUT", "/api/v1/missed-contacts/{id}/owner", roles=STAFF, body=OwnerIn, returns=MissedContact)
async def set_missed_contact_owner(tx: Tx, call: Call[OwnerIn]) -> MissedContact:
    """Take it (one's own id), give it back (null), or, as a supervisor, give it to somebody.

    409 missed_contact_owned when somebody else has it, missed_contact_done when nothing is left to do."""
    await missed.set_owner(tx, missed_id=call.id(), agent_id=call.data.agent_id, who=call.who)
    return _shown(await tx.conn.fetchrow(sql.MISSED_BY_ID, call.id()))


class Seen(ApiModel):
    id: int = Field(ge=1, lt=2**63)
    version: int = Field(ge=1, lt=2**31)


Many = Annotated[list[Seen], Field(min_length=1, max_length=200)]


class DoneIn(ApiModel):
    items: Many
    result: Result
    note: Annotated[str, StringConstraints(min_length=1, max_length=300)] | None = None


class ReopenIn(ApiModel):
    items: Many


class ChangedOut(BaseModel):
    id: int
    version: int


class SkippedOut(BaseModel):
    id: int
    code: str


class ManyChanged(BaseModel):
    """What was changed, with its version now, for taking it back; and what was not, with the reason."""

    changed: list[ChangedOut]
    skipped: list[SkippedOut]


@ROUTES.command("POST", "/api/v1/missed-contacts/done", roles=STAFF, body=DoneIn, returns=ManyChanged)
async def finish_missed_contacts(tx: Tx, call: Call[DoneIn]) -> ManyChanged:
    """Close some with one result. Who was missed once more meanwhile, or seen to by somebody else, is left and named in `skipped`."""
    data = call.data
    return _many(*await missed.finish(tx, wanted=_seen(data.items), result=data.result, note=data.note, who=call.who))


@ROUTES.command("POST", "/api/v1/missed-contacts/reopen", roles=STAFF, body=ReopenIn, returns=ManyChanged)
async def reopen_missed_contacts(tx: Tx, call: Call[ReopenIn]) -> ManyChanged:
    """Take back what was closed. `skipped` with open_again: that number is missed again already."""
    return _many(*await missed.reopen(tx, wanted=_seen(call.data.items), who=call.who))


def _seen(items: Sequence[Seen]) -> list[missed.Changed]:
    return [missed.Changed(each.id, each.version) for each in items]


def _many(changed: Sequence[missed.Changed], skipped: Sequence[missed.Skipped]) -> ManyChanged:
    return ManyChanged(
        changed=[ChangedOut(id=each.id, version=each.version) for each in changed],
        skipped=[SkippedOut(id=each.id, code=each.code) for each in skipped],
    )


def _shown(row: Any) -> MissedContact:
    return MissedContact(
        owner=person(row["owner_id"], row["owner_name"]),
        customer=person(row["customer_id"], row["customer_name"]),
        ticket=ticket(row["ticket_id"], row["ticket_number"]),
        voicemails=[Message(**message) for message in row["voicemails"]],
        to=row["to_number"],
        **{name: row[name] for name in _PLAIN},
    )


_PLAIN: Final = (
    "id", "number", "number_kind", "queue", "outcome", "calls", "first_at", "last_at", "last_call_id", "state", "result", "note",
    "done_at", "done_by", "done_call_id", "version",
)  # fmt: skip
