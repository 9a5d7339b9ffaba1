"""Items kept for one agent: how long, while that agent does what, and at whose cost (nobody's)."""

import asyncio
from time import monotonic

import pytest

from core.errors import Invalid
from routing import queries as sql
from routing import rule_sets, service
from routing.dispatcher import STICKINESS_EVERY_S
from tests.api import Api
from tests.builders import a_customer
from tests.integration.routing.floor import POOL, Floor, Waiting
from tests.integration.routing.test_http import desk, got

CALLER = "+14155550177"
OWNER = """
- name: owner
  then: {sticky: {agent: ticket_owner, wait_s: 30}}
"""
BEN = """
- name: Ben's
  when: {field: call.from, op: ends_with, value: "7"}
  then: {sticky: {agent: ben@example.com, wait_s: 30, if_away: %s}}
- name: everybody
"""


async def kept_for(floor: Floor, waiting: Waiting) -> int | None:
    found: int | None = (await floor.item(waiting))["only_agent_id"]
    return found


async def talked(floor: Floor, name: str) -> None:
    call = await floor.ring(from_=CALLER)
    await floor.dispatch()
    await floor.talk(call, name)
    await floor.hang_up(call)
    await floor.finish(call, name)


@pytest.fixture
async def bens(floor: Floor) -> Floor:
    """Ben is in a call, Ava is free; who dials from a number that ends in 7 is kept for Ben."""
    await floor.open(rules=BEN % "false")
    await floor.arrive("ben")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ben")
    await floor.arrive("ava")
    return floor


async def test_who_called_before_gets_the_same_agent(floor: Floor) -> None:
    await floor.open(rules="- name: again\n  then: {sticky: {agent: last_agent, wait_s: 30}}\n")
    async with floor.outbox.transaction() as tx:
        await a_customer(tx, phone=CALLER)
    await floor.arrive("ben")
    await talked(floor, "ben")
    await floor.arrive("ava", "ben")
    again, other = await floor.ring(from_=CALLER), await floor.ring()
    assert await floor.dispatch() == [("ben", again.item_id), ("ava", other.item_id)], "Ava has been idle for longer"
    decision = await floor.row("SELECT chosen_by, verdicts FROM decisions WHERE work_item_id = $1", again.item_id)
    assert decision["chosen_by"] == "sticky"
    assert {v["agent_id"]: v["verdict"] for v in decision["verdicts"]}[floor.agent("ava").user_id] == "kept_for_another"


async def test_the_owner_of_the_ticket_is_waited_for(floor: Floor) -> None:
    await floor.open(rules=OWNER)
    async with floor.outbox.transaction() as tx:
        await a_customer(tx, phone=CALLER)
    await floor.arrive("ben")
    await talked(floor, "ben")
    await floor.execute("UPDATE tickets SET assignee_id = $1", floor.agent("ava").user_id)
    await floor.arrive("ava")
    call = await floor.ring(from_=CALLER)
    assert await floor.dispatch() == [("ava", call.item_id)]


async def test_busy_is_waited_for_and_nobody_behind_is_held_back(bens: Floor) -> None:
    await bens.arrive("chen")
    kept, other = await bens.ring(from_=CALLER), await bens.ring()
    assert await bens.dispatch() == [("ava", other.item_id)]
    assert await kept_for(bens, kept) == bens.agent("ben").user_id
    assert (await bens.item(kept))["state"] == "queued"


async def test_the_wait_ends_at_its_time_and_costs_no_place(bens: Floor) -> None:
    kept = await bens.ring(from_=CALLER, waited_s=10)
    behind = await bens.ring(waited_s=5)
    assert await bens.dispatch() == [("ava", behind.item_id)]
    await bens.reject("ava")
    await bens.execute("UPDATE work_items SET sticky_until = now() WHERE id = $1", kept.item_id)
    await bens.execute("DELETE FROM exclusions")
    assert await bens.dispatch() == [("ava", kept.item_id)]
    item = await bens.item(kept)
    assert item["virtual_start"] == item["entered_at"]


async def test_who_goes_away_is_not_waited_for_and_who_comes_back_is(bens: Floor) -> None:
    kept = await bens.ring(from_=CALLER)
    assert await bens.dispatch() == []
    await bens.disconnect("ben")
    assert await bens.dispatch() == [("ava", kept.item_id)]
    assert await kept_for(bens, kept) is None
    await bens.present("ava", "break")
    await bens.connect("ben")
    await bens.present("ava", "available")
    assert await bens.dispatch() == []
    assert await kept_for(bens, kept) == bens.agent("ben").user_id


async def test_who_goes_on_a_break_after_the_call_is_not_waited_for(bens: Floor) -> None:
    kept = await bens.ring(from_=CALLER)
    assert await bens.dispatch() == []
    await bens.present("ben", "break")
    assert (await bens.presence("ben"))[0] == "available", "he talks; the break comes after the call"
    assert await bens.dispatch() == [("ava", kept.item_id)]


