"""Process life: which loops a process runs, and how it stops.

SIGTERM or Ctrl-C sets the stop event; the server stops taking requests, loops end, parts close in reverse. A loop that crashes takes
the process down with a non-zero exit, so that its supervisor starts it again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import structlog

from app.figures import keep_figures
from app.parts import Parts
from app.retention import purge
from infra.tasks import stop_tasks
from infra.telemetry import metrics, watch_loop

log = structlog.get_logger()


class LoopEnded(RuntimeError):
    """A loop that should run for ever has ended."""


def web_loops(parts: Parts) -> list[tuple[str, Coroutine[Any, Any, None]]]:
    return [
        ("push", parts.push.run()),
        ("lines", parts.telephony.lines.keep(parts.resources.database)),
        ("connections", parts.telephony.connections.keep(parts.resources.database)),
        ("loop watch", watch_loop()),
    ]


def worker_loops(parts: Parts, roles: Sequence[str] = ()) -> list[tuple[str, Coroutine[Any, Any, None]]]:
    """`roles`: dispatcher, consumers, timers, telephony, housekeeping; none means all."""
    wanted = set(roles)
    loops: list[tuple[str, str, Coroutine[Any, Any, None]]] = [
        ("dispatcher", "dispatcher", parts.dispatcher.run()),
        ("consumers", "consumers", parts.resources.outbox.consume()),
        ("timers", "timers", parts.timers.run()),
        ("telephony", "command sweep", parts.commands.sweep()),
        ("telephony", "reconciler", parts.reconciler.run()),
        ("housekeeping", "purge", purge(parts.resources.outbox, parts.settings)),
        ("housekeeping", "figures", keep_figures(parts.resources.database, parts.settings)),
    ]
    chosen = [(name, coroutine) for role, name, coroutine in loops if not wanted or role in wanted]
    for role, _, coroutine in loops:
        if wanted and role not in wanted:
            coroutine.close()
    return chosen


WORKER_ROLES = ("dispatcher", "consumers", "timers", "telephony", "housekeeping")


@contextlib.asynccontextmanager
async def running(
    loops: Sequence[tuple[str, Coroutine[Any, Any, None]]], stop: asyncio.Event
) -> AsyncIterator[list[str]]:
    """Run the loops beside the block. A loop that ends sets `stop` and is named in the yielded list."""
    failed: list[str] = []

    def ended(task: asyncio.Task[None]) -> None:
        if task.cancelled():
            if not stop.is_set():  # a stray cancellation from a library: not ours, so the loop is lost
                failed.append(task.get_name())
                stop.set()
            return
        error = task.exception()
        metrics.tasks_failed.inc()
        log.error("loop ended", loop=task.get_name(), exc_info=error)
        failed.append(task.get_name())
        stop.set()

    tasks = []
    for name, coroutine in loops:
        task = asyncio.create_task(coroutine, name=name)
        task.add_done_callback(ended)
        tasks.append(task)
    try:
        yield failed
    finally:
        stop.set()
        await stop_tasks(tasks)
