"""Use cases of a call: what a verified webhook, an accepted offer or a look-up at the provider does to it.

Every function takes the open Tx. A webhook is claimed by its key first; a repeat gets the stored answer and changes nothing.
The call row is locked before it is advanced, so two callbacks at once line up; effects are published as events.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import structlog

from core.errors import Forbidden, NotFound
from core.events import (
    CallAgentLeft,
    CallAgentReady,
    CallAnswered,
    CallCameBack,
    CallConnectFailed,
    CallEnded,
    CallHoldChanged,
    CallQueued,
    CallRequeued,
    CallSentToRecorder,
    OfferAccepted,
    ProviderCommandIntended,
    WorkDeflected,
    WrapUpEnded,
)
from core.ids import AgentId, CallId, OfferId, call_of_conference, conference_name
from core.phone import Number, attestation_of
from core.principal import Principal
from cti import blocked, consult, missed, number_list, recording, telephone
from cti import queries as sql
from cti import twilio_voice as twiml
from cti.model import (
    CLOSED,
    INBOUND,
    UNDONE,
    AgentJoined,
    AgentLeft,
    AgentLost,
    Call,
    CallerGone,
    CallerJoined,
    CallerLeft,
    CallEvent,
    CallState,
    CameBack,
    ConnectFailed,
    Connecting,
    Deflected,
    GivenBack,
    Happened,
    HoldChanged,
    MenuPlayed,
    Outcome,
    Queued,
    SentToRecorder,
    TakenOver,
    TurnedAway,
    WrapUpDone,
    advance,
)
from cti.twilio_voice import Line
from cti.twilio_webhook import Webhook, happened_at, number_of
from infra.outbox import Tx, publish
from infra.phone import parse_number
from infra.telemetry import metrics
from infra.timers import cancel_timer, set_timer

log = structlog.get_logger()

CONNECT_TIMEOUT_S: Final = 20
AGENT_GONE_GRACE_S: Final = 15
MAX_QUEUE_TRIES: Final = 3
REFUSED: Final = "refused"
"""Why a caller is at the recorder: the parking queue took nobody."""
QUEUE_HELD_S: Final = 60
"""A caller whom the parking queue held this long was not refused by it."""
TERMINAL: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
FAILED_STATUSES: Final = frozenset({"failed"})
HOLDS: Final = {"participant-hold": True, "participant-unhold": False}
OUTBOUND_ENDS: Final = {
    "busy": Outcome.BUSY, "no-answer": Outcome.UNANSWERED, "completed": Outcome.UNANSWERED, "failed": Outcome.FAILED, "canceled": Outcome.CANCELED,
}  # fmt: skip
TOLD_OF_SEATS: Final = frozenset({"participant-join", "participant-leave", *HOLDS})
TRANSFER_ENDS: Final = {Happened.ANSWERED: "taken", Happened.CAME_BACK: "returned"}
CONNECT_TIMER: Final = "cti.connect"
AGENT_GONE_TIMER: Final = "cti.agent_gone"
RECORDER_TIMER: Final = "cti.voicemail"
RECORDER_LIMIT_S: Final = 900
"""Longer than any message may be: who is still at the recorder then is asked about."""
RECORDING_GRACE_S: Final = 20
"""So long a message may take to be told of after its caller has hung up."""


async def incoming(tx: Tx, hook: Webhook, line: Line, base: str) -> str:
    """`/twilio/voice`: a call of a customer. New ones are queued with ticket and work item in this very transaction."""
    attested, met = hook.attestation, line.within(None)
    number = replace(parse_number(hook.get("From"), line.region), attestation=attestation_of(attested))
    admission = await admit(tx, line, number)
    answer = welcome(met, base, admission, greet=hook.retry == 0)
    row = await tx.conn.fetchrow(
        sql.CLAIM_INCOMING, hook.key, hook.account_sid, hook.endpoint, hook.call_sid, hook.body(), answer,
        number.raw[:200], number.kind.value, number.value, hook.get("To")[:100], line.language, tx.now, list(TERMINAL), attested,
    )  # fmt: skip
    if row is None or row["event_id"] is None:
        return await stored(tx, hook, answer)
    if row["id"] is None:
        return await _asked_again(tx, hook, line, base)
    call = replace(sql.call_of(row), caller=number)
    structlog.contextvars.bind_contextvars(correlation_id=f"call_{call.id}")
    if admission is Admission.OPEN:
        await recording.announce(tx, call, met)
    call = await _let_in(tx, call, line, admission)
    if row["is_gone"] or hook.get("CallStatus") in TERMINAL:  # the callback of the end was faster
        call = await sql.lock_call(tx.conn, call_id=call.id) or call  # the queue may have let go of it at once
        await apply(tx, call, CallerGone(tx.now))
    return answer


class Admission(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    BLOCKED = "blocked"


async def admit(tx: Tx, line: Line, number: Number) -> Admission:
    """Both sides of the block list are normalised; a hidden number is nobody's."""
    if number.value is not None:
        reason = await number_list.reason(tx.conn, blocked.LIST, number.value, now=tx.now)
        if reason is not None:
            return Admission.BLOCKED
    is_open = line.is_open(tx.now) and (line.menu is not None or line.lets_into(line.queue, tx.now))
    return Admission.OPEN if is_open else Admission.CLOSED


