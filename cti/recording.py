"""Recording with consent: the customer's leg, from the answer on, after the caller was told so and did not decline.

What decides. Nobody is recorded who has not heard that they are: an agent may accept while the caller still hears the greeting, and then the caller
hears it on the way into the conference (`heard_at`, `must_tell`). The row says what the caller was told (`told`, `declined`), what the agent wants (`is_paused`), and what the *provider* says (`state`). Nothing is
shown as paused before the provider's answer says `paused`; a pause that it refuses, or does not confirm, leaves `recording` and a `problem` that the desk
shows. The command carries no value: it brings the recording to what is wanted when it runs (in a talk, not on hold where the number says so, not while the
agent pauses) and looks first when it is repeated, so nothing is started twice. In line, and with a number outside, it is paused; another
agent begins without the pause of the one before. The sound goes through us only (`realtime.http_recording`) and is deleted here and there after `keep_days`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from core.errors import Conflict, RingdeskError, Unavailable
from core.events import RecordingChanged
from core.ids import CallId
from cti import queries as sql
from cti import service
from cti import twilio_voice as twiml
from cti.model import Call, CallState, Happened, Touched
from cti.twilio_api import LIVING, NotInProgress, TwilioApi
from cti.twilio_voice import Line
from cti.twilio_webhook import Webhook, number_of
from infra.outbox import Outbox, Tx, publish
from infra.postgres import Connection

log = structlog.get_logger()

SOURCE: Final = "StartCallRecordingAPI"
RUNNING, PAUSED = "in-progress", "paused"
MAX_ROUNDS: Final = 3
FOLLOWED: Final = frozenset(
    {
        Happened.ANSWERED, Happened.HELD, Happened.RESUMED, Happened.AGENT_LOST, Happened.HANDED_ON, Happened.TAKEN_OVER,
        Happened.SENT_TO_RECORDER, Happened.ENDED,
    }
)  # fmt: skip
"""What may change whether it is to run."""
NEW_AGENT: Final = frozenset({Happened.ANSWERED, Happened.TAKEN_OVER})


class NotRecorded(Conflict):
    code, title = "not_recorded", "This call is not being recorded"


@dataclass(frozen=True, slots=True)
class Recording:
    id: int
    call_id: CallId
    sid: str | None
    state: str
    is_paused: bool
    pause_on_hold: bool
    problem: str | None
    wish: int
    is_forbidden: bool

    @property
    def is_open(self) -> bool:
        return self.state in ("told", "recording", "paused")

    def runs_in(self, call: Call) -> bool:
        """Whether it is to run now."""
        return (
            call.is_talking
            and not self.is_forbidden
            and not self.is_paused
            and not (self.pause_on_hold and call.is_held)
        )


async def of_call(tx: Tx, call_id: int) -> Recording | None:
    """The call is locked."""
    row = await tx.conn.fetchrow(sql.RECORDING_OF_CALL, call_id)
    return None if row is None else Recording(**dict(row))


# --- before: what the caller is told ----------------------------------------------------------------------------------


async def announce(tx: Tx, call: Call, line: Line) -> None:
    """The document that tells the caller is on its way."""
    if line.recording is not None:
        keep_until = tx.now + timedelta(days=line.recording.keep_days)
        await tx.conn.execute(
            sql.ANNOUNCE_RECORDING, call.id, call.account_sid, line.recording.pause_on_hold, tx.now, keep_until
        )


async def enter_queue(tx: Tx, call: Call, before: Line, within: Line) -> bool:
    """The caller has chosen a queue. Its own word about recording counts from here on; returns whether the caller is still to be told."""
    if within.recording is None:
        await tx.conn.execute(sql.DO_NOT_RECORD, call.id)
    elif before.recording is None:
        await announce(tx, call, within)
    elif within.recording != before.recording:
        keep_until = tx.now + timedelta(days=within.recording.keep_days)
        await tx.conn.execute(sql.RECORD_OTHERWISE, call.id, within.recording.pause_on_hold, keep_until)
    return await must_tell(tx.conn, call)


async def must_tell(conn: Connection, call: Call) -> bool:
    """Whether the caller comes into the conversation before having heard that it is recorded."""
    return bool(await conn.fetchval(sql.MUST_TELL, call.id))


async def heard(tx: Tx, sid: str, line: Line) -> None:
    """The caller is where they come only after having heard it to its end."""
    if line.may_record:
        await tx.conn.execute(sql.CONSENT_HEARD, sid, tx.now)


async def consent(tx: Tx, hook: Webhook, line: Line, base: str) -> str:
    """`/twilio/consent`: a key was pressed while the caller was told. The one that declines does; the way goes on as without it."""
    if not await service.claim(tx, hook, None):
        return await service.stored(tx, hook, twiml.EMPTY)
    call = await sql.lock_call_by_sid(tx.conn, sid=hook.call_sid)
    if call is None or call.is_over:
        answer = service.last_word(line, call)
    else:
        line = line.within(call.queue)
        if line.recording is not None and hook.get("Digits") == line.recording.decline_key:
            await tx.conn.execute(sql.DECLINE_RECORDING, call.id)
        await heard(tx, hook.call_sid, line)
        if call.state is CallState.CONNECTING and call.offer_id is not None:  # told on the way to an agent
            answer = service.customers_seat(call, call.offer_id, base)
        elif call.state is CallState.IVR and (way := line.way(call.menu_path)) is not None:
            answer = twiml.menu(line, base, way, step=call.version)
        else:
            answer = twiml.enqueue(line, base, greet=False)
    await tx.conn.execute(sql.KEEP_ANSWER, hook.key, answer)
    return answer


# --- during -----------------------------------------------------------------------------------------------------------


async def follow(tx: Tx, call: Call, happened: Happened) -> None:
    """The call has moved: the recording does what it is to do now. The call is locked."""
    found = await of_call(tx, call.id)
    if found is None or not found.is_open:
        return
    if happened is Happened.ENDED:
        if found.state != "told":
            await tx.conn.execute(sql.RECORDING_TOLD, found.id, found.sid, "ended", None)
        return
    if happened in NEW_AGENT and found.is_paused:
        await tx.conn.execute(sql.PAUSE_RECORDING, found.id, False)
        found = await of_call(tx, call.id) or found
    await _ask(tx, call, found)


async def served_by(tx: Tx, call: Call, queue: str) -> None:
    """Whoever talks with the customer next does so for this queue: one that is never recorded is not, however the call came there."""
    await tx.conn.execute(sql.FORBID_RECORDING, call.id, queue)


async def set_paused(tx: Tx, call: Call, *, is_paused: bool) -> Recording:
    """The agent wants it paused, or to go on. The call is in hand, and locked. Raises NotRecorded."""
    found = await of_call(tx, call.id)
    if found is None or not found.is_open or found.is_forbidden:
        raise NotRecorded
    if found.is_paused is not is_paused or found.problem is not None:
        await tx.conn.execute(sql.PAUSE_RECORDING, found.id, is_paused)
        found = await of_call(tx, call.id) or found
        await _ask(tx, call, found)
        await _tell(tx, call, found)
    return found


async def _ask(tx: Tx, call: Call, found: Recording) -> None:
    if found.runs_in(call) is not (found.state == "recording"):
        wish = await tx.conn.fetchval(sql.WISH_RECORDING, found.id)
        if found.sid is not None or found.runs_in(call):
            await service.intend(tx, call, f"recording_{found.id}_{wish}", "record")


async def _tell(tx: Tx, call: Call, found: Recording) -> None:
    call = await service.apply(tx, call, Touched())
    await publish(
        tx,
        RecordingChanged(
            call_id=call.id, version=call.version, recording_id=found.id, state=found.state, problem=found.problem, at=tx.now
        ),
    )  # fmt: skip


# --- the provider -----------------------------------------------------------------------------------------------------


async def carry_out(outbox: Outbox, twilio: TwilioApi, call: Call, *, callback_url: str, is_repeat: bool) -> None:
    """The command. Raises Unavailable (unknown: ask again), RingdeskError when the provider refuses, which the desk is told."""
    for _ in range(MAX_ROUNDS):
        async with outbox.transaction() as tx:
            now = await sql.lock_call(tx.conn, call_id=call.id)
            found = await of_call(tx, call.id)
        if now is None or found is None or not found.is_open or found.runs_in(now) is (found.state == "recording"):
            return
        runs = found.runs_in(now)
        try:
            sid, status = found.sid, ""
            if sid is None and not runs:
                return
            if is_repeat and sid is None:
                sid, status = await _look(twilio, call)
            elif is_repeat and sid is not None:
                status = await twilio.recording_status(call.account_sid, call.sid, sid)
            if sid is None:
                sid, status = await twilio.start_recording(call.account_sid, call.sid, callback_url=callback_url)
            elif status != (RUNNING if runs else PAUSED):
                status = await twilio.set_recording(call.account_sid, call.sid, sid, is_running=runs)
        except Unavailable:
            raise
        except NotInProgress:
            if (
                await twilio.fetch(call.account_sid, call.sid)
            ).status in LIVING:  # its recording is over, or not to be had
                await _told(outbox, call, found.sid, None, runs=runs)
            return
        except RingdeskError:
            await _told(outbox, call, found.sid, None, runs=runs)
            raise
        await _told(outbox, call, sid, status, runs=runs)
        is_repeat = False


async def _look(twilio: TwilioApi, call: Call) -> tuple[str | None, str]:
    for each in await twilio.recordings(call.account_sid, call.sid):
        if each.source == SOURCE and each.status in (RUNNING, PAUSED):
            return each.sid, each.status
    return None, ""


async def _told(outbox: Outbox, call: Call, sid: str | None, status: str | None, *, runs: bool) -> None:
    """What the provider's answer proves, and no more. A wish that it did not fulfil is none any more."""
    async with outbox.transaction() as tx:
        locked = await sql.lock_call(tx.conn, call_id=call.id)
        found = await of_call(tx, call.id)
        if locked is None or found is None or not found.is_open:
            return
        state = {RUNNING: "recording", PAUSED: "paused"}.get(status or "", found.state)
        is_done = status == (RUNNING if runs else PAUSED)
        problem = None if is_done else "start" if found.sid is None and runs else "resume" if runs else "pause"
        if problem == "start" and sid is None:
            state = "failed"
        await tx.conn.execute(sql.RECORDING_TOLD, found.id, sid, state, problem)
        if problem is not None:
            log.error("provider does not do what is wanted of a recording", call=call.id, problem=problem)
            await tx.conn.execute(sql.PAUSE_RECORDING_AS_IS, found.id, state == "paused")
        now = await of_call(tx, call.id)
        if now is not None:
            await _tell(tx, locked, now)


