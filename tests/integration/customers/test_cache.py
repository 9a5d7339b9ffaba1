"""Cards from Redis: never stale, and right with Redis erased, stopped or hanging."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic, perf_counter

import pytest
from redis.asyncio import Redis

from core.events import CustomerChanged
from customers import cache, queries, service
from customers.cache import OPEN_S, TIMEOUT_S, circuit_of
from customers.model import CustomerCard
from infra.outbox import Tx
from tests.builders import TESTER, a_customer


@pytest.fixture
def card_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the cards that were read from Postgres."""
    reads: list[int] = []
    real = queries.customer_card

    async def counting(conn: object, *, customer_id: int) -> CustomerCard | None:
        reads.append(customer_id)
        return await real(conn, customer_id=customer_id)  # type: ignore[arg-type]

    monkeypatch.setattr(queries, "customer_card", counting)
    return reads


async def test_second_reader_is_served_from_redis(tx: Tx, redis: Redis, card_reads: list[int]) -> None:
    maria = await a_customer(tx, phone="+14155550123", email="maria@example.com")
    card_reads.clear()
    for version in (None, None, maria.version):
        assert await cache.card(tx.conn, redis, customer_id=maria.id, version=version) == maria
    assert card_reads == [maria.id]
    assert 0 < await redis.ttl(f"ringdesk:customer:{maria.id}") <= cache.TTL_S


async def test_edited_customer_is_never_served_old_even_without_invalidation(tx: Tx, redis: Redis) -> None:
    maria = await a_customer(tx, name="Maria")
    assert await cache.card(tx.conn, redis, customer_id=maria.id) == maria
    new = await service.update_customer(tx, maria.id, version=1, changed={"name": "Marie"}, actor=TESTER)
    assert await cache.card(tx.conn, redis, customer_id=maria.id) == new
    assert await cache.card(tx.conn, redis, customer_id=maria.id, version=2) == new


async def test_slow_reader_that_stores_after_the_edit_does_no_harm(tx: Tx, redis: Redis) -> None:
    maria = await a_customer(tx, name="Maria")
    await cache.card(tx.conn, redis, customer_id=maria.id)
    late = await redis.get(f"ringdesk:customer:{maria.id}")
    assert late is not None
    new = await service.update_customer(tx, maria.id, version=1, changed={"name": "Marie"}, actor=TESTER)
    await cache.forget(redis, CustomerChanged(customer_id=maria.id, version=2))
    await redis.set(f"ringdesk:customer:{maria.id}", late)
    assert await cache.card(tx.conn, redis, customer_id=maria.id) == new
    assert await cache.card(tx.conn, redis, customer_id=maria.id, version=2) == new


async def test_newer_card_than_asked_for_is_served(tx: Tx, redis: Redis) -> None:
    maria = await a_customer(tx, name="Maria")
    new = await service.update_customer(tx, maria.id, version=1, changed={"name": "Marie"}, actor=TESTER)
    await cache.card(tx.conn, redis, customer_id=maria.id)
    assert await cache.card(tx.conn, redis, customer_id=maria.id, version=1) == new


async def test_forget_erases_the_entry(tx: Tx, redis: Redis, card_reads: list[int]) -> None:
    maria = await a_customer(tx)
    await cache.card(tx.conn, redis, customer_id=maria.id)
    await cache.forget(redis, CustomerChanged(customer_id=maria.id, version=1))
    assert await redis.get(f"ringdesk:customer:{maria.id}") is None
    card_reads.clear()
    await redis.flushall()
    assert await cache.card(tx.conn, redis, customer_id=maria.id) == maria
    assert card_reads == [maria.id]


@pytest.mark.parametrize("entry", [b"", b"{", b'{"id": 1}', b"null", b'{"id": 999999, "version": 99}', b"\xff"])
async def test_nonsense_in_redis_is_a_miss(tx: Tx, redis: Redis, entry: bytes) -> None:
    maria = await a_customer(tx)
    await redis.set(f"ringdesk:customer:{maria.id}", entry)
    assert await cache.card(tx.conn, redis, customer_id=maria.id) == maria


async def test_entry_of_another_customer_is_a_miss(tx: Tx, redis: Redis) -> None:
    maria, anna = await a_customer(tx, name="Maria"), await a_customer(tx, name="Anna")
    await cache.card(tx.conn, redis, customer_id=anna.id)
    await redis.copy(f"ringdesk:customer:{anna.id}", f"ringdesk:customer:{maria.id}")
    assert await cache.card(tx.conn, redis, customer_id=maria.id) == maria


async def test_unknown_customer_has_no_card(tx: Tx, redis: Redis) -> None:
    assert await cache.card(tx.conn, redis, customer_id=10**15) is None
    assert await cache.card(tx.conn, redis, customer_id=10**15, version=1) is None
    assert await redis.keys("*") == []


async def test_card_comes_from_postgres_while_redis_is_stopped(tx: Tx) -> None:
    maria = await a_customer(tx)
    async with Redis.from_url("unix:///nonexistent/redis.sock") as stopped:
        for _ in range(3):
            assert await cache.card(tx.conn, stopped, customer_id=maria.id) == maria
        await cache.forget(stopped, CustomerChanged(customer_id=maria.id, version=1))
        assert circuit_of(stopped).is_open


@pytest.fixture
async def hanging() -> AsyncIterator[Redis]:
    """A Redis that takes connections and never answers."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = Redis(host="127.0.0.1", port=port)
    yield client
    await client.aclose()
    server.close()


async def test_hanging_redis_costs_one_short_wait_then_none(tx: Tx, hanging: Redis) -> None:
    maria = await a_customer(tx)
    took = []
    for _ in range(5):
        start = perf_counter()
        assert await cache.card(tx.conn, hanging, customer_id=maria.id) == maria
        took.append(perf_counter() - start)
    assert took[0] < TIMEOUT_S * 5
    assert sum(took[1:]) < TIMEOUT_S


async def test_circuit_closes_again(
    tx: Tx, redis: Redis, card_reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    maria = await a_customer(tx)
    await cache.card(tx.conn, redis, customer_id=maria.id)
    circuit = circuit_of(redis)

    async def failing() -> bytes:
        raise ConnectionError

    assert await circuit.ask(failing()) is None
    card_reads.clear()
    await cache.card(tx.conn, redis, customer_id=maria.id)
    assert card_reads == [maria.id], "Redis is left alone"
    now = monotonic() + OPEN_S
    monkeypatch.setattr("customers.cache.monotonic", lambda: now)
    await cache.card(tx.conn, redis, customer_id=maria.id)
    assert card_reads == [maria.id], "Redis is asked again"
