"""Queues that do not fit, vanish, fill up, or hold what Ringdesk did not write."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import aiormq
import pytest
import pytest_asyncio
from aio_pika import Message as WireMessage
from aio_pika.abc import AbstractIncomingMessage

from infra import broker_consumer
from infra.broker_topology import CONSUMER_QUEUE, DELIVERY_LIMIT, EVENTS, retry_name
from infra.bus import Consumer, Outgoing, RetryLater, TopologyMismatch
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


@pytest_asyncio.fixture
async def bench(rabbitmq_url: str) -> AsyncIterator[RabbitBench]:
    async with rabbit_bench(rabbitmq_url, stop_grace_s=0.5) as bench:
        yield bench


WITHOUT_DLX = {key: value for key, value in CONSUMER_QUEUE.items() if not key.startswith("x-dead-letter")}


@pytest.mark.parametrize(
    "arguments",
    [{}, WITHOUT_DLX, CONSUMER_QUEUE | {"x-delivery-limit": 3}, CONSUMER_QUEUE | {"x-overflow": "drop-head"}],
    ids=["classic", "no-dead-letter-exchange", "other-delivery-limit", "other-overflow"],
)
async def test_a_queue_with_other_arguments_is_refused_by_name(
    bench: RabbitBench, arguments: dict[str, str | int]
) -> None:
    consumer = Consumer(f"test{bench.token}.misfit", (bench.event(),))
    bench.names.append(consumer.name)
    async with bench.channel() as channel:
        await channel.declare_queue(consumer.name, durable=True, arguments=dict(arguments))
    with pytest.raises(TopologyMismatch, match=consumer.name):
        await bench.broker.consume(consumer, Recorder())
    assert bench.broker.health().is_up
    with pytest.raises(TopologyMismatch, match=consumer.name):
        await bench.broker.declare([consumer], [])
    await until(lambda: consumer.name in bench.broker.health().detail)
    assert not bench.broker.health().is_up
    async with bench.channel() as channel:
        await channel.queue_delete(consumer.name)
    await until(lambda: bench.broker.health().is_up)


async def test_a_queue_replaced_by_a_misfit_ends_its_consumer_with_the_name(bench: RabbitBench) -> None:
    consumer = await bench.consumer("replaced")
    consuming = asyncio.create_task(bench.broker.consume(consumer, handler := Recorder()))
    await publish_until(bench.broker, Outgoing(a_message(), consumer.name), lambda: handler.finished)
    async with bench.channel() as channel:
        await channel.queue_delete(consumer.name)
        await channel.declare_queue(consumer.name, durable=True)
    async with asyncio.timeout(15):
        with pytest.raises(TopologyMismatch, match=consumer.name):
            await consuming


async def test_a_deleted_queue_comes_back_under_its_consumer(bench: RabbitBench) -> None:
    event, pool, wakes = bench.event(), bench.pool(), 0

    def on_wake() -> None:
        nonlocal wakes
        wakes += 1

    consumer, handler = await bench.consumer("deleted", event), Recorder()
    async with running(bench.broker.consume(consumer, handler), bench.broker.consume_wakes(pool, on_wake)):
        await publish_until(bench.broker, Outgoing(a_message(event)), lambda: handler.finished)
        async with bench.channel() as channel:
            for name in bench.names:
                await channel.queue_delete(name)
        message, seen = a_message(event), wakes
        async with asyncio.timeout(5):  # sooner than the probe would find it
            await publish_until(bench.broker, Outgoing(message), lambda: message.event_id in handler.ids)
            await wake_until(bench.broker, pool, lambda: wakes > seen)


async def test_a_consumer_that_went_missing_unnoticed_is_found_by_the_probe(
    bench: RabbitBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_consumer, "PROBE_EVERY_S", 0.2)
    consumer, handler = await bench.consumer("forgotten"), Recorder()
    async with running(bench.broker.consume(consumer, handler)):
        await publish_until(bench.broker, Outgoing(a_message(), consumer.name), lambda: handler.finished)
        [reader] = bench.broker._consumers
        assert isinstance(reader, broker_consumer.QueueConsumer)
        connection = bench.broker._consuming._connection
        assert connection is not None
        assert connection.transport is not None
        for channel in connection.transport.connection.channels.values():
            if isinstance(channel, aiormq.Channel):
                for tag in list(channel.consumers):
                    await channel.basic_cancel(tag)
        message = a_message()
        await bench.broker.publish([Outgoing(message, consumer.name)])
        await until(lambda: message.event_id in handler.ids)


async def test_a_missing_binding_or_exchange_answers_false_and_is_put_back(bench: RabbitBench) -> None:
    event = bench.event()
    consumer = await bench.consumer("unbound", event)
    async with bench.channel() as channel:
        await (await channel.get_queue(consumer.name)).unbind(EVENTS, event)
    assert await bench.broker.publish([Outgoing(a_message(event))]) == [False]
    handler, message = Recorder(), a_message(event)
    async with running(bench.broker.consume(consumer, handler)):
        await publish_until(bench.broker, Outgoing(message), lambda: message.event_id in handler.ids)
    async with bench.channel() as channel:
        await channel.exchange_delete(EVENTS)
    assert await bench.broker.publish([Outgoing(a_message(event))]) == [False]
    handler = Recorder()
    async with running(bench.broker.consume(consumer, handler)):
        await publish_until(bench.broker, Outgoing(message), lambda: message.event_id in handler.ids)


async def test_a_returned_repeat_brings_the_queue_back_without_any_consumer(bench: RabbitBench) -> None:
    consumer = await bench.consumer("gone")
    async with bench.channel() as channel:
        await channel.queue_delete(consumer.name)
    answers: list[bool] = []
    async with asyncio.timeout(10):
        while True not in answers:
            answers += await bench.broker.publish([Outgoing(a_message(), consumer.name)])
            await asyncio.sleep(0.1)
    assert answers[0] is False


async def test_a_full_queue_answers_false_and_takes_more_later(bench: RabbitBench, rabbitmq_node: RabbitNode) -> None:
    if bench.url != rabbitmq_node.url:
        pytest.skip("needs a node of its own to set a policy")
    consumer, handler = await bench.consumer("full"), Recorder()
    await rabbitmq_node.ctl("set_policy", bench.token, f"^{consumer.name}$", '{"max-length":5}')
    answers: list[bool] = []
    async with asyncio.timeout(10):
        # The policy takes a moment, and a queue refuses only once it has told the channel that it is full.
        while answers[-5:] != [False] * 5:
            answers += await bench.broker.publish([Outgoing(a_message(), consumer.name)])
    async with running(bench.broker.consume(consumer, handler)):
        last = a_message()
        await publish_until(bench.broker, Outgoing(last, consumer.name), lambda: last.event_id in handler.ids)
    assert len(handler.ids) >= answers.count(True)


@pytest.mark.parametrize(
    "foreign",
    [
        WireMessage(b"hello"),
        WireMessage(b"{}", message_id="1", type="call.ended"),
        WireMessage(b"{}", message_id="1", type="call.ended", headers={"v": "x", "at": "2026-01-01T00:00:00+00:00"}),
        WireMessage(b"{}", message_id="1", type="call.ended", headers={"v": 1, "at": "yesterday"}),
        WireMessage(b"{}", message_id="1", type="call.ended", headers={"v": 1, "at": "2026-01-01T00:00:00"}),
        WireMessage(b"{}", message_id="9" * 40, type="a.b", headers={"v": 1, "at": "2026-01-01T00:00:00+00:00"}),
        WireMessage(b"{}", message_id="²", type="a.b", headers={"v": 1, "at": "2026-01-01T00:00:00+00:00"}),
        WireMessage(b"\xff\xfe", message_id="1", headers={"v": 1, "at": "2026-01-01T00:00:00+00:00"}),
    ],
    ids=["bare", "no-headers", "version", "date", "naive", "huge-id", "superscript", "no-type"],
)
async def test_what_ringdesk_did_not_write_is_parked_unread(bench: RabbitBench, foreign: WireMessage) -> None:
    consumer, handler = await bench.consumer("foreign"), Recorder()
    async with bench.channel() as channel:
        await channel.default_exchange.publish(foreign, consumer.name)
    async with running(bench.broker.consume(consumer, handler)):
        [(_, reason)] = await bench.parked(consumer)
        last = a_message()
        await bench.broker.publish([Outgoing(last, consumer.name)])
        await until(lambda: handler.finished)
    assert reason == "not a message of Ringdesk"
    assert handler.ids == [last.event_id]


async def test_a_message_that_kills_its_consumers_is_parked_at_the_delivery_limit(bench: RabbitBench) -> None:
    consumer, message, deliveries = await bench.consumer("poison"), a_message(), 0
    await bench.broker.publish([Outgoing(message, consumer.name)])
    async with bench.channel() as channel:
        queue = await channel.get_queue(consumer.name)

        async def refuse(delivery: AbstractIncomingMessage) -> None:
            nonlocal deliveries
            deliveries += 1
            await delivery.reject(requeue=True)

        await queue.consume(refuse)
        assert await bench.parked(consumer) == [(message.event_id, "delivery_limit")]
    assert deliveries == DELIVERY_LIMIT + 1


async def test_retries_of_a_consumer_that_is_gone_are_parked_and_hold_up_nobody(bench: RabbitBench) -> None:
    consumer, handler = await bench.consumer("alive"), Recorder([RetryLater(1)])
    gone = Consumer(f"test{bench.token}.gone", ())
    async with bench.channel() as channel:
        rung = await channel.get_exchange(retry_name(1))
        for _ in range(100):
            await rung.publish(WireMessage(b"", headers={"x-consumer": gone.name}), gone.name)
    async with running(bench.broker.consume(consumer, handler)):
        await bench.broker.publish([Outgoing(a_message(), consumer.name)])
        await until(lambda: handler.finished == 2, within_s=5)
    assert len(await bench.parked(gone, expected=100)) == 100


async def test_a_message_amqp_cannot_carry_spoils_only_its_own_answer(bench: RabbitBench) -> None:
    consumer = await bench.consumer("narrow")
    batch = [
        Outgoing(a_message(), consumer.name),
        Outgoing(replace(a_message(), correlation_id="x" * 300), consumer.name),
        Outgoing(a_message(), consumer.name),
    ]
    assert await bench.broker.publish(batch) == [True, False, True]
    assert await bench.broker.publish(batch[:1]) == [True]


async def test_a_dispatch_queue_keeps_one_wake(bench: RabbitBench) -> None:
    pool = bench.pool()
    await bench.broker.declare([], [pool])
    for _ in range(20):
        await bench.broker.wake(pool)
    assert (await bench.broker.depths())[f"routing.dispatch.{pool}"] <= 1
