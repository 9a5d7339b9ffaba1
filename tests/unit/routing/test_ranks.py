"""Groups that rank their queues, and leave work of some of them to others for a while."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from routing.decide import decide, reasons, verdict_of
from routing.explain import why_agent, why_waiting
from routing.model import AgentView, Channel, Key, PoolState, Served, Step, Unread, Verdict, WaitingItem, ranks_of
from tests.unit.routing.pool import NOW, ago, an_agent, an_item
from tests.unit.routing.test_decide import POOLS, QUEUES, may_serve, pairs

BOTH = frozenset({"support", "sales"})


def ranked(ident: int = 1, *, first: str = "sales", delay_s: int = 0, **more: Any) -> AgentView:
    """Somebody who serves both queues, `first` before the other, which is left to others for `delay_s`."""
    [other] = BOTH - {first}
    return replace(an_agent(ident, queues=BOTH, **more), ranks={other: Served(2, delay_s)})


def test_a_queue_of_a_better_rank_goes_before_whoever_waited_longer_or_is_of_a_higher_tier() -> None:
    items = [an_item(1, waited_s=600, tier=3), an_item(2, queue="sales", waited_s=1)]
    assert pairs(items, [ranked()]) == [(2, 1)]
    assert pairs(items, [an_agent(queues=BOTH)]) == [(1, 1)]


def test_with_nothing_in_the_first_queue_the_second_is_served() -> None:
    assert pairs([an_item(1)], [ranked()]) == [(1, 1)]


def test_at_the_same_rank_the_line_decides() -> None:
    items = [an_item(1, waited_s=9), an_item(2, queue="sales", waited_s=10)]
    same = {queue: Served(2) for queue in BOTH}
    assert pairs(items, [replace(an_agent(queues=BOTH), ranks=same)]) == [(2, 1)]


def test_each_group_has_its_own_order() -> None:
    """Ava and Ben serve both queues, each another one first: the callers' order does not send them across."""
    items = [an_item(1, waited_s=20), an_item(2, queue="sales", waited_s=10)]
    ava, ben = ranked(1, first="sales", idle_s=90), ranked(2, first="support", idle_s=1)
    assert pairs(items, [ava, ben]) == [(1, 2), (2, 1)]


def test_who_comes_to_another_queue_first_is_counted_as_such() -> None:
    items = [an_item(1, waited_s=20), an_item(2, queue="sales", waited_s=10)]
    ava, ben = ranked(1, first="sales", idle_s=90), ranked(2, first="support", idle_s=1)
    decision = decide(PoolState(tuple(items), (ava, ben)), NOW)
    first, second = reasons(decision.proposals, (ava, ben), NOW)
    assert {v.agent_id: (v.verdict, v.detail) for v in first} == {
        1: (Verdict.ELSEWHERE, "sales"),
        2: (Verdict.CHOSEN, None),
    }
    assert {v.agent_id: v.verdict for v in second} == {1: Verdict.CHOSEN, 2: Verdict.TAKEN}
    told = why_agent("all", 0, "longest_idle", {"chosen": 1, "ranked_elsewhere": 1})
    assert told["en"] == "Rule “all”, step 1: the only free and able agent. 1 more comes to another queue first."


def test_when_the_first_queue_is_served_by_others_the_second_is_next() -> None:
    """One caller for sales, two who come there first: the one idle longer gets it, the other serves support in the same pass."""
    items = [an_item(1, waited_s=20), an_item(2, queue="sales", waited_s=10)]
    assert pairs(items, [ranked(1, idle_s=5), ranked(2, idle_s=9)]) == [(2, 2), (1, 1)]


def test_what_was_declined_does_not_keep_from_the_next() -> None:
    items = [an_item(1), an_item(2, queue="sales", excluded=(1,))]
    assert pairs(items, [ranked()]) == [(1, 1)]


def test_what_has_not_waited_long_enough_is_left_to_others() -> None:
    item, backup = an_item(waited_s=29.9), ranked(2, delay_s=30)
    assert pairs([item], [backup]) == []
    assert pairs([an_item(waited_s=30)], [backup]) == [(1, 2)]
    assert pairs([item], [backup, an_agent(1, queues=BOTH)]) == [(1, 1)]
    found = verdict_of(item, Step(0.0), backup, NOW)
    assert (found.verdict, found.detail) == (Verdict.DELAYED, "30")
    told = why_waiting(an_item(waited_s=12), [found], NOW, ahead=0)
    assert told[1] == {
        "en": "It is left to others until it has waited 30 s, which is in 18 s.",
        "zh-CN": "等待满30秒之前让给其他坐席，还剩18秒。",
    }


def test_after_the_delay_the_rank_decides_as_ever() -> None:
    items = [an_item(1, waited_s=40), an_item(2, queue="sales", waited_s=1)]
    assert pairs(items, [ranked(delay_s=30)]) == [(2, 1)]


