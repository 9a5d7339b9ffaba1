"""Log in, who am I, log out; tickets for the socket; the list of users."""

from typing import Annotated, Final

from aiohttp_session import Session, get_session, new_session
from pydantic import BaseModel, Field, StringConstraints

from accounts import passwords, queries, service
from accounts.cookies import PRINCIPAL_FIELD
from accounts.middleware import lookups_of
from accounts.model import (
    PASSWORD_MAX,
    BadCredentials,
    Credentials,
    InvalidEmail,
    Me,
    User,
    fingerprint,
    me_of,
    normalise_email,
)
from core.errors import Unauthenticated
from core.principal import ADMINS, READERS, STAFF, Principal
from infra.http import client_address
from infra.openapi import PUBLIC, ApiModel, ApiQuery, Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection
from infra.ratelimit import LOGIN_PER_ACCOUNT, LOGIN_PER_ADDRESS

ROUTES: Final = Routes("accounts")


class LogIn(ApiModel):
    email: Annotated[str, Field(max_length=254)]
    password: Annotated[str, StringConstraints(strip_whitespace=False, max_length=PASSWORD_MAX)]


class SessionOut(BaseModel):
    user: Me


class RealtimeTicket(BaseModel):
    ticket: str


class UserFilter(ApiQuery):
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = None


class UserOut(Me):
    is_active: bool
    version: int


class UserPage(BaseModel):
    items: list[UserOut]
    next_cursor: str | None


@ROUTES.bare("POST", "/api/v1/session", roles=PUBLIC, body=LogIn, returns=SessionOut, errors=("401", "429"))
async def log_in(call: Call[LogIn]) -> SessionOut:
    """Log in with e-mail and password; the answer sets the session cookie."""
    limiter, account = call.resources.limiter, fingerprint(call.data.email.strip().lower()).hex()
    async with limiter.only_failures(LOGIN_PER_ADDRESS, "login", client_address(call.request)):
        await limiter.hit(LOGIN_PER_ACCOUNT, "login", account)  # known or not
        verified, new_hash = await _verified(call)
        user, secret = await _open(call, verified, new_hash)
    await limiter.clear(LOGIN_PER_ACCOUNT, "login", account)
    session = await new_session(call.request)
    session.set_new_identity(secret)
    session[PRINCIPAL_FIELD] = Principal(user.id, user.role, user.name, user.email, fingerprint(secret))
    return SessionOut(user=me_of(user))


async def _open(call: Call[LogIn], verified: Credentials, new_hash: str | None) -> tuple[User, str]:
    """The new session, in place of the one the browser came with."""
    old = await get_session(call.request)
    replaces = None if old.identity is None else fingerprint(old.identity)

    async def body(tx: Tx) -> tuple[User, str]:
        if replaces is not None:
            tx.on_commit.append(lambda: lookups_of(tx.outbox).forget(replaces))
        return await service.open_session(tx, verified, replaces=replaces, new_hash=new_hash)

    return await call.resources.outbox.transact(body, request_id=call.request_id)


async def _verified(call: Call[LogIn]) -> tuple[Credentials, str | None]:
    """The user if the password is right, with a fresh hash where the old one is out of date. Raises BadCredentials.

    No connection is held while hashing. Unknown, disabled and wrong do the same work, so that time does not tell them
    apart."""
    resources, password = call.resources, call.data.password
    try:
        email = normalise_email(call.data.email)
    except InvalidEmail:
        email = ""
    async with resources.database.acquire() as conn:
        found = await queries.credentials(conn, email=email)
    stored = found.password_hash if found is not None else None
    is_right = await passwords.is_right(stored, password)
    if found is not None and stored is not None and is_right and found.is_active:
        return found, await passwords.hash_password(password) if passwords.is_outdated(stored) else None
    async with resources.outbox.transaction(request_id=call.request_id) as tx:
        await service.refuse_log_in(tx, None if found is None else found.user_id)
    raise BadCredentials("E-mail or password is wrong.")


@ROUTES.query("/api/v1/session", roles=READERS, returns=SessionOut)
async def who_am_i(conn: Connection, call: Call[Nothing]) -> SessionOut:
    """The logged-in user."""
    user = await queries.user(conn, user_id=call.who.user_id)
    if user is None:
        raise Unauthenticated
    return SessionOut(user=Me(**{**me_of(user).model_dump(), "role": call.who.role}))


@ROUTES.command("DELETE", "/api/v1/session", roles=READERS)
async def log_out(tx: Tx, call: Call[Nothing]) -> None:
    """Log out; sockets of the session are closed within seconds."""
    await service.close_session(tx, call.who)
    session = await get_session(call.request)
    tx.on_commit.append(lambda: _forget(tx, session, call.who))


def _forget(tx: Tx, session: Session, principal: Principal) -> None:
    """Take the cookie away and let this process forget the session at once."""
    session.invalidate()
    if principal.session_hash is not None:
        lookups_of(tx.outbox).forget(principal.session_hash)


@ROUTES.command("POST", "/api/v1/realtime-ticket", roles=STAFF, returns=RealtimeTicket)
async def realtime_ticket(tx: Tx, call: Call[Nothing]) -> RealtimeTicket:
    """A single-use ticket for the socket's handshake, good for 60 seconds."""
    return RealtimeTicket(ticket=await service.issue_realtime_ticket(tx, call.who))


@ROUTES.query("/api/v1/users", roles=ADMINS, params=UserFilter, returns=UserPage)
async def list_users(conn: Connection, call: Call[UserFilter]) -> UserPage:
    """All users, by id."""
    limit = call.data.limit
    found = await queries.users(conn, after_id=int(call.data.cursor or 0), limit=limit + 1)
    items = [UserOut(**me_of(u).model_dump(), is_active=u.is_active, version=u.version) for u in found[:limit]]
    return UserPage(items=items, next_cursor=str(items[-1].id) if len(found) > limit else None)
