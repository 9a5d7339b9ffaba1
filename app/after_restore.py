"""What a restored database must forget and leap over before anybody works on it. See docs/howto/run-in-production.md.

A backup is a past moment; the provider, brokers, caches and browsers live on. What was in flight then is of four kinds:

- Calls, offers, timers and provider commands stay as they were. Calls that are over by now end when the reconciler asks the provider, in
  its first pass after the start, those of a PBX, which cannot be asked, by their timers (an hour of waiting, four of talk) or their agents; commands look the leg up before they ask again; overdue timers end their offers. All of this is
  what happens after any outage. Meanwhile nobody is offered a call, because of the next point.
- Desk connections, sessions and realtime tickets go. Without a live desk there are no offers; who had logged out or had been locked out since
  would be let in by an old session; and whoever logs in anew starts from a snapshot.
- Ids given out since the backup may still be in messages of the broker, names of conferences, cached pages and people's notes. All
  sequences leap over them, so that an old id never means something new.
- Undone deliveries are sent again; consumers stand repeats. API tokens and passwords are those of the backup: see the how-to.
"""

from typing import Final

from accounts.audit import audit
from core.principal import Actor
from infra.backup import Manifest
from infra.outbox import Outbox

ID_LEAP: Final = 10_000_000
"""Some tens of ids a call: hundreds of thousands of calls since the backup."""
TICKET_LEAP: Final = 10_000
"""Fewer, because people read these numbers aloud."""
TICKETS: Final = "ticket_numbers"

SESSIONS: Final = "DELETE FROM sessions"
REALTIME_TICKETS: Final = "DELETE FROM realtime_tickets"
DESKS: Final = "DELETE FROM desk_connections"
VIEWINGS: Final = "DELETE FROM desk_viewings"
LEAP: Final = """
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass,
              coalesce(last_value, 0) + CASE WHEN sequencename = $1 THEN $2::bigint ELSE $3::bigint END)
FROM pg_sequences WHERE schemaname = 'public'
"""


async def settle(outbox: Outbox, manifest: Manifest, *, by: str, ticket_leap: int = TICKET_LEAP) -> int:
    """On the migrated schema, before anything runs on it; one transaction. Returns how many people have to log in again."""
    async with outbox.transaction() as tx:
        people = int(await tx.conn.fetchval("SELECT count(DISTINCT user_id) FROM sessions"))
        for statement in (REALTIME_TICKETS, SESSIONS, DESKS, VIEWINGS):
            await tx.conn.execute(statement)
        await tx.conn.fetch(LEAP, TICKETS, ticket_leap, ID_LEAP)
        after = {"backup_of": manifest.made_at.isoformat(), "made_by": manifest.ringdesk, "rows": manifest.rows}
        await audit(tx, Actor("cli", name=by), "database.restore", "database", None, after=after)
    return people
