"""What leaves the tables of this package by age, in batches: dead sessions, spent tickets, old audit rows."""

from datetime import timedelta

from accounts import queries
from infra.outbox import Tx

TICKETS_KEPT = timedelta(hours=1)
"""So that a ticket used again is told apart from one that never was."""


async def purge(tx: Tx, *, audit_kept: timedelta, limit: int = 1000) -> int:
    """Remove at most `limit` rows of each kind. Returns how many; call again while it is not 0."""
    sessions = await queries.purge_sessions(tx.conn, now=tx.now, limit=limit)
    tickets = await queries.purge_tickets(tx.conn, before=tx.now - TICKETS_KEPT, limit=limit)
    rows = await queries.purge_audit(tx.conn, before=tx.now - audit_kept, limit=limit)
    return sessions + tickets + rows
