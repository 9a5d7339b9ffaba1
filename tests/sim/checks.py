"""The invariants of reference/routing.md §3 over a store and its history, each with its number in its name.

A check gets what has just happened and says what is wrong, or None. None of them uses the product's own idea of what is right: the step
in force, the order of the line and who may serve whom are said again here.

ON_COMMIT    after every commit: safety                     ON_DECISION  after every `decide`
WHEN_CALM    while and after faults have ceased: liveness   AT_THE_END   when everybody has hung up
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from cti.model import Call, CallEvent, CallState, Outcome, WrapUpDone, advance
from routing import decide as deciding
from routing.model import AgentView, By, Decision, ItemState, OfferState, PoolState, PresenceState, Step, WaitingItem
from tests.sim.store import OPEN, START, TERMINAL, Agent, Commit, Item, Offer, Store, Tx

SWEEP_S: Final = 2.0
SLACK_S: Final = 1.6
"""A second of grace that the sweep gives to timers, and passes take a moment."""
RANKED_BY_HAND: Final = frozenset({"prioritise", "undo"})
BY_A_PERSON: Final = "present"


class Broken(AssertionError):
    """What does not hold, by the names of the checks."""

    def __init__(self, found: dict[str, str]) -> None:
        super().__init__("\n".join(f"{name}: {what}" for name, what in found.items()))
        self.found = found


class History:
    """What the checks must remember of earlier commits."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.commits = 0
        self.crashes = 0
        self.calm_since: datetime | None = None
        self.item_changed: dict[int, datetime] = {}
        self.queued_since: dict[int, datetime] = {}
        self.ranked_at: dict[int, datetime] = {}
        self.agent_changed: dict[int, datetime] = defaultdict(lambda: START)
        self.hold_changed: dict[str, datetime] = defaultdict(lambda: START)
        self.turn_at: dict[int, datetime] = {}
        """When an agent was asked last."""
        self.turns_since_return: dict[int, int] = defaultdict(int)
        self.events: dict[int, list[CallEvent]] = defaultdict(list)
        self.first_call: dict[int, Call] = {}

    def remember(self, done: Commit) -> None:
        """After its checks."""
        self.commits += 1
        for item in done.items:
            self.item_changed[item.key] = done.at
            if item.new is None:
                continue
            if item.new.state is ItemState.QUEUED and (item.old is None or item.old.state is not ItemState.QUEUED):
                self.queued_since[item.key] = done.at
            if item.old is not None and item.new.virtual_start != item.old.virtual_start:
                self.ranked_at[item.key] = done.at
            if item.old is not None and item.new.tier != item.old.tier:
                self.ranked_at[item.key] = done.at
        for agent in done.agents:
            self.agent_changed[agent.key] = done.at
            was = None if agent.old is None else agent.old.presence
            if agent.new is not None and agent.new.presence is PresenceState.AVAILABLE is not was:
                self.turns_since_return[agent.key] = 0
        for desk in done.desks:
            if desk.new is not None:
                self.agent_changed[desk.new.agent_id] = done.at
        for queue in done.queues:
            self.hold_changed[queue.key] = done.at
        for offer in made(done):
            self.turn_at[offer.agent_id] = offer.created_at
            self.turns_since_return[offer.agent_id] += 1


# --- said again ---------------------------------------------------------------------------------------------------------------


def made(done: Commit) -> Iterator[Offer]:
    for change in done.offers:
        if change.old is None and change.new is not None:
            yield change.new


def chosen(done: Commit) -> set[int]:
    """Whom the pass had something for."""
    return {agent_id for change in done.decisions if change.new for agent_id in change.new.chosen}


def place(item: Item | WaitingItem) -> tuple[int, datetime, datetime, int]:
    return (-item.tier, item.virtual_start, item.entered_at, item.id)


def in_force(steps: tuple[Step, ...], entered_at: datetime, at: datetime) -> int:
    waited_s = (at - entered_at).total_seconds()
    return max((n for n, step in enumerate(steps) if step.after_s <= waited_s), default=0)


def has_skills(skills: dict[str, int], step: Step) -> bool:
    return all(skills.get(need.skill, 0) >= need.level for need in step.require)


def excluded_until(store: Store, item_id: int, agent_id: int) -> datetime:
    found = store.exclusions.rows.get((item_id, agent_id))
    return START if found is None else found.until


