"""The API of reporting: which metrics there are, figures of a time, and the contacts behind a figure."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.principal import LEADS
from core.texts import Text
from infra.openapi import ApiQuery, Call, Nothing, Routes
from infra.postgres import Connection
from reporting import contacts as behind
from reporting import figures
from reporting.catalogue import CATALOGUE, Group, Metric, Unit, value_of
from reporting.figures import Answer, Key, Question, refused
from reporting.model import Offer, Segment, Size, Stint, Sums, period_bounds
from reporting.shared import SharedReadings, readings_of
from ticketing.lists import read_cursor, write_cursor

ROUTES = Routes("reporting")
YEARS: Final = range(2000, 2100)
MOST_FIGURES: Final = 50_000


class MetricOut(BaseModel):
    """`numerator` and `denominator` are sums that add up over time and groups; `version` changes with the meaning."""

    key: str
    unit: Unit
    version: int
    name: Text
    formula: Text
    edges: Text
    numerator: list[str]
    denominator: list[str]
    groups: list[Group]
    is_of_now: bool
    has_contacts: bool


class MetricList(BaseModel):
    items: list[MetricOut]


@ROUTES.query("/api/v1/metrics", roles=LEADS, returns=MetricList)
async def list_metrics(_: Connection, call: Call[Nothing]) -> MetricList:
    """Every metric with its formula in words, its edge rules and their version."""
    return MetricList(
        items=[
            MetricOut(
                key=metric.key,
                unit=metric.unit,
                version=metric.version,
                name=metric.name,
                formula=metric.formula,
                edges=metric.edges,
                numerator=list(metric.numerator),
                denominator=list(metric.denominator),
                groups=sorted(metric.groups),
                is_of_now=metric.is_of_now,
                has_contacts=metric.has_contacts,
            )
            for metric in CATALOGUE.values()
        ]
    )


FROM: Final = (
    "a moment on a quarter of an hour with its offset, such as 2026-11-28T09:15:00Z, or a day, such as 2026-11-28"
)


class FiguresParams(ApiQuery):
    from_: str | None = Field(default=None, alias="from", max_length=40, description=f"{FROM}; today without it")
    to: str | None = Field(default=None, max_length=40, description="the same; not part of the time; now without it")
    group: Literal["none", "queue", "agent"] = Field(default="none", description="one row for each")
    bucket: Literal["none", "15m", "30m", "day", "month"] = Field(
        default="none", description="how the time is cut: 15m and 30m in UTC, days and months in the zone"
    )
    metrics: str | None = Field(
        default=None, max_length=1500, description="keys of GET /api/v1/metrics, separated by commas; all without it"
    )
    queue: str | None = Field(default=None, max_length=100, description="only of this queue")
    agent_id: int | None = Field(default=None, ge=1, lt=2**63, description="only of this agent, with group=agent")
    zone: str | None = Field(
        default=None, max_length=60, description="whose days are meant; that of each queue without it"
    )


class FigureOut(BaseModel):
    """`value` is null where there is nothing to divide by. Parts of time are in seconds."""

    value: float | None
    numerator: float | None
    denominator: float | None


class FigureRow(BaseModel):
    queue: str | None
    queue_name: Text | None
    agent_id: int | None
    agent_name: str | None
    start: datetime
    end: datetime
    figures: dict[str, FigureOut]


class FiguresOut(BaseModel):
    """`total` is computed from the sums of all rows, never from their values. `versions`: of the formulas."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    from_: datetime = Field(alias="from")
    to: datetime
    as_of: datetime
    versions: dict[str, int]
    total: dict[str, FigureOut]
    rows: list[FigureRow]


