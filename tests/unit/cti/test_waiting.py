"""The range of waits that a caller is told."""

from itertools import pairwise

import pytest

from cti.waiting import is_time_to_say, range_of


@pytest.mark.parametrize(
    ("waits_s", "waited_s", "told"),
    [
        ([], 0, None),
        ([60, 60, 60, 60], 0, None),
        ([10, 20, 30, 40, 50], 0, (0, 1)),
        ([30, 120, 150, 200, 900], 0, (2, 4)),
        ([30, 120, 150, 200, 900], 199, (2, 4)),
        ([30, 120, 150, 200, 900], 200, None),
        ([120] * 20, 0, (2, 2)),
        ([600, 30, 120, 200, 150, 5, 5, 5, 5, 5], 0, (0, 3)),
    ],
)
def test_range_of_recent_waits(waits_s: list[float], waited_s: float, told: tuple[int, int] | None) -> None:
    assert range_of(waits_s, waited_s=waited_s) == told


def test_it_is_said_about_once_a_minute() -> None:
    for round_s in (14, 16, 18):
        said = [s for s in range(0, 600, round_s) if is_time_to_say(s)]
        assert 9 <= len(said) <= 12, "ten minutes"
        assert max(b - a for a, b in pairwise(said)) <= 60 + 2 * round_s
