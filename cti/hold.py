"""Hold: the customer hears music, the agent's place in the conversation stays.

What decides. `calls.hold_wanted` is what the agent wants, `state` what the provider says. The command does not carry what it wants: it brings
the customer's seat to what is wanted when it runs, and looks again afterwards, so hold and resume that overtake each other, come twice or get no
answer end as the agent said last. The provider's callback and the answer to the command confirm alike, whichever comes first.
"""

from typing import Final

from core.errors import Conflict, NotFound, RingdeskError, Unavailable
from core.ids import CallId, conference_name
from core.principal import Principal
from cti import queries as sql
from cti import service
from cti.model import Call, HoldChanged, HoldRefused, HoldWanted
from cti.twilio_api import LIVING, NotInProgress, TwilioApi
from infra.outbox import Outbox, Tx

MAX_ROUNDS: Final = 3
"""So often an agent may change their mind while the provider is being asked; after that the next command goes on."""


class NotInCall(Conflict):
    code, title = "not_in_call", "Nobody is talking in this call now"


class AtThePhone(Conflict):
    code, title = "at_the_phone", "Hold and transfer this call at your telephone: its system connects it"


async def in_hand(tx: Tx, *, call_id: CallId, who: Principal) -> Call:
    """The call that this person talks in, locked. Raises NotFound, AtThePhone, NotInCall."""
    call = await sql.lock_call(tx.conn, call_id=call_id)
    if call is None or call.agent_id != who.user_id:
        raise NotFound("There is no such call of yours.")
    if call.is_external:
        raise AtThePhone
    if not call.is_talking or call.ended_by is not None:
        raise NotInCall
    return call


async def set_hold(tx: Tx, *, call_id: CallId, who: Principal, is_held: bool) -> Call:
    """Hold, or resume; asking for what is wanted already changes nothing. Raises what `in_hand` does."""
    call = await in_hand(tx, call_id=call_id, who=who)
    wanted = await service.apply(tx, call, HoldWanted(is_held))
    if wanted is not call and wanted.hold_wanted is not wanted.is_held:
        await service.intend(tx, wanted, f"call_{call.id}_{wanted.version}", "hold")
    return wanted


async def carry_out(outbox: Outbox, twilio: TwilioApi, call: Call, *, music_url: str, is_repeat: bool) -> None:
    """Raises Unavailable (unknown: ask again), NotInProgress when the customer's leg is over."""
    name, sid, account = conference_name(call.id), call.sid, call.account_sid
    try:
        known = await twilio.is_held(account, name, sid) if is_repeat and call.is_talking else call.is_held
        if is_repeat:
            call = await _told(outbox, call, is_held=known)
        for _ in range(MAX_ROUNDS):
            if not call.is_talking or known is call.hold_wanted:
                return
            known = await twilio.set_held(account, name, sid, is_held=call.hold_wanted, music_url=music_url)
            call = await _told(outbox, call, is_held=known)
    except Unavailable:
        raise
    except NotInProgress:
        if (await twilio.fetch(account, sid)).status not in LIVING:
            raise
        await _refused(outbox, call)  # on the line, but not in the conference: on the way into it or out of it
        return
    except RingdeskError:
        await _refused(outbox, call)
        raise
    if call.is_talking and known is not call.hold_wanted:
        raise Unavailable("The agent goes on changing hold.")


async def _told(outbox: Outbox, call: Call, *, is_held: bool) -> Call:
    """The call as it is now that the provider has said so."""
    async with outbox.transaction() as tx:
        locked = await sql.lock_call(tx.conn, call_id=call.id)
        return call if locked is None else await service.apply(tx, locked, HoldChanged(is_held, tx.now))


async def _refused(outbox: Outbox, call: Call) -> None:
    async with outbox.transaction() as tx:
        locked = await sql.lock_call(tx.conn, call_id=call.id)
        if locked is not None:
            await service.apply(tx, locked, HoldRefused())
