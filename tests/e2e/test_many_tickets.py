"""Lists with a name, filters, words in notes, and one change to many rows with its way back."""

import re

from playwright.async_api import Page, expect

from tests.e2e.looking import look
from tests.e2e.running import AGENTS, SUPERVISOR, Ringdesk
from tests.e2e.watching import Visitors


async def _rows(page: Page, *subjects: str) -> None:
    await expect(page.get_by_test_id("tickets-table").locator("tbody th a")).to_have_text(list(subjects))


async def test_a_list_gets_a_name_and_is_shared_as_a_link(visitors: Visitors, ringdesk: Ringdesk) -> None:
    agent = await ringdesk.person(AGENTS[3])
    await agent.post("/tickets", subject="Roof leaks", queue="support", priority="urgent")
    await agent.post("/tickets", subject="Roof colour", queue="support")
    lead = await visitors.arrive("/tickets?view=open&q=roof", email=SUPERVISOR)
    await _rows(lead, "Roof colour", "Roof leaks")
    await lead.get_by_role("combobox", name="Priority").click()
    await lead.get_by_role("option", name="Urgent").click()
    await lead.keyboard.press("Escape")
    await _rows(lead, "Roof leaks")
    await lead.get_by_role("button", name="Saved views").click()
    await lead.get_by_role("button", name="Save this list as a view").click()
    dialog = lead.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("Urgent roofs")
    await dialog.get_by_label("Share with everybody").check()
    await dialog.get_by_role("button", name="Save").click()
    await expect(lead.get_by_role("button", name="Urgent roofs")).to_be_visible()

    page = await visitors.arrive("/tickets", email=AGENTS[3])
    await page.get_by_role("button", name="Saved views").click()
    await page.get_by_role("link", name="Urgent roofs").click()
    await _rows(page, "Roof leaks")
    await page.reload()
    await _rows(page, "Roof leaks")
    await expect(page.get_by_role("button", name="Urgent roofs")).to_be_visible()

    await page.get_by_role("button", name="Urgent roofs").click()
    await expect(page.get_by_role("button", name=re.compile("Rename the view"))).to_have_count(0)  # somebody else's
    await lead.get_by_role("button", name="Urgent roofs").press("Enter")
    await lead.get_by_role("button", name="Rename the view: Urgent roofs").press("Enter")
    name = dialog.get_by_label("Name")
    await expect(name).to_have_value("Urgent roofs")
    faults = await look(lead, "view-rename", has_popup=True)
    await name.fill("Roofs, urgent")
    await lead.keyboard.press("Enter")
    await expect(dialog).to_have_count(0)
    await expect(lead.get_by_role("button", name="Roofs, urgent", exact=True)).to_be_visible()
    await _rows(lead, "Roof leaks")
    await page.reload()
    await expect(page.get_by_role("button", name="Roofs, urgent", exact=True)).to_be_visible()
    assert faults == []

    await lead.get_by_role("button", name="Roofs, urgent", exact=True).click()
    await lead.get_by_role("button", name="Delete the view: Roofs, urgent").click()
    await expect(lead.get_by_text("No list has a name yet.")).to_be_visible()


async def test_words_are_found_in_notes_and_marked(visitors: Visitors, ringdesk: Ringdesk) -> None:
    agent = await ringdesk.person(AGENTS[3])
    ticket = await agent.post("/tickets", subject="Delivery", queue="support")
    await agent.post(f"/tickets/{ticket['id']}/notes", body="客户说吊灯的玻璃碎了，要求补发。")
    page = await visitors.arrive("/tickets?view=all", email=AGENTS[3])
    await page.get_by_role("textbox", name="Search tickets").fill("玻璃碎")
    await page.keyboard.press("Enter")
    await _rows(page, "Delivery")
    await expect(page.get_by_test_id("found-in-note").locator("mark")).to_have_text("玻璃碎")


async def test_many_are_changed_at_once_and_put_back(visitors: Visitors, ringdesk: Ringdesk) -> None:
    agent = await ringdesk.person(AGENTS[3])
    made = [await agent.post("/tickets", subject=f"Gutter {n}", queue="support") for n in range(3)]
    await agent.ask("PATCH", f"/api/v1/tickets/{made[0]['id']}", {"state": "closed", "version": 1})
    page = await visitors.arrive("/tickets?view=all&q=gutter", email=AGENTS[3])
    table = page.get_by_test_id("tickets-table")
    await expect(table.locator("tbody tr")).to_have_count(3)
    await page.get_by_role("checkbox", name="Choose all shown, up to 100").check()
    bar = page.get_by_test_id("many-bar")
    await expect(bar).to_contain_text("3 chosen")
    await bar.get_by_role("button", name="State").click()
    await page.get_by_role("menuitem", name="Resolved").click()
    done = page.get_by_test_id("many-done")
    await expect(done).to_contain_text("2 tickets changed.")
    await expect(done.get_by_role("listitem")).to_contain_text([made[0]["number"]])
    await expect(table.get_by_text("Resolved")).to_have_count(2)
    await expect(bar).to_have_count(0)
    await done.get_by_role("button", name="Undo").click()
    await expect(done).to_contain_text("2 tickets are as they were before.")
    await expect(table.get_by_text("Resolved")).to_have_count(0)
    assert [(await agent.get(f"/tickets/{each['id']}"))["state"] for each in made] == ["closed", "new", "new"]
