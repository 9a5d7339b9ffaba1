"""Every operation × everybody, from the operations' own declarations; objects of others do not exist."""

from typing import Any

import pytest

from app.web import OPERATIONS
from core.principal import ADMINS, LEADS, READERS, STAFF, Role
from infra.openapi import PUBLIC, Call, Nothing, Operation, Routes
from tests.integration.app.people import People, ask
from tests.stack import Stack

PATHS = {"{id}": "999999", "{version}": "999999"}


def path_of(operation: Operation) -> str:
    path = operation.path
    for name, value in PATHS.items():
        path = path.replace(name, value)
    return path


def test_only_logging_in_is_public() -> None:
    assert [operation.name for operation in OPERATIONS if operation.roles is PUBLIC] == ["log_in"]


def test_operation_without_anybody_is_refused() -> None:
    routes = Routes("test")

    async def handler(call: Call[Nothing]) -> None: ...

    with pytest.raises(ValueError, match="nobody may do this"):
        routes.bare("POST", "/api/v1/x", roles=ADMINS - ADMINS)(handler)


def test_each_operation_is_for_one_of_the_known_circles() -> None:
    """A new circle is a decision: write it down here."""
    circles = {STAFF, LEADS, READERS, ADMINS, READERS - {Role.INTEGRATION}, READERS - {Role.AUDITOR}, PUBLIC}
    assert [o.name for o in OPERATIONS if o.roles not in circles] == []
    writers = {role for o in OPERATIONS if o.is_command and o.name not in ("log_out", "log_in") for role in o.roles}
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
        ("POST", "wrap-up", {}),
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
