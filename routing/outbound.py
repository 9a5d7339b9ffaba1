"""Calls that agents make, as work: an item and an accepted offer of theirs from the first moment, so that capacity, desk, wrap-up and result are those of every call.

What decides. Nobody else is ever asked for it and it waits in no line, so it has no stay in a queue and is no offered contact. Somebody who has a call at hand,
or whom one rings at, makes none. Locks as everywhere: call (new), agent, item.
"""

from typing import Final

from core.errors import Conflict, Forbidden, NotFound
from core.ids import CallId, OfferId, TicketId
from core.principal import Principal, Role
from infra.outbox import Tx
from routing import queries as sql
from routing import service
from routing.decide import explain
from routing.model import ByHand, Proposal
from routing.offering import make_offers

RULE: Final = "outbound"


class AgentBusy(Conflict):
    code, title = "agent_busy", "Finish what you have at hand first"


class DeskNotOpen(Conflict):
    code, title = "desk_not_open", "Your desk is not connected, so that your phone cannot be reached"


async def queue_for(tx: Tx, *, wanted: str | None, preferred: str | None, who: Principal) -> str:
    """The queue that the call counts for: the one that is wished, the ticket's, or the first that the agent serves."""
    for key, is_wish in ((wanted, True), (preferred, False), (None, False)):
        found = await tx.conn.fetchval(sql.OUTBOUND_QUEUE, key, who.user_id if who.role is Role.AGENT else None)
        if found is not None and (key is not None or not is_wish):
            return str(found)
        if is_wish and key is not None:
            raise NotFound("There is no such queue of calls for you.")
    raise NotFound("There is no queue of calls for you.")


async def take(tx: Tx, *, call_id: CallId, ticket_id: TicketId, queue: str, who: Principal) -> OfferId:
    """The item of this call, held by who makes it. Raises Forbidden, AgentBusy, DeskNotOpen."""
    await tx.conn.execute(sql.LOCK_AGENTS, [who.user_id])
    agent = await tx.conn.fetchrow(sql.AGENT, who.user_id)
    view = await tx.conn.fetchrow(sql.AGENT_IN_MIND, who.user_id)
    if agent is None or view is None:
        raise Forbidden("Only agents make calls.")
    if await tx.conn.fetchval(sql.HAS_A_CALL, who.user_id):
        raise AgentBusy
    if not agent["is_connected"]:
        raise DeskNotOpen
    item_id = await tx.conn.fetchval(sql.ADD_OUTBOUND_ITEM, call_id, ticket_id, queue, tx.now, RULE)
    detail = await tx.conn.fetchrow(sql.ITEM_DETAIL, item_id, None)
    item, mine = sql.item_of(detail), sql.agent_of(view)
    await tx.conn.execute(sql.MAKE_ROOM, mine.id)
    verdicts = explain(item, [mine], tx.now, chosen={mine.id})
    (offer_id,) = await make_offers(tx, [Proposal(item, mine.id, 0, f"{ByHand.PICK}:{who.name}")], [verdicts])
    await tx.conn.execute(sql.MARK_OUTBOUND, offer_id)
    await service.accept(tx, offer_id=offer_id, who=who)
    return offer_id
