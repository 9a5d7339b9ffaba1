"""A caller who speaks to the recorder waits for nobody any more: the item leaves the line.

Its stay in the queue is an overflow: with the queue's reason, or (by the caller's own key) because of the recorder."""

from core.events import CallSentToRecorder, WorkWithdrawn
from core.ids import WorkItemId
from infra.outbox import Tx, publish
from infra.timers import cancel_timer
from routing import queries as sql
from routing import service
from routing.model import ItemState, OfferState


async def on_sent_to_recorder(tx: Tx, event: CallSentToRecorder) -> None:
    """Inline. Locks: call (held), agents, item."""
    item = await tx.conn.fetchrow(sql.ITEM_OF_CALL, event.call_id)
    if item is None or item["state"] not in (ItemState.QUEUED, ItemState.OFFERING):
        return
    offers = await service.lock_with_offers(tx, item["id"])
    pending = [offer for offer in offers if offer.state is OfferState.PENDING]
    await service.end_offers(tx, pending, OfferState.CANCELED, "caller_left")
    await cancel_timer(tx, service.STEP_TIMER, item["id"])
    reason = "refused" if event.reason == "refused" else service.AT_RECORDER
    await tx.conn.execute(sql.END_STINT_BY_OVERFLOW, item["id"], event.at, reason)
    version = await tx.conn.fetchval(sql.SET_ITEM, item["id"], ItemState.DIVERTED, service.AT_RECORDER, tx.now)
    await publish(
        tx,
        WorkWithdrawn(
            work_item_id=WorkItemId(item["id"]),
            version=version,
            pool=item["pool_id"],
            queue=item["queue"],
            reason=service.AT_RECORDER,
            call_id=event.call_id,
        ),
    )