def is_free(store: Store, agent: Agent, at: datetime) -> bool:
    return (
        agent.presence is PresenceState.AVAILABLE
        and agent.next_presence is None
        and agent.used_units < agent.total_units + agent.over_by
        and (agent.cooldown_until is None or agent.cooldown_until <= at)
        and store.is_connected(agent.id)
        and not any(store.offers.rows[o].state is OfferState.WRAPPING for o in store.open_of_agent[agent.id])
    )


def seen_from(agent: Agent | AgentView, item: Item | WaitingItem) -> datetime:
    """When the agent's group begins to see it."""
    delay_s = agent.ranks[item.queue].delay_s if item.queue in agent.ranks else 0
    return item.entered_at + timedelta(seconds=delay_s) if delay_s else START


def own_place(agent: Agent, item: Item) -> tuple[Any, ...]:
    """In this agent's order: by the rank of the queue, then by the line."""
    return agent.ranks[item.queue].rank if item.queue in agent.ranks else 1, place(item)


def can_serve(store: Store, agent: Agent, item: Item, at: datetime) -> bool:
    return (
        item.queue in agent.queues
        and seen_from(agent, item) <= at
        and agent.pool == item.pool
        and has_skills(agent.skills, item.steps[in_force(item.steps, item.entered_at, at)])
        and excluded_until(store, item.id, agent.id) <= at
        and not store.queues.rows[item.queue].is_held
    )


def offers_of(store: Store, item_id: int) -> list[Offer]:
    return [store.offers.rows[offer_id] for offer_id in store.offers_of_item[item_id]]


def before(done: Commit, store: Store, agent_id: int) -> Agent:
    for change in done.agents:
        if change.key == agent_id and change.old is not None:
            return change.old
    return store.agents.rows[agent_id]


# --- after every commit ----------------------------------------------------------------------------------------------------------


def r01_one_accepted_offer(h: History, done: Commit) -> str | None:
    for change in done.offers:
        if change.new is not None and change.new.state is OfferState.ACCEPTED:
            rivals = [o.id for o in offers_of(h.store, change.new.work_item_id) if o.state is OfferState.ACCEPTED]
            if len(rivals) > 1:
                return f"item {change.new.work_item_id} has the accepted offers {rivals}"
    return None


def r02_used_units_are_those_of_open_offers(h: History, done: Commit) -> str | None:
    touched = {change.key for change in done.agents}
    touched |= {change.new.agent_id for change in done.offers if change.new is not None}
    return units_of(h.store, touched)


def units_of(store: Store, agents: Iterable[int]) -> str | None:
    for agent_id in agents:
        held = sum(store.offers.rows[offer_id].units for offer_id in store.open_of_agent[agent_id])
        if store.agents.rows[agent_id].used_units != held:
            return f"agent {agent_id} uses {store.agents.rows[agent_id].used_units}, open offers hold {held}"
    return None


def r03_never_above_capacity(h: History, done: Commit) -> str | None:
    for change in done.agents:
        agent, old = change.new, change.old
        if agent is None:
            continue
        if not 0 <= agent.used_units <= agent.total_units + agent.over_by:
            return f"agent {agent.id} uses {agent.used_units} of {agent.total_units} + {agent.over_by}"
        if old is not None and agent.over_by > old.over_by:
            return f"agent {agent.id} is over by {agent.over_by}, and nobody said so"
    return None


def r04_only_the_free_are_asked(h: History, done: Commit) -> str | None:
    asked: dict[int, int] = defaultdict(int)
    for offer in made(done):
        agent = before(done, h.store, offer.agent_id)
        asked[agent.id] += offer.units
        if agent.presence is not PresenceState.AVAILABLE:
            return f"agent {agent.id} is {agent.presence}"
        if agent.next_presence is not None:
            return f"agent {agent.id} has chosen {agent.next_presence}"
        if agent.used_units + asked[agent.id] > agent.total_units or agent.over_by:
            return f"agent {agent.id} is full"
        if agent.cooldown_until is not None and agent.cooldown_until > done.began_at:
            return f"agent {agent.id} cools down"
        seen = h.store.last_seen(agent.id)
        if (seen is None or seen <= done.began_at) and h.agent_changed[agent.id] < done.began_at:
            return f"agent {agent.id} has no desk"
        rows = h.store.offers.rows
        if any(rows[o].state is OfferState.WRAPPING for o in h.store.open_of_agent[agent.id]):
            return f"agent {agent.id} is wrapping up"
        queue = h.store.queues.rows[offer.queue]
        if queue.is_held and h.hold_changed[queue.key] < done.began_at:
            return f"queue {queue.key} is held"
    return None


