"""A RabbitMQ node that is killed, erased, frozen, or short of disk, with work under way."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from infra.broker import RabbitBroker
from infra.bus import BrokerUnavailable, Message, Outgoing, RetryLater
from tests.integration.infra.bench import (
    RabbitBench,
    Recorder,
    a_message,
    publish_until,
    rabbit_bench,
    running,
    until,
    wake_until,
)
from tests.rabbitmq_node import RabbitNode

full_only = pytest.mark.skipif(os.environ.get("RINGDESK_TEST_FULL") != "1", reason="long: set RINGDESK_TEST_FULL=1")


# RabbitMQ 3.10 writes down which queues it has half a second after a change. One declared later than that before a
# kill -9 comes back without a leader and answers nothing; that is another test than these.
SETTLED_S = 1.5


@pytest_asyncio.fixture
async def bench(rabbitmq_node: RabbitNode) -> AsyncIterator[RabbitBench]:
    async with rabbit_bench(
        rabbitmq_node.url,
        publish_timeout_s=1.0,
        connect_timeout_s=2.0,
        heartbeat_s=1,
        longest_pause_s=1.0,
        stop_grace_s=1.0,
    ) as bench:
        yield bench


class Ledger:
    """What was published, with the three answers a publish can have."""

    def __init__(self) -> None:
        self.confirmed: set[int] = set()
        self.unknown: set[int] = set()


@asynccontextmanager
async def publishing(broker: RabbitBroker, event: str) -> AsyncIterator[Ledger]:
    ledger = Ledger()

    async def publish_on() -> None:
        while True:
            batch = [Outgoing(a_message(event)) for _ in range(10)]
            try:
                answers = await broker.publish(batch)
            except BrokerUnavailable:
                await asyncio.sleep(0.05)
                continue
            for outgoing, answer in zip(batch, answers, strict=True):
                (ledger.confirmed if answer else ledger.unknown).add(outgoing.message.event_id)
            await asyncio.sleep(0.02)

    async with running(publish_on()):
        yield ledger


async def test_kill_9_under_publishing_loses_nothing_confirmed(bench: RabbitBench, rabbitmq_node: RabbitNode) -> None:
    event = bench.event()
    consumer, handler = await bench.consumer("survivor", event), Recorder()
    retried = Recorder([RetryLater(5)])
    second = await bench.consumer("retried")
    async with running(bench.broker.consume(consumer, handler), bench.broker.consume(second, retried)) as tasks:
        await bench.broker.publish([Outgoing(a_message(), second.name)])
        async with publishing(bench.broker, event) as ledger:
            await until(lambda: len(ledger.confirmed) > 300 and retried.ids)
            await asyncio.sleep(SETTLED_S)
            await rabbitmq_node.kill()
            before = set(ledger.confirmed)
            await until(lambda: not bench.broker.health().is_up)
            await rabbitmq_node.start()
            await until(lambda: bench.broker.health().is_up)
            await until(lambda: len(ledger.confirmed) > len(before) + 100)
        await until(lambda: ledger.confirmed <= set(handler.ids), within_s=20)
        await until(lambda: len(retried.ids) == 2)
        assert not any(task.done() for task in tasks)


async def test_an_erased_broker_gets_everything_back(bench: RabbitBench, rabbitmq_node: RabbitNode) -> None:
    event, pool, wakes = bench.event(), bench.pool(), 0

    def on_wake() -> None:
        nonlocal wakes
        wakes += 1

    consumer, handler = await bench.consumer("erased", event), Recorder([RetryLater(1)])
    async with running(bench.broker.consume(consumer, handler), bench.broker.consume_wakes(pool, on_wake)) as tasks:
        await wake_until(bench.broker, pool, lambda: wakes)
        await rabbitmq_node.kill()
        rabbitmq_node.erase()
        await rabbitmq_node.start()
        back = time.monotonic()
        await publish_until(bench.broker, Outgoing(a_message(event)), lambda: handler.ids)
        seen = wakes
        await wake_until(bench.broker, pool, lambda: wakes > seen)
        assert time.monotonic() - back < 10
        await until(lambda: handler.finished >= 2)
        assert not any(task.done() for task in tasks)


async def test_an_alarm_makes_publishes_unknown_and_lets_consumers_go_on(
    bench: RabbitBench, rabbitmq_node: RabbitNode
) -> None:
    event, may_go = bench.event(), asyncio.Event()

    async def work(_: Message) -> None:
        await may_go.wait()

    consumer, handler = await bench.consumer("alarmed", event), Recorder(work=work)
    await bench.broker.publish([Outgoing(a_message(event)) for _ in range(5)])
    async with running(bench.broker.consume(consumer, handler)) as tasks:
        await until(lambda: handler.at_once == 5)
        try:
            await rabbitmq_node.ctl("set_disk_free_limit", "100000GB")
            unsure = a_message(event)
            assert await bench.broker.publish([Outgoing(unsure)]) == [False]
            began = time.monotonic()
            with pytest.raises(BrokerUnavailable, match="alarm"):
                await bench.broker.publish([Outgoing(a_message(event))])
            await bench.broker.wake("any")
            assert time.monotonic() - began < 0.2
            assert not bench.broker.health().is_up
            handler.outcomes.append(RetryLater(1))
            may_go.set()
            await until(lambda: handler.finished == 5)
            assert (await bench.broker.depths())[consumer.name] == 0
        finally:
            await rabbitmq_node.ctl("set_disk_free_limit", "10MB")
        await until(lambda: bench.broker.health().is_up)
        await until(lambda: unsure.event_id in handler.ids and handler.finished == 7)
        assert await bench.broker.publish([Outgoing(a_message(event))]) == [True]
        assert not any(task.done() for task in tasks)


async def test_a_broker_frozen_past_the_heartbeats_ends_no_task(bench: RabbitBench, rabbitmq_node: RabbitNode) -> None:
    event, pool, wakes = bench.event(), bench.pool(), 0

    def on_wake() -> None:
        nonlocal wakes
        wakes += 1

    consumer, handler = await bench.consumer("frozen", event), Recorder()
    async with running(bench.broker.consume(consumer, handler), bench.broker.consume_wakes(pool, on_wake)) as tasks:
        await wake_until(bench.broker, pool, lambda: wakes)
        async with publishing(bench.broker, event) as ledger:
            await until(lambda: len(ledger.confirmed) > 100)
            rabbitmq_node.freeze()
            try:
                await until(lambda: not bench.broker.health().is_up)
                await asyncio.sleep(6.5)  # the client ends its waits after six, with a CancelledError nobody sent
            finally:
                rabbitmq_node.thaw()
            before = len(ledger.confirmed)
            await until(lambda: len(ledger.confirmed) > before)
        await until(lambda: ledger.confirmed <= set(handler.ids), within_s=20)
        seen = wakes
        await wake_until(bench.broker, pool, lambda: wakes > seen)
        assert not any(task.done() for task in tasks)


@full_only
async def test_a_graceful_restart_is_over_in_seconds(bench: RabbitBench, rabbitmq_node: RabbitNode) -> None:
    consumer, handler = await bench.consumer("restarted"), Recorder()
    async with running(bench.broker.consume(consumer, handler)):
        await rabbitmq_node.ctl("stop_app")
        await rabbitmq_node.ctl("start_app")
        back = time.monotonic()
        await publish_until(bench.broker, Outgoing(a_message(), consumer.name), lambda: handler.finished)
        assert time.monotonic() - back < 15


@full_only
@pytest.mark.timeout(600)
async def test_ten_kills_lose_nothing_confirmed(bench: RabbitBench, rabbitmq_node: RabbitNode) -> None:
    event = bench.event()
    consumer, handler = await bench.consumer("often", event), Recorder()
    async with running(bench.broker.consume(consumer, handler)):
        async with publishing(bench.broker, event) as ledger:
            await asyncio.sleep(SETTLED_S)
            for _ in range(10):
                before = len(ledger.confirmed)
                await until(lambda before=before: len(ledger.confirmed) > before + 300)  # type: ignore[misc]
                await rabbitmq_node.kill()
                await rabbitmq_node.start()
                await until(lambda: bench.broker.health().is_up)
        await until(lambda: ledger.confirmed <= set(handler.ids), within_s=30)
