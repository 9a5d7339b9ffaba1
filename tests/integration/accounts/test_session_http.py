"""Log in, who am I, log out; cookies, limits and revocation, over HTTP."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from time import perf_counter

import pytest
from aiohttp import ClientSession
from argon2 import PasswordHasher
from limits import parse
from redis.asyncio import Redis

from accounts import http, passwords, queries, service
from accounts.middleware import LOOKUP_TTL_S
from accounts.model import SESSION_ABSOLUTE, SESSION_IDLE, fingerprint
from core.principal import Role
from infra.postgres import Connection, Database
from infra.ratelimit import LOGIN_PER_ACCOUNT, RateLimiter
from infra.resources import Resources
from tests.api import Api, serving
from tests.builders import PASSWORD, TESTER, a_session, a_user

EMAIL = "ava@example.com"


async def _user(api: Api, **fields: object) -> int:
    async with api.resources.outbox.transaction() as tx:
        fields = {"email": EMAIL, "password": PASSWORD, "language": "zh-CN"} | fields
        return (await a_user(tx, **fields)).id  # type: ignore[arg-type]


async def _log_in(
    browser: ClientSession, email: str = EMAIL, password: str = PASSWORD
) -> tuple[int, dict[str, object]]:
    async with browser.post("/api/v1/session", json={"email": email, "password": password}) as answer:
        return answer.status, await answer.json()


async def _status(browser: ClientSession) -> int:
    async with browser.get("/api/v1/session") as answer:
        return answer.status


async def _audited(database: Database) -> list[str]:
    async with database.acquire() as conn:
        return [row["action"] for row in await conn.fetch("SELECT action FROM audit_log ORDER BY id")]


async def test_log_in_who_am_i_log_out(api: Api, database: Database) -> None:
    user_id = await _user(api)
    browser = await api.browser()
    assert await _status(browser) == 401

    status, body = await _log_in(browser, email="  AVA@Example.com ")
    me = {"id": user_id, "email": EMAIL, "name": "Ava Chen", "role": "agent", "language": "zh-CN"}
    assert (status, body) == (200, {"user": me})
    async with browser.get("/api/v1/session") as answer:
        assert await answer.json() == {"user": me}

    async with browser.delete("/api/v1/session") as answer:
        assert answer.status == 204
    assert await _status(browser) == 401
    assert await _audited(database) == ["user.create", "session.open", "session.close"]


async def test_cookie_ended_by_log_out_is_worth_nothing(api: Api) -> None:
    await _user(api)
    browser = await api.browser()
    await _log_in(browser)
    cookie = next(iter(browser.cookie_jar))
    thief = await api.browser(Cookie=f"{cookie.key}={cookie.value}")
    assert await _status(thief) == 200
    async with browser.delete("/api/v1/session"):
        pass
    assert await _status(thief) == 401


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (EMAIL, "wrong-horse-battery-42"),
        (EMAIL, PASSWORD + " "),
        (EMAIL, ""),
        ("nobody@example.com", PASSWORD),
        ("not an address", PASSWORD),
        ("disabled@example.com", PASSWORD),
        ("nopassword@example.com", PASSWORD),
    ],
)
async def test_refused_log_in_is_the_same_for_every_reason(
    api: Api, database: Database, email: str, password: str
) -> None:
    await _user(api)
    await _user(api, email="disabled@example.com", is_active=False)
    await _user(api, email="nopassword@example.com", password=None)
    browser = await api.browser()
    status, body = await _log_in(browser, email, password)
    assert (status, body["code"], body["detail"]) == (401, "bad_credentials", "E-mail or password is wrong.")
    assert not list(browser.cookie_jar)
    assert (await _audited(database))[-1] == "session.refuse"
    async with database.acquire() as conn:
        rows = await conn.fetch("SELECT audit_log::text AS row FROM audit_log WHERE action = 'session.refuse'")
    assert "nobody@" not in rows[0]["row"], "what was typed may be a password in the wrong field"


async def test_unknown_users_take_as_long_as_known_ones(api: Api) -> None:
    await _user(api)
    took: dict[str, list[float]] = {EMAIL: [], "nobody@example.com": []}
    browser = await api.browser()
    for _ in range(9):
        for email, times in took.items():
            start = perf_counter()
            await _log_in(browser, email, "wrong-horse-battery-42")
            times.append(perf_counter() - start)
    known, unknown = (statistics.median(times[1:]) for times in took.values())
    assert unknown > 0.5 * known, (known, unknown)
    assert known > 0.5 * unknown, (known, unknown)


@pytest.mark.parametrize(
    ("public_url", "name", "is_secure"),
    [("http://127.0.0.1:18080", "ringdesk_18080", False), ("https://desk.example.com", "__Host-ringdesk", True)],
)
async def test_cookie_attributes(
    resources: Resources, clean: None, public_url: str, name: str, is_secure: bool
) -> None:
    async with serving(resources, http.ROUTES, public_url=public_url) as api:
        await _user(api)
        browser = await api.browser()
        body = {"email": EMAIL, "password": PASSWORD}
        async with browser.post("/api/v1/session", json=body) as answer:
            cookie = answer.cookies[name]
            text = await answer.text()
            assert cookie["httponly"]
            assert bool(cookie["secure"]) is is_secure
            assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Lax", "/", "")
            assert cookie["max-age"] == str(int(SESSION_ABSOLUTE.total_seconds()))
            assert cookie.value not in text
        async with browser.delete("/api/v1/session", headers={"Cookie": f"{name}={cookie.value}"}) as answer:
            gone = answer.cookies[name]
            assert (gone.value, gone["max-age"], bool(gone["secure"])) == ("", "0", is_secure)


async def test_log_in_replaces_the_session_it_came_with(api: Api) -> None:
    await _user(api)
    browser = await api.browser()
    await _log_in(browser)
    first = next(iter(browser.cookie_jar)).value
    await _log_in(browser)
    second = next(iter(browser.cookie_jar)).value
    assert first != second
    name = next(iter(browser.cookie_jar)).key
    assert await _status(await api.browser(Cookie=f"{name}={first}")) == 401
    assert await _status(await api.browser(Cookie=f"{name}={second}")) == 200


async def test_session_chosen_by_somebody_else_is_never_taken_over(api: Api, database: Database) -> None:
    """Fixation: a cookie set before log-in does not become the session's secret."""
    await _user(api)
    planted = "A" * 43
    name, _ = await _cookie_of(api)
    victim = await api.browser(Cookie=f"{name}={planted}")
    assert (await _log_in(victim))[0] == 200
    async with database.acquire() as conn:
        assert not await conn.fetchval("SELECT count(*) FROM sessions WHERE token_hash = $1", fingerprint(planted))


