"""Use cases of a telephone system's calls: what it tells is kept, and applied as soon as it can be.

The system queues, rings and connects; nothing is ever asked of it. So nobody looks its calls up: a call whose end never comes is ended
by a timer, with an outcome that says so. What is told of one call goes one by one, under a lock of its id.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from core.events import CallRang, CallRingEnded, CallTaken
from core.ids import AgentId, CallId
from core.phone import Number, NumberKind
from cti import queries as sql
from cti import zammad
from cti.model import (
    INBOUND,
    AgentJoined,
    Call,
    CallerGone,
    CallerJoined,
    CallState,
    HandedOver,
    Outcome,
    PickedUp,
    Queued,
)
from cti.pbx import (
    HELD_S,
    Direction,
    Kind,
    PbxEvent,
    Report,
    Stored,
    event_of,
    happened_at,
    key_of,
    next_ready,
    outcome_unanswered,
    says_unanswered,
    sid_of,
)
from cti.pbx_settings import Connection, Outbound, Zammad
from cti.service import apply
from cti.twilio_voice import Line
from infra.outbox import Tx, publish
from infra.phone import parse_styled
from infra.timers import set_timer

log = structlog.get_logger()

HELD_TIMER: Final = "cti.pbx_held"
LIMIT_TIMER: Final = "cti.pbx_limit"
LONGEST_WAIT: Final = timedelta(hours=1)
LONGEST_TALK: Final = timedelta(hours=4)
Answer = dict[str, str]


def understood(report: Report, connection: Connection, lines: dict[str, Line]) -> PbxEvent:
    """The report as this connection means it: its way to write numbers, its queues, who is blocked there."""
    numbers = connection.numbers
    caller, to = (parse_styled(text, numbers.style, numbers.region) for text in (report.from_, report.to))
    line = lines.get(to.value or "")
    queue = connection.queues.get(report.queue) or (connection.queue if line is None else line.queue)
    return PbxEvent(
        kind=report.kind,
        direction=report.direction,
        caller=replace(caller, raw=caller.raw[:200]),
        to_number=(to.value or report.to)[:100],
        users=tuple(user.casefold() for user in report.users),
        queue=queue,
        language=connection.language if line is None else line.language,
        cause=report.cause,
        at=report.at,
        previous=sid_of(connection.key, report.previous) if report.previous else "",
        is_blocked=report.direction is Direction.IN
        and caller.value is not None
        and caller.value in _blocked(connection),
    )


def _blocked(connection: Connection) -> set[str | None]:
    numbers = connection.numbers
    return {parse_styled(number, numbers.style, numbers.region).value for number in connection.blocked}


def answer_to(report: Report, event: PbxEvent, connection: Connection) -> Answer:
    """What the system is told: to refuse this call, or which number the called are to see. Else nothing."""
    if report.kind is not Kind.NEW_CALL or not isinstance(connection, Zammad):
        return {}
    if event.is_blocked:
        return zammad.reject()
    if report.direction is Direction.OUT and (caller_id := shown_number(connection.outbound, report.to)) is not None:
        return zammad.dial(caller_id, report.to)
    return {}


def shown_number(outbound: Outbound, number: str) -> str | None:
    for rule in outbound.rules:
        if _fits(rule.to, number):
            return rule.caller_id
    return outbound.default_caller_id


def _fits(pattern: str, number: str) -> bool:
    """`*` stands for one or more digits. Each part is looked for once, so nothing hostile takes long."""
    parts = pattern.split("*")
    if len(parts) == 1:
        return pattern == number
    position = len(parts[0])
    if not number.startswith(parts[0]) or not number.isascii():
        return False
    for part in parts[1:-1]:
        found = number.find(part, position + 1)
        if found < 0:
            return False
        position = found + len(part)
    return number.endswith(parts[-1]) and len(number) - len(parts[-1]) > position


@dataclass(frozen=True, slots=True)
class Received:
    """`goes_on`: there is more to apply at once, in another transaction."""

    answer: Answer
    sid: str
    goes_on: bool


async def receive(tx: Tx, connection: Connection, report: Report, lines: dict[str, Line]) -> Received:
    """Keep what was told, once, and take the first step. A repeat gets the answer of the first."""
    event, sid = understood(report, connection, lines), sid_of(connection.key, report.call)
    key, answer = key_of(connection.key, report), answer_to(report, event, connection)
    structlog.contextvars.bind_contextvars(connection=connection.key)
    await tx.conn.execute(sql.LOCK_SID, sid)
    event_id = await tx.conn.fetchval(
        sql.CLAIM_EVENT, key, connection.key, f"/cti/{connection.key}", sid, event.document(), zammad.text_of(answer)
    )
    if event_id is None:
        return Received(zammad.answer_of(await tx.conn.fetchval(sql.STORED_ANSWER, key)), sid, goes_on=False)
    goes_on = await _step(tx, sid)
    if await tx.conn.fetchval(sql.SID_OF_EVENT, event_id) is not None:
        await set_timer(tx, HELD_TIMER, event_id, version=0, due_at=tx.now + timedelta(seconds=HELD_S))
    return Received(answer, sid, goes_on)


async def go_on(tx: Tx, sid: str) -> bool:
    """The next step. True when there is another one to take at once."""
    await tx.conn.execute(sql.LOCK_SID, sid)
    return await _step(tx, sid)


async def held_long_enough(tx: Tx, event_id: int, _: int) -> None:
    """Timer: what this event waited for has not come, or who was applying it has died."""
    sid = await tx.conn.fetchval(sql.SID_OF_EVENT, event_id)
    if sid is None:
        return
    goes_on = await go_on(tx, sid)
    if goes_on or await tx.conn.fetchval(sql.SID_OF_EVENT, event_id) is not None:
        due = tx.now if goes_on else tx.now + timedelta(seconds=HELD_S)
        await set_timer(tx, HELD_TIMER, event_id, version=0, due_at=due)


async def limit_reached(tx: Tx, call_id: int, _: int) -> None:
    """Timer: nobody waits or talks for so long; the end was not told."""
    call = await sql.lock_call(tx.conn, call_id=CallId(call_id))
    if call is None or call.is_over:
        return
    due = call.answered_at + LONGEST_TALK if call.answered_at else call.created_at + LONGEST_WAIT
    if tx.now < due:
        await set_timer(tx, LIMIT_TIMER, call_id, version=0, due_at=due)
        return
    log.warning("end of a call was never told", call=call.id)
    await apply(tx, call, CallerGone(tx.now, by="system", unanswered=Outcome.UNKNOWN))
    await tx.conn.execute(sql.TIMED_OUT, call.id)


# --- applying ------------------------------------------------------------------------------------------------------------


async def _step(tx: Tx, sid: str) -> bool:
    """Apply one event, or the first half of one. True when the next can be taken at once. The lock of the sid is held.

    One a transaction, so that locks are taken in their order: a new call locks its ticket, and only the next step the agents it rings."""
    rows = await tx.conn.fetch(sql.WAITING_EVENTS, sid)
    waiting = [Stored(row["id"], row["received_at"], event_of(row["body"])) for row in rows]
    call = await sql.lock_call_of_leg(tx.conn, sid=sid)
    stored = _next(waiting, call, tx.now)
    if stored is None:
        return False
    call, is_done = await (_begin(tx, sid, stored.event) if call is None else _apply(tx, sid, call, stored.event))
    if is_done:
        waiting.remove(stored)
        await tx.conn.execute(sql.EVENT_APPLIED, stored.id, tx.now, None if call is None else call.id)
    return _next(waiting, call, tx.now) is not None


def _next(waiting: Sequence[Stored], call: Call | None, now: datetime) -> Stored | None:
    is_settled = call is not None and (call.is_over or call.answered_at is not None)
    return next_ready(waiting, is_known=call is not None, is_settled=is_settled, now=now)


async def _apply(tx: Tx, sid: str, call: Call, event: PbxEvent) -> tuple[Call, bool]:
    """The call as it is then, and whether that was all."""
    if call.is_over:
        return call, True
    structlog.contextvars.bind_contextvars(correlation_id=f"call_{call.id}")
    at = max(happened_at(event.at, tx.now), call.created_at)
    match event.kind:
        case Kind.HANGUP:
            return await _ended(tx, sid, call, event, at), True
        case Kind.ANSWER:
            return await _answered(tx, call, event, at)
        case _ if call.direction == INBOUND and event.users and not call.is_talking:
            await _rings(tx, call, event)
        case _:
            pass
    return await _again(tx, call), True


async def _ended(tx: Tx, sid: str, call: Call, event: PbxEvent, at: datetime) -> Call:
    await tx.conn.execute(sql.END_LEG, sid, "completed", at)
    if await tx.conn.fetchval(sql.HAS_OPEN_LEGS, call.id, sid):
        return call  # it goes on in another one
    unanswered = outcome_unanswered(event.cause, is_inbound=call.direction == INBOUND)
    if call.state is CallState.RECEIVED and call.direction == INBOUND:
        unanswered = Outcome.UNKNOWN  # all that we ever heard of it
    return await apply(tx, call, CallerGone(at, by="pbx", unanswered=unanswered))


async def _begin(tx: Tx, sid: str, event: PbxEvent) -> tuple[Call | None, bool]:
    """A call that we did not know, and whether that was all the event says. Mostly it is new; what comes later may be all that we ever hear
    of it, and may not tell enough: then there is no call."""
    is_new = event.kind is Kind.NEW_CALL
    if event.kind is Kind.RING_END or not (is_new or (event.caller.raw and event.direction)):
        log.info("event of an unknown call")
        return None, True
    at = happened_at(event.at, tx.now)
    goes_on = await sql.lock_call_of_leg(tx.conn, sid=event.previous) if event.previous else None
    if goes_on is not None and not goes_on.is_over:
        await tx.conn.execute(sql.ADD_LEG, goes_on.id, sid, "customer", None, "in-progress", at)
        return goes_on, False
    direction, agent_id = INBOUND, None
    if event.direction is Direction.OUT:
        direction, agent_id = "outbound", await _agent(tx, event.users)
    elif await _is_ours(tx, event.caller):
        direction = "internal"
    connection = sid.split(":", 1)[0]
    row = await tx.conn.fetchrow(
        sql.ADD_PBX_CALL, connection, sid, direction, event.caller.raw, event.caller.kind.value, event.caller.value,
        event.to_number, event.language, agent_id, at,
    )  # fmt: skip
    call = replace(sql.call_of(row), caller=event.caller)
    if event.is_blocked:
        gone = CallerGone(tx.now, by="system", unanswered=Outcome.REJECTED_BLOCKED)
        return await apply(tx, call, gone), True
    await set_timer(tx, LIMIT_TIMER, call.id, version=0, due_at=tx.now + LONGEST_WAIT)
    is_old_news = event.kind is Kind.HANGUP and not says_unanswered(event.cause)
    if direction == INBOUND and not is_old_news:
        await apply(tx, call, Queued(event.queue, at))
    return await _again(tx, call), is_new and not (direction == INBOUND and event.users)


async def _is_ours(tx: Tx, caller: Number) -> bool:
    """One of our lines, or an agent's extension: never a customer."""
    if caller.value is None:
        return False
    if caller.kind is NumberKind.E164 and await tx.conn.fetchval(sql.IS_OUR_NUMBER, caller.value):
        return True
    return bool(await tx.conn.fetch(sql.AGENTS_BY_NAME, [caller.value.casefold(), caller.raw.casefold()]))


