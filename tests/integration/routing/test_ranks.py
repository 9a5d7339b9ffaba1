"""Agents of a group come to their queues in its order, and to some only after a while."""

import pytest

from core.errors import Conflict
from routing import by_hand
from tests.integration.routing.floor import ORG, Floor

RANKED = ORG.replace(
    "agents:\n",
    """groups:
  - {key: front, queues: {support: {rank: 1}, sales: {rank: 2}}}
  - {key: backup, queues: {support: {rank: 2, delay_s: 30}, sales: {rank: 1}}}
agents:
""",
)
for agent, group in (
    ("Ben, queues: [support, sales]", "Ben, group: front"),
    ("Chen, queues: [support]", "Chen, group: backup"),
):
    assert RANKED.count(agent) == 1
    RANKED = RANKED.replace(agent, group)


@pytest.fixture
async def ranked(floor: Floor) -> Floor:
    """Ava serves support; Ben comes to support first, then to sales; Chen to sales first, and to support after 30 s."""
    await floor.open(RANKED)
    return floor


async def test_each_comes_to_the_queue_of_the_better_rank(ranked: Floor) -> None:
    await ranked.arrive("chen", "ben")
    sales, support = await ranked.ring("sales", waited_s=50), await ranked.ring(waited_s=40)
    assert await ranked.dispatch() == [("chen", sales.item_id), ("ben", support.item_id)], "Chen may serve both, too"
    decision = await ranked.row("SELECT verdicts, counts FROM decisions WHERE work_item_id = $1", sales.item_id)
    ben = ranked.agent("ben").user_id
    assert [v["detail"] for v in decision["verdicts"] if v["agent_id"] == ben] == ["support"]
    assert decision["counts"] == {"chosen": 1, "ranked_elsewhere": 1, "not_in_queue": 1}


async def test_a_backup_group_is_asked_when_the_time_has_come(ranked: Floor) -> None:
    await ranked.arrive("chen")
    call = await ranked.ring(waited_s=10)
    assert await ranked.dispatch() == []
    due = await ranked.timer_due_in("routing.step", call.item_id)
    assert due == pytest.approx(20, abs=5), "when the backup group sees it"
    await ranked.execute(
        "UPDATE work_items SET entered_at = entered_at - interval '20 s', virtual_start = virtual_start - interval '20 s' WHERE id = $1",
        call.item_id,
    )
    await ranked.execute(
        "UPDATE stints SET entered_at = entered_at - interval '20 s' WHERE work_item_id = $1", call.item_id
    )
    assert await ranked.run_timer("routing.step", call.item_id)
    assert await ranked.timer_due_in("routing.step", call.item_id) is None, "nothing else comes by itself"
    assert await ranked.dispatch() == [("chen", call.item_id)]


async def test_after_a_refusal_the_timer_of_the_backup_group_stands(ranked: Floor) -> None:
    await ranked.arrive("ava", "chen")
    call = await ranked.ring(waited_s=10)
    assert await ranked.dispatch() == [("ava", call.item_id)]
    await ranked.reject("ava")
    due = await ranked.timer_due_in("routing.step", call.item_id)
    assert due == pytest.approx(20, abs=5)
    assert await ranked.dispatch() == []


async def test_who_leaves_it_to_others_does_not_pick_it_and_can_be_given_it(ranked: Floor) -> None:
    await ranked.arrive("chen")
    call = await ranked.ring()
    version = (await ranked.item(call))["version"]
    with pytest.raises(Conflict, match="leaves it to others"):
        await ranked.transact(
            lambda tx: by_hand.pick(tx, item_id=call.item_id, version=version, who=ranked.agent("chen"))
        )
    await ranked.transact(
        lambda tx: by_hand.push(
            tx,
            item_id=call.item_id,
            agent_id=ranked.agent("chen").user_id,
            version=version,
            anyway=True,
            reason=None,
            who=ranked.agent("sam"),
        )
    )
    assert [(name, item) for name, item, _ in await ranked.pending()] == [("chen", call.item_id)]


async def test_ranks_that_change_hold_from_the_next_pass(ranked: Floor) -> None:
    await ranked.arrive("chen")
    older, newer = await ranked.ring(waited_s=60), await ranked.ring("sales", waited_s=5)
    await ranked.open(
        RANKED.replace("support: {rank: 2, delay_s: 30}, sales: {rank: 1}", "support: {rank: 1}, sales: {rank: 5}")
    )
    assert await ranked.dispatch() == [("chen", older.item_id)]
    assert (await ranked.item(newer))["state"] == "queued"
