"""What one record contributes to the sums. The whole arithmetic of the figures is here; everything else adds, divides and shows.

A measure is a function from a record to a number; 0 is nothing. Its name is its column in `queue_figures` or `agent_figures`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, TypeVar

from reporting.model import Cells, Interval, Offer, Segment, Stint, Sums, bucket_of, buckets_between, micros

R = TypeVar("R")
Measures = Mapping[str, Callable[[R], int]]
INSIGHTS_THRESHOLD: Final = timedelta(seconds=60)


def _has(outcome: str) -> Callable[[Stint], int]:
    return lambda stint: stint.outcome == outcome


def is_short(stint: Stint) -> bool:
    """Exactly the setting is not short."""
    return stint.outcome == "abandoned" and _wait(stint) < timedelta(seconds=stint.short_abandon_s)


def _wait(stint: Stint) -> timedelta:
    return stint.wait or timedelta()


def _left_within(stint: Stint, limit: timedelta) -> bool:
    """Exactly the threshold is within."""
    return stint.wait is not None and stint.wait <= limit


def _within(stint: Stint) -> bool:
    return _left_within(stint, timedelta(seconds=stint.within_s))


def _is_lost(stint: Stint) -> bool:
    return stint.outcome == "abandoned" and not is_short(stint)


OF_STINTS: Final[Measures[Stint]] = {
    "offered": lambda _: 1,
    "answered": _has("answered"),
    "abandoned": _is_lost,
    "short": is_short,
    "callback": _has("callback_requested"),
    "transferred": _has("transferred_out"),
    "overflowed": _has("overflowed"),
    "closed": _has("closed"),
    "failed": _has("failed"),
    "waiting": lambda stint: stint.outcome is None,
    "within": lambda stint: stint.outcome == "answered" and _within(stint),
    "within_60": lambda stint: stint.outcome == "answered" and _left_within(stint, INSIGHTS_THRESHOLD),
    "left_within": _within,
    "wait_answered_us": lambda stint: micros(_wait(stint)) if stint.outcome == "answered" else 0,
    "wait_abandoned_us": lambda stint: micros(_wait(stint)) if _is_lost(stint) else 0,
}
PEAK: Final = "wait_max_us"
"""Of those that have left, however they did."""
OF_OFFERS: Final[Measures[Offer]] = {
    "offers_accepted": lambda offer: offer.is_accepted,
    "offers_declined": lambda offer: offer.state == "rejected",
    "offers_unanswered": lambda offer: offer.state == "timeout",
}
# The moments come from different clocks: a conversation that was over before it was known to have begun took no time.
OF_SEGMENTS: Final[Measures[Segment]] = {
    "segments": lambda _: 1,
    "contacts": lambda segment: segment.is_first,
    "talk_us": lambda segment: max(0, micros(segment.wrap_started_at - segment.connected_at)),
    "wrap_us": lambda segment: max(0, micros(segment.ended_at - segment.wrap_started_at)),
}
STATES: Final = (
    "available", "reserved", "talking", "wrapping", "break", "not_responding", "reconnecting", "unreachable",
)  # fmt: skip
"""In which somebody is logged in: all but offline."""
OF_STATES: Final = tuple(f"{state}_us" for state in STATES)
QUEUE_MEASURES: Final = (*OF_STINTS, *OF_OFFERS, *OF_SEGMENTS)
AGENT_MEASURES: Final = (*OF_OFFERS, *OF_SEGMENTS, *OF_STATES)

NOW_OF_STINTS: Final = ("waiting_now", "waiting_beyond_now")
NOW_OF_STATES: Final = tuple(f"agents_{state}_now" for state in STATES)
LONGEST_NOW: Final = "longest_wait_now_us"


def queue_cells(stints: Iterable[Stint], offers: Iterable[Offer], segments: Iterable[Segment]) -> Cells[str]:
    cells: Cells[str] = {}
    for stint in stints:
        sums = _cell(cells, stint.entered_at, stint.queue)
        _count(sums, OF_STINTS, stint)
        if stint.wait is not None:
            sums.peaks[PEAK] = max(micros(stint.wait), sums.peaks.get(PEAK, 0))
        if stint.outcome == "answered":
            sums.waits[-(-micros(_wait(stint)) // 1_000_000)] += 1
    for offer in offers:
        _count(_cell(cells, offer.created_at, offer.queue), OF_OFFERS, offer)
    for segment in segments:
        _count(_cell(cells, segment.ended_at, segment.queue), OF_SEGMENTS, segment)
    return cells


def agent_cells(
    offers: Iterable[Offer],
    segments: Iterable[Segment],
    intervals: Iterable[Interval],
    *,
    start: datetime,
    end: datetime,
    now: datetime,
) -> Cells[int]:
    """States are split exactly at the borders of buckets, and at the ends of [start, end); what is still going on lasts until `now`."""
    cells: Cells[int] = {}
    for offer in offers:
        _count(_cell(cells, offer.created_at, offer.agent_id), OF_OFFERS, offer)
    for segment in segments:
        _count(_cell(cells, segment.ended_at, segment.agent_id), OF_SEGMENTS, segment)
    for interval in intervals:
        if interval.state not in STATES:
            continue
        since, until = max(start, interval.started_at), min(end, now, interval.ended_at or now)
        borders = [since, *(b for b in buckets_between(since, until) if b > since), until]
        for left, right in pairwise(borders):
            if left < right:
                _cell(cells, left, interval.agent_id).added[f"{interval.state}_us"] += micros(right - left)
    return cells


def waiting_sums(stint: Stint, now: datetime) -> Sums:
    """A stint that is open, as it stands at this moment."""
    waited = max(timedelta(), now - stint.entered_at)
    sums = Sums(peaks={LONGEST_NOW: micros(waited)})
    sums.added.update(waiting_now=1, waiting_beyond_now=int(waited > timedelta(seconds=stint.within_s)))
    return sums


def _cell(cells: dict[tuple[datetime, Any], Sums], moment: datetime, key: object) -> Sums:
    place = (bucket_of(moment), key)
    found = cells.get(place)
    if found is None:
        found = cells[place] = Sums()
    return found


def _count(sums: Sums, measures: Measures[R], record: R) -> None:
    for name, measure in measures.items():
        if value := measure(record):
            sums.added[name] += value
