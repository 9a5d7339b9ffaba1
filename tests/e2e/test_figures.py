"""The page of figures: it moves with the calls, turns grey without news, and every number leads to its contacts."""

import re

from playwright.async_api import Locator, Page, expect

from tests.e2e.running import CHINESE, GERMAN, JUERGEN, MARIA, SUPERVISOR, Ringdesk
from tests.e2e.watching import Visitors


def shown(page: Page, metric: str) -> Locator:
    return page.get_by_test_id(f"tile-{metric}").locator("strong")


async def counted(page: Page, metric: str) -> int:
    await expect(shown(page, metric)).to_have_text(re.compile(r"\d"))
    return int(await shown(page, metric).inner_text())


async def test_the_figures_move_with_the_calls_and_open_what_they_count(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/figures", email=SUPERVISOR)
    offered = await counted(page, "offered")
    sid = await ringdesk.call(MARIA, GERMAN)
    await expect(shown(page, "offered")).to_have_text(str(offered + 1))
    await expect(shown(page, "waiting_now")).to_have_text("1")
    await ringdesk.hang_up(sid)
    await expect(shown(page, "waiting_now")).to_have_text("0")

    tile = page.get_by_test_id("tile-offered")
    await tile.focus()
    await page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog")
    await expect(drawer).to_contain_text("stays in a queue that began in the interval")
    await expect(drawer).to_contain_text("offered, version 1")
    await drawer.get_by_role("button", name="German desk").click()
    assert "metric=offered" in page.url
    assert "queue=de" in page.url
    number = (await ringdesk.ticket(sid))["number"]
    await expect(
        drawer.get_by_role("link", name=number).first
    ).to_be_visible()  # others may have called on the same ticket
    await page.keyboard.press("Escape")
    await expect(drawer).to_have_count(0)
    await expect(tile).to_be_focused()

    await page.goto("/figures?metric=offered&queue=de")
    await page.get_by_role("dialog").get_by_role("link", name=number).first.click()
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert "/tickets/" in page.url


async def test_who_waits_stands_behind_the_number(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/figures", email=SUPERVISOR)
    await ringdesk.call(JUERGEN, CHINESE)
    await page.get_by_test_id("figures-row-sales").get_by_role("button", name="Waiting now").click()
    await expect(page.get_by_role("dialog")).to_contain_text("+49 30 231 256 93")


async def test_a_period_and_a_reading_are_an_address(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/figures?period=half_hour&reading=service_level_offered", email=SUPERVISOR)
    await expect(page.get_by_role("radio", name="Last half hour")).to_be_checked()
    await expect(page.get_by_test_id("tile-service_level_offered")).to_contain_text("Service level of offered")
    await page.get_by_text("Yesterday", exact=True).click()
    await expect(page).to_have_url(re.compile("period=yesterday"))
    await expect(shown(page, "offered")).to_have_text("0")
    await expect(shown(page, "service_level_offered")).to_have_text("—")


async def test_without_news_the_tiles_turn_grey_and_come_back(visitors: Visitors, ringdesk: Ringdesk) -> None:
    visitors.faults.expect("ERR_FAILED")
    page = await visitors.arrive("/figures", email=SUPERVISOR)
    tile = page.get_by_test_id("tile-offered")
    await expect(tile).to_be_visible()
    await expect(page.locator("[data-stale]")).to_have_count(0)
    await page.context.route("**/api/v1/figures?**", lambda route: route.abort())
    await expect(tile).to_have_attribute("data-stale", "true")
    await expect(page.get_by_test_id("tile-occupancy")).to_have_attribute("data-stale", "true")
    await expect(page.get_by_role("status").filter(has_text="old")).to_be_visible()
    await page.context.unroute_all()
    await expect(page.locator("[data-stale]")).to_have_count(0)
