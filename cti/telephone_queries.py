"""SQL of agents who are reached on a telephone."""

from typing import Final

IN_USE: Final = "SELECT address FROM agent_telephones WHERE agent_id = $1 AND is_used"
RING_COLUMNS: Final = (
    "offer_id, call_id, agent_id, address, language, queue_name, dial_at, dialed_at, sid, answered_at, taken_at, mute_wanted, is_muted, "
    "outcome"
)
# In the agent's own language, else in that of the number that was called.
ADD_RING: Final = f"""
INSERT INTO agent_rings (offer_id, call_id, agent_id, address, language, queue_name, dial_at, at)
SELECT $1, $2, $3, $4, coalesce(u.language, $6), q.name, $7, $8 FROM users u, queues q WHERE u.id = $3 AND q.key = $5
ON CONFLICT (offer_id) DO NOTHING RETURNING {RING_COLUMNS}
"""
RING: Final = f"SELECT {RING_COLUMNS} FROM agent_rings WHERE offer_id = $1"
CALL_OF_RING: Final = "SELECT call_id FROM agent_rings WHERE offer_id = $1"
OPEN_RING_OF_AGENT: Final = f"""
SELECT {RING_COLUMNS} FROM agent_rings WHERE call_id = $1 AND agent_id = $2 AND ended_at IS NULL ORDER BY offer_id DESC LIMIT 1
"""
SET_DIALED_AT: Final = "UPDATE agent_rings SET dialed_at = $2 WHERE offer_id = $1"
ADOPT: Final = """
UPDATE agent_rings SET sid = $2, dialed_at = coalesce(dialed_at, $3) WHERE offer_id = $1 AND sid IS NULL RETURNING offer_id
"""
ANSWERED: Final = """
UPDATE agent_rings SET answered_at = $2 WHERE offer_id = $1 AND answered_at IS NULL AND ended_at IS NULL RETURNING offer_id
"""
TAKEN: Final = """
UPDATE agent_rings SET taken_at = $2, answered_at = coalesce(answered_at, $2) WHERE offer_id = $1 AND taken_at IS NULL RETURNING offer_id
"""
END: Final = """
UPDATE agent_rings SET outcome = $2, ended_at = $3, mute_wanted = false, is_muted = false
WHERE offer_id = $1 AND ended_at IS NULL RETURNING offer_id
"""
WANT_MUTED: Final = "UPDATE agent_rings SET mute_wanted = $2 WHERE offer_id = $1"
MUTED: Final = "UPDATE agent_rings SET is_muted = $2 WHERE offer_id = $1 AND ended_at IS NULL AND is_muted <> $2 RETURNING offer_id"
CHOOSE: Final = """
UPDATE agent_telephones SET is_used = $2 WHERE agent_id = $1 AND is_used <> $2 RETURNING agent_id
"""
OPEN_RINGS: Final = """
SELECT r.offer_id, r.sid, c.account_sid FROM agent_rings r JOIN calls c ON c.id = r.call_id
WHERE r.ended_at IS NULL AND r.sid IS NOT NULL AND r.dial_at < now() - make_interval(secs => $1) AND r.offer_id > $2 ORDER BY r.offer_id LIMIT $3
"""
