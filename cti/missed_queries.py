"""SQL of missed contacts."""

from typing import Final

# `queue`: of a call that had none yet, the queue of the number that was called.
RECORD: Final = """
WITH entry AS (
    INSERT INTO missed_contacts (number, number_kind, to_number, queue, outcome, first_at, last_at, last_call_id)
    VALUES ($2, $3, $4, coalesce($5, (SELECT n.queue FROM numbers n WHERE n.number = $4)), $6, $7, $7, $1)
    ON CONFLICT (number) WHERE state = 'open' DO UPDATE SET
        calls = missed_contacts.calls + 1, version = missed_contacts.version + 1,
        first_at = least(missed_contacts.first_at, excluded.first_at), last_at = greatest(missed_contacts.last_at, excluded.last_at),
        to_number = excluded.to_number, queue = coalesce(excluded.queue, missed_contacts.queue), outcome = excluded.outcome,
        last_call_id = excluded.last_call_id
    RETURNING id
)
INSERT INTO missed_calls (call_id, missed_contact_id) SELECT $1, id FROM entry
"""
TALKED_SINCE: Final = """
SELECT id, direction FROM (
    (SELECT id, direction, created_at FROM calls WHERE from_value = ANY($1) AND created_at > $2 AND answered_at IS NOT NULL AND direction = 'inbound'
     ORDER BY created_at LIMIT 1)
    UNION ALL
    (SELECT id, direction, created_at FROM calls WHERE to_number = ANY($1) AND created_at > $2 AND answered_at IS NOT NULL AND direction = 'outbound'
     ORDER BY created_at LIMIT 1)
) since ORDER BY created_at LIMIT 1
"""
SETTLE: Final = """
UPDATE missed_contacts SET state = 'done', result = $2, done_call_id = $3, done_at = $4, version = version + 1
WHERE number = ANY($1) AND state = 'open'
"""
_MAY_SEE: Final = """($2::bigint IS NULL OR m.owner_id = $2
    OR EXISTS (SELECT 1 FROM agent_queues q WHERE q.agent_id = $2 AND q.queue_key = m.queue))"""
LOCK: Final = f"""
SELECT m.id, m.state, m.owner_id, m.version, m.number, m.number_kind, m.to_number, m.queue, m.last_call_id
FROM missed_contacts m WHERE m.id = $1 AND {_MAY_SEE} FOR UPDATE OF m
"""
LOCK_MANY: Final = f"""
SELECT m.id, m.state, m.version FROM missed_contacts m WHERE m.id = ANY($1) AND {_MAY_SEE} ORDER BY m.id FOR UPDATE OF m
"""
MAY_OWN: Final = (
    "SELECT EXISTS (SELECT 1 FROM users WHERE id = $1 AND is_active AND role IN ('agent', 'supervisor', 'admin'))"
)
SET_OWNER: Final = """
UPDATE missed_contacts SET owner_id = $2, version = version + 1 WHERE id = $1 RETURNING id, state, owner_id, version
"""
FINISH: Final = """
UPDATE missed_contacts SET state = 'done', result = $2, note = $3, done_at = $4, done_by = $5, version = version + 1 WHERE id = $1 RETURNING version
"""
REOPEN: Final = """
UPDATE missed_contacts SET state = 'open', result = NULL, note = NULL, done_at = NULL, done_by = NULL, done_call_id = NULL, version = version + 1
WHERE id = $1 RETURNING version
"""
