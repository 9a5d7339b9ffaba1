"""The audit log cannot be rewritten, only grow and be purged by age; no deed without its row."""

from datetime import timedelta

import asyncpg
import pytest

from accounts import retention, service
from accounts.audit import audit
from accounts.model import fingerprint
from core.principal import SYSTEM, Role
from infra.openapi import Operation
from infra.outbox import Tx
from infra.postgres import Connection
from tests.api import Api
from tests.builders import a_principal, a_user


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET action = 'x'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "DELETE FROM audit_log WHERE false",
    ],
)
async def test_audit_row_can_be_neither_changed_nor_removed(tx: Tx, statement: str) -> None:
    await audit(tx, SYSTEM, "thing.do", "thing", 1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        async with tx.conn.transaction():
            await tx.conn.execute(statement)
    assert await tx.conn.fetchval("SELECT count(*) FROM audit_log WHERE action = 'thing.do'") == 1


async def test_permission_to_purge_is_no_permission_to_change(tx: Tx) -> None:
    await audit(tx, SYSTEM, "thing.do", "thing", 1)
    await tx.conn.execute("SET LOCAL ringdesk.audit_purge = 'on'")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await tx.conn.execute("UPDATE audit_log SET action = 'x'")


async def test_purge_removes_what_is_old_in_batches(tx: Tx) -> None:
    principal = await a_principal(tx)
    for days in (1, 399, 401, 402, 403):
        old = Tx(tx.conn, tx.now - timedelta(days=days), tx.request_id, tx.outbox)
        await audit(old, SYSTEM, f"thing.{days}", "thing", 1)
        await service.issue_realtime_ticket(old, principal)
        await tx.conn.execute(
            "INSERT INTO sessions VALUES ($1, $2, $3, $3)", fingerprint(str(days)), principal.user_id, old.now
        )
    kept = timedelta(days=400)
    counts = [await retention.purge(tx, audit_kept=kept, limit=2) for _ in range(4)]
    assert counts[0] == 6
    assert counts[-1] == 0
    rows = await tx.conn.fetch("SELECT action FROM audit_log WHERE action LIKE 'thing.%' ORDER BY id")
    assert [row["action"] for row in rows] == ["thing.1", "thing.399"]
    assert await tx.conn.fetchval("SELECT count(*) FROM sessions") == 1, "only the one in use"
    assert await tx.conn.fetchval("SELECT count(*) FROM realtime_tickets") == 0


async def test_deed_whose_audit_fails_does_not_happen(tx: Tx) -> None:
    await tx.conn.execute("ALTER TABLE audit_log ADD CHECK (action <> 'user.create')")

    async def create() -> None:
        async with tx.conn.transaction():
            await a_user(tx, email="li@example.com")

    with pytest.raises(asyncpg.CheckViolationError):
        await create()
    assert await tx.conn.fetchval("SELECT count(*) FROM users WHERE email = 'li@example.com'") == 0


async def _call(api: Api, operation: Operation, role: Role | None) -> int:
    """Ask with a body that fits nobody: rights are decided before it is read."""
    browser = await api.browser() if role is None else await api.logged_in(role)
    path = operation.path.replace("{id}", "1")
    async with browser.request(operation.method, path, json={"x": 1} if operation.is_command else None) as answer:
        return answer.status


async def test_every_operation_refuses_every_role_it_does_not_name(api: Api) -> None:
    checked = 0
    for operation in api.operations:
        for role in (None, *Role):
            status = await _call(api, operation, role)
            if not operation.roles or role in operation.roles:
                assert status not in (401, 403), (operation.name, role, status)
            else:
                assert status == (401 if role is None else 403), (operation.name, role, status)
            checked += 1
    assert checked >= 36


async def test_users_are_listed_to_admins(api: Api, conn: Connection) -> None:
    admin = await api.logged_in(Role.ADMIN, name="Ada")
    for n in range(3):
        async with api.resources.outbox.transaction() as tx:
            await a_user(tx, name=f"User {n}", is_active=n != 2)
    found, cursor = [], ""
    for _ in range(3):
        async with admin.get(
            "/api/v1/users", params={"limit": "2", **({"cursor": cursor} if cursor else {})}
        ) as answer:
            assert answer.status == 200
            page = await answer.json()
        found += [(user["name"], user["is_active"]) for user in page["items"]]
        cursor = page["next_cursor"] or ""
        if not cursor:
            break
    assert found == [("Ada", True), ("User 0", True), ("User 1", True), ("User 2", False)]
    assert "password" not in str(page)
    async with admin.get("/api/v1/users", params={"cursor": "' OR 1=1--"}) as answer:
        assert answer.status == 422


async def test_mutating_operation_leaves_an_audit_row(api: Api, conn: Connection) -> None:
    agent = await api.logged_in(Role.AGENT)
    async with agent.post("/api/v1/realtime-ticket") as answer:
        assert answer.status == 200
        request_id = answer.headers["X-Request-Id"]
    row = await conn.fetchrow("SELECT * FROM audit_log ORDER BY id DESC LIMIT 1")
    assert row is not None
    assert (row["action"], row["request_id"], row["actor_name"]) == ("realtime_ticket.issue", request_id, "Ava Chen")
