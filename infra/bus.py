"""What the service asks of a message broker; `infra/broker.py` (RabbitMQ) and `infra/local_broker.py` both keep it.

The broker is never the truth: every message stands for a row in `deliveries` (or, for a wake, for nothing at all), and rows
that stay undone are sent again. So an error or a time-out from any call here means *unknown*, never *not sent*.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

RETRY_DELAYS_S: Final = (1, 5, 30, 120)
"""The retry ladder. After the last rung a message is parked."""


@dataclass(frozen=True, slots=True)
class Message:
    """One committed event on the wire. `body` is JSON with ids and versions only: no names, phones or texts."""

    event_id: int
    name: str
    version: int
    body: bytes
    created_at: datetime
    correlation_id: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message and where it goes: to every consumer of its name, or (a repeat) to one consumer's queue by name."""

    message: Message
    consumer: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The effect is committed (or was before): acknowledge."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Deliver again after about `delay_s` (one of RETRY_DELAYS_S)."""

    delay_s: int


@dataclass(frozen=True, slots=True)
class Park:
    """Stop trying; keep the message where people see it, with the reason."""

    reason: str


Outcome = Done | RetryLater | Park
Handler = Callable[[Message], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Consumer:
    """One durable queue, named after the consumer, bound to the event names it reacts to."""

    name: str
    events: tuple[str, ...]
    prefetch: int = 16


@dataclass(frozen=True, slots=True)
class BrokerHealth:
    is_up: bool
    detail: str


class BrokerUnavailable(Exception):
    """The broker cannot be reached or did not confirm in time. The outcome is unknown; the relay repeats."""


class TopologyMismatch(Exception):
    """A queue or exchange exists with other arguments than ours, or a queue lacks its dead-letter exchange."""


class Broker(Protocol):
    """Start and stop are the context manager of the implementation; all other calls may be made from many tasks."""

    async def declare(self, consumers: Sequence[Consumer], pools: Sequence[str]) -> None:
        """Create exchange, queues, retry ladder, parking and one dispatch queue per pool. Idempotent.

        Raises TopologyMismatch with a message that names the queue."""
        ...

    async def publish(self, batch: Sequence[Outgoing]) -> list[bool]:
        """Publish with pipelined confirms. The i-th answer says whether the i-th message was confirmed.

        False means unknown or returned. Never raises for a message; raises BrokerUnavailable if nothing can be sent."""
        ...

    async def wake(self, pool: str) -> None:
        """Tell the pool's dispatcher to look. Wakes coalesce; a lost one costs at most one sweep."""
        ...

    async def consume(self, consumer: Consumer, handler: Handler) -> None:
        """Run until cancelled: hand each message to the handler (at most `prefetch` at a time) and act on its outcome.

        A handler that raises is a bug of the runner around it; the message is then retried on the first rung."""
        ...

    async def consume_wakes(self, pool: str, on_wake: Callable[[], None]) -> None:
        """Run until cancelled. Only one process of all receives the wakes of a pool at any time (single active consumer)."""
        ...

    def health(self) -> BrokerHealth: ...
