"""Warm transfer: the agent speaks with a colleague, or a number outside, before the call goes there, or comes back to the customer.

What decides. Being consulted is work: an item of its own, about the call, which is placed like any other (in a queue by that queue's rules and as old
as the call; at an agent at once, as a person's push), so offers, deadlines, capacity and desks are what they are elsewhere. Its stay in a queue counts
nowhere: no customer waits in it. The call's own item stays with the agent who has the call until the consultation is *completed*: then, in one transaction, that
agent wraps up and the colleague's accepted offer becomes one of the call's item; at no moment have two the call, or nobody.
Locks: call, agents by id, ticket, items by id.
"""

from datetime import timedelta
from typing import Any, Final

from accounts.audit import audit
from core.events import ConsultEnded, ConsultOrphaned
from core.ids import CallId, OfferId, WorkItemId
from core.principal import SYSTEM, Actor, Principal, actor_of
from cti import consult, hold, outside, recording
from cti import queries as calls
from cti import service as telephony
from cti.consult import Consult, ConsultNotReady, ConsultOver
from cti.lines import Lines
from cti.model import Call, HandedOn, TakenOver
from infra.outbox import Tx
from routing import by_hand, service
from routing import queries as sql
from routing.line import tell_queued
from routing.model import ByHand, Channel, ItemState, OfferState
from routing.transfer import Target, grouped, tell, unknown, willing
from ticketing import service as tickets

BEGIN: Final = "call.consult"
COMPLETE: Final = "call.consult_complete"
END: Final = "call.consult_end"
NOT_THE_ASKER: Final = timedelta(days=1)
AT_ONCE: Final = [{"after_s": 0}]


async def begin(tx: Tx, *, call_id: CallId, to: Target, note: str | None, who: Principal, lines: Lines) -> Consult:
    """The customer goes on hold, the target is asked. Raises NotFound, NotInCall, AtThePhone, ConsultUnderWay, Invalid, CannotTake, NotAllowedOutside."""
    call = await hold.in_hand(tx, call_id=call_id, who=who)
    await consult.refuse_while_open(tx, call)
    item = await tx.conn.fetchrow(sql.ITEM_OF_CALL, call.id)
    if item is None or call.offer_id is None:
        raise hold.NotInCall
    await tx.conn.execute(sql.LOCK_AGENTS, sorted({who.user_id} | ({to.agent_id} if to.agent_id else set())))
    await tx.conn.fetchrow(sql.LOCK_ITEM, item["id"])
    number, agent = None, None
    if to.queue is not None:
        if await tx.conn.fetchrow(sql.LOCK_QUEUE, to.queue) is None:
            raise unknown("queue", "there is no such queue of calls")
    elif to.agent_id is not None:
        agent = await willing(tx, item["id"], to.agent_id, who)
    else:
        number = await outside.allowed_number(tx, to.number or "", lines.of(call.our_number).region)
    row = await tx.conn.fetchrow(
        calls.ADD_CONSULT, call.id, call.offer_id, who.user_id, to.kind, to.queue, to.agent_id, number, note or None, tx.now
    )  # fmt: skip
    assert row is not None
    asked = Consult(**dict(row))
    held = await hold.set_hold(tx, call_id=call.id, who=who, is_held=True)
    held = await consult.tell(tx, held, asked)
    if number is not None:
        await telephony.intend(tx, held, f"consult_{asked.id}", "consult_dial", {"consult_id": asked.id})
    else:
        made = await _consulted_item(tx, item, to, asked)
        if agent is not None:
            about = sql.item_of(await tx.conn.fetchrow(sql.ITEM_DETAIL, made["id"], None))
            found, _ = by_hand.hindrance(about, agent, tx.now, None)
            await by_hand.offer_to(tx, about, agent, made["pool_id"], found, f"{ByHand.CONSULT}:{who.name}")
        else:
            await tx.conn.execute(sql.EXCLUDE, made["id"], who.user_id, tx.now + NOT_THE_ASKER, "consults")
            await tell_queued(tx, WorkItemId(made["id"]), made["version"], made["pool_id"], made["queue"], call.id)
    await audit(
        tx, actor_of(who), BEGIN, "call", call.id,
        after={"consult_id": asked.id, "to": to.kind, "queue": to.queue, "agent_id": to.agent_id},
    )  # fmt: skip
    return asked