@ROUTES.query("/api/v1/figures", roles=LEADS, params=FiguresParams, returns=FiguresOut)
async def read_figures(conn: Connection, call: Call[FiguresParams]) -> FiguresOut:
    """Figures of a time: of everything, by queue or by agent, whole or cut into periods. What is still going on is in them.

    Days are those of the queue's zone. Where queues of several zones are added up by days, say whose with `zone`."""
    # Who may ask sees all queues, so the answer is everybody's.
    readings: SharedReadings[FiguresOut] = readings_of(call.resources.outbox)
    return await readings.get(call.data.model_dump_json(), lambda: _read(conn, call.data, call.resources.clock.now()))


async def _read(conn: Connection, data: FiguresParams, now: datetime) -> FiguresOut:
    group, size = Group(data.group), Size(data.bucket)
    if data.agent_id is not None and group is not Group.AGENT:
        raise refused("agent_id", "goes with group=agent")
    if data.queue is not None and group is Group.AGENT:
        raise refused("queue", "does not go with group=agent: what agents do is not of one queue")
    metrics = figures.metrics_of(data.metrics, group, of_queue=data.queue is not None)
    start, end = moment_of("from", data.from_), moment_of("to", data.to)
    question = Question(start, end, group, size, data.queue, data.agent_id, data.zone)
    answer = await figures.read(conn, question, metrics, now=now)
    if len(answer.rows) * len(metrics) > MOST_FIGURES:
        raise refused(
            "metrics", f"that would be more than {MOST_FIGURES} figures; ask for fewer, longer buckets or less time"
        )
    return FiguresOut(
        from_=min(stretch.start for stretch in answer.stretches),
        to=max(stretch.end for stretch in answer.stretches),
        as_of=now,
        versions={metric.key: metric.version for metric in metrics},
        total=_shown(metrics, figures.total_of(answer.rows.values()), has_now=answer.has_now),
        rows=_rows(answer, group, size, metrics),
    )


def moment_of(field: str, text: str | None) -> datetime | date | None:
    """Raises Invalid."""
    if text is None:
        return None
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            day = date.fromisoformat(text)
            if day.year in YEARS:
                return day
        else:
            moment = datetime.fromisoformat(text)
            if moment.utcoffset() is not None and moment.year in YEARS:
                return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise refused(field, f"write {FROM}; a + in it is %2B")


def _shown(metrics: Sequence[Metric], sums: Sums, *, has_now: bool) -> dict[str, FigureOut]:
    found = {metric.key: value_of(metric, sums, is_now=has_now) for metric in metrics}
    return {
        key: FigureOut(value=value.value, numerator=value.numerator, denominator=value.denominator)
        for key, value in found.items()
    }


def _rows(answer: Answer, group: Group, size: Size, metrics: Sequence[Metric]) -> list[FigureRow]:
    places = {key: number for number, key in enumerate(answer.names)}

    def order(place: figures.Place) -> tuple[object, ...]:
        key, period = place
        by_name = answer.names.get(key, "") if group is Group.AGENT else places.get(key, 0)
        return (by_name, key or 0, str(period))

    rows = []
    for key, period in sorted(answer.rows, key=order):
        start, end = _bounds(answer, key, period, size)
        rows.append(
            FigureRow(
                queue=str(key) if group is Group.QUEUE else None,
                queue_name=answer.names.get(key) if group is Group.QUEUE else None,
                agent_id=int(key) if group is Group.AGENT and key is not None else None,
                agent_name=answer.names.get(key) if group is Group.AGENT else None,
                start=start,
                end=end,
                figures=_shown(metrics, answer.rows[key, period], has_now=answer.has_now),
            )
        )
    return rows


def _bounds(answer: Answer, key: Key, period: datetime | None, size: Size) -> tuple[datetime, datetime]:
    """A period as far as it was asked for."""
    stretch = answer.stretch_of(key)
    if period is None:
        return stretch.start, stretch.end
    start, end = period_bounds(period, size, stretch.zone)
    return max(start, stretch.start), min(end, stretch.end)


