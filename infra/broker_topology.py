"""What exists in RabbitMQ, and why each argument is there. Names only; the wire format is `infra/broker_wire.py`.

    ringdesk.events (topic) ---event name---> one queue per consumer, named after it
    ringdesk.retry.<s> (fanout) ------------> ringdesk.retry.<s>, where everything expires after s seconds
    ringdesk.retried (direct) -consumer name> the consumer's queue; what it cannot route goes to parking
    ringdesk.parking (fanout) --------------> ringdesk.parking
    default exchange -----------------------> routing.dispatch.<pool>, and repeats to one consumer's queue

A retry is published to the fanout exchange of its rung with the *consumer's name* as routing key. The queue of the rung
has no dead-letter routing key, so an expired message keeps that key, and `ringdesk.retried` takes it to the consumer.
One queue per rung serves all consumers; within a rung everything waits equally long, so nothing waits behind a longer one.

Every queue is a quorum queue and every argument means the same in RabbitMQ 3.10 and 4.x:

- Consumer queues: an explicit delivery limit (3.10 has none, 4.x has 20), dead letters at least once to the parking
  queue, which needs `reject-publish`; a full queue therefore answers the publisher with a nack.
- Rungs dead-letter at least once, too: at most once loses what expires while the consumer's queue is not up yet, so every
  retry that comes due during a restart (measured). But at-least-once keeps what cannot be routed, and 32 such messages,
  of a consumer that no longer exists, stop the rung for everybody: hence an exchange of its own with an alternate.
- Dispatch queues hold wakes, which are about nothing but "now": one is enough (`x-max-length` 1, the oldest goes), and an
  old one is worthless. Quorum and not classic although the hop costs 0.65 ms more: a classic queue is gone while its node
  is, and then a pool is matched only by the sweep. Pools come and go with the configuration: unused queues expire.
- Parking is for people to look at; the truth is `deliveries`. So it is bounded and drops its oldest.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource, ChannelPreconditionFailed
from pamqp.common import FieldValue

from infra.broker_link import close_quietly
from infra.bus import RETRY_DELAYS_S, Consumer, TopologyMismatch

EVENTS: Final = "ringdesk.events"
RETRIED: Final = "ringdesk.retried"
PARKING: Final = "ringdesk.parking"
DELIVERY_LIMIT: Final = 20
QUEUE_LIMIT: Final = 100_000
PARKING_LIMIT: Final = 100_000
WAKE_TTL_MS: Final = 10_000
UNUSED_DISPATCH_QUEUE_MS: Final = 86_400_000
DECLARE_TIMEOUT_S: Final = 10.0

# What waiting does not cure. A missing home node or an unreachable quorum is another answer and is tried again.
REFUSALS: Final = (ChannelPreconditionFailed, ChannelAccessRefused, ChannelLockedResource)

Arguments: TypeAlias = dict[str, FieldValue]


def retry_name(rung: int) -> str:
    return f"ringdesk.retry.{rung}"


def dispatch_name(pool: str) -> str:
    return f"routing.dispatch.{pool}"


CONSUMER_QUEUE: Final[Arguments] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-dead-letter-exchange": PARKING,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
    "x-max-length": QUEUE_LIMIT,
}
DISPATCH_QUEUE: Final[Arguments] = {
    "x-queue-type": "quorum",
    "x-single-active-consumer": True,
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-message-ttl": WAKE_TTL_MS,
    "x-max-length": 1,
    "x-overflow": "drop-head",
    "x-expires": UNUSED_DISPATCH_QUEUE_MS,
}
PARKING_QUEUE: Final[Arguments] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-max-length": PARKING_LIMIT,
    "x-overflow": "drop-head",
}


def rung_queue(rung: int) -> Arguments:
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-message-ttl": rung * 1000,
        "x-dead-letter-exchange": RETRIED,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


@dataclass(slots=True)
class Topology:
    """Everything this process has asked for; declared again on every connection, so an erased broker gets it back."""

    consumers: dict[str, Consumer] = field(default_factory=dict)
    pools: set[str] = field(default_factory=set)

    def add(self, consumers: Iterable[Consumer], pools: Iterable[str]) -> None:
        self.consumers |= {consumer.name: consumer for consumer in consumers}
        self.pools |= set(pools)

    def queue_names(self) -> list[str]:
        return [
            *self.consumers,
            *map(dispatch_name, sorted(self.pools)),
            *map(retry_name, RETRY_DELAYS_S),
            PARKING,
        ]

    async def declare(self, connection: AbstractConnection) -> None:
        """Idempotent. Raises TopologyMismatch with the name of what differs."""
        async with asyncio.timeout(DECLARE_TIMEOUT_S):
            channel = connection.channel()
            await channel.initialize()
        try:
            await _exchange(channel, EVENTS, "topic")
            await _exchange(channel, PARKING, "fanout")
            await _exchange(channel, RETRIED, "direct", {"alternate-exchange": PARKING})
            await _queue(channel, PARKING, PARKING_QUEUE, bind_to=[(PARKING, "")])
            for rung in RETRY_DELAYS_S:
                name = retry_name(rung)
                await _exchange(channel, name, "fanout")
                await _queue(channel, name, rung_queue(rung), bind_to=[(name, "")])
            for consumer in list(self.consumers.values()):
                bindings = [(RETRIED, consumer.name), *((EVENTS, event) for event in consumer.events)]
                await _queue(channel, consumer.name, CONSUMER_QUEUE, bind_to=bindings)
            for pool in list(self.pools):
                await _queue(channel, dispatch_name(pool), DISPATCH_QUEUE, bind_to=[])
        finally:
            await close_quietly(channel)


async def _exchange(channel: AbstractChannel, name: str, kind: str, arguments: Arguments | None = None) -> None:
    try:
        async with asyncio.timeout(DECLARE_TIMEOUT_S):
            await channel.declare_exchange(name, kind, durable=True, arguments=arguments)
    except REFUSALS as error:
        raise TopologyMismatch(f"exchange {name}: {error}") from error


async def _queue(
    channel: AbstractChannel, name: str, arguments: Arguments, *, bind_to: Iterable[tuple[str, str]]
) -> None:
    try:
        async with asyncio.timeout(DECLARE_TIMEOUT_S):
            queue = await channel.declare_queue(name, durable=True, arguments=arguments)
            for exchange, key in bind_to:
                await queue.bind(exchange, key)
    except REFUSALS as error:
        raise TopologyMismatch(f"queue {name}: {error}") from error
