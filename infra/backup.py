"""A backup is a folder: `database.dump` (pg_dump, custom format) and `manifest.json`, which says what must be in it.

Policy. Row counts and checksums are taken in the very snapshot that is dumped, so they are equal after a restore or the
backup is not what it says. The folder appears under its name only when everything in it is on the disk. A restore happens
beside the old data: what was there steps aside into another schema, and goes only when the new data was found right; any
failure puts it back. A restore that was killed is put back by the next one. Passwords go to the programs by environment.

A table's checksum is the sum of the first 60 bits of the SHA-256 of each row's text: independent of order, server version
and platform; names of columns and their order count through the text.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from core.errors import RingdeskError
from infra.migrate import COMPATIBILITY, LOCK, MIGRATIONS, SchemaTooNew, one_connection

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DUMP: Final = "database.dump"
ASIDE: Final = "ringdesk_before_restore"
CONNECT_S: Final = 10
TEXT_SETTINGS: Final = {
    # What makes a row's text the same everywhere, and no time-out while millions of rows are read.
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "10s",
    "application_name": "ringdesk backup",
}
TABLES: Final = """
SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND NOT c.relispartition ORDER BY c.relname
"""
CHECKSUM: Final = """
SELECT count(*) AS rows,
       coalesce(sum(('x' || left(encode(sha256(convert_to(t::text, 'UTF8')), 'hex'), 15))::bit(60)::bigint), 0)::text AS checksum
