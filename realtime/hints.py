"""Events between replicas through Redis: hints, sent with a short time-out and lost without harm.

python-socketio's own manager waits for Redis as long as Redis likes (a stopped one would hold every push), and after an
outage its listener sleeps for up to a minute (reference L19). Here a send waits at most SEND_TIMEOUT_S and then leaves Redis alone
for OPEN_S; the listener tries again every second and notices a link that is silently dead. What is lost meanwhile comes from the
log within two seconds, or with the next board.
"""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any, Final

import orjson
import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from socketio.async_pubsub_manager import AsyncPubSubManager

from infra.broker_outcome import heed_cancellation
from infra.tasks import stop_tasks

log = structlog.get_logger()

CHANNEL: Final = "ringdesk.desk"
"""And the number of the database: a channel belongs to the whole server, also where two deployments have a database of it each."""
SEND_TIMEOUT_S: Final = 0.3
OPEN_S: Final = 2.0
LISTEN_AGAIN_S: Final = 1.0
PROBE_S: Final = 5.0
AWAY: Final = (RedisError, OSError, TimeoutError)


class Hints(AsyncPubSubManager):  # type: ignore[misc]
    """The client manager of a replica: its own sockets directly, those of the others through Redis."""

    name = "ringdesk"

    def __init__(self, redis_url: str) -> None:
        database = parse_url(redis_url).get("db") or 0
        super().__init__(channel=f"{CHANNEL}.{database}")
        limits = {"socket_timeout": SEND_TIMEOUT_S, "socket_connect_timeout": SEND_TIMEOUT_S}
        self._sender = Redis(
            connection_pool=BlockingConnectionPool.from_url(
                redis_url, max_connections=8, timeout=SEND_TIMEOUT_S, **limits
            )
        )
        self._receiver = Redis(connection_pool=BlockingConnectionPool.from_url(redis_url, max_connections=2, **limits))
        self._left_alone_until = 0.0

    async def _publish(self, data: dict[str, Any]) -> None:
        if monotonic() < self._left_alone_until:
            return
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._send(orjson.dumps(data))
            heed_cancellation()
        except AWAY as error:
            self._left_alone_until = monotonic() + OPEN_S
            log.warning("Redis away; other replicas read the log", error=type(error).__name__)

    async def _send(self, body: bytes) -> None:
        try:
            await self._sender.publish(self.channel, body)
        except RedisConnectionError:  # kept connections die with a restart of Redis, and are noticed only now
            await self._sender.connection_pool.disconnect(inuse_connections=False)
            await self._sender.publish(self.channel, body)

    async def _listen(self) -> AsyncIterator[bytes]:
        structlog.contextvars.clear_contextvars()  # started by the first request, but not a part of it
        while True:
            heed_cancellation()
            try:
                async with self._receiver.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(self.channel)
                    async for message in _messages(channel):
                        yield message
            except AWAY as error:
                log.debug("hints not heard", error=type(error).__name__)
            await asyncio.sleep(LISTEN_AGAIN_S)

    async def aclose(self) -> None:
        task = getattr(self, "thread", None)
        if task is not None:
            await stop_tasks([task])
        await self._sender.aclose()
        await self._sender.connection_pool.disconnect()
        await self._receiver.connection_pool.disconnect()


async def _messages(channel: Any) -> AsyncIterator[bytes]:
    """Ends with TimeoutError when neither a message nor the answer to a ping comes."""
    is_asked = False
    while True:
        message = await channel.get_message(timeout=PROBE_S)
        if message is None:
            if is_asked:
                raise TimeoutError
            is_asked = True
            await channel.ping()
            continue
        is_asked = False
        if message["type"] == "message":
            yield message["data"]
