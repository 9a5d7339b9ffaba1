"""A TCP proxy between a broker and its server whose links can be cut, refused, or silently swallow one direction."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal, TypeAlias

from yarl import URL

Direction: TypeAlias = Literal["to_server", "to_client"]


class LinkProxy:
    def __init__(self, upstream: URL) -> None:
        self._upstream = upstream
        self._links: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows: dict[Direction, asyncio.Event] = {"to_server": asyncio.Event(), "to_client": asyncio.Event()}
        self._server: asyncio.Server | None = None
        self.is_refusing = False
        self.connections = 0
        self.heal()

    @property
    def url(self) -> str:
        assert self._server is not None
        return str(self._upstream.with_host("127.0.0.1").with_port(self._server.sockets[0].getsockname()[1]))

    def cut(self) -> None:
        """Reset every connection, as a crashed host or a firewall does."""
        for writer in list(self._writers):
            sock: socket.socket = writer.get_extra_info("socket")
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def swallow(self, *directions: Direction) -> None:
        """Connections stay open and nothing passes."""
        for direction in directions:
            self._flows[direction].clear()

    def heal(self) -> None:
        self.is_refusing = False
        for flow in self._flows.values():
            flow.set()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        self.connections += 1
        self._writers.add(writer)
        try:
            if self.is_refusing:
                return
            up_reader, up_writer = await asyncio.open_connection(self._upstream.host, self._upstream.port)
            self._writers.add(up_writer)
            try:
                pumps = [
                    asyncio.create_task(self._pump(reader, up_writer, "to_server")),
                    asyncio.create_task(self._pump(up_reader, writer, "to_client")),
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
        except OSError:
            pass  # the server is away: the client sees its connection end
        finally:
            self._links.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._flows[direction].wait()
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def link_proxy(upstream: str) -> AsyncIterator[LinkProxy]:
    proxy = LinkProxy(URL(upstream))
    proxy._server = await asyncio.start_server(proxy._link, "127.0.0.1", 0)
    try:
        yield proxy
    finally:
        proxy._server.close()
        proxy.heal()
        proxy.cut()
        if proxy._links:
            await asyncio.wait(proxy._links, timeout=5)
