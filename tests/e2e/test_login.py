from playwright.async_api import expect

from tests.e2e.running import AGENTS, SUPERVISOR
from tests.e2e.screens import log_in
from tests.e2e.watching import Visitors


async def test_a_wrong_password_is_said_plainly(visitors: Visitors) -> None:
    visitors.faults.expect("^401 POST /api/v1/session$")
    page = await visitors.arrive("/tickets")
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    await log_in(page, AGENTS[2], "not-the-password")
    await expect(page.get_by_role("alert")).to_have_text("E-mail or password is wrong.")
    await expect(page.get_by_label("E-mail")).to_have_value(AGENTS[2])

    await log_in(page, AGENTS[2])
    await expect(page.get_by_role("heading", name="工单")).to_be_visible()  # where they wanted to go, in their language


async def test_everybody_starts_where_they_work_and_can_leave(visitors: Visitors) -> None:
    page = await visitors.arrive("/login")
    await log_in(page, SUPERVISOR)
    await expect(page.get_by_role("heading", name="Floor")).to_be_visible()
    await page.get_by_role("button", name="Sam Porter: account and settings").click()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    await page.goto("/supervisor")
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()


async def test_an_agent_may_not_see_the_floor(visitors: Visitors) -> None:
    visitors.faults.expect("^403 GET /api/v1/")
    page = await visitors.arrive("/supervisor", email=AGENTS[0])
    await expect(page.get_by_text("Your account may not do this.").first).to_be_visible()
    await expect(page.get_by_role("link", name="Floor")).to_have_count(0)
