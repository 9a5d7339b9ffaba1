"""Rows for tests, each with everything it needs and one line to say what matters: `a_user(tx, role=Role.ADMIN)`."""

import itertools
import secrets
from typing import Final

from accounts import passwords, queries, service
from accounts.cookies import cookie_name
from accounts.model import User, fingerprint
from core.principal import Actor, Principal, Role
from customers import service as customers
from customers.model import CustomerCard, NewIdentity, Tier
from infra.outbox import Tx

TESTER: Final = Actor("cli", name="test")
PASSWORD: Final = "correct-horse-battery-42"
_numbers = itertools.count(1)
_hashes: dict[str, str] = {}


async def a_user(
    tx: Tx,
    *,
    role: Role = Role.AGENT,
    email: str | None = None,
    name: str = "Ava Chen",
    language: str | None = None,
    password: str | None = None,
    is_active: bool = True,
) -> User:
    """A user; with a password only when one is given (it costs a hash the first time)."""
    email = email or f"user{next(_numbers)}@example.com"
    user = await service.create_user(tx, email=email, name=name, role=role, language=language, actor=TESTER)
    if password is not None:
        if password not in _hashes:
            _hashes[password] = await passwords.hash_password(password)
        await queries.set_password_hash(tx.conn, user_id=user.id, password_hash=_hashes[password], now=tx.now)
    return user if is_active else await service.disable_user(tx, user.id, actor=TESTER)


async def a_session(tx: Tx, user: User, public_url: str = "http://127.0.0.1:8080") -> tuple[str, str]:
    """An open session; returns the cookie's name and secret."""
    secret = secrets.token_urlsafe(32)
    await queries.insert_session(tx.conn, token_hash=fingerprint(secret), user_id=user.id, now=tx.now)
    return cookie_name(public_url), secret


async def a_principal(tx: Tx, *, role: Role = Role.AGENT) -> Principal:
    """A user with an open session, as the API sees them."""
    user = await a_user(tx, role=role)
    _, secret = await a_session(tx, user)
    return Principal(user.id, user.role, user.name, user.email, fingerprint(secret))


async def a_customer(
    tx: Tx,
    *,
    name: str = "Maria Lopez",
    phone: str | None = None,
    is_shared: bool = False,
    email: str | None = None,
    company: str | None = None,
    tier: Tier = Tier.STANDARD,
    language: str | None = None,
    extension: str | None = None,
) -> CustomerCard:
    """A customer with at most one number (E.164) and one e-mail address."""
    identities = []
    if phone is not None:
        identities.append(NewIdentity("phone", phone, is_shared=is_shared, extension=extension))
    if email is not None:
        identities.append(NewIdentity("email", email))
    return await customers.create_customer(
        tx,
        name=name,
        company=company,
        tier=tier,
        language=language,
        identities=identities,
        allow_duplicate=True,
        actor=TESTER,
    )
