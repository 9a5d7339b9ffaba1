"""Every operation × everybody, from the operations' own declarations; objects of others do not exist."""

from collections.abc import Mapping
from typing import Any, Final

import pytest
from aiohttp import ClientSession

from app.web import OPERATIONS, PAGES, build_app
from core.principal import ADMINS, LEADS, READERS, STAFF, Role
from infra.openapi import PUBLIC, Call, Nothing, Operation, Routes
from tests.integration.app.people import People, ask
from tests.integration.realtime.desks import PATH, Wire
from tests.stack import Stack

PATHS = {"{key}": "support", "{id}": "999999", "{version}": "999999"}


def path_of(operation: Operation) -> str:
    path = operation.path
    for name, value in PATHS.items():
        path = path.replace(name, value)
    return path


def test_only_logging_in_and_what_a_wallboards_link_shows_are_public() -> None:
    assert [operation.name for operation in OPERATIONS if operation.roles is PUBLIC] == ["log_in", "show_wall"]


def test_operation_without_anybody_is_refused() -> None:
    routes = Routes("test")

    async def handler(call: Call[Nothing]) -> None: ...

    with pytest.raises(ValueError, match="nobody may do this"):
        routes.bare("POST", "/api/v1/x", roles=ADMINS - ADMINS)(handler)


def test_each_operation_is_for_one_of_the_known_circles() -> None:
    """A new circle is a decision: write it down here."""
    circles = {STAFF, LEADS, READERS, ADMINS, READERS - {Role.INTEGRATION}, READERS - {Role.AUDITOR}, PUBLIC}
    assert [o.name for o in OPERATIONS if o.roles not in circles] == []
    writers = {
        role
        for o in OPERATIONS
        if o.is_command and o.name not in ("log_out", "log_in", "save_keys")
        for role in o.roles
    }
    assert Role.AUDITOR not in writers


async def test_matrix_of_operations_and_roles(stack: Stack, people: People) -> None:
    browsers = {role: await people.browser(role) for role in Role}
    wrong: list[tuple[str, str, int]] = []
    for operation in OPERATIONS:
        body: Any = {} if operation.is_command else None
        status, _, _ = await ask(people.nobody, operation.method, path_of(operation), body=body)
        if (status == 401) == (operation.roles is PUBLIC):
            wrong.append((operation.name, "nobody", status))
        for role, browser in browsers.items():
            if operation.name == "log_out":
                browser = await people.browser(role)
            status, answer, _ = await ask(browser, operation.method, path_of(operation), body=body)
            is_let_in = not (status == 401 or (status == 403 and answer["code"] == "forbidden"))
            if is_let_in is not (role in operation.roles or operation.roles is PUBLIC):
                wrong.append((operation.name, role, status))
    assert wrong == []


OPEN_PAGES: Final = {"/healthz", "/readyz", "/metrics", "/version", "/api/v1/openapi.json", "/api/docs", *PAGES}
SIGNED: Final = {
    f"/twilio{path}"
    for path in (
        "/voice",
        "/voice/fallback",
        "/queue/wait",
        "/hold",
        "/queue/done",
        "/dial/done",
        "/agent",
        "/telephone",
        "/telephone/status",
        "/transfer/done",
        "/status",
        "/conference",
        "/ivr",
        "/voicemail/done",
        "/recording",
        "/consent",
        "/events",
    )
}


BY_SECRET: Final = {"/cti/zammad/{token}", "/cti/generic/{connection}"}


async def test_what_is_no_operation_is_known_by_name(stack: Stack, people: People) -> None:
    """A new door beside the API is a decision: write it down here. Whatever asks for a signature opens to nobody without one."""
    app = await build_app(stack.parts)
    doors = {route.resource.canonical for route in app.router.routes() if route.resource is not None}
    besides = doors - {operation.path for operation in OPERATIONS}
    files = {door for door in besides if door == "/assets" or door.startswith("/{name")}
    assert besides - files == OPEN_PAGES | SIGNED | BY_SECRET | {"/socket.io/"}
    admin = await people.browser(Role.ADMIN)
    for path in SIGNED:
        for browser in (people.nobody, admin):
            for method in ("GET", "POST"):
                status, _, _ = await ask(browser, method, path)
                assert status == 403, (method, path)
    for path in BY_SECRET:
        for browser in (people.nobody, admin):
            status, _, _ = await ask(
                browser, "POST", path.replace("{token}", "guessed").replace("{connection}", "office")
            )
            assert status == 401, path


