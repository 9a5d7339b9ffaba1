"""Lists of tickets with a name: one's own, and those that leads share with everybody. A view holds filters, never rights."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from asyncpg import UniqueViolationError

from accounts.audit import audit
from core.errors import Conflict, Forbidden, Invalid, NotFound, VersionConflict
from core.principal import Principal, actor_of
from infra.outbox import Tx
from infra.postgres import Connection

MOST_VIEWS: Final = 50
VIEW_COLUMNS: Final = "v.id, v.owner_id, u.name AS owner_name, v.name, v.query, v.is_shared, v.version"
VIEWS: Final = f"""
SELECT {VIEW_COLUMNS} FROM ticket_views v JOIN users u ON u.id = v.owner_id
WHERE v.owner_id = $1 OR v.is_shared ORDER BY v.is_shared DESC, lower(v.name), v.id LIMIT 500
"""  # noqa: S608 - our own columns
VIEW: Final = f"SELECT {VIEW_COLUMNS} FROM ticket_views v JOIN users u ON u.id = v.owner_id WHERE v.id = $1"  # noqa: S608
LOCK_VIEW: Final = "SELECT owner_id, name, query, is_shared, version FROM ticket_views WHERE id = $1 FOR UPDATE"
COUNT_VIEWS: Final = "SELECT count(*) FROM ticket_views WHERE owner_id = $1"
ADD_VIEW: Final = """
INSERT INTO ticket_views (owner_id, name, query, is_shared, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5) RETURNING id
"""
SAVE_VIEW: Final = """
UPDATE ticket_views SET name = $2, query = $3, is_shared = $4, updated_at = $5, version = version + 1 WHERE id = $1
"""
DELETE_VIEW: Final = "DELETE FROM ticket_views WHERE id = $1"


class ViewExists(Conflict):
    code, title = "view_exists", "You have a view with this name"


async def views_for(conn: Connection, *, who: Principal) -> Sequence[Any]:
    return await conn.fetch(VIEWS, who.user_id)


async def view(conn: Connection, *, view_id: int) -> Any:
    return await conn.fetchrow(VIEW, view_id)


async def add(tx: Tx, *, name: str, query: Mapping[str, Any], is_shared: bool, who: Principal) -> int:
    """Raises Forbidden for sharing without the right, ViewExists, Invalid when there are too many."""
    _check_sharing(is_shared, who)
    if await tx.conn.fetchval(COUNT_VIEWS, who.user_id) >= MOST_VIEWS:
        message = f"nobody can have more than {MOST_VIEWS} views"
        raise Invalid(f"name: {message}.", errors=[{"field": "name", "message": message}])
    try:
        async with tx.conn.transaction():
            view_id: int = await tx.conn.fetchval(ADD_VIEW, who.user_id, name, dict(query), is_shared, tx.now)
    except UniqueViolationError as error:
        raise ViewExists from error
    await audit(tx, actor_of(who), "ticket_view.create", "ticket_view", view_id, after={"is_shared": is_shared})
    return view_id


async def change(tx: Tx, view_id: int, changed: Mapping[str, Any], *, version: int, who: Principal) -> None:
    """Name, query, is_shared. Raises NotFound for a view of somebody else, VersionConflict, Forbidden, ViewExists."""
    row = await _mine(tx, view_id, who)
    if row["version"] != version:
        raise VersionConflict("This view was changed in another window.")
    new = {"name": row["name"], "query": row["query"], "is_shared": row["is_shared"], **changed}
    if new["is_shared"] != row["is_shared"]:
        _check_sharing(new["is_shared"], who)
    try:
        async with tx.conn.transaction():
            await tx.conn.execute(SAVE_VIEW, view_id, new["name"], new["query"], new["is_shared"], tx.now)
    except UniqueViolationError as error:
        raise ViewExists from error
    before, after = {"is_shared": row["is_shared"]}, {"is_shared": new["is_shared"], "changed": sorted(changed)}
    await audit(tx, actor_of(who), "ticket_view.update", "ticket_view", view_id, before=before, after=after)


async def remove(tx: Tx, view_id: int, *, who: Principal) -> None:
    """Raises NotFound for a view of somebody else; leads may also remove what others share."""
    row = await tx.conn.fetchrow(LOCK_VIEW, view_id)
    if row is None or not (row["owner_id"] == who.user_id or (who.is_lead and row["is_shared"])):
        raise NotFound("There is no such view of yours.")
    await tx.conn.execute(DELETE_VIEW, view_id)
    await audit(tx, actor_of(who), "ticket_view.delete", "ticket_view", view_id, before={"is_shared": row["is_shared"]})


async def _mine(tx: Tx, view_id: int, who: Principal) -> Any:
    row = await tx.conn.fetchrow(LOCK_VIEW, view_id)
    if row is None or row["owner_id"] != who.user_id:
        raise NotFound("There is no such view of yours.")
    return row


def _check_sharing(is_shared: bool, who: Principal) -> None:
    if is_shared and not who.is_lead:
        raise Forbidden("Only supervisors and administrators share views.")
