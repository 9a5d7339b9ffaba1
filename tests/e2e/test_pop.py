"""The pop: painted in layers with deadlines, with named holes, with suggestions that pick nobody; and what is left of a call afterwards."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from tests.e2e.looking import look
from tests.e2e.running import AGENTS, MARIA, SHARED, SUPERVISOR, UNKNOWN, Ringdesk, until
from tests.e2e.screens import Desk
from tests.e2e.watching import Language, Visitors

LAYERS = "SELECT coalesce(string_agg(layer, ' ' ORDER BY layer), '') FROM pop_layers WHERE offer_id = (SELECT max(offer_id) FROM pop_layers)"


@pytest.fixture(params=["en", "zh-CN"])
def language(request: pytest.FixtureRequest) -> Language:
    chosen: Language = request.param
    return chosen


@pytest.fixture
async def short_wrap_up(ringdesk: Ringdesk) -> AsyncIterator[None]:
    """Wrap-up of support takes two seconds."""
    before = await ringdesk.one("SELECT wrap_s FROM queues WHERE key = 'support'")
    await ringdesk.one("UPDATE queues SET wrap_s = 2 WHERE key = 'support' RETURNING key")
    yield
    await ringdesk.one(f"UPDATE queues SET wrap_s = {before} WHERE key = 'support' RETURNING key")


async def free(visitors: Visitors, ringdesk: Ringdesk, language: Language = "en") -> Desk:
    desk = Desk(await visitors.arrive("/desk", email=AGENTS[0], language=language))
    await desk.presence.wait_for()
    await (await ringdesk.person(AGENTS[0])).be("available")
    await desk.is_state("available")
    return desk


async def answer(page: Page) -> None:
    await page.get_by_test_id("pop-accept").click()
    await page.get_by_test_id("hangup").wait_for()


async def test_all_layers_are_painted_and_the_supervisor_sees_how_soon(
    visitors: Visitors, ringdesk: Ringdesk, language: Language
) -> None:
    desk = await free(visitors, ringdesk, language)
    await ringdesk.call(MARIA)
    await desk.pop.wait_for()

    async def all_four() -> bool:
        return await ringdesk.one(LAYERS) == "context depth identity reason"

    await until(all_four, within_s=5, what="the browser reports all four layers")
    faults = list(await look(desk.page, f"pop-layers-{language}"))
    floor = await visitors.arrive("/supervisor", email=SUPERVISOR, language=language)
    panel = floor.get_by_test_id("pop-level")
    await panel.scroll_into_view_if_needed()
    await expect(panel.get_by_test_id("pop-level-identity")).to_contain_text(re.compile(r"\d+ (ms|毫秒)"))
    await expect(panel.get_by_test_id("pop-level-depth")).to_contain_text("2")
    faults += await look(floor, f"pop-level-{language}")
    assert faults == []


async def test_a_slow_source_leaves_a_named_hole_that_fills_itself(
    visitors: Visitors, ringdesk: Ringdesk, language: Language
) -> None:
    page = await visitors.arrive("/desk", email=AGENTS[0], language=language)
    desk = Desk(page)
    await desk.presence.wait_for()
    sid = await ringdesk.call(MARIA)
    await until(lambda: _is_queued(ringdesk, sid), within_s=10, what="Maria is in line")
    async with ringdesk.slow("customer_identities"):
        await (await ringdesk.person(AGENTS[0])).be("available")
        await expect(desk.pop.get_by_role("heading", name="Maria Lopez")).to_be_visible()
        await expect(page.get_by_test_id("hole-identity")).to_be_visible()
        again = page.get_by_test_id("hole-profile").get_by_role("button")
        await again.click()  # still slow
        await expect(again).to_be_enabled()
        faults = list(await look(page, f"pop-holes-{language}"))
    await answer(page)
    await expect(page.get_by_test_id("customer-panel")).to_contain_text("Northwind Traders", timeout=30_000)
    await expect(page.get_by_test_id("hole-identity")).to_have_count(0)
    assert faults == []


async def _is_queued(ringdesk: Ringdesk, sid: str) -> bool:
    found = await (await ringdesk.person(SUPERVISOR)).get("/calls", sid=sid)
    return [each["state"] for each in found["items"]] == ["queued"]


async def test_who_was_chosen_is_suggested_and_taken_back_in_a_moment(
    visitors: Visitors, ringdesk: Ringdesk, language: Language
) -> None:
    desk = await free(visitors, ringdesk, language)
    page = desk.page
    await ringdesk.one("WITH gone AS (DELETE FROM identity_choices RETURNING 1) SELECT count(*) FROM gone")
    sid = await ringdesk.call(SHARED)
    await desk.pop.wait_for()
    await answer(page)
    await page.keyboard.press("Alt+2")  # the note has the focus
    bar = page.get_by_test_id("act-bar")
    await expect(bar).to_contain_text(re.compile("Anna Becker|Jonas Becker"))
    faults = list(await look(page, f"somebody-attached-{language}"))
    await page.get_by_test_id("finish").focus()  # in the note Ctrl+Z is the note's
    await page.keyboard.press("Control+z")
    await expect(page.get_by_test_id("candidate-2")).to_be_visible()
    assert (await ringdesk.ticket(sid))["customer"] is None
    assert await ringdesk.one("SELECT count(*) FROM identity_choices") == 0, "a mistake is not remembered"
    await page.get_by_test_id("candidate-2").click()
    await expect(page.get_by_test_id("customer-panel")).to_be_visible()
    chosen = (await ringdesk.ticket(sid))["customer"]["name"]
    await ringdesk.hang_up(sid)
    await expect(page.get_by_test_id("hangup")).to_have_count(0)
    await page.get_by_test_id("finish").click()
    await expect(desk.call).to_have_count(0)

    again = await ringdesk.call(SHARED)
    first = desk.pop.get_by_test_id("candidate-1")
    await expect(first).to_contain_text(chosen)
    await expect(first).to_contain_text("Ava Chen")
    await expect(first).to_have_attribute("aria-pressed", "false")
    assert (await ringdesk.ticket(again))["customer"] is None, "a suggestion picks nobody"
    faults += await look(page, f"suggested-{language}")
    assert faults == []


async def test_it_is_somebody_else(visitors: Visitors, ringdesk: Ringdesk, language: Language) -> None:
    """The number says Maria; the one who speaks is not her. With the next call it is asked."""
    desk = await free(visitors, ringdesk, language)
    page = desk.page
    try:
        sid = await ringdesk.call(MARIA)
        await desk.pop.wait_for()
        await answer(page)
        await page.get_by_test_id("somebody-else").click()
        find = page.get_by_placeholder(re.compile("Name, company or number|姓名、公司或号码"))
        await find.fill("Schneider")
        await page.get_by_role("option").first.click()
        await expect(page.get_by_test_id("act-bar")).to_contain_text("Schneider")
        faults = list(await look(page, f"somebody-else-{language}"))
        await ringdesk.hang_up(sid)
        await expect(page.get_by_test_id("hangup")).to_have_count(0)
        await page.get_by_test_id("finish").click()
        await expect(desk.call).to_have_count(0)
        await ringdesk.call(MARIA)
        await expect(desk.pop.get_by_test_id("candidate-2")).to_be_visible()
        assert faults == []
    finally:
        await ringdesk.one("WITH gone AS (DELETE FROM identity_choices RETURNING 1) SELECT count(*) FROM gone")


async def test_a_missing_result_waits_in_a_list_and_holds_nobody_up(
    visitors: Visitors, ringdesk: Ringdesk, language: Language, short_wrap_up: None
) -> None:
    desk = await free(visitors, ringdesk, language)
    page = desk.page
    sid = await ringdesk.call(UNKNOWN)
    await desk.pop.wait_for()
    await answer(page)
    await ringdesk.hang_up(sid)
    await expect(desk.call).to_have_count(0)  # wrap-up has run out by itself
    await desk.is_state("available")
    late = page.get_by_test_id("without-result")
    call_id = (await ringdesk.record(sid))["id"]
    await late.get_by_test_id(f"late-{call_id}").click()
    faults = list(await look(page, f"without-result-{language}"))
    await late.get_by_test_id("late-result-information").click()
    await expect(late.get_by_test_id(f"late-{call_id}")).to_have_count(0)
    assert (await ringdesk.record(sid))["disposition"] == "information"
    faults += await look(page, f"result-given-{language}")
    await page.get_by_test_id("act-bar").get_by_role("button").first.click()
    await expect(late.get_by_test_id(f"late-{call_id}")).to_be_visible()
    assert (await ringdesk.record(sid))["disposition"] is None
    assert faults == []
