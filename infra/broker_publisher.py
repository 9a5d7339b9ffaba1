"""Publishing with confirms.

Every publish is mandatory and confirmed; a return, a nack, a broken connection and a time-out all answer False, which
means unknown. While there is no connection, or the broker blocks publishers (memory or disk alarm), a publish fails at
once instead of waiting for its time-out. This connection carries no consumers, because a blocked one delivers no acks.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from aio_pika import Message as WireMessage
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import DeliveryError, PublishError

from infra.broker_link import Link, as_unavailable
from infra.broker_outcome import OneByOne, heed_cancellation
from infra.broker_topology import DECLARE_TIMEOUT_S, EVENTS, Topology, dispatch_name
from infra.broker_wire import to_wire
from infra.bus import BrokerUnavailable, Outgoing, TopologyMismatch

TICK_S: Final = 1.0
REPAIR_AT_MOST_EVERY_S: Final = 5.0
WAKE_TIMEOUT_S: Final = 1.0
DEFAULT_EXCHANGE: Final = ""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Letter:
    exchange: str
    routing_key: str
    message: WireMessage


def _letter(outgoing: Outgoing) -> Letter:
    message = to_wire(outgoing.message)
    if outgoing.consumer is None:
        return Letter(EVENTS, outgoing.message.name, message)
    return Letter(DEFAULT_EXCHANGE, outgoing.consumer, message)


@dataclass(frozen=True, slots=True)
class _Open:
    connection: AbstractConnection
    confirmed: AbstractChannel
    plain: AbstractChannel


class Publisher:
    def __init__(
        self,
        url: str,
        topology: Topology,
        *,
        publish_timeout_s: float,
        heartbeat_s: int,
        connect_timeout_s: float,
        longest_pause_s: float,
    ) -> None:
        self._topology = topology
        self._publish_timeout_s = publish_timeout_s
        self.link = Link(
            url,
            name="publish",
            heartbeat_s=heartbeat_s,
            connect_timeout_s=connect_timeout_s,
            longest_pause_s=longest_pause_s,
            serve=self._serve,
        )
        self._open: _Open | None = None
        self._by_id = OneByOne()
        self._needs_repair = False
        self.is_blocked = False

    async def declare(self, within_s: float) -> None:
        """Declare the topology once publishing works. A mismatch ends publishing until somebody cures it."""
        try:
            async with asyncio.timeout(within_s):
                while self._open is None:
                    if isinstance(self.link.trouble, TopologyMismatch):
                        raise self.link.trouble
                    await self.link.changed()
        except TimeoutError:
            raise BrokerUnavailable(self.link.why()) from None
        try:
            with as_unavailable():
                async with self.link.hold(within_s) as connection:
                    await self._topology.declare(connection)
        except TopologyMismatch as mismatch:
            self.link.drop(mismatch)
            raise

    async def publish(self, batch: Sequence[Outgoing]) -> list[bool]:
        return await self.send([_letter(outgoing) for outgoing in batch])

    async def send(self, letters: Sequence[Letter]) -> list[bool]:
        """Publish with all confirms in flight at once; the answers as in `Broker.publish`."""
        there = self._usable()
        if not letters:
            return []
        refused: Counter[tuple[str, str, str]] = Counter()
        async with asyncio.TaskGroup() as tasks:
            sent = [tasks.create_task(self._send_one(there.confirmed, letter, refused)) for letter in letters]
            _, late = await asyncio.wait(sent, timeout=self._publish_timeout_s)
            for task in late:
                task.cancel()
        for (why, exchange, key), count in refused.items():  # one line, however many: a full queue refuses thousands
            log.warning(why, exchange=exchange, key=key, messages=count)
        if late and there is self._open:
            log.warning("publishes not confirmed in time", late=len(late), batch=len(sent))
            self._note_blocked(await is_blocked(there.connection))
            if not self.is_blocked:
                # Neither an answer nor an alarm: one-way loss or a frozen broker. Heartbeats need half a minute.
                self.link.drop(BrokerUnavailable("a publish was not confirmed in time"))
        return [not task.cancelled() and task.result() for task in sent]

    async def wake(self, pool: str) -> None:
        """Unconfirmed: a lost wake costs one sweep, a confirm would cost every pass a round trip."""
        if self._open is None or self.is_blocked:
            return
        exchange = self._open.plain.default_exchange
        with suppress(BrokerUnavailable), as_unavailable():
            async with asyncio.timeout(WAKE_TIMEOUT_S):
                await exchange.publish(WireMessage(b""), dispatch_name(pool), mandatory=False)

    def why_not(self) -> str | None:
        """Why nothing can be published now; None when it can."""
        if self._open is None:
            return self.link.why()
        return "RabbitMQ refuses publishes: memory or disk alarm" if self.is_blocked else None

    def _usable(self) -> _Open:
        if self._open is None or self.is_blocked:
            raise BrokerUnavailable(self.why_not())
        return self._open

    async def _send_one(self, channel: AbstractChannel, letter: Letter, refused: Counter[tuple[str, str, str]]) -> bool:
        exchange, key, message = letter.exchange, letter.routing_key, letter.message
        try:
            # aiormq finds the publish of a return by its message id: two in flight with one id, and a returned
            # message could pass for a confirmed one.
            async with self._by_id.alone(message.message_id):
                with as_unavailable():
                    target = await channel.get_exchange(exchange, ensure=False)
                    await target.publish(message, key, mandatory=True)
        except BrokerUnavailable as unavailable:
            if isinstance(unavailable.__cause__, PublishError):
                refused["messages returned as unroutable", exchange, key] += 1
                self._needs_repair = True
            elif isinstance(unavailable.__cause__, DeliveryError):
                refused["messages refused, queue full", exchange, key] += 1
            return False
        except Exception:
            # AMQP cannot carry it (a correlation id of 300 bytes, say); the rest of the batch goes on.
            log.exception("message cannot be written", key=key, message_id=message.message_id)
            return False
        return True

    async def _serve(self, connection: AbstractConnection) -> None:
        async with asyncio.timeout(DECLARE_TIMEOUT_S):
            confirmed = connection.channel(publisher_confirms=True, on_return_raises=True)
            await confirmed.initialize()
            plain = connection.channel(publisher_confirms=False)
            await plain.initialize()
        await self._topology.declare(connection)
        for channel in (confirmed, plain):
            channel.close_callbacks.add(lambda *_: self._closed(connection))
        heed_cancellation()
        self._open = _Open(connection, confirmed, plain)
        self.link.works()
        try:
            await self._watch(connection)
        finally:
            self._open = None
            self.is_blocked = False

    def _closed(self, connection: AbstractConnection) -> None:
        if self.link.is_on(connection):
            self.link.drop(BrokerUnavailable("the broker closed the publishing channel"))

    async def _watch(self, connection: AbstractConnection) -> None:
        """For ever: notice alarms, and put back what a returned message shows to be missing."""
        repaired_at = 0.0
        while True:
            await asyncio.sleep(TICK_S)
            self._note_blocked(await is_blocked(connection))
            now = asyncio.get_running_loop().time()
            if self._needs_repair and not self.is_blocked and now - repaired_at > REPAIR_AT_MOST_EVERY_S:
                self._needs_repair, repaired_at = False, now
                await self._topology.declare(connection)
                heed_cancellation()

    def _note_blocked(self, is_blocked: bool) -> None:
        if is_blocked != self.is_blocked:
            log.warning("rabbitmq blocks publishes" if is_blocked else "rabbitmq takes publishes again")
        self.is_blocked = is_blocked


async def is_blocked(connection: AbstractConnection) -> bool:
    """Whether the broker told this connection that it takes no publishes now (memory or disk alarm)."""
    transport = connection.transport
    if transport is None:
        return False
    try:
        async with asyncio.timeout(0):
            await transport.ready()
    except TimeoutError:
        return True
    return False
