"""SQL of calls, legs, provider events and commands."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from core.calendar import read_calendar
from core.ids import AgentId, CallId, OfferId
from core.phone import Number, NumberKind, attestation_of
from cti.menu import Menu, read_menus
from cti.model import Call, CallState, Outcome
from cti.twilio_voice import Line, QueueRules, Recorded, Recorder
from infra.postgres import Connection

CALL_COLUMNS: Final = (
    "id, account_sid, sid, from_raw, from_kind, from_value, to_number, language, queue, state, outcome, agent_id, offer_id, "
    "agent_joined, caller_joined, ended_by, version, created_at, queued_at, answered_at, ended_at, provider, direction, "
    "hold_wanted, held_at, transfer_id, "
    "recorder_at, recorder_reason, left_at, menu_choice, menu_path, attestation, dial_at, dialed_at"
)


def call_of(row: Any) -> Call:
    return Call(
        id=CallId(row["id"]),
        account_sid=row["account_sid"],
        sid=row["sid"],
        caller=Number(
            NumberKind(row["from_kind"]),
            row["from_raw"],
            row["from_value"],
            attestation=attestation_of(row["attestation"]),
        ),
        to_number=row["to_number"],
        language=row["language"],
        queue=row["queue"],
        state=CallState(row["state"]),
        outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
        agent_id=None if row["agent_id"] is None else AgentId(row["agent_id"]),
        offer_id=None if row["offer_id"] is None else OfferId(row["offer_id"]),
        agent_joined=row["agent_joined"],
        caller_joined=row["caller_joined"],
        ended_by=row["ended_by"],
        version=row["version"],
        created_at=row["created_at"],
        queued_at=row["queued_at"],
        answered_at=row["answered_at"],
        ended_at=row["ended_at"],
        provider=row["provider"],
        direction=row["direction"],
        hold_wanted=row["hold_wanted"],
        held_at=row["held_at"],
        transfer_id=row["transfer_id"],
        recorder_at=row["recorder_at"],
        recorder_reason=row["recorder_reason"],
        left_at=row["left_at"],
        menu_choice=row["menu_choice"],
        menu_path=row["menu_path"],
        dial_at=row["dial_at"],
        dialed_at=row["dialed_at"],
    )


# One round trip for the hot path: the event is claimed and, when it is new, the call and its leg are created. `is_gone` when
# the end of this call was reported first.
CLAIM_INCOMING: Final = f"""
WITH claim AS (
    INSERT INTO provider_events (key, account_sid, endpoint, call_sid, body, answer) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (key) DO NOTHING RETURNING id
), call AS (
    INSERT INTO calls (account_sid, sid, direction, from_raw, from_kind, from_value, to_number, language, state, created_at, attestation)
    SELECT $2, $4, 'inbound', $7, $8, $9, $10, $11, 'received', $12, $14 FROM claim
    ON CONFLICT (sid) DO NOTHING RETURNING {CALL_COLUMNS}
), leg AS (
    INSERT INTO legs (call_id, sid, kind, state, created_at) SELECT id, sid, 'customer', 'in-progress', $12 FROM call
    ON CONFLICT (sid) DO NOTHING
)
SELECT (SELECT id FROM claim) AS event_id, {CALL_COLUMNS},
       EXISTS (SELECT 1 FROM provider_events e WHERE e.call_sid = $4 AND e.endpoint = '/twilio/status'
               AND e.body->>'CallStatus' = ANY($13::text[])) AS is_gone
