"""Time as the simulator sees it: real in demos, virtual in tests.

The virtual clock moves only when told. `advance` walks from deadline to deadline; before each step it waits until the
simulator has come to rest: no webhook under way and every task asleep. So a ten-minute wait for an agent costs
milliseconds and events still happen in their order.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Handle(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle: ...

    async def sleep(self, seconds: float) -> None: ...

    def working(self) -> AbstractContextManager[None]:
        """Around an exchange with the outside that takes real time: virtual time must not pass meanwhile."""
        ...


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle:
        return asyncio.get_running_loop().call_later(seconds, callback)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def working(self) -> AbstractContextManager[None]:
        return nullcontext()


class _Alarm:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


# A woken task may need a few turns of the loop (start a task, take a lock, step out of it) before it sleeps again or
# announces outside work. Generous, and cheap: an empty turn takes microseconds.
_TURNS_TO_REST = 25


class VirtualClock:
    def __init__(self, start: datetime = datetime(2026, 1, 5, 9, 0, tzinfo=UTC), settle_timeout_s: float = 30) -> None:
        self._now = start
        self._alarms: list[tuple[datetime, int, _Alarm]] = []
        self._order = itertools.count()
        self._working = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._settle_timeout_s = settle_timeout_s

    def now(self) -> datetime:
        return self._now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle:
        alarm = _Alarm(callback)
        heapq.heappush(self._alarms, (self._now + timedelta(seconds=max(seconds, 0)), next(self._order), alarm))
        return alarm

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alarm = self.call_later(seconds, lambda: None if woken.done() else woken.set_result(None))
        try:
            await woken
        finally:
            alarm.cancel()

    @contextmanager
    def working(self) -> Iterator[None]:
        self._working += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._working -= 1
            if not self._working:
                self._idle.set()

    async def settle(self) -> None:
        """Return when nothing more happens unless time passes. Raises TimeoutError (real time) when it never rests."""
        async with asyncio.timeout(self._settle_timeout_s):
            turns = 0
            while turns < _TURNS_TO_REST:
                if self._working:
                    await self._idle.wait()
                    turns = 0
                await asyncio.sleep(0)
                turns += 1

    async def advance(self, seconds: float) -> None:
        await self.run_until(lambda: False, limit_s=seconds)

    async def run_until(self, condition: Callable[[], bool], limit_s: float = 3600) -> bool:
        """Let time pass until `condition()` holds (True) or `limit_s` are over (False)."""
        end = self._now + timedelta(seconds=limit_s)
        while True:
            await self.settle()
            if condition():
                return True
            while self._alarms and self._alarms[0][2].callback is None:
                heapq.heappop(self._alarms)
            if not self._alarms or self._alarms[0][0] > end:
                self._now = max(self._now, end)
                return False
            due, _, alarm = heapq.heappop(self._alarms)
            self._now = max(self._now, due)
            if alarm.callback is not None:
                alarm.callback()
