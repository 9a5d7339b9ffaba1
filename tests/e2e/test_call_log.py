"""Who reached nobody is work: seen, taken, done at once, taken back; and each call says what happened in it."""

import pytest
from playwright.async_api import Page, expect

from tests.e2e.looking import look
from tests.e2e.running import AGENTS, JUERGEN, MARIA, UNKNOWN, Ringdesk, until
from tests.e2e.watching import Language, Visitors

pytestmark = pytest.mark.timeout(240)


async def gives_up(ringdesk: Ringdesk, number: str) -> None:
    sid = await ringdesk.call(number)

    async def waits() -> bool:
        return "Welcome" in await ringdesk.heard(sid)

    await until(waits, within_s=10, what="the caller is greeted")
    await ringdesk.hang_up(sid)

    async def is_over() -> bool:
        return (await ringdesk.record(sid))["outcome"] is not None

    await until(is_over, within_s=10, what="the call is over")


async def a_few_missed(ringdesk: Ringdesk) -> None:
    for number in (MARIA, MARIA, JUERGEN, UNKNOWN, "anonymous"):
        await gives_up(ringdesk, number)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_missed_contacts_and_the_log(visitors: Visitors, ringdesk: Ringdesk, language: Language) -> None:
    await a_few_missed(ringdesk)
    page: Page = await visitors.arrive("/calls?view=missed", email=AGENTS[0], language=language)
    table = page.get_by_test_id("missed-table")
    await table.wait_for()
    rows = table.locator("tbody tr")
    maria = rows.filter(has_text="Maria")
    await expect(maria).to_have_count(1)
    await maria.get_by_role("button").first.click()
    faults = list(await look(page, f"missed-{language}"))
    before = await rows.count()
    await page.get_by_role("checkbox").first.check()
    await page.get_by_test_id("done-many").click()
    await page.get_by_role("menuitem").last.click()
    await expect(table).to_have_count(0)
    await page.get_by_test_id("act-bar").get_by_role("button").first.click()
    await expect(rows).to_have_count(before)
    await page.goto("/calls")
    log = page.get_by_test_id("calls-table")
    await log.wait_for()
    await log.locator("button[aria-expanded]").first.focus()
    await page.keyboard.press("Enter")
    await expect(log.locator("button[aria-expanded=true]")).to_have_count(1)
    faults += await look(page, f"call-log-{language}")
    assert faults == []
