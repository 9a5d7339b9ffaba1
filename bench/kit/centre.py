"""A call centre of any size in a database: customers with a history, and agents with a session.

The organisation goes through `apply`; the masses are written in bulk, as no person would wait for 100,000 API requests.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from app.apply import apply
from app.one_off import one_off
from app.org import OrgFile

LINE: Final = "+14155550199"
QUEUE: Final = "support"
HISTORY: Final = 3
"""Closed tickets of each customer, each with a call and a note."""

ORG: Final[dict[str, Any]] = {
    "queues": [{"key": QUEUE, "name": {"en": "Support"}, "offer_timeout_s": 600, "wrap_up": {"mode": "optional"}}],
    "agents": [{"email": "agent0@bench.example", "name": "Agent 0", "queues": [QUEUE]}],
    "numbers": [{"number": LINE, "region": "US", "queue": QUEUE, "voice": {"language": "en"}}],
}

CUSTOMERS: Final = """
INSERT INTO customers (id, name, company, tier, language, note, search_text) OVERRIDING SYSTEM VALUE
SELECT n, 'Customer ' || n, 'Company ' || n % 5000, CASE WHEN n % 20 = 0 THEN 'vip' ELSE 'standard' END, 'en',
       'Prefers a call back in the afternoon.', 'customer ' || n || ' company ' || n % 5000 || ' ' || phone
FROM unnest($1::text[]) WITH ORDINALITY AS t (phone, n)
"""
NUMBERS: Final = """
INSERT INTO customer_identities (customer_id, kind, value, source)
SELECT n, 'phone', phone, 'bench' FROM unnest($1::text[]) WITH ORDINALITY AS t (phone, n)
"""
CALLS: Final = """
INSERT INTO calls (account_sid, sid, direction, from_raw, from_kind, from_value, to_number, queue, state, outcome, created_at,
                   queued_at, answered_at, ended_at, closed_at, talk_s)
SELECT 'ACbench', 'CAhistory' || n || '_' || h, 'inbound', phone, 'phone', phone, $2, $3, 'closed', 'answered', at, at, at + interval '10 s',
       at + interval '200 s', at + interval '230 s', 190
FROM unnest($1::text[]) WITH ORDINALITY AS t (phone, n) CROSS JOIN generate_series(1, $4::integer) h
CROSS JOIN LATERAL (SELECT now() - make_interval(days => h * 30, secs => n) AS at) a
"""
TICKETS: Final = """
INSERT INTO tickets (year, seq, subject, state, queue, customer_id, channel, close_reason, opened_at, updated_at, resolved_at, closed_at)
SELECT 2001, row_number() OVER (), 'Call about order ' || n, 'closed', $2, n, 'voice', 'done', at, at + interval '1 day', at + interval '1 day',
       at + interval '1 day'
FROM generate_series(1, $1::integer) n CROSS JOIN generate_series(1, $3::integer) h
CROSS JOIN LATERAL (SELECT now() - make_interval(days => h * 30, secs => n) AS at) a
"""
TICKET_CALLS: Final = """
INSERT INTO ticket_calls (call_id, ticket_id, is_opener, attached_at, outcome, ended_at)
SELECT c.id, t.id, true, t.opened_at, 'answered', t.updated_at
FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM calls) c JOIN (SELECT id, opened_at, updated_at, row_number() OVER (ORDER BY id) AS n
    FROM tickets) t USING (n)
