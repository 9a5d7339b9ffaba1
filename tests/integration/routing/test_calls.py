"""What telephony says: the caller leaves in every state, a connection fails, an agent vanishes in mid-call."""

from typing import Any

import pytest

from routing import service
from tests.integration.routing.floor import Floor, Waiting


async def stints(floor: Floor, call: Waiting) -> list[str | None]:
    rows = await floor.fetch("SELECT outcome FROM stints WHERE work_item_id = $1 ORDER BY id", call.item_id)
    return [row["outcome"] for row in rows]


async def end_of(floor: Floor, call: Waiting) -> tuple[Any, ...]:
    row = await floor.item(call)
    return row["state"], row["end_reason"]


async def test_a_caller_who_leaves_the_line_is_an_abandon(floor: Floor) -> None:
    await floor.open()
    call = await floor.ring()
    await floor.hang_up(call)
    assert await end_of(floor, call) == ("abandoned", "abandoned_queue")
    assert await stints(floor, call) == ["abandoned"]
    await floor.arrive("ava")
    assert await floor.dispatch() == []
    (told,) = await floor.events("work.withdrawn")
    assert told[1]["reason"] == "abandoned_queue"


async def test_a_caller_who_leaves_while_it_rings_costs_nobody_anything(floor: Floor) -> None:
    await floor.open(rules="- {name: two, then: {steps: [{after_s: 0, offers: 2}]}}")
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    before = {name: await floor.agent_row(name) for name in ("ava", "ben")}
    await floor.hang_up(call)
    for name in ("ava", "ben"):
        offer = await floor.offer(await floor.offer_of(name))
        assert (offer["state"], offer["reason"]) == ("canceled", "caller_left")
        row = await floor.agent_row(name)
        assert (row["used_units"], row["misses"], row["presence"]) == (0, 0, "available")
        assert row["idle_since"] == before[name]["idle_since"]
    assert await end_of(floor, call) == ("abandoned", "abandoned_queue")
    other = await floor.ring()
    assert await floor.dispatch() == [("ava", other.item_id), ("ben", other.item_id)]


