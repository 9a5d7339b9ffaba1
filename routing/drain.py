"""Who is full of tickets is kept free of more, so that a call that has waited long fits.

Where calls may not interrupt tickets and both share an agent's units, a backlog of tickets would fill each place as it comes free, and no
call would ever fit: other systems document that as a gap (reference/routing.md §2.7). Here a call that has waited for
`drain_after_s` of its queue, with nobody able and free, has the least loaded of those who are able drain: no more tickets for them until the
call has somebody, or is over. Only tickets of the call's tier or a lower one give way. One agent for each call.
"""

from typing import Final

import structlog

from infra.outbox import Tx
from routing import queries as sql

log = structlog.get_logger()

CALLS_LOOKED_AT: Final = 20
"""Of each queue, with every sweep."""


async def drain(tx: Tx) -> None:
    """The sweep's part: ends what has no reason any more, begins what has. Locks agents only."""
    for row in await tx.conn.fetch(sql.END_DRAINING):
        log.info("draining ended", agent=row["id"])
    for row in await tx.conn.fetch(sql.BEGIN_DRAINING, CALLS_LOOKED_AT):
        log.info("draining", agent=row["id"], item=row["draining_for"])