def welcome(line: Line, base: str, admission: Admission, *, greet: bool) -> str:
    match admission:
        case Admission.BLOCKED:
            return twiml.reject()
        case Admission.CLOSED:
            return twiml.closed(line, base)
        case _ if (way := line.way()) is not None:
            return twiml.menu(line, base, way, greet=greet, asks=True)
        case _:
            return twiml.enqueue(line, base, greet=greet, asks=True)


async def _let_in(tx: Tx, call: Call, line: Line, admission: Admission) -> Call:
    if admission is Admission.BLOCKED:
        return await apply(tx, call, TurnedAway(Outcome.REJECTED_BLOCKED, tx.now))
    if admission is Admission.OPEN and line.menu is not None:
        return await apply(tx, call, MenuPlayed(line.menu.key))
    if admission is Admission.OPEN:
        return await apply(tx, call, Queued(line.queue, tx.now))
    if line.recorder.after_hours:
        return await apply(tx, call, SentToRecorder(line.queue, CLOSED, tx.now))
    return await apply(tx, call, TurnedAway(Outcome.AFTER_HOURS, tx.now))


async def _asked_again(tx: Tx, hook: Webhook, line: Line, base: str) -> str:
    """Another webhook of this call came first, or the caller comes back from an emergency answer: the same call, the same
    place in line; who was in a conversation goes back into it."""
    call = await sql.lock_call_by_sid(tx.conn, sid=hook.call_sid)
    line = line if call is None else line.within(call.queue)
    if call is None or call.is_over:
        answer = last_word(line, call)
    elif call.is_ours:
        answer = customers_seat(call, call.offer_id, base) if call.offer_id is not None else twiml.EMPTY
    elif call.state is CallState.OUTSIDE:  # the way back from there has failed: the conversation outside is over
        await apply(tx, call, CameBack())
        answer = twiml.back_to_queue(line, base, says="not_reached")
    elif call.state is CallState.VOICEMAIL:
        answer = twiml.record(line, base)
    elif call.state is CallState.IVR and (way := line.way(call.menu_path)) is not None:
        answer = twiml.menu(
            line, base, way, step=call.version, asks=True
        )  # nobody knows whether the first one was heard
    elif call.state is CallState.IVR:
        answer = await into_queue(tx, call, line, line.queue, base)
    elif call.is_talking and call.ended_by is not None:
        answer = twiml.EMPTY
    elif call.is_talking and call.offer_id is not None:
        answer = customers_seat(call, call.offer_id, base)
    else:  # in line, whatever the hours and the block list say by now; or an agent is on the way, and fetches the caller from there
        is_new = call.state is CallState.QUEUED
        answer = twiml.enqueue(line, base, greet=is_new and hook.retry == 0, asks=is_new)
    await tx.conn.execute(sql.KEEP_ANSWER, hook.key, answer)
    return answer


async def into_queue(tx: Tx, call: Call, line: Line, queue: str, base: str, *, choice: str | None = None) -> str:
    """The way on of a caller who has come through the menu: into the line, or, where the queue is closed now, what the number does when it is closed."""
    if line.lets_into(queue, tx.now):
        within = line.within(queue)
        asks = await recording.enter_queue(tx, call, line.within(call.queue), within)
        await apply(tx, call, Queued(queue, tx.now, choice=choice))
        return twiml.enqueue(within, base, greet=False, asks=asks)
    if line.recorder.after_hours:
        await apply(tx, call, SentToRecorder(queue, CLOSED, tx.now, choice=choice))
    else:
        await apply(tx, call, TurnedAway(Outcome.AFTER_HOURS, tx.now, queue=queue, choice=choice))
    return twiml.closed(line, base)


def last_word(line: Line, call: Call | None) -> str:
    """To a caller who asks once more though the call is over."""
    match None if call is None else call.outcome:
        case Outcome.DEFLECTED:
            return twiml.deflected(line)
        case Outcome.REJECTED_BLOCKED:
            return twiml.reject()
        case Outcome.AFTER_HOURS:
            return twiml.farewell(line, "closed")
        case Outcome.VOICEMAIL:
            return twiml.farewell(line, "voicemail_thanks")
        case _:
            return twiml.goodbye(line)


def customers_seat(call: Call, offer_id: OfferId, base: str, *, tells: Line | None = None) -> str:
    """The document that puts the caller into the conference. `tells`: who has not heard yet that the line records hears so first."""
    return twiml.conference(
        base, conference_name(call.id), offer_id=offer_id, label="customer", ends_with_caller=True, tells=tells
    )


async def stored(tx: Tx, hook: Webhook, default: str) -> str:
    answer = await tx.conn.fetchval(sql.STORED_ANSWER, hook.key)
    return default if answer is None else str(answer)


async def claim(tx: Tx, hook: Webhook, answer: str | None = twiml.EMPTY) -> bool:
    """True when this webhook is new. A simultaneous twin waits here for the first one's transaction."""
    claimed = await tx.conn.fetchval(
        sql.CLAIM_EVENT, hook.key, hook.account_sid, hook.endpoint, hook.call_sid or None, hook.body(), answer
    )
    return claimed is not None


