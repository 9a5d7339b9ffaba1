"""The rules of `routing.service`, `routing.acts` and the routing half of `cti.service`, said again over the store in memory.

What the product decides by pure functions is decided by the same ones here (`routing.life`, `routing.model`, `routing.rules`,
`cti.model.advance`). Order of statements and of locks is the product's: call, agents by id, work item, offers.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from core.errors import Conflict, NotFound, VersionConflict
from core.ids import AgentId, CallId, OfferId
from core.phone import Number, NumberKind
from cti.model import (
    AgentJoined,
    AgentLeft,
    AgentLost,
    Call,
    CallerGone,
    CallerJoined,
    CallerLeft,
    CallEvent,
    CallState,
    ConnectFailed,
    Connecting,
    Happened,
    Queued,
    WrapUpDone,
    advance,
)
from cti.service import AGENT_GONE_GRACE_S, AGENT_GONE_TIMER, CONNECT_TIMEOUT_S, CONNECT_TIMER
from routing import life, model
from routing.acts import TooLateToUndo
from routing.model import (
    OFFER_GRACE_S,
    RECONNECT_GRACE_S,
    SECOND_THOUGHT_S,
    SET_BY_ENGINE,
    ItemState,
    NotWaiting,
    OfferExpired,
    OfferState,
    PresenceState,
    steps_of,
)
from routing.rules import RuleSet
from routing.service import AT_WORK, COOLDOWN_TIMER, OFFER_TIMER, STEP_TIMER, TIMED, WRAP_TIMER
from tests.sim.store import (
    FOREVER,
    OPEN,
    Act,
    Agent,
    Desk,
    Exclusion,
    Item,
    Leg,
    Offer,
    Queue,
    Ranking,
    Steps,
    Timer,
    Tx,
)

AVAILABLE: Final = PresenceState.AVAILABLE


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


# --- small statements ------------------------------------------------------------------------------------------------------


def change(tx: Tx, agent_id: int, **fields: object) -> Agent:
    agent = tx.row(tx.store.agents, agent_id)
    changed = agent._replace(version=agent.version + 1, **fields)  # type: ignore[arg-type]
    tx.put(tx.store.agents, agent_id, changed)
    return changed


def set_item(tx: Tx, item_id: int, state: ItemState, reason: str | None = None) -> Item:
    item = tx.row(tx.store.items, item_id)
    ended_at = None if reason is None else tx.now
    moved = item._replace(state=state, version=item.version + 1, end_reason=reason, ended_at=ended_at)
    tx.put(tx.store.items, item_id, moved)
    return moved


def set_offer(tx: Tx, offer: Offer, **fields: object) -> Offer:
    moved = offer._replace(version=offer.version + 1, **fields)  # type: ignore[arg-type]
    tx.put(tx.store.offers, offer.id, moved)
    return moved


def open_offers(tx: Tx, item_id: int) -> list[Offer]:
    found = [tx.row(tx.store.offers, offer_id) for offer_id in tx.store.offers_of_item[item_id]]
    return [offer for offer in found if offer.state in OPEN]


def live_offers(tx: Tx, agent_id: int) -> list[Offer]:
    found = [tx.row(tx.store.offers, offer_id) for offer_id in sorted(tx.store.open_of_agent[agent_id])]
    return [offer for offer in found if offer.state in OPEN]


def set_timer(tx: Tx, kind: str, object_id: int, timer: Timer) -> Steps[None]:
    """An upsert: it waits for whoever has the row."""
    yield from tx.lock_one(("timers", (kind, object_id)))
    tx.put(tx.store.timers, (kind, object_id), timer)


def cancel_timer(tx: Tx, kind: str, object_id: int) -> None:
    """Never waits: a runner that has it finds the object moved on."""
    key = (kind, object_id)
    if tx.get(tx.store.timers, key) is not None and tx.try_lock(("timers", key)):
        tx.put(tx.store.timers, key, None)


def set_next_look(tx: Tx, item_id: int) -> Steps[None]:
    """The step in force, and when this item may find somebody without anything else happening."""
    yield from tx.lock(tx.store.items, [item_id])
    item = tx.row(tx.store.items, item_id)
    step = model.step_at(item.steps, (tx.now - item.entered_at).total_seconds())
    if step != item.step and item.state in (ItemState.QUEUED, ItemState.OFFERING):
        tx.put(tx.store.items, item_id, item.in_step(step))
    due = [item.entered_at + seconds(s.after_s) for s in item.steps[step + 1 : step + 2]]
    for agent_id in tx.store.excluded_from[item_id] | {
        key[1] for name, key in tx.writes if name == "exclusions" and key[0] == item_id
    }:
        excluded = tx.get(tx.store.exclusions, (item_id, agent_id))
        if excluded is not None and excluded.until > tx.now:
            due.append(excluded.until)
    if due:
        yield from set_timer(tx, STEP_TIMER, item_id, Timer(0, min(due)))


def exclude(tx: Tx, item_id: int, agent_id: int, for_s: float | None, reason: str) -> None:
    if for_s:
        tx.put(tx.store.exclusions, (item_id, agent_id), Exclusion(tx.now + seconds(for_s), reason))


def settings(tx: Tx, offer: Offer) -> Queue:
    return tx.row(tx.store.queues, offer.queue)


def work_of(tx: Tx, agent: Agent) -> str:
    if agent.used_units == 0:
        return "idle"
    states = {offer.state for offer in live_offers(tx, agent.id)}
    if OfferState.WRAPPING in states:
        return "wrapping"
    if OfferState.ACCEPTED in states:
        return "in_call"
    return "offered" if OfferState.PENDING in states else "idle"


# --- into the line -----------------------------------------------------------------------------------------------------------


def claim(tx: Tx, key: str) -> Steps[bool]:
    """True when this webhook is new. A simultaneous twin waits here for the first one's transaction."""
    yield from tx.lock_one(("claims", key))
    if tx.get(tx.store.claims, key):
        return False
    tx.put(tx.store.claims, key, True)
    return True


