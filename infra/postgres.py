"""The connection pool and the database's clock.

Why not asyncpg's pool alone: its reset query costs a caller a third of a short statement, and without it late comers
overtake (p99 of seconds at 1,000 waiters). So: no reset, and a first-come-first-served gate of the pool's size in front.
No session state may therefore be left on a connection; everything is set at connect or `SET LOCAL`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

import asyncpg
import orjson
import structlog

from core.errors import Unavailable
from infra.broker_outcome import heed_cancellation
from infra.tasks import stop_tasks
from infra.telemetry import metrics

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

log = structlog.get_logger()

ACQUIRE_TIMEOUT_S = 1.0
COMMAND_TIMEOUT_S = 5.0
CLOCK_SYNC_S = 10.0
STATEMENTS_KEPT = 300
"""Prepared statements a connection keeps: all of ours. The library's 100 are fewer than one process uses, and it forgets each after five
minutes; a forgotten one costs the next caller a second round trip and Postgres a new plan."""

CONNECTION_ERRORS = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection broke while the library was in the middle of a message
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shut down, starting up, statement over its time
    asyncpg.InsufficientResourcesError,  # disk or memory full, too many connections
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""The database is away, read-only, full or too slow. After a commit these mean *unknown*."""

RETRYABLE_ERRORS = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.LockNotAvailableError,
)
"""The transaction was rolled back and may be run again."""


class DatabaseClock:
    """The database's time, without a round trip: a monotonic clock plus an offset measured now and then."""

    def __init__(self) -> None:
        self._offset_s: float | None = None

    def now(self) -> datetime:
        if self._offset_s is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(monotonic() + self._offset_s, UTC)

    async def sync(self, conn: Connection) -> None:
        """Measure the offset; the shortest of three round trips gives the best one."""
        best: tuple[float, float] | None = None
        for _ in range(3):
            start = monotonic()
            at = await conn.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
            took = monotonic() - start
            if best is None or took < best[0]:
                best = (took, float(at) - (start + took / 2))
        assert best is not None
        self._offset_s = best[1]


async def _no_reset(_: object) -> None:
    """See the module's head."""


async def _set_codecs(conn: Connection) -> None:
    for kind in ("json", "jsonb"):
        await conn.set_type_codec(
            kind, encoder=lambda v: orjson.dumps(v).decode(), decoder=orjson.loads, schema="pg_catalog"
        )


def server_settings(application: str, statement_timeout_s: int = 5) -> dict[str, str]:
    """Time-outs of every session of ours (reliability reference §5.8). Postgres' own defaults wait for ever."""
    return {
        "application_name": application,
        "statement_timeout": f"{statement_timeout_s}s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10s",
        "timezone": "UTC",
        "jit": "off",
    }


@dataclass(slots=True)
class Database:
    """One pool. `acquire` waits its turn, at most ACQUIRE_TIMEOUT_S, then raises Unavailable."""

    pool: Pool
    clock: DatabaseClock
    _gate: asyncio.Semaphore
    size: int

    @contextlib.asynccontextmanager
    async def acquire(self, timeout_s: float = ACQUIRE_TIMEOUT_S) -> AsyncIterator[Connection]:
        asked_at = monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                await self._gate.acquire()
        except TimeoutError as error:
            metrics.pool_refused.inc()
            raise Unavailable("All database connections are busy.") from error
        metrics.pool_wait.observe(monotonic() - asked_at)
        try:
            try:
                conn = await self.pool.acquire(timeout=timeout_s)
            except (TimeoutError, *CONNECTION_ERRORS) as error:
                raise Unavailable("The database is not reachable.") from error
            try:
                yield conn
            except asyncpg.InternalClientError:
                conn.terminate()  # it has lost count of questions and answers; nothing may be asked over it again
                raise
            except asyncpg.ReadOnlySQLTransactionError:
                await self.pool.expire_connections()  # after a fail-over: come back on the primary
                raise
            finally:
                await self._release(conn)
        finally:
            self._gate.release()

    async def _release(self, conn: Connection) -> None:
        if conn.is_in_transaction() and not conn.is_closed():
            conn.terminate()  # left open by a cancelled task; never hand it to somebody else
        await asyncio.shield(self._give_back(conn))

    async def _give_back(self, conn: Connection) -> None:
        """Whatever goes wrong here must not turn a finished transaction into an error; the pool replaces the connection."""
        try:
            await self.pool.release(conn, timeout=2)  # type: ignore[arg-type]
        except (TimeoutError, *CONNECTION_ERRORS) as error:
            log.warning("connection not given back", error=type(error).__name__)
            conn.terminate()

    @property
    def in_use(self) -> int:
        return self.pool.get_size() - self.pool.get_idle_size()  # those not opened yet are not in use

    async def keep_clock(self) -> None:
        """Run for ever: measure the clock's offset again every few seconds."""
        while True:
            heed_cancellation()
            await asyncio.sleep(CLOCK_SYNC_S)
            try:
                async with self.acquire() as conn:
                    await self.clock.sync(conn)
            except (Unavailable, TimeoutError, *CONNECTION_ERRORS):
                log.debug("clock not measured, database away")


async def keep_fresh(
    database: Database, refresh: Callable[[Database], Awaitable[None]], what: str, *, every_s: float
) -> None:
    """Run until cancelled: pick up what `apply` changed, in this or another process. `what` is named in the log while the database is away."""
    while True:
        heed_cancellation()
        await asyncio.sleep(every_s)
        try:
            await refresh(database)
        except (Unavailable, TimeoutError, *CONNECTION_ERRORS):
            log.debug("not refreshed, database away", what=what)


@contextlib.asynccontextmanager
async def open_database(url: str, *, size: int = 10, application: str = "ringdesk") -> AsyncIterator[Database]:
    """Open the pool and keep the clock. Raises Unavailable when the database does not answer within 10 s."""
    settings = server_settings(application)
    if "host=/" not in url and "@/" not in url and "///" not in url:
        settings["tcp_user_timeout"] = "10000"
    try:
        pool: Pool = await asyncpg.create_pool(
            url,
            min_size=min(2, size),
            max_size=size,
            max_inactive_connection_lifetime=300,
            statement_cache_size=STATEMENTS_KEPT,
            max_cached_statement_lifetime=0,
            command_timeout=COMMAND_TIMEOUT_S,
            timeout=5,
            init=_set_codecs,
            reset=_no_reset,
            server_settings=settings,
        )
    except asyncpg.PostgresError as error:
        raise Unavailable(f"The database refuses: {type(error).__name__}.") from error
    except (TimeoutError, *CONNECTION_ERRORS) as error:
        raise Unavailable("The database does not answer.") from error
    try:
        database = Database(pool, DatabaseClock(), asyncio.Semaphore(size), size)
        async with database.acquire(10) as conn:
            await database.clock.sync(conn)
        keeper = asyncio.create_task(database.keep_clock(), name="database clock")
        try:
            yield database
        finally:
            await stop_tasks([keeper])
    finally:
        try:
            async with asyncio.timeout(5):
                await pool.close()
        except TimeoutError:
            pool.terminate()


def record(row: Any) -> dict[str, Any]:
    """A row as a dict, for building dataclasses by keyword."""
    return dict(row.items())


def later(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)