async def queue_done(tx: Tx, hook: Webhook, line: Line, base: str) -> str:
    """`/twilio/queue/done`: why the caller left the parking queue. `redirected` is our own doing.

    A queue that refuses is tried again; three times in a row, and the caller is asked for a message, or told that we cannot."""
    if not await claim(tx, hook, None):
        return await stored(tx, hook, twiml.EMPTY)
    result, answer = hook.get("QueueResult"), twiml.EMPTY
    if result == "hangup" or hook.get("CallStatus") in TERMINAL:
        await customer_gone(tx, sid=hook.call_sid, at=tx.now)
    elif result in ("error", "system-error", "queue-full"):
        waited_s = number_of(hook.get("QueueTime")) or 0
        tries = hook.retry + 1 if waited_s < QUEUE_HELD_S else 1
        log.error("parking queue refused a caller", result=result, tries=tries)
        if tries <= MAX_QUEUE_TRIES:
            answer = twiml.back_to_queue(line, base, tries=tries)
        else:
            answer = await _refused(tx, hook, line, base)
    elif result == "leave":
        call = await sql.lock_call_by_sid(tx.conn, sid=hook.call_sid)
        if call is not None and call.outcome is Outcome.DEFLECTED:
            answer = twiml.deflected(line)
        elif call is not None and call.state is CallState.VOICEMAIL:
            answer = twiml.record(line, base)
        elif call is not None and call.state is CallState.QUEUED:  # nobody asked for it: there is no other document
            answer = twiml.enqueue(line, base, greet=False)
    await tx.conn.execute(sql.KEEP_ANSWER, hook.key, answer)
    return answer


async def _refused(tx: Tx, hook: Webhook, line: Line, base: str) -> str:
    call = await sql.lock_call_by_sid(tx.conn, sid=hook.call_sid)
    if call is not None and line.recorder.is_offered:
        call = await apply(tx, call, SentToRecorder(line.queue, REFUSED, tx.now))
        if call.state is CallState.VOICEMAIL:
            return twiml.record(line, base, first="unreachable")
    await customer_gone(tx, sid=hook.call_sid, at=tx.now, failed=True, by="system")
    return twiml.goodbye(line)


async def dial_done(tx: Tx, hook: Webhook, line: Line, base: str) -> str:
    """`/twilio/dial/done`: a leg left its conference. A caller who is still there and not finished goes back to the line."""
    if not await claim(tx, hook, None):
        return await stored(tx, hook, twiml.EMPTY)
    answer = twiml.EMPTY
    call = await sql.lock_call_by_sid(tx.conn, sid=hook.call_sid)
    if call is not None and not call.is_over:
        if hook.get("CallStatus") in TERMINAL:
            await customer_gone(tx, sid=hook.call_sid, at=tx.now)
        elif call.ended_by is None:
            answer = await _left_conference(tx, hook, call, line, base)
    await tx.conn.execute(sql.KEEP_ANSWER, hook.key, answer)
    return answer


async def _left_conference(tx: Tx, hook: Webhook, call: Call, line: Line, base: str) -> str:
    """The conference ended under a caller who is still on the line (agent ended it, provider closed it)."""
    if call.is_ours:
        await apply(tx, call, CallerGone(tx.now, by="system"))
        return twiml.EMPTY
    if call.state is CallState.OUTSIDE and await tx.conn.fetchval(sql.WAS_CONSULTED_OUTSIDE, call.id):
        await apply(tx, call, CallerGone(tx.now, by="outside"))  # they talked there in our conference; that is over
        return twiml.EMPTY
    if call.offer_id is None:
        return twiml.back_to_queue(line, base)
    if hook.offer_id is not None and hook.offer_id != call.offer_id:
        return twiml.enqueue(
            line, base, greet=False
        )  # an earlier connection; the new one fetches the caller from the line
    if call.state is CallState.CONNECTING:
        await apply(tx, call, ConnectFailed(call.offer_id))
        return twiml.back_to_queue(line, base)
    await apply(tx, call, CallerGone(tx.now, by="system"))
    return twiml.EMPTY


async def agent_leg(tx: Tx, hook: Webhook, lines: "dict[str, Line]", fallback: Line, base: str) -> str:
    """`/twilio/agent`: an agent's phone asks to join. Only the holder of the accepted offer gets the conference."""
    if not await claim(tx, hook, None):
        return await stored(tx, hook, twiml.EMPTY)
    agent_id, call = hook.agent_id, await _wanted_call(tx, hook)
    offer_id = None if call is None or agent_id is None or call.is_over else await _seat_of(tx, call, agent_id)
    if call is None or offer_id is None:
        line = fallback if call is None else lines.get(call.our_number, fallback)
        answer = twiml.not_yours(line)
    else:
        await tx.conn.execute(sql.ADD_LEG, call.id, hook.call_sid, "agent", agent_id, "in-progress", tx.now)
        answer = twiml.conference(
            base, conference_name(call.id), offer_id=offer_id, label=f"agent_{agent_id}", ends_with_caller=False
        )
    await tx.conn.execute(sql.KEEP_ANSWER, hook.key, answer)
    return answer


