"""A call outlives what happens to the browser."""

import contextlib
import re
import time

from playwright.async_api import Browser, Error, expect

from tests.crowd import crowd
from tests.e2e.conftest import chromium
from tests.e2e.running import AGENTS, MARIA, Person, Ringdesk, until
from tests.e2e.screens import Desk, at_work, log_in
from tests.e2e.watching import Visitors


async def test_a_reload_in_the_middle_of_a_call(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/demo")
    desk = await at_work(ringdesk, page)
    await page.get_by_role("button", name="Call", exact=True).click()
    await desk.rings("Maria Lopez")
    await desk.accept()
    await desk.note.fill("Wants a refund")
    await desk.note_is_saved()
    await page.get_by_role("button", name="Complaint").click()
    talked = await desk.seconds_talked()

    began = time.monotonic()
    await page.reload(wait_until="commit")
    await desk.is_in_call()
    await expect(desk.note).to_have_value("Wants a refund")
    await expect(page.get_by_role("button", name="Complaint")).to_have_attribute("aria-pressed", "true")
    assert await desk.seconds_talked() >= talked
    assert time.monotonic() - began <= 2 * crowd()


async def test_another_browser_takes_the_call_over(visitors: Visitors, ringdesk: Ringdesk) -> None:
    """The first one is gone for good, with a note that it had just begun to save and a result that nobody has sent off."""
    lost = await at_work(ringdesk, await visitors.arrive("/desk", email=AGENTS[0]))
    sid = await ringdesk.call(MARIA)
    await lost.rings("Maria Lopez")
    await lost.accept()
    await lost.note.fill("Half a sent")
    await lost.note_is_saved()
    second = Desk(await lost.page.context.new_page())
    await second.page.goto("/desk")
    await second.is_in_call()
    await lost.page.keyboard.press("Alt+3")
    chosen = second.page.locator("[data-testid^=disposition-][aria-pressed=true]")
    await expect(chosen).to_have_text(re.compile("Call back"))  # another window of the same agent
    await lost.page.context.close()

    desk = Desk(await visitors.arrive("/desk", email=AGENTS[0]))
    await desk.is_in_call()
    await expect(desk.note).to_have_value("Half a sent")
    chosen = desk.page.locator("[data-testid^=disposition-][aria-pressed=true]")
    await expect(chosen).to_have_text(re.compile("Call back"))
    assert (await ringdesk.record(sid))["state"] == "in_call"
    await ringdesk.hang_up(sid)
    await desk.is_wrapping()
    await desk.finish()
    assert (await ringdesk.record(sid))["disposition"] == "callback"


async def test_the_connection_is_gone_for_a_while(visitors: Visitors, ringdesk: Ringdesk) -> None:
    visitors.faults.expect("ERR_INTERNET_DISCONNECTED")
    page = await visitors.arrive("/desk", email=AGENTS[0])
    desk = await at_work(ringdesk, page)
    sid = await ringdesk.call(MARIA)
    await desk.rings("Maria Lopez")
    await desk.accept()

    began = time.monotonic()
    await page.context.set_offline(True)
    await expect(desk.banner).to_be_visible()
    assert time.monotonic() - began <= 3 * crowd()
    await desk.note.fill("Written without a connection")
    await ringdesk.hang_up(sid)  # nobody tells the browser
    await page.context.set_offline(False)
    await expect(desk.banner).to_have_count(0)
    await desk.is_wrapping()
    await expect(desk.note).to_have_value("Written without a connection")
    await desk.note_is_saved()
    await desk.finish()
    ticket = await ringdesk.ticket(sid)
    assert "Written without a connection" in [note["body"] for note in ticket["notes"]]


async def test_a_pop_reaches_every_window_and_leaves_it(visitors: Visitors, ringdesk: Ringdesk) -> None:
    """Two windows of one agent: one takes the call, both show it, the pop is in neither."""
    one = await at_work(ringdesk, await visitors.arrive("/desk", email=AGENTS[0]))
    page = await one.page.context.new_page()
    await page.goto("/tickets")
    await ringdesk.call(MARIA)
    await one.rings("Maria Lopez")
    await expect(page.get_by_text("Maria Lopez is calling")).to_be_visible()
    await page.get_by_role("link", name="Show call").click()
    other = Desk(page)
    await other.rings("Maria Lopez")
    await other.accept()
    await one.is_in_call()
    await expect(one.pop).to_have_count(0)
    await expect(one.page.get_by_test_id("toast")).to_have_count(0)


async def test_the_browser_is_killed_in_the_middle_of_a_call(
    browser: Browser, visitors: Visitors, ringdesk: Ringdesk
) -> None:
    """The whole browser is gone at once: nothing on the page has time to say good-bye."""
    doomed = await browser.browser_type.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
    dying = Visitors(doomed, ringdesk)
    lost = await at_work(ringdesk, await dying.arrive("/desk", email=AGENTS[0]))
    sid = await ringdesk.call(MARIA)
    await lost.rings("Maria Lopez")
    await lost.accept()
    await lost.note.fill("Wants the invoice by letter")
    await lost.note_is_saved()
    with contextlib.suppress(Error):
        await (await doomed.new_browser_cdp_session()).send("Browser.crash")

    began = time.monotonic()
    desk = Desk(await visitors.arrive("/desk", email=AGENTS[0]))
    await desk.is_in_call()
    await expect(desk.note).to_have_value("Wants the invoice by letter")
    assert time.monotonic() - began <= 3 * crowd()  # a fresh browser with an empty cache, its own start included
    assert (await ringdesk.record(sid))["state"] == "in_call"
    await ringdesk.hang_up(sid)
    await desk.is_wrapping()
    await desk.finish()


async def test_wrap_up_ends_on_time_also_when_nobody_returns(visitors: Visitors, ringdesk: Ringdesk) -> None:
    """And the note is in the ticket, as far as it was saved."""
    before = await ringdesk.one("SELECT wrap_s FROM queues WHERE key = 'support'")
    await ringdesk.one("UPDATE queues SET wrap_s = 3 WHERE key = 'support' RETURNING key")
    try:
        desk = await at_work(ringdesk, await visitors.arrive("/desk", email=AGENTS[0]))
        sid = await ringdesk.call(MARIA)
        await desk.rings("Maria Lopez")
        await desk.accept()
        await desk.note.fill("Nobody came back to this")
        await desk.note_is_saved()
        await desk.page.context.close()
        await ringdesk.hang_up(sid)

        async def is_over() -> bool:
            return bool((await ringdesk.record(sid))["offers"][0]["state"] == "completed")

        await until(is_over, within_s=12, what="wrap-up has ended")
        assert "Nobody came back to this" in [note["body"] for note in (await ringdesk.ticket(sid))["notes"]]
    finally:
        await ringdesk.one(f"UPDATE queues SET wrap_s = {before} WHERE key = 'support' RETURNING key")


async def test_words_of_a_tunnel_reach_the_ticket_when_the_desk_is_opened_again(
    visitors: Visitors, ringdesk: Ringdesk
) -> None:
    """The connection goes, then the page, then wrap-up ends: only this browser ever had the words."""
    visitors.faults.expect("ERR_INTERNET_DISCONNECTED")
    page = await visitors.arrive("/desk", email=AGENTS[0])
    desk = await at_work(ringdesk, page)
    sid = await ringdesk.call(MARIA)
    await desk.rings("Maria Lopez")
    await desk.accept()
    await page.context.set_offline(True)
    await desk.note.fill("Said in a tunnel")
    browser = page.context
    await page.close()
    await ringdesk.hang_up(sid)
    agent = await ringdesk.person(AGENTS[0])
    await until(lambda: _wraps_up(agent), within_s=10, what="the call is over")
    call_id = (await ringdesk.record(sid))["id"]
    await agent.post(f"/calls/{call_id}/wrap-up", disposition="information", note=None)

    await browser.set_offline(False)
    desk = Desk(await browser.new_page())
    await desk.page.goto("/desk")
    await expect(desk.toast("note of an earlier call")).to_be_visible()
    await desk.page.reload()
    await desk.presence.wait_for()
    notes = [note["body"] for note in (await ringdesk.ticket(sid))["notes"]]
    assert notes.count("Said in a tunnel") == 1


async def _wraps_up(agent: Person) -> bool:
    return [call["state"] for call in (await agent.get("/desk"))["calls"]] == ["wrapping"]


async def test_a_note_outlives_a_log_out(visitors: Visitors, ringdesk: Ringdesk) -> None:
    """Words that were typed a moment before, too."""
    page = await visitors.arrive("/login")
    await log_in(page, AGENTS[0])
    desk = await at_work(ringdesk, page)
    await ringdesk.call(MARIA)
    await desk.rings("Maria Lopez")
    await desk.accept()
    await desk.note.fill("Said in the last second")
    await page.get_by_role("button", name="Ava Chen").click()
    await page.get_by_role("button", name="Log out").click()
    await log_in(page, AGENTS[0])
    await desk.is_in_call()
    await expect(desk.note).to_have_value("Said in the last second")
