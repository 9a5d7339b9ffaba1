"""Consultation: the agent speaks with somebody about the call in hand, while its customer waits on hold.

What decides. All sit in the call's one conference: the customer's seat is on hold and hears music, so whoever else is there is alone with the agent;
off hold, the three talk. The call stays the agent's until the consultation is *completed*; nothing else that happens to it changes who has the call.
A colleague is asked by an offer like any other (`routing.consult`), a number outside is rung by us as a participant. Whoever does not come, or leaves, brings
the customer off hold: nobody waits for a conversation that is over. Of an agent who is lost while a colleague of ours is there, the colleague takes over.
The provider is asked who is there before anybody is given up, and after a dial whose answer got lost: nobody is rung twice.
"""

import contextlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from core.errors import Conflict, NotFound, RingdeskError, Unavailable
from core.events import ConsultChanged, ConsultDeclined, ConsultEnded, ConsultOrphaned
from core.ids import AgentId, CallId, OfferId, conference_name
from cti import queries as sql
from cti import service
from cti.model import Call, HoldWanted, Touched
from cti.twilio_api import NotInProgress, TwilioApi
from cti.twilio_voice import OUTSIDE_LIMIT_S, OUTSIDE_RING_S
from infra.outbox import Outbox, Tx, publish
from infra.timers import cancel_timer, set_timer

TIMER: Final = "cti.consult"
JOIN_S: Final = 20
"""So long the phone of a colleague who has accepted may take to join."""
RING_MARGIN_S: Final = 10
LABEL: Final = "consult_"


class ConsultUnderWay(Conflict):
    code, title = "consult_under_way", "You are consulting somebody about this call; complete or end that first"


class NoConsult(NotFound):
    code, title = "consult_not_found", "You consult nobody about this call"


class ConsultNotReady(Conflict):
    code, title = "consult_not_ready", "Whom you are consulting is not there yet"


class ConsultOver(Conflict):
    code, title = "consult_over", "This consultation is over"


@dataclass(frozen=True, slots=True)
class Consult:
    id: int
    call_id: CallId
    offer_id: OfferId
    from_agent_id: AgentId
    to_kind: str
    to_queue: str | None
    to_agent_id: AgentId | None
    to_number: str | None
    work_item_id: int | None
    with_agent_id: AgentId | None
    with_offer_id: OfferId | None
    leg_sid: str | None
    state: str
    outcome: str | None

    @property
    def is_open(self) -> bool:
        return self.state != "over"


def label_of(consult_id: int) -> str:
    return f"{LABEL}{consult_id}"


def id_of(label: str) -> int | None:
    digits = label.removeprefix(LABEL)
    is_one = digits != label and digits.isascii() and digits.isdecimal() and len(digits) <= 18
    return int(digits) if is_one else None


async def open_of(tx: Tx, call_id: int) -> Consult | None:
    """The one under way. The call is locked."""
    return _of(await tx.conn.fetchrow(sql.OPEN_CONSULT, call_id))


async def last_of(tx: Tx, *, call_id: int, agent_id: int) -> Consult | None:
    """The last one that this agent asked for, or was asked in."""
    return _of(await tx.conn.fetchrow(sql.LAST_CONSULT, call_id, agent_id))


def _of(row: Any) -> Consult | None:
    return None if row is None else Consult(**dict(row))


async def refuse_while_open(tx: Tx, call: Call) -> None:
    """Raises ConsultUnderWay."""
    if await open_of(tx, call.id) is not None:
        raise ConsultUnderWay


# --- how it goes on ---------------------------------------------------------------------------------------------------


async def tell(tx: Tx, call: Call, consult: Consult) -> Call:
    """Desks hear of it; so that they take it for news, the call gets a new version."""
    call = await service.apply(tx, call, Touched())
    await publish(
        tx,
        ConsultChanged(
            call_id=call.id,
            version=call.version,
            consult_id=consult.id,
            agent_id=consult.from_agent_id,
            offer_id=consult.offer_id,
            with_agent_id=consult.with_agent_id,
            with_offer_id=consult.with_offer_id,
            state=consult.state,
            outcome=consult.outcome,
            at=tx.now,
        ),
    )
    return call


