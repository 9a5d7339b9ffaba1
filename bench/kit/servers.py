"""The real servers of a measurement: embedded Postgres (durable, as in production), Valkey and a private RabbitMQ, on loopback.

Floor and product run on the same ones, each in a database of its own.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from app.embedded import Server, embedded_postgres, embedded_valkey, find_rabbitmq, private_rabbitmq
from bench.kit.report import Report
from infra.migrate import migrate


@dataclass(frozen=True, slots=True)
class Servers:
    postgres: Server
    valkey: Server
    rabbitmq: Server | None

    def database(self, name: str) -> str:
        return self.postgres.url.replace("/ringdesk?", f"/{name}?")

    async def create(self, name: str) -> str:
        """An empty database; one of that name is erased."""
        conn = await asyncpg.connect(self.postgres.url, timeout=10)
        try:
            await conn.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            await conn.execute(f'CREATE DATABASE "{name}"')
        finally:
            await conn.close(timeout=5)
        return self.database(name)

    async def create_migrated(self, name: str) -> str:
        url = await self.create(name)
        await migrate(url)
        return url


@asynccontextmanager
async def servers(report: Report, *, rabbitmq: bool = False) -> AsyncIterator[Servers]:
    """Started, and erased afterwards. RabbitMQ only when it is wanted and installed."""
    folder = Path(tempfile.mkdtemp(prefix="ringdesk-bench-"))
    os.chmod(folder, 0o755)  # noqa: S103 - as root the servers run as somebody else, who must get in
    try:
        async with AsyncExitStack() as stack:
            postgres = await stack.enter_async_context(embedded_postgres(folder))
            valkey = await stack.enter_async_context(embedded_valkey(folder))
            rabbit = None
            if rabbitmq and find_rabbitmq() is None:
                report.note("RabbitMQ is not installed: its part is left out")
            elif rabbitmq:
                rabbit = await stack.enter_async_context(private_rabbitmq(folder))
            started = {"postgres": postgres, "valkey": valkey} | ({} if rabbit is None else {"rabbitmq": rabbit})
            report.servers |= {name: server.detail for name, server in started.items()}
            report.say(f"servers: {', '.join(report.servers.values())}")
            yield Servers(postgres, valkey, rabbit)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
