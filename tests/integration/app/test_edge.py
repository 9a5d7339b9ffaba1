"""The HTTP edge of the whole service: one shape of error, headers everywhere, hostile bodies, origins, repeats."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from aiohttp import ClientSession
from limits import parse

from app.parts import Parts, open_parts
from app.settings import Settings
from app.web import OPERATOR_PATHS, build_app, serving
from core.principal import Role
from infra import openapi
from infra.telemetry import REGISTRY
from tests import builders
from tests.integration.app.people import People, ask, people_at
from tests.invariants import broken
from tests.link import Mode, link_to_postgres
from tests.stack import CALLER, Stack, running_stack

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
TICKET: Final = {"subject": "Broken lamp", "queue": "support"}


@asynccontextmanager
async def own_app(settings: Settings, database_url: str, redis_url: str) -> AsyncIterator[tuple[Parts, ClientSession]]:
    """The application with settings of one's own, and a client of it."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    public_url = settings.public_url or url
    async with (
        open_parts(
            settings, database_url=database_url, redis_url=redis_url, rabbitmq_url=None, public_url=public_url
        ) as parts,
        serving(await build_app(parts), listener),
        ClientSession(url) as client,
    ):
        yield parts, client


def is_problem(status: int, answer: Mapping[str, Any], headers: Mapping[str, str], code: str) -> None:
    assert headers["Content-Type"].startswith("application/problem+json")
    assert (answer["status"], answer["code"], answer["type"]) == (status, code, f"/api/docs#{code}")
    assert answer["title"]
    assert answer["detail"]
    assert answer["request_id"] == headers["X-Request-Id"]


def is_protected(headers: Mapping[str, str]) -> None:
    for name, value in HEADERS.items():
        assert headers[name] == value
    policy = headers["Content-Security-Policy"]
    for part in ("default-src 'self'", "script-src 'self';", "frame-ancestors 'self'", "object-src 'none'"):
        assert part in policy


