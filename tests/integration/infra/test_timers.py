"""Timers: rows that survive everything, run once by whoever is alive."""
# ruff: noqa: PT012 - the error comes out of a block

import asyncio
from collections.abc import Callable
from datetime import timedelta
from time import perf_counter

import pytest

from core.errors import Conflict
from infra.local_broker import LocalBroker
from infra.outbox import Outbox, Tx
from infra.postgres import Connection, Database
from infra.timers import BATCH, TimerHandler, TimerRunner, cancel_timer, set_timer
from tests.invariants import broken

pytestmark = pytest.mark.usefixtures("clean")


class Bell:
    """Counts its rings in the database (which a rolled-back transaction takes back) and in memory."""

    def __init__(self) -> None:
        self.rings: list[tuple[int, int]] = []

    async def __call__(self, tx: Tx, object_id: int, version: int) -> None:
        self.rings.append((object_id, version))
        await tx.conn.execute(
            "INSERT INTO config_changes (digest, diff, applied_by) VALUES ($1, '[]', 'bell')", str(object_id)
        )


@pytest.fixture
def runner(outbox: Outbox) -> Callable[..., TimerRunner]:
    def build(**handlers: TimerHandler) -> TimerRunner:
        return TimerRunner(outbox, handlers)

    return build


async def put(outbox: Outbox, kind: str, *object_ids: int, version: int = 1, due_in_s: float = -1) -> None:
    async with outbox.transaction() as tx:
        for object_id in object_ids:
            due_at = tx.now + timedelta(seconds=due_in_s)
            await set_timer(tx, kind, object_id, version=version, due_at=due_at)


async def left(conn: Connection) -> int:
    return int(await conn.fetchval("SELECT count(*) FROM timers"))


async def rung(conn: Connection) -> int:
    return int(await conn.fetchval("SELECT count(*) FROM config_changes"))


async def test_due_timer_runs_once_with_its_version(
    outbox: Outbox, runner: Callable[..., TimerRunner], conn: Connection
) -> None:
    bell = Bell()
    await put(outbox, "bell", 7, version=3)
    await put(outbox, "bell", 8, due_in_s=60)
    await put(outbox, "unknown", 9)
    assert await runner(bell=bell).run_due() == 1
    assert await runner(bell=bell).run_due() == 0
    assert bell.rings == [(7, 3)]
    assert await left(conn) == 2, "what is not due, and what is another process's"
    assert await broken(conn) == {}


async def test_setting_again_moves_and_cancelling_removes(
    outbox: Outbox, runner: Callable[..., TimerRunner], conn: Connection
) -> None:
    bell = Bell()
    await put(outbox, "bell", 7, 8, version=1)
    await put(outbox, "bell", 7, version=2, due_in_s=60)
    async with outbox.transaction() as tx:
        await cancel_timer(tx, "bell", 8)
    assert await runner(bell=bell).run_due() == 0
    await put(outbox, "bell", 7, version=3)
    assert await runner(bell=bell).run_due() == 1
    assert bell.rings == [(7, 3)]


async def test_timer_of_a_rolled_back_transaction_was_never_set(outbox: Outbox, conn: Connection) -> None:
    with pytest.raises(Conflict):
        async with outbox.transaction() as tx:
            await set_timer(tx, "bell", 7, version=1, due_at=tx.now)
            raise Conflict
    assert await left(conn) == 0


async def test_simultaneous_runners_run_each_timer_once(
    database: Database, broker: LocalBroker, outbox: Outbox, conn: Connection
) -> None:
    bell = Bell()
    await put(outbox, "bell", *range(40))
    runners = [TimerRunner(Outbox(database, broker), {"bell": bell}) for _ in range(3)]
    while sum(await asyncio.gather(*(one.run_due() for one in runners))):
        pass
    assert sorted(object_id for object_id, _ in bell.rings) == list(range(40))
    assert (await rung(conn), await left(conn)) == (40, 0)


async def test_failing_handler_keeps_its_timer_and_stops_nobody(
    outbox: Outbox, runner: Callable[..., TimerRunner], conn: Connection
) -> None:
    bell = Bell()

    async def fail(tx: Tx, object_id: int, version: int) -> None:
        await bell(tx, object_id, version)
        raise Conflict("no") if object_id == 1 else KeyError

    await put(outbox, "fail", 1, 2)
    await put(outbox, "bell", 3)
    await runner(fail=fail, bell=bell).run_due()
    rows = await conn.fetch("SELECT object_id, attempts, last_error, due_at > now() AS later FROM timers ORDER BY 1")
    assert [tuple(row) for row in rows] == [(1, 1, "conflict", True), (2, 1, "KeyError", True)]
    assert await rung(conn) == 1, "what the failed handlers did is taken back"


async def test_timer_that_fails_for_days_is_still_tried_each_minute(
    outbox: Outbox, runner: Callable[..., TimerRunner], conn: Connection
) -> None:
    async def fail(_: Tx, __: int, ___: int) -> None:
        raise KeyError

    await put(outbox, "fail", 1)
    await conn.execute("UPDATE timers SET attempts = 32767")
    await runner(fail=fail).run_due()
    row = await conn.fetchrow("SELECT attempts, extract(epoch FROM due_at - now())::float8 AS wait_s FROM timers")
    assert row is not None
    assert row["attempts"] == 1000
    assert 55 < row["wait_s"] < 65


async def test_handler_may_set_its_own_timer_again(
    outbox: Outbox, runner: Callable[..., TimerRunner], conn: Connection
) -> None:
    async def again(tx: Tx, object_id: int, version: int) -> None:
        await set_timer(tx, "again", object_id, version=version + 1, due_at=tx.now + timedelta(seconds=60))

    await put(outbox, "again", 1)
    await runner(again=again).run_due()
    assert await conn.fetchval("SELECT object_version FROM timers") == 2


async def test_timer_that_waits_for_a_lock_does_not_hold_up_the_others(
    outbox: Outbox, runner: Callable[..., TimerRunner], conn: Connection
) -> None:
    bell = Bell()

    async def locked(tx: Tx, _: int, __: int) -> None:
        await tx.conn.execute("LOCK TABLE skills IN ACCESS EXCLUSIVE MODE")

    await put(outbox, "locked", 1, due_in_s=-5)
    await put(outbox, "bell", *range(BATCH - 1))
    async with conn.transaction():
        await conn.execute("LOCK TABLE skills IN ACCESS SHARE MODE")
        pass_ = asyncio.create_task(runner(locked=locked, bell=bell).run_due())
        start = perf_counter()
        while len(bell.rings) < BATCH - 1:
            assert perf_counter() - start < 1.9
            await asyncio.sleep(0.02)
    assert await pass_ == BATCH
    assert await left(conn) == 0


async def test_stray_cancellation_ends_no_runner(
    outbox: Outbox, runner: Callable[..., TimerRunner], conn: Connection
) -> None:
    bell, strays = Bell(), 3

    async def stray(tx: Tx, object_id: int, version: int) -> None:
        nonlocal strays
        strays -= 1
        if strays >= 0:
            raise asyncio.CancelledError
        await bell(tx, object_id, version)

    await put(outbox, "bell", 1)
    loop = asyncio.create_task(runner(bell=stray).run())
    async with asyncio.timeout(5):
        while not bell.rings:  # noqa: ASYNC110 - rung by another task
            await asyncio.sleep(0.02)
    assert not loop.done()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
