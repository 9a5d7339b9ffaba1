"""The statements that change tickets. Each writes the row and its history in one round trip; none checks rights.

Locks are always taken in this order: the customer's (advisory), tickets by rising id, `ticket_calls`.
"""

# ruff: noqa: S608 - statements are put together from constants of this package only

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from core.ids import CallId, CustomerId, TicketId
from core.principal import Actor
from customers.model import search_form
from infra.postgres import Connection, record
from ticketing.model import FIELD_OF_KIND, OPEN_STATES, BoundCall, Priority, TicketRow, TicketState

IS_OPEN: Final = "state IN ({})".format(", ".join(f"'{state}'" for state in TicketState if state in OPEN_STATES))
"""As in the partial indexes of migration 0005: the planner uses those only where it reads the same condition."""

AGENT_AND_RESULT: Final = """
SELECT u.name, coalesce((SELECT d.resolves_ticket FROM dispositions d WHERE d.key = $2), false) AS resolves_ticket
FROM users u WHERE u.id = $1
"""
"""Reads routing's `dispositions` on purpose: what a result means for the ticket is configured with the result."""
ROW: Final = """id, number, subject, state, priority, queue, assignee_id, customer_id, close_reason, tags, version,
    opened_at, updated_at, resolved_at, closed_at, due_at"""


def year_of(parameter: str) -> str:
    """SQL: the year of a moment in the organisation's zone."""
    zone = "coalesce((SELECT time_zone FROM ticket_settings), 'UTC')"
    return f"extract(year FROM {parameter}::timestamptz AT TIME ZONE {zone})::integer"


LOCK_CUSTOMER: Final = "SELECT pg_advisory_xact_lock(hashtextextended('ticketing.customer', $1::bigint))"

BIND_CALL: Final = f"""
WITH home AS (
    SELECT year, base FROM ticket_counters WHERE year = {year_of("$4")}
), existing AS (
    SELECT id FROM tickets
    WHERE customer_id = $2 AND queue = $3 AND {IS_OPEN}
    ORDER BY updated_at DESC, id DESC LIMIT 1
    FOR NO KEY UPDATE
), claimed AS (
    INSERT INTO ticket_calls (call_id, ticket_id, is_opener, attached_at)
    SELECT $1, coalesce((SELECT id FROM existing), nextval(pg_get_serial_sequence('tickets', 'id'))),
           NOT EXISTS (SELECT FROM existing), $4
    FROM home
    ON CONFLICT (call_id) DO NOTHING
    RETURNING ticket_id, is_opener
), opened AS (
    INSERT INTO tickets (id, year, seq, subject, queue, customer_id, opened_at, updated_at)
    SELECT c.ticket_id, h.year, nextval('ticket_numbers') - h.base, $5, $3, $2, $4, $4
    FROM claimed c CROSS JOIN home h WHERE c.is_opener
    RETURNING id, number, version, state, priority, queue, tags, customer_id
), searchable AS (
    INSERT INTO ticket_search (ticket_id, body) SELECT id, lower(number) || ' ' || $7 FROM opened
), attached AS (
    UPDATE tickets t SET version = t.version + 1, updated_at = greatest(t.updated_at, $4)
    FROM claimed c WHERE t.id = c.ticket_id AND NOT c.is_opener
    RETURNING t.id, t.number, t.version, t.state, t.priority, t.queue, t.tags, t.customer_id
), bound AS (
    SELECT true AS is_new, o.* FROM opened o UNION ALL SELECT false, a.* FROM attached a
), told AS (
    INSERT INTO ticket_history (ticket_id, version, at, actor_kind, actor_id, kind, data)
    SELECT id, version, $4, 'system', NULL, CASE WHEN is_new THEN 'opened' ELSE 'bound' END,
           jsonb_build_object('call_id', $1::bigint, 'match', $6::text)
    FROM bound
)
SELECT id AS ticket_id, version, is_new, false AS was_bound, state, priority, queue, tags, customer_id FROM bound
"""
# A call that an agent makes about a ticket. Nothing when the ticket is not open any more.
ATTACH_OUTBOUND: Final = f"""
WITH attached AS (
    UPDATE tickets SET version = version + 1, updated_at = greatest(updated_at, $3) WHERE id = $2 AND {IS_OPEN} RETURNING id, version
), bound AS (
    INSERT INTO ticket_calls (call_id, ticket_id, is_opener, attached_at) SELECT $1, id, false, $3 FROM attached
), told AS (
    INSERT INTO ticket_history (ticket_id, version, at, actor_kind, actor_id, kind, data)
    SELECT id, version, $3, 'system', NULL, 'bound', jsonb_build_object('call_id', $1::bigint, 'match', 'one') FROM attached
)
SELECT version FROM attached
"""
BINDING_OF_CALL: Final = """
SELECT t.id AS ticket_id, t.version, false AS is_new, true AS was_bound, t.state, t.priority, t.queue, t.tags, t.customer_id
FROM ticket_calls c JOIN tickets t ON t.id = c.ticket_id
WHERE c.call_id = $1
"""
OPEN_YEAR: Final = f"""
INSERT INTO ticket_counters (year, base) VALUES ({year_of("$1")}, nextval('ticket_numbers')) ON CONFLICT (year) DO NOTHING
"""

