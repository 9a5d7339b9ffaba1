"""Judging matches and the form in which text is searched."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import CustomerId
from core.phone import Number, NumberKind
from customers.model import (
    MAX_CANDIDATES,
    Candidate,
    Evidence,
    Found,
    Match,
    NewIdentity,
    Tier,
    judge,
    like_patterns,
    search_form,
    search_text,
)

NUMBER = Number(NumberKind.E164, "+4930555100", "+4930555100")


def found(customer_id: int, *, is_shared: bool = False, extension: str | None = None) -> Found:
    evidence = Evidence("phone", "+4930555100", None, None, is_shared, "manual")
    return Found(Candidate(CustomerId(customer_id), f"C{customer_id}", Tier.STANDARD, None, None, evidence), extension)


@pytest.mark.parametrize("count", range(8))
def test_only_one_unshared_match_is_one(count: int) -> None:
    answer = judge(NUMBER, [found(n) for n in range(count)])
    expected = Match.NONE if count == 0 else Match.ONE if count == 1 else Match.MANY
    assert answer.match is expected
    assert len(answer.candidates) == min(count, MAX_CANDIDATES)
    assert (answer.customer is not None) == (count == 1)


def test_shared_number_is_never_one() -> None:
    assert judge(NUMBER, [found(1, is_shared=True)]).match is Match.MANY
    assert judge(NUMBER, [found(1, is_shared=True)]).customer is None


def test_suspect_number_is_never_one() -> None:
    suspect = Number(NumberKind.E164, "x", "+4930555100", is_suspect=True)
    assert judge(suspect, [found(1)]).match is Match.MANY
    assert judge(suspect, []).match is Match.NONE


def test_withheld_number_has_no_candidates_whatever_was_found() -> None:
    assert judge(Number(NumberKind.WITHHELD, ""), [found(1)]) == judge(Number(NumberKind.WITHHELD, ""), [])
    assert judge(Number(NumberKind.WITHHELD, ""), [found(1)]).match is Match.WITHHELD


def test_extension_singles_one_out() -> None:
    people = [
        found(1, is_shared=True, extension="41"),
        found(2, is_shared=True, extension="42"),
        found(3, is_shared=True),
    ]
    with_it = Number(NumberKind.E164, "x", "+4930555100", extension="42")
    answer = judge(with_it, people)
    assert answer.customer is not None
    assert answer.customer.id == 2
    assert judge(NUMBER, people).match is Match.MANY
    assert judge(Number(NumberKind.E164, "x", "+4930555100", extension="43"), people).match is Match.MANY
    twins = [found(1, extension="42"), found(2, extension="42")]
    assert judge(with_it, twins).match is Match.MANY


# --- search --------------------------------------------------------------------------------------------------------


def fits(pattern: str, text: str) -> bool:
    """What SQL's LIKE says."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    regex = "".join(".*" if p == "%" else "." if p == "_" else re.escape(p.removeprefix("\\")) for p in parts)
    return re.fullmatch(regex, text, re.DOTALL) is not None


def matches(q: str, *, name: str = "", company: str | None = None, phone: str = "") -> bool:
    identities = [NewIdentity("phone", phone)] if phone else []
    text = search_text(name, company, identities)
    return all(fits(pattern, text) for pattern in like_patterns(q))


@pytest.mark.parametrize(
    ("q", "name"),
    [
        ("maria", "Maria Lopez"),
        ("LOPEZ maria", "Maria Lopez"),
        ("op", "Maria Lopez"),
        ("muller", "Jürgen Müller"),
        ("MÜLLER", "Jürgen Müller"),
        ("gross", "Anna Groß"),
        ("小明", "王小明"),
        ("王", "王小明"),
        ("明", "王小明"),
        ("ＭＡＲＩＡ", "Maria"),
        ("o'brien", "Pat O'Brien"),
        ("100%", "100% Baumwolle"),
        ("a_b", "a_b"),
        ("\\", "back\\slash"),
        ("", "anybody"),
        ("   ", "anybody"),
    ],
)
def test_search_finds(q: str, name: str) -> None:
    assert matches(q, name=name)


@pytest.mark.parametrize(
    ("q", "name"),
    [
        ("maria", "Marta Lopez"),
        ("maria lopez", "Maria Gomez"),
        ("明小", "王小明"),
        ("李", "王小明"),
        ("%", "Maria"),
        ("_", "Maria"),
        ("100%", "100 Prozent"),
        ("a_b", "axb"),
        ("' OR 1=1--", "Maria"),
        ("\\", "Maria"),
    ],
)
def test_search_does_not_find(q: str, name: str) -> None:
    assert not matches(q, name=name)


@pytest.mark.parametrize(
    "q",
    ["+4930555100", "030 555100", "030/555-100", "0049 30 555100", "+49 (0)30 555100", "555100", "０３０ ５５５１００"],
)
def test_number_is_found_as_people_write_it(q: str) -> None:
    assert matches(q, phone="+4930555100")
    assert not matches(q, phone="+4930555200")


def test_words_and_company_and_number_are_searched_together() -> None:
    assert matches("anna becker", name="Anna", company="Becker & Partner")
    assert matches("anna 5551", name="Anna", phone="+4930555100")
    assert not matches("anna 5552", name="Anna", phone="+4930555100")


@given(st.text(max_size=40))
def test_search_form_is_ascii_and_stable(text: str) -> None:
    form = search_form(text)
    assert form.isascii()
    assert search_form(form) == form


@given(st.text(max_size=30), st.integers(0, 30), st.integers(0, 30))
def test_every_part_of_a_name_finds_it(name: str, start: int, end: int) -> None:
    part = name[start:end]
    if any(char.isalpha() for char in part):
        assert matches(part, name=name)


@given(st.text(max_size=60))
def test_patterns_are_always_four(q: str) -> None:
    patterns = like_patterns(q)
    assert len(patterns) == 4
    assert all(pattern.startswith("%") for pattern in patterns)
