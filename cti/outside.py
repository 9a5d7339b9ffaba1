"""Numbers outside: the caller's leg rings one of them and talks there, without us.

What decides. Only numbers that the organisation allows are rung, none by default: the service pays for them. The caller's own leg dials, so whoever
does not answer there has lost us nobody: the caller comes back with the result and waits again at the head of the line. While it lasts the
provider owns the call (its ring time and its limit end it), and the reconciler looks it up like any other that is not over.
"""

from typing import Final

from core.errors import Conflict, Invalid, RingdeskError, Unavailable
from core.ids import conference_name
from core.phone import NumberKind
from cti import queries as sql
from cti import service
from cti import twilio_voice as twiml
from cti.model import Call, CallerGone, CallState, CameBack
from cti.twilio_api import LIVING, NotInProgress, TwilioApi
from cti.twilio_voice import Line
from cti.twilio_webhook import Webhook
from infra.outbox import Outbox, Tx
from infra.phone import is_premium, parse_typed

TALKED: Final = frozenset({"completed", "answered"})


class NotAllowedOutside(Conflict):
    code, title = "not_allowed_outside", "Calls may not be transferred to this number"


async def allowed_number(tx: Tx, text: str, region: str) -> str:
    """The E.164 form of a number that calls may be transferred to. Raises Invalid, NotAllowedOutside."""
    number = parse_typed(text, region)
    e164 = number.e164
    if number.kind is not NumberKind.E164 or e164 is None or number.is_suspect or number.extension:
        raise Invalid("This is no telephone number.", errors=[{"field": "number", "message": "not a telephone number"}])
    prefixes = [row["prefix"] for row in await tx.conn.fetch(sql.OUTSIDE_PREFIXES)]
    if not any(e164.startswith(prefix) for prefix in prefixes):
        raise NotAllowedOutside("Allow what it begins with under `transfer.outside` of the organisation file.")
    if is_premium(e164):
        raise NotAllowedOutside("It is a premium-rate number.")
    if await tx.conn.fetchval(sql.IS_OUR_NUMBER, e164):
        raise NotAllowedOutside("It is one of our own: transfer to its queue.")
    return e164


async def done(tx: Tx, hook: Webhook, line: Line, base: str) -> str:
    """`/twilio/transfer/done`: how the conversation outside ended. Who is still there and talked is done; who reached nobody waits again."""
    if not await service.claim(tx, hook, None):
        return await service.stored(tx, hook, twiml.EMPTY)
    answer = twiml.EMPTY
    call = await sql.lock_call_by_sid(tx.conn, sid=hook.call_sid)
    is_ours = call is not None and str(call.transfer_id) == hook.query.get("t", "")
    if call is None or call.is_over:
        pass
    elif hook.get("CallStatus") in service.TERMINAL:
        await service.apply(tx, call, CallerGone(tx.now))
    elif call.state is CallState.OUTSIDE and is_ours:
        if hook.get("DialCallStatus") in TALKED:
            await service.apply(tx, call, CallerGone(tx.now, by="outside"))
        else:
            await service.apply(tx, call, CameBack())
            answer = twiml.back_to_queue(line, base, says="not_reached")
    else:
        answer = twiml.enqueue(
            line, base, greet=False
        )  # an earlier transfer; whoever has the call now fetches it from the line
    await tx.conn.execute(sql.KEEP_ANSWER, hook.key, answer)
    return answer


async def carry_out(outbox: Outbox, twilio: TwilioApi, call: Call, *, line: Line, base: str, is_repeat: bool) -> None:
    """The command: the caller's leg rings the number. Raises Unavailable (unknown), NotInProgress when the leg is over.

    A caller who has left the conference is on the way already: asking twice would tear the conversation."""
    if call.state is not CallState.OUTSIDE or call.transfer_id is None:
        return
    async with outbox.database.acquire() as conn:
        number = await conn.fetchval(sql.NUMBER_OUTSIDE, call.transfer_id)
    if is_repeat:
        if (await twilio.fetch(call.account_sid, call.sid)).status not in LIVING:
            raise NotInProgress
        if call.sid not in await twilio.in_conference(call.account_sid, conference_name(call.id)):
            return
    try:
        document = twiml.put_through(line, base, number, transfer_id=call.transfer_id)
        await twilio.redirect(call.account_sid, call.sid, document)
    except (Unavailable, NotInProgress):
        raise
    except RingdeskError:
        await _not_done(outbox, call)
        raise


async def _not_done(outbox: Outbox, call: Call) -> None:
    """The provider does not do it: back to the line, where the caller keeps the place."""
    async with outbox.transaction() as tx:
        locked = await sql.lock_call(tx.conn, call_id=call.id)
        if locked is None or locked.transfer_id != call.transfer_id:
            return
        if await service.apply(tx, locked, CameBack()) is not locked:
            await service.intend(tx, locked, f"transfer_{call.transfer_id}", "requeue")
