"""API tokens over HTTP and realtime tickets: what they open, and when they do not."""

from datetime import datetime, timedelta

import pytest

from accounts import queries, service
from accounts.model import RoleTooHigh, TicketRefusal, UserNotFound, fingerprint
from core.errors import Forbidden, NotFound
from core.principal import Principal, Role
from infra.outbox import Tx
from infra.postgres import Connection
from tests.api import Api
from tests.builders import TESTER, a_principal, a_user

YEAR = timedelta(days=365)


async def _token(api: Api, role: Role = Role.INTEGRATION, user_role: Role = Role.INTEGRATION) -> tuple[int, str]:
    async with api.resources.outbox.transaction() as tx:
        user = await a_user(tx, role=user_role)
        token, secret = await service.create_token(
            tx, user.id, role=role, label="crm", expires_at=tx.now + YEAR, actor=TESTER
        )
    return token.id, secret


async def _status(api: Api, header: str) -> int:
    browser = await api.browser(Authorization=header)
    async with browser.get("/api/v1/session") as answer:
        return answer.status


async def test_token_is_its_user_with_its_role(api: Api) -> None:
    _, secret = await _token(api, role=Role.AUDITOR, user_role=Role.ADMIN)
    browser = await api.browser(Authorization=f"Bearer {secret}")
    async with browser.get("/api/v1/session") as answer:
        assert (answer.status, (await answer.json())["user"]["role"]) == (200, "auditor")
    async with browser.get("/api/v1/users") as answer:
        assert answer.status == 403
    async with browser.delete("/api/v1/session") as answer:
        assert answer.status == 404, "a token is revoked, not logged out"


async def test_bad_tokens_are_refused(api: Api, conn: Connection) -> None:
    token_id, secret = await _token(api)
    assert await _status(api, f"bearer {secret}") == 200
    for header in (
        "",
        "Bearer",
        "Bearer x",
        f"Bearer {secret}x",
        f"Basic {secret}",
        f"Bearer {secret[4:]}",
        "Bearer é",
    ):
        assert await _status(api, header) == 401, header
    _, expired = await _token(api)
    await conn.execute("UPDATE api_tokens SET expires_at = now() - interval '1 second' WHERE id <> $1", token_id)
    assert await _status(api, f"Bearer {expired}") == 401
    revoked_id, revoked = await _token(api)
    async with api.resources.outbox.transaction() as tx:
        await service.revoke_token(tx, revoked_id, actor=TESTER)
    assert await _status(api, f"Bearer {revoked}") == 401


