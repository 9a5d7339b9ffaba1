"""Use cases of a call: what a verified webhook, an accepted offer or a look-up at the provider does to it.

Every function takes the open Tx. A webhook is claimed by its key first; a repeat gets the stored answer and changes nothing.
The call row is locked before it is advanced, so two callbacks at once line up; effects are published as events.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from core.errors import Forbidden, NotFound
from core.events import (
    CallAgentLeft,
    CallAnswered,
    CallConnectFailed,
    CallEnded,
    CallQueued,
    CallRequeued,
    OfferAccepted,
    ProviderCommandIntended,
    WrapUpEnded,
)
from core.ids import AgentId, CallId, agent_of_identity, call_of_conference, conference_name
from core.principal import Principal
from cti import queries as sql
from cti import twilio_voice as twiml
from cti.model import (
    AgentJoined,
    AgentLeft,
    Call,
    CallerGone,
    CallerJoined,
    CallerLeft,
    CallEvent,
    CallState,
    ConnectFailed,
    Connecting,
    Happened,
    Queued,
    WrapUpDone,
    advance,
)
from cti.twilio_voice import Line
from cti.twilio_webhook import Webhook, happened_at
from infra.outbox import Tx, publish
from infra.phone import parse_number
from infra.timers import cancel_timer, set_timer

log = structlog.get_logger()

CONNECT_TIMEOUT_S: Final = 20
AGENT_GONE_GRACE_S: Final = 15
TERMINAL: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
FAILED_STATUSES: Final = frozenset({"failed"})
CONNECT_TIMER: Final = "cti.connect"
AGENT_GONE_TIMER: Final = "cti.agent_gone"


async def incoming(tx: Tx, hook: Webhook, line: Line, base: str) -> str:
    """`/twilio/voice`: a call of a customer. New ones are queued with ticket and work item in this very transaction."""
    number = parse_number(hook.get("From"), line.region)
    answer = twiml.enqueue(line, base, greet=hook.retry == 0)
    row = await tx.conn.fetchrow(
        sql.CLAIM_INCOMING, hook.key, hook.account_sid, hook.endpoint, hook.call_sid, hook.body(), answer,
        number.raw[:200], number.kind.value, number.value, hook.get("To")[:100], line.language, tx.now,
    )  # fmt: skip
    if row is None or row["event_id"] is None:
        return await _stored(tx, hook, answer)
    if row["id"] is None:  # another webhook of this call came first: the same call, the same place in line
        known = await sql.lock_call_by_sid(tx.conn, sid=hook.call_sid)
        return twiml.goodbye(line) if known is not None and known.is_over else answer
    call = replace(sql.call_of(row), caller=number)
    structlog.contextvars.bind_contextvars(correlation_id=f"call_{call.id}")
    await apply(tx, call, Queued(line.queue, tx.now))
    return answer


async def _stored(tx: Tx, hook: Webhook, default: str) -> str:
    answer = await tx.conn.fetchval(sql.STORED_ANSWER, hook.key)
    return default if answer is None else str(answer)


async def claim(tx: Tx, hook: Webhook, answer: str | None = twiml.EMPTY) -> bool:
    """True when this webhook is new. A simultaneous twin waits here for the first one's transaction."""
    claimed = await tx.conn.fetchval(
        sql.CLAIM_EVENT, hook.key, hook.account_sid, hook.endpoint, hook.call_sid or None, hook.body(), answer
    )
    return claimed is not None


async def queue_done(tx: Tx, hook: Webhook, line: Line, base: str) -> str:
    """`/twilio/queue/done`: why the caller left the parking queue. `redirected` is our own doing."""
    result = hook.get("QueueResult")
    trouble = result in ("error", "system-error", "queue-full") and hook.get("CallStatus") not in TERMINAL
    answer = twiml.back_to_queue(line, base) if trouble and hook.retry < 3 else twiml.EMPTY
    if trouble and hook.retry >= 3:
        answer = twiml.goodbye(line)
    if not await claim(tx, hook, answer):
        return await _stored(tx, hook, answer)
    if result == "hangup" or hook.get("CallStatus") in TERMINAL:
        await customer_gone(tx, sid=hook.call_sid, at=tx.now)
    elif trouble:
        log.error("parking queue refused a caller", result=result)
    return answer


