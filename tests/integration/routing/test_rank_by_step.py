"""A step may say another rank: it comes into force with the step, and what somebody has ranked by hand no step moves (ADR 0015)."""

import asyncio
from typing import Any

import pytest

from app.parts import TIMERS
from core.errors import VersionConflict
from infra.outbox import Tx
from routing import acts, re_evaluate
from routing.acts import TooLateToUndo
from tests.api import Api
from tests.integration.routing.floor import Floor, Waiting
from tests.integration.routing.test_acts import SAM, rank, undo
from tests.integration.routing.test_dispatcher import until
from tests.integration.routing.test_http import explained
from tests.integration.routing.test_re_evaluate import applied, published

BLOCKED = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
VIP = {"name": "vip", "when": {"field": "call.from", "op": "ends_with", "value": "7"}, "then": {"tier": 1}}
RISING: list[dict[str, Any]] = [
    VIP,
    {
        "name": "patient",
        "then": {
            "steps": [
                {"after_s": 0, "require": [{"skill": "german"}]},
                {"after_s": 30, "boost_s": 60},
                {"after_s": 60, "tier": 2},
                {"after_s": 90, "offers": 2},
            ]
        },
    },
]


async def ranked(floor: Floor, call: Waiting) -> tuple[int, int, float]:
    """Tier, head start as kept, and as the line has it."""
    item = await floor.item(call)
    return item["tier"], item["boost_s"], (item["entered_at"] - item["virtual_start"]).total_seconds()


async def open_floor(floor: Floor, rules: list[dict[str, Any]]) -> None:
    await floor.open()
    await published(floor, rules)


async def test_who_has_waited_long_enough_goes_before_an_important_caller(floor: Floor) -> None:
    await open_floor(floor, RISING)
    patient, vip = await floor.ring(waited_s=61), await floor.ring(from_="+14155550177", waited_s=5)
    assert await ranked(floor, patient) == (0, 0, 0), "as it came: nobody has looked since"
    await floor.arrive("ava")
    assert await floor.dispatch() == [("ava", patient.item_id)]
    assert await ranked(floor, patient) == (2, 60, 60), "the head start of the step before goes on"
    assert await ranked(floor, vip) == (1, 0, 0)


async def test_before_its_step_it_waits_as_everybody(floor: Floor) -> None:
    await open_floor(floor, RISING)
    patient, vip = await floor.ring(waited_s=31), await floor.ring(from_="+14155550177", waited_s=5)
    await floor.arrive("ava")
    assert await floor.dispatch() == [("ava", vip.item_id)]
    assert await ranked(floor, patient) == (0, 60, 60)


async def time_passes(floor: Floor, seconds: float, *calls: Waiting) -> None:
    """They have waited longer, and the timers of their steps run."""
    for each in calls:
        await floor.execute(
            "UPDATE work_items SET entered_at = entered_at - make_interval(secs => $2), virtual_start = virtual_start - make_interval(secs => $2) "
            "WHERE id = $1",
            each.item_id,
            seconds,
        )
        await floor.execute(
            "UPDATE stints SET entered_at = entered_at - make_interval(secs => $2) WHERE work_item_id = $1",
            each.item_id,
            seconds,
        )
        assert await floor.run_timer("routing.step", each.item_id)


async def test_a_rank_by_hand_stays_and_undoing_it_gives_the_step_back(floor: Floor) -> None:
    await open_floor(floor, RISING)
    call, other = await floor.ring(waited_s=31), await floor.ring(waited_s=31)
    act = await rank(floor, call.item_id, tier=1, boost_s=5)
    await time_passes(floor, 40, call, other)
    assert await ranked(floor, call) == (1, 5, 5)
    assert await ranked(floor, other) == (2, 60, 60)
    await undo(floor, act)
    assert await ranked(floor, call) == (2, 60, 60), "not the rank of the step that was in force then"


async def test_who_is_put_ahead_goes_on_rising_with_the_steps(floor: Floor) -> None:
    await open_floor(floor, RISING)
    hurried, later = await floor.ring(waited_s=50), await floor.ring(waited_s=31)
    await rank(floor, hurried.item_id, boost_s=300)
    await time_passes(floor, 40, hurried, later)
    assert (await ranked(floor, hurried), await ranked(floor, later)) == ((2, 300, 300), (2, 60, 60))
    await floor.arrive("ava")
    assert await floor.dispatch() == [("ava", hurried.item_id)]


async def test_who_has_not_seen_the_rank_of_the_step_does_not_overwrite_it(floor: Floor) -> None:
    await open_floor(floor, RISING)
    call = await floor.ring(waited_s=61)
    seen = await floor.item(call)
    await floor.run_timer("routing.step", call.item_id)
    with pytest.raises(VersionConflict):
        await rank(floor, call.item_id, seen["version"], tier=seen["tier"] + 1)
    assert await ranked(floor, call) == (2, 60, 60)


