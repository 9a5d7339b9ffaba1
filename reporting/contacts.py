"""The contacts behind a number: the records whose measures make it up, by the same functions that count them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from infra.postgres import Connection
from reporting import queries as sql
from reporting.catalogue import Metric
from reporting.measures import OF_OFFERS, OF_SEGMENTS, OF_STINTS, PEAK
from reporting.model import Offer, Segment, Stint

READ_AT_ONCE: Final = 500
MOST_READ: Final = 20
"""Pages of facts looked through for one answer; where few of them count, an answer may be short and still have a next one."""
Measure = Callable[[Any], int]
Place = tuple[datetime, int]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the records of a kind are read, and when each of them counts."""

    statement: str
    record_of: Callable[[Any], Stint | Offer | Segment]
    at: str
    measures: Mapping[str, Measure]


SOURCES: Final = (
    Source(sql.STINTS_PAGE, sql.stint_of, "entered_at", {**OF_STINTS, PEAK: lambda stint: stint.wait is not None}),
    Source(sql.OFFERS_PAGE, sql.offer_of, "created_at", OF_OFFERS),
    Source(sql.SEGMENTS_PAGE, sql.segment_of, "ended_at", OF_SEGMENTS),
)


@dataclass(frozen=True, slots=True)
class Contact:
    """`at`: the moment by which it is counted."""

    at: datetime
    record: Stint | Offer | Segment


async def contacts(
    conn: Connection,
    metric: Metric,
    part: Sequence[str],
    *,
    queue: str,
    agent_id: int | None,
    start: datetime,
    end: datetime,
    after: Place | None,
    limit: int,
) -> tuple[list[Contact], Place | None]:
    """In the order of time, and the place after which to go on; None when these are all. `part`: measures of one kind of record."""
    source = next(source for source in SOURCES if part[0] in source.measures)
    counts = [source.measures[name] for name in part]
    found: list[Contact] = []
    place = after or (start, -1)
    for _ in range(MOST_READ):
        rows = await conn.fetch(source.statement, queue, start, end, *place, READ_AT_ONCE)
        for row in rows:
            if len(found) == limit:
                return found, place
            record = source.record_of(row)
            place = (row[source.at], row["id"])
            is_of_agent = agent_id is None or (not isinstance(record, Stint) and record.agent_id == agent_id)
            if is_of_agent and any(count(record) for count in counts):
                found.append(Contact(place[0], record))
        if len(rows) < READ_AT_ONCE:
            return found, None
    return found, place


@dataclass(frozen=True, slots=True)
class Known:
    """Whose names and which tickets (id and number, by call) stand beside the contacts of a page."""

    agents: Mapping[int, str]
    tickets: Mapping[int | None, tuple[int, str]]


async def known_of(conn: Connection, found: Sequence[Contact]) -> Known:
    agents = {contact.record.agent_id for contact in found if not isinstance(contact.record, Stint)}
    calls = {contact.record.call_id for contact in found}
    names = await conn.fetch(sql.NAMES_OF_AGENTS, sorted(agents)) if agents else []
    tickets = await conn.fetch(sql.TICKETS_OF_CALLS, [call for call in calls if call is not None])
    return Known(
        {row["id"]: row["name"] for row in names}, {row["call_id"]: (row["id"], row["number"]) for row in tickets}
    )
