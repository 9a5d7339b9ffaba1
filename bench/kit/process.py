"""Programs that a measurement starts and ends by pid, and what the kernel says about a process."""

import asyncio
import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from bench.kit.report import ROOT

READY_WITHIN_S: Final = 90.0
STOP_WITHIN_S: Final = 20.0
TICKS: Final = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A program did not do what it was started for; the text has the end of its output."""


def raise_file_limit() -> int:
    """Each desk is an open file on either side. Returns the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Program:
    """A running process that has said that it is ready."""

    def __init__(self, name: str, process: Process, log: Path, seconds: float, port: int) -> None:
        self.name = name
        self.process = process
        self.log = log
        self.seconds = seconds
        """From the start to the word that it is ready."""
        self.port = port

    @property
    def pid(self) -> int:
        return self.process.pid

    def check(self) -> None:
        if self.process.returncode is not None:
            raise Failed(f"{self.name} ended with {self.process.returncode}\n{tail(self.log)}")


def tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


@asynccontextmanager
async def program(
    name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None, ready: str
) -> AsyncIterator[Program]:
    """Run `argv` until the block ends. It is ready when it prints a line that starts with `ready`; a number after it is its port."""
    # Modules are compiled once, as on any machine: without that a start takes four seconds longer.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RINGDESK_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ringdesk-bench-") as folder:
        log = Path(folder) / f"{name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *argv, cwd=ROOT, env=inherited | {"PYTHONPATH": str(ROOT)} | dict(env or {}),
                stdin=DEVNULL, stdout=output, stderr=output, start_new_session=True, preexec_fn=_end_with_parent,
            )  # fmt: skip
        try:
            said = await _until_ready(name, process, log, ready)
            last = said.removeprefix(ready).strip().rpartition(":")[2]
            yield Program(name, process, log, time.monotonic() - began, int(last) if last.isdigit() else 0)
        finally:
            await _end(process)


def _end_with_parent() -> None:
    """On Linux also when the measurement is killed; elsewhere that leaves the program behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


async def _until_ready(name: str, process: Process, log: Path, ready: str) -> str:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith(ready):
                return line
        if process.returncode is not None or time.monotonic() > deadline:
            raise Failed(f"{name} is not ready\n{tail(log)}")
        await asyncio.sleep(0.02)


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def ringdesk(*words: str) -> list[str]:
    return [str(Path(sys.executable).with_name("ringdesk")), *words]


def module(name: str, *words: str) -> list[str]:
    return [sys.executable, "-m", name, *words]


class Helper:
    """A load generator in a process of its own: one JSON object in a line, one out, as often as wanted."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, within_s: float, **order: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        try:
            async with asyncio.timeout(within_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise Failed(f"no answer to {order.get('do')} within {within_s:g} s") from None
        if not line:
            raise Failed(f"the load generator ended while it did {order.get('do')}; see the lines above")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer


@asynccontextmanager
async def helper(module_name: str, *words: str) -> AsyncIterator[Helper]:
    process = await asyncio.create_subprocess_exec(
        *module(module_name, *words), cwd=ROOT, env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
        stdin=PIPE, stdout=PIPE, limit=64 * 2**20,
    )  # fmt: skip
    try:
        yield Helper(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await process.wait()
        await _end(process)


def rss_mb(pid: int) -> float:
    """Resident memory without what is shared with others (RssAnon), as far as the kernel tells."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def pss_mb(pid: int) -> float:
    """Memory with its share of what is shared: the parts of a stack add up."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found