async def _rings(tx: Tx, call: Call, event: PbxEvent) -> None:
    agent_ids = await _agents(tx, event.users)
    if not agent_ids:
        return
    ordered = sorted(set(agent_ids))
    if event.kind is Kind.RING_END:
        await publish(tx, CallRingEnded(call_id=call.id, version=call.version, agent_ids=ordered))
    else:
        await publish(
            tx, CallRang(call_id=call.id, version=call.version, agent_ids=ordered, connection=call.account_sid)
        )


async def _answered(tx: Tx, call: Call, event: PbxEvent, at: datetime) -> tuple[Call, bool]:
    """Somebody talks: an agent of ours, who has accepted it by that, or somebody else. Who had talked hands it over first."""
    agent_id = await _agent(tx, event.users)
    if call.is_talking:
        if agent_id == call.agent_id or (agent_id is None and not event.users):
            return call, True
        return await apply(tx, call, HandedOver(at)), False
    if call.direction == INBOUND:
        await publish(
            tx, CallTaken(call_id=call.id, version=call.version, agent_id=agent_id, connection=call.account_sid, at=at)
        )
        call = await _again(tx, call)
    if call.state is CallState.CONNECTING and agent_id is not None:
        return await apply(tx, await apply(tx, call, CallerJoined(at)), AgentJoined(agent_id, at)), True
    return await apply(tx, call, PickedUp(at, None if call.direction == INBOUND else agent_id)), True


async def _again(tx: Tx, call: Call) -> Call:
    """As it is after what others did to it."""
    return await sql.lock_call(tx.conn, call_id=call.id) or call


async def _agent(tx: Tx, names: tuple[str, ...]) -> AgentId | None:
    return next(iter(await _agents(tx, names)), None)


async def _agents(tx: Tx, names: tuple[str, ...]) -> list[AgentId]:
    """In the order of the names."""
    if not names:
        return []
    found = {row["name"]: AgentId(row["agent_id"]) for row in await tx.conn.fetch(sql.AGENTS_BY_NAME, list(names))}
    return [found[name] for name in names if name in found]
