"""Waiting for a state to come true, woken by whoever changes it."""

import asyncio
from collections.abc import Callable

from simulator.clock import Clock


class Changes:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watchers: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Something changed that a condition may read."""
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)

    async def until(self, condition: Callable[[], bool], seconds: float | None) -> bool:
        """True when `condition()` holds, False when the time is over (None: no limit). The condition may raise."""
        if condition():
            return True
        is_late = False

        def late() -> None:
            nonlocal is_late
            is_late = True
            self.notify()

        alarm = self._clock.call_later(seconds, late) if seconds is not None else None
        try:
            while not is_late:
                watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._watchers.add(watcher)
                try:
                    await watcher
                finally:
                    self._watchers.discard(watcher)
                if condition():
                    return True
            return False
        finally:
            if alarm is not None:
                alarm.cancel()