"""
NOTES: Final = """
INSERT INTO ticket_notes (ticket_id, body, created_at)
SELECT id, 'Asked when the order arrives; promised an answer by the end of the day and kept it.', opened_at + interval '200 s' FROM tickets
"""

USERS: Final = """
WITH made AS (
    INSERT INTO users (email, name, role) SELECT 'agent' || n || '@bench.example', 'Agent ' || n, 'agent' FROM generate_series(1, $1::integer) n
    RETURNING id, name
), agents AS (
    INSERT INTO agents (id, name, pool_id) SELECT m.id, m.name, q.pool_id FROM made m JOIN queues q ON q.key = $2 RETURNING id
)
INSERT INTO agent_queues (agent_id, queue_key) SELECT id, $2 FROM made
"""
SESSIONS: Final = """
INSERT INTO sessions (token_hash, user_id, created_at, last_seen_at)
SELECT hash, id, now(), now() FROM unnest($1::bytea[], $2::bigint[]) AS t (hash, id)
"""
AVAILABLE: Final = (
    (
        "UPDATE agents SET presence = 'available', presence_reason = NULL, presence_since = now(), idle_since = now(), used_units = 0, "
        "over_by = 0, misses = 0 WHERE is_active"
    ),
    "DELETE FROM agent_intervals",
    "INSERT INTO agent_intervals (agent_id, state, started_at) SELECT id, presence, now() FROM agents",
)
FORGET_CALLS: Final = """
TRUNCATE provider_events, work_items, stints, offers, decisions, desk_log, desk_heads, timers, events, deliveries, provider_commands, legs,
    call_notes, painted, pop_layers, call_callers, exclusions
"""
ANALYSED: Final = "VACUUM ANALYZE"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an open session."""

    id: int
    secret: str


def phone_of(number: int) -> str:
    """A valid American number of its own for customer 1, 2, …: area 212 to 980, exchange 200 to 999, no end in 11."""
    area, rest = divmod(number, 7_000_000)
    return f"+1{(212, 213, 214, 215)[area]}{2_000_000 + rest:07d}"


def secret_of(number: int) -> str:
    """Repeatable, of the form that a cookie has."""
    return hashlib.sha256(f"bench {number}".encode()).hexdigest()[:43]


async def furnish(url: str, *, agents: int, customers: int) -> list[Person]:
    """Into a migrated, empty database. Returns the agents."""
    async with one_off(url) as outbox, outbox.transaction(timeout_s=10) as tx:
        await apply(tx, OrgFile.model_validate(ORG), by="bench")
    conn = await asyncpg.connect(url, timeout=10, command_timeout=300)
    try:
        phones = [phone_of(n) for n in range(1, customers + 1)]
        await conn.execute(CUSTOMERS, phones)
        await conn.execute("SELECT setval(pg_get_serial_sequence('customers', 'id'), $1)", customers)
        await conn.execute(NUMBERS, phones)
        await conn.execute(CALLS, phones, LINE, QUEUE, HISTORY)
        await conn.execute(TICKETS, customers, QUEUE, HISTORY)
        await conn.execute(TICKET_CALLS)
        await conn.execute(NOTES)
        await conn.execute(USERS, agents - 1, QUEUE)
        ids = [row["id"] for row in await conn.fetch("SELECT id FROM agents ORDER BY id")]
        people = [Person(agent_id, secret_of(agent_id)) for agent_id in ids]
        hashes = [hashlib.sha256(person.secret.encode()).digest() for person in people]
        await conn.execute(SESSIONS, hashes, ids)
        await make_available(conn)
        await conn.execute(ANALYSED)
        return people
    finally:
        await conn.close(timeout=5)


async def make_available(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    async with conn.transaction():
        for statement in AVAILABLE:
            await conn.execute(statement)


async def forget_calls(url: str) -> None:
    """Between two rounds: no call, no offer, everybody free. Desks stay connected, customers and their history stay."""
    conn = await asyncpg.connect(url, timeout=10, command_timeout=60)
    try:
        async with conn.transaction():
            await conn.execute(FORGET_CALLS)
            await conn.execute("DELETE FROM ticket_calls WHERE attached_at > now() - interval '1 day'")
            await conn.execute("DELETE FROM tickets WHERE opened_at > now() - interval '1 day'")
            await conn.execute("DELETE FROM calls WHERE created_at > now() - interval '1 day'")
        await make_available(conn)
        await conn.execute(ANALYSED)
    finally:
        await conn.close(timeout=5)
