"""Use cases of users, sessions, API tokens and realtime tickets. Every command leaves an audit row.

Who is disabled, or gets another password, loses sessions, tickets (and, when disabled, tokens) at once; processes that have
a session cached notice within five seconds, sockets at their next look (`queries.live_principals`).
"""

import secrets
from dataclasses import replace
from datetime import datetime

import asyncpg

from accounts import passwords, queries
from accounts.audit import audit, changes
from accounts.model import (
    TICKET_LIFE,
    TOKEN_PREFIX,
    ApiToken,
    BadCredentials,
    Credentials,
    EmailTaken,
    RoleTooHigh,
    TicketRefusal,
    User,
    UserNotFound,
    WeakPassword,
    fingerprint,
    may_grant,
    normalise_email,
    password_fault,
)
from core.errors import Forbidden, NotFound
from core.ids import UserId
from core.principal import STAFF, Actor, Principal, Role, actor_of
from infra.outbox import Tx

# --- users ---------------------------------------------------------------------------------------------------------


async def create_user(tx: Tx, *, email: str, name: str, role: Role, language: str | None = None, actor: Actor) -> User:
    """A user without a password (see `set_password`). Raises EmailTaken, InvalidEmail."""
    try:
        async with tx.conn.transaction():
            user = await queries.insert_user(
                tx.conn, email=normalise_email(email), name=name, role=role, language=language
            )
    except asyncpg.UniqueViolationError as error:
        raise EmailTaken("Another user has this e-mail address.") from error
    await audit(tx, actor, "user.create", "user", user.id, after=_facts(user))
    return user


async def update_user(
    tx: Tx,
    user_id: int,
    *,
    name: str | None = None,
    role: Role | None = None,
    language: str | None = None,
    actor: Actor,
) -> User:
    """Change what is given; nothing happens when nothing differs. A new role holds within seconds, also for open sessions."""
    old = await _user_for_update(tx, user_id)
    new = replace(old, name=name or old.name, role=role or old.role, language=language or old.language)
    return old if new == old else await _save(tx, old, new, "user.update", actor)


async def ensure_user(tx: Tx, *, email: str, name: str, role: Role, language: str | None = None, actor: Actor) -> User:
    """The user with this e-mail address, made or brought up to date. Who was disabled stays so."""
    known = await queries.user_by_email(tx.conn, email=normalise_email(email))
    if known is None:
        return await create_user(tx, email=email, name=name, role=role, language=language, actor=actor)
    return await update_user(tx, known.id, name=name, role=role, language=language, actor=actor)


async def disable_user(tx: Tx, user_id: int, *, actor: Actor) -> User:
    """No log-in any more; sessions, tokens and unused tickets end."""
    old = await _user_for_update(tx, user_id)
    await queries.end_sessions(tx.conn, user_id=old.id)
    await queries.drop_tickets(tx.conn, user_id=old.id)
    await queries.revoke_tokens(tx.conn, user_id=old.id, now=tx.now)
    return await _save(tx, old, replace(old, is_active=False), "user.disable", actor)


async def enable_user(tx: Tx, user_id: int, *, actor: Actor) -> User:
    """Log-in is possible again. Revoked tokens stay revoked."""
    old = await _user_for_update(tx, user_id)
    return await _save(tx, old, replace(old, is_active=True), "user.enable", actor)


async def set_password(tx: Tx, user_id: int, password: str, *, actor: Actor, allow_weak: bool = False) -> None:
    """Set the password and end the user's sessions. Raises WeakPassword; `allow_weak` is for the demo only."""
    user = await _user_for_update(tx, user_id)
    fault = password_fault(password, email=user.email)
    if fault is not None and not (allow_weak and password):
        raise WeakPassword(fault)
    password_hash = await passwords.hash_password(password)
    await queries.set_password_hash(tx.conn, user_id=user.id, password_hash=password_hash, now=tx.now)
    await queries.end_sessions(tx.conn, user_id=user.id)
    await queries.drop_tickets(tx.conn, user_id=user.id)
    await audit(tx, actor, "user.set_password", "user", user.id)


async def _user_for_update(tx: Tx, user_id: int) -> User:
    user = await queries.user(tx.conn, user_id=user_id, lock=True)
    if user is None:
        raise UserNotFound
    return user


async def _save(tx: Tx, old: User, new: User, action: str, actor: Actor) -> User:
    saved = await queries.update_user(tx.conn, new)
    before, after = changes(_facts(old), _facts(saved))
    await audit(tx, actor, action, "user", saved.id, before=before, after=after)
    return saved


def _facts(user: User) -> dict[str, object]:
    return {
        "email": user.email,
        "name": user.name,
        "role": user.role.value,
        "language": user.language,
        "is_active": user.is_active,
    }


