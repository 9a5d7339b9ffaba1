"""A screen on the wall: a link from a supervisor, figures without logging in, and dark for good when the link is revoked."""

import re

from playwright.async_api import Page, expect

from tests.e2e.looking import look, look_once
from tests.e2e.running import GERMAN, JUERGEN, SUPERVISOR, Ringdesk
from tests.e2e.watching import Visitors


async def make(page: Page, label: str) -> str:
    """The path of the new link."""
    boards = page.get_by_test_id("wallboards")
    await boards.get_by_label("Where it hangs").fill(label)
    await boards.get_by_role("button", name="Make a link").click()
    address = await boards.get_by_test_id("wall-link").inner_text()
    return "/" + address.split("/", 3)[3]


async def test_a_screen_shows_the_figures_until_its_link_is_revoked(visitors: Visitors, ringdesk: Ringdesk) -> None:
    visitors.faults.expect(r"^403 GET /api/v1/wall$")
    lead = await visitors.arrive("/figures", email=SUPERVISOR)
    path = await make(lead, "Hall")
    wall = await visitors.arrive(path)  # nobody has logged in there
    german = wall.get_by_test_id("wall-de")
    await expect(german).to_contain_text("0waiting")
    sid = await ringdesk.call(JUERGEN, GERMAN)
    await expect(german).to_contain_text("1waiting")
    await expect(german).to_contain_text("0:0")
    assert "231" not in await wall.locator("body").inner_text()  # the caller's number
    await ringdesk.hang_up(sid)
    await expect(german).to_contain_text("0waiting")

    await lead.get_by_role("button", name="Revoke: Hall").click()
    await expect(lead.get_by_role("button", name="Revoke: Hall")).to_have_count(0)
    await expect(wall.get_by_role("alert")).to_contain_text("Ask a supervisor")


async def test_the_wall_looks_right_in_every_dress(visitors: Visitors, ringdesk: Ringdesk) -> None:
    lead = await visitors.arrive("/figures", email=SUPERVISOR)
    secret = (await make(lead, "Canteen")).split("#")[1]
    faults = await look(lead, "wallboards-en")
    await ringdesk.call(JUERGEN, GERMAN)
    for theme in ("light", "dark", "contrast"):
        for language in ("en", "zh-CN"):
            wall = await visitors.arrive(f"/wall?theme={theme}&lang={language}#{secret}")
            await expect(wall.get_by_test_id("wall-de")).to_contain_text(re.compile("^German desk|^德语客服"))
            await expect(wall.locator("html")).to_have_attribute("lang", language)
            faults = [*faults, *await look_once(wall, f"wall-{theme}-{language}", {})]
    assert faults == []


async def test_without_news_the_wall_turns_grey(visitors: Visitors, ringdesk: Ringdesk) -> None:
    visitors.faults.expect("ERR_FAILED")
    lead = await visitors.arrive("/figures", email=SUPERVISOR)
    wall = await visitors.arrive(await make(lead, "Door"))
    await wall.get_by_test_id("wall-de").wait_for()
    await expect(wall.locator("[data-stale]")).to_have_count(0)
    await wall.context.route("**/api/v1/wall", lambda route: route.abort())
    await expect(wall.locator("[data-stale]")).to_have_count(1)
    await expect(wall.get_by_role("status")).to_contain_text("Out of date")
