"""Agents who take their calls on a telephone, outside or SIP, instead of in the browser.

What decides. The telephone is rung over REST once its agent has accepted, one call a second of an account, and is in the call only after a key was pressed: what
merely answers may be a box for messages. The caller stays in the line until then, so a telephone that does not come costs nobody the music; it ends as a browser
that does not come does (edge case 8). `dialed_at` is written before the provider is asked: what was asked and not answered is looked up among the provider's calls
and by its callbacks, and never asked again. A leg that nobody waits for any more is ended as soon as it is heard of. Which telephone it is stands in the row of the
ring only; events, commands and logs name the offer. Who hangs it up in a conversation ends that, as on every telephone; with the customer on hold, or somebody
consulted, it counts as a phone that was lost. Why so: ADR 0021.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from core.errors import Conflict, NotFound, RingdeskError, Unavailable
from core.events import AgentTelephoneChanged
from core.ids import AgentId, CallId, OfferId, conference_name
from core.principal import Principal
from core.texts import Text, in_language
from cti import consult, outbound_queries, queries, service
from cti import telephone_queries as sql
from cti import twilio_voice as twiml
from cti.hold import MAX_ROUNDS
from cti.model import Call, CallerGone, CallState, ConnectFailed, Outcome, Touched
from cti.outbound import LOOKED_FOR, SKEW, unknown_leg
from cti.twilio_api import NotInProgress, ProviderBusy, TwilioApi
from cti.twilio_voice import Line
from cti.twilio_webhook import Webhook, happened_at, number_of
from infra.outbox import Outbox, Tx, publish
from infra.timers import set_timer

log = structlog.get_logger()

RING_S: Final = 25
"""So long it rings. A browser is there within two seconds or not at all; somebody has to find and lift a telephone. Boxes for messages mostly answer after that."""
COME_S: Final = RING_S + 35
"""So long it may take in all, the three times that the key is asked for included. Only the last resort: what the provider tells ends it sooner."""
MAX_NAME: Final = 100
"""So much of a queue's name is said: the document has a limit."""
RING_TIMER: Final = "cti.ring"
ENDPOINT: Final = "/twilio/telephone"
WHY: Final = {
    "busy": "busy",
    "no-answer": "no_answer",
    "canceled": "withdrawn",
    "failed": "failed",
    "completed": "no_key",
}
"""What the last status of a telephone says about one that has not taken the call."""
HUNG_UP: Final = "participant_hung_up"


class NotAtTelephone(Conflict):
    code, title = "not_at_telephone", "You are not on a telephone in this call: mute yourself where you speak"


@dataclass(frozen=True, slots=True)
class Ring:
    offer_id: OfferId
    call_id: CallId
    agent_id: AgentId
    address: str
    language: str
    queue_name: Text
    dial_at: datetime
    dialed_at: datetime | None
    sid: str | None
    answered_at: datetime | None
    taken_at: datetime | None
    mute_wanted: bool
    is_muted: bool
    outcome: str | None

    @property
    def is_over(self) -> bool:
        return self.outcome is not None


def shown(address: str) -> str:
    """Enough for its owner to know which telephone is meant."""
    if address.startswith("sip:"):
        user, _, host = address.removeprefix("sip:").partition("@")
        return f"{user[:2]}…@{host}"
    return f"{address[:3]}…{address[-2:]}"


async def ring_of(tx: Tx, offer_id: int) -> Ring | None:
    return _of(await tx.conn.fetchrow(sql.RING, offer_id))


def _of(row: Any) -> Ring | None:
    return None if row is None else Ring(**dict(row))


# --- it is to ring ----------------------------------------------------------------------------------------------------


async def ring(tx: Tx, call: Call, *, agent_id: AgentId, offer_id: OfferId, queue: str) -> datetime | None:
    """The agent has accepted: their telephone rings in the next second that is free, if that is where they take calls. Returns until when they may
    take to come; None for who has a browser. The call is locked."""
    address = await tx.conn.fetchval(sql.IN_USE, agent_id)
    if address is None:
        return None
    dial_at = await tx.conn.fetchval(outbound_queries.TAKE_SLOT, call.account_sid, tx.now)
    await tx.conn.execute(sql.ADD_RING, offer_id, call.id, agent_id, address, queue, call.language, dial_at, tx.now)
    if dial_at <= tx.now:
        await service.intend(tx, call, f"offer_{offer_id}", "ring_agent")
    else:
        await set_timer(tx, RING_TIMER, offer_id, version=0, due_at=dial_at)
    due: datetime = dial_at + timedelta(seconds=COME_S)
    return due


async def ring_due(tx: Tx, offer_id: int, _: int) -> None:
    """Timer: it is this telephone's second."""
    call = await _call_of(tx, offer_id)
    if call is not None:
        await service.intend(tx, call, f"offer_{offer_id}", "ring_agent")


