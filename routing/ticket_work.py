"""Tickets as work: a ticket of a ticket queue waits in line until somebody has it, and takes a place with them until it is done.

What should be follows from the ticket alone, so nothing can drift: new or open in a ticket queue it is work, of whom it is assigned to or,
while that is nobody, of the line; waiting for somebody else, resolved or moved away it is work no more. `settle` makes it so, whatever
has happened, how often it is asked. Nobody is rung: the dispatcher assigns, and a person who assigns may go over somebody's
capacity; no more tickets come by themselves until that is given back (reference/routing.md §2.7).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from core.errors import Conflict
from core.events import TicketChanged, TicketWorkAffected
from core.ids import AgentId, TicketId, WorkItemId
from core.principal import SYSTEM
from infra.outbox import Tx, publish
from infra.timers import cancel_timer
from routing import queries as sql
from routing import service
from routing.line import tell_queued
from routing.model import AgentVerdict, Channel, ItemState, Proposal
from routing.offering import keep_decisions
from ticketing import service as tickets
from ticketing.model import TicketRow

log = structlog.get_logger()

HANDLED: Final = "handled"
WITHDRAWN: Final = "withdrawn"


class TicketIsMoving(Conflict):
    code, title, retryable = "ticket_is_moving", "Somebody else is moving this ticket right now", True


async def on_ticket_changed(tx: Tx, event: TicketChanged) -> None:
    """Inline: tickets of calls, which most are, cost no more than this look. The rest follows on its own: it locks agents before the
    ticket, so it cannot be part of what has changed the ticket."""
    if await tx.conn.fetchrow(sql.TICKET_WORK, event.ticket_id) is not None:
        await publish(tx, TicketWorkAffected(ticket_id=event.ticket_id, version=event.version))


async def on_work_affected(tx: Tx, event: TicketWorkAffected) -> None:
    """State reaction."""
    await settle(tx, event.ticket_id)


async def settle(tx: Tx, ticket_id: TicketId) -> None:
    """Bring work in line with the ticket as it is. Raises TicketIsMoving when somebody changes it just now."""
    seen = await tx.conn.fetchrow(sql.TICKET_WORK, ticket_id)
    if seen is None:
        return
    await tx.conn.execute(sql.LOCK_AGENTS, _people(seen))
    ticket = await tickets.lock(tx, ticket_id)
    if seen["item_id"] is not None:
        await tx.conn.execute(sql.LOCK_ITEM, seen["item_id"])
    now = await tx.conn.fetchrow(sql.TICKET_WORK, ticket_id)
    if now is None or ticket is None:
        return
    if now["item_id"] != seen["item_id"] or not set(_people(now)) <= set(_people(seen)):
        raise TicketIsMoving
    if not now["is_work"]:
        await _end(tx, now)
    elif now["item_id"] is None:
        await _enter(tx, ticket, now["assignee_id"])
    else:
        await _follow(tx, now)


def _people(row: Any) -> list[int]:
    return [agent_id for agent_id in (row["agent_id"], row["assignee_id"]) if agent_id is not None]


async def _end(tx: Tx, row: Any) -> None:
    had = row["agent_id"]
    await cancel_timer(tx, service.STEP_TIMER, row["item_id"])
    await tx.conn.execute(sql.END_STINT, row["item_id"], "closed", tx.now)
    reason = WITHDRAWN if had is None else HANDLED
    await tx.conn.execute(sql.SET_ITEM, row["item_id"], ItemState.DONE, reason, tx.now)
    if had is not None:
        await _give_back(tx, had)


async def _enter(tx: Tx, ticket: TicketRow, assignee_id: int | None) -> None:
    """Into the line, where the rules say; or to whom it is assigned already."""
    if await tx.conn.fetchval(sql.LOCK_TICKET_QUEUE, ticket.queue) is None:
        raise TicketIsMoving  # the queue has just become one of calls, or is gone
    facts = await tickets.facts_of(tx.conn, ticket)
    rules, facts = await service.rules_and_facts(tx, facts, Channel.TICKET, ticket.queue, tx.now)
    rule = rules.first_match(facts)
    queue = ticket.queue
    if rule.then.queue is not None and assignee_id is None:
        queue = await tx.conn.fetchval(sql.LOCK_TICKET_QUEUE, rule.then.queue) or queue
    kept = {name: value for name, value in facts.items() if value is not None}
    row = await tx.conn.fetchrow(
        sql.ADD_ITEM, None, ticket.id, queue, rule.then.tier, rule.then.boost_s, tx.now, list(rule.then.steps),
        rule.name, rules.version, kept, None, None, None, False,
    )  # fmt: skip
    assert row is not None
    if queue is not None and queue != ticket.queue:
        await tickets.set_queue(tx, ticket.id, queue, actor=SYSTEM)
    if assignee_id is not None:
        await _take(tx, row["id"], assignee_id)
    else:
        await tell_queued(tx, WorkItemId(row["id"]), row["version"], row["pool_id"], row["queue"], None)


async def _follow(tx: Tx, row: Any) -> None:
    """It is work and was: of the same line, of the same person?"""
    item_id, had, has = row["item_id"], row["agent_id"], row["assignee_id"]
    if row["item_queue"] != row["queue"]:
        if await tx.conn.fetchval(sql.LOCK_TICKET_QUEUE, row["queue"]) is None:
            raise TicketIsMoving
        if had is None:
            await tx.conn.execute(sql.END_STINT, item_id, "transferred_out", tx.now)
        await tx.conn.execute(sql.MOVE_ITEM, item_id, row["queue"])
        if had is None:
            await tx.conn.execute(sql.ADD_STINT, item_id, tx.now)
    elif had == has:
        return
    if had is not None and had != has:
        await _give_back(tx, had)
    if has is not None and had != has:
        await _take(tx, item_id, has)
    if has is None:
        if had is not None:
            await tx.conn.execute(sql.UNASSIGN_ITEM, item_id)
            await tx.conn.execute(sql.ADD_STINT, item_id, tx.now)
        await tx.conn.execute(sql.SET_NEXT_LOOK, item_id, tx.now)
        item = await tx.conn.fetchrow(sql.LOCK_ITEM, item_id)
        assert item is not None
        await tell_queued(tx, WorkItemId(item_id), item["version"], item["pool_id"], item["queue"], None)


async def _take(tx: Tx, item_id: int, agent_id: int) -> None:
    """A person has given it to them, over capacity if need be."""
    await cancel_timer(tx, service.STEP_TIMER, item_id)
    await tx.conn.execute(sql.END_STINT, item_id, "answered", tx.now)
    await tx.conn.execute(sql.ASSIGN_BY_HAND, item_id, agent_id)


async def _give_back(tx: Tx, agent_id: int) -> None:
    await tx.conn.execute(sql.GIVE_BACK_TICKET, agent_id)
    await service.tell_freed(tx, agent_id)


async def assign(
    tx: Tx,
    proposals: Sequence[Proposal],
    found: Sequence[Sequence[AgentVerdict]],
    held: Mapping[TicketId, TicketRow],
    *,
    has_more: bool = False,
) -> int:
    """What a pass decided: agents, tickets (`held`) and items are locked, each agent has room. Returns how many."""
    for proposal in proposals:
        await cancel_timer(tx, service.STEP_TIMER, proposal.item.id)
        await tx.conn.execute(sql.END_STINT, proposal.item.id, "answered", tx.now)
        await tickets.give(tx, held[proposal.item.ticket_id], proposal.agent_id)
        log.info("ticket assigned", item=proposal.item.id, agent=proposal.agent_id)
    if proposals:
        await tx.conn.execute(
            sql.ASSIGN_ITEMS, [p.item.id for p in proposals], [AgentId(p.agent_id) for p in proposals], tx.now
        )
        await keep_decisions(tx, proposals, [None] * len(proposals), found, has_more=has_more)
    return len(proposals)
