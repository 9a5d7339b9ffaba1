"""Limits hold in memory, in Redis, across replicas, and with Redis stopped or hanging."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from time import perf_counter

import pytest
from limits import parse
from redis.asyncio import Redis

from core.errors import Invalid, RateLimited, Unavailable
from infra.ratelimit import RateLimiter

THREE = parse("3 per minute")
STOPPED = "unix:///nonexistent/redis.sock"


async def _room(limiter: RateLimiter, *, key: str = "a") -> int:
    """How many hits still fit (at most five are tried)."""
    for count in range(5):
        try:
            await limiter.hit(THREE, "test", key)
        except RateLimited:
            return count
    return 5


@pytest.fixture(params=["memory", "redis", "redis stopped"])
async def limiter(request: pytest.FixtureRequest, redis: Redis, redis_url: str) -> AsyncIterator[RateLimiter]:
    async with aclosing(
        RateLimiter({"memory": None, "redis": redis_url, "redis stopped": STOPPED}[request.param])
    ) as opened:
        yield opened


async def test_limit_is_per_key_and_clear_forgets(limiter: RateLimiter) -> None:
    assert await _room(limiter) == 3
    with pytest.raises(RateLimited) as caught:
        await limiter.hit(THREE, "test", "a")
    assert caught.value.retry_after_s == 20
    assert await _room(limiter, key="b") == 3
    await limiter.clear(THREE, "test", "a")
    assert await _room(limiter) == 3


async def test_two_replicas_share_one_limit(redis: Redis, redis_url: str) -> None:
    async with aclosing(RateLimiter(redis_url)) as first, aclosing(RateLimiter(redis_url)) as second:
        assert await _room(first) == 3
        assert await _room(second) == 0
        await redis.flushdb()
        assert await _room(first) == 0, "what this process has seen is not forgotten"


async def test_in_lots_two_replicas_still_share_one_limit(redis: Redis, redis_url: str) -> None:
    """120 a minute come in lots of two: never more than the limit, and at most one lot each is held back."""
    limit = parse("120 per minute")
    async with aclosing(RateLimiter(redis_url)) as first, aclosing(RateLimiter(redis_url)) as second:
        for limiter, hits in ((first, 61), (second, 58)):
            for _ in range(hits):
                await limiter.hit_in_lots(limit, "test", "a")
        with pytest.raises(RateLimited):
            await second.hit_in_lots(limit, "test", "a")
        await first.hit_in_lots(limit, "test", "a")  # the second of its last lot
        with pytest.raises(RateLimited) as caught:
            await first.hit_in_lots(limit, "test", "a")
        assert caught.value.retry_after_s == 1


async def test_in_lots_redis_is_asked_once_a_lot(redis: Redis, redis_url: str) -> None:
    async with aclosing(RateLimiter(redis_url)) as limiter:
        before = (await redis.info("stats"))["total_commands_processed"]
        for _ in range(100):
            await limiter.hit_in_lots(parse("1200 per minute"), "test", "a")
        assert (await redis.info("stats"))["total_commands_processed"] - before < 100


async def test_in_lots_this_process_counts_each(limiter: RateLimiter) -> None:
    for _ in range(3):
        await limiter.hit_in_lots(THREE, "test", "a")
    with pytest.raises(RateLimited):
        await limiter.hit_in_lots(THREE, "test", "a")
    await limiter.hit_in_lots(THREE, "test", "b")


async def test_only_failures_count(limiter: RateLimiter) -> None:
    async def attempt(error: Exception | None) -> None:
        async with limiter.only_failures(THREE, "test", "a"):
            if error is not None:
                raise error

    for _ in range(5):
        await attempt(None)
        with pytest.raises(Unavailable):
            await attempt(Unavailable())
    for _ in range(3):
        with pytest.raises(Invalid):
            await attempt(Invalid())
    with pytest.raises(RateLimited):
        await attempt(None)


async def test_tries_under_way_count_as_failures(limiter: RateLimiter) -> None:
    go, started = asyncio.Event(), 0

    async def attempt() -> None:
        nonlocal started
        async with limiter.only_failures(THREE, "test", "a"):
            started += 1
            await go.wait()

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(attempt()) for _ in range(3)]
        while started < 3:  # noqa: ASYNC110 - until all are inside
            await asyncio.sleep(0)
        with pytest.raises(RateLimited):
            await attempt()
        go.set()
    assert all(task.done() for task in running)
    await attempt()


async def test_cancelled_try_counts(limiter: RateLimiter) -> None:
    inside = asyncio.Event()

    async def attempt() -> None:
        async with limiter.only_failures(THREE, "test", "a"):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(attempt())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _room(limiter) == 2


@pytest.fixture
async def hanging_url() -> AsyncIterator[str]:
    """A server that takes connections and never answers."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_hanging_redis_is_left_alone_after_one_wait(hanging_url: str) -> None:
    async with aclosing(RateLimiter(hanging_url)) as limiter:
        start = perf_counter()
        assert await _room(limiter) == 3
        assert await _room(limiter, key="b") == 3
        assert perf_counter() - start < 1.0
