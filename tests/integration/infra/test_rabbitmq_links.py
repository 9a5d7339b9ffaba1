"""RabbitMQ behind links that break: cut, refused, silent in both directions or in one."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from infra.broker import RabbitBroker
from infra.bus import BrokerUnavailable, Message, Outgoing
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
from tests.link import Link, Mode, link_to_rabbitmq

IS_FULL = os.environ.get("RINGDESK_TEST_FULL") == "1"
CUTS = 100 if IS_FULL else 8
HOLE_S = 8.0 if IS_FULL else 2.0  # the client's own detection takes six


@pytest_asyncio.fixture
async def road(rabbitmq_url: str) -> AsyncIterator[tuple[Link, str]]:
    async with link_to_rabbitmq(rabbitmq_url) as found:
        yield found


@pytest.fixture
def link(road: tuple[Link, str]) -> Link:
    return road[0]


@pytest.fixture
def url(road: tuple[Link, str]) -> str:
    """Of the node, over the link."""
    return road[1]


@pytest_asyncio.fixture
async def bench(url: str, rabbitmq_url: str) -> AsyncIterator[RabbitBench]:
    """Impatient, so that what takes half a minute in production takes seconds here."""
    async with rabbit_bench(
        url,
        rabbitmq_url,
        publish_timeout_s=1.0,
        connect_timeout_s=2.0,
        heartbeat_s=1,
        longest_pause_s=1.0,
        stop_grace_s=1.0,
    ) as bench:
        yield bench


async def test_a_cut_in_mid_handler_repeats_the_message_after_the_first_run_has_ended(
    bench: RabbitBench, link: Link
) -> None:
    consumer, may_end = await bench.consumer("interrupted"), asyncio.Event()

    async def work(_: Message) -> None:
        await may_end.wait()

    handler = Recorder(work=work)
    async with running(bench.broker.consume(consumer, handler)):
        await bench.broker.publish([Outgoing(message := a_message(), consumer.name)])
        await until(lambda: handler.at_once == 1)
        before = link.connections
        link.cut()
        await until(lambda: link.connections >= before + 2)
        # The consumer is back, the message is there again, and its first run is still on.
        bystander = a_message()
        await publish_until(bench.broker, Outgoing(bystander, consumer.name), lambda: bystander.event_id in handler.ids)
        assert handler.ids.count(message.event_id) == 1
        may_end.set()
        await until(lambda: handler.ids.count(message.event_id) == 2 and handler.at_once == 0)
    assert (await bench.broker.depths())[consumer.name] == 0


async def test_handlers_that_outlive_their_link_still_count_as_in_hand(bench: RabbitBench, link: Link) -> None:
    consumer, may_end = await bench.consumer("counted", prefetch=2), asyncio.Event()

    async def work(_: Message) -> None:
        await may_end.wait()

    handler = Recorder(work=work)
    async with running(bench.broker.consume(consumer, handler)):
        await bench.broker.publish([Outgoing(a_message(), consumer.name) for _ in range(2)])
        await until(lambda: handler.at_once == 2)
        await link.set(Mode.RESET)
        async with bench.channel() as channel:  # somebody else gets the repeats
            queue = await channel.get_queue(consumer.name)
            async with asyncio.timeout(5), queue.iterator() as repeats:
                for _ in range(2):
                    await (await anext(repeats)).ack()
        await link.set(Mode.PASS)
        await until(lambda: bench.broker.health().is_up and "not consuming" not in bench.broker.health().detail)
        await bench.broker.publish([Outgoing(a_message(), consumer.name) for _ in range(2)])
        await asyncio.sleep(0.3)
        assert handler.at_once == 2
        may_end.set()
        await until(lambda: handler.finished == 4)
    assert handler.most_at_once == 2


async def test_publishing_fails_at_once_while_disconnected_and_works_again_after(
    bench: RabbitBench, link: Link
) -> None:
    consumer = await bench.consumer("away")
    await link.set(Mode.RESET)
    await until(lambda: not bench.broker.health().is_up)
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(BrokerUnavailable, match=r"RabbitMQ at 127\.0\.0\.1"):
            await bench.broker.publish([Outgoing(a_message(), consumer.name)])
        await bench.broker.wake("any")
    assert time.monotonic() - began < 0.5
    await asyncio.sleep(1)
    attempts = link.connections
    assert attempts < 20, "reconnecting must pause between attempts"
    await link.set(Mode.PASS)
    await until(lambda: bench.broker.health().is_up)
    assert await bench.broker.publish([Outgoing(a_message(), consumer.name)]) == [True]


async def test_a_black_hole_ends_in_unknown_and_kills_no_task(bench: RabbitBench, link: Link) -> None:
    event, pool, wakes = bench.event(), bench.pool(), 0

    def on_wake() -> None:
        nonlocal wakes
        wakes += 1

    consumer, handler = await bench.consumer("hole", event), Recorder()
    consuming = bench.broker.consume(consumer, handler), bench.broker.consume_wakes(pool, on_wake)
    async with running(*consuming) as tasks:
        await publish_until(bench.broker, Outgoing(a_message(event)), lambda: handler.finished)
        await link.set(Mode.SWALLOW)
        began = time.monotonic()
        message = a_message(event)
        assert await bench.broker.publish([Outgoing(message)] * 3) == [False] * 3
        assert time.monotonic() - began < 1.5
        await until(lambda: not bench.broker.health().is_up, within_s=2)
        await asyncio.sleep(HOLE_S)
        assert not any(task.done() for task in tasks)
        await link.set(Mode.PASS)
        await until(lambda: bench.broker.health().is_up)
        await publish_until(bench.broker, Outgoing(message), lambda: message.event_id in handler.ids)
        before = wakes
        await wake_until(bench.broker, pool, lambda: wakes > before)
        assert not any(task.done() for task in tasks)


async def test_lost_confirms_mean_unknown_and_only_repeats(bench: RabbitBench, link: Link) -> None:
    consumer, handler, message = await bench.consumer("oneway"), Recorder(), a_message()
    await link.set(Mode.ONLY_TO_SERVER)
    assert await bench.broker.publish([Outgoing(message, consumer.name)]) == [False]
    await link.set(Mode.PASS)
    async with running(bench.broker.consume(consumer, handler)):
        await publish_until(bench.broker, Outgoing(message, consumer.name), lambda: len(handler.ids) >= 2)
    assert set(handler.ids) == {message.event_id}


async def test_cuts_at_random_moments_lose_nothing_and_every_consumer_comes_back(
    bench: RabbitBench, link: Link
) -> None:
    dice = random.Random(7)
    event, pool, wakes = bench.event(), bench.pool(), 0

    def on_wake() -> None:
        nonlocal wakes
        wakes += 1

    async def work(_: Message) -> None:
        await asyncio.sleep(dice.uniform(0, 0.02))

    consumers = [await bench.consumer(name, event, prefetch=4) for name in ("a", "b", "c")]
    handlers = [Recorder(work=work) for _ in consumers]
    confirmed: set[int] = set()

    async def publish_on() -> None:
        while True:
            batch = [Outgoing(a_message(event)) for _ in range(5)]
            try:
                answers = await bench.broker.publish(batch)
            except BrokerUnavailable:
                await asyncio.sleep(0.05)
                continue
            confirmed.update(out.message.event_id for out, answer in zip(batch, answers, strict=True) if answer)
            await asyncio.sleep(0.02)

    async with running(
        *(bench.broker.consume(c, h) for c, h in zip(consumers, handlers, strict=True)),
        bench.broker.consume_wakes(pool, on_wake),
    ) as tasks:
        async with running(publish_on()):
            for _ in range(CUTS):
                await asyncio.sleep(dice.uniform(0, 0.6))
                link.cut()
            await until(lambda: bench.broker.health().is_up)
        await until(lambda: all(confirmed <= set(handler.ids) for handler in handlers), within_s=20)
        await wake_until(bench.broker, pool, lambda: wakes)
        assert not any(task.done() for task in tasks)
    assert confirmed


async def test_a_server_that_is_away_at_the_start_gets_the_topology_when_it_comes(
    link: Link, url: str, rabbitmq_url: str
) -> None:
    await link.set(Mode.RESET)
    async with RabbitBroker(url, connect_timeout_s=0.5) as broker:
        bench = RabbitBench(broker, rabbitmq_url)
        assert not broker.health().is_up
        with pytest.raises(BrokerUnavailable):
            await bench.consumer("early", bench.event())
        await link.set(Mode.PASS)
        await until(lambda: broker.health().is_up)
        assert await broker.publish([Outgoing(a_message(bench.event()))]) == [True]
        await bench.clean()


async def test_the_end_leaves_no_connection_and_no_task(link: Link, url: str) -> None:
    before = asyncio.all_tasks()
    async with rabbit_bench(url) as bench:
        consumer, handler = await bench.consumer("brief"), Recorder()
        async with running(
            bench.broker.consume(consumer, handler), bench.broker.consume_wakes(bench.pool(), lambda: None)
        ):
            await bench.broker.publish([Outgoing(a_message(), consumer.name)])
            await until(lambda: handler.finished)
    await until(lambda: link.is_unused)
    await until(lambda: not asyncio.all_tasks() - before)
