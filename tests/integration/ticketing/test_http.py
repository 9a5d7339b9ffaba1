"""The API over HTTP: shapes, rights, refusals, audit."""

from typing import Any

from aiohttp import ClientSession

from core.events import TicketBound
from core.ids import CustomerId
from core.principal import Role
from tests.api import Api
from tests.builders import a_customer
from tests.integration.ticketing import given

SUMMARY_FIELDS = {
    "id", "number", "subject", "state", "priority", "queue", "assignee", "customer", "tags", "version",
    "opened_at", "updated_at", "closed_at",
}  # fmt: skip


async def a_desk(api: Api, *queues: str, role: Role = Role.AGENT, name: str = "Ava Chen") -> tuple[ClientSession, int]:
    """The browser and the id of somebody who serves these queues."""
    browser = await api.logged_in(role, name=name)
    me = (await (await browser.get("/api/v1/session")).json())["user"]["id"]
    async with api.resources.outbox.transaction() as tx:
        for queue in ("support", *queues):
            await given.a_queue(tx, queue)
        await tx.conn.execute("INSERT INTO agents (id, name) VALUES ($1, $2)", me, name)
        for queue in queues:
            await tx.conn.execute("INSERT INTO agent_queues VALUES ($1, $2)", me, queue)
    return browser, me


async def a_call(api: Api, phone: str | None = None) -> tuple[TicketBound, CustomerId | None]:
    async with api.resources.outbox.transaction() as tx:
        card = None if phone is None else await a_customer(tx, name="Maria Lopez", phone=phone)
        caller = given.WITHHELD if phone is None else given.number(phone)
        call_id = await given.a_stored_call(tx)
        return await given.a_bound_call(tx, caller, call_id=call_id), None if card is None else card.id


async def got(answer: Any, status: int = 200) -> Any:
    body = await answer.json()
    assert answer.status == status, body
    return body


async def audit_rows(api: Api, kind: str, ident: int) -> list[tuple[str, str | None, int | None]]:
    async with api.resources.database.acquire() as conn:
        rows = await conn.fetch(
            "SELECT action, purpose, actor_id FROM audit_log WHERE object_kind = $1 AND object_id = $2 ORDER BY id",
            kind,
            str(ident),
        )
    return [(row["action"], row["purpose"], row["actor_id"]) for row in rows]


async def test_a_ticket_from_call_to_close(api: Api) -> None:
    agent, me = await a_desk(api, "support")
    bound, _ = await a_call(api, "+14155550100")
    path = f"/api/v1/tickets/{bound.ticket_id}"
    ticket = await got(await agent.get(path))
    assert set(ticket) == SUMMARY_FIELDS | {"close_reason", "due_at", "next_states", "notes", "history", "calls"}
    assert ticket["next_states"] == [
        "open", "pending_customer", "pending_third_party", "pending_until", "resolved", "closed",
    ]  # fmt: skip
    assert ticket["calls"] == [
        {
            "id": bound.call_id,
            "from": "+14155550123",
            "from_kind": "e164",
            "outcome": None,
            "created_at": ticket["calls"][0]["created_at"],
            "talk_s": 0.0,
            "disposition": None,
            "voicemails": [],
            "recordings": [],
        }
    ]
    note = await got(await agent.post(f"{path}/notes", json={"body": "  Will call back  "}), 201)
    assert (note["body"], note["author"]["id"], note["call_id"]) == ("Will call back", me, None)
    ticket = await got(await agent.post(f"{path}/assign", json={"agent_id": me, "version": 2}))
    assert ticket["assignee"] == {"id": me, "name": "Ava Chen"}
    change = {"version": 3, "state": "closed", "tags": ["a", "b", "a"]}
    ticket = await got(await agent.patch(path, json=change))
    assert (ticket["state"], ticket["close_reason"], ticket["tags"]) == ("closed", "by_hand", ["a", "b"])
    assert (ticket["next_states"], ticket["closed_at"] is None) == (["open"], False)
    assert [entry["kind"] for entry in ticket["history"]] == ["opened", "assigned", "closed", "tags_changed"]
    assert [entry["actor"] for entry in ticket["history"]][:2] == [None, {"id": me, "name": "Ava Chen"}]
    actions = [(action, actor) for action, _, actor in await audit_rows(api, "ticket", bound.ticket_id)]
    assert actions == [("ticket.note", me), ("ticket.update", me), ("ticket.update", me)]


