"""A menu a caller hears before the line: what may be chosen, and what was. Pure."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

REPEATS: Final = 2
"""So often a caller who chose nothing we understand hears it again; then the default queue."""
_CJK: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class Option:
    """A way out of the menu: a queue, or (None) the recorder. `words`: what may be said instead of the digit."""

    key: str
    digit: str
    queue: str | None
    words: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Menu:
    """`prompt` by language. Who chooses nothing goes to the number's queue, or to `default`."""

    key: str
    prompt: Mapping[str, str]
    options: Sequence[Option]
    default: str | None = None
    timeout_s: int = 5

    @property
    def words(self) -> list[str]:
        return [word for option in self.options for word in option.words]

    def chosen(self, digits: str, speech: str) -> Option | None:
        """By digit, else by what was said: the one option of which a word was heard. Two of them are none."""
        if digits:
            return next((option for option in self.options if option.digit == digits), None)
        said = _plain(speech)
        heard = [option for option in self.options if any(_is_said(_plain(word), said) for word in option.words)]
        return heard[0] if len(heard) == 1 else None


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text[:500]).casefold().split())


def _is_said(word: str, said: str) -> bool:
    if not word:  # nothing but blanks: who says nothing has not said it
        return False
    if _CJK.search(word):  # written without blanks
        return word in said
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said) is not None


def read_menu(key: str, settings: Mapping[str, Any]) -> Menu:
    """As `apply` has stored it."""
    return Menu(
        key,
        settings["prompt"],
        tuple(Option(o["key"], o["digit"], o["queue"], tuple(o["words"])) for o in settings["options"]),
        settings["default"],
        settings["timeout_s"],
    )