FROM public.{} t
"""
OTHERS: Final = """
SELECT application_name FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'ringdesk%' LIMIT 1
"""
EXTENSIONS: Final = """
SELECT e.extname AS name FROM pg_extension e WHERE e.extnamespace = $1::regnamespace AND e.extrelocatable ORDER BY e.extname
"""


class ProgramMissing(RingdeskError):
    code, title = "program_missing", "PostgreSQL's own programs are needed"


class BackupFailed(RingdeskError):
    code, title = "backup_failed", "The backup was not made"


class RestoreRefused(RingdeskError):
    """Nothing was touched."""

    code, title = "restore_refused", "This backup is not restored here"


class RestoreFailed(RingdeskError):
    """The database is as it was before."""

    code, title = "restore_failed", "The backup could not be restored"


@dataclass(frozen=True, slots=True)
class Contents:
    """What one table holds."""

    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Manifest:
    made_at: datetime
    """By the database's clock, the moment of the snapshot."""
    ringdesk: str
    postgres: str
    """Version of the server."""
    pg_dump: int
    """Major version of the program that wrote the dump: an older pg_restore cannot read it."""
    compatibility: int
    migrations: tuple[str, ...]
    tables: dict[str, Contents]
    dump_bytes: int
    dump_sha256: str

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())

    def as_json(self) -> str:
        document = asdict(self) | {"format": FORMAT, "made_at": self.made_at.isoformat()}
        return json.dumps(document, indent=1, sort_keys=True) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Raises RestoreRefused when this is no backup that we understand."""
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        if found.pop("format") != FORMAT:
            raise RestoreRefused(f"{folder} was made by another generation of `ringdesk backup`; use that Ringdesk.")
        tables = {name: Contents(**facts) for name, facts in found.pop("tables").items()}
        made_at, migrations = datetime.fromisoformat(found.pop("made_at")), tuple(found.pop("migrations"))
        return Manifest(made_at=made_at, migrations=migrations, tables=tables, **found)
    except FileNotFoundError:
        raise RestoreRefused(f"{folder} is no backup: it has no {MANIFEST}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RestoreRefused(f"{folder / MANIFEST} cannot be read: {error}") from error


async def contents(conn: "asyncpg.Connection[asyncpg.Record]") -> dict[str, Contents]:
    """Of every table of the schema, as this connection sees it."""
    found = {}
    for table in await conn.fetch(TABLES):
        row = await conn.fetchrow(CHECKSUM.format(_quoted(table["name"])))
        assert row is not None
        found[table["name"]] = Contents(row["rows"], row["checksum"])
    return found


# ---------------------------------------------------------------- backup


async def backup(url: str, into: Path, *, ringdesk: str, programs: Sequence[Path], timeout_s: float = 3600) -> Path:
    """Dump the database at `url` while it is in use into a new folder below `into`; returns that folder.

    `programs`: folders to look for pg_dump in, before PATH. Raises BackupFailed, ProgramMissing or Unavailable, and leaves nothing behind then.
    """
    part = into / f".part-{secrets.token_hex(4)}"
    try:
        await asyncio.to_thread(_make_folder, part)
        async with connected(url) as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            made_at, server = await conn.fetchval("SELECT now()"), conn.get_server_version()
            program = await asyncio.to_thread(find_program, "pg_dump", server.major, programs)
            if await conn.fetchval("SELECT to_regclass('public.schema_migrations')") is None:
                raise BackupFailed("This database holds no Ringdesk.")
            snapshot = await conn.fetchval("SELECT pg_export_snapshot()")
            dump = part / DUMP
            options = ["--format=custom", f"--snapshot={snapshot}", f"--exclude-schema={ASIDE}", f"--file={dump}"]
            options += ["--no-owner", "--no-privileges"]
            dumping = asyncio.create_task(_run(program, url, options, timeout_s, BackupFailed))
            try:
                tables = await contents(conn)
                await dumping
            finally:
                dumping.cancel()
                await asyncio.gather(dumping, return_exceptions=True)
            migrations = [
                row["version"] for row in await conn.fetch("SELECT version FROM schema_migrations ORDER BY 1")
            ]
            compatibility = await conn.fetchval("SELECT max(version) FROM schema_compatibility")
        size, digest = await asyncio.to_thread(_digest, dump)
        manifest = Manifest(
            made_at=made_at, ringdesk=ringdesk, postgres=conn.get_settings().server_version.split()[0],
            pg_dump=(await asyncio.to_thread(program_version, program))[0], compatibility=compatibility,
            migrations=tuple(migrations), tables=tables, dump_bytes=size, dump_sha256=digest,
        )  # fmt: skip
        return await asyncio.to_thread(_put_in_place, part, into, manifest)
    except OSError as error:
        raise BackupFailed(f"{into} cannot be written: {error.strerror or error}.") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)


def _make_folder(part: Path) -> None:
    part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part.mkdir(mode=0o700)


def _put_in_place(part: Path, into: Path, manifest: Manifest) -> Path:
    (part / MANIFEST).write_text(manifest.as_json())
    for path in (part / DUMP, part / MANIFEST, part):
        os.chmod(path, 0o700 if path == part else 0o600)
        _sync(path)
    final = into / f"ringdesk-{manifest.made_at:%Y%m%dT%H%M%S}Z"
    if final.exists():
        final = final.with_name(f"{final.name}-{secrets.token_hex(2)}")
    part.rename(final)
    _sync(into)
    return final


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(path: Path) -> tuple[int, str]:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return path.stat().st_size, total.hexdigest()


def forget_old(into: Path, keep: int) -> list[Path]:
    """Erase all but the newest `keep` backups below `into`; whole ones only count, other folders stay."""
    found = sorted(path for path in into.glob("ringdesk-*Z*") if (path / MANIFEST).exists() and (path / DUMP).exists())
    old = found[: max(0, len(found) - keep)]
    for folder in old:
        (folder / MANIFEST).unlink()  # first, so that a half-erased one is no backup any more
        shutil.rmtree(folder)
    return old


# ---------------------------------------------------------------- restore


async def restore(
    url: str, folder: Path, *, replace: bool, programs: Sequence[Path], timeout_s: float = 3600
) -> Manifest:
    """Put the backup in `folder` into the database at `url` and prove it; the schema is the backup's, so migrate afterwards.

    Raises RestoreRefused (nothing touched), RestoreFailed (everything put back), SchemaTooNew, ProgramMissing,
    Unavailable.
    """
    manifest = await asyncio.to_thread(read_manifest, folder)
    _check_schema(manifest)
    if await asyncio.to_thread(_digest, folder / DUMP) != (manifest.dump_bytes, manifest.dump_sha256):
        raise RestoreRefused(f"{folder / DUMP} is damaged: its checksum is not the manifest's.")
    async with connected(url) as conn:
        if not await conn.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
            raise RestoreRefused("A migration or another restore is running on this database.")
        if other := await conn.fetchval(OTHERS):
            raise RestoreRefused(f"Ringdesk is using this database ({other}): stop it first.")
        server = conn.get_server_version()
        program = await asyncio.to_thread(find_program, "pg_restore", max(server.major, manifest.pg_dump), programs)
        await _put_back(conn)  # what a killed restore left
        is_empty = not await conn.fetch(TABLES)
        if not is_empty and not replace:
            raise RestoreRefused("This database is not empty. --replace puts the backup in the place of what it holds.")
        await _step_aside(conn)
        try:
            options = ["--no-owner", "--no-privileges", "--no-comments", "--exit-on-error", "--single-transaction"]
            await _run(
                program, url, [*options, f"--dbname={_database(url)}", str(folder / DUMP)], timeout_s, RestoreFailed
            )
            await conn.execute("ANALYZE")
            if differing := _differences(manifest.tables, await contents(conn)):
                raise RestoreFailed(f"What was restored is not what the manifest says: {'; '.join(differing)}.")
        except BaseException:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await _put_back(conn)
            raise
        await conn.execute(f"DROP SCHEMA {ASIDE} CASCADE")
    return manifest


def _check_schema(manifest: Manifest) -> None:
    if manifest.compatibility > COMPATIBILITY:
        raise SchemaTooNew(
            f"The backup has schema generation {manifest.compatibility}, this Ringdesk knows {COMPATIBILITY}. Upgrade Ringdesk."
        )
    known = {path.name.split("_")[0] for path in MIGRATIONS.glob("*.sql")}
    if unknown := sorted(set(manifest.migrations) - known):
        raise SchemaTooNew(
            f"The backup was made by Ringdesk {manifest.ringdesk} with migrations that this one lacks "
            f"({', '.join(unknown)}). Upgrade Ringdesk."
        )


async def _step_aside(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Extensions stay where they are: the dump expects them, and what steps aside finds them by number, not by name."""
    async with conn.transaction():
        await conn.execute(f"ALTER SCHEMA public RENAME TO {ASIDE}; CREATE SCHEMA public")
        await conn.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
        await _move_extensions(conn, ASIDE, "public")