async def _consulted_item(tx: Tx, item: Any, to: Target, asked: Consult) -> Any:
    """In a queue by what its rules say of this call now; for an agent nothing is asked for."""
    known = await tx.conn.fetchrow(sql.FACTS_OF_ITEM, item["id"])
    assert known is not None
    queue, steps, tier = item["queue"], AT_ONCE, known["tier"]
    rules, facts = await service.rules_and_facts(
        tx, grouped({**known["facts"], "call.queue": to.queue or item["queue"]}), Channel.VOICE, queue, tx.now
    )
    rule = rules.first_match(facts)
    if to.queue is not None:
        queue = to.queue
        if rule.then.queue in (None, queue):
            steps, tier = list(rule.then.steps), max(tier, rule.then.tier)
    made = await tx.conn.fetchrow(
        sql.ADD_CONSULTED_ITEM, item["id"], queue, tier, steps, known["rule"], tx.now, rules.version
    )
    assert made is not None
    await tx.conn.execute(calls.CONSULT_ITEM, asked.id, made["id"])
    await tx.conn.execute(sql.SET_NEXT_LOOK, made["id"], tx.now)
    return made


async def complete(tx: Tx, *, call_id: CallId, who: Principal) -> tuple[Call, Consult]:
    """The call is whose it was spoken about with; repeating a success is one. Raises NotFound, ConsultNotReady, ConsultOver, and what `in_hand` does."""
    call = await calls.lock_call(tx.conn, call_id=call_id)
    asked = await consult.last_of(tx, call_id=call_id, agent_id=who.user_id)
    if call is not None and asked is not None and asked.from_agent_id == who.user_id and asked.outcome == "completed":
        return call, asked
    call = await hold.in_hand(tx, call_id=call_id, who=who)
    if asked is None or not asked.is_open:
        raise ConsultOver("There is none." if asked is None else f"It ended: {asked.outcome}.")
    if asked.state != "talking":
        raise ConsultNotReady
    return await _hand_over(tx, call, asked, actor_of(who)), asked


async def _hand_over(tx: Tx, call: Call, asked: Consult, by: Actor) -> Call:
    item = await tx.conn.fetchrow(sql.ITEM_OF_CALL, call.id)
    assert item is not None
    together = {call.agent_id, asked.with_agent_id} - {None}
    await tx.conn.execute(sql.LOCK_AGENTS, sorted(together))  # type: ignore[type-var]
    ticket = await tickets.lock_of_call(tx, call.id)
    await _lock_items(tx, item["id"], asked.work_item_id)
    item = await tx.conn.fetchrow(sql.LOCK_ITEM, item["id"])
    offer = await sql.offer_by_id(tx.conn, offer_id=asked.offer_id)
    assert item is not None
    if offer is None or offer.state is not OfferState.ACCEPTED:
        raise hold.NotInCall
    transfer_id = await tx.conn.fetchval(
        calls.ADD_TRANSFER, call.id, offer.id, asked.from_agent_id, asked.to_kind, asked.to_queue, asked.to_agent_id,
        asked.to_number, None, tx.now,
    )  # fmt: skip
    await consult.complete(tx, call, asked)
    call = await calls.lock_call(tx.conn, call_id=call.id) or call
    if asked.with_agent_id is None or asked.with_offer_id is None:
        call = await telephony.apply(tx, call, HandedOn(OfferId(offer.id), transfer_id, is_outside=True))
        await tx.conn.fetchval(sql.SET_ITEM, item["id"], ItemState.WRAPPING, None, None)
        await service.wrap_up(tx, offer)
        await telephony.intend(tx, call, f"consult_{asked.id}", "bring_together", {"consult_id": asked.id})
    else:
        await service.start_wrap_up(tx, offer)
        await tx.conn.fetchval(sql.GIVE_OFFER_TO_ITEM, asked.with_offer_id, item["id"], asked.work_item_id)
        await _end_item(tx, asked.work_item_id, "completed")
        if asked.to_queue is not None:
            await recording.served_by(tx, call, asked.to_queue)
        call = await telephony.apply(
            tx, call, TakenOver(OfferId(offer.id), asked.with_agent_id, asked.with_offer_id, tx.now)
        )
        await tx.conn.execute(calls.END_TRANSFER, transfer_id, "taken", tx.now)
        await service.complete_if_no_wrap_up(tx, offer)
        if asked.to_queue is not None and ticket is not None and ticket.queue == item["queue"] != asked.to_queue:
            await tickets.set_queue(tx, ticket.id, asked.to_queue, actor=by)
    await tell(tx, call, transfer_id, by=asked.from_agent_id, to=asked.to_kind)
    await audit(
        tx, by, COMPLETE, "call", call.id,
        after={"consult_id": asked.id, "transfer_id": transfer_id, "agent_id": asked.with_agent_id, "state": call.state.value},
    )  # fmt: skip
    return call


