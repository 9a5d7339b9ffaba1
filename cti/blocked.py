"""The block list: numbers whose calls are not let in. Kept in the form in which callers are known, so that no spelling gets past it.

Our own numbers and those of emergency services are never blocked; a hidden caller has no number to block.
"""

from dataclasses import dataclass
from datetime import datetime

from accounts.audit import audit
from core.errors import Invalid, NotFound
from core.phone import NumberKind
from core.principal import Actor
from cti import queries as sql
from infra.outbox import Tx
from infra.phone import parse_typed


class NotBlocked(NotFound):
    code, title = "not_blocked", "This number is not blocked"


@dataclass(frozen=True, slots=True)
class Blocked:
    id: int
    number: str
    reason: str
    added_by: str
    added_at: datetime
    expires_at: datetime | None


def form_of(text: str, region: str | None) -> str:
    """The form that calls of this number have. `region` is needed for numbers that are not written with +. Raises Invalid."""
    number = parse_typed(text, region or "US")
    is_whole = number.kind in (NumberKind.SIP, NumberKind.SHORT) or text.strip().startswith("+") or region is not None
    if number.value is None or number.is_suspect or number.kind is NumberKind.CLIENT or not is_whole:
        message = "write it in international form, such as +14155550123, or say its region"
        raise Invalid(f"number: {message}.", errors=[{"field": "number", "message": message}])
    return number.value


async def add(
    tx: Tx, *, number: str, region: str | None, reason: str, expires_at: datetime | None, actor: Actor
) -> Blocked:
    """Block it from now on. One that is blocked already takes the new reason and end. Raises Invalid."""
    value = form_of(number, region)
    if await tx.conn.fetchval(sql.IS_OUR_NUMBER, value):
        raise _invalid("number", "this is one of our own numbers")
    if expires_at is not None and expires_at <= tx.now:
        raise _invalid("expires_at", "this is in the past")
    row = await tx.conn.fetchrow(sql.BLOCK, value, reason, actor.name or actor.kind, tx.now, expires_at)
    assert row is not None
    blocked = Blocked(**dict(row))
    after = {"number": value, "reason": reason, "expires_at": expires_at and expires_at.isoformat()}
    await audit(tx, actor, "blocked_number.add", "blocked_number", blocked.id, after=after)
    return blocked


async def remove(tx: Tx, *, blocked_id: int, actor: Actor) -> None:
    """Raises NotBlocked."""
    row = await tx.conn.fetchrow(sql.UNBLOCK, blocked_id)
    if row is None:
        raise NotBlocked
    before = {"number": row["number"], "reason": row["reason"]}
    await audit(tx, actor, "blocked_number.remove", "blocked_number", blocked_id, before=before)


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(f"{field}: {message}.", errors=[{"field": field, "message": message}])
