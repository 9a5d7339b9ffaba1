"""What callers hear: complete in every language, and always speakable."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.texts import DEFAULTS, SAY_LIMIT, speakable, text_for
from tests.unit.cti.laws import LAWS


def test_every_text_is_there_in_every_language() -> None:
    for kind, texts in DEFAULTS.items():
        assert set(texts) == {"en", "de", "zh-CN"}, kind
        assert len(set(texts.values())) == 3, kind
        placeholders = {name for text in texts.values() for _, name, _, _ in string.Formatter().parse(text) if name}
        assert placeholders == {
            "wait": {"position"},
            "voicemail_key": {"key"},
            "consent_key": {"key"},
            "menu_back": {"key"},
            "menu_main": {"key"},
            "take_key": {"queue", "key"},
            "wait_up_to": {"most"},
            "wait_range": {"least", "most"},
        }.get(kind, set()), kind


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("plain", "plain"),
        ("bell\x07 here", "bell  here"),
        ("null\x00byte", "null byte"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("escape\x1b[31mred", "escape [31mred"),
        ("right\u202eleft", "right left"),
        ("isolate\u2066d\u2069", "isolate d "),
        ("half \ud83d pair", "half   pair"),
        ("not a character \uffff", "not a character  "),
        ("umlaut ü 王 🙂", "umlaut ü 王 🙂"),
        ("del\x7f", "del "),
    ],
)
def test_unspeakable_characters_become_blanks(said: str, heard: str) -> None:
    assert speakable(said) == heard


@given(st.text(st.characters(exclude_categories=()), max_size=6000))
@LAWS
def test_speakable_text_is_bounded_and_stays_so(text: str) -> None:
    once = speakable(text)
    assert speakable(once) == once
    assert len(once) <= SAY_LIMIT
    once.encode()


def test_own_text_wins_and_a_blank_one_does_not_count() -> None:
    assert text_for({"greeting": "Hello"}, "greeting", "de") == "Hello"
    assert text_for({"greeting": ""}, "greeting", "de") == DEFAULTS["greeting"]["de"]


def test_values_are_put_in_and_unknown_places_stay() -> None:
    assert text_for({"wait": "{position}/{total}"}, "wait", "en", position=5) == "5/{total}"
    assert text_for({}, "wait", "en", position=5) == "You are number 5 in line. Please hold the line."
