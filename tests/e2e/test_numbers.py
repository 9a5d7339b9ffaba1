"""Supervisors keep numbers out, and from being called, without the command line; what they remove by mistake comes back."""

import pytest
from playwright.async_api import Page, expect

from tests.e2e.looking import look
from tests.e2e.running import SUPERVISOR, UNKNOWN, Ringdesk, until
from tests.e2e.watching import Language, Visitors

pytestmark = pytest.mark.timeout(240)


async def is_let_in(ringdesk: Ringdesk, number: str) -> bool:
    sid = await ringdesk.call(number)
    lead = await ringdesk.person(SUPERVISOR)

    async def is_decided() -> bool:
        found = (await lead.get("/calls", sid=sid))["items"]
        return any(each["outcome"] is not None or each["state"] == "queued" for each in found)

    await until(is_decided, within_s=10, what="the call is let in or not")
    outcome = (await ringdesk.record(sid))["outcome"]
    if outcome is None:
        await ringdesk.hang_up(sid)
    return bool(outcome != "rejected_blocked")


@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_a_caller_is_blocked_from_the_call_log_and_let_in_again(
    visitors: Visitors, ringdesk: Ringdesk, language: Language
) -> None:
    assert await is_let_in(ringdesk, UNKNOWN)
    page: Page = await visitors.arrive("/calls", email=SUPERVISOR, language=language)
    await page.get_by_test_id("calls-table").locator("button[aria-expanded]").first.click()
    await page.locator("a[href*='/numbers?']").click()
    number = page.locator("form input[inputmode=tel]")
    await expect(number).to_have_value(UNKNOWN)
    await expect(number).to_be_focused()
    await expect(page.get_by_test_id("numbers-table")).to_have_count(0)
    faults = list(await look(page, f"numbers-none-{language}"))
    await page.keyboard.press("Tab")
    await page.keyboard.type("Rings all night and says nothing")
    await page.keyboard.press("Enter")
    row = page.locator(f"tr[data-number='{UNKNOWN}']")
    await expect(row).to_contain_text("Rings all night")
    assert not await is_let_in(ringdesk, UNKNOWN)
    faults += await look(page, f"numbers-{language}")

    await row.get_by_role("button").click()
    await expect(row).to_have_count(0)
    await page.keyboard.press("Control+z")
    await expect(row).to_contain_text("Rings all night")
    assert not await is_let_in(ringdesk, UNKNOWN)
    await row.get_by_role("button").click()
    await expect(row).to_have_count(0)
    assert await is_let_in(ringdesk, UNKNOWN)
    assert faults == []


async def test_the_other_list_is_searched_by_a_part_of_a_number(visitors: Visitors, ringdesk: Ringdesk) -> None:
    lead = await ringdesk.person(SUPERVISOR)
    listed = [
        await lead.post("/do-not-call", number=number, reason="Asked us to")
        for number in ("+14155550144", "+493077001")
    ]
    page = await visitors.arrive("/numbers", email=SUPERVISOR)
    await page.get_by_text("Do not call", exact=True).click()
    rows = page.get_by_test_id("numbers-table").locator("tbody tr")
    await expect(rows).to_have_count(2)
    await page.get_by_label("Find a number").fill("030 770")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("Asked us to")
    faults = await look(page, "numbers-found")
    for each in listed:
        await lead.ask("DELETE", f"/api/v1/do-not-call/{each['id']}")
    assert list(faults) == []
