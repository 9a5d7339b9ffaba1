"""Reading tickets, with the rights inside the statements.

Who sees a ticket: everybody but agents sees all; an agent sees those of the queues they serve, those assigned to them, those
in no queue, and those whose call they have handled. What somebody may not see does not exist for them (404).
`agent_queues` belongs to routing and `calls` to cti; both are read here on purpose: a right that is checked beside the
query instead of in it is sooner or later not checked.
"""

from collections.abc import Sequence
from typing import Any, Final

from core.ids import CallId, TicketId
from core.principal import Principal, Role
from infra.postgres import Connection
from ticketing import numbers
from ticketing.model import (
    HistoryEntry,
    Named,
    Note,
    Ticket,
    TicketCall,
    TicketNotFound,
    TicketOfCall,
    TicketState,
    TicketSummary,
    next_states,
)

HISTORY_LIMIT: Final = 200
NOTES_LIMIT: Final = 200
CALLS_LIMIT: Final = 100

IN_LIST: Final = """($1 OR t.assignee_id = $2 OR t.queue IS NULL
    OR t.queue IN (SELECT queue_key FROM agent_queues WHERE agent_id = $2))"""
"""$1: sees all, $2: the user. For lists; the calls somebody has handled would cost a look at each row."""
VISIBLE: Final = f"""({IN_LIST} OR EXISTS (
    SELECT FROM ticket_calls tc JOIN calls k ON k.id = tc.call_id WHERE tc.ticket_id = t.id AND k.agent_id = $2))"""

COLUMNS: Final = """t.id, t.number, t.subject, t.state, t.priority, t.queue, t.assignee_id, u.name AS assignee_name,
    t.customer_id, c.name AS customer_name, t.tags, t.version, t.opened_at, t.updated_at, t.closed_at"""
NAMES: Final = "LEFT JOIN users u ON u.id = t.assignee_id LEFT JOIN customers c ON c.id = t.customer_id"

SUMMARIES: Final = f"""
SELECT {COLUMNS} FROM unnest($3::bigint[]) WITH ORDINALITY AS w (id, ord)
JOIN tickets t ON t.id = w.id {NAMES}
WHERE {VISIBLE} ORDER BY w.ord
"""
SUMMARY: Final = f"SELECT {COLUMNS} FROM tickets t {NAMES} WHERE t.id = $1"
VISIBLE_BY_ID: Final = f"SELECT t.id FROM tickets t WHERE t.id = $3 AND {VISIBLE}"
VISIBLE_BY_NUMBER: Final = f"SELECT t.id FROM tickets t WHERE t.number = $3 AND {VISIBLE}"
ROLE_OF_USER: Final = "SELECT role FROM users WHERE id = $1 AND is_active"

TICKET: Final = f"SELECT {COLUMNS}, t.close_reason, t.due_at FROM tickets t {NAMES} WHERE t.id = $3 AND {VISIBLE}"
NOTES: Final = """
SELECT n.id, n.body, n.author_id, u.name AS author_name, n.created_at, n.call_id
FROM (SELECT * FROM ticket_notes WHERE ticket_id = $1 ORDER BY id DESC LIMIT $2) n LEFT JOIN users u ON u.id = n.author_id
ORDER BY n.id
"""
HISTORY: Final = """
SELECT h.at, h.actor_id, u.name AS actor_name, h.kind, h.data
FROM (SELECT * FROM ticket_history WHERE ticket_id = $1 ORDER BY id DESC LIMIT $2) h LEFT JOIN users u ON u.id = h.actor_id
ORDER BY h.id
"""
CALLS: Final = """
SELECT tc.call_id AS id, coalesce(k.from_value, k.from_raw, '') AS from_, k.from_kind,
       coalesce(k.outcome, tc.outcome) AS outcome, coalesce(k.created_at, tc.attached_at) AS created_at, k.talk_s, k.disposition,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', v.id, 'duration_s', v.duration_s, 'is_deleted', v.deleted_at IS NOT NULL) ORDER BY v.id), '[]')
        FROM voicemails v WHERE v.call_id = tc.call_id) AS voicemails,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', r.id, 'duration_s', r.duration_s, 'is_deleted', r.deleted_at IS NOT NULL)), '[]')
        FROM recordings r WHERE r.call_id = tc.call_id AND r.sid IS NOT NULL AND r.state = 'ended') AS recordings
FROM ticket_calls tc LEFT JOIN calls k ON k.id = tc.call_id
WHERE tc.ticket_id = $1 ORDER BY tc.call_id DESC LIMIT $2
"""
"""Calls are purged before tickets: what is left of one then is its id, time and outcome."""

NAMES_BY_KIND: Final = {
    "assigned": "SELECT id, name FROM users WHERE id = ANY($1)",
    "customer_changed": "SELECT id, name FROM customers WHERE id = ANY($1)",
}

TICKET_OF_CALL: Final = f"""
SELECT tc.is_opener AS is_new, n.body AS last_note, {COLUMNS}
FROM ticket_calls tc JOIN tickets t ON t.id = tc.ticket_id {NAMES}
LEFT JOIN LATERAL (
    SELECT body FROM ticket_notes WHERE ticket_id = t.id ORDER BY id DESC LIMIT 1
) n ON true
WHERE tc.call_id = $1
"""


def rights(principal: Principal) -> tuple[bool, int]:
    """The first two parameters of each statement with rights inside."""
    return principal.role is not Role.AGENT, principal.user_id


