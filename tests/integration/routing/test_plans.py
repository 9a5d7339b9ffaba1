"""What the hot statements cost when there is a lot of the past: no sequential scan over a table that grows.

A database of its own: 100,000 finished items, offers and stints, a fifth of that in calls, decisions and intervals, 2,000 agents in 20
pools of two queues, 500 live items.
"""

import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import asyncpg
import pytest

from infra.postgres import Connection, Database, open_database
from routing import queries as sql
from tests.servers import Addresses, fresh_database

PAST: Final = 100_000
GROWING: Final = frozenset(
    {"work_items", "offers", "stints", "decisions", "agent_intervals", "exclusions", "timers", "calls"}
)
"""Reading all of one of these is a fault. Open desks and who serves what are as many as agents: those may be hashed."""

SEED: Final = (
    """INSERT INTO queues (key, name, pool_id)
       SELECT 'queue' || n, '{"en": "Q"}', 'pool' || (n / 2) FROM generate_series(0, 39) n""",
    """INSERT INTO agents (id, name, pool_id, presence, presence_since, idle_since, skills)
       SELECT n, 'Agent ' || n, 'pool' || (n % 20), CASE WHEN n % 4 = 0 THEN 'offline' ELSE 'available' END, now(),
              now() - make_interval(secs => n), '{"billing": 3}' FROM generate_series(1, 2000) n""",
    """INSERT INTO agent_queues (agent_id, queue_key)
       SELECT n, 'queue' || ((n % 20) * 2 + q) FROM generate_series(1, 2000) n, generate_series(0, 1) q""",
    """INSERT INTO desk_connections (replica, sid, agent_id, lease_until)
       SELECT 'r', 's' || n, n, now() + interval '1 hour' FROM generate_series(1, 2000) n""",
    f"""INSERT INTO work_items (call_id, ticket_id, queue, pool_id, state, entered_at, virtual_start, steps, rule, ruleset_version,
                                ended_at, end_reason)
        SELECT n, n, 'queue' || (n % 40), 'pool' || (n % 40 / 2), 'done', at, at, '[]', 'r', 1, at, 'answered'
        FROM (SELECT n, now() - make_interval(secs => n * 20) AS at FROM generate_series(1, {PAST}) n) t""",
    """INSERT INTO work_items (call_id, ticket_id, queue, pool_id, state, tier, entered_at, virtual_start, steps, rule, ruleset_version)
       SELECT 1000000 + n, n, 'queue' || (n % 40), 'pool' || (n % 40 / 2), CASE WHEN n % 5 = 0 THEN 'assigned' ELSE 'queued' END, n % 2,
              now() - make_interval(secs => n), now() - make_interval(secs => n), '[]', 'r', 1 FROM generate_series(1, 500) n""",
    f"""INSERT INTO offers (work_item_id, call_id, agent_id, queue, pool_id, step, units, state, created_at, deadline, ended_at)
        SELECT n, n, n % 2000 + 1, 'queue' || (n % 40), 'pool' || (n % 40 / 2), 0, 1, 'completed', now(), now(), now()
        FROM generate_series(1, {PAST}) n""",
    """INSERT INTO offers (work_item_id, call_id, agent_id, queue, pool_id, step, units, state, created_at, deadline)
       SELECT i.id, i.call_id, row_number() OVER (), i.queue, i.pool_id, 0, 1, 'accepted', now(), now() FROM work_items i
       WHERE i.state = 'assigned'""",
    f"""INSERT INTO stints (work_item_id, call_id, queue, entered_at, left_at, connected_at, outcome, within_s, target, short_abandon_s, zone)
        SELECT n, n, 'queue' || (n % 40), at, at, at, 'answered', 20, 0.8, 5, 'UTC'
        FROM (SELECT n, now() - make_interval(secs => n * 20) AS at FROM generate_series(1, {PAST}) n) t""",
    f"""INSERT INTO decisions (work_item_id, offer_id, at, ruleset_version, rule, step, chosen_agent_id, verdicts, counts)
        SELECT n, n, now(), 1, 'r', 0, 1, '[]', '{{}}' FROM generate_series(1, {PAST // 5}) n""",
    f"""INSERT INTO agent_intervals (agent_id, state, started_at, ended_at)
        SELECT n % 2000 + 1, 'available', now() - make_interval(secs => n), now() - make_interval(secs => n) FROM generate_series(1, {PAST // 5}) n""",
    "INSERT INTO agent_intervals (agent_id, state, started_at) SELECT n, 'available', now() FROM generate_series(1, 2000) n",
    f"""INSERT INTO calls (account_sid, sid, direction, from_raw, from_kind, to_number, state, outcome, created_at)
        SELECT 'AC', 'CA' || n, 'inbound', '', 'withheld', '', 'closed', 'answered', now() FROM generate_series(1, {PAST // 5}) n""",
    """INSERT INTO exclusions (work_item_id, agent_id, until, reason)
       SELECT n, n % 2000 + 1, now(), 'rejected' FROM generate_series(1, 20000) n""",
    """INSERT INTO timers (kind, object_id, object_version, due_at)
       SELECT 'routing.step', n, 0, now() + interval '1 hour' FROM generate_series(1, 5000) n""",
)  # fmt: skip


