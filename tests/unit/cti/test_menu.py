"""Choosing from a menu: by digit, or by the one option of which a word was heard."""

import pytest

from cti.menu import Menu, Option, read_menu

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
    stored = {
        "prompt": {"en": "Billing or sales?"},
        "options": [{"key": o.key, "digit": o.digit, "queue": o.queue, "words": list(o.words)} for o in MENU.options],
        "default": None,
        "timeout_s": 5,
    }
    assert read_menu("main", stored) == MENU


def test_a_word_of_blanks_is_not_what_somebody_says_who_says_nothing() -> None:
    menu = Menu("main", {"en": "?"}, (Option("blank", "1", "support", (" ", "\u3000")),))
    assert menu.chosen("", "") is None
    assert menu.chosen("", "- well -") is None
