"""Ticket numbers survive being read aloud, typed badly and searched without dashes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.numbers import (
    NotATicketNumber,
    TicketNumber,
    WrongTicketDigit,
    check_digit,
    is_meant_as_ticket_number,
    parse_ticket_number,
)

NUMBERS = st.builds(TicketNumber, st.integers(2000, 2099), st.integers(1, 99_999_999))


def test_the_example_of_the_documentation() -> None:
    assert str(TicketNumber(2026, 123)) == "T-2026-000123-8"


def test_damm_example_from_the_literature() -> None:
    assert check_digit(0, 572) == 4


@given(NUMBERS)
def test_a_number_is_read_back_as_written(number: TicketNumber) -> None:
    assert parse_ticket_number(str(number)) == number


@pytest.mark.parametrize(
    "text",
    [
        "T-2026-000123-8",
        "t-2026-000123-8",
        "T20260001238",
        "20260001238",
        "2026 000123 8",
        " T 2026 000 123 8 ",
        "2026-000123-8",
        "2026-123-8",
        "T 2026 123 8",
        "T–2026–000123–8",
        "#T-2026-000123-8",
        "Ｔ－２０２６－０００１２３－８",
        "T.2026.000123.8",
    ],
)
def test_a_number_is_read_however_it_is_typed(text: str) -> None:
    assert parse_ticket_number(text) == TicketNumber(2026, 123)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "T",
        "hello",
        "123",
        "T-2026-8",
        "T-1999-000123-8",
        "+14155550100",
        "T-2026-000123-x",
        "X-2026-000123-8",
    ],
)
def test_other_text_is_not_a_number(text: str) -> None:
    with pytest.raises(NotATicketNumber):
        parse_ticket_number(text)


def test_a_wrong_digit_is_named() -> None:
    with pytest.raises(WrongTicketDigit, match="last digit should be 8") as caught:
        parse_ticket_number("T-2026-000123-5")
    assert caught.value.fields == {"expected_digit": 8}


def _is_refused(text: str) -> bool:
    try:
        parse_ticket_number(text)
    except (WrongTicketDigit, NotATicketNumber):
        return True
    return False


@given(NUMBERS, st.data())
def test_every_single_wrong_digit_is_caught(number: TicketNumber, data: st.DataObject) -> None:
    digits = [place for place, char in enumerate(str(number)) if char.isdigit()]
    place = data.draw(st.sampled_from(digits))
    right = str(number)[place]
    wrong = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != right]))
    typed = str(number)[:place] + wrong + str(number)[place + 1 :]
    assert _is_refused(typed)
    assert _is_refused(typed.replace("-", ""))


def test_a_number_that_is_longer_only_by_zeros_is_none() -> None:
    """Its last digit would be right: T-2055-20000000-0 with the first two digits of its sequence changed round."""
    assert _is_refused("2055020000000")


@given(NUMBERS, st.data())
def test_every_swap_of_neighbours_is_caught(number: TicketNumber, data: st.DataObject) -> None:
    digits = str(number).removeprefix("T-").replace("-", "")
    pairs = [place for place in range(len(digits) - 1) if digits[place] != digits[place + 1]]
    place = data.draw(st.sampled_from(pairs))
    swapped = digits[:place] + digits[place + 1] + digits[place] + digits[place + 2 :]
    assert _is_refused(swapped)


@pytest.mark.parametrize(
    ("text", "is_meant"), [("T20260001235", True), ("2026-000123-5", True), ("20260001235", False)]
)
def test_bare_digits_may_be_a_telephone_number(text: str, is_meant: bool) -> None:
    assert is_meant_as_ticket_number(text) is is_meant
