"""SQL of the call log and of missed contacts. Conditions that are not asked for are left out, so that each question has a plan of its own."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from infra.postgres import Connection

SHOWN_STATE: Final = "CASE WHEN c.state = 'queued' AND i.state = 'offering' THEN 'offering' ELSE c.state END"
_MAY_SEE: Final = """(c.agent_id = ${n} OR EXISTS (SELECT 1 FROM offers o WHERE o.call_id = c.id AND o.agent_id = ${n})
    OR EXISTS (SELECT 1 FROM agent_queues m WHERE m.agent_id = ${n} AND m.queue_key = c.queue))"""
_OF_NUMBER: Final = (
    "(c.from_value = ANY(${n}::text[]) OR (c.direction = 'outbound' AND c.to_number = ANY(${n}::text[])))"
)
_OF_CUSTOMER: Final = (
    """c.id IN (SELECT k.call_id FROM tickets t JOIN ticket_calls k ON k.ticket_id = t.id WHERE t.customer_id = ${n})"""
)


# What is inside a call is gathered for the page only, never for what the walk passes by.
def _found(joins: str, where: str, limit: int) -> str:
    return f"SELECT c.id FROM calls c{joins} WHERE {where} ORDER BY c.created_at DESC, c.id DESC LIMIT ${limit}"


_WORK: Final = " LEFT JOIN work_items i ON i.call_id = c.id"
_VOICEMAILS: Final = """(SELECT coalesce(jsonb_agg(jsonb_build_object('id', v.id, 'duration_s', v.duration_s, 'is_deleted', v.deleted_at IS NOT NULL) ORDER BY v.id), '[]')
        FROM voicemails v WHERE {of})"""
CALLS: Final = f"""
SELECT c.id, c.sid, {SHOWN_STATE} AS shown_state, c.outcome, c.queue, c.from_raw, c.from_kind, c.from_value, c.to_number, c.direction,
       c.created_at, c.queued_at, c.answered_at, c.ended_at, c.disposition, c.menu_choice, c.menu_path, c.ended_by, c.source, t.id AS ticket_id,
       t.number AS ticket_number, i.id AS work_item_id, u.id AS agent_id, u.name AS agent_name, p.id AS customer_id, p.name AS customer_name,
       m.id AS missed_id, m.state AS missed_state,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('sid', l.sid, 'kind', l.kind, 'state', l.state, 'agent_id', l.agent_id, 'agent', w.name,
                                                     'started_at', l.created_at, 'ended_at', l.ended_at) ORDER BY l.id), '[]')
        FROM legs l LEFT JOIN users w ON w.id = l.agent_id WHERE l.call_id = c.id) AS legs,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', s.kind, 'agent_id', s.agent_id, 'agent', w.name, 'started_at', s.started_at,
                                                     'ended_at', s.ended_at) ORDER BY s.started_at, s.id), '[]')
        FROM segments s LEFT JOIN users w ON w.id = s.agent_id WHERE s.call_id = c.id) AS segments,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', o.id, 'agent_id', o.agent_id, 'agent', w.name, 'state', o.state, 'at', o.created_at)
                                  ORDER BY o.id), '[]')
        FROM offers o LEFT JOIN users w ON w.id = o.agent_id WHERE o.call_id = c.id) AS offers,
       {_VOICEMAILS.format(of="v.call_id = c.id")} AS voicemails,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', r.id, 'duration_s', r.duration_s, 'is_deleted', r.deleted_at IS NOT NULL)), '[]')
        FROM recordings r WHERE r.call_id = c.id AND r.sid IS NOT NULL AND r.state = 'ended') AS recordings
FROM calls c
LEFT JOIN ticket_calls tc ON tc.call_id = c.id LEFT JOIN tickets t ON t.id = tc.ticket_id LEFT JOIN customers p ON p.id = t.customer_id
LEFT JOIN work_items i ON i.call_id = c.id
LEFT JOIN users u ON u.id = c.agent_id
LEFT JOIN missed_calls mc ON mc.call_id = c.id LEFT JOIN missed_contacts m ON m.id = mc.missed_contact_id
WHERE c.id = ANY($1) ORDER BY c.created_at DESC, c.id DESC
"""
# Who has this number: shown when it is one person.
_WHO: Final = """LEFT JOIN LATERAL (
    SELECT min(p.id) AS id, min(p.name) AS name FROM customer_identities d JOIN customers p ON p.id = d.customer_id
    WHERE d.kind = 'phone' AND d.value = m.number HAVING count(DISTINCT p.id) = 1
) p ON true"""


def _missed(rest: str) -> str:
    return f"""
SELECT m.id, m.number, m.number_kind, m.to_number, m.queue, m.outcome, m.calls, m.first_at, m.last_at, m.last_call_id, m.owner_id,
       o.name AS owner_name, m.state, m.result, m.note, m.done_at, d.name AS done_by, m.done_call_id, m.version,
       t.id AS ticket_id, t.number AS ticket_number, coalesce(c.id, p.id) AS customer_id, coalesce(c.name, p.name) AS customer_name,
       {_VOICEMAILS.format(of="v.call_id IN (SELECT k.call_id FROM missed_calls k WHERE k.missed_contact_id = m.id)")} AS voicemails
