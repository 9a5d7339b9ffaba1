"""A TCP address in front of a server (a Unix socket or a host): its links can be refused, cut, frozen, or lose one answer."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit, urlunsplit

POSTGRES_PORT = 5432
REDIS_PORT = 6379


class Door:
    def __init__(self, upstream: str | tuple[str, int]) -> None:
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flow = asyncio.Event()
        self._flow.set()
        self.is_refusing = False
        self.lose_answer_to: bytes | None = None
        """When a client's bytes hold this, they are passed on, and the link is cut instead of the next answer."""
        self.answers_lost = 0

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def cut(self) -> None:
        """Reset every link, as a crashed host or a firewall does."""
        for writer in list(self._writers):
            sock: socket.socket = writer.get_extra_info("socket")
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def close(self) -> None:
        """As if the server had been killed: links end, new ones are refused."""
        self.is_refusing = True
        self._flow.set()
        self.cut()

    def freeze(self) -> None:
        """Links stay open and nothing passes."""
        self._flow.clear()

    def open(self) -> None:
        self.is_refusing = False
        self._flow.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        self._writers.add(writer)
        try:
            if self.is_refusing:
                writer.transport.abort()
                return
            if isinstance(self._upstream, str):
                up_reader, up_writer = await asyncio.open_unix_connection(self._upstream)
            else:
                up_reader, up_writer = await asyncio.open_connection(*self._upstream)
            self._writers.add(up_writer)
            try:
                await self._link(reader, writer, up_reader, up_writer)
            finally:
                self._writers.discard(up_writer)
                up_writer.close()
        except OSError:
            pass
        finally:
            self._links.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _link(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        lose = asyncio.Event()

        async def upwards() -> None:
            with suppress(OSError):
                while data := await reader.read(65536):
                    await self._flow.wait()
                    if self.lose_answer_to is not None and self.lose_answer_to in data:
                        self.lose_answer_to = None
                        lose.set()
                    up_writer.write(data)
                    await up_writer.drain()

        async def downwards() -> None:
            with suppress(OSError):
                while data := await up_reader.read(65536):
                    await self._flow.wait()
                    if lose.is_set():
                        self.answers_lost += 1
                        writer.transport.abort()
                        return
                    writer.write(data)
                    await writer.drain()

        pumps = [asyncio.create_task(upwards()), asyncio.create_task(downwards())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)


@asynccontextmanager
async def _open(upstream: str | tuple[str, int]) -> AsyncIterator[Door]:
    door = Door(upstream)
    door._server = await asyncio.start_server(door.serve, "127.0.0.1", 0)
    try:
        yield door
    finally:
        await door.stop()


@asynccontextmanager
async def door_to_postgres(url: str) -> AsyncIterator[tuple[Door, str]]:
    """The door, and the URL of the same database through it."""
    parts = urlsplit(url)
    folder = parse_qs(parts.query).get("host", [""])[0]
    upstream = f"{folder}/.s.PGSQL.{POSTGRES_PORT}" if folder else (parts.hostname or "", parts.port or POSTGRES_PORT)
    async with _open(upstream) as door:
        user = parts.netloc.rpartition("@")[0]
        yield door, urlunsplit(("postgresql", f"{user}@127.0.0.1:{door.port}", parts.path, "sslmode=disable", ""))


@asynccontextmanager
async def door_to_redis(url: str) -> AsyncIterator[tuple[Door, str]]:
    """The door, and the URL of the same Redis through it."""
    parts = urlsplit(url)
    upstream = parts.path if parts.scheme == "unix" else (parts.hostname or "", parts.port or REDIS_PORT)
    number = parse_qs(parts.query).get("db", [parts.path.strip("/") if parts.scheme != "unix" else "0"])[0] or "0"
    async with _open(upstream) as door:
        yield door, f"redis://127.0.0.1:{door.port}/{number}"
