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
       c.answered_at, c.ended_at, c.held_at, c.hold_wanted, c.version AS call_version, c.attestation, c.provider <> 'twilio' AS is_external,
       q.name AS queue_name, q.wrap_mode, q.wrap_extension_s, i.entered_at, i.rule, d.counts, d.chosen_by, u.role, u.email, u.name AS agent_name,
       n.body AS note_body, n.version AS note_version, n.saved_at AS note_saved_at,
       t.transferred_by, t.transfer_note, t.transferred_at,
       tc.is_opener AS ticket_is_new, k.id AS ticket_id, k.number AS ticket_number, k.subject AS ticket_subject, k.state AS ticket_state,
       k.priority AS ticket_priority, k.queue AS ticket_queue, k.version AS ticket_version, k.opened_at AS ticket_opened_at,
       k.updated_at AS ticket_updated_at, k.closed_at AS ticket_closed_at, k.tags AS ticket_tags, k.customer_id AS ticket_customer_id,
       w.extension AS from_extension, coalesce(w.is_suspect, false) AS from_is_suspect, w.match AS queued_match,
       w.candidates AS queued_candidates,
       i.consulted_call_id IS NOT NULL AS is_consulted, cs.id AS consult_id, cs.state AS consult_state, cs.outcome AS consult_outcome, cs.to_kind AS consult_to,
       cs.note AS consult_note, coalesce(cs.ended_at, cs.talked_at, cs.at) AS consult_since, cs.at AS consult_at, cs.asked_by,
       cs.asked_whom, cs.asked_queue, y.state AS recording_state, y.is_paused AS recording_paused, y.problem AS recording_problem,
       g.address AS telephone, g.sid IS NOT NULL AS telephone_rings, g.answered_at IS NOT NULL AS telephone_answered,
       g.taken_at IS NOT NULL AS telephone_taken, g.ended_at IS NOT NULL AS telephone_over, g.mute_wanted, g.is_muted
FROM offers o
JOIN calls c ON c.id = o.call_id
JOIN work_items i ON i.id = o.work_item_id
JOIN queues q ON q.key = o.queue
JOIN users u ON u.id = o.agent_id
JOIN ticket_calls tc ON tc.call_id = c.id
JOIN tickets k ON k.id = tc.ticket_id
LEFT JOIN LATERAL (SELECT counts, chosen_by FROM decisions d WHERE d.work_item_id = i.id AND d.offer_id = o.id LIMIT 1) d ON true
LEFT JOIN LATERAL (
    SELECT f.name AS transferred_by, t.note AS transfer_note, t.at AS transferred_at FROM transfers t JOIN users f ON f.id = t.from_agent_id
    WHERE t.call_id = c.id AND t.at <= o.created_at AND t.offer_id <> o.id ORDER BY t.id DESC LIMIT 1
) t ON true
LEFT JOIN call_callers w ON w.call_id = c.id
LEFT JOIN LATERAL (
    SELECT k.*, f.name AS asked_by, coalesce(w.name, k.to_number) AS asked_whom, kq.name AS asked_queue FROM (
        (SELECT * FROM consults k WHERE i.consulted_call_id IS NULL AND k.offer_id = o.id ORDER BY k.id DESC LIMIT 1)
        UNION ALL
        (SELECT * FROM consults k WHERE i.consulted_call_id IS NOT NULL AND k.work_item_id = i.id)
    ) k JOIN users f ON f.id = k.from_agent_id LEFT JOIN users w ON w.id = coalesce(k.with_agent_id, k.to_agent_id)
    LEFT JOIN queues kq ON kq.key = k.to_queue
) cs ON true
LEFT JOIN recordings y ON y.call_id = c.id AND y.deleted_at IS NULL AND NOT y.is_forbidden
LEFT JOIN agent_rings g ON g.offer_id = o.id
LEFT JOIN call_notes n ON n.call_id = c.id AND n.agent_id = o.agent_id
WHERE o.id = $1
"""
CALLS_24H: Final = """
SELECT count(*) FROM calls c JOIN calls x ON x.from_value = c.from_value AND x.created_at > c.created_at - interval '24 hours'
WHERE c.id = $1
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
INSERT INTO pop_layers (offer_id, layer, agent_id, ms, at) SELECT id, $4, agent_id, $3, now() FROM offers WHERE id = $1 AND agent_id = $2
ON CONFLICT (offer_id, layer) DO NOTHING RETURNING offer_id
"""
POP_LEVEL: Final = """
SELECT p.layer, count(*) AS painted, count(*) FILTER (WHERE p.ms <= d.deadline_ms) AS within,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY p.ms) AS p50, percentile_cont(0.95) WITHIN GROUP (ORDER BY p.ms) AS p95,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY p.ms) AS p99
FROM pop_layers p JOIN unnest($2::text[], $3::real[]) AS d (layer, deadline_ms) ON d.layer = p.layer
WHERE p.at >= $1 GROUP BY p.layer
"""
POPS_REPORTED: Final = """
SELECT count(*) AS offers, count(p.offer_id) AS reported
FROM offers o LEFT JOIN pop_layers p ON p.offer_id = o.id AND p.layer = 'identity'
WHERE o.created_at >= $1 AND o.call_id IS NOT NULL
"""
OFFER_FOR: Final = """
SELECT state FROM offers WHERE id = $1 AND agent_id = $2 AND call_id IS NOT NULL AND state IN ('pending', 'accepted', 'wrapping')
"""
NUMBER_OF_CALL: Final = """
SELECT c.from_value, c.from_raw, c.from_kind, w.extension, coalesce(w.is_suspect, false) AS is_suspect
FROM calls c LEFT JOIN call_callers w ON w.call_id = c.id WHERE c.id = $1
"""
LOST_OFFERS: Final = """
SELECT o.id AS offer_id, o.call_id, o.ended_at, o.state, o.reason, b.name AS by, q.name AS queue_name, c.from_kind, c.from_value, c.from_raw,
       t.id AS ticket_id, t.number AS ticket_number, k.id AS customer_id, k.name AS customer_name, w.match