async def test_bad_token_is_refused_even_with_a_good_cookie(api: Api) -> None:
    browser = await api.logged_in()
    async with browser.get("/api/v1/session") as answer:
        assert answer.status == 200
    async with browser.get("/api/v1/session", headers={"Authorization": "Bearer rdt_x"}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (401, "unauthenticated")
    # Also where nobody need be known: who shows a token wants to be somebody.
    body = {"email": "a@b.c", "password": "x"}
    async with browser.post("/api/v1/session", json=body, headers={"Authorization": "Bearer rdt_x"}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (401, "unauthenticated")


async def test_user_switched_off_by_hand_is_nobody(tx: Tx) -> None:
    """`disable_user` also ends sessions and tokens; whoever forgets that is caught here."""
    principal = await a_principal(tx)
    _, secret = await service.create_token(
        tx, principal.user_id, role=Role.AGENT, label="x", expires_at=tx.now + YEAR, actor=TESTER
    )
    assert principal.session_hash is not None
    hashes = [principal.session_hash, fingerprint(secret)]
    assert len(await queries.live_principals(tx.conn, hashes=hashes, now=tx.now)) == 2
    await tx.conn.execute("UPDATE users SET is_active = false")
    assert await queries.session_principal(tx.conn, token_hash=hashes[0], now=tx.now) is None
    assert await queries.token_principal(tx.conn, token_hash=hashes[1], now=tx.now) is None
    assert not await queries.live_principals(tx.conn, hashes=hashes, now=tx.now)


async def test_only_the_hash_of_a_token_is_kept(api: Api, conn: Connection) -> None:
    _, secret = await _token(api)
    for table in ("api_tokens", "audit_log"):
        rows = await conn.fetch(f"SELECT {table}::text AS row FROM {table}")
        assert rows
        assert not any(secret[4:] in row["row"] for row in rows)


async def test_token_cannot_do_more_than_its_user(tx: Tx) -> None:
    agent = await a_user(tx, role=Role.AGENT)
    with pytest.raises(RoleTooHigh):
        await service.create_token(tx, agent.id, role=Role.ADMIN, label="x", expires_at=tx.now + YEAR, actor=TESTER)
    _, secret = await service.create_token(
        tx, agent.id, role=Role.AGENT, label="x", expires_at=tx.now + YEAR, actor=TESTER
    )
    key = fingerprint(secret)
    assert await queries.token_principal(tx.conn, token_hash=key, now=tx.now) is not None
    await service.update_user(tx, agent.id, role=Role.AUDITOR, actor=TESTER)
    assert await queries.token_principal(tx.conn, token_hash=key, now=tx.now) is None
    assert not await queries.live_principals(tx.conn, hashes=[key], now=tx.now)


async def test_disabled_user_gets_no_token(tx: Tx) -> None:
    user = await a_user(tx, is_active=False)
    with pytest.raises(UserNotFound):
        await service.create_token(tx, user.id, role=Role.AGENT, label="x", expires_at=tx.now, actor=TESTER)


async def test_token_is_revoked_once(tx: Tx) -> None:
    user = await a_user(tx)
    token, _ = await service.create_token(
        tx, user.id, role=Role.AGENT, label="x", expires_at=tx.now + YEAR, actor=TESTER
    )
    assert (await service.revoke_token(tx, token.id, actor=TESTER)).revoked_at == tx.now
    assert [t.revoked_at for t in await queries.tokens_of(tx.conn, user_id=user.id)] == [tx.now]
    with pytest.raises(NotFound):
        await service.revoke_token(tx, token.id, actor=TESTER)


# --- realtime tickets ----------------------------------------------------------------------------------------------


def _at(tx: Tx, now: datetime) -> Tx:
    return Tx(tx.conn, now, tx.request_id, tx.outbox)


async def test_ticket_opens_once(tx: Tx) -> None:
    principal = await a_principal(tx)
    ticket = await service.issue_realtime_ticket(tx, principal)
    assert await service.redeem_realtime_ticket(tx, ticket) == principal
    assert await service.redeem_realtime_ticket(tx, ticket) is TicketRefusal.USED
    assert await service.redeem_realtime_ticket(_at(tx, tx.now + timedelta(minutes=5)), ticket) is TicketRefusal.USED


@pytest.mark.parametrize(("age_s", "opens"), [(0, True), (59, True), (60, False), (61, False)])
async def test_ticket_lives_sixty_seconds(tx: Tx, age_s: int, opens: bool) -> None:
    ticket = await service.issue_realtime_ticket(tx, await a_principal(tx))
    found = await service.redeem_realtime_ticket(_at(tx, tx.now + timedelta(seconds=age_s)), ticket)
    assert isinstance(found, Principal) is opens
    assert opens or found is TicketRefusal.INVALID


@pytest.mark.parametrize("ticket", ["", "x", "A" * 43, "A" * 5000, "é" * 43, "\x00"])
async def test_ticket_that_never_was_is_invalid(tx: Tx, ticket: str) -> None:
    assert await service.redeem_realtime_ticket(tx, ticket) is TicketRefusal.INVALID


async def test_ticket_dies_with_its_session(tx: Tx) -> None:
    principal = await a_principal(tx)
    ticket = await service.issue_realtime_ticket(tx, principal)
    await service.close_session(tx, principal)
    assert await service.redeem_realtime_ticket(tx, ticket) is TicketRefusal.FORBIDDEN


async def test_ticket_carries_the_role_of_now(tx: Tx) -> None:
    principal = await a_principal(tx)
    first, second = [await service.issue_realtime_ticket(tx, principal) for _ in range(2)]
    await service.update_user(tx, principal.user_id, role=Role.SUPERVISOR, actor=TESTER)
    found = await service.redeem_realtime_ticket(tx, first)
    assert isinstance(found, Principal)
    assert found.role is Role.SUPERVISOR
    await service.update_user(tx, principal.user_id, role=Role.AUDITOR, actor=TESTER)
    assert await service.redeem_realtime_ticket(tx, second) is TicketRefusal.FORBIDDEN


async def test_who_has_no_desk_gets_no_ticket(tx: Tx) -> None:
    for role in (Role.AUDITOR, Role.INTEGRATION):
        with pytest.raises(Forbidden):
            await service.issue_realtime_ticket(tx, await a_principal(tx, role=role))


async def test_ticket_over_http(api: Api) -> None:
    browser, stranger = await api.logged_in(Role.AGENT), await api.browser()
    async with browser.post("/api/v1/realtime-ticket") as answer:
        assert answer.status == 200
        ticket = (await answer.json())["ticket"]
    async with stranger.post("/api/v1/realtime-ticket") as answer:
        assert answer.status == 401
    async with api.resources.outbox.transaction() as tx:
        assert isinstance(await service.redeem_realtime_ticket(tx, ticket), Principal)


async def test_open_socket_keeps_its_session_alive(tx: Tx) -> None:
    principal = await a_principal(tx)
    assert principal.session_hash is not None
    for hours in (11, 22):
        now = tx.now + timedelta(hours=hours)
        assert await queries.live_principals(tx.conn, hashes=[principal.session_hash], now=now)
        await queries.touch_sessions(tx.conn, hashes=[principal.session_hash], now=now)
    assert not await queries.live_principals(tx.conn, hashes=[principal.session_hash], now=tx.now + timedelta(hours=35))
