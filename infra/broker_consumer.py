"""Consuming from one queue until cancelled, through lost connections, deleted queues and erased brokers.

A session is one channel: declare the queue (one with other arguments, so also one without its dead-letter exchange, is
refused here), set the prefetch of this one consumer, consume. It ends when the channel closes, when the broker cancels
the consumer (queue deleted), or when a look at the queue every PROBE_EVERY_S finds no consumer or gets no answer; then
the next one begins. Handlers run in tasks of ours, so a lost link does not cut them in the middle: their acknowledgement
fails, the broker delivers again, and the repeat waits here until the first run has ended.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from infra.broker_link import Link, Pause, as_unavailable, close_quietly, describe, quietly
from infra.broker_outcome import InHand, OneByOne, heed_cancellation, outcome_of, rung_for
from infra.broker_publisher import Letter, Publisher
from infra.broker_topology import PARKING, Topology, dispatch_name, retry_name
from infra.broker_wire import foreign_to_wire, from_wire, park_marks, to_wire
from infra.bus import (
    BrokerUnavailable,
    Consumer,
    Done,
    Handler,
    Message,
    Outcome,
    Park,
    RetryLater,
    TopologyMismatch,
)

PROBE_EVERY_S: Final = 10.0
RPC_TIMEOUT_S: Final = 5.0

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class Session:
    """An open consumer. `lost` is set once its channel can receive and acknowledge nothing more."""

    link: Link
    connection: AbstractConnection
    channel: AbstractChannel
    queue: str
    tag: str = ""
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    is_ending: bool = False

    @property
    def is_alive(self) -> bool:
        return self.link.is_on(self.connection) and not self.lost.is_set()

    async def stop(self) -> None:
        """Ask for no more messages; those in hand can still be acknowledged."""
        self.is_ending = True
        with quietly():
            queue = await self.channel.get_queue(self.queue, ensure=False)
            async with asyncio.timeout(RPC_TIMEOUT_S):
                await queue.cancel(self.tag)


async def keep_consuming(link: Link, name: str, once: Callable[[], Awaitable[None]]) -> None:
    """Run one session after the other until cancelled. Only a TopologyMismatch ends it: waiting does not cure that."""
    pause = Pause(link.longest_pause_s)
    while True:
        pause.attempt()
        try:
            with as_unavailable():
                await once()
        except BrokerUnavailable as error:
            log.warning("consuming interrupted", queue=name, error=describe(error))
        await pause.wait()


@asynccontextmanager
async def session(
    link: Link,
    topology: Topology,
    queue: str,
    *,
    prefetch: int,
    on_message: Callable[[Session, AbstractIncomingMessage], Awaitable[None]],
) -> AsyncIterator[Session]:
    """Consume for as long as the block lasts. It ends with BrokerUnavailable when the connection is lost."""
    async with link.hold() as connection:
        await topology.declare(connection)
        async with asyncio.timeout(RPC_TIMEOUT_S):
            channel = connection.channel(publisher_confirms=False)
            await channel.initialize()
        here = Session(link, connection, channel, queue)

        async def receive(delivery: AbstractIncomingMessage) -> None:
            await on_message(here, delivery)

        underlay = await channel.get_underlay_channel()
        channel.close_callbacks.add(lambda *_: here.lost.set())
        underlay.on_consumer_cancel_callbacks.add(lambda _: here.lost.set())
        try:
            consumed = await channel.get_queue(queue, ensure=False)
            try:
                async with asyncio.timeout(RPC_TIMEOUT_S):
                    # Per consumer: a global limit on a quorum queue closes the whole connection.
                    await channel.set_qos(prefetch_count=prefetch, global_=False)
                    here.tag = await consumed.consume(receive)
            except TimeoutError:
                # Seen on 3.10 for a queue declared in the last second before a kill -9: it gets no leader again.
                raise BrokerUnavailable("the queue does not answer; if that stays, delete it: it comes back") from None
            heed_cancellation()
            yield here
        finally:
            here.is_ending = True
            here.lost.set()
            if link.is_on(connection):
                await close_quietly(channel)


async def watch(here: Session) -> None:
    """Return once the session is lost. Connections look alive for half a minute after they died, so ask the queue."""
    while not here.lost.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(PROBE_EVERY_S):
                await here.lost.wait()
                return
        underlay = await here.channel.get_underlay_channel()
        try:
            async with asyncio.timeout(RPC_TIMEOUT_S):
                found = await underlay.queue_declare(here.queue, passive=True)
        except TimeoutError:
            here.link.drop(BrokerUnavailable("a queue did not answer in time"))
            raise
        if not found.consumer_count:
            return


class QueueConsumer:
    """One `Broker.consume` call."""

    def __init__(
        self, link: Link, publisher: Publisher, consumer: Consumer, handler: Handler, *, stop_grace_s: float
    ) -> None:
        self._link = link
        self._publisher = publisher
        self._consumer = consumer
        self._handler = handler
        self._stop_grace_s = stop_grace_s
        self._topology = Topology()
        self._topology.add([consumer], [])
        self.queue = consumer.name
        self._by_event = OneByOne()
        self._slots = asyncio.Semaphore(consumer.prefetch)
        self.is_consuming = False

    async def run(self) -> None:
        mismatch: TopologyMismatch | None = None
        async with asyncio.TaskGroup() as tasks:
            in_hand = InHand(tasks)
            try:
                await keep_consuming(self._link, self.queue, lambda: self._session(in_hand))
            except TopologyMismatch as error:
                mismatch = error  # raised below, or it would come out wrapped in a group
            finally:
                await in_hand.finish(self._stop_grace_s)
        if mismatch is not None:
            raise mismatch

    async def _session(self, in_hand: InHand) -> None:
        async def on_message(here: Session, delivery: AbstractIncomingMessage) -> None:
            # What still comes while the session ends goes back to the queue with the channel.
            if not here.is_ending:
                in_hand.start(self._work(here, delivery))

        prefetch = self._consumer.prefetch
        async with session(self._link, self._topology, self.queue, prefetch=prefetch, on_message=on_message) as here:
            self.is_consuming = True
            try:
                await watch(here)
            finally:
                self.is_consuming = False
                if here.is_alive:
                    # Asked to stop: what is in hand ends while it can still be acknowledged.
                    await here.stop()
                    await in_hand.finish(self._stop_grace_s)

    async def _work(self, here: Session, delivery: AbstractIncomingMessage) -> None:
        message = from_wire(delivery)
        if message is None:
            letter = Letter(PARKING, "", foreign_to_wire(delivery, self._marks("not a message of Ringdesk")))
            await self._settle(here, delivery, letter)
            return
        async with self._by_event.alone(message.event_id), self._slots:
            outcome = await outcome_of(self._handler, message, consumer=self._consumer.name)
            await self._settle(here, delivery, self._onward(message, outcome))

    def _onward(self, message: Message, outcome: Outcome) -> Letter | None:
        match outcome:
            case Done():
                return None
            case RetryLater(delay_s):
                return Letter(retry_name(rung_for(delay_s)), self._consumer.name, to_wire(message))
            case Park(reason):
                log.warning("message parked", consumer=self._consumer.name, event_id=message.event_id, reason=reason)
                return Letter(PARKING, message.name, to_wire(message, self._marks(reason)))

    def _marks(self, reason: str) -> dict[str, str]:
        return park_marks(consumer=self._consumer.name, reason=reason)

    async def _settle(self, here: Session, delivery: AbstractIncomingMessage, onward: Letter | None) -> None:
        """Acknowledge, after the onward copy (if any) is confirmed. Left undone when the session is lost meanwhile."""
        pause = Pause(self._link.longest_pause_s)
        while onward is not None and here.is_alive:
            with suppress(BrokerUnavailable):
                if all(await self._publisher.send([onward])):
                    break
            await pause.wait()
        if not here.is_alive:
            return
        await _ack(delivery)


class WakeConsumer:
    """One `Broker.consume_wakes` call."""

    def __init__(self, link: Link, pool: str, on_wake: Callable[[], None]) -> None:
        self._link = link
        self.queue = dispatch_name(pool)
        self._on_wake = on_wake
        self._topology = Topology()
        self._topology.add([], [pool])
        self.is_consuming = False

    async def run(self) -> None:
        await keep_consuming(self._link, self.queue, self._session)

    async def _session(self) -> None:
        async with session(self._link, self._topology, self.queue, prefetch=1, on_message=self._woken) as here:
            self.is_consuming = True
            try:
                await watch(here)
            finally:
                self.is_consuming = False

    async def _woken(self, _: Session, delivery: AbstractIncomingMessage) -> None:
        """Acknowledged on receipt: the pass it starts finds its work in the tables."""
        self._on_wake()
        await _ack(delivery)


async def _ack(delivery: AbstractIncomingMessage) -> None:
    """If it fails, the message comes again."""
    with suppress(BrokerUnavailable), as_unavailable():
        async with asyncio.timeout(RPC_TIMEOUT_S):
            await delivery.ack()