async def dial_done(tx: Tx, hook: Webhook, line: Line, base: str) -> str:
    """`/twilio/dial/done`: a leg left its conference. A caller who is still there and not finished goes back to the line."""
    if not await claim(tx, hook, None):
        return await _stored(tx, hook, twiml.EMPTY)
    answer = twiml.EMPTY
    call = await sql.lock_call_by_sid(tx.conn, sid=hook.call_sid)
    if call is not None and not call.is_over:
        if hook.get("CallStatus") in TERMINAL:
            await customer_gone(tx, sid=hook.call_sid, at=tx.now)
        elif call.state is CallState.QUEUED:
            answer = twiml.back_to_queue(line, base)
        elif call.ended_by is None:
            answer = await _left_conference(tx, call, line, base)
    await tx.conn.execute(sql.KEEP_ANSWER, hook.key, answer)
    return answer


async def _left_conference(tx: Tx, call: Call, line: Line, base: str) -> str:
    """The conference ended under a caller who is still on the line (agent ended it, provider closed it)."""
    if call.state is CallState.CONNECTING:
        await apply(tx, call, ConnectFailed(call.offer_id)) if call.offer_id is not None else None
        return twiml.back_to_queue(line, base)
    await apply(tx, call, CallerGone(tx.now, by="system"))
    return twiml.EMPTY


async def agent_leg(tx: Tx, hook: Webhook, lines: "dict[str, Line]", fallback: Line, base: str) -> str:
    """`/twilio/agent`: an agent's phone asks to join. Only the holder of the accepted offer gets the conference."""
    if not await claim(tx, hook, None):
        return await _stored(tx, hook, twiml.EMPTY)
    agent_id = agent_of_identity(hook.get("From")) if hook.get("From").startswith("client:") else None
    raw = hook.get("CallId").removeprefix("call_")
    call_id = CallId(int(raw)) if raw.isdecimal() and raw.isascii() and len(raw) <= 18 else None
    call = None if call_id is None else await sql.lock_call(tx.conn, call_id=call_id)
    mine = call is not None and agent_id is not None and call.agent_id == agent_id and not call.is_over
    if call is None or not mine or call.state not in (CallState.CONNECTING, CallState.IN_CALL, CallState.ON_HOLD):
        line = fallback if call is None else lines.get(call.to_number, fallback)
        answer = twiml.not_yours(line)
    else:
        await tx.conn.execute(sql.ADD_LEG, call.id, hook.call_sid, "agent", agent_id, "in-progress", tx.now)
        answer = twiml.conference(base, conference_name(call.id), label=f"agent_{agent_id}", ends_with_caller=False)
    await tx.conn.execute(sql.KEEP_ANSWER, hook.key, answer)
    return answer


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
        log.info("callback of an unknown leg")  # kept as a provider event; the reconciler looks it up
        return
    call = await sql.lock_call(tx.conn, call_id=leg["call_id"])  # the call before its legs, everywhere
    await tx.conn.execute(sql.END_LEG, hook.call_sid, status, at)
    if call is None:
        return
    if leg["kind"] == "customer":
        await apply(tx, call, CallerGone(at, failed=status in FAILED_STATUSES))
    else:
        await apply(tx, call, AgentLeft(AgentId(leg["agent_id"]), at))


