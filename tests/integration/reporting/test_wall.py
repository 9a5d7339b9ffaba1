"""Wallboards: made and revoked by supervisors, open to whoever has the link, and with nothing of anybody in them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession

from core.principal import Role
from infra.resources import Resources
from reporting import wall_http
from tests.api import Api, serving
from tests.integration.routing.floor import Floor

PATH = "/api/v1/wallboards"


@pytest.fixture
async def api(floor: Floor, resources: Resources) -> AsyncIterator[Api]:
    async with serving(resources, wall_http.ROUTES) as served:
        yield served


async def made(lead: ClientSession, label: str = "Hall") -> Any:
    answer = await lead.post(PATH, json={"label": label})
    assert answer.status == 201, await answer.text()
    return await answer.json()


async def shown(api: Api, token: str | None) -> tuple[int, Any]:
    """What a screen without a session gets."""
    screen = await api.browser()
    answer = await screen.get("/api/v1/wall", headers={} if token is None else {"X-Wallboard-Token": token})
    return answer.status, await answer.json()


async def test_a_screen_sees_the_figures_without_a_session(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    for waited_s in (30, 40):
        await floor.ring("sales", waited_s=waited_s)
    token = (await made(await api.logged_in(Role.SUPERVISOR)))["token"]
    status, wall = await shown(api, token)
    assert status == 200
    by_key = {queue["key"]: queue for queue in wall["queues"]}
    assert by_key["support"]["service_level"]["numerator"] == 1
    assert by_key["sales"]["waiting"] == wall["total"]["waiting"] == 2
    assert 40 <= wall["total"]["longest_wait_s"] < 60
    assert (wall["total"]["numerator"], wall["total"]["denominator"]) == (1, 1)


async def test_nothing_of_anybody_is_on_it(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    await floor.ring()
    token = (await made(await api.logged_in(Role.SUPERVISOR)))["token"]
    _, wall = await shown(api, token)
    assert set(wall) == {"as_of", "total", "queues"}
    assert set(wall["queues"][0]) == {
        "key", "name", "is_held", "waiting", "longest_wait_s", "agents_available", "agents_signed_in", "answered_today",
        "abandoned_today", "service_level",
    }  # fmt: skip


async def test_the_secret_opens_nothing_else_and_only_its_hash_is_kept(api: Api, floor: Floor) -> None:
    lead = await api.logged_in(Role.SUPERVISOR)
    answer = await lead.post(PATH, json={"label": "Hall"}, headers={"Idempotency-Key": "once"})
    token = (await answer.json())["token"]
    screen = await api.browser()
    for headers in ({"X-Wallboard-Token": token}, {"Authorization": f"Bearer {token}"}):
        assert (await screen.get(PATH, headers=headers)).status == 401
    kept = await floor.fetch("SELECT w::text AS row FROM wallboards w UNION ALL SELECT k::text FROM idempotency_keys k")
    kept += await floor.fetch("SELECT a::text AS row FROM audit_log a")
    assert len(kept) >= 3
    assert not any(token in row["row"] or token.encode().hex() in row["row"] for row in kept)


async def test_a_revoked_link_shows_nothing_and_revoking_again_changes_nothing(api: Api, floor: Floor) -> None:
    lead = await api.logged_in(Role.SUPERVISOR)
    hall, canteen = await made(lead, "Hall"), await made(lead, "Canteen")
    listed = (await (await lead.get(PATH)).json())["items"]
    assert [each["label"] for each in listed] == ["Canteen", "Hall"]
    assert all("token" not in each for each in listed)
    for _ in range(2):
        assert (await lead.delete(f"{PATH}/{hall['id']}")).status == 204
    status, problem = await shown(api, hall["token"])
    assert (status, problem["code"]) == (403, "wallboard_unknown")
    assert (await shown(api, canteen["token"]))[0] == 200
    assert [each["label"] for each in (await (await lead.get(PATH)).json())["items"]] == ["Canteen"]
    actions = [
        row["action"]
        for row in await floor.fetch("SELECT action FROM audit_log WHERE object_kind = 'wallboard' ORDER BY id")
    ]
    assert actions == ["wallboard.create", "wallboard.create", "wallboard.revoke"]
    assert (await lead.delete(f"{PATH}/999999")).status == 404


@pytest.mark.parametrize("token", [None, "", "rdw_guessed", "rdt_guessed", "x" * 5000])
async def test_what_is_no_link_opens_nothing(api: Api, floor: Floor, token: str | None) -> None:
    status, problem = await shown(api, token)
    assert (status, problem["code"]) == (403, "wallboard_unknown")


async def test_guessing_ends_while_links_that_work_go_on(api: Api, floor: Floor) -> None:
    token = (await made(await api.logged_in(Role.SUPERVISOR)))["token"]
    screen = await api.browser()
    statuses = [(await screen.get("/api/v1/wall", headers={"X-Wallboard-Token": f"rdw_{n}"})).status for n in range(61)]
    assert statuses == [403] * 60 + [429]
    assert (await screen.get("/api/v1/wall", headers={"X-Wallboard-Token": token})).status == 200


async def test_there_is_an_end_to_how_many_there_are(api: Api, floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reporting.wall.MOST", 2)
    lead = await api.logged_in(Role.SUPERVISOR)
    first = await made(lead)
    await made(lead)
    answer = await lead.post(PATH, json={"label": "Hall"})
    assert (answer.status, (await answer.json())["code"]) == (409, "too_many_wallboards")
    await lead.delete(f"{PATH}/{first['id']}")
    await made(lead)


@pytest.mark.parametrize("label", ["", "x" * 81, "a\nb"])
async def test_a_label_is_one_line(api: Api, floor: Floor, label: str) -> None:
    answer = await (await api.logged_in(Role.SUPERVISOR)).post(PATH, json={"label": label})
    assert (answer.status, [e["field"] for e in (await answer.json())["errors"]]) == (422, ["label"])
