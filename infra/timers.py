"""Timers are rows: they survive restarts, and whichever process is alive runs them, by the database's clock.

One timer per (kind, object). Setting it again moves it. A handler gets the version the timer was set for and must do nothing
when the object has moved on; so running one twice, or late, is harmless.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import structlog

from core.errors import RingdeskError, Unavailable
from infra.outbox import Outbox, Tx
from infra.postgres import CONNECTION_ERRORS, RETRYABLE_ERRORS

log = structlog.get_logger()

TimerHandler = Callable[[Tx, int, int], Awaitable[None]]
"""`(tx, object_id, object_version)`."""

POLL_S: Final = 0.25
BATCH: Final = 50

SET_TIMER: Final = """
INSERT INTO timers (kind, object_id, object_version, due_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (kind, object_id) DO UPDATE SET object_version = $3, due_at = $4, attempts = 0, last_error = NULL
"""
CANCEL_TIMER: Final = "DELETE FROM timers WHERE kind = $1 AND object_id = $2"
DUE_TIMERS: Final = """
SELECT kind, object_id FROM timers WHERE due_at <= clock_timestamp() AND kind = ANY($1) ORDER BY due_at LIMIT $2
"""
TAKE_TIMER: Final = """
DELETE FROM timers WHERE (kind, object_id) IN (
    SELECT kind, object_id FROM timers WHERE kind = $1 AND object_id = $2 AND due_at <= clock_timestamp()
    FOR UPDATE SKIP LOCKED
) RETURNING object_version
"""
TIMER_FAILED: Final = """
UPDATE timers SET attempts = attempts + 1, last_error = $3,
       due_at = clock_timestamp() + make_interval(secs => least(60, power(2, attempts)))
WHERE kind = $1 AND object_id = $2
"""


async def set_timer(tx: Tx, kind: str, object_id: int, *, version: int, due_at: datetime) -> None:
    await tx.conn.execute(SET_TIMER, kind, object_id, version, due_at)


async def cancel_timer(tx: Tx, kind: str, object_id: int) -> None:
    await tx.conn.execute(CANCEL_TIMER, kind, object_id)


class TimerRunner:
    """Runs due timers; several may run side by side."""

    def __init__(self, outbox: Outbox, handlers: dict[str, TimerHandler]) -> None:
        self._outbox = outbox
        self._handlers = handlers

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            try:
                count = await self.run_due()
            except (Unavailable, TimeoutError, *CONNECTION_ERRORS):
                count = 0
            await asyncio.sleep(0 if count == BATCH else POLL_S)

    async def run_due(self) -> int:
        async with self._outbox.database.acquire() as conn:
            due = await conn.fetch(DUE_TIMERS, list(self._handlers), BATCH)
        for row in due:
            await self._run_one(row["kind"], row["object_id"])
        return len(due)

    async def _run_one(self, kind: str, object_id: int) -> None:
        async def body(tx: Tx) -> None:
            version = await tx.conn.fetchval(TAKE_TIMER, kind, object_id)
            if version is not None:
                await self._handlers[kind](tx, object_id, version)

        try:
            async with asyncio.timeout(10):
                await self._outbox.transact(body)
        except (Unavailable, TimeoutError, *CONNECTION_ERRORS, *RETRYABLE_ERRORS):
            log.debug("timer waits for the database", kind=kind)
        except Exception as error:
            reason = error.code if isinstance(error, RingdeskError) else type(error).__name__
            log.exception("timer failed", kind=kind, object_id=object_id)
            async with self._outbox.database.acquire() as conn:
                await conn.execute(TIMER_FAILED, kind, object_id, reason)