async def _seat_of(tx: Tx, call: Call, agent_id: AgentId) -> OfferId | None:
    """By which offer this agent may sit in the conference: the call is theirs, or they are being consulted about it. Not beside their own telephone."""
    if await telephone.is_there(tx, call_id=call.id, agent_id=agent_id):
        return None
    if call.agent_id == agent_id:
        return call.offer_id
    asked = await consult.open_of(tx, call.id)
    return asked.with_offer_id if asked is not None and asked.with_agent_id == agent_id else None


def wanted_call(hook: Webhook) -> str:
    """What an agent's phone says it wants: a parameter of its own, or in the address after an emergency answer."""
    return hook.get("CallId") or hook.query.get("CallId", "")


async def _wanted_call(tx: Tx, hook: Webhook) -> Call | None:
    """The call the phone names; a phone that comes back without its parameters means the one it was in, or has in hand."""
    wanted = number_of(wanted_call(hook).removeprefix("call_"))
    if wanted is None and not wanted_call(hook) and hook.agent_id is not None:
        wanted = await tx.conn.fetchval(sql.CALL_OF_LEG, hook.call_sid)
        if wanted is None:
            wanted = await tx.conn.fetchval(sql.CALL_IN_HAND, hook.agent_id, tx.now)
    return None if wanted is None else await sql.lock_call(tx.conn, call_id=wanted)


async def leg_status(tx: Tx, hook: Webhook) -> None:
    """`/twilio/status`: progress of any leg. Only the customer's leg ends the call."""
    if not await claim(tx, hook):
        return
    status = hook.get("CallStatus")
    if status not in TERMINAL:
        return
    at = happened_at(hook.get("Timestamp"), tx.now)
    leg = await tx.conn.fetchrow(sql.LEG_BY_SID, hook.call_sid)
    if leg is None:
        log.info(
            "callback of an unknown leg"
        )  # kept as a provider event: the call may still come, or the reconciler finds it
        return
    call = await sql.lock_call(tx.conn, call_id=leg["call_id"])
    await tx.conn.execute(sql.END_LEG, hook.call_sid, status, at)
    if call is None:
        return
    if leg["kind"] == "customer":
        await apply(tx, call, gone(call, status, at))
    elif leg["kind"] == "outside":
        await _outside_moved(tx, call, hook.call_sid, has_joined=False, at=at)
    else:
        await agent_left(tx, call, AgentId(leg["agent_id"]), at)


def gone(call: Call, status: str, at: datetime) -> CallerGone:
    """What the last status of the customer's leg means: of a call that we made it says why nobody answered."""
    unanswered = OUTBOUND_ENDS.get(status) if call.is_ours else None
    return CallerGone(at, failed=status in FAILED_STATUSES, unanswered=unanswered)


async def conference_event(tx: Tx, hook: Webhook) -> None:
    """`/twilio/conference`: who came and who left. Per leg only ever forward, by the conference's sequence numbers."""
    if not await claim(tx, hook):
        return
    call_id = call_of_conference(hook.get("FriendlyName"))
    event, sid = hook.get("StatusCallbackEvent"), hook.call_sid
    if call_id is None or event not in TOLD_OF_SEATS:
        return
    call = await sql.lock_call(tx.conn, call_id=call_id)
    if call is None:
        return
    has_joined, is_customer = event == "participant-join", sid == call.sid
    at = happened_at(hook.get("Timestamp"), tx.now)
    if event in HOLDS:
        number = number_of(hook.get("SequenceNumber")[:9])
        if is_customer and await tx.conn.fetchval(sql.SEAT_CHANGED, sid, call.id, hook.get("ConferenceSid"), number):
            await apply(tx, call, HoldChanged(HOLDS[event], at))
        return
    asked_id = consult.id_of(hook.get("ParticipantLabel"))
    if has_joined and asked_id is not None:  # faster than the answer to the command that rang it
        await consult.rung(tx, call, asked_id, sid)
    leg = await tx.conn.fetchrow(
        sql.MOVE_LEG, sid, call.id, hook.get("ConferenceSid"), number_of(hook.get("SequenceNumber")[:9]), has_joined
    )
    if is_customer and not has_joined and hook.get("ParticipantCallStatus") in TERMINAL:
        await apply(tx, call, CallerGone(at))
    elif leg is None:
        return  # older than what we have, or not a leg of ours
    elif is_customer and has_joined:
        if await apply(tx, call, CallerJoined(at)) is call and _is_astray(call):
            await intend(tx, call, f"astray_{call.id}_{call.version}", "fetch")
    elif not is_customer and leg["agent_id"] is None:
        await _outside_moved(tx, call, sid, has_joined=has_joined, at=at)
    elif not is_customer and has_joined:
        await _agent_joined(tx, call, leg["id"], sid, AgentId(leg["agent_id"]), at)
    elif not is_customer:
        has_hung_up = hook.get("ReasonParticipantLeft") == telephone.HUNG_UP
        await agent_left(tx, call, AgentId(leg["agent_id"]), at, has_hung_up=has_hung_up)


def _is_astray(call: Call) -> bool:
    """The caller came into the conference when nobody was to talk there any more: what should have brought them there was overtaken."""
    is_at_recorder = call.state is CallState.VOICEMAIL and call.left_at is None
    return call.state is CallState.QUEUED or is_at_recorder or call.outcome is Outcome.DEFLECTED