async def ticket_summaries(conn: Connection, *, ids: Sequence[int], principal: Principal) -> list[TicketSummary]:
    """In the order of `ids`, without those that the principal may not see."""
    rows = await conn.fetch(SUMMARIES, *rights(principal), list(ids))
    return [summary_of(row) for row in rows]


async def summary(conn: Connection, *, ticket_id: TicketId) -> TicketSummary:
    """Without rights: for somebody who has passed `visible_ticket_id`. Raises TicketNotFound."""
    row = await conn.fetchrow(SUMMARY, ticket_id)
    if row is None:
        raise TicketNotFound
    return summary_of(row)


async def visible_ticket_id(conn: Connection, *, ref: str, principal: Principal) -> TicketId:
    """The ticket that `ref` (id or number, as people write it) names. Raises TicketNotFound, WrongTicketDigit."""
    if ref.isascii() and ref.isdecimal() and len(ref) < 11:
        ticket_id = await conn.fetchval(VISIBLE_BY_ID, *rights(principal), int(ref))
    else:
        try:
            number = numbers.parse_ticket_number(ref)
        except numbers.NotATicketNumber:
            raise TicketNotFound from None
        ticket_id = await conn.fetchval(VISIBLE_BY_NUMBER, *rights(principal), str(number))
    if ticket_id is None:
        raise TicketNotFound
    return TicketId(ticket_id)


async def check_user_may_see(conn: Connection, *, user_id: int | None, ticket_id: TicketId) -> None:
    """Raises TicketNotFound. For services, which know an actor and no principal."""
    role = await conn.fetchval(ROLE_OF_USER, user_id)
    if role is None or not await conn.fetchval(VISIBLE_BY_ID, role != Role.AGENT, user_id, ticket_id):
        raise TicketNotFound


async def ticket(conn: Connection, *, ticket_id: TicketId, principal: Principal) -> Ticket:
    """The whole ticket: its newest notes, history and calls. Raises TicketNotFound."""
    return await _whole(conn, await conn.fetchrow(TICKET, *rights(principal), ticket_id))


async def ticket_after_change(conn: Connection, *, ticket_id: TicketId) -> Ticket:
    """Without rights: for somebody who has just been let in to change it. Raises TicketNotFound."""
    return await _whole(conn, await conn.fetchrow(TICKET, True, None, ticket_id))


async def _whole(conn: Connection, row: Any) -> Ticket:
    if row is None:
        raise TicketNotFound
    ticket_id = row["id"]
    notes = await conn.fetch(NOTES, ticket_id, NOTES_LIMIT)
    history = await conn.fetch(HISTORY, ticket_id, HISTORY_LIMIT)
    calls = await conn.fetch(CALLS, ticket_id, CALLS_LIMIT)
    return Ticket(
        **summary_fields(row),
        close_reason=row["close_reason"],
        due_at=row["due_at"],
        next_states=next_states(TicketState(row["state"])),
        notes=[_note(each) for each in notes],
        history=await _with_names(conn, history),
        calls=[TicketCall(**dict(each.items())) for each in calls],
    )


async def ticket_of_call(conn: Connection, *, call_id: CallId) -> TicketOfCall | None:
    """Without rights: who is offered the call sees its ticket. `is_new`: this call opened it."""
    row = await conn.fetchrow(TICKET_OF_CALL, call_id)
    if row is None:
        return None
    return TicketOfCall(**summary_fields(row), is_new=row["is_new"], last_note=row["last_note"])


async def _with_names(conn: Connection, history: Sequence[Any]) -> list[HistoryEntry]:
    """Stored are ids; shown are the names that these people and customers have today."""
    ids: dict[str, set[int]] = {
        kind: {ident for row in history if row["kind"] == kind for ident in row["data"].values() if ident is not None}
        for kind in NAMES_BY_KIND
    }
    names: dict[str, dict[int, str]] = {}
    for kind, statement in NAMES_BY_KIND.items():
        rows = await conn.fetch(statement, sorted(ids[kind])) if ids[kind] else []
        names[kind] = {row["id"]: row["name"] for row in rows}
    entries = []
    for row in history:
        data = row["data"]
        if row["kind"] in names:
            known = names[row["kind"]]
            data = {
                key: None if ident is None else {"id": ident, "name": known.get(ident, "")}
                for key, ident in data.items()
            }
        entries.append(HistoryEntry(at=row["at"], actor=_named(row, "actor"), kind=row["kind"], data=data))
    return entries


def summary_of(row: Any) -> TicketSummary:
    return TicketSummary(**summary_fields(row))


def summary_fields(row: Any) -> dict[str, Any]:
    plain = ("id", "number", "subject", "state", "priority", "queue", "version", "opened_at", "updated_at", "closed_at")
    fields: dict[str, Any] = {name: row[name] for name in plain}
    fields |= {"tags": list(row["tags"]), "assignee": _named(row, "assignee"), "customer": _named(row, "customer")}
    return fields


def _note(row: Any) -> Note:
    return Note(
        id=row["id"],
        body=row["body"],
        author=_named(row, "author"),
        created_at=row["created_at"],
        call_id=row["call_id"],
    )


def _named(row: Any, name: str) -> Named | None:
    ident = row[f"{name}_id"]
    return None if ident is None else Named(id=ident, name=row[f"{name}_name"] or "")