def incoming(tx: Tx, key: str, call_id: int, queue: str, digits: str, rules: RuleSet) -> Steps[None]:
    if not (yield from claim(tx, key)):
        return
    call = Call(
        id=CallId(call_id), account_sid="AC0", sid=f"CA{call_id}", caller=Number(NumberKind.E164, digits, digits),
        to_number=queue, language="en", queue=None, state=CallState.RECEIVED, outcome=None, agent_id=None, offer_id=None,
        agent_joined=False, caller_joined=False, ended_by=None, version=1, created_at=tx.now, queued_at=None,
        answered_at=None, ended_at=None,
    )  # fmt: skip
    tx.put(tx.store.calls, call_id, call)
    is_gone = tx.get(tx.store.claims, f"gone {call_id}")
    call = yield from apply(tx, call, Queued(queue, tx.now), rules)
    if is_gone:
        yield from apply(tx, call, CallerGone(tx.now))


def enqueue(tx: Tx, call: Call, rules: RuleSet) -> None:
    rule = rules.first_match({"call.from": call.caller.value, "call.queue": call.queue})
    queue = tx.row(tx.store.queues, rule.then.queue or call.queue)
    if tx.store.item_of_call.get(call.id) is not None:
        return
    entered_at = call.queued_at or tx.now
    steps = steps_of([dict(step) for step in rule.then.steps])
    item = Item(
        tx.store.next_id(), call.id, queue.key, queue.pool, ItemState.QUEUED, rule.then.tier, rule.then.boost_s, entered_at,
        entered_at - seconds(rule.then.boost_s), steps, rule.name, rules.version,
    )  # fmt: skip
    tx.put(tx.store.items, item.id, item)
    if len(steps) > 1:
        tx.put(tx.store.timers, (STEP_TIMER, item.id), Timer(0, entered_at + seconds(steps[1].after_s)))
    tx.wakes.append(item.pool)


def step_opened(tx: Tx, item_id: int, _: int) -> Steps[None]:
    item = tx.get(tx.store.items, item_id)
    if item is None or item.state not in (ItemState.QUEUED, ItemState.OFFERING):
        return
    yield from set_next_look(tx, item_id)
    if item.state is ItemState.QUEUED:
        tx.wakes.append(item.pool)


# --- answers to an offer -------------------------------------------------------------------------------------------------------


def my_offer(tx: Tx, offer_id: int, agent_id: int) -> Offer:
    offer = tx.get(tx.store.offers, offer_id)
    if offer is None or offer.agent_id != agent_id:
        raise NotFound("There is no such offer of yours.")
    return offer


def refuse_late(offer: Offer, item: Item) -> None:
    refusal = life.refusal(offer.state, offer.reason, item.state)
    if refusal is not None:
        raise refusal