@pytest.fixture(scope="module")
async def full(addresses: Addresses) -> AsyncIterator[Database]:
    name = f"ringdesk_plans_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    url = await fresh_database(addresses.postgres, name)
    async with open_database(url, size=2, application="ringdesk tests") as database, database.acquire() as conn:
        await conn.execute("SET statement_timeout = 0")
        for statement in SEED:
            await conn.execute(statement, timeout=60)
        await conn.execute("ANALYZE", timeout=60)
        await conn.execute("SET statement_timeout = '5s'")
        yield database
    server = await asyncpg.connect(addresses.postgres)
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


HOT: Final[dict[str, tuple[Any, ...]]] = {
    "TRY_POOL_LOCK": ("pool3", None),
    "OPEN_STEPS": ("pool3", None),
    "RENEW_TALKS": (),
    "NEWLY_KEPT": ("pool3", None),
    "KEEP_OR_RELEASE": ("pool3", None),
    "NEEDS": ("pool3",),
    "FREE_PROFILES_BY_IDLE": ("pool3", None, [1, 2]),
    "FREE_PROFILES_BY_TURN": ("pool3", None, [1, 2]),
    "LONGEST_IDLE": ("pool3", None, 16, ["queue3"]),
    "AHEAD": (1_000_003,),
    "PROFILES": ("pool3",),
    "PROFILES_SEEN": ("pool3",),
    "OLDEST": ("pool3", [1, 2]),
    "AGENTS_AMONG": ("pool3", [5, 6]),
    "CANDIDATES_BY_IDLE": ("pool3", None, [1, 2], 9),
    "CANDIDATES_BY_WEIGHT": ("pool3", None, [1, 2], 9),
    "CANDIDATES_BY_LOAD": ("pool3", None, [1, 2], 9),
    "TICKET_CANDIDATES_BY_TURN": ("pool3", None, [1, 2], 9),
    "TICKET_CANDIDATES_BY_LOAD": ("pool3", None, [1, 2], 9),
    "FREE_PROFILES_BY_LOAD": ("pool3", None, [1, 2]),
    "TICKET_PROFILES_BY_TURN": ("pool3", None, [1, 2]),
    "TICKET_PROFILES_BY_LOAD": ("pool3", None, [1, 2]),
    "CANDIDATES_BY_TURN": ("pool3", None, [1, 2], 9),
    "FREE_OF_PROFILES": ("pool3", None, [1, 2]),
    "RULES_IN_FORCE": ("queue3", None),
    "LOCK_QUEUE": ("queue3",),
    "WAITING_ITEMS": ("pool3", [1, 2], None, 16),
    "POOL_AGENTS": ("pool3", 2000),
    "LOCK_LIVE_CALLS": ([1, 2, 3],),
    "LOCK_FREE_AGENTS": ([5, 6, 7, 8], [6]),
    "LOCK_AGENTS": ([5, 6, 7, 8],),
    "LOCK_QUEUED_ITEMS": ([1, 2, 3],),
    "MAKE_OFFERS": ([100_001, 100_002], [5, 6], [0, 0], [20, 20], None),
    "REFRESH_INTERVALS": ([5, 6, 7], None),
    "OFFER": (77,),
    "OPEN_OFFERS_OF_ITEM": (77,),
    "LIVE_OFFERS_OF_AGENT": (5,),
    "OPEN_OFFER_OF_CALL": (77, 5),
    "ITEM_OF_CALL": (77,),
    "LOCK_ITEM": (77,),
    "ACCEPT_OFFER": (77, None),
    "END_OFFERS": ([77, 78], "rejected", "rejected", None, None),
    "END_STINT": (77, "abandoned", None),
    "FREE_AGENTS": ([5, 6], [1, 1], [False, True], None),
    "SET_NEXT_LOOK": (77, None),
    "AGENT": (5,),
    "WAIT_STATE": (1_000_003,),
    "BOARD": (None,),
    "IN_HAND_OF_QUEUE": ("queue3", 100),
    "OVERDUE_OFFERS": (),
    "OVERDUE_WRAP_UPS": (),
    "LOST_AGENTS": (),
    "AGENTS_LIVE": (),
    "ITEM_DETAIL": (77, 5),
    "DECISIONS_OF_ITEM": (77,),
}
MANY_AGENTS: Final = frozenset({"BOARD", "LOST_AGENTS", "AGENTS_LIVE"})


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def plan_of(conn: Connection, name: str, mode: str) -> list[dict[str, Any]]:
    now = await conn.fetchval("SELECT now()")
    timed = {
        "TRY_POOL_LOCK",
        "OPEN_STEPS",
        "NEWLY_KEPT",
        "KEEP_OR_RELEASE",
        "FREE_PROFILES_BY_IDLE",
        "FREE_PROFILES_BY_TURN",
        "CANDIDATES_BY_IDLE",
        "CANDIDATES_BY_TURN",
        "CANDIDATES_BY_WEIGHT",
        "CANDIDATES_BY_LOAD",
        "TICKET_CANDIDATES_BY_TURN",
        "TICKET_CANDIDATES_BY_LOAD",
        "FREE_PROFILES_BY_LOAD",
        "TICKET_PROFILES_BY_TURN",
        "TICKET_PROFILES_BY_LOAD",
        "FREE_OF_PROFILES",
        "LONGEST_IDLE",
        "RULES_IN_FORCE",
        "WAITING_ITEMS",
        "MAKE_OFFERS",
        "REFRESH_INTERVALS",
        "ACCEPT_OFFER",
        "END_STINT",
        "FREE_AGENTS",
    }
    args = [now if arg is None and name in timed | {"SET_NEXT_LOOK", "END_OFFERS"} else arg for arg in HOT[name]]
    if name == "END_OFFERS":
        args[3] = None
    transaction = conn.transaction()
    await transaction.start()
    try:
        await conn.execute(f"SET LOCAL plan_cache_mode = {mode}")
        explained = await conn.fetchval(f"EXPLAIN (FORMAT JSON) {getattr(sql, name)}", *args)
    finally:
        await transaction.rollback()
    found = json.loads(explained) if isinstance(explained, str) else explained
    return list(nodes(found[0]["Plan"]))


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("name", HOT)
async def test_no_sequential_scan_over_what_grows(full: Database, name: str, mode: str) -> None:
    async with full.acquire() as conn:
        plan = await plan_of(conn, name, mode)
    scanned = {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"}
    limit = GROWING if name in MANY_AGENTS else GROWING | {"agents"}
    assert not scanned & limit, [(n["Node Type"], n.get("Relation Name")) for n in plan]


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("NEEDS", "work_items_needs"),
        ("WAITING_ITEMS", "work_items_needs"),
        ("OLDEST", "work_items_oldest"),
        ("FREE_PROFILES_BY_IDLE", "agents_free_idle"),
        ("FREE_PROFILES_BY_TURN", "agents_free_turn"),
        ("CANDIDATES_BY_IDLE", "agents_free_idle"),
        ("CANDIDATES_BY_TURN", "agents_free_turn"),
        ("CANDIDATES_BY_WEIGHT", "agents_free_weighted"),
        ("CANDIDATES_BY_LOAD", "agents_free_load"),
        ("TICKET_CANDIDATES_BY_TURN", "agents_for_tickets_turn"),
        ("TICKET_CANDIDATES_BY_LOAD", "agents_for_tickets_load"),
        ("POOL_AGENTS", "agents_not_free"),
        ("OPEN_OFFERS_OF_ITEM", "offers_item"),
        ("LIVE_OFFERS_OF_AGENT", "offers_open"),
    ],
)
async def test_the_index_made_for_it_is_used(full: Database, name: str, index: str) -> None:
    async with full.acquire() as conn:
        plan = await plan_of(conn, name, "force_generic_plan")
    assert index in {node.get("Index Name") for node in plan}


