"""Choosing from a menu: by digit, or by the one option of which a word was heard."""

import pytest

from cti.menu import Menu, Option, Way, read_menus, way_along

MENU = Menu(
    "main",
    {"en": "Billing or sales?"},
    (
        Option("billing", "1", "support", ("billing", "invoice", "账单")),
        Option("sales", "2", "sales", ("sales", "buy", "C++")),
        Option("message", "9", None),
    ),
)


@pytest.mark.parametrize(
    ("digits", "speech", "key"),
    [
        ("1", "", "billing"),
        ("9", "", "message"),
        ("7", "", None),
        ("", "", None),
        ("12", "", None),
        ("1", "sales", "billing"),
        ("7", "sales", None),
        ("", "It is about my INVOICE.", "billing"),
        ("", "Sales, please", "sales"),
        ("", "wholesales", None),
        ("", "sales or billing", None),
        ("", "my invoice and billing", "billing"),
        ("", "我想查一下账单。", "billing"),
        ("", "do you know c++ ?", "sales"),
        ("", "ＳＡＬＥＳ", "sales"),
        ("", "x" * 100_000, None),
    ],
)
def test_what_was_chosen(digits: str, speech: str, key: str | None) -> None:
    option = MENU.chosen(digits, speech)
    assert (None if option is None else option.key) == key


def test_a_menu_comes_back_as_it_was_stored() -> None:
    kept = {
        "prompt": {"en": "Billing or sales?"},
        "options": [{"key": o.key, "digit": o.digit, "queue": o.queue, "words": list(o.words)} for o in MENU.options],
        "default": None,
        "timeout_s": 5,
    }
    assert read_menus({"main": kept}) == {"main": MENU}


def test_a_word_of_blanks_is_not_what_somebody_says_who_says_nothing() -> None:
    menu = Menu("main", {"en": "?"}, (Option("blank", "1", "support", (" ", "\u3000")),))
    assert menu.chosen("", "") is None
    assert menu.chosen("", "- well -") is None


def stored(*options: dict[str, object], **more: object) -> dict[str, object]:
    plain = [{"queue": None, "words": [], **option} for option in options]
    return {"prompt": {"en": "?"}, "options": plain, "default": None, "timeout_s": 5, "back": "0", "main": None, **more}


LEVELS = read_menus(
    {
        "parts": stored({"key": "lamps", "digit": "1", "queue": "sales"}, main="*"),
        "main": stored(
            {"key": "shop", "digit": "1", "menu": "shop"}, {"key": "nobody", "digit": "0", "queue": "support"}
        ),
        "shop": stored({"key": "parts", "digit": "3", "menu": "parts"}, default="sales"),
    }
)


def test_menus_lie_below_each_other_in_whatever_order_they_are_read() -> None:
    way = way_along(LEVELS["main"], "main/shop/parts")
    assert (way.path, way.here.key, way.is_below) == ("main/shop/parts", "parts", True)
    assert way.default == "sales", "that of the menu above"


@pytest.mark.parametrize(
    ("path", "digits", "back"),
    [
        ("main/shop/parts", "0", "main/shop"),
        ("main/shop/parts", "*", "main"),
        ("main/shop", "0", "main"),
        ("main/shop", "*", None),
        ("main/shop", "", None),
        ("main", "0", None),
    ],
)
def test_a_key_leads_back_below_the_first_menu_only(path: str, digits: str, back: str | None) -> None:
    found = way_along(LEVELS["main"], path).back(digits)
    assert (None if found is None else found.path) == back


@pytest.mark.parametrize(
    ("path", "ends"), [(None, "main"), ("", "main"), ("main", "main"), ("main/gone", "main"), ("main/shop/gone/parts", "main/shop"), ("other/shop", "main/shop")]
)  # fmt: skip
def test_a_way_ends_where_a_menu_is_not_there_any_more(path: str | None, ends: str) -> None:
    assert way_along(LEVELS["main"], path).path == ends


def test_menus_that_go_round_in_a_circle_are_read_to_an_end() -> None:
    round_and_round = read_menus({"a": stored({"key": "a", "digit": "1", "menu": "a"})})
    assert len(Way((round_and_round["a"],)).here.options) == 1
