"""Request limits by `limits`: a moving window in Redis, shared by all replicas, and one in this process.

Both windows are always counted. With Redis gone the local one still holds, so a limit never fails open (log-in must
not); erasing Redis does not forget what this process has seen.
"""

from typing import Final

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

from core.errors import RateLimited

log = structlog.get_logger()

LOGIN_PER_ACCOUNT: Final = parse("10 per 5 minutes")
LOGIN_PER_ADDRESS: Final = parse("60 per 5 minutes")
API_PER_PRINCIPAL: Final = parse("1200 per minute")
API_PER_ADDRESS: Final = parse("3000 per minute")


class RateLimiter:
    def __init__(self, redis_url: str | None) -> None:
        self._local = MovingWindowRateLimiter(MemoryStorage())
        self._shared: MovingWindowRateLimiter | None = None
        if redis_url:
            options = {"socket_timeout": 0.1, "socket_connect_timeout": 0.1}
            storage = RedisStorage(f"async+{redis_url}", implementation="redispy", **options)  # type: ignore[arg-type]
            self._shared = MovingWindowRateLimiter(storage)

    async def hit(self, limit: RateLimitItem, scope: str, key: str) -> None:
        """Count one. Raises RateLimited with the seconds to wait."""
        allowed = await self._local.hit(limit, scope, key)
        if allowed and self._shared is not None:
            try:
                allowed = await self._shared.hit(limit, scope, key)
            except (RedisError, OSError, TimeoutError):
                log.debug("shared rate limit not reachable; the local one holds")
        if not allowed:
            raise RateLimited(max(1, limit.get_expiry() // limit.amount))

    async def clear(self, limit: RateLimitItem, scope: str, key: str) -> None:
        """Forget the hits of a key (after a successful log-in)."""
        await self._local.clear(limit, scope, key)
        if self._shared is not None:
            try:
                await self._shared.clear(limit, scope, key)
            except (RedisError, OSError, TimeoutError):
                log.debug("shared rate limit not reachable")
