"""The screens as a person names them."""

import re
from dataclasses import dataclass

from playwright.async_api import Locator, Page, expect

from core import demo_account
from tests.e2e.running import Ringdesk, until

POP_WITHIN_MS = 5000


@dataclass(frozen=True)
class Desk:
    """What an agent has in front of them, on /desk and in the middle of /demo."""

    page: Page

    @property
    def pop(self) -> Locator:
        return self.page.get_by_test_id("pop")

    @property
    def call(self) -> Locator:
        return self.page.get_by_test_id("active-call")

    @property
    def note(self) -> Locator:
        return self.call.get_by_label("Note")

    @property
    def presence(self) -> Locator:
        return self.page.get_by_test_id("presence")

    @property
    def banner(self) -> Locator:
        return self.page.get_by_test_id("connection-banner")

    def toast(self, title: str) -> Locator:
        return self.page.get_by_test_id("toast").filter(has_text=title)

    async def is_state(self, state: str) -> None:
        await expect(self.presence).to_have_attribute("data-state", state)

    async def choose(self, label: str) -> None:
        await self.presence.click()
        await self.page.get_by_role("menuitem", name=label, exact=True).click()

    async def rings(self, name: str) -> None:
        await expect(self.pop.get_by_role("heading", name=name)).to_be_visible(timeout=POP_WITHIN_MS)

    async def accept(self) -> None:
        await self.pop.get_by_role("button", name="Accept").click()
        await self.is_in_call()

    async def is_in_call(self) -> None:
        await expect(self.call.get_by_text("In call", exact=True)).to_be_visible()

    async def is_wrapping(self) -> None:
        await expect(self.call.get_by_text("Wrap-up", exact=True)).to_be_visible()

    async def finish(self) -> None:
        await self.page.get_by_role("button", name="Save and finish").click()
        await expect(self.call).to_have_count(0)

    async def note_is_saved(self) -> None:
        await expect(self.call.get_by_text(re.compile(r"Saved \d"))).to_be_visible()

    async def seconds_talked(self) -> int:
        minutes, seconds = (await self.call.get_by_role("timer").inner_text()).split(":")
        return 60 * int(minutes) + int(seconds)


async def at_work(service: Ringdesk, page: Page) -> Desk:
    """On this page somebody works now: available, and reachable over the socket."""
    desk = Desk(page)
    await desk.presence.wait_for()
    if await desk.presence.get_attribute("data-state") != "available":
        await desk.choose("Available")
    await desk.is_state("available")
    return desk


async def log_in(page: Page, email: str, password: str = demo_account.PASSWORD) -> None:
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Log in").click()


async def said(service: Ringdesk, sid: str, words: str) -> None:
    """The caller has heard these words."""

    async def is_heard() -> bool:
        return words in await service.heard(sid)

    await until(is_heard, within_s=10, what=f"the caller hears {words!r}")