def test_what_is_kept_for_somebody_is_theirs_at_once() -> None:
    assert pairs([replace(an_item(waited_s=1), only=ranked().id)], [ranked(delay_s=30)]) == [(1, 1)]


def test_a_group_is_asked_together_among_those_who_come_to_it_first() -> None:
    items = [an_item(1, waited_s=20, steps=(Step(0.0, (), 3),)), an_item(2, queue="sales")]
    agents = [ranked(1, idle_s=9), ranked(2, first="support", idle_s=5), ranked(3, first="support", idle_s=7)]
    assert pairs(items, agents) == [(1, 3), (1, 2), (2, 1)]


def test_stored_ranks_are_read_back() -> None:
    assert ranks_of({"sales": {}, "support": {"rank": 2}, "de": {"delay_s": 30}}) == {
        "support": Served(2),
        "de": Served(1, 30),
    }


# --- what was not read ---------------------------------------------------------------------------------------------------


def rest(queue: str, since: WaitingItem, *, oldest: datetime | None = None, **more: Any) -> Unread:
    key: Key = since.key
    return Unread(queue, (), Channel.VOICE, key, oldest or since.entered_at, **more)


def test_a_pass_ends_where_what_was_not_read_may_come_first() -> None:
    read, far = an_item(1, waited_s=20), an_item(9, queue="sales", waited_s=10)
    assert pairs([read], [ranked()], unread=(rest("sales", far),)) == [], "Ava would come to sales first"
    assert pairs([read], [ranked(first="support")], unread=(rest("sales", far),)) == [(1, 1)]
    assert pairs([read], [an_agent()], unread=(rest("sales", far),)) == [(1, 1)], "she does not serve sales"
    assert pairs([read], [an_agent()], unread=(rest("sales", far, by_nobody_known=True),)) == [(1, 1)]
    assert pairs([far], [an_agent(queues=BOTH)], unread=(rest("support", read, by_nobody_known=True),)) == []


def test_what_nobody_may_see_yet_ends_no_pass() -> None:
    read, young = an_item(1, queue="sales", waited_s=5), an_item(9, waited_s=20)
    backup = replace(ranked(), ranks={"support": Served(1, 30), "sales": Served(2)})
    assert pairs([read], [backup], unread=(rest("support", young),)) == [(1, 1)]
    assert pairs([read], [backup], unread=(rest("support", young, oldest=ago(40)),)) == []


# --- for any pool --------------------------------------------------------------------------------------------------------

RANKS = st.dictionaries(st.sampled_from(QUEUES), st.builds(Served, st.integers(1, 3), st.sampled_from([0, 0, 5, 30])))


def with_ranks(state: PoolState, groups: list[Mapping[str, Served]]) -> PoolState:
    agents = [replace(agent, ranks=groups[agent.id % len(groups)]) for agent in state.agents]
    return replace(state, agents=tuple(agents))


RANKED_POOLS = st.builds(with_ranks, POOLS, st.lists(RANKS, min_size=1, max_size=3))


def sees(item: WaitingItem, agent: AgentView) -> bool:
    return (NOW - item.entered_at).total_seconds() >= agent.ranks.get(item.queue, Served()).delay_s


def place(item: WaitingItem, agent: AgentView) -> tuple[Any, ...]:
    return agent.ranks.get(item.queue, Served()).rank, -item.tier, item.virtual_start, item.entered_at, item.id


@settings(deadline=None)
@given(RANKED_POOLS)
def test_r16_nobody_is_given_an_item_while_one_before_it_in_their_own_order_waits(state: PoolState) -> None:
    agents, left = {agent.id: agent for agent in state.agents}, list(state.items)
    for proposal in decide(state, NOW).proposals:
        agent = agents[proposal.agent_id]
        assert may_serve(proposal.item, agent)
        assert sees(proposal.item, agent)
        for other in left:
            if other != proposal.item and may_serve(other, agent) and sees(other, agent):
                assert place(proposal.item, agent) < place(other, agent)
        left = [item for item in left if item != proposal.item]


@settings(deadline=None)
@given(RANKED_POOLS)
def test_r24_with_a_free_agent_who_may_serve_what_waits_somebody_is_asked(state: PoolState) -> None:
    proposals = decide(replace(state, max_offers=8), NOW).proposals
    asked, given_away = {p.agent_id for p in proposals}, {p.item.id for p in proposals}
    if len(proposals) < 8 - 3:  # a group that no longer fits ends the pass
        for item in state.items:
            for agent in state.agents:
                assert item.id in given_away or agent.id in asked or not (may_serve(item, agent) and sees(item, agent))


@settings(deadline=None)
@given(POOLS)
def test_ranks_that_are_all_equal_change_nothing(state: PoolState) -> None:
    same = with_ranks(state, [{queue: Served(7) for queue in QUEUES}])
    assert [(p.item, p.agent_id, p.by) for p in decide(same, NOW).proposals] == [
        (p.item, p.agent_id, p.by) for p in decide(state, NOW).proposals
    ]
