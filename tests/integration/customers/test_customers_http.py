"""Customers over HTTP: search, create, change, and what is refused."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientSession

from core.principal import Role
from infra.postgres import Connection
from tests.api import Api
from tests.builders import a_customer

PATH = "/api/v1/customers"


async def _post(browser: ClientSession, **body: Any) -> tuple[int, dict[str, Any]]:
    async with browser.post(PATH, json=body) as answer:
        return answer.status, await answer.json()


async def _get(browser: ClientSession, **params: str) -> tuple[int, dict[str, Any]]:
    async with browser.get(PATH, params=params) as answer:
        return answer.status, await answer.json()


async def _patch(browser: ClientSession, customer_id: int, **body: Any) -> tuple[int, dict[str, Any]]:
    async with browser.patch(f"{PATH}/{customer_id}", json=body) as answer:
        return answer.status, await answer.json()


async def test_create_find_and_change(api: Api, conn: Connection) -> None:
    agent = await api.logged_in(Role.AGENT)
    status, maria = await _post(
        agent,
        name=" Maria Lopez ",
        phone="(415) 555-0123",
        email="Maria@Example.com",
        tier="vip",
        company="",
        language="es",
    )
    assert status == 201
    assert (maria["name"], maria["tier"], maria["company"], maria["language"]) == ("Maria Lopez", "vip", None, "es")
    assert [identity["value"] for identity in maria["identities"]] == ["+14155550123", "maria@example.com"]

    for params in ({"q": "lopez"}, {"phone": "+14155550123"}, {"phone": "4155550123", "region": "US"}):
        status, page = await _get(agent, **params)
        assert status == 200
        assert page == {
            "items": [
                {
                    "id": maria["id"],
                    "name": "Maria Lopez",
                    "tier": "vip",
                    "company": None,
                    "language": "es",
                    "phones": ["+14155550123"],
                    "found": [],
                }
            ],
            "next_cursor": None,
        }
    async with agent.get(f"{PATH}?phone=+14155550123") as answer:  # the + of a careless client arrives as a blank
        assert len((await answer.json())["items"]) == 1

    status, changed = await _patch(agent, maria["id"], version=1, tier="gold", note="calls late")
    assert (status, changed["version"], changed["tier"], changed["note"]) == (200, 2, "gold", "calls late")
    actions = [row["action"] for row in await conn.fetch("SELECT action FROM audit_log ORDER BY id")]
    assert actions[-2:] == ["customer.create", "customer.update"]


async def test_duplicate_is_warned_about_with_candidates(api: Api) -> None:
    agent = await api.logged_in()
    _, maria = await _post(agent, name="Maria", phone="+14155550123")
    status, problem = await _post(agent, name="Mario", phone="415-555-0123")
    assert (status, problem["code"]) == (409, "customer_exists")
    assert [(c["id"], c["name"]) for c in problem["candidates"]] == [(maria["id"], "Maria")]
    status, _ = await _post(agent, name="Mario", phone="415-555-0123", allow_duplicate=True)
    assert status == 201


async def test_old_version_is_refused_with_the_current_customer(api: Api) -> None:
    agent = await api.logged_in()
    _, maria = await _post(agent, name="Maria")
    assert (await _patch(agent, maria["id"], version=1, name="Marie"))[0] == 200
    status, problem = await _patch(agent, maria["id"], version=1, name="Mario")
    assert (status, problem["code"]) == (409, "version_conflict")
    assert (problem["current"]["name"], problem["current"]["version"]) == ("Marie", 2)
    async with agent.patch(f"{PATH}/{maria['id']}", json={"name": "Mario"}, headers={"If-Match": '"2"'}) as answer:
        assert (answer.status, (await answer.json())["version"]) == (200, 3)


async def test_two_changes_at_once_have_one_winner(api: Api) -> None:
    agent = await api.logged_in()
    _, maria = await _post(agent, name="Maria")
    answers = await asyncio.gather(*(_patch(agent, maria["id"], version=1, name=f"Name {n}") for n in range(8)))
    assert sorted(status for status, _ in answers) == [200] + [409] * 7


async def test_null_clears_and_missing_keeps(api: Api) -> None:
    agent = await api.logged_in()
    _, maria = await _post(agent, name="Maria", company="Acme", language="es")
    _, changed = await _patch(agent, maria["id"], version=1, company=None)
    assert (changed["company"], changed["language"]) == (None, "es")
    for field in ("name", "tier", "note"):
        status, problem = await _patch(agent, maria["id"], version=2, **{field: None})
        assert (status, problem["errors"][0]["field"]) == (422, field)


async def test_repeated_create_with_a_key_makes_one_customer(api: Api, conn: Connection) -> None:
    agent = await api.logged_in()
    body = {"name": "Maria", "phone": "+14155550123"}
    ids = set()
    for _ in range(2):
        async with agent.post(PATH, json=body, headers={"Idempotency-Key": "abc"}) as answer:
            assert answer.status == 201
            ids.add((await answer.json())["id"])
    assert len(ids) == 1
    assert await conn.fetchval("SELECT count(*) FROM customers") == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "Maria", "phone": "nonsense"}, "phone"),
        ({"name": "Maria", "phone": "911"}, "phone"),
        ({"name": "Maria", "phone": "+266696687"}, "phone"),
        ({"name": "Maria", "phone": "+491511234567/8"}, "phone"),
        ({"name": "Maria", "tier": "platinum"}, "tier"),
        ({"name": "Maria", "language": "English; DROP"}, "language"),
        ({"name": "Maria", "region": "usa"}, "region"),
        ({"name": "Maria", "id": 7}, "id"),
        ({"name": "Maria", "created_at": "2020-01-01"}, "created_at"),
        ({"name": "Maria\x00"}, "body"),
        ({"name": 7}, "name"),
    ],
)
async def test_bad_customer_is_refused_by_field(api: Api, body: dict[str, Any], field: str) -> None:
    agent = await api.logged_in()
    status, problem = await _post(agent, **body)
    assert (status, [error["field"] for error in problem["errors"]]) == (422, [field])
    assert (await _get(agent))[1]["items"] == []


async def test_bad_address_is_refused(api: Api) -> None:
    status, problem = await _post(await api.logged_in(), name="Maria", email="nobody")
    assert (status, problem["code"]) == (422, "invalid_email")


@pytest.mark.parametrize("customer_id", ["0", "999999999999999999"])
async def test_unknown_customer_is_not_found(api: Api, customer_id: str) -> None:
    agent = await api.logged_in()
    async with agent.patch(f"{PATH}/{customer_id}", json={"version": 1, "name": "x"}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, "customer_not_found")


@pytest.mark.parametrize("customer_id", ["x", "-1", "1e3", "9" * 19, "1%20OR%201=1", "١"])
async def test_id_that_is_none_is_refused(api: Api, customer_id: str) -> None:
    agent = await api.logged_in()
    async with agent.patch(f"{PATH}/{customer_id}", json={"version": 1, "name": "x"}) as answer:
        assert answer.status == 422


@pytest.mark.parametrize("version", [None, 0, -1, 2**31, 2**63, "1; DROP", True])
async def test_version_that_is_none_is_refused(api: Api, version: Any) -> None:
    agent = await api.logged_in()
    _, maria = await _post(agent, name="Maria")
    status, problem = await _patch(agent, maria["id"], version=version, name="x")
    assert (status, problem["code"]) == (422, "invalid")
    assert "version" in str(problem["errors"][0])


async def test_pages_by_cursor(api: Api) -> None:
    agent = await api.logged_in()
    async with api.resources.outbox.transaction() as tx:
        for name in ("Clara", "anna", "Ben", "王小明", "Anna"):
            await a_customer(tx, name=name)
    names: list[str] = []
    params = {"limit": "2"}
    for _ in range(3):
        _, page = await _get(agent, **params)
        names += [item["name"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert names == ["anna", "Anna", "Ben", "Clara", "王小明"]
    assert page["next_cursor"] is None


@pytest.mark.parametrize(
    "cursor", ["x", "!!!", "W10", "WyJhIiwiYiJd", "e30", "WzEsMl0", "bnVsbA", "A" * 1001, "WyJhIix0cnVlXQ"]
)
async def test_cursor_of_somebody_else_is_refused(api: Api, cursor: str) -> None:
    assert (await _get(await api.logged_in(), cursor=cursor))[0] == 422


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "x"},
        {"limit": "1" * 30},
        {"q": "x" * 201},
        {"q": "a\x00b"},
        {"phone": "x" * 61},
        {"region": "usa"},
        {"order": "name"},
    ],
)
async def test_bad_filter_is_refused(api: Api, params: dict[str, str]) -> None:
    assert (await _get(await api.logged_in(), **params))[0] == 422


@pytest.mark.parametrize("q", ["' OR 1=1--", "%", "_", "\\", "😀", "﷽" * 50, "\u202e", "'; DELETE FROM customers; --"])
async def test_hostile_search_finds_nobody(api: Api, q: str) -> None:
    agent = await api.logged_in()
    await _post(agent, name="Maria")
    assert await _get(agent, q=q) == (200, {"items": [], "next_cursor": None})
    assert await _get(agent, phone=q[:60]) == (200, {"items": [], "next_cursor": None})
    assert len((await _get(agent))[1]["items"]) == 1


async def test_half_a_surrogate_in_the_address_is_refused(api: Api) -> None:
    agent = await api.logged_in()
    async with agent.get(f"{PATH}?q=%ED%A0%80") as answer:
        assert answer.status in (200, 422)
    async with agent.get(f"{PATH}?q=%FF") as answer:
        assert answer.status in (200, 422)
