"""Speaking with a colleague about a call first: from the dialog, by keys, at both desks, until the call is theirs."""

from playwright.async_api import expect

from tests.e2e.looking import look
from tests.e2e.running import AGENTS, MARIA, Ringdesk, until
from tests.e2e.screens import Desk, at_work
from tests.e2e.watching import Visitors


async def test_speak_with_a_colleague_first_and_hand_over(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/desk", email=AGENTS[0])
    ava = await at_work(ringdesk, page)
    sid = await ringdesk.call(MARIA)
    await ava.rings("Maria Lopez")
    await page.keyboard.press("Control+Shift+A")
    await ava.is_in_call()
    other = await visitors.arrive("/desk", email=AGENTS[2])
    chen = Desk(other)
    await chen.presence.wait_for()
    await chen.choose("空闲") if await chen.presence.get_attribute("data-state") != "available" else None
    await chen.is_state("available")

    async def ask_chen() -> None:
        await page.keyboard.press("Alt+t")
        await expect(page.get_by_role("option", name="Chen Wei")).to_be_visible()
        await expect(page.get_by_test_id("transfer-find")).to_be_focused()
        await page.keyboard.type("chen")
        await expect(page.get_by_role("option", name="Chen Wei")).to_have_attribute("aria-selected", "true")
        await page.keyboard.press("Enter")
        await expect(page.get_by_test_id("transfer-note")).to_be_focused()

    await ask_chen()
    await page.keyboard.type("Two licences more?")
    faults = [*await look(page, "consult-dialog", has_popup=True)]
    await page.keyboard.press("Control+Shift+Enter")
    strip = page.get_by_test_id("consult")
    await expect(strip).to_contain_text("Asking Chen Wei")
    await expect(ava.call.get_by_text("On hold", exact=True)).to_be_visible()
    faults += await look(page, "consult-asking")
    await expect(chen.pop.get_by_test_id("pop-consult")).to_contain_text("Ava Chen想与您商议此通话")
    await expect(chen.pop).to_contain_text("Two licences more?")
    await expect(chen.pop).to_contain_text("Maria Lopez")
    faults += await look(other, "consult-pop-zh")
    await other.keyboard.press("Control+Shift+X")
    await expect(page.get_by_test_id("consult-ended")).to_contain_text("Chen Wei did not take it")
    await ava.is_in_call()
    assert (await ringdesk.caller(sid))["is_held"] is False
    faults += await look(page, "consult-declined")

    await ask_chen()
    await page.keyboard.press("Control+Shift+Enter")
    await chen.pop.wait_for()
    await other.keyboard.press("Control+Shift+A")
    await expect(strip).to_contain_text("Speaking with Chen Wei")
    await expect(other.get_by_test_id("consult")).to_contain_text("Ava Chen正在与您商议")
    assert (await ringdesk.caller(sid))["is_held"] is True
    faults += await look(page, "consult-talking")
    faults += await look(other, "consult-talking-zh")
    await page.keyboard.press("Alt+h")
    await expect(strip).to_contain_text("The caller hears you both.")
    faults += await look(page, "consult-together")
    await page.keyboard.press("Alt+c")
    await expect(ava.toast("Transferred to Chen Wei")).to_be_visible()
    await ava.is_wrapping()
    await expect(chen.call.get_by_text("通话中", exact=True)).to_be_visible()
    await expect(other.get_by_test_id("consult")).to_have_count(0)
    await expect(other.get_by_test_id("hold")).to_be_visible()
    faults += await look(other, "consult-taken-zh")

    async def talks() -> bool:
        caller = await ringdesk.caller(sid)
        return bool(caller["is_talking"] and not caller["is_held"])

    await until(talks, within_s=5, what="the caller talks with the colleague")
    record = await ringdesk.record(sid)
    assert [offer["state"] for offer in record["offers"]] == ["wrapping", "rejected", "accepted"]
    await ringdesk.hang_up(sid)

    async def is_over() -> bool:
        return bool((await ringdesk.record(sid))["outcome"] == "answered")

    await until(is_over, within_s=5, what="the call is over")
    assert faults == []
