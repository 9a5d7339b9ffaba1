"""Wallboards: a supervisor gives a screen a link that shows the figures of the queues, to nobody in particular.

The secret in it opens this one answer and nothing else. We keep its hash, it can be revoked, and it belongs to no session: a screen
goes on when the supervisor has gone home. What it shows are counts and times by queue, never who called or who answers.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from accounts.audit import audit
from accounts.model import fingerprint
from core.errors import Conflict, Forbidden, NotFound
from core.principal import Principal, actor_of
from infra.outbox import Tx
from infra.postgres import Connection, record
from reporting import wall_queries as sql
from routing.messages import QueueStats

PREFIX: Final = "rdw_"
"""Lets people and secret scanners recognise it."""
MOST: Final = 100
"""Of those that are not revoked."""


class WallboardUnknown(Forbidden):
    code, title = "wallboard_unknown", "This wallboard's link does not work"


class TooManyWallboards(Conflict):
    code, title = "too_many_wallboards", "There are too many wallboards"


@dataclass(frozen=True, slots=True)
class Wallboard:
    id: int
    label: str
    created_by: str
    created_at: datetime


async def create(tx: Tx, *, label: str, who: Principal) -> tuple[Wallboard, str]:
    """A new link; its secret is shown this once. Raises TooManyWallboards."""
    await tx.conn.execute(sql.LOCK)
    if await tx.conn.fetchval(sql.COUNT) >= MOST:
        raise TooManyWallboards(f"There are {MOST} wallboards already; revoke one that nobody looks at.")
    secret = PREFIX + secrets.token_urlsafe(32)
    row = await tx.conn.fetchrow(sql.INSERT, fingerprint(secret), label, who.user_id, tx.now)
    assert row is not None
    await audit(tx, actor_of(who), "wallboard.create", "wallboard", row["id"], after={"label": label})
    return Wallboard(row["id"], label, who.name, row["created_at"]), secret


async def revoke(tx: Tx, wallboard_id: int, *, who: Principal) -> None:
    """The link is dead at once. Nothing happens to one that was dead already. Raises NotFound."""
    row = await tx.conn.fetchrow(sql.REVOKE, wallboard_id, tx.now)
    if row is not None:
        await audit(tx, actor_of(who), "wallboard.revoke", "wallboard", wallboard_id, before={"label": row["label"]})
    elif not await tx.conn.fetchval(sql.EXISTS, wallboard_id):
        raise NotFound("There is no such wallboard.")


async def wallboards(conn: Connection) -> list[Wallboard]:
    """Those that are not revoked, the newest first."""
    return [Wallboard(**record(row)) for row in await conn.fetch(sql.WALLBOARDS)]


async def wallboard_with(conn: Connection, secret: str | None) -> int:
    """Which wallboard this secret opens. Raises WallboardUnknown."""
    if secret is not None and secret.startswith(PREFIX) and secret.isascii() and len(secret) < 100:
        found: int | None = await conn.fetchval(sql.BY_HASH, fingerprint(secret))
        if found is not None:
            return found
    raise WallboardUnknown("This link was revoked or never was one. Ask a supervisor for a new one.")


@dataclass(frozen=True, slots=True)
class Total:
    """Of all queues shown: sums, and the longest wait. Agents are left out: one may serve several queues."""

    waiting: int
    longest_wait_s: float | None
    answered_today: int
    abandoned_today: int
    numerator: int
    denominator: int


def total_of(queues: Sequence[QueueStats]) -> Total:
    waits = [queue.longest_wait_s for queue in queues if queue.longest_wait_s is not None]
    sums: dict[str, Any] = {
        name: sum(getattr(queue, name) for queue in queues) for name in ("waiting", "answered_today", "abandoned_today")
    }
    return Total(
        **sums,
        longest_wait_s=max(waits, default=None),
        numerator=sum(queue.service_level.numerator for queue in queues),
        denominator=sum(queue.service_level.denominator for queue in queues),
    )
