"""Conservation: nothing is lost or counted twice, however time and groups are cut."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting.catalogue import CATALOGUE, OUTCOMES, value_of
from reporting.figures import total_of
from reporting.measures import OF_STATES, STATES, agent_cells, queue_cells
from reporting.model import (
    BUCKET,
    Interval,
    Offer,
    Segment,
    Size,
    Stint,
    Sums,
    bucket_of,
    buckets_between,
    micros,
    period_bounds,
    period_of,
)
from tests.unit.reporting.given import NINE, total

DAY = timedelta(days=1)
ENDS = ("answered", "abandoned", "callback_requested", "transferred_out", "overflowed", "closed", "failed", None)
moments = st.integers(0, micros(DAY) - 1).map(lambda us: NINE + timedelta(microseconds=us))
spans = st.one_of(
    st.sampled_from([timedelta(), timedelta(seconds=5), timedelta(seconds=20), timedelta(seconds=60)]),
    st.integers(0, micros(timedelta(hours=1))).map(lambda us: timedelta(microseconds=us)),
)
queues = st.sampled_from(["support", "sales", "de"])
agents = st.integers(1, 3)
numbers = st.integers(1, 10**6)


@st.composite
def stints(draw: st.DrawFn) -> Stint:
    at, outcome = draw(moments), draw(st.sampled_from(ENDS))
    left_at = None if outcome is None else at + draw(spans)
    return Stint(draw(numbers), draw(numbers), None, draw(queues), at, left_at, outcome, draw(st.integers(0, 60)), draw(st.integers(0, 10)))  # fmt: skip


@st.composite
def offers(draw: st.DrawFn) -> Offer:
    state, accepted = (
        draw(st.sampled_from(["pending", "rejected", "timeout", "rescinded", "canceled", "completed"])),
        draw(st.booleans()),
    )
    return Offer(draw(numbers), draw(numbers), None, draw(queues), draw(agents), draw(moments), state, accepted and state in ("completed", "canceled"))  # fmt: skip


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    at = draw(moments)
    talked = at + draw(spans)
    return Segment(draw(numbers), draw(numbers), None, draw(queues), draw(agents), at, talked, talked + draw(spans), draw(st.booleans()))  # fmt: skip


@st.composite
def shifts(draw: st.DrawFn) -> list[Interval]:
    """Of each agent states one after the other without gaps, the last of them open or not."""
    found = []
    for agent in range(1, draw(st.integers(1, 3)) + 1):
        at = draw(moments)
        states = draw(st.lists(st.tuples(st.sampled_from([*STATES, "offline"]), spans), max_size=8))
        for number, (state, span) in enumerate(states):
            is_open = number == len(states) - 1 and draw(st.booleans())
            found.append(Interval(agent, state, at, None if is_open else at + span))
            at += span
    return found


facts = st.tuples(st.lists(stints(), max_size=30), st.lists(offers(), max_size=20), st.lists(segments(), max_size=20))


def plain(sums: Sums) -> tuple[Counter[str], dict[str, int], Counter[int]]:
    """Without zeros, which stand for nothing."""
    return +sums.added, sums.peaks, +sums.waits


@given(st.lists(stints(), max_size=60))
def test_who_came_in_was_answered_or_left_or_still_waits(records: Sequence[Stint]) -> None:
    cells = queue_cells(records, (), ())
    for sums in (*cells.values(), total(cells)):
        assert sums.added["offered"] == sum(sums.added[name] for name in OUTCOMES)
        assert sum(sums.waits.values()) == sums.added["answered"]
        assert sums.added["within"] <= min(sums.added["answered"], sums.added["left_within"])
    assert total(cells).added["offered"] == len(records)


@given(facts, st.randoms(use_true_random=False))
def test_cutting_the_records_in_parts_changes_no_sum(
    records: tuple[list[Stint], list[Offer], list[Segment]], random: Random
) -> None:
    """What is stored and what is not yet, one queue and the others: the same, whoever counted which part."""
    whole = queue_cells(*records)
    halves: list[tuple[list[Any], ...]] = [([], [], []), ([], [], [])]
    for kind in range(3):
        for record in records[kind]:
            halves[random.randrange(2)][kind].append(record)
    merged: dict[object, Sums] = {}
    for half in halves:
        for place, sums in queue_cells(*half).items():
            merged.setdefault(place, Sums()).add(sums)
    assert {place: plain(sums) for place, sums in merged.items()} == {p: plain(s) for p, s in whole.items()}


@given(facts, st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]))
def test_every_way_to_group_gives_the_same_total(
    records: tuple[list[Stint], list[Offer], list[Segment]], zone: str
) -> None:
    cells = queue_cells(*records)
    whole = plain(total(cells))
    for size in Size:
        for by_queue in (True, False):
            rows: dict[object, Sums] = {}
            for (bucket, queue), sums in cells.items():
                period = period_of(bucket, size, ZoneInfo(zone))
                rows.setdefault((period, queue if by_queue else None), Sums()).add(sums)
            assert plain(total_of(rows.values())) == whole


@given(facts)
def test_a_total_is_numerators_over_denominators_and_never_a_mean(
    records: tuple[list[Stint], list[Offer], list[Segment]],
) -> None:
    cells = queue_cells(*records)
    for metric in CATALOGUE.values():
        if not metric.denominator or metric.rank or metric.is_of_now:
            continue
        values = [value_of(metric, sums) for sums in cells.values()]
        whole = value_of(metric, total(cells))
        numerator, denominator = (
            sum(sums.added[name] for sums in cells.values() for name in names)
            for names in (metric.numerator, metric.denominator)
        )
        assert (whole.value is None) == (denominator == 0)
        if whole.value is not None and metric.unit == "percent":
            assert whole.value == round(100 * numerator / denominator, 1)
            assert 0 <= whole.value <= 100
            known = [value.value for value in values if value.value is not None]
            assert min(known) - 0.05 <= whole.value <= max(known) + 0.05


@given(shifts(), st.integers(0, 200))
def test_states_of_an_agent_add_up_to_the_time_logged_in(records: list[Interval], minutes: int) -> None:
    """To the microsecond, split at every border, what is still going on until now."""
    now = NINE + DAY + timedelta(minutes=minutes)
    end = bucket_of(now) + BUCKET
    cells = agent_cells((), (), records, start=NINE, end=end, now=now)
    for agent in (1, 2, 3):
        there = sum(
            (
                max(timedelta(), min(i.ended_at or now, now) - i.started_at)
                for i in records
                if i.agent_id == agent and i.state != "offline"
            ),
            timedelta(),
        )
        counted = sum(sums.added[name] for (_, key), sums in cells.items() if key == agent for name in OF_STATES)
        assert counted == micros(there)
    for (bucket, _), sums in cells.items():
        assert bucket == bucket_of(bucket)
        assert sum(sums.added[name] for name in OF_STATES) <= micros(BUCKET), "nobody has more time than there is"


@given(shifts(), st.integers(0, 95))
def test_states_cut_at_any_border_add_up(records: list[Interval], quarter: int) -> None:
    now = end = NINE + 2 * DAY
    cut = NINE + quarter * BUCKET
    whole = agent_cells((), (), records, start=NINE, end=end, now=now)
    parts = agent_cells((), (), records, start=NINE, end=cut, now=now) | agent_cells(
        (), (), records, start=cut, end=end, now=now
    )
    assert {place: plain(sums) for place, sums in parts.items()} == {p: plain(s) for p, s in whole.items()}


@pytest.mark.parametrize(
    ("zone", "day", "quarters"),
    [
        ("Europe/Berlin", "2026-03-29", 92), ("Europe/Berlin", "2026-10-25", 100), ("America/New_York", "2026-11-01", 100),
        ("Asia/Shanghai", "2026-11-28", 96), ("Asia/Kathmandu", "2026-11-28", 96), ("America/Santiago", "2026-09-06", 92),
        ("Australia/Lord_Howe", "2026-04-05", 98),
    ],
)  # fmt: skip
def test_days_on_which_clocks_change_have_all_their_quarters_once(zone: str, day: str, quarters: int) -> None:
    place = ZoneInfo(zone)
    start, end = period_bounds(datetime.fromisoformat(day), Size.DAY, place)
    buckets = list(buckets_between(start, end))
    assert len(buckets) == quarters
    assert (bucket_of(start), bucket_of(end)) == (start, end)
    for bucket in buckets:
        assert period_of(bucket, Size.DAY, place) == datetime.fromisoformat(day)
    for bucket in (start - BUCKET, end):
        assert period_of(bucket, Size.DAY, place) != datetime.fromisoformat(day)


def test_a_month_is_that_of_the_zone() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    start, end = period_bounds(datetime(2026, 12, 1), Size.MONTH, zone)  # noqa: DTZ001 - a wall clock
    assert (start, end) == (datetime(2026, 11, 30, 16, tzinfo=UTC), datetime(2026, 12, 31, 16, tzinfo=UTC))
    assert period_of(start, Size.MONTH, zone) == datetime(2026, 12, 1)  # noqa: DTZ001
    assert period_of(end, Size.MONTH, zone) == datetime(2027, 1, 1)  # noqa: DTZ001


def test_a_conversation_lands_whole_where_its_wrap_up_ended() -> None:
    ends = NINE + timedelta(minutes=50)
    segment = Segment(
        1, 1, 1, "support", 7, NINE + timedelta(minutes=4), ends - timedelta(seconds=30), ends, is_first=True
    )
    ((place, sums),) = queue_cells((), (), [segment]).items()
    assert place == (NINE + 3 * BUCKET, "support")
    assert value_of(CATALOGUE["aht"], sums).value == 46 * 60
    assert value_of(CATALOGUE["talk_time"], sums).value == 46 * 60 - 30


def test_occupancy_and_utilisation_are_two_things() -> None:
    states = ("available", "reserved", "talking", "wrapping", "break", "not_responding", "reconnecting", "unreachable")
    records = [
        Interval(1, state, NINE + n * timedelta(minutes=1), NINE + (n + 1) * timedelta(minutes=1))
        for n, state in enumerate(states)
    ]
    sums = total(agent_cells((), (), records, start=NINE, end=NINE + DAY, now=NINE + DAY))
    assert value_of(CATALOGUE["occupancy"], sums).value == round(100 * 2 / 3, 1)
    assert value_of(CATALOGUE["utilisation"], sums).value == 50.0
    assert value_of(CATALOGUE["logged_in_time"], sums).value == 480


def test_offers_that_were_taken_back_are_in_no_part_of_the_answer_rate() -> None:
    made = [
        Offer(n, n, n, "support", 1, NINE, state, is_accepted)
        for n, (state, is_accepted) in enumerate(
            [("completed", True), ("accepted", True), ("canceled", True), ("rejected", False), ("timeout", False), ("timeout", False),
             ("rescinded", False), ("canceled", False), ("pending", False)]
        )
    ]  # fmt: skip
    sums = total(queue_cells((), made, ()))
    found = value_of(CATALOGUE["offer_answer_rate"], sums)
    assert (found.numerator, found.denominator, found.value) == (3, 6, 50.0)
    assert value_of(CATALOGUE["offers_missed"], sums).value == 3