def accept(tx: Tx, offer_id: int, agent_id: int) -> Steps[Offer]:
    offer = my_offer(tx, offer_id, agent_id)
    yield from tx.lock(tx.store.calls, [offer.call_id])
    call = tx.get(tx.store.calls, offer.call_id)
    if call is None or (call.is_over and offer.state is OfferState.PENDING):
        raise CallerLeft
    rivals = [o for o in open_offers(tx, offer.work_item_id) if o.id != offer.id]
    yield from tx.lock(tx.store.agents, [offer.agent_id, *(o.agent_id for o in rivals)])
    yield from tx.lock(tx.store.items, [offer.work_item_id])
    item = tx.row(tx.store.items, offer.work_item_id)
    offer = my_offer(tx, offer_id, agent_id)
    if offer.state in (OfferState.ACCEPTED, OfferState.WRAPPING, OfferState.COMPLETED):
        return offer
    refuse_late(offer, item)
    offer = win(tx, offer)
    yield
    set_item(tx, offer.work_item_id, ItemState.ASSIGNED)
    cancel_timer(tx, OFFER_TIMER, offer.id)
    cancel_timer(tx, STEP_TIMER, offer.work_item_id)
    pending = [o for o in rivals if o.state is OfferState.PENDING]
    yield from end_offers(tx, pending, OfferState.RESCINDED, "taken", by=agent_id)
    yield from apply(tx, call, Connecting(offer.agent_id, OfferId(offer.id)))
    tx.after.append(("connect", offer.call_id, offer.id))
    return offer


def win(tx: Tx, offer: Offer) -> Offer:
    """Compare and set, by the clock of the statement; the unique index on accepted offers is the last word."""
    if offer.deadline <= tx.store.now:
        raise OfferExpired
    if any(o.state is OfferState.ACCEPTED for o in open_offers(tx, offer.work_item_id)):
        raise Conflict("one_accepted_offer")
    return set_offer(tx, offer, state=OfferState.ACCEPTED, accepted_clock=tx.store.now)


def lock_offers(tx: Tx, offers: Sequence[Offer]) -> Steps[None]:
    yield from tx.lock(tx.store.agents, [o.agent_id for o in offers])
    yield from tx.lock(tx.store.items, [o.work_item_id for o in offers])


def reject(tx: Tx, offer_id: int, agent_id: int) -> Steps[Offer]:
    offer = my_offer(tx, offer_id, agent_id)
    yield from lock_offers(tx, [offer])
    offer = my_offer(tx, offer_id, agent_id)
    if offer.state is OfferState.REJECTED:
        return offer
    refuse_late(offer, tx.row(tx.store.items, offer.work_item_id))
    exclude(tx, offer.work_item_id, agent_id, settings(tx, offer).reject_s, "rejected")
    yield from end_offers(tx, [offer], OfferState.REJECTED, "rejected")
    yield from back_in_line(tx, offer)
    return offer


def offer_timed_out(tx: Tx, offer_id: int, _: int) -> Steps[None]:
    offer = tx.get(tx.store.offers, offer_id)
    if offer is None or offer.state is not OfferState.PENDING:
        return
    yield from lock_offers(tx, [offer])
    offer = tx.row(tx.store.offers, offer_id)
    if offer.state is not OfferState.PENDING:
        return
    presence = tx.row(tx.store.agents, offer.agent_id).presence
    if not life.is_missed(presence):
        yield from give_back(tx, [offer])
        return
    yield from end_offers(tx, [offer], OfferState.TIMEOUT, "no_answer")
    misses = tx.row(tx.store.agents, offer.agent_id).misses + 1
    change(tx, offer.agent_id, misses=misses)
    queue = settings(tx, offer)
    is_benched = life.is_benched(misses, queue.misses_before_not_responding)
    for_s = queue.no_answer_s if queue.no_answer_s is not None or is_benched else SECOND_THOUGHT_S
    exclude(tx, offer.work_item_id, offer.agent_id, for_s, "no_answer")
    if is_benched and presence is AVAILABLE:
        change_presence(tx, offer.agent_id, PresenceState.NOT_RESPONDING, "missed_offer")
    yield from back_in_line(tx, offer)


