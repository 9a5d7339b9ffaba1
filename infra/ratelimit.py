"""Request limits by `limits`: a moving window in Redis, shared by all replicas, and one in this process.

Both windows are always counted. With Redis gone the local one still holds, so a limit never fails open (log-in must
not); erasing Redis does not forget what this process has seen. After a failure Redis is left alone for OPEN_S, so that a
hanging one does not cost every request its time-out.
"""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from time import monotonic
from typing import Final, TypeVar

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from core.errors import RateLimited, Unavailable

log = structlog.get_logger()
T = TypeVar("T")

LOGIN_PER_ACCOUNT: Final = parse("10 per 5 minutes")
LOGIN_PER_ADDRESS: Final = parse("60 per 5 minutes")
"""Failed log-ins only (`only_failures`): a whole call centre behind one address starts its shift at the same minute."""
API_PER_PRINCIPAL: Final = parse("1200 per minute")
OPEN_S: Final = 3.0
LOTS: Final = 60
"""A sixtieth of a limit is taken from the shared window at a time where a request is too small to ask Redis for each."""
LOTS_KEPT: Final = 10_000


EXPIRE_EVERY_S: Final = 30.0


class _LocalStorage(MemoryStorage):
    """The library's storage, which walks all keys (a thread each) after every hit and stumbles over a key cleared meanwhile."""

    _expired_at = 0.0

    async def _MemoryStorage__schedule_expiry(self) -> None:  # noqa: N802 - the library's mangled name
        if monotonic() - self._expired_at > EXPIRE_EVERY_S:
            self._expired_at = monotonic()
            await super()._MemoryStorage__schedule_expiry()  # type: ignore[misc]

    async def clear(self, key: str) -> None:
        self.events[key] = []


def _refused(limit: RateLimitItem) -> RateLimited:
    return RateLimited(max(1, limit.get_expiry() // limit.amount))


class RateLimiter:
    def __init__(self, redis_url: str | None) -> None:
        self._local = MovingWindowRateLimiter(_LocalStorage())
        self._shared: MovingWindowRateLimiter | None = None
        self._pool: BlockingConnectionPool | None = None
        self._closed_again_at = 0.0
        self._under_way: Counter[tuple[str, str]] = Counter()
        self._lots: dict[tuple[str, str], tuple[int, float]] = {}
        """Hits already taken from the shared window, and until when they count."""
        if redis_url:
            self._pool = BlockingConnectionPool.from_url(
                redis_url, max_connections=32, timeout=1, socket_timeout=0.1, socket_connect_timeout=0.1
            )
            # By its scheme the library chooses the client, and a bare unix:// would be Valkey's, with errors of another family.
            storage = RedisStorage("async+redis://", implementation="redispy", connection_pool=self._pool)  # type: ignore[arg-type]
            self._shared = MovingWindowRateLimiter(storage)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        if self._pool is not None:
            await self._pool.aclose()

    async def hit(self, limit: RateLimitItem, scope: str, key: str) -> None:
        """Count one. Raises RateLimited with the seconds to wait."""
        allowed = await self._local.hit(limit, scope, key)
        if allowed and self._shared is not None:
            allowed = await self._ask(partial(self._shared.hit, limit, scope, key), otherwise=True)
        if not allowed:
            raise _refused(limit)

    async def hit_in_lots(self, limit: RateLimitItem, scope: str, key: str) -> None:
        """Count one of many small ones. This process counts each exactly; from the shared window it takes lots, so that not every
        request costs a trip to Redis. Of what others may do it holds back less than one lot. Raises RateLimited."""
        if not await self._local.hit(limit, scope, key):
            raise _refused(limit)
        if self._shared is None:
            return
        left, until = self._lots.get((scope, key), (0, 0.0))
        if not left or monotonic() >= until:
            lot = max(1, limit.amount // LOTS)
            if not await self._ask(partial(self._shared.hit, limit, scope, key, cost=lot), otherwise=True):
                raise _refused(limit)
            if len(self._lots) >= LOTS_KEPT:
                self._lots.clear()
            left, until = lot, monotonic() + limit.get_expiry() / 2
        self._lots[scope, key] = left - 1, until

    @contextlib.asynccontextmanager
    async def only_failures(self, limit: RateLimitItem, scope: str, key: str) -> AsyncIterator[None]:
        """Count the block when it raises (but not our own Unavailable or RateLimited). Raises RateLimited before it.

        What is under way counts as failed until it ends, so that many tries at the same time do not slip through."""
        self._under_way[scope, key] += 1
        try:
            cost = self._under_way[scope, key]
            allowed = await self._local.test(limit, scope, key, cost=cost)
            if allowed and self._shared is not None:
                allowed = await self._ask(partial(self._shared.test, limit, scope, key, cost=cost), otherwise=True)
            if not allowed:
                raise _refused(limit)
            try:
                yield
            except (Unavailable, RateLimited):
                raise
            except BaseException:
                with contextlib.suppress(RateLimited):
                    await self.hit(limit, scope, key)
                raise
        finally:
            self._under_way[scope, key] -= 1
            if not self._under_way[scope, key]:
                del self._under_way[scope, key]

    async def clear(self, limit: RateLimitItem, scope: str, key: str) -> None:
        """Forget the hits of a key (after a successful log-in)."""
        self._lots.pop((scope, key), None)
        await self._local.clear(limit, scope, key)
        if self._shared is not None:
            await self._ask(partial(self._shared.clear, limit, scope, key), otherwise=None)

    async def _ask(self, call: Callable[[], Awaitable[T]], *, otherwise: T) -> T:
        """What the shared window says; `otherwise` while Redis is away."""
        if monotonic() < self._closed_again_at:
            return otherwise
        try:
            return await call()
        except (RedisError, OSError, TimeoutError) as error:
            self._closed_again_at = monotonic() + OPEN_S
            log.warning("shared rate limit not reachable; the local one holds", error=type(error).__name__)
            return otherwise
