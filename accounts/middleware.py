"""Who is asking: `authenticate` puts the Principal (or None) of every /api request into `request["principal"]`.

A bearer token wins over the cookie; a bad one is refused, a bad cookie is just nobody. What is found is remembered in this
process for LOOKUP_TTL_S, so a revoked session or token works on for at most that long.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import lru_cache
from time import monotonic
from typing import Final
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.typedefs import Middleware
from aiohttp_session import get_session, session_middleware

from accounts import queries
from accounts.cookies import PRINCIPAL_FIELD, PostgresSessions
from accounts.model import TOKEN_PREFIX, fingerprint
from core.errors import Unauthenticated
from core.principal import Principal
from infra.http import Handler
from infra.openapi import PRINCIPAL
from infra.outbox import Outbox
from infra.postgres import Connection
from infra.resources import RESOURCES

LOOKUP_TTL_S: Final = 4.0
LOOKUPS_KEPT: Final = 10_000

Lookup = Callable[[Connection, bytes, datetime], Awaitable[Principal | None]]


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Inside `problem_middleware`. Webhooks and pages have no principal and cost no look-up."""
    if not request.path.startswith("/api/"):
        return await handler(request)

    async def known(request: web.Request) -> web.StreamResponse:
        request[PRINCIPAL] = await _principal(request)
        return await handler(request)

    return await _sessions(request.config_dict[RESOURCES].public_url)(request, known)


@lru_cache(maxsize=8)
def _sessions(public_url: str) -> Middleware:
    return session_middleware(PostgresSessions(public_url, _session_principal))


async def _principal(request: web.Request) -> Principal | None:
    header = request.headers.get("Authorization")
    if header is None:
        found: Principal | None = (await get_session(request)).get(PRINCIPAL_FIELD)
        return found
    scheme, _, secret = header.partition(" ")
    principal = None
    if scheme.lower() == "bearer" and secret.startswith(TOKEN_PREFIX) and len(secret) < 100 and secret.isascii():
        principal = await _look_up(request, secret, _token)
    if principal is None:
        raise Unauthenticated("This token is unknown, expired or revoked.")
    return principal


async def _session_principal(request: web.Request, secret: str) -> Principal | None:
    return await _look_up(request, secret, _session)


async def _look_up(request: web.Request, secret: str, find: Lookup) -> Principal | None:
    resources = request.config_dict[RESOURCES]
    lookups = lookups_of(resources.outbox)
    key = fingerprint(secret)
    principal = lookups.get(key)
    if principal is None:
        asked_at = monotonic()
        async with resources.database.acquire() as conn:
            principal = await find(conn, key, resources.clock.now())
        if principal is not None:
            lookups.put(key, principal, asked_at)
    return principal


async def _session(conn: Connection, key: bytes, now: datetime) -> Principal | None:
    return await queries.session_principal(conn, token_hash=key, now=now)


async def _token(conn: Connection, key: bytes, now: datetime) -> Principal | None:
    return await queries.token_principal(conn, token_hash=key, now=now)


class Lookups:
    """Found principals by the hash of their secret, each for LOOKUP_TTL_S from the moment the database was asked."""

    def __init__(self) -> None:
        self._found: dict[bytes, tuple[Principal, float]] = {}

    def get(self, key: bytes) -> Principal | None:
        entry = self._found.get(key)
        if entry is None:
            return None
        if entry[1] < monotonic():
            del self._found[key]
            return None
        return entry[0]

    def put(self, key: bytes, principal: Principal, asked_at: float) -> None:
        if len(self._found) >= LOOKUPS_KEPT:
            self._found.clear()
        self._found[key] = (principal, asked_at + LOOKUP_TTL_S)

    def forget(self, key: bytes) -> None:
        """Log-out in this process holds at once."""
        self._found.pop(key, None)


_LOOKUPS: WeakKeyDictionary[Outbox, Lookups] = WeakKeyDictionary()


def lookups_of(outbox: Outbox) -> Lookups:
    """One memory per set of resources (a process has one; tests have many)."""
    return _LOOKUPS.setdefault(outbox, Lookups())
