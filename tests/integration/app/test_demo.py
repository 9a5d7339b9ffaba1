"""The demo's data comes whole or not at all, and its passwords open nothing to the world."""

import shutil
from pathlib import Path

import pytest

from accounts import service as accounts
from app import demo
from core.errors import Invalid
from core.principal import Actor
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
    assert await counts(database) == (4, 12, 500)
    assert not await demo.seed(outbox)


async def test_who_can_be_anybody_is_served_on_this_machine_only(
    database: Database, outbox: Outbox, clean: None
) -> None:
    await demo.seed(outbox)
    await demo.refuse_known_passwords(database, "127.0.0.1", None)
    await demo.refuse_known_passwords(database, "127.0.0.1", "http://localhost:8080")
    with pytest.raises(demo.KnownPasswords):
        await demo.refuse_known_passwords(database, "0.0.0.0", None)
    with pytest.raises(demo.KnownPasswords):
        await demo.refuse_known_passwords(database, "127.0.0.1", "https://desk.example.com")
    async with outbox.transaction() as tx:
        await tx.conn.execute("UPDATE users SET is_active = false WHERE id <> (SELECT min(id) FROM users)")
        first = await tx.conn.fetchval("SELECT min(id) FROM users")
    with pytest.raises(demo.KnownPasswords):
        await demo.refuse_known_passwords(database, "0.0.0.0", None)
    async with outbox.transaction() as tx:
        await accounts.set_password(tx, first, "a password of their own", actor=Actor("cli", name="test"))
    await demo.refuse_known_passwords(database, "0.0.0.0", None)
