"""One connection to RabbitMQ, kept open.

aio-pika's robust connection is not used: it reconnects at a fixed interval for ever, also into a topology that will never
fit, restores entities out of our sight, and looks alive meanwhile. Here a lost connection ends everything that stood on
it, and the next one is set up from the start by the same few lines; the pause between two attempts grows, with jitter.

Time-outs around the client library are `asyncio.timeout` blocks and never its own `timeout=` arguments: those end in
`asyncio.wait_for`, which on Python 3.11 swallows a cancellation that comes together with the answer.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, TypeAlias

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from yarl import URL

from infra.broker_outcome import heed_cancellation, is_own_cancellation
from infra.bus import BrokerUnavailable, TopologyMismatch

FIRST_PAUSE_S: Final = 0.2
STABLE_AFTER_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 3.0
Serve: TypeAlias = Callable[[AbstractConnection], Awaitable[None]]

log = structlog.get_logger(__name__)


BREAKS: Final = (*CONNECTION_EXCEPTIONS, TimeoutError, EOFError)
"""What aiormq raises when a connection or channel breaks; a RuntimeError is a closed channel."""


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Every way in which aiormq says that a connection or channel broke becomes BrokerUnavailable.

    That includes a cancellation nobody asked for. One that somebody asked for gets through, also when the library turned
    it into something else or into nothing. Wrap calls of the library only. TopologyMismatch passes.
    """
    try:
        yield
        heed_cancellation()
    except asyncio.CancelledError as error:
        if is_own_cancellation():
            raise
        raise BrokerUnavailable("a wait on the connection was cancelled") from error
    except BREAKS as error:
        heed_cancellation()
        raise BrokerUnavailable(describe(error)) from error


@contextmanager
def quietly() -> Iterator[None]:
    """For cleaning up what may be half dead: what breaks now does not matter."""
    try:
        yield
    except asyncio.CancelledError:
        if is_own_cancellation():
            raise
    except BREAKS:
        pass


class Pause:
    """Growing pauses with jitter between attempts; short again after an attempt that lasted."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._next_s = FIRST_PAUSE_S
        self._began = asyncio.get_running_loop().time()

    def attempt(self) -> None:
        self._began = asyncio.get_running_loop().time()

    async def wait(self) -> None:
        if asyncio.get_running_loop().time() - self._began > STABLE_AFTER_S:
            self._next_s = FIRST_PAUSE_S
        pause_s, self._next_s = self._next_s, min(self._longest_s, self._next_s * 2)
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 -- jitter, not a secret


class Link:
    """`run()` keeps the connection open and lets `serve(connection)` work on it until it is lost."""

    def __init__(
        self,
        url: str,
        *,
        name: str,
        heartbeat_s: int,
        connect_timeout_s: float,
        longest_pause_s: float,
        serve: Serve,
    ) -> None:
        self.longest_pause_s = longest_pause_s
        self._url = URL(url)
        self._name = name
        self._heartbeat_s = heartbeat_s
        self._connect_timeout_s = connect_timeout_s
        self._serve = serve
        self._connection: AbstractConnection | None = None
        self._opened = asyncio.Event()
        self._holds: set[asyncio.Timeout] = set()
        self._dropped_because: Exception | None = None
        self._away_since = 0.0
        self.trouble: Exception | None = None
        self._news = asyncio.Event()

    @property
    def place(self) -> str:
        """Host and port, without the credentials."""
        return f"{self._url.host}:{self._url.port or 5672}"

    @property
    def away_s(self) -> float:
        """For how long there has been no connection."""
        return 0.0 if self._connection is not None else asyncio.get_running_loop().time() - self._away_since

    def is_on(self, connection: AbstractConnection) -> bool:
        return self._connection is connection

    def drop(self, because: BrokerUnavailable | TopologyMismatch) -> None:
        """Distrust the connection: close it and open another."""
        if self._connection is not None:
            self._dropped_because = because
            self._lose(self._connection)

    @asynccontextmanager
    async def hold(self, within_s: float | None = None) -> AsyncIterator[AbstractConnection]:
        """Work on the connection, waiting up to `within_s` for one.

        The block ends with BrokerUnavailable once the connection is lost. aiormq itself now and then leaves a call
        waiting that was begun while its connection was breaking.
        """
        try:
            async with asyncio.timeout(within_s):
                while self._connection is None:
                    await self._opened.wait()
                connection = self._connection
        except TimeoutError:
            raise BrokerUnavailable(self.why()) from None
        lost = asyncio.timeout(None)
        try:
            async with lost:
                self._holds.add(lost)
                try:
                    yield connection
                finally:
                    self._holds.discard(lost)
        except TimeoutError:
            if lost.expired():
                raise BrokerUnavailable("connection lost") from None
            raise

    async def changed(self) -> None:
        """Wait for the next change: it works, or it has trouble."""
        await self._news.wait()

    def why(self) -> str:
        trouble = "not connected yet" if self.trouble is None else describe(self.trouble)
        return f"RabbitMQ at {self.place}: {trouble}"

    async def run(self) -> None:
        self._away_since = asyncio.get_running_loop().time()
        pause = Pause(self.longest_pause_s)
        while True:
            pause.attempt()
            try:
                with as_unavailable():
                    await self._once()
            except (BrokerUnavailable, TopologyMismatch) as error:
                self._note(self._dropped_because or error)
            except Exception as error:
                # A fault inside the client library must not end the process that answers calls.
                log.exception("rabbitmq link failed", link=self._name)
                self._note(error)
            heed_cancellation()
            await pause.wait()

    def works(self) -> None:
        """Said by `serve` once the connection does what it is for."""
        if self.trouble is not None:
            log.info("rabbitmq link works again", link=self._name)
        self._tell(None)

    async def _once(self) -> None:
        self._dropped_because = None
        connection = aio_pika.Connection(
            self._url,
            heartbeat=self._heartbeat_s,
            client_properties={"connection_name": f"ringdesk {self._name}"},
        )
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await connection.connect()
        except BaseException:
            # One that is only forgotten closes itself when it is collected, which may be in a thread without a loop.
            await close_quietly(connection)
            raise
        connection.close_callbacks.add(lambda *_: self._lose(connection))
        self._connection = connection
        self._opened.set()
        try:
            async with self.hold():
                await self._serve(connection)
        finally:
            self._lose(connection)
            await close_quietly(connection)

    def _lose(self, connection: AbstractConnection) -> None:
        """End everything that stands on this connection."""
        if self._connection is not connection:
            return
        self._connection = None
        self._opened.clear()
        now = self._away_since = asyncio.get_running_loop().time()
        for hold in self._holds:
            hold.reschedule(now)
        self._holds = set()

    def _note(self, error: Exception) -> None:
        if type(error) is not type(self.trouble):
            tell = log.error if isinstance(error, TopologyMismatch) else log.warning
            tell("rabbitmq link lost", link=self._name, place=self.place, error=describe(error))
        self._tell(error)

    def _tell(self, trouble: Exception | None) -> None:
        self.trouble = trouble
        news, self._news = self._news, asyncio.Event()
        news.set()


def describe(error: Exception) -> str:
    """One line for logs and health. aiormq's errors often say nothing but their kind."""
    if isinstance(error, BrokerUnavailable):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


async def close_quietly(closable: AbstractConnection | AbstractChannel) -> None:
    """Close what may be half dead already, within CLOSE_TIMEOUT_S."""
    with quietly():
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await closable.close()