def r05_the_asked_have_what_the_step_requires(h: History, done: Commit) -> str | None:
    for offer in made(done):
        item, agent = h.store.items.rows[offer.work_item_id], before(done, h.store, offer.agent_id)
        step = in_force(item.steps, item.entered_at, done.began_at)
        if offer.step != step:
            return f"offer {offer.id} was made in step {offer.step}, in force is {step}"
        if not has_skills(agent.skills, item.steps[step]):
            return f"agent {agent.id} has {agent.skills}, item {item.id} requires {item.steps[step].require}"
    return None


def r06_no_answer_after_the_deadline_or_the_end(h: History, done: Commit) -> str | None:
    for change in done.offers:
        offer, old = change.new, change.old
        if offer is None or old is None or old.state is not OfferState.PENDING:
            continue
        if offer.accepted_clock is None:
            continue
        if offer.accepted_clock >= offer.deadline:
            return f"offer {offer.id} was accepted at {offer.accepted_clock}, its deadline was {offer.deadline}"
        was = next((c.old for c in done.items if c.key == offer.work_item_id), None)
        if was is None or was.state in TERMINAL:
            return f"offer {offer.id} was accepted, its item had ended"
        if h.store.calls.rows[offer.call_id].is_over:
            return f"offer {offer.id} was accepted, its call is over"
    return None


def r07_queued_without_and_offering_with_pending_offers(h: History, done: Commit) -> str | None:
    touched = {change.key for change in done.items}
    touched |= {change.new.work_item_id for change in done.offers if change.new is not None}
    return line_of(h.store, touched)


def line_of(store: Store, items: Iterable[int]) -> str | None:
    for item_id in items:
        state, states = store.items.rows[item_id].state, {o.state for o in offers_of(store, item_id)}
        if state is ItemState.QUEUED and OfferState.PENDING in states:
            return f"item {item_id} is queued, and somebody is asked for it"
        if state is ItemState.OFFERING and OfferState.PENDING not in states:
            return f"item {item_id} is offering, and nobody is asked for it"
        if state is ItemState.ASSIGNED and OfferState.ACCEPTED not in states:
            return f"item {item_id} is assigned, and nobody has it"
        if state in TERMINAL and states & {OfferState.PENDING, OfferState.ACCEPTED}:
            return f"item {item_id} has ended, and an offer of it has not"
    return None


def r08_an_end_has_its_reason(h: History, done: Commit) -> str | None:
    for change in done.items:
        if change.new is None:
            return f"item {change.key} is gone"
        if change.new.state in TERMINAL and (change.new.end_reason is None or change.new.ended_at is None):
            return f"item {change.key} is {change.new.state} for no reason"
    return None


def r09_nothing_follows_an_end(h: History, done: Commit) -> str | None:
    for change in done.items:
        old, new = change.old, change.new
        if old is None or old.state not in TERMINAL:
            continue
        if new != old:
            return f"item {change.key} was {old.state} and is {new and new.state}"
    for offer in made(done):
        if h.store.items.rows[offer.work_item_id].state in TERMINAL:
            return f"item {offer.work_item_id} has ended and is offered"
    return None


def r12_one_step_and_one_pool(h: History, done: Commit) -> str | None:
    for change in done.items:
        item = change.new
        if item is None:
            continue
        if not item.pool or item.pool != h.store.queues.rows[item.queue].pool:
            return f"item {item.id} of {item.queue} is in pool {item.pool!r}"
        if not 0 <= item.step < len(item.steps):
            return f"item {item.id} is in step {item.step} of {len(item.steps)}"
        for offer in offers_of(h.store, item.id):
            if offer.state in OPEN and (offer.pool_id, offer.queue) != (item.pool, item.queue):
                return f"offer {offer.id} is of {offer.queue}, its item of {item.queue}"
    return None


