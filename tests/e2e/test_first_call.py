"""One whole call, as somebody who opens the demo for the first time and as an agent who knows the keys."""

from playwright.async_api import Page, expect

from tests.e2e.running import AGENTS, MARIA, Ringdesk, until
from tests.e2e.screens import Desk, at_work
from tests.e2e.watching import Visitors

NOTE = "Invoice came twice.\nPromised a corrected one by tomorrow."


async def test_a_newcomer_takes_a_call_in_the_demo(visitors: Visitors, ringdesk: Ringdesk) -> None:
    painted = await ringdesk.painted()
    page = await visitors.arrive("/demo")
    desk = Desk(page)
    await expect(page.get_by_role("heading", name="Desk of Ava Chen")).to_be_visible()
    await desk.is_state("available")

    await page.get_by_role("button", name="Known customer").click()
    await page.get_by_role("button", name="Call", exact=True).click()
    await desk.rings("Maria Lopez")
    await expect(desk.pop).to_contain_text("Northwind Traders")
    await expect(desk.pop).to_contain_text("Matched by")
    await expect(desk.pop).to_contain_text("(415) 555-0123")
    await expect(desk.pop).to_contain_text("Why you: ")
    await expect(desk.pop).to_contain_text("Rule “VIP first”")
    await expect(desk.pop.get_by_text("waited")).to_contain_text("0:0")
    await until(lambda: _more_painted(ringdesk, painted), within_s=5, what="the browser reports that it painted")

    await desk.accept()
    sid = await page.evaluate("sessionStorage.getItem('ringdesk.demo.sid')")
    record = await ringdesk.record(sid)
    assert record["state"] == "in_call"
    assert sorted(leg["kind"] for leg in record["legs"] if leg["state"] == "in-progress") == ["agent", "customer"]
    assert [offer["state"] for offer in record["offers"]] == ["accepted"]
    assert (await ringdesk.caller(sid))["is_talking"] is True

    await expect(desk.note).to_be_focused()
    await desk.note.fill(NOTE)
    await desk.note_is_saved()
    await page.get_by_role("button", name="Call back").click()
    await page.get_by_test_id("demo-hangup").click()
    await desk.is_wrapping()
    await desk.finish()
    await expect(page.get_by_role("heading", name="Ready for calls")).to_be_visible()
    await desk.is_state("available")

    await page.get_by_role("link", name="Open the application").click()
    await _ticket_tells_the_story(page, record["ticket"]["number"])


async def _more_painted(ringdesk: Ringdesk, before: float) -> bool:
    return await ringdesk.painted() > before


async def _ticket_tells_the_story(page: Page, number: str) -> None:
    await page.get_by_role("textbox", name="Find a ticket or a customer").fill(number.replace("-", ""))
    await page.keyboard.press("Enter")
    activity = page.get_by_role("listitem")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Open")
    await expect(activity.filter(has_text="Promised a corrected one by tomorrow.")).to_contain_text("Ava Chen")
    await expect(activity.filter(has_text="Call from +1 (415) 555-0123").first).to_contain_text("Call back")
    await expect(activity.filter(has_text="opened the ticket")).to_be_visible()
    await expect(page.get_by_role("link", name="Maria Lopez")).to_be_visible()


async def test_a_small_laptop_shows_what_to_press(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/demo")
    await page.set_viewport_size({"width": 1280, "height": 650})
    desk = await at_work(ringdesk, page)
    call = page.get_by_role("button", name="Call", exact=True)
    await expect(call).to_be_in_viewport(ratio=1)
    await call.click()
    await expect(desk.pop.get_by_role("button", name="Accept")).to_be_in_viewport(ratio=1)


async def test_hang_up_stands_in_the_first_row_at_any_width(visitors: Visitors, ringdesk: Ringdesk) -> None:
    """Beside the time of the call, apart from hold and transfer, and inside the card."""
    desk = await at_work(ringdesk, await visitors.arrive("/desk", email=AGENTS[0]))
    await ringdesk.call(MARIA)
    await desk.rings("Maria Lopez")
    await desk.accept()
    for width in (1440, 1280, 1100, 900, 700, 400):
        await desk.page.set_viewport_size({"width": width, "height": 900})
        hang_up, timer, card, hold = [
            await each.bounding_box()
            for each in (
                desk.page.get_by_test_id("hangup"),
                desk.call.get_by_role("timer"),
                desk.call,
                desk.page.get_by_test_id("hold"),
            )
        ]
        assert hang_up is not None
        assert timer is not None
        assert card is not None
        assert hold is not None
        assert hang_up["y"] <= timer["y"] + timer["height"] / 2 <= hang_up["y"] + hang_up["height"], width
        assert hang_up["x"] + hang_up["width"] <= card["x"] + card["width"], width
        assert hold["y"] >= hang_up["y"] + hang_up["height"], width


async def test_three_keys_take_and_finish_a_call(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/desk", email=AGENTS[0])
    desk = await at_work(ringdesk, page)
    sid = await ringdesk.call(MARIA)
    await desk.rings("Maria Lopez")

    presses = ["Control+Shift+A", "Alt+2", "Control+Enter"]
    await page.keyboard.press(presses[0])
    await desk.is_in_call()
    await expect(desk.note).to_be_focused()
    await page.keyboard.type("Asked for the opening hours 24/7.")
    await page.keyboard.press(presses[1])
    await expect(page.get_by_role("button", name="Information given")).to_have_attribute("aria-pressed", "true")
    await expect(desk.note).to_have_value("Asked for the opening hours 24/7.")
    await page.keyboard.press(presses[2])
    await expect(desk.call).to_contain_text("Will be finished as soon as the call ends.")
    await ringdesk.hang_up(sid)
    await expect(page.get_by_role("heading", name="Ready for calls")).to_be_visible()

    record = await ringdesk.record(sid)
    assert record["outcome"] == "answered"
    ticket = await ringdesk.ticket(sid)
    assert "Asked for the opening hours 24/7." in [note["body"] for note in ticket["notes"]]
    assert [call["disposition"] for call in ticket["calls"] if call["id"] == record["id"]] == ["information"]
