"""Users, their sessions and tokens. Pure: `now` is an argument, secrets are drawn in the service.

A session ends twelve hours after its last use and seven days after log-in, whichever comes first. Secrets (session
cookies, API tokens, realtime tickets) carry 256 random bits; we keep only their SHA-256.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final

from pydantic import BaseModel, ConfigDict

from core.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from core.ids import UserId
from core.principal import Role

SESSION_IDLE: Final = timedelta(hours=12)
SESSION_ABSOLUTE: Final = timedelta(days=7)
SESSION_TOUCH: Final = timedelta(minutes=1)
"""`last_seen_at` is written at most this often: a read must not cost a write each time."""
SESSIONS_PER_USER: Final = 20
TICKET_LIFE: Final = timedelta(seconds=60)
TOKEN_PREFIX: Final = "rdt_"  # noqa: S105 - lets people and secret scanners recognise our API tokens

PASSWORD_MIN: Final = 12
PASSWORD_MAX: Final = 1024


class BadCredentials(Unauthenticated):
    """One text for unknown user, wrong password and disabled user."""

    code, title = "bad_credentials", "E-mail or password is wrong"


class UserNotFound(NotFound):
    code, title = "user_not_found", "There is no such user"


class EmailTaken(Conflict):
    code, title = "email_taken", "Another user has this e-mail address"


class InvalidEmail(Invalid):
    code, title = "invalid_email", "This is not an e-mail address"


class WeakPassword(Invalid):
    code, title = "weak_password", "This password is too easy to guess"


class RoleTooHigh(Forbidden):
    code, title = "role_too_high", "A token cannot do more than its user"


class TicketRefusal(StrEnum):
    """Why a realtime ticket does not open a socket; the client sees `ticket_invalid`, `ticket_used` or `forbidden`."""

    INVALID = "invalid"
    USED = "used"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class User:
    id: UserId
    email: str
    name: str
    role: Role
    language: str | None
    is_active: bool
    version: int


@dataclass(frozen=True, slots=True)
class Credentials:
    """What log-in compares with. Hash and time are None for users who cannot log in with a password."""

    user_id: UserId
    password_hash: str | None
    password_set_at: datetime | None
    is_active: bool


@dataclass(frozen=True, slots=True)
class ApiToken:
    id: int
    user_id: UserId
    role: Role
    label: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class Me(BaseModel):
    """The logged-in user, as clients see themselves."""

    model_config = ConfigDict(frozen=True)

    id: int
    email: str
    name: str
    role: Role
    language: str | None


def me_of(user: User) -> Me:
    return Me(id=user.id, email=user.email, name=user.name, role=user.role, language=user.language)


def fingerprint(secret: str) -> bytes:
    """What we keep of a secret. Fast on purpose: nobody guesses 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()


def may_grant(user_role: Role, token_role: Role) -> bool:
    """May a token of a user with `user_role` act as `token_role`?"""
    return token_role is user_role or user_role is Role.ADMIN or token_role is Role.INTEGRATION


_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,253}")


def normalise_email(email: str) -> str:
    """Trimmed and in lower case. Raises InvalidEmail."""
    text = unicodedata.normalize("NFC", email).strip().lower()
    if len(text) > 254 or not _EMAIL.fullmatch(text) or not text.isprintable():
        raise InvalidEmail("This is not an e-mail address.")
    return text


def password_fault(password: str, *, email: str) -> str | None:
    """Why this password is refused, or None. Length counts, composition rules do not (NIST SP 800-63B)."""
    if len(password) < PASSWORD_MIN:
        return f"A password needs at least {PASSWORD_MIN} characters."
    if len(password) > PASSWORD_MAX:
        return f"A password has at most {PASSWORD_MAX} characters."
    plain = password.casefold()
    if len(set(plain)) < 5 or _is_run(plain) or plain in _COMMON:
        return "This password is on the list of those that are tried first."
    name = email.split("@")[0].casefold()
    if len(name) > 3 and name in plain and len(plain) < len(name) + 8:
        return "A password may not consist of the e-mail address."
    return None


def _is_run(text: str) -> bool:
    """`abcdefghijkl`, `987654321098`: each character follows its neighbour by one and the same step."""
    steps = {(ord(b) - ord(a)) % 10 if a.isdecimal() and b.isdecimal() else ord(b) - ord(a) for a, b in pairwise(text)}
    return len(steps) == 1


# The head of public lists of leaked passwords that are long enough for us.
_COMMON: Final = frozenset(
    """
    password1234 password12345 password123456 passwordpassword password123! password2023 password2024 password2025
    passw0rd1234 p@ssw0rd1234 p@ssword1234 p@ssw0rd12345 iloveyou1234 iloveyouforever welcome12345 welcome123456
    qwertyuiop12 qwertyuiop123 qwertyuiop123456789 qwertyqwerty qwerty123456 qwerty1234567 qwerty12345678
    1q2w3e4r5t6y 1q2w3e4r5t6y7u 1qaz2wsx3edc 1qaz2wsx3edc4rfv zaq12wsxcde3 q1w2e3r4t5y6 asdfghjkl123 asdfasdfasdf
    zxcvbnm12345 qazwsxedcrfv qazwsxedc123 abcd12345678 abc123456789 a1b2c3d4e5f6 abcabcabcabc aaaaaa111111
    administrator administrator1 admin1234567 admin12345678 adminadminadmin letmeinplease letmein12345 changeme1234
    changemechangeme trustno1trustno1 superman12345 batman123456 football1234 baseball1234 basketball12 liverpool123
    manchesterunited chelsea12345 arsenal12345 barcelona123 realmadrid123 michaeljordan jennifer1234 jessica12345
    princess1234 sunshine1234 sunshine12345 monkey123456 dragon123456 shadow123456 master123456 hello1234567
    helloworld123 helloworld12 computer1234 internet1234 samsung12345 microsoft123 starwars1234 pokemon12345
    naruto123456 minecraft123 blink182blink182 correcthorsebatterystaple 123456abcdef 123qweasdzxc 123qwe456rty
    qweasdzxc123 woaini1314520 woaini123456 woaini520520 5201314woaini wodemima1234 mima12345678 passwort1234
    passwort12345 geheim123456 schatz123456 hallo1234567 ringdesk1234 ringdeskringdesk callcenter12 callcenter123
    """.split()  # noqa: SIM905 - as a list literal these would be a hundred lines
)