async def recorded(tx: Tx, hook: Webhook) -> None:
    """`/twilio/recording` of one that we started: the sound can be had, or there is none. Once claimed."""
    duration_s = number_of(hook.get("RecordingDuration")[:9])
    status = hook.get("RecordingStatus")
    if status in ("completed", "absent", "failed"):
        state = "ended" if status == "completed" else "failed"
        await tx.conn.execute(
            sql.RECORDING_DONE, hook.call_sid, hook.recording_sid, state, duration_s, status == "completed"
        )


# --- afterwards -------------------------------------------------------------------------------------------------------


async def delete(tx: Tx, recording_id: int) -> bool:
    """Nobody hears it from now on; the provider is told to delete the sound, until it has. False when there is none (any more)."""
    row = await tx.conn.fetchrow(sql.DELETE_RECORDING, recording_id, tx.now)
    if row is None:
        return False
    if row["sid"] is not None:
        payload: dict[str, object] = {"account_sid": row["account_sid"], "sid": row["sid"]}
        await service.intend_for(tx, CallId(row["call_id"]), f"recording_{recording_id}", "delete_recording", payload)
    return True


async def delete_due(tx: Tx, *, now: datetime, limit: int) -> int:
    """Retention, each after its own number of days. Returns how many there were."""
    rows: list[Any] = await tx.conn.fetch(sql.RECORDINGS_DUE, now, limit)
    for row in rows:
        await delete(tx, row["id"])
    return len(rows)
