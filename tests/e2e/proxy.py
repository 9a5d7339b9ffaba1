"""A TCP link that a test holds in its hand: it passes, resets, or swallows everything, and counts what it did.

Its own address stays the same while the server behind it comes back at another one.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

RESET: Final = struct.pack("ii", 1, 0)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Mode(StrEnum):
    PASS = "pass"
    RESET = "reset"
    """Every connection is reset, old ones at once and new ones as they come."""
    SWALLOW = "swallow"
    """A black hole: connections stay open or are taken, and nothing passes."""


class Link:
    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.resets = 0
        self.unreachable = 0
        """Connections taken while no server was behind."""
        self.mode = Mode.PASS
        self._upstream: Callable[[], Awaitable[Streams]] | None = None
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._passing.set()

    async def open(self, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = port

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def lead_to_port(self, port: int) -> None:
        self._upstream = lambda: asyncio.open_connection("127.0.0.1", port)

    def lead_to_socket(self, path: Path) -> None:
        self._upstream = lambda: asyncio.open_unix_connection(str(path))

    def set(self, mode: Mode) -> None:
        self.mode = mode
        if mode is Mode.SWALLOW:
            self._passing.clear()
        else:
            self._passing.set()
        if mode is Mode.RESET:
            self.cut()

    def cut(self) -> None:
        """Reset what is connected; new connections are as the mode says."""
        for writer in list(self._writers):
            self._reset(writer)

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
        if self.mode is Mode.RESET:
            self._reset(writer)
        self._writers.add(writer)
        try:
            await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the server is away, or the test is over: the client sees its connection end
        finally:
            self._links.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passing.wait()
        try:
            if self._upstream is None:
                raise ConnectionRefusedError
            up_reader, up_writer = await self._upstream()
        except OSError:
            self.unreachable += 1
            raise
        self._writers.add(up_writer)
        try:
            pumps = [
                asyncio.create_task(self._pump(reader, up_writer)),
                asyncio.create_task(self._pump(up_reader, writer)),
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

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while received := await reader.read(65536):
                await self._passing.wait()
                writer.write(received)
                await writer.drain()
