"""The checks are worth something: each of these mistakes is caught by the invariant that names it, within three hundred days.

A mutant changes one function, of the product where the product decides, else of the shell. Some are what other engines did.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import total_ordering
from typing import Any, Final

import pytest

from core.errors import RingdeskError
from cti.model import Call, CallerGone, CallEvent, Happened, Outcome, advance
from routing import decide as deciding
from routing import life, model
from routing.model import AgentView, Decision, ItemState, OfferState, PoolState, Step, WaitingItem
from tests.sim import checks, matcher, shell
from tests.sim.checks import Broken
from tests.sim.store import Item, Offer, Ranking, Steps, Tx
from tests.sim.world import World

SEEDS: Final = 300
decide, may_serve, served, win, call_end = (
    deciding.decide,
    deciding._may_serve,
    deciding.served,
    shell.win,
    life.call_end,
)
set_item, free_agent, back_in_line, hold_units = (
    shell.set_item,
    shell.free_agent,
    shell.back_in_line,
    matcher.hold_units,
)
make_offer, rank_item, enqueue, try_lock, drop = matcher.make_offer, shell.rank, shell.enqueue, Tx.try_lock, World.drop
in_step = Item.in_step


def nothing(*_: Any, **__: Any) -> None:
    """Somebody has forgotten this."""


def no_steps(*_: Any, **__: Any) -> Iterator[None]:
    """Somebody has forgotten this use case."""
    yield


def whatever_they_know(item: WaitingItem, step: Step, agent: AgentView, now: datetime) -> bool:
    return item.queue in agent.queues and item.only in (None, agent.id) and agent.id not in item.excluded


def whatever_they_serve(item: WaitingItem, step: Step, agent: AgentView, now: datetime) -> bool:
    return may_serve(replace(item, queue=min(agent.queues)), step, agent, now)


def excluded_or_not(item: WaitingItem, step: Step, agent: AgentView, now: datetime) -> bool:
    return may_serve(replace(item, excluded=frozenset()), step, agent, now)


def unranked(agent: AgentView, queue: str) -> model.Served:
    return replace(served(agent, queue), rank=1)


def decide_the_last(state: PoolState, now: datetime) -> Decision:
    return decide(replace(state, items=state.items[-1:]), now)


def decide_the_heaviest(state: PoolState, now: datetime) -> Decision:
    """Asterisk 1561: weights are compared without asking who can serve what."""
    heaviest = max((item.tier for item in state.items), default=0)
    return decide(replace(state, items=tuple(item for item in state.items if item.tier == heaviest)), now)


def decide_the_first_found(state: PoolState, now: datetime) -> Decision:
    """FreeSWITCH 1216: the search ends with the first agent found, usable or not."""
    return decide(replace(state, agents=state.agents[:1]), now)


def by_id(agent: AgentView, *_: Any) -> tuple[int]:
    return (agent.id,)


def as_they_come(*_: Any) -> tuple[()]:
    return ()


@total_ordering
class Cyclic:
    """Asterisk 1691: each queue lets another one go first."""

    def __init__(self, item: WaitingItem) -> None:
        self.item = item

    def __lt__(self, other: "Cyclic") -> bool:
        place = (self.item.virtual_start, self.item.id) < (other.item.virtual_start, other.item.id)
        return place if self.item.queue == other.item.queue else (self.item.id + other.item.id) % 2 == 0

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # type: ignore[assignment]


def newest_first(item: WaitingItem) -> tuple[float, int]:
    return (-item.virtual_start.timestamp(), item.id)


def win_at_any_time(tx: Tx, offer: Offer) -> Offer:
    return shell.set_offer(tx, offer, state=OfferState.ACCEPTED, accepted_clock=tx.store.now)


def win_or_not(tx: Tx, offer: Offer) -> Offer:
    """Asterisk 1557: the others are withdrawn before the win is final."""
    try:
        return win(tx, offer)
    except RingdeskError:
        return offer


def accept_without_looking(tx: Tx, offer_id: int, agent_id: int) -> Steps[Offer]:
    """Asterisk 176: two answers, and nobody looks at the other."""
    offer = shell.my_offer(tx, offer_id, agent_id)
    yield from shell.lock_offers(tx, [offer])
    offer = shell.my_offer(tx, offer_id, agent_id)
    shell.refuse_late(offer, tx.row(tx.store.items, offer.work_item_id))
    win_at_any_time(tx, offer)
    set_item(tx, offer.work_item_id, ItemState.ASSIGNED)
    return offer


def waits_at_once(item_state: str | None, offers: Any) -> bool:
    return item_state in (ItemState.OFFERING, ItemState.ASSIGNED)


def end_without_withdrawing(outcome: str, offers: Any) -> life.CallEnd:
    return replace(call_end(outcome, offers), withdrawn=())


def without_reason(tx: Tx, item_id: int, state: ItemState, reason: str | None = None) -> Item:
    return set_item(tx, item_id, state)


def with_new_clock(tx: Tx, offer: Offer, *, resets_idle: bool) -> None:
    """comms-router 62: the clock starts with whatever ends."""
    free_agent(tx, offer, resets_idle=True)


def at_the_end_of_the_line(tx: Tx, offer: Offer) -> Steps[None]:
    item = tx.row(tx.store.items, offer.work_item_id)
    tx.put(tx.store.items, item.id, item._replace(virtual_start=tx.now, entered_at=tx.now))
    yield from back_in_line(tx, offer)


def hold_and_forget_the_turn(tx: Tx, agent_id: int) -> None:
    agent = tx.row(tx.store.agents, agent_id)
    hold_units(tx, agent_id)
    held = tx.row(tx.store.agents, agent_id)
    tx.put(tx.store.agents, agent_id, held._replace(last_offered_at=agent.last_offered_at))


def offer_and_leave_in_line(tx: Tx, proposal: Any) -> Offer:
    item = tx.row(tx.store.items, proposal.item.id)
    offer = make_offer(tx, proposal)
    tx.put(tx.store.items, item.id, item)
    return offer


def never_busy(self: Tx, name: Any) -> bool:
    """The lock of a pool keeps nobody out."""
    return name[0] == "pools" or try_lock(self, name)


def rank_without_a_word(tx: Tx, item: Item, wanted: Ranking) -> int:
    act_id = rank_item(tx, item, wanted)
    tx.put(tx.store.acts, act_id, None)
    return act_id


def in_step_whoever_ranked_it(item: Item, step: int) -> Item:
    moved = in_step(item._replace(is_tier_by_hand=False, is_boost_by_hand=False), step)
    return moved._replace(is_tier_by_hand=item.is_tier_by_hand, is_boost_by_hand=item.is_boost_by_hand)


def in_step_as_it_was(item: Item, step: int) -> Item:
    return item._replace(step=step)


def in_step_unseen(item: Item, step: int) -> Item:
    return in_step(item, step)._replace(version=item.version)


def an_end_is_not_the_end(call: Call, event: CallEvent) -> tuple[Call, Happened | None]:
    """FreeSWITCH 1973: what comes after the end changes it."""
    if call.is_over and isinstance(event, CallerGone):
        return replace(call, outcome=Outcome.FAILED, version=call.version + 1), None
    return advance(call, event)


def never_ends(call: Call, event: CallEvent) -> tuple[Call, Happened | None]:
    """The end is heard only in the states in which it is expected."""
    is_early = isinstance(event, CallerGone) and call.state.value in ("queued", "received")
    return (call, None) if is_early else advance(call, event)


def in_no_pool(tx: Tx, call: Call, rules: Any) -> None:
    enqueue(tx, call, rules)
    for (name, key), row in list(tx.writes.items()):
        if name == "items":
            tx.writes[(name, key)] = row._replace(pool="")


def half_a_commit(self: World, process: str) -> None:
    """A crash leaves what was written so far."""
    self.history.crashes += 1
    for job in [job for job in self.active if job.process == process]:
        self.store.apply(job.tx)
        drop(self, job)


@dataclass(frozen=True, slots=True)
class Mutant:
    what: str
    changes: tuple[tuple[Any, str, Any], ...]
    caught_by: Callable[..., str | None]

    def __str__(self) -> str:
        return self.what.replace(" ", "-")


def mutant(what: str, place: Any, name: str, change: Any, caught_by: Any, *more: tuple[Any, str, Any]) -> Mutant:
    return Mutant(what, ((place, name, change), *more), caught_by)


MUTANTS: Final = (
    mutant("two accept and nobody looks at the other", shell, "accept", accept_without_looking, checks.r01_one_accepted_offer),
    mutant("an offer holds no unit", matcher, "hold_units", nothing, checks.r02_used_units_are_those_of_open_offers),
    mutant("two dispatchers and nobody looks again", matcher, "is_still_free", lambda *_: True, checks.r03_never_above_capacity,
           (Tx, "try_lock", never_busy)),
    mutant("who has left is asked", matcher, "is_still_free", lambda *_: True, checks.r04_only_the_free_are_asked),
    mutant("skills are not looked at", deciding, "_may_serve", whatever_they_know, checks.r05_the_asked_have_what_the_step_requires),
    mutant("the first step is for ever", deciding, "step_at", lambda *_: 0, checks.r05_the_asked_have_what_the_step_requires),
    mutant("the deadline is not looked at", shell, "win", win_at_any_time, checks.r06_no_answer_after_the_deadline_or_the_end),
    mutant("others are withdrawn before the win is final", shell, "win", win_or_not, checks.r07_queued_without_and_offering_with_pending_offers),
    mutant("an item waits again while others are asked", life, "waits_again", waits_at_once, checks.r07_queued_without_and_offering_with_pending_offers),
    mutant("an item is left in line while it is offered", matcher, "make_offer", offer_and_leave_in_line, checks.r07_queued_without_and_offering_with_pending_offers),
    mutant("an end withdraws nothing", life, "call_end", end_without_withdrawing, checks.r07_queued_without_and_offering_with_pending_offers),
    mutant("an end has no reason", shell, "set_item", without_reason, checks.r08_an_end_has_its_reason),
    mutant("the end of who waits is not heard", shell, "advance", never_ends, checks.r08_nothing_is_left),
    mutant("an answer after the end counts", life, "refusal", nothing, checks.r09_nothing_follows_an_end),
    mutant("an end is not the end", shell, "advance", an_end_is_not_the_end, checks.r10_told_twice_is_told_once,
           (checks, "advance", an_end_is_not_the_end)),
    mutant("an end is heard only when expected", shell, "advance", never_ends, checks.r11_in_any_order_it_ends_alike,
           (checks, "advance", never_ends)),
    mutant("an item is in no pool", shell, "enqueue", in_no_pool, checks.r12_one_step_and_one_pool),
    mutant("who declined is asked again", shell, "exclude", nothing, checks.r13_the_excluded_are_not_asked),
    mutant("exclusions are not looked at", deciding, "_may_serve", excluded_or_not, checks.r13_the_excluded_are_not_asked),
    mutant("queues are not looked at", deciding, "_may_serve", whatever_they_serve, checks.r14_only_the_own_pool_is_asked),
    mutant("no verdict is kept", matcher, "reasons", lambda kept, *_: [[] for _ in kept], checks.r15_every_offer_has_its_decision),
    mutant("the last come first", deciding, "decide", decide_the_last, checks.r16_nobody_gets_what_is_behind),
    mutant("a group sees at once what it leaves to others", deciding, "_is_seen", lambda *_: True, checks.r16_nobody_gets_what_is_behind),
    mutant("ranks are not looked at", deciding, "served", unranked, checks.r16_nobody_gets_what_is_behind),
    mutant("declined goes to the end of the line", shell, "back_in_line", at_the_end_of_the_line, checks.r17_place_in_line_is_kept),
    mutant("a rank leaves no act", shell, "rank", rank_without_a_word, checks.r18_only_an_act_moves_in_line),
    mutant("a step ranks what was ranked by hand", Item, "in_step", in_step_whoever_ranked_it, checks.r18_only_an_act_moves_in_line),
    mutant("a step ranks unseen", Item, "in_step", in_step_unseen, checks.r18_only_an_act_moves_in_line),
    mutant("a step changes no rank", Item, "in_step", in_step_as_it_was, checks.r18_only_an_act_moves_in_line),
    mutant("the newest first", WaitingItem, "key", property(newest_first), checks.r19_overtaken_only_by_a_head_start),
    mutant("the idle clock starts with a refusal", shell, "free_agent", with_new_clock, checks.r20_idle_clocks_start_with_the_end_of_work),
    mutant("being asked is no turn", matcher, "hold_units", hold_and_forget_the_turn, checks.r21_in_turn),
    mutant("who returns catches up", matcher, "hold_units", hold_and_forget_the_turn, checks.r22_who_returns_gets_no_burst),
    mutant("two queues let each other go first", WaitingItem, "key", property(Cyclic), checks.r23_the_line_has_one_order),
    mutant("nobody looks by themselves", World, "wake_all", nothing, checks.r24_nobody_waits_while_somebody_is_free),
    mutant("a heavier queue blocks whom it cannot use", deciding, "decide", decide_the_heaviest, checks.r25_nobody_is_held_back),
    mutant("the first agent found is the only one", deciding, "decide", decide_the_first_found, checks.r25_nobody_is_held_back),
    mutant("nobody ends what was not answered", shell, "offer_timed_out", no_steps, checks.r26_no_offer_pends_past_its_deadline),
    mutant("no step ever opens", matcher, "step_at", lambda *_: 0, checks.r27_steps_open_in_time,
           (model, "step_at", lambda *_: 0)),
    mutant("a crash leaves half a commit", World, "crash", half_a_commit, checks.r28_after_a_crash_all_holds),
    mutant("wrap-up never ends", shell, "wrap_up_timed_out", no_steps, checks.r29_what_has_an_end_ends),
    mutant("units are not given back", shell, "free_agent", nothing, checks.r29_nobody_is_left_busy),
    mutant("a lost wake is lost for ever", World, "wake_all", nothing, checks.r30_a_lost_wake_costs_one_sweep),
    mutant("whoever is read first", deciding, "rank", as_they_come, checks.r34_the_same_again),
)  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_mistake_is_caught_by_the_invariant_that_names_it(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, name, change in mutant.changes:
        monkeypatch.setattr(place, name, change)
    only(monkeypatch, mutant.caught_by)
    wanted, ill = mutant.caught_by.__name__, 0
    for seed in range(SEEDS):
        try:
            World(seed).run()
        except Broken as error:
            if wanted in error.found:
                return
        except Exception:  # what the mistake brings down by itself
            ill += 1
    pytest.fail(f"{wanted} has not noticed within {SEEDS} seeds ({ill} fell ill)")


def only(monkeypatch: pytest.MonkeyPatch, wanted: Any) -> None:
    """A mistake breaks much, and the first that notices ends the day: the others look away."""
    for name in ("ON_COMMIT", "ON_DECISION", "WHEN_CALM", "AT_THE_END"):
        monkeypatch.setattr(checks, name, tuple(check for check in getattr(checks, name) if check is wanted))


def test_every_check_has_a_mistake_that_it_catches() -> None:
    everything = {*checks.ON_COMMIT, *checks.ON_DECISION, *checks.WHEN_CALM, *checks.AT_THE_END}
    assert {mutant.caught_by for mutant in MUTANTS} == everything


def test_without_a_mistake_the_same_days_are_good() -> None:
    for seed in range(0, SEEDS, 15):
        World(seed).run()