async def test_every_error_has_one_shape_and_the_headers(
    stack: Stack, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, auditor, nobody = await people.browser(name="ava"), await people.browser(Role.AUDITOR), people.nobody
    status, ticket, _ = await ask(agent, "POST", "/api/v1/tickets", body=TICKET)
    assert status == 201
    path = f"/api/v1/tickets/{ticket['id']}"
    await ask(agent, "PATCH", path, body={"version": ticket["version"], "priority": "high"})
    huge = b'{"subject": "' + b"x" * 300_000 + b'"}'
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    wrong = {"email": "x@example.com", "password": "x"}
    cases: list[tuple[ClientSession, str, str, dict[str, Any], int, str]] = [
        (nobody, "GET", "/api/v1/desk", {}, 401, "unauthenticated"),
        (nobody, "GET", "/api/v1/desk", {"headers": {"Authorization": "Bearer nonsense"}}, 401, "unauthenticated"),
        (nobody, "POST", "/api/v1/session", {"body": wrong}, 401, "bad_credentials"),
        (auditor, "POST", "/api/v1/tickets", {"body": TICKET}, 403, "forbidden"),
        (agent, "GET", "/api/v1/users", {}, 403, "forbidden"),
        (agent, "GET", "/api/v1/no-such-thing", {}, 404, "not_found"),
        (agent, "GET", "/api/v2/tickets", {}, 404, "not_found"),
        (agent, "GET", "/no-such-page", {}, 404, "not_found"),
        (agent, "GET", "/api/v1/tickets/999999", {}, 404, "ticket_not_found"),
        (agent, "DELETE", "/api/v1/tickets", {}, 405, "method_not_allowed"),
        (agent, "TRACE", "/api/v1/tickets", {}, 405, "method_not_allowed"),
        (agent, "PATCH", path, {"body": {"version": 1, "priority": "low"}}, 409, "version_conflict"),
        (agent, "POST", "/api/v1/tickets", {"raw": huge}, 413, "too_large"),
        (agent, "POST", "/api/v1/tickets", {"raw": "subject=x", "headers": form}, 415, "unsupported_media_type"),
        (agent, "POST", "/api/v1/tickets", {"raw": "{}"}, 422, "invalid"),
        (nobody, "POST", "/twilio/voice", {"raw": "From=x", "headers": form}, 403, "forbidden"),
        (nobody, "POST", "/twilio/no-such-hook", {"raw": "From=x", "headers": form}, 404, "not_found"),
    ]
    for client, method, url, given, status, code in cases:
        found, answer, headers = await ask(client, method, url, **given)
        assert (found, method, url) == (status, method, url), answer
        is_problem(status, answer, headers, code)
        is_protected(headers)
        if status == 405:
            assert set(headers["Allow"].split(",")) == {"GET", "POST"}
    monkeypatch.setattr(openapi, "API_PER_PRINCIPAL", parse("2 per minute"))
    statuses = [await ask(agent, "GET", "/api/v1/queues") for _ in range(4)]
    _, answer, headers = statuses[-1]
    is_problem(429, answer, headers, "rate_limited")
    is_protected(headers)
    assert int(headers["Retry-After"]) > 0


async def test_database_away_is_503_and_health_still_answers(database_url: str, redis_url: str, clean: None) -> None:
    async with (
        link_to_postgres(database_url) as (link, url),
        running_stack(url, redis_url) as stack,
        people_at(stack) as people,
    ):
        agent = await people.browser()
        assert (await ask(agent, "GET", "/api/v1/queues"))[0] == 200
        await link.set(Mode.RESET)
        for method, path, body in (("GET", "/api/v1/queues", None), ("POST", "/api/v1/tickets", TICKET)):
            status, answer, headers = await ask(agent, method, path, body=body)
            assert status == 503
            is_problem(503, answer, headers, "unavailable")
            is_protected(headers)
        assert (await ask(people.nobody, "GET", "/healthz"))[:2] == (200, {"status": "ok"})
        status, answer, _ = await ask(people.nobody, "GET", "/readyz")
        assert (status, answer["parts"]["database"]) == (503, "down")
        async with people.nobody.get("/metrics") as response:
            assert response.status == 200
            assert "ringdesk_outbox_undone NaN" in await response.text()
        await link.set(Mode.PASS)
        status, answer, _ = await ask(people.nobody, "GET", "/readyz")
        assert (status, answer) == (200, {"status": "ok", "parts": {"database": "up", "broker": "up", "redis": "up"}})


async def test_unexpected_error_tells_nothing(stack: Stack, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = await people.browser()

    async def fail(*_: object, **__: object) -> None:
        raise KeyError("secret words of +14155550199")

    monkeypatch.setattr("realtime.http.pop.desk", fail)
    status, answer, headers = await ask(agent, "GET", "/api/v1/desk")
    assert status == 500
    is_problem(500, answer, headers, "internal")
    is_protected(headers)
    assert "secret" not in json.dumps(answer)


# --- request ids -----------------------------------------------------------------------------------------------------

REQUEST_IDS: Final = [
    ("abcdef12", True),
    ("A.b_c-9" * 5, True),
    ("short", False),
    ("x" * 65, False),
    ("a b c d e f", False),
    ("ä" * 10, False),
    ("a" * 8 + "\x1b[2J", False),
    ("", False),
]


async def test_request_id_of_a_proxy_is_kept_when_sane(stack: Stack) -> None:
    for given, is_kept in REQUEST_IDS:
        raw = f"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: {given}\r\nConnection: close\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", int(stack.url.rsplit(":", 1)[1]))
        writer.write(raw.encode())
        answer = (await reader.read()).decode()
        writer.close()
        found = re.search(r"X-Request-Id: (.*)\r", answer)
        if found is None:
            assert " 400 " in answer[:15], "the server refuses such a header altogether"
        else:
            assert (found[1] == given) is is_kept
            assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", found[1])


async def test_request_id_goes_into_events_and_audit(stack: Stack, people: People) -> None:
    agent = await people.browser()
    await ask(agent, "POST", "/api/v1/tickets", body=TICKET, headers={"X-Request-Id": "request-4711"})
    assert await stack.value("SELECT request_id FROM events WHERE name = 'ticket.changed'") == "request-4711"
    assert await stack.value("SELECT request_id FROM audit_log WHERE action = 'ticket.create'") == "request-4711"


# --- pages and operations --------------------------------------------------------------------------------------------

PAGES: Final = (
    "/", "/desk", "/api/docs", "/healthz", "/readyz", "/metrics", "/version", "/assets/x", "/api/v1/openapi.json",
    "/api/v1/queues", "/api/v1/session", "/demo", "/socket.io/",
)  # fmt: skip


async def test_every_kind_of_answer_has_the_headers(stack: Stack, people: People) -> None:
    agent = await people.browser()
    for path in PAGES:
        async with agent.get(path) as response:
            assert response.status in (200, 400, 404, 503), path
            is_protected(response.headers)
            if path.startswith("/api/"):
                assert response.headers["Cache-Control"] == "no-store"


async def test_operations_are_open_and_tell_no_ids(stack: Stack, people: People) -> None:
    agent = await people.browser()
    for path in ("/api/v1/tickets/12345678", "/api/v1/customers/87654321", f"/api/v1/{'x' * 50}", "/a/%2B14155550199"):
        await ask(agent, "GET", path)
    await ask(agent, "PROPFIND", "/api/v1/tickets")
    async with people.nobody.get("/metrics") as response:
        text = await response.text()
        assert response.headers["Content-Type"].startswith("text/plain")
    for secret in ("12345678", "87654321", "14155550199", "PROPFIND", "xxxxx", "@example.com"):
        assert secret not in text
    routes = {s.labels["route"] for m in REGISTRY.collect() for s in m.samples if "route" in s.labels}
    assert "/api/v1/tickets/{id}" in routes
    assert (await ask(people.nobody, "GET", "/version"))[1] == {"version": stack.parts.resources.version}


async def test_app_of_https_has_the_stricter_headers(database_url: str, redis_url: str, clean: None) -> None:
    settings = Settings(public_url="https://desk.example.com", database_pool=2)
    async with own_app(settings, database_url, redis_url) as (_, client), client.get("/healthz") as response:
        assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert "wss://desk.example.com" in response.headers["Content-Security-Policy"]


# --- bodies ------------------------------------------------------------------------------------------------------------

NESTED: Final = b'{"rules": [{"name": "x", "when": ' + b'{"not": ' * 5000 + b"{}" + b"}" * 5000 + b"}]}"
HOSTILE: Final = [
    ("/api/v1/tickets", b"\xff\xfe"),
    ("/api/v1/tickets", b'{"subject": "\xff", "queue": "support"}'),
    ("/api/v1/tickets", b"{"),
    ("/api/v1/tickets", b"not json"),
    ("/api/v1/tickets", b"null"),
    ("/api/v1/tickets", b"[]"),
    ("/api/v1/tickets", b'"text"'),
    ("/api/v1/tickets", b'{"subject": "a\\u0000b", "queue": "support"}'),
    ("/api/v1/tickets", b'{"subject": "\\ud800", "queue": "support"}'),
    ("/api/v1/tickets", b'{"subject": "x", "queue": "support", "customer_id": 1e999}'),
    ("/api/v1/tickets", b'{"subject": "x", "queue": "support", "customer_id": NaN}'),
    ("/api/v1/tickets", b'{"subject": "x", "queue": "support", "customer_id": 9223372036854775808}'),
    ("/api/v1/tickets", b'{"subject": "x", "queue": "support", "customer_id": -1}'),
    ("/api/v1/tickets", b'{"subject": "x", "queue": "support", "customer_id": ' + b"9" * 5000 + b"}"),
    ("/api/v1/tickets", b'{"subject": {"$ne": null}, "queue": "support"}'),
    ("/api/v1/tickets", b'{"subject": "x", "queue": "support", "state": "closed"}'),
    ("/api/v1/tickets", b'{"subject": "x", "queue": "support", "id": 1, "assignee_id": 1, "is_admin": true}'),
    ("/api/v1/rulesets", NESTED),
    ("/api/v1/rulesets", b"[" * 100_000),
]


async def test_hostile_body_is_the_callers_error(people: People) -> None:
    admin = await people.browser(Role.ADMIN)
    for path, body in HOSTILE:
        status, answer, headers = await ask(admin, "POST", path, raw=body)
        assert (status, body) == (422, body), answer
        is_problem(422, answer, headers, "invalid")
        assert answer["errors"]


async def test_unknown_fields_are_named_and_their_values_are_not(people: People) -> None:
    agent = await people.browser()
    body = {**TICKET, "is_admin": "secret words", "created_at": 1}
    _, answer, _ = await ask(agent, "POST", "/api/v1/tickets", body=body)
    assert {error["field"] for error in answer["errors"]} == {"is_admin", "created_at"}
    assert "secret" not in json.dumps(answer)
    _, answer, _ = await ask(agent, "GET", "/api/v1/tickets?stat=open&limit=x")
    assert {error["field"] for error in answer["errors"]} == {"stat", "limit"}


async def test_of_doubled_names_the_last_counts(people: People) -> None:
    """One parser reads a body once: what it took is what was checked."""
    agent = await people.browser()
    raw = b'{"subject": "first", "subject": "second", "queue": "support"}'
    status, answer, _ = await ask(agent, "POST", "/api/v1/tickets", raw=raw)
    assert (status, answer["subject"]) == (201, "second")


async def test_number_that_no_column_holds_is_never_a_failure_of_ours(stack: Stack, people: People) -> None:
    agent = await people.browser(name="ava")
    for method, path, body in (
        ("PUT", "/api/v1/calls/1/note", {"body": "x", "version": 2**40}),
        ("POST", "/api/v1/calls/1/customer", {"customer_id": 2**63}),
        ("POST", "/api/v1/calls/1/ticket", {"ticket_id": 2**63}),
        ("GET", f"/api/v1/calls?cursor={2**70}", None),
        ("GET", f"/api/v1/tickets?customer={2**70}", None),
        ("POST", f"/api/v1/offers/{2**60}/accept", {}),
        ("GET", "/api/v1/work-items/99999999999999999999/explain", None),
        ("PUT", "/api/v1/agents/-1/presence", {"state": "break"}),
        ("GET", "/api/v1/tickets/%00", None),
        ("GET", "/api/v1/tickets/%ff", None),
        ("GET", "/api/v1/customers?q=%00", None),
    ):
        status, answer, _ = await ask(agent, method, path, body=body)
        assert 400 <= status < 500, (method, path, answer)
    assert (await ask(agent, "GET", "/api/v1/customers?q=%ed%a0%80"))[0] == 200, "half a pair in a URL stays text"


# --- origins ---------------------------------------------------------------------------------------------------------

ORIGINS: Final[list[tuple[dict[str, str], int]]] = [
    ({}, 201),
    ({"Origin": "self"}, 201),
    ({"Origin": "localhost"}, 201),
    ({"Origin": "self", "Sec-Fetch-Site": "same-origin"}, 201),
    ({"Sec-Fetch-Site": "none"}, 201),
    ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": ""}, 403),
    ({"Origin": "self."}, 403),
    ({"Origin": "self.evil.example"}, 403),
    ({"Origin": "other port"}, 403),
    ({"Origin": "https"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Origin": "self", "Sec-Fetch-Site": "cross-site"}, 403),
]


async def test_only_our_own_pages_may_write(people: People) -> None:
    url = people.stack.url
    spelled = {
        "self": url,
        "localhost": url.replace("127.0.0.1", "localhost"),
        "other port": "http://127.0.0.1:1",
        "https": url.replace("http:", "https:"),
        "self.": f"{url}.",
        "self.evil.example": f"{url}.evil.example",
    }
    agent = await people.browser()
    for headers, status in ORIGINS:
        sent = {name: spelled.get(value, value) for name, value in headers.items()}
        found, answer, answered = await ask(agent, "POST", "/api/v1/tickets", body=TICKET, headers=sent)
        assert (found, headers) == (status, headers), answer
        assert "Access-Control-Allow-Origin" not in answered
        assert (await ask(agent, "GET", "/api/v1/queues", headers=sent))[0] == 200, "reading is for SameSite to guard"


async def test_what_a_foreign_form_can_send_is_no_command(people: People) -> None:
    agent = await people.browser()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"):
        headers = {"Content-Type": kind}
        status, _, _ = await ask(agent, "POST", "/api/v1/tickets", raw=json.dumps(TICKET), headers=headers)
        assert (status, kind) == (415, kind)


# --- repeats ---------------------------------------------------------------------------------------------------------

KEY: Final = {"Idempotency-Key": "key-1"}


async def test_repeat_with_a_key_gets_the_same_answer(stack: Stack, people: People) -> None:
    agent, other = await people.browser(), await people.browser()
    first = await ask(agent, "POST", "/api/v1/tickets", body=TICKET, headers=KEY)
    again = await ask(agent, "POST", "/api/v1/tickets", body=TICKET, headers=KEY)
    assert first[:2] == again[:2]
    assert first[0] == 201
    assert await stack.count("tickets") == 1
    status, answer, _ = await ask(agent, "POST", "/api/v1/tickets", body={**TICKET, "subject": "x"}, headers=KEY)
    assert (status, answer["code"]) == (409, "conflict")
    assert (await ask(other, "POST", "/api/v1/tickets", body=TICKET, headers=KEY))[0] == 201, "keys are one's own"
    assert await stack.count("tickets") == 2


async def test_simultaneous_twins_have_one_effect(stack: Stack, people: People) -> None:
    agent = await people.browser()
    answers = await asyncio.gather(*(ask(agent, "POST", "/api/v1/tickets", body=TICKET, headers=KEY) for _ in range(8)))
    assert {status for status, _, _ in answers} == {201}
    assert len({answer["id"] for _, answer, _ in answers}) == 1
    assert await stack.count("tickets") == 1


async def test_failed_first_try_leaves_the_key_free(stack: Stack, people: People) -> None:
    agent = await people.browser()
    wrong = {**TICKET, "queue": "none"}
    assert (await ask(agent, "POST", "/api/v1/tickets", body=wrong, headers=KEY))[0] == 422
    assert (await ask(agent, "POST", "/api/v1/tickets", body=TICKET, headers=KEY))[0] == 201


async def test_odd_key_is_refused(people: People) -> None:
    agent = await people.browser()
    for key in ("", "x" * 201, "ä", "a\tb"):
        status, _, _ = await ask(agent, "POST", "/api/v1/tickets", body=TICKET, headers={"Idempotency-Key": key})
        assert status in (400, 422)


async def test_lost_answer_is_found_again_under_its_key(database_url: str, redis_url: str, clean: None) -> None:
    """The commit went through, its answer did not: the page repeats and nothing happens twice."""
    async with (
        link_to_postgres(database_url) as (link, url),
        running_stack(url, redis_url) as stack,
        people_at(stack) as people,
    ):
        agent = await people.browser()
        await ask(agent, "GET", "/api/v1/queues")
        link.cut_after(b"COMMIT", times=1)
        status, _, _ = await ask(agent, "POST", "/api/v1/tickets", body=TICKET, headers=KEY)
        assert (status, link.cuts) == (503, 1)
        status, answer, _ = await ask(agent, "POST", "/api/v1/tickets", body=TICKET, headers=KEY)
        assert (status, answer["subject"]) == (201, TICKET["subject"])
        assert await stack.count("tickets") == 1
        async with stack.parts.resources.database.acquire() as conn:
            assert await broken(conn, settled=False) == {}


# --- cookies and proxies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("public_url", "wanted"),
    [
        ("https://desk.example.com", r"__Host-ringdesk=[^;]+; HttpOnly; Max-Age=\d+; Path=/; SameSite=Lax; Secure"),
        ("http://localhost:8080", r"ringdesk_8080=[^;]+; HttpOnly; Max-Age=\d+; Path=/; SameSite=Lax"),
    ],
    ids=["https", "http"],
)
async def test_cookie_of_a_session_also_behind_a_proxy(
    database_url: str, redis_url: str, clean: None, public_url: str, wanted: str
) -> None:
    settings = Settings(public_url=public_url, database_pool=2, trusted_proxies="127.0.0.1")
    async with own_app(settings, database_url, redis_url) as (parts, client):
        async with parts.resources.outbox.transaction() as tx:
            await builders.a_user(tx, email="ava@example.com", password=builders.PASSWORD)
        headers = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
        body = {"email": "ava@example.com", "password": builders.PASSWORD}
        status, answer, answered = await ask(client, "POST", "/api/v1/session", body=body, headers=headers)
        assert (status, answer["user"]["email"]) == (200, "ava@example.com")
        cookie, *attributes = answered["Set-Cookie"].split("; ")
        kept = sorted(attribute for attribute in attributes if not attribute.startswith("expires="))
        assert re.fullmatch(wanted, "; ".join([cookie, *kept])), answered["Set-Cookie"]
        assert cookie.split("=", 1)[1] not in json.dumps(answer)
        assert (await ask(client, "GET", "/api/v1/session", headers={**headers, "Cookie": cookie}))[0] == 200
        status, _, answered = await ask(client, "GET", "/api/v1/session")
        assert status == 400, "with a proxy configured, nobody comes past it"
        is_protected(answered)
        for path in OPERATOR_PATHS:
            assert (await client.get(path)).status == 200, f"{path} is asked of a replica itself"


async def test_forwarded_headers_mean_nothing_without_a_trusted_proxy(stack: Stack, people: People) -> None:
    agent = await people.browser()
    hostile = {
        "X-Forwarded-For": "1.2.3.4",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "host=evil.example",
        "X-Remote-User": "admin",
    }
    assert (await ask(people.nobody, "GET", "/api/v1/desk", headers=hostile))[0] == 401
    status, answer, _ = await ask(agent, "GET", "/api/v1/session", headers=hostile)
    assert (status, answer["user"]["role"]) == (200, "agent")
    assert "evil" not in json.dumps((await ask(people.nobody, "GET", "/api/v1/openapi.json", headers=hostile))[1])


async def test_calls_are_found_with_their_legs_by_whom_they_concern(stack: Stack, people: People) -> None:
    await stack.dial()
    ava, outsider, auditor = [
        await people.browser(name="ava"), await people.browser(), await people.browser(Role.AUDITOR)
    ]  # fmt: skip
    for client, count in ((ava, 1), (outsider, 0), (auditor, 1)):
        _, answer, _ = await ask(client, "GET", f"/api/v1/calls?from=%2B{CALLER[1:]}")
        assert len(answer["items"]) == count
    _, answer, _ = await ask(ava, "GET", "/api/v1/calls?state=queued&limit=1")
    assert answer["items"][0]["legs"][0]["kind"] == "customer"


async def test_calls_are_found_by_the_state_the_list_shows(stack: Stack, people: People) -> None:
    agent = await stack.agent("ava")
    first, second = await stack.dial("+14155550101"), await stack.dial("+14155550102")
    await stack.dispatch()
    ava = await people.browser(name="ava")

    async def sids(state: str) -> list[str]:
        _, answer, _ = await ask(ava, "GET", f"/api/v1/calls?state={state}")
        assert all(item["state"] == state for item in answer["items"])
        return [item["sid"] for item in answer["items"]]

    assert (await sids("offering"), await sids("queued")) == ([first.sid], [second.sid])
    _, answer, _ = await ask(ava, "GET", "/api/v1/calls?state=offering&state=queued&state=closed")
    assert [item["sid"] for item in answer["items"]] == [second.sid, first.sid]
    await agent.accept(await agent.offer())
    assert (await sids("offering"), await sids("connecting")) == ([], [first.sid])
    status, problem, _ = await ask(ava, "GET", "/api/v1/calls?state=ringing")
    assert (status, problem["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([b"X-Long: " + b"x" * 9000], "one long line"),
        ([b"X-%d: %s" % (n, b"x" * 80) for n in range(2000)], "160 KB in 2,000 lines"),
        ([b"Cookie: " + b"; ".join(b"c%d=1" % n for n in range(2000))], "2,000 cookies"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
async def test_headers_have_an_end(stack: Stack, people: People, lines: list[bytes], what: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(stack.url.rpartition(":")[2]))
    writer.write(b"GET /api/v1/session HTTP/1.1\r\nHost: x\r\n" + b"\r\n".join(lines) + b"\r\n\r\n")
    async with asyncio.timeout(5):
        answer = await reader.read(65536)
    writer.close()
    assert answer.split(b" ", 2)[1] in (b"400", b"431"), (what, answer[:200])
    assert (await ask(people.nobody, "GET", "/version"))[0] == 200
