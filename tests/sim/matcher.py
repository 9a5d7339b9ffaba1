"""The active matcher, said again over the store in memory: `routing.dispatcher.one_pass`, with the product's `decide`.

Here a pass reads everything in its pool. That the product, which reads much less, decides the same is proven in
tests/integration/routing/test_reading.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from core.ids import CallId, TicketId, WorkItemId
from routing import decide as deciding
from routing import order
from routing.decide import reasons
from routing.model import AgentView as View
from routing.model import Decision as Decided
from routing.model import (
    ItemState,
    OfferState,
    PoolState,
    PresenceState,
    Proposal,
    WaitingItem,
    step_at,
)
from routing.service import OFFER_TIMER
from tests.sim.shell import seconds, work_of
from tests.sim.store import Agent, Decision, Item, Offer, Steps, Store, Timer, Tx

MAX_OFFERS: Final = 10
BUSY_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Pass:
    made: int
    again_in_s: float | None
    read: PoolState | None = None
    decided: Decided = field(default_factory=lambda: Decided(()))


NOTHING: Final = Pass(0, None)
BUSY: Final = Pass(0, BUSY_S)
STEPS_OPENED: Final = Pass(0, 0)
Watch = Callable[[Tx, PoolState, Decided], None]


def view_of(tx: Tx, agent: Agent) -> View:
    has_room = agent.presence is PresenceState.AVAILABLE and agent.used_units < agent.total_units + agent.over_by
    presence = agent.next_presence if has_room and agent.next_presence is not None else agent.presence
    return View(
        agent.id, agent.name, agent.skills, agent.queues, presence, tx.store.is_connected(agent.id), work_of(tx, agent),
        agent.total_units + agent.over_by - agent.used_units, agent.idle_since, agent.last_offered_at, agent.cooldown_until,
        ranks=agent.ranks,
    )  # fmt: skip


def waiting_of(tx: Tx, item: Item) -> WaitingItem:
    store, queue = tx.store, tx.row(tx.store.queues, item.queue)
    excluded = store.excluded_from.get(item.id)
    if excluded:
        rows = store.exclusions.rows
        still = frozenset(agent_id for agent_id in excluded if rows[(item.id, agent_id)].until > tx.now)
    else:
        still = frozenset()
    return WaitingItem(
        WorkItemId(item.id), CallId(item.call_id), TicketId(item.call_id), item.queue, item.tier, item.virtual_start,
        item.entered_at, item.steps, item.rule, item.rules, queue.offer_timeout_s, still, queue.pick,
    )  # fmt: skip


def line_of(store: Store, pool: str) -> list[Item]:
    rows = store.items.rows
    return [item for item in (rows[key] for key in sorted(store.line)) if item.pool == pool]


def one_pass(tx: Tx, pool: str, watch: Watch) -> Steps[Pass]:
    is_mine = tx.try_lock(("pools", pool))
    line = line_of(tx.store, pool)
    if not line:
        return NOTHING
    if not is_mine:
        return BUSY
    due = [item for item in line if step_now(tx, item) != item.step]
    if due and open_steps(tx, due):
        return STEPS_OPENED
    yield
    items = tuple(
        waiting_of(tx, item) for item in line_of(tx.store, pool) if not tx.row(tx.store.queues, item.queue).is_held
    )
    yield
    agents = tuple(view_of(tx, agent) for agent in tx.store.agents.rows.values() if agent.pool == pool)
    state = PoolState(items, agents, MAX_OFFERS)
    decided = deciding.decide(state, tx.now)
    watch(tx, state, decided)
    if not decided.proposals:
        return NOTHING
    return (yield from apply_decision(tx, state, decided))


def step_now(tx: Tx, item: Item) -> int:
    return step_at(item.steps, (tx.now - item.entered_at).total_seconds())


def open_steps(tx: Tx, due: list[Item]) -> int:
    """Who holds an item just now moves it on, or has it moved on by the next pass."""
    opened = 0
    for item in due:
        if tx.try_lock(("items", item.id)):
            tx.put(tx.store.items, item.id, item.in_step(step_now(tx, item)))
            opened += 1
    return opened


def apply_decision(tx: Tx, state: PoolState, decided: Decided) -> Steps[Pass]:
    store, proposals = tx.store, decided.proposals
    yield
    live = {call_id for call_id in sorted({p.item.call_id or 0 for p in proposals}) if lock_live_call(tx, call_id)}
    yield
    free = set()
    for agent_id in sorted({p.agent_id for p in proposals}):
        if is_still_free(tx, agent_id):
            yield from tx.lock_one(("agents", agent_id))
            if is_still_free(tx, agent_id):
                free.add(agent_id)
    yield
    queued = {item_id for item_id in sorted({p.item.id for p in proposals}) if lock_queued_item(tx, item_id)}
    kept: list[Proposal] = []
    for item, group in groupby(proposals, key=lambda p: p.item):
        asked = list(group)
        if not all(p.agent_id in free for p in asked):
            break
        if item.id in queued and item.call_id in live:
            kept += asked
    if not kept:
        return BUSY
    yield
    offers = [make_offer(tx, proposal) for proposal in kept]
    yield
    verdicts = reasons(kept, state.agents, tx.now)
    chosen, given = frozenset(p.agent_id for p in proposals), frozenset(p.item.id for p in proposals)
    for proposal, offer, found in zip(kept, offers, verdicts, strict=True):
        item, step = proposal.item, proposal.item.steps[proposal.step]
        kept_as = Decision(
            offer.id, item.id, offer.agent_id, tx.now, item.ruleset_version, item.rule, proposal.step, proposal.by,
            order.criteria_of(step, item.pick), tuple(found), state, chosen, given,
        )  # fmt: skip
        tx.put(store.decisions, offer.id, kept_as)
    yield
    is_done = len(kept) == len(proposals) and not decided.is_full
    return Pass(len(offers), None if is_done else 0, state, decided)


def lock_live_call(tx: Tx, call_id: int) -> bool:
    call = tx.store.calls.rows[call_id]
    return call.outcome is None and tx.try_lock(("calls", call_id))


def lock_queued_item(tx: Tx, item_id: int) -> bool:
    item = tx.store.items.rows[item_id]
    return item.state is ItemState.QUEUED and tx.try_lock(("items", item_id))


def is_still_free(tx: Tx, agent_id: int) -> bool:
    agent = tx.row(tx.store.agents, agent_id)
    return (
        agent.presence is PresenceState.AVAILABLE
        and agent.next_presence is None
        and agent.used_units + 1 <= agent.total_units + agent.over_by
        and tx.store.is_connected(agent_id)
    )


def make_offer(tx: Tx, proposal: Proposal) -> Offer:
    store, item = tx.store, tx.row(tx.store.items, proposal.item.id)
    if item.state is ItemState.QUEUED:
        item = item._replace(state=ItemState.OFFERING, version=item.version + 1)
        tx.put(store.items, item.id, item)
    deadline = tx.now + seconds(proposal.item.offer_timeout_s)
    offer = Offer(
        store.next_id(), item.id, item.call_id, proposal.agent_id, item.queue, item.pool, proposal.step, OfferState.PENDING,
        tx.now, deadline,
    )  # fmt: skip
    tx.put(store.offers, offer.id, offer)
    hold_units(tx, proposal.agent_id)
    tx.put(store.timers, (OFFER_TIMER, offer.id), Timer(1, deadline))
    return offer


def hold_units(tx: Tx, agent_id: int) -> None:
    agent = tx.row(tx.store.agents, agent_id)
    held = agent._replace(used_units=agent.used_units + 1, last_offered_at=tx.now, version=agent.version + 1)
    tx.put(tx.store.agents, agent_id, held)
