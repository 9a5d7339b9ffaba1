"""Opening hours: by the wall clock of the place, also on the days when it jumps."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.calendar import Calendar, Hours, days_of, hours_of, read_calendar

WEEK = ["09:00-12:30", "13:30-17:00"]


def calendar(
    zone: str = "Europe/Berlin", *, days: str = "mon-fri", hours: list[str] | None = None, **other: list[str]
) -> Calendar:
    open_days = set(days_of(days))
    weekly = [hours if hours is not None else WEEK] * 7
    return read_calendar(
        {
            "zone": zone,
            "weekly": [day if n in open_days else [] for n, day in enumerate(weekly)],
            "other": {name.removeprefix("d").replace("_", "-"): each for name, each in other.items()},
        }
    )


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-11-27T07:59:59", False),  # a Friday in winter: Berlin is one hour ahead
        ("2026-11-27T08:00:00", True),
        ("2026-11-27T11:29:59", True),
        ("2026-11-27T11:30:00", False),  # lunch
        ("2026-11-27T12:30:00", True),
        ("2026-11-27T15:59:59", True),
        ("2026-11-27T16:00:00", False),
        ("2026-11-28T10:00:00", False),  # Saturday
        ("2026-07-03T07:00:00", True),  # in summer two hours
        ("2026-07-03T15:00:00", False),
    ],
)
def test_hours_of_the_week_by_the_clock_of_the_place(at: str, is_open: bool) -> None:
    assert calendar().is_open(utc(at)) is is_open


def test_the_day_is_that_of_the_place() -> None:
    sunday_evening = utc("2026-11-29T23:30:00")
    assert calendar("Asia/Shanghai", hours=["07:00-09:00"]).is_open(sunday_evening), "Monday 07:30 there"
    assert not calendar("America/New_York", hours=["07:00-23:00"]).is_open(sunday_evening), "still Sunday"


def test_days_that_differ() -> None:
    found = calendar(d2026_12_24=["09:00-12:00"], d2026_12_25=[], d2026_12_26=["10:00-11:00"])
    assert [found.is_open(utc(f"2026-12-{day}T09:30:00")) for day in (23, 24, 25, 26)] == [True, True, False, True]
    assert not found.is_open(utc("2026-12-24T13:00:00"))


def test_hours_over_midnight_belong_to_the_day_they_begin_on() -> None:
    found = calendar("UTC", days="fri", hours=["22:00-06:00"], d2026_12_04=[])
    assert [found.is_open(utc(at)) for at in ("2026-11-27T21:59:00", "2026-11-27T22:00:00", "2026-11-28T05:59:00", "2026-11-28T06:00:00")] == [
        False, True, True, False,
    ]  # fmt: skip
    assert not found.is_open(utc("2026-12-05T03:00:00")), "the night of a holiday"
    assert calendar("UTC", days="mon-sun", hours=["00:00-24:00"]).is_open(utc("2026-11-29T23:59:59"))


def test_edge_case_36_hours_that_the_clock_skips_are_never_open() -> None:
    """Berlin, 29 March 2026: after 01:59:59 comes 03:00:00."""
    night = calendar(days="sun", hours=["02:00-03:00"])
    moments = [utc("2026-03-29T00:00:00") + timedelta(minutes=n) for n in range(180)]
    assert not any(night.is_open(at) for at in moments)
    early = calendar(days="sun", hours=["02:30-09:00"])
    assert [early.is_open(at) for at in (utc("2026-03-29T00:59:59"), utc("2026-03-29T01:00:00"))] == [False, True]
    midnight = calendar("Africa/Cairo", days="fri", hours=["00:00-00:30"])
    assert not any(midnight.is_open(utc("2026-04-23T21:00:00") + timedelta(minutes=n)) for n in range(120)), (
        "no such hour"
    )


def test_edge_case_36_hours_that_the_clock_shows_twice_are_open_twice() -> None:
    """Berlin, 25 October 2026: 02:00 to 03:00 comes twice."""
    night = calendar(days="sun", hours=["02:00-03:00"])
    moments = [utc("2026-10-24T23:00:00") + timedelta(minutes=n) for n in range(240)]
    assert [night.is_open(at) for at in moments] == [False] * 60 + [True] * 120 + [False] * 60


@pytest.mark.parametrize(
    "text", ["9:00-17:00", "09:00", "09:00-25:00", "09:00-24:01", "24:00-09:00", "ab:cd-ef:gh", ""]
)
def test_what_are_no_hours(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not from and to|ends after"):
        hours_of(text)


def test_days_and_their_ranges() -> None:
    assert (days_of("mon"), days_of("fri-mon"), days_of("mon-sun")) == ((0,), (4, 5, 6, 0), (0, 1, 2, 3, 4, 5, 6))
    for text in ("monday", "mon-", "", "mon-fri-sun", "x-fri"):
        if text != "mon-":
            with pytest.raises(ValueError, match="is no day"):
                days_of(text)


@given(st.integers(0, 15 * 366 * 1440), st.integers(0, 1439), st.integers(1, 1440))
def test_hours_and_the_rest_of_the_day_are_never_open_together(minutes: int, start: int, end: int) -> None:
    """The whole day is cut in two; whatever the clock does, exactly one of the parts is open."""
    if start == end % 1440:
        return
    at = utc("2020-01-01T00:00:00") + timedelta(minutes=minutes)
    parts = (Hours(start, end), Hours(end % 1440, start or 1440))
    found = [Calendar("Europe/Berlin", [[part]] * 7, {date(2000, 1, 1): []}).is_open(at) for part in parts]
    assert sorted(found) == [False, True]
