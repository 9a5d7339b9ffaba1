"""Use cases of routing. Each takes the open Tx; locks are taken in one order: call, agents by id, ticket, work item,
offers.

What decides. A work item leaves the line only through `accept`, an end of its call, or an explicit act. An offer holds its agent's
unit from creation; the transaction that ends the offer gives it back. Accept is a compare-and-set on (pending, before the deadline by the
database's clock); the unique index on accepted offers is the last word. Agent intervals are derived after each change.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from accounts.audit import audit
from core.errors import Conflict, Forbidden, Invalid, NotFound
from core.events import (
    AgentFreed,
    AgentPresenceChanged,
    CallAnswered,
    CallAttached,
    CallCameBack,
    CallConnectFailed,
    CallEnded,
    CallRequeued,
    ConsultDeclined,
    OfferAccepted,
    OfferEnded,
    TicketBound,
    WorkWithdrawn,
    WrapUpEnded,
    WrapUpStarted,
)
from core.ids import AgentId, CallId, OfferId, WorkItemId
from core.principal import SYSTEM, Principal
from cti import queries as calls
from cti.model import UNDONE, CallerLeft
from infra.outbox import Tx, publish
from infra.telemetry import metrics
from infra.timers import cancel_timer, set_timer
from routing import life, overflow, re_evaluate
from routing import queries as sql
from routing.line import tell_queued
from routing.model import (
    CHOOSABLE,
    LEASE_S,
    SECOND_THOUGHT_S,
    SET_BY_ENGINE,
    AnswerAtPhone,
    Channel,
    DispositionRequired,
    ItemState,
    OfferExpired,
    OfferRow,
    OfferState,
    PresenceState,
)
from routing.rules import RuleSet, compile_rules, misfits
from routing.sticky import whom
from ticketing import service as tickets

log = structlog.get_logger()

OFFER_TIMER: Final = "routing.offer"
STEP_TIMER: Final = "routing.step"
WRAP_TIMER: Final = "routing.wrap_up"
COOLDOWN_TIMER: Final = "routing.cool_down"

AT_RECORDER: Final = "voicemail"
"""Why the item of a caller at the recorder ended."""
COMPILED_KEPT: Final = 8
_compiled: dict[tuple[int, datetime], RuleSet] = {}


async def _rules_in_force(tx: Tx, version: int | None, created_at: datetime | None) -> RuleSet:
    """Versions are immutable, so compiled ones are kept. The time tells a version from one that was rolled back."""
    if version is None or created_at is None:
        return compile_rules(0, [{"name": "default", "then": {}}])
    found = _compiled.get((version, created_at))
    if found is None:
        row = await tx.conn.fetchrow(sql.RULE_SET, version)
        found = compile_rules(version, [] if row is None else row["rules"])
        if len(_compiled) >= COMPILED_KEPT:
            _compiled.clear()
        _compiled[(version, created_at)] = found
    return found


# --- into the line ----------------------------------------------------------------------------------------------------


async def enqueue(tx: Tx, event: TicketBound) -> None:
    """Inline reaction: the rules see call, ticket, customer and time; the item takes its place in the resulting queue.

    A new ticket takes that queue too, an attached one keeps its own."""
    said = {**event.facts, "call": {**(event.facts.get("call") or {}), "queue": event.queue}}
    rules, facts = await rules_and_facts(tx, said, Channel.VOICE, event.queue, event.entered_at)
    facts["customer.match"] = event.match
    rule = rules.first_match(facts)
    queue = await _lock_queue(tx, rule.then.queue, event.queue)
    steps = list(rule.then.steps)
    sticky = rule.then.sticky
    sticky_agent = None
    if sticky is not None:
        sticky_agent = await whom(
            tx.conn, sticky, customer_id=event.customer_id, ticket_id=event.ticket_id, entered_at=event.entered_at
        )
    kept = {name: value for name, value in facts.items() if value is not None}  # for the dry run of other rules
    row = await tx.conn.fetchrow(
        sql.ADD_ITEM, event.call_id, event.ticket_id, queue["key"], rule.then.tier, rule.then.boost_s, event.entered_at, steps,
        rule.name, rules.version, kept, sticky_agent, sticky and sticky.wait_s, sticky and sticky.if_away,
        event.is_external,
    )  # fmt: skip
    if row is None:
        return  # this call has its work item already
    if event.is_new and queue["key"] != event.queue:
        await tickets.set_queue(tx, event.ticket_id, queue["key"], actor=SYSTEM)
    if event.is_external:
        return  # whom it rings, and when it lets go of the caller, is for its telephone system to say
    pool, key, version = row["pool_id"], row["queue"], row["version"]
    if overflow.may_overflow(queue):
        item = overflow.Waiting(WorkItemId(row["id"]), event.call_id, event.ticket_id, 0.0, takes_ticket=event.is_new)
        if (waits_in := await overflow.settle(tx, item, queue)) is None:
            return
        if waits_in != key:
            moved = await tx.conn.fetchrow(sql.LOCK_ITEM, row["id"])
            assert moved is not None
            pool, key, version = moved["pool_id"], moved["queue"], moved["version"]
    await tell_queued(tx, WorkItemId(row["id"]), version, pool, key, event.call_id)


async def rules_and_facts(
    tx: Tx, said: Mapping[str, Any], channel: Channel, queue: str | None, at: datetime
) -> tuple[RuleSet, dict[str, Any]]:
    """The rules in force, and what they may ask about: `said` by group, the channel, and the time there is in the queue's zone."""
    now = await tx.conn.fetchrow(sql.RULES_IN_FORCE, queue, at)
    assert now is not None
    rules = await _rules_in_force(tx, now["version"], now["created_at"])
    facts = _flatten(said)
    facts["work.channel"] = channel.value
    facts["time.weekday"], facts["time.clock"] = now["weekday"], now["clock"]
    for name in misfits(facts):
        log.warning("a fact has another type than rules expect", field=name)
    return rules, facts


