"""The API of the call log: one row per call, with what happened in it inside."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from core.ids import conference_name
from core.principal import READERS, Role
from cti.http import TELEPHONY
from cti.missed import viewer_of
from infra.openapi import ApiQuery, Call, Routes
from infra.phone import parse_typed, same_line
from infra.postgres import Connection
from realtime import call_queries as sql
from ticketing.lists import read_cursor, write_cursor
from ticketing.model import Message, RecordedCall

ROUTES: Final = Routes("calls")
Cursor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ShownState = Literal[
    "received",
    "ivr",
    "queued",
    "offering",
    "connecting",
    "in_call",
    "on_hold",
    "voicemail",
    "outside",
    "wrap_up",
    "closed",
]
"""As the list shows them: a queued call that rings at somebody is `offering`."""
Direction = Literal["inbound", "outbound", "internal"]
Key = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class CallFilter(ApiQuery):
    """`state`, `direction` and `outcome` may repeat. `number` is either side's who is not us, as typed; `since` and `until` bound when it began."""

    sid: str | None = Field(default=None, max_length=64)
    from_: str | None = Field(default=None, alias="from", max_length=64)
    number: Key | None = None
    customer: int | None = Field(default=None, ge=1, lt=2**63)
    state: Annotated[list[ShownState], Field(default_factory=list, max_length=11)]
    direction: Annotated[list[Direction], Field(default_factory=list, max_length=3)]
    outcome: Annotated[list[Key], Field(default_factory=list, max_length=20)]
    queue: Key | None = None
    agent: int | None = Field(default=None, ge=1, lt=2**63)
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    limit: int = Field(default=50, ge=1, le=200)
    cursor: Cursor | None = None


class TicketRef(BaseModel):
    id: int
    number: str


class PersonRef(BaseModel):
    id: int
    name: str


class LegOut(BaseModel):
    sid: str
    kind: str
    state: str
    agent_id: int | None
    agent: str | None
    started_at: datetime
    ended_at: datetime | None


class SegmentOut(BaseModel):
    """A stretch of the call in which this person talked, held or wrapped up."""

    kind: Literal["talk", "hold", "wrap"]
    agent_id: int
    agent: str | None
    started_at: datetime
    ended_at: datetime | None


class OfferOut(BaseModel):
    id: int
    agent_id: int
    agent: str | None
    state: str
    at: datetime


class MissedRef(BaseModel):
    id: int
    state: Literal["open", "done"]


class CallOut(BaseModel):
    """One row per call, its legs inside; an agent's leg is never a call."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    id: int
    sid: str
    state: ShownState
    outcome: str | None
    queue: str | None
    from_: str | None = Field(alias="from")
    from_kind: str
    to: str
    direction: Direction
    created_at: datetime
    queued_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None
    source: str
    disposition: str | None
    menu_choice: str | None
    menu_path: str | None
    """The menus the caller was led through, such as main/billing: who gave up did so in the last."""
    agent: PersonRef | None
    customer: PersonRef | None
    ticket: TicketRef | None
    missed: MissedRef | None
    work_item_id: int | None
    conference: str
    legs: list[LegOut]
    segments: list[SegmentOut]
    offers: list[OfferOut]
    voicemails: list[Message]
    recordings: list[RecordedCall]


class CallPage(BaseModel):
    items: list[CallOut]
    next_cursor: str | None


@ROUTES.query("/api/v1/calls", roles=READERS - {Role.INTEGRATION}, params=CallFilter, returns=CallPage)
async def list_calls(conn: Connection, call: Call[CallFilter]) -> CallPage:
    """The call log, newest first. Agents see the calls of their queues and their own."""
    f = call.data
    rows = await sql.calls_listed(
        conn,
        sid=f.sid,
        from_value=f.from_,
        numbers=None if f.number is None else _forms(call, f.number),
        customer_id=f.customer,
        states=f.state or None,
        directions=f.direction or None,
        outcomes=f.outcome or None,
        queue=f.queue,
        agent_id=f.agent,
        since=f.since,
        until=f.until,
        before=None if f.cursor is None else read_cursor(f.cursor),
        viewer=viewer_of(call.who),
        limit=f.limit + 1,
    )
    items = [_call_out(row) for row in rows[: f.limit]]
    more = len(rows) > f.limit
    return CallPage(items=items, next_cursor=write_cursor(items[-1].created_at, items[-1].id) if more else None)


def _forms(call: Call[Any], text: str) -> list[str]:
    """How calls of this number may have been written down. National forms are those of our first number."""
    number = parse_typed(text, call.request.config_dict[TELEPHONY].lines.default.region)
    return [text] if number.value is None else list(same_line(number.value))


def person(ident: int | None, name: str | None) -> PersonRef | None:
    return None if ident is None else PersonRef(id=ident, name=name or "")


def ticket(ident: int | None, number: str | None) -> TicketRef | None:
    return None if ident is None else TicketRef(id=ident, number=number or "")


def _call_out(row: Any) -> CallOut:
    shown = None if row["from_kind"] == "withheld" else row["from_value"] or row["from_raw"]
    return CallOut(
        id=row["id"],
        sid=row["sid"],
        state=row["shown_state"],
        outcome=row["outcome"],
        queue=row["queue"],
        from_=shown,
        from_kind=row["from_kind"],
        to=row["to_number"],
        direction=row["direction"],
        created_at=row["created_at"],
        queued_at=row["queued_at"],
        answered_at=row["answered_at"],
        ended_at=row["ended_at"],
        ended_by=row["ended_by"],
        source=row["source"],
        disposition=row["disposition"],
        menu_choice=row["menu_choice"],
        menu_path=row["menu_path"],
        agent=person(row["agent_id"], row["agent_name"]),
        customer=person(row["customer_id"], row["customer_name"]),
        ticket=ticket(row["ticket_id"], row["ticket_number"]),
        missed=None if row["missed_id"] is None else MissedRef(id=row["missed_id"], state=row["missed_state"]),
        work_item_id=row["work_item_id"],
        conference=conference_name(row["id"]),
        legs=[LegOut(**leg) for leg in row["legs"]],
        segments=[SegmentOut(**segment) for segment in row["segments"]],
        offers=[OfferOut(**offer) for offer in row["offers"]],
        voicemails=[Message(**message) for message in row["voicemails"]],
        recordings=[RecordedCall(**recording) for recording in row["recordings"]],
    )