OPEN_TICKET: Final = f"""
WITH home AS (
    SELECT year, base FROM ticket_counters WHERE year = {year_of("$1")}
), opened AS (
    INSERT INTO tickets (year, seq, subject, queue, customer_id, priority, channel, state, assignee_id, opened_at, updated_at)
    SELECT year, nextval('ticket_numbers') - base, $2, $3, $4, $5, $6, 'new', NULL, $1, $1 FROM home
    RETURNING {ROW}
), searchable AS (
    INSERT INTO ticket_search (ticket_id, body) SELECT id, lower(number) || ' ' || $10 FROM opened
), told AS (
    INSERT INTO ticket_history (ticket_id, version, at, actor_kind, actor_id, kind, data)
    SELECT id, version, $1, $7, $8, 'opened', $9 FROM opened
)
SELECT {ROW} FROM opened
"""

LOCK_TICKETS: Final = f"SELECT {ROW} FROM tickets WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"

# What nobody has and is to be done. Whoever else holds a ticket just now changes it: it is left out.
LOCK_UNASSIGNED: Final = f"""
SELECT {ROW} FROM tickets WHERE id = ANY($1) AND assignee_id IS NULL AND state IN ('new', 'open') ORDER BY id
FOR NO KEY UPDATE SKIP LOCKED
"""

SAVE_TICKET: Final = """
WITH saved AS (
    UPDATE tickets SET subject = $2, state = $3, priority = $4, queue = $5, assignee_id = $6, customer_id = $7,
           close_reason = $8, tags = $9, resolved_at = $10, closed_at = $11, due_at = $12,
           version = version + 1, updated_at = greatest(updated_at, $13)
    WHERE id = $1 RETURNING id, number, version
), searchable AS (
    INSERT INTO ticket_search (ticket_id, body) SELECT id, lower(number) || ' ' || $17 FROM saved WHERE $17::text IS NOT NULL
    ON CONFLICT (ticket_id) DO UPDATE SET body = excluded.body
), told AS (
    INSERT INTO ticket_history (ticket_id, version, at, actor_kind, actor_id, kind, data)
    SELECT s.id, s.version, $13, $14, $15, h.kind, h.data
    FROM saved s CROSS JOIN jsonb_to_recordset($16::jsonb) AS h (kind text, data jsonb)
)
SELECT version FROM saved
"""

SET_QUEUE: Final = """
WITH before AS (
    SELECT id, queue FROM tickets WHERE id = $1 AND queue IS DISTINCT FROM $2 FOR NO KEY UPDATE
), moved AS (
    UPDATE tickets t SET queue = $2, version = t.version + 1, updated_at = greatest(t.updated_at, $3)
    FROM before b WHERE t.id = b.id RETURNING t.id, t.version, b.queue AS old_queue
), told AS (
    INSERT INTO ticket_history (ticket_id, version, at, actor_kind, actor_id, kind, data)
    SELECT id, version, $3, $4, $5, 'queue_changed', jsonb_build_object('from', old_queue, 'to', $2::text) FROM moved
)
SELECT version FROM moved
"""

