"""Calls that agents make: who may be called, the agent's phone first, then the customer.

What decides. The call is the agent's from its first row; their phone joins the conference as for every call, and only then the customer is rung over REST, one
call a second of an account. `dialed_at` is written before the provider is asked: what was asked and not answered is looked up among the provider's calls and by its
callbacks, and never asked again, since that could ring the customer twice. Only a plain refusal for now (429) is tried once more. A leg that is found after
its call is over is ended at once.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

import structlog

from core.errors import Conflict, Forbidden, Invalid, RingdeskError, Unavailable
from core.events import CallAgentReady
from core.ids import CallId, call_of_conference, conference_name
from core.phone import NumberKind
from core.principal import Principal
from cti import do_not_call, number_list, queries, service
from cti import outbound_queries as sql
from cti import twilio_voice as twiml
from cti.model import NOT_YET, Call, CallerGone, CallState, Outcome
from cti.outbound_rules import Outbound, read_outbound
from cti.twilio_api import ProviderBusy, TwilioApi
from cti.twilio_webhook import Webhook, number_of
from infra.outbox import Outbox, Tx
from infra.phone import is_emergency_number, is_premium, parse_typed, region_of, same_line
from infra.timers import set_timer

log = structlog.get_logger()

DIAL_TIMER: Final = "cti.dial"
LIMIT_TIMER: Final = "cti.outbound"
LIMIT_S: Final = 120
"""So long a call may take until the provider knows the customer's leg; after that it has failed."""
LOOKED_FOR: Final = timedelta(seconds=30)
"""So long a leg that was asked for is looked for."""
SKEW: Final = timedelta(seconds=60)
"""So far the provider's clock may be off."""
CALLEE: Final = "callee"


class NotAllowedToCall(Conflict):
    code, title = "not_allowed_to_call", "This number may not be called"


class OnDoNotCallList(Conflict):
    code, title = "do_not_call", "This number is on the do-not-call list"


class InQuietHours(Conflict):
    code, title = "quiet_hours", "It is too early or too late to call there"


class AlreadyCalling(Conflict):
    code, title = "already_calling", "Somebody is calling this number already"


class NoCallerId(Conflict):
    code, title = "no_caller_id", "There is no number of ours to call from"


async def settings(tx: Tx) -> Outbound:
    return read_outbound(await tx.conn.fetchval(sql.SETTINGS))


async def number_to_call(tx: Tx, text: str, region: str) -> str:
    """The E.164 form of a number that may be called at all, whoever asks. Raises Invalid, NotAllowedToCall."""
    number = parse_typed(text, region)
    e164 = number.e164
    if is_emergency_number(text, region) or (number.kind is NumberKind.SHORT and number.value is None):
        raise NotAllowedToCall("Emergency services cannot be called from here. Use an ordinary telephone.")
    if number.kind is not NumberKind.E164 or e164 is None or number.is_suspect or number.extension:
        raise Invalid("This is no telephone number.", errors=[{"field": "to", "message": "not a telephone number"}])
    if is_premium(e164):
        raise NotAllowedToCall("It is a premium-rate number.")
    if await tx.conn.fetchval(queries.IS_OUR_NUMBER, e164):
        raise NotAllowedToCall("It is one of our own.")
    if not (await settings(tx)).may_call(e164):
        raise NotAllowedToCall("Allow what it begins with under `outbound.prefixes` of the organisation file.")
    return e164


async def check(tx: Tx, e164: str, *, who: Principal, override: str | None) -> str | None:
    """May it be called now? Who leads may overrule the list and the hours, and says why: then returns what was overruled.

    Raises OnDoNotCallList, InQuietHours, Forbidden."""
    if override is not None and not who.is_lead:
        raise Forbidden("Only a supervisor overrules the do-not-call list and quiet hours.")
    reason = await number_list.reason(tx.conn, do_not_call.LIST, e164, now=tx.now)
    if reason is not None:
        if override is None:
            raise OnDoNotCallList(f"Reason: {reason}", why=reason)
        return "do_not_call"
    quiet = (await settings(tx)).quiet(region_of(e164), tx.now)
    if quiet is not None:
        if override is None:
            opens, closes = f"{quiet.end:%H:%M}", f"{quiet.start:%H:%M}"
            text = f"Calls there are allowed from {opens} to {closes} of their time."
            raise InQuietHours(text, allowed_from=opens, allowed_to=closes)
        return "quiet_hours"
    return None


async def caller_id(tx: Tx, e164: str, *, queue: str) -> str:
    """Which of our numbers the callee sees. Raises NoCallerId."""
    ours = {row["number"]: row["queue"] for row in await tx.conn.fetch(sql.OUR_NUMBERS)}
    last = await tx.conn.fetchval(sql.LAST_DIALLED, list(same_line(e164)))
    shown = (await settings(tx)).shown(queue=queue, region=region_of(e164), last_dialled=last, ours=ours)
    if shown is None:
        raise NoCallerId
    return shown


async def start(tx: Tx, *, account_sid: str, to: str, shown: str, queue: str, language: str) -> Call:
    """The call, before anybody's phone is in it. Raises AlreadyCalling: two at once could not be told apart at the provider."""
    sid = f"{NOT_YET}{uuid4().hex}"
    row = await tx.conn.fetchrow(sql.START, account_sid, sid, shown, to, language, queue, tx.now)
    if row is None:
        raise AlreadyCalling
    call = queries.call_of(row)
    await set_timer(tx, LIMIT_TIMER, call.id, version=0, due_at=tx.now + timedelta(seconds=LIMIT_S))
    return call