class ContactsParams(ApiQuery):
    metric: str = Field(max_length=60, description="a key of GET /api/v1/metrics")
    part: Literal["numerator", "denominator"] = Field(default="numerator", description="which of its two sums")
    queue: str = Field(max_length=100)
    from_: str | None = Field(default=None, alias="from", max_length=40, description=f"{FROM}; today without it")
    to: str | None = Field(default=None, max_length=40, description="the same; not part of the time; now without it")
    agent_id: int | None = Field(
        default=None, ge=1, lt=2**63, description="only of this agent, where contacts have one"
    )
    zone: str | None = Field(default=None, max_length=60, description="whose days are meant; the queue's without it")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=60)


class ContactTicket(BaseModel):
    id: int
    number: str


class ContactOut(BaseModel):
    """One stay in a queue, offer or conversation. `at` is when it counts; what does not apply to its kind is null."""

    kind: Literal["stay", "offer", "conversation"]
    at: datetime
    call_id: int | None
    work_item_id: int
    offer_id: int | None
    agent_id: int | None
    agent_name: str | None
    ticket: ContactTicket | None
    outcome: str | None
    wait_s: float | None
    talk_s: float | None
    hold_s: float | None
    """Of the talk."""
    wrap_s: float | None


class ContactPage(BaseModel):
    items: list[ContactOut]
    next_cursor: str | None


@ROUTES.query("/api/v1/figures/contacts", roles=LEADS, params=ContactsParams, returns=ContactPage)
async def list_contacts_behind(conn: Connection, call: Call[ContactsParams]) -> ContactPage:
    """The contacts that a figure of a queue counts, in the order of time."""
    data = call.data
    metric = CATALOGUE.get(data.metric)
    if metric is None:
        raise refused("metric", "there is no such metric; GET /api/v1/metrics lists them all")
    part = metric.numerator if data.part == "numerator" else metric.denominator
    if not metric.has_contacts:
        raise refused("metric", "is made of time or of this moment; no single contacts stand behind it")
    if not part:
        raise refused("part", "this metric is a sum and has no denominator")
    question = Question(
        moment_of("from", data.from_), moment_of("to", data.to), Group.QUEUE, Size.NONE, data.queue, zone=data.zone
    )
    after = None if data.cursor is None else read_cursor(data.cursor)
    stretch = await figures.stretch_of_queue(conn, question, now=call.resources.clock.now())
    found, place = await behind.contacts(
        conn, metric, part, queue=data.queue, agent_id=data.agent_id, start=stretch.start, end=stretch.end,
        after=after, limit=data.limit,
    )  # fmt: skip
    known = await behind.known_of(conn, found)
    return ContactPage(
        items=[_contact(contact, known) for contact in found],
        next_cursor=None if place is None else write_cursor(*place),
    )


def _contact(contact: behind.Contact, known: behind.Known) -> ContactOut:
    record = contact.record
    ticket = known.tickets.get(record.call_id)
    out = ContactOut(
        kind="stay", at=contact.at, call_id=record.call_id, work_item_id=record.work_item_id, offer_id=None, agent_id=None,
        agent_name=None, ticket=None if ticket is None else ContactTicket(id=ticket[0], number=ticket[1]),
        outcome=None, wait_s=None, talk_s=None, hold_s=None, wrap_s=None,
    )  # fmt: skip
    match record:
        case Stint():
            wait = None if record.wait is None else round(record.wait.total_seconds(), 3)
            return out.model_copy(update={"outcome": record.outcome, "wait_s": wait})
        case Offer():
            fields: dict[str, Any] = {"kind": "offer", "outcome": "accepted" if record.is_accepted else record.state}
        case Segment():
            talk_s, wrap_s = round(record.talk_us / 1_000_000, 3), round(record.wrap_us / 1_000_000, 3)
            hold_s = round(record.hold_us / 1_000_000, 3)
            fields = {"kind": "conversation", "talk_s": talk_s, "hold_s": hold_s, "wrap_s": wrap_s}
    name = known.agents.get(record.agent_id)
    return out.model_copy(update={**fields, "offer_id": record.id, "agent_id": record.agent_id, "agent_name": name})