async def accepted(tx: Tx, call: Call, consult: Consult, *, agent_id: AgentId, offer_id: OfferId) -> None:
    """A colleague has accepted; the phone in their desk joins by itself."""
    await tx.conn.execute(sql.CONSULT_ACCEPTED, consult.id, agent_id, offer_id)
    await set_timer(tx, TIMER, call.id, version=consult.id, due_at=tx.now + timedelta(seconds=JOIN_S))
    await tell(tx, call, replace(consult, state="connecting", with_agent_id=agent_id, with_offer_id=offer_id))


async def joined(tx: Tx, call: Call, consult: Consult, at: datetime) -> None:
    """Whom the agent wanted to speak with is in the conference. Told again, it changes nothing."""
    if await tx.conn.fetchval(sql.CONSULT_TALKS, consult.id, at) is not None:
        await cancel_timer(tx, TIMER, call.id)
        await tell(tx, call, replace(consult, state="talking"))


async def gone(tx: Tx, call: Call, consult: Consult) -> None:
    """Whoever was asked has left the conference, or did not get as far."""
    await end(tx, call, consult, "left" if consult.state == "talking" else "not_reached")


async def end(tx: Tx, call: Call, consult: Consult, outcome: str) -> Call:
    """Not completed: the call stays whose it is. The customer comes off hold, unless the call itself has moved on. The call is locked."""
    if await tx.conn.fetchval(sql.END_CONSULT, consult.id, outcome, tx.now) is None:
        return call
    await cancel_timer(tx, TIMER, call.id)
    if consult.with_agent_id is not None:
        await service.end_legs_of(tx, call, consult.with_agent_id)
    if consult.leg_sid is not None:
        await service.intend(tx, call, f"consult_{consult.id}", "end_leg", {"sid": consult.leg_sid})
    if consult.work_item_id is not None:
        await publish(tx, ConsultEnded(call_id=call.id, consult_id=consult.id, work_item_id=consult.work_item_id, outcome=outcome))  # fmt: skip
    if outcome != "ended":
        call = await off_hold(tx, call)
    return await tell(tx, call, replace(consult, state="over", outcome=outcome))


async def off_hold(tx: Tx, call: Call) -> Call:
    """The customer hears the conversation again, as soon as the provider has done it."""
    wanted = await service.apply(tx, call, HoldWanted(False))
    if wanted.is_talking and wanted.hold_wanted is not wanted.is_held:
        await service.intend(tx, wanted, f"call_{call.id}_{wanted.version}", "hold")
    return wanted


async def complete(tx: Tx, call: Call, consult: Consult) -> None:
    """The row only; who has the call now is for the caller to say."""
    await tx.conn.fetchval(sql.END_CONSULT, consult.id, "completed", tx.now)
    await tell(tx, call, replace(consult, state="over", outcome="completed"))


async def orphaned(tx: Tx, call: Call) -> bool:
    """The agent is lost, and a colleague talks: that is who has the call now. False when nobody of ours is there."""
    consult = await open_of(tx, call.id)
    if consult is None or consult.state != "talking" or consult.with_agent_id is None:
        return False
    await publish(tx, ConsultOrphaned(call_id=call.id, consult_id=consult.id))
    return True


async def on_declined(tx: Tx, event: ConsultDeclined) -> None:
    """State: the colleague who was asked said no, or nothing; the agent has the customer again."""
    call = await sql.lock_call(tx.conn, call_id=event.call_id)
    consult = await open_of(tx, event.call_id)
    if call is not None and consult is not None and consult.id == event.consult_id:
        await end(tx, call, consult, "declined")


async def late(tx: Tx, call_id: int, consult_id: int) -> None:
    """Timer: nobody has come, as far as we were told. The provider is asked before anybody is given up."""
    call = await sql.lock_call(tx.conn, call_id=CallId(call_id))
    consult = await open_of(tx, call_id)
    if call is not None and consult is not None and consult.id == consult_id and consult.state != "talking":
        await service.intend(tx, call, f"consult_{consult_id}", "consult_look")


# --- the provider -----------------------------------------------------------------------------------------------------


