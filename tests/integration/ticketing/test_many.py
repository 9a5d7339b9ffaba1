"""One change to many tickets with its taking back, and lists with a name, over HTTP."""

from typing import Any

from aiohttp import ClientSession

from core.principal import Role
from tests.api import Api
from tests.integration.ticketing.test_http import a_desk, got


async def some_tickets(browser: ClientSession, count: int, **fields: Any) -> list[dict[str, Any]]:
    bodies = [{"subject": f"Lamp {n}", "queue": "support", **fields} for n in range(count)]
    return [await got(await browser.post("/api/v1/tickets", json=body), 201) for body in bodies]


def rows(tickets: list[dict[str, Any]]) -> list[dict[str, int]]:
    return [{"id": ticket["id"], "version": ticket["version"]} for ticket in tickets]


async def read(browser: ClientSession, ticket: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = await got(await browser.get(f"/api/v1/tickets/{ticket['id']}"))
    return found


async def act(browser: ClientSession, tickets: list[dict[str, Any]], status: int = 200, **change: Any) -> Any:
    return await got(await browser.post("/api/v1/ticket-acts", json={"rows": rows(tickets), "change": change}), status)


def outcomes(done: Any) -> list[tuple[str, str | None]]:
    return [(row["outcome"], row["code"]) for row in done["results"]]


async def test_each_row_says_what_came_of_it(api: Api) -> None:
    agent, me = await a_desk(api, "support")
    other, _ = await a_desk(api, "sales", name="Ben Fischer")
    open_, closed, foreign = *await some_tickets(agent, 2), *await some_tickets(other, 1, queue="sales")
    closed = await got(
        await agent.patch(f"/api/v1/tickets/{closed['id']}", json={"state": "closed", "version": closed["version"]})
    )
    done = await act(agent, [open_, closed, foreign], state="resolved", assignee_id=me)
    assert outcomes(done) == [
        ("changed", None), ("refused", "illegal_transition"), ("refused", "ticket_not_found"),
    ]  # fmt: skip
    assert done["results"][2]["number"] is None
    now = await read(agent, open_)
    assert (now["state"], now["assignee"]["id"]) == ("resolved", me)
    assert (await read(agent, closed))["assignee"] is None, "a refused row is as it was"


async def test_taking_back_restores_also_what_no_transition_leads_to(api: Api) -> None:
    agent, me = await a_desk(api, "support")
    tickets = await some_tickets(agent, 3)
    before = [await read(agent, ticket) for ticket in tickets]
    done = await act(agent, tickets, state="closed", priority="urgent", assignee_id=me, add_tags=["storm"])
    assert outcomes(done) == [("changed", None)] * 3
    undone = await got(await agent.post(f"/api/v1/ticket-acts/{done['act']}/undo", json={}))
    assert outcomes(undone) == [("changed", None)] * 3
    fields = ("state", "priority", "assignee", "tags", "closed_at", "close_reason")
    for old, ticket in zip(before, tickets, strict=True):
        now = await read(agent, ticket)
        assert {name: now[name] for name in fields} == {name: old[name] for name in fields}
    again = await got(await agent.post(f"/api/v1/ticket-acts/{done['act']}/undo", json={}), 409)
    assert again["code"] == "too_late_to_undo"


async def test_taking_back_leaves_what_somebody_has_changed_since(api: Api) -> None:
    agent, _ = await a_desk(api, "support")
    first, second = await some_tickets(agent, 2)
    done = await act(agent, [first, second], priority="high")
    version = done["results"][0]["version"]
    await got(await agent.patch(f"/api/v1/tickets/{first['id']}", json={"priority": "low", "version": version}))
    await got(await agent.post(f"/api/v1/tickets/{second['id']}/notes", json={"body": "seen"}), 201)
    undone = await got(await agent.post(f"/api/v1/ticket-acts/{done['act']}/undo", json={}))
    assert outcomes(undone) == [("refused", "changed_since"), ("changed", None)]
    assert (await read(agent, first))["priority"] == "low"
    assert (await read(agent, second))["priority"] == "normal"


async def test_nobody_takes_back_the_act_of_somebody_else_or_a_late_one(api: Api) -> None:
    agent, _ = await a_desk(api, "support")
    other, _ = await a_desk(api, "support", name="Ben Fischer")
    done = await act(agent, await some_tickets(agent, 1), priority="high")
    await got(await other.post(f"/api/v1/ticket-acts/{done['act']}/undo", json={}), 404)
    async with api.resources.database.acquire() as conn:
        await conn.execute("UPDATE ticket_bulk_acts SET at = at - interval '61 seconds'")
    late = await got(await agent.post(f"/api/v1/ticket-acts/{done['act']}/undo", json={}), 409)
    assert late["code"] == "too_late_to_undo"


async def test_somebody_faster_in_the_same_field_wins_and_the_row_says_so(api: Api) -> None:
    agent, _ = await a_desk(api, "support")
    ticket = (await some_tickets(agent, 1))[0]
    await got(await agent.patch(f"/api/v1/tickets/{ticket['id']}", json={"priority": "low", "version": 1}))
    done = await act(agent, [ticket], priority="high")
    assert outcomes(done) == [("refused", "version_conflict")]
    assert done["act"] is None
    assert outcomes(await act(agent, [ticket], add_tags=["x"])) == [("changed", None)], "another field merges"


async def test_a_request_that_means_nothing_is_refused_by_name(api: Api) -> None:
    agent, _ = await a_desk(api, "support")
    ticket = (await some_tickets(agent, 1))[0]
    assert "change" in (await act(agent, [ticket], 422))["errors"][0]["field"]
    assert "priority" in (await act(agent, [ticket], 422, priority=None))["errors"][0]["field"]
    await act(agent, [ticket, ticket], 422, priority="high")
    await act(agent, [], 422, priority="high")


async def test_views_are_ones_own_until_a_lead_shares_them(api: Api) -> None:
    agent, _ = await a_desk(api, "support")
    lead, _ = await a_desk(api, role=Role.SUPERVISOR, name="Sam Porter")

    async def names(browser: ClientSession) -> list[str]:
        return [view["name"] for view in (await got(await browser.get("/api/v1/ticket-views")))["items"]]

    query = {"state": ["open"], "priority": ["urgent"], "assignee": "none", "q": "发票"}
    mine = await got(await agent.post("/api/v1/ticket-views", json={"name": "Urgent", "query": query}), 201)
    assert (mine["query"]["q"], mine["is_mine"], mine["is_shared"]) == ("发票", True, False)
    assert await names(lead) == []
    body = {"name": "Everybody's", "query": {}, "is_shared": True}
    assert (await got(await agent.post("/api/v1/ticket-views", json=body), 403))["code"] == "forbidden"
    shared = await got(await lead.post("/api/v1/ticket-views", json=body), 201)
    assert await names(agent) == ["Everybody's", "Urgent"]
    path = f"/api/v1/ticket-views/{mine['id']}"
    await got(await agent.patch(path, json={"version": 1, "is_shared": True}), 403)
    await got(await lead.patch(path, json={"version": 1, "name": "x"}), 404)
    renamed = await got(await agent.patch(path, json={"version": 1, "name": "Now"}))
    assert (renamed["name"], renamed["version"], renamed["query"]) == ("Now", 2, mine["query"])
    assert (await got(await agent.patch(path, json={"version": 1, "name": "y"}), 409))["code"] == "version_conflict"
    again = await got(await agent.post("/api/v1/ticket-views", json={"name": "Now", "query": {}}), 409)
    assert again["code"] == "view_exists"
    assert (await agent.delete(f"/api/v1/ticket-views/{shared['id']}", json={})).status == 404
    assert (await lead.delete(f"/api/v1/ticket-views/{shared['id']}", json={})).status == 204
    assert (await agent.delete(path, json={})).status == 204
    assert await names(agent) == []


async def test_filters_of_a_view_are_those_of_the_list(api: Api) -> None:
    agent, _ = await a_desk(api, "support")
    for query in ({"state": ["nowhere"]}, {"evil": 1}, {"assignee": "somebody"}):
        await got(await agent.post("/api/v1/ticket-views", json={"name": "x", "query": query}), 422)


async def test_words_in_notes_find_the_ticket_and_show_the_place(api: Api) -> None:
    agent, _ = await a_desk(api, "support")
    lamp, other = await some_tickets(agent, 2)
    long = "Called about the delivery. " * 20 + "客户要求补开发票，金额不对。 " + "Nothing else. " * 20
    await got(await agent.post(f"/api/v1/tickets/{lamp['id']}/notes", json={"body": long}), 201)
    await got(await agent.post(f"/api/v1/tickets/{other['id']}/notes", json={"body": "Größe 100 % falsch"}), 201)

    async def found(q: str) -> list[tuple[int, str | None]]:
        page = await got(await agent.get("/api/v1/tickets", params={"q": q}))
        return [(item["id"], item["found"] and item["found"]["text"]) for item in page["items"]]

    hits = await found("补开发票")
    assert [hit[0] for hit in hits] == [lamp["id"]]
    assert "补开发票" in (hits[0][1] or "")
    assert len(hits[0][1] or "") < 210
    assert await found("groesse") == []
    assert await found("GRÖSSE 100") == [(other["id"], "Größe 100 % falsch")]
    assert await found("100 %") == [(other["id"], "Größe 100 % falsch")]
    assert sorted(await found("lamp")) == [(lamp["id"], None), (other["id"], None)]
    assert await found("lamp 补开发票") == [], "all words in one place"


async def test_the_list_by_priority_and_tag(api: Api) -> None:
    agent, _ = await a_desk(api, "support")
    plain, urgent = await some_tickets(agent, 1), await some_tickets(agent, 1, priority="urgent")
    await act(agent, plain, add_tags=["storm", "roof"])

    async def ids(**query: str) -> list[int]:
        return [item["id"] for item in (await got(await agent.get("/api/v1/tickets", params=query)))["items"]]

    assert await ids(priority="urgent") == [urgent[0]["id"]]
    assert await ids(priority="normal") == [plain[0]["id"]]
    assert await ids(tag="roof") == [plain[0]["id"]]
    assert await ids(tag="roo") == []
    assert await ids(tag="storm", priority="urgent") == []
