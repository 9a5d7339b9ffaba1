"""The SQL of users, sessions, tokens and tickets. Callers pass `now`, so that every limit can be tested."""
# ruff: noqa: S105 - PASSWORD and TOKEN in the names of statements

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from accounts.model import (
    SESSION_ABSOLUTE,
    SESSION_IDLE,
    SESSION_TOUCH,
    SESSIONS_PER_USER,
    ApiToken,
    Credentials,
    User,
    may_grant,
)
from core.ids import UserId
from core.principal import Principal, Role
from infra.postgres import Connection, record

# --- users ---------------------------------------------------------------------------------------------------------

USER: Final = "SELECT id, email, name, role, language, is_active, version FROM users WHERE id = $1"
USER_FOR_UPDATE: Final = """
SELECT id, email, name, role, language, is_active, version FROM users WHERE id = $1 FOR UPDATE
"""
USER_BY_EMAIL: Final = """
SELECT id, email, name, role, language, is_active, version FROM users WHERE lower(email) = lower($1)
"""
USERS: Final = """
SELECT id, email, name, role, language, is_active, version FROM users WHERE id > $1 ORDER BY id LIMIT $2
"""
INSERT_USER: Final = """
INSERT INTO users (email, name, role, language) VALUES ($1, $2, $3, $4)
RETURNING id, email, name, role, language, is_active, version
"""
UPDATE_USER: Final = """
UPDATE users SET name = $2, role = $3, language = $4, is_active = $5, version = version + 1, updated_at = now()
WHERE id = $1 RETURNING id, email, name, role, language, is_active, version
"""
CREDENTIALS: Final = """
SELECT id AS user_id, password_hash, password_set_at, is_active FROM users WHERE lower(email) = lower($1)
"""
SET_PASSWORD_HASH: Final = "UPDATE users SET password_hash = $2, password_set_at = $3, updated_at = now() WHERE id = $1"
RENEW_PASSWORD_HASH: Final = "UPDATE users SET password_hash = $2 WHERE id = $1"
USER_WITH_PASSWORD_OF: Final = """
SELECT id, email, name, role, language, is_active, version FROM users
WHERE id = $1 AND password_set_at = $2 AND is_active FOR NO KEY UPDATE
"""


def _user(row: object) -> User:
    fields = record(row)
    return User(**{**fields, "role": Role(fields["role"])})


async def user(conn: Connection, *, user_id: int, lock: bool = False) -> User | None:
    row = await conn.fetchrow(USER_FOR_UPDATE if lock else USER, user_id)
    return None if row is None else _user(row)


async def user_by_email(conn: Connection, *, email: str) -> User | None:
    row = await conn.fetchrow(USER_BY_EMAIL, email)
    return None if row is None else _user(row)


async def users(conn: Connection, *, after_id: int = 0, limit: int = 100) -> list[User]:
    return [_user(row) for row in await conn.fetch(USERS, after_id, limit)]


async def insert_user(conn: Connection, *, email: str, name: str, role: Role, language: str | None) -> User:
    return _user(await conn.fetchrow(INSERT_USER, email, name, role, language))


async def update_user(conn: Connection, new: User) -> User:
    return _user(await conn.fetchrow(UPDATE_USER, new.id, new.name, new.role, new.language, new.is_active))


async def credentials(conn: Connection, *, email: str) -> Credentials | None:
    row = await conn.fetchrow(CREDENTIALS, email)
    return None if row is None else Credentials(**record(row))


async def set_password_hash(conn: Connection, *, user_id: UserId, password_hash: str, now: datetime) -> None:
    await conn.execute(SET_PASSWORD_HASH, user_id, password_hash, now)


async def renew_password_hash(conn: Connection, *, user_id: UserId, password_hash: str) -> None:
    """The same password, hashed with today's parameters."""
    await conn.execute(RENEW_PASSWORD_HASH, user_id, password_hash)


async def user_with_password_of(conn: Connection, *, user_id: UserId, set_at: datetime) -> User | None:
    """The user, if still active and the password is still the one that was verified. Locked until the transaction ends."""
    row = await conn.fetchrow(USER_WITH_PASSWORD_OF, user_id, set_at)
    return None if row is None else _user(row)


# --- sessions ------------------------------------------------------------------------------------------------------