async def _lock_queue(tx: Tx, *wanted: str | None) -> Any:
    """The first of these that exists, else the first queue there is: rules may outlive a queue, a caller is never turned away."""
    for key in wanted:
        if key and (found := await tx.conn.fetchrow(sql.LOCK_QUEUE, key)) is not None:
            return found
    first = await tx.conn.fetchrow(sql.FIRST_QUEUE)
    if first is None:
        raise Conflict("There is no queue; apply an org.yaml first.")
    return first


def _flatten(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{group}.{name}": value for group, fields in facts.items() for name, value in (fields or {}).items()}


async def step_opened(tx: Tx, work_item_id: int, _: int) -> None:
    """Timer: a wider step is in force, somebody may be asked again, or the item is kept for nobody any more. Wake the pool and set the next one."""
    row = await tx.conn.fetchrow(sql.ITEM_DETAIL, work_item_id, None)
    if row is None or row["state"] not in (ItemState.QUEUED, ItemState.OFFERING):
        return
    await tx.conn.execute(sql.SET_NEXT_LOOK, work_item_id, tx.now)
    if row["state"] == ItemState.QUEUED:
        await tell_queued(tx, WorkItemId(row["id"]), 0, row["pool_id"], row["queue"], row["call_id"])


# --- answers to an offer ------------------------------------------------------------------------------------------------


async def accept(tx: Tx, *, offer_id: int, who: Principal, at_phone: bool = False) -> OfferRow:
    """The agent takes the call. Raises OfferTaken, OfferExpired, OfferRescinded, CallerLeft; repeating a success is one.

    `at_phone`: a telephone system says so; what it connects is accepted nowhere else (AnswerAtPhone)."""
    offer = await _my_offer(tx, offer_id, who)
    if offer.is_external and not at_phone and offer.state is OfferState.PENDING:
        raise AnswerAtPhone
    if offer.call_id is not None:
        call = await calls.lock_call(tx.conn, call_id=offer.call_id)
        if call is None or (call.is_over and offer.state is OfferState.PENDING):
            raise CallerLeft
    rivals = [o for o in await sql.open_offers_of_item(tx.conn, work_item_id=offer.work_item_id) if o.id != offer.id]
    await tx.conn.execute(sql.LOCK_AGENTS, [offer.agent_id, *(o.agent_id for o in rivals)])
    item = await tx.conn.fetchrow(sql.LOCK_ITEM, offer.work_item_id)
    offer = await _my_offer(tx, offer_id, who)
    if offer.state in (OfferState.ACCEPTED, OfferState.WRAPPING, OfferState.COMPLETED):
        return offer
    _refuse_late(offer, item)
    version = await tx.conn.fetchval(sql.ACCEPT_OFFER, offer.id, tx.now)
    if version is None:
        raise OfferExpired
    tx.on_commit.append(metrics.offers.labels("accepted").inc)
    item_version = await tx.conn.fetchval(sql.SET_ITEM, offer.work_item_id, ItemState.ASSIGNED, None, None)
    await cancel_timer(tx, OFFER_TIMER, offer.id)
    await cancel_timer(tx, STEP_TIMER, offer.work_item_id)
    pending = [o for o in rivals if o.state is OfferState.PENDING]
    await end_offers(tx, pending, OfferState.RESCINDED, "taken", by=offer.agent_id)
    await publish(
        tx,
        OfferAccepted(
            offer_id=offer.id,
            work_item_id=offer.work_item_id,
            agent_id=offer.agent_id,
            queue=offer.queue,
            version=version,
            call_id=offer.call_id,
        ),
    )
    await tx.conn.execute(sql.REFRESH_INTERVALS, [offer.agent_id], tx.now)
    log.info("offer accepted", offer=offer.id, agent=offer.agent_id, item_version=item_version)
    accepted = await sql.offer_by_id(tx.conn, offer_id=offer.id)
    assert accepted is not None
    return accepted


async def _my_offer(tx: Tx, offer_id: int, who: Principal) -> OfferRow:
    offer = await sql.offer_by_id(tx.conn, offer_id=offer_id)
    if offer is None or offer.agent_id != who.user_id:
        raise NotFound("There is no such offer of yours.")
    return offer


def _refuse_late(offer: OfferRow, item: Any) -> None:
    refusal = life.refusal(offer.state, offer.reason, None if item is None else item["state"])
    if refusal is not None:
        raise refusal


async def reject(tx: Tx, *, offer_id: int, who: Principal, reason: str | None = None) -> OfferRow:
    """The agent declines: the item keeps its place, this agent is not asked for it again for a while."""
    offer = await _my_offer(tx, offer_id, who)
    if offer.is_external and offer.state is OfferState.PENDING:
        raise AnswerAtPhone
    await _lock(tx, [offer])
    offer = await _my_offer(tx, offer_id, who)
    if offer.state is OfferState.REJECTED:
        return offer
    if offer.state is not OfferState.PENDING:
        item = await tx.conn.fetchrow(sql.LOCK_ITEM, offer.work_item_id)
        _refuse_late(offer, item)
    settings = await _settings(tx, offer)
    await exclude(tx, offer, settings["reject_s"], "rejected")
    await end_offers(tx, [offer], OfferState.REJECTED, reason or "rejected")
    await _back_in_line(tx, offer)
    return (await sql.offer_by_id(tx.conn, offer_id=offer.id)) or offer


async def offer_timed_out(tx: Tx, offer_id: int, _: int) -> None:
    """Timer: nobody answered. A miss; after so many in a row as the queue allows the agent is not responding until a person says
    otherwise. Before that only this item goes elsewhere for a while.

    Who has no connection just then has not missed anything: the offer could not be seen."""
    offer = await sql.offer_by_id(tx.conn, offer_id=offer_id)
    if offer is None or offer.state is not OfferState.PENDING:
        return
    await _lock(tx, [offer])
    offer = await sql.offer_by_id(tx.conn, offer_id=offer_id)
    if offer is None or offer.state is not OfferState.PENDING:
        return
    agent = await tx.conn.fetchrow(sql.AGENT, offer.agent_id)
    if not life.is_missed(None if agent is None else agent["presence"]):
        await _give_back(tx, [offer])
        return
    if offer.is_external:  # nobody told that the telephone has stopped; it is not for us to call that a miss
        await end_offers(tx, [offer], OfferState.RESCINDED, "no_answer")
        await _back_in_line(tx, offer)
        return
    await end_offers(tx, [offer], OfferState.TIMEOUT, "no_answer")
    settings = await _settings(tx, offer)
    misses = await tx.conn.fetchval(sql.ADD_MISS, offer.agent_id)
    is_benched = life.is_benched(misses, settings["misses_before_not_responding"])
    seconds = settings["no_answer_s"]
    await exclude(tx, offer, seconds if seconds is not None or is_benched else SECOND_THOUGHT_S, "no_answer")
    is_away = agent is not None and agent["presence"] != PresenceState.AVAILABLE  # it was pushed to somebody on a break
    if is_benched and not is_away:
        await _change_presence(tx, offer.agent_id, PresenceState.NOT_RESPONDING, "missed_offer", by="system")
    await _back_in_line(tx, offer)


async def _settings(tx: Tx, offer: OfferRow) -> Any:
    """Of the offer's queue. Queues are switched off, never deleted."""
    settings = await tx.conn.fetchrow(sql.QUEUE_SETTINGS, offer.queue)
    assert settings is not None
    return settings


async def exclude(tx: Tx, offer: OfferRow, seconds: int | None, reason: str) -> None:
    """This agent is not asked for this item for so long."""
    if seconds:
        until = tx.now + timedelta(seconds=seconds)
        await tx.conn.execute(sql.EXCLUDE, offer.work_item_id, offer.agent_id, until, reason)


async def _lock_ticket(tx: Tx, offers: Sequence[OfferRow]) -> None:
    """Of a call that somebody has accepted: its note goes there, and at the end of wrap-up its result. It comes before the item."""
    for call_id in sorted({o.call_id for o in offers if o.call_id is not None and o.state is OfferState.ACCEPTED}):
        await tickets.lock_of_call(tx, call_id)


async def _lock(tx: Tx, offers: Sequence[OfferRow]) -> None:
    await tx.conn.execute(sql.LOCK_AGENTS, [o.agent_id for o in offers])
    await _lock_ticket(tx, offers)
    for item_id in sorted({o.work_item_id for o in offers}):
        await tx.conn.execute(sql.LOCK_ITEM, item_id)


async def end_offers(
    tx: Tx, offers: Sequence[OfferRow], state: OfferState, reason: str, *, by: AgentId | None = None
) -> None:
    """End pending (or accepted, unconnected) offers: units back, intervals, events. The agents are locked."""
    if not offers:
        return
    rows = await tx.conn.fetch(sql.END_OFFERS, [o.id for o in offers], state.value, reason, by, tx.now)
    ended = {row["id"]: row for row in rows}
    gone = [o for o in offers if o.id in ended]
    agents = [o.agent_id for o in gone]
    await tx.conn.execute(sql.FREE_AGENTS, agents, [o.units for o in gone], [False] * len(gone), tx.now)
    for offer in gone:
        tx.on_commit.append(metrics.offers.labels(state.value).inc)
        await cancel_timer(tx, OFFER_TIMER, offer.id)
        await publish(
            tx,
            OfferEnded(
                offer_id=offer.id,
                work_item_id=offer.work_item_id,
                agent_id=offer.agent_id,
                queue=offer.queue,
                pool=offer.pool_id,
                outcome=state.value,
                reason=reason,
                version=ended[offer.id]["version"],
                by_agent_id=by,
                call_id=offer.call_id,
            ),
        )
    await tx.conn.execute(sql.REFRESH_INTERVALS, agents, tx.now)
    for agent_id in sorted({o.agent_id for o in gone if o.state is OfferState.ACCEPTED}):
        await _apply_next(tx, agent_id, by="system")


async def _back_in_line(tx: Tx, offer: OfferRow) -> None:
    """The item waits again, in its old place, once nobody is being asked for it and nobody has it."""
    states = [o.state for o in await sql.open_offers_of_item(tx.conn, work_item_id=offer.work_item_id)]
    item = await tx.conn.fetchrow(sql.LOCK_ITEM, offer.work_item_id)
    if item is None or not life.waits_again(item["state"], states):
        return
    await wait_again(tx, item)


async def wait_again(tx: Tx, item: Any) -> None:
    """Queued in its old place, or where it was sent meanwhile by other rules; back with its telephone system, if that places it."""
    if item["is_external"]:
        await tx.conn.fetchval(sql.SET_ITEM, item["id"], ItemState.EXTERNAL, None, None)
        return
    if item["consulted_call_id"] is not None and await _is_declined(tx, item):
        return
    version = await tx.conn.fetchval(sql.SET_ITEM, item["id"], ItemState.QUEUED, None, None)
    moved = await re_evaluate.back_in_line(tx, item["id"])
    if moved is not None:
        item, version = moved, moved["version"]
    else:
        await tx.conn.execute(sql.ADD_STINT, item["id"], tx.now)  # there is one, unless somebody had answered
        await tx.conn.execute(sql.SET_NEXT_LOOK, item["id"], tx.now)
    await tell_queued(tx, WorkItemId(item["id"]), version, item["pool_id"], item["queue"], item["call_id"])


async def _is_declined(tx: Tx, item: Any) -> bool:
    """An agent was to be consulted, nobody else: that is over. Their colleague hears of it once the call, which comes first in the order of locks,
    can be locked. Somebody of a queue may still be found."""
    asked = await tx.conn.fetchrow(calls.CONSULT_OF_ITEM, item["id"])
    if asked is not None and asked["to_kind"] == "queue":
        return False
    await tx.conn.execute(sql.END_STINT, item["id"], "closed", tx.now)
    await tx.conn.fetchval(sql.SET_ITEM, item["id"], ItemState.DONE, "declined", tx.now)
    if asked is not None:
        await publish(tx, ConsultDeclined(call_id=CallId(asked["call_id"]), consult_id=asked["id"]))
    return True


async def _give_back(tx: Tx, offers: Sequence[OfferRow]) -> None:
    """The agent is gone: what still rang there goes to others, without a miss. The agent is locked, `offers` was read since."""
    pending = [offer for offer in offers if offer.state is OfferState.PENDING]
    for offer in pending:
        await _lock(tx, [offer])
        await end_offers(tx, [offer], OfferState.RESCINDED, "agent_left")
        await _back_in_line(tx, offer)


async def take_back(tx: Tx, *, offer_id: int, reason: str) -> bool:
    """A person takes back what still rings; the item waits again, in its old place. False when it does not ring any more."""
    offer = await sql.offer_by_id(tx.conn, offer_id=offer_id)
    if offer is None:
        return False
    await _lock(tx, [offer])
    offer = await sql.offer_by_id(tx.conn, offer_id=offer_id)
    if offer is None or offer.state is not OfferState.PENDING:
        return False
    await end_offers(tx, [offer], OfferState.RESCINDED, reason)
    await _back_in_line(tx, offer)
    return True


async def on_call_attached(tx: Tx, event: CallAttached) -> None:
    """Inline: a person moved the call to another ticket; its work item is about that one now. The tickets are locked, which
    nobody asks for who holds a work item."""
    await tx.conn.execute(sql.FOLLOW_CALL, event.call_id, event.ticket_id)


# --- what telephony says --------------------------------------------------------------------------------------------------


async def on_call_answered(tx: Tx, event: CallAnswered) -> None:
    """Inline: caller and agent talk; the stint is answered."""
    item = await tx.conn.fetchrow(sql.ITEM_OF_CALL, event.call_id)
    if item is None:
        return
    await tx.conn.execute(sql.END_STINT, item["id"], "answered", event.at)
    for offer in await sql.open_offers_of_item(tx.conn, work_item_id=item["id"]):
        if offer.state is OfferState.ACCEPTED:
            await tx.conn.execute(sql.CONNECT_OFFER, offer.id, event.at)


async def on_connect_failed(tx: Tx, event: CallConnectFailed) -> None:
    """Inline: the accepted offer is over, the item back in its place. The agent is not asked again at once, for nothing: a phone that
    did not come to this call would not come to the next. Who undoes taking a call has a phone as good as before."""
    offer = await sql.offer_by_id(tx.conn, offer_id=event.offer_id)
    if offer is None or offer.state is not OfferState.ACCEPTED:
        return
    await _lock(tx, [offer])
    if event.reason != UNDONE:
        settings = await _settings(tx, offer)
        await exclude(tx, offer, settings["busy_s"], event.reason)
        until = tx.now + timedelta(seconds=settings["busy_s"])
        await tx.conn.execute(sql.COOL_DOWN, offer.agent_id, until)
        await set_timer(tx, COOLDOWN_TIMER, offer.agent_id, version=0, due_at=until)
    await end_offers(tx, [offer], OfferState.CANCELED, event.reason)
    await _back_in_line(tx, offer)


async def cooled_down(tx: Tx, agent_id: int, _: int) -> None:
    """Timer: the agent may be asked again; the pool looks."""
    agent = await tx.conn.fetchrow(sql.AGENT, agent_id)
    if agent is not None:
        await _tell_freed(tx, agent)


async def on_call_requeued(tx: Tx, event: CallRequeued) -> None:
    """Inline: the agent vanished in mid-call, or gave it back. The agent gets wrap-up, the caller waits again with the old virtual start."""
    item = await tx.conn.fetchrow(sql.ITEM_OF_CALL, event.call_id)
    if item is None:
        return
    for offer in await sql.open_offers_of_item(tx.conn, work_item_id=item["id"]):
        if offer.state is OfferState.ACCEPTED:
            await _lock(tx, [offer])
            await wrap_up(tx, offer)
    await wait_again(tx, item)


async def on_call_came_back(tx: Tx, event: CallCameBack) -> None:
    """Inline: nobody outside took the call that an agent had sent there; the caller waits again with the old virtual start."""
    item = await tx.conn.fetchrow(sql.ITEM_OF_CALL, event.call_id)
    if item is not None:
        await tx.conn.execute(sql.LOCK_ITEM, item["id"])
        await wait_again(tx, item)


async def lock_with_offers(tx: Tx, item_id: int) -> list[OfferRow]:
    """The item and who has an open offer of it, in the order of locks; the offers as they are then. The call is held already."""
    offers = await sql.open_offers_of_item(tx.conn, work_item_id=item_id)
    await tx.conn.execute(sql.LOCK_AGENTS, [offer.agent_id for offer in offers])
    await _lock_ticket(tx, offers)
    await tx.conn.execute(sql.LOCK_ITEM, item_id)
    return list(await sql.open_offers_of_item(tx.conn, work_item_id=item_id))


async def on_call_ended(tx: Tx, event: CallEnded) -> None:
    """Inline: pending offers are withdrawn without a miss, a conversation goes into wrap-up, the stint gets its outcome."""
    item = await tx.conn.fetchrow(sql.ITEM_OF_CALL, event.call_id)
    if item is None or item["end_reason"] == AT_RECORDER:
        return  # who went to the recorder has left the line already
    offers = await lock_with_offers(tx, item["id"])
    end = life.call_end(event.outcome, offers, is_outbound=item["is_outbound"])
    await end_offers(tx, end.withdrawn, OfferState.CANCELED, "caller_left")
    for offer in end.talking:
        await start_wrap_up(tx, offer)
    await cancel_timer(tx, STEP_TIMER, item["id"])
    await tx.conn.execute(sql.END_STINT, item["id"], end.stint, event.at)
    version = await tx.conn.fetchval(sql.SET_ITEM, item["id"], end.state, end.reason, tx.now)
    for offer in end.talking:
        await complete_if_no_wrap_up(tx, offer)
    if end.state is not ItemState.WRAPPING:
        await publish(
            tx,
            WorkWithdrawn(
                work_item_id=WorkItemId(item["id"]),
                version=version,
                pool=item["pool_id"],
                queue=item["queue"],
                reason=end.reason or "",
                call_id=event.call_id,
            ),
        )


# --- wrap-up ----------------------------------------------------------------------------------------------------------------


TIMED: Final = frozenset({"timed", "timed_fixed", "on_request"})


async def start_wrap_up(tx: Tx, offer: OfferRow) -> None:
    """The conversation of this accepted offer is over. Where the queue has no wrap-up, `complete_if_no_wrap_up` follows."""
    settings = await _settings(tx, offer)
    ends_at = tx.now + timedelta(seconds=settings["wrap_s"]) if settings["wrap_mode"] in TIMED else None
    is_fixed = settings["wrap_mode"] == "timed_fixed"
    version = await tx.conn.fetchval(sql.WRAP_OFFER, offer.id, tx.now, ends_at, is_fixed)
    if version is None:
        return
    if ends_at is not None:
        await set_timer(tx, WRAP_TIMER, offer.id, version=version, due_at=ends_at)
    await tx.conn.execute(sql.REFRESH_INTERVALS, [offer.agent_id], tx.now)
    await publish(
        tx,
        WrapUpStarted(
            offer_id=offer.id, agent_id=offer.agent_id, version=version, ends_at=ends_at, call_id=offer.call_id
        ),
    )


async def wrap_up(tx: Tx, offer: OfferRow) -> None:
    """The conversation of this accepted offer is over, the call may go on with somebody else. Agent and item are locked."""
    await start_wrap_up(tx, offer)
    await complete_if_no_wrap_up(tx, offer)


async def cancel_step(tx: Tx, item_id: int) -> None:
    """Nobody is looked for any more."""
    await cancel_timer(tx, STEP_TIMER, item_id)


async def complete_if_no_wrap_up(tx: Tx, offer: OfferRow) -> None:
    mode = (await _settings(tx, offer))["wrap_mode"]
    if mode == "none" or (mode == "on_request" and not offer.wrap_requested):
        await _complete(tx, offer.id, disposition=None, by="system")


async def finish_wrap_up(tx: Tx, *, call_id: int, who: Principal, disposition: str | None) -> str:
    """Save the disposition; when the conversation is over, the agent is free, unless this queue's wrap-up has a fixed time.

    Returns where it stands: in_call, wrapping, closed. Raises DispositionRequired where the queue asks for a result."""
    await calls.lock_call(tx.conn, call_id=CallId(call_id))
    row = await tx.conn.fetchrow(sql.OPEN_OFFER_OF_CALL, call_id, who.user_id)
    if row is None:
        raise NotFound("You have no open call with this id.")
    offer = sql.offer_of(row)
    if offer.state is OfferState.ACCEPTED:
        await tx.conn.execute(sql.SAVE_DISPOSITION, offer.id, disposition)
        return "in_call"
    mode = (await _settings(tx, offer))["wrap_mode"]
    if mode == "timed_fixed" and offer.wrap_ends_at is not None:
        await tx.conn.execute(sql.SAVE_DISPOSITION, offer.id, disposition)
        return "wrapping"
    is_open = mode == "manual" and disposition is None and offer.disposition is None
    # Where there is none to choose from, nobody is kept waiting for one.
    if is_open and await tx.conn.fetchval(sql.HAS_DISPOSITIONS, offer.queue):
        raise DispositionRequired("Choose a result to finish.")
    await _complete(tx, offer.id, disposition=disposition, by="agent")
    return "closed"


async def wrap_up_timed_out(tx: Tx, offer_id: int, _: int) -> None:
    """Timer: wrap-up ends on the server even if nobody returns. A missing disposition blocks nobody.

    A timer that is being run cannot be moved (see `wrap_up.extend`), so whatever runs is the last word."""
    offer = await sql.offer_by_id(tx.conn, offer_id=offer_id)
    if offer is None or offer.state is not OfferState.WRAPPING:
        return
    if offer.call_id is not None:
        await calls.lock_call(tx.conn, call_id=offer.call_id)
    await _complete(tx, offer.id, disposition=None, by="system")


async def wrap_up_overdue(tx: Tx, offer_id: int, version: int) -> None:
    """The sweep found a wrap-up past its end; it may have been extended since."""
    offer = await sql.offer_by_id(tx.conn, offer_id=offer_id)
    if offer is None:
        return
    if offer.call_id is not None:
        await calls.lock_call(tx.conn, call_id=offer.call_id)
    offer = await sql.offer_by_id(tx.conn, offer_id=offer_id)
    if offer is not None and offer.wrap_ends_at is not None and offer.wrap_ends_at <= tx.now:
        await wrap_up_timed_out(tx, offer_id, version)


async def _complete(tx: Tx, offer_id: OfferId, *, disposition: str | None, by: str) -> None:
    offer = await sql.offer_by_id(tx.conn, offer_id=offer_id)
    if offer is None:
        return
    await tx.conn.execute(sql.LOCK_AGENTS, [offer.agent_id])
    if offer.call_id is not None:
        await tickets.lock_of_call(tx, offer.call_id)  # the note and the result go there; it comes before the item
    await tx.conn.execute(sql.LOCK_ITEM, offer.work_item_id)
    completed = await tx.conn.fetchrow(sql.COMPLETE_OFFER, offer.id, disposition, tx.now)
    if completed is None:
        return
    await cancel_timer(tx, WRAP_TIMER, offer.id)
    await tx.conn.execute(sql.FREE_AGENTS, [offer.agent_id], [offer.units], [True], tx.now)
    item = await tx.conn.fetchrow(sql.LOCK_ITEM, offer.work_item_id)
    others = await sql.open_offers_of_item(tx.conn, work_item_id=offer.work_item_id)
    if item is not None and item["state"] == ItemState.WRAPPING and not others:
        await tx.conn.execute(sql.SET_ITEM, offer.work_item_id, ItemState.DONE, "answered", tx.now)
    await tx.conn.execute(sql.REFRESH_INTERVALS, [offer.agent_id], tx.now)
    await publish(
        tx,
        WrapUpEnded(
            offer_id=offer.id,
            agent_id=offer.agent_id,
            version=completed["version"],
            disposition=completed["disposition"],
            is_default=completed["disposition_is_default"],
            by=by,
            call_id=offer.call_id,
        ),
    )
    if await _apply_next(tx, offer.agent_id, by=by):
        return
    agent = await tx.conn.fetchrow(sql.AGENT, offer.agent_id)
    if agent is not None:
        await _tell_freed(tx, agent)
        await _tell_presence(tx, agent, by=by)


async def tell_freed(tx: Tx, agent_id: int) -> None:
    """Something of what the agent had at hand is done: the pool looks, if the agent may get more."""
    agent = await tx.conn.fetchrow(sql.AGENT, agent_id)
    if agent is not None:
        await _tell_freed(tx, agent)


async def _tell_freed(tx: Tx, agent: Any) -> None:
    if agent["pool_id"] is not None and agent["presence"] == PresenceState.AVAILABLE:
        await publish(tx, AgentFreed(agent_id=AgentId(agent["id"]), version=agent["version"], pool=agent["pool_id"]))


# --- presence ---------------------------------------------------------------------------------------------------------------


AT_WORK: Final = frozenset({"in_call", "wrapping"})


async def set_presence(
    tx: Tx,
    *,
    agent_id: int,
    state: str,
    reason: str | None,
    by: str,
    ends_wrap_up: bool = False,
    at_once: bool = False,
) -> None:
    """A person chooses, for themselves or, as a supervisor, for somebody. `break` needs no reason but keeps one.

    Presence and work are two things: what is chosen during a call or wrap-up cuts neither short. It is kept, told to the agent,
    and applied at the end of the work; until then no more work comes. That holds for a supervisor too. Choosing what is in force
    takes the choice back, and choosing available is at once for who was set aside by the engine. Going away while an offer rings
    gives it back without a miss. `ends_wrap_up`: the agents themselves, who end an optional wrap-up by choosing available; no agent may
    be locked yet. `at_once`: for who is an agent no longer."""
    try:
        wanted = PresenceState(state)
    except ValueError:
        wanted = PresenceState.UNREACHABLE
    if wanted not in CHOOSABLE:
        raise Invalid("Choose available, break or offline.", errors=[{"field": "state", "message": "not choosable"}])
    is_back = wanted is PresenceState.AVAILABLE
    optional = await _lock_optional_wrap_ups(tx, agent_id) if is_back and ends_wrap_up else []
    await tx.conn.execute(sql.LOCK_AGENTS, [agent_id])
    if not is_back:
        await _give_back(tx, await sql.live_offers_of_agent(tx.conn, agent_id=agent_id))
    if optional:
        await tx.conn.execute(sql.SET_NEXT_PRESENCE, agent_id, None, None)
    for offer_id in optional:
        await _complete(tx, offer_id, disposition=None, by="agent")
    agent = await tx.conn.fetchrow(sql.AGENT, agent_id)
    if agent is None:
        raise NotFound("There is no such agent.")
    reason = None if is_back else reason
    if agent["work"] in AT_WORK and not at_once and not (is_back and agent["presence"] in SET_BY_ENGINE):
        await _choose_next(tx, agent, wanted, reason, by=by)
        return
    if agent["next_presence"] is not None:
        await tx.conn.execute(sql.SET_NEXT_PRESENCE, agent_id, None, None)
    await _change_presence(tx, AgentId(agent_id), wanted, reason, by=by)


async def _lock_optional_wrap_ups(tx: Tx, agent_id: int) -> list[OfferId]:
    """Wrap-ups that end by choosing available. Their calls are locked, which comes before the agent."""
    rows = await tx.conn.fetch(sql.OPTIONAL_WRAP_UPS, agent_id)
    for call_id in sorted({row["call_id"] for row in rows if row["call_id"] is not None}):
        await calls.lock_call(tx.conn, call_id=CallId(call_id))
    return [OfferId(row["id"]) for row in rows]


async def _choose_next(tx: Tx, agent: Any, state: PresenceState, reason: str | None, *, by: str) -> None:
    is_in_force = (agent["presence"], agent["presence_reason"]) == (state, reason)
    await _set_next(tx, agent, (None, None) if is_in_force else (state.value, reason), by=by)


async def _set_next(tx: Tx, agent: Any, wanted: tuple[str | None, str | None], *, by: str) -> None:
    if wanted == (agent["next_presence"], agent["next_reason"]):
        return
    await tx.conn.execute(sql.SET_NEXT_PRESENCE, agent["id"], *wanted)
    await _tell_presence(tx, await tx.conn.fetchrow(sql.AGENT, agent["id"]), by=by)


async def _apply_next(tx: Tx, agent_id: AgentId, *, by: str) -> bool:
    """Work has ended: what was chosen meanwhile comes into force, and is told. The agent's row is locked."""
    agent = await tx.conn.fetchrow(sql.AGENT, agent_id)
    if agent is None or agent["next_presence"] is None or agent["work"] in AT_WORK:
        return False
    await tx.conn.execute(sql.SET_NEXT_PRESENCE, agent_id, None, None)
    state = PresenceState(agent["next_presence"])
    if (state, agent["next_reason"]) == (agent["presence"], agent["presence_reason"]):
        return False
    if state is PresenceState.AVAILABLE and not agent["is_connected"]:
        return False  # nobody is there to be available; what the engine found out meanwhile stands
    await _change_presence(tx, agent_id, state, agent["next_reason"], by=by)
    return True


async def restore_presence(
    tx: Tx,
    *,
    agent_id: int,
    state: PresenceState,
    reason: str | None,
    following: tuple[str | None, str | None],
    by: str,
) -> None:
    """Put back what somebody has changed a moment ago, what only the engine sets included; the idle clock has not noticed.
    `following`: what was chosen for the end of work, with its reason.

    Who was reconnecting and has come back meanwhile is available."""
    await tx.conn.execute(sql.LOCK_AGENTS, [agent_id])
    agent = await tx.conn.fetchrow(sql.AGENT, agent_id)
    if state is PresenceState.RECONNECTING and agent is not None and agent["is_connected"]:
        state = PresenceState.AVAILABLE
    if state is not PresenceState.AVAILABLE:
        await _give_back(tx, await sql.live_offers_of_agent(tx.conn, agent_id=agent_id))
    await _change_presence(tx, AgentId(agent_id), state, reason, by=by, resets_idle=False)
    agent = await tx.conn.fetchrow(sql.AGENT, agent_id)
    if agent is not None and agent["work"] in AT_WORK:
        await _set_next(tx, agent, following, by=by)


async def _change_presence(
    tx: Tx, agent_id: AgentId, state: PresenceState, reason: str | None, *, by: str, resets_idle: bool = True
) -> None:
    """The agent's row is locked."""
    agent = await tx.conn.fetchrow(sql.AGENT, agent_id)
    if agent is None:
        raise NotFound("There is no such agent.")
    if agent["presence"] == state and agent["presence_reason"] == reason:
        return
    await tx.conn.fetchrow(sql.SET_PRESENCE, agent_id, state.value, reason, tx.now, resets_idle)
    await tx.conn.execute(sql.REFRESH_INTERVALS, [agent_id], tx.now)
    agent = await tx.conn.fetchrow(sql.AGENT, agent_id)
    await _tell_presence(tx, agent, by=by)
    if state is PresenceState.AVAILABLE:
        await _tell_freed(tx, agent)


async def _tell_presence(tx: Tx, agent: Any, *, by: str) -> None:
    await publish(
        tx,
        AgentPresenceChanged(
            agent_id=AgentId(agent["id"]),
            version=agent["version"],
            state=agent["presence"],
            reason=agent["presence_reason"],
            next=agent["next_presence"],
            pool=agent["pool_id"],
            by=by,
        ),
    )


async def desk_connected(tx: Tx, *, agent_id: int, replica: str, sid: str) -> None:
    """A desk's socket is there: a lease; who was reconnecting is back where they were."""
    await tx.conn.execute(sql.LOCK_AGENTS, [agent_id])
    await tx.conn.execute(sql.CONNECT, replica, sid, agent_id, LEASE_S)
    agent = await tx.conn.fetchrow(sql.AGENT, agent_id)
    if agent is None:
        raise Forbidden("This user is not an agent.")
    if not await _back_from_reconnecting(tx, agent):
        await _tell_freed(tx, agent)


async def _back_from_reconnecting(tx: Tx, agent: Any) -> bool:
    """Whose connection is there again is where they were, with the clock they had."""
    if agent["presence"] != PresenceState.RECONNECTING:
        return False
    await _change_presence(tx, AgentId(agent["id"]), PresenceState.AVAILABLE, None, by="system", resets_idle=False)
    return True


async def agent_is_lost(tx: Tx, *, agent_id: int, offer_grace_s: float, reconnect_grace_s: float) -> None:
    """The sweep found an agent without a live socket, or one who was and has it again. A pending offer lives on for `offer_grace_s`, presence for
    `reconnect_grace_s`; both count from the moment the last lease ended."""
    await tx.conn.execute(sql.LOCK_AGENTS, [agent_id])
    agent = await tx.conn.fetchrow(sql.AGENT, agent_id)
    if agent is None:
        return
    if agent["is_connected"]:
        await _back_from_reconnecting(tx, agent)
        return
    seen = await tx.conn.fetchval(sql.LAST_SEEN, agent_id)
    then = life.absence(
        PresenceState(agent["presence"]),
        (tx.now - agent["presence_since"]).total_seconds(),
        None if seen is None else (tx.now - seen).total_seconds(),
        offer_grace_s=offer_grace_s,
        reconnect_grace_s=reconnect_grace_s,
    )
    if then.gives_back:
        await _give_back(tx, await sql.live_offers_of_agent(tx.conn, agent_id=agent_id))
    if then.presence is not None:
        await _change_presence(tx, AgentId(agent_id), then.presence, then.reason, by="system")


async def expire_skills(tx: Tx) -> None:
    """Skills whose day has passed are taken from their agents, each with a row in the audit log."""
    for row in await tx.conn.fetch(sql.EXPIRE_SKILLS):
        await audit(tx, SYSTEM, "agent.skills_expired", "agent", row["id"], before={"skills": row["gone"]})
        log.info("skills ended", agent=row["id"], skills=row["gone"])
