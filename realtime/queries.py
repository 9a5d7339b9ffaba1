"""SQL of the desk: its log, its notes, and the one query that gathers a pop's call, offer and reason."""

from collections.abc import Sequence
from typing import Any, Final

from infra.postgres import Connection

APPEND: Final = """
WITH head AS (
    INSERT INTO desk_heads (agent_id, last_seq) VALUES ($1, 1)
    ON CONFLICT (agent_id) DO UPDATE SET last_seq = desk_heads.last_seq + 1 RETURNING last_seq
)
INSERT INTO desk_log (agent_id, seq, type, offer_id, call_id, data) SELECT $1, last_seq, $2, $3, $4, $5 FROM head RETURNING seq
"""
HEAD: Final = "SELECT last_seq, acked_seq FROM desk_heads WHERE agent_id = $1"
ACK: Final = """
UPDATE desk_heads SET acked_seq = least(last_seq, greatest(acked_seq, $2)) WHERE agent_id = $1 AND acked_seq < $2
"""
ROWS_AFTER: Final = """
SELECT seq, type, offer_id, call_id, data, created_at FROM desk_log WHERE agent_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""
UNACKED_ROWS: Final = """
SELECT l.seq, l.type, l.offer_id, l.call_id, l.data, l.created_at FROM desk_heads h
JOIN desk_log l ON l.agent_id = h.agent_id AND l.seq > h.acked_seq WHERE h.agent_id = $1 ORDER BY l.seq LIMIT $2
"""
UNACKED_AGENTS: Final = """
SELECT h.agent_id FROM desk_heads h
WHERE h.agent_id = ANY($1) AND h.last_seq > h.acked_seq
  AND EXISTS (SELECT 1 FROM desk_log l WHERE l.agent_id = h.agent_id AND l.seq > h.acked_seq AND l.created_at < now() - interval '1 second')
"""
POP: Final = """
SELECT o.id AS offer_id, o.work_item_id, o.agent_id, o.state, o.created_at, o.deadline, o.version, o.queue, o.step, o.wrap_ends_at,
       o.wrap_requested, o.wrap_extended_s, o.disposition, o.connected_at,
       c.id AS call_id, c.direction, c.dial_at, c.agent_joined, c.language,
       CASE WHEN c.direction = 'outbound' THEN c.to_number ELSE c.from_raw END AS from_raw,
       CASE WHEN c.direction = 'outbound' THEN 'e164' ELSE c.from_kind END AS from_kind,
       CASE WHEN c.direction = 'outbound' THEN c.to_number ELSE c.from_value END AS from_value,
       CASE WHEN c.direction = 'outbound' THEN c.from_raw ELSE c.to_number END AS to_number, c.state AS call_state, c.offer_id AS call_offer_id,
       c.answered_at, c.ended_at, c.held_at, c.hold_wanted, c.version AS call_version, c.provider <> 'twilio' AS is_external,
       q.name AS queue_name, q.wrap_mode, q.wrap_extension_s, i.entered_at, i.rule, d.counts, d.chosen_by, u.role, u.email, u.name AS agent_name,
       n.body AS note_body, n.version AS note_version, n.saved_at AS note_saved_at,
       t.transferred_by, t.transfer_note, t.transferred_at,
       (SELECT count(*) FROM calls x WHERE x.from_value = c.from_value AND x.created_at > c.created_at - interval '24 hours') AS calls_24h
