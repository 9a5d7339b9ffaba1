"""The broker of the embedded mode: same promises as RabbitMQ (`infra/broker.py`), inside one process.

Nothing here survives the process, and nothing has to: the truth is the `deliveries` table, and the relay
sends undone rows again. Queues are bounded: a publish over the bound answers False, and the relay repeats it.
A message counts against the bound until it is done or parked, so a retry finds room.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import structlog

from infra.broker_outcome import InHand, outcome_of, rung_for
from infra.bus import (
    RETRY_DELAYS_S,
    BrokerHealth,
    BrokerUnavailable,
    Consumer,
    Done,
    Handler,
    Message,
    Outgoing,
    Park,
    RetryLater,
)

QUEUE_LIMIT: Final = 100_000
PARKING_LIMIT: Final = 10_000

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    message: Message
    consumer: str
    reason: str


@dataclass(slots=True)
class _Queue:
    ready: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    unfinished: int = 0  # ready, in hand or waiting on the ladder


@dataclass(slots=True)
class _Pool:
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    # Its holder is the single active consumer; the waiters of a lock are served in order.
    active: asyncio.Lock = field(default_factory=asyncio.Lock)


class LocalBroker:
    """Use as `async with LocalBroker() as broker`. One event loop, no threads."""

    def __init__(self, *, queue_limit: int = QUEUE_LIMIT, stop_grace_s: float = 5.0) -> None:
        self.parked: deque[ParkedMessage] = deque(maxlen=PARKING_LIMIT)
        self._queue_limit = queue_limit
        self._stop_grace_s = stop_grace_s
        self._is_open = False
        self._queues: dict[str, _Queue] = {}
        self._bindings: dict[str, set[str]] = {}
        self._pools: dict[str, _Pool] = {}
        self._timers: dict[asyncio.TimerHandle, int] = {}

    async def __aenter__(self) -> Self:
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    async def declare(self, consumers: Sequence[Consumer], pools: Sequence[str]) -> None:
        for consumer in consumers:
            self._declare_queue(consumer)
        for pool in pools:
            self._pools.setdefault(pool, _Pool())

    async def publish(self, batch: Sequence[Outgoing]) -> list[bool]:
        if not self._is_open:
            raise BrokerUnavailable("the local broker is closed")
        return [self._publish_one(outgoing) for outgoing in batch]

    async def wake(self, pool: str) -> None:
        if (known := self._pools.get(pool)) is not None:
            known.wake.set()

    async def consume(self, consumer: Consumer, handler: Handler) -> None:
        queue = self._declare_queue(consumer)
        async with asyncio.TaskGroup() as tasks:
            in_hand = InHand(tasks)
            slots = asyncio.Semaphore(consumer.prefetch)
            try:
                while True:
                    await slots.acquire()
                    message = await queue.ready.get()
                    work = in_hand.start(self._handle(consumer.name, queue, handler, message))
                    work.add_done_callback(lambda _: slots.release())
            finally:
                await in_hand.finish(self._stop_grace_s)

    async def consume_wakes(self, pool: str, on_wake: Callable[[], None]) -> None:
        known = self._pools.setdefault(pool, _Pool())
        async with known.active:
            while True:
                await known.wake.wait()
                known.wake.clear()
                on_wake()

    def health(self) -> BrokerHealth:
        return BrokerHealth(self._is_open, "in this process" if self._is_open else "closed")

    async def depths(self) -> dict[str, int]:
        """Waiting messages per queue, under the names RabbitMQ has."""
        depths = {name: queue.ready.qsize() for name, queue in self._queues.items()}
        depths |= {f"routing.dispatch.{name}": int(pool.wake.is_set()) for name, pool in self._pools.items()}
        depths |= {f"ringdesk.retry.{rung}": 0 for rung in RETRY_DELAYS_S}
        for rung in self._timers.values():
            depths[f"ringdesk.retry.{rung}"] += 1
        return depths | {"ringdesk.parking": len(self.parked)}

    def _declare_queue(self, consumer: Consumer) -> _Queue:
        for event in consumer.events:
            self._bindings.setdefault(event, set()).add(consumer.name)
        return self._queues.setdefault(consumer.name, _Queue())

    def _publish_one(self, outgoing: Outgoing) -> bool:
        """False when nobody is bound or a queue is full; the others still get theirs, as with RabbitMQ."""
        named = {outgoing.consumer} if outgoing.consumer is not None else None
        names = named or self._bindings.get(outgoing.message.name, set())
        queues = [self._queues.get(name) for name in names]
        with_room = [queue for queue in queues if queue and queue.unfinished < self._queue_limit]
        for queue in with_room:
            queue.unfinished += 1
            queue.ready.put_nowait(outgoing.message)
        return bool(queues) and len(with_room) == len(queues)

    async def _handle(self, name: str, queue: _Queue, handler: Handler, message: Message) -> None:
        try:
            outcome = await outcome_of(handler, message, consumer=name)
        except asyncio.CancelledError:
            queue.ready.put_nowait(message)
            raise
        match outcome:
            case Done():
                queue.unfinished -= 1
            case Park(reason):
                queue.unfinished -= 1
                self.parked.append(ParkedMessage(message, name, reason))
                log.warning("message parked", consumer=name, event_id=message.event_id, reason=reason)
            case RetryLater(delay_s):
                self._retry(queue, message, rung_for(delay_s))

    def _retry(self, queue: _Queue, message: Message, rung: int) -> None:
        def due() -> None:
            del self._timers[timer]
            queue.ready.put_nowait(message)

        if self._is_open:
            timer = asyncio.get_running_loop().call_later(rung, due)
            self._timers[timer] = rung
