"""The owner of everything the simulator runs in the background.

One keeper task holds a TaskGroup, so start and stop may come from different tasks (aiohttp starts and cleans up
where it likes). A background job that fails is reported and ends alone: one broken call must not end the others.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class TaskOwner:
    def __init__(self, on_crash: Callable[[str, Exception], None] | None = None, stop_timeout_s: float = 5) -> None:
        self._on_crash = on_crash
        self._stop_timeout_s = stop_timeout_s
        self._group: asyncio.TaskGroup | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._jobs: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        ready = asyncio.Event()
        self._keeper = asyncio.create_task(self._keep(ready), name="simulator.keeper")
        async with asyncio.timeout(self._stop_timeout_s):
            await ready.wait()

    async def _keep(self, ready: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            ready.set()
            await asyncio.Event().wait()  # until stop() cancels this task and with it every job

    @property
    def is_open(self) -> bool:
        """Between start() and stop()."""
        return self._group is not None

    def spawn(self, job: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `job` until it ends or the owner stops. Only while `is_open`."""
        if self._group is None:
            job.close()
            raise RuntimeError("The simulator is not running.")
        task = self._group.create_task(self._guard(job, name), name=f"simulator.{name}")
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        return task

    async def _guard(self, job: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await job
        except Exception as crash:
            log.exception("simulator job crashed", job=name)
            if self._on_crash is not None:
                self._on_crash(name, crash)

    async def stop(self) -> None:
        keeper, self._keeper, self._group = self._keeper, None, None
        if keeper is None:
            return
        keeper.cancel()
        await asyncio.wait({keeper}, timeout=self._stop_timeout_s)

    def __len__(self) -> int:
        return len(self._jobs)