FROM (SELECT 1) one LEFT JOIN call ON true
"""
CLAIM_EVENT: Final = """
INSERT INTO provider_events (key, account_sid, endpoint, call_sid, body, answer) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (key) DO NOTHING RETURNING id
"""
STORED_ANSWER: Final = "SELECT answer FROM provider_events WHERE key = $1"
KEEP_ANSWER: Final = "UPDATE provider_events SET answer = $2 WHERE key = $1"
# Of telephone systems: what is told about one call goes one by one; what has not been applied yet is read anew each time.
LOCK_SID: Final = "SELECT pg_advisory_xact_lock(hashtextextended('pbx:' || $1, 0))"
WAITING_EVENTS: Final = """
SELECT id, body, received_at FROM provider_events WHERE call_sid = $1 AND applied_at IS NULL ORDER BY id LIMIT 200
"""
EVENT_APPLIED: Final = "UPDATE provider_events SET applied_at = $2, call_id = $3 WHERE id = $1"
SID_OF_EVENT: Final = "SELECT call_sid FROM provider_events WHERE id = $1 AND applied_at IS NULL"
LOCK_CALL_OF_LEG: Final = f"""
SELECT {CALL_COLUMNS} FROM calls WHERE id = (SELECT call_id FROM legs WHERE sid = $1) FOR UPDATE
"""
HAS_OPEN_LEGS: Final = (
    "SELECT EXISTS (SELECT 1 FROM legs WHERE call_id = $1 AND kind = 'customer' AND sid <> $2 AND ended_at IS NULL)"
)
ADD_PBX_CALL: Final = f"""
WITH call AS (
    INSERT INTO calls (provider, account_sid, sid, direction, from_raw, from_kind, from_value, to_number, language, state, agent_id, created_at)
    VALUES ('pbx', $1, $2, $3, $4, $5, $6, $7, $8, 'received', $9, $10) RETURNING {CALL_COLUMNS}
), leg AS (
    INSERT INTO legs (call_id, sid, kind, state, created_at) SELECT id, sid, 'customer', 'in-progress', $10 FROM call
)
SELECT {CALL_COLUMNS} FROM call
"""
AGENTS_BY_NAME: Final = "SELECT name, agent_id FROM agent_extensions WHERE name = ANY($1)"
IS_OUR_NUMBER: Final = "SELECT EXISTS (SELECT 1 FROM numbers WHERE number = $1)"
CONNECTIONS: Final = "SELECT key, dialect, settings FROM cti_connections ORDER BY key"
USE_NONCE: Final = """
INSERT INTO cti_nonces (connection, nonce, signature) VALUES ($1, $2, $3) ON CONFLICT (connection, nonce) DO NOTHING RETURNING true
"""
NONCE_SIGNATURE: Final = "SELECT signature FROM cti_nonces WHERE connection = $1 AND nonce = $2"
CALL_BY_SID: Final = f"SELECT {CALL_COLUMNS} FROM calls WHERE sid = $1"
CALL_BY_ID: Final = f"SELECT {CALL_COLUMNS} FROM calls WHERE id = $1"
LOCK_CALL: Final = f"SELECT {CALL_COLUMNS} FROM calls WHERE id = $1 FOR UPDATE"
LOCK_CALL_BY_SID: Final = f"SELECT {CALL_COLUMNS} FROM calls WHERE sid = $1 FOR UPDATE"
SAVE_CALL: Final = """
UPDATE calls SET state = $2, outcome = $3, queue = $4, agent_id = $5, offer_id = $6, agent_joined = $7, caller_joined = $8,
       ended_by = $9, version = $10, queued_at = $11, answered_at = $12, ended_at = $13, recorder_at = $15, recorder_reason = $16, left_at = $17, menu_choice = $18,
       hold_wanted = $19, held_at = $20, transfer_id = $21, menu_path = $22,
       closed_at = CASE WHEN $2 = 'closed' THEN coalesce(closed_at, $14) END