async def test_of_a_large_pool_only_as_many_agents_are_read_as_are_asked_for(full: Database) -> None:
    async with full.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute("UPDATE agents SET pool_id = 'pool3'")
        await conn.execute("ANALYZE agents")
        plan = await conn.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql.POOL_AGENTS}", "pool3", 40)
        await transaction.rollback()
        await conn.execute("ANALYZE agents")
    found = json.loads(plan) if isinstance(plan, str) else plan
    read = [node["Actual Rows"] for node in nodes(found[0]["Plan"]) if node.get("Relation Name") == "agents"]
    assert read
    assert max(read) <= 40
    assert "agents_free" in {node.get("Index Name") for node in nodes(found[0]["Plan"])}


async def test_heads_are_read_in_the_order_of_the_index(full: Database) -> None:
    """A line of any length costs its heads: nothing sorts a whole queue."""
    async with full.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute(
            "INSERT INTO work_items (ticket_id, queue, pool_id, state, entered_at, virtual_start, steps, rule, ruleset_version) "
            "SELECT n, 'queue6', 'pool3', 'queued', now(), now() - make_interval(secs => n), '[]', 'r', 1 FROM generate_series(1, 20000) n"
        )
        await conn.execute("ANALYZE work_items")
        needs = [row["need"] for row in await conn.fetch(sql.NEEDS, "pool3")]
        plan = await conn.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {sql.WAITING_ITEMS}", "pool3", needs, full.clock.now(), 50
        )
        await transaction.rollback()
        await conn.execute("ANALYZE work_items")
    found = json.loads(plan) if isinstance(plan, str) else plan
    read = [node["Actual Rows"] for node in nodes(found[0]["Plan"]) if node.get("Relation Name") == "work_items"]
    assert read
    assert max(read) <= 50
    assert "work_items_needs" in {node.get("Index Name") for node in nodes(found[0]["Plan"])}
