"""The same twenty calls by six readings, with T = 20 s and S = 5 s: 60 to 80 % by vendor."""

import pytest

from tests.unit.reporting.given import a_stint, parts, sums_of, value

WITHIN = (4, 5, 6, 8, 9, 10, 10, 10, 11, 12, 12, 13)
"""Twelve answered within 20 s, 110 s together; the eighth of all answered waited 10 s."""
TWENTY = [
    *(a_stint("answered", wait, ident=n) for n, wait in enumerate((*WITHIN, 30, 40, 70), 1)),
    *(a_stint("abandoned", wait, ident=n) for n, wait in enumerate((3, 12, 45, 45), 16)),
    a_stint("callback_requested", 15, ident=20),
]


@pytest.mark.parametrize(
    ("key", "numerator", "denominator", "percent"),
    [
        ("service_level_answered", 12, 15, 80.0),
        ("service_level_left", 15, 20, 75.0),
        ("service_level_60", 14, 19, 73.7),
        ("service_level", 12, 18, 66.7),
        ("service_level_not_short", 12, 19, 63.2),
        ("service_level_offered", 12, 20, 60.0),
        ("abandonment", 3, 18, 16.7),
        ("abandonment_raw", 4, 20, 20.0),
    ],
)
def test_each_reading_of_the_twenty_calls(key: str, numerator: int, denominator: int, percent: float) -> None:
    sums = sums_of(TWENTY)
    assert (*parts(key, sums), value(key, sums)) == (numerator, denominator, percent)


def test_times_of_the_twenty_calls() -> None:
    sums = sums_of(TWENTY)
    times = {key: value(key, sums) for key in ("asa", "asa_p50", "asa_p90", "abandon_time", "max_wait")}
    assert times == {"asa": 16.667, "asa_p50": 10, "asa_p90": 40, "abandon_time": 34, "max_wait": 70}


def test_counts_of_the_twenty_calls() -> None:
    sums = sums_of(TWENTY)
    counts = [value(key, sums) for key in ("offered", "answered", "abandoned", "short_abandoned")]
    assert (counts, sums.added["callback"]) == ([20, 15, 3, 1], 1)


@pytest.mark.parametrize(
    ("wait_s", "within"), [(19.999, 1), (20, 1), (20.000001, 0)], ids=["below T", "exactly T", "above T"]
)
def test_exactly_the_threshold_is_within(wait_s: float, within: int) -> None:
    assert parts("service_level", sums_of([a_stint("answered", wait_s)])) == (within, 1)


@pytest.mark.parametrize(("wait_s", "is_short"), [(4.999, True), (5, False)], ids=["below S", "exactly S"])
def test_exactly_the_short_abandon_is_not_short(wait_s: float, is_short: bool) -> None:
    sums = sums_of([a_stint("abandoned", wait_s)])
    assert (value("short_abandoned", sums), value("abandoned", sums)) == (int(is_short), int(not is_short))
    assert parts("service_level", sums) == (0, int(not is_short))


def test_each_stay_is_judged_by_its_own_settings() -> None:
    strict, lax = a_stint("answered", 15, within_s=10), a_stint("answered", 15, within_s=20)
    assert parts("service_level", sums_of([strict, lax])) == (1, 2)


@pytest.mark.parametrize("outcome", ["callback_requested", "transferred_out", "overflowed", "closed", "failed", None])
def test_other_ends_are_in_no_part_of_the_service_level(outcome: str | None) -> None:
    sums = sums_of([a_stint("answered"), a_stint(outcome, 3)])
    assert parts("service_level", sums) == (1, 1)
    assert value("offered", sums) == 2


def test_who_waits_is_in_the_denominator_of_those_that_count_all_offered() -> None:
    sums = sums_of([a_stint("answered"), a_stint(None)])
    for key in ("service_level_left", "service_level_60", "service_level_not_short", "service_level_offered"):
        assert parts(key, sums) == (1, 2), key
