"""`ringdesk simulate` tells the truth: exit code 0 and one JSON line when nothing is lost, 1 when something is."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from aiohttp import ClientSession

from app.embedded.children import free_port
from tests.chaos.stack import ROOT, Program, until
from tests.crowd import crowd
from tests.invariants import broken

RINGDESK: Final = str(Path(sys.executable).with_name("ringdesk"))
END_WITHIN_S: Final = 180.0

pytestmark = pytest.mark.timeout(900)


@dataclass
class Demo:
    url: str
    program: Program
    data_dir: Path

    async def fetch(self, statement: str, *args: object) -> list[asyncpg.Record]:
        run = json.loads((self.data_dir / "run.json").read_text())
        conn = await asyncpg.connect(run["database_url"], timeout=10)
        try:
            return list(await conn.fetch(statement, *args))
        finally:
            await conn.close(timeout=5)

    async def broken(self) -> dict[str, list[object]]:
        run = json.loads((self.data_dir / "run.json").read_text())
        conn = await asyncpg.connect(run["database_url"], timeout=10)
        try:
            return await broken(conn, settled=False)
        finally:
            await conn.close(timeout=5)


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    """The demo with its background traffic off, so that its agents have no live connection."""
    folder = Path(tempfile.mkdtemp(prefix="ringdesk-simulate-"))
    folder.chmod(0o755)  # as root the servers run as another user
    port = free_port()
    argv = (RINGDESK, "up", "--port", str(port), "--data-dir", str(folder / "data"), "--broker", "local", "--demo")
    program = Program("up", argv, env={}, ready="ringdesk ready", folder=folder)
    try:
        await program.start()
        started = Demo(f"http://127.0.0.1:{port}", program, folder / "data")
        async with ClientSession(started.url) as http, http.post("/demo/traffic", json={"on": False}) as answer:
            assert answer.status == 200
        yield started
    except BaseException:
        sys.stdout.write(program.tail())
        raise
    finally:
        await program.end()
        shutil.rmtree(folder, ignore_errors=True)


async def test_exit_code_0_when_nothing_is_lost_and_1_when_something_is(demo: Demo) -> None:
    """Two runs side by side. A call of the first loses its ticket, by our own hand, in the database: that run must tell."""
    doomed = asyncio.create_task(_simulate(demo, "60", agents=3, duration=6, seed=2))
    try:
        calls = await _calls_of_the_first_run(demo)
        clean = asyncio.create_task(_simulate(demo, "20", agents=5, duration=20, seed=1))
        try:
            call = await _first_closed(demo, calls)
            [ticket] = await demo.fetch("DELETE FROM ticket_calls WHERE call_id = $1 RETURNING *", call["id"])
            assert "I1 a call that was queued has a ticket" in await demo.broken()
            code, report = await doomed
            assert report["failures"] == [f"call {call['sid']}: it was queued and has no ticket"]
            assert report["lost"] == 1
            assert code == 1

            names = ", ".join(ticket.keys())
            places = ", ".join(f"${n}" for n in range(1, len(ticket) + 1))
            await demo.fetch(f"INSERT INTO ticket_calls ({names}) VALUES ({places})", *ticket.values())
            code, report = await clean
            assert report["failures"] == []
            assert report["lost"] == 0
            assert code == 0
            assert report["calls"] >= 3
            assert report["agents"] == 5
            assert report["answered"] + report["abandoned"] == report["calls"]
            assert (report["seed"], report["duplicate_pops"]) == (1, 0)
            assert await demo.broken() == {}
        finally:
            await _give_up(clean)
    finally:
        await _give_up(doomed)
    sys.stdout.write(f"\nringdesk simulate: {json.dumps(report)}\n")


async def test_a_service_that_is_not_there_is_told_in_one_sentence() -> None:
    code, output, told = await _run("--url", f"http://127.0.0.1:{free_port()}", "--duration", "1")
    assert (code, output) == (1, "")
    assert len(told.splitlines()) == 1, told
    assert "does not answer" in told


async def _calls_of_the_first_run(demo: Demo) -> list[int]:
    """Several, so that the run still waits for the others when one is over."""
    found: list[int] = []

    async def are_there() -> bool:
        found[:] = [row["id"] for row in await demo.fetch("SELECT id FROM calls")]
        return len(found) >= 3

    await until(are_there, within_s=60, what="three calls come in")
    return found


async def _first_closed(demo: Demo, calls: list[int]) -> asyncpg.Record:
    found: list[asyncpg.Record] = []

    async def is_closed() -> bool:
        found[:] = await demo.fetch("SELECT id, sid FROM calls WHERE id = ANY($1) AND state = 'closed' LIMIT 1", calls)
        return bool(found)

    await until(is_closed, within_s=90, what="a call is closed")
    return found[0]


async def _simulate(
    demo: Demo, calls_per_minute: str, *, agents: int, duration: int, seed: int
) -> tuple[int, dict[str, Any]]:
    """Exit code and report: standard output is one JSON line and nothing else."""
    options = ("--agents", str(agents), "--duration", str(duration), "--seed", str(seed))
    code, output, told = await _run("--url", demo.url, "--calls-per-minute", calls_per_minute, *options)
    lines = output.splitlines()
    assert len(lines) == 1, (code, output, told)
    report: dict[str, Any] = json.loads(lines[0])
    return code, report


async def _run(*options: str) -> tuple[int, str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("RINGDESK_")} | {
        "PYTHONPATH": str(ROOT)
    }
    process = await asyncio.create_subprocess_exec(
        RINGDESK, "simulate", *options, cwd=ROOT, env=env, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(END_WITHIN_S * crowd()):
            output, told = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode(), told.decode()


async def _give_up(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
