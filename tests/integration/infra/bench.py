"""What the broker tests share: a broker with names of its own for every test, and handlers that remember."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Protocol

import aio_pika
from aio_pika.abc import AbstractChannel

from infra.broker import RabbitBroker
from infra.broker_topology import PARKING
from infra.bus import Broker, BrokerUnavailable, Consumer, Done, Message, Outcome, Outgoing
from infra.local_broker import LocalBroker

PATIENCE_S = 10.0

_event_ids = count(1_000)


class DeepBroker(Broker, Protocol):
    async def depths(self) -> dict[str, int]: ...


def a_message(name: str = "call.ended", *, body: bytes = b'{"call_id":7,"version":3}') -> Message:
    return Message(
        event_id=next(_event_ids),
        name=name,
        version=2,
        body=body,
        created_at=datetime(2026, 11, 22, 9, 30, 0, 123456, tzinfo=UTC),
        correlation_id="call-7",
        request_id="req-1",
    )


async def until(condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Wait for a condition that needs no I/O to look at."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


async def publish_until(broker: Broker, outgoing: Outgoing, is_enough: Callable[[], object]) -> None:
    """Publish again and again, as the relay does, until something happened."""
    deadline = time.monotonic() + 2 * PATIENCE_S
    while not is_enough():
        assert time.monotonic() < deadline, "not in time"
        with suppress(BrokerUnavailable):
            await broker.publish([outgoing])
        await asyncio.sleep(0.1)


async def wake_until(broker: Broker, pool: str, is_enough: Callable[[], object]) -> None:
    deadline = time.monotonic() + 2 * PATIENCE_S
    while not is_enough():
        assert time.monotonic() < deadline, "no wake arrived"
        await broker.wake(pool)
        await asyncio.sleep(0.1)


@asynccontextmanager
async def running(*work: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run the consumers beside the block; an error of one of them ends the test."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        faults = [end for end in ends if isinstance(end, Exception)]
        assert not faults, faults


@dataclass
class Recorder:
    """A handler: remembers what came and when, answers `outcomes` in turn and then Done."""

    outcomes: list[Outcome | BaseException] = field(default_factory=list)
    work: Callable[[Message], Coroutine[Any, Any, None]] | None = None
    messages: list[Message] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    finished: int = 0

    async def __call__(self, message: Message) -> Outcome:
        self.messages.append(message)
        self.at.append(time.monotonic())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.work is not None:
                await self.work(message)
            outcome = self.outcomes.pop(0) if self.outcomes else Done()
            if isinstance(outcome, BaseException):
                raise outcome
            self.finished += 1
            return outcome
        finally:
            self.at_once -= 1

    @property
    def ids(self) -> list[int]:
        return [message.event_id for message in self.messages]


class Bench:
    """One open broker, and consumer and event names that no other test uses."""

    def __init__(self, broker: DeepBroker) -> None:
        self.broker = broker
        self.token = secrets.token_hex(4)
        self.names: list[str] = []

    def event(self, name: str = "ended") -> str:
        return f"test{self.token}.{name}"

    def pool(self) -> str:
        self.names.append(f"routing.dispatch.{self.token}")
        return self.token

    async def consumer(self, name: str, *events: str, prefetch: int = 16) -> Consumer:
        consumer = Consumer(f"test{self.token}.{name}", events, prefetch)
        self.names.append(consumer.name)
        await self.broker.declare([consumer], [])
        return consumer

    async def parked(self, consumer: Consumer, expected: int = 1) -> list[tuple[int, str]]:
        """(event id, reason) of what was parked for this consumer, once there are `expected`."""
        raise NotImplementedError


class LocalBench(Bench):
    broker: LocalBroker

    async def parked(self, consumer: Consumer, expected: int = 1) -> list[tuple[int, str]]:
        def found() -> list[tuple[int, str]]:
            return [(p.message.event_id, p.reason) for p in self.broker.parked if p.consumer == consumer.name]

        await until(lambda: len(found()) >= expected)
        return found()


class RabbitBench(Bench):
    broker: RabbitBroker

    def __init__(self, broker: RabbitBroker, url: str) -> None:
        super().__init__(broker)
        self.url = url

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """A plain channel of the test's own, beside the broker under test."""
        async with await aio_pika.connect(self.url, timeout=PATIENCE_S) as connection, connection.channel() as channel:
            yield channel

    async def parked(self, consumer: Consumer, expected: int = 1) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        deadline = time.monotonic() + PATIENCE_S
        async with self.channel() as channel:
            queue = await channel.get_queue(PARKING)
            while len(found) < expected:
                assert time.monotonic() < deadline, "nothing was parked"
                message = await queue.get(fail=False, no_ack=True)
                if message is None:
                    await asyncio.sleep(0.05)
                elif consumer.name in (message.headers.get("x-consumer"), message.headers.get("x-first-death-queue")):
                    reason = message.headers.get("x-reason") or message.headers.get("x-first-death-reason")
                    event_id = message.message_id or ""
                    found.append((int(event_id) if event_id.isdecimal() else 0, str(reason)))
        return found

    async def clean(self) -> None:
        async with self.channel() as channel:
            for name in self.names:
                await channel.queue_delete(name)


@asynccontextmanager
async def local_bench(**settings: Any) -> AsyncIterator[LocalBench]:
    async with LocalBroker(**settings) as broker:
        yield LocalBench(broker)


@asynccontextmanager
async def rabbit_bench(url: str, direct_url: str | None = None, **settings: Any) -> AsyncIterator[RabbitBench]:
    """`direct_url` is for the test's own look at the server when `url` leads through a proxy."""
    async with RabbitBroker(url, **settings) as broker:
        bench = RabbitBench(broker, direct_url or url)
        await broker.declare([], [])
        yield bench
    await bench.clean()