ADD_NOTE: Final = """
WITH touched AS (
    UPDATE tickets SET version = version + 1, updated_at = greatest(updated_at, $5) WHERE id = $1 RETURNING id, version
), noted AS (
    INSERT INTO ticket_notes (ticket_id, body, author_id, call_id, created_at)
    SELECT id, $2, $3, $4, $5 FROM touched RETURNING id, ticket_id
), searchable AS (
    INSERT INTO ticket_note_search (note_id, ticket_id, body) SELECT id, ticket_id, $6 FROM noted
)
SELECT n.id, t.version FROM noted n JOIN touched t ON t.id = n.ticket_id
"""

MOVE_CALL: Final = """
UPDATE ticket_calls SET ticket_id = $2, is_opener = $3, attached_at = $4 WHERE call_id = $1 RETURNING outcome
"""
END_CALL: Final = """
WITH ended AS (
    UPDATE ticket_calls SET outcome = $3, ended_at = $4 WHERE call_id = $1 AND ticket_id = $2 AND ended_at IS NULL
    RETURNING ticket_id, is_opener
)
SELECT e.is_opener, coalesce(q.short_abandon_s, 5) AS short_abandon_s,
       EXISTS (SELECT FROM calls k WHERE k.id = $1 AND k.recorder_at IS NOT NULL) AS was_at_recorder
FROM ended e JOIN tickets t ON t.id = e.ticket_id LEFT JOIN queues q ON q.key = t.queue
"""
"""Reads routing's `queues` on purpose: the limit belongs to the queue, 5 s where the queue is unknown."""

KEEP_CALLER: Final = """
INSERT INTO call_callers (call_id, extension, is_suspect, match, candidates, at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (call_id) DO UPDATE SET extension = excluded.extension, is_suspect = excluded.is_suspect, match = excluded.match,
    candidates = excluded.candidates, at = excluded.at
"""
TICKET_ID_OF_CALL: Final = "SELECT ticket_id FROM ticket_calls WHERE call_id = $1"

IS_UNTOUCHED: Final = """
SELECT EXISTS (SELECT FROM ticket_calls WHERE ticket_id = $1 AND call_id = $2 AND is_opener)
   AND NOT EXISTS (SELECT FROM ticket_calls WHERE ticket_id = $1 AND call_id <> $2)
   AND NOT EXISTS (SELECT FROM ticket_notes WHERE ticket_id = $1)
   AND NOT EXISTS (
       SELECT FROM ticket_history WHERE ticket_id = $1 AND actor_kind = 'user'
       AND kind NOT IN ('opened', 'call_moved_here', 'call_moved_away'))
"""

KINDS_SINCE: Final = "SELECT DISTINCT kind FROM ticket_history WHERE ticket_id = $1 AND version > $2"

SET_TIME_ZONE: Final = """
INSERT INTO ticket_settings (time_zone) VALUES ($1)
ON CONFLICT (is_only) DO UPDATE SET time_zone = $1 WHERE ticket_settings.time_zone <> $1
RETURNING true
"""

QUEUE_EXISTS: Final = "SELECT EXISTS (SELECT FROM queues WHERE key = $1 AND is_active)"
"""Reads routing's `queues` on purpose: a ticket outlives a queue, so there is no foreign key, but nobody can choose a wrong one."""
ASSIGNABLE: Final = (
    "SELECT EXISTS (SELECT FROM users WHERE id = $1 AND is_active AND role IN ('agent', 'supervisor', 'admin'))"
)
LANGUAGE_OF_CALL: Final = "SELECT language FROM calls WHERE id = $1"
CUSTOMER_FACTS: Final = "SELECT id, tier, language, company FROM customers WHERE id = $1"
NAMES_OF_CUSTOMERS: Final = "SELECT id, name FROM customers WHERE id = ANY($1)"
ZONE_EXISTS: Final = "SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1)"