async def _cookie_of(api: Api) -> tuple[str, str]:
    async with api.resources.outbox.transaction() as tx:
        user = await a_user(tx)
        return await a_session(tx, user, api.url)


@pytest.mark.parametrize("value", ["", "x", "A" * 43, "A" * 4000, '"', "é" * 43])
async def test_nonsense_cookie_is_nobody(api: Api, value: str) -> None:
    name, _ = await _cookie_of(api)
    assert await _status(await api.browser(Cookie=f"{name}={value}")) == 401


@pytest.mark.parametrize(
    ("column", "limit"), [("last_seen_at", SESSION_IDLE), ("created_at", SESSION_ABSOLUTE)], ids=["idle", "absolute"]
)
async def test_session_ends_by_time(api: Api, conn: Connection, column: str, limit: timedelta) -> None:
    name, secret = await _cookie_of(api)
    age = f"UPDATE sessions SET {column} = now() - $1::interval + $2::interval"
    await conn.execute(age, limit, _minutes(5))
    assert await _status(await api.browser(Cookie=f"{name}={secret}")) == 200
    # A second secret, so that the process does not remember the first.
    name, secret = await _cookie_of(api)
    await conn.execute(age, limit, _minutes(-1))
    assert await _status(await api.browser(Cookie=f"{name}={secret}")) == 401


def _minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


async def test_use_keeps_a_session_from_idling_out(api: Api, conn: Connection) -> None:
    name, secret = await _cookie_of(api)
    await conn.execute("UPDATE sessions SET last_seen_at = now() - interval '11 hours'")
    assert await _status(await api.browser(Cookie=f"{name}={secret}")) == 200
    assert await conn.fetchval("SELECT now() - last_seen_at < interval '1 minute' FROM sessions")


async def test_disabled_user_is_out_within_five_seconds(api: Api) -> None:
    user_id = await _user(api)
    browser = await api.browser()
    await _log_in(browser)
    assert await _status(browser) == 200
    async with api.resources.outbox.transaction() as tx:
        await service.disable_user(tx, user_id, actor=TESTER)
    assert LOOKUP_TTL_S < 5
    await _until(lambda: _status(browser), 401)
    assert (await _log_in(await api.browser()))[0] == 401


async def test_many_requests_of_a_session_ask_the_database_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    name, secret = await _cookie_of(api)
    browser, asked = await api.browser(Cookie=f"{name}={secret}"), 0
    real = queries.session_principal

    async def counting(*args: object, **kwargs: object) -> object:
        nonlocal asked
        asked += 1
        return await real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(queries, "session_principal", counting)
    for _ in range(5):
        assert await _status(browser) == 200
    assert asked == 1


async def test_password_hash_is_renewed_at_log_in(api: Api, database: Database) -> None:
    user_id = await _user(api)
    weak = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    async with database.acquire() as conn:
        await conn.execute("UPDATE users SET password_hash = $2 WHERE id = $1", user_id, weak)
    assert (await _log_in(await api.browser()))[0] == 200
    async with database.acquire() as conn:
        stored = await conn.fetchval("SELECT password_hash FROM users WHERE id = $1", user_id)
    assert stored != weak
    assert not passwords.is_outdated(stored)
    assert (await _log_in(await api.browser()))[0] == 200


