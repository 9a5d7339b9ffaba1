"""Every screen in both languages, light and dark: readable by everybody, and as the README shows it."""

import re
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Protocol

import pytest
from playwright.async_api import Page, expect

from tests.e2e.looking import look, picture
from tests.e2e.running import AGENTS, CHINESE, GERMAN, JUERGEN, MARIA, SHARED, SUPERVISOR, SUPPORT, UNKNOWN, Ringdesk
from tests.e2e.screens import Desk, at_work
from tests.e2e.watching import Language, Visitors


class Look(Protocol):
    def __call__(self, page: Page, name: str, *, has_popup: bool = False) -> Coroutine[None, None, None]: ...


Arrive = Callable[[str, str | None], Coroutine[None, None, Page]]

pytestmark = pytest.mark.timeout(300)  # one test walks through many screens

NOTE = "Invoice 20881 was charged twice.\nRefund approved; wants a written confirmation by Friday."
ON_A_BUSY_DAY = (
    ("+494066969087", GERMAN),
    ("+8613800138738", CHINESE),
    ("+492214710680", GERMAN),
    ("+12065550169", SUPPORT),
    ("+14045550156", SUPPORT),
)


@pytest.fixture(params=["en", "zh-CN"])
def language(request: pytest.FixtureRequest) -> Language:
    chosen: Language = request.param
    return chosen


@pytest.fixture
def arrive(visitors: Visitors, language: Language) -> Arrive:
    async def arrive(path: str, email: str | None) -> Page:
        return await visitors.arrive(path, email=email, language=language)

    return arrive


@pytest.fixture
async def see(language: Language) -> AsyncIterator[Look]:
    """Faults of all screens are told together."""
    faults: list[str] = []

    async def see(page: Page, name: str, *, has_popup: bool = False) -> None:
        faults.extend(await look(page, f"{name}-{language}", has_popup=has_popup))

    yield see
    assert faults == []


async def _is_available(ringdesk: Ringdesk, page: Page, email: str) -> Desk:
    """As by hand, whatever the language of the page."""
    desk = Desk(page)
    await desk.presence.wait_for()
    await (await ringdesk.person(email)).be("available")
    await desk.is_state("available")
    return desk


async def test_the_desk(arrive: Arrive, see: Look, ringdesk: Ringdesk) -> None:
    page = await arrive("/desk", AGENTS[0])
    desk = Desk(page)
    await desk.is_state("offline")
    await see(page, "desk-offline")
    await _is_available(ringdesk, page, AGENTS[0])
    await see(page, "desk-idle")
    await desk.presence.click()
    await see(page, "presence-menu", has_popup=True)
    await page.keyboard.press("Escape")

    sid = await ringdesk.call(MARIA)
    await desk.pop.wait_for()
    await see(page, "pop")
    await page.keyboard.press("Control+Shift+A")
    await expect(desk.call).to_contain_text("0:0")
    await page.get_by_test_id("call-note").fill(NOTE)
    await page.get_by_test_id("disposition-callback").click()
    await expect(desk.call.locator("[data-state=saved]")).to_be_visible()
    await see(page, "call")
    await ringdesk.hang_up(sid)
    await expect(page.get_by_test_id("hangup")).to_have_count(0)
    await see(page, "wrap-up")
    await page.keyboard.press("Control+Enter")
    await expect(desk.call).to_have_count(0)

    await page.goto(f"/tickets/{(await ringdesk.ticket(sid))['number']}")
    await expect(page.get_by_text("Refund approved").first).to_be_visible()
    await see(page, "ticket")


async def test_callers_who_are_not_simply_known(arrive: Arrive, see: Look, ringdesk: Ringdesk) -> None:
    page = await arrive("/desk", AGENTS[0])
    desk = await _is_available(ringdesk, page, AGENTS[0])
    sid = await ringdesk.call(SHARED)
    await desk.pop.wait_for()
    await see(page, "pop-shared")
    await ringdesk.hang_up(sid)
    await expect(desk.pop).to_have_count(0)
    await page.get_by_test_id("toast").wait_for()
    await see(page, "caller-left")
    await ringdesk.call("anonymous")
    await desk.pop.wait_for()
    await see(page, "pop-withheld")
    await page.keyboard.press("Control+Shift+A")
    await expect(desk.call).to_contain_text("0:0")
    await see(page, "call-withheld")


async def test_lists_and_pages(arrive: Arrive, see: Look, ringdesk: Ringdesk) -> None:
    page = await arrive("/login", None)
    await page.get_by_test_id("login-email").wait_for()
    await see(page, "login")
    await page.get_by_role("button").first.click()
    await see(page, "settings", has_popup=True)

    agent = await ringdesk.person(AGENTS[0])
    ticket = await agent.post("/tickets", subject="Lamp arrived broken", queue="support", priority="high")
    page = await arrive("/tickets?view=all", AGENTS[0])
    await page.get_by_role("link", name=ticket["subject"]).first.wait_for()
    await see(page, "tickets")
    await page.goto("/tickets?view=all&q=nothinglikethis")
    await expect(page.get_by_test_id("tickets-table")).to_have_count(0)
    await see(page, "tickets-none")
    await page.goto("/customers")
    await page.get_by_test_id("customers-table").wait_for()
    await see(page, "customers")
    await page.goto("/customers?q=maria.lopez@northwind.example")
    await page.get_by_role("link", name="Maria Lopez").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Maria Lopez")
    await see(page, "customer")
    await page.goto("/calls")
    await page.get_by_role("heading", level=1).wait_for()
    await see(page, "calls")