def r13_the_excluded_are_not_asked(h: History, done: Commit) -> str | None:
    for offer in made(done):
        until = excluded_until(h.store, offer.work_item_id, offer.agent_id)
        if until > done.began_at:
            return f"agent {offer.agent_id} is excluded from item {offer.work_item_id} until {until}"
        for o in offers_of(h.store, offer.work_item_id):
            has_declined = o.agent_id == offer.agent_id and o.state is OfferState.REJECTED
            if has_declined and offer.created_at < (o.ended_at or START) + timedelta(seconds=30):
                return f"agent {offer.agent_id} has declined item {offer.work_item_id} just now"
    return None


def r14_only_the_own_pool_is_asked(h: History, done: Commit) -> str | None:
    for offer in made(done):
        agent, item = h.store.agents.rows[offer.agent_id], h.store.items.rows[offer.work_item_id]
        if agent.pool != item.pool or item.queue not in agent.queues:
            return f"agent {agent.id} of {agent.pool} {sorted(agent.queues)} is asked for {item.queue} of {item.pool}"
    return None


def r15_every_offer_has_its_decision(h: History, done: Commit) -> str | None:
    kept = {change.key: change.new for change in done.decisions}
    replayed: set[tuple[int, int]] | None = None
    for offer in made(done):
        decision, item = kept.get(offer.id), h.store.items.rows[offer.work_item_id]
        if decision is None:
            return f"offer {offer.id} has none"
        if (decision.rules, decision.rule, decision.step) != (item.rules, item.rule, offer.step):
            return f"the decision of offer {offer.id} names {decision.rules}, {decision.rule}, {decision.step}"
        verdicts = {v.agent_id: v.verdict.value for v in decision.verdicts}
        if verdicts.get(offer.agent_id) != "chosen" or set(verdicts) != {a.id for a in decision.state.agents}:
            return f"the decision of offer {offer.id} says {verdicts}"
        if replayed is None:
            again = deciding.decide(decision.state, decision.at)
            replayed = {(p.item.id, p.agent_id) for p in again.proposals}
        if (item.id, offer.agent_id) not in replayed:
            return f"offer {offer.id} cannot be decided again"
    return None


def passed_over(h: History, done: Commit) -> Iterator[tuple[Item, Item, Agent]]:
    """(x, y, agent): y was offered to the agent, who may serve x too; x was in line all the time, and still is.

    An x for which the pass had somebody else, and which was held when it came to writing, has its own agent in the next pass."""
    if not any(change.old is None for change in done.offers):
        return
    store = h.store
    had_somebody = {item_id for change in done.decisions if change.new for item_id in change.new.given}
    line = [store.items.rows[key] for key in sorted(store.line) if key not in had_somebody]
    for offer in made(done):
        agent, y = before(done, store, offer.agent_id), store.items.rows[offer.work_item_id]
        if h.ranked_at.get(y.id, START) >= done.began_at:
            continue
        for x in line:
            if (
                x.pool == y.pool
                and h.queued_since[x.id] < done.began_at
                and h.ranked_at.get(x.id, START) < done.began_at
                and h.hold_changed[x.queue] < done.began_at
                and ("items", x.id) not in store.locks
                and ("calls", x.call_id) not in store.locks
                and can_serve(store, agent, x, done.began_at)
            ):
                yield x, y, agent


def r16_nobody_gets_what_is_behind(h: History, done: Commit) -> str | None:
    """In the agent's own order, and not before the agent's group sees it."""
    for offer in made(done):
        agent, item = before(done, h.store, offer.agent_id), h.store.items.rows[offer.work_item_id]
        if seen_from(agent, item) > done.began_at:
            return f"agent {agent.id} got item {item.id}, which is left to others until {seen_from(agent, item)}"
    for x, y, agent in passed_over(h, done):
        if own_place(agent, x) < own_place(agent, y):
            return f"agent {agent.id} got item {y.id} while item {x.id} before it waited"
    return None


def r17_place_in_line_is_kept(h: History, done: Commit) -> str | None:
    for change in done.items:
        old, new = change.old, change.new
        if old is None or new is None:
            continue
        is_ranked = done.name in RANKED_BY_HAND or new.step != old.step
        if new.entered_at != old.entered_at or (new.virtual_start != old.virtual_start and not is_ranked):
            return f"{done.name} moved item {new.id} from {old.virtual_start} to {new.virtual_start}"
    return None


