"""What both brokers do around a handler: one outcome for every ending, even a stray cancellation."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Hashable
from contextlib import asynccontextmanager
from typing import Any

import structlog

from infra.bus import RETRY_DELAYS_S, Handler, Message, Outcome, RetryLater

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def rung_for(delay_s: int) -> int:
    """The first rung of the ladder that waits at least `delay_s`; the last one for anything longer."""
    return next((rung for rung in RETRY_DELAYS_S if rung >= delay_s), RETRY_DELAYS_S[-1])


def is_own_cancellation() -> bool:
    """Whether somebody asked the running task to stop.

    aiormq ends waits on a broken connection with a CancelledError that nobody sent. Those leave
    `cancelling()` at zero and must be treated as an error, or the loop around them ends without a word.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def heed_cancellation() -> None:
    """Say again what the client library may have swallowed: aiormq suppresses errors while it closes a channel, and there
    a cancellation of ours can look like one. Called before a long wait that follows calls of the library."""
    if is_own_cancellation():
        raise asyncio.CancelledError


async def outcome_of(handler: Handler, message: Message, *, consumer: str) -> Outcome:
    """Run the handler. Only a cancellation of this very task gets through."""
    try:
        return await handler(message)
    except asyncio.CancelledError:
        if is_own_cancellation():
            raise
        log.error("handler ended by a stray cancellation", consumer=consumer, event_id=message.event_id)
    except Exception:
        log.exception("handler raised", consumer=consumer, event_id=message.event_id, event_name=message.name)
    return RetryLater(RETRY_DELAYS_S[0])


class InHand:
    """The messages in the hands of one consumer: finished or ended together."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def finish(self, within_s: float) -> None:
        """Let the running ones end; cancel what is left after `within_s`."""
        if not self._running:
            return
        _, left = await asyncio.wait(self._running, timeout=within_s)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)


class OneByOne:
    """Lets those with the same key pass one at a time, the others at once."""

    def __init__(self) -> None:
        self._inside: dict[Hashable, asyncio.Event] = {}

    @asynccontextmanager
    async def alone(self, key: Hashable) -> AsyncIterator[None]:
        while (other := self._inside.get(key)) is not None:
            await other.wait()
        self._inside[key] = left = asyncio.Event()
        try:
            yield
        finally:
            del self._inside[key]
            left.set()
