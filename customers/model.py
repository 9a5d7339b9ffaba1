"""Who is calling: the customer, the ways to reach them, and what a number says about them. Pure."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from core.errors import Conflict, Invalid, NotFound, VersionConflict
from core.ids import CustomerId
from core.phone import Attestation, Number, NumberKind

MAX_CANDIDATES: Final = 5


class Tier(StrEnum):
    STANDARD = "standard"
    GOLD = "gold"
    VIP = "vip"


class Match(StrEnum):
    ONE = "one"
    MANY = "many"
    NONE = "none"
    WITHHELD = "withheld"


class CustomerNotFound(NotFound):
    code, title = "customer_not_found", "There is no such customer"


class CustomerExists(Conflict):
    """`candidates` are the customers who have this number or address already."""

    code, title = "customer_exists", "A customer with this number or address exists"


class CustomerVersionConflict(VersionConflict):
    """`current` is the customer as it is now."""


class InvalidPhone(Invalid):
    code, title = "invalid_phone", "This is not a telephone number"


class InvalidImport(Invalid):
    """`errors` name the lines."""

    code, title = "invalid_import", "The file of customers has mistakes"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why somebody is a candidate: the identity that matched."""

    kind: str
    value: str
    label: str | None
    verified_at: datetime | None
    is_shared: bool
    source: str


@dataclass(frozen=True, slots=True)
class ChosenBefore:
    """Somebody said that this is who called from the number: by whom, when, how often."""

    by: str | None
    at: datetime
    times: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """`chosen`: whom an agent chose for this number before. A suggestion, never more."""

    id: CustomerId
    name: str
    tier: Tier
    company: str | None
    language: str | None
    evidence: Evidence
    version: int = 1
    chosen: ChosenBefore | None = None


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer to "who is this number?". Only `match` ONE may be acted on without a person choosing."""

    match: Match
    candidates: tuple[Candidate, ...]
    number: Number

    @property
    def customer(self) -> Candidate | None:
        return self.candidates[0] if self.match is Match.ONE else None


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate with the extension of its identity, as the query finds it. `has_number`: it is one of theirs; otherwise somebody only
    chose them for it."""

    candidate: Candidate
    extension: str | None
    has_number: bool = True


def judge(number: Number, found: Sequence[Found]) -> Identification:
    """None, one or many. `found` is best first, one entry per customer.

    An extension decides between people behind one switchboard. A shared number, or one that may be misread, never makes a
    single match: its one candidate is shown, and a person chooses. So it is with one that failed the carriers' check, since somebody else
    may be using it, and with somebody who was only chosen for the number before: they are a candidate beside whoever has it."""
    if number.kind is NumberKind.WITHHELD:
        return Identification(Match.WITHHELD, (), number)
    by_extension = [
        each
        for each in found
        if each.has_number and number.extension is not None and each.extension == number.extension
    ]
    fitting = by_extension or found
    candidates = tuple(each.candidate for each in fitting[:MAX_CANDIDATES])
    if not candidates:
        return Identification(Match.NONE, (), number)
    may_be_wrong = number.is_suspect or number.attestation is Attestation.FAILED
    is_plain = bool(by_extension) or not candidates[0].evidence.is_shared
    is_certain = len(fitting) == 1 and fitting[0].has_number and not may_be_wrong and is_plain
    return Identification(Match.ONE if is_certain else Match.MANY, candidates, number)


@dataclass(frozen=True, slots=True)
class Identity:
    """`verified_at`: when a person or a proof confirmed it; None means somebody only said so."""

    kind: str
    value: str
    label: str | None
    verified_at: datetime | None
    is_shared: bool
    extension: str | None = None
    source: str = "manual"


@dataclass(frozen=True, slots=True)
class NewIdentity:
    """An identity to add; `value` is normalised (E.164, lower-case address)."""

    kind: str
    value: str
    label: str | None = None
    is_shared: bool = False
    extension: str | None = None
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CustomerCard:
    """A customer with all identities: what the pop and the customer page show of them."""

    id: CustomerId
    name: str
    tier: Tier
    language: str | None
    company: str | None
    note: str
    version: int
    identities: tuple[Identity, ...]

    @property
    def phones(self) -> list[str]:
        return [identity.value for identity in self.identities if identity.kind == "phone"]


@dataclass(frozen=True, slots=True)
class CustomerSummary:
    """A line of the customer list. `found`: addresses and numbers of other systems that hold what was looked for."""

    id: CustomerId
    name: str
    tier: Tier
    company: str | None
    language: str | None
    phones: tuple[str, ...]
    found: tuple[str, ...]


def search_form(text: str) -> str:
    """Text as it is searched: no case, no accents, and every character beyond ASCII as `u` and five hex digits.

    So trigrams of Postgres, which know only the letters of the server's locale, also find `小明` in `王小明`, and by a single
    character. `u` is no hex digit: a match cannot start in the middle of one."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(char for char in plain if not unicodedata.combining(char))
    return "".join(char if char.isascii() else f"u{ord(char):05x}" for char in kept)


def search_text(name: str, company: str | None, identities: Sequence[Identity | NewIdentity]) -> str:
    parts = [name, company or "", *(identity.value for identity in identities)]
    return " ".join(search_form(part) for part in parts if part)


def like_patterns(q: str, *, words: int = 4) -> list[str]:
    """What a search typed by a person must contain: one LIKE pattern a word, wild cards taken literally.

    Digits with nothing but a number's punctuation are one number: `0151 123 45 67`, `+49 (0)151 1234567`."""
    plain = unicodedata.normalize("NFKC", q)
    parts = [_digits(plain)] if _NUMBER.fullmatch(plain) else plain.split()
    escaped = (search_form(part).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for part in parts)
    patterns = [f"%{part}%" for part in escaped if part][:words]
    return patterns + ["%"] * (words - len(patterns))


_NUMBER = re.compile(r"(?=.*\d)[\d\s+().\-\u2010-\u2015/]*", re.DOTALL)


def _digits(number: str) -> str:
    """Without trunk or international zeros: stored numbers are E.164."""
    digits = "".join(str(unicodedata.decimal(char)) for char in number.replace("(0)", "") if char.isdecimal())
    return digits.lstrip("0") or digits