def r18_only_an_act_moves_in_line(h: History, done: Commit) -> str | None:
    acts = {change.new.item_id for change in done.acts if change.new is not None}
    for change in done.items:
        old, new = change.old, change.new
        if new is None:
            continue
        if new.virtual_start != new.entered_at - timedelta(seconds=new.boost_s):
            return f"item {new.id} starts at {new.virtual_start}, entered at {new.entered_at} with {new.boost_s} s"
        said = new.steps[new.step]
        says_tier = said.tier is not None and not new.is_tier_by_hand
        says_boost = said.boost_s is not None and not new.is_boost_by_hand
        if (says_tier and new.tier != said.tier) or (says_boost and new.boost_s != said.boost_s):
            return (
                f"item {new.id} has {new.tier}, {new.boost_s} s, its step {new.step} says {said.tier}, {said.boost_s} s"
            )
        if old is None or new.id in acts:
            continue
        opened = old.step != new.step
        if (old.tier != new.tier and not (opened and says_tier)) or (
            old.virtual_start != new.virtual_start and not (opened and says_boost)
        ):
            return f"{done.name} ranked item {new.id} and left no act"
        if (old.tier, old.boost_s) != (new.tier, new.boost_s) and new.version == old.version:
            return f"{done.name} ranked item {new.id} and kept its version"
    return None


def r19_overtaken_only_by_a_head_start(h: History, done: Commit) -> str | None:
    for x, y, agent in passed_over(h, done):
        ahead_s = (y.entered_at - x.entered_at).total_seconds()
        if x.tier == y.tier and own_place(agent, x)[0] == own_place(agent, y)[0] and ahead_s > y.boost_s - x.boost_s:
            return f"item {y.id} came {ahead_s} s after item {x.id}, with {y.boost_s - x.boost_s} s of head start"
    return None


def r20_idle_clocks_start_with_the_end_of_work(h: History, done: Commit) -> str | None:
    worked = {
        change.new.agent_id
        for change in done.offers
        if change.new is not None and change.new.state is OfferState.COMPLETED and change.old != change.new
    }
    for change in done.agents:
        old, new = change.old, change.new
        if old is None or new is None:
            continue
        comes = new.presence is PresenceState.AVAILABLE and old.presence is not PresenceState.AVAILABLE
        is_chosen = done.name == BY_A_PERSON or old.next_presence is PresenceState.AVAILABLE
        should = new.id in worked or (comes and is_chosen)
        if (new.idle_since != old.idle_since) != (should and old.idle_since != done.began_at):
            return f"{done.name}: idle clock of agent {new.id} went from {old.idle_since} to {new.idle_since}"
    return None


def comes_elsewhere_first(store: Store, offer: Offer, agent: Agent) -> bool:
    """Of an agent who ranks queues: when it was decided, there was something before this in the own order."""
    return any(
        v.agent_id == agent.id and v.verdict == "ranked_elsewhere" for v in store.decisions.rows[offer.id].verdicts
    )


def _unfair_turn(h: History, done: Commit) -> tuple[int, str] | None:
    """(turns since the return, what): somebody is asked in turn again, somebody else was free all the time and was not."""
    by_turn = {c.key for c in done.decisions if c.new and [k.by for k in c.new.criteria] == [By.ROUND_ROBIN]}
    if not by_turn:
        return None
    store, asked = h.store, chosen(done)
    for offer in made(done):
        last = h.turn_at.get(offer.agent_id)
        if last is None or offer.id not in by_turn:
            continue
        item = store.items.rows[offer.work_item_id]
        for other in store.agents.rows.values():
            if other.id in asked or h.agent_changed[other.id] >= last or ("agents", other.id) in store.locks:
                continue
            if comes_elsewhere_first(store, offer, other):
                continue
            if is_free(store, other, done.began_at) and can_serve(store, other, item, done.began_at):
                what = f"agent {offer.agent_id} was asked twice, agent {other.id} was free and was not asked"
                return h.turns_since_return[offer.agent_id], what
    return None


def r21_in_turn(h: History, done: Commit) -> str | None:
    found = _unfair_turn(h, done)
    return found[1] if found is not None else None


