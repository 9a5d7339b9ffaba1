"""Whom, under which number, and when: rules of calls that agents make."""

from datetime import UTC, datetime, time

import pytest

from cti.outbound_rules import CallerId, Outbound, QuietHours, read_outbound

NIGHT = QuietHours(("Europe/Berlin",), time(20), time(8), ("DE",))
BOTH_COASTS = QuietHours(("America/New_York", "America/Los_Angeles"), time(21), time(8), ("US",))
OURS = {"+14155550199": "support", "+4930901820": "de"}


def at(hour: int, minute: int = 0, month: int = 1) -> datetime:
    return datetime(2026, month, 15, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "is_quiet"),
    [(at(7), False), (at(6, 59), True), (at(18, 59), False), (at(19), True), (at(6, 30, month=7), False)],
)
def test_hours_go_past_midnight_and_by_the_clock_of_the_place(moment: datetime, is_quiet: bool) -> None:
    assert NIGHT.holds(moment) is is_quiet


def test_a_region_with_several_zones_is_quiet_as_soon_as_one_of_them_is() -> None:
    assert BOTH_COASTS.holds(at(15))  # ten in New York, seven in Los Angeles
    assert not BOTH_COASTS.holds(at(17))
    assert BOTH_COASTS.holds(at(2))  # nine in the evening in New York


def test_hours_of_a_region_come_before_those_of_everywhere_else() -> None:
    elsewhere = QuietHours(("UTC",), time(0), time(23, 59))
    rules = Outbound(quiet_hours=(elsewhere, NIGHT))
    assert rules.quiet("DE", at(12)) is None
    assert rules.quiet("FR", at(12)) is elsewhere
    assert rules.quiet(None, at(12)) is elsewhere


def test_nothing_may_be_called_by_default() -> None:
    assert not read_outbound(None).may_call("+14155550123")
    assert Outbound(prefixes=("+1415",)).may_call("+14155550123")
    assert not Outbound(prefixes=("+1415",)).may_call("+14165550123")


@pytest.mark.parametrize(
    ("queue", "region", "last", "shown"),
    [
        ("support", "DE", None, "+4930901820"),
        ("support", "US", None, "+14155550199"),
        ("de", "US", None, "+4930901820"),
        ("sales", "US", None, "+14155550199"),
        ("support", "DE", "+14155550199", "+14155550199"),
        ("support", "DE", "+18005550100", "+4930901820"),
    ],
)
def test_the_number_shown(queue: str, region: str, last: str | None, shown: str) -> None:
    rules = Outbound(caller_ids=(CallerId("+4930901820", region="DE"),), prefer_last_dialled=True)
    assert rules.shown(queue=queue, region=region, last_dialled=last, ours=OURS) == shown


def test_without_any_number_there_is_none_to_show() -> None:
    assert Outbound().shown(queue="support", region="US", last_dialled=None, ours={}) is None
