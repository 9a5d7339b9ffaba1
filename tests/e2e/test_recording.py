"""A recorded call: the caller is told, the desk shows what the provider says, the ticket has a player."""

import re

from playwright.async_api import expect

from tests.e2e.looking import look
from tests.e2e.running import AGENTS, MARIA, Ringdesk, until
from tests.e2e.screens import Desk
from tests.e2e.watching import Visitors

RECORDED = "+862155550123"


async def test_pause_and_hear_a_recorded_call(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/desk", email=AGENTS[2])
    chen = Desk(page)
    await chen.presence.wait_for()
    await chen.choose("空闲") if await chen.presence.get_attribute("data-state") != "available" else None
    await chen.is_state("available")
    sid = await ringdesk.call(MARIA, to=RECORDED)

    async def is_told() -> bool:
        return "如果您不同意，请现在按9" in await ringdesk.heard(sid)

    await until(is_told, within_s=15, what="the caller is told")
    await chen.rings("Maria Lopez")
    await page.keyboard.press("Control+Shift+A")
    shown = page.get_by_test_id("recording")
    await expect(shown).to_have_text("录音中")
    faults = [*await look(page, "recording-on-zh")]
    await page.keyboard.press("Alt+r")
    await expect(shown).to_have_text("录音已暂停")
    faults += await look(page, "recording-paused-zh")
    await page.get_by_test_id("recording-pause").click()
    await expect(shown).to_have_text("录音中")
    await page.keyboard.press("Alt+h")
    await expect(shown).to_have_text("录音已暂停")
    await page.get_by_test_id("hold").click()
    await expect(shown).to_have_text("录音中")
    await ringdesk.hang_up(sid)
    await expect(chen.call.get_by_text("话后整理", exact=True)).to_be_visible()

    other = await visitors.arrive("/calls", email=AGENTS[0])
    player = other.get_by_test_id("recordings").get_by_role("button", name=re.compile("hear the call"))
    await expect(player.first).to_be_visible()
    faults += await look(other, "recording-in-the-log")
    await player.first.click()
    sound = other.locator("audio").first
    await expect(sound).to_have_js_property("readyState", 4)
    assert re.match(r"/api/v1/recordings/\d+/audio", await sound.get_attribute("src") or "")
    assert faults == []
