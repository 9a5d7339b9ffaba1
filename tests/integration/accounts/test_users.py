"""Users: create, change, disable, passwords. Each deed leaves its audit row, each refusal none."""

from datetime import timedelta
from typing import Any

import pytest

from accounts import passwords, queries, service
from accounts.model import (
    SESSIONS_PER_USER,
    BadCredentials,
    EmailTaken,
    InvalidEmail,
    UserNotFound,
    WeakPassword,
    fingerprint,
)
from core.demo_account import PASSWORD as DEMO_PASSWORD
from core.principal import Actor, Role
from infra.outbox import Tx
from tests.builders import TESTER, a_session, a_user

ADMIN = Actor("user", 7, "Ada")


async def _audit(tx: Tx) -> list[dict[str, Any]]:
    return [dict(row) for row in await tx.conn.fetch("SELECT * FROM audit_log ORDER BY id")]


async def test_created_user_is_found_by_any_spelling_of_the_address(tx: Tx) -> None:
    user = await service.create_user(
        tx, email=" Li@Example.COM ", name="Li Wei", role=Role.SUPERVISOR, language="zh-CN", actor=ADMIN
    )
    assert (user.email, user.name, user.role, user.language) == ("li@example.com", "Li Wei", Role.SUPERVISOR, "zh-CN")
    assert (user.is_active, user.version) == (True, 1)
    assert await queries.user_by_email(tx.conn, email="LI@example.com") == user
    [row] = await _audit(tx)
    assert (row["action"], row["object_kind"], row["object_id"]) == ("user.create", "user", str(user.id))
    assert (row["actor_kind"], row["actor_id"], row["actor_name"]) == ("user", 7, "Ada")
    assert row["request_id"] == "test-request"
    assert row["after"]["role"] == "supervisor"


async def test_second_user_with_the_address_is_refused_and_the_transaction_lives_on(tx: Tx) -> None:
    await a_user(tx, email="li@example.com")
    with pytest.raises(EmailTaken):
        await a_user(tx, email="LI@example.com")
    await a_user(tx, email="li2@example.com")
    assert len(await _audit(tx)) == 2


@pytest.mark.parametrize(
    "email", ["", "li", "li@", "@example.com", "a b@example.com", "a@b@c", "a\n@b.c", "x" * 250 + "@b.c"]
)
async def test_what_is_no_address_is_refused(tx: Tx, email: str) -> None:
    with pytest.raises(InvalidEmail):
        await service.create_user(tx, email=email, name="Li", role=Role.AGENT, actor=ADMIN)


async def test_update_raises_the_version_and_audits_only_what_changed(tx: Tx) -> None:
    user = await a_user(tx, name="Li Wei")
    changed = await service.update_user(tx, user.id, name="Li Na", role=Role.SUPERVISOR, actor=ADMIN)
    assert (changed.name, changed.role, changed.version) == ("Li Na", Role.SUPERVISOR, 2)
    row = (await _audit(tx))[-1]
    assert row["before"] == {"name": "Li Wei", "role": "agent"}
    assert row["after"] == {"name": "Li Na", "role": "supervisor"}


async def test_update_to_the_same_changes_nothing(tx: Tx) -> None:
    user = await a_user(tx, name="Li Wei")
    assert await service.update_user(tx, user.id, name="Li Wei", actor=ADMIN) == user
    assert len(await _audit(tx)) == 1


async def test_ensure_user_makes_one_and_then_keeps_it(tx: Tx) -> None:
    async def ensure(name: str) -> Any:
        return await service.ensure_user(tx, email="li@example.com", name=name, role=Role.AGENT, actor=ADMIN)

    first, again, renamed = await ensure("Li"), await ensure("Li"), await ensure("Li Na")
    assert first == again
    assert (renamed.id, renamed.name, renamed.version) == (first.id, "Li Na", 2)


@pytest.mark.parametrize("use_case", [service.update_user, service.disable_user, service.enable_user])
async def test_unknown_user_is_said_to_be_unknown(tx: Tx, use_case: Any) -> None:
    with pytest.raises(UserNotFound):
        await use_case(tx, 10**15, actor=ADMIN)