async def _agent_joined(tx: Tx, call: Call, leg_id: int, sid: str, agent_id: AgentId, at: datetime) -> None:
    """Whoever does not hold the call (any more), nor is consulted about it, must not hear it."""
    asked = None if call.is_over or call.agent_id == agent_id else await consult.open_of(tx, call.id)
    if asked is not None and asked.with_agent_id == agent_id:
        await consult.joined(tx, call, asked, at)
    elif call.is_over or call.agent_id != agent_id:
        await _end_leg(tx, call, leg_id, sid)
    else:
        await apply(tx, call, AgentJoined(agent_id, at))


async def agent_left(tx: Tx, call: Call, agent_id: AgentId, at: datetime, *, has_hung_up: bool = False) -> None:
    """One leg of an agent is out. A page that was loaded again has its new leg in before the old one is given up."""
    if await tx.conn.fetchval(sql.IS_AGENT_IN_CONFERENCE, call.id, agent_id):
        return
    if has_hung_up and await telephone.hung_up(tx, call, agent_id=agent_id):
        return
    asked = None if call.is_over or call.agent_id == agent_id else await consult.open_of(tx, call.id)
    if asked is not None and asked.with_agent_id == agent_id:
        await consult.gone(tx, call, asked)
    else:
        await apply(tx, call, AgentLeft(agent_id, at))


async def _outside_moved(tx: Tx, call: Call, sid: str, *, has_joined: bool, at: datetime) -> None:
    """Somebody outside, whom an agent consults, has come or gone."""
    asked = None if call.is_over else await consult.open_of(tx, call.id)
    if call.state is CallState.OUTSIDE and not has_joined and call.ended_by is None:  # the customer sits there alone
        await sql.save_call(tx.conn, replace(call, ended_by="outside", version=call.version + 1), now=tx.now)
        await intend(tx, call, f"call_{call.id}", "end")
    if asked is None or asked.leg_sid != sid:
        return
    if has_joined:
        await consult.joined(tx, call, asked, at)
    else:
        await consult.gone(tx, call, asked)


async def _end_leg(tx: Tx, call: Call, leg_id: int, sid: str) -> None:
    await intend(tx, call, f"leg_{leg_id}", "end_leg", {"sid": sid})


async def _end_agent_legs(tx: Tx, call: Call) -> None:
    """The connection is over: no phone of an agent may stay in the conference that the next agent will join."""
    for leg in await tx.conn.fetch(sql.OPEN_AGENT_LEGS, call.id):
        await _end_leg(tx, call, leg["id"], leg["sid"])


async def end_legs_of(tx: Tx, call: Call, agent_id: AgentId) -> None:
    """This agent's phones leave; others stay."""
    for leg in await tx.conn.fetch(sql.OPEN_AGENT_LEGS, call.id):
        if leg["agent_id"] == agent_id:
            await _end_leg(tx, call, leg["id"], leg["sid"])


async def customer_gone(tx: Tx, *, sid: str, at: datetime, failed: bool = False, by: str = "customer") -> Call | None:
    """Returns the call as it is then; None when there is none."""
    call = await sql.lock_call_by_sid(tx.conn, sid=sid)
    return None if call is None else await apply(tx, call, CallerGone(at, failed=failed, by=by))


async def reconciled(tx: Tx, *, sid: str, at: datetime | None, status: str = "completed") -> bool:
    """The provider says that this leg is over, and no callback has told us. False when one has, meanwhile."""
    call = await sql.lock_call_by_sid(tx.conn, sid=sid)
    if call is None or call.is_over:
        return False
    if await apply(tx, call, gone(call, status, min(at or tx.now, tx.now))) is call:
        return False
    await tx.conn.execute(sql.RECONCILED, call.id)
    return True


# --- from our own side ------------------------------------------------------------------------------------------------


async def on_offer_accepted(tx: Tx, event: OfferAccepted) -> None:
    """Inline: the call belongs to this agent now; the command that joins them is written beside it."""
    if event.call_id is None:
        return
    call = await sql.lock_call(tx.conn, call_id=event.call_id)
    if call is None or call.is_over:
        raise CallerLeft
    asked = await consult.open_of(tx, call.id)
    if asked is not None and asked.work_item_id == event.work_item_id:
        await consult.accepted(tx, call, asked, agent_id=event.agent_id, offer_id=event.offer_id)
        due = await telephone.ring(tx, call, agent_id=event.agent_id, offer_id=event.offer_id, queue=event.queue)
        if due is not None:
            await set_timer(tx, consult.TIMER, call.id, version=asked.id, due_at=due)
        return
    call = await apply(tx, call, Connecting(event.agent_id, event.offer_id))
    if call.is_external:  # a telephone system has connected the two
        return
    await recording.served_by(tx, call, event.queue)
    due = await telephone.ring(tx, call, agent_id=event.agent_id, offer_id=event.offer_id, queue=event.queue)
    if due is not None:  # who waits goes on waiting until the agent is there
        await set_timer(tx, CONNECT_TIMER, call.id, version=event.offer_id, due_at=due)
    elif not call.is_ours:  # whom we call is not there yet
        await intend(tx, call, f"offer_{event.offer_id}", "connect")


