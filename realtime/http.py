"""The API of the desk: the snapshot, the call in hand (note, hang-up, wrap-up, who it is, which ticket)."""

from datetime import datetime
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from accounts.audit import audit
from core.errors import Invalid, NotFound, VersionConflict
from core.ids import CallId, CustomerId, TicketId
from core.phone import Number, NumberKind
from core.principal import STAFF, actor_of
from cti import hold, telephone
from cti import queries as calls
from cti import service as telephony
from cti.http import TELEPHONY
from cti.voice_token import voice_token
from customers import service as customers
from infra.openapi import ApiModel, Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection
from realtime import pop
from realtime import queries as sql
from realtime.messages import Desk, NoteDraft, ScreenPop
from realtime.push import me_of
from routing import service as routing
from routing import wrap_up as own_wrap_up
from ticketing import queries as tickets
from ticketing import service as ticketing

ROUTES = Routes("desk")
PHONE_BACKEND: Final = web.AppKey("PHONE_BACKEND", dict)
"""Which softphone the desk uses: {"backend": "twilio"|"simulated", "connect_url": …}. Set by app."""


@ROUTES.query("/api/v1/desk", roles=STAFF, returns=Desk)
async def read_desk(conn: Connection, call: Call[Nothing]) -> Desk:
    """Everything the desk shows, as a socket's snapshot has it."""
    me = await me_of(conn, call.who.user_id)
    return await pop.desk(conn, me=me, principal=call.who, now=call.resources.clock.now())


class VoiceTokenOut(BaseModel):
    backend: str
    identity: str
    token: str
    ttl_s: int
    connect_url: str | None


@ROUTES.command("POST", "/api/v1/voice-token", roles=STAFF, returns=VoiceTokenOut)
async def issue_voice_token(tx: Tx, call: Call[Nothing]) -> VoiceTokenOut:
    """A token for the phone in the desk."""
    config = call.request.config_dict
    account = next(iter(config[TELEPHONY].accounts.values()), None)
    token = voice_token(account, call.who.user_id)
    await audit(tx, actor_of(call.who), "voice_token.issue", "user", call.who.user_id)
    phone = config[PHONE_BACKEND]
    return VoiceTokenOut(
        backend=phone["backend"],
        identity=token.identity,
        token=token.token,
        ttl_s=token.ttl_s,
        connect_url=phone.get("connect_url"),
    )


class CallState(BaseModel):
    id: int
    state: str


class CallChanged(BaseModel):
    call: CallState


async def _my_offer(conn: Connection, call_id: int, agent_id: int) -> int:
    offer_id: int | None = await conn.fetchval(sql.OFFER_OF_CALL, call_id, agent_id)
    if offer_id is None:
        raise NotFound("There is no such call of yours.")
    return offer_id


@ROUTES.command("POST", "/api/v1/calls/{id}/hangup", roles=STAFF, returns=CallChanged)
async def hang_up(tx: Tx, call: Call[Nothing]) -> CallChanged:
    """End the conversation for both sides."""
    ended = await telephony.hang_up(tx, call_id=CallId(call.id()), who=call.who)
    await audit(tx, actor_of(call.who), "call.hang_up", "call", ended.id, after={"state": ended.state.value})
    return CallChanged(call=CallState(id=ended.id, state=ended.state.value))


class HoldSet(CallChanged):
    hold_wanted: bool
    """What was asked for; `state` follows when the provider has done it."""


@ROUTES.command("POST", "/api/v1/calls/{id}/hold", roles=STAFF, returns=HoldSet)
async def hold_call(tx: Tx, call: Call[Nothing]) -> HoldSet:
    """Put one's customer on hold, with music. 409 not_in_call when nobody talks, at_the_phone when a telephone system connects the call."""
    return await _set_hold(tx, call, is_held=True)


@ROUTES.command("POST", "/api/v1/calls/{id}/resume", roles=STAFF, returns=HoldSet)
async def resume_call(tx: Tx, call: Call[Nothing]) -> HoldSet:
    """Take one's customer off hold. Refusals as of `hold`."""
    return await _set_hold(tx, call, is_held=False)


async def _set_hold(tx: Tx, call: Call[Nothing], *, is_held: bool) -> HoldSet:
    held = await hold.set_hold(tx, call_id=CallId(call.id()), who=call.who, is_held=is_held)
    action = "call.hold" if is_held else "call.resume"
    await audit(tx, actor_of(call.who), action, "call", held.id, after={"state": held.state.value})
    return HoldSet(call=CallState(id=held.id, state=held.state.value), hold_wanted=held.hold_wanted)


class MuteSet(CallChanged):
    is_mute_wanted: bool
    """What was asked for; `telephone.is_muted` of the call follows when the provider has done it."""