# --- sessions ------------------------------------------------------------------------------------------------------


async def open_session(
    tx: Tx, verified: Credentials, *, replaces: bytes | None = None, new_hash: str | None = None
) -> tuple[User, str]:
    """Log in whoever's password has just been verified; returns the user and the new session's secret.

    A session the browser came with (`replaces`) ends: nobody keeps a secret from before the log-in. `new_hash` is the same
    password hashed with today's parameters. Raises BadCredentials if the user or the password changed meanwhile."""
    user = None
    if verified.password_set_at is not None:
        user = await queries.user_with_password_of(tx.conn, user_id=verified.user_id, set_at=verified.password_set_at)
    if user is None:
        raise BadCredentials("E-mail or password is wrong.")
    if replaces is not None:
        await queries.end_session(tx.conn, token_hash=replaces)
    if new_hash is not None:
        await queries.renew_password_hash(tx.conn, user_id=user.id, password_hash=new_hash)
    secret = secrets.token_urlsafe(32)
    await queries.insert_session(tx.conn, token_hash=fingerprint(secret), user_id=user.id, now=tx.now)
    await audit(tx, Actor("user", user.id, user.name), "session.open", "user", user.id)
    return user, secret


async def refuse_log_in(tx: Tx, user_id: UserId | None) -> None:
    """Note a failed log-in. What was typed is not kept: it may be a password in the wrong field."""
    await audit(tx, Actor("anonymous"), "session.refuse", "user", user_id)


async def close_session(tx: Tx, principal: Principal) -> None:
    """Log out. Raises NotFound for a request that came with an API token instead of a session."""
    if principal.session_hash is None or await queries.end_session(tx.conn, token_hash=principal.session_hash) is None:
        raise NotFound("There is no session to end.")
    await audit(tx, actor_of(principal), "session.close", "user", principal.user_id)


# --- API tokens ----------------------------------------------------------------------------------------------------


async def create_token(
    tx: Tx, user_id: int, *, role: Role, label: str, expires_at: datetime, actor: Actor
) -> tuple[ApiToken, str]:
    """A bearer token of a user; its secret is shown this once. Raises RoleTooHigh, UserNotFound."""
    user = await _user_for_update(tx, user_id)
    if not user.is_active:
        raise UserNotFound
    if not may_grant(user.role, role):
        raise RoleTooHigh("A token cannot do more than its user.")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = await queries.insert_token(
        tx.conn,
        token_hash=fingerprint(secret),
        user_id=user.id,
        role=role,
        label=label,
        now=tx.now,
        expires_at=expires_at,
    )
    facts = {"user_id": user.id, "role": role.value, "label": label, "expires_at": expires_at}
    await audit(tx, actor, "api_token.create", "api_token", token.id, after=facts)
    return token, secret


async def revoke_token(tx: Tx, token_id: int, *, actor: Actor) -> ApiToken:
    """The token is dead within seconds. Raises NotFound for an unknown or already revoked one."""
    token = await queries.revoke_token(tx.conn, token_id=token_id, now=tx.now)
    if token is None:
        raise NotFound("There is no such token, or it is revoked already.")
    await audit(tx, actor, "api_token.revoke", "api_token", token.id)
    return token


# --- realtime tickets ----------------------------------------------------------------------------------------------


async def issue_realtime_ticket(tx: Tx, principal: Principal) -> str:
    """A secret that opens one socket within a minute, bound to the session (or API token) it was asked with."""
    if principal.session_hash is None or principal.role not in STAFF:
        raise Forbidden("Your role has no desk.")
    secret = secrets.token_urlsafe(32)
    await queries.insert_ticket(
        tx.conn,
        ticket_hash=fingerprint(secret),
        user_id=principal.user_id,
        session_hash=principal.session_hash,
        expires_at=tx.now + TICKET_LIFE,
    )
    await audit(tx, actor_of(principal), "realtime_ticket.issue", "user", principal.user_id)
    return secret


async def redeem_realtime_ticket(tx: Tx, ticket: str) -> Principal | TicketRefusal:
    """Spend a ticket. The principal is the session's user as they are now, not as they were when it was issued."""
    if not ticket.isascii() or len(ticket) > 100:
        return TicketRefusal.INVALID
    ticket_hash = fingerprint(ticket)
    session_hash = await queries.use_ticket(tx.conn, ticket_hash=ticket_hash, now=tx.now)
    if session_hash is None:
        is_used = await queries.ticket_is_used(tx.conn, ticket_hash=ticket_hash)
        return TicketRefusal.USED if is_used else TicketRefusal.INVALID
    principal = (await queries.live_principals(tx.conn, hashes=[session_hash], now=tx.now)).get(session_hash)
    if principal is None or principal.role not in STAFF:
        return TicketRefusal.FORBIDDEN
    return principal