async def test_account_is_limited_also_for_the_right_password(api: Api) -> None:
    await _user(api)
    browser = await api.browser()
    for _ in range(LOGIN_PER_ACCOUNT.amount):
        assert (await _log_in(browser, password="wrong-horse-battery-42"))[0] == 401
    async with browser.post("/api/v1/session", json={"email": EMAIL.upper(), "password": PASSWORD}) as answer:
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) >= 1
        assert (await answer.json())["code"] == "rate_limited"


async def test_success_forgives_the_account(api: Api) -> None:
    await _user(api)
    browser = await api.browser()
    for _ in range(2):
        for _ in range(LOGIN_PER_ACCOUNT.amount - 1):
            assert (await _log_in(browser, password="wrong-horse-battery-42"))[0] == 401
        assert (await _log_in(browser))[0] == 200


@pytest.fixture
def per_address(monkeypatch: pytest.MonkeyPatch) -> int:
    """The limit of an address. Sixty hashes take seconds; twelve show the same."""
    monkeypatch.setattr("accounts.http.LOGIN_PER_ADDRESS", parse("12 per 5 minutes"))
    return 12


@pytest.mark.parametrize("where", ["memory", "redis", "redis stopped"])
async def test_address_is_limited_however_many_try_at_once(
    resources: Resources, clean: None, redis_url: str, redis: Redis, where: str, per_address: int
) -> None:
    urls = {"memory": None, "redis": redis_url, "redis stopped": "unix:///nonexistent/redis.sock"}
    async with (
        aclosing(RateLimiter(urls[where])) as limiter,
        serving(replace(resources, limiter=limiter), http.ROUTES) as api,
    ):
        browser = await api.browser()
        tries = [_log_in(browser, f"nobody{n}@example.com", "wrong-horse-battery-42") for n in range(100)]
        statuses = [status for status, _ in await asyncio.gather(*tries)]
        assert set(statuses) <= {401, 429, 503}, (
            "503: the database had no connection in time, which is nobody's failure"
        )
        wrong = statuses.count(401)
        while wrong < per_address:
            status, _ = await _log_in(browser, "nobody@example.com", "wrong-horse-battery-42")
            assert status in (401, 503)
            wrong += status == 401
        assert wrong == per_address
        assert (await _log_in(browser, "nobody@example.com", "wrong-horse-battery-42"))[0] == 429


async def test_whole_shift_logs_in_from_one_address(api: Api, per_address: int) -> None:
    count = per_address + 5
    for n in range(count):
        await _user(api, email=f"agent{n}@example.com")
    browser = await api.browser()
    for n in range(count):
        assert (await _log_in(browser, f"agent{n}@example.com"))[0] == 200


STRANGE_BODIES = {
    "empty": b"",
    "cut off": b"{",
    "a list": b"[]",
    "number for text": b'{"email": 1, "password": "x"}',
    "no password": b'{"email": "a@b.c"}',
    "NUL": b'{"email": "a\\u0000@b.c", "password": "x"}',
    "half a surrogate": b'{"email": "a@b.c", "password": "\\ud800"}',
    "not UTF-8": b'\xff\xfe{"email"',
    "field that is not ours": b'{"email": "a@b.c", "password": "x", "role": "admin"}',
    "long address": b'{"email": "%s@b.c", "password": "x"}' % (b"a" * 300),
    "long password": b'{"email": "a@b.c", "password": "%s"}' % (b"x" * 1025),
}


@pytest.mark.parametrize("body", STRANGE_BODIES.values(), ids=STRANGE_BODIES.keys())
async def test_strange_body_is_the_callers_error(api: Api, body: bytes) -> None:
    browser = await api.browser()
    async with browser.post("/api/v1/session", data=body, headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == 422
        assert (await answer.json())["code"] == "invalid"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
async def test_other_sites_cannot_log_a_browser_in(api: Api, headers: dict[str, str]) -> None:
    await _user(api)
    body = b'{"email": "%s", "password": "%s"}' % (EMAIL.encode(), PASSWORD.encode())
    headers = {"Content-Type": "application/json"} | headers
    browser = await api.browser()
    async with browser.post("/api/v1/session", data=body, headers=headers) as answer:
        assert answer.status in (403, 415)
        assert not answer.cookies
    async with browser.post(
        "/api/v1/session", data=body, headers={"Content-Type": "application/json", "Origin": api.url}
    ) as answer:
        assert answer.status == 200


async def test_role_change_reaches_the_open_session(api: Api) -> None:
    user_id = await _user(api)
    browser = await api.browser()
    await _log_in(browser)

    async def users() -> int:
        async with browser.get("/api/v1/users") as answer:
            return answer.status

    assert await users() == 403
    async with api.resources.outbox.transaction() as tx:
        await service.update_user(tx, user_id, role=Role.ADMIN, actor=TESTER)
    await _until(users, 200)


async def _until(status: Callable[[], Awaitable[int]], wanted: int) -> None:
    """The five seconds that a revocation may take."""
    deadline = perf_counter() + 5
    while (found := await status()) != wanted:
        assert perf_counter() < deadline, f"still {found}"
        await asyncio.sleep(0.2)