async def test_who_may_take_no_more_calls_is_not_waited_for(bens: Floor) -> None:
    await bens.execute("UPDATE agents SET max_calls = 1, max_calls_s = 600 WHERE id = $1", bens.agent("ben").user_id)
    kept = await bens.ring(from_=CALLER)
    assert await bens.dispatch() == [("ava", kept.item_id)]


async def talks_take(floor: Floor, seconds: float) -> None:
    """What the sweep finds: half of the last talks of this queue took so long at most."""
    await floor.execute("UPDATE queues SET talk_s = $1 WHERE key = 'support'", seconds)


async def ben_is_busy_for(floor: Floor, seconds: float) -> None:
    query = "UPDATE agents SET busy_until = now() + make_interval(secs => $2) WHERE id = $1"
    await floor.execute(query, floor.agent("ben").user_id, seconds)


@pytest.mark.parametrize(
    ("busy_s", "is_kept"),
    [
        (15, True),  # the wait is 30 s
        (45, False),
        (-5, False),  # longer at it than expected: nobody can say
    ],
)
async def test_who_is_busy_is_waited_for_while_the_end_is_expected_in_time(
    bens: Floor, busy_s: float, is_kept: bool
) -> None:
    await ben_is_busy_for(bens, busy_s)
    kept = await bens.ring(from_=CALLER)
    assert await bens.dispatch() == ([] if is_kept else [("ava", kept.item_id)])
    assert await kept_for(bens, kept) == (bens.agent("ben").user_id if is_kept else None)


async def busy_for(floor: Floor, name: str) -> float | None:
    query = "SELECT round(extract(epoch FROM busy_until - now()))::integer FROM agents WHERE id = $1"
    found: float | None = await floor.value(query, floor.agent(name).user_id)
    return found


@pytest.mark.parametrize(("mode", "wraps_up_for"), [("timed", None), ("timed_fixed", 45)])
async def test_how_long_somebody_is_busy_follows_from_what_they_do(
    floor: Floor, mode: str, wraps_up_for: int | None
) -> None:
    await floor.open()
    await floor.execute("UPDATE queues SET wrap_mode = $1, wrap_s = 45 WHERE key = 'support'", mode)
    await floor.arrive("ben")
    first = await floor.ring()
    await floor.dispatch()
    assert await busy_for(floor, "ben") is None, "too few talks say nothing"
    await floor.hang_up(first)
    await talks_take(floor, 200)
    call = await floor.ring()
    await floor.dispatch()
    assert await busy_for(floor, "ben") == pytest.approx(200, abs=10), "it rings"
    await ben_is_busy_for(floor, 3)
    await floor.talk(call, "ben")
    assert await busy_for(floor, "ben") == pytest.approx(200, abs=10), "they talk"
    await floor.hang_up(call)
    left_s = await busy_for(floor, "ben")
    assert left_s == (None if wraps_up_for is None else pytest.approx(wraps_up_for, abs=10))


async def test_not_every_pass_looks_at_all_that_is_kept_and_what_is_new_is_looked_at_at_once(bens: Floor) -> None:
    """A look takes as long as there are such items; a crowd of them must not make every pass slow."""
    dispatcher = bens.dispatcher
    flag = dispatcher._flags.setdefault(POOL, asyncio.Event())
    kept = await bens.ring(from_=CALLER)
    await dispatcher._serve_once(POOL)
    assert await kept_for(bens, kept) == bens.agent("ben").user_id
    another = await bens.ring(from_=CALLER)
    await dispatcher._serve_once(POOL)
    assert await kept_for(bens, another) == bens.agent("ben").user_id, "nobody was asked before it was looked at"
    await bens.disconnect("ben")
    dispatcher._stickiness_due[POOL] = monotonic() + STICKINESS_EVERY_S
    flag.clear()
    await dispatcher._serve_once(POOL)
    assert await bens.pending() == []
    async with asyncio.timeout(10):
        while not await bens.pending():
            await flag.wait()  # a look is due: the pass before has seen to it
            flag.clear()
            await dispatcher._serve_once(POOL)
    assert [item for _, item, _ in await bens.pending()] == [kept.item_id]


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("busy", "at work, and not expected to be done in time"),
        ("leaving", "has chosen to go when the work in hand is done"),
        ("limited", "has had as many calls as the agent's limit allows"),
    ],
)
async def test_explained_why_somebody_is_not_waited_for(bens: Floor, api: Api, why: str, said: str) -> None:
    if why == "busy":
        await ben_is_busy_for(bens, 300)
    elif why == "leaving":
        await bens.present("ben", "break")
    else:
        limit = "UPDATE agents SET max_calls = 1, max_calls_s = 600 WHERE id = $1"
        await bens.execute(limit, bens.agent("ben").user_id)
    await bens.present("ava", "break")
    waiting = await bens.ring(from_=CALLER)
    assert await bens.dispatch() == []
    sam = await desk(api, bens, "sam")
    told = (await got(await sam.get(f"/api/v1/work-items/{waiting.item_id}/explain")))["sentences"]
    assert told[-1]["en"] == f"Not kept for Ben: {said}."


