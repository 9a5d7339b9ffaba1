"""What the tests of the embedded servers share: a host process that may be killed, and facts about processes."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from app.embedded import keeper

HOST = Path(__file__).with_name("embedded_host.py")
START_DEADLINE_S = 100.0


@dataclass(frozen=True)
class Told:
    """One server as its host told it."""

    url: str
    where: str
    pid: int


@dataclass(frozen=True)
class Host:
    """A running host; kill it, or let it end."""

    process: asyncio.subprocess.Process
    servers: dict[str, Told]

    def kill(self) -> None:
        self.process.kill()

    async def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()


@asynccontextmanager
async def a_host(data_dir: Path, *names: str) -> AsyncIterator[Host]:
    """A process of its own that holds the servers `names` under `data_dir`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HOST),
        str(data_dir),
        *names,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=HOST.parents[3],
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_DEADLINE_S):
            line = await process.stdout.readline()
        told = json.loads(line)
        yield Host(process, {name: Told(**facts) for name, facts in told["servers"].items()})
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await seconds_until(lambda: not commands_naming(str(data_dir)), within_s=5)


def runs(pid: int) -> bool:
    return keeper.start_stamp(pid) is not None


def commands_naming(text: str) -> list[str]:
    """The command lines of all processes that mention `text` (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if text in command:
                found.append(command)
    return found


async def seconds_until(condition: Callable[[], bool], *, within_s: float) -> float:
    """How long it takes until `condition()` holds; fails after `within_s`."""
    started_at = time.monotonic()
    while not condition():
        waited = time.monotonic() - started_at
        assert waited < within_s, f"still not so after {waited:.1f} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - started_at
