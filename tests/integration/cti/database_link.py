"""A link to Postgres that can go silent (connections stay open, nothing passes) or be cut, as hosts and networks do."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit, urlunsplit

SOCKET_NAME: Final = ".s.PGSQL.5432"


class DatabaseLink:
    def __init__(self, upstream: str, url: str) -> None:
        self.url = url
        self._upstream = upstream
        self._flows = asyncio.Event()
        self._flows.set()
        self._is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._links: set[asyncio.Task[None]] = set()

    def swallow(self) -> None:
        """Nothing passes, nothing is closed; new connections are taken and not answered."""
        self._flows.clear()

    def cut(self) -> None:
        """Every connection breaks, new ones too."""
        self._is_cut = True
        for writer in list(self._writers):
            writer.transport.abort()

    def heal(self) -> None:
        self._is_cut = False
        self._flows.set()

    async def link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        self._writers.add(writer)
        try:
            if not self._is_cut:
                up_reader, up_writer = await self._connect()
                self._writers.add(up_writer)
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
                    self._writers.discard(up_writer)
                    up_writer.close()
        except OSError:
            pass
        finally:
            self._links.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self._upstream)
        folder = parse_qs(parts.query).get("host", [""])[0]
        if folder.startswith("/"):
            return await asyncio.open_unix_connection(f"{folder}/{SOCKET_NAME}")
        return await asyncio.open_connection(parts.hostname, parts.port or 5432)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()

    async def close(self) -> None:
        self.cut()
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)


@asynccontextmanager
async def database_link(upstream: str) -> AsyncIterator[DatabaseLink]:
    """`url` leads to the same database through this link."""
    parts = urlsplit(upstream)
    with tempfile.TemporaryDirectory(prefix="ringdesk-link-") as folder:
        user = parts.netloc.rpartition("@")[0]
        url = urlunsplit(parts._replace(netloc=f"{user}@", query=f"host={folder}"))
        link = DatabaseLink(upstream, url)
        server = await asyncio.start_unix_server(link.link, str(Path(folder) / SOCKET_NAME))
        try:
            yield link
        finally:
            server.close()
            await link.close()
