"""What one record contributes to the sums. The whole arithmetic of the figures is here; everything else adds, divides and shows.

A measure is a function from a record to a number; 0 is nothing. Its name is its column in `queue_figures` or `agent_figures`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, TypeVar

from reporting.model import (
    Cells,
    Interval,
    Offer,
    Offers,
    Segment,
    Segments,
    Stint,
    Stints,
    Sums,
    bucket_of,
    buckets_between,
    micros,
)

R = TypeVar("R")
Measures = Mapping[str, Callable[[R], int]]
AnyStint = Stint | Stints
AnyOffer = Offer | Offers
AnySegment = Segment | Segments
"""One, or many that count alike."""
INSIGHTS_THRESHOLD: Final = timedelta(seconds=60)


def _number_of(condition: Callable[[R], bool]) -> Callable[[R], int]:
    return lambda record: record.count if condition(record) else 0  # type: ignore[attr-defined]


def _ended(outcome: str | None) -> Callable[[AnyStint], int]:
    return lambda stint: stint.count if stint.outcome == outcome else 0


def is_short(stint: AnyStint) -> bool:
    """Exactly the setting is not short."""
    return (
        stint.outcome == "abandoned"
        and stint.wait is not None
        and stint.wait < timedelta(seconds=stint.short_abandon_s)
    )


def _is_lost(stint: AnyStint) -> bool:
    return stint.outcome == "abandoned" and not is_short(stint)


def _is_answered(stint: AnyStint) -> bool:
    return stint.outcome == "answered"


def _left_within(stint: AnyStint, limit: timedelta) -> bool:
    """Exactly the threshold is within."""
    return stint.wait is not None and stint.wait <= limit


def _is_within(stint: AnyStint) -> bool:
    return _left_within(stint, timedelta(seconds=stint.within_s))


OF_STINTS: Final[Measures[AnyStint]] = {
    "offered": lambda stint: stint.count,
    "answered": _ended("answered"),
    "abandoned": _number_of(_is_lost),
    "short": _number_of(is_short),
    "callback": _ended("callback_requested"),
    "transferred": _ended("transferred_out"),
    "overflowed": _ended("overflowed"),
    "closed": _ended("closed"),
    "failed": _ended("failed"),
    "waiting": _ended(None),
    "within": _number_of(lambda stint: _is_answered(stint) and _is_within(stint)),
    "within_60": _number_of(lambda stint: _is_answered(stint) and _left_within(stint, INSIGHTS_THRESHOLD)),
    "left_within": _number_of(_is_within),
    "wait_answered_us": lambda stint: stint.waited_us if _is_answered(stint) else 0,
    "wait_abandoned_us": lambda stint: stint.waited_us if _is_lost(stint) else 0,
}
PEAK: Final = "wait_max_us"
"""Of those that have left, however they did."""
OF_OFFERS: Final[Measures[AnyOffer]] = {
    "offers_accepted": lambda offer: offer.count if offer.is_accepted else 0,
    "offers_declined": lambda offer: offer.count if offer.state == "rejected" else 0,
    "offers_unanswered": lambda offer: offer.count if offer.state == "timeout" else 0,
}
OF_SEGMENTS: Final[Measures[AnySegment]] = {
    "segments": lambda segment: segment.count,
    "contacts": lambda segment: segment.contacts,
    "talk_us": lambda segment: segment.talk_us,
    "wrap_us": lambda segment: segment.wrap_us,
    "hold_us": lambda segment: segment.hold_us,
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


def queue_cells(stints: Iterable[AnyStint], offers: Iterable[AnyOffer], segments: Iterable[AnySegment]) -> Cells[str]:
    cells: Cells[str] = {}
    for stint in stints:
        sums = _cell(cells, stint.entered_at, stint.queue)
        _count(sums, OF_STINTS, stint)
        if stint.wait is not None:
            sums.peaks[PEAK] = max(stint.longest_us, sums.peaks.get(PEAK, 0))
            if _is_answered(stint):
                sums.waits[-(-micros(stint.wait) // 1_000_000)] += stint.count
    for offer in offers:
        _count(_cell(cells, offer.created_at, offer.queue), OF_OFFERS, offer)
    for segment in segments:
        _count(_cell(cells, segment.ended_at, segment.queue), OF_SEGMENTS, segment)
    return cells


def agent_cells(
    offers: Iterable[AnyOffer],
    segments: Iterable[AnySegment],
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
