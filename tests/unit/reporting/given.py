"""Records of contacts for tests of the figures."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from reporting.catalogue import CATALOGUE, value_of
from reporting.figures import total_of
from reporting.measures import queue_cells
from reporting.model import Cells, Stint, Sums

NINE: Final = datetime(2026, 11, 27, 9, tzinfo=UTC)


def a_stint(
    outcome: str | None = "answered",
    wait_s: float = 10,
    *,
    ident: int = 1,
    at: datetime = NINE,
    queue: str = "support",
    within_s: int = 20,
    short_abandon_s: int = 5,
) -> Stint:
    """`outcome` None: it still waits."""
    left_at = None if outcome is None else at + timedelta(seconds=wait_s)
    return Stint(ident, ident, ident, queue, at, left_at, outcome, within_s, short_abandon_s)


def sums_of(stints: Sequence[Stint]) -> Sums:
    return total(queue_cells(stints, (), ()))


def total(cells: Cells[str] | Cells[int]) -> Sums:
    return total_of(cells.values())


def value(key: str, sums: Sums) -> float | None:
    return value_of(CATALOGUE[key], sums).value


def parts(key: str, sums: Sums) -> tuple[float | None, float | None]:
    found = value_of(CATALOGUE[key], sums)
    return found.numerator, found.denominator