async def on_work_deflected(tx: Tx, event: WorkDeflected) -> None:
    """Inline: the queue lets go of the caller, who hears so with the next round of waiting."""
    call = await sql.lock_call(tx.conn, call_id=event.call_id)
    if call is not None and event.to_recorder:
        await apply(tx, call, SentToRecorder(event.queue, event.reason, tx.now))
    elif call is not None:
        await apply(tx, call, Deflected(tx.now))


async def on_wrap_up_ended(tx: Tx, event: WrapUpEnded) -> None:
    """Inline: this agent is done with the call; the call is closed when it was the agent who had it last."""
    if event.call_id is None:
        return
    await tx.conn.execute(sql.SET_DISPOSITION, event.call_id, event.disposition, event.offer_id, event.is_default)
    await tx.conn.execute(sql.CLOSE_WRAP, event.call_id, event.agent_id, tx.now)
    call = await sql.lock_call(tx.conn, call_id=event.call_id)
    if call is not None and call.offer_id == event.offer_id:
        await apply(tx, call, WrapUpDone(tx.now))


async def hang_up(tx: Tx, *, call_id: CallId, who: Principal) -> Call:
    """The agent (or a supervisor) ends the conversation. The provider's callback makes it final. An agent whose telephone still rings has none: the
    caller, who waits on, goes to somebody else."""
    call = await sql.lock_call(tx.conn, call_id=call_id)
    if call is None or (call.agent_id != who.user_id and not who.is_lead):
        raise NotFound("There is no such call of yours.")
    if call.is_over:
        return call
    if call.agent_id == who.user_id:  # who wants to be rid of the one must not lose the other
        await consult.refuse_while_open(tx, call)
    if call.state not in (CallState.CONNECTING, CallState.IN_CALL, CallState.ON_HOLD, CallState.OUTSIDE):
        raise Forbidden("Only a connected call can be hung up.")
    if call.agent_id == who.user_id and await telephone.given_back(tx, call):
        return await sql.lock_call(tx.conn, call_id=call_id) or call
    if call.is_external:  # nothing can be asked of its system: this says that the end was not told
        return await apply(tx, call, CallerGone(tx.now, by="agent"))
    if not call.has_leg:  # nobody is being rung yet, as far as we know
        return await apply(tx, call, CallerGone(tx.now, by="agent", unanswered=Outcome.CANCELED))
    if call.ended_by is None:
        call = replace(call, ended_by="agent", version=call.version + 1)
        await sql.save_call(tx.conn, call, now=tx.now)
    await intend(tx, call, f"call_{call.id}", "end")
    return call


async def give_back(tx: Tx, call: Call, offer_id: OfferId) -> bool:
    """Who took the call by hand does not want it after all: the caller goes back to the line and keeps the place. The call is locked.
    False when it is over, or about to be, or somebody else's by now. Raises ConsultUnderWay."""
    if call.ended_by is not None:
        return False
    await consult.refuse_while_open(tx, call)
    if await apply(tx, call, GivenBack(offer_id)) is call:
        return False
    await telephone.back_in_line(tx, call, await telephone.ring_of(tx, offer_id))
    return True


async def connect_timed_out(tx: Tx, call_id: int, offer_id: int) -> None:
    """Timer: caller and agent did not meet, as far as we were told. The provider is asked before anybody is moved."""
    call = await sql.lock_call(tx.conn, call_id=CallId(call_id))
    if call is not None and call.state is CallState.CONNECTING and call.offer_id == offer_id:
        await _look(tx, call)


async def agent_is_gone(tx: Tx, call_id: int, offer_id: int) -> None:
    """Timer: the agent's phone left a living conversation and did not come back, as far as we were told."""
    call = await sql.lock_call(tx.conn, call_id=CallId(call_id))
    if call is not None and call.is_talking and not call.agent_joined and call.offer_id == offer_id:
        await _look(tx, call)


async def _look(tx: Tx, call: Call) -> None:
    if call.ended_by is None:  # else a hang-up of ours is under way
        await intend(tx, call, f"call_{call.id}_{call.version}", "look", {"offer_id": call.offer_id})


async def looked(tx: Tx, *, call_id: CallId, offer_id: OfferId, present: frozenset[str]) -> None:
    """Who sits in the conference, by CallSid. Callbacks that were lost are made up for; who is still missing does not come:
    the caller goes back to the line and keeps the place."""
    call = await sql.lock_call(tx.conn, call_id=call_id)
    if call is None or call.is_over or call.offer_id != offer_id or call.agent_id is None:
        return
    agent_id = call.agent_id
    legs = await tx.conn.fetch(sql.OPEN_AGENT_LEGS, call.id)
    if call.sid in present:
        call = await apply(tx, call, CallerJoined(tx.now))
    if any(leg["sid"] in present and leg["agent_id"] == agent_id for leg in legs):
        call = await apply(tx, call, AgentJoined(agent_id, tx.now))
    if call.ended_by is not None:
        return
    if call.is_talking and not call.agent_joined and await consult.orphaned(tx, call):
        return
    if call.is_ours:
        if not call.agent_joined:
            await apply(tx, call, CallerGone(tx.now, by="system", unanswered=Outcome.CANCELED))
        return
    if not call.agent_joined and await telephone.hung_up(tx, call, agent_id=agent_id):
        return
    failed: ConnectFailed | AgentLost = AgentLost(offer_id) if call.is_talking else ConnectFailed(offer_id)
    if await apply(tx, call, failed) is not call:
        await telephone.back_in_line(tx, call, await telephone.ring_of(tx, offer_id))