def r22_who_returns_gets_no_burst(h: History, done: Commit) -> str | None:
    found = _unfair_turn(h, done)
    if found is not None and found[0] == 1:
        return f"right after coming back {found[1]}"
    by_idle = {c.key for c in done.decisions if c.new and [k.by for k in c.new.criteria] == [By.LONGEST_IDLE]}
    asked = chosen(done)
    for offer in made(done):
        agent, item = before(done, h.store, offer.agent_id), h.store.items.rows[offer.work_item_id]
        if offer.id not in by_idle or h.turns_since_return[agent.id]:
            continue
        for other in h.store.agents.rows.values():
            if other.id in asked or h.agent_changed[other.id] >= agent.presence_since:
                continue
            if max(other.presence_since, other.idle_since) >= agent.idle_since or comes_elsewhere_first(
                h.store, offer, other
            ):
                continue
            if is_free(h.store, other, done.began_at) and can_serve(h.store, other, item, done.began_at):
                return f"agent {agent.id} came back and was asked before agent {other.id}, who was idle longer"
    return None


CommitCheck = Callable[[History, Commit], str | None]
ON_COMMIT: Final[tuple[CommitCheck, ...]] = (
    r01_one_accepted_offer, r02_used_units_are_those_of_open_offers, r03_never_above_capacity, r04_only_the_free_are_asked,
    r05_the_asked_have_what_the_step_requires, r06_no_answer_after_the_deadline_or_the_end,
    r07_queued_without_and_offering_with_pending_offers, r08_an_end_has_its_reason, r09_nothing_follows_an_end,
    r12_one_step_and_one_pool, r13_the_excluded_are_not_asked, r14_only_the_own_pool_is_asked,
    r15_every_offer_has_its_decision, r16_nobody_gets_what_is_behind, r17_place_in_line_is_kept, r18_only_an_act_moves_in_line,
    r19_overtaken_only_by_a_head_start, r20_idle_clocks_start_with_the_end_of_work, r21_in_turn, r22_who_returns_gets_no_burst,
)  # fmt: skip
OF_OFFERS: Final = frozenset(ON_COMMIT) - {
    r02_used_units_are_those_of_open_offers,
    r03_never_above_capacity,
    r07_queued_without_and_offering_with_pending_offers,
    r08_an_end_has_its_reason,
    r09_nothing_follows_an_end,
    r12_one_step_and_one_pool,
    r17_place_in_line_is_kept,
    r18_only_an_act_moves_in_line,
    r20_idle_clocks_start_with_the_end_of_work,
}
"""These have nothing to say where no offer has changed."""


def on_commit(h: History, done: Commit) -> None:
    found = {
        check.__name__: what
        for check in ON_COMMIT
        if (done.offers or check not in OF_OFFERS) and (what := check(h, done)) is not None
    }
    if found:
        raise Broken(found)
    h.remember(done)


# --- after every decision ------------------------------------------------------------------------------------------------------------


def r23_the_line_has_one_order(h: History, tx: Tx, state: PoolState, decided: Decision) -> str | None:
    items = list(state.items)
    if len(items) < 2:
        return None
    there = sorted(items, key=lambda item: item.key)
    turned = items[::-1]
    back = sorted(turned, key=lambda item: item.key)
    again = sorted(items, key=place)
    if [i.id for i in there] != [i.id for i in back] or [i.id for i in there] != [i.id for i in again]:
        return f"{[i.id for i in there]}, {[i.id for i in back]} and {[i.id for i in again]}"
    return None


def may_take(agent: AgentView, at: datetime) -> bool:
    return (
        agent.presence is PresenceState.AVAILABLE
        and agent.is_connected
        and agent.free_units > 0
        and agent.work != "wrapping"
        and (agent.cooldown_until is None or agent.cooldown_until <= at)
    )


def r25_nobody_is_held_back(h: History, tx: Tx, state: PoolState, decided: Decision) -> str | None:
    if decided.is_full:
        return None
    given = {p.item.id for p in decided.proposals}
    busy = {p.agent_id for p in decided.proposals}
    free = [a for a in state.agents if a.id not in busy and may_take(a, tx.now)]
    for item in state.items if free else ():
        if item.id in given:
            continue
        step = item.steps[in_force(item.steps, item.entered_at, tx.now)]
        for agent in free:
            if (
                item.queue in agent.queues
                and agent.id not in item.excluded
                and has_skills(agent.skills, step)
                and seen_from(agent, item) <= tx.now
            ):
                return f"agent {agent.id} is free and may serve item {item.id}; neither got anything"
    return None


