"""How soon a pop is on the screen: real browsers among simulated desks, at a rate of calls, as the browsers themselves report it.

    python3 dev.py bench pops [--quick]

Callers and most desks are a process of their own (`kit/callers.py`). A few agents have a Chromium page each, which shows every pop until its
last layer is painted and then declines it, so that the call goes on to somebody else and the next one can come. What is reported is read from the
service (`GET /api/v1/pop-level`'s own table); beside it stands which offers each page has shown, so that a pop at the wrong agent would be seen.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg
from playwright.async_api import Browser, Page, async_playwright

from accounts.cookies import cookie_name
from app.embedded.children import free_port
from bench.kit import centre, product
from bench.kit.centre import Person
from bench.kit.process import Failed, helper
from bench.kit.report import Report, options, run, say
from bench.kit.servers import Servers, servers
from realtime import queries as sql
from realtime.http_pop import DEADLINES_MS, TARGET

SHOW_MS: Final = 2500
"""As long as the last layer has."""
CALL_WITHIN_S: Final = 60.0
WATCH: Final = """ms => {
    window.shown = {};
    const look = () => document.querySelectorAll('[data-testid="pop"]').forEach(pop => {
        const offer = pop.dataset.offer;
        if (window.shown[offer]) return;
        window.shown[offer] = true;
        setTimeout(() => document.querySelector(`[data-offer="${offer}"] [data-testid="pop-reject"]`)?.click(), ms);
    });
    new MutationObserver(look).observe(document.body, {childList: true, subtree: true});
    look();
}"""
WARM_CALLS: Final = 40
WARM_RATE: Final = 4.0
"""Before it counts: a service and pages that have just started pay for their first calls, once."""
OFFERS: Final = "SELECT id, agent_id FROM offers WHERE id = ANY($1)"


@dataclass(frozen=True, slots=True)
class Size:
    desks: int
    browsers: int
    customers: int
    rate: float
    calls: int


FULL: Final = Size(desks=200, browsers=4, customers=5_000, rate=50, calls=1_500)
QUICK: Final = Size(desks=6, browsers=1, customers=100, rate=2, calls=12)


async def main() -> int:
    report = Report("pops", options(__doc__ or "", repetitions=1))
    size = QUICK if report.options.quick else FULL
    async with servers(report) as running:
        database = await running.create_migrated("product")
        people = await centre.furnish(database, agents=size.desks, customers=size.customers)
        await _measure(report, running, people, size)
    say(f"written: {report.write().name}")
    return 0


async def _measure(report: Report, running: Servers, people: list[Person], size: Size) -> None:
    async with AsyncExitStack() as stack:
        port = free_port()
        load = await stack.enter_async_context(helper("bench.kit.callers", str(port)))
        service = await stack.enter_async_context(product.one_process(running, "product", provider_port=port))
        lookers, sitters = people[: size.browsers], people[size.browsers :]
        seats = [[person.id, person.secret] for person in sitters]
        url = service.public_url
        await load.ask(600, do="connect", public_url=url, hooks=service.urls, urls=service.urls, people=seats)
        playwright = await stack.enter_async_context(async_playwright())
        chromium = os.environ.get("CHROMIUM") or "/usr/bin/chromium"
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        stack.push_async_callback(browser.close)
        pages = [await _page(browser, url, person) for person in lookers]
        await load.ask(
            CALL_WITHIN_S + WARM_CALLS / WARM_RATE,
            do="calls", rate=WARM_RATE, count=WARM_CALLS, warm_up=0, first=1, seed=0, whole=True,
        )  # fmt: skip
        async with asyncio.timeout(CALL_WITHIN_S):
            while any([await page.get_by_test_id("pop").count() for page in pages]):
                await asyncio.sleep(0.1)
        began = await _now(running)
        answer = await load.ask(
            CALL_WITHIN_S + size.calls / size.rate,
            do="calls", rate=size.rate, count=size.calls, warm_up=0, first=WARM_CALLS + 1, seed=1, whole=False,
        )  # fmt: skip
        await asyncio.sleep(SHOW_MS / 1000)
        shown = [[int(offer) for offer in await page.evaluate("() => Object.keys(window.shown)")] for page in pages]
        await _tell(report, running, size, lookers, shown, answer, began)


async def _now(running: Servers) -> datetime:
    conn = await asyncpg.connect(running.database("product"), timeout=10)
    try:
        now: datetime = await conn.fetchval("SELECT now()")
        return now
    finally:
        await conn.close(timeout=5)


async def _page(browser: Browser, url: str, person: Person) -> Page:
    """A desk in a window of its own, so that each one is in the foreground."""
    context = await browser.new_context(base_url=url, viewport={"width": 1280, "height": 800})
    await context.add_cookies([{"name": cookie_name(url), "value": person.secret, "url": url}])
    page = await context.new_page()
    await page.goto("/desk")
    await page.get_by_test_id("presence").wait_for()
    await page.evaluate(WATCH, SHOW_MS)
    return page


async def _tell(
    report: Report,
    running: Servers,
    size: Size,
    lookers: list[Person],
    shown: list[list[int]],
    answer: dict[str, Any],
    began: datetime,
) -> None:
    conn = await asyncpg.connect(running.database("product"), timeout=10)
    try:
        deadlines = [float(each) for each in DEADLINES_MS.values()]
        rows = await conn.fetch(sql.POP_LEVEL, began, list(DEADLINES_MS), deadlines)  # only the browsers report
        of = {
            row["id"]: row["agent_id"]
            for row in await conn.fetch(OFFERS, [offer for offers in shown for offer in offers])
        }
    finally:
        await conn.close(timeout=5)
    wrong = [
        offer for person, offers in zip(lookers, shown, strict=True) for offer in offers if of.get(offer) != person.id
    ]
    pops = sum(map(len, shown))
    if not pops:
        raise Failed("no browser was shown a pop")
    name = f"{size.desks} desks, {size.browsers} browsers, {size.rate:g} calls/s"
    for row in sorted(rows, key=lambda each: DEADLINES_MS[each["layer"]]):
        painted, late = row["painted"], row["painted"] - row["within"]
        ms = {which: round(row[which]) for which in ("p50", "p95", "p99")}
        deadline = DEADLINES_MS[row["layer"]]
        report.add(f"{name}: {row['layer']}", painted=painted, late=late, deadline_ms=deadline, ms=ms)
        report.say(
            f"{row['layer']}: {painted} painted, p50 {ms['p50']} p95 {ms['p95']} p99 {ms['p99']} ms, {late} late"
        )
        report.ratio(f"{row['layer']}: late", late / painted, None if report.options.quick else 1 - TARGET)
    report.add(
        f"{name}: pops shown",
        shown=pops,
        at_the_wrong_agent=len(wrong),
        **{key: value for key, value in answer.items() if not isinstance(value, list)},
    )
    if wrong:
        raise Failed(f"{len(wrong)} pops were shown to somebody else")


if __name__ == "__main__":
    run(main())
