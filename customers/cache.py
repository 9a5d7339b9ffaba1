"""Customer cards in Redis, cache-aside. Postgres stays the truth; Redis may be slow, empty, stopped or wrong about nothing.

Why a stale card cannot be served: an entry carries the version of the customer it was read from, every change of a customer
or an identity raises that version in its own transaction, and a reader hands out an entry only if it is at least as new
as the version it has just seen in Postgres (given by the caller from a query of its own, else read here by primary key). So
nothing depends on an invalidation arriving: an entry written by a slow reader after an edit, or left over because Redis was
away during it, is merely a miss. `forget` on `customer.changed` only spares memory and keeps personal data no longer than
needed; so does the time to live.

Every call to Redis ends within TIMEOUT_S. After a failure the circuit stays open for OPEN_S: the cards come from Postgres, and
a stopped Redis costs one short wait in three seconds, not one per request.
"""

import asyncio
from collections.abc import Awaitable
from time import monotonic
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

import structlog
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.events import CustomerChanged
from customers import queries
from customers.model import CustomerCard
from infra.postgres import Connection

log = structlog.get_logger()
T = TypeVar("T")

TTL_S: Final = 900
TIMEOUT_S: Final = 0.1
OPEN_S: Final = 3.0
_CARD: Final = TypeAdapter(CustomerCard)


class Circuit:
    """Whether Redis is worth asking. One per client."""

    def __init__(self) -> None:
        self._closed_again_at = 0.0

    @property
    def is_open(self) -> bool:
        return monotonic() < self._closed_again_at

    async def ask(self, call: Awaitable[T]) -> T | None:
        """The answer, or None when there is none in time."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await call
        except (RedisError, OSError, TimeoutError) as error:
            self._closed_again_at = monotonic() + OPEN_S
            log.warning("customer cache not reachable", error=type(error).__name__)
            return None


_CIRCUITS: WeakKeyDictionary[Redis, Circuit] = WeakKeyDictionary()


def circuit_of(redis: Redis) -> Circuit:
    return _CIRCUITS.setdefault(redis, Circuit())


def _key(customer_id: int) -> str:
    return f"ringdesk:customer:{customer_id}"


async def card(conn: Connection, redis: Redis, *, customer_id: int, version: int | None = None) -> CustomerCard | None:
    """The customer's card, never older than `version`.

    Pass the version that a query of yours has just returned (`Candidate.version`), and a hit costs no query at all; without
    it the version is read first. A miss costs one query more. None when there is no such customer."""
    if version is None:
        version = await queries.customer_version(conn, customer_id=customer_id)
        if version is None:
            return None
    cached = await _read(redis, customer_id)
    if cached is not None and cached.id == customer_id and cached.version >= version:
        return cached
    found = await queries.customer_card(conn, customer_id=customer_id)
    if found is not None:
        await _write(redis, found)
    return found


async def forget(redis: Redis, event: CustomerChanged) -> None:
    """Effect of `customer.changed`: drop the entry. May fail or run twice."""
    circuit = circuit_of(redis)
    if not circuit.is_open:
        await circuit.ask(redis.delete(_key(event.customer_id)))


async def _read(redis: Redis, customer_id: int) -> CustomerCard | None:
    circuit = circuit_of(redis)
    if circuit.is_open:
        return None
    body = await circuit.ask(redis.get(_key(customer_id)))
    if body is None:
        return None
    try:
        return _CARD.validate_json(body)
    except ValidationError:  # written by another release
        return None


async def _write(redis: Redis, found: CustomerCard) -> None:
    circuit = circuit_of(redis)
    if not circuit.is_open:
        await circuit.ask(redis.set(_key(found.id), _CARD.dump_json(found), ex=TTL_S))