WHERE id = $1
"""
LEG_BY_SID: Final = "SELECT id, call_id, kind, agent_id, state, sequence FROM legs WHERE sid = $1"
ADD_LEG: Final = """
INSERT INTO legs (call_id, sid, kind, agent_id, state, created_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (sid) DO NOTHING
"""
END_LEG: Final = "UPDATE legs SET state = $2, ended_at = $3, in_conference = false WHERE sid = $1 AND ended_at IS NULL"
# Forward only, by the conference's own numbers. A leg changes conferences by joining the next one.
MOVE_LEG: Final = """
UPDATE legs SET sequence = CASE WHEN conference_sid = $3 THEN coalesce($4::integer, sequence) ELSE $4 END,
       conference_sid = $3, in_conference = $5
WHERE sid = $1 AND call_id = $2
  AND CASE WHEN conference_sid IS NULL OR conference_sid = $3 THEN $4::integer IS NULL OR coalesce(sequence, -1) < $4 ELSE $5 END
RETURNING id, agent_id
"""
# What is told of a seat in the conference it is in, forward only.
SEAT_CHANGED: Final = """
UPDATE legs SET sequence = coalesce($4::integer, sequence)
WHERE sid = $1 AND call_id = $2 AND (conference_sid IS NULL OR conference_sid = $3) AND ($4::integer IS NULL OR coalesce(sequence, -1) < $4)
RETURNING id
"""
IS_AGENT_IN_CONFERENCE: Final = """
SELECT EXISTS (SELECT 1 FROM legs WHERE call_id = $1 AND agent_id = $2 AND in_conference AND ended_at IS NULL)
"""
OPEN_AGENT_LEGS: Final = "SELECT id, sid, agent_id FROM legs WHERE call_id = $1 AND kind = 'agent' AND ended_at IS NULL"
CALL_OF_LEG: Final = "SELECT call_id FROM legs WHERE sid = $1"
CALL_IN_HAND: Final = """
SELECT id FROM calls WHERE agent_id = $1 AND outcome IS NULL AND created_at > $2::timestamptz - interval '1 day'
ORDER BY created_at DESC LIMIT 1
"""
OPEN_SEGMENT: Final = """
INSERT INTO segments (call_id, offer_id, agent_id, kind, started_at) VALUES ($1, $2, $3, $4, greatest($5, CASE WHEN $4 = 'hold' THEN (
    SELECT t.started_at FROM segments t WHERE t.call_id = $1 AND t.agent_id = $3 AND t.kind = 'talk' AND t.ended_at IS NULL) END))
ON CONFLICT (call_id, agent_id, kind) WHERE ended_at IS NULL DO NOTHING
"""
# The provider tells in whole seconds: a hold begins no sooner than its talk, and a talk is over no sooner than a hold in it, whichever of them we have
# timed ourselves.
CLOSE_SEGMENTS: Final = """
UPDATE segments s SET ended_at = greatest($3, s.started_at, CASE WHEN s.kind = 'talk' THEN (
    SELECT max(coalesce(h.ended_at, h.started_at)) FROM segments h
    WHERE h.call_id = s.call_id AND h.agent_id = s.agent_id AND h.kind = 'hold' AND h.started_at >= s.started_at) END)
WHERE s.call_id = $1 AND s.kind = ANY($2) AND s.ended_at IS NULL
"""
SUM_TALK: Final = """
UPDATE calls SET talk_s = (SELECT coalesce(sum(extract(epoch FROM ended_at - started_at)), 0) FROM segments
                           WHERE call_id = $1 AND kind = 'talk' AND ended_at IS NOT NULL)
WHERE id = $1
"""
CLOSE_WRAP: Final = """
UPDATE segments SET ended_at = greatest($3, started_at) WHERE call_id = $1 AND agent_id = $2 AND kind = 'wrap' AND ended_at IS NULL
"""
SET_DISPOSITION: Final = """
UPDATE calls SET disposition = CASE WHEN $4 THEN coalesce(disposition, $2) ELSE coalesce($2, disposition) END
WHERE id = $1 AND (offer_id = $3 OR disposition IS NULL AND (outcome IS NOT NULL OR NOT $4))
"""
# Of the agent who had the call last, or where what stands there was this agent's.
CORRECT_DISPOSITION: Final = """
UPDATE calls SET disposition = $4 WHERE id = $1 AND (offer_id = $2 OR disposition IS NULL OR disposition = $3)
"""
# Once per (object, kind); asked for again, a refused one may be tried again.
INTEND: Final = """
INSERT INTO provider_commands (call_id, object, kind, payload) VALUES ($1, $2, $3, $4)
ON CONFLICT (object, kind) DO UPDATE SET state = 'intended', attempts = 0, lease_until = NULL, last_error = NULL, ended_at = NULL
WHERE provider_commands.state = 'failed'
"""
CLAIM_COMMAND: Final = """
UPDATE provider_commands SET state = 'sent', attempts = attempts + 1, lease_until = now() + make_interval(secs => $3)
WHERE object = $1 AND kind = $2 AND state IN ('intended', 'sent', 'unknown') AND (lease_until IS NULL OR lease_until < now())
RETURNING id, call_id, payload, attempts
"""
# What is unknown waits longer each time, up to half a minute.
END_COMMAND: Final = """
UPDATE provider_commands SET state = $2, last_error = $3,
       lease_until = CASE WHEN $2 = 'unknown' THEN now() + make_interval(secs => least(30, power(2, attempts))) END,
       ended_at = CASE WHEN $2 IN ('done', 'failed') THEN now() END WHERE id = $1
"""
DROP_COMMANDS: Final = """
UPDATE provider_commands SET state = 'failed', last_error = 'call_over', ended_at = now()
WHERE call_id = $1 AND state = 'intended' AND kind NOT IN ('end', 'end_leg', 'delete_recording', 'requeue', 'fetch', 'ring_agent')
"""
IS_ASKED_FOR_RECORDINGS: Final = """
SELECT EXISTS (SELECT 1 FROM provider_commands WHERE call_id = $1 AND kind = 'recordings' AND state IN ('intended', 'sent', 'unknown'))
"""
# Older ones that are being sent just now; what is unknown is decided anew when it is repeated.
IS_BEING_MOVED: Final = """
SELECT EXISTS (SELECT 1 FROM provider_commands
    WHERE call_id = $1 AND id < $2 AND kind = ANY($3) AND state = 'sent' AND lease_until > now())
"""
OPEN_COMMANDS: Final = """
SELECT object, kind FROM provider_commands
WHERE state IN ('intended', 'sent', 'unknown') AND created_at < now() - interval '3 seconds'
  AND (lease_until IS NULL OR lease_until < now())
ORDER BY created_at LIMIT 100
"""
ADD_TRANSFER: Final = """
INSERT INTO transfers (call_id, offer_id, from_agent_id, to_kind, to_queue, to_agent_id, to_number, note, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id
"""
END_TRANSFER: Final = "UPDATE transfers SET outcome = $2, ended_at = greatest($3, at) WHERE id = $1 AND outcome IS NULL"
CONSULT_COLUMNS: Final = "id, call_id, offer_id, from_agent_id, to_kind, to_queue, to_agent_id, to_number, work_item_id, with_agent_id, with_offer_id, leg_sid, state, outcome"
ADD_CONSULT: Final = f"""
INSERT INTO consults (call_id, offer_id, from_agent_id, to_kind, to_queue, to_agent_id, to_number, note, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING {CONSULT_COLUMNS}
"""
OPEN_CONSULT: Final = f"SELECT {CONSULT_COLUMNS} FROM consults WHERE call_id = $1 AND state <> 'over'"
LAST_CONSULT: Final = f"""
SELECT {CONSULT_COLUMNS} FROM consults WHERE call_id = $1 AND (from_agent_id = $2 OR with_agent_id = $2) ORDER BY id DESC LIMIT 1
"""
CONSULT_ITEM: Final = "UPDATE consults SET work_item_id = $2 WHERE id = $1"
CONSULT_ACCEPTED: Final = """
UPDATE consults SET state = 'connecting', with_agent_id = $2, with_offer_id = $3 WHERE id = $1 AND state = 'asking'
"""
CONSULT_RINGS: Final = "UPDATE consults SET leg_sid = $2 WHERE id = $1"
CONSULT_TALKS: Final = """
UPDATE consults SET state = 'talking', talked_at = greatest($2, at) WHERE id = $1 AND state IN ('asking', 'connecting') RETURNING id
"""
END_CONSULT: Final = """
UPDATE consults SET state = 'over', outcome = $2, ended_at = greatest($3, talked_at, at) WHERE id = $1 AND state <> 'over' RETURNING id
"""
IS_COMPLETED_CONSULT: Final = "SELECT EXISTS (SELECT 1 FROM consults WHERE id = $1 AND outcome = 'completed')"
LEG_OF_CONSULT: Final = "SELECT leg_sid FROM consults WHERE id = $1 AND outcome = 'completed'"
WAS_CONSULTED_OUTSIDE: Final = """
SELECT EXISTS (SELECT 1 FROM consults WHERE call_id = $1 AND to_kind = 'number' AND outcome = 'completed')
"""
CONSULT_OF_ITEM: Final = "SELECT id, call_id, to_kind FROM consults WHERE work_item_id = $1 AND state <> 'over'"
RECORDING_OF_CALL: Final = "SELECT id, call_id, sid, state, is_paused, pause_on_hold, problem, wish, is_forbidden FROM recordings WHERE call_id = $1 AND deleted_at IS NULL"
ANNOUNCE_RECORDING: Final = """
INSERT INTO recordings (call_id, account_sid, pause_on_hold, created_at, keep_until) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (call_id) DO NOTHING
"""
# In the menu already the caller was told; the queue that was chosen has its own word about it.
RECORD_OTHERWISE: Final = (
    "UPDATE recordings SET pause_on_hold = $2, keep_until = $3 WHERE call_id = $1 AND state = 'told'"
)
DO_NOT_RECORD: Final = "DELETE FROM recordings WHERE call_id = $1 AND state = 'told'"
CONSENT_HEARD: Final = """
UPDATE recordings r SET heard_at = $2 FROM calls c WHERE c.sid = $1 AND r.call_id = c.id AND r.heard_at IS NULL
"""
MUST_TELL: Final = "SELECT EXISTS (SELECT 1 FROM recordings WHERE call_id = $1 AND state = 'told' AND heard_at IS NULL)"
FORBID_RECORDING: Final = """
UPDATE recordings r SET is_forbidden = q.recording IS NOT DISTINCT FROM 'false'::jsonb FROM queues q
WHERE r.call_id = $1 AND r.deleted_at IS NULL AND q.key = $2 AND r.is_forbidden <> (q.recording IS NOT DISTINCT FROM 'false'::jsonb)
"""
DECLINE_RECORDING: Final = "UPDATE recordings SET state = 'declined' WHERE call_id = $1 AND state = 'told'"
PAUSE_RECORDING: Final = "UPDATE recordings SET is_paused = $2, problem = NULL WHERE id = $1"
PAUSE_RECORDING_AS_IS: Final = "UPDATE recordings SET is_paused = $2 WHERE id = $1"
WISH_RECORDING: Final = "UPDATE recordings SET wish = wish + 1 WHERE id = $1 RETURNING wish"
RECORDING_TOLD: Final = """
UPDATE recordings SET sid = coalesce(sid, $2), state = $3, problem = $4 WHERE id = $1 AND state NOT IN ('ended', 'declined', 'failed')
"""
RECORDING_DONE: Final = """
UPDATE recordings r SET sid = coalesce(r.sid, $2), state = $3, duration_s = $4, is_ready = r.is_ready OR $5
FROM calls c WHERE c.sid = $1 AND r.call_id = c.id AND coalesce(r.sid, $2) = $2 AND r.state <> 'declined'
"""
RECORDING: Final = """
SELECT r.id, r.sid, r.account_sid, r.call_id, r.is_ready, r.deleted_at, t.ticket_id
FROM recordings r LEFT JOIN ticket_calls t ON t.call_id = r.call_id WHERE r.id = $1
"""
DELETE_RECORDING: Final = """
UPDATE recordings SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING call_id, sid, account_sid
"""
RECORDINGS_DUE: Final = (
    "SELECT id FROM recordings WHERE deleted_at IS NULL AND keep_until < $1 ORDER BY keep_until LIMIT $2"
)
NUMBER_OUTSIDE: Final = "SELECT to_number FROM transfers WHERE id = $1"
OUTSIDE_PREFIXES: Final = "SELECT prefix FROM outside_prefixes ORDER BY prefix"
KEEP_VOICEMAIL: Final = """
INSERT INTO voicemails (recording_sid, account_sid, call_sid, call_id, duration_s, is_ready, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (recording_sid) DO UPDATE SET is_ready = voicemails.is_ready OR excluded.is_ready
RETURNING id, xmax = 0 AS is_new
"""
VOICEMAIL: Final = """
SELECT v.id, v.recording_sid, v.account_sid, v.call_id, v.is_ready, v.deleted_at, t.ticket_id
FROM voicemails v LEFT JOIN ticket_calls t ON t.call_id = v.call_id WHERE v.id = $1
"""
DELETE_VOICEMAIL: Final = """
UPDATE voicemails SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING call_id, recording_sid, account_sid
"""
OLD_VOICEMAILS: Final = """
SELECT id FROM voicemails WHERE deleted_at IS NULL AND created_at < $1 ORDER BY created_at LIMIT $2
"""
VOICEMAILS_WITHOUT_CALL: Final = """
SELECT id, account_sid, call_sid, duration_s FROM voicemails
WHERE call_id IS NULL AND deleted_at IS NULL AND created_at > $1 ORDER BY id LIMIT 100
"""
GIVE_VOICEMAIL_ITS_CALL: Final = "UPDATE voicemails SET call_id = $2 WHERE id = $1 AND call_id IS NULL RETURNING id"
LINES: Final = """
SELECT n.number, n.region, n.queue, n.voice, n.voicemail, n.recording, c.settings AS calendar, n.menu
FROM numbers n LEFT JOIN calendars c ON c.key = n.calendar ORDER BY n.number
"""
MENUS: Final = "SELECT key, settings FROM menus"
QUEUE_RULES: Final = """
SELECT q.key, q.recording, c.settings AS calendar FROM queues q LEFT JOIN calendars c ON c.key = q.calendar
WHERE q.is_active AND (q.calendar IS NOT NULL OR q.recording IS NOT NULL)
"""
# Who has left the recorder is known to have; what they left is asked for by a command.
OPEN_CALLS: Final = """
SELECT id, sid, account_sid FROM calls
WHERE left_at IS NULL AND state NOT IN ('wrap_up', 'closed') AND provider = 'twilio' AND sid NOT LIKE 'out:%' AND created_at < now() - make_interval(secs => $1) AND id > $2 ORDER BY id LIMIT $3
"""
TIMED_OUT: Final = "UPDATE calls SET source = 'timed_out' WHERE id = $1"
RECONCILED: Final = "UPDATE calls SET source = 'reconciled' WHERE id = $1"
KNOWN_SIDS: Final = "SELECT sid FROM calls WHERE sid = ANY($1)"
RECONSTRUCT: Final = """
INSERT INTO calls (account_sid, sid, direction, from_raw, from_kind, from_value, to_number, language, state, outcome, source,
                   created_at, ended_at, closed_at, ended_by, queue)
VALUES ($1, $2, 'inbound', $3, $4, $5, $6, $7, 'closed', $10, 'reconciled', $8, $9, $9, 'customer', CASE WHEN $10 = 'voicemail' THEN $11 END)
ON CONFLICT (sid) DO NOTHING RETURNING id
"""
CALLS_24H: Final = """
SELECT count(*) FROM calls WHERE from_value = $1 AND created_at > $2::timestamptz - interval '24 hours'
"""


async def call_by_id(conn: Connection, *, call_id: int) -> Call | None:
    row = await conn.fetchrow(CALL_BY_ID, call_id)
    return None if row is None else call_of(row)


async def lock_call(conn: Connection, *, call_id: int) -> Call | None:
    row = await conn.fetchrow(LOCK_CALL, call_id)
    return None if row is None else call_of(row)


async def lock_call_by_sid(conn: Connection, *, sid: str) -> Call | None:
    row = await conn.fetchrow(LOCK_CALL_BY_SID, sid)
    return None if row is None else call_of(row)


async def lock_call_of_leg(conn: Connection, *, sid: str) -> Call | None:
    row = await conn.fetchrow(LOCK_CALL_OF_LEG, sid)
    return None if row is None else call_of(row)


async def save_call(conn: Connection, call: Call, *, now: datetime) -> None:
    await conn.execute(
        SAVE_CALL, call.id, call.state.value, None if call.outcome is None else call.outcome.value, call.queue, call.agent_id,
        call.offer_id, call.agent_joined, call.caller_joined, call.ended_by, call.version, call.queued_at, call.answered_at,
        call.ended_at, now, call.recorder_at, call.recorder_reason, call.left_at, call.menu_choice, call.hold_wanted, call.held_at,
        call.transfer_id, call.menu_path,
    )  # fmt: skip


async def calls_in_24h(conn: Connection, *, value: str | None, now: datetime) -> int:
    """How often this number has called, this call included."""
    if value is None:
        return 1
    return int(await conn.fetchval(CALLS_24H, value, now) or 1)


def line_of(row: Any, menus: Mapping[str, Menu], queues: Mapping[str, QueueRules]) -> Line:
    voice = row["voice"]
    return Line(
        row["number"],
        row["region"],
        row["queue"],
        voice.get("language", "en"),
        voice.get("texts", {}),
        music=voice.get("music"),
        recorder=Recorder(is_offered=True, **row["voicemail"]) if row["voicemail"] is not None else Recorder(),
        recording=None if row["recording"] is None else Recorded(**row["recording"]),
        calendar=None if row["calendar"] is None else read_calendar(row["calendar"]),
        menu=menus.get(row["menu"]),
        queues=queues,
    )


def queue_rules_of(row: Any) -> QueueRules:
    return QueueRules(
        calendar=None if row["calendar"] is None else read_calendar(row["calendar"]),
        says_recording=row["recording"] is not None,
        recording=Recorded(**row["recording"]) if row["recording"] else None,
    )


async def lines(conn: Connection) -> dict[str, Line]:
    menus = read_menus({row["key"]: row["settings"] for row in await conn.fetch(MENUS)})
    queues = {row["key"]: queue_rules_of(row) for row in await conn.fetch(QUEUE_RULES)}
    return {row["number"]: line_of(row, menus, queues) for row in await conn.fetch(LINES)}
