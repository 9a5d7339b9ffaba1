"""Bugs that other engines had, each as a small story that ends well here. Where they are known from is in the names.

docs/reference/invariants.md lists them with what caused them.
"""

import asyncio

import pytest

from cti import service as telephony
from cti.model import CallerLeft
from infra.outbox import Tx
from routing import queries as sql
from routing import service
from routing.model import OfferExpired, OfferRow, OfferTaken
from tests.integration.routing.floor import POOL, Floor
from tests.integration.routing.racing import Act, race

PAIR = "- {name: two, then: {steps: [{after_s: 0, offers: 2}]}}"
VIP = """
- name: VIP
  when: {field: call.from, op: ends_with, value: "1"}
  then: {tier: 1}
- name: expert
  when: {field: call.from, op: ends_with, value: "2"}
  then: {tier: 1, steps: [{after_s: 0, require: [{skill: billing, level: 5}]}]}
- name: everybody
"""
VIP_CALLER, EXPERT_CALLER, CALLER = "+14155550101", "+14155550102", "+14155550109"


async def units(floor: Floor, *names: str) -> list[int]:
    return [(await floor.agent_row(name))["used_units"] for name in names]


def accepting(floor: Floor, name: str, offer_id: int) -> Act:
    return lambda tx: service.accept(tx, offer_id=offer_id, who=floor.agent(name))


async def at_once(floor: Floor, passes: int = 6) -> None:
    """So many dispatchers look at the pool in the same instant, and again."""
    for _ in range(3):
        await asyncio.gather(*(floor.dispatcher.dispatch(POOL) for _ in range(passes)))


# --- one item, one agent -------------------------------------------------------------------------------------------------------


async def test_chatwoot_14495_overlapping_jobs_assign_once(floor: Floor) -> None:
    """There overlapping bulk jobs reassigned one conversation dozens of times."""
    await floor.open()
    await floor.arrive("ava", "ben", "chen")
    call = await floor.ring()
    await at_once(floor)
    assert await floor.value("SELECT count(*) FROM offers WHERE work_item_id = $1", call.item_id) == 1
    assert sum(await units(floor, "ava", "ben", "chen")) == 1


async def test_rocketchat_37776_several_servers_keep_the_limit(floor: Floor) -> None:
    """There every server read the same count, and an agent with a limit of three got four."""
    await floor.open()
    await floor.arrive("ben")
    for queue in ("support", "sales", "support", "sales"):
        await floor.ring(queue)
    await at_once(floor)
    assert await units(floor, "ben") == [1]
    assert await floor.value("SELECT count(*) FROM offers") == 1


async def test_chatwoot_capacity_is_read_under_the_agents_lock(floor: Floor) -> None:
    """There capacity is read before the claim. Here the last word is had under lock: who was given something since is left out."""
    await floor.open()
    await floor.arrive("ben")
    await floor.ring("support")
    assert len(await floor.dispatch()) == 1
    async with floor.database.acquire() as conn, conn.transaction():
        assert await conn.fetch(sql.LOCK_FREE_AGENTS, [floor.agent("ben").user_id], []) == []


async def test_chatwoot_13577_a_queue_without_rules_has_the_same_limits(floor: Floor) -> None:
    """There an inbox without a policy was let past the limit by an early return."""
    await floor.open()
    await floor.execute("UPDATE rule_sets SET is_published = false")
    await floor.arrive("ava", "ben")
    await floor.present("ben", "break", "lunch")
    for _ in range(3):
        await floor.ring()
    assert [name for name, _ in await floor.dispatch()] == ["ava"]
    assert await units(floor, "ava", "ben") == [1, 0]


async def test_openacd_5_many_calls_do_not_all_try_the_first_agent(floor: Floor) -> None:
    """There nothing was locked between the selection and the ringing."""
    await floor.open()
    await floor.arrive("ava", "ben", "chen")
    calls = [await floor.ring() for _ in range(3)]
    await at_once(floor)
    assert sorted((name, item) for name, item, _ in await floor.pending()) == [
        (name, call.item_id) for name, call in zip(("ava", "ben", "chen"), calls, strict=True)
    ]


