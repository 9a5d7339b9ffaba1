"""The whole product in a real browser: `ringdesk up` as its own process, Chromium, and somebody who has never seen it.

Without Chromium (`CHROMIUM`, else /usr/bin/chromium) these tests are skipped; with RINGDESK_REQUIRE_SERVERS=1 or CI=true they fail.
`RINGDESK_PICTURES=<folder>` keeps a picture of every screen that is looked at, `RINGDESK_WRITE_SCREENSHOTS=1` renews docs/img.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, async_playwright, expect

from tests.e2e.running import ROOT, Ringdesk, running
from tests.e2e.watching import Visitors

FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # a microphone that beeps
]
PATIENCE_MS: Final = 10_000


def _missing(what: str) -> None:
    if os.environ.get("RINGDESK_REQUIRE_SERVERS") == "1" or os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def chromium() -> str:
    return os.environ.get("CHROMIUM") or "/usr/bin/chromium"


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if shutil.which(chromium()) is None:
        _missing("no Chromium: install the package chromium, or say in CHROMIUM where it is")
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield launched
        await launched.close()


@pytest.fixture(scope="session")
async def service() -> AsyncIterator[Ringdesk]:
    """At the end of all tests nothing may be broken in the database, and nothing may have gone wrong inside."""
    if not (ROOT / "web" / "dist" / "index.html").exists():
        _missing("the web application is not built: python3 dev.py test, or npm run bundle in web/")
    folder = Path(tempfile.mkdtemp(prefix="ringdesk-e2e-"))
    folder.chmod(0o755)  # the embedded servers run as another user when this one is root
    try:
        async with running(folder / "data") as started:
            await started.settle()
            yield started
            assert await started.broken_invariants() == {}
        assert started.complaints() == []
        assert started.process.returncode == 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def ringdesk(service: Ringdesk) -> AsyncIterator[Ringdesk]:
    """The service with nobody at work and no background traffic."""
    yield service
    await service.settle()


@pytest.fixture
async def visitors(browser: Browser, ringdesk: Ringdesk) -> AsyncIterator[Visitors]:
    arrived = Visitors(browser, ringdesk)
    yield arrived
    await arrived.leave()
    assert arrived.faults.unexpected() == []