async def test_found_by_number_without_dashes_and_a_wrong_digit_is_named(api: Api) -> None:
    agent, _ = await a_desk(api, "support")
    bound, _ = await a_call(api)
    number = (await got(await agent.get(f"/api/v1/tickets/{bound.ticket_id}")))["number"]
    for ref in (number, number.lower(), number.replace("-", "")[1:], number.replace("-", "%20")):
        assert (await got(await agent.get(f"/api/v1/tickets/{ref}")))["id"] == bound.ticket_id
    problem = await got(await agent.get(f"/api/v1/tickets/{number[:-1]}{(int(number[-1]) + 1) % 10}"), 422)
    assert (problem["code"], problem["expected_digit"]) == ("wrong_ticket_digit", int(number[-1]))
    assert f"should be {number[-1]}" in problem["detail"]
    for ref in ("T-2026-999999-1", "nonsense", "%00", "999999", "9" * 30):
        answer = await agent.get(f"/api/v1/tickets/{ref}")
        assert answer.status in (404, 422), ref


async def test_conflicts_tell_what_to_do(api: Api) -> None:
    agent, _ = await a_desk(api, "support")
    bound, _ = await a_call(api)
    path = f"/api/v1/tickets/{bound.ticket_id}"
    await got(await agent.patch(path, json={"version": 1, "state": "resolved"}))
    problem = await got(await agent.patch(path, json={"version": 1, "state": "open"}), 409)
    assert (problem["code"], problem["conflicting"]) == ("version_conflict", ["state"])
    assert set(problem["current"]) == SUMMARY_FIELDS
    assert problem["current"]["version"] == 2
    problem = await got(await agent.patch(path, json={"version": 2, "state": "pending_customer"}), 409)
    assert (problem["code"], problem["legal"]) == ("illegal_transition", ["open", "closed"])
    merged = await got(await agent.patch(path, json={"priority": "high"}, headers={"If-Match": '"1"'}))
    assert (merged["priority"], merged["version"]) == ("high", 3)


async def test_bad_bodies_name_the_field(api: Api) -> None:
    agent, _ = await a_desk(api, "support")
    bound, _ = await a_call(api)
    path = f"/api/v1/tickets/{bound.ticket_id}"
    for body, field in (
        ({"state": "open"}, "version"),
        ({"version": 1, "state": "lost"}, "state"),
        ({"version": 1, "state": None}, "state"),
        ({"version": 1, "subject": ""}, "subject"),
        ({"version": 1, "subject": "a\nb"}, "subject"),
        ({"version": 1, "queue": "nowhere"}, "queue"),
        ({"version": 1, "customer_id": 4711}, "customer_id"),
        ({"version": 1, "tags": ["x" * 41]}, "tags.0"),
        ({"version": 1, "colour": "red"}, "colour"),
        ({"version": 1, "state": "pending_until", "due_at": "2020-01-01T00:00:00Z"}, "due_at"),
    ):
        problem = await got(await agent.patch(path, json=body), 422)
        assert problem["errors"][0]["field"] == field, body
    for body in ({"body": ""}, {"body": " \n "}, {}, {"body": "x" * 20_001}):
        await got(await agent.post(f"{path}/notes", json=body), 422)


async def test_what_somebody_may_not_see_does_not_exist_for_them(api: Api) -> None:
    agent, _ = await a_desk(api, "support")
    stranger, _ = await a_desk(api, "de", name="Ben Fischer")
    bound, _ = await a_call(api)
    path = f"/api/v1/tickets/{bound.ticket_id}"
    assert [ticket["id"] for ticket in (await got(await agent.get("/api/v1/tickets")))["items"]] == [bound.ticket_id]
    assert (await got(await stranger.get("/api/v1/tickets")))["items"] == []
    for answer in (
        await stranger.get(path),
        await stranger.patch(path, json={"version": 1, "state": "closed"}),
        await stranger.post(f"{path}/notes", json={"body": "Hello"}),
        await stranger.post(f"{path}/assign", json={"agent_id": None, "version": 1}),
    ):
        assert (await got(answer, 404))["code"] == "ticket_not_found"
    assert (await got(await agent.get(path)))["version"] == 1


async def test_whoever_hands_a_ticket_over_sees_the_result_once_more(api: Api) -> None:
    agent, _ = await a_desk(api, "support")
    await a_desk(api, "de")
    bound, _ = await a_call(api)
    path = f"/api/v1/tickets/{bound.ticket_id}"
    ticket = await got(await agent.patch(path, json={"version": 1, "queue": "de"}))
    assert ticket["queue"] == "de"
    await got(await agent.get(path), 404)