async def test_handshake_of_the_socket_is_for_staff_with_a_ticket(stack: Stack, people: People) -> None:
    """The matrix once more, for the door that is no route: ticket and handshake, each role and nobody."""

    async def outcome(auth: Any, headers: Mapping[str, str] | None = None) -> tuple[str, Any]:
        async with people.nobody.ws_connect(f"{stack.url}{PATH}", headers=headers) as socket:
            wire = Wire(socket)
            await wire.next()
            answer = await wire.connect(auth)
            await wire.close()
            return answer[0], answer[1].get("data", {}).get("code")

    async def ticket(browser: ClientSession) -> tuple[int, str]:
        status, body, _ = await ask(browser, "POST", "/api/v1/realtime-ticket", body={})
        return status, body.get("ticket", "")

    for role in Role:
        status, secret = await ticket(await people.browser(role))
        assert status == (200 if role in STAFF else 403), role
        if role in STAFF:
            assert (await outcome({"ticket": secret}))[0] == "connected"
            assert await outcome({"ticket": secret}) == ("refused", "ticket_used")
    assert (await ticket(people.nobody))[0] == 401
    admin = await people.browser(Role.ADMIN)
    wrong: list[Any] = [
        None,
        {},
        [],
        "x",
        {"ticket": None},
        {"ticket": ""},
        {"ticket": "x"},
        {"ticket": ["x"]},
        {"token": (await ticket(admin))[1]},
    ]
    for auth in wrong:
        assert await outcome(auth, {"Cookie": admin.headers["Cookie"]}) == ("refused", "ticket_invalid"), auth
    lowered = {role: (await ticket(await people.browser(Role.SUPERVISOR)))[1] for role in Role if role not in STAFF}
    for role, secret in lowered.items():
        await stack.rows("UPDATE users SET role = $1 WHERE role = 'supervisor' RETURNING 1", role.value)
        assert await outcome({"ticket": secret}) == ("refused", "forbidden"), "who they are now counts"
        await stack.rows("UPDATE users SET role = 'supervisor' WHERE role = $1 RETURNING 1", role.value)


async def test_token_of_lower_role_is_that_role(stack: Stack, people: People) -> None:
    """The rights are the token's, not its user's."""
    from datetime import timedelta

    from accounts import service as accounts
    from tests.builders import TESTER, a_user

    async with stack.parts.resources.outbox.transaction() as tx:
        admin = await a_user(tx, role=Role.ADMIN)
        _, secret = await accounts.create_token(
            tx, admin.id, role=Role.AGENT, label="x", expires_at=tx.now + timedelta(hours=1), actor=TESTER
        )
    client = await people.client({"Authorization": f"Bearer {secret}"})
    assert (await ask(client, "GET", "/api/v1/queues"))[0] == 200
    assert (await ask(client, "GET", "/api/v1/users"))[0] == 403
    assert (await ask(client, "GET", "/api/v1/agents"))[0] == 403


async def test_work_of_others_does_not_exist(stack: Stack, people: People) -> None:
    ava, ben = await stack.agent("ava"), await people.browser(name="ben")
    lead, auditor = await people.browser(Role.SUPERVISOR), await people.browser(Role.AUDITOR)
    await stack.dial()
    offer_id = await ava.offer()
    item_id = await stack.value("SELECT id FROM work_items")
    for path in (f"/offers/{offer_id}/accept", f"/offers/{offer_id}/reject"):
        for browser in (ben, lead):
            assert (await ask(browser, "POST", f"/api/v1{path}", body={}))[0] == 404
        assert (await ask(auditor, "POST", f"/api/v1{path}", body={}))[0] == 403
    assert (await ask(ben, "GET", f"/api/v1/work-items/{item_id}/explain"))[0] == 404
    assert (await ask(lead, "GET", f"/api/v1/work-items/{item_id}/explain"))[0] == 200
    call_id = await ava.accept(offer_id)
    asked: list[tuple[str, str, Any]] = [
        ("PUT", "note", {"body": "x", "version": 0}),
        ("POST", "hangup", {}),
        ("POST", "hold", {}),
        ("POST", "resume", {}),
        ("POST", "transfer", {"queue": "sales"}),
        ("POST", "wrap-up", {}),
        ("POST", "wrap-up/extend", {}),
        ("POST", "wrap-up/request", {"is_wanted": True}),
        ("POST", "customer", {"customer_id": 1}),
        ("POST", "ticket", {"ticket_id": None}),
    ]
    for method, act, body in asked:
        status, answer, _ = await ask(ben, method, f"/api/v1/calls/{call_id}/{act}", body=body)
        unknown, other, _ = await ask(ben, method, f"/api/v1/calls/999999/{act}", body=body)
        assert (status, unknown, act) == (404, 404, act)
        assert {**answer, "request_id": None} == {**other, "request_id": None}, "and tells nothing of its being there"
    assert await stack.count("call_notes") == 0
    assert (await ask(lead, "POST", f"/api/v1/calls/{call_id}/hangup", body={}))[0] == 200, "a lead may end any call"
    await stack.quiet()
