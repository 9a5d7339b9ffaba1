"""In the call: hold by key, the keypad, and giving the call to a colleague who reads why."""

import re

from playwright.async_api import expect

from tests.e2e.looking import look
from tests.e2e.running import AGENTS, MARIA, Ringdesk, until
from tests.e2e.screens import Desk, at_work
from tests.e2e.watching import Visitors


async def test_hold_and_transfer_to_a_colleague(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/desk", email=AGENTS[0])
    ava = await at_work(ringdesk, page)
    sid = await ringdesk.call(MARIA)
    await ava.rings("Maria Lopez")
    await page.keyboard.press("Control+Shift+A")
    await ava.is_in_call()
    await expect(ava.note).to_be_focused()
    faults = [*await look(page, "call-in-hand")]
    await ava.note.focus()
    await page.keyboard.press("Alt+h")
    await expect(ava.call.get_by_text("On hold", exact=True)).to_be_visible()
    await expect(page.get_by_test_id("held-for")).to_have_text(re.compile(r"on hold 0:0\d"))
    assert (await ringdesk.caller(sid))["is_held"] is True
    faults += await look(page, "call-on-hold")
    await page.get_by_test_id("hold").click()
    await ava.is_in_call()
    assert (await ringdesk.caller(sid))["is_held"] is False

    await page.get_by_test_id("mute").click()
    await expect(page.get_by_test_id("mute")).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("Alt+k")
    await page.keyboard.type("42#")
    await expect(page.get_by_test_id("keypad-sent")).to_have_text("42#")
    faults += await look(page, "call-keypad", has_popup=True)
    await page.keyboard.press("Escape")

    other = await visitors.arrive("/desk", email=AGENTS[2])
    chen = Desk(other)
    await chen.presence.wait_for()
    await chen.choose("空闲") if await chen.presence.get_attribute("data-state") != "available" else None
    await chen.is_state("available")
    await page.keyboard.press("Alt+t")
    await expect(page.get_by_role("option", name="Chen Wei")).to_be_visible()
    faults += await look(page, "transfer-find", has_popup=True)
    await page.keyboard.type("chen")
    await expect(page.get_by_role("option", name="Chen Wei")).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("transfer-note")).to_be_focused()
    await page.keyboard.type("Two licences more, please.")
    faults += await look(page, "transfer-note", has_popup=True)
    await page.keyboard.press("Control+Enter")
    await expect(ava.toast("Transferred to Chen Wei")).to_be_visible()
    await ava.is_wrapping()

    await expect(chen.pop.get_by_test_id("pop-transfer")).to_contain_text("由Ava Chen转接")
    await expect(chen.pop).to_contain_text("Two licences more, please.")
    faults += await look(other, "transfer-pop")
    await other.keyboard.press("Control+Shift+A")
    await expect(chen.call.get_by_text("通话中", exact=True)).to_be_visible()
    faults += await look(other, "transfer-taken")

    async def talk_again() -> bool:
        return bool((await ringdesk.caller(sid))["is_talking"])

    await until(talk_again, within_s=5, what="the caller talks again")
    record = await ringdesk.record(sid)
    assert [offer["state"] for offer in record["offers"]] == ["wrapping", "accepted"]
    await other.keyboard.press("Alt+t")
    await expect(other.get_by_test_id("transfer-find")).to_be_visible()
    faults += await look(other, "transfer-find-zh", has_popup=True)
    await other.keyboard.type("+1 202 555 0143")
    await expect(other.get_by_role("option", name=re.compile("202"))).to_be_visible()
    await other.keyboard.press("Enter")
    await other.keyboard.press("Control+Enter")
    await expect(chen.call.get_by_text("话后整理", exact=True)).to_be_visible()
    assert (await ringdesk.record(sid))["state"] == "outside"
    await ringdesk.hang_up(sid)

    async def is_over() -> bool:
        return bool((await ringdesk.record(sid))["outcome"] == "answered")

    await until(is_over, within_s=5, what="the call is over")
    assert faults == []
