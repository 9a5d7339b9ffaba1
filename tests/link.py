"""A TCP link that a test holds in its hand: it passes, refuses, resets, swallows (both ways or one), delays, or breaks right
after certain bytes; and it counts what it did, so that a test can prove that its fault happened.

Its own address stays the same while the server behind it comes back at another one. `link_to_postgres`, `link_to_redis` and
`link_to_rabbitmq` open one to a server that runs and give the URL that leads through it.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit, urlunsplit

RESET: Final = struct.pack("ii", 1, 0)
LET_ARRIVE_S: Final = 0.05
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Mode(StrEnum):
    PASS = "pass"
    REFUSE = "refuse"
    """Nobody listens, and what was connected is reset."""
    RESET = "reset"
    """Every connection is reset, old ones at once and new ones as they come."""
    SWALLOW = "swallow"
    """A black hole: connections stay open or are taken, and nothing passes."""
    ONLY_TO_SERVER = "only to server"
    """Requests arrive, answers do not."""
    ONLY_TO_CLIENT = "only to client"
    """Answers arrive, requests do not."""


class Side(StrEnum):
    SERVER = "to server"
    CLIENT = "to client"


CLOSED: Final = {
    Mode.SWALLOW: frozenset(Side),
    Mode.ONLY_TO_SERVER: frozenset({Side.CLIENT}),
    Mode.ONLY_TO_CLIENT: frozenset({Side.SERVER}),
}


@dataclass(slots=True)
class _Cut:
    pattern: bytes
    side: Side
    times: int


@dataclass(slots=True)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_cut: bool = False


class Link:
    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.resets = 0
        self.unreachable = 0
        """Connections taken while no server was behind."""
        self.held = 0
        """Pieces, and new connections, that did not pass while a direction was closed."""
        self.delayed = 0
        self.cuts = 0
        """Connections broken after their pattern."""
        self.delay_s = 0.0
        self.mode = Mode.PASS
        self._upstream: Callable[[], Awaitable[Streams]] | None = None
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = {side: asyncio.Event() for side in Side}
        self._cut: _Cut | None = None
        self._open_all()

    async def open(self, port: int = 0) -> None:
        """0: any free one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    @property
    def is_unused(self) -> bool:
        return not self._links

    def lead_to_port(self, port: int, host: str = "127.0.0.1") -> None:
        self._upstream = lambda: asyncio.open_connection(host, port)

    def lead_to_socket(self, path: Path) -> None:
        self._upstream = lambda: asyncio.open_unix_connection(str(path))

    async def set(self, mode: Mode) -> None:
        """PASS heals everything: the delay and a pattern that was not met are forgotten too."""
        was, self.mode = self.mode, mode
        self._open_all()
        for side in CLOSED.get(mode, frozenset()):
            self._passing[side].clear()
        if mode is Mode.PASS:
            self.delay_s, self._cut = 0.0, None
        if mode is Mode.REFUSE and self._server is not None:
            self._server.close()
        elif was is Mode.REFUSE:
            await self.open(self.port)
        if mode in (Mode.RESET, Mode.REFUSE):
            self.cut()

    def cut_after(self, pattern: bytes, *, times: int, side: Side = Side.SERVER) -> None:
        """Break the next `times` connections that carry the pattern: it arrives, and nothing after it."""
        self._cut = _Cut(pattern, side, times)

    def cut(self) -> None:
        """Reset what is connected; new connections are as the mode says."""
        for writer in list(self._writers):
            self._reset(writer)

    def _open_all(self) -> None:
        for passing in self._passing.values():
            passing.set()

    def _reset(self, writer: asyncio.StreamWriter) -> None:
        self.resets += 1
        sock: socket.socket = writer.get_extra_info("socket")
        if sock.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        self.connections += 1
        self._writers.add(writer)
        try:
            if self.mode in (Mode.RESET, Mode.REFUSE):
                self._reset(writer)
            else:
                await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the server is away, or the test is over: the client sees its connection end
        finally:
            self._links.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._passing[Side.SERVER].is_set():
            self.held += 1  # whoever has just connected waits as those do whose bytes are held
            await self._passing[Side.SERVER].wait()
        try:
            if self._upstream is None:
                raise ConnectionRefusedError
            up_reader, up_writer = await self._upstream()
        except OSError:
            self.unreachable += 1
            raise
        self._writers.add(up_writer)
        both = _Connection(writer, up_writer)
        try:
            pumps = [
                asyncio.create_task(self._pump(reader, both, Side.SERVER)),
                asyncio.create_task(self._pump(up_reader, both, Side.CLIENT)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            self._writers.discard(up_writer)
            up_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, both: _Connection, side: Side) -> None:
        writer = both.server if side is Side.SERVER else both.client
        seen = b""
        with contextlib.suppress(OSError):
            while received := await reader.read(65536):
                if not self._passing[side].is_set():
                    self.held += 1
                    await self._passing[side].wait()
                if self.delay_s:
                    self.delayed += 1
                    await asyncio.sleep(self.delay_s)
                if both.is_cut:
                    continue
                cut = self._cut
                if cut is not None and cut.side is side:
                    seen = seen[-len(cut.pattern) :] + received
                    if cut.pattern in seen and cut.times > 0:
                        await self._break(cut, both, writer, received)
                        return
                writer.write(received)
                await writer.drain()

    async def _break(self, cut: _Cut, both: _Connection, writer: asyncio.StreamWriter, received: bytes) -> None:
        """Pass the pattern on, let it take effect, and tell the client nothing of it."""
        cut.times -= 1
        self.cuts += 1
        both.is_cut = True
        writer.write(received)
        await writer.drain()
        await asyncio.sleep(LET_ARRIVE_S)
        self._reset(both.client)


@asynccontextmanager
async def _open(host: str | None, port: int, *, path: Path | None = None) -> AsyncIterator[Link]:
    link = Link()
    if path is not None:
        link.lead_to_socket(path)
    else:
        link.lead_to_port(port, host or "127.0.0.1")
    await link.open()
    try:
        yield link
    finally:
        await link.close()


@asynccontextmanager
async def link_to_postgres(url: str) -> AsyncIterator[tuple[Link, str]]:
    """The link, and the URL of the same database through it."""
    parts = urlsplit(url)
    folder = parse_qs(parts.query).get("host", [""])[0]
    path = Path(folder) / ".s.PGSQL.5432" if folder.startswith("/") else None
    async with _open(parts.hostname, parts.port or 5432, path=path) as link:
        user = parts.netloc.rpartition("@")[0]
        yield link, urlunsplit(("postgresql", f"{user}@127.0.0.1:{link.port}", parts.path, "sslmode=disable", ""))


@asynccontextmanager
async def link_to_redis(url: str) -> AsyncIterator[tuple[Link, str]]:
    """The link, and the URL of the same numbered database through it."""
    parts = urlsplit(url)
    is_local = parts.scheme == "unix"
    number = parse_qs(parts.query).get("db", ["" if is_local else parts.path.strip("/")])[0] or "0"
    async with _open(parts.hostname, parts.port or 6379, path=Path(parts.path) if is_local else None) as link:
        yield link, f"redis://127.0.0.1:{link.port}/{number}"


@asynccontextmanager
async def link_to_rabbitmq(url: str) -> AsyncIterator[tuple[Link, str]]:
    """The link, and the URL of the same node and virtual host through it."""
    parts = urlsplit(url)
    async with _open(parts.hostname, parts.port or 5672) as link:
        user = parts.netloc.rpartition("@")[0]
        yield (
            link,
            urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{link.port}" if user else f"127.0.0.1:{link.port}")),
        )
