"""A page of the call log costs the same however many calls there are: pages read, counted by Postgres itself."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import pytest

from infra.postgres import Database, open_database
from realtime import call_queries as sql
from tests.servers import Addresses, fresh_database

FEW: Final = 20_000
MORE: Final = 180_000
GROWING: Final = frozenset(
    {"calls", "legs", "segments", "offers", "tickets", "ticket_calls", "missed_contacts", "missed_calls"}
)
NOW: Final = datetime.now(UTC).replace(microsecond=0)
# $1 the first call's number, $2 how many: one each ten seconds, backwards from $3. Every 50th is ours, every seventh reached nobody.
CALLS: Final = (
    """INSERT INTO calls (account_sid, sid, direction, from_raw, from_kind, from_value, to_number, queue, state, outcome, agent_id, created_at,
                          queued_at, answered_at, ended_at, closed_at)
       SELECT 'AC', 'CA' || n, CASE WHEN n % 50 = 0 THEN 'outbound' ELSE 'inbound' END, '', 'e164', '+1415' || (n % 5000), '+1416' || (n % 5000),
              'queue' || (n % 10), 'closed', CASE WHEN n % 7 = 0 THEN 'abandoned_queue' ELSE 'answered' END, n % 100 + 1, at, at, at, at, at
       FROM (SELECT n, $3::timestamptz - make_interval(secs => n * 10) AS at FROM generate_series($1::integer, $1::integer + $2::integer - 1) n) t""",
    """INSERT INTO missed_contacts (number, number_kind, to_number, queue, outcome, first_at, last_at, last_call_id, state, result, done_at)
       SELECT '+1417' || n, 'e164', '+14155550199', 'queue' || (n % 10), 'abandoned_queue', at, at, n, CASE WHEN n % 100 = 0 THEN 'open' ELSE 'done' END,
              CASE WHEN n % 100 = 0 THEN NULL ELSE 'no_need' END, CASE WHEN n % 100 = 0 THEN NULL ELSE at END
       FROM (SELECT n, $3::timestamptz - make_interval(secs => n * 10) AS at FROM generate_series($1::integer, $1::integer + $2::integer - 1) n) t
       WHERE n % 7 = 0""",
)  # fmt: skip
NOTHING: Final[dict[str, Any]] = dict.fromkeys(
    ("sid", "from_value", "numbers", "customer_id", "states", "directions", "outcomes", "queue", "agent_id", "since", "until", "before", "viewer")
)  # fmt: skip
QUESTIONS: Final[dict[str, dict[str, Any]]] = {
    "all": {},
    "far down": {"before": (NOW - timedelta(hours=40), 1)},
    "a day": {"since": NOW - timedelta(hours=30), "until": NOW - timedelta(hours=20)},
    "a queue": {"queue": "queue3"},
    "a queue and an outcome": {"queue": "queue3", "outcomes": ["abandoned_queue"]},
    "what went wrong": {"outcomes": ["abandoned_queue", "failed"]},
    "what never happens": {"outcomes": ["deflected"]},
    "an agent": {"agent_id": 7},
    "ours": {"directions": ["outbound"]},
    "a number that is unknown": {"numbers": ["+4930901820"]},
    "a call": {"sid": "CA77"},
    "what goes on": {"states": ["queued", "in_call"]},
    "for an agent": {"viewer": 8},
}


class Explaining:
    """Stands for a connection: answers as it does, and counts the pages that each statement reads."""

    def __init__(self, conn: Any) -> None:
        self._conn, self.pages = conn, 0

    async def fetch(self, statement: str, *args: Any) -> Any:
        answer = await self._conn.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *args)
        plan = (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]
        self.pages += int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])
        whole = {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"} & GROWING
        assert not {name for name in whole if name == "calls"}, statement
        return await self._conn.fetch(statement, *args)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


@pytest.fixture
async def empty(addresses: Addresses) -> AsyncIterator[Database]:
    name = f"ringdesk_call_log_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    url = await fresh_database(addresses.postgres, name)
    async with open_database(url, size=2, application="ringdesk tests") as database:
        yield database
    server = await asyncpg.connect(addresses.postgres)
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


async def seed(conn: Any, first: int, count: int) -> None:
    for statement in CALLS:
        await conn.execute(statement, first, count, NOW, timeout=120)
    await conn.execute("VACUUM ANALYZE", timeout=120)


async def costs(conn: Any) -> dict[str, int]:
    found = {}
    for name, question in QUESTIONS.items():
        counting = Explaining(conn)
        await sql.calls_listed(counting, **{**NOTHING, **question}, limit=51)  # type: ignore[arg-type]
        found[name] = counting.pages
    lists: dict[str, dict[str, Any]] = {"missed": {}, "of nobody": {"without_owner": True}, "done": {"state": "done"}}
    for name, more in lists.items():
        counting = Explaining(conn)
        asked = {
            "state": "open",
            "queue": None,
            "owner": None,
            "without_owner": False,
            "before": None,
            "viewer": None,
            **more,
        }
        await sql.missed_listed(counting, **asked, limit=51)  # type: ignore[arg-type]
        found[name] = counting.pages
    return found


async def test_a_page_costs_the_same_with_ten_times_the_calls(empty: Database) -> None:
    async with empty.acquire() as conn:
        await conn.execute("SET statement_timeout = 0")
        await conn.execute(
            "INSERT INTO queues (key, name, pool_id) SELECT 'queue' || n, '{\"en\": \"Q\"}', 'pool' FROM generate_series(0, 9) n"
        )
        await conn.execute("INSERT INTO agents (id, name) SELECT n, 'Agent ' || n FROM generate_series(1, 100) n")
        await conn.execute(
            "INSERT INTO agent_queues (agent_id, queue_key) SELECT n, 'queue' || (n % 10) FROM generate_series(1, 100) n"
        )
        await seed(conn, 1, FEW)
        few = await costs(conn)
        await seed(conn, FEW + 1, MORE)
        many = await costs(conn)
    # An index grows by a level now and then: a page for each descent.
    dearer = {name: (few[name], many[name]) for name in few if many[name] > 1.5 * few[name] + 60}
    assert dearer == {}, many
