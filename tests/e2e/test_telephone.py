"""An agent takes calls on a telephone: chosen in the settings, rung after accepting, muted from the desk; the floor shows it."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from tests.e2e.looking import look
from tests.e2e.running import AGENTS, MARIA, SUPERVISOR, Ringdesk
from tests.e2e.screens import at_work
from tests.e2e.watching import Visitors

pytestmark = pytest.mark.timeout(240)
TELEPHONE = "+491713920001"
TAKES = {
    "outcome": "answer",
    "after_s": 3,
    "then": {"script": [{"until_asked_s": 10}, {"wait_s": 4}, {"press": "1"}]},
}


@pytest.fixture
async def taken_on_telephone(ringdesk: Ringdesk) -> AsyncIterator[None]:
    await ringdesk.demo("PUT", f"/callees/{TELEPHONE}", TAKES)
    yield
    await (await ringdesk.person(AGENTS[0])).ask("PUT", "/api/v1/presence/reach", {"by": "browser"})


@pytest.mark.usefixtures("taken_on_telephone")
async def test_calls_are_taken_on_a_telephone(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/desk", email=AGENTS[0])
    ava = await at_work(ringdesk, page)
    await page.get_by_role("button", name="account and settings").click()
    await page.get_by_text("On the telephone", exact=True).click()
    faults = [*await look(page, "telephone-settings", has_popup=True)]
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("reached-at")).to_contain_text("+49…01")
    await expect(page.get_by_test_id("check-reminder")).to_have_count(0)
    faults += await look(page, "telephone-idle")

    sid = await ringdesk.call(MARIA)
    await ava.rings("Maria Lopez")
    await page.keyboard.press("Control+Shift+A")
    telephone = page.get_by_test_id("telephone")
    await expect(telephone).to_contain_text("Rings at your telephone +49…01")
    await expect(page.get_by_test_id("mute")).to_have_count(0)
    faults += await look(page, "telephone-rings")
    await expect(telephone).to_have_attribute("data-state", "answered", timeout=15_000)
    await ava.is_in_call()
    await expect(telephone).to_have_attribute("data-state", "taken")
    await expect(page.get_by_test_id("keypad")).to_have_count(0)
    await expect(page.get_by_text("Join audio")).to_have_count(0)
    assert (await ringdesk.caller(sid))["is_talking"] is True
    await page.get_by_test_id("mute").click()
    await expect(page.get_by_test_id("mute")).to_have_attribute("aria-pressed", "true")
    faults += await look(page, "telephone-muted")

    floor = await visitors.arrive("/supervisor", email=SUPERVISOR)
    await expect(floor.get_by_test_id("on-telephone")).to_have_count(1)
    await floor.get_by_test_id("on-telephone").scroll_into_view_if_needed()
    faults += await look(floor, "telephone-floor")

    chinese = await visitors.arrive("/desk", email=AGENTS[0], language="zh-CN")
    await expect(chinese.get_by_test_id("telephone")).to_contain_text("您正在用电话 +49…01 通话。")
    faults += await look(chinese, "telephone-zh")

    await page.keyboard.press("Control+Shift+H")
    await ava.is_wrapping()
    await page.keyboard.press("Control+Enter")
    await expect(ava.call).to_have_count(0)
    assert faults == []


@pytest.mark.usefixtures("taken_on_telephone")
async def test_a_box_for_messages_gets_no_customer_and_the_desk_says_so(visitors: Visitors, ringdesk: Ringdesk) -> None:
    await ringdesk.demo("PUT", f"/callees/{TELEPHONE}", {"after_s": 1})
    page = await visitors.arrive("/desk", email=AGENTS[0])
    ava = await at_work(ringdesk, page)
    await (await ringdesk.person(AGENTS[0])).ask("PUT", "/api/v1/presence/reach", {"by": "telephone"})
    await expect(page.get_by_test_id("reached-at")).to_be_visible()
    sid = await ringdesk.call(MARIA)
    await ava.rings("Maria Lopez")
    await page.keyboard.press("Control+Shift+A")
    await expect(page.get_by_test_id("telephone")).to_have_attribute("data-state", "answered", timeout=15_000)
    toast = ava.toast("Not taken on your telephone; the caller is back in line")
    await expect(toast).to_be_visible(timeout=60_000)
    faults = await look(page, "telephone-not-taken")
    await expect(ava.call).to_have_count(0)
    assert (await ringdesk.record(sid))["state"] in ("queued", "offering")
    # After the pause of a telephone that did not come she is asked again; the next test begins without one.
    await expect(ava.pop.get_by_role("heading", name="Maria Lopez")).to_be_visible(timeout=30_000)
    await ringdesk.hang_up(sid)
    await expect(ava.pop).to_have_count(0)
    assert faults == []
