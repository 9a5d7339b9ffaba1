"""The catalogue says of each metric what it is, in both languages, and an empty denominator is no value."""

import re
from pathlib import Path
from typing import Final

import pytest

from core.texts import LANGUAGES
from reporting.catalogue import CATALOGUE, DECIDED, LEVELS, NOW, OUTCOMES, Group, Kind, Unit, nearest_rank, value_of
from reporting.measures import AGENT_MEASURES, OF_STATES, OF_STINTS, PEAK, QUEUE_MEASURES
from reporting.model import Sums
from tests.unit.reporting.given import a_stint, sums_of, value

ROOT: Final = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("key", CATALOGUE)
def test_each_metric_says_what_it_is_in_every_language(key: str) -> None:
    metric = CATALOGUE[key]
    assert metric.key == key
    for text in (metric.name, metric.formula, metric.edges):
        assert set(text) == set(LANGUAGES)
        assert all(text.values())
    assert metric.version >= 1
    assert Group.NONE in metric.groups
    assert {*metric.numerator, *metric.denominator} <= {*QUEUE_MEASURES, *AGENT_MEASURES, *NOW, PEAK}


@pytest.mark.parametrize("key", CATALOGUE)
def test_nothing_is_no_value_neither_0_nor_100(key: str) -> None:
    metric = CATALOGUE[key]
    found = value_of(metric, Sums(), is_now=True)
    if metric.kind is Kind.SUM:
        assert found.value == 0, "a count of nothing is nothing"
    else:
        assert found.value is None
    assert metric.unit is not Unit.PERCENT or found.denominator == 0


def test_what_is_counted_nowhere_leaves_the_service_level_empty() -> None:
    sums = sums_of([a_stint("abandoned", 2), a_stint("callback_requested"), a_stint(None)])
    assert [value(key, sums) for key in ("service_level", "service_level_answered", "abandonment", "asa")] == [None] * 4
    assert value("service_level_offered", sums) == 0, "there was something to divide by"


def test_there_are_six_service_levels_and_ours_is_decided_by_answered_and_abandoned() -> None:
    assert len(LEVELS) == 6
    assert CATALOGUE["service_level"].denominator == DECIDED


def test_metrics_of_now_have_no_history() -> None:
    sums = sums_of([a_stint(None)])
    sums.added["waiting_now"] = 3
    metric = CATALOGUE["waiting_now"]
    assert (value_of(metric, sums).value, value_of(metric, sums, is_now=True).value) == (None, 3)


def test_outcomes_are_all_there_are() -> None:
    assert {name for name in OF_STINTS if name in OUTCOMES} == set(OUTCOMES)
    assert set(OUTCOMES).isdisjoint({"offered"})


def test_what_can_be_grouped_how_follows_from_what_it_is_made_of() -> None:
    groups = {key: metric.groups for key, metric in CATALOGUE.items()}
    assert groups["service_level"] == {Group.NONE, Group.QUEUE}
    assert groups["occupancy"] == {Group.NONE, Group.AGENT}
    assert groups["aht"] == set(Group)
    assert groups["agents_talking_now"] == {Group.NONE}
    assert not CATALOGUE["occupancy"].has_contacts
    assert not CATALOGUE["waiting_now"].has_contacts
    assert CATALOGUE["aht"].has_contacts


def test_columns_of_the_tables_are_the_measures() -> None:
    text = (ROOT / "migrations" / "0021_figures.sql").read_text(encoding="utf-8")
    later = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "migrations").glob("*.sql"))[21:])

    def columns(table: str) -> list[str]:
        body = text.split(f"CREATE TABLE {table} (")[1].split("PRIMARY KEY")[0]
        added = re.findall(rf"ALTER TABLE {table} ADD COLUMN (\w+)", later)
        return [*(line.split()[0] for line in body.strip().splitlines() if line.strip()), *added]

    assert set(columns("queue_figures")) == {"bucket", "queue", *QUEUE_MEASURES, PEAK}
    assert set(columns("agent_figures")) == {"bucket", "agent_id", *AGENT_MEASURES}
    assert set(OF_STATES) <= set(AGENT_MEASURES)


@pytest.mark.parametrize(
    ("waits", "rank", "expected"),
    [({}, 50, None), ({7: 1}, 50, 7), ({7: 1}, 90, 7), ({1: 1, 2: 1}, 50, 1), ({1: 1, 2: 1, 3: 1}, 50, 2), ({1: 9, 60: 1}, 90, 1)],
)  # fmt: skip
def test_nearest_rank(waits: dict[int, int], rank: int, expected: int | None) -> None:
    assert nearest_rank(waits, rank) == expected


def test_percentiles_are_rounded_up_to_whole_seconds() -> None:
    assert value("asa_p50", sums_of([a_stint("answered", 9.2)])) == 10
    assert value("asa_p50", sums_of([a_stint("answered", 9)])) == 9
    assert value("asa_p50", sums_of([a_stint("answered", 0)])) == 0
