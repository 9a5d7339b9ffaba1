"""Voicemail: the way to the recorder, and what comes of it.

The provider keeps the sound, we keep its id, once per recording. Whether there is a message is told by the end of the recording (`done`), by the callback
of the recording (`recorded`), in either order, or by neither: a caller who hangs up leaves the call open until the provider has been asked
(`service.RECORDER_TIMER`, command `recordings`). A message that comes after its call was closed is kept all the same; the outcome stays.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from core.events import VoicemailLeft
from core.ids import CallId
from cti import queries as sql
from cti import recording, service
from cti import twilio_voice as twiml
from cti.model import Call, CallState, MessageLeft, NothingLeft, Outcome, SentToRecorder
from cti.twilio_api import Found
from cti.twilio_voice import Line
from cti.twilio_webhook import Webhook, number_of
from infra.outbox import Tx, publish
from infra.timers import set_timer

log = structlog.get_logger()

LOOK_AGAIN_S: Final = 60
GIVE_UP: Final = timedelta(hours=1)
"""So long after the caller's end no message is believed in any more, whatever the provider does not say."""
NO_CALL: Final = 0
"""In place of the call of a message whose call was never found; its sound is deleted like any other."""
ASKED: Final = "asked"
"""Why a caller is at the recorder: they pressed the key. Others are the reasons of the queue that let go of them."""


async def send(tx: Tx, call: Call, *, queue: str, reason: str) -> Call:
    """To the recorder, from wherever the caller is that is not a conversation."""
    return await service.apply(tx, call, SentToRecorder(queue, reason, tx.now))


async def key_pressed(tx: Tx, hook: Webhook, line: Line) -> bool:
    """A waiting caller asks for the recorder. True when that is where the caller goes; pressed again, it changes nothing."""
    call = await sql.lock_call_by_sid(tx.conn, sid=hook.call_sid)
    if call is None:
        return False
    call = await send(tx, call, queue=line.queue, reason=ASKED)
    return call.state is CallState.VOICEMAIL


async def done(tx: Tx, hook: Webhook, line: Line, base: str) -> str:
    """`/twilio/voicemail/done`: the recording has ended, by a key, silence, the limit or the end of the call; without one, nothing was heard."""
    if not await service.claim(tx, hook, None):
        return await service.stored(tx, hook, twiml.EMPTY)
    call = await sql.lock_call_by_sid(tx.conn, sid=hook.call_sid)
    duration_s = number_of(hook.get("RecordingDuration")[:9]) or 0
    has_message = bool(hook.recording_sid and duration_s)
    if has_message:
        await _keep(tx, hook, call, duration_s, is_ready=False)
    elif call is not None:
        await service.apply(tx, call, NothingLeft(tx.now))
        has_message = call.outcome is Outcome.VOICEMAIL
    answer = twiml.farewell(line, "voicemail_thanks" if has_message else "voicemail_empty")
    await tx.conn.execute(sql.KEEP_ANSWER, hook.key, answer)
    return answer


async def recorded(tx: Tx, hook: Webhook) -> None:
    """`/twilio/recording`: the sound can be had now, or there is none."""
    if not await service.claim(tx, hook):
        return
    if hook.get("RecordingSource") == recording.SOURCE and hook.recording_sid:
        await recording.recorded(tx, hook)
        return
    if hook.get("RecordingSource") not in ("RecordVerb", "") or not hook.recording_sid:
        log.info("callback of a recording that is no message")
        return
    call = await sql.lock_call_by_sid(tx.conn, sid=hook.call_sid)
    duration_s = number_of(hook.get("RecordingDuration")[:9]) or 0
    status = hook.get("RecordingStatus")
    if status == "completed" and duration_s:
        await _keep(tx, hook, call, duration_s, is_ready=True)
    elif status in ("completed", "absent", "failed") and call is not None:
        if status == "failed":
            log.error("provider could not record", call=call.id)
        await service.apply(tx, call, NothingLeft(tx.now))


async def _keep(tx: Tx, hook: Webhook, call: Call | None, duration_s: int, *, is_ready: bool) -> Call | None:
    return await keep(
        tx, call, account_sid=hook.account_sid, call_sid=hook.call_sid, recording_sid=hook.recording_sid,
        duration_s=duration_s, is_ready=is_ready,
    )  # fmt: skip


