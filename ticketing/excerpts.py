"""The part of a text that shows why it was found. Pure."""

from collections.abc import Sequence
from typing import Final

from customers.model import search_form

AROUND: Final = 60
"""Characters shown before the first word found, and at least after it."""
LENGTH: Final = 200


def excerpt(text: str, words: Sequence[str]) -> str:
    """At most LENGTH characters in one line around the first place where one of `words` (in search form) stands."""
    plain = " ".join(text.split())
    if len(plain) <= LENGTH:
        return plain
    start = max(0, min(_first_place(plain, words) - AROUND, len(plain) - LENGTH))
    if start and (blank := plain.find(" ", start, start + AROUND // 2)) != -1:
        start = blank + 1  # not in the middle of a word, where the text has blanks
    end = start + LENGTH
    return ("…" if start else "") + plain[start:end].strip() + ("…" if end < len(plain) else "")


def _first_place(text: str, words: Sequence[str]) -> int:
    """The index in `text` of the first word; 0 when none is there."""
    forms = [search_form(char) for char in text]
    whole = "".join(forms)
    found = min((place for word in words if (place := whole.find(word)) != -1), default=0)
    for index, form in enumerate(forms):
        found -= len(form)
        if found < 0:
            return index
    return 0