async def intend(tx: Tx, call: Call, object_: str, kind: str, payload: dict[str, object] | None = None) -> None:
    """Write down what the provider is to be asked, once per (object, kind); it is sent after commit."""
    await intend_for(tx, call.id, object_, kind, payload)


async def intend_for(
    tx: Tx, call_id: CallId, object_: str, kind: str, payload: dict[str, object] | None = None
) -> None:
    await tx.conn.execute(sql.INTEND, call_id, object_, kind, payload or {})
    await publish(tx, ProviderCommandIntended(call_id=call_id, object=object_, kind=kind))


async def apply(tx: Tx, call: Call, event: CallEvent) -> Call:
    """Advance, save, publish. The row is locked (or was created in this transaction)."""
    moved, happened = advance(call, event)
    if moved is call:
        return call
    await sql.save_call(tx.conn, moved, now=tx.now)
    if call.transfer_id is not None and moved.transfer_id is None and happened is not None:
        await tx.conn.execute(sql.END_TRANSFER, call.transfer_id, TRANSFER_ENDS.get(happened, "ended"), tx.now)
    if happened is not None:
        await _tell(tx, call, moved, happened, event)
        await missed.follow(tx, call, moved)
    if happened in recording.FOLLOWED and not moved.is_external:
        await recording.follow(tx, moved, happened)
    return moved


async def _tell(tx: Tx, before: Call, call: Call, happened: Happened, event: CallEvent) -> None:
    match happened:
        case Happened.QUEUED:
            await publish(
                tx,
                CallQueued(
                    call_id=call.id,
                    version=call.version,
                    queue=call.queue or "",
                    entered_at=call.queued_at or tx.now,
                    caller=call.caller,
                    to_number=call.to_number,
                    language=call.language,
                    is_external=call.is_external,
                    menu_choice=call.menu_choice,
                ),
            )
        case Happened.CONNECTING:
            due = tx.now + timedelta(seconds=CONNECT_TIMEOUT_S)
            await set_timer(tx, CONNECT_TIMER, call.id, version=call.offer_id or 0, due_at=due)
        case Happened.CONNECT_FAILED if isinstance(event, ConnectFailed | GivenBack):
            reason = UNDONE if isinstance(event, GivenBack) else "connect_failed"
            await cancel_timer(tx, CONNECT_TIMER, call.id)
            await _end_agent_legs(tx, call)
            await publish(
                tx,
                CallConnectFailed(call_id=call.id, version=call.version, offer_id=event.offer_id, reason=reason),
            )
        case Happened.ANSWERED if call.agent_id is not None and isinstance(event, CallerJoined | AgentJoined):
            await cancel_timer(tx, CONNECT_TIMER, call.id)
            at = min(event.at, tx.now)  # of this conversation: `answered_at` is that of the first
            await tx.conn.execute(sql.OPEN_SEGMENT, call.id, call.offer_id, call.agent_id, "talk", at)
            await publish(tx, CallAnswered(call_id=call.id, version=call.version, agent_id=call.agent_id, at=at))
        case Happened.AGENT_READY if call.agent_id is not None:
            await publish(tx, CallAgentReady(call_id=call.id, version=call.version, agent_id=call.agent_id, at=tx.now))
        case Happened.AGENT_LEFT if call.agent_id is not None:
            due = tx.now + timedelta(seconds=AGENT_GONE_GRACE_S)
            await set_timer(tx, AGENT_GONE_TIMER, call.id, version=call.offer_id or 0, due_at=due)
            await publish(tx, CallAgentLeft(call_id=call.id, version=call.version, agent_id=call.agent_id, at=tx.now))
        case Happened.AGENT_BACK:
            await cancel_timer(tx, AGENT_GONE_TIMER, call.id)
        case Happened.HELD | Happened.RESUMED | Happened.HOLD_REFUSED if call.agent_id is not None:
            await _hold_told(tx, call, happened, event)
        case Happened.TAKEN_OVER if isinstance(event, TakenOver) and before.agent_id is not None:
            await cancel_timer(tx, AGENT_GONE_TIMER, call.id)
            await _taken_over(tx, before, call, event)
        case Happened.AGENT_LOST if before.agent_id is not None:
            await cancel_timer(tx, AGENT_GONE_TIMER, call.id)
            await _end_consult(tx, call)
            await tx.conn.execute(sql.CLOSE_SEGMENTS, call.id, ["talk", "hold"], tx.now)
            await tx.conn.execute(sql.SUM_TALK, call.id)
            await _end_agent_legs(tx, call)
            await publish(tx, CallRequeued(call_id=call.id, version=call.version, agent_id=before.agent_id, at=tx.now))
        case Happened.HANDED_ON if before.agent_id is not None:
            await cancel_timer(tx, AGENT_GONE_TIMER, call.id)
            await tx.conn.execute(sql.CLOSE_SEGMENTS, call.id, ["talk", "hold"], tx.now)
            await tx.conn.execute(sql.SUM_TALK, call.id)
            await _end_agent_legs(tx, call)
        case Happened.CAME_BACK:
            await publish(tx, CallCameBack(call_id=call.id, version=call.version, at=tx.now))
        case Happened.PICKED_UP if call.agent_id is not None and call.answered_at is not None:
            await tx.conn.execute(sql.OPEN_SEGMENT, call.id, None, call.agent_id, "talk", call.answered_at)
        case Happened.HANDED_OVER:
            await tx.conn.execute(sql.CLOSE_SEGMENTS, call.id, ["talk", "hold"], tx.now)
            await tx.conn.execute(sql.SUM_TALK, call.id)
            if before.offer_id is not None and before.agent_id is not None:
                await publish(
                    tx, CallRequeued(call_id=call.id, version=call.version, agent_id=before.agent_id, at=tx.now)
                )
        case Happened.SENT_TO_RECORDER:
            due = tx.now + timedelta(seconds=RECORDER_LIMIT_S)
            await set_timer(tx, RECORDER_TIMER, call.id, version=call.version, due_at=due)
            at = call.recorder_at or tx.now
            reason = call.recorder_reason or ""
            await publish(tx, CallSentToRecorder(call_id=call.id, version=call.version, reason=reason, at=at))
        case Happened.LEFT_RECORDER:
            due = tx.now + timedelta(seconds=RECORDING_GRACE_S)
            await set_timer(tx, RECORDER_TIMER, call.id, version=call.version, due_at=due)
        case Happened.ENDED:
            await _ended(tx, call)
        case _:
            pass


