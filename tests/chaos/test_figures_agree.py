"""Figures through a broker that stops and a Redis that starts anew: at each look the board, what is stored and what the facts alone say are
the same sums, of one moment. The long version goes on over two ends of a quarter, and counts what is stored again."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from infra.postgres import Connection, Database, open_database
from reporting import figures, service
from reporting.catalogue import Group
from reporting.figures import Question
from reporting.model import BUCKET, Size, bucket_of
from reporting.queries import progress
from routing import queries as routing_sql
from tests.chaos.loads import nothing_lost
from tests.chaos.stack import IS_FULL, SEED, Stack, until

LONG_S: Final = 1_860.0
SHORT_S: Final = 16.0
LOOK_EVERY_S: Final = 5.0
AWAY_S: Final = 20.0 if IS_FULL else 4.0
FILLED_WITHIN_S: Final = 30.0
STORED: Final = ("queue_figures", "answered_waits", "agent_figures", "figures_progress", "figures_reopened")
CUTS: Final = [(group, size) for group in Group for size in (Size.NONE, Size.QUARTER)]


@dataclass
class Looks:
    database: Database
    done: int = 0
    quarters: set[datetime] = field(default_factory=set)
    """Filled while we looked."""

    async def look(self) -> None:
        """Raises AssertionError for what does not agree. One snapshot, nothing is written."""
        async with self.database.acquire(10) as conn:
            transaction = conn.transaction(isolation="repeatable_read")
            await transaction.start()
            try:
                now = await conn.fetchval("SELECT now()")
                known = await progress(conn)
                stored = await sums(conn, now)
                await assert_board_agrees(conn, now)
                for table in STORED:  # an empty table that hides the real one, for this session
                    await conn.execute(
                        f"CREATE TEMPORARY TABLE {table} (LIKE public.{table} INCLUDING ALL) ON COMMIT DROP"
                    )
                assert await progress(conn) is None, "what is stored is not hidden"
                assert await sums(conn, now) == stored
            finally:
                await transaction.rollback()
        self.done += 1
        if known is not None:
            self.quarters.add(known.filled_until)


async def sums(conn: Connection, now: datetime) -> dict[Any, Any]:
    """Of the last day, by every grouping and cut."""
    start, end = bucket_of(now) - timedelta(days=1), bucket_of(now) + BUCKET
    found: dict[Any, Any] = {}
    for group, size in CUTS:
        answer = await figures.read(conn, Question(start, end, group, size), figures.metrics_of(None, group), now=now)
        for place, row in answer.rows.items():
            plain = (dict(+row.added), dict(row.peaks), dict(+row.waits))
            if any(plain):
                found[group.value, size.value, place] = plain
    return found


async def assert_board_agrees(conn: Connection, now: datetime) -> None:
    """The board counts today of each queue, in its zone; so does a question about that day."""
    board = {row["key"]: row for row in await conn.fetch(routing_sql.BOARD, None) if row["channel"] == "voice"}
    days = await conn.fetch("SELECT key, (now() AT TIME ZONE zone)::date AS today FROM queues WHERE channel = 'voice'")
    todays = {row["key"]: row["today"] for row in days}
    for key, row in board.items():
        question = Question(todays[key], todays[key] + timedelta(days=1), Group.QUEUE, Size.NONE, key)
        answer = await figures.read(conn, question, figures.metrics_of(None, Group.QUEUE), now=now)
        added = next(iter(answer.rows.values())).added if answer.rows else {}
        counted = {name: added.get(name, 0) for name in ("answered", "abandoned", "within")}
        assert counted["answered"] == row["answered"], (key, counted, dict(row))
        assert counted["abandoned"] == row["abandoned"], (key, counted, dict(row))
        assert counted["within"] == row["within"], (key, counted, dict(row))
        assert counted["answered"] + counted["abandoned"] == row["decided"], (key, counted, dict(row))


@asynccontextmanager
async def looked_at(stack: Stack) -> AsyncIterator[Looks]:
    async with open_database(stack.postgres.server.url, size=2, application="looks") as database:
        looks = Looks(database)
        task = asyncio.create_task(_look_again_and_again(looks))
        try:
            yield looks
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await looks.look()


async def _look_again_and_again(looks: Looks) -> None:
    while True:
        await looks.look()
        await asyncio.sleep(LOOK_EVERY_S if IS_FULL else 1.0)


async def broker_stops(stack: Stack) -> None:
    await stack.rabbit.kill()
    await until(lambda: stack.broker_is("down"), within_s=60, what="both replicas say that the broker is down")
    await asyncio.sleep(AWAY_S)
    await stack.rabbit.start()
    await until(lambda: stack.broker_is("up"), within_s=90, what="both replicas use the broker again")


async def redis_starts_anew(stack: Stack) -> None:
    await stack.redis.kill()
    await asyncio.sleep(AWAY_S)
    await stack.redis.start()


@pytest.mark.timeout(3600 if IS_FULL else 600)
async def test_board_history_and_a_recount_agree_at_every_look(stack: Stack) -> None:
    for_s = LONG_S if IS_FULL else SHORT_S
    faults: list[Callable[[Stack], Awaitable[None]]] = [broker_stops, redis_starts_anew]
    async with (
        nothing_lost(stack, "figures agree", seed=SEED, longest_s=2 * for_s + 600) as load,
        looked_at(stack) as looks,
    ):
        await load.answered()
        ends = time.monotonic() + for_s
        for fault in faults:
            await asyncio.sleep(for_s / 4)
            await fault(stack)
            await load.answered()

        async def is_long_enough() -> bool:
            return time.monotonic() > ends and (not IS_FULL or len(looks.quarters) > 2)

        await until(is_long_enough, within_s=2 * for_s, what="two quarters have ended")
    async with open_database(stack.postgres.server.url, size=2, application="looks") as database:
        again = await counted_again(stack, database)
    sys.stdout.write(
        f"looks {looks.done}, ends of a quarter {len(looks.quarters) - 1}, quarters counted again {again}\n"
    )
    assert looks.done >= 5


async def counted_again(stack: Stack, database: Database) -> int:
    """What is stored, stored again from the facts, is the same. Returns the number of quarters."""
    nothing_marked = "SELECT count(*) = 0 AS is_so FROM figures_reopened"

    async def is_kept_up() -> bool:
        return bool((await stack.fetch(nothing_marked))[0]["is_so"])

    await until(is_kept_up, within_s=FILLED_WITHIN_S, what="every quarter is counted again whose facts have changed")
    now = database.clock.now()
    async with database.acquire(10) as conn:
        before = await sums(conn, now)
        count = await service.recompute(conn, start=bucket_of(now) - timedelta(days=1), end=bucket_of(now))
        assert await sums(conn, now) == before
    return count