def end_offers(
    tx: Tx, offers: Sequence[Offer], state: OfferState, reason: str, *, by: int | None = None
) -> Steps[None]:
    """End pending (or accepted, unconnected) offers: units back. The agents are locked."""
    for known in offers:
        offer = tx.row(tx.store.offers, known.id)
        if offer.state not in (OfferState.PENDING, OfferState.ACCEPTED):
            continue
        set_offer(tx, offer, state=state, reason=reason, by_agent_id=by, ended_at=max(tx.now, offer.created_at))
        free_agent(tx, offer, resets_idle=False)
        cancel_timer(tx, OFFER_TIMER, offer.id)
        tx.wakes.append(offer.pool_id)
    if offers:
        yield
    for agent_id in sorted({o.agent_id for o in offers if o.state is OfferState.ACCEPTED}):
        apply_next(tx, agent_id)


def free_agent(tx: Tx, offer: Offer, *, resets_idle: bool) -> None:
    agent = tx.row(tx.store.agents, offer.agent_id)
    used = agent.used_units - offer.units
    change(
        tx, agent.id, used_units=used, idle_since=tx.now if resets_idle else agent.idle_since,
        misses=0 if resets_idle else agent.misses, over_by=min(agent.over_by, max(0, used - agent.total_units)),
    )  # fmt: skip


def back_in_line(tx: Tx, offer: Offer) -> Steps[None]:
    item = tx.row(tx.store.items, offer.work_item_id)
    if not life.waits_again(item.state, [o.state for o in open_offers(tx, offer.work_item_id)]):
        return
    yield from wait_again(tx, item.id)


def wait_again(tx: Tx, item_id: int) -> Steps[None]:
    yield from tx.lock(tx.store.items, [item_id])
    item = set_item(tx, item_id, ItemState.QUEUED)
    yield from set_next_look(tx, item_id)
    tx.wakes.append(item.pool)


def give_back(tx: Tx, offers: Sequence[Offer]) -> Steps[None]:
    for offer in offers:
        if offer.state is OfferState.PENDING:
            yield from lock_offers(tx, [offer])
            yield from end_offers(tx, [offer], OfferState.RESCINDED, "agent_left")
            yield from back_in_line(tx, offer)


# --- wrap-up -------------------------------------------------------------------------------------------------------------------


def start_wrap_up(tx: Tx, offer: Offer) -> Steps[None]:
    offer = tx.row(tx.store.offers, offer.id)
    if offer.state is not OfferState.ACCEPTED:
        return
    queue = settings(tx, offer)
    ends_at = tx.now + seconds(queue.wrap_s) if queue.wrap_mode in TIMED else None
    offer = set_offer(tx, offer, state=OfferState.WRAPPING, wrap_ends_at=ends_at)
    if ends_at is not None:
        yield from set_timer(tx, WRAP_TIMER, offer.id, Timer(offer.version, ends_at))


def complete_if_no_wrap_up(tx: Tx, offer: Offer) -> Steps[None]:
    mode = settings(tx, offer).wrap_mode
    if mode == "none" or (mode == "on_request" and not offer.wrap_requested):
        yield from complete(tx, offer.id)


def finish_wrap_up(tx: Tx, call_id: int, agent_id: int) -> Steps[str]:
    yield from tx.lock(tx.store.calls, [call_id])
    item_id = tx.store.item_of_call.get(call_id)
    mine = [] if item_id is None else [o for o in open_offers(tx, item_id) if o.agent_id == agent_id]
    mine = [o for o in mine if o.state is not OfferState.PENDING]
    if not mine:
        raise NotFound("You have no open call with this id.")
    if mine[-1].state is OfferState.ACCEPTED:
        tx.put(tx.store.offers, mine[-1].id, mine[-1]._replace(disposition="sale"))
        return "in_call"
    if settings(tx, mine[-1]).wrap_mode == "timed_fixed" and mine[-1].wrap_ends_at is not None:
        tx.put(tx.store.offers, mine[-1].id, mine[-1]._replace(disposition="sale"))
        return "wrapping"
    yield from complete(tx, mine[-1].id)
    return "closed"


def wrap_up_timed_out(tx: Tx, offer_id: int, _: int) -> Steps[None]:
    offer = tx.get(tx.store.offers, offer_id)
    if offer is None or offer.state is not OfferState.WRAPPING:
        return
    yield from tx.lock(tx.store.calls, [offer.call_id])
    yield from complete(tx, offer_id)


