"""`/metrics`: the figures are right, and reading them is cheap however long the past is."""

import os
import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from app.operations import operations_app
from infra import outbox, timers
from infra.postgres import Database, open_database
from routing import queries as routing_sql
from tests.servers import Addresses, fresh_database
from tests.stack import Stack


async def test_figures_of_a_call(stack: Stack) -> None:
    """What one caller does to the figures, from the first ring to the end."""

    async def value(name: str, **labels: str) -> float:
        async with stack.http.get(f"{stack.url}/metrics") as response:
            families = text_string_to_metric_families(await response.text())
        return sum(
            s.value for f in families for s in f.samples if s.name == name and labels.items() <= s.labels.items()
        )

    counted = {
        "ringdesk_offers_made_total": {},
        "ringdesk_offers_total": {"outcome": "accepted"},
        "ringdesk_calls_ended_total": {"outcome": "answered"},
        "ringdesk_pop_sent_seconds_count": {},
        "ringdesk_deliveries_total": {"consumer": "ticketing.close_call", "result": "done"},
    }
    before = {name: await value(name, **labels) for name, labels in counted.items()}
    leg = await stack.dial()
    assert await value("ringdesk_queue_waiting", queue="support") == 1
    assert await value("ringdesk_pool_agents_free") == 0
    assert await value("ringdesk_queue_longest_wait_seconds", queue="sales") == 0
    ava = await stack.agent("ava")
    assert await value("ringdesk_pool_agents_free") == 1
    await ava.take()
    assert await value("ringdesk_queue_waiting", queue="support") == 0
    leg.hang_up()
    await stack.quiet()
    for name, labels in counted.items():
        assert await value(name, **labels) == before[name] + 1, name
    assert await value("ringdesk_outbox_undone") == 0
    for part in ("database", "broker", "redis"):
        assert await value("ringdesk_part_up", part=part) == 1


async def test_figures_of_what_is_owed(stack: Stack) -> None:
    await stack.rows(
        "INSERT INTO events (id, name, v, body, created_at) VALUES (9000001, 'x', 1, '{}', now() - interval '5 minutes')"
    )
    await stack.rows(
        "INSERT INTO deliveries (event_id, consumer, next_at) VALUES (9000001, 'x', now() + interval '1 hour')"
    )
    await stack.rows("INSERT INTO deliveries (event_id, consumer, parked_at) VALUES (9000001, 'y', now())")
    await stack.rows("INSERT INTO timers VALUES ('x', 1, 0, now() - interval '1 minute')")
    async with stack.http.get(f"{stack.url}/metrics") as response:
        figures = dict(line.rsplit(" ", 1) for line in (await response.text()).splitlines() if "{" not in line)
    assert float(figures["ringdesk_outbox_undone"]) == 1
    assert float(figures["ringdesk_outbox_parked"]) == 1
    assert 300 <= float(figures["ringdesk_outbox_lag_seconds"]) < 330
    assert 60 <= float(figures["ringdesk_timers_overdue_seconds"]) < 90
    for table in ("deliveries", "events", "timers"):
        await stack.rows(f"DELETE FROM {table}")


async def test_worker_serves_its_own_operations(stack: Stack) -> None:
    """Passes and deliveries are counted where they are made; a worker has no other pages."""
    async with TestClient(TestServer(operations_app(stack.parts.resources))) as client:
        for path in ("/healthz", "/readyz", "/metrics", "/version"):
            async with client.get(path) as response:
                assert response.status == 200
        assert "ringdesk_dispatch_pass_seconds_count" in await (await client.get("/metrics")).text()
        assert (await client.get("/api/v1/session")).status == 404


@pytest.fixture(scope="module")
async def long_past(addresses: Addresses) -> AsyncIterator[Database]:
    """300,000 done deliveries and as many finished items: what a scrape must never read."""
    name = f"ringdesk_scrape_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    async with open_database(await fresh_database(addresses.postgres, name), size=2) as database:
        async with database.acquire() as conn:
            await conn.execute("SET statement_timeout = 0")
            for statement in (
                "INSERT INTO events (id, name, v, body) SELECT n, 'x', 1, '{}' FROM generate_series(1, 300000) n",
                "INSERT INTO deliveries (event_id, consumer, done_at) SELECT n, 'x', now() FROM generate_series(1, 300000) n",
                "INSERT INTO queues (key, name, pool_id) SELECT 'q' || n, '{}', 'p' || n / 2 FROM generate_series(0, 39) n",
                """INSERT INTO work_items (call_id, ticket_id, queue, pool_id, state, entered_at, virtual_start, steps, rule, ruleset_version, ended_at, end_reason)
                   SELECT n, n, 'q' || n % 40, 'p' || n % 40 / 2, 'done', now(), now(), '[]', 'r', 1, now(), 'x' FROM generate_series(1, 300000) n""",
                """INSERT INTO stints (work_item_id, queue, entered_at, left_at, outcome, within_s, target, short_abandon_s, zone)
                   SELECT n, 'q' || n % 40, now(), now(), 'abandoned', 20, 0.8, 5, 'UTC' FROM generate_series(1, 300000) n""",
                """INSERT INTO agents (id, name, pool_id, presence, presence_since, idle_since)
                   SELECT n, 'A', 'p' || n % 20, 'offline', now(), now() FROM generate_series(1, 20000) n""",
                "INSERT INTO agent_queues (agent_id, queue_key) SELECT n, 'q' || n % 40 FROM generate_series(1, 20000) n",
                """INSERT INTO desk_connections (replica, sid, agent_id, lease_until)
                   SELECT 'r', n, n, now() FROM generate_series(1, 20000) n""",
                "INSERT INTO timers SELECT 'x', n, 0, now() + interval '1 hour' FROM generate_series(1, 20000) n",
                "ANALYZE",
            ):
                await conn.execute(statement, timeout=100)
        yield database
    server = await asyncpg.connect(addresses.postgres)
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


@pytest.mark.parametrize(
    "statement", [outbox.LAG, timers.TIMERS_OVERDUE, routing_sql.QUEUE_FIGURES, routing_sql.POOL_FIGURES]
)
async def test_scrape_reads_no_table_that_grows(long_past: Database, statement: str) -> None:
    async with long_past.acquire() as conn:
        plan = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {statement}"))
    assert not re.search(r"Seq Scan on (?!queues)", plan), plan
    took = re.search(r"Execution Time: ([\d.]+) ms", plan)
    assert took is not None
    assert float(took.group(1)) < 200, plan