# --- several are asked ------------------------------------------------------------------------------------------------------------


async def test_freeswitch_2540_nobody_stays_reserved_after_a_group_was_asked(floor: Floor) -> None:
    """There agents stuck in "Reserved" after a race between those who rang."""
    await floor.open(rules=PAIR)
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    offers = {name: await floor.offer_of(name) for name in ("ava", "ben")}
    results = await race(floor, *(accepting(floor, name, offer) for name, offer in offers.items()))
    winner, loser = ("ava", "ben") if isinstance(results[0], OfferRow) else ("ben", "ava")
    assert await units(floor, winner, loser) == [1, 0]
    assert (await floor.intervals(loser))[-1] == "available"
    await floor.hang_up(call)
    another = await floor.ring()
    assert (loser, another.item_id) in await floor.dispatch()


async def test_asterisk_176_two_who_answer_at_once_are_not_both_connected(floor: Floor) -> None:
    await floor.open(rules=PAIR)
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    offers = {name: await floor.offer_of(name) for name in ("ava", "ben")}
    results = await race(floor, *(accepting(floor, name, offer) for name, offer in offers.items()))
    assert sorted(type(result).__name__ for result in results) == ["OfferRow", OfferTaken.__name__]
    connects = "SELECT count(*) FROM provider_commands WHERE call_id = $1 AND kind = 'connect'"
    assert await floor.value(connects, call.call_id) == 1


async def test_asterisk_1557_an_answer_that_does_not_win_withdraws_nothing(floor: Floor) -> None:
    """There one who answered and hung up at once dropped all others who rang."""
    await floor.open(rules=PAIR)
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    ava = await floor.offer_of("ava")

    async def accept_and_die(tx: Tx) -> None:
        await service.accept(tx, offer_id=ava, who=floor.agent("ava"))
        raise ConnectionError("the process dies before its commit")

    with pytest.raises(ConnectionError):
        await floor.transact(accept_and_die)
    assert [name for name, _, _ in await floor.pending()] == ["ava", "ben"]
    await floor.execute("UPDATE offers SET deadline = now() - interval '1 ms' WHERE id = $1", ava)
    with pytest.raises(OfferExpired):
        await floor.accept("ava", ava)
    assert "ben" in [name for name, _, _ in await floor.pending()], "Ben still rings"
    await floor.run_timer(service.OFFER_TIMER, ava)
    await floor.talk(call, "ben")
    assert (await floor.item(call))["state"] == "assigned"


# --- one queue and another --------------------------------------------------------------------------------------------------------------


async def test_asterisk_1561_a_heavier_queue_does_not_block_whom_it_cannot_use(floor: Floor) -> None:
    """There the call of the heavier queue, which the agent could not take, kept the lighter queue's call from the agent."""
    await floor.open(rules=VIP)
    await floor.arrive("ben")
    await floor.ring("support", from_=EXPERT_CALLER, waited_s=60)
    light = await floor.ring("sales", from_=CALLER)
    assert await floor.dispatch() == [("ben", light.item_id)]


async def test_asterisk_1691_two_queues_do_not_wait_for_each_other(floor: Floor) -> None:
    """There each of two queues left the agent to the other, and nobody was served."""
    await floor.open(rules=VIP)
    older = await floor.ring("support", from_=CALLER, waited_s=90)
    heavier = await floor.ring("sales", from_=VIP_CALLER, waited_s=5)
    await floor.arrive("ben")
    assert await floor.dispatch() == [("ben", heavier.item_id)]
    await floor.talk(heavier, "ben")
    await floor.hang_up(heavier)
    assert await floor.dispatch() == [("ben", older.item_id)]


