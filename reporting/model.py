"""What figures are made of: records as they are read from the facts, sums that add up, and quarters of an hour.

A record is counted in the bucket its definition names, once. Records that no measure can tell apart may be counted as one record of many:
so an answer costs as much as there are kinds of them. Sums of buckets and groups are added, never averaged, so that splitting and
merging change nothing: live, history and recompute are the same function over the same records.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

BUCKET: Final = timedelta(minutes=15)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Stint:
    """One stay of a contact in one queue, with the settings it is judged by. `left_at` None: it still waits."""

    id: int
    work_item_id: int
    call_id: int | None
    queue: str
    entered_at: datetime
    left_at: datetime | None
    outcome: str | None
    within_s: int
    short_abandon_s: int

    @property
    def wait(self) -> timedelta | None:
        """Ringing and failed offers included; None while it waits."""
        return None if self.left_at is None else self.left_at - self.entered_at

    @property
    def count(self) -> int:
        return 1

    @property
    def waited_us(self) -> int:
        return 0 if self.wait is None else micros(self.wait)

    @property
    def longest_us(self) -> int:
        return self.waited_us


@dataclass(frozen=True, slots=True)
class Stints:
    """Stays of one bucket that count alike: one queue, outcome and setting, and waits between the same two whole seconds.

    `wait` stands for all of theirs: the whole second, or one between it and the next. Settings are whole seconds, so no comparison tells
    them apart. What they waited together and at most is exact."""

    queue: str
    entered_at: datetime
    outcome: str | None
    within_s: int
    short_abandon_s: int
    wait: timedelta | None
    count: int
    waited_us: int
    longest_us: int


@dataclass(frozen=True, slots=True)
class Offer:
    """One reservation of one agent."""

    id: int
    work_item_id: int
    call_id: int | None
    queue: str
    agent_id: int
    created_at: datetime
    state: str
    is_accepted: bool

    @property
    def count(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class Offers:
    """Offers of one bucket that count alike, of one queue or of one agent."""

    queue: str
    agent_id: int
    created_at: datetime
    state: str
    is_accepted: bool
    count: int


@dataclass(frozen=True, slots=True)
class Segment:
    """One agent's part of a contact, complete: conversation and wrap-up. `id` is the offer's. `is_first` of its contact."""

    id: int
    work_item_id: int
    call_id: int | None
    queue: str
    agent_id: int
    connected_at: datetime
    wrap_started_at: datetime
    ended_at: datetime
    is_first: bool
    hold_us: int = 0
    """Of the talk."""

    @property
    def count(self) -> int:
        return 1

    @property
    def contacts(self) -> int:
        return int(self.is_first)

    @property
    def talk_us(self) -> int:
        """The moments come from different clocks: a conversation that was over before it was known to have begun took no time."""
        return max(0, micros(self.wrap_started_at - self.connected_at))

    @property
    def wrap_us(self) -> int:
        return max(0, micros(self.ended_at - self.wrap_started_at))


@dataclass(frozen=True, slots=True)
class Segments:
    """Conversations of one bucket, of one queue or of one agent."""

    queue: str
    agent_id: int
    ended_at: datetime
    count: int
    contacts: int
    talk_us: int
    wrap_us: int
    hold_us: int = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """What an agent did from when to when; `ended_at` None: still."""

    agent_id: int
    state: str
    started_at: datetime
    ended_at: datetime | None


@dataclass(slots=True)
class Sums:
    """`added` and `waits` add up, of `peaks` the greatest counts. A measure that is missing is nothing."""

    added: Counter[str] = field(default_factory=Counter)
    peaks: dict[str, int] = field(default_factory=dict)
    waits: Counter[int] = field(default_factory=Counter)
    """Answered contacts by whole seconds of wait, rounded up."""

    def add(self, other: "Sums") -> None:
        self.added.update(other.added)
        self.waits.update(other.waits)
        for name, value in other.peaks.items():
            self.peaks[name] = max(value, self.peaks.get(name, value))


@dataclass(frozen=True, slots=True)
class Progress:
    """Buckets before `closed_until` are closed, those in [filled_from, filled_until) stored, those before `kept_from` may be gone, and
    facts before `facts_from` (None: nothing is)."""

    closed_until: datetime
    filled_from: datetime
    filled_until: datetime
    kept_from: datetime | None
    facts_from: datetime | None


K = TypeVar("K")
Cells = dict[tuple[datetime, K], Sums]
"""By bucket and by queue or agent."""


def bucket_of(moment: datetime) -> datetime:
    return moment - (moment - EPOCH) % BUCKET


def buckets_between(start: datetime, end: datetime) -> Iterator[datetime]:
    """The buckets that touch [start, end)."""
    bucket = bucket_of(start)
    while bucket < end:
        yield bucket
        bucket += BUCKET


def micros(span: timedelta) -> int:
    return span // MICROSECOND


# --- stretches of time ------------------------------------------------------------------------------------------------


class Size(StrEnum):
    """How the time is cut. Quarters and halves of an hour are UTC's, days and months those of a zone."""

    NONE = "none"
    QUARTER = "15m"
    HALF = "30m"
    DAY = "day"
    MONTH = "month"


def period_of(bucket: datetime, size: Size, zone: ZoneInfo) -> datetime | None:
    """The wall clock at which the period of this bucket begins: in the zone for days and months, else in UTC. None: the time is not cut.

    A wall clock names a day also where the day has 23 or 25 hours, or begins at one."""
    if size is Size.NONE:
        return None
    if size in (Size.QUARTER, Size.HALF):
        span = BUCKET if size is Size.QUARTER else 2 * BUCKET
        return (bucket - (bucket - EPOCH) % span).replace(tzinfo=None)
    day = bucket.astimezone(zone).date()
    return datetime.combine(day.replace(day=1) if size is Size.MONTH else day, time())


def period_bounds(period: datetime, size: Size, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When it begins and ends, in UTC."""
    if size in (Size.QUARTER, Size.HALF):
        start = period.replace(tzinfo=UTC)
        return start, start + (BUCKET if size is Size.QUARTER else 2 * BUCKET)
    day = period.date()
    following = day + timedelta(days=1)
    if size is Size.MONTH:
        following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return day_start(day, zone), day_start(following, zone)


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day there, in UTC; where midnight is skipped, what comes instead of it."""
    return datetime.combine(day, time(), zone).astimezone(UTC)