@ROUTES.command("POST", "/api/v1/calls/{id}/mute", roles=STAFF, returns=MuteSet)
async def mute_own_telephone(tx: Tx, call: Call[Nothing]) -> MuteSet:
    """Be heard by nobody in the call that one takes on a telephone. 409 not_at_telephone for who speaks in the browser and mutes there."""
    return await _set_muted(tx, call, is_muted=True)


@ROUTES.command("POST", "/api/v1/calls/{id}/unmute", roles=STAFF, returns=MuteSet)
async def unmute_own_telephone(tx: Tx, call: Call[Nothing]) -> MuteSet:
    """Be heard again. Refusals as of `mute`."""
    return await _set_muted(tx, call, is_muted=False)


async def _set_muted(tx: Tx, call: Call[Nothing], *, is_muted: bool) -> MuteSet:
    muted = await telephone.set_muted(tx, call_id=CallId(call.id()), who=call.who, is_muted=is_muted)
    action = "call.mute" if is_muted else "call.unmute"
    await audit(tx, actor_of(call.who), action, "call", muted.id, after={"state": muted.state.value})
    return MuteSet(call=CallState(id=muted.id, state=muted.state.value), is_mute_wanted=is_muted)


class NoteIn(ApiModel):
    body: str = Field(max_length=20_000)
    version: int = Field(ge=0, lt=2**31)
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)


@ROUTES.command("PUT", "/api/v1/calls/{id}/note", roles=STAFF, body=NoteIn, returns=NoteDraft)
async def save_note(tx: Tx, call: Call[NoteIn]) -> NoteDraft:
    """Keep the note as typed so far. 409 version_conflict brings the stored one, when another tab was faster."""
    if await tx.conn.fetchval(sql.OPEN_OFFER_OF_CALL, call.id(), call.who.user_id) is None:
        raise NotFound("You have no open call with this id.")  # closed: its note is the ticket's now
    body, version = call.data.body, call.data.version
    saved = await tx.conn.fetchval(sql.SAVE_NOTE, call.id(), call.who.user_id, body, version, tx.now)
    if saved is None:
        current = await tx.conn.fetchrow(sql.NOTE, call.id(), call.who.user_id)
        raise VersionConflict("The note was changed in another window.", current=_note(current))
    await audit(tx, actor_of(call.who), "call.note", "call", call.id(), after={"version": saved})
    return NoteDraft(body=body, version=saved, saved_at=tx.now)


def _note(row: Any) -> dict[str, Any] | None:
    return None if row is None else {"body": row["body"], "version": row["version"], "saved_at": row["saved_at"]}


class WrapUpIn(ApiModel):
    disposition: str | None = Field(default=None, max_length=60)
    note: str | None = Field(default=None, max_length=20_000)


@ROUTES.command("POST", "/api/v1/calls/{id}/wrap-up", roles=STAFF, body=WrapUpIn, returns=CallChanged)
async def wrap_up(tx: Tx, call: Call[WrapUpIn]) -> CallChanged:
    """Save disposition and note; when the conversation is over, this finishes wrap-up and frees the agent (`closed`).

    During the call they are kept (`in_call`), and so in a queue whose wrap-up may not be left early (`wrapping`). 409
    disposition_required where the queue asks for a result."""
    call_id, data = call.id(), call.data
    if data.disposition is not None and await tx.conn.fetchval(sql.DISPOSITION, data.disposition) is None:
        errors = [{"field": "disposition", "message": "unknown"}]
        raise Invalid("There is no such disposition.", errors=errors)
    if data.note is not None:
        await tx.conn.execute(sql.KEEP_NOTE, call_id, call.who.user_id, data.note, tx.now)
    state = await routing.finish_wrap_up(tx, call_id=call_id, who=call.who, disposition=data.disposition)
    after = {"disposition": data.disposition, "state": state}
    await audit(tx, actor_of(call.who), "call.wrap_up", "call", call_id, after=after)
    return CallChanged(call=CallState(id=call_id, state=state))


class WrapUpExtended(CallChanged):
    wrap_up_ends_at: datetime


@ROUTES.command("POST", "/api/v1/calls/{id}/wrap-up/extend", roles=STAFF, returns=WrapUpExtended)
async def extend_wrap_up(tx: Tx, call: Call[Nothing]) -> WrapUpExtended:
    """More time for one's own wrap-up, once, by as much as the queue allows.

    409 with not_wrapping_up, wrap_up_has_no_timer, wrap_up_already_extended or wrap_up_not_extensible."""
    ends_at = await own_wrap_up.extend(tx, call_id=call.id(), who=call.who)
    await audit(
        tx, actor_of(call.who), "call.extend_wrap_up", "call", call.id(), after={"ends_at": ends_at.isoformat()}
    )
    return WrapUpExtended(call=CallState(id=call.id(), state="wrapping"), wrap_up_ends_at=ends_at)


