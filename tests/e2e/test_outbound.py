"""An agent calls somebody: by a typed number, with keys only, and from a missed contact."""

import pytest
from playwright.async_api import Page, expect

from tests.e2e.looking import look
from tests.e2e.running import AGENTS, MARIA, Ringdesk, until
from tests.e2e.screens import Desk
from tests.e2e.watching import Language, Visitors

pytestmark = pytest.mark.timeout(240)


async def at_the_desk(visitors: Visitors, ringdesk: Ringdesk, language: Language) -> tuple[Page, Desk]:
    page = await visitors.arrive("/desk", email=AGENTS[0], language=language)
    desk = Desk(page)
    await desk.presence.wait_for()
    await (await ringdesk.person(AGENTS[0])).be("available")
    await desk.is_state("available")
    return page, desk


@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_a_number_is_typed_and_called(visitors: Visitors, ringdesk: Ringdesk, language: Language) -> None:
    visitors.faults.expect("^409 POST /api/v1/calls$")
    page, desk = await at_the_desk(visitors, ringdesk, language)
    await page.keyboard.press("l")
    number = page.get_by_test_id("dial-number")
    await expect(number).to_be_focused()
    await number.fill("911")
    await page.keyboard.press("Enter")
    await page.get_by_role("dialog").get_by_role("alert").wait_for()
    faults = list(await look(page, f"dial-{language}", has_popup=True))
    await number.fill(MARIA)
    await page.keyboard.press("Enter")
    await page.get_by_test_id("placing").wait_for()
    await expect(desk.call.get_by_role("timer")).to_contain_text("0:0", timeout=20_000)
    await expect(desk.call).to_contain_text("Maria Lopez")
    faults += await look(page, f"outbound-call-{language}")
    await page.keyboard.press("Control+Shift+H")
    await expect(page.get_by_test_id("hangup")).to_have_count(0)
    await page.keyboard.press("Control+Enter")
    await expect(desk.call).to_have_count(0)
    assert faults == []


async def test_a_missed_contact_is_called_back_and_is_done(visitors: Visitors, ringdesk: Ringdesk) -> None:
    sid = await ringdesk.call(MARIA)

    async def waits() -> bool:
        return "Welcome" in await ringdesk.heard(sid)

    await until(waits, within_s=10, what="the caller is greeted")
    await ringdesk.hang_up(sid)
    page, desk = await at_the_desk(visitors, ringdesk, "en")
    await page.goto("/calls?view=missed")
    maria = page.get_by_test_id("missed-table").locator("tr").filter(has_text="Maria")
    await maria.get_by_role("button", name="Call back").click()
    await expect(desk.call.get_by_role("timer")).to_contain_text("0:0", timeout=20_000)
    await page.goto("/calls?view=done")
    await expect(page.get_by_test_id("missed-table")).to_contain_text("Called back")
    await page.goto("/desk")
    await page.get_by_test_id("hangup").wait_for()
    await page.keyboard.press("Control+Shift+H")
    await expect(page.get_by_test_id("hangup")).to_have_count(0)
    await page.keyboard.press("Control+Enter")
    await expect(desk.call).to_have_count(0)
