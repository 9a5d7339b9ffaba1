"""The schema comes up once, whoever asks and however many, and a newer one is left alone."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from core.errors import Unavailable
from infra import migrate as module
from infra.migrate import (
    COMPATIBILITY,
    LOCK,
    MIGRATIONS,
    MigrationFailed,
    SchemaTooNew,
    SchemaTooOld,
    dbmate_url,
    migrate,
    require_schema,
)
from tests.servers import Addresses, database_url


@pytest.fixture
async def empty_url(addresses: Addresses) -> AsyncIterator[str]:
    """A database without any table."""
    name = f"ringdesk_migrate_{secrets.token_hex(4)}"
    server = await asyncpg.connect(addresses.postgres)
    await server.execute(f'CREATE DATABASE "{name}"')
    yield database_url(addresses.postgres, name)
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


async def _execute(url: str, statement: str) -> None:
    conn = await asyncpg.connect(url)
    try:
        await conn.execute(statement)
    finally:
        await conn.close()


async def test_simultaneous_migrations_apply_each_file_once(empty_url: str) -> None:
    with pytest.raises(SchemaTooOld, match="ringdesk migrate"):
        await require_schema(empty_url)
    files = len(list(MIGRATIONS.glob("*.sql")))
    assert sorted(await asyncio.gather(*(migrate(empty_url) for _ in range(3)))) == [0, 0, files]
    assert await migrate(empty_url) == 0
    await require_schema(empty_url)


async def test_newer_schema_is_refused(empty_url: str) -> None:
    """Also when it has no table of migrations that we know: nothing of ours may run on it."""
    await _execute(
        empty_url,
        "CREATE TABLE schema_compatibility (version integer NOT NULL);"
        f"INSERT INTO schema_compatibility VALUES ({COMPATIBILITY + 1})",
    )
    for act in (migrate, require_schema):
        with pytest.raises(SchemaTooNew, match=f"generation {COMPATIBILITY + 1}"):
            await act(empty_url)


async def test_running_migration_is_waited_for_and_given_up_on(empty_url: str) -> None:
    conn = await asyncpg.connect(empty_url)
    await conn.execute("SELECT pg_advisory_lock($1)", LOCK)
    with pytest.raises(MigrationFailed, match="running for too long"):
        await migrate(empty_url, timeout_s=0.2)
    waiting = asyncio.create_task(migrate(empty_url))
    await asyncio.sleep(0.1)
    await conn.close()
    assert await waiting > 0


async def test_failing_migration_says_why(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await _execute(empty_url, "CREATE TABLE events (id integer)")
    with pytest.raises(MigrationFailed, match="already exists"):
        await migrate(empty_url)
    monkeypatch.setattr(module, "_dbmate", lambda: "/nonexistent/dbmate")
    with pytest.raises((MigrationFailed, OSError)):
        await migrate(empty_url)


async def test_database_that_is_away_is_said_plainly(empty_url: str) -> None:
    for url in ("postgresql://ringdesk@127.0.0.1:1/x", empty_url.replace(urlsplit(empty_url).path, "/no_such")):
        for act in (migrate, require_schema):
            with pytest.raises(Unavailable):
                await act(url)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("postgresql://u@/d?host=/run/pg", "postgres://u@/d?socket=%2Frun%2Fpg"),
        ("postgresql://u:p@127.0.0.1:5/d", "postgres://u:p@127.0.0.1:5/d?sslmode=disable"),
        ("postgresql://u:p@db.example/d", "postgres://u:p@db.example/d"),
        ("postgresql://u:p@db.example/d?sslmode=require", "postgres://u:p@db.example/d?sslmode=require"),
    ],
)
def test_url_in_the_words_of_dbmate(url: str, wanted: str) -> None:
    assert dbmate_url(url) == wanted
