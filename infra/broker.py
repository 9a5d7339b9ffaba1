"""The message broker of a deployment: RabbitMQ through aio-pika, as `infra/bus.py` asks for it.

Policy. Two connections, one to publish and one to consume; each is owned by a task of this broker's TaskGroup and opened
again, with growing and jittered pauses, whenever it is lost (`broker_link`). Everything is declared anew on every
connection (`broker_topology`), so a broker that comes back empty is usable within seconds. A publish never waits for a
connection (`broker_publisher`); a consumer outlives any fault but a queue that does not fit (`broker_consumer`).
Nothing survives a restart of this process, and nothing has to.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from infra.broker_consumer import QueueConsumer, WakeConsumer
from infra.broker_link import Link, as_unavailable
from infra.broker_publisher import Publisher
from infra.broker_topology import DECLARE_TIMEOUT_S, Topology
from infra.bus import BrokerHealth, Consumer, Handler, Outgoing

RED_AFTER_S: Final = 15.0


class RabbitBroker:
    """Use as `async with RabbitBroker(url) as broker`. Entering never waits for the server: see `health`."""

    def __init__(
        self,
        url: str,
        *,
        publish_timeout_s: float = 5.0,
        connect_timeout_s: float = 5.0,
        heartbeat_s: int = 10,
        longest_pause_s: float = 5.0,
        stop_grace_s: float = 5.0,
    ) -> None:
        self._topology = Topology()
        self._connect_timeout_s = connect_timeout_s
        self._stop_grace_s = stop_grace_s
        self._publisher = Publisher(
            url,
            self._topology,
            publish_timeout_s=publish_timeout_s,
            heartbeat_s=heartbeat_s,
            connect_timeout_s=connect_timeout_s,
            longest_pause_s=longest_pause_s,
        )
        self._consuming = Link(
            url,
            name="consume",
            heartbeat_s=heartbeat_s,
            connect_timeout_s=connect_timeout_s,
            longest_pause_s=longest_pause_s,
            serve=self._serve_consumers,
        )
        self._consumers: set[QueueConsumer | WakeConsumer] = set()
        self._tasks = asyncio.TaskGroup()
        self._links: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._links = [self._tasks.create_task(link.run()) for link in (self._publisher.link, self._consuming)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._links:
            task.cancel()
        # Not told of the body's own error, which would come out wrapped in a group.
        await self._tasks.__aexit__(None, None, None)

    async def declare(self, consumers: Sequence[Consumer], pools: Sequence[str]) -> None:
        """As the protocol says. Raises BrokerUnavailable while the server is away; it is declared once it is back."""
        self._topology.add(consumers, pools)
        await self._publisher.declare(self._connect_timeout_s)

    async def publish(self, batch: Sequence[Outgoing]) -> list[bool]:
        return await self._publisher.publish(batch)

    async def wake(self, pool: str) -> None:
        """Never raises: a wake that cannot be sent is a lost wake."""
        await self._publisher.wake(pool)

    async def consume(self, consumer: Consumer, handler: Handler) -> None:
        """Raises TopologyMismatch when the queue exists with other arguments; survives everything else."""
        await self._run(
            QueueConsumer(self._consuming, self._publisher, consumer, handler, stop_grace_s=self._stop_grace_s)
        )

    async def consume_wakes(self, pool: str, on_wake: Callable[[], None]) -> None:
        await self._run(WakeConsumer(self._consuming, pool, on_wake))

    def health(self) -> BrokerHealth:
        """Up means that a publish can succeed and that the consuming connection was not away for RED_AFTER_S.

        Consumers without their queue are named in the detail; they do not stop the relay.
        """
        if (why := self._publisher.why_not()) is not None:
            return BrokerHealth(False, why)
        if self._consuming.away_s > RED_AFTER_S:
            return BrokerHealth(False, f"consuming: {self._consuming.why()}")
        idle = sorted(reader.queue for reader in self._consumers if not reader.is_consuming)
        detail = f"RabbitMQ at {self._consuming.place}"
        return BrokerHealth(True, f"{detail}; not consuming: {', '.join(idle)}" if idle else detail)

    async def depths(self) -> dict[str, int]:
        """Messages ready in each queue of ours; a queue that does not exist is left out."""
        depths: dict[str, int] = {}
        with as_unavailable():
            async with self._consuming.hold(self._connect_timeout_s) as connection, asyncio.timeout(DECLARE_TIMEOUT_S):
                channel = await connection.channel()
                for name in self._topology.queue_names():
                    try:
                        queue = await channel.declare_queue(name, passive=True)
                        depths[name] = queue.declaration_result.message_count or 0
                    except ChannelNotFoundEntity:  # the answer closes the channel
                        channel = await connection.channel()
                await channel.close()
        return depths

    async def _run(self, reader: QueueConsumer | WakeConsumer) -> None:
        self._consumers.add(reader)
        try:
            await reader.run()
        finally:
            self._consumers.discard(reader)

    async def _serve_consumers(self, _: AbstractConnection) -> None:
        """Nothing stands on this connection but what holds it: see `broker_consumer.session`."""
        self._consuming.works()
        await asyncio.get_running_loop().create_future()