def complete(tx: Tx, offer_id: int) -> Steps[None]:
    offer = tx.row(tx.store.offers, offer_id)
    yield from lock_offers(tx, [offer])
    offer = tx.row(tx.store.offers, offer_id)
    if offer.state is not OfferState.WRAPPING:
        return
    set_offer(tx, offer, state=OfferState.COMPLETED, ended_at=tx.now)
    cancel_timer(tx, WRAP_TIMER, offer.id)
    free_agent(tx, offer, resets_idle=True)
    yield
    if tx.row(tx.store.items, offer.work_item_id).state is ItemState.WRAPPING and not open_offers(
        tx, offer.work_item_id
    ):
        set_item(tx, offer.work_item_id, ItemState.DONE, "answered")
    call = tx.row(tx.store.calls, offer.call_id)
    if call.offer_id == offer.id:
        yield from apply(tx, call, WrapUpDone(tx.now))
    if not apply_next(tx, offer.agent_id):
        tell_freed(tx, offer.agent_id)


def tell_freed(tx: Tx, agent_id: int) -> None:
    agent = tx.row(tx.store.agents, agent_id)
    if agent.presence is AVAILABLE:
        tx.wakes.append(agent.pool)


# --- presence --------------------------------------------------------------------------------------------------------------------


def set_presence(
    tx: Tx, agent_id: int, state: PresenceState, reason: str | None = None, *, ends_wrap_up: bool = True
) -> Steps[None]:
    """What is chosen during work is kept for its end."""
    is_back = state is AVAILABLE
    optional = (yield from lock_optional_wrap_ups(tx, agent_id)) if is_back and ends_wrap_up else []
    yield from tx.lock(tx.store.agents, [agent_id])
    if not is_back:
        yield from give_back(tx, live_offers(tx, agent_id))
    if optional:
        change(tx, agent_id, next_presence=None, next_reason=None)
    for offer_id in optional:
        yield from complete(tx, offer_id)
    agent = tx.row(tx.store.agents, agent_id)
    reason = None if is_back else reason
    if work_of(tx, agent) in AT_WORK and not (is_back and agent.presence in SET_BY_ENGINE):
        is_in_force = (agent.presence, agent.presence_reason) == (state, reason)
        wanted = (None, None) if is_in_force else (state, reason)
        if wanted != (agent.next_presence, agent.next_reason):
            change(tx, agent_id, next_presence=wanted[0], next_reason=wanted[1])
        return
    if agent.next_presence is not None:
        change(tx, agent_id, next_presence=None, next_reason=None)
    change_presence(tx, agent_id, state, reason)


def lock_optional_wrap_ups(tx: Tx, agent_id: int) -> Steps[list[int]]:
    """Their calls are locked, which comes before the agent."""
    found = [
        offer
        for offer in live_offers(tx, agent_id)
        if offer.state is OfferState.WRAPPING and settings(tx, offer).wrap_mode == "optional"
    ]
    yield from tx.lock(tx.store.calls, [offer.call_id for offer in found])
    return [offer.id for offer in found]


def apply_next(tx: Tx, agent_id: int) -> bool:
    """Work has ended: what was chosen meanwhile comes into force. The agent is locked."""
    agent = tx.row(tx.store.agents, agent_id)
    state = agent.next_presence
    if state is None or work_of(tx, agent) in AT_WORK:
        return False
    change(tx, agent_id, next_presence=None, next_reason=None)
    if (state, agent.next_reason) == (agent.presence, agent.presence_reason):
        return False
    if state is AVAILABLE and not tx.store.is_connected(agent_id):
        return False
    change_presence(tx, agent_id, state, agent.next_reason)
    return True


def change_presence(
    tx: Tx, agent_id: int, state: PresenceState, reason: str | None, *, resets_idle: bool = True
) -> None:
    agent = tx.row(tx.store.agents, agent_id)
    if agent.presence is state and agent.presence_reason == reason:
        return
    comes = agent.presence is not AVAILABLE and state is AVAILABLE
    change(
        tx, agent_id, presence=state, presence_reason=reason, presence_since=tx.now,
        idle_since=tx.now if comes and resets_idle else agent.idle_since,
        misses=0 if state is AVAILABLE and resets_idle else agent.misses,
    )  # fmt: skip
    if state is AVAILABLE:
        tell_freed(tx, agent_id)


