import asyncio
import time
from datetime import timedelta

from simulator.changes import Changes
from simulator.clock import VirtualClock


async def test_an_hour_takes_no_time() -> None:
    clock, began = VirtualClock(), time.monotonic()
    start, woken = clock.now(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.now() - start))

    async with asyncio.TaskGroup() as group:
        for seconds in (3600, 60, 1800):
            group.create_task(sleeper(seconds))
        await clock.advance(1800)
        assert [s for s, _ in woken] == [60, 1800]
        await clock.advance(1800)
    assert woken == [(s, timedelta(seconds=s)) for s in (60, 1800, 3600)]
    assert time.monotonic() - began < 2


async def test_time_stands_still_while_work_is_under_way() -> None:
    clock, seen = VirtualClock(), []
    start = clock.now()

    async def worker() -> None:
        with clock.working():
            await asyncio.sleep(0.05)
            seen.append(clock.now() - start)

    async with asyncio.TaskGroup() as group:
        group.create_task(worker())
        await asyncio.sleep(0)
        await clock.advance(100)
    assert seen == [timedelta(0)]
    assert clock.now() - start == timedelta(seconds=100)


async def test_a_cancelled_alarm_stays_silent() -> None:
    clock, rung = VirtualClock(), []
    clock.call_later(5, lambda: rung.append("kept"))
    clock.call_later(4, lambda: rung.append("cancelled")).cancel()
    await clock.advance(10)
    assert rung == ["kept"]


async def test_run_until_stops_at_the_condition() -> None:
    clock, rung = VirtualClock(), []
    start = clock.now()
    for seconds in (1, 2, 3):
        clock.call_later(seconds, lambda s=seconds: rung.append(s))  # type: ignore[misc]
    assert await clock.run_until(lambda: 2 in rung, limit_s=10)
    assert clock.now() - start == timedelta(seconds=2)
    assert not await clock.run_until(lambda: 4 in rung, limit_s=10)


async def test_changes_wake_who_waits_and_give_up_in_time() -> None:
    clock = VirtualClock()
    changes, state = Changes(clock), {"is_open": False}
    async with asyncio.TaskGroup() as group:
        opened = group.create_task(changes.until(lambda: state["is_open"], 10))
        late = group.create_task(changes.until(lambda: False, 10))
        await clock.advance(5)
        state["is_open"] = True
        changes.notify()
        await clock.advance(5)
    assert (opened.result(), late.result()) == (True, False)