async def test_the_floor_and_the_demo(arrive: Arrive, see: Look, ringdesk: Ringdesk) -> None:
    floor = await arrive("/supervisor", SUPERVISOR)
    await _some_calls(ringdesk, await arrive("/desk", AGENTS[0]))
    await expect(floor.get_by_test_id("waiting-table").get_by_role("row")).to_have_count(4)
    await see(floor, "floor")
    await floor.get_by_test_id("waiting-table").get_by_role("button").first.click()
    await floor.get_by_role("dialog").get_by_role("listitem").first.wait_for()
    await see(floor, "explain")
    await floor.keyboard.press("Escape")
    await expect(floor.get_by_role("dialog")).to_have_count(0)
    await floor.get_by_test_id("agents-table").get_by_role("row").nth(1).get_by_role("button").click()
    await floor.get_by_role("dialog").wait_for()
    await see(floor, "set-state")

    page = await arrive("/demo", None)
    await Desk(page).call.wait_for()
    await see(page, "demo")
    await page.goto("/demo/console")
    await page.get_by_test_id("console-entries").locator("summary").first.click()
    await see(page, "console")


async def test_the_figures(arrive: Arrive, see: Look, ringdesk: Ringdesk) -> None:
    page = await arrive("/figures", SUPERVISOR)
    await page.get_by_test_id("tile-occupancy").wait_for()
    await ringdesk.call(MARIA, GERMAN)
    await expect(page.get_by_test_id("tile-waiting_now").locator("strong")).to_have_text("1")
    await see(page, "figures")
    await page.get_by_test_id("tile-service_level").click()
    await page.get_by_test_id("readings").wait_for()
    await see(page, "figure-of-all")
    await page.goto("/figures?metric=offered&queue=de")
    await page.get_by_test_id("figure-contacts").wait_for()
    await see(page, "figure-contacts")
    await page.goto("/figures?metric=occupancy")
    await page.get_by_test_id("figure-agents").wait_for(state="attached")
    await see(page, "figure-agents")


async def _some_calls(ringdesk: Ringdesk, page: Page) -> None:
    """One is talked to, three wait."""
    desk = await _is_available(ringdesk, page, AGENTS[0])
    await ringdesk.call(MARIA)
    await desk.pop.wait_for()
    await page.keyboard.press("Control+Shift+A")
    await desk.call.wait_for()
    await (await ringdesk.person(AGENTS[0])).be("break")
    for number, line in ((JUERGEN, GERMAN), (UNKNOWN, GERMAN), ("+8613800138000", CHINESE)):
        await ringdesk.call(number, line)


async def test_the_pictures_of_the_readme(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/desk", email=AGENTS[0])
    desk = await at_work(ringdesk, page)
    first = await ringdesk.call(MARIA)
    await desk.rings("Maria Lopez")
    await desk.accept()
    await desk.note.fill(NOTE)
    await desk.note_is_saved()
    await page.get_by_role("button", name="Call back").click()
    await ringdesk.hang_up(first)
    await desk.is_wrapping()
    await desk.finish()
    second = await ringdesk.call(MARIA)
    await desk.rings("Maria Lopez")
    await picture(page, "pop")
    await ringdesk.hang_up(second)
    await expect(desk.pop).to_have_count(0)

    floor = await visitors.arrive("/supervisor", email=SUPERVISOR)
    await floor.get_by_role("button", name="State", exact=True).click()
    await ringdesk.traffic(on=True)
    for queue in ("de", "sales"):
        await expect(floor.get_by_test_id(f"queue-row-{queue}")).to_contain_text(
            "/4"
        )  # three simulated agents, and Ava
    await ringdesk.call("+15035550146")
    await desk.rings("Kimberly Davis")
    await desk.accept()
    for number, line in ON_A_BUSY_DAY:
        await ringdesk.call(number, line)
    in_call, waiting = 3, 0
    await expect(floor.get_by_test_id("queue-row-de").get_by_role("cell").nth(in_call)).to_have_text(re.compile("[12]"))
    await expect(floor.get_by_test_id("queue-row-sales").get_by_role("cell").nth(in_call)).to_have_text(
        re.compile("[12]")
    )
    await expect(floor.get_by_test_id("queue-row-support").get_by_role("cell").nth(waiting)).to_have_text("2")
    await expect(floor.get_by_test_id("waiting-table").get_by_text("Support")).to_have_count(2)
    await expect(floor.get_by_test_id("waiting-table").get_by_text("Ringing")).to_have_count(0)
    await floor.mouse.move(0, 0)
    await picture(floor, "board")
