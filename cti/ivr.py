"""`/twilio/ivr`: what a caller in the menu chose, or did not. A caller who hangs up there is heard of by the end of the call only."""

from cti import queries as sql
from cti import recording, service
from cti import twilio_voice as twiml
from cti.menu import REPEATS, Way
from cti.model import Call, CallState, MenuPlayed, SentToRecorder
from cti.twilio_voice import Line
from cti.twilio_webhook import Webhook, number_of
from infra.outbox import Tx

CHOSEN = "chosen"
"""Why a caller is at the recorder: the menu offers it."""


async def choose(tx: Tx, hook: Webhook, line: Line, base: str) -> str:
    """Two repeats of each menu for what is not understood, then the default queue: nobody is turned away by a menu."""
    if not await service.claim(tx, hook, None):
        return await service.stored(tx, hook, twiml.EMPTY)
    call = await sql.lock_call_by_sid(tx.conn, sid=hook.call_sid)
    await recording.heard(tx, hook.call_sid, line)
    if call is None or call.is_over:
        answer = service.last_word(line, call)
    elif call.state is CallState.IVR and (way := line.way(call.menu_path)) is not None:
        answer = await _choose(tx, hook, call, line, way, base)
    elif call.state is CallState.VOICEMAIL:
        answer = twiml.record(line, base)
    else:
        in_menu = call.state is CallState.IVR  # the number has no menu any more
        answer = (
            await service.into_queue(tx, call, line, line.queue, base)
            if in_menu
            else twiml.enqueue(line, base, greet=False)
        )
    await tx.conn.execute(sql.KEEP_ANSWER, hook.key, answer)
    return answer


async def _choose(tx: Tx, hook: Webhook, call: Call, line: Line, way: Way, base: str) -> str:
    if hook.query.get("m", way.menus[0].key) != way.here.key:  # an answer to another menu than the caller hears
        return twiml.menu(line, base, way, step=call.version)
    digits = hook.get("Digits")
    option, back = way.here.chosen(digits, hook.get("SpeechResult")), way.back(digits)
    tries = number_of(hook.query.get("n", "")) or 0
    if option is None and back is not None:
        return await _play(tx, call, line, back, base)
    if option is None and tries < REPEATS:
        return twiml.menu(line, base, way, tries=tries + 1, step=call.version)
    if option is not None and option.menu is not None:
        return await _play(tx, call, line, way.to(option.menu), base)
    if option is not None and option.queue is None:
        await service.apply(tx, call, SentToRecorder(line.queue, CHOSEN, tx.now, choice=option.key))
        return twiml.record(line, base)
    queue = (way.default if option is None else option.queue) or line.queue
    return await service.into_queue(tx, call, line, queue, base, choice=None if option is None else option.key)


async def _play(tx: Tx, call: Call, line: Line, way: Way, base: str) -> str:
    moved = await service.apply(tx, call, MenuPlayed(way.path))
    return twiml.menu(line, base, way, step=moved.version)
