"""Why a note was found, in one line."""

import pytest

from customers.model import search_form
from ticketing.excerpts import LENGTH, excerpt


@pytest.mark.parametrize("word", ["Schraube", "schraube", "螺丝钉", "Größe"])
def test_the_word_is_in_the_part_that_is_shown(word: str) -> None:
    text = "Words before it. " * 40 + f"{word} " + "words after it. " * 40
    shown = excerpt(text, [search_form(word)])
    assert word in shown
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert len(shown) <= LENGTH + 2


def test_a_short_note_is_shown_whole_and_in_one_line() -> None:
    assert excerpt("first\n  second", ["second"]) == "first second"


def test_text_without_blanks_is_cut_anywhere() -> None:
    shown = excerpt("前" * 500 + "发票" + "后" * 500, [search_form("发票")])
    assert "发票" in shown
    assert len(shown) <= LENGTH + 2


def test_words_that_are_not_there_show_the_beginning() -> None:
    assert excerpt("x" * 300, ["y"]) == "x" * LENGTH + "…"
