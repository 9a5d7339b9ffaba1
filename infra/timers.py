"""Timers are rows: they survive restarts, and whichever process is alive runs them, by the database's clock.

One timer per (kind, object). Setting it again moves it. A handler gets the version the timer was set for and must do nothing
when the object has moved on; so running one twice, or late, is harmless.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import structlog

from core.errors import RingdeskError
from infra.broker_outcome import heed_cancellation
from infra.crashpoints import crashpoint
from infra.outbox import AWAY, Outbox, Tx, no_stray_cancellation
from infra.postgres import Connection

log = structlog.get_logger()

TimerHandler = Callable[[Tx, int, int], Awaitable[None]]
"""`(tx, object_id, object_version)`."""

POLL_S: Final = 0.25
BATCH: Final = 50
SIDE_BY_SIDE: Final = 4
"""So many at once, so that one that waits for a lock does not keep the others from their time."""

SET_TIMER: Final = """
INSERT INTO timers (kind, object_id, object_version, due_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (kind, object_id) DO UPDATE SET object_version = $3, due_at = $4, attempts = 0, last_error = NULL
"""
# Never waits: whoever cancels holds the object that a runner of this timer is waiting for. That runner then finds the object moved on.
CANCEL_TIMER: Final = """
DELETE FROM timers WHERE (kind, object_id) IN (
    SELECT kind, object_id FROM timers WHERE kind = $1 AND object_id = $2 FOR UPDATE SKIP LOCKED
)
"""
# Never waits either. Nothing is moved that is being run just now.
MOVE_TIMER: Final = """
UPDATE timers SET object_version = $3, due_at = $4 WHERE (kind, object_id) IN (
    SELECT kind, object_id FROM timers WHERE kind = $1 AND object_id = $2 FOR UPDATE SKIP LOCKED
) RETURNING true
"""
DUE_TIMERS: Final = """
SELECT kind, object_id FROM timers WHERE due_at <= clock_timestamp() AND kind = ANY($1) ORDER BY due_at LIMIT $2
"""
TAKE_TIMER: Final = """
DELETE FROM timers WHERE (kind, object_id) IN (
    SELECT kind, object_id FROM timers WHERE kind = $1 AND object_id = $2 AND due_at <= clock_timestamp()
    FOR UPDATE SKIP LOCKED
) RETURNING object_version
"""
TIMERS_OVERDUE: Final = """
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0)::float8 FROM timers WHERE due_at <= clock_timestamp()
"""
TIMER_FAILED: Final = """
UPDATE timers SET attempts = least(attempts + 1, 1000), last_error = $3,
       due_at = clock_timestamp() + make_interval(secs => power(2, least(attempts, 6)))
WHERE kind = $1 AND object_id = $2
"""


async def set_timer(tx: Tx, kind: str, object_id: int, *, version: int, due_at: datetime) -> None:
    await tx.conn.execute(SET_TIMER, kind, object_id, version, due_at)


async def move_timer(tx: Tx, kind: str, object_id: int, *, version: int, due_at: datetime) -> bool:
    """To a later time. False when it is too late: the timer is not there any more, or being run."""
    return bool(await tx.conn.fetchval(MOVE_TIMER, kind, object_id, version, due_at))


async def cancel_timer(tx: Tx, kind: str, object_id: int) -> None:
    await tx.conn.execute(CANCEL_TIMER, kind, object_id)


async def overdue_s(conn: Connection) -> float:
    """How long the timer that is due for longest has been due; 0 when none is."""
    return float(await conn.fetchval(TIMERS_OVERDUE))


class TimerRunner:
    """Runs due timers; several may run side by side."""

    def __init__(self, outbox: Outbox, handlers: dict[str, TimerHandler]) -> None:
        self._outbox = outbox
        self._handlers = handlers

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            heed_cancellation()
            try:
                with no_stray_cancellation():
                    count = await self.run_due()
            except AWAY:
                count = 0
            await asyncio.sleep(0 if count == BATCH else POLL_S)

    async def run_due(self) -> int:
        """Run what is due now, up to BATCH. Returns how many of them this runner took."""
        async with self._outbox.database.acquire() as conn:
            due = await conn.fetch(DUE_TIMERS, list(self._handlers), BATCH)
        gate = asyncio.Semaphore(SIDE_BY_SIDE)

        async def one(kind: str, object_id: int) -> bool:
            async with gate:
                return await self._run_one(kind, object_id)

        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one(row["kind"], row["object_id"])) for row in due]
        return sum(task.result() for task in running)

    async def _run_one(self, kind: str, object_id: int) -> bool:
        """False when another runner has it, or the database has no time: then it stays due."""

        async def body(tx: Tx) -> bool:
            version = await tx.conn.fetchval(TAKE_TIMER, kind, object_id)
            if version is not None:
                crashpoint("timers.after_take")
                await self._handlers[kind](tx, object_id, version)
                crashpoint("timers.before_commit")
            return version is not None

        try:
            with no_stray_cancellation():
                async with asyncio.timeout(10):
                    return await self._outbox.transact(body)
        except AWAY:
            log.debug("timer waits for the database", kind=kind)
        except Exception as error:
            reason = error.code if isinstance(error, RingdeskError) else type(error).__name__
            log.exception("timer failed", kind=kind, object_id=object_id)
            with contextlib.suppress(*AWAY):
                async with self._outbox.database.acquire() as conn:
                    await conn.execute(TIMER_FAILED, kind, object_id, reason)
        return False
