"""What the relay drains: undone deliveries sent to their consumer's queue, in events a second; local broker and RabbitMQ.

    python3 dev.py bench relay [--quick]

The floor is the same pattern bare: batches of 100 claimed with SKIP LOCKED and published with pipelined confirms, one transaction each.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aio_pika
import asyncpg

from bench.kit.report import Report, options, run, say, spread
from bench.kit.servers import Servers, servers
from core.events import CallEnded
from infra.broker import RabbitBroker
from infra.bus import Broker
from infra.local_broker import LocalBroker
from infra.outbox import Outbox, Tx, state
from infra.postgres import open_database

EVENTS: Final = 20_000
BATCH: Final = 100
CONSUMER: Final = "bench.relay"
FLOOR_QUEUE: Final = "floor.relay"

UNDONE: Final = """
WITH made AS (
    INSERT INTO events (name, v, body, correlation_id)
    SELECT 'call.ended', 1, '{"call_id": 7, "version": 3, "outcome": "answered", "at": "2026-01-02T03:04:05Z"}', 'call_' || n
    FROM generate_series(1, $1::integer) n RETURNING id
)
INSERT INTO deliveries (event_id, consumer, next_at) SELECT id, $2, now() - interval '1 minute' FROM made
"""
FLOOR_SCHEMA: Final = "CREATE TABLE relay (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body jsonb NOT NULL)"
FLOOR_FILL: Final = """
INSERT INTO relay (body) SELECT '{"call_id": 7, "version": 3, "outcome": "answered"}' FROM generate_series(1, $1::integer)
"""
FLOOR_TAKE: Final = """
DELETE FROM relay WHERE id IN (SELECT id FROM relay ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING body
"""


async def main() -> int:
    report = Report("relay", options(__doc__ or ""))
    events = 500 if report.options.quick else EVENTS
    async with servers(report, rabbitmq=True) as running:
        await running.create_migrated("product")
        local = await _rounds(report, running, "local", events)
        report.add("relay, local broker", events=events, per_s=spread(local))
        if running.rabbitmq is not None:
            ours, bare = [], []
            for _ in range(report.options.repetitions):
                bare.append(await _floor(running, events))
                ours += await _rounds(report, running, "rabbitmq", events, rounds=1)
            report.add("relay, floor on RabbitMQ", events=events, per_s=spread(bare))
            report.add("relay, RabbitMQ", events=events, per_s=spread(ours))
            report.ratio("events/s to floor", spread(ours)["median"] / spread(bare)["median"])
            report.ratio("events/s", spread(ours)["median"], None if report.options.quick else 5000, at_least=True)
    say(f"written: {report.write().name}")
    return 0


@asynccontextmanager
async def _broker(running: Servers, kind: str) -> AsyncIterator[Broker]:
    if kind == "local":
        async with LocalBroker() as local:
            yield local
    else:
        assert running.rabbitmq is not None
        async with RabbitBroker(running.rabbitmq.url) as rabbit:
            yield rabbit


async def _nothing(_tx: Tx, _event: CallEnded) -> None:
    """Nobody consumes here."""


async def _rounds(
    report: Report, running: Servers, kind: str, events: int, *, rounds: int | None = None
) -> list[float]:
    rates = []
    for _ in range(rounds or report.options.repetitions):
        async with open_database(running.database("product")) as database, _broker(running, kind) as broker:
            outbox = Outbox(database, broker)
            outbox.react([state(CONSUMER, CallEnded, _nothing)])
            async with asyncio.timeout(20):
                while not broker.health().is_up:
                    await asyncio.sleep(0.05)
            await broker.declare(outbox.consumers, [])
            if kind == "rabbitmq" and running.rabbitmq is not None:
                await _purge(running.rabbitmq.url)  # a queue that is full refuses
            async with database.acquire() as conn:
                await conn.execute("TRUNCATE events, deliveries")
                await conn.execute(UNDONE, events, CONSUMER)
                await conn.execute("ANALYZE events, deliveries")
            began, sent = time.perf_counter(), 0
            # Nobody consumes, so what was sent is due again after a while: enough is enough.
            while sent < events and (found := await outbox.relay_once()):
                sent += found
            rates.append(sent / (time.perf_counter() - began))
            report.say(f"{kind}: {sent} of {events} sent")
    return rates


async def _purge(url: str) -> None:
    async with await aio_pika.connect(url) as rabbit:
        queue = await (await rabbit.channel()).get_queue(CONSUMER)
        await queue.purge()


async def _floor(running: Servers, events: int) -> float:
    assert running.rabbitmq is not None
    conn = await asyncpg.connect(await running.create("floor"), timeout=10)
    try:
        await conn.execute(FLOOR_SCHEMA)
        await conn.execute(FLOOR_FILL, events)
        async with await aio_pika.connect(running.rabbitmq.url) as rabbit:
            channel = await rabbit.channel()
            arguments: dict[str, Any] = {"x-queue-type": "quorum"}
            queue = await channel.declare_queue(FLOOR_QUEUE, durable=True, arguments=arguments)
            began, sent = time.perf_counter(), 0
            while True:
                async with conn.transaction():
                    rows = await conn.fetch(FLOOR_TAKE, BATCH)
                    messages = [
                        aio_pika.Message(r["body"].encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                        for r in rows
                    ]
                    await asyncio.gather(
                        *(channel.default_exchange.publish(m, routing_key=queue.name) for m in messages)
                    )
                if not rows:
                    break
                sent += len(rows)
            rate = sent / (time.perf_counter() - began)
            await queue.delete(if_unused=False, if_empty=False)
            return rate
    finally:
        await conn.close(timeout=5)


if __name__ == "__main__":
    run(main())