async def end(tx: Tx, *, call_id: CallId, who: Principal) -> tuple[Call, Consult]:
    """Back to the customer, by who asked; out of it, by who was asked. Over already: nothing changes. Raises NotFound."""
    call = await calls.lock_call(tx.conn, call_id=call_id)
    asked = await consult.last_of(tx, call_id=call_id, agent_id=who.user_id)
    if call is None or asked is None:
        raise consult.NoConsult
    if asked.is_open:
        is_asker = asked.from_agent_id == who.user_id
        call = await consult.end(tx, call, asked, "returned" if is_asker else "left")
        asked = await consult.last_of(tx, call_id=call_id, agent_id=who.user_id) or asked
        await audit(tx, actor_of(who), END, "call", call.id, after={"consult_id": asked.id, "outcome": asked.outcome})
    return call, asked


# --- what telephony says ----------------------------------------------------------------------------------------------


async def on_ended(tx: Tx, event: ConsultEnded) -> None:
    """Inline: whoever rings is asked no more, whoever talks is free, without a miss and without wrap-up. All who have a part in the call are
    locked here, in order, because what ends the consultation may be about to end the call."""
    about = await tx.conn.fetch(sql.OPEN_OFFERS_ABOUT_CALL, event.call_id)
    await tx.conn.execute(sql.LOCK_AGENTS, sorted({row["agent_id"] for row in about}))
    await _lock_items(tx, *(row["work_item_id"] for row in about), event.work_item_id)
    offers = await sql.open_offers_of_item(tx.conn, work_item_id=event.work_item_id)
    await service.end_offers(tx, offers, OfferState.CANCELED, "consult_over")
    await _end_item(tx, event.work_item_id, event.outcome)


async def on_orphaned(tx: Tx, event: ConsultOrphaned) -> None:
    """Inline: who asked is lost, who was asked is there, and has the call from now on."""
    call = await calls.lock_call(tx.conn, call_id=event.call_id)
    asked = await consult.open_of(tx, event.call_id)
    if call is not None and asked is not None and asked.id == event.consult_id:
        await _hand_over(tx, call, asked, SYSTEM)


async def _lock_items(tx: Tx, *item_ids: int | None) -> None:
    await tx.conn.execute(sql.LOCK_ITEMS, sorted({item_id for item_id in item_ids if item_id is not None}))


async def _end_item(tx: Tx, item_id: int | None, reason: str) -> None:
    item = None if item_id is None else await tx.conn.fetchrow(sql.LOCK_ITEM, item_id)
    if item is not None and item["state"] != ItemState.DONE:
        await service.cancel_step(tx, item["id"])
        await tx.conn.execute(sql.END_STINT, item["id"], "closed", tx.now)
        await tx.conn.fetchval(sql.SET_ITEM, item["id"], ItemState.DONE, reason, tx.now)
