"""The promises of `infra/bus.py`, held by both brokers."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from infra.bus import Broker, BrokerUnavailable, Message, Outgoing, Park, RetryLater
from tests.integration.infra.bench import Bench, Recorder, a_message, local_bench, rabbit_bench, running, until

STOP_GRACE_S = 0.5


@pytest.fixture(params=["local", "rabbitmq"])
def server_url(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("rabbitmq_url") if request.param == "rabbitmq" else None


@pytest_asyncio.fixture
async def bench(server_url: str | None) -> AsyncIterator[Bench]:
    if server_url is None:
        async with local_bench(stop_grace_s=STOP_GRACE_S) as local:
            yield local
    else:
        async with rabbit_bench(server_url, stop_grace_s=STOP_GRACE_S) as rabbit:
            yield rabbit


class TestPublishing:
    async def test_an_event_reaches_every_bound_consumer_unchanged(self, bench: Bench) -> None:
        event = bench.event()
        first, second = await bench.consumer("first", event), await bench.consumer("second", event)
        other = await bench.consumer("other", bench.event("other"))
        handlers = Recorder(), Recorder(), Recorder()
        message = a_message(event)
        async with running(
            *(bench.broker.consume(c, h) for c, h in zip((first, second, other), handlers, strict=True))
        ):
            assert await bench.broker.publish([Outgoing(message)]) == [True]
            await until(lambda: handlers[0].finished and handlers[1].finished)
        assert handlers[0].messages == handlers[1].messages == [message]
        assert handlers[2].messages == []

    async def test_a_message_without_optional_fields_arrives_unchanged(self, bench: Bench) -> None:
        consumer, handler = await bench.consumer("only"), Recorder()
        message = Message(9, bench.event(), 1, b"", a_message().created_at)
        async with running(bench.broker.consume(consumer, handler)):
            assert await bench.broker.publish([Outgoing(message, consumer.name)]) == [True]
            await until(lambda: handler.messages)
        assert handler.messages == [message]

    async def test_a_repeat_reaches_the_named_consumer_alone(self, bench: Bench) -> None:
        event = bench.event()
        named, other = await bench.consumer("named"), await bench.consumer("other", event)
        to_named, to_other = Recorder(), Recorder()
        async with running(bench.broker.consume(named, to_named), bench.broker.consume(other, to_other)):
            assert await bench.broker.publish([Outgoing(a_message(event), named.name)]) == [True]
            assert await bench.broker.publish([Outgoing(last := a_message(event))]) == [True]
            await until(lambda: to_named.finished and to_other.finished)
        assert (len(to_named.ids), to_other.ids) == (1, [last.event_id])

    async def test_messages_wait_for_their_consumer(self, bench: Bench) -> None:
        event = bench.event()
        consumer, handler = await bench.consumer("late", event), Recorder()
        batch = [Outgoing(a_message(event)) for _ in range(50)]
        assert await bench.broker.publish(batch) == [True] * 50
        async with running(bench.broker.consume(consumer, handler)):
            await until(lambda: handler.finished == 50)
        assert Counter(handler.ids) == Counter(out.message.event_id for out in batch)

    async def test_each_answer_belongs_to_its_message(self, bench: Bench) -> None:
        """Also for copies of one event, which share their id on the wire."""
        event = bench.event()
        consumer = await bench.consumer("there", event)
        same = a_message(event)
        batch = [
            Outgoing(same, "nobody.there"),
            Outgoing(same, consumer.name),
            Outgoing(a_message(bench.event("unbound"))),
            Outgoing(same),
            Outgoing(same, "nobody.there"),
        ]
        assert await bench.broker.publish(batch) == [False, True, False, True, False]

    async def test_an_empty_batch_has_no_answers(self, bench: Bench) -> None:
        assert await bench.broker.publish([]) == []

    async def test_declaring_twice_changes_nothing(self, bench: Bench) -> None:
        consumer, pool = await bench.consumer("twice", bench.event()), bench.pool()
        await bench.broker.publish([Outgoing(a_message(), consumer.name)])
        for _ in range(2):
            await bench.broker.declare([consumer], [pool])
        assert (await bench.broker.depths())[consumer.name] == 1


class TestOutcomes:
    async def test_retry_later_comes_back_after_its_delay_to_that_consumer_alone(self, bench: Bench) -> None:
        event = bench.event()
        retried, other = await bench.consumer("retried", event), await bench.consumer("other", event)
        handler, bystander = Recorder([RetryLater(1)]), Recorder()
        message = a_message(event)
        async with running(bench.broker.consume(retried, handler), bench.broker.consume(other, bystander)):
            await bench.broker.publish([Outgoing(message)])
            await until(lambda: len(handler.at) == 2)
        assert handler.messages == [message] * 2
        assert bystander.messages == [message]
        assert 0.9 <= handler.at[1] - handler.at[0] <= 3

    async def test_a_handler_that_raises_is_retried_on_the_first_rung(self, bench: Bench) -> None:
        consumer = await bench.consumer("raising")
        handler = Recorder([ValueError("bug"), asyncio.CancelledError()])
        batch = [Outgoing(a_message(), consumer.name) for _ in range(2)]
        async with running(bench.broker.consume(consumer, handler)) as tasks:
            await bench.broker.publish(batch)
            await until(lambda: handler.finished == 2)
            assert not tasks[0].done()
        assert Counter(handler.ids) == Counter({out.message.event_id: 2 for out in batch})
        assert handler.at[2] - handler.at[0] >= 0.9

    async def test_a_parked_message_is_kept_with_its_reason_and_not_repeated(self, bench: Bench) -> None:
        consumer = await bench.consumer("parking")
        handler = Recorder([Park("unknown_version")])
        message = a_message(bench.event())
        async with running(bench.broker.consume(consumer, handler)):
            await bench.broker.publish([Outgoing(message, consumer.name)])
            assert await bench.parked(consumer) == [(message.event_id, "unknown_version")]
            await until(lambda: handler.finished == 1)
        assert (await bench.broker.depths())[consumer.name] == 0
        assert len(handler.ids) == 1


class TestConsuming:
    async def test_at_most_prefetch_messages_are_in_hand(self, bench: Bench) -> None:
        consumer, free = await bench.consumer("bounded", prefetch=3), asyncio.Event()

        async def work(_: Message) -> None:
            await free.wait()

        handler = Recorder(work=work)
        await bench.broker.publish([Outgoing(a_message(), consumer.name) for _ in range(10)])
        async with running(bench.broker.consume(consumer, handler)):
            await until(lambda: handler.at_once == 3)
            await asyncio.sleep(0.2)
            assert len(handler.ids) == 3
            free.set()
            await until(lambda: handler.finished == 10)
        assert handler.most_at_once == 3

    async def test_two_consumers_share_a_queue(self, bench: Bench) -> None:
        consumer = await bench.consumer("shared", prefetch=1)

        async def work(_: Message) -> None:
            await asyncio.sleep(0.01)

        one, two = Recorder(work=work), Recorder(work=work)
        async with running(bench.broker.consume(consumer, one), bench.broker.consume(consumer, two)):
            batch = [Outgoing(a_message(), consumer.name) for _ in range(30)]
            await bench.broker.publish(batch)
            await until(lambda: one.finished + two.finished == 30)
        assert one.ids
        assert two.ids
        assert Counter(one.ids + two.ids) == Counter(out.message.event_id for out in batch)

    async def test_cancelling_finishes_the_message_in_hand_and_leaves_the_rest(self, bench: Bench) -> None:
        consumer = await bench.consumer("stopped", prefetch=1)

        async def work(_: Message) -> None:
            await asyncio.sleep(0.2)

        stopped, successor = Recorder(work=work), Recorder()
        batch = [Outgoing(a_message(), consumer.name) for _ in range(5)]
        await bench.broker.publish(batch)
        async with running(bench.broker.consume(consumer, stopped)) as [task]:
            await until(lambda: stopped.at_once == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (stopped.finished, len(stopped.ids)) == (1, 1)
        async with running(bench.broker.consume(consumer, successor)):
            await until(lambda: successor.finished == 4)
        assert sorted(stopped.ids + successor.ids) == [out.message.event_id for out in batch]

    async def test_cancelling_ends_a_handler_that_takes_too_long_and_its_message_comes_again(
        self, bench: Bench
    ) -> None:
        consumer = await bench.consumer("stuck")

        async def hang(_: Message) -> None:
            await asyncio.Event().wait()

        stuck, successor = Recorder(work=hang), Recorder()
        message = a_message()
        await bench.broker.publish([Outgoing(message, consumer.name)])
        async with running(bench.broker.consume(consumer, stuck)) as [task]:
            await until(lambda: stuck.at_once == 1)
            task.cancel()
            async with asyncio.timeout(STOP_GRACE_S + 3):
                with pytest.raises(asyncio.CancelledError):
                    await task
        assert stuck.at_once == 0
        async with running(bench.broker.consume(consumer, successor)):
            await until(lambda: successor.finished == 1)
        assert successor.messages == [message]

    async def test_a_cancellation_at_any_moment_is_heeded(self, bench: Bench) -> None:
        """Also one that falls into setting up or closing, where the client library loses some."""
        consumer, pool, dice = await bench.consumer("fleeting"), bench.pool(), random.Random(5)
        for _ in range(30):
            consuming = [
                asyncio.create_task(bench.broker.consume(consumer, Recorder())),
                asyncio.create_task(bench.broker.consume_wakes(pool, lambda: None)),
            ]
            await asyncio.sleep(dice.uniform(0, 0.1))
            for task in consuming:
                task.cancel()
            _, deaf = await asyncio.wait(consuming, timeout=8)
            assert not deaf


class TestWakes:
    async def test_wakes_coalesce_and_the_last_one_is_never_swallowed(self, bench: Bench) -> None:
        pool, wakes = bench.pool(), 0

        def on_wake() -> None:
            nonlocal wakes
            wakes += 1

        await bench.broker.declare([], [pool])
        for _ in range(100):
            await bench.broker.wake(pool)
        async with running(bench.broker.consume_wakes(pool, on_wake)):
            await until(lambda: wakes)
            await asyncio.sleep(0.2)
            assert wakes <= 2
            before = wakes
            await bench.broker.wake(pool)
            await until(lambda: wakes == before + 1)

    async def test_one_consumer_gets_the_wakes_and_the_next_takes_over(self, bench: Bench) -> None:
        pool, woken = bench.pool(), Counter[str]()
        await bench.broker.declare([], [pool])
        async with running(bench.broker.consume_wakes(pool, lambda: woken.update("1"))) as [first]:
            await bench.broker.wake(pool)
            await until(lambda: woken["1"] == 1)
            async with running(bench.broker.consume_wakes(pool, lambda: woken.update("2"))):
                for wakes in range(2, 6):
                    await asyncio.sleep(0.05)
                    await bench.broker.wake(pool)
                    await until(lambda wakes=wakes: woken["1"] == wakes)  # type: ignore[misc]
                assert woken["2"] == 0
                first.cancel()
                await asyncio.gather(first, return_exceptions=True)
                await bench.broker.wake(pool)
                await until(lambda: woken["2"] == 1)
        assert woken["1"] == 5

    async def test_a_wake_for_an_unknown_pool_is_nothing(self, bench: Bench) -> None:
        await bench.broker.wake("nobody-declared-it")


class TestTelling:
    async def test_health_is_up_and_depths_name_every_queue(self, bench: Bench) -> None:
        consumer, pool = await bench.consumer("counted"), bench.pool()
        await bench.broker.declare([], [pool])
        await bench.broker.publish([Outgoing(a_message(), consumer.name) for _ in range(3)])
        await bench.broker.wake(pool)
        depths = await bench.broker.depths()
        assert depths[consumer.name] == 3
        assert {f"routing.dispatch.{pool}", "ringdesk.parking", "ringdesk.retry.1", "ringdesk.retry.120"} <= set(depths)
        assert bench.broker.health().is_up

    async def test_a_full_house_of_handlers_that_never_answer_does_not_stop_other_consumers(self, bench: Bench) -> None:
        stuck, lively = await bench.consumer("stuck", prefetch=2), await bench.consumer("lively")

        async def hang(_: Message) -> None:
            await asyncio.Event().wait()

        hanging, handler = Recorder(work=hang), Recorder()
        async with running(bench.broker.consume(stuck, hanging), bench.broker.consume(lively, handler)):
            batch = [Outgoing(a_message(), stuck.name) for _ in range(5)]
            await bench.broker.publish([*batch, Outgoing(a_message(), lively.name)])
            await until(lambda: handler.finished == 1)


async def test_a_closed_broker_says_so(rabbitmq_url: str) -> None:
    async with local_bench() as local, rabbit_bench(rabbitmq_url) as rabbit:
        brokers: list[Broker] = [local.broker, rabbit.broker]
    for broker in brokers:
        with pytest.raises(BrokerUnavailable):
            await broker.publish([Outgoing(a_message())])
        assert not broker.health().is_up
