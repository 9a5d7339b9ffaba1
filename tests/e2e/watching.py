"""A browser that notices faults: what the console complains about, what the service answers badly."""

import re
from dataclasses import dataclass, field
from typing import Final, Literal

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Response, WebError

from tests.e2e.running import Ringdesk

Language = Literal["en", "zh-CN"]

# Chromium writes a line for each answer of 400 and above; the answers themselves are judged here.
ECHO: Final = re.compile(r"^Failed to load resource: the server responded")
SIGNED_OUT: Final = re.compile(r"^401 GET /api/v1/session$")


@dataclass
class Faults:
    """Answers of 500 and more are always faults; of 400 and more, and console errors, unless a test expects them."""

    found: list[str] = field(default_factory=list)
    expected: list[re.Pattern[str]] = field(default_factory=lambda: [SIGNED_OUT])

    def expect(self, pattern: str) -> None:
        self.expected.append(re.compile(pattern))

    def watch(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", self._uncaught)
        context.on("response", self._response)

    def unexpected(self) -> list[str]:
        return [
            fault
            for fault in self.found
            if re.match(r"5\d\d ", fault) or not any(pattern.search(fault) for pattern in self.expected)
        ]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not ECHO.match(message.text):
            self.found.append(f"console: {message.text}")

    def _uncaught(self, error: WebError) -> None:
        self.found.append(f"uncaught: {error.error}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            path = "/" + response.url.split("/", 3)[3]
            self.found.append(f"{response.status} {response.request.method} {path}")


class Visitors:
    """People with a browser each. All are seen off at the end of a test."""

    def __init__(self, browser: Browser, service: Ringdesk) -> None:
        self.browser = browser
        self.service = service
        self.faults = Faults()
        self._contexts: list[BrowserContext] = []

    async def arrive(self, path: str, *, email: str | None = None, language: Language = "en") -> Page:
        """A new browser at `path`; `email`: somebody who has logged in before."""
        context = await self.browser.new_context(
            base_url=self.service.url,
            viewport={"width": 1440, "height": 900},
            device_scale_factor=1,
            locale=language,
            timezone_id="Europe/Berlin",
            color_scheme="light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(10_000)
        self._contexts.append(context)
        self.faults.watch(context)
        if email is not None:
            cookies = (await self.service.person(email)).cookies()
            await context.add_cookies(
                [{"name": name, "value": value, "url": self.service.url} for name, value in cookies.items()]
            )
        page = await context.new_page()
        await page.goto(path)
        return page

    async def leave(self) -> None:
        for context in self._contexts:
            await context.close()
        self._contexts.clear()
