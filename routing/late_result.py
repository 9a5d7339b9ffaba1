"""The result of a call: the choice so far, kept with the call; after its wrap-up given late, so that a missing one blocks nobody, or corrected at once."""

from datetime import timedelta
from typing import Final

from core.errors import Conflict, NotFound
from core.ids import AgentId, CallId
from core.principal import Principal
from cti import queries as calls
from infra.outbox import Tx
from routing import queries as sql
from routing import wrap_up
from ticketing import service as tickets

WITHIN: Final = timedelta(days=7)
"""So long a missing result is asked for."""
CORRECTED_WITHIN: Final = timedelta(seconds=10)


class ResultIsFinal(Conflict):
    code, title = "result_is_final", "The result of this call can no longer be changed"


async def set_result(tx: Tx, *, call_id: int, who: Principal, disposition: str | None) -> str | None:
    """Set the result of one's own last part in the call. Returns what it was before.

    Until that is finished it is a choice that can change (`wrap_up.choose`). Afterwards a missing one can be given for days; another one, or none again, only right after the end. The ticket follows as at the end of wrap-up.
    Raises NotFound, ResultIsFinal."""
    await calls.lock_call(tx.conn, call_id=CallId(call_id))
    if await tx.conn.fetchrow(sql.OPEN_OFFER_OF_CALL, call_id, who.user_id) is not None:
        return await wrap_up.choose(tx, call_id=call_id, who=who, disposition=disposition)
    row = await tx.conn.fetchrow(sql.COMPLETED_OFFER_OF_CALL, call_id, who.user_id)
    if row is None:
        raise NotFound("You have no call with this id.")
    before: str | None = row["disposition"]
    if before == disposition:
        return before
    age = tx.now - row["ended_at"]
    if age > (WITHIN if before is None else CORRECTED_WITHIN):
        raise ResultIsFinal("A result can be corrected for 10 s, and a missing one given for 7 days.")
    await tx.conn.execute(sql.SET_LATE_RESULT, row["id"], disposition)
    await tx.conn.execute(calls.CORRECT_DISPOSITION, call_id, row["id"], before, disposition)
    await tickets.result_given(
        tx, call_id=CallId(call_id), agent_id=AgentId(who.user_id), before=before, disposition=disposition
    )
    return before
