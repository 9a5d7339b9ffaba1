"""The list of tickets: filters, rights, search and cursor, put together so that every combination stays a short walk.

A page is the newest n of a union of *arms*, and each arm walks one index of migration 0005 in list order and stops after n
rows. A supervisor has one arm. An agent has one per queue they serve, one for what is assigned to them and one for tickets in
no queue; one statement with OR would walk the whole list past everything that is not theirs. With words to search or a
customer given there are few rows, and the rights are an ordinary condition.
"""
# ruff: noqa: S608 - statements are put together from constants of this package only; values are parameters

import base64
import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from core.errors import Invalid
from core.ids import CustomerId
from core.principal import Principal
from infra.postgres import Connection
from ticketing import numbers
from ticketing.model import OPEN_STATES, TicketPage, TicketState, search_text
from ticketing.queries import COLUMNS, IN_LIST, NAMES, rights, summary_of
from ticketing.writes import IS_OPEN

NEWEST_FIRST: Final = "ORDER BY t.updated_at DESC, t.id DESC"
NO_LIMITS: Final = "($1::boolean OR $2::bigint IS NOT NULL)"
"""Always true; every statement has the same first two parameters, and Postgres wants to see them used."""
EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """`assignee`: a user id, or "none" for tickets nobody has. Empty `states` means all."""

    states: frozenset[TicketState] = frozenset()
    queue: str | None = None
    assignee: int | Literal["none"] | None = None
    customer_id: CustomerId | None = None
    q: str | None = None


@dataclass(slots=True)
class _Statement:
    """Parameters and the conditions that hold in every arm. $1 and $2 are the rights."""

    parameters: list[Any]
    conditions: list[str] = field(default_factory=list)

    def add(self, value: Any) -> str:
        self.parameters.append(value)
        return f"${len(self.parameters)}"

    def where(self, condition: str) -> None:
        self.conditions.append(condition)


async def list_tickets(
    conn: Connection, *, principal: Principal, wanted: TicketFilter, limit: int, cursor: str | None
) -> TicketPage:
    """One page, latest activity first. Raises Invalid for a broken cursor, WrongTicketDigit for a search that is a number
    with a wrong digit."""
    statement = _Statement(list(rights(principal)))
    _add_filters(statement, wanted)
    if cursor is not None:
        at, ident = read_cursor(cursor)
        statement.where(f"(t.updated_at, t.id) < ({statement.add(at)}, {statement.add(ident)})")
    arms = " UNION ".join(f"({arm})" for arm in _arms(statement, wanted, principal, limit + 1))
    rows = await conn.fetch(
        f"""
        WITH page AS (SELECT * FROM ({arms}) t {NEWEST_FIRST} LIMIT {limit + 1:d})
        SELECT {COLUMNS} FROM page JOIN tickets t USING (id) {NAMES} {NEWEST_FIRST}
        """,
        *statement.parameters,
    )
    items = [summary_of(row) for row in rows[:limit]]
    more = len(rows) > limit
    return TicketPage(items=items, next_cursor=write_cursor(items[-1].updated_at, items[-1].id) if more else None)


def _add_filters(statement: _Statement, wanted: TicketFilter) -> None:
    if wanted.states:
        if wanted.states <= OPEN_STATES:
            statement.where(f"t.{IS_OPEN}")
        if wanted.states != OPEN_STATES:
            statement.where(f"t.state = ANY({statement.add(sorted(wanted.states))})")
    if wanted.queue is not None:
        statement.where(f"t.queue = {statement.add(wanted.queue)}")
    if wanted.assignee == "none":
        statement.where("t.assignee_id IS NULL")
    elif wanted.assignee is not None:
        statement.where(f"t.assignee_id = {statement.add(wanted.assignee)}")
    if wanted.customer_id is not None:
        statement.where(f"t.customer_id = {statement.add(wanted.customer_id)}")
    if wanted.q is not None:
        _add_search(statement, wanted.q)


def _add_search(statement: _Statement, q: str) -> None:
    """A ticket number finds its ticket; anything else must occur, word by word, in number or subject."""
    try:
        number = numbers.parse_ticket_number(q)
    except numbers.WrongTicketDigit:
        if numbers.is_meant_as_ticket_number(q):
            raise
    except numbers.NotATicketNumber:
        pass
    else:
        statement.where(f"t.number = {statement.add(str(number))}")
        return
    for word in search_text(q).split()[:8]:
        pattern = "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        statement.where(f"w.body LIKE {statement.add(pattern)}")


def _arms(statement: _Statement, wanted: TicketFilter, principal: Principal, count: int) -> Sequence[str]:
    sees_all, user_id = rights(principal)
    if wanted.q is not None:
        source = "tickets t JOIN ticket_search w ON w.ticket_id = t.id"
        return [_walk(source, [*statement.conditions, IN_LIST], count)]
    if sees_all or wanted.assignee == user_id:
        return [_walk("tickets t", [*statement.conditions, NO_LIMITS], count)]
    if wanted.customer_id is not None or isinstance(wanted.assignee, int):
        return [_walk("tickets t", [*statement.conditions, IN_LIST], count)]
    queue = _walk("tickets t", [*statement.conditions, "t.queue = a.queue_key"], count)
    return [
        f"SELECT x.id, x.updated_at FROM agent_queues a CROSS JOIN LATERAL ({queue}) x WHERE a.agent_id = $2 AND NOT $1",
        _walk("tickets t", [*statement.conditions, "t.assignee_id = $2"], count),
        _walk("tickets t", [*statement.conditions, "t.queue IS NULL"], count),
    ]


def _walk(source: str, conditions: Sequence[str], count: int) -> str:
    return f"SELECT t.id, t.updated_at FROM {source} WHERE {' AND '.join(conditions)} {NEWEST_FIRST} LIMIT {count:d}"


# --- cursors: a moment and an id, opaque to clients -----------------------------------------------------------------


def write_cursor(at: datetime, ident: int) -> str:
    micros = (at - EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(struct.pack(">qq", micros, ident)).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[datetime, int]:
    """Raises Invalid."""
    try:
        micros, ident = struct.unpack(">qq", base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
        return EPOCH + timedelta(microseconds=micros), ident
    except (struct.error, binascii.Error, ValueError, OverflowError) as error:
        raise Invalid(
            "This cursor is not one of ours.", errors=[{"field": "cursor", "message": "use next_cursor as it came"}]
        ) from error
