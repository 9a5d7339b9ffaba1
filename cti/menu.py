"""The menus a caller hears before the line: what may be chosen, what was, and which menu lies below which. Pure."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

REPEATS: Final = 2
"""So often a caller who chose nothing we understand hears a menu again; then the default queue."""
MOST_LEVELS: Final = 5
_CJK: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class Option:
    """A way out of the menu: a queue, another menu below it, or (neither) the recorder. `words`: what may be said instead of the digit."""

    key: str
    digit: str
    queue: str | None
    words: Sequence[str] = ()
    menu: "Menu | None" = None


@dataclass(frozen=True, slots=True)
class Menu:
    """`prompt` by language. Who chooses nothing goes to `default`, else to that of the menu above, else to the number's queue. Below the first
    menu `back` leads to the one before, and `main` to the first; an option with that digit comes first."""

    key: str
    prompt: Mapping[str, str]
    options: Sequence[Option]
    default: str | None = None
    timeout_s: int = 5
    back: str | None = None
    main: str | None = None

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


@dataclass(frozen=True, slots=True)
class Way:
    """The menus from the first to the one that the caller hears."""

    menus: tuple[Menu, ...]

    @property
    def here(self) -> Menu:
        return self.menus[-1]

    @property
    def is_below(self) -> bool:
        return len(self.menus) > 1

    @property
    def path(self) -> str:
        """As it stands in the call: `main/billing`."""
        return "/".join(menu.key for menu in self.menus)

    @property
    def default(self) -> str | None:
        return next((menu.default for menu in reversed(self.menus) if menu.default is not None), None)

    def to(self, menu: Menu) -> "Way":
        return Way((*self.menus, menu))

    def back(self, digits: str) -> "Way | None":
        """Where this key leads back to, if it does."""
        if not digits or not self.is_below:
            return None
        if digits == self.here.back:
            return Way(self.menus[:-1])
        return Way(self.menus[:1]) if digits == self.here.main else None


def way_along(first: Menu, path: str | None) -> Way:
    """By what stands in the call. Where a menu is not there any more, it ends at the one before."""
    way = Way((first,))
    for key in (path or "").split("/")[1:]:
        below = next((o.menu for o in way.here.options if o.menu is not None and o.menu.key == key), None)
        if below is None:
            break
        way = way.to(below)
    return way


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text[:500]).casefold().split())


def _is_said(word: str, said: str) -> bool:
    if not word:  # nothing but blanks: who says nothing has not said it
        return False
    if _CJK.search(word):  # written without blanks
        return word in said
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said) is not None


def read_menus(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, Menu]:
    """As `apply` has stored them, by key, each with those below it."""
    found: dict[str, Menu] = {}

    def read(key: str, levels: int) -> Menu | None:
        if key not in stored or levels == 0:
            return None
        if key not in found:
            settings = stored[key]
            options = tuple(
                Option(o["key"], o["digit"], o["queue"], tuple(o["words"]), below)
                for o in settings["options"]
                for below in (None if o.get("menu") is None else read(o["menu"], levels - 1),)
            )
            found[key] = Menu(
                key, settings["prompt"], options, settings["default"], settings["timeout_s"],
                settings.get("back"), settings.get("main"),
            )  # fmt: skip
        return found[key]

    for key in stored:
        read(key, MOST_LEVELS)
    return found
