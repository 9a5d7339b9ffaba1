"""The live state as people see it: presence of an agent, figures of the queues, who is in line."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from core.errors import NotFound
from core.principal import Principal
from cti import telephone
from infra.postgres import Connection
from infra.telemetry import mask
from routing import queries as sql
from routing.messages import AgentCall, AgentLive, Presence, QueueStats, ServiceLevel, Telephone

FIRST_IN_LINE: Final = 100


async def presence_of(conn: Connection, agent_id: int) -> Presence:
    row = await conn.fetchrow(sql.AGENT, agent_id)
    if row is None:
        raise NotFound("This user is not an agent.")
    return Presence(
        state=row["presence"],
        reason=row["presence_reason"],
        since=row["presence_since"],
        work=row["work"],
        next=row["next_presence"],
        next_reason=row["next_reason"],
        telephone=None
        if row["telephone"] is None
        else Telephone(shown=telephone.shown(row["telephone"]), is_used=row["uses_telephone"]),
        version=row["version"],
    )


def audited(presence: Presence) -> dict[str, Any]:
    """What the audit log keeps of it."""
    kept = {"state": presence.state, "reason": presence.reason}
    return kept if presence.next is None else {**kept, "next": presence.next, "next_reason": presence.next_reason}


async def board(conn: Connection, *, now: datetime, agent_id: int | None) -> list[QueueStats]:
    """Live figures of all queues, or of those one agent serves."""
    return [
        QueueStats(
            key=row["key"],
            name=row["name"],
            channel=row["channel"],
            held_since=row["held_since"],
            hold_version=row["hold_version"],
            is_deserted=row["is_deserted"],
            waiting=row["waiting"],
            longest_wait_s=None
            if row["first_entered"] is None
            else round(max(0.0, (now - row["first_entered"]).total_seconds()), 1),
            agents_signed_in=row["signed_in"],
            agents_available=row["available"],
            agents_busy=row["busy"],
            offering=row["offering"],
            in_call=row["in_call"],
            answered_today=row["answered"],
            abandoned_today=row["abandoned"],
            service_level=ServiceLevel(
                numerator=row["within"],
                denominator=row["decided"],
                within_s=row["within_s"],
                target=round(row["target"], 4),
            ),
        )
        for row in await conn.fetch(sql.BOARD, agent_id)
    ]


async def line_of(conn: Connection, *, key: str, who: Principal, limit: int = FIRST_IN_LINE) -> Sequence[Any]:
    """The first in line of a queue. Raises NotFound, also for an agent who does not serve it."""
    is_a_text = key.isprintable()  # NUL and halves of a surrogate pair cannot be asked for
    viewer = None if who.is_lead else who.user_id
    queue = await conn.fetchrow(sql.QUEUE_IN_VIEW, key, viewer) if is_a_text else None
    if queue is None:
        raise NotFound("There is no such queue.")
    return await conn.fetch(sql.LINE_OF_QUEUE, queue["pool_id"], queue["key"], limit)


async def in_hand_of(conn: Connection, *, key: str) -> Sequence[Any]:
    """What agents are busy with of a queue, the oldest first. Raises NotFound."""
    if not key.isprintable() or await conn.fetchrow(sql.QUEUE_IN_VIEW, key, None) is None:
        raise NotFound("There is no such queue.")
    return await conn.fetch(sql.IN_HAND_OF_QUEUE, key, FIRST_IN_LINE)


def shown_caller(row: Any, who: Principal) -> str | None:
    """The number, masked for agents: who is not being offered a call has no need to know who calls. None: withheld."""
    if row["from_kind"] in (None, "withheld") or not row["caller"]:
        return None
    number: str = row["caller"]
    return number if who.is_lead else mask(number)


async def agents(conn: Connection) -> list[AgentLive]:
    """Who does what, since when; of all agents who are active."""
    return [
        AgentLive(
            id=row["id"],
            name=row["name"],
            email=row["email"],
            role=row["role"],
            state=row["interval_state"] or row["presence"],
            reason=row["presence_reason"] if row["work"] == "idle" else None,
            next=row["next_presence"],
            since=row["since"],
            connected=row["connected"],
            is_on_telephone=row["is_on_telephone"],
            queues=row["queues"],
            skills=row["skills"],
            used_units=row["used_units"],
            total_units=row["total_units"],
            tickets=row["tickets"],
            ticket_capacity=row["ticket_cap"],
            call=None
            if row["call_queue"] is None
            else AgentCall(id=row["call_id"], queue=row["call_queue"], since=row["call_since"]),
            misses=row["misses"],
            version=row["version"],
            presence_version=row["presence_version"],
        )
        for row in await conn.fetch(sql.AGENTS_LIVE)
    ]
