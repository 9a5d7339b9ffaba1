"""The demo's data comes whole or not at all."""

import shutil
from pathlib import Path

import pytest

from app import demo
from core.errors import Invalid
from infra.outbox import Outbox
from infra.postgres import Database


async def counts(database: Database) -> tuple[int, ...]:
    async with database.acquire() as conn:
        return tuple(
            [await conn.fetchval(f"SELECT count(*) FROM {table}") for table in ("queues", "users", "customers")]
        )


async def test_a_first_start_that_did_not_get_through_is_made_up_for(
    database: Database, outbox: Outbox, clean: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = demo.FOLDER
    shutil.copytree(folder, tmp_path / "demo")
    (tmp_path / "demo" / "customers.csv").write_text("external_id,name\n,\n")
    monkeypatch.setattr(demo, "FOLDER", tmp_path / "demo")
    with pytest.raises(Invalid):
        await demo.seed(outbox)
    assert await counts(database) == (0, 0, 0)
    monkeypatch.setattr(demo, "FOLDER", folder)
    assert await demo.seed(outbox)
    assert await counts(database) == (3, 12, 500)
    assert not await demo.seed(outbox)
