import asyncio
import json
import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import asyncpg
import pytest

from app.embedded import EmbeddedError, embedded_postgres, keeper, places
from app.embedded.postgres import system_programs
from tests.integration.app.hosting import a_host, commands_naming, runs, seconds_until

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root runs its servers as somebody else")
on_linux = pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")


async def _write(url: str, word: str) -> None:
    conn = await asyncpg.connect(url)
    try:
        await conn.execute("CREATE TABLE IF NOT EXISTS words (word text)")
        await conn.execute("INSERT INTO words VALUES ($1)", word)
    finally:
        await conn.close()


async def _words(url: str) -> list[str]:
    conn = await asyncpg.connect(url)
    try:
        return [row["word"] for row in await conn.fetch("SELECT word FROM words")]
    finally:
        await conn.close()


async def test_data_survives_a_stop_and_the_second_start_is_quick(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as first:
        await _write(first.url, "kept")
    started_at = time.monotonic()
    async with embedded_postgres(data_dir) as second:
        assert time.monotonic() - started_at < 2
        assert second.detail.startswith("PostgreSQL ")
        assert await _words(second.url) == ["kept"]
    assert not runs(second.pid)
    assert not Path(second.where).exists()


async def test_settings_guard_against_lost_clients_and_keep_data_safe(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as server:
        conn = await asyncpg.connect(server.url)
        try:
            shown = {
                name: await conn.fetchval("SELECT current_setting($1)", name)
                for name in ("fsync", "client_connection_check_interval", "listen_addresses", "TimeZone")
            }
            assert await conn.fetchval("SELECT lower('Ä')") == "ä"
        finally:
            await conn.close()
    assert shown == {
        "fsync": "on",
        "client_connection_check_interval": "5s",
        "listen_addresses": "",
        "TimeZone": "UTC",
    }


async def test_kill_of_the_parent_ends_everything_in_two_seconds_and_loses_nothing(data_dir: Path) -> None:
    async with a_host(data_dir, "postgres") as host:
        postgres = host.servers["postgres"]
        await _write(postgres.url, "committed")
        busy = await asyncpg.connect(postgres.url)
        working = asyncio.ensure_future(busy.execute("SELECT pg_sleep(60)"))
        host.kill()
        await seconds_until(lambda: not runs(postgres.pid), within_s=2)
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await working
        busy.terminate()
        await seconds_until(lambda: not Path(postgres.where).exists(), within_s=1)
        await seconds_until(lambda: not commands_naming(postgres.where), within_s=1)
    async with embedded_postgres(data_dir) as again:
        assert await _words(again.url) == ["committed"]


async def test_start_right_after_a_kill_waits_for_the_end_of_the_old_server(data_dir: Path) -> None:
    async with a_host(data_dir, "postgres") as host:
        await _write(host.servers["postgres"].url, "committed")
        host.kill()
        async with embedded_postgres(data_dir) as again:
            assert await _words(again.url) == ["committed"]
            assert not runs(host.servers["postgres"].pid)


async def test_start_ends_a_server_whose_keeper_was_killed_too(data_dir: Path) -> None:
    async with a_host(data_dir, "postgres") as host:
        postgres = host.servers["postgres"]
        await _write(postgres.url, "committed")
        record = json.loads((data_dir / "postgres" / "process.json").read_text())
        os.kill(record["keeper"][0], signal.SIGKILL)
        host.kill()
        await host.process.wait()
        assert runs(postgres.pid)
        async with embedded_postgres(data_dir) as again:
            assert not runs(postgres.pid)
            assert await _words(again.url) == ["committed"]
        assert not Path(postgres.where).exists()


async def test_process_that_merely_reuses_a_recorded_pid_is_spared(data_dir: Path) -> None:
    async with embedded_postgres(data_dir):
        pass
    stranger = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    home = (data_dir / "postgres").resolve()
    record = {"home": str(home), "server": [stranger.pid, "earlier"], "keeper": [stranger.pid, "earlier"], "remove": []}
    (home / "process.json").write_text(json.dumps(record))
    try:
        async with embedded_postgres(data_dir):
            assert runs(stranger.pid)
    finally:
        stranger.kill()
        await stranger.wait()


async def test_record_in_a_copied_folder_ends_nothing_of_the_original(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as original:
        copy = data_dir.with_name("copy") / "postgres"
        copy.mkdir(parents=True)
        (copy / "process.json").write_bytes((data_dir / "postgres" / "process.json").read_bytes())
        async with embedded_postgres(copy.parent):
            assert runs(original.pid)
            await _write(original.url, "still here")


async def test_second_ringdesk_on_the_same_data_is_refused_and_harms_nobody(data_dir: Path) -> None:
    async with a_host(data_dir, "postgres") as host:
        with pytest.raises(EmbeddedError, match=f"Another Ringdesk .process {host.process.pid}. is using"):
            async with embedded_postgres(data_dir):
                pass
        await _write(host.servers["postgres"].url, "unharmed")


async def test_data_of_another_major_is_refused_in_one_sentence(data_dir: Path) -> None:
    async with embedded_postgres(data_dir):
        pass
    (data_dir / "postgres" / "data" / "cluster" / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedError, match=r"was written by PostgreSQL 12, this is PostgreSQL \d+.*--data-dir\.$"):
        async with embedded_postgres(data_dir):
            pass


@on_linux
async def test_pid_file_whose_pid_went_to_another_program_does_not_block_the_start(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as first:
        await _write(first.url, "kept")
        pid_file = data_dir / "postgres" / "data" / "cluster" / "postmaster.pid"
        lines = pid_file.read_text().split("\n")
    # The stranger has the server's own user: PostgreSQL alone takes it for a running server.
    who = {"user": "nobody", "group": "nogroup", "extra_groups": []} if ROOT else {}
    stranger = subprocess.Popen(["sleep", "60"], **who)  # type: ignore[call-overload]
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))
        async with embedded_postgres(data_dir) as again:
            assert await _words(again.url) == ["kept"]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_half_made_cluster_of_a_killed_first_start_is_made_anew(data_dir: Path) -> None:
    home = places.home(data_dir, "postgres")
    half = home.data / "cluster.new" / "base"
    half.mkdir(parents=True)
    (half / "junk").write_text("x")
    async with embedded_postgres(data_dir) as server:
        await _write(server.url, "works")
    assert not (home.data / "cluster.new").exists()


async def test_end_of_the_server_alone_is_told_with_a_sentence(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as server:
        os.kill(server.pid, signal.SIGKILL)
        async with asyncio.timeout(5):
            sentence = await server.ended()
    assert sentence.startswith("PostgreSQL ended by itself (SIGKILL):")


async def test_leaving_ends_the_server_even_when_its_keeper_is_gone(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as server:
        record = json.loads((data_dir / "postgres" / "process.json").read_text())
        os.kill(record["keeper"][0], signal.SIGKILL)
        await server.ended()
    assert not runs(server.pid)
    assert not Path(server.where).exists()


@as_root
async def test_root_keeps_data_elsewhere_when_others_may_not_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = [stat.S_IMODE(folder.stat().st_mode) for folder in (closed, *closed.parents)]
    data_dir = closed / "data"
    try:
        async with embedded_postgres(data_dir) as first:
            assert keeper.start_stamp(first.pid) is not None
            assert (data_dir / "postgres").is_symlink()
            await _write(first.url, "kept")
        elsewhere = (data_dir / "postgres").resolve()
        assert elsewhere.is_relative_to("/var/lib/ringdesk")
        async with embedded_postgres(data_dir) as second:
            assert await _words(second.url) == ["kept"]
        (data_dir / "postgres").unlink()  # Somebody erased the data directory: that is a new beginning.
        async with embedded_postgres(data_dir) as third:
            with pytest.raises(asyncpg.UndefinedTableError):
                await _words(third.url)
        assert [stat.S_IMODE(folder.stat().st_mode) for folder in (closed, *closed.parents)] == before
    finally:
        places.erase((data_dir / "postgres").resolve().parent)


@as_root
async def test_throwaway_data_of_root_leaves_nothing_behind(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path, durable=False) as server:
        elsewhere = (tmp_path / "postgres").resolve()
        assert server.detail.endswith("fsync off")
        assert elsewhere.exists()
    assert not elsewhere.exists()
    async with embedded_postgres(tmp_path, durable=False) as again:
        await _write(again.url, "works again")


@as_root
async def test_server_of_root_runs_without_its_rights(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == places.unprivileged().uid
        assert stat.S_IMODE((data_dir / "postgres" / "data").stat().st_mode) == 0o700
        assert stat.S_IMODE(Path(server.where).stat().st_mode) == 0o700


@as_root
async def test_programs_that_the_servers_user_cannot_reach_are_copied(tmp_path: Path) -> None:
    program = tmp_path / "kit" / "bin" / "tool"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o700)
    copy = places.reachable(tmp_path / "kit", ("bin",), "bin/tool", places.unprivileged())
    try:
        assert copy.is_relative_to("/var/lib/ringdesk/programs")
        assert places.runs_as(copy / "bin/tool", places.unprivileged())
        assert stat.S_IMODE(program.stat().st_mode) == 0o700
    finally:
        places.erase(copy)


@pytest.mark.skipif(not system_programs(), reason="no PostgreSQL among the machine's own packages")
async def test_programs_of_the_machine_can_be_used_instead(data_dir: Path) -> None:
    programs = system_programs()[-1]
    async with embedded_postgres(data_dir, durable=False, programs=programs) as server:
        assert server.detail.startswith(f"PostgreSQL {programs.parent.name}.")
        await _write(server.url, "works")