async def _call_of(tx: Tx, offer_id: int) -> Call | None:
    """Locked, before anything of it is read."""
    call_id = await tx.conn.fetchval(sql.CALL_OF_RING, offer_id)
    return None if call_id is None else await queries.lock_call(tx.conn, call_id=call_id)


async def _is_wanted(tx: Tx, call: Call, ring: Ring) -> bool:
    """Does anybody still wait for this agent? The call is locked."""
    if call.is_over or ring.is_over:
        return False
    if call.offer_id == ring.offer_id:
        return True
    asked = await consult.open_of(tx, call.id)
    return asked is not None and asked.with_offer_id == ring.offer_id


async def carry_out(outbox: Outbox, twilio: TwilioApi, call: Call, *, offer_id: int, line: Line, base: str) -> None:
    """The command: ring the telephone, once. Raises Unavailable (unknown: to be looked up), RingdeskError when it is refused."""
    async with outbox.transaction() as tx:
        locked = await queries.lock_call(tx.conn, call_id=call.id)
        ring = await ring_of(tx, offer_id)
        if locked is None or ring is None or ring.is_over or ring.sid is not None:
            return
        if ring.dialed_at is None and not await _is_wanted(tx, locked, ring):
            await tx.conn.fetchval(sql.END, offer_id, "withdrawn", tx.now)
            return
        asked_at, now = ring.dialed_at, tx.now
        if asked_at is None:
            await tx.conn.execute(sql.SET_DIALED_AT, offer_id, now)
    if asked_at is not None:
        # A telephone has one agent, who takes one call after the other.
        sid = await unknown_leg(outbox, twilio, call.account_sid, line.number, ring.address, since=asked_at - SKEW)
        if sid is None and now - asked_at < LOOKED_FOR:
            raise Unavailable("It is not known yet whether the agent's telephone rings.")
        await (_failed(outbox, ring) if sid is None else _adopt(outbox, ring, sid))
        return
    document = twiml.press_to_take(_spoken(line, ring), base, _queue(ring), offer_id=offer_id)
    callback = f"{base}{ENDPOINT}/status?o={offer_id}"
    try:
        sid = await twilio.place(
            call.account_sid, line.number, ring.address, document, callback=callback, ring_s=RING_S
        )
    except ProviderBusy:  # a plain no, for now: nothing rings
        async with outbox.transaction() as tx:
            await tx.conn.execute(sql.SET_DIALED_AT, offer_id, None)
        raise
    except Unavailable:
        raise
    except RingdeskError:
        await _failed(outbox, ring)
        raise
    await _adopt(outbox, ring, sid)


def _spoken(line: Line, ring: Ring) -> Line:
    """How this agent is spoken to; the number's own texts are for customers."""
    return replace(line, language=ring.language, texts={})


def _queue(ring: Ring) -> str:
    return in_language(ring.queue_name, ring.language)[:MAX_NAME]


async def _adopt(outbox: Outbox, ring: Ring, sid: str) -> None:
    async with outbox.transaction() as tx:
        call = await queries.lock_call(tx.conn, call_id=ring.call_id)
        if call is not None:
            await adopt(tx, call, ring.offer_id, sid)


async def _failed(outbox: Outbox, ring: Ring) -> None:
    async with outbox.transaction() as tx:
        call = await queries.lock_call(tx.conn, call_id=ring.call_id)
        if call is not None:
            await _does_not_come(tx, call, ring, "failed")


async def adopt(tx: Tx, call: Call, offer_id: int, sid: str) -> Ring | None:
    """This leg at the provider is the agent's telephone. The call is locked. One that comes too late, or twice, must not go on ringing."""
    ring = await ring_of(tx, offer_id)
    if ring is None or ring.sid == sid:
        return ring
    if await tx.conn.fetchval(sql.ADOPT, offer_id, sid, tx.now) is None:
        await service.intend(tx, call, f"stray_{sid}", "end_leg", {"sid": sid})
        return None
    await tx.conn.execute(queries.ADD_LEG, call.id, sid, "agent", ring.agent_id, "ringing", tx.now)
    if not await _is_wanted(tx, call, ring):
        await service.intend(tx, call, f"stray_{sid}", "end_leg", {"sid": sid})
    else:
        await _tell(tx, call, ring)
    return replace(ring, sid=sid)


async def is_there(tx: Tx, *, call_id: CallId, agent_id: AgentId) -> bool:
    """Does this agent's telephone ring for the call, or talk in it?"""
    return await tx.conn.fetchrow(sql.OPEN_RING_OF_AGENT, call_id, agent_id) is not None


