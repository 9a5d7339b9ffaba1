"""Reading figures: stored sums where they are, the facts themselves for the rest, added up and only then divided.

The rest is what no quarter has closed yet, plus quarters whose facts have just changed: as many as calls come in a quarter, however much
is stored. All is read in one snapshot, so that an answer is true for one moment.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import asyncpg

from core.errors import Invalid, Unavailable
from infra.postgres import Connection
from reporting import queries as sql
from reporting.catalogue import CATALOGUE, Group, Metric
from reporting.measures import AGENT_MEASURES, OF_STATES, PEAK, QUEUE_MEASURES, agent_cells, queue_cells, waiting_sums
from reporting.model import BUCKET, EPOCH, Progress, Size, Sums, bucket_of, day_start, period_of

MOST_DAYS: Final = 400
MOST_DAYS_OF_AGENTS: Final = 100
MOST_PERIODS: Final = 3000
"""Rows of one key; 31 days of quarters are 2,976."""
MOST_UNFILLED: Final = timedelta(days=2)
"""Of facts that are read where no sums are stored yet."""
NO_ZONE: Final = "there is no such time zone; write one such as Europe/Berlin"
Key = str | int | None
Place = tuple[Key, datetime | None]
"""A row of an answer: a queue, an agent or everything, and the wall clock at which its period begins."""


@dataclass(frozen=True, slots=True)
class Question:
    """`start` and `end` are moments on a quarter of an hour, or days in a zone: that of each queue, or `zone`. `end` is not part of it."""

    start: datetime | date | None
    end: datetime | date | None
    group: Group = Group.NONE
    size: Size = Size.NONE
    queue: str | None = None
    agent_id: int | None = None
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was asked, made definite for the queues of one zone."""

    zone: ZoneInfo
    queues: tuple[str, ...]
    start: datetime
    end: datetime

    def has(self, now: datetime) -> bool:
        return self.start <= now < self.end


@dataclass(frozen=True, slots=True)
class Answer:
    """`has_now`: the sums hold this moment, too."""

    rows: Mapping[Place, Sums]
    stretches: Sequence[Stretch]
    has_now: bool
    names: Mapping[Key, Any]

    def stretch_of(self, key: Key) -> Stretch:
        return next((stretch for stretch in self.stretches if key in stretch.queues), self.stretches[0])


def refused(field: str, message: str) -> Invalid:
    return Invalid(f"{field}: {message}", errors=[{"field": field, "message": message}])


def metrics_of(keys: str | None, group: Group, *, of_queue: bool = False) -> tuple[Metric, ...]:
    """The metrics with these keys, separated by commas; without keys all that can be grouped so. `of_queue`: of one queue alone.
    Raises Invalid."""
    fits = Group.QUEUE if of_queue else group
    if keys is None:
        return tuple(metric for metric in CATALOGUE.values() if {group, fits} <= metric.groups)
    found = []
    for key in dict.fromkeys(keys.split(",")):
        metric = CATALOGUE.get(key)
        if metric is None:
            raise refused("metrics", "one of them is no metric; GET /api/v1/metrics lists them all")
        if group not in metric.groups:
            raise refused("metrics", f"{key} cannot be grouped by {group}; only by {', '.join(sorted(metric.groups))}")
        if fits not in metric.groups:
            raise refused("metrics", f"{key} is of agents, who have no one queue; leave queue out")
        found.append(metric)
    return tuple(found)


async def read(conn: Connection, question: Question, metrics: Sequence[Metric], *, now: datetime) -> Answer:
    """Raises Invalid, naming the field, and Unavailable while the sums of the stretch are not there yet."""
    try:
        return await _read_all(conn, question, metrics, now)
    except asyncpg.InvalidParameterValueError as error:  # a zone that only Python knows
        raise refused("zone", NO_ZONE) from error


async def _read_all(conn: Connection, question: Question, metrics: Sequence[Metric], now: datetime) -> Answer:
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        queues = await conn.fetch(sql.QUEUES)
        stretches = _stretches(question, queues, now)
        progress = await sql.progress(conn)
        rows: dict[Place, Sums] = {}
        of_agents = [{*metric.numerator} <= {*OF_STATES} for metric in metrics]
        needs_agents = question.group is Group.AGENT or any(of_agents)
        needs_queues = question.group is not Group.AGENT and not all(of_agents)
        for stretch in stretches:
            _check(stretch, question, progress)
            if needs_queues:
                await _add_queues(conn, rows, question, stretch, progress, now)
        if needs_agents:
            await _add_agents(conn, rows, question, stretches[0], progress, now)
        has_now = question.size is Size.NONE and all(stretch.has(now) for stretch in stretches)
        if has_now and question.group is not Group.AGENT and any(metric.is_of_now for metric in metrics):
            await _add_now(conn, rows, question, stretches, now)
        names = await _names(conn, question.group, queues, rows)
    if question.size is Size.NONE and question.group is Group.QUEUE:
        for row in queues:
            if row["is_active"] and question.queue in (None, row["key"]):
                rows.setdefault((row["key"], None), Sums())
    elif question.size is Size.NONE and question.group is Group.NONE:
        rows.setdefault((None, None), Sums())
    return Answer(rows, stretches, has_now, names)


