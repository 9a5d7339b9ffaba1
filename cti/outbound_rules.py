"""Whom agents may call, under which number, and when not. Pure: settings and the time in, a verdict out.

Nothing may be called until the organisation says what numbers may begin with, since it pays for each call. Quiet hours are those of the callee: by the
region of the number, and where a region has several zones it is quiet as soon as it is in one of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

ANY: Final = ""


@dataclass(frozen=True, slots=True)
class CallerId:
    """Which of our numbers is shown; without queue or region it fits all."""

    number: str
    queue: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` until `end`, past midnight if that is earlier. Without regions: wherever nothing else is said."""

    zones: tuple[str, ...]
    start: time
    end: time
    regions: tuple[str, ...] = ()

    def holds(self, at: datetime) -> bool:
        return any(self._holds_in(zone, at) for zone in self.zones)

    def _holds_in(self, zone: str, at: datetime) -> bool:
        clock = at.astimezone(ZoneInfo(zone)).time()
        if self.start <= self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


@dataclass(frozen=True, slots=True)
class Outbound:
    prefixes: tuple[str, ...] = ()
    caller_ids: tuple[CallerId, ...] = ()
    prefer_last_dialled: bool = False
    quiet_hours: tuple[QuietHours, ...] = ()
    ring_s: int = 30

    def may_call(self, e164: str) -> bool:
        return any(e164.startswith(prefix) for prefix in self.prefixes)

    def quiet(self, region: str | None, at: datetime) -> QuietHours | None:
        """The hours that forbid a call there now."""
        named = [each for each in self.quiet_hours if region is not None and region in each.regions]
        found = named or [each for each in self.quiet_hours if not each.regions]
        return next((each for each in found if each.holds(at)), None)

    def shown(self, *, queue: str, region: str | None, last_dialled: str | None, ours: Mapping[str, str]) -> str | None:
        """The number that the callee sees. `ours`: our numbers with the queue of each.

        The one they called last, where that is wished; the first rule that fits; a number of this queue; any of ours."""
        if self.prefer_last_dialled and last_dialled in ours:
            return last_dialled
        for rule in self.caller_ids:
            if rule.queue in (None, queue) and rule.region in (None, region):
                return rule.number
        return next((number for number, of in ours.items() if of == queue), next(iter(ours), None))


def read_outbound(settings: Mapping[str, Any] | None) -> Outbound:
    """As `ringdesk apply` has written it."""
    if settings is None:
        return Outbound()
    return Outbound(
        prefixes=tuple(settings["prefixes"]),
        caller_ids=tuple(CallerId(**each) for each in settings["caller_ids"]),
        prefer_last_dialled=settings["prefer_last_dialled"],
        quiet_hours=tuple(_quiet(each) for each in settings["quiet_hours"]),
        ring_s=settings["ring_s"],
    )


def _quiet(each: Mapping[str, Any]) -> QuietHours:
    regions: Sequence[str] = each["regions"]
    return QuietHours(
        tuple(each["zones"]), time.fromisoformat(each["start"]), time.fromisoformat(each["end"]), tuple(regions)
    )