async def _tell(tx: Tx, call: Call, ring: Ring) -> None:
    """The agent's desk hears of it; so that it is taken for news, the call gets a new version."""
    moved = await service.apply(tx, call, Touched())
    if moved is not call:
        await publish(
            tx,
            AgentTelephoneChanged(
                call_id=call.id, version=moved.version, agent_id=ring.agent_id, offer_id=ring.offer_id, at=tx.now
            ),
        )


# --- what the provider tells ------------------------------------------------------------------------------------------


async def pressed(tx: Tx, hook: Webhook, lines: dict[str, Line], fallback: Line, base: str) -> str:
    """`/twilio/telephone`: a key was pressed. The right one brings the agent into the conference, and the caller out of the line to them."""
    if not await service.claim(tx, hook, None):
        return await service.stored(tx, hook, twiml.EMPTY)
    offer_id = hook.offer_id or 0
    call = await _call_of(tx, offer_id)
    ring = None if call is None else await adopt(tx, call, offer_id, hook.call_sid)
    line = fallback if call is None else lines.get(call.our_number, fallback)
    if ring is not None:
        line = _spoken(line, ring)
    if call is None or ring is None or not await _is_wanted(tx, call, ring):
        answer = twiml.not_yours(line)
    elif ring.taken_at is None and hook.get("Digits") != twiml.TAKE_KEY:
        tries = number_of(hook.query.get("n", "")) or 0
        answer = twiml.press_to_take(line, base, _queue(ring), offer_id=offer_id, tries=tries)
    else:
        await _taken(tx, call, ring)
        answer = twiml.conference(
            base, conference_name(call.id), offer_id=offer_id, label=f"agent_{ring.agent_id}", ends_with_caller=False,
            is_telephone=True,
        )  # fmt: skip
    await tx.conn.execute(queries.KEEP_ANSWER, hook.key, answer)
    return answer


async def _taken(tx: Tx, call: Call, ring: Ring) -> None:
    if await tx.conn.fetchval(sql.TAKEN, ring.offer_id, tx.now) is None:
        return
    await _tell(tx, call, ring)
    if call.offer_id == ring.offer_id and not call.is_ours:
        await service.intend(tx, call, f"offer_{ring.offer_id}", "connect")


async def leg_status(tx: Tx, hook: Webhook) -> None:
    """`/twilio/telephone/status`: progress of an agent's telephone; perhaps the first that we hear of it."""
    offer_id = hook.offer_id or 0
    call = await _call_of(tx, offer_id)
    if call is None or not await service.claim(tx, hook):
        return
    ring = await adopt(tx, call, offer_id, hook.call_sid)
    if ring is None:
        return
    status, at = hook.get("CallStatus"), happened_at(hook.get("Timestamp"), tx.now)
    if status == "in-progress":
        if await tx.conn.fetchval(sql.ANSWERED, offer_id, at) is not None and await _is_wanted(tx, call, ring):
            await _tell(tx, call, ring)
    elif status in service.TERMINAL:
        await tx.conn.execute(queries.END_LEG, hook.call_sid, status, at)
        await _left(tx, call, ring, status, at)


async def reconciled(tx: Tx, *, offer_id: int, status: str, at: datetime) -> bool:
    """The provider says that this telephone is down, and no callback has told us. False when one has, meanwhile."""
    call = await _call_of(tx, offer_id)
    ring = await ring_of(tx, offer_id)
    if call is None or ring is None or ring.is_over:
        return False
    await tx.conn.execute(queries.END_LEG, ring.sid, status, at)
    await _left(tx, call, ring, status, at)
    return True


async def _left(tx: Tx, call: Call, ring: Ring, status: str, at: datetime) -> None:
    """The telephone is down."""
    if ring.taken_at is None or (call.offer_id == ring.offer_id and call.state is CallState.CONNECTING):
        why = WHY.get(status, "failed") if await _is_wanted(tx, call, ring) else "withdrawn"
        await _does_not_come(tx, call, ring, why)
        return
    await tx.conn.fetchval(sql.END, ring.offer_id, "talked", tx.now)
    await service.agent_left(tx, call, ring.agent_id, at)


async def _does_not_come(tx: Tx, call: Call, ring: Ring, why: str) -> None:
    """Nobody took the call there: it goes on as without a phone in the browser. The call is locked."""
    outcome = "talked" if ring.taken_at is not None else why
    if await tx.conn.fetchval(sql.END, ring.offer_id, outcome, tx.now) is None or call.is_over:
        return
    log.info("telephone of an agent does not come", agent=ring.agent_id, offer=ring.offer_id, why=why)
    asked = await consult.open_of(tx, call.id)
    if asked is not None and asked.with_offer_id == ring.offer_id:
        await consult.gone(tx, call, asked)
    elif call.offer_id != ring.offer_id or call.state is not CallState.CONNECTING:
        pass
    elif call.is_ours:
        await service.apply(tx, call, CallerGone(tx.now, by="system", unanswered=Outcome.CANCELED))
    else:
        await service.apply(tx, call, ConnectFailed(ring.offer_id))
        await back_in_line(tx, call, ring)


