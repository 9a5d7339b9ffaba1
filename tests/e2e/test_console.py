"""Behind the scenes of the simulator: a call with its requests and TwiML as they happen, one call picked out, and paused."""

from playwright.async_api import expect

from tests.e2e.running import MARIA, UNKNOWN, Ringdesk
from tests.e2e.watching import Visitors


async def test_a_call_is_watched_from_behind(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/demo")
    await page.get_by_role("link", name="Behind the scenes").click()
    await expect(page.get_by_role("heading", name="Simulator: behind the scenes")).to_be_visible()
    entries, calls = page.get_by_test_id("console-entries"), page.get_by_test_id("console-calls")

    sid = await ringdesk.call(MARIA)
    other = await ringdesk.call(UNKNOWN)
    await expect(calls.get_by_role("button", name="(415) 555-0123")).to_be_visible()
    await calls.get_by_role("button", name="(415) 555-0123").click()
    asked = entries.locator("details").filter(has_text="/twilio/voice")
    await expect(asked).to_have_count(1)
    await asked.locator("summary").click()
    await expect(asked.locator("pre")).to_contain_text("<Enqueue")
    await expect(asked).to_contain_text(sid)
    await expect(entries).not_to_contain_text(other)

    await page.get_by_test_id("console-pause").click()
    await ringdesk.hang_up(sid)
    await expect(calls.get_by_role("button", name="This call is over")).to_be_visible()
    await expect(entries.filter(has_text="/twilio/status")).to_have_count(0)
    await page.get_by_role("button", name="Go on").click()
    await expect(entries.locator("details").filter(has_text="/twilio/status").last).to_contain_text("204")
