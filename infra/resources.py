"""What every edge needs, opened once by app and read from one typed key. Services never see it."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web
from redis.asyncio import Redis

from infra.bus import Broker
from infra.outbox import Outbox
from infra.postgres import Database, DatabaseClock
from infra.ratelimit import RateLimiter


@dataclass(frozen=True, slots=True)
class Resources:
    database: Database
    outbox: Outbox
    broker: Broker
    redis: Redis
    limiter: RateLimiter
    public_url: str
    version: str
    replica: str
    """A name for this process, unique per start: leases and logs carry it."""

    @property
    def clock(self) -> DatabaseClock:
        return self.database.clock


RESOURCES: Final = web.AppKey("RESOURCES", Resources)