async def test_a_caller_who_leaves_while_connecting_frees_the_agent_without_wrap_up(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.accept("ava")
    await floor.hang_up(call)
    offer = await floor.offer(await floor.offer_of("ava"))
    assert (offer["state"], offer["reason"]) == ("canceled", "caller_left")
    assert await end_of(floor, call) == ("abandoned", "abandoned_ringing")
    assert await stints(floor, call) == ["abandoned"]
    other = await floor.ring()
    assert await floor.dispatch() == [("ava", other.item_id)]


async def test_hearing_of_the_end_again_changes_nothing(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    await floor.hang_up(call)
    before = await floor.item(call), await floor.offer(await floor.offer_of("ava")), await floor.agent_row("ava")
    await floor.hang_up(call)
    assert before == (
        await floor.item(call),
        await floor.offer(await floor.offer_of("ava")),
        await floor.agent_row("ava"),
    )


async def test_a_connection_that_fails_puts_the_caller_back_in_place(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring(waited_s=20)
    await floor.ring(waited_s=10)
    before = await floor.item(call)
    await floor.dispatch()
    await floor.hang_up(await floor.waiting((await floor.row("SELECT max(id) AS id FROM calls"))["id"]))
    await floor.accept("ava")
    offer_id = await floor.offer_of("ava")
    await floor.not_found(call)
    offer = await floor.offer(offer_id)
    assert (offer["state"], offer["reason"]) == ("canceled", "connect_failed")
    item = await floor.item(call)
    assert (item["state"], item["virtual_start"], item["entered_at"]) == (
        "queued", before["virtual_start"], before["entered_at"]
    )  # fmt: skip
    assert await stints(floor, call) == [None]
    row = await floor.agent_row("ava")
    assert (row["used_units"], row["misses"], row["presence"]) == (0, 0, "available")
    assert await floor.dispatch() == [("ben", call.item_id)]
    due = await floor.timer_due_in(service.STEP_TIMER, call.item_id)
    assert due is not None
    assert 8 < due <= 10


async def test_after_a_failed_connection_the_only_agent_is_asked_again_soon(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.accept("ava")
    await floor.not_found(call)
    assert await floor.dispatch() == []
    await floor.execute("UPDATE exclusions SET until = until - interval '11 seconds'")
    await floor.execute("UPDATE agents SET cooldown_until = cooldown_until - interval '11 seconds'")
    await floor.execute(
        "UPDATE offers SET created_at = created_at - interval '12 s', accepted_at = accepted_at - interval '11 s', "
        "ended_at = ended_at - interval '11 s'"
    )
    assert await floor.dispatch() == [("ava", call.item_id)]
    await floor.talk(call, "ava")
    assert await stints(floor, call) == ["answered"]


async def test_an_agent_who_vanishes_gets_wrap_up_and_the_caller_the_old_place(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring(waited_s=20)
    before = await floor.item(call)
    await floor.dispatch()
    await floor.talk(call, "ava")
    await floor.agent_vanishes(call, "ava")
    item = await floor.item(call)
    assert (item["state"], item["virtual_start"]) == ("queued", before["virtual_start"])
    assert (await floor.offer(await floor.offer_of("ava")))["state"] == "wrapping"
    assert await stints(floor, call) == ["answered", None]
    assert await floor.dispatch() == [("ben", call.item_id)]
    await floor.talk(call, "ben")
    await floor.run_timer(service.WRAP_TIMER, await floor.offer_of("ava"))
    assert (await floor.item(call))["state"] == "assigned", "the first agent's wrap-up does not end the second's call"
    await floor.hang_up(call)
    await floor.finish(call, "ben")
    assert (await floor.item(call))["state"] == "done"
    assert await stints(floor, call) == ["answered", "answered"]


async def test_the_item_is_done_when_the_last_of_two_has_wrapped_up(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    await floor.agent_vanishes(call, "ava")
    await floor.dispatch()
    await floor.talk(call, "ben")
    await floor.hang_up(call)
    await floor.finish(call, "ava", "callback")
    assert (await floor.item(call))["state"] == "wrapping"
    await floor.finish(call, "ben", "resolved")
    assert (await floor.item(call))["state"] == "done"


async def test_an_agent_who_vanishes_from_a_queue_without_wrap_up_is_free(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ben")
    call = await floor.ring("sales")
    await floor.dispatch()
    await floor.talk(call, "ben")
    await floor.agent_vanishes(call, "ben")
    assert (await floor.offer(await floor.offer_of("ben")))["state"] == "completed"
    assert (await floor.agent_row("ben"))["used_units"] == 0
    assert await floor.dispatch() == [("ben", call.item_id)]


async def test_a_caller_who_leaves_after_the_agent_vanished_is_an_abandon_of_the_second_stint(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    await floor.agent_vanishes(call, "ava")
    await floor.hang_up(call)
    assert await stints(floor, call) == ["answered", "abandoned"]
    assert (await floor.item(call))["state"] == "abandoned"
    await floor.run_timer(service.WRAP_TIMER, await floor.offer_of("ava"))
    assert (await floor.agent_row("ava"))["used_units"] == 0


async def test_a_step_that_opens_after_a_vanished_agent_is_seen_in_time(floor: Floor) -> None:
    await floor.open(rules="- {name: all, then: {steps: [{after_s: 0, require: [{skill: billing}]}, {after_s: 60}]}}")
    await floor.arrive("ava", "chen")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    assert await floor.timer_due_in(service.STEP_TIMER, call.item_id) is None
    await floor.agent_vanishes(call, "ava")
    due = await floor.timer_due_in(service.STEP_TIMER, call.item_id)
    assert due is not None
    assert 55 < due <= 60


@pytest.mark.parametrize("moment", ["queued", "offered", "accepted", "talking", "wrapping"])
async def test_nothing_moves_an_item_that_has_ended(floor: Floor, moment: str) -> None:
    """R9: whatever still comes for it, late or again."""
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    offer_id = 0
    if moment != "queued":
        await floor.dispatch()
        offer_id = await floor.offer_of("ava")
    if moment in ("accepted", "talking", "wrapping"):
        await floor.accept("ava")
    if moment in ("talking", "wrapping"):
        await floor.join(call, "ava")
    await floor.hang_up(call)
    if moment in ("talking", "wrapping"):
        await floor.finish(call, "ava")
    before = await floor.item(call)
    if offer_id:
        await floor.transact(lambda tx: service.offer_timed_out(tx, offer_id, 1))
        await floor.transact(lambda tx: service.wrap_up_timed_out(tx, offer_id, 1))
    await floor.transact(lambda tx: service.step_opened(tx, call.item_id, 0))
    await floor.join(call, "ava")
    await floor.hang_up(call)
    assert await floor.dispatch() == []
    assert await floor.item(call) == before