def r34_the_same_again(h: History, tx: Tx, state: PoolState, decided: Decision) -> str | None:
    if not decided.proposals:
        return None
    turned = PoolState(state.items[::-1], state.agents[::-1], state.max_offers, state.supply)
    again = deciding.decide(turned, tx.now)
    if again != decided:
        return f"{_pairs(decided)} and {_pairs(again)}"
    return None


def _pairs(decided: Decision) -> list[tuple[int, int, str]]:
    return [(p.item.id, p.agent_id, p.by) for p in decided.proposals]


DecisionCheck = Callable[[History, Tx, PoolState, Decision], str | None]
ON_DECISION: Final[tuple[DecisionCheck, ...]] = (
    r23_the_line_has_one_order,
    r25_nobody_is_held_back,
    r34_the_same_again,
)


def on_decision(h: History, tx: Tx, state: PoolState, decided: Decision) -> None:
    found = {check.__name__: what for check in ON_DECISION if (what := check(h, tx, state, decided)) is not None}
    if found:
        raise Broken(found)


# --- when faults have ceased ------------------------------------------------------------------------------------------------------------


def _since(h: History, agent: Agent, item: Item) -> datetime:
    """From when on these two could have been brought together."""
    step = item.steps[in_force(item.steps, item.entered_at, h.store.now)]
    return max(
        h.item_changed[item.id], h.agent_changed[agent.id], h.hold_changed[item.queue],
        excluded_until(h.store, item.id, agent.id), item.entered_at + timedelta(seconds=step.after_s), agent.cooldown_until or START,
        seen_from(agent, item),
        h.calm_since or START,
    )  # fmt: skip


def _idle_pair(h: History, for_s: float) -> str | None:
    store = h.store
    if not store.line:
        return None
    free = [a for a in store.agents.rows.values() if is_free(store, a, store.now)]
    for key in sorted(store.line) if free else ():
        item = store.items.rows[key]
        for agent in free:
            if can_serve(store, agent, item, store.now):
                idle_s = (store.now - _since(h, agent, item)).total_seconds()
                if idle_s > for_s:
                    return f"item {item.id} waits, agent {agent.id} may serve it, for {idle_s:.1f} s"
    return None


def r24_nobody_waits_while_somebody_is_free(h: History) -> str | None:
    if h.calm_since is None or (h.store.now - h.calm_since).total_seconds() < 29:
        return None
    return _idle_pair(h, 2 * SWEEP_S)


def r26_no_offer_pends_past_its_deadline(h: History) -> str | None:
    for ids in h.store.open_of_agent.values():
        for offer_id in sorted(ids):
            offer = h.store.offers.rows[offer_id]
            if offer.state is OfferState.PENDING and _late(h, offer.deadline):
                return f"offer {offer_id} pends at {h.store.now}, its deadline was {offer.deadline}"
    return None


def _late(h: History, due: datetime) -> bool:
    return (h.store.now - max(due, h.calm_since or START)).total_seconds() > SWEEP_S + SLACK_S


def r27_steps_open_in_time(h: History) -> str | None:
    for key in sorted(h.store.line):
        item = h.store.items.rows[key]
        step = in_force(item.steps, item.entered_at, h.store.now)
        if item.step != step and not h.store.queues.rows[item.queue].is_held:
            opened = item.entered_at + timedelta(seconds=item.steps[step].after_s)
            if _late(h, opened) and _late(h, h.queued_since[item.id]):
                return f"item {item.id} is in step {item.step}, step {step} opened at {opened}"
    return None


def r28_after_a_crash_all_holds(h: History) -> str | None:
    """The whole store, not only what somebody has touched."""
    if not h.crashes:
        return None
    store = h.store
    for item in store.items.rows.values():
        if sum(o.state is OfferState.ACCEPTED for o in offers_of(store, item.id)) > 1:
            return f"item {item.id} has two accepted offers"
    return units_of(store, store.agents.rows) or line_of(store, store.items.rows)