FROM missed_contacts m
LEFT JOIN ticket_calls tc ON tc.call_id = m.last_call_id LEFT JOIN tickets t ON t.id = tc.ticket_id LEFT JOIN customers c ON c.id = t.customer_id
{_WHO}
LEFT JOIN users o ON o.id = m.owner_id LEFT JOIN users d ON d.id = m.done_by
{rest}"""


_MAY_SEE_MISSED: Final = (
    """(m.owner_id = ${n} OR EXISTS (SELECT 1 FROM agent_queues q WHERE q.agent_id = ${n} AND q.queue_key = m.queue))"""
)
MISSED_BY_ID: Final = _missed("WHERE m.id = $1")
# Calls that agents made between these moments, along the index of what does not come in.
OUTBOUND_FIGURES: Final = """
SELECT c.queue, c.agent_id, u.name AS agent, count(*) AS calls, count(c.answered_at) AS reached,
       count(*) FILTER (WHERE c.outcome = 'unanswered') AS unanswered, count(*) FILTER (WHERE c.outcome = 'busy') AS busy,
       count(*) FILTER (WHERE c.outcome = 'failed') AS failed, count(*) FILTER (WHERE c.outcome = 'canceled') AS canceled,
       round(sum(c.talk_s))::bigint AS talk_s
FROM calls c LEFT JOIN users u ON u.id = c.agent_id
WHERE c.direction = 'outbound' AND c.created_at >= $1 AND c.created_at < $2 AND c.outcome IS NOT NULL
GROUP BY 1, 2, 3 ORDER BY 1, 3, 2 LIMIT 5000
"""
# Counting stops where nobody reads the figure any more.
OPEN_MISSED: Final = """
SELECT count(*) FROM (SELECT FROM missed_contacts m WHERE m.state = 'open'
    AND ($1::bigint IS NULL OR m.owner_id = $1 OR EXISTS (SELECT 1 FROM agent_queues q WHERE q.agent_id = $1 AND q.queue_key = m.queue))
    LIMIT 1000) few
"""


async def calls_listed(
    conn: Connection,
    *,
    sid: str | None,
    from_value: str | None,
    numbers: Sequence[str] | None,
    customer_id: int | None,
    states: Sequence[str] | None,
    directions: Sequence[str] | None,
    outcomes: Sequence[str] | None,
    queue: str | None,
    agent_id: int | None,
    since: datetime | None,
    until: datetime | None,
    before: tuple[datetime, int] | None,
    viewer: int | None,
    limit: int,
) -> Sequence[Any]:
    """Newest first. Those of states before `closed` are few among very many and have an index."""
    conditions, args = ["true"], list[Any]()
    for condition, value in (
        ("c.sid = ${n}", sid),
        ("c.from_value = ${n}", from_value),
        (_OF_NUMBER, numbers),
        (_OF_CUSTOMER, customer_id),
        (SHOWN_STATE + " = ANY(${n}::text[])", states),
        ("c.direction = ANY(${n}::text[])", directions),
        ("c.outcome = ANY(${n}::text[])", outcomes),
        ("c.queue = ${n}", queue),
        ("c.agent_id = ${n}", agent_id),
        ("c.created_at >= ${n}", since),
        ("c.created_at < ${n}", until),
        (_MAY_SEE, viewer),
    ):
        if value is not None:
            args.append(value)
            conditions.append(condition.format(n=len(args)))
    if before is not None:
        args += before
        conditions.append(f"(c.created_at, c.id) < (${len(args) - 1}, ${len(args)})")
    if states is not None and "closed" not in states:
        conditions.append("c.state <> 'closed'")
    if directions is not None and "inbound" not in directions:
        conditions.append("c.direction <> 'inbound'")
    joins = "" if states is None else _WORK
    found = _found(joins, " AND ".join(conditions), len(args) + 1)
    ids = [row["id"] for row in await conn.fetch(found, *args, limit)]
    return await conn.fetch(CALLS, ids) if ids else []


async def missed_listed(
    conn: Connection,
    *,
    state: str,
    queue: str | None,
    owner: int | None,
    without_owner: bool,
    before: tuple[datetime, int] | None,
    viewer: int | None,
    limit: int,
) -> Sequence[Any]:
    """What is open, the latest missed first; what is done, the latest done first."""
    at = "m.last_at" if state == "open" else "m.done_at"
    conditions, args = [f"m.state = '{state}'"], list[Any]()
    for condition, value in (("m.queue = ${n}", queue), ("m.owner_id = ${n}", owner), (_MAY_SEE_MISSED, viewer)):
        if value is not None:
            args.append(value)
            conditions.append(condition.format(n=len(args)))
    if without_owner:
        conditions.append("m.owner_id IS NULL")
    if before is not None:
        args += before
        conditions.append(f"({at}, m.id) < (${len(args) - 1}, ${len(args)})")
    statement = _missed(f"WHERE {' AND '.join(conditions)} ORDER BY {at} DESC, m.id DESC LIMIT ${len(args) + 1}")
    return await conn.fetch(statement, *args, limit)
