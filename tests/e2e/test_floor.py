"""The supervisor's page, live, and the demo's background traffic."""

import re

from playwright.async_api import expect

from tests.e2e.looking import look
from tests.e2e.running import AGENTS, CHINESE, GERMAN, JUERGEN, MARIA, SUPERVISOR, Ringdesk
from tests.e2e.screens import at_work
from tests.e2e.watching import Visitors


async def test_the_floor_moves_with_the_calls(visitors: Visitors, ringdesk: Ringdesk) -> None:
    floor = await visitors.arrive("/supervisor", email=SUPERVISOR)
    ava = floor.get_by_role("row").filter(has=floor.get_by_role("rowheader", name="Ava Chen"))
    support = floor.get_by_test_id("queue-row-support")
    await expect(ava).to_contain_text("Offline")

    desk = await at_work(ringdesk, await visitors.arrive("/desk", email=AGENTS[0]))
    await expect(ava).to_contain_text("Available")
    await expect(support).to_contain_text("1/1")
    sid = await ringdesk.call(MARIA)
    await desk.rings("Maria Lopez")
    await expect(ava).to_contain_text("Ringing")
    await desk.accept()
    await expect(ava).to_contain_text("In call")
    await expect(support).to_contain_text("0/1")
    await ringdesk.call(JUERGEN)  # nobody is left for him
    waiting = floor.get_by_test_id("waiting-table").get_by_role("row").filter(has_text="Support")
    await expect(waiting).to_contain_text("+49 30 231 256 93")
    await waiting.get_by_role("button", name="Why?").click()
    await expect(floor.get_by_role("dialog")).to_contain_text("Ava Chen")
    await floor.keyboard.press("Escape")
    await ringdesk.hang_up(sid)
    await expect(ava).to_contain_text("Wrap-up")


async def test_a_supervisor_sets_a_state_with_a_reason(visitors: Visitors, ringdesk: Ringdesk) -> None:
    desk = await at_work(ringdesk, await visitors.arrive("/desk", email=AGENTS[0]))
    floor = await visitors.arrive("/supervisor", email=SUPERVISOR)
    await floor.get_by_role("button", name="Set state: Ava Chen").click()
    dialog = floor.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Set state")).to_be_disabled()
    await dialog.get_by_text("On break", exact=True).click()
    await dialog.get_by_label("Reason").fill("Please rest after that call")
    await dialog.get_by_role("button", name="Set state").click()
    await expect(dialog).to_have_count(0)
    await expect(floor.get_by_role("row").filter(has_text="Ava Chen")).to_contain_text("Please rest after that call")

    await desk.is_state("break")
    told = desk.toast("Sam Porter set you to: On break")
    await expect(told).to_contain_text("Please rest after that call")