async def keep(
    tx: Tx, call: Call | None, *, account_sid: str, call_sid: str, recording_sid: str, duration_s: int, is_ready: bool
) -> Call | None:
    """One item per recording, whoever tells of it how often. Its ticket comes before the end of the call (ADR 0004)."""
    row = await tx.conn.fetchrow(
        sql.KEEP_VOICEMAIL, recording_sid, account_sid, call_sid, None if call is None else call.id, duration_s, is_ready, tx.now
    )  # fmt: skip
    if call is None:
        log.warning("message of a call that is not known")  # the reconciler looks for it
        return None
    assert row is not None
    if row["is_new"] or await tx.conn.fetchval(sql.GIVE_VOICEMAIL_ITS_CALL, row["id"], call.id) is not None:
        await _tell(tx, call, row["id"], duration_s)
    return await service.apply(tx, call, MessageLeft(tx.now))


async def attach(tx: Tx, voicemail_id: int, call_sid: str, duration_s: int, *, queue: str) -> bool:
    """A message whose call was not known: is it now? Once."""
    call = await sql.lock_call_by_sid(tx.conn, sid=call_sid)
    if call is None or await tx.conn.fetchval(sql.GIVE_VOICEMAIL_ITS_CALL, voicemail_id, call.id) is None:
        return False
    await _tell(tx, replace(call, queue=call.queue or queue), voicemail_id, duration_s)
    await service.apply(tx, call, MessageLeft(tx.now))
    return True


async def _tell(tx: Tx, call: Call, voicemail_id: int, duration_s: int) -> None:
    await publish(
        tx,
        VoicemailLeft(
            call_id=call.id,
            version=call.version,
            voicemail_id=voicemail_id,
            duration_s=duration_s,
            queue=call.queue or "",
            caller=call.caller,
            to_number=call.to_number,
            language=call.language,
        ),
    )


async def look_due(tx: Tx, call_id: int, _: int) -> None:
    """Timer: nobody has said what became of the recording. The provider is asked, again and again, and not for ever."""
    call = await sql.lock_call(tx.conn, call_id=CallId(call_id))
    if call is None or call.state is not CallState.VOICEMAIL:
        return
    if call.left_at is not None and tx.now - call.left_at > GIVE_UP:
        await service.apply(tx, call, NothingLeft(tx.now))
        await tx.conn.execute(sql.TIMED_OUT, call.id)
        return
    await set_timer(
        tx, service.RECORDER_TIMER, call.id, version=call.version, due_at=tx.now + timedelta(seconds=LOOK_AGAIN_S)
    )
    if not await tx.conn.fetchval(sql.IS_ASKED_FOR_RECORDINGS, call.id):  # else it is asked until it answers
        await service.intend(tx, call, f"call_{call.id}_{int(tx.now.timestamp())}", "recordings")


async def looked(tx: Tx, *, call_id: CallId, found: list[Found], is_over: bool) -> None:
    """What the provider has. A caller who is gone and has left nothing that is still coming has left nothing."""
    call = await sql.lock_call(tx.conn, call_id=call_id)
    if call is None or call.state is not CallState.VOICEMAIL:
        return
    kept: Call | None = call
    for each in found:
        if each.is_message:
            kept = await keep(
                tx, kept, account_sid=call.account_sid, call_sid=call.sid, recording_sid=each.sid,
                duration_s=each.duration_s, is_ready=True,
            )  # fmt: skip
    if kept is not None and is_over and not any(each.is_coming for each in found):
        if not kept.is_over:
            kept = await service.apply(tx, kept, NothingLeft(tx.now))
        await tx.conn.execute(sql.RECONCILED, call.id)


# --- what is kept ---------------------------------------------------------------------------------------------------


async def delete(tx: Tx, voicemail_id: int) -> bool:
    """Nobody hears it from now on; the provider is told to delete the sound, until it has. False when there is none (any more)."""
    row = await tx.conn.fetchrow(sql.DELETE_VOICEMAIL, voicemail_id, tx.now)
    if row is None:
        return False
    payload: dict[str, object] = {"account_sid": row["account_sid"], "sid": row["recording_sid"]}
    call_id = CallId(row["call_id"] or NO_CALL)
    await service.intend_for(tx, call_id, f"voicemail_{voicemail_id}", "delete_recording", payload)
    return True


async def delete_older(tx: Tx, *, before: datetime, limit: int) -> int:
    """Retention. Returns how many there were."""
    rows = await tx.conn.fetch(sql.OLD_VOICEMAILS, before, limit)
    for row in rows:
        await delete(tx, row["id"])
    return len(rows)