async def test_the_last_talks_of_a_queue_say_how_long_talks_take(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    await talked(floor, "ava")
    offer_id = await floor.value("SELECT id FROM offers")
    for seconds in (10, 40, 90) * 7:
        await floor.execute(
            "INSERT INTO offers (work_item_id, call_id, agent_id, queue, pool_id, step, units, state, created_at, deadline, accepted_at, connected_at, "
            "wrap_started_at, ended_at) SELECT -offers.id - $2, call_id, agent_id, queue, pool_id, step, units, state, created_at, deadline, accepted_at, "
            "connected_at, connected_at + make_interval(secs => $2), ended_at FROM offers WHERE id = $1",
            offer_id, seconds,
        )  # fmt: skip
    try:
        await floor.execute(sql.RENEW_TALKS)
        assert await floor.value("SELECT talk_s FROM queues WHERE key = 'support'") == 40
        assert await floor.value("SELECT talk_s FROM queues WHERE key = 'sales'") is None
        version = "SELECT xmin::text FROM queues WHERE key = 'support'"
        before = await floor.value(version)
        await floor.execute(sql.RENEW_TALKS)
        assert await floor.value(version) == before, "what has not changed is not written again"
    finally:
        await floor.execute("DELETE FROM offers WHERE work_item_id < 0")
    await floor.execute(sql.RENEW_TALKS)
    assert await floor.value("SELECT talk_s FROM queues WHERE key = 'support'") is None, "one says nothing"


async def test_once_the_wait_is_over_nobody_asks_again(bens: Floor) -> None:
    kept = await bens.ring(from_=CALLER)
    assert await bens.dispatch() == []
    await bens.execute("UPDATE work_items SET sticky_until = now() WHERE id = $1", kept.item_id)
    assert await bens.dispatch() == [("ava", kept.item_id)]
    assert (await bens.item(kept))["sticky_is_over"]


NEEDS_BILLING = """
- name: Ben's
  when: {field: call.from, op: ends_with, value: "7"}
  then: {sticky: {agent: ben@example.com, wait_s: 30, if_away: true}, steps: [{after_s: 0, require: [{skill: billing, level: 2}]}]}
- name: everybody
"""


async def test_who_declined_is_not_waited_for(floor: Floor) -> None:
    await floor.open(rules=NEEDS_BILLING)
    await floor.arrive("ben", "ava")
    kept = await floor.ring(from_=CALLER)
    assert await floor.dispatch() == [("ben", kept.item_id)]
    await floor.reject("ben")
    assert await floor.dispatch() == [("ava", kept.item_id)]


async def test_r05_who_lacks_what_is_required_is_not_waited_for(floor: Floor) -> None:
    await floor.open(rules=NEEDS_BILLING)
    await floor.arrive("ben", "ava")
    await floor.execute("UPDATE agents SET skills = '{}' WHERE id = $1", floor.agent("ben").user_id)
    kept = await floor.ring(from_=CALLER)
    assert await floor.dispatch() == [("ava", kept.item_id)]


async def test_direct_waits_even_for_who_is_away_but_never_past_capacity(floor: Floor) -> None:
    await floor.open(rules=BEN % "true")
    await floor.arrive("ava")
    kept = await floor.ring(from_=CALLER)
    assert await floor.dispatch() == []
    await floor.arrive("ben")
    assert await floor.dispatch() == [("ben", kept.item_id)]
    await floor.talk(kept, "ben")
    second = await floor.ring(from_=CALLER)
    assert await floor.dispatch() == []
    assert await kept_for(floor, second) == floor.agent("ben").user_id


async def test_r24_the_timer_wakes_when_the_wait_is_over(bens: Floor) -> None:
    kept = await bens.ring(from_=CALLER)
    due = await bens.timer_due_in(service.STEP_TIMER, kept.item_id)
    assert due is not None
    assert 28 < due <= 30
    assert await bens.dispatch() == []
    await bens.execute("UPDATE work_items SET sticky_until = now() WHERE id = $1", kept.item_id)
    assert await bens.run_timer(service.STEP_TIMER, kept.item_id)
    assert len(await bens.events("work.queued")) == 3
    assert await bens.dispatch() == [("ava", kept.item_id)]


async def test_an_agent_who_is_gone_is_nobody_to_wait_for(floor: Floor) -> None:
    await floor.open(rules=BEN % "true")
    await floor.transact(
        lambda tx: tx.conn.execute("UPDATE agents SET is_active = false WHERE id = $1", floor.agent("ben").user_id)
    )
    await floor.arrive("ava")
    kept = await floor.ring(from_=CALLER)
    assert await floor.dispatch() == [("ava", kept.item_id)]
    with pytest.raises(Invalid, match="address of an agent"):
        await floor.transact(
            lambda tx: rule_sets.check_rules(
                tx.conn, [{"name": "x", "then": {"sticky": {"agent": "ben@example.com", "wait_s": 3}}}]
            )
        )
