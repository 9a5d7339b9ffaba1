"""Opening hours by the wall clock of a place: hours of the week, and days that differ.

A moment is turned into the place's own date and time, so that a change of clocks needs no rule: what the clock skips is never open, and what it
shows twice is open twice. Hours may run over midnight; they belong to the day they begin on.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MIN: Final = 24 * 60
_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Hours:
    """From one minute of the day to another, which is not in it any more. An end at or before the start is one of the next day."""

    start_min: int
    end_min: int

    @property
    def is_overnight(self) -> bool:
        return self.end_min <= self.start_min


def hours_of(text: str) -> Hours:
    """`09:00-17:30`, `22:00-06:00`, `00:00-24:00`. Raises ValueError."""
    found = _HOURS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not from and to, such as 09:00-17:30")
    start_h, start_m, end_h, end_m = map(int, found.groups())
    if end_h * 60 + end_m > _DAY_MIN:
        raise ValueError(f"{text!r} ends after 24:00; hours of the next morning are written 22:00-06:00")
    return Hours(start_h * 60 + start_m, end_h * 60 + end_m)


def days_of(text: str) -> tuple[int, ...]:
    """`mon`, or `mon-fri`: numbers of days, Monday is 0. Raises ValueError."""
    first, _, last = text.partition("-")
    if first not in DAYS or (last or first) not in DAYS:
        raise ValueError(f"{text!r} is no day; use {', '.join(DAYS)}, or two of them as mon-fri")
    start, end = DAYS.index(first), DAYS.index(last or first)
    return tuple(n % 7 for n in range(start, (end if end >= start else end + 7) + 1))


@dataclass(frozen=True, slots=True)
class Calendar:
    """`weekly` has seven days, Monday first; a day in `other` has these hours instead, none when it is a holiday."""

    zone: str
    weekly: Sequence[Sequence[Hours]]
    other: Mapping[date, Sequence[Hours]] = field(default_factory=dict)

    def is_open(self, at: datetime) -> bool:
        """`at` is aware."""
        local = at.astimezone(ZoneInfo(self.zone))
        minute, today = local.hour * 60 + local.minute, local.date()
        for hours in self.on(today):
            if hours.start_min <= minute and (minute < hours.end_min or hours.is_overnight):
                return True
        return any(h.is_overnight and minute < h.end_min for h in self.on(today - timedelta(days=1)))

    def on(self, day: date) -> Sequence[Hours]:
        return self.other[day] if day in self.other else self.weekly[day.weekday()]


def read_calendar(settings: Mapping[str, Any]) -> Calendar:
    """As `apply` has stored it. Raises ValueError, KeyError."""
    return Calendar(
        settings["zone"],
        tuple(tuple(hours_of(text) for text in day) for day in settings["weekly"]),
        {date.fromisoformat(day): tuple(hours_of(text) for text in hours) for day, hours in settings["other"].items()},
    )