async def conference_event(tx: Tx, hook: Webhook) -> None:
    """`/twilio/conference`: who came and who left. Per leg only ever forward, by the conference's sequence number."""
    if not await claim(tx, hook):
        return
    call_id = call_of_conference(hook.get("FriendlyName"))
    event, sid = hook.get("StatusCallbackEvent"), hook.call_sid
    if call_id is None or event not in ("participant-join", "participant-leave"):
        return
    call = await sql.lock_call(tx.conn, call_id=call_id)
    if call is None:
        return
    sequence = hook.get("SequenceNumber")
    if sequence.isdecimal() and len(sequence) < 9:
        known = await tx.conn.fetchrow(sql.LEG_SEQUENCE, sid, int(sequence))
        if known is None:
            return  # older than what we have, or not a leg of ours
    at = happened_at(hook.get("Timestamp"), tx.now)
    is_customer = sid == call.sid
    agent_id = agent_of_identity(hook.get("ParticipantLabel"))
    if event == "participant-join":
        if is_customer:
            await apply(tx, call, CallerJoined(at))
        elif agent_id is not None:
            await apply(tx, call, AgentJoined(agent_id, at))
    elif not is_customer and agent_id is not None:
        await apply(tx, call, AgentLeft(agent_id, at))
    elif is_customer and hook.get("ParticipantCallStatus") in TERMINAL:
        await apply(tx, call, CallerGone(at))


async def customer_gone(tx: Tx, *, sid: str, at: datetime, failed: bool = False, by: str = "customer") -> None:
    call = await sql.lock_call_by_sid(tx.conn, sid=sid)
    if call is not None:
        await apply(tx, call, CallerGone(at, failed=failed, by=call.ended_by or by))


# --- from our own side ------------------------------------------------------------------------------------------------


async def on_offer_accepted(tx: Tx, event: OfferAccepted) -> None:
    """Inline: the call belongs to this agent now; the command that joins them is written beside it."""
    if event.call_id is None:
        return
    call = await sql.lock_call(tx.conn, call_id=event.call_id)
    if call is None or call.is_over:
        raise CallerLeft
    await apply(tx, call, Connecting(event.agent_id, event.offer_id))
    await intend(tx, call, f"offer_{event.offer_id}", "connect")


async def on_wrap_up_ended(tx: Tx, event: WrapUpEnded) -> None:
    if event.call_id is None:
        return
    await tx.conn.execute(sql.SET_DISPOSITION, event.call_id, event.disposition)
    await tx.conn.execute(sql.CLOSE_SEGMENTS, event.call_id, ["wrap"], tx.now)
    call = await sql.lock_call(tx.conn, call_id=event.call_id)
    if call is not None:
        await apply(tx, call, WrapUpDone(tx.now))


async def hang_up(tx: Tx, *, call_id: CallId, who: Principal) -> Call:
    """The agent (or a supervisor) ends the conversation. The provider's callback makes it final."""
    call = await sql.lock_call(tx.conn, call_id=call_id)
    if call is None or (call.agent_id != who.user_id and not who.is_lead):
        raise NotFound("There is no such call of yours.")
    if call.is_over:
        return call
    if call.state not in (CallState.CONNECTING, CallState.IN_CALL, CallState.ON_HOLD):
        raise Forbidden("Only a connected call can be hung up.")
    ended = replace(call, ended_by="agent", version=call.version + 1)
    await sql.save_call(tx.conn, ended, now=tx.now)
    await intend(tx, call, f"call_{call.id}", "end")
    return ended


async def connect_timed_out(tx: Tx, call_id: int, offer_id: int) -> None:
    """Timer: caller and agent did not meet. The caller keeps the place in line."""
    call = await sql.lock_call(tx.conn, call_id=CallId(call_id))
    if (
        call is not None
        and call.state is CallState.CONNECTING
        and call.offer_id is not None
        and call.offer_id == offer_id
    ):
        await apply(tx, call, ConnectFailed(call.offer_id))
        await intend(tx, call, f"offer_{offer_id}", "requeue")


