"""The list of tickets: filters, rights, search and cursor, put together so that every combination stays a short walk.

A page is the newest n of a union of *arms*, and each arm walks one index of migration 0005 in list order and stops after n
rows. Who sees everything has one arm. An agent has one per queue they serve, one for what is assigned to them and one for
tickets in no queue; one statement with OR would walk the whole list past everything that is not theirs.

A search finds the tickets whose number and subject, or one of whose notes, hold all of its words. It first looks at the newest
SEARCH_WALK tickets that fit the filters: that finds common words. If they were all there are, or give a full page, it is done. Else the
word is rare, and the trigram indexes find its tickets; words of one or two letters, which have no trigram, are then looked for in
numbers and subjects alone.

A word that more than MOST_HITS tickets hold, and hardly any of the newest, would take more than a second to put in order (a word of
200,000 old tickets: 1.5 s): then some of them are shown, and the page says so (`is_partial`). A tag is looked for the same way.

Statements are planned with their values (`force_custom_plan`): a plan for any word or queue is the wrong one for the next.
`python3 dev.py bench ticket_list` measures all of it with 1,000,000 tickets and as many notes; figures and plans are in bench/results.
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
from customers.model import search_form
from infra.postgres import Connection
from ticketing import numbers
from ticketing.excerpts import excerpt
from ticketing.model import OPEN_STATES, FoundIn, Priority, TicketFound, TicketPage, TicketState
from ticketing.queries import COLUMNS, IN_LIST, NAMES, rights, summary_fields
from ticketing.writes import IS_OPEN

NEWEST_FIRST: Final = "ORDER BY t.updated_at DESC, t.id DESC"
NO_LIMITS: Final = "($1::boolean OR $2::bigint IS NOT NULL)"
"""Always true; every statement has the same first two parameters, and Postgres wants to see them used."""
SERVES_IT: Final = "EXISTS (SELECT FROM agent_queues a WHERE a.agent_id = $2 AND a.queue_key = t.queue)"
PREPARE_LIST: Final = """
SELECT ARRAY(SELECT queue_key FROM agent_queues WHERE agent_id = $1 ORDER BY queue_key)
FROM set_config('plan_cache_mode', 'force_custom_plan', true)
"""
SEARCH_WALK: Final = 5_000
MOST_HITS: Final = 10_000
"""Of more than these not all are put in order: the page then says that it is partial."""
TEXTS_OF: Final = """(SELECT body FROM ticket_search WHERE ticket_id = t.id
                       UNION ALL SELECT body FROM ticket_note_search WHERE ticket_id = t.id)"""
NOTE_FOUND: Final = """
SELECT DISTINCT ON (w.ticket_id) w.ticket_id, n.id, n.body
FROM ticket_note_search w JOIN ticket_notes n ON n.id = w.note_id
WHERE w.ticket_id = ANY($1) AND w.body LIKE ALL ($2::text[]) ORDER BY w.ticket_id, n.id DESC
"""
EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """`assignee`: a user id, or "none" for tickets nobody has. Empty `states` means all."""

    states: frozenset[TicketState] = frozenset()
    queue: str | None = None
    assignee: int | Literal["none"] | None = None
    customer_id: CustomerId | None = None
    q: str | None = None
    priorities: frozenset[Priority] = frozenset()
    tag: str | None = None


@dataclass(slots=True)
class _Statement:
    """Parameters and the conditions that hold in every arm. $1 and $2 are the rights."""

    parameters: list[Any]
    conditions: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    """Conditions that have an index of their own, and would make a walk long."""
    has_trigram: bool = False

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
    async with conn.transaction():
        queues = await conn.fetchval(PREPARE_LIST, principal.user_id)
        is_partial = False
        if statement.words or statement.late:
            rows, is_partial = await _search(conn, statement, wanted, principal, queues, limit + 1)
        else:
            arms = _arms(statement, wanted, principal, queues, limit + 1)
            rows = await conn.fetch(
                _page(f"SELECT * FROM ({arms}) t {NEWEST_FIRST} LIMIT {limit + 1:d}"), *statement.parameters
            )
        found = await _found_in_notes(conn, [row["id"] for row in rows[:limit]], wanted.q) if statement.words else {}
    items = [TicketFound(**summary_fields(row), found=found.get(row["id"])) for row in rows[:limit]]
    cursor = write_cursor(items[-1].updated_at, items[-1].id) if len(rows) > limit else None
    return TicketPage(items=items, next_cursor=cursor, is_partial=is_partial)


async def _search(
    conn: Connection,
    statement: _Statement,
    wanted: TicketFilter,
    principal: Principal,
    queues: Sequence[str],
    count: int,
) -> tuple[Sequence[Any], bool]:
    """The rows, and whether there are so many hits that not all could be looked at.

    OFFSET 0: each hit is looked up by its id. Left alone, the planner may walk the whole list instead and look for each of its tickets
    among the hits, or read all tickets for a join."""
    without_arms = list(statement.parameters)
    arms = _arms(statement, wanted, principal, queues, SEARCH_WALK)
    words, late = " AND ".join(statement.words), " AND ".join(statement.late) or "true"
    # Without more to look at, the walk keeps its order and ends with the page.
    looked_up = "walked n CROSS JOIN LATERAL (SELECT t.* FROM tickets t WHERE t.id = n.id OFFSET 0) t"
    walked = looked_up if statement.late else "walked t"
    hit = f"CROSS JOIN LATERAL (SELECT FROM {TEXTS_OF} w WHERE {words} LIMIT 1) hit" if words else ""
    rows = await conn.fetch(
        f"""
        WITH walked AS MATERIALIZED (SELECT * FROM ({arms}) t {NEWEST_FIRST} LIMIT {SEARCH_WALK:d}),
        found AS (
            SELECT t.id FROM {walked} {hit} WHERE {late} {NEWEST_FIRST} LIMIT {count:d}
        )
        SELECT n.walked, {COLUMNS}
        FROM (SELECT count(*) AS walked FROM walked) n LEFT JOIN (found f JOIN tickets t USING (id) {NAMES}) ON true
        {NEWEST_FIRST}
        """,
        *statement.parameters,
    )
    if rows[0]["walked"] < SEARCH_WALK or len(rows) == count:
        return [row for row in rows if row["id"] is not None], False
    newest = [row["id"] for row in rows if row["id"] is not None]
    conditions = " AND ".join([*statement.conditions, *statement.late, IN_LIST])
    rows = await conn.fetch(
        f"""
        WITH hits AS MATERIALIZED (SELECT * FROM ({_hits(statement)}) h LIMIT {MOST_HITS + 1:d}),
        page AS (
            SELECT t.id FROM (SELECT id FROM hits UNION SELECT unnest(${len(without_arms) + 1}::bigint[])) h
            CROSS JOIN LATERAL (
                SELECT t.id, t.updated_at FROM tickets t WHERE t.id = h.id AND {conditions} OFFSET 0
            ) t {NEWEST_FIRST} LIMIT {count:d}
        )
        SELECT n.hits, {COLUMNS}
        FROM (SELECT count(*) AS hits FROM hits) n LEFT JOIN (page p JOIN tickets t USING (id) {NAMES}) ON true
        {NEWEST_FIRST}
        """,
        *without_arms,
        newest,
    )
    return [row for row in rows if row["id"] is not None], rows[0]["hits"] > MOST_HITS


def _hits(statement: _Statement) -> str:
    """Where the indexes find the words, or without words the tag. Not sorted: it ends when there are enough."""
    if not statement.words:
        return f"SELECT t.id FROM tickets t WHERE {' AND '.join(statement.late)}"
    words = " AND ".join(statement.words)
    hits = f"SELECT w.ticket_id AS id FROM ticket_search w WHERE {words}"
    if statement.has_trigram:
        hits += f" UNION ALL SELECT w.ticket_id FROM ticket_note_search w WHERE {words}"
    return hits


def _page(ids: str) -> str:
    return f"SELECT {COLUMNS} FROM ({ids}) page JOIN tickets t USING (id) {NAMES} {NEWEST_FIRST}"


def _add_filters(statement: _Statement, wanted: TicketFilter) -> None:
    if wanted.states and wanted.states <= OPEN_STATES:
        statement.where(f"t.{IS_OPEN}")
    if wanted.states and wanted.states != OPEN_STATES:
        # Written out: only then can Postgres see that an index for some states will do.
        statement.where("t.state IN ({})".format(", ".join(f"'{state}'" for state in sorted(wanted.states))))
    if wanted.queue is not None:
        statement.where(f"t.queue = {statement.add(wanted.queue)}")
    if wanted.assignee == "none":
        statement.where("t.assignee_id IS NULL")
    elif wanted.assignee is not None:
        statement.where(f"t.assignee_id = {statement.add(wanted.assignee)}")
    if wanted.customer_id is not None:
        statement.where(f"t.customer_id = {statement.add(wanted.customer_id)}")
    if wanted.priorities:
        given = ", ".join(f"'{priority}'" for priority in sorted(wanted.priorities))
        # Said again for the index of the seldom ones.
        seldom = "" if Priority.NORMAL in wanted.priorities else " AND t.priority <> 'normal'"
        statement.where(f"t.priority IN ({given}){seldom}")
    if wanted.tag is not None:
        statement.late.append(f"t.tags @> ARRAY[{statement.add(wanted.tag)}::text] AND t.tags <> '{{}}'")
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
    for word in _words(q):
        if len(word) < 3:  # has no trigram: the index would be read from end to end
            statement.words.append(f"strpos(w.body, {statement.add(word)}) > 0")
        else:
            statement.words.append(f"w.body LIKE {statement.add(f'%{_escaped(word)}%')}")
            statement.has_trigram = True


def _words(q: str) -> list[str]:
    return search_form(q).split()[:8]


async def _found_in_notes(conn: Connection, ids: Sequence[int], q: str | None) -> dict[int, FoundIn]:
    """Of these tickets, the newest note that holds all the words, with the place in it."""
    words = _words(q or "")
    patterns = [f"%{_escaped(word)}%" for word in words]
    rows = await conn.fetch(NOTE_FOUND, list(ids), patterns)
    return {row["ticket_id"]: FoundIn(note_id=row["id"], text=excerpt(row["body"], words)) for row in rows}


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _arms(statement: _Statement, wanted: TicketFilter, principal: Principal, queues: Sequence[str], count: int) -> str:
    sees_all, user_id = rights(principal)
    if sees_all or wanted.assignee == user_id:
        arms = [_walk([*statement.conditions, NO_LIMITS], count)]
    elif wanted.customer_id is not None or isinstance(wanted.assignee, int):
        arms = [_walk([*statement.conditions, IN_LIST], count)]
    else:
        arms = [
            _walk([*statement.conditions, NO_LIMITS, f"t.queue = {statement.add(queue)}", SERVES_IT], count)
            for queue in queues
            if wanted.queue in (None, queue)
        ]
        arms.append(_walk([*statement.conditions, NO_LIMITS, "t.assignee_id = $2"], count))
        if wanted.queue is None:
            arms.append(_walk([*statement.conditions, NO_LIMITS, "t.queue IS NULL"], count))
    return " UNION ".join(f"({arm})" for arm in arms)


def _walk(conditions: Sequence[str], count: int) -> str:
    return f"SELECT t.id, t.updated_at FROM tickets t WHERE {' AND '.join(conditions)} {NEWEST_FIRST} LIMIT {count:d}"


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