async def _taken_over(tx: Tx, before: Call, call: Call, event: TakenOver) -> None:
    """The talk, and a hold that is still to be lifted, go on with the colleague from this moment."""
    await tx.conn.execute(sql.CLOSE_SEGMENTS, call.id, ["talk", "hold"], event.at)
    await tx.conn.execute(sql.SUM_TALK, call.id)
    await end_legs_of(tx, call, before.agent_id or event.agent_id)
    for kind in ("talk", "hold") if call.is_held else ("talk",):
        await tx.conn.execute(sql.OPEN_SEGMENT, call.id, event.by_offer_id, event.agent_id, kind, event.at)
    if call.is_held or before.hold_wanted:
        await intend(tx, call, f"call_{call.id}_{call.version}", "hold")
    await publish(tx, CallAnswered(call_id=call.id, version=call.version, agent_id=event.agent_id, at=event.at))


async def _end_consult(tx: Tx, call: Call) -> None:
    """The call goes on, or is over, without the agent who was consulting about it."""
    asked = await consult.open_of(tx, call.id)
    if asked is not None:
        await consult.end(tx, call, asked, "ended")


async def _hold_told(tx: Tx, call: Call, happened: Happened, event: CallEvent) -> None:
    """A hold is a stretch inside the talk."""
    at = min(event.at, tx.now) if isinstance(event, HoldChanged) else tx.now
    if call.agent_id is None:
        return
    if happened is Happened.HELD:
        await tx.conn.execute(sql.OPEN_SEGMENT, call.id, call.offer_id, call.agent_id, "hold", at)
    elif happened is Happened.RESUMED:
        await tx.conn.execute(sql.CLOSE_SEGMENTS, call.id, ["hold"], at)
    await publish(
        tx,
        CallHoldChanged(call_id=call.id, version=call.version, agent_id=call.agent_id, is_held=call.is_held, at=at),
    )


async def _ended(tx: Tx, call: Call) -> None:
    await _end_consult(tx, call)
    await cancel_timer(tx, CONNECT_TIMER, call.id)
    await cancel_timer(tx, AGENT_GONE_TIMER, call.id)
    await cancel_timer(tx, RECORDER_TIMER, call.id)
    await tx.conn.execute(sql.DROP_COMMANDS, call.id)
    await tx.conn.execute(sql.END_LEG, call.sid, "completed", call.ended_at)
    if call.is_ours and call.has_leg and call.ended_by != "customer":
        await intend(tx, call, f"callee_{call.id}", "end_leg", {"sid": call.sid})
    if call.outcome is not Outcome.ANSWERED:
        await _end_agent_legs(tx, call)
    if call.answered_at is not None:
        await tx.conn.execute(sql.CLOSE_SEGMENTS, call.id, ["talk", "hold"], call.ended_at)
        await tx.conn.execute(sql.SUM_TALK, call.id)
    if call.agent_id is not None and call.state is CallState.WRAP_UP:
        await tx.conn.execute(sql.OPEN_SEGMENT, call.id, call.offer_id, call.agent_id, "wrap", call.ended_at)
    wait_s = None
    if call.queued_at is not None and call.ended_at is not None:
        waited_until = call.answered_at if call.outcome is Outcome.ANSWERED else call.recorder_at
        wait_s = ((waited_until or call.ended_at) - call.queued_at).total_seconds()
    if call.direction == INBOUND:
        tx.on_commit.append(metrics.calls_ended.labels(call.outcome.value if call.outcome else "unknown").inc)
    await publish(
        tx,
        CallEnded(
            call_id=call.id,
            version=call.version,
            outcome=call.outcome.value if call.outcome else "",
            at=call.ended_at or tx.now,
            talk_started_at=call.answered_at,
            wait_s=wait_s,
        ),
    )