class WrapUpRequestIn(ApiModel):
    is_wanted: bool = True


class WrapUpRequested(CallChanged):
    is_requested: bool


@ROUTES.command(
    "POST", "/api/v1/calls/{id}/wrap-up/request", roles=STAFF, body=WrapUpRequestIn, returns=WrapUpRequested
)
async def request_wrap_up(tx: Tx, call: Call[WrapUpRequestIn]) -> WrapUpRequested:
    """During the call: ask for wrap-up after it, or no longer, in a queue that has it on request.

    409 with wrap_up_not_on_request, or not_wrapping_up once the call is over."""
    is_wanted = call.data.is_wanted
    await own_wrap_up.request(tx, call_id=call.id(), who=call.who, is_wanted=is_wanted)
    await audit(tx, actor_of(call.who), "call.request_wrap_up", "call", call.id(), after={"is_wanted": is_wanted})
    return WrapUpRequested(call=CallState(id=call.id(), state="in_call"), is_requested=is_wanted)


class ChosenCustomer(ApiModel):
    """null: it is open again who calls. `instead_of`: whom the same agent chose by mistake a moment ago; that is not remembered."""

    customer_id: int | None = Field(ge=1, lt=2**63)
    instead_of: int | None = Field(default=None, ge=1, lt=2**63)


@ROUTES.command("POST", "/api/v1/calls/{id}/customer", roles=STAFF, body=ChosenCustomer, returns=ScreenPop)
async def choose_customer(tx: Tx, call: Call[ChosenCustomer]) -> ScreenPop:
    """Say who is calling: a candidate, or a customer just created."""
    offer_id = await _my_offer(tx.conn, call.id(), call.who.user_id)
    ticket = await tickets.ticket_of_call(tx.conn, call_id=CallId(call.id()))
    if ticket is None:
        raise NotFound("This call has no ticket.")
    chosen = None if call.data.customer_id is None else CustomerId(call.data.customer_id)
    actor = actor_of(call.who)
    await ticketing.attach_customer(tx, TicketId(ticket.id), chosen, actor=actor)
    await _remember(tx, call, chosen, instead_of=call.data.instead_of)
    await audit(
        tx, actor_of(call.who), "call.choose_customer", "call", call.id(),
        before={"customer_id": ticket.customer.id if ticket.customer else None}, after={"customer_id": call.data.customer_id},
    )  # fmt: skip
    return await _popped(tx, call, offer_id)


async def _remember(tx: Tx, call: Call[ChosenCustomer], chosen: CustomerId | None, *, instead_of: int | None) -> None:
    """With the next call from this number whoever was chosen is a suggestion, unless the number says so by itself."""
    row = await tx.conn.fetchrow(sql.NUMBER_OF_CALL, call.id())
    if row is None or row["from_value"] is None:
        return
    number = Number(
        NumberKind(row["from_kind"]), row["from_raw"], row["from_value"], row["extension"], row["is_suspect"]
    )
    if instead_of is not None:
        await customers.forget_choice(tx, number=row["from_value"], customer_id=CustomerId(instead_of))
    if chosen is None:
        return
    found = await customers.identify(tx.conn, number)
    if found.customer is None or found.customer.id != chosen:
        await customers.remember_choice(tx, number=row["from_value"], customer_id=chosen, actor=actor_of(call.who))


class ChosenTicket(ApiModel):
    ticket_id: int | None = Field(default=None, ge=1, lt=2**63)


@ROUTES.command("POST", "/api/v1/calls/{id}/ticket", roles=STAFF, body=ChosenTicket, returns=ScreenPop)
async def choose_ticket(tx: Tx, call: Call[ChosenTicket]) -> ScreenPop:
    """Attach the call to another open ticket, or (null) to a new one."""
    offer_id = await _my_offer(tx.conn, call.id(), call.who.user_id)
    await calls.lock_call(tx.conn, call_id=CallId(call.id()))  # before tickets and item, as everywhere
    wanted = call.data.ticket_id
    if wanted is not None and not await tickets.ticket_summaries(tx.conn, ids=[wanted], principal=call.who):
        raise NotFound("There is no such ticket for you.")
    target = None if wanted is None else TicketId(wanted)
    ticket_id = await ticketing.attach_call(tx, CallId(call.id()), target, actor=actor_of(call.who))
    await audit(tx, actor_of(call.who), "call.choose_ticket", "call", call.id(), after={"ticket_id": ticket_id})
    return await _popped(tx, call, offer_id)


async def _popped(tx: Tx, call: Call[Any], offer_id: int) -> ScreenPop:
    found = await pop.screen_pop(tx.conn, offer_id=offer_id)
    if found is None:
        raise NotFound("There is no such offer.")
    return found
