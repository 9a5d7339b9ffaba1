"""The audit log: who did what to which object, in the transaction of the deed. No row, no deed.

Append-only by trigger. `before` and `after` hold the changed fields only and never a secret or its hash.
"""

from collections.abc import Mapping
from typing import Any, Final

from core.principal import Actor
from infra.outbox import Tx

WRITE_AUDIT: Final = """
INSERT INTO audit_log (at, actor_kind, actor_id, actor_name, action, object_kind, object_id, before, after, purpose, request_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id
"""


async def audit(
    tx: Tx,
    actor: Actor,
    action: str,
    object_kind: str,
    object_id: int | str | None,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    purpose: str | None = None,
) -> int:
    """Write one row and return its id. `action` is `object.verb`, such as `customer.update`; `purpose` says why, where somebody must say so."""
    row_id: int = await tx.conn.fetchval(
        WRITE_AUDIT,
        tx.now,
        actor.kind,
        actor.id,
        actor.name,
        action,
        object_kind,
        None if object_id is None else str(object_id),
        None if before is None else dict(before),
        None if after is None else dict(after),
        purpose,
        tx.request_id,
    )
    return row_id


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields that differ, old and new: what `before` and `after` of an update hold."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}
