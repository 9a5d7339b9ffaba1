"""`ringdesk up` on yesterday's data: an older schema is brought up to date, another PostgreSQL's data is refused in plain words."""

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import asyncpg
import pytest

from app.embedded import embedded_postgres
from infra import migrate as module
from infra.migrate import MIGRATIONS, migrate

ROOT = Path(__file__).resolve().parents[3]
WITHIN_S = 90.0


async def up(data_dir: Path, until: str) -> tuple[int, str]:
    """Start it, stop it once it has said `until`; its exit code and what it said."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RINGDESK_")}
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("ringdesk"),
        *("up", "--port", "0", "--data-dir", str(data_dir), "--broker", "local", "--no-demo"),
        cwd=ROOT, env=clean, stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(WITHIN_S):
            async for line in process.stdout:
                said += line.decode()
                if until in said and process.returncode is None:
                    process.send_signal(signal.SIGTERM)
                    until = "\0"
            return await process.wait(), said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_older_schema_is_brought_up_to_date_with_its_data(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(MIGRATIONS.glob("*.sql"))
    older = files[:-1]
    for path in older:
        shutil.copy(path, tmp_path)
    async with embedded_postgres(data_dir) as server:
        with monkeypatch.context() as patch:
            patch.setattr(module, "MIGRATIONS", tmp_path)
            assert await migrate(server.url) == len(older)
        conn = await asyncpg.connect(server.url)
        await conn.execute("INSERT INTO users (email, name, role) VALUES ('li@example.com', 'Li Wei', 'agent')")
        await conn.close()

    code, said = await up(data_dir, "ringdesk ready")
    assert code == 0, said
    assert "1 migrations applied" in said

    async with embedded_postgres(data_dir) as server:
        conn = await asyncpg.connect(server.url)
        assert await conn.fetchval("SELECT name FROM users WHERE email = 'li@example.com'") == "Li Wei"
        assert await conn.fetchval("SELECT count(*) FROM schema_migrations") == len(files)
        await conn.close()


async def test_data_of_another_major_version_ends_with_one_sentence(data_dir: Path) -> None:
    async with embedded_postgres(data_dir):
        pass
    cluster = (data_dir / "postgres").resolve() / "data" / "cluster"
    (cluster / "PG_VERSION").write_text("15\n")
    code, said = await up(data_dir, "ringdesk ready")
    assert code == 1
    assert "Traceback" not in said
    complaint = [line for line in said.splitlines() if line.startswith("ringdesk: ")]
    assert len(complaint) == 1, said
    assert "was written by PostgreSQL 15" in complaint[0]