async def stretch_of_queue(conn: Connection, question: Question, *, now: datetime) -> Stretch:
    """The time that is asked for of one queue, while its facts are kept. Raises Invalid."""
    (stretch,) = _stretches(question, await conn.fetch(sql.QUEUES), now)
    _check(stretch, question, None)
    progress = await sql.progress(conn)
    if progress is not None and progress.facts_from is not None and stretch.start < progress.facts_from:
        raise refused("from", f"single contacts are kept since {progress.facts_from:%Y-%m-%dT%H:%MZ}")
    return stretch


def total_of(rows: Iterable[Sums]) -> Sums:
    total = Sums()
    for sums in rows:
        total.add(sums)
    return total


# --- what is asked -------------------------------------------------------------------------------------------------------


def _stretches(question: Question, queues: Sequence[Any], now: datetime) -> list[Stretch]:
    """One for each zone in which queues have their days; one alone where they are added up, or where no days matter."""
    zones = {row["key"]: row["zone"] for row in queues if question.queue in (None, row["key"])}
    if question.queue is not None and not zones:
        raise refused("queue", "there is no such queue")
    keys_of: dict[str, tuple[str, ...]] = {}
    if question.zone is not None:
        keys_of[question.zone] = tuple(zones)
    else:
        for key, zone in zones.items():
            keys_of[zone] = (*keys_of.get(zone, ()), key)
        is_by_day = question.size in (Size.DAY, Size.MONTH) or not (
            _is_moment(question.start) and _is_moment(question.end)
        )
        if not keys_of or (question.group is not Group.QUEUE and not is_by_day):
            keys_of = {"UTC": tuple(zones)}
        elif question.group is not Group.QUEUE and len(keys_of) > 1:
            active = {row["zone"] for row in queues if row["is_active"]}
            if len(active) != 1:
                raise refused(
                    "zone",
                    f"the queues have days of their own, in {', '.join(sorted(active))}; say whose days are meant",
                )
            keys_of = {active.pop(): tuple(zones)}
    return [_stretch(question, name, keys, now) for name, keys in keys_of.items()]


def _is_moment(value: datetime | date | None) -> bool:
    return isinstance(value, datetime)


def _stretch(question: Question, name: str, keys: tuple[str, ...], now: datetime) -> Stretch:
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise refused("zone", NO_ZONE) from None
    start = now.astimezone(zone).date() if question.start is None else question.start
    end = bucket_of(now) + BUCKET if question.end is None else question.end
    return Stretch(zone, keys, _moment(start, zone), _moment(end, zone))


def _moment(value: datetime | date, zone: ZoneInfo) -> datetime:
    return value if isinstance(value, datetime) else day_start(value, zone)


def _check(stretch: Stretch, question: Question, progress: Progress | None) -> None:
    for field, moment in (("from", stretch.start), ("to", stretch.end)):
        if moment != bucket_of(moment):
            raise refused(field, "must lie on a quarter of an hour")
    if stretch.end <= stretch.start:
        raise refused("to", "must be after from")
    most = MOST_DAYS_OF_AGENTS if question.group is Group.AGENT else MOST_DAYS
    if stretch.end - stretch.start > timedelta(days=most):
        raise refused("from", f"at most {most} days can be asked for at once")
    width = {Size.QUARTER: BUCKET, Size.HALF: 2 * BUCKET}.get(question.size)
    if width is not None and (stretch.end - stretch.start) / width > MOST_PERIODS:
        raise refused("bucket", f"that would be more than {MOST_PERIODS} rows for each; take longer ones or less time")
    if progress is not None and progress.kept_from is not None and stretch.start < progress.kept_from:
        raise refused("from", f"figures are kept since {progress.kept_from:%Y-%m-%dT%H:%MZ}")


# --- sums ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parts:
    """[start, end) is stored, except `reopened`; `loose` stretches are not."""

    start: datetime
    end: datetime
    reopened: Sequence[datetime]
    loose: Sequence[tuple[datetime, datetime]]


async def _parts(conn: Connection, stretch: Stretch, progress: Progress | None, now: datetime) -> Parts:
    last = min(stretch.end, bucket_of(now) + BUCKET)  # nothing is known of what is to come
    since, until = (EPOCH, EPOCH) if progress is None else (progress.filled_from, progress.filled_until)
    start, end = max(stretch.start, since), min(last, until)
    if start >= end:
        start = end = stretch.start
    reopened = [row["bucket"] for row in await conn.fetch(sql.REOPENED_BETWEEN, start, end)]
    loose = [(a, b) for a, b in ((stretch.start, start), (end, last)) if a < b]
    if sum((b - a for a, b in loose), timedelta()) > MOST_UNFILLED:
        raise Unavailable("The figures of this time are still being counted; ask for less, or again in some minutes.")
    for bucket in reopened:
        if loose and loose[-1][1] == bucket:
            loose[-1] = (loose[-1][0], bucket + BUCKET)
        else:
            loose.append((bucket, bucket + BUCKET))
    return Parts(start, end, reopened, loose)