async def given_back(tx: Tx, call: Call) -> bool:
    """Its agent does not want the call after all, and has not taken it on the telephone, which stops ringing; that is told like any end of it. False when
    there is no such telephone. The call is locked."""
    if call.state is not CallState.CONNECTING or call.is_ours or call.offer_id is None:
        return False
    ring = await ring_of(tx, call.offer_id)
    if ring is None or ring.is_over or ring.taken_at is not None:
        return False
    await service.apply(tx, call, ConnectFailed(ring.offer_id))
    return True


async def back_in_line(tx: Tx, call: Call, ring: Ring | None) -> None:
    """The caller goes back to the line, unless the agent's telephone never fetched them from there."""
    offer_id = call.offer_id
    if ring is None or ring.taken_at is not None:
        await service.intend(tx, call, f"offer_{offer_id}", "requeue")


async def hung_up(tx: Tx, call: Call, *, agent_id: AgentId) -> bool:
    """Who puts the telephone down ends the conversation; there is no other way to say so there. False where that would lose somebody who still waits. The
    call is locked."""
    if not call.is_talking or call.is_held or call.hold_wanted or call.agent_id != agent_id or call.offer_id is None:
        return False
    ring = await ring_of(tx, call.offer_id)
    if ring is None or ring.taken_at is None or await consult.open_of(tx, call.id) is not None:
        return False
    if call.ended_by is None:
        await queries.save_call(tx.conn, replace(call, ended_by="agent", version=call.version + 1), now=tx.now)
        await service.intend(tx, call, f"call_{call.id}", "end")
    return True


# --- mute ---------------------------------------------------------------------------------------------------------------


async def set_muted(tx: Tx, *, call_id: CallId, who: Principal, is_muted: bool) -> Call:
    """Be heard by nobody in the call, or again. Asking for what is wanted already changes nothing. Raises NotFound, NotAtTelephone."""
    call = await queries.lock_call(tx.conn, call_id=call_id)
    legs = () if call is None else await tx.conn.fetch(queries.OPEN_AGENT_LEGS, call_id)
    if call is None or (call.agent_id != who.user_id and who.user_id not in [leg["agent_id"] for leg in legs]):
        raise NotFound("There is no such call of yours.")
    ring = _of(await tx.conn.fetchrow(sql.OPEN_RING_OF_AGENT, call_id, who.user_id))
    if ring is None or ring.taken_at is None or call.is_over:
        raise NotAtTelephone
    if ring.mute_wanted is not is_muted:
        await tx.conn.execute(sql.WANT_MUTED, ring.offer_id, is_muted)
        await _tell(tx, call, ring)
        await service.intend(tx, call, f"call_{call.id}_{call.version + 1}", "mute", {"offer_id": ring.offer_id})
    return call


async def carry_out_mute(outbox: Outbox, twilio: TwilioApi, call: Call, *, offer_id: int) -> None:
    """The command: bring the telephone's seat to what is wanted when it runs. Raises Unavailable (unknown: ask again)."""
    name = conference_name(call.id)
    for _ in range(MAX_ROUNDS):
        async with outbox.transaction() as tx:
            ring = await ring_of(tx, offer_id)
        if ring is None or ring.is_over or ring.sid is None:
            return
        try:
            is_muted = await twilio.set_muted(call.account_sid, name, ring.sid, is_muted=ring.mute_wanted)
        except NotInProgress:
            await _muted(outbox, ring, is_muted=ring.is_muted, gives_up=True)
            return
        except Unavailable:
            raise
        except RingdeskError:
            await _muted(outbox, ring, is_muted=ring.is_muted, gives_up=True)
            raise
        if await _muted(outbox, ring, is_muted=is_muted) is is_muted:
            return
    raise Unavailable("The agent goes on changing mute.")


async def _muted(outbox: Outbox, ring: Ring, *, is_muted: bool, gives_up: bool = False) -> bool:
    """The provider says so. Returns what is wanted by now; `gives_up`: nothing else is wanted any more."""
    async with outbox.transaction() as tx:
        call = await queries.lock_call(tx.conn, call_id=ring.call_id)
        is_news = await tx.conn.fetchval(sql.MUTED, ring.offer_id, is_muted) is not None
        if gives_up:
            await tx.conn.execute(sql.WANT_MUTED, ring.offer_id, is_muted)
        if call is not None and (is_news or gives_up):
            await _tell(tx, call, ring)
        found = await ring_of(tx, ring.offer_id)
        return is_muted if found is None else found.mute_wanted
