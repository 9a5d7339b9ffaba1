"""The drill of docs/howto/run-in-production.md: calls run, a backup is made, everything else is lost, and work goes on."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from app.embedded import embedded_postgres
from infra.backup import Contents, connected, contents, read_manifest
from simulator.people.agents import Habits
from simulator.people.callers import CallerHabits
from simulator.run import simulate
from tests.e2e.running import ROOT, Ringdesk, running, until
from tests.invariants import broken

AGENTS: Final = Habits(accept_after_s=(0.1, 0.3), talk_s=(2, 3), wrap_up_s=(0.1, 0.3))
CALLERS: Final = CallerHabits(
    patience_median_s=20, patience_least_s=15, patience_most_s=30, talk_s=(2, 3), hangs_up_first=0.5
)
GROWS: Final = {"audit_log"}
"""By the row that says who restored."""
EMPTIED: Final = {"sessions", "realtime_tickets", "desk_connections"}


async def ringdesk(*words: str | Path) -> tuple[int, str]:
    """A command as from a shell."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RINGDESK_")}
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("ringdesk"), *words, cwd=ROOT, env=clean, stdout=PIPE, stderr=STDOUT
    )
    try:
        async with asyncio.timeout(90):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.timeout(600)  # some 40 s where nobody else works
async def test_backup_while_calls_run_comes_back_whole_and_work_goes_on(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    first, second, backups = tmp_path / "first", tmp_path / "second", tmp_path / "backups"
    async with running(first) as service:
        folder = await _backup_of_a_full_house(service, first, backups)
        code, said = await ringdesk("restore", folder, "--data-dir", first, "--replace")
        assert (code, "is running" in said) == (1, True), said
    manifest = read_manifest(folder)
    assert manifest.tables["calls"].rows > 0

    code, said = await ringdesk("restore", folder, "--data-dir", second)
    assert code == 0, said
    assert re.search(rf"{len(manifest.tables)} tables, {manifest.rows} rows of .* UTC: equal", said)
    print(f"\n{said}")  # noqa: T201 - the drill's record, shown with -s
    code, said = await ringdesk("restore", folder, "--data-dir", second)
    assert (code, "not empty" in said) == (1, True), said

    async with embedded_postgres(second) as server:
        restored = await _look(server.url, manifest.tables)
    async with running(second) as service:
        await service.traffic(on=False)
        assert await service.one("SELECT count(*) FROM sessions") == 0
        old = "SELECT count(*) FROM tickets WHERE id < 1000000"  # a caller may have come before traffic stopped
        assert await service.one(old) == manifest.tables["tickets"].rows
        await until(
            _none(service, "SELECT count(*) FROM calls WHERE outcome IS NULL AND id < 1000000"),
            within_s=60,
            what="calls that the provider no longer knows are closed",
        )
        ghosts = (
            "SELECT count(*) FROM offers o JOIN calls c ON c.id = o.call_id WHERE o.id > 1000000 AND c.id < 1000000"
        )
        assert await service.one(ghosts) == 0, "nobody was offered a call of before"
        report = await simulate(service.url, 60, 2, 2, 5, agent_habits=AGENTS, caller_habits=CALLERS)
        assert (report.lost, report.answered > 0) == (0, True), report
        assert await service.one("SELECT min(id) FROM calls WHERE id > 1000000") is not None, "ids start higher"
        assert await service.broken_invariants() == {}
        assert service.complaints() == []
    assert restored > 0


async def _backup_of_a_full_house(service: Ringdesk, data_dir: Path, backups: Path) -> Path:
    """Made while some calls are over, some talk, and more come in."""
    await service.traffic(on=False)
    enough = asyncio.Event()
    work = asyncio.create_task(
        simulate(service.url, 90, 3, 120, 11, agent_habits=AGENTS, caller_habits=CALLERS, enough=enough)
    )
    try:

        async def is_full() -> bool:
            if work.done():
                work.result()
            talking = await service.one("SELECT count(*) FROM calls WHERE state = 'in_call'")
            over = await service.one("SELECT count(*) FROM calls WHERE closed_at IS NOT NULL")
            return bool(talking) and bool(over)

        await until(is_full, within_s=60, what="calls talk and others are over")
        code, said = await ringdesk("backup", "--to", backups, "--keep", "3", "--data-dir", data_dir)
        assert code == 0, said
        print(f"\n{said}")  # noqa: T201 - the drill's record, shown with -s
        assert await service.one("SELECT count(*) FROM audit_log WHERE action = 'database.backup'") == 1
        enough.set()
        report = await work
        assert report.lost == 0, report
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    (folder,) = backups.iterdir()
    return folder


async def _look(url: str, wanted: dict[str, Contents]) -> int:
    """Every table is as the manifest says, but for what a restore changes; how many calls were open in it."""
    async with connected(url) as conn:
        found = await contents(conn)
    plain = set(wanted) - GROWS - EMPTIED
    assert {name: found[name] for name in plain} == {name: wanted[name] for name in plain}
    assert {name: found[name].rows for name in EMPTIED} == dict.fromkeys(EMPTIED, 0)
    assert {name: found[name].rows - wanted[name].rows for name in GROWS} == dict.fromkeys(GROWS, 1)
    raw = await asyncpg.connect(url, timeout=10)
    try:
        assert await broken(raw, settled=False) == {}
        opened: int = await raw.fetchval("SELECT count(*) FROM calls WHERE closed_at IS NULL")
    finally:
        await raw.close(timeout=5)
    return opened


def _none(service: Ringdesk, statement: str) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return await service.one(statement) == 0

    return holds
