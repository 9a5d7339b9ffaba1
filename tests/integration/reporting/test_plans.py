"""A look at the figures costs the same however many contacts are stored: pages read, counted by Postgres itself.

A database of its own with the same day twice: behind it once a week of the past, once ten times as much.
"""

import json
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import pytest

from infra.postgres import Connection, Database, open_database
from reporting import queries as sql
from reporting.catalogue import Group
from reporting.figures import Question, metrics_of, read
from reporting.model import BUCKET, EPOCH, Size, bucket_of
from tests.servers import Addresses, fresh_database

NOW: Final = bucket_of(datetime.now(UTC)) + BUCKET / 2
TODAY: Final = bucket_of(NOW) - timedelta(hours=12)
QUEUES: Final = [f"queue{n}" for n in range(10)]
GROWING: Final = frozenset({"stints", "offers", "agent_intervals", "queue_figures", "answered_waits", "agent_figures"})
PAST: Final = 5_000
MORE: Final = 50_000
ORGANISATION: Final = (
    "INSERT INTO queues (key, name, pool_id) SELECT 'queue' || n, '{\"en\": \"Q\"}', 'pool' FROM generate_series(0, 9) n",
    "INSERT INTO agents (id, name) SELECT n, 'Agent ' || n FROM generate_series(1, 100) n",
)
# $1 the first contact's number, $2 how many, $3 when the first came, $4 how many seconds lie between two.
CONTACTS: Final = (
    """INSERT INTO stints (work_item_id, call_id, queue, entered_at, left_at, connected_at, outcome, within_s, target, short_abandon_s, zone)
       SELECT $1::bigint + n, n, 'queue' || (n % 10), at, at + interval '9 seconds', at + interval '9 seconds', 'answered', 20, 0.8, 5, 'UTC'
       FROM (SELECT n, $3::timestamptz + make_interval(secs => n * $4::float8) AS at FROM generate_series(0, $2::integer - 1) n) t""",
    """INSERT INTO offers (work_item_id, call_id, agent_id, queue, pool_id, step, units, state, created_at, deadline, accepted_at, connected_at,
                           wrap_started_at, ended_at)
       SELECT $1::bigint + n, n, n % 100 + 1, 'queue' || (n % 10), 'pool', 0, 1, 'completed', at, at, at, at, at + interval '60 seconds',
              at + interval '90 seconds'
       FROM (SELECT n, $3::timestamptz + make_interval(secs => n * $4::float8) AS at FROM generate_series(0, $2::integer - 1) n) t""",
    """INSERT INTO agent_intervals (agent_id, state, started_at, ended_at)
       SELECT n % 100 + 1, CASE n / 100 % 2 WHEN 0 THEN 'available' ELSE 'talking' END, at, $3::timestamptz + make_interval(secs => (n + 100) * $4::float8)
       FROM (SELECT n, $3::timestamptz + make_interval(secs => n * $4::float8) AS at FROM generate_series(0, $2::integer - 1) n) t
       WHERE $1::bigint >= 0""",
)
FIGURES: Final = (
    """INSERT INTO queue_figures (bucket, queue, offered, answered, within)
       SELECT b, 'queue' || q, 10, 10, 10 FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 second', '15 minutes') b, generate_series(0, 9) q""",
    """INSERT INTO answered_waits (bucket, queue, wait_s, answered)
       SELECT b, 'queue' || q, 9, 10 FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 second', '15 minutes') b, generate_series(0, 9) q""",
    """INSERT INTO agent_figures (bucket, agent_id, available_us, talking_us)
       SELECT b, a, 500000000, 400000000 FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 second', '15 minutes') b, generate_series(1, 20) a""",
)  # fmt: skip
GAP_S: Final = 43_200 / 2_000
"""Between two contacts of today: 2,000 in twelve hours."""


async def seed(conn: Connection, first: int, count: int, since: datetime, gap_s: float) -> None:
    await conn.execute("SET session_replication_role = replica")  # the past is not a change
    for statement in CONTACTS:
        await conn.execute(statement, first, count, since, gap_s, timeout=60)
    await conn.execute("SET session_replication_role = origin")
    await conn.execute("VACUUM ANALYZE", timeout=60)


