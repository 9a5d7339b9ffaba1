"""SQL of calls that agents make."""

from typing import Final

from cti.queries import CALL_COLUMNS

SETTINGS: Final = "SELECT settings FROM outbound_settings"
OUR_NUMBERS: Final = "SELECT number, region, queue FROM numbers ORDER BY number"
# Which of our numbers this customer has called last.
LAST_DIALLED: Final = """
SELECT to_number FROM calls WHERE from_value = ANY($1) AND direction = 'inbound' ORDER BY created_at DESC LIMIT 1
"""
START: Final = f"""
INSERT INTO calls (account_sid, sid, direction, from_raw, from_kind, from_value, to_number, language, queue, state, created_at)
VALUES ($1, $2, 'outbound', $3, 'e164', $3, $4, $5, $6, 'received', $7)
ON CONFLICT (to_number) WHERE direction = 'outbound' AND provider = 'twilio' AND outcome IS NULL DO NOTHING RETURNING {CALL_COLUMNS}
"""
# The provider takes one call a second of an account: each takes the next second that is free.
TAKE_SLOT: Final = """
INSERT INTO dial_slots (account_sid, next_at) VALUES ($1, $2::timestamptz + interval '1 second')
ON CONFLICT (account_sid) DO UPDATE SET next_at = greatest(dial_slots.next_at, $2::timestamptz) + interval '1 second'
RETURNING next_at - interval '1 second'
"""
SET_DIAL_AT: Final = "UPDATE calls SET dial_at = $2 WHERE id = $1"
SET_DIALED_AT: Final = "UPDATE calls SET dialed_at = $2 WHERE id = $1"
ADOPT: Final = "UPDATE calls SET sid = $2 WHERE id = $1 AND sid LIKE 'out:%' RETURNING id"
KNOWN_LEGS: Final = "SELECT sid FROM legs WHERE sid = ANY($1)"
