"""Start a server as a child that cannot outlive Ringdesk, and stop it in order.

Each server gets a keeper (`keeper.py`), which ends it when Ringdesk ends. A start first ends what an earlier run left
behind, if the keeper was killed too: only by the record of pid *and* start time, and only under the lock of the server's
folder, so never the server of a Ringdesk that still runs.
"""

import asyncio
import fcntl
import itertools
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from app.embedded import keeper
from app.embedded.places import EmbeddedError, Home

Ladder = Sequence[tuple[str, float]]
"""Signals to send in turn, each with the seconds it gets."""

LOG_LIMIT_BYTES: Final = 10_000_000
KEEPER_DEADLINE_S: Final = 10.0
LOCK_PATIENCE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running embedded server. `where` is for people and holds no secret; `ended()` returns only when it died by itself."""

    url: str
    where: str
    seconds: float
    detail: str
    pid: int
    ended: Callable[[], Awaitable[str]]


class Child:
    """A server process and its keeper."""

    def __init__(self, name: str, log: Path, process: asyncio.subprocess.Process, pid: int) -> None:
        self.name = name
        self.pid = pid
        self._log = log
        self._process = process

    @property
    def exit_code(self) -> int | None:
        """The server's exit code (1 when a signal ended it), None while it runs."""
        return self._process.returncode

    async def ended(self) -> str:
        """Wait for the end of the server, and say it in a sentence with the log's last line."""
        code = await self._process.wait()
        how = signal.Signals(code - 128).name if code > 128 else f"exit code {code}"  # as the keeper reports it
        return f"{self.name} ended by itself ({how}): {last_line(self._log)}"

    async def stop(self, patience_s: float) -> None:
        """Ask the keeper to end the server gently; after `patience_s` it does so at once."""
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(ConnectionError):
            stdin.write(b"stop\n")
            await stdin.drain()
        try:
            async with asyncio.timeout(patience_s):
                await self._process.wait()
        finally:
            stdin.close()


@asynccontextmanager
async def child(
    name: str,
    argv: Sequence[str],
    home: Home,
    *,
    gentle: Ladder,
    hurried: Ladder,
    env: Mapping[str, str] | None = None,
    remove: Sequence[Path] = (),
    record: Path | None = None,
) -> AsyncIterator[Child]:
    """Run `argv` under a keeper for as long as the block lasts. The caller holds `lock(home)`.

    `remove` are folders that vanish with the server, also when Ringdesk is killed.
    """
    record = record or home.record
    await end_leftovers(record)
    spec = {
        "argv": list(argv),
        "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", **(env or {})},
        "cwd": str(home.data),
        "account": [home.account.uid, home.account.gid] if home.account else None,
        "record": str(record),
        "remove": [str(path) for path in remove],
        "gentle": list(gentle),
        "hurried": list(hurried),
    }
    with _open_log(home.log) as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            keeper.__file__,
            json.dumps(spec),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    started = None
    try:
        started = Child(name, home.log, process, await _pid_of(process, name, home.log))
        yield started
    finally:
        await _finish(process, started, record, sum(seconds for _, seconds in gentle) + KEEPER_DEADLINE_S)


async def run_to_end(name: str, argv: Sequence[str], home: Home, *, env: Mapping[str, str] | None = None) -> None:
    """Run a helper program (initdb) under a keeper until it is done; a failure is an EmbeddedError."""
    ladder = (("SIGTERM", 0.5),)
    async with child(name, argv, home, gentle=ladder, hurried=ladder, env=env) as helper:
        sentence = await helper.ended()
        if helper.exit_code != 0:
            raise EmbeddedError(sentence)


@asynccontextmanager
async def lock(home: Home) -> AsyncIterator[None]:
    """Hold the server's folder for this process; the kernel frees it at our death, whatever kills us."""
    with _open_lock(home.folder / "lock") as file:
        deadline = time.monotonic() + LOCK_PATIENCE_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    file.seek(0)
                    owner = file.read().strip() or "unknown"
                    raise EmbeddedError(
                        f"Another Ringdesk (process {owner}) is using {home.folder}; stop it or choose another --data-dir."
                    ) from None
                await asyncio.sleep(0.05)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


async def end_leftovers(record: Path, patience_s: float = 2.5) -> None:
    """End the server (and keeper) of an earlier run by pid and start time; processes that merely reuse a pid are spared."""
    await asyncio.to_thread(_end_leftovers, record, patience_s)


def free_port(avoid: Sequence[int] = ()) -> int:
    """A port on 127.0.0.1 that is free now and below 32768, where outgoing connections do not take it."""
    start = 20_000 + int.from_bytes(os.urandom(2), "big") % 12_000
    for port in itertools.chain(range(start, 32_000), range(20_000, start)):
        if port in avoid:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise EmbeddedError("No port between 20000 and 32000 is free on 127.0.0.1.")


def last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return f"see {log}"
    return next((line.strip() for line in reversed(lines) if line.strip()), f"see {log}")


def _end_leftovers(record: Path, patience_s: float) -> None:
    try:
        left = json.loads(record.read_text())
        home, server, its_keeper, remove = left["home"], left["server"], left["keeper"], left["remove"]
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        record.unlink(missing_ok=True)
        return
    if home == str(record.parent):  # else a copied folder: its record speaks about the original's processes
        _wait_while_runs(its_keeper, patience_s)  # It is ending its server at this moment.
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            _signal(server, number)
            _wait_while_runs(server, 1.0)
        _signal(its_keeper, signal.SIGKILL)
        for path in remove:
            shutil.rmtree(path, ignore_errors=True)
    record.unlink(missing_ok=True)


def _wait_while_runs(process: tuple[int, str], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _runs(process) and time.monotonic() < deadline:
        time.sleep(0.02)


async def _pid_of(process: asyncio.subprocess.Process, name: str, log: Path) -> int:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(KEEPER_DEADLINE_S):
            answer = json.loads(await process.stdout.readline() or b"{}")
    except TimeoutError:
        answer = {}
    if not answer.get("pid"):
        raise EmbeddedError(f"{name} could not be started: {answer.get('error') or last_line(log)}")
    return int(answer["pid"])


async def _finish(process: asyncio.subprocess.Process, started: Child | None, record: Path, patience_s: float) -> None:
    try:
        if started is not None and process.returncode is None:
            await started.stop(patience_s)
    except TimeoutError:
        pass
    finally:
        if process.stdin is not None:
            process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(KEEPER_DEADLINE_S):
                await process.wait()
        await end_leftovers(record, patience_s=0)  # Nothing, unless the keeper itself was killed.


def _open_lock(path: Path) -> IO[str]:
    return path.open("a+")


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, mode=0o600))


def _runs(process: tuple[int, str]) -> bool:
    pid, stamp = process
    return stamp == keeper.start_stamp(pid) is not None


def _signal(process: tuple[int, str], number: signal.Signals) -> None:
    if _runs(process):
        with suppress(ProcessLookupError):
            os.killpg(process[0], number)  # Servers and keepers lead a session of their own.
