"""Calls that a telephone system (PBX) queues and connects: what it does becomes offers, so that desks, capacity and figures are the same.

What decides. Their items never wait for a pass of the dispatcher (`ItemState.EXTERNAL`): nothing we choose could be connected. A telephone that
rings is an offer to its agent if somebody sits at the desk; who answers has accepted it, whatever their presence, even if their
telephone never rang here: talking is a fact. Like a person's push this may go over capacity, which is given back with the call.
Locks as everywhere: call, agents by id, item, offers. The call is held by who publishes the events.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from core.errors import NotFound
from core.events import CallRang, CallRingEnded, CallTaken
from core.ids import AgentId, OfferId
from core.principal import Principal, Role
from infra.outbox import Tx
from routing import queries as sql
from routing import service
from routing.decide import explain
from routing.model import RING_S, AgentView, ByHand, ItemState, OfferState, Proposal
from routing.offering import make_offers

RINGS_IN: Final = (ItemState.EXTERNAL, ItemState.OFFERING)
MARGIN: Final = timedelta(seconds=5)
"""Longer than a transaction: what rings for less is as good as over."""


async def on_rang(tx: Tx, event: CallRang) -> None:
    """Inline: the desks of these agents show who is calling. Who is offline, or has no desk open, is not shown anything."""
    item = await tx.conn.fetchrow(sql.ITEM_OF_CALL, event.call_id)
    if item is None:
        return
    await tx.conn.execute(sql.LOCK_AGENTS, event.agent_ids)
    item = await tx.conn.fetchrow(sql.LOCK_ITEM, item["id"])
    if item is None or item["state"] not in RINGS_IN:
        return
    agents = [sql.agent_of(row) for row in await tx.conn.fetch(sql.AT_THE_DESK, event.agent_ids)]
    asked = {offer.agent_id for offer in await sql.open_offers_of_item(tx.conn, work_item_id=item["id"])}
    await _ring(tx, item["id"], [agent for agent in agents if agent.id not in asked], event.connection)


async def on_ring_ended(tx: Tx, event: CallRingEnded) -> None:
    """Inline: these telephones have stopped; no miss, since the telephone system decides whom it rings next."""
    item = await tx.conn.fetchrow(sql.ITEM_OF_CALL, event.call_id)
    if item is None:
        return
    await tx.conn.execute(sql.LOCK_AGENTS, event.agent_ids)
    for offer in await sql.open_offers_of_item(tx.conn, work_item_id=item["id"]):
        if offer.agent_id in event.agent_ids:
            await service.take_back(tx, offer_id=offer.id, reason="no_answer")


async def on_taken(tx: Tx, event: CallTaken) -> None:
    """Inline: this agent talks, or somebody unknown; whose telephones rang beside it are told so."""
    item = await tx.conn.fetchrow(sql.ITEM_OF_CALL, event.call_id)
    if item is None:
        return
    offers = await sql.open_offers_of_item(tx.conn, work_item_id=item["id"])
    agent_ids = {offer.agent_id for offer in offers} | ({event.agent_id} if event.agent_id is not None else set())
    await tx.conn.execute(sql.LOCK_AGENTS, sorted(agent_ids))
    item = await tx.conn.fetchrow(sql.LOCK_ITEM, item["id"])
    who = None if event.agent_id is None else await _principal(tx, event.agent_id)
    if item is None or item["state"] not in RINGS_IN:
        return
    if who is None:
        await _taken_elsewhere(tx, item, event.at)
    else:
        offer_id = await _offer_to(tx, item, who, event.connection)
        await service.accept(tx, offer_id=offer_id, who=who, at_phone=True)


async def _taken_elsewhere(tx: Tx, item: Any, at: datetime) -> None:
    for offer in await sql.open_offers_of_item(tx.conn, work_item_id=item["id"]):
        await service.take_back(tx, offer_id=offer.id, reason="taken")
    await tx.conn.execute(sql.END_STINT, item["id"], "answered", at)


async def _offer_to(tx: Tx, item: Any, who: Principal, connection: str) -> OfferId:
    """The one that rings there, else a new one. The agent and the item are locked."""
    for offer in await sql.open_offers_of_item(tx.conn, work_item_id=item["id"]):
        if offer.agent_id == who.user_id and offer.state is OfferState.PENDING:
            if offer.deadline > tx.now + MARGIN:
                return offer.id
            await service.offer_timed_out(tx, offer.id, offer.version)
    row = await tx.conn.fetchrow(sql.AGENT_IN_MIND, who.user_id)
    if row is None:
        raise NotFound("There is no such agent.")
    (offer_id,) = await _ring(tx, item["id"], [sql.agent_of(row)], connection)
    return offer_id


async def _ring(tx: Tx, item_id: int, agents: Sequence[AgentView], connection: str) -> list[OfferId]:
    """Over capacity by this unit, if need be: the telephone rings in any case."""
    if not agents:
        return []
    detail = await tx.conn.fetchrow(sql.ITEM_DETAIL, item_id, None)
    item = replace(sql.item_of(detail), offer_timeout_s=RING_S)
    verdicts = explain(item, agents, tx.now, chosen={agent.id for agent in agents})
    for agent in agents:
        await tx.conn.execute(sql.MAKE_ROOM, agent.id)
    proposals = [Proposal(item, agent.id, 0, f"{ByHand.PBX}:{connection}") for agent in agents]
    return await make_offers(tx, proposals, [verdicts] * len(proposals))


async def _principal(tx: Tx, agent_id: AgentId) -> Principal | None:
    row = await tx.conn.fetchrow(sql.PRINCIPAL, agent_id)
    return None if row is None else Principal(row["id"], Role(row["role"]), row["name"], row["email"])