async def test_only_the_last_rank_is_undone_and_only_under_the_same_rules(floor: Floor) -> None:
    await open_floor(floor, RISING)
    call, other = await floor.ring(waited_s=31), await floor.ring(waited_s=61)
    first = await rank(floor, call.item_id, tier=4)
    await rank(floor, call.item_id, 2, tier=4)
    with pytest.raises(TooLateToUndo, match="again"):
        await undo(floor, first)
    await floor.run_timer("routing.step", other.item_id)
    act = await rank(floor, other.item_id, (await floor.item(other))["version"], tier=5)
    await applied(floor, await published(floor, [{"name": "plain"}]))
    with pytest.raises(TooLateToUndo, match="other rules"):
        await undo(floor, act)


async def test_a_rank_given_while_rules_are_applied_is_kept(floor: Floor) -> None:
    await floor.open()
    call = await floor.ring()
    version = await published(floor, [{"name": "n", "then": {"steps": [{"after_s": 0}, {"after_s": 5, "tier": 1}]}}])

    async def rank_and_wait(tx: Tx) -> asyncio.Task[Any]:
        await acts.prioritise(tx, item_id=call.item_id, tier=7, boost_s=None, version=1, who=SAM)
        task = asyncio.create_task(applied(floor, version))
        await until(floor, BLOCKED)
        return task

    await (await floor.transact(rank_and_wait))
    item = await floor.item(call)
    assert (item["tier"], item["is_tier_by_hand"], item["is_boost_by_hand"]) == (7, True, False)


async def test_a_timer_beside_other_rules_opens_a_step_of_those(floor: Floor) -> None:
    await floor.open()
    steps = [
        {"after_s": 0, "require": [{"skill": "german"}]},
        {"after_s": 30, "tier": 2, "require": [{"skill": "german"}]},
    ]
    await published(floor, [{"name": "many", "then": {"steps": steps}}])
    await floor.arrive("ava")
    call = await floor.ring(waited_s=35)
    version = await published(floor, [{"name": "one", "then": {"tier": 5}}])

    async def apply_and_wait(tx: Tx) -> asyncio.Task[Any]:
        await re_evaluate.apply(tx, version)
        task = asyncio.create_task(floor.transact(lambda other: TIMERS["routing.step"](other, call.item_id, 0)))
        await until(floor, BLOCKED)
        return task

    await (await floor.transact(apply_and_wait))
    item = await floor.item(call)
    assert (item["step"], item["tier"]) == (0, 5)
    assert await floor.dispatch() == [("ava", call.item_id)]


async def test_other_rules_take_back_what_a_step_of_the_old_ones_gave(floor: Floor) -> None:
    await open_floor(floor, RISING)
    call, by_hand = await floor.ring(waited_s=61), await floor.ring(waited_s=61)
    await rank(floor, by_hand.item_id, tier=5, boost_s=0)
    for each in (call, by_hand):
        await floor.run_timer("routing.step", each.item_id)
    version = await published(
        floor, [VIP, {"name": "patient", "then": {"steps": [{"after_s": 0}, {"after_s": 5, "boost_s": 7}]}}]
    )
    await applied(floor, version)
    assert await ranked(floor, call) == (0, 7, 7)
    assert await ranked(floor, by_hand) == (5, 0, 0)


async def test_those_who_ask_for_the_same_in_another_rank_are_one_need(floor: Floor) -> None:
    await open_floor(floor, RISING)
    early, late = await floor.ring(waited_s=31), await floor.ring(waited_s=61)
    for each in (early, late):
        await floor.run_timer("routing.step", each.item_id)
    assert (await floor.item(early))["step"] != (await floor.item(late))["step"]
    assert (await floor.item(early))["need"] == (await floor.item(late))["need"]


async def test_the_explanation_says_what_the_next_step_does(floor: Floor, api: Api) -> None:
    await open_floor(floor, RISING)
    call = await floor.ring(waited_s=31)
    await floor.run_timer("routing.step", call.item_id)
    found = await explained(api, floor, "sam", call.item_id)
    assert "requires nothing in particular; from then on rank 2." in found["sentences"][-1]["en"]
    assert "届时优先级2" in found["sentences"][-1]["zh-CN"]
    await rank(floor, call.item_id, 2, tier=1)
    found = await explained(api, floor, "sam", call.item_id)
    said = [sentence["en"] for sentence in found["sentences"]]
    assert said[-1].endswith("requires nothing in particular.")
    assert "A supervisor gave it rank 1: no step changes that." in said
