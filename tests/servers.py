"""The servers of a test run: one Postgres and one Valkey for all test processes, and a migrated database for each of them."""

import asyncio
import hashlib
import tempfile
import threading
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from app.embedded import EmbeddedError, embedded_postgres, embedded_valkey
from infra.migrate import MIGRATIONS, migrate

START_WITHIN_S: Final = 90.0
TEMPLATE_LOCK: Final = 0x54455354


class ServerMissing(Exception):
    """A server that tests need cannot run here; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Addresses:
    postgres: str
    redis: str


class Servers:
    """Starts both at the first `addresses()`; they live on an event loop in a thread, apart from the tests' own loop."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._found: Addresses | Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def addresses(self) -> Addresses:
        """Raises ServerMissing."""
        if self._thread is None:
            self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="test servers")
            self._thread.start()
        if not self._ready.wait(START_WITHIN_S):
            raise ServerMissing("the embedded servers did not start in time")
        if isinstance(self._found, Addresses):
            return self._found
        raise ServerMissing(str(self._found))

    def stop(self) -> None:
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(30)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            async with AsyncExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringdesk-test-")))
                postgres = await stack.enter_async_context(embedded_postgres(folder, durable=False))
                valkey = await stack.enter_async_context(embedded_valkey(folder))
                self._found = Addresses(postgres.url, valkey.url)
                self._ready.set()
                await self._stop.wait()
        except EmbeddedError as error:
            self._found = error
        finally:
            self._ready.set()


def database_url(server_url: str, name: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


async def fresh_database(server_url: str, name: str) -> str:
    """A new database `name` with the schema of today's migrations; returns its URL."""
    template = f"ringdesk_template_{_migrations_hash()}"
    conn = await asyncpg.connect(server_url, timeout=10)
    try:
        await conn.execute("SELECT pg_advisory_lock($1)", TEMPLATE_LOCK)  # several test processes start together
        if not await conn.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", template):
            await conn.execute(f'DROP DATABASE IF EXISTS "{template}_new" WITH (FORCE)')
            await conn.execute(f'CREATE DATABASE "{template}_new"')
            await migrate(database_url(server_url, f"{template}_new"))
            await conn.execute(f'ALTER DATABASE "{template}_new" RENAME TO "{template}"')
        await conn.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await conn.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    finally:
        await conn.close(timeout=5)
    return database_url(server_url, name)


def _migrations_hash() -> str:
    content = b"".join(path.name.encode() + path.read_bytes() for path in sorted(MIGRATIONS.glob("*.sql")))
    return hashlib.sha256(content).hexdigest()[:12]


DELETE_ALL: Final = """
DO $$
DECLARE name text;
BEGIN
    SET LOCAL session_replication_role = replica;  -- neither foreign keys nor the audit log's trigger object
    FOR name IN SELECT tablename FROM pg_tables
                WHERE schemaname = 'public' AND tablename NOT IN ('schema_migrations', 'schema_compatibility')
    LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
END $$
"""
