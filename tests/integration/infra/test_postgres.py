"""The pool: waits are bounded and fair, connections are handed on clean, errors say what they mean, the clock is the database's."""
# ruff: noqa: PT012 - the error comes out of a block

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from time import perf_counter

import asyncpg
import pytest

from core.errors import Unavailable
from infra.postgres import CONNECTION_ERRORS, Connection, Database, DatabaseClock, open_database
from tests.link import Mode, link_to_postgres


@pytest.fixture
async def small(database_url: str) -> AsyncIterator[Database]:
    """A pool of one connection."""
    async with open_database(database_url, size=1) as opened:
        yield opened


async def _pid(database: Database) -> int:
    async with database.acquire() as conn:
        return int(await conn.fetchval("SELECT pg_backend_pid()"))


async def test_waiting_for_a_connection_is_bounded(small: Database) -> None:
    async with small.acquire():
        start = perf_counter()
        with pytest.raises(Unavailable):
            async with small.acquire(0.1):
                pytest.fail("there is only one connection")
        assert perf_counter() - start < 0.5
    assert await _pid(small)


async def test_connections_are_given_in_the_order_of_asking(small: Database) -> None:
    order: list[int] = []

    async def ask(number: int) -> None:
        async with small.acquire(5) as conn:
            order.append(number)
            await conn.fetchval("SELECT 1")
            if number < 5:
                late.append(asyncio.create_task(ask(number + 100)))  # a late comer may not overtake those who wait

    late: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as tasks:
        for number in range(30):
            tasks.create_task(ask(number))
    await asyncio.gather(*late)
    assert order == [*range(30), *range(100, 105)]


async def test_cancelled_waiters_take_no_place(small: Database) -> None:
    async with small.acquire():
        waiters = [asyncio.create_task(_pid(small)) for _ in range(20)]
        await asyncio.sleep(0)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
    assert await asyncio.gather(*(_pid(small) for _ in range(3)))


async def test_waiter_cancelled_as_its_turn_comes_takes_no_place(small: Database) -> None:
    for _ in range(20):
        holder = small.acquire()
        await holder.__aenter__()
        waiter = asyncio.create_task(_pid(small))
        await asyncio.sleep(0)
        await holder.__aexit__(None, None, None)  # the waiter's turn has come, but it has not run yet
        waiter.cancel()
        with suppress(asyncio.CancelledError):
            await waiter
    assert await _pid(small)


async def test_connection_left_in_a_transaction_is_not_handed_on(small: Database) -> None:
    async def leave_open() -> None:
        async with small.acquire() as conn:
            await conn.execute("BEGIN")
            await conn.execute("CREATE TEMPORARY TABLE left_open (id integer)")
            raise RuntimeError

    before = await _pid(small)
    with pytest.raises(RuntimeError):
        await leave_open()
    async with small.acquire() as conn:
        assert not conn.is_in_transaction()
        assert await conn.fetchval("SELECT to_regclass('left_open')") is None
    assert await _pid(small) != before


async def test_connection_of_a_cancelled_statement_is_handed_on_clean(small: Database) -> None:
    async def sleep() -> None:
        async with small.acquire() as conn, conn.transaction():
            await conn.execute("SELECT pg_sleep(30)")

    for _ in range(3):
        task = asyncio.create_task(sleep())
        await asyncio.sleep(0.05)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        async with small.acquire(3) as conn:
            assert not conn.is_in_transaction()
            assert await conn.fetchval("SELECT 1") == 1


async def test_backend_killed_in_a_transaction_is_replaced(small: Database, conn: Connection) -> None:
    pid = await _pid(small)
    with pytest.raises(CONNECTION_ERRORS):
        async with small.acquire() as victim, victim.transaction():
            await conn.execute("SELECT pg_terminate_backend($1)", pid)
            await victim.fetchval("SELECT 1")
    assert await _pid(small) not in (0, pid)


@pytest.mark.parametrize(
    ("setting", "statement"),
    [
        ("statement_timeout = '50ms'", "SELECT pg_sleep(10)"),
        ("transaction_read_only = on", "INSERT INTO skills (key, name) VALUES ('x', '{}')"),
        ("idle_in_transaction_session_timeout = '20ms'", None),
    ],
)
async def test_trouble_of_the_database_has_one_meaning(small: Database, setting: str, statement: str | None) -> None:
    with pytest.raises(CONNECTION_ERRORS):
        async with small.acquire() as conn, conn.transaction():
            await conn.execute(f"SET LOCAL {setting}")
            if statement is None:
                await asyncio.sleep(0.1)
            await conn.execute(statement or "SELECT 1")
    assert await _pid(small)


async def test_read_only_server_makes_the_pool_connect_again(small: Database) -> None:
    before = await _pid(small)
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with small.acquire() as conn, conn.transaction():
            await conn.execute("SET LOCAL transaction_read_only = on")
            await conn.execute("DELETE FROM skills")
    assert await _pid(small) != before


async def test_a_connection_that_has_lost_count_is_replaced_and_means_trouble(small: Database) -> None:
    """As asyncpg says when the server dies in the middle of a message; loops wait for the database then, and go on."""
    before = await _pid(small)
    with pytest.raises(CONNECTION_ERRORS):
        async with small.acquire():
            raise asyncpg.InternalClientError("got result for unknown protocol state 3")
    assert await _pid(small) != before


async def test_every_session_has_its_time_outs(small: Database) -> None:
    async with small.acquire() as conn:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        assert [await conn.fetchval("SELECT current_setting($1)", name) for name in names] == ["5s", "2s", "10s"]


async def test_database_that_does_not_answer_is_unavailable(database_url: str) -> None:
    async with link_to_postgres(database_url) as (link, url):
        async with open_database(url, size=2) as opened:
            assert await _pid(opened)
            await link.set(Mode.RESET)
            for _ in range(3):
                with pytest.raises((Unavailable, *CONNECTION_ERRORS)):
                    await _pid(opened)
            await link.set(Mode.PASS)
            assert await _pid(opened)
        await link.set(Mode.RESET)
        with pytest.raises(Unavailable):
            async with open_database(url, size=1):
                pytest.fail("nobody is there")
    with pytest.raises(Unavailable, match="refuses"):
        async with open_database(database_url.replace("/ringdesk_", "/no_such_"), size=1):
            pytest.fail("there is no such database")


async def test_frozen_database_holds_nobody_longer_than_a_second(database_url: str) -> None:
    async with (
        link_to_postgres(database_url) as (link, url),
        open_database(url, size=1) as opened,
        opened.acquire() as conn,
    ):
        await link.set(Mode.SWALLOW)
        start = perf_counter()
        with pytest.raises(TimeoutError):
            await conn.fetchval("SELECT 1", timeout=0.3)
        with pytest.raises(Unavailable):
            await _pid(opened)
        assert perf_counter() - start < 2.5
        await link.set(Mode.PASS)


async def test_clock_is_the_databases(conn: Connection) -> None:
    class AnHourAhead:
        async def fetchval(self, _: str) -> float:
            return float(await conn.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")) + 3600

    clock = DatabaseClock()
    await clock.sync(conn)
    assert abs(clock.now() - await conn.fetchval("SELECT clock_timestamp()")) < timedelta(milliseconds=50)
    await clock.sync(AnHourAhead())  # type: ignore[arg-type]
    ahead = clock.now() - await conn.fetchval("SELECT clock_timestamp()")
    assert abs(ahead - timedelta(hours=1)) < timedelta(milliseconds=50)
