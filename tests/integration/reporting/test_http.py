"""The API of reporting: shapes, rights, refusals that name the field, and the contacts behind every number."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from aiohttp import ClientSession

from core.principal import Role
from reporting.catalogue import CATALOGUE
from reporting.model import BUCKET, bucket_of
from tests.api import Api
from tests.integration.reporting.books import DAY, Books
from tests.integration.routing.floor import Floor

PATHS = ("/api/v1/metrics", "/api/v1/figures", "/api/v1/figures/contacts?metric=offered&queue=support")


async def lead(api: Api) -> ClientSession:
    return await api.logged_in(Role.SUPERVISOR)


async def got(browser: ClientSession, path: str, status: int = 200, /, **params: str) -> Any:
    answer = await browser.get(f"/api/v1{path}", params=params)
    body = await answer.json()
    assert answer.status == status, body
    return body


async def two_queues(floor: Floor) -> None:
    """Support: answered at once and abandoned after 8 s; sales: abandoned after 9 s and, short, after 1 s."""
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    await floor.hang_up(call)
    await floor.finish(call, "ava")
    await floor.present("ava", "break")
    await floor.hang_up(await floor.ring(waited_s=8))
    for waited_s in (9, 1):
        await floor.hang_up(await floor.ring("sales", waited_s=waited_s))


def around(books: Books) -> dict[str, str]:
    now = bucket_of(books.now)
    return {
        "from": (now - DAY).isoformat().replace("+00:00", "Z"),
        "to": (now + BUCKET).isoformat().replace("+00:00", "Z"),
    }


@pytest.mark.parametrize("path", PATHS)
async def test_who_may(api: Api, floor: Floor, path: str) -> None:
    await floor.open()
    assert (await (await api.browser()).get(path)).status == 401
    for role in Role:
        status = (await (await api.logged_in(role)).get(path)).status
        assert (status == 200) == (role in (Role.SUPERVISOR, Role.ADMIN)), (role, status)
        assert status in (200, 403)


def test_every_operation_of_reporting_is_in_the_table_above() -> None:
    from reporting.http import ROUTES

    assert {operation.path for operation in ROUTES.operations} == {path.split("?")[0] for path in PATHS}


async def test_the_catalogue(api: Api, floor: Floor) -> None:
    items = (await got(await lead(api), "/metrics"))["items"]
    assert [item["key"] for item in items] == list(CATALOGUE)
    level = next(item for item in items if item["key"] == "service_level")
    assert (level["unit"], level["version"], level["numerator"], level["denominator"], level["groups"]) == (
        "percent", 1, ["within"], ["answered", "abandoned"], ["none", "queue"]
    )  # fmt: skip
    assert set(level["formula"]) == {"en", "zh-CN"}


@pytest.mark.parametrize("is_stored", [False, True])
async def test_the_total_is_of_sums_and_not_a_mean_of_rows(
    api: Api, floor: Floor, books: Books, is_stored: bool
) -> None:
    await two_queues(floor)
    if is_stored:
        await books.keep_up()
    answer = await got(await lead(api), "/figures", group="queue", metrics="service_level,offered", **around(books))
    level = {row["queue"]: row["figures"]["service_level"] for row in answer["rows"]}
    assert level == {
        "support": {"value": 50.0, "numerator": 1, "denominator": 2},
        "sales": {"value": 0.0, "numerator": 0, "denominator": 1},
        "de": {"value": None, "numerator": 0, "denominator": 0},
    }
    assert answer["total"] == {
        "service_level": {"value": 33.3, "numerator": 1, "denominator": 3},
        "offered": {"value": 4, "numerator": 4, "denominator": None},
    }
    assert [row["queue_name"]["en"] for row in answer["rows"]] == ["Support", "Sales", "German"]
    assert answer["versions"] == {"service_level": 1, "offered": 1}
    assert {row["start"] for row in answer["rows"]} == {around(books)["from"]} == {answer["from"]}


async def test_by_agent(api: Api, floor: Floor, books: Books) -> None:
    await two_queues(floor)
    await books.a_past_of("ava", ("available", 100), ("talking", 300))
    asked = {"group": "agent", "metrics": "occupancy,handled,break_time", **around(books)}
    answer = await got(await lead(api), "/figures", **asked)
    (ava,) = [row for row in answer["rows"] if row["agent_name"] == "Ava"]
    assert ava["figures"]["handled"]["value"] == 1
    assert ava["figures"]["occupancy"]["value"] == pytest.approx(75, abs=1)
    alone = await got(await lead(api), "/figures", agent_id=str(ava["agent_id"]), **asked)
    assert [row["agent_name"] for row in alone["rows"]] == ["Ava"]


async def test_periods_are_cut_at_what_was_asked_for(api: Api, floor: Floor, books: Books) -> None:
    await two_queues(floor)
    answer = await got(await lead(api), "/figures", bucket="day", metrics="offered", **around(books))
    assert sum(row["figures"]["offered"]["value"] for row in answer["rows"]) == 4
    for row in answer["rows"]:
        assert answer["from"] <= row["start"] < row["end"] <= answer["to"]
        assert (row["queue"], row["agent_id"]) == (None, None)


async def test_this_moment_is_shown_where_it_is_asked_for(api: Api, floor: Floor, books: Books) -> None:
    await two_queues(floor)
    await floor.ring(waited_s=40)
    now = await got(
        await lead(api), "/figures", metrics="waiting_now,waiting_beyond_now,longest_wait_now,agents_break_now"
    )
    values = {key: figure["value"] for key, figure in now["total"].items()}
    assert (values["waiting_now"], values["waiting_beyond_now"], values["agents_break_now"]) == (1, 1, 1)
    assert 40 <= values["longest_wait_now"] < 50
    past = around(books) | {"to": bucket_of(books.now).isoformat().replace("+00:00", "Z")}
    then = await got(await lead(api), "/figures", metrics="waiting_now,longest_wait_now", **past)
    assert {figure["value"] for figure in then["total"].values()} == {None}


async def test_what_agents_did_is_the_same_alone_and_beside_queues(api: Api, floor: Floor, books: Books) -> None:
    await two_queues(floor)
    await books.a_past_of("ava", ("available", 100), ("talking", 300))
    browser = await lead(api)
    alone = await got(browser, "/figures", metrics="talking_time,occupancy", **around(books))
    beside = await got(browser, "/figures", metrics="talking_time,occupancy,offered", **around(books))
    assert alone["total"]["talking_time"] == beside["total"]["talking_time"]
    assert alone["total"]["occupancy"]["value"] == pytest.approx(beside["total"]["occupancy"]["value"], abs=1)


async def test_many_who_ask_at_once_all_get_the_answer_and_it_is_no_older_than_the_question(
    api: Api, floor: Floor, books: Books
) -> None:
    await two_queues(floor)
    browser, asked_at = await lead(api), books.now
    asked = {"group": "queue", "metrics": "offered", **around(books)}
    answers = await asyncio.gather(*(got(browser, "/figures", **asked) for _ in range(12)))
    assert {answer["total"]["offered"]["value"] for answer in answers} == {4}
    assert min(datetime.fromisoformat(answer["as_of"]) for answer in answers) >= asked_at
    await floor.ring()
    assert (await got(browser, "/figures", **asked))["total"]["offered"]["value"] == 5


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("from", {"from": "yesterday"}),
        ("from", {"from": "2026-11-28T09:15:00"}),
        ("from", {"from": "2026-11-28T09:07:00Z"}),
        ("from", {"from": "0001-01-01"}),
        ("from", {"from": "2024-01-01", "to": "2026-01-01"}),
        ("to", {"to": "2026-02-30"}),
        ("to", {"from": "2026-11-28", "to": "2026-11-28"}),
        ("group", {"group": "team"}),
        ("bucket", {"bucket": "hour"}),
        ("bucket", {"from": "2026-01-01", "to": "2026-06-01", "bucket": "15m"}),
        ("metrics", {"metrics": "service_level,nonsense"}),
        ("metrics", {"metrics": "occupancy", "group": "queue"}),
        ("metrics", {"metrics": "occupancy", "queue": "support"}),
        ("queue", {"queue": "nonsense"}),
        ("queue", {"queue": "support", "group": "agent"}),
        ("agent_id", {"agent_id": "7"}),
        ("agent_id", {"agent_id": "0", "group": "agent"}),
        ("zone", {"zone": "Mars/Olympus"}),
        ("zone", {"zone": "../etc/passwd"}),
        ("stray", {"stray": "1"}),
    ],
)
async def test_what_is_refused_is_named(api: Api, floor: Floor, field: str, params: dict[str, str]) -> None:
    await floor.open()
    answer = await got(await lead(api), "/figures", 422, **params)
    assert [error["field"] for error in answer["errors"]] == [field]
    assert answer["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize("zone", ["posix/UTC", "localtime", "right/UTC", "America/Nowhere"])
async def test_a_zone_that_only_one_of_two_clocks_knows_is_refused(
    api: Api, floor: Floor, books: Books, zone: str
) -> None:
    """Python finds files that Postgres does not call zones; which, depends on the machine."""
    await two_queues(floor)
    await books.keep_up()
    answer = await (await lead(api)).get("/api/v1/figures", params={"zone": zone, "bucket": "day", **around(books)})
    body = await answer.json()
    assert answer.status in (200, 422), body
    if answer.status == 422:
        assert [error["field"] for error in body["errors"]] == ["zone"]


# --- the contacts behind a number -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [key for key, metric in CATALOGUE.items() if metric.has_contacts])
async def test_every_number_opens_the_contacts_that_it_counts(api: Api, floor: Floor, books: Books, key: str) -> None:
    await two_queues(floor)
    browser, metric = await lead(api), CATALOGUE[key]
    answer = await got(browser, "/figures", group="queue", metrics=key, **around(books))
    for row in answer["rows"]:
        for part in ("numerator", "denominator") if metric.denominator else ("numerator",):
            found = await got(browser, "/figures/contacts", metric=key, part=part, queue=row["queue"], **around(books))
            number = row["figures"][key][part]
            measures = metric.numerator if part == "numerator" else metric.denominator
            if number is not None and not measures[0].endswith("_us"):
                assert len(found["items"]) == number, (row["queue"], part)
            assert found["next_cursor"] is None


async def test_contacts_page_by_page(api: Api, floor: Floor, books: Books) -> None:
    await floor.open()
    calls = [await floor.ring(waited_s=60 - n) for n in range(5)]
    for call in calls:
        await floor.hang_up(call)
    browser = await lead(api)
    found: list[Any] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = await got(
            browser, "/figures/contacts", metric="abandoned", queue="support", limit="2", **around(books), **cursor
        )
        found += page["items"]
        cursor = {"cursor": page["next_cursor"]}
    assert [item["call_id"] for item in found] == [call.call_id for call in calls]
    assert page["next_cursor"] is None
    assert {(item["kind"], item["outcome"]) for item in found} == {("stay", "abandoned")}
    assert 59 <= found[0]["wait_s"] <= 70
    assert [item["ticket"]["number"] for item in found] == [
        await floor.value(
            "SELECT number FROM tickets JOIN ticket_calls ON ticket_id = id WHERE call_id = $1", call.call_id
        )
        for call in calls
    ]


async def test_contacts_of_one_agent(api: Api, floor: Floor, books: Books) -> None:
    await two_queues(floor)
    browser, ava, ben = await lead(api), floor.agent("ava").user_id, floor.agent("ben").user_id
    asked = {"metric": "aht", "part": "denominator", "queue": "support", **around(books)}
    (item,) = (await got(browser, "/figures/contacts", agent_id=str(ava), **asked))["items"]
    assert (item["kind"], item["agent_id"], item["agent_name"], item["wait_s"]) == ("conversation", ava, "Ava", None)
    assert item["talk_s"] >= 0
    assert item["wrap_s"] >= 0
    assert (await got(browser, "/figures/contacts", agent_id=str(ben), **asked))["items"] == []


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("metric", {"metric": "nonsense"}),
        ("metric", {"metric": "occupancy"}),
        ("metric", {"metric": "waiting_now"}),
        ("part", {"metric": "offered", "part": "denominator"}),
        ("queue", {"queue": "nonsense"}),
        ("cursor", {"cursor": "nonsense"}),
        ("limit", {"limit": "0"}),
        ("from", {"from": "x"}),
    ],
)
async def test_what_is_refused_of_contacts_is_named(api: Api, floor: Floor, field: str, params: dict[str, str]) -> None:
    await floor.open()
    answer = await got(await lead(api), "/figures/contacts", 422, **{"metric": "offered", "queue": "support"} | params)
    assert [error["field"] for error in answer["errors"]] == [field]