INSERT_SESSION: Final = """
INSERT INTO sessions (token_hash, user_id, created_at, last_seen_at) VALUES ($1, $2, $3, $3)
"""
END_SESSION: Final = "DELETE FROM sessions WHERE token_hash = $1 RETURNING user_id"
END_SESSIONS: Final = "DELETE FROM sessions WHERE user_id = $1"
END_SURPLUS_SESSIONS: Final = """
DELETE FROM sessions WHERE token_hash IN (
    SELECT token_hash FROM sessions WHERE user_id = $1 ORDER BY created_at DESC OFFSET $2
)
"""
SESSION_PRINCIPAL: Final = """
WITH touched AS (
    UPDATE sessions SET last_seen_at = $2
    WHERE token_hash = $1 AND last_seen_at < $5 AND last_seen_at > $3 AND created_at > $4
)
SELECT u.id AS user_id, u.role, u.name, u.email, s.token_hash AS session_hash
FROM sessions s
JOIN users u ON u.id = s.user_id
WHERE s.token_hash = $1 AND s.last_seen_at > $3 AND s.created_at > $4 AND u.is_active
"""
TOKEN_PRINCIPAL: Final = """
SELECT u.id AS user_id, t.role, u.role AS user_role, u.name, u.email, t.token_hash AS session_hash
FROM api_tokens t
JOIN users u ON u.id = t.user_id
WHERE t.token_hash = $1 AND t.revoked_at IS NULL AND t.expires_at > $2 AND u.is_active
"""
LIVE_PRINCIPALS: Final = """
SELECT u.id AS user_id, u.role, u.role AS user_role, u.name, u.email, s.token_hash AS session_hash
FROM sessions s
JOIN users u ON u.id = s.user_id
WHERE s.token_hash = ANY($1) AND s.last_seen_at > $3 AND s.created_at > $4 AND u.is_active
UNION ALL
SELECT u.id, t.role, u.role, u.name, u.email, t.token_hash
FROM api_tokens t
JOIN users u ON u.id = t.user_id
WHERE t.token_hash = ANY($1) AND t.revoked_at IS NULL AND t.expires_at > $2 AND u.is_active
"""
TOUCH_SESSIONS: Final = "UPDATE sessions SET last_seen_at = $2 WHERE token_hash = ANY($1) AND last_seen_at < $3"


def _principal(row: object) -> Principal:
    fields = record(row)
    fields.pop("user_role", None)
    return Principal(**{**fields, "role": Role(fields["role"])})


async def insert_session(conn: Connection, *, token_hash: bytes, user_id: UserId, now: datetime) -> None:
    """Open a session; the oldest ones over SESSIONS_PER_USER end."""
    await conn.execute(INSERT_SESSION, token_hash, user_id, now)
    await conn.execute(END_SURPLUS_SESSIONS, user_id, SESSIONS_PER_USER)


async def end_session(conn: Connection, *, token_hash: bytes) -> UserId | None:
    ended: UserId | None = await conn.fetchval(END_SESSION, token_hash)
    return ended


async def end_sessions(conn: Connection, *, user_id: UserId) -> None:
    await conn.execute(END_SESSIONS, user_id)


async def session_principal(conn: Connection, *, token_hash: bytes, now: datetime) -> Principal | None:
    """Who a session cookie stands for; the use is noted about once a minute."""
    row = await conn.fetchrow(
        SESSION_PRINCIPAL, token_hash, now, now - SESSION_IDLE, now - SESSION_ABSOLUTE, now - SESSION_TOUCH
    )
    return None if row is None else _principal(row)


async def token_principal(conn: Connection, *, token_hash: bytes, now: datetime) -> Principal | None:
    """Who an API token stands for. A token of a user who has lost the role meanwhile is dead."""
    row = await conn.fetchrow(TOKEN_PRINCIPAL, token_hash, now)
    if row is None or not may_grant(Role(row["user_role"]), Role(row["role"])):
        return None
    return _principal(row)


async def live_principals(conn: Connection, *, hashes: Sequence[bytes], now: datetime) -> dict[bytes, Principal]:
    """Of these session hashes (`Principal.session_hash`) those still good, each with today's role. The rest must go."""
    rows = await conn.fetch(LIVE_PRINCIPALS, list(hashes), now, now - SESSION_IDLE, now - SESSION_ABSOLUTE)
    return {
        row["session_hash"]: _principal(row) for row in rows if may_grant(Role(row["user_role"]), Role(row["role"]))
    }


async def touch_sessions(conn: Connection, *, hashes: Sequence[bytes], now: datetime) -> None:
    """An open socket is a use: keep its session from idling out."""
    await conn.execute(TOUCH_SESSIONS, list(hashes), now, now - SESSION_TOUCH)


# --- API tokens ----------------------------------------------------------------------------------------------------