FROM offers o
JOIN calls c ON c.id = o.call_id
JOIN work_items i ON i.id = o.work_item_id
JOIN queues q ON q.key = o.queue
JOIN users u ON u.id = o.agent_id
LEFT JOIN LATERAL (SELECT counts, chosen_by FROM decisions d WHERE d.work_item_id = i.id AND d.offer_id = o.id LIMIT 1) d ON true
LEFT JOIN LATERAL (
    SELECT f.name AS transferred_by, t.note AS transfer_note, t.at AS transferred_at FROM transfers t JOIN users f ON f.id = t.from_agent_id
    WHERE t.call_id = c.id AND t.at <= o.created_at AND t.offer_id <> o.id ORDER BY t.id DESC LIMIT 1
) t ON true
LEFT JOIN call_notes n ON n.call_id = c.id AND n.agent_id = o.agent_id
WHERE o.id = $1
"""
OPEN_OFFERS: Final = """
SELECT id, state FROM offers WHERE agent_id = $1 AND state IN ('pending', 'accepted', 'wrapping') AND call_id IS NOT NULL ORDER BY id
"""
OFFER_OF_CALL: Final = """
SELECT id FROM offers WHERE call_id = $1 AND agent_id = $2 AND state IN ('pending', 'accepted', 'wrapping', 'completed') ORDER BY id DESC LIMIT 1
"""
OPEN_OFFER_OF_CALL: Final = """
SELECT id FROM offers WHERE call_id = $1 AND agent_id = $2 AND state IN ('pending', 'accepted', 'wrapping') ORDER BY id DESC LIMIT 1
"""
DISPOSITIONS: Final = "SELECT key, name, digit, queue, resolves_ticket FROM dispositions ORDER BY position, key"
DISPOSITION: Final = "SELECT key FROM dispositions WHERE key = $1"
MY_TICKETS: Final = """
SELECT id FROM tickets WHERE assignee_id = $1 AND state NOT IN ('resolved', 'closed', 'merged') ORDER BY updated_at DESC LIMIT 20
"""
SAVE_NOTE: Final = """
INSERT INTO call_notes (call_id, agent_id, body, version, saved_at) VALUES ($1, $2, $3, 1, $5)
ON CONFLICT (call_id, agent_id) DO UPDATE SET body = excluded.body, version = call_notes.version + 1, saved_at = excluded.saved_at
WHERE call_notes.version = $4 RETURNING version
"""
KEEP_NOTE: Final = """
INSERT INTO call_notes (call_id, agent_id, body, version, saved_at) VALUES ($1, $2, $3, 1, $4)
ON CONFLICT (call_id, agent_id) DO UPDATE SET body = excluded.body, version = call_notes.version + 1, saved_at = excluded.saved_at
"""
NOTE: Final = "SELECT body, version, saved_at FROM call_notes WHERE call_id = $1 AND agent_id = $2"
TAKE_NOTE: Final = """
DELETE FROM call_notes n USING users u WHERE n.call_id = $1 AND n.agent_id = $2 AND u.id = n.agent_id RETURNING n.body, u.name
"""
PAINTED: Final = """
INSERT INTO painted (offer_id, agent_id, ms, at) SELECT id, agent_id, $3, now() FROM offers WHERE id = $1 AND agent_id = $2
ON CONFLICT (offer_id) DO NOTHING RETURNING offer_id
"""
QUEUES_OF_AGENTS: Final = "SELECT agent_id, queue_key FROM agent_queues WHERE agent_id = ANY($1)"
WAS_ACCEPTED: Final = "SELECT accepted_at IS NOT NULL FROM offers WHERE id = $1"
IS_AGENT: Final = "SELECT EXISTS (SELECT 1 FROM agents WHERE id = $1 AND is_active)"
# Also who has just lost it, so that it leaves that desk.
AGENTS_OF_TICKET: Final = """
SELECT assignee_id AS agent_id FROM tickets WHERE id = $1 AND assignee_id IS NOT NULL
UNION SELECT (data ->> 'from')::bigint FROM ticket_history
WHERE ticket_id = $1 AND version >= $2 AND kind = 'assigned' AND data ->> 'from' IS NOT NULL
UNION SELECT o.agent_id FROM ticket_calls t JOIN offers o ON o.call_id = t.call_id
WHERE t.ticket_id = $1 AND o.state IN ('pending', 'accepted', 'wrapping')
"""
AGENT_OF_CALL: Final = "SELECT agent_id, offer_id FROM calls WHERE id = $1"
USER_NAME: Final = "SELECT name FROM users WHERE id = $1"
USER: Final = "SELECT id, email, name, role, language FROM users WHERE id = $1"

HAS_HEARD: Final = """
SELECT EXISTS (SELECT FROM audit_log WHERE object_kind = 'voicemail' AND object_id = $1 AND action = 'voicemail.hear' AND actor_id = $2 AND at > $3)
"""


async def rows_after(conn: Connection, *, agent_id: int, seq: int, limit: int) -> Sequence[Any]:
    return await conn.fetch(ROWS_AFTER, agent_id, seq, limit)


async def unacked_rows(conn: Connection, *, agent_id: int, limit: int) -> Sequence[Any]:
    return await conn.fetch(UNACKED_ROWS, agent_id, limit)


async def head(conn: Connection, *, agent_id: int) -> tuple[int, int]:
    """(last given out, highest acknowledged)."""
    row = await conn.fetchrow(HEAD, agent_id)
    return (0, 0) if row is None else (row["last_seq"], row["acked_seq"])


async def queues_of_agents(conn: Connection, *, ids: Sequence[int]) -> dict[int, frozenset[str]]:
    """With an empty set for who serves none."""
    found: dict[int, set[str]] = {agent_id: set() for agent_id in ids}
    for row in await conn.fetch(QUEUES_OF_AGENTS, list(ids)):
        found[row["agent_id"]].add(row["queue_key"])
    return {agent_id: frozenset(queues) for agent_id, queues in found.items()}
