import json
from typing import Any

import pytest

from simulator.people.report import Report, judge, percentile


def a_record(**changes: Any) -> dict[str, Any]:
    return {
        "state": "closed",
        "outcome": "answered",
        "queued_at": "2026-01-05T09:00:00Z",
        "ticket": {"id": 1, "number": "T-2026-000001-3"},
    } | changes


@pytest.mark.parametrize(
    ("records", "fate"),
    [
        ([a_record()], "answered"),
        ([a_record(state="wrap_up")], "answered"),
        ([a_record(outcome="abandoned_queue")], "abandoned"),
        ([a_record(outcome="abandoned_ivr", queued_at=None, ticket=None)], "abandoned"),
        ([], "lost"),
        ([a_record(), a_record()], "lost"),
        ([a_record(ticket=None)], "lost"),
        ([a_record(state="queued", outcome=None)], "lost"),
        ([a_record(outcome="failed")], "lost"),
        ([a_record(outcome=None)], "lost"),
    ],
)
def test_every_call_has_one_fate(records: list[dict[str, Any]], fate: str) -> None:
    assert judge(records).fate == fate


def test_percentiles_by_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([], 0.5)) == (51.0, 100.0, None)


def test_the_report_is_one_line_of_json() -> None:
    report = Report(
        calls=2, answered=1, abandoned=1, lost=0, pops=1, duplicate_pops=0, pop_ms={"p50": 1.0, "p99": 2.0},
        seconds=3.0, seed=1, agents=1, unknown=0,
    )  # fmt: skip
    line = report.as_json_line()
    assert "\n" not in line
    assert json.loads(line)["pop_ms"] == {"p50": 1.0, "p99": 2.0}
    assert report.is_clean
