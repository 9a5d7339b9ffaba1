"""A crowd at work while a test does its worst, and the accounts when it is over."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from simulator.people.agents import Habits
from tests.chaos.books import faults_of
from tests.chaos.stack import AGENT_HABITS, Load, Stack, until
from tests.chaos.traces import leaks, presence_is_real, stray_tasks

GERMAN: Final = "+4930901820"


@asynccontextmanager
async def nothing_lost(
    stack: Stack, fault: str, *, seed: int, least_calls: int = 6, habits: Habits = AGENT_HABITS, longest_s: float = 1500
) -> AsyncIterator[Load]:
    """A load during which the block does its worst. At the end of the block everything must be healed."""
    try:
        async with stack.load(seed=seed, habits=habits, longest_s=longest_s) as load:
            try:
                yield load
                assert await stack.broken(settled=False) == {}
            except BaseException:
                sys.stdout.write(await stack.facts())
                raise
        report = load.report
        assert await stack.broken(settled=False) == {}
        load.measured["settled_s"] = await stack.settle()
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