def desk_connected(tx: Tx, agent_id: AgentId, sid: str, replica: str) -> Steps[None]:
    yield from tx.lock(tx.store.agents, [agent_id])
    tx.put(tx.store.desks, sid, Desk(agent_id, replica, FOREVER))
    yield
    if tx.row(tx.store.agents, agent_id).presence is PresenceState.RECONNECTING:
        change_presence(tx, agent_id, AVAILABLE, None, resets_idle=False)
    else:
        tell_freed(tx, agent_id)


def desk_gone(tx: Tx, sid: str) -> Steps[None]:
    """The socket is closed: the lease ends now."""
    yield from tx.lock(tx.store.desks, [sid])
    desk = tx.get(tx.store.desks, sid)
    if desk is not None:
        tx.put(tx.store.desks, sid, desk._replace(lease_until=min(desk.lease_until, tx.store.now), is_closed=True))


def agent_is_lost(tx: Tx, agent_id: int, _: int) -> Steps[None]:
    yield from tx.lock(tx.store.agents, [agent_id])
    agent, seen = tx.row(tx.store.agents, agent_id), tx.store.last_seen(agent_id)
    if tx.store.is_connected(agent_id):
        if agent.presence is PresenceState.RECONNECTING:
            change_presence(tx, agent_id, AVAILABLE, None, resets_idle=False)
        return
    then = life.absence(
        agent.presence,
        (tx.now - agent.presence_since).total_seconds(),
        None if seen is None else (tx.now - seen).total_seconds(),
        offer_grace_s=OFFER_GRACE_S,
        reconnect_grace_s=RECONNECT_GRACE_S,
    )
    if then.gives_back:
        yield from give_back(tx, live_offers(tx, agent_id))
    if then.presence is not None:
        change_presence(tx, agent_id, then.presence, then.reason)


# --- what telephony says -----------------------------------------------------------------------------------------------------------


def apply(tx: Tx, call: Call, event: CallEvent, rules: RuleSet | None = None) -> Steps[Call]:
    """Advance, save, tell those who react inline. The row is locked."""
    tx.told.append((call, event))
    moved, happened = advance(call, event)
    if moved is call:
        return call
    tx.put(tx.store.calls, moved.id, moved)
    yield
    match happened:
        case Happened.QUEUED:
            assert rules is not None
            enqueue(tx, moved, rules)
        case Happened.CONNECTING:
            due = tx.now + seconds(CONNECT_TIMEOUT_S)
            yield from set_timer(tx, CONNECT_TIMER, moved.id, Timer(moved.offer_id or 0, due))
        case Happened.CONNECT_FAILED if isinstance(event, ConnectFailed):
            cancel_timer(tx, CONNECT_TIMER, moved.id)
            yield from on_connect_failed(tx, event.offer_id)
        case Happened.ANSWERED:
            cancel_timer(tx, CONNECT_TIMER, moved.id)
        case Happened.AGENT_LEFT:
            due = tx.now + seconds(AGENT_GONE_GRACE_S)
            yield from set_timer(tx, AGENT_GONE_TIMER, moved.id, Timer(moved.offer_id or 0, due))
        case Happened.AGENT_BACK:
            cancel_timer(tx, AGENT_GONE_TIMER, moved.id)
        case Happened.AGENT_LOST:
            yield from on_call_requeued(tx, moved)
        case Happened.ENDED:
            cancel_timer(tx, CONNECT_TIMER, moved.id)
            cancel_timer(tx, AGENT_GONE_TIMER, moved.id)
            yield from on_call_ended(tx, moved)
        case _:
            pass
    return tx.row(tx.store.calls, moved.id)


def on_connect_failed(tx: Tx, offer_id: int) -> Steps[None]:
    offer = tx.get(tx.store.offers, offer_id)
    if offer is None or offer.state is not OfferState.ACCEPTED:
        return
    yield from lock_offers(tx, [offer])
    busy_s = settings(tx, offer).busy_s
    exclude(tx, offer.work_item_id, offer.agent_id, busy_s, "connect_failed")
    until = tx.now + seconds(busy_s)
    cools = tx.row(tx.store.agents, offer.agent_id).cooldown_until
    change(tx, offer.agent_id, cooldown_until=until if cools is None else max(cools, until))
    yield from set_timer(tx, COOLDOWN_TIMER, offer.agent_id, Timer(0, until))
    yield from end_offers(tx, [offer], OfferState.CANCELED, "connect_failed")
    yield from back_in_line(tx, offer)


def cooled_down(tx: Tx, agent_id: int, _: int) -> Steps[None]:
    tell_freed(tx, agent_id)
    yield


