"""Who gets what: the order of the line, the step in force, the longest idle, and what must hold for any pool."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ids import AgentId
from routing.decide import current_step, decide, explain, free_agents, reasons, verdict_of
from routing.model import (
    PICKS,
    AgentView,
    By,
    Criterion,
    Decision,
    PoolState,
    PresenceState,
    Step,
    Verdict,
    WaitingItem,
    step_at,
    steps_of,
)
from tests.unit.routing.pool import NOW, ago, an_agent, an_item, busy, need


def pairs(items: list[WaitingItem], agents: list[AgentView], **more: Any) -> list[tuple[int, int]]:
    decision = decide(PoolState(tuple(items), tuple(agents), **more), NOW)
    return [(proposal.item.id, proposal.agent_id) for proposal in decision.proposals]


# --- the order of the line -------------------------------------------------------------------------------------------------


def test_a_higher_tier_goes_first_however_late_it_came() -> None:
    items = [an_item(1, waited_s=900), an_item(2, tier=1, waited_s=1)]
    assert pairs(items, [an_agent()]) == [(2, 1)]


def test_within_a_tier_the_earliest_virtual_start_goes_first() -> None:
    items = [an_item(1, waited_s=30), an_item(2, waited_s=10, boost_s=21), an_item(3, waited_s=29.9)]
    assert pairs(items, [an_agent(n) for n in (1, 2, 3)]) == [(2, 1), (1, 2), (3, 3)]


def test_at_equal_virtual_start_the_one_who_came_first_goes_first() -> None:
    items = [an_item(1, waited_s=10, boost_s=20), an_item(2, waited_s=20, boost_s=10)]
    assert pairs(items, [an_agent()]) == [(2, 1)]


def test_at_the_same_moment_the_lower_id_goes_first() -> None:
    assert pairs([an_item(2), an_item(1)], [an_agent()]) == [(1, 1)]


# --- steps ------------------------------------------------------------------------------------------------------------------

WIDENING = (Step(0.0, (need("billing", 3),)), Step(15.0, (need("billing", 1),)), Step(30.0))


@pytest.mark.parametrize(
    ("waited_s", "index"), [(0, 0), (14.999, 0), (15, 1), (29.9, 1), (30, 2), (10_000, 2), (-3, 0)]
)
def test_the_step_in_force_is_the_last_whose_offset_has_passed(waited_s: float, index: int) -> None:
    item = an_item(waited_s=waited_s, steps=WIDENING)
    assert (step_at(WIDENING, waited_s), current_step(item, NOW)) == (index, index)


def test_a_boost_opens_no_step_earlier() -> None:
    assert current_step(an_item(waited_s=1, boost_s=600, steps=WIDENING), NOW) == 0


def test_later_steps_let_others_serve() -> None:
    agents = [an_agent(1, skills={"billing": 2}), an_agent(2), an_agent(3, skills={"billing": 3}, idle_s=1)]

    def chosen(waited_s: float) -> list[tuple[int, int]]:
        return pairs([an_item(waited_s=waited_s, steps=WIDENING)], agents)

    assert chosen(5) == [(1, 3)]
    assert chosen(20) == [(1, 1)]
    assert pairs([an_item(waited_s=40, steps=WIDENING)], agents[1:2]) == [(1, 2)]


def test_a_decision_names_its_step() -> None:
    agents = [an_agent(skills={"billing": 1})]
    decision = decide(PoolState((an_item(waited_s=20, steps=WIDENING),), tuple(agents)), NOW)
    assert [proposal.step for proposal in decision.proposals] == [1]


def test_stored_steps_are_read_back() -> None:
    assert steps_of([]) == (Step(0.0),)
    stored: list[dict[str, Any]] = [
        {"after_s": 0, "require": [{"skill": "billing", "level": 3}, {"skill": "german"}], "offers": 2},
        {"after_s": 9, "prefer": [{"skill": "german", "level": 2}], "order": [{"skill": "german"}, "round_robin"]},
    ]
    assert steps_of(stored) == (
        Step(0.0, (need("billing", 3), need("german")), 2),
        Step(9.0, (), 1, (need("german", 2),), (Criterion(By.SKILL, "german"), Criterion(By.ROUND_ROBIN))),
    )


# --- verdicts -----------------------------------------------------------------------------------------------------------------

LASTING_TO_PASSING: list[tuple[dict[str, Any], Verdict]] = [
    ({"queues": frozenset({"sales"})}, Verdict.NOT_IN_QUEUE),
    ({"skills": {"billing": 2}}, Verdict.SKILL_MISSING),
    ({"presence": PresenceState.BREAK}, Verdict.ON_BREAK),
    ({"is_connected": False}, Verdict.DISCONNECTED),
    ({"free_units": 0}, Verdict.FULL),
    ({"cooldown_until": ago(-1)}, Verdict.COOLING_DOWN),
]


@pytest.mark.parametrize("count", range(1, len(LASTING_TO_PASSING) + 1))
def test_the_first_reason_counts_from_the_lasting_to_the_passing(count: int) -> None:
    item = an_item(steps=(Step(0.0, (need("billing", 3),)),), excluded=(1,))
    fields: dict[str, Any] = {"skills": {"billing": 3}}
    for more, _ in LASTING_TO_PASSING[-count:]:
        fields |= more
    assert verdict_of(item, item.steps[0], an_agent(**fields), NOW).verdict is LASTING_TO_PASSING[-count][1]


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"presence": PresenceState.OFFLINE}, Verdict.OFFLINE),
        ({"presence": PresenceState.NOT_RESPONDING}, Verdict.NOT_RESPONDING),
        ({"presence": PresenceState.RECONNECTING}, Verdict.DISCONNECTED),
        ({"presence": PresenceState.UNREACHABLE}, Verdict.DISCONNECTED),
        (busy("in_call"), Verdict.IN_CALL),
        (busy("wrapping"), Verdict.WRAPPING),
        (busy("offered"), Verdict.OFFERED),
        (busy("idle"), Verdict.FULL),
        ({"work": "wrapping", "free_units": 1}, Verdict.WRAPPING),
        ({"work": "in_call", "free_units": 1}, Verdict.ELIGIBLE),
        ({"cooldown_until": NOW}, Verdict.ELIGIBLE),
        ({}, Verdict.ELIGIBLE),
    ],
)
def test_what_an_agent_is_doing_decides(fields: dict[str, Any], verdict: Verdict) -> None:
    item = an_item()
    assert verdict_of(item, item.steps[0], an_agent(**fields), NOW).verdict is verdict
    assert pairs([item], [an_agent(**fields)]) == ([(1, 1)] if verdict is Verdict.ELIGIBLE else [])


def test_a_missing_skill_is_named() -> None:
    item = an_item(steps=(Step(0.0, (need("german"), need("billing", 3))),))
    found = verdict_of(item, item.steps[0], an_agent(skills={"german": 1, "billing": 2}), NOW)
    assert (found.verdict, found.detail) == (Verdict.SKILL_MISSING, "billing ≥ 3")


def test_who_declined_a_call_is_passed_over_for_that_call_only() -> None:
    items = [an_item(1, excluded=(1,)), an_item(2)]
    assert pairs(items, [an_agent(1)]) == [(2, 1)]
    assert verdict_of(items[0], items[0].steps[0], an_agent(1), NOW).verdict is Verdict.EXCLUDED


# --- choosing -----------------------------------------------------------------------------------------------------------------


def test_the_longest_idle_gets_it_and_ties_go_by_id() -> None:
    agents = [an_agent(3, idle_s=50), an_agent(1, idle_s=10), an_agent(2, idle_s=50)]
    assert pairs([an_item(n) for n in (1, 2, 3)], agents) == [(1, 2), (2, 3), (3, 1)]


def test_nobody_free_is_an_empty_decision() -> None:
    assert decide(PoolState((an_item(),), ()), NOW) == Decision(())
    assert decide(PoolState((), (an_agent(),)), NOW) == Decision(())


def test_a_decision_says_whether_another_pass_may_find_more() -> None:
    def is_full(items: list[WaitingItem], agents: list[AgentView], **more: Any) -> bool:
        return decide(PoolState(tuple(items), tuple(agents), **more), NOW).is_full

    assert is_full([an_item(1), an_item(2)], [an_agent(1), an_agent(2), an_agent(3)], max_offers=2)
    assert is_full([an_item(1), an_item(2, steps=(Step(0.0, (), 2),))], [an_agent(n) for n in (1, 2, 3)], max_offers=2)
    assert not is_full([an_item()], [an_agent(**busy("in_call"))])
    assert not is_full([an_item()], [an_agent(1), an_agent(2)])
    assert not is_full([an_item(queue="sales")], [an_agent()])


def test_an_item_that_nobody_can_serve_holds_nobody_back() -> None:
    items = [an_item(n, tier=9, steps=(Step(0.0, (need("basque"),)),)) for n in range(1, 50)]
    items += [an_item(60, queue="sales"), an_item(61)]
    assert pairs(items, [an_agent(1), an_agent(2, queues=frozenset({"sales"}))]) == [(60, 2), (61, 1)]


def test_no_agent_gets_two_offers_in_a_pass_even_with_room_for_more() -> None:
    assert pairs([an_item(1), an_item(2)], [an_agent(free_units=5)]) == [(1, 1)]


def test_a_pass_makes_at_most_so_many_offers() -> None:
    items, agents = [an_item(n) for n in range(1, 20)], [an_agent(n) for n in range(1, 20)]
    assert len(pairs(items, agents)) == 10
    assert len(pairs(items, agents, max_offers=3)) == 3


def test_a_group_is_asked_at_the_same_time() -> None:
    ring = an_item(1, steps=(Step(0.0, (), 3),))
    agents = [an_agent(n, idle_s=60 - n) for n in (1, 2, 3, 4)]
    assert pairs([ring, an_item(2)], agents) == [(1, 1), (1, 2), (1, 3), (2, 4)]
    assert pairs([ring], agents[:2]) == [(1, 1), (1, 2)]


def test_a_group_that_no_longer_fits_waits_for_the_next_pass_with_all_behind_it() -> None:
    items = [an_item(1), an_item(2, steps=(Step(0.0, (), 3),)), an_item(3)]
    agents = [an_agent(n) for n in range(1, 9)]
    assert pairs(items, agents, max_offers=3) == [(1, 1)]
    assert pairs(items[1:], agents[1:], max_offers=3) == [(2, 2), (2, 3), (2, 4)]


def test_a_group_larger_than_a_pass_is_cut_to_it() -> None:
    ring = an_item(1, steps=(Step(0.0, (), 12),))
    assert len(pairs([ring], [an_agent(n) for n in range(1, 14)])) == 10


# --- the explanation ------------------------------------------------------------------------------------------------------------


def test_every_agent_of_the_pool_gets_a_verdict() -> None:
    agents = [
        an_agent(1, idle_s=30),
        an_agent(2, idle_s=20),
        an_agent(3, idle_s=40, queues=frozenset({"sales"})),
        an_agent(4, **busy("in_call")),
        an_agent(5, idle_s=10),
        an_agent(6, presence=PresenceState.BREAK),
    ]
    decision = decide(PoolState((an_item(1), an_item(2)), tuple(agents)), NOW)
    first, second = ([(v.agent_id, v.verdict) for v in each] for each in reasons(decision.proposals, agents, NOW))
    assert first == [
        (1, Verdict.CHOSEN), (2, Verdict.ELIGIBLE), (5, Verdict.ELIGIBLE), (4, Verdict.IN_CALL), (6, Verdict.ON_BREAK),
        (3, Verdict.NOT_IN_QUEUE),
    ]  # fmt: skip
    assert second == [
        (2, Verdict.CHOSEN), (5, Verdict.ELIGIBLE), (4, Verdict.IN_CALL), (6, Verdict.ON_BREAK),
        (1, Verdict.TAKEN), (3, Verdict.NOT_IN_QUEUE),
    ]  # fmt: skip


def test_all_who_are_asked_together_are_chosen() -> None:
    ring = an_item(1, steps=(Step(0.0, (), 2),))
    agents = [an_agent(n, idle_s=60 - n) for n in (1, 2, 3)]
    decision = decide(PoolState((ring,), tuple(agents)), NOW)
    for verdicts in reasons(decision.proposals, agents, NOW):
        assert [(v.agent_id, v.verdict) for v in verdicts] == [
            (1, Verdict.CHOSEN), (2, Verdict.CHOSEN), (3, Verdict.ELIGIBLE)
        ]  # fmt: skip


def test_explaining_a_waiting_item_chooses_nobody() -> None:
    found = explain(an_item(), [an_agent(1, idle_s=1), an_agent(2, idle_s=2)], NOW)
    assert [(v.agent_id, v.verdict) for v in found] == [(2, Verdict.ELIGIBLE), (1, Verdict.ELIGIBLE)]


# --- any pool -------------------------------------------------------------------------------------------------------------------

QUEUES = ("support", "sales", "de")
SKILLS = ("billing", "german")
SHARED = st.sampled_from(
    [Criterion(By.BEST_SKILL), Criterion(By.PRESERVE_SPECIALISTS), *(Criterion(By.SKILL, skill) for skill in SKILLS)]
)
LASTS = st.sampled_from([(), (Criterion(By.LONGEST_IDLE),), (Criterion(By.ROUND_ROBIN),)])
ORDERS = st.builds(lambda shared, last: (*shared, *last), st.lists(SHARED, max_size=2), LASTS)
NEEDS = st.lists(st.builds(need, st.sampled_from(SKILLS), st.integers(0, 3)), max_size=2).map(tuple)


@st.composite
def step_lists(draw: st.DrawFn) -> tuple[Step, ...]:
    offsets = [0, *sorted(draw(st.sets(st.integers(1, 40), max_size=2)))]
    return tuple(
        Step(float(after), draw(NEEDS), draw(st.integers(1, 4)), draw(NEEDS), draw(ORDERS)) for after in offsets
    )


@st.composite
def item_lists(draw: st.DrawFn) -> list[WaitingItem]:
    return [
        an_item(
            ident,
            queue=draw(st.sampled_from(QUEUES)),
            tier=draw(st.integers(0, 2)),
            waited_s=draw(st.integers(0, 50)),
            boost_s=draw(st.sampled_from([0, 0, 10, 60])),
            steps=draw(step_lists()),
            excluded=tuple(draw(st.sets(st.integers(1, 8), max_size=2))),
            pick=draw(st.sampled_from(PICKS)),
        )
        for ident in draw(st.lists(st.integers(1, 40), unique=True, max_size=12))
    ]


@st.composite
def agent_lists(draw: st.DrawFn) -> list[AgentView]:
    return [
        an_agent(
            ident,
            idle_s=draw(st.integers(0, 5)),
            last_offered_at=ago(draw(st.integers(0, 5))),
            turn=draw(st.sampled_from([0.0, 0.0, 0.5, 1.0])),
            tickets=draw(st.integers(0, 2)),
            skills=draw(st.dictionaries(st.sampled_from(SKILLS), st.integers(0, 3))),
            queues=frozenset(draw(st.sets(st.sampled_from(QUEUES)))),
            presence=draw(st.sampled_from([PresenceState.AVAILABLE] * 6 + list(PresenceState))),
            is_connected=draw(st.sampled_from([True, True, True, False])),
            work=draw(st.sampled_from(["idle", "idle", "idle", "in_call", "wrapping", "offered"])),
            free_units=draw(st.sampled_from([1, 1, 1, 0, 2])),
            cooldown_until=draw(st.sampled_from([None, None, ago(1), ago(-1)])),
        )
        for ident in draw(st.lists(st.integers(1, 8), unique=True, max_size=8))
    ]


POOLS = st.builds(
    lambda items, agents, limit: PoolState(tuple(items), tuple(agents), limit),
    item_lists(), agent_lists(), st.sampled_from([1, 2, 3, 8]),
)  # fmt: skip


def may_serve(item: WaitingItem, agent: AgentView) -> bool:
    """Spelt out from the words of the design, without sharing code."""
    waited_s = (NOW - item.entered_at).total_seconds()
    in_force = [step for step in item.steps if step.after_s <= waited_s][-1]
    return (
        item.queue in agent.queues
        and all(agent.skills.get(n.skill, 0) >= n.level for n in in_force.require)
        and agent.presence == "available"
        and agent.is_connected
        and agent.free_units >= 1
        and agent.work != "wrapping"
        and (agent.cooldown_until is None or agent.cooldown_until <= NOW)
        and agent.id not in item.excluded
    )


def offers_of(item: WaitingItem) -> int:
    waited_s = (NOW - item.entered_at).total_seconds()
    return [step for step in item.steps if step.after_s <= waited_s][-1].offers


def in_line(state: PoolState) -> list[WaitingItem]:
    return sorted(state.items, key=lambda i: (-i.tier, i.virtual_start, i.entered_at, i.id))


@settings(deadline=None)
@given(POOLS)
def test_r4_r5_an_offer_goes_only_to_somebody_who_may_have_it(state: PoolState) -> None:
    agents = {agent.id: agent for agent in state.agents}
    for proposal in decide(state, NOW).proposals:
        assert may_serve(proposal.item, agents[proposal.agent_id])


@settings(deadline=None)
@given(POOLS)
def test_r3_nobody_gets_two_offers_and_no_item_more_than_its_step_says(state: PoolState) -> None:
    proposals = decide(state, NOW).proposals
    assert len(proposals) <= state.max_offers
    assert max(Counter(p.agent_id for p in proposals).values(), default=0) <= 1
    for item in state.items:
        assert sum(p.item.id == item.id for p in proposals) <= offers_of(item)


@settings(deadline=None)
@given(POOLS)
def test_r16_nobody_is_given_a_later_item_while_an_earlier_one_they_may_serve_waits(state: PoolState) -> None:
    line, agents = in_line(state), {agent.id: agent for agent in state.agents}
    proposals = decide(state, NOW).proposals
    served = {proposal.item.id for proposal in proposals}
    for proposal in proposals:
        for earlier in line[: line.index(proposal.item)]:
            assert earlier.id in served or not may_serve(earlier, agents[proposal.agent_id])


def comes_first(item: WaitingItem, one: AgentView, other: AgentView, free: list[AgentView]) -> tuple[bool, str]:
    """Is `one` asked before `other`, and by what? Spelt out from the words of `routing.order`, without sharing code."""
    step = [step for step in item.steps if step.after_s <= (NOW - item.entered_at).total_seconds()][-1]

    def levels(agent: AgentView) -> int:
        return sum(agent.skills.get(skill, 0) for skill in {n.skill for n in step.require + step.prefer})

    def rarest(agent: AgentView) -> float:
        needless = {s for s, level in agent.skills.items() if level >= 1} - {n.skill for n in step.require}
        return min((sum(a.skills.get(s, 0) >= 1 for a in free) for s in needless), default=float("inf"))

    def wishes(agent: AgentView) -> int:
        return [agent.skills.get(n.skill, 0) >= n.level for n in step.prefer].count(True)

    if wishes(one) != wishes(other):
        return wishes(one) > wishes(other), "prefer"
    mine: float
    theirs: float
    for criterion in step.order or (Criterion(By(item.pick)),):
        match criterion.by:
            case By.BEST_SKILL:
                mine, theirs = levels(one), levels(other)
            case By.SKILL:
                assert criterion.skill
                mine, theirs = one.skills.get(criterion.skill, 0), other.skills.get(criterion.skill, 0)
            case By.PRESERVE_SPECIALISTS:
                mine, theirs = rarest(one), rarest(other)
            case By.ROUND_ROBIN:
                return (one.last_offered_at, one.id) < (other.last_offered_at, other.id), "round_robin"
            case By.WEIGHTED:
                return (one.turn, one.id) < (other.turn, other.id), "weighted"
            case By.LEAST_LOADED:
                loads = (one.tickets, one.idle_since, one.id), (other.tickets, other.idle_since, other.id)
                return loads[0] < loads[1], "least_loaded"
            case _:
                break
        if mine != theirs:
            return mine > theirs, str(criterion)
    return (one.idle_since, one.id) < (other.idle_since, other.id), "longest_idle"


@settings(deadline=None)
@given(POOLS)
def test_of_those_left_who_comes_first_in_the_order_of_the_step_gets_it_and_the_reason_is_named(
    state: PoolState,
) -> None:
    taken: set[AgentId] = set()
    agents, free = {agent.id: agent for agent in state.agents}, free_agents(state.agents, NOW)
    proposals = decide(state, NOW).proposals
    for n, proposal in enumerate(proposals):
        item, chosen = proposal.item, agents[proposal.agent_id]
        left = [a for a in state.agents if a.id not in taken | {chosen.id} and may_serve(item, a)]
        assert all(comes_first(item, chosen, other, free)[0] for other in left)
        taken.add(chosen.id)
        if left and (n + 1 == len(proposals) or proposals[n + 1].item != item):  # the last of those asked for it
            second = next(a for a in left if all(a is b or comes_first(item, a, b, free)[0] for b in left))
            assert proposal.by == comes_first(item, chosen, second, free)[1]


@settings(deadline=None)
@given(POOLS)
def test_r24_r25_what_is_left_fits_nobody_who_is_left_unless_the_pass_is_full(state: PoolState) -> None:
    proposals = decide(state, NOW).proposals
    served, taken = {p.item.id for p in proposals}, {p.agent_id for p in proposals}
    left = [a for a in state.agents if a.id not in taken]
    for item in in_line(state):
        able = [a for a in left if may_serve(item, a)]
        if item.id not in served and able:
            group = min(len(able), offers_of(item), state.max_offers)
            assert len(proposals) + group > state.max_offers
            return


@settings(deadline=None)
@given(POOLS, st.randoms(use_true_random=False))
def test_r23_r34_the_same_pool_in_any_order_gives_the_same_decision(state: PoolState, random: Any) -> None:
    items, agents = list(state.items), list(state.agents)
    random.shuffle(items)
    random.shuffle(agents)
    assert decide(replace(state, items=tuple(items), agents=tuple(agents)), NOW) == decide(state, NOW)
    keys = [item.key for item in state.items]
    assert len(set(keys)) == len(keys)


@settings(deadline=None)
@given(POOLS)
def test_r15_every_decision_can_be_read_from_its_verdicts(state: PoolState) -> None:
    """All agents stand there once; the chosen are those asked for the item; replaying gives the same."""
    decision = decide(state, NOW)
    for proposal, verdicts in zip(decision.proposals, reasons(decision.proposals, state.agents, NOW), strict=True):
        assert sorted(v.agent_id for v in verdicts) == sorted(a.id for a in state.agents)
        chosen = {v.agent_id for v in verdicts if v.verdict is Verdict.CHOSEN}
        assert chosen == {p.agent_id for p in decision.proposals if p.item == proposal.item}
        assert proposal.agent_id in chosen
    assert decide(state, NOW) == decision


@settings(deadline=None)
@given(POOLS)
def test_r19_r24_passes_one_after_the_other_serve_everybody_who_can_be_served(state: PoolState) -> None:
    """With agents answering at once and wrapping up, passes end, and then nothing fits any more."""
    items, agents = list(state.items), {agent.id: agent for agent in state.agents}
    for _ in range(len(items) + 1):
        proposals = decide(PoolState(tuple(items), tuple(agents.values()), state.max_offers), NOW).proposals
        if not proposals:
            break
        served = {p.item.id for p in proposals}
        items = [item for item in items if item.id not in served]
        for proposal in proposals:
            agents[proposal.agent_id] = replace(agents[proposal.agent_id], work="in_call", free_units=0)
    else:
        raise AssertionError("passes without end")
    assert not [(i.id, a.id) for i in items for a in agents.values() if may_serve(i, a)]


def test_time_moves_only_the_step() -> None:
    """R17: `now` never changes the place in line."""
    items = [an_item(n, waited_s=n, boost_s=n * 7 % 11, steps=WIDENING) for n in range(1, 9)]
    before = sorted(items, key=lambda item: item.key)
    for later in (0, 15, 3600):
        now = NOW + timedelta(seconds=later)
        agents = tuple(an_agent(n, skills={"billing": 3}) for n in range(1, 9))
        assert [p.item for p in decide(PoolState(tuple(items), agents), now).proposals] == before


# --- orders ---------------------------------------------------------------------------------------------------------------------


def first_asked(agents: list[AgentView], **step: Any) -> tuple[int, str]:
    [proposal] = decide(PoolState((an_item(steps=(Step(0.0, **step),)),), tuple(agents)), NOW).proposals
    return proposal.agent_id, proposal.by


def by(*names: Any) -> tuple[Criterion, ...]:
    return tuple(each if isinstance(each, Criterion) else Criterion(By(each)) for each in names)


def test_preferences_narrow_nothing() -> None:
    agents = [an_agent(1, idle_s=90), an_agent(2, skills={"german": 2}, idle_s=5)]
    assert first_asked(agents, prefer=(need("german", 2),)) == (2, "prefer")
    assert first_asked(agents, prefer=(need("german", 3),)) == (1, "longest_idle")
    assert first_asked(agents[:1], prefer=(need("german", 2),)) == (1, "longest_idle")


def test_the_best_skilled_first_and_among_equals_the_longest_idle() -> None:
    agents = [an_agent(1, skills={"billing": 3}, idle_s=90), an_agent(2, skills={"billing": 5}, idle_s=5)]
    assert first_asked(agents, require=(need("billing", 3),), order=by("best_skill")) == (2, "best_skill")
    equals = [*agents, an_agent(3, skills={"billing": 5}, idle_s=6)]
    assert first_asked(equals, require=(need("billing", 3),), order=by("best_skill")) == (3, "longest_idle")


def test_the_only_speaker_of_a_language_is_kept_for_those_who_need_it() -> None:
    agents = [an_agent(1, skills={"billing": 1, "basque": 4}, idle_s=900)]
    agents += [an_agent(n, skills={"billing": 1, "german": 2}, idle_s=n) for n in (2, 3)]
    order = by("preserve_specialists")
    assert first_asked(agents, require=(need("billing"),), order=order) == (3, "longest_idle")
    assert first_asked(agents[:2], require=(need("billing"),), order=order) == (1, "longest_idle")  # as rare, here
    assert first_asked(agents, require=(need("basque"),), order=order) == (1, "longest_idle")
    assert first_asked([*agents, an_agent(4, skills={"billing": 9})], require=(need("billing"),), order=order) == (
        4,
        "preserve_specialists",
    )


def test_criteria_count_one_after_the_other() -> None:
    agents = [
        an_agent(1, skills={"german": 3, "billing": 1}),
        an_agent(2, skills={"german": 3, "billing": 2}, idle_s=1),
        an_agent(3, skills={"german": 2, "billing": 9}),
    ]
    order = by(Criterion(By.SKILL, "german"), Criterion(By.SKILL, "billing"))
    assert first_asked(agents, order=order) == (2, "skill:billing")


def test_a_queues_pick_is_for_steps_that_say_nothing() -> None:
    agents = [an_agent(1, idle_s=9, last_offered_at=ago(1)), an_agent(2, idle_s=1, last_offered_at=ago(9))]
    for steps, expected in (((Step(0.0),), 2), ((Step(0.0, order=by("longest_idle")),), 1)):
        state = PoolState((an_item(steps=steps, pick="round_robin"),), tuple(agents))
        assert [p.agent_id for p in decide(state, NOW).proposals] == [expected]


@settings(deadline=None)
@given(st.lists(st.sets(st.integers(1, 5), min_size=1), min_size=1, max_size=60))
def test_r21_r22_in_turn_nobody_is_asked_twice_before_everybody_else_and_who_returns_gets_no_burst(
    rounds: list[set[int]],
) -> None:
    """Each round asks one of those who are there; the others keep their turn."""
    last = {ident: ago(100 - ident) for ident in range(1, 6)}
    asked: list[int] = []
    for n, present in enumerate(rounds):
        agents = tuple(an_agent(ident, last_offered_at=last[ident], idle_s=ident * 7 % 5) for ident in sorted(present))
        [proposal] = decide(PoolState((an_item(pick="round_robin"),), agents), NOW).proposals
        asked.append(proposal.agent_id)
        last[proposal.agent_id] = NOW + timedelta(seconds=n)
    for n, ident in enumerate(asked):
        before = [m for m in range(n) if asked[m] == ident]
        if before:
            constant = set.intersection(*rounds[before[-1] : n + 1]) - {ident}
            assert constant <= set(asked[before[-1] + 1 : n])


# --- items kept for one agent ------------------------------------------------------------------------------------------------


def test_what_is_kept_for_one_agent_goes_to_nobody_else_and_holds_nobody_back() -> None:
    kept, other = replace(an_item(1, waited_s=20), only=AgentId(2)), an_item(2, waited_s=10)
    free = an_agent(1)
    state = PoolState((kept, other), (free, an_agent(2, **busy("in_call"))))
    assert [(p.item.id, p.agent_id) for p in decide(state, NOW).proposals] == [(2, 1)]
    assert verdict_of(kept, kept.steps[0], free, NOW).verdict is Verdict.KEPT
    assert verdict_of(kept, kept.steps[0], an_agent(3, queues=frozenset()), NOW).verdict is Verdict.NOT_IN_QUEUE


def test_whom_it_is_kept_for_is_asked_alone_and_it_is_said_so() -> None:
    kept = replace(an_item(1, steps=(Step(0.0, offers=3),)), only=AgentId(2))
    [proposal] = decide(PoolState((kept,), (an_agent(1, idle_s=90), an_agent(2, idle_s=1), an_agent(3))), NOW).proposals
    assert (proposal.agent_id, proposal.by) == (2, "sticky")


def test_r05_kept_for_somebody_does_not_mean_that_less_is_required() -> None:
    kept = replace(an_item(1, steps=(Step(0.0, (need("billing", 3),)),)), only=AgentId(2))
    agents = (an_agent(1, skills={"billing": 5}), an_agent(2, skills={"billing": 2}))
    assert decide(PoolState((kept,), agents), NOW).proposals == ()
