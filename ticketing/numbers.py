"""Ticket numbers for people: `T-2026-000123-8`.

The year (in the organisation's zone), a number that rises within it, and a check digit over both (Damm: every single wrong
digit and every swap of neighbours is caught), so that a number read aloud is checked while it is typed. Numbers are unique
and rise with time; gaps are possible. The database computes the same text (function `ticket_number`, migration 0005).
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from core.errors import Invalid

DAMM: Final = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2),
    (7, 0, 9, 2, 1, 5, 4, 8, 6, 3),
    (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6),
    (6, 1, 2, 3, 0, 4, 5, 9, 7, 8),
    (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4),
    (8, 9, 4, 5, 3, 6, 2, 0, 1, 7),
    (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)
_GAP: Final = r"[\s\-_./‐-―−]"
_IN_PARTS: Final = re.compile(rf"(T?){_GAP}*(20\d\d){_GAP}+(\d{{1,12}}){_GAP}+(\d)", re.ASCII)
_RUN_TOGETHER: Final = re.compile(r"(T?)(20\d\d)(\d{6,12})(\d)", re.ASCII)


class NotATicketNumber(Invalid):
    code, title = "not_a_ticket_number", "This is not a ticket number"


class WrongTicketDigit(Invalid):
    """The shape is right, the check digit is not. `expected_digit` fits the others, if those are right."""

    code, title = "wrong_ticket_digit", "A digit of this ticket number is wrong"


@dataclass(frozen=True, slots=True)
class TicketNumber:
    year: int
    seq: int

    def __str__(self) -> str:
        return f"T-{self.year}-{self.seq:06d}-{check_digit(self.year, self.seq)}"


def check_digit(year: int, seq: int) -> int:
    interim = 0
    for digit in f"{year:04d}{seq:06d}":
        interim = DAMM[interim][int(digit)]
    return interim


def parse_ticket_number(text: str) -> TicketNumber:
    """Read a number as people type or say it: without the T, without dashes, in groups, in small or full-width letters.

    Raises NotATicketNumber, or WrongTicketDigit that says which last digit was expected.
    """
    parts = _parts(text)
    if parts is None:
        raise NotATicketNumber("A ticket number looks like T-2026-000123-8.")
    _, number, digit = parts
    expected = check_digit(number.year, number.seq)
    if digit != expected:
        raise WrongTicketDigit(
            f"The last digit should be {expected}, or another digit is wrong.", expected_digit=expected
        )
    return number


def is_meant_as_ticket_number(text: str) -> bool:
    """Whether somebody who typed this means a ticket number, right or wrong: it begins with T, or has the three parts.

    Bare digits may as well be a telephone number."""
    parts = _parts(text)
    return parts is not None and parts[0]


def _parts(text: str) -> tuple[bool, TicketNumber, int] | None:
    plain = unicodedata.normalize("NFKC", text).strip().lstrip("#").upper()
    match = _IN_PARTS.fullmatch(plain)
    is_in_parts = match is not None
    if match is None:
        match = _RUN_TOGETHER.fullmatch(re.sub(_GAP, "", plain))
    if match is None:
        return None
    letter, year, seq, digit = match.groups()
    if len(seq) > len(f"{0:06d}") and seq.startswith("0"):
        return None  # no number is written so: two digits have changed places, which the last one cannot tell any more
    return bool(letter) or is_in_parts, TicketNumber(int(year), int(seq)), int(digit)