async def on_agent_ready(tx: Tx, event: CallAgentReady) -> None:
    """Inline: the agent is in the conference; the customer is rung in the next second that is free."""
    call = await queries.lock_call(tx.conn, call_id=event.call_id)
    if call is None or call.dial_at is not None:
        return
    at = await tx.conn.fetchval(sql.TAKE_SLOT, call.account_sid, tx.now)
    await tx.conn.execute(sql.SET_DIAL_AT, call.id, at)
    if at <= tx.now:
        await service.intend(tx, call, f"call_{call.id}", "dial")
    else:
        await set_timer(tx, DIAL_TIMER, call.id, version=0, due_at=at)


async def dial_due(tx: Tx, call_id: int, _: int) -> None:
    """Timer: it is this call's second."""
    call = await queries.lock_call(tx.conn, call_id=CallId(call_id))
    if call is not None and call.state is CallState.CONNECTING and call.agent_joined:
        await service.intend(tx, call, f"call_{call.id}", "dial")


async def limit_reached(tx: Tx, call_id: int, _: int) -> None:
    """Timer: the provider never named the customer's leg."""
    call = await queries.lock_call(tx.conn, call_id=CallId(call_id))
    if call is not None and not call.is_over and not call.has_leg:
        await service.apply(tx, call, CallerGone(tx.now, by="system", unanswered=Outcome.FAILED))


async def carry_out(outbox: Outbox, twilio: TwilioApi, call: Call, *, base: str) -> None:
    """The command: ring the customer, once. Raises Unavailable (unknown: to be looked up), RingdeskError when it is refused."""
    async with outbox.transaction() as tx:
        locked = await queries.lock_call(tx.conn, call_id=call.id)
        if locked is None or locked.has_leg or (locked.is_over and locked.dialed_at is None):
            return
        if not locked.is_over and not (locked.state is CallState.CONNECTING and locked.agent_joined):
            return
        asked_at, ring_s = locked.dialed_at, (await settings(tx)).ring_s
        if asked_at is None:
            await tx.conn.execute(sql.SET_DIALED_AT, call.id, tx.now)
        now = tx.now
    if asked_at is not None:
        since = asked_at - SKEW
        sid = await unknown_leg(outbox, twilio, call.account_sid, call.our_number, call.to_number, since=since)
        if sid is not None:
            await _adopt(outbox, call, sid)
        elif now - asked_at < LOOKED_FOR:
            raise Unavailable("It is not known yet whether the customer is being called.")
        else:
            await _failed(outbox, call)
        return
    offer_id = call.offer_id or 0
    document = twiml.conference(base, conference_name(call.id), offer_id=offer_id, label=CALLEE, ends_with_caller=True)
    callback = f"{base}/twilio/status?c={call.id}"
    try:
        sid = await twilio.place(
            call.account_sid, call.our_number, call.to_number, document, callback=callback, ring_s=ring_s
        )
    except ProviderBusy:  # a plain no, for now: nobody is being rung
        async with outbox.transaction() as tx:
            await tx.conn.execute(sql.SET_DIALED_AT, call.id, None)
        raise
    except Unavailable:
        raise
    except RingdeskError:
        await _failed(outbox, call)
        raise
    await _adopt(outbox, call, sid)


async def unknown_leg(
    outbox: Outbox, twilio: TwilioApi, account_sid: str, from_: str, to: str, *, since: datetime
) -> str | None:
    """The leg at the provider that nobody knows: the one that was asked for, where no two calls between these are made at once."""
    sids = await twilio.find_calls(account_sid, from_, to, since=since)
    async with outbox.database.acquire() as conn:
        known = {row["sid"] for row in await conn.fetch(sql.KNOWN_LEGS, sids)}
    return next((sid for sid in sids if sid not in known), None)


async def _adopt(outbox: Outbox, call: Call, sid: str) -> None:
    async with outbox.transaction() as tx:
        locked = await queries.lock_call(tx.conn, call_id=call.id)
        if locked is not None:
            await adopt(tx, locked, sid)


async def _failed(outbox: Outbox, call: Call) -> None:
    async with outbox.transaction() as tx:
        locked = await queries.lock_call(tx.conn, call_id=call.id)
        if locked is not None and not locked.has_leg:
            await service.apply(tx, locked, CallerGone(tx.now, by="system", unanswered=Outcome.FAILED))


async def adopt(tx: Tx, call: Call, sid: str) -> Call:
    """This leg at the provider is the customer's. The call is locked. One that comes too late, or twice, must not go on ringing."""
    if not call.is_ours or call.sid == sid:
        return call
    if await tx.conn.fetchval(sql.ADOPT, call.id, sid) is None:
        await service.intend(tx, call, f"stray_{sid}", "end_leg", {"sid": sid})
        return call
    await tx.conn.execute(queries.ADD_LEG, call.id, sid, "customer", None, "in-progress", tx.now)
    if call.is_over:
        await service.intend(tx, call, f"stray_{sid}", "end_leg", {"sid": sid})
    return await queries.lock_call(tx.conn, call_id=call.id) or call


async def leg_status(tx: Tx, hook: Webhook) -> None:
    """`/twilio/status`: a callback may be the first that we hear of the customer's leg."""
    call_id = number_of(hook.query.get("c", "")[:18])
    call = None if call_id is None else await queries.lock_call(tx.conn, call_id=CallId(call_id))
    if call is not None:
        await adopt(tx, call, hook.call_sid)
    await service.leg_status(tx, hook)


async def conference_event(tx: Tx, hook: Webhook) -> None:
    """`/twilio/conference`, likewise."""
    call_id = call_of_conference(hook.get("FriendlyName")) if hook.get("ParticipantLabel") == CALLEE else None
    call = None if call_id is None else await queries.lock_call(tx.conn, call_id=call_id)
    if call is not None:
        await adopt(tx, call, hook.call_sid)
    await service.conference_event(tx, hook)