def on_call_requeued(tx: Tx, call: Call) -> Steps[None]:
    item_id = tx.store.item_of_call[call.id]
    for offer in open_offers(tx, item_id):
        if offer.state is OfferState.ACCEPTED:
            yield from lock_offers(tx, [offer])
            yield from start_wrap_up(tx, offer)
            yield from complete_if_no_wrap_up(tx, offer)
    yield from wait_again(tx, item_id)


def on_call_ended(tx: Tx, call: Call) -> Steps[None]:
    item_id = tx.store.item_of_call.get(call.id)
    if item_id is None:
        own = [key for name, key in tx.writes if name == "items"]  # this call came and went in one transaction
        if not own:
            return
        item_id = own[0]
    offers = open_offers(tx, item_id)
    yield from tx.lock(tx.store.agents, [o.agent_id for o in offers])
    yield from tx.lock(tx.store.items, [item_id])
    offers = open_offers(tx, item_id)
    end = life.call_end(call.outcome.value if call.outcome else "", offers)  # type: ignore[arg-type]
    withdrawn = [tx.row(tx.store.offers, o.id) for o in end.withdrawn]
    talking = [tx.row(tx.store.offers, o.id) for o in end.talking]
    yield from end_offers(tx, withdrawn, OfferState.CANCELED, "caller_left")
    for offer in talking:
        yield from start_wrap_up(tx, offer)
    cancel_timer(tx, STEP_TIMER, item_id)
    set_item(tx, item_id, end.state, end.reason)
    for offer in talking:
        yield from complete_if_no_wrap_up(tx, offer)


def caller_gone(tx: Tx, key: str, call_id: int, *, failed: bool = False) -> Steps[None]:
    """`/twilio/status` of the customer's leg. That of a call which we do not know yet is kept."""
    if not (yield from claim(tx, key)):
        return
    yield from tx.lock(tx.store.calls, [call_id])
    call = tx.get(tx.store.calls, call_id)
    if call is not None:
        yield from apply(tx, call, CallerGone(tx.now, failed=failed))


def reconciled(tx: Tx, call_id: int) -> Steps[None]:
    yield from tx.lock(tx.store.calls, [call_id])
    call = tx.get(tx.store.calls, call_id)
    if call is not None and not call.is_over:
        yield from apply(tx, call, CallerGone(tx.now))


def conference_event(
    tx: Tx, key: str, call_id: int, offer_id: int, agent_id: int | None, seq: int, *, has_joined: bool
) -> Steps[None]:
    """Who came and who left; without an agent it is the caller. Per leg only ever forward."""
    if not (yield from claim(tx, key)):
        return
    yield from tx.lock(tx.store.calls, [call_id])
    call = tx.get(tx.store.calls, call_id)
    if call is None:
        return
    leg_key = (call_id, offer_id, agent_id is not None)
    leg = tx.get(tx.store.legs, leg_key)
    if leg is not None and leg.seq >= seq:
        return
    tx.put(tx.store.legs, leg_key, Leg(seq, has_joined))
    if agent_id is None:
        if has_joined:
            yield from apply(tx, call, CallerJoined(tx.now))
    elif not has_joined:
        yield from apply(tx, call, AgentLeft(AgentId(agent_id), tx.now))
    elif call.is_over or call.agent_id != agent_id:
        tx.after.append(("end_leg", call_id, offer_id))
    else:
        yield from apply(tx, call, AgentJoined(AgentId(agent_id), tx.now))


def connect_timed_out(tx: Tx, call_id: int, offer_id: int) -> Steps[None]:
    yield from tx.lock(tx.store.calls, [call_id])
    call = tx.get(tx.store.calls, call_id)
    if call is not None and call.state is CallState.CONNECTING and call.offer_id == offer_id and call.ended_by is None:
        tx.after.append(("look", call_id, offer_id))


def agent_is_gone(tx: Tx, call_id: int, offer_id: int) -> Steps[None]:
    yield from tx.lock(tx.store.calls, [call_id])
    call = tx.get(tx.store.calls, call_id)
    if call is None or call.offer_id != offer_id or call.ended_by is not None:
        return
    if call.is_talking and not call.agent_joined:
        tx.after.append(("look", call_id, offer_id))


