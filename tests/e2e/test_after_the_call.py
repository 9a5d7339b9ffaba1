"""After the call: more time, wrap-up on request, a break that waits for the end, and how each way of wrap-up reads."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from tests.e2e.looking import look
from tests.e2e.running import AGENTS, MARIA, SUPERVISOR, Ringdesk
from tests.e2e.screens import Desk
from tests.e2e.watching import Language, Visitors


@pytest.fixture(params=["en", "zh-CN"])
def language(request: pytest.FixtureRequest) -> Language:
    chosen: Language = request.param
    return chosen


@pytest.fixture
async def support(ringdesk: Ringdesk) -> AsyncIterator[None]:
    """The demo's wrap-up of support is put back."""
    yield
    await wrap_up(ringdesk, "timed")


async def wrap_up(ringdesk: Ringdesk, mode: str) -> None:
    await ringdesk.one(f"UPDATE queues SET wrap_mode = '{mode}' WHERE key = 'support' RETURNING key")


async def talking(visitors: Visitors, ringdesk: Ringdesk, language: Language) -> tuple[Desk, str]:
    desk = Desk(await visitors.arrive("/desk", email=AGENTS[0], language=language))
    await desk.presence.wait_for()
    await (await ringdesk.person(AGENTS[0])).be("available")
    await desk.is_state("available")
    sid = await ringdesk.call(MARIA)
    await desk.pop.wait_for()
    await desk.page.get_by_test_id("pop-accept").click()
    await connected(desk)
    return desk, sid


async def connected(desk: Desk) -> None:
    await expect(desk.call.get_by_role("timer")).to_have_text(re.compile(r"\d:\d\d"))


async def over(desk: Desk, ringdesk: Ringdesk, sid: str) -> None:
    await ringdesk.hang_up(sid)
    await expect(desk.page.get_by_test_id("hangup")).to_have_count(0)


async def seconds_left(page: Page) -> int:
    minutes, seconds = (await page.get_by_test_id("active-call").get_by_role("timer").inner_text()).split(":")
    return 60 * int(minutes) + int(seconds)


async def test_more_time_and_a_break_after_the_call(
    visitors: Visitors, ringdesk: Ringdesk, language: Language, support: None
) -> None:
    desk, sid = await talking(visitors, ringdesk, language)
    page = desk.page
    await desk.presence.click()
    faults = list(await look(page, f"presence-menu-in-call-{language}", has_popup=True))
    await page.get_by_role("menuitem", name={"en": "Lunch", "zh-CN": "午餐"}[language]).click()
    after = {"en": "After this call: Lunch", "zh-CN": "本次通话后：午餐"}[language]
    await expect(page.get_by_test_id("next-presence")).to_have_text(after)
    await desk.is_state("available")
    faults += await look(page, f"call-then-break-{language}")
    await page.get_by_test_id("take-back").click()
    await expect(page.get_by_test_id("next-presence")).to_have_count(0)

    await over(desk, ringdesk, sid)
    lead = await ringdesk.person(SUPERVISOR)
    row = next(each for each in (await lead.get("/agents"))["items"] if each["email"] == AGENTS[0])
    ava = row["id"]
    meeting = {"state": "break", "reason": "Team meeting", "version": row["presence_version"]}
    await lead.ask("PUT", f"/api/v1/agents/{ava}/presence", meeting)
    await expect(page.get_by_test_id("next-presence")).to_be_visible()
    await expect(page.get_by_test_id("toast").filter(has_text="Sam Porter")).to_be_visible()
    before = await seconds_left(page)
    faults += await look(page, f"wrap-up-timed-{language}")
    await page.get_by_test_id("extend-wrap-up").click()
    await expect(page.get_by_test_id("extend-wrap-up")).to_have_count(0)
    assert await seconds_left(page) > before
    faults += await look(page, f"wrap-up-extended-{language}")
    floor = await visitors.arrive("/supervisor", email=SUPERVISOR, language=language)
    await floor.get_by_test_id("agents-table").get_by_role("textbox").first.fill("Ava")
    await floor.get_by_test_id("agents-table").scroll_into_view_if_needed()
    await expect(floor.get_by_test_id(f"agent-row-{ava}")).to_have_attribute("data-state", "wrapping")
    then = {"en": "then On break", "zh-CN": "之后小休"}[language]
    await expect(floor.get_by_test_id(f"agent-row-{ava}")).to_contain_text(then)
    faults += await look(floor, f"floor-{language}")
    await page.get_by_test_id("finish").click()
    await expect(desk.call).to_have_count(0)
    await desk.is_state("break")
    assert faults == []


async def test_each_way_of_wrap_up_says_how_it_ends(
    visitors: Visitors, ringdesk: Ringdesk, language: Language, support: None
) -> None:
    faults: list[str] = []
    await wrap_up(ringdesk, "on_request")
    desk, sid = await talking(visitors, ringdesk, language)
    page = desk.page
    await page.get_by_test_id("request-wrap-up").click()
    await expect(page.get_by_test_id("request-wrap-up")).to_have_attribute("aria-pressed", "true")
    faults += await look(page, f"wrap-up-requested-{language}")
    await over(desk, ringdesk, sid)
    await page.get_by_test_id("finish").click()
    await expect(desk.call).to_have_count(0)

    await wrap_up(ringdesk, "manual")
    sid = await ringdesk.call(MARIA)
    await page.get_by_test_id("pop-accept").click()
    await connected(desk)
    await over(desk, ringdesk, sid)
    visitors.faults.expect(r"^409 POST /api/v1/calls/\d+/wrap-up$")
    await page.get_by_test_id("finish").click()
    await expect(desk.call.get_by_role("alert")).to_be_visible()
    faults += await look(page, f"wrap-up-manual-{language}")
    await page.get_by_test_id("disposition-callback").click()
    await page.get_by_test_id("finish").click()
    await expect(desk.call).to_have_count(0)

    await wrap_up(ringdesk, "timed_fixed")
    sid = await ringdesk.call(MARIA)
    await page.get_by_test_id("pop-accept").click()
    await connected(desk)
    await over(desk, ringdesk, sid)
    await page.get_by_test_id("finish").click()
    saved = {"en": "Saved. Wrap-up has a fixed time", "zh-CN": "已保存。"}[language]
    await expect(desk.call.get_by_text(saved)).to_be_visible()
    faults += await look(page, f"wrap-up-fixed-{language}")
    await wrap_up(ringdesk, "optional")
    await (await ringdesk.person(AGENTS[0])).be("available")
    await expect(desk.call).to_have_count(0)
    assert faults == []
