"""Who else is looking at a ticket or a customer.

A row per socket says what it has on the screen. It goes when the page is left and when its socket ends, whatever ended it; a process that
died takes its rows with it after LEASE_S. A change is told at once to everybody in the object's room, on the other replicas
through Redis; each replica also looks every LOOK_S at what its own sockets view, so that a lost hint costs a second. Nothing here
locks anybody out: who saves on top of somebody else is told by the version.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from infra.postgres import Connection
from realtime.messages import Viewer, ViewersData, ViewingIn

LEASE_S: Final = 15
LOOK_S: Final = 1.0
MOST: Final = 20
"""Names told of one object: more would help nobody."""

Kind = Literal["ticket", "customer"]

VIEW: Final = """
INSERT INTO desk_viewings (replica, sid, user_id, kind, object_id, is_editing, since, lease_until)
VALUES ($1, $2, $3, $4, $5, $6, now(), now() + make_interval(secs => $7))
ON CONFLICT (replica, sid) DO UPDATE SET kind = excluded.kind, object_id = excluded.object_id, is_editing = excluded.is_editing,
    lease_until = excluded.lease_until,
    since = CASE WHEN (desk_viewings.kind, desk_viewings.object_id) = (excluded.kind, excluded.object_id)
                 THEN desk_viewings.since ELSE excluded.since END
"""
LEAVE: Final = "DELETE FROM desk_viewings WHERE replica = $1 AND sid = $2"
RENEW: Final = """
UPDATE desk_viewings SET lease_until = now() + make_interval(secs => $2) WHERE replica = $1 AND sid = ANY($3)
"""
DROP_DEAD: Final = "DELETE FROM desk_viewings WHERE lease_until < now()"
VIEWERS: Final = """
SELECT w.kind, w.id AS object_id, v.user_id, v.name, v.is_editing, v.since
FROM unnest($1::text[], $2::bigint[]) AS w (kind, id)
CROSS JOIN LATERAL (
    SELECT d.user_id, u.name, bool_or(d.is_editing) AS is_editing, min(d.since) AS since
    FROM desk_viewings d JOIN users u ON u.id = d.user_id
    WHERE d.kind = w.kind AND d.object_id = w.id AND d.lease_until > now()
    GROUP BY d.user_id, u.name ORDER BY min(d.since), d.user_id LIMIT $3
) v
"""

VIEWED_CUSTOMER: Final = """
SELECT t.customer_id FROM tickets t
WHERE t.id = $1 AND EXISTS (SELECT FROM desk_viewings d WHERE d.kind = 'customer' AND d.object_id = t.customer_id)
"""
"""The customer of a ticket, if anybody has them on the screen."""


@dataclass(frozen=True, slots=True)
class Viewed:
    """What one socket has on the screen."""

    kind: Kind
    id: int

    @property
    def room(self) -> str:
        return f"{self.kind}:{self.id}"


def wanted(message: ViewingIn) -> Viewed | None:
    if message.ticket_id is not None:
        return Viewed("ticket", message.ticket_id)
    return None if message.customer_id is None else Viewed("customer", message.customer_id)


class Viewers:
    """What this replica has told about each object, and the SQL of who views what."""

    def __init__(self, replica: str) -> None:
        self._replica = replica
        self._told: dict[Viewed, ViewersData] = {}
        self.lock = asyncio.Lock()
        """From reading to telling: two changes at once must not be told in the wrong order."""

    async def view(self, conn: Connection, sid: str, user_id: int, viewed: Viewed, *, is_editing: bool) -> None:
        await conn.execute(VIEW, self._replica, sid, user_id, viewed.kind, viewed.id, is_editing, LEASE_S)

    async def leave(self, conn: Connection, sid: str) -> None:
        await conn.execute(LEAVE, self._replica, sid)

    async def renew(self, conn: Connection, sids: Iterable[str]) -> None:
        await conn.execute(RENEW, self._replica, LEASE_S, list(sids))
        await conn.execute(DROP_DEAD)

    async def read(self, conn: Connection, objects: Iterable[Viewed]) -> dict[Viewed, ViewersData]:
        asked = list(objects)
        found: dict[Viewed, list[Viewer]] = {each: [] for each in asked}
        for row in await conn.fetch(VIEWERS, [each.kind for each in asked], [each.id for each in asked], MOST):
            found[Viewed(row["kind"], row["object_id"])].append(_viewer(row))
        return {each: ViewersData(kind=each.kind, id=each.id, viewers=viewers) for each, viewers in found.items()}

    def told(self, viewed: Viewed, data: ViewersData) -> None:
        self._told[viewed] = data

    def news(self, read: dict[Viewed, ViewersData]) -> dict[Viewed, ViewersData]:
        """Of what is viewed here, what has not been told yet. Objects that nobody views any more are forgotten."""
        self._told = {viewed: data for viewed, data in self._told.items() if viewed in read}
        return {viewed: data for viewed, data in read.items() if self._told.get(viewed) != data}


def _viewer(row: Any) -> Viewer:
    since: datetime = row["since"]
    return Viewer(id=row["user_id"], name=row["name"], is_editing=row["is_editing"], since=since)
