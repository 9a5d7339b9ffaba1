"""Cursors carry a moment to the microsecond, and nothing else passes for one."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid
from ticketing.lists import read_cursor, write_cursor


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.integers(0, 2**62),
)
def test_a_cursor_is_read_back_exactly(at: datetime, ident: int) -> None:
    assert read_cursor(write_cursor(at, ident)) == (at, ident)


@given(st.text(max_size=30))
def test_anything_else_is_refused_or_a_moment(text: str) -> None:
    try:
        at, _ = read_cursor(text)
    except Invalid:
        return
    assert at.tzinfo is not None


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "////////////////////////", "f" * 22, "ÿ"])
def test_broken_cursors_are_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        read_cursor(cursor)
