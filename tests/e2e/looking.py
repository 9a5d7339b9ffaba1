"""Looking at a screen, light and dark: axe finds nothing to object to, nothing sticks out, and a picture is kept when one is wanted."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page, expect

from tests.e2e.running import ROOT

AXE: Final = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
PICTURES: Final = os.environ.get("RINGDESK_PICTURES")
DOCS: Final = ROOT / "docs" / "img"
RENEW_DOCS: Final = os.environ.get("RINGDESK_WRITE_SCREENSHOTS") == "1"
LARGEST_PICTURE: Final = 250_000

FIND_FAULTS: Final = """async options => {
    const {violations} = await axe.run(options);
    return violations.flatMap(({id, nodes}) => nodes.map(({target, failureSummary}) => `${id}: ${target}: ${failureSummary}`));
}"""
STANDS_STILL: Final = """async () => {
    for (let still = 0; still < 3; still = document.getAnimations().length > 0 ? 0 : still + 1) {
        await new Promise(requestAnimationFrame);
    }
}"""
STICKS_OUT: Final = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def look(page: Page, name: str, *, has_popup: bool = False) -> Sequence[str]:
    """What is wrong with this screen, each fault with the screen's name.

    An open menu lies at the end of the document, outside of every landmark: it is reached by its button, not by walking there.
    """
    faults = await look_once(page, f"{name}-light", {"rules": {"region": {"enabled": not has_popup}}})
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    faults += await look_once(page, f"{name}-dark", {"runOnly": ["color-contrast"]})  # only the colours are others now
    await page.emulate_media(color_scheme="light")
    return faults


async def look_once(page: Page, name: str, options: Mapping[str, Any]) -> list[str]:
    """As the screen is: for one that does not follow the theme of its browser."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(f"() => {{ {AXE.read_text()} }}")
    await page.evaluate(STANDS_STILL)
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=Path(PICTURES) / f"{name}.png")
    found: list[Any] = await page.evaluate(FIND_FAULTS, options)
    faults = [f"{name}: {fault}" for fault in found]
    if await page.evaluate(STICKS_OUT) > 0:
        faults.append(f"{name}: wider than the window")
    return faults


async def picture(page: Page, name: str) -> None:
    """The picture that the README shows, as this version looks; written when RINGDESK_WRITE_SCREENSHOTS=1."""
    taken = await page.screenshot()
    assert len(taken) < LARGEST_PICTURE
    if RENEW_DOCS:
        DOCS.mkdir(parents=True, exist_ok=True)
        (DOCS / f"{name}.png").write_bytes(taken)