def looked(tx: Tx, call_id: int, offer_id: int, *, has_caller: bool, has_agent: bool) -> Steps[None]:
    """Who sits in the conference. Callbacks that were lost are made up for; who is still missing does not come."""
    yield from tx.lock(tx.store.calls, [call_id])
    call = tx.get(tx.store.calls, call_id)
    if call is None or call.is_over or call.offer_id != offer_id or call.agent_id is None:
        return
    if has_caller:
        call = yield from apply(tx, call, CallerJoined(tx.now))
    if has_agent and call.agent_id is not None:
        call = yield from apply(tx, call, AgentJoined(call.agent_id, tx.now))
    if call.ended_by is not None:
        return
    known = OfferId(offer_id)
    failed: ConnectFailed | AgentLost = AgentLost(known) if call.is_talking else ConnectFailed(known)
    yield from apply(tx, call, failed)


TIMERS: Final = {
    OFFER_TIMER: "offer_timed_out",
    STEP_TIMER: "step_opened",
    WRAP_TIMER: "wrap_up_timed_out",
    COOLDOWN_TIMER: "cooled_down",
    CONNECT_TIMER: "connect_timed_out",
    AGENT_GONE_TIMER: "agent_is_gone",
}


def run_timer(tx: Tx, kind: str, object_id: int) -> Steps[bool]:
    """False when somebody else has it, or its time has not come."""
    key = (kind, object_id)
    if not tx.try_lock(("timers", key)):
        return False
    timer = tx.get(tx.store.timers, key)
    if timer is None or timer.due_at > tx.store.now:
        return False
    tx.put(tx.store.timers, key, None)
    yield
    yield from globals()[TIMERS[kind]](tx, object_id, timer.version)
    return True


# --- acts of supervisors -------------------------------------------------------------------------------------------------------------


def prioritise(tx: Tx, item_id: int, tier: int | None, boost_s: int | None, version: int) -> Steps[int]:
    yield from tx.lock(tx.store.items, [item_id])
    item = tx.row(tx.store.items, item_id)
    if item.state not in (ItemState.QUEUED, ItemState.OFFERING):
        raise NotWaiting
    if item.version != version:
        raise VersionConflict("changed")
    wanted = Ranking(
        item.tier if tier is None else tier,
        item.boost_s if boost_s is None else boost_s,
        item.is_tier_by_hand or tier is not None,
        item.is_boost_by_hand or boost_s is not None,
    )
    return rank(tx, item, wanted)


def rank(tx: Tx, item: Item, wanted: Ranking) -> int:
    start = item.entered_at - seconds(wanted.boost_s)
    ranked = item._replace(**wanted._asdict(), virtual_start=start, version=item.version + 1).in_step(item.step)
    tx.put(tx.store.items, item.id, ranked)
    if ranked.state is ItemState.QUEUED:
        tx.wakes.append(ranked.pool)
    act_id = tx.store.next_id()
    tx.put(tx.store.acts, act_id, Act("prioritise", item.id, ranking(item), ranking(ranked)))
    return act_id


def ranking(item: Item) -> Ranking:
    return Ranking(item.tier, item.boost_s, item.is_tier_by_hand, item.is_boost_by_hand)


def undo(tx: Tx, act_id: int) -> Steps[int]:
    act = tx.row(tx.store.acts, act_id)
    yield from tx.lock(tx.store.items, [act.item_id])
    item = tx.row(tx.store.items, act.item_id)
    if item.state not in (ItemState.QUEUED, ItemState.OFFERING):
        raise NotWaiting
    if any(key > act_id and other.item_id == act.item_id for key, other in tx.store.acts.rows.items()):
        raise TooLateToUndo
    return rank(tx, item, act.before)


def hold(tx: Tx, queue: str, *, is_held: bool) -> Steps[None]:
    yield from tx.lock(tx.store.queues, [queue])
    row = tx.row(tx.store.queues, queue)
    if row.is_held != is_held:
        tx.put(tx.store.queues, queue, row._replace(is_held=is_held))
        tx.wakes.append(row.pool)


def hang_up(tx: Tx, call_id: int) -> Steps[None]:
    """The agent ends it; the provider's callback makes it final."""
    yield from tx.lock(tx.store.calls, [call_id])
    call = tx.get(tx.store.calls, call_id)
    if call is None or call.is_over or call.state not in (CallState.CONNECTING, CallState.IN_CALL, CallState.ON_HOLD):
        return
    tx.after.append(("end", call_id, call.offer_id or 0))