def r29_what_has_an_end_ends(h: History) -> str | None:
    store = h.store
    for ids in store.open_of_agent.values():
        for offer_id in sorted(ids):
            offer = store.offers.rows[offer_id]
            if offer.state is OfferState.WRAPPING and offer.wrap_ends_at is not None and _late(h, offer.wrap_ends_at):
                return f"wrap-up {offer_id} goes on at {store.now}, it was to end at {offer.wrap_ends_at}"
    for agent in store.agents.rows.values():
        if agent.presence is PresenceState.RECONNECTING and _late(h, h.agent_changed[agent.id]):
            if store.is_connected(agent.id):
                return f"agent {agent.id} has a live desk and is still reconnecting"
            if _late(h, agent.presence_since + timedelta(seconds=45)):
                return f"agent {agent.id} is reconnecting since {agent.presence_since}"
    return None


def r30_a_lost_wake_costs_one_sweep(h: History) -> str | None:
    return _idle_pair(h, SWEEP_S + SLACK_S)


CalmCheck = Callable[[History], str | None]
WHEN_CALM: Final[tuple[CalmCheck, ...]] = (
    r24_nobody_waits_while_somebody_is_free, r26_no_offer_pends_past_its_deadline, r27_steps_open_in_time,
    r28_after_a_crash_all_holds, r29_what_has_an_end_ends, r30_a_lost_wake_costs_one_sweep,
)  # fmt: skip


def when_calm(h: History) -> None:
    found = {check.__name__: what for check in WHEN_CALM if (what := check(h)) is not None}
    if found:
        raise Broken(found)


# --- at the end --------------------------------------------------------------------------------------------------------------------------


def after(call: Call, events: Iterable[CallEvent]) -> Call:
    for event in events:
        call, _ = advance(call, event)
    return call


def r10_told_twice_is_told_once(h: History) -> str | None:
    """What was told to a call, each doubled, and all of it once more at the end, gives what the call is."""
    for call_id, events in h.events.items():
        call, first = h.store.calls.rows[call_id], h.first_call[call_id]
        doubled = after(first, [event for event in events for _ in range(2)])
        if doubled != call:
            return f"call {call_id} is {call.state} {call.outcome}, told twice {doubled.state} {doubled.outcome}"
        once_more = after(call, events)
        if call.is_over and (once_more.outcome, once_more.ended_at) != (call.outcome, call.ended_at):
            return f"call {call_id} was {call.outcome}, told again {once_more.outcome}"
    return None


def r11_in_any_order_it_ends_alike(h: History) -> str | None:
    """What the provider tells may come in any order: the call is over, and only the joining of both before its end makes it answered."""
    for call_id, events in h.events.items():
        shuffled = list(events)
        Random(call_id).shuffle(shuffled)
        # our own acts have their order; the provider's callbacks come between them as they like
        turned = after(h.first_call[call_id], [events[0], *shuffled])
        if not turned.is_over:
            return f"call {call_id} does not end when told {[type(e).__name__ for e in shuffled]}"
        if (turned.state in (CallState.WRAP_UP, CallState.CLOSED)) != turned.is_over:
            return f"call {call_id} is over and {turned.state}"
        if turned.outcome is Outcome.ANSWERED and turned.answered_at is None:
            return f"call {call_id} is answered, and nobody joined"
        settled = after(turned, [WrapUpDone(h.store.now)])
        if after(settled, shuffled) != settled:
            return f"call {call_id} changes after its end"
    return None


def r08_nothing_is_left(h: History) -> str | None:
    for item in h.store.items.rows.values():
        if item.state not in TERMINAL:
            return f"everybody has hung up, and item {item.id} is {item.state}"
    for call in h.store.calls.rows.values():
        if not call.is_over:
            return f"everybody has hung up, and call {call.id} is {call.state}"
    return None


def r29_nobody_is_left_busy(h: History) -> str | None:
    for agent in h.store.agents.rows.values():
        if agent.used_units:
            return f"all is over, and agent {agent.id} uses {agent.used_units}"
    return None


AT_THE_END: Final[tuple[CalmCheck, ...]] = (
    r08_nothing_is_left,
    r10_told_twice_is_told_once,
    r11_in_any_order_it_ends_alike,
    r29_nobody_is_left_busy,
)


def at_the_end(h: History) -> None:
    found = {check.__name__: what for check in AT_THE_END if (what := check(h)) is not None}
    if found:
        raise Broken(found)


def numbers() -> set[int]:
    """Which invariants are checked here."""
    named: list[Any] = [*ON_COMMIT, *ON_DECISION, *WHEN_CALM, *AT_THE_END]
    return {int(check.__name__[1:3]) for check in named}
