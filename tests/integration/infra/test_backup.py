"""A backup is what it says, and a restore either proves that or leaves everything as it was."""

import asyncio
import json
import secrets
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from app.embedded import client_programs
from core.errors import Unavailable
from infra import backup as module
from infra.backup import (
    ASIDE,
    DUMP,
    MANIFEST,
    BackupFailed,
    ProgramMissing,
    RestoreFailed,
    RestoreRefused,
    backup,
    connected,
    contents,
    find_program,
    forget_old,
    program_env,
    read_manifest,
    restore,
)
from infra.migrate import COMPATIBILITY, SchemaTooNew, migrate
from tests.servers import Addresses, database_url, fresh_database

PROGRAMS = client_programs()


@asynccontextmanager
async def a_database(addresses: Addresses, *, with_schema: bool) -> AsyncIterator[str]:
    name = f"ringdesk_backup_{secrets.token_hex(4)}"
    server = await asyncpg.connect(addresses.postgres)
    try:
        if with_schema:
            await fresh_database(addresses.postgres, name)
        else:
            await server.execute(f'CREATE DATABASE "{name}"')
        yield database_url(addresses.postgres, name)
    finally:
        await server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await server.close()


@pytest.fixture
async def source(addresses: Addresses) -> AsyncIterator[str]:
    """A database with some people in it."""
    async with a_database(addresses, with_schema=True) as url:
        await add_people(url, "Anna", "Jürgen", "李伟")
        yield url


@pytest.fixture
async def target(addresses: Addresses) -> AsyncIterator[str]:
    async with a_database(addresses, with_schema=False) as url:
        yield url


async def add_people(url: str, *names: str) -> None:
    async with connected(url) as conn:
        await conn.executemany(
            "INSERT INTO users (email, name, role) VALUES ($1, $1, 'agent')", [(name,) for name in names]
        )


async def people(url: str) -> list[str]:
    async with connected(url) as conn:
        return [row["name"] for row in await conn.fetch("SELECT name FROM users ORDER BY id")]


async def made(url: str, into: Path) -> Path:
    return await backup(url, into, ringdesk="1.2.3", programs=PROGRAMS)


async def put(url: str, folder: Path, *, replace: bool = False) -> None:
    await restore(url, folder, replace=replace, programs=PROGRAMS)


def alter(folder: Path, **facts: object) -> None:
    document = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(document | facts))


async def test_what_was_there_comes_back_equal_and_in_use(source: str, target: str, tmp_path: Path) -> None:
    folder = await made(source, tmp_path)
    await add_people(source, "Later")
    await put(target, folder)
    assert await people(target) == ["Anna", "Jürgen", "李伟"]
    manifest = read_manifest(folder)
    async with connected(target) as conn:
        assert await contents(conn) == manifest.tables
        assert await conn.fetchval("SELECT to_regnamespace($1)", ASIDE) is None
    assert manifest.tables["users"].rows == 3
    assert (manifest.ringdesk, manifest.compatibility) == ("1.2.3", COMPATIBILITY)
    assert await migrate(target) == 0
    await add_people(target, "New")  # sequences go on after the highest id


async def test_checksum_sees_one_changed_letter_and_not_the_order(source: str) -> None:
    async with connected(source) as conn:
        before = (await contents(conn))["users"]
        await conn.execute("UPDATE users SET name = name")  # moves the rows
        assert (await contents(conn))["users"] == before
        await conn.execute("UPDATE users SET name = 'Anne' WHERE name = 'Anna'")
        after = (await contents(conn))["users"]
    assert (after.rows, after.checksum == before.checksum) == (before.rows, False)


async def test_backup_is_of_one_moment_while_others_write(source: str, target: str, tmp_path: Path) -> None:
    stop = asyncio.Event()

    async def write() -> None:
        async with connected(source) as conn:
            number = 0
            while not stop.is_set():
                number += 1
                await conn.execute("INSERT INTO users (email, name, role) VALUES ($1, $1, 'agent')", f"w{number}")

    writing = asyncio.create_task(write())
    try:
        folder = await made(source, tmp_path)
    finally:
        stop.set()
        await writing
    assert read_manifest(folder).tables["users"].rows < len(await people(source))
    await put(target, folder)


async def test_files_are_closed_to_others_and_no_half_one_is_left(source: str, tmp_path: Path) -> None:
    folder = await made(source, tmp_path / "backups")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / DUMP, folder / MANIFEST)] == [
        0o700,
        0o600,
        0o600,
    ]
    failing = tmp_path / "bin"
    failing.mkdir()
    (failing / "pg_dump").write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump 99.1" && exit\necho "no space" && exit 1\n'
    )
    (failing / "pg_dump").chmod(0o755)
    with pytest.raises(BackupFailed, match="no space"):
        await backup(source, tmp_path / "backups", ringdesk="1.2.3", programs=[failing])
    assert list((tmp_path / "backups").iterdir()) == [folder]


async def test_filled_database_is_refused_without_replace_and_replaced_with_it(
    source: str, addresses: Addresses, tmp_path: Path
) -> None:
    folder = await made(source, tmp_path)
    async with a_database(addresses, with_schema=True) as filled:
        await add_people(filled, "Old")
        with pytest.raises(RestoreRefused, match="not empty"):
            await put(filled, folder)
        assert await people(filled) == ["Old"]
        await put(filled, folder, replace=True)
        assert await people(filled) == ["Anna", "Jürgen", "李伟"]


