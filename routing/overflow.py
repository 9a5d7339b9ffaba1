"""When a queue lets go of a caller, and what becomes of the call: never a silent drop.

A queue may be full (`max_waiting`), a caller may have waited there for too long (`max_wait_s`), or nobody may be signed in who serves it
(`if_nobody: overflow`). Then the item goes to the queue that `overflow_to` names, where the same is asked again, and keeps its entry, its head
start and its requirements; where no queue is named, the caller is asked for a message (`overflow_voicemail`), or hears that we call back: the ticket stays
open, and the alert rule `RingdeskCallersDeflected` tells those who run it. A cap is asked when an item enters, the rest of all who wait with every sweep.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog

from core.events import WorkDeflected
from core.ids import CallId, TicketId, WorkItemId
from core.principal import SYSTEM
from cti import queries as calls
from infra.outbox import Tx, publish
from infra.telemetry import metrics
from routing import queries as sql
from routing.line import tell_queued
from routing.model import ItemState
from ticketing import service as tickets

log = structlog.get_logger()


class Reason(StrEnum):
    FULL = "full"
    TOO_LONG = "too_long"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Waiting:
    """An item in line, locked or not yet committed. `waited_s` in the queue it is in now; `takes_ticket`: the ticket goes with it."""

    id: WorkItemId
    call_id: CallId
    ticket_id: TicketId
    waited_s: float
    takes_ticket: bool


def may_overflow(queue: Any) -> bool:
    return queue["max_waiting"] is not None or queue["max_wait_s"] is not None or queue["if_nobody"] == "overflow"


async def settle(tx: Tx, item: Waiting, queue: Any) -> str | None:
    """Where the item waits now: the key of its queue, or None when the caller is let go, to the recorder or with a ticket. `queue` as `LOCK_QUEUE` gives it."""
    waited_s, seen = item.waited_s, {queue["key"]}
    while may_overflow(queue) and (reason := await _reason(tx, item, queue, waited_s)) is not None:
        target = queue["overflow_to"]
        following = None if target is None or target in seen else await tx.conn.fetchrow(sql.LOCK_QUEUE, target)
        tx.on_commit.append(metrics.overflows.labels(queue["key"], reason.value).inc)
        log.info("queue overflows", queue=queue["key"], reason=reason.value, to=following and target)
        if following is None:
            await _deflect(tx, item, queue, reason)
            return None
        await _move(tx, item, queue["key"], target, reason)
        queue, waited_s = following, 0.0
        seen.add(target)
    return str(queue["key"])


async def _reason(tx: Tx, item: Waiting, queue: Any, waited_s: float) -> Reason | None:
    """Why this queue lets go of the item. A cap counts those who were there before; two who come at once are counted one after the other.

    Whether anybody is there is the sweep's to ask: at the entrance nobody knows whether desks are just coming back."""
    if queue["if_nobody"] == "overflow" and waited_s > 0 and not await tx.conn.fetchval(sql.IS_ATTENDED, queue["key"]):
        return Reason.NOBODY
    if queue["max_wait_s"] is not None and waited_s >= queue["max_wait_s"]:
        return Reason.TOO_LONG
    if queue["max_waiting"] is not None and waited_s == 0:
        await tx.conn.execute(sql.LOCK_ENTRANCE, queue["key"])
        if await tx.conn.fetchval(sql.IS_FULL, queue["key"], item.id, queue["max_waiting"]):
            return Reason.FULL
    return None


async def _move(tx: Tx, item: Waiting, source: str, target: str, reason: Reason) -> None:
    await tx.conn.execute(sql.END_STINT_BY_OVERFLOW, item.id, tx.now, reason.value)
    await tx.conn.execute(sql.MOVE_ITEM, item.id, target)
    await tx.conn.execute(sql.ADD_STINT, item.id, tx.now)
    if item.takes_ticket:
        await tickets.set_queue(tx, item.ticket_id, target, actor=SYSTEM)


async def _deflect(tx: Tx, item: Waiting, queue: Any, reason: Reason) -> None:
    await tx.conn.execute(sql.END_STINT_BY_OVERFLOW, item.id, tx.now, reason.value)
    await publish(
        tx,
        WorkDeflected(
            work_item_id=item.id,
            queue=queue["key"],
            reason=reason.value,
            call_id=item.call_id,
            to_recorder=queue["overflow_voicemail"],
        ),
    )


async def overflow_due(tx: Tx, item_id: int, _: int) -> None:
    """The sweep found that this item's queue may let go of it. Locks: call, agents, ticket, item."""
    row = await tx.conn.fetchrow(sql.ITEM_FOR_OVERFLOW, item_id)
    if row is None or row["call_id"] is None:
        return
    call = await calls.lock_call(tx.conn, call_id=CallId(row["call_id"]))
    offers = await sql.open_offers_of_item(tx.conn, work_item_id=item_id)
    await tx.conn.execute(sql.LOCK_AGENTS, [offer.agent_id for offer in offers])  # whoever wraps up after it
    ticket = await tickets.lock_of_call(tx, CallId(row["call_id"]))
    item = await tx.conn.fetchrow(sql.LOCK_ITEM, item_id)
    queue = await tx.conn.fetchrow(sql.LOCK_QUEUE, row["queue"])
    if call is None or call.is_over or item is None or item["state"] != ItemState.QUEUED or queue is None:
        return
    takes_ticket = ticket is not None and ticket.queue == row["queue"] and ticket.assignee_id is None
    waited_s = max((tx.now - row["entered_at"]).total_seconds(), 0.001)  # more than nothing: it is in already
    waiting = Waiting(WorkItemId(item_id), CallId(row["call_id"]), TicketId(row["ticket_id"]), waited_s, takes_ticket)
    if await settle(tx, waiting, queue) not in (None, queue["key"]):
        await tx.conn.execute(sql.SET_NEXT_LOOK, item_id, tx.now)
        moved = await tx.conn.fetchrow(sql.LOCK_ITEM, item_id)
        assert moved is not None
        await tell_queued(tx, waiting.id, moved["version"], moved["pool_id"], moved["queue"], waiting.call_id)
