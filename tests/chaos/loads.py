"""A crowd at work while a test does its worst, and the accounts when it is over."""

import asyncio
import itertools
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout, CookieJar

from core import demo_account
from simulator.people.agents import Habits
from tests.chaos.books import faults_of, open_calls
from tests.chaos.stack import AGENT_HABITS, Load, Stack, until
from tests.chaos.traces import leaks, presence_is_real, stray_tasks
from tests.crowd import crowd

GERMAN: Final = "+4930901820"
CLERK: Final = "admin@demo.example"
"""Not the supervisor, whose sessions the books use: an account has only so many."""
TICKETS_ASSIGNED: Final = (
    "SELECT 1 FROM decisions d JOIN work_items i ON i.id = d.work_item_id WHERE i.channel = 'ticket'"
)
ENDS_KNOWN_WITHIN_S: Final = 60.0
"""DESIGN's promise: who hung up unseen is found so soon."""
TICKET_EVERY_S: Final = 1.0
TICKETS_OPEN: Final = 12
"""More than Ben and Dana may have of them, so that some wait."""


@asynccontextmanager
async def nothing_lost(
    stack: Stack, fault: str, *, seed: int, least_calls: int = 6, habits: Habits = AGENT_HABITS, longest_s: float = 1500
) -> AsyncIterator[Load]:
    """A load during which the block does its worst. At the end of the block everything must be healed."""
    try:
        async with stack.load(seed=seed, habits=habits, longest_s=longest_s) as load:
            try:
                async with tickets_come(stack):
                    yield load
                broken = await stack.broken(settled=False)
                assert not broken, broken
            except BaseException:
                sys.stdout.write(await stack.facts())
                raise
        report = load.report
        broken = await stack.broken(settled=False)
        assert not broken, broken
        load.measured["ends_known_s"] = await ends_known(stack, load)
        load.measured["settled_s"] = await stack.settle()
        load.measured["tickets assigned"] = len(await stack.fetch(TICKETS_ASSIGNED))
        stack.assert_all_alive()
        assert report.lost == 0, report.failures
        assert report.duplicate_pops == 0
        assert report.unknown == 0, "the simulator itself did not answer"
        assert report.calls >= least_calls
        assert report.answered >= report.calls // 3
        disagreeing = await faults_of(load.books, stack.fetch)
        assert not disagreeing, disagreeing
        load.measured["presence real s"] = await presence_is_real(stack)
        left = [*await leaks(stack, load.books), *stray_tasks(stack)]
        assert not left, left
        for sid in load.probes:
            await stack.assert_accounted(sid)
    except BaseException:
        sys.stdout.write(stack.logs())
        raise
    measured = ", ".join(f"{name} {value:.1f}" for name, value in load.measured.items())
    sys.stdout.write(
        f"\n{fault}: seed {seed}, {report.calls} calls, {report.answered} answered, {report.abandoned} abandoned, {report.lost} lost, "
        f"{report.pops} pops, shown twice {report.duplicate_pops}, pop ms {report.pop_ms}, books {load.books.count()}, {measured}\n"
    )


async def ends_known(stack: Stack, load: Load) -> float:
    """Seconds until every call of the load has its end: the last word of some was lost, and the reconciler must find it."""
    began = time.monotonic()
    while found := await open_calls(load.books, stack.fetch):
        assert time.monotonic() - began < ENDS_KNOWN_WITHIN_S * crowd(), f"over at the provider and open here: {found}"
        await asyncio.sleep(0.25)
    return time.monotonic() - began


@asynccontextmanager
async def tickets_come(stack: Stack) -> AsyncIterator[None]:
    """Beside the calls, somebody opens tickets for the back office and resolves the oldest, as far as the fault lets them."""
    task = asyncio.create_task(_open_and_resolve(stack))
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _open_and_resolve(stack: Stack) -> None:
    opened: deque[str] = deque()
    is_in = False
    async with ClientSession(stack.url, timeout=ClientTimeout(total=5), cookie_jar=CookieJar(unsafe=True)) as http:
        for n in itertools.count():
            try:
                if not is_in:
                    me = {"email": CLERK, "password": demo_account.PASSWORD}
                    async with http.post("/api/v1/session", json=me, raise_for_status=True):
                        is_in = True
                ticket = {"subject": f"Paper {n}", "queue": "office"}
                async with http.post("/api/v1/tickets", json=ticket, raise_for_status=True) as answer:
                    opened.append((await answer.json())["number"])
                while len(opened) > TICKETS_OPEN:
                    path = f"/api/v1/tickets/{opened[0]}"
                    async with http.get(path, raise_for_status=True) as answer:
                        change = {"version": (await answer.json())["version"], "state": "resolved"}
                    async with http.patch(path, json=change) as answer:
                        assert answer.status in (200, 409, 500, 503, 504), await answer.text()
                    opened.popleft()
            except (ClientError, TimeoutError) as error:  # the fault; whether it was done is unknown
                is_in = is_in and getattr(error, "status", None) != HTTPStatus.UNAUTHORIZED
            await asyncio.sleep(TICKET_EVERY_S)


async def offered(stack: Stack, load: Load, *, within_s: float = 20) -> float:
    """Seconds from a new caller's place in the line to the first offer."""
    sid = await load.call(GERMAN)
    rows: list[Any] = []

    async def is_offered() -> bool:
        rows[:] = await stack.fetch(
            "SELECT extract(epoch FROM o.created_at - c.queued_at)::float8 AS waited FROM calls c JOIN offers o ON o.call_id = c.id "
            "WHERE c.sid = $1 ORDER BY o.id LIMIT 1",
            sid,
        )
        return bool(rows)

    await until(is_offered, within_s=within_s, what="a new caller is offered to somebody")
    return float(rows[0]["waited"])