async def agent_is_gone(tx: Tx, call_id: int, offer_id: int) -> None:
    """Timer: the agent's phone left a living conversation and did not come back. The caller goes to the head of the line."""
    call = await sql.lock_call(tx.conn, call_id=CallId(call_id))
    if call is None or call.is_over or call.agent_joined or call.offer_id != offer_id or call.agent_id is None:
        return
    if call.ended_by is not None:
        return  # a hang-up of ours is under way
    left = replace(
        call, state=CallState.QUEUED, agent_id=None, offer_id=None, caller_joined=False, version=call.version + 1
    )
    await sql.save_call(tx.conn, left, now=tx.now)
    await tx.conn.execute(sql.CLOSE_SEGMENTS, call.id, ["talk", "hold"], tx.now)
    await tx.conn.execute(sql.SUM_TALK, call.id)
    await intend(tx, call, f"offer_{offer_id}", "requeue")
    await publish(tx, CallRequeued(call_id=call.id, version=left.version, agent_id=call.agent_id, at=tx.now))


async def intend(tx: Tx, call: Call, object_: str, kind: str) -> None:
    """Write down what the provider is to be asked, once per (object, kind); it is sent after commit."""
    await tx.conn.execute(sql.INTEND, call.id, object_, kind, {})
    await publish(tx, ProviderCommandIntended(call_id=call.id, object=object_, kind=kind))


async def apply(tx: Tx, call: Call, event: CallEvent) -> Call:
    """Advance, save, publish. The row is locked (or was created in this transaction)."""
    moved, happened = advance(call, event)
    if moved is call:
        return call
    await sql.save_call(tx.conn, moved, now=tx.now)
    if happened is not None:
        await _tell(tx, moved, happened, event)
    return moved


async def _tell(tx: Tx, call: Call, happened: Happened, event: CallEvent) -> None:
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
                ),
            )
        case Happened.CONNECTING:
            due = tx.now + timedelta(seconds=CONNECT_TIMEOUT_S)
            await set_timer(tx, CONNECT_TIMER, call.id, version=call.offer_id or 0, due_at=due)
        case Happened.CONNECT_FAILED if isinstance(event, ConnectFailed):
            await cancel_timer(tx, CONNECT_TIMER, call.id)
            await publish(
                tx,
                CallConnectFailed(
                    call_id=call.id, version=call.version, offer_id=event.offer_id, reason="connect_failed"
                ),
            )
        case Happened.ANSWERED if call.agent_id is not None and call.answered_at is not None:
            await cancel_timer(tx, CONNECT_TIMER, call.id)
            at = tx.now if call.answered_at > tx.now else call.answered_at
            await tx.conn.execute(sql.OPEN_SEGMENT, call.id, call.offer_id, call.agent_id, "talk", at)
            await publish(tx, CallAnswered(call_id=call.id, version=call.version, agent_id=call.agent_id, at=at))
        case Happened.AGENT_LEFT if call.agent_id is not None:
            due = tx.now + timedelta(seconds=AGENT_GONE_GRACE_S)
            await set_timer(tx, AGENT_GONE_TIMER, call.id, version=call.offer_id or 0, due_at=due)
            await publish(tx, CallAgentLeft(call_id=call.id, version=call.version, agent_id=call.agent_id, at=tx.now))
        case Happened.AGENT_BACK:
            await cancel_timer(tx, AGENT_GONE_TIMER, call.id)
        case Happened.ENDED:
            await _ended(tx, call)
        case _:
            pass


async def _ended(tx: Tx, call: Call) -> None:
    await cancel_timer(tx, CONNECT_TIMER, call.id)
    await cancel_timer(tx, AGENT_GONE_TIMER, call.id)
    await tx.conn.execute(sql.DROP_COMMANDS, call.id)
    await tx.conn.execute(sql.END_LEG, call.sid, "completed", call.ended_at)
    if call.answered_at is not None:
        await tx.conn.execute(sql.CLOSE_SEGMENTS, call.id, ["talk", "hold"], call.ended_at)
        await tx.conn.execute(sql.SUM_TALK, call.id)
        if call.agent_id is not None and call.state is CallState.WRAP_UP:
            await tx.conn.execute(sql.OPEN_SEGMENT, call.id, call.offer_id, call.agent_id, "wrap", call.ended_at)
    wait_s = None
    if call.queued_at is not None and call.ended_at is not None:
        wait_s = ((call.answered_at or call.ended_at) - call.queued_at).total_seconds()
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