async def test_asterisk_1637_a_caller_with_priority_passes_older_ones_of_another_queue(floor: Floor) -> None:
    """There the one who had waited longest in any queue went first, priority or not."""
    await floor.open(rules=VIP)
    await floor.ring("support", from_=CALLER, waited_s=300)
    vip = await floor.ring("sales", from_=VIP_CALLER)
    await floor.arrive("ben")
    assert await floor.dispatch() == [("ben", vip.item_id)]


# --- nobody waits for nothing -------------------------------------------------------------------------------------------------------------


async def test_freeswitch_1216_an_agent_who_cannot_be_reached_stops_nobody_else(floor: Floor) -> None:
    """There the first agent found was unusable, and the search ended with them."""
    await floor.open()
    await floor.arrive("ava", "ben")
    await floor.disconnect("ava")
    call = await floor.ring()
    assert await floor.dispatch() == [("ben", call.item_id)], "Ava has been idle for longer, and has no desk"


@pytest.mark.parametrize("how", ["becomes available", "finishes wrap-up", "opens the desk"])
async def test_chatwoot_10376_waiting_work_is_found_when_somebody_is_free(floor: Floor, how: str) -> None:
    """There (also 10685) only the creation of a conversation assigned anything."""
    await floor.open()
    await floor.arrive("ava")
    if how == "finishes wrap-up":
        before = await floor.ring()
        await floor.dispatch()
        await floor.talk(before, "ava")
        await floor.hang_up(before)
    elif how == "becomes available":
        await floor.present("ava", "break")
    else:
        await floor.disconnect("ava")
        await floor.sweep_lost("ava")
    call = await floor.ring()
    assert await floor.dispatch() == []
    if how == "finishes wrap-up":
        await floor.finish(before, "ava", "resolved")
    elif how == "becomes available":
        await floor.present("ava", "available")
    else:
        await floor.connect("ava")
    assert (
        await floor.value("SELECT count(*) FROM events WHERE name = 'agent.freed' AND body ->> 'pool' = $1", POOL) > 0
    )
    assert await floor.dispatch() == [("ava", call.item_id)]


async def test_freeswitch_1062_a_lost_end_of_a_call_locks_nobody_in(floor: Floor) -> None:
    """There (and in OpenSIPS 3123) the event of the end was lost: the agent stayed in the call, the queue stood still."""
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    sid = await floor.value("SELECT sid FROM calls WHERE id = $1", call.call_id)
    assert await floor.transact(lambda tx: telephony.reconciled(tx, sid=sid, at=None))
    assert (await floor.offer(await floor.offer_of("ava")))["state"] == "wrapping"
    assert await floor.run_timer(service.WRAP_TIMER, await floor.offer_of("ava"))
    another = await floor.ring()
    assert await floor.dispatch() == [("ava", another.item_id)]


async def test_freeswitch_1062_a_caller_gone_in_a_lost_event_is_offered_to_nobody(floor: Floor) -> None:
    await floor.open()
    call = await floor.ring()
    sid = await floor.value("SELECT sid FROM calls WHERE id = $1", call.call_id)
    await floor.transact(lambda tx: telephony.reconciled(tx, sid=sid, at=None))
    await floor.arrive("ava")
    assert await floor.dispatch() == []
    assert (await floor.item(call))["state"] == "abandoned"


async def test_salesforce_a_refused_item_belongs_to_nobody(floor: Floor) -> None:
    """There a refused item stays with who refused it until somebody else turns up."""
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.reject("ava")
    item = await floor.item(call)
    assert (item["state"], item["ended_at"]) == ("queued", None)
    assert await units(floor, "ava") == [0]
    another = await floor.ring()
    assert await floor.dispatch() == [("ava", another.item_id)], "the refuser is free for others"
    await floor.hang_up(call)
    assert (await floor.item(call))["end_reason"] == "abandoned_queue"


async def test_salesforce_who_refused_cannot_take_it_any_more(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    offer_id = await floor.offer_of("ava")
    await floor.reject("ava", offer_id)
    await floor.hang_up(call)
    with pytest.raises(CallerLeft):
        await floor.accept("ava", offer_id)
