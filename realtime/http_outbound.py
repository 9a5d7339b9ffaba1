"""The API of calls that agents make."""

from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from accounts.audit import audit
from core.errors import Invalid, NotFound, Unavailable
from core.ids import CustomerId, TicketId
from core.phone import Number, NumberKind
from core.principal import LEADS, STAFF, actor_of
from cti import missed, missed_queries, outbound
from cti.http import TELEPHONY
from infra.openapi import ApiModel, ApiQuery, Call, Routes
from infra.outbox import Tx
from infra.postgres import Connection
from infra.shapes import Region
from realtime import call_queries as call_sql
from realtime.http import CallState
from routing import outbound as work
from routing import reach
from ticketing import queries as tickets
from ticketing import service as ticketing

ROUTES: Final = Routes("calls")
Typed = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Id = Annotated[int, Field(ge=1, lt=2**63)]
MOST: Final = timedelta(days=31)


class NewCall(ApiModel):
    """`to` as typed (a national form is read in `region`, else in that of our first number), or the number of `missed_contact_id`. `ticket_id`: what it is
    about, and whom it calls where nothing else says so.
    `override_reason`: by a supervisor, why the do-not-call list or quiet hours do not count this once."""

    to: Typed | None = None
    region: Region | None = None
    missed_contact_id: Id | None = None
    ticket_id: Id | None = None
    customer_id: Id | None = None
    queue: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    override_reason: Reason | None = None


class Calling(BaseModel):
    call: CallState
    offer_id: int
    to: str
    shown: str
    """The number of ours that the callee sees."""
    is_on_telephone: bool = False
    """The agent's own telephone is rung first: their browser does not join."""


@ROUTES.command("POST", "/api/v1/calls", roles=STAFF, body=NewCall, returns=Calling, status=201)
async def make_call(tx: Tx, call: Call[NewCall]) -> Calling:
    """Call somebody: one's own phone is connected first, then the customer is rung.

    409 with not_allowed_to_call, do_not_call, quiet_hours, already_calling, agent_busy, desk_not_open, no_caller_id. 503 without a telephony account."""
    data, who, telephony = call.data, call.who, call.request.config_dict[TELEPHONY]
    account_sid = next(iter(telephony.accounts), None)
    if account_sid is None:
        raise Unavailable("No telephony account is configured.")
    typed, preferred = await _wanted(tx, call)
    region = data.region or telephony.lines.default.region
    to = await outbound.number_to_call(tx, typed, region)
    overruled = await outbound.check(tx, to, who=who, override=data.override_reason)
    ticket_id = None
    if data.ticket_id is not None:
        ticket_id = await tickets.visible_ticket_id(tx.conn, ref=str(data.ticket_id), principal=who)
        preferred = await tx.conn.fetchval(TICKET_QUEUE, ticket_id) or preferred
    queue = await work.queue_for(tx, wanted=data.queue, preferred=preferred, who=who)
    shown = await outbound.caller_id(tx, to, queue=queue)
    language = telephony.lines.of(shown).language
    made = await outbound.start(tx, account_sid=account_sid, to=to, shown=shown, queue=queue, language=language)
    ticket_id = await ticketing.bind_outbound(
        tx, made.id, ticket_id=ticket_id, callee=Number(NumberKind.E164, to, to), queue=queue, language=language
    )
    if data.customer_id is not None:
        await _of_customer(tx, call, TicketId(ticket_id), data.customer_id)
    offer_id = await work.take(tx, call_id=made.id, ticket_id=ticket_id, queue=queue, who=who)
    after = {"queue": queue, "ticket_id": ticket_id, "offer_id": offer_id, "overruled": overruled}
    await audit(tx, actor_of(who), "call.make", "call", made.id, after=after, purpose=data.override_reason)
    is_rung = await reach.is_rung(tx, offer_id)
    return Calling(
        call=CallState(id=made.id, state="connecting"), offer_id=offer_id, to=to, shown=shown, is_on_telephone=is_rung
    )


TICKET_QUEUE: Final = "SELECT queue FROM tickets WHERE id = $1"
# Who called about it last, or was called; else the first number of its customer.
TICKET_NUMBER: Final = """
SELECT coalesce((
    SELECT CASE WHEN c.direction = 'outbound' THEN c.to_number ELSE c.from_value END
    FROM ticket_calls k JOIN calls c ON c.id = k.call_id
    WHERE k.ticket_id = $1 AND (c.direction = 'outbound' OR c.from_kind = 'e164') ORDER BY c.created_at DESC LIMIT 1
), (
    SELECT d.value FROM tickets t JOIN customer_identities d ON d.customer_id = t.customer_id
    WHERE t.id = $1 AND d.kind = 'phone' ORDER BY d.id LIMIT 1
))
"""
TICKET_CUSTOMER: Final = "SELECT customer_id FROM tickets WHERE id = $1"


async def _wanted(tx: Tx, call: Call[NewCall]) -> tuple[str, str | None]:
    """The number, and the queue whose work it is."""
    data = call.data
    if data.missed_contact_id is not None:
        entry = await tx.conn.fetchrow(missed_queries.LOCK, data.missed_contact_id, missed.viewer_of(call.who))
        if entry is None:
            raise missed.MissedNotFound
        if entry["number"] is None:
            raise NotFound("The number of this caller is not known.")
        return entry["number"], entry["queue"]
    if data.to is None and data.ticket_id is not None:
        visible = await tickets.visible_ticket_id(tx.conn, ref=str(data.ticket_id), principal=call.who)
        number = await tx.conn.fetchval(TICKET_NUMBER, visible)
        if number is None:
            raise NotFound("Nobody of this ticket has a number that is known.")
        return str(number), None
    if data.to is None:
        raise Invalid("Say whom to call.", errors=[{"field": "to", "message": "is missing"}])
    return data.to, None


async def _of_customer(tx: Tx, call: Call[NewCall], ticket_id: TicketId, customer_id: int) -> None:
    """The call is about the customer from whose page it is made, also when the number is not theirs alone."""
    if await tx.conn.fetchval(TICKET_CUSTOMER, ticket_id) is None:
        await ticketing.attach_customer(tx, ticket_id, CustomerId(customer_id), actor=actor_of(call.who))


# --- how many, and what became of them ----------------------------------------------------------------------------------


class Stretch(ApiQuery):
    """At most 31 days; without them the last 24 hours."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class OutboundCount(BaseModel):
    queue: str | None
    agent_id: int | None
    agent: str | None
    calls: int
    reached: int
    unanswered: int
    busy: int
    failed: int
    canceled: int
    talk_s: int


class OutboundCounts(BaseModel):
    since: datetime
    until: datetime
    items: list[OutboundCount]


@ROUTES.query("/api/v1/outbound/figures", roles=LEADS, params=Stretch, returns=OutboundCounts)
async def count_outbound_calls(conn: Connection, call: Call[Stretch]) -> OutboundCounts:
    """Calls that agents made and that are over, by queue and agent. No figure of contacts that came in counts any of them."""
    until = call.data.until or call.resources.clock.now()
    since = call.data.since or until - timedelta(days=1)
    if not timedelta(0) < until - since <= MOST:
        raise Invalid(
            "Ask for at most 31 days.", errors=[{"field": "since", "message": "at most 31 days before until"}]
        )
    rows = await conn.fetch(call_sql.OUTBOUND_FIGURES, since, until)
    return OutboundCounts(since=since, until=until, items=[OutboundCount(**dict(row)) for row in rows])