async def lock_customer(conn: Connection, *, customer_id: CustomerId) -> None:
    """Until the transaction ends. A statement of its own: the next one then sees what the holder before has committed."""
    await conn.execute(LOCK_CUSTOMER, customer_id)


async def bind_call(
    conn: Connection,
    *,
    call_id: CallId,
    customer_id: CustomerId | None,
    queue: str,
    now: datetime,
    subject: str,
    match: str,
) -> BoundCall:
    """Attach the call to the customer's open ticket of the queue with the latest activity, else open one. Once per call."""
    for _ in range(3):
        row = await conn.fetchrow(BIND_CALL, call_id, customer_id, queue, now, subject, match, search_form(subject))
        if row is None:
            row = await conn.fetchrow(BINDING_OF_CALL, call_id)
        if row is not None:
            return BoundCall(call_id=call_id, **_typed(row))
        await conn.execute(OPEN_YEAR, now)  # once a year
    raise RuntimeError("the year of the ticket numbers could not be opened")


async def open_ticket(
    conn: Connection,
    *,
    subject: str,
    queue: str | None,
    customer_id: CustomerId | None,
    priority: Priority,
    channel: str,
    actor: Actor,
    data: Mapping[str, Any],
    now: datetime,
) -> TicketRow:
    for _ in range(2):
        row = await conn.fetchrow(
            OPEN_TICKET,
            now,
            subject,
            queue,
            customer_id,
            priority,
            channel,
            actor.kind,
            actor.id,
            data,
            search_form(subject),
        )
        if row is not None:
            return ticket_row(row)
        await conn.execute(OPEN_YEAR, now)
    raise RuntimeError("the year of the ticket numbers could not be opened")


async def lock_tickets(conn: Connection, *, ids: Sequence[int]) -> dict[int, TicketRow]:
    return {row["id"]: ticket_row(row) for row in await conn.fetch(LOCK_TICKETS, list(ids))}


async def lock_unassigned(conn: Connection, *, ids: Sequence[int]) -> dict[TicketId, TicketRow]:
    return {TicketId(row["id"]): ticket_row(row) for row in await conn.fetch(LOCK_UNASSIGNED, list(ids))}


async def save_ticket(
    conn: Connection,
    ticket: TicketRow,
    *,
    history: Sequence[Mapping[str, Any]],
    is_renamed: bool,
    actor: Actor,
    now: datetime,
) -> int:
    """Write the locked row as given; returns its new version."""
    version: int = await conn.fetchval(
        SAVE_TICKET,
        ticket.id,
        ticket.subject,
        ticket.state,
        ticket.priority,
        ticket.queue,
        ticket.assignee_id,
        ticket.customer_id,
        ticket.close_reason,
        list(ticket.tags),
        ticket.resolved_at,
        ticket.closed_at,
        ticket.due_at,
        now,
        actor.kind,
        actor.id,
        list(history),
        search_form(ticket.subject) if is_renamed else None,
    )
    return version


async def fields_changed_since(conn: Connection, *, ticket_id: TicketId, version: int) -> set[str]:
    rows = await conn.fetch(KINDS_SINCE, ticket_id, version)
    return {FIELD_OF_KIND[row["kind"]] for row in rows if row["kind"] in FIELD_OF_KIND}


async def names_of_customers(conn: Connection, *, ids: Sequence[int]) -> dict[int, str]:
    return {row["id"]: row["name"] for row in await conn.fetch(NAMES_OF_CUSTOMERS, list(ids))}


def ticket_row(row: Any) -> TicketRow:
    return TicketRow(**_typed(row))


def _typed(row: Any) -> dict[str, Any]:
    values = record(row)
    values["state"] = TicketState(values["state"])
    values["priority"] = Priority(values["priority"])
    values["tags"] = tuple(values["tags"])
    return values