async def test_roles(api: Api) -> None:
    bound, customer_id = await a_call(api, "+14155550100")
    path = f"/api/v1/tickets/{bound.ticket_id}"
    nobody = await api.browser()
    reads = ("/api/v1/tickets", path, f"/api/v1/customers/{customer_id}", f"/api/v1/customers/{customer_id}/timeline")
    for read in reads:
        await got(await nobody.get(read), 401)
    for role in (Role.AUDITOR, Role.INTEGRATION):
        browser, _ = await a_desk(api, role=role)
        for read in reads:
            await got(await browser.get(read))
        await got(await browser.patch(path, json={"version": 1, "state": "closed"}), 403)
        await got(await browser.post("/api/v1/tickets", json={"subject": "x", "queue": "support"}), 403)


async def test_opened_by_hand_once_per_idempotency_key(api: Api) -> None:
    agent, me = await a_desk(api, "support")
    body = {"subject": "Letter about the bill", "queue": "support", "priority": "high"}
    answers = [
        await got(await agent.post("/api/v1/tickets", json=body, headers={"Idempotency-Key": "letter-1"}), 201)
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert (answers[0]["subject"], answers[0]["state"], answers[0]["history"][0]["actor"]["id"]) == (
        "Letter about the bill",
        "new",
        me,
    )
    assert len((await got(await agent.get("/api/v1/tickets?q=letter")))["items"]) == 1
    await got(await agent.post("/api/v1/tickets", json={**body, "queue": "nowhere"}), 422)


async def test_filters_of_the_list(api: Api) -> None:
    agent, me = await a_desk(api, "support")
    first, customer_id = await a_call(api, "+14155550100")
    second, _ = await a_call(api)
    await got(await agent.post(f"/api/v1/tickets/{first.ticket_id}/assign", json={"agent_id": me, "version": 1}))
    await got(await agent.patch(f"/api/v1/tickets/{second.ticket_id}", json={"version": 1, "state": "resolved"}))

    async def ids(query: str) -> list[int]:
        return [ticket["id"] for ticket in (await got(await agent.get(f"/api/v1/tickets?{query}")))["items"]]

    both = [second.ticket_id, first.ticket_id]
    assert await ids("") == await ids("state=open&state=resolved") == await ids("q=call") == both
    assert await ids("state=open") == await ids("assignee=me") == await ids(f"customer={customer_id}") == both[1:]
    assert await ids("assignee=none") == await ids("state=resolved") == both[:1]
    assert await ids(f"assignee={me}&queue=support&state=new") == both[1:]
    page = await got(await agent.get("/api/v1/tickets?limit=1"))
    assert [ticket["id"] for ticket in page["items"]] == both[:1]
    assert await ids(f"limit=1&cursor={page['next_cursor']}") == both[1:]
    for query in ("state=lost", "assignee=you", "limit=0", "limit=201", "cursor=x", "customer=x", "colour=red"):
        await got(await agent.get(f"/api/v1/tickets?{query}"), 422)


async def test_a_customers_page_and_who_has_looked_at_it(api: Api) -> None:
    agent, me = await a_desk(api, "support")
    bound, customer_id = await a_call(api, "+14155550100")
    assert customer_id is not None
    shown = await got(await agent.get(f"/api/v1/customers/{customer_id}"))
    assert set(shown) == {
        "id", "name", "tier", "language", "company", "note", "version", "identities", "open_tickets",
        "restricted_tickets", "last_contacts",
    }  # fmt: skip
    assert [ticket["id"] for ticket in shown["open_tickets"]] == [bound.ticket_id]
    assert set(shown["open_tickets"][0]) == SUMMARY_FIELDS
    page = await got(await agent.get(f"/api/v1/customers/{customer_id}/timeline?limit=1"))
    rest = await got(await agent.get(f"/api/v1/customers/{customer_id}/timeline?cursor={page['next_cursor']}"))
    assert sorted(item["kind"] for item in page["items"] + rest["items"]) == ["call", "ticket"]
    rows = (await audit_rows(api, "customer", customer_id))[1:]
    assert rows == [("customer.read", "lookup", me)] + [("customer.read_timeline", "lookup", me)] * 2
    for path in ("/api/v1/customers/999999", "/api/v1/customers/999999/timeline"):
        assert (await got(await agent.get(path), 404))["code"] == "customer_not_found"