INSERT_TOKEN: Final = """
INSERT INTO api_tokens (token_hash, user_id, role, label, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id, user_id, role, label, created_at, expires_at, revoked_at
"""
REVOKE_TOKEN: Final = """
UPDATE api_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL
RETURNING id, user_id, role, label, created_at, expires_at, revoked_at
"""
REVOKE_TOKENS: Final = "UPDATE api_tokens SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL"
TOKENS_OF: Final = """
SELECT id, user_id, role, label, created_at, expires_at, revoked_at FROM api_tokens WHERE user_id = $1 ORDER BY id
"""


def _token(row: object) -> ApiToken:
    fields = record(row)
    return ApiToken(**{**fields, "role": Role(fields["role"])})


async def insert_token(
    conn: Connection,
    *,
    token_hash: bytes,
    user_id: UserId,
    role: Role,
    label: str,
    now: datetime,
    expires_at: datetime,
) -> ApiToken:
    return _token(await conn.fetchrow(INSERT_TOKEN, token_hash, user_id, role, label, now, expires_at))


async def revoke_token(conn: Connection, *, token_id: int, now: datetime) -> ApiToken | None:
    row = await conn.fetchrow(REVOKE_TOKEN, token_id, now)
    return None if row is None else _token(row)


async def revoke_tokens(conn: Connection, *, user_id: UserId, now: datetime) -> None:
    await conn.execute(REVOKE_TOKENS, user_id, now)


async def tokens_of(conn: Connection, *, user_id: UserId) -> list[ApiToken]:
    return [_token(row) for row in await conn.fetch(TOKENS_OF, user_id)]


# --- realtime tickets ----------------------------------------------------------------------------------------------

INSERT_TICKET: Final = """
INSERT INTO realtime_tickets (ticket_hash, user_id, session_hash, expires_at) VALUES ($1, $2, $3, $4)
"""
USE_TICKET: Final = """
UPDATE realtime_tickets SET used_at = $2 WHERE ticket_hash = $1 AND used_at IS NULL AND expires_at > $2
RETURNING session_hash
"""
TICKET_IS_USED: Final = "SELECT used_at IS NOT NULL FROM realtime_tickets WHERE ticket_hash = $1"
DROP_TICKETS: Final = "DELETE FROM realtime_tickets WHERE user_id = $1 AND used_at IS NULL"


async def insert_ticket(
    conn: Connection, *, ticket_hash: bytes, user_id: int, session_hash: bytes, expires_at: datetime
) -> None:
    await conn.execute(INSERT_TICKET, ticket_hash, user_id, session_hash, expires_at)


async def use_ticket(conn: Connection, *, ticket_hash: bytes, now: datetime) -> bytes | None:
    """Spend a fresh ticket, once; returns the hash of its session."""
    session_hash: bytes | None = await conn.fetchval(USE_TICKET, ticket_hash, now)
    return session_hash


async def ticket_is_used(conn: Connection, *, ticket_hash: bytes) -> bool:
    return bool(await conn.fetchval(TICKET_IS_USED, ticket_hash))


async def drop_tickets(conn: Connection, *, user_id: UserId) -> None:
    await conn.execute(DROP_TICKETS, user_id)


# --- purge ---------------------------------------------------------------------------------------------------------

PURGE_SESSIONS: Final = """
DELETE FROM sessions WHERE token_hash IN (
    SELECT token_hash FROM sessions WHERE last_seen_at < $1 OR created_at < $2 LIMIT $3
)
"""
PURGE_TICKETS: Final = """
DELETE FROM realtime_tickets WHERE ticket_hash IN (SELECT ticket_hash FROM realtime_tickets WHERE expires_at < $1 LIMIT $2)
"""
ALLOW_AUDIT_PURGE: Final = "SET LOCAL ringdesk.audit_purge = 'on'"
PURGE_AUDIT: Final = "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE at < $1 ORDER BY at LIMIT $2)"


def _count(tag: str) -> int:
    return int(tag.split()[-1])


async def purge_sessions(conn: Connection, *, now: datetime, limit: int) -> int:
    return _count(await conn.execute(PURGE_SESSIONS, now - SESSION_IDLE, now - SESSION_ABSOLUTE, limit))


async def purge_tickets(conn: Connection, *, before: datetime, limit: int) -> int:
    return _count(await conn.execute(PURGE_TICKETS, before, limit))


async def purge_audit(conn: Connection, *, before: datetime, limit: int) -> int:
    """The only way rows leave the audit log. The permission ends with the transaction."""
    await conn.execute(ALLOW_AUDIT_PURGE)
    return _count(await conn.execute(PURGE_AUDIT, before, limit))