async def _add_queues(
    conn: Connection,
    rows: dict[Place, Sums],
    question: Question,
    stretch: Stretch,
    progress: Progress | None,
    now: datetime,
) -> None:
    parts = await _parts(conn, stretch, progress, now)
    is_grouped = question.group is Group.QUEUE
    stored = (parts.start, parts.end, parts.reopened, list(stretch.queues), question.size.value, stretch.zone.key)
    if parts.start < parts.end:
        for row in await conn.fetch(sql.QUEUE_SUMS, *stored):
            _sums(rows, row["key"] if is_grouped else None, row["period"]).add(_read(row, QUEUE_MEASURES, PEAK))
        for row in await conn.fetch(sql.WAITS, *stored):
            _sums(rows, row["key"] if is_grouped else None, row["period"]).waits[row["wait_s"]] += row["answered"]
    known = frozenset(stretch.queues)
    for start, end in parts.loose:
        stints = await sql.stints_between(conn, queues=stretch.queues, start=start, end=end)
        offers = [o for o in await sql.offers_by_queue(conn, start=start, end=end) if o.queue in known]
        segments = [s for s in await sql.segments_by_queue(conn, start=start, end=end) if s.queue in known]
        _fold(rows, queue_cells(stints, offers, segments), question, stretch.zone, is_grouped=is_grouped)


async def _add_agents(
    conn: Connection,
    rows: dict[Place, Sums],
    question: Question,
    stretch: Stretch,
    progress: Progress | None,
    now: datetime,
) -> None:
    """Of what agents did: by agent everything, else only their states, since the rest has been counted with its queue."""
    parts = await _parts(conn, stretch, progress, now)
    is_grouped = question.group is Group.AGENT
    measures = AGENT_MEASURES if is_grouped else OF_STATES
    wanted = None if question.agent_id is None else [question.agent_id]
    if parts.start < parts.end:
        for row in await conn.fetch(
            sql.AGENT_SUMS, parts.start, parts.end, parts.reopened, wanted, question.size.value, stretch.zone.key
        ):
            _sums(rows, row["key"] if is_grouped else None, row["period"]).add(_read(row, measures))
    for start, end in parts.loose:
        offers = await sql.offers_by_agent(conn, start=start, end=end) if is_grouped else []
        segments = await sql.segments_by_agent(conn, start=start, end=end) if is_grouped else []
        intervals = await sql.intervals_between(conn, start=start, end=end)
        cells = agent_cells(offers, segments, intervals, start=start, end=end, now=now)
        mine = {place: sums for place, sums in cells.items() if wanted is None or place[1] in wanted}
        _fold(rows, mine, question, stretch.zone, is_grouped=is_grouped)


async def _add_now(
    conn: Connection, rows: dict[Place, Sums], question: Question, stretches: Sequence[Stretch], now: datetime
) -> None:
    for stint in await sql.open_stints(conn, queues=[key for stretch in stretches for key in stretch.queues]):
        _sums(rows, stint.queue if question.group is Group.QUEUE else None, None).add(waiting_sums(stint, now))
    if question.group is Group.NONE:
        for row in await conn.fetch(sql.OPEN_STATES):
            _sums(rows, None, None).added[f"agents_{row['state']}_now"] += row["agents"]


def _fold(
    rows: dict[Place, Sums],
    cells: Mapping[tuple[datetime, Any], Sums],
    question: Question,
    zone: ZoneInfo,
    *,
    is_grouped: bool,
) -> None:
    for (bucket, key), sums in cells.items():
        _sums(rows, key if is_grouped else None, period_of(bucket, question.size, zone)).add(sums)


def _sums(rows: dict[Place, Sums], key: Key, period: datetime | None) -> Sums:
    return rows.setdefault((key, period), Sums())


def _read(row: Any, measures: Iterable[str], peak: str | None = None) -> Sums:
    sums = Sums()
    sums.added.update({name: row[name] for name in measures if row[name] is not None})
    if peak is not None and row[peak] is not None:
        sums.peaks[peak] = row[peak]
    return sums


async def _names(conn: Connection, group: Group, queues: Sequence[Any], rows: Mapping[Place, Sums]) -> dict[Key, Any]:
    if group is Group.QUEUE:
        return {row["key"]: row["name"] for row in queues}
    if group is Group.NONE:
        return {}
    return {row["id"]: row["name"] for row in await conn.fetch(sql.NAMES_OF_AGENTS, [key for key, _ in rows])}
