"""For whom an item is kept a while."""

from datetime import datetime, timedelta
from typing import Final

from infra.postgres import Connection
from routing import queries as sql
from routing.model import Sticky, Whom

LAST_AGENT_DAYS: Final = 90
"""Whom a customer talked with before that is not remembered for routing."""


async def whom(
    conn: Connection, sticky: Sticky, *, customer_id: int | None, ticket_id: int, entered_at: datetime
) -> int | None:
    """The agent whom the item is kept for; None when there is none, or no longer."""
    found: int | None
    if sticky.agent == Whom.LAST_AGENT:
        since = entered_at - timedelta(days=LAST_AGENT_DAYS)
        found = customer_id and await conn.fetchval(sql.LAST_AGENT, customer_id, since)
    elif sticky.agent == Whom.TICKET_OWNER:
        found = await conn.fetchval(sql.TICKET_OWNER, ticket_id)
    else:
        found = await conn.fetchval(sql.AGENT_BY_ADDRESS, sticky.agent.lower())
    return found
