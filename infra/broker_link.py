"""One connection to RabbitMQ, kept open.

aio-pika's robust connection is not used: it reconnects at a fixed interval for ever, also into a topology that will never
fit, restores entities out of our sight, and looks alive meanwhile. Here a lost connection ends everything that stood on
it, and the next one is set up from the start by the same few lines; the pause between two attempts grows, with jitter.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeAlias

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from yarl import URL

from infra.broker_outcome import is_own_cancellation
from infra.bus import BrokerUnavailable, TopologyMismatch

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
STABLE_AFTER_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 3.0
Serve: TypeAlias = Callable[[AbstractConnection, asyncio.Event], Awaitable[None]]

log = structlog.get_logger(__name__)


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Every way in which aiormq says that a connection or channel broke becomes BrokerUnavailable.

    That includes a cancellation nobody asked for and a RuntimeError (a closed channel), so wrap calls of the client
    library only. TopologyMismatch passes.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        if is_own_cancellation():
            raise
        raise BrokerUnavailable("a wait on the connection was cancelled") from error
    except (*CONNECTION_EXCEPTIONS, TimeoutError, EOFError) as error:
        raise BrokerUnavailable(describe(error)) from error


class Pause:
    """Growing pauses with jitter between attempts; short again after an attempt that lasted."""

    def __init__(self) -> None:
        self._next_s = FIRST_PAUSE_S
        self._began = asyncio.get_running_loop().time()

    def attempt(self) -> None:
        self._began = asyncio.get_running_loop().time()

    async def wait(self) -> None:
        if asyncio.get_running_loop().time() - self._began > STABLE_AFTER_S:
            self._next_s = FIRST_PAUSE_S
        pause_s, self._next_s = self._next_s, min(LONGEST_PAUSE_S, self._next_s * 2)
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 -- jitter, not a secret


class Link:
    """`run()` keeps the connection; `serve(connection, lost)` sets up what stands on it and returns once `lost` is set."""

    def __init__(self, url: str, *, name: str, heartbeat_s: int, connect_timeout_s: float, serve: Serve) -> None:
        self._url = URL(url)
        self._name = name
        self._heartbeat_s = heartbeat_s
        self._connect_timeout_s = connect_timeout_s
        self._serve = serve
        self._connection: AbstractConnection | None = None
        self._opened = asyncio.Event()
        self._lost = asyncio.Event()
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

    def drop(self, because: BrokerUnavailable | TopologyMismatch) -> None:
        """Distrust the connection: close it and open another."""
        self._dropped_because = because
        self._lost.set()

    async def opened(self, within_s: float | None = None) -> AbstractConnection:
        """The open connection. Raises BrokerUnavailable after `within_s`."""
        try:
            async with asyncio.timeout(within_s):
                while self._connection is None:
                    await self._opened.wait()
                return self._connection
        except TimeoutError:
            raise BrokerUnavailable(self.why()) from None

    async def changed(self) -> None:
        """Wait for the next change: it works, or it has trouble."""
        await self._news.wait()

    def why(self) -> str:
        trouble = "not connected yet" if self.trouble is None else describe(self.trouble)
        return f"RabbitMQ at {self.place}: {trouble}"

    async def run(self) -> None:
        self._away_since = asyncio.get_running_loop().time()
        pause = Pause()
        while True:
            pause.attempt()
            try:
                with as_unavailable():
                    await self._once()
                self._note(self._dropped_because or BrokerUnavailable("connection lost"))
            except (BrokerUnavailable, TopologyMismatch) as error:
                self._note(error)
            except Exception as error:
                # A fault inside the client library must not end the process that answers calls.
                log.exception("rabbitmq link failed", link=self._name)
                self._note(error)
            await pause.wait()

    async def _once(self) -> None:
        async with asyncio.timeout(self._connect_timeout_s):
            connection = await aio_pika.connect(
                self._url,
                heartbeat=self._heartbeat_s,
                client_properties={"connection_name": f"ringdesk {self._name}"},
            )
        lost = self._lost = asyncio.Event()
        self._dropped_because = None
        connection.close_callbacks.add(lambda *_: lost.set())
        self._connection = connection
        self._opened.set()
        try:
            await self._serve(connection, lost)
        finally:
            self._connection = None
            self._away_since = asyncio.get_running_loop().time()
            self._opened.clear()
            await close_quietly(connection)

    def works(self) -> None:
        """Said by `serve` once the connection does what it is for."""
        if self.trouble is not None:
            log.info("rabbitmq link works again", link=self._name)
        self._tell(None)

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
    with suppress(BrokerUnavailable), as_unavailable():
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await closable.close()