async def look(outbox: Outbox, twilio: TwilioApi, call: Call, consult_id: int, *, is_last: bool) -> None:
    """The command: is whoever was asked in the conference? Raises Unavailable (unknown: ask again), unless it is the last time."""
    try:
        present = await twilio.in_conference(call.account_sid, conference_name(call.id))
    except Unavailable:
        if not is_last:
            raise
        present = frozenset()
    async with outbox.transaction() as tx:
        locked = await sql.lock_call(tx.conn, call_id=call.id)
        consult = await open_of(tx, call.id)
        if locked is None or consult is None or consult.id != consult_id or consult.state == "talking":
            return
        legs = await tx.conn.fetch(sql.OPEN_AGENT_LEGS, call.id)
        sids = {leg["sid"] for leg in legs if leg["agent_id"] == consult.with_agent_id} | {consult.leg_sid}
        if sids & present:
            await joined(tx, locked, consult, tx.now)
        else:
            await end(tx, locked, consult, "not_reached")


async def dial(outbox: Outbox, twilio: TwilioApi, call: Call, consult_id: int, *, from_: str, is_repeat: bool) -> None:
    """The command: ring the number outside into the conference. An answer that got lost is looked for, nobody is rung twice."""
    async with outbox.transaction() as tx:
        consult = await open_of(tx, call.id)
    if consult is None or consult.id != consult_id or consult.to_number is None or consult.leg_sid is not None:
        return
    name, label = conference_name(call.id), label_of(consult_id)
    try:
        if is_repeat:
            sid = await twilio.participant(call.account_sid, name, label)
        else:
            sid = await twilio.invite(
                call.account_sid, name, from_=from_, to=consult.to_number, label=label,
                ring_s=OUTSIDE_RING_S, limit_s=OUTSIDE_LIMIT_S,
            )  # fmt: skip
    except Unavailable:
        raise
    except RingdeskError as error:
        await _not_rung(outbox, call, consult_id)
        if isinstance(error, NotInProgress):
            return  # there is no such seat; the customer is still on the line
        raise
    async with outbox.transaction() as tx:
        locked = await sql.lock_call(tx.conn, call_id=call.id)
        if locked is not None:
            await rung(tx, locked, consult_id, sid)


async def _not_rung(outbox: Outbox, call: Call, consult_id: int) -> None:
    async with outbox.transaction() as tx:
        locked = await sql.lock_call(tx.conn, call_id=call.id)
        consult = await open_of(tx, call.id)
        if locked is not None and consult is not None and consult.id == consult_id and consult.state != "talking":
            await end(tx, locked, consult, "failed")


async def rung(tx: Tx, call: Call, consult_id: int, sid: str) -> None:
    """The number outside rings, by the answer to our command or by the first callback of its leg. Taken back meanwhile: it stops ringing."""
    await tx.conn.execute(sql.ADD_LEG, call.id, sid, "outside", None, "in-progress", tx.now)
    consult = await open_of(tx, call.id)
    if consult is None or consult.id != consult_id:
        if not await tx.conn.fetchval(sql.IS_COMPLETED_CONSULT, consult_id):
            await service.intend(tx, call, f"consult_{consult_id}", "end_leg", {"sid": sid})
        return
    if consult.leg_sid is None:
        await tx.conn.execute(sql.CONSULT_RINGS, consult_id, sid)
        if consult.state != "talking":
            due = tx.now + timedelta(seconds=OUTSIDE_RING_S + RING_MARGIN_S)
            await set_timer(tx, TIMER, call.id, version=consult_id, due_at=due)


async def bring_together(outbox: Outbox, twilio: TwilioApi, call: Call, consult_id: int) -> None:
    """The command after a completion to a number outside: the customer off hold, and the end of that number's leg ends the conference."""
    async with outbox.database.acquire() as conn:
        sid = await conn.fetchval(sql.LEG_OF_CONSULT, consult_id)
    name = conference_name(call.id)
    if sid is not None:
        with contextlib.suppress(NotInProgress):  # gone already, which ends the call by another way
            await twilio.ends_conference(call.account_sid, name, sid)
    await twilio.set_held(call.account_sid, name, call.sid, is_held=False, music_url="")
