"""The do-not-call list: numbers that agents must not call. Kept in the form in which numbers are dialled."""

from dataclasses import dataclass
from datetime import datetime

from accounts.audit import audit
from core.errors import Invalid, NotFound
from core.principal import Actor
from cti import outbound_queries as sql
from cti.blocked import form_of
from infra.outbox import Tx


class NotListed(NotFound):
    code, title = "not_on_do_not_call_list", "This number is not on the do-not-call list"


@dataclass(frozen=True, slots=True)
class Listed:
    id: int
    number: str
    reason: str
    added_by: str
    added_at: datetime
    expires_at: datetime | None


async def add(
    tx: Tx, *, number: str, region: str | None, reason: str, expires_at: datetime | None, actor: Actor
) -> Listed:
    """Not to be called from now on. One that is listed already takes the new reason and end. Raises Invalid."""
    value = form_of(number, region)
    if not value.startswith("+"):
        raise _invalid("number", "this is no telephone number that could be called")
    if expires_at is not None and expires_at <= tx.now:
        raise _invalid("expires_at", "this is in the past")
    row = await tx.conn.fetchrow(sql.ADD_DO_NOT_CALL, value, reason, actor.name or actor.kind, tx.now, expires_at)
    assert row is not None
    after = {"number": value, "reason": reason, "expires_at": expires_at and expires_at.isoformat()}
    await audit(tx, actor, "do_not_call.add", "do_not_call", row["id"], after=after)
    return Listed(**dict(row))


async def remove(tx: Tx, *, listed_id: int, actor: Actor) -> None:
    """Raises NotListed."""
    row = await tx.conn.fetchrow(sql.REMOVE_DO_NOT_CALL, listed_id)
    if row is None:
        raise NotListed
    before = {"number": row["number"], "reason": row["reason"]}
    await audit(tx, actor, "do_not_call.remove", "do_not_call", listed_id, before=before)


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(f"{field}: {message}.", errors=[{"field": field, "message": message}])