async def test_background_traffic_has_an_off_switch(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/demo")
    switch = page.get_by_label("Background traffic")
    await expect(switch).not_to_be_checked()
    await switch.click()
    await expect(switch).to_be_checked()
    await expect(page.get_by_test_id("queue-row-de")).to_contain_text("/4")  # three of them, and Ava
    await expect(page.get_by_test_id("queue-row-sales")).to_contain_text("/4")
    await switch.click()
    await expect(switch).not_to_be_checked()
    assert await ringdesk.demo("GET", "/traffic") == {"on": False}
    await expect(page.get_by_test_id("queue-row-de")).to_contain_text("1/1")  # Ava alone


async def test_the_board_counts_those_who_wait(visitors: Visitors, ringdesk: Ringdesk) -> None:
    floor = await visitors.arrive("/supervisor", email=SUPERVISOR)
    for to in (GERMAN, GERMAN, CHINESE):
        await ringdesk.call(JUERGEN, to)
    await expect(floor.get_by_test_id("queue-row-de").get_by_role("cell").first).to_have_text("2")
    await expect(floor.get_by_test_id("queue-row-sales").get_by_role("cell").first).to_have_text("1")
    await expect(floor.get_by_test_id("queue-row-de").get_by_role("cell").nth(1)).to_have_text("0:05")


async def test_every_number_of_the_board_opens_what_is_behind_it(visitors: Visitors, ringdesk: Ringdesk) -> None:
    """The number on the board, the number in the drawer and the rows in it are the same."""
    desk = await at_work(ringdesk, await visitors.arrive("/desk", email=AGENTS[0]))
    talking = await ringdesk.call(MARIA)
    await desk.rings("Maria Lopez")
    await desk.accept()
    waiting = await ringdesk.call(JUERGEN)
    floor = await visitors.arrive("/supervisor", email=SUPERVISOR)
    row, drawer = floor.get_by_test_id("queue-row-support"), floor.get_by_role("dialog")
    await expect(row.get_by_role("button", name=re.compile("^waiting"))).to_have_text("1")

    await row.get_by_role("button", name=re.compile("^waiting")).press("Enter")
    await expect(drawer).to_contain_text("stays without an end")
    await expect(drawer.get_by_role("listitem")).to_contain_text("Jürgen Schneider")
    await floor.keyboard.press("Escape")
    await expect(row.get_by_role("button", name=re.compile("^waiting"))).to_be_focused()

    await row.get_by_role("button", name=re.compile("^in call")).click()
    number = await row.get_by_role("button", name=re.compile("^in call")).inner_text()
    await expect(drawer.get_by_test_id("in-hand").locator("tbody tr")).to_have_count(int(number))
    await expect(drawer.get_by_test_id("in-hand")).to_contain_text("Ava Chen")
    await expect(drawer.get_by_test_id("in-hand")).to_contain_text((await ringdesk.ticket(talking))["number"])
    faults = [*await look(floor, "floor-in-hand")]
    await floor.keyboard.press("Escape")

    await ringdesk.hang_up(waiting)
    await expect(row.get_by_role("button", name=re.compile("^waiting"))).to_have_text("0")
    for name, formula in (
        ("answered", "stays that ended in a conversation"),
        ("gave up", "callers who hung up after S or later"),
        ("service level", "answered within T"),
    ):
        shown = await row.get_by_role("button", name=re.compile(f"^{name}")).inner_text()
        await row.get_by_role("button", name=re.compile(f"^{name}")).click()
        await expect(drawer).to_contain_text(formula)
        await expect(drawer.locator("strong").first).to_have_text(shown)
        if name != "service level":
            await expect(drawer.get_by_test_id("figure-contacts").locator("tbody tr")).to_have_count(int(shown))
        await floor.keyboard.press("Escape")
        await expect(drawer).to_have_count(0)

    await row.get_by_role("button", name=re.compile("^free")).click()
    agents = floor.get_by_test_id("agents-table")
    await expect(agents.get_by_label("Queue", exact=True).first).to_have_value("Support")
    await expect(floor.get_by_test_id("agents-panel")).to_be_focused()
    await expect(agents).to_contain_text("you may see")
    assert [*faults, *await look(floor, "floor-agents-of-queue")] == []


async def test_nothing_on_the_floor_pretends_to_be_fresh(visitors: Visitors, ringdesk: Ringdesk) -> None:
    visitors.faults.expect("ERR_INTERNET_DISCONNECTED")
    await ringdesk.call(JUERGEN, GERMAN)
    floor = await visitors.arrive("/supervisor", email=SUPERVISOR)
    waits = floor.get_by_test_id("waiting-table").locator("strong").first
    await waits.wait_for()
    agents = floor.get_by_test_id("agents-panel")
    await agents.get_by_role("row").nth(1).wait_for()
    await expect(floor.locator("[data-stale]")).to_have_count(0)
    await floor.context.set_offline(True)
    for panel in (floor.get_by_role("region", name="Queues"), floor.get_by_role("region", name="Waiting now"), agents):
        await expect(panel.get_by_role("status").filter(has_text="s old")).to_be_visible()
        await expect(panel.locator("[data-stale]").first).to_be_visible()
    stood = await waits.inner_text()
    old = await agents.get_by_role("status").inner_text()
    await expect(agents.get_by_role("status")).not_to_have_text(old)
    assert await waits.inner_text() == stood, "its clock stands still"
    faults = await look(floor, "floor-stale")  # grey, and still to be read
    await floor.context.set_offline(False)
    await expect(floor.locator("[data-stale]")).to_have_count(0)
    assert faults == []
