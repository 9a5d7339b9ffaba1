"""How tasks end."""

import asyncio

from infra.tasks import stop_tasks


async def test_a_cancellation_that_is_swallowed_comes_again() -> None:
    swallowed = 0

    async def loses_one() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed += 1

    async def ends_by_itself() -> None:
        raise ValueError

    tasks = [asyncio.create_task(loses_one()), asyncio.create_task(ends_by_itself())]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await stop_tasks(tasks, again_s=0.01)
    assert swallowed == 1
    assert all(task.done() for task in tasks)