FROM (
    SELECT DISTINCT l.offer_id FROM desk_heads h JOIN desk_log l ON l.agent_id = h.agent_id AND l.seq > h.last_seq - 400
    WHERE h.agent_id = $1 AND l.type = 'offer_ended' AND l.created_at > $2
) l
JOIN offers o ON o.id = l.offer_id
JOIN calls c ON c.id = o.call_id
JOIN queues q ON q.key = o.queue
LEFT JOIN ticket_calls tc ON tc.call_id = c.id
LEFT JOIN tickets t ON t.id = tc.ticket_id
LEFT JOIN customers k ON k.id = t.customer_id
LEFT JOIN users b ON b.id = o.by_agent_id
LEFT JOIN call_callers w ON w.call_id = c.id
WHERE o.agent_id = $1 AND o.state IN ('timeout', 'rescinded', 'canceled')
ORDER BY o.ended_at DESC LIMIT 10
"""
WITHOUT_RESULT: Final = """
SELECT o.id AS offer_id, o.call_id, o.queue, q.name AS queue_name, o.ended_at, c.from_kind, c.from_value, c.from_raw,
       t.id AS ticket_id, t.number AS ticket_number, t.subject, k.id AS customer_id, k.name AS customer_name
FROM offers o
JOIN calls c ON c.id = o.call_id
JOIN queues q ON q.key = o.queue
LEFT JOIN ticket_calls tc ON tc.call_id = c.id
LEFT JOIN tickets t ON t.id = tc.ticket_id
LEFT JOIN customers k ON k.id = t.customer_id
WHERE o.agent_id = $1 AND o.state = 'completed' AND o.disposition IS NULL AND o.call_id IS NOT NULL AND o.ended_at > $2
  AND EXISTS (SELECT FROM dispositions d WHERE d.queue IS NULL OR d.queue = o.queue)
ORDER BY o.ended_at DESC LIMIT 20
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
SELECT EXISTS (SELECT FROM audit_log WHERE object_kind = $1 AND object_id = $2 AND action = $1 || '.hear' AND actor_id = $3 AND at > $4)
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