async def test_contents_that_are_not_the_manifest_s_put_the_old_ones_back(
    source: str, addresses: Addresses, tmp_path: Path
) -> None:
    folder = await made(source, tmp_path)
    tables = json.loads((folder / MANIFEST).read_text())["tables"]
    tables["users"]["rows"] = 4
    alter(folder, tables=tables)
    async with a_database(addresses, with_schema=True) as filled:
        await add_people(filled, "Old")
        with pytest.raises(RestoreFailed, match="users: 4 rows wanted, 3 found"):
            await put(filled, folder, replace=True)
        assert await people(filled) == ["Old"]
        await add_people(filled, "Next")
        assert await migrate(filled) == 0


async def test_killed_restore_is_put_back_by_the_next_one(source: str, addresses: Addresses, tmp_path: Path) -> None:
    folder = await made(source, tmp_path)
    async with a_database(addresses, with_schema=True) as filled:
        await add_people(filled, "Old")
        async with connected(filled) as conn:
            await module._step_aside(conn)  # and here the power went
        with pytest.raises(RestoreRefused, match="not empty"):
            await put(filled, folder)
        assert await people(filled) == ["Old"]
        await put(filled, folder, replace=True)
        assert await people(filled) == ["Anna", "Jürgen", "李伟"]


async def test_damaged_newer_and_foreign_backups_are_refused(source: str, target: str, tmp_path: Path) -> None:
    folder = await made(source, tmp_path)
    whole, manifest = (folder / DUMP).read_bytes(), (folder / MANIFEST).read_text()
    (folder / DUMP).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(RestoreRefused, match="damaged"):
        await put(target, folder)
    (folder / DUMP).write_bytes(whole)
    alter(folder, compatibility=COMPATIBILITY + 1)
    with pytest.raises(SchemaTooNew, match="Upgrade Ringdesk"):
        await put(target, folder)
    (folder / MANIFEST).write_text(manifest)
    alter(folder, migrations=["0001", "9999"])
    with pytest.raises(SchemaTooNew, match="9999"):
        await put(target, folder)
    for text in ("", "[]", "{}", '{"format": 7}'):
        (folder / MANIFEST).write_text(text)
        with pytest.raises(RestoreRefused):
            await put(target, folder)
    with pytest.raises(RestoreRefused, match="no backup"):
        await put(target, tmp_path)


async def test_database_in_use_is_left_alone(source: str, target: str, tmp_path: Path) -> None:
    folder = await made(source, tmp_path)
    using = await asyncpg.connect(target, server_settings={"application_name": "ringdesk"})
    try:
        with pytest.raises(RestoreRefused, match="stop it first"):
            await put(target, folder)
    finally:
        await using.close()


async def test_database_without_ringdesk_or_without_answer_makes_no_backup(target: str, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="holds no Ringdesk"):
        await made(target, tmp_path)
    with pytest.raises(Unavailable):
        await made("postgresql://nobody@127.0.0.1:1/none", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_password_goes_by_environment_and_sockets_by_folder() -> None:
    env = program_env("postgresql://ringdesk:p%40ss@db.example:5433/desk?sslmode=require")
    assert env["PGPASSWORD"] == "p@ss"
    assert (env["PGHOST"], env["PGPORT"], env["PGUSER"], env["PGDATABASE"], env["PGSSLMODE"]) == (
        "db.example", "5433", "ringdesk", "desk", "require",
    )  # fmt: skip
    assert program_env("postgresql://ringdesk@/ringdesk?host=/run/pg")["PGHOST"] == "/run/pg"


async def test_no_argument_holds_the_password(source: str, tmp_path: Path) -> None:
    said = tmp_path / "said"
    (tmp_path / "pg_dump").write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump 99.1" && exit\necho "$*" > {said}\necho "$PGPASSWORD" >> {said}\nexit 1\n'
    )
    (tmp_path / "pg_dump").chmod(0o755)
    with_password = source.replace("ringdesk@", "ringdesk:hush-hush@", 1)
    with pytest.raises(BackupFailed):
        await backup(with_password, tmp_path / "to", ringdesk="1.2.3", programs=[tmp_path])
    arguments, password = said.read_text().splitlines()
    assert "hush" not in arguments
    assert password == "hush-hush"


def test_older_programs_are_passed_over_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for major in (14, 18, 16):
        program = tmp_path / str(major) / "pg_dump"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\necho "pg_dump (PostgreSQL) {major}.2"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))  # none there
    folders = [tmp_path / "14", tmp_path / "18", tmp_path / "16"]
    assert find_program("pg_dump", 15, folders) == tmp_path / "16" / "pg_dump"
    assert find_program("pg_dump", 17, folders) == tmp_path / "18" / "pg_dump"
    with pytest.raises(
        ProgramMissing, match=r"of PostgreSQL 19 or newer \(found pg_dump 14\.2, pg_dump 18\.2, pg_dump 16\.2\)"
    ):
        find_program("pg_dump", 19, folders)


def test_old_backups_go_whole_ones_only_count(tmp_path: Path) -> None:
    for day in (1, 2, 3):
        folder = tmp_path / f"ringdesk-2026010{day}T000000Z"
        folder.mkdir()
        (folder / DUMP).touch()
        (folder / MANIFEST).touch()
    (tmp_path / "ringdesk-20260104T000000Z").mkdir()  # somebody's copy under way
    assert [path.name for path in forget_old(tmp_path, 2)] == ["ringdesk-20260101T000000Z"]
    assert len(list(tmp_path.iterdir())) == 3
