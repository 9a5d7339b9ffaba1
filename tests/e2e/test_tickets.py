"""Tickets and customers beside the calls."""

import re

from playwright.async_api import Page, expect

from tests.e2e.running import AGENTS, SUPERVISOR, Ringdesk
from tests.e2e.watching import Visitors


async def _rows(page: Page, *subjects: str) -> None:
    await expect(page.get_by_test_id("tickets-table").locator("tbody th a")).to_have_text(list(subjects))


async def test_the_list_is_filtered_and_searched(visitors: Visitors, ringdesk: Ringdesk) -> None:
    agent = await ringdesk.person(AGENTS[3])
    chandelier = await agent.post("/tickets", subject="Broken chandelier", queue="support")
    await agent.post("/tickets", subject="Chandelier catalogue", queue="sales", priority="high")
    me = (await agent.get("/session"))["user"]["id"]
    await agent.post(f"/tickets/{chandelier['id']}/assign", agent_id=me, version=chandelier["version"])

    page = await visitors.arrive("/tickets", email=AGENTS[3])
    await _rows(page, "Broken chandelier")
    await page.get_by_text("All open", exact=True).click()
    await page.get_by_role("textbox", name="Search tickets").fill("chandelier")
    await page.keyboard.press("Enter")
    await _rows(page, "Broken chandelier", "Chandelier catalogue")
    await page.get_by_role("combobox", name="Queue").click()
    await page.get_by_role("option", name="Sales China").click()
    await _rows(page, "Chandelier catalogue")
    await page.reload()
    await _rows(page, "Chandelier catalogue")  # the filters are the address

    await page.goto("/tickets?view=all")
    await page.get_by_role("textbox", name="Search tickets").fill(chandelier["number"].replace("-", "").lower())
    await page.keyboard.press("Enter")
    await _rows(page, "Broken chandelier")
    await page.get_by_role("link", name="Broken chandelier").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Broken chandelier")


async def test_two_people_at_one_ticket(visitors: Visitors, ringdesk: Ringdesk) -> None:
    supervisor = await ringdesk.person(SUPERVISOR)
    ticket = await supervisor.post("/tickets", subject="Two at once", queue="support")
    one, two = [await visitors.arrive(f"/tickets/{ticket['number']}", email=email) for email in (AGENTS[0], AGENTS[3])]
    await expect(two.get_by_role("heading", level=1)).to_contain_text("Two at once")
    await one.get_by_role("textbox", name="New note").fill("Ordered the part.")
    await one.get_by_role("button", name="Add note").click()
    await expect(one.get_by_role("listitem").filter(has_text="Ordered the part.")).to_be_visible()
    await one.get_by_role("combobox", name="State").click()
    await one.get_by_role("option", name="Waiting for others").click()
    await expect(two.get_by_role("heading", level=1)).to_contain_text("Waiting for others")
    await expect(two.get_by_role("listitem").filter(has_text="Ordered the part.")).to_contain_text("Ava Chen")


async def test_a_customer_is_found_and_read(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/customers", email=AGENTS[0])
    await page.get_by_role("textbox", name="Search customers").fill("+1 415 555 0123")
    names = page.get_by_test_id("customers-table").locator("tbody th")
    await expect(names).to_have_text(["Maria Lopez"])
    await names.get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Maria Lopez")
    await page.get_by_role("textbox", name="Find a ticket or a customer").fill("becker & partner")
    await page.keyboard.press("Enter")
    await expect(names.get_by_role("link")).to_have_text(["Anna Becker", "Jonas Becker"])


async def test_a_mistyped_address_leads_back(visitors: Visitors, ringdesk: Ringdesk) -> None:
    visitors.faults.expect("^404 GET /nowhere$")
    page = await visitors.arrive("/nowhere", email=AGENTS[0])
    await expect(page.get_by_text("This page does not exist")).to_be_visible()
    await page.get_by_role("link", name="Go to the start").click()
    await expect(page).to_have_url(re.compile("/desk$"))


async def test_a_ticket_that_does_not_exist(visitors: Visitors, ringdesk: Ringdesk) -> None:
    visitors.faults.expect("^4(04|22) GET /api/v1/tickets/")
    page = await visitors.arrive("/tickets/999999999", email=AGENTS[0])
    await expect(page.get_by_text("There is no such ticket, or you may not see it.")).to_be_visible()
    await page.goto("/tickets/T-2026-000123-1")
    await expect(page.get_by_role("main").get_by_role("alert")).to_contain_text("The last digit should be 8")