async def test_disabled_user_loses_sessions_tokens_and_tickets(tx: Tx) -> None:
    user, other = await a_user(tx), await a_user(tx)
    keys = {who.id: fingerprint((await a_session(tx, who))[1]) for who in (user, other)}
    expires_at = tx.now.replace(year=tx.now.year + 1)
    _, secret = await service.create_token(
        tx, user.id, role=Role.AGENT, label="script", expires_at=expires_at, actor=ADMIN
    )
    principals = await queries.live_principals(tx.conn, hashes=[*keys.values(), fingerprint(secret)], now=tx.now)
    assert len(principals) == 3
    ticket = await service.issue_realtime_ticket(tx, principals[keys[user.id]])

    await service.disable_user(tx, user.id, actor=ADMIN)

    left = await queries.live_principals(tx.conn, hashes=[*keys.values(), fingerprint(secret)], now=tx.now)
    assert set(left) == {keys[other.id]}
    assert await service.redeem_realtime_ticket(tx, ticket) == "invalid"
    assert (await _audit(tx))[-1]["after"] == {"is_active": False}

    enabled = await service.enable_user(tx, user.id, actor=ADMIN)
    assert enabled.is_active
    assert not await queries.live_principals(tx.conn, hashes=[keys[user.id], fingerprint(secret)], now=tx.now)


async def test_new_password_replaces_the_old_and_ends_sessions(tx: Tx) -> None:
    user = await a_user(tx)
    key = fingerprint((await a_session(tx, user))[1])
    await service.set_password(tx, user.id, "correct-horse-battery", actor=ADMIN)
    stored = await queries.credentials(tx.conn, email=user.email)
    assert stored is not None
    assert await passwords.is_right(stored.password_hash, "correct-horse-battery")
    assert not await passwords.is_right(stored.password_hash, "correct-horse-batterz")
    assert await queries.session_principal(tx.conn, token_hash=key, now=tx.now) is None
    row = (await _audit(tx))[-1]
    assert (row["action"], row["before"], row["after"]) == ("user.set_password", None, None)


@pytest.mark.parametrize("password", ["", "short", "eleven-char", "password1234", "aaaaaaaaaaaa", "123456789012"])
async def test_weak_password_is_refused(tx: Tx, password: str) -> None:
    user = await a_user(tx)
    with pytest.raises(WeakPassword):
        await service.set_password(tx, user.id, password, actor=ADMIN)
    stored = await queries.credentials(tx.conn, email=user.email)
    assert stored is not None
    assert stored.password_hash is None


async def test_demo_may_have_weak_passwords_but_not_empty_ones(tx: Tx) -> None:
    user = await a_user(tx)
    await service.set_password(tx, user.id, "demo", actor=TESTER, allow_weak=True)
    with pytest.raises(WeakPassword):
        await service.set_password(tx, user.id, "", actor=TESTER, allow_weak=True)
    await service.set_password(tx, user.id, DEMO_PASSWORD, actor=TESTER)


async def test_users_are_listed_by_id_page_by_page(tx: Tx) -> None:
    made = [await a_user(tx) for _ in range(3)]
    first = await queries.users(tx.conn, after_id=made[0].id - 1, limit=2)
    rest = await queries.users(tx.conn, after_id=first[-1].id, limit=2)
    assert [user.id for user in (*first, *rest)] == [user.id for user in made]


async def test_log_in_between_check_and_session_is_refused_after_a_password_change(tx: Tx) -> None:
    user = await a_user(tx, password="correct-horse-battery-42")
    verified = await queries.credentials(tx.conn, email=user.email)
    assert verified is not None
    opened, _ = await service.open_session(tx, verified)
    assert opened == user
    await tx.conn.execute("UPDATE users SET password_set_at = password_set_at + interval '1 second'")
    with pytest.raises(BadCredentials):
        await service.open_session(tx, verified)


async def test_oldest_sessions_end_when_there_are_too_many(tx: Tx) -> None:
    user = await a_user(tx)
    for n in range(SESSIONS_PER_USER + 2):
        await queries.insert_session(
            tx.conn, token_hash=fingerprint(str(n)), user_id=user.id, now=tx.now + timedelta(seconds=n)
        )
    hashes = [fingerprint(str(n)) for n in range(SESSIONS_PER_USER + 2)]
    alive = await queries.live_principals(tx.conn, hashes=hashes, now=tx.now)
    assert set(alive) == set(hashes[2:])