async def _put_back(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    if await conn.fetchval("SELECT to_regnamespace($1)", ASIDE) is None:
        return
    async with conn.transaction():
        await _move_extensions(conn, "public", ASIDE)
        await conn.execute(f"DROP SCHEMA public CASCADE; ALTER SCHEMA {ASIDE} RENAME TO public")


async def _move_extensions(conn: "asyncpg.Connection[asyncpg.Record]", here: str, there: str) -> None:
    for row in await conn.fetch(EXTENSIONS, here):
        await conn.execute(f"ALTER EXTENSION {_quoted(row['name'])} SET SCHEMA {there}")


def _differences(wanted: dict[str, Contents], found: dict[str, Contents]) -> list[str]:
    said = []
    for name in sorted(wanted.keys() | found.keys()):
        one, other = wanted.get(name), found.get(name)
        if one != other:
            rows = [str(each.rows) if each else "no table" for each in (one, other)]
            said.append(
                f"{name}: {rows[0]} rows wanted, {rows[1]} found" + (", other contents" if rows[0] == rows[1] else "")
            )
    return said


# ---------------------------------------------------------------- PostgreSQL's programs


def connected(url: str) -> contextlib.AbstractAsyncContextManager["asyncpg.Connection[asyncpg.Record]"]:
    """One connection that reads rows as the same text everywhere."""
    return one_connection(url, settings=TEXT_SETTINGS)


def find_program(name: str, at_least: int, folders: Sequence[Path]) -> Path:
    """The oldest `name` whose major version is at least the given one: pg_dump refuses newer servers, pg_restore newer dumps.

    The oldest, because pg_restore of 17 and newer speaks to 15 and 16 of a setting that they do not know.
    """
    on_path = shutil.which(name)
    paths = [*(folder / name for folder in folders), *([Path(on_path)] if on_path else [])]
    found = [(program_version(path), path) for path in paths if os.access(path, os.X_OK)]
    fitting = [(version, path) for version, path in found if version[0] >= at_least]
    if fitting:
        return min(fitting, key=lambda each: each[0][0])[1]
    seen = ", ".join(f"{name} {'.'.join(map(str, version))}" for version, _ in found)
    raise ProgramMissing(
        f"This needs {name} of PostgreSQL {at_least} or newer (found {seen or 'none'}): install Ringdesk with its extra "
        f"`embedded`, or the package postgresql-client-{at_least}."
    )


def program_version(program: Path) -> tuple[int, ...]:
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False, timeout=10).stdout  # noqa: S603
    match = re.search(r"\d+(\.\d+)*", said)
    return tuple(int(number) for number in match[0].split(".")) if match else (0,)


def _database(url: str) -> str:
    return unquote(urlsplit(url).path.lstrip("/")) or "postgres"


def program_env(url: str) -> dict[str, str]:
    """The address as libpq's variables: arguments can be read by every user of the machine."""
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    found = {
        "PGHOST": query.get("host") or parts.hostname,
        "PGPORT": query.get("port") or (str(parts.port) if parts.port else None),
        "PGUSER": query.get("user") or (unquote(parts.username) if parts.username else None),
        "PGPASSWORD": query.get("password") or (unquote(parts.password) if parts.password else None),
        "PGDATABASE": _database(url),
        "PGSSLMODE": query.get("sslmode"),
        "PGSSLROOTCERT": query.get("sslrootcert"),
        "PGAPPNAME": "ringdesk backup",
        "PGCONNECT_TIMEOUT": str(CONNECT_S),
    }
    kept = {
        key: os.environ[key] for key in ("PATH", "HOME", "PGPASSFILE", "PGSSLCERT", "PGSSLKEY") if key in os.environ
    }
    return kept | {"LC_ALL": "C"} | {key: value for key, value in found.items() if value is not None}


async def _run(program: Path, url: str, options: Sequence[str], timeout_s: float, failure: type[RingdeskError]) -> None:
    process = await asyncio.create_subprocess_exec(
        str(program), "--no-password", *options, env=program_env(url),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(timeout_s):
            said, _ = await process.communicate()
    except TimeoutError as error:
        raise failure(f"{program.name} did not end within {timeout_s:.0f} s.") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise failure(f"{program.name}: {said.decode(errors='replace').strip()[-1500:]}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