async def fill(conn: Connection, since: datetime, until: datetime) -> None:
    for statement in FIGURES:
        await conn.execute(statement, since, until, timeout=60)


@pytest.fixture(scope="module")
async def full(addresses: Addresses) -> AsyncIterator[Database]:
    name = f"ringdesk_figures_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    url = await fresh_database(addresses.postgres, name)
    async with open_database(url, size=3, application="ringdesk tests") as database, database.acquire() as conn:
        await conn.execute("SET statement_timeout = 0")
        for statement in ORGANISATION:
            await conn.execute(statement)
        await conn.execute(
            "INSERT INTO figures_progress (closed_until, filled_from, filled_until) VALUES ($1, $2, $1)",
            bucket_of(NOW),
            EPOCH,
        )
        week = TODAY - timedelta(days=7)
        await fill(conn, week, bucket_of(NOW))
        await seed(conn, 0, PAST, week, 7 * 86_400 / (PAST + 100))
        await seed(conn, PAST, 2_000, TODAY, GAP_S)
        yield database
    server = await asyncpg.connect(addresses.postgres)
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


START: Final = TODAY
LAST: Final = bucket_of(NOW)
STATEMENTS: Final[dict[str, tuple[Any, ...]]] = {
    "STINTS_BETWEEN": (QUEUES, LAST, LAST + BUCKET),
    "OFFERS_BY_QUEUE": (LAST, LAST + BUCKET),
    "OFFERS_BY_AGENT": (LAST, LAST + BUCKET),
    "SEGMENTS_BY_QUEUE": (LAST, LAST + BUCKET),
    "SEGMENTS_BY_AGENT": (LAST, LAST + BUCKET),
    "INTERVALS_BETWEEN": (LAST, LAST + BUCKET),
    "OPEN_STINTS": (QUEUES,),
    "OPEN_STATES": (),
    "QUEUE_SUMS": (START, LAST, [], None, "none", "UTC"),
    "WAITS": (START, LAST, [], None, "none", "UTC"),
    "AGENT_SUMS": (START, LAST, [], None, "none", "UTC"),
    "STINTS_PAGE": ("queue3", START, LAST, START, -1, 500),
    "OFFERS_PAGE": ("queue3", START, LAST, START, -1, 500),
    "SEGMENTS_PAGE": ("queue3", START, LAST, START, -1, 500),
    "OLDEST_FACT": (),
    "REOPENED_BETWEEN": (START, LAST),
    "REOPENED": (200,),
}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def pages_of(conn: Connection, name: str) -> int:
    """Pages read for this statement; no scan of a whole table that grows is among it."""
    answer = await conn.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {getattr(sql, name)}", *STATEMENTS[name])
    plan = (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]
    whole = {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"} & GROWING
    assert not whole, (name, whole)
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


async def test_a_look_costs_the_same_with_ten_times_the_past(full: Database) -> None:
    async with full.acquire() as conn:
        await conn.execute("SET statement_timeout = 0")
        few = {name: await pages_of(conn, name) for name in STATEMENTS}
        before = TODAY - timedelta(days=7 * 10)
        await fill(conn, before - timedelta(days=7), TODAY - timedelta(days=7))
        await seed(conn, 1_000_000, MORE, before - timedelta(days=7), 7 * 10 * 86_400 / (MORE + 100))
        many = {name: await pages_of(conn, name) for name in STATEMENTS}
    # An index grows by a level now and then: a page for each descent.
    dearer = {name: (few[name], many[name]) for name in STATEMENTS if many[name] > 1.5 * few[name] + 20}
    assert dearer == {}


@pytest.mark.parametrize("group", list(Group))
async def test_what_is_stored_and_what_is_not_are_read_as_one(full: Database, group: Group) -> None:
    question = Question(START, LAST + BUCKET, group, Size.NONE)
    async with full.acquire() as conn:
        rows = (await read(conn, question, metrics_of(None, group), now=NOW)).rows
    total = sum(sums.added["offered"] for sums in rows.values())
    loose = sum(LAST <= TODAY + timedelta(seconds=GAP_S * n) < LAST + BUCKET for n in range(2_000))
    assert total == (0 if group is Group.AGENT else (LAST - START) / BUCKET * 10 * 10 + loose)
