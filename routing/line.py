"""The line and its pool: how a pool hears that somebody waits."""

from core.events import WorkQueued
from core.ids import CallId, WorkItemId
from infra.outbox import Tx, publish


async def tell_queued(tx: Tx, item_id: WorkItemId, version: int, pool: str, queue: str, call_id: int | None) -> None:
    """The item waits (again, or elsewhere in the line): its pool looks."""
    call = None if call_id is None else CallId(call_id)
    await publish(tx, WorkQueued(work_item_id=item_id, version=version, pool=pool, queue=queue, call_id=call))
