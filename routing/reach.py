"""Where an agent takes calls: in the browser, or on the telephone that the organisation file allows them.

What decides. Which telephone it may be is for the organisation to say, since it pays; whether it is used is the agent's own choice, from the next call on: one that
is at hand stays where it is. Desks and the floor hear of it as of a presence.
"""

from core.errors import Conflict, NotFound
from core.events import AgentPresenceChanged
from core.ids import AgentId
from cti import telephone_queries
from infra.outbox import Tx, publish
from routing import queries as sql


class NoTelephone(Conflict):
    code, title = (
        "no_telephone",
        "No telephone is set down for you; your administrator adds it to the organisation file",
    )


async def choose(tx: Tx, *, agent_id: int, is_telephone: bool, by: str) -> None:
    """Asking for what is changes nothing. Raises NotFound, NoTelephone."""
    await tx.conn.execute(sql.LOCK_AGENTS, [agent_id])
    agent = await tx.conn.fetchrow(sql.AGENT, agent_id)
    if agent is None:
        raise NotFound("This user is not an agent.")
    if agent["telephone"] is None and is_telephone:
        raise NoTelephone
    if await tx.conn.fetchval(telephone_queries.CHOOSE, agent_id, is_telephone) is not None:
        await tell(tx, agent_id=agent_id, by=by)


async def tell(tx: Tx, *, agent_id: int, by: str) -> None:
    """Another telephone, none any more, or the other choice. The agent is locked."""
    await tx.conn.execute(sql.TOUCH_AGENT, agent_id)
    agent = await tx.conn.fetchrow(sql.AGENT, agent_id)
    assert agent is not None
    await publish(
        tx,
        AgentPresenceChanged(
            agent_id=AgentId(agent_id),
            version=agent["version"],
            state=agent["presence"],
            reason=agent["presence_reason"],
            next=agent["next_presence"],
            pool=agent["pool_id"],
            by=by,
        ),
    )


async def is_rung(tx: Tx, offer_id: int) -> bool:
    """Is the agent of this accepted offer rung on a telephone, so that no browser of theirs needs to join?"""
    return await tx.conn.fetchval(telephone_queries.CALL_OF_RING, offer_id) is not None
