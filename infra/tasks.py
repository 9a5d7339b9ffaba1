"""The end of tasks."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

CANCEL_AGAIN_S: Final = 15.0
"""Longer than any loop takes to finish what it has in hand."""


async def stop_tasks(tasks: Iterable[asyncio.Task[Any]], *, again_s: float = CANCEL_AGAIN_S) -> None:
    """Cancel them until they have ended, however they end. A cancellation that meets a connection in the moment it is made or lost can be
    swallowed there (`asyncio.wait_for` of Python 3.11); a loop that does not heed it (`heed_cancellation`) would go on for ever."""
    everybody = list(tasks)
    pending = {task for task in everybody if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_s)
    await asyncio.gather(*everybody, return_exceptions=True)
