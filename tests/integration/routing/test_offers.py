"""The life of an offer: who is asked, what each answer does, and what may no longer be answered."""

import pytest

from core.errors import NotFound
from cti.model import CallerLeft
from routing import service
from routing.model import OfferExpired, OfferRescinded, OfferTaken
from tests.integration.routing.floor import POOL, Floor

RING_GROUP = """
- {name: ask two, then: {steps: [{after_s: 0, offers: 2}]}}
"""


async def test_a_call_is_offered_taken_talked_and_wrapped_up(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    assert await floor.dispatch() == [("ava", call.item_id)]
    assert (await floor.item(call))["state"] == "offering"
    offer = await floor.accept("ava")
    assert (offer.state, (await floor.item(call))["state"]) == ("accepted", "assigned")
    await floor.join(call, "ava")
    assert (await floor.agent_row("ava"))["used_units"] == 1
    await floor.hang_up(call)
    assert (await floor.item(call))["state"] == "wrapping"
    assert await floor.finish(call, "ava", "resolved") == "closed"
    row = await floor.item(call)
    assert (row["state"], row["end_reason"]) == ("done", "answered")
    assert (await floor.agent_row("ava"))["used_units"] == 0
    assert await floor.intervals("ava") == ["offline", "available", "reserved", "talking", "wrapping", "available"]


async def test_the_longest_idle_of_those_who_may_is_asked(floor: Floor) -> None:
    await floor.open(rules="- {name: all, then: {steps: [{after_s: 0, require: [{skill: billing, level: 3}]}]}}")
    await floor.arrive("chen", "ben", "ava")
    call = await floor.ring()
    assert await floor.dispatch() == [("ava", call.item_id)]


async def test_nobody_is_asked_twice_at_once(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    calls = [await floor.ring() for _ in range(3)]
    assert await floor.dispatch() == [("ava", calls[0].item_id), ("ben", calls[1].item_id)]
    assert (await floor.item(calls[2]))["state"] == "queued"


async def test_an_offer_is_answered_only_by_its_agent(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    await floor.ring()
    await floor.dispatch()
    offer_id = await floor.offer_of("ava")
    for name in ("ben", "sam"):
        with pytest.raises(NotFound):
            await floor.accept(name, offer_id)
        with pytest.raises(NotFound):
            await floor.reject(name, offer_id)
    with pytest.raises(NotFound):
        await floor.accept("ava", 10**15)


async def test_accepting_again_is_the_same_success_at_any_time(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    first = await floor.accept("ava")
    assert await floor.accept("ava") == first
    await floor.join(call, "ava")
    await floor.hang_up(call)
    assert (await floor.accept("ava")).state == "wrapping"
    await floor.finish(call, "ava")
    assert (await floor.accept("ava")).state == "completed"
    assert len(await floor.events("offer.accepted")) == 1


async def test_accepting_after_the_deadline_is_too_late_even_before_the_timer_ran(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    offer_id = await floor.offer_of("ava")
    await floor.execute("UPDATE offers SET deadline = now() WHERE id = $1", offer_id)
    with pytest.raises(OfferExpired):
        await floor.accept("ava")
    assert (await floor.item(call))["state"] == "offering"
    await floor.run_out(offer_id)
    with pytest.raises(OfferExpired):
        await floor.accept("ava")
    with pytest.raises(OfferExpired):
        await floor.reject("ava")


async def test_who_is_late_in_a_group_learns_that_it_is_taken(floor: Floor) -> None:
    await floor.open(rules=RING_GROUP)
    await floor.arrive("ava", "ben", "chen")
    call = await floor.ring()
    assert await floor.dispatch() == [("ava", call.item_id), ("ben", call.item_id)]
    await floor.accept("ben")
    with pytest.raises(OfferTaken):
        await floor.accept("ava")
    lost = await floor.offer(await floor.offer_of("ava"))
    assert (lost["state"], lost["reason"], lost["by_agent_id"]) == ("rescinded", "taken", floor.agent("ben").user_id)
    row = await floor.agent_row("ava")
    assert (row["used_units"], row["misses"], row["presence"]) == (0, 0, "available")
    assert await floor.dispatch() == []


async def test_a_group_waits_again_only_when_all_have_declined(floor: Floor) -> None:
    await floor.open(rules=RING_GROUP)
    await floor.arrive("ava", "ben", "chen")
    call = await floor.ring()
    await floor.dispatch()
    await floor.reject("ava")
    assert (await floor.item(call))["state"] == "offering"
    assert await floor.dispatch() == [("ben", call.item_id)]
    await floor.reject("ben")
    assert await floor.dispatch() == [("chen", call.item_id)]


async def test_declining_passes_the_call_on_at_once_and_spares_the_agent_that_call(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring(waited_s=100)
    before = await floor.item(call)
    await floor.dispatch()
    rejected = await floor.reject("ava", reason="in a meeting")
    assert (rejected.state, rejected.reason) == ("rejected", "in a meeting")
    assert await floor.dispatch() == [("ben", call.item_id)]
    after = await floor.item(call)
    assert (after["virtual_start"], after["entered_at"]) == (before["virtual_start"], before["entered_at"])
    other = await floor.ring()
    assert await floor.dispatch() == [("ben", call.item_id), ("ava", other.item_id)]
    assert await floor.reject("ava", (await floor.fetch("SELECT min(id) AS id FROM offers"))[0]["id"]) == rejected


async def test_declined_by_the_only_agent_a_call_waits_and_is_offered_again(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    idle_since = (await floor.agent_row("ava"))["idle_since"]
    await floor.reject("ava")
    assert await floor.dispatch() == []
    assert (await floor.agent_row("ava"))["idle_since"] == idle_since, "declining is no work"
    due = await floor.timer_due_in(service.STEP_TIMER, call.item_id)
    assert due is not None
    assert 28 < due < 31
    await floor.execute(
        "UPDATE offers SET ended_at = ended_at - interval '31 seconds', created_at = created_at - interval '40 seconds'"
    )
    await floor.execute("UPDATE exclusions SET until = until - interval '31 seconds'")
    wakes = len(await floor.events("work.queued"))
    await floor.run_timer(service.STEP_TIMER, call.item_id)
    assert len(await floor.events("work.queued")) == wakes + 1
    assert await floor.dispatch() == [("ava", call.item_id)]


async def test_a_miss_benches_the_agent_until_a_person_says_otherwise(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    offer_id = await floor.offer_of("ava")
    await floor.run_out(offer_id)
    assert (await floor.offer(offer_id))["state"] == "timeout"
    assert await floor.presence("ava") == ("not_responding", "missed_offer")
    assert (await floor.agent_row("ava"))["misses"] == 1
    assert await floor.dispatch() == [("ben", call.item_id)]
    await floor.connect("ava", "another window")
    await floor.sweep_lost("ava")
    assert await floor.presence("ava") == ("not_responding", "missed_offer"), "a new socket is not a person"
    second = await floor.ring()
    assert await floor.dispatch() == [("ben", call.item_id)]
    await floor.present("ava", "available")
    assert (await floor.agent_row("ava"))["misses"] == 0
    assert await floor.dispatch() == [("ben", call.item_id), ("ava", second.item_id)]


async def test_a_supervisor_may_call_somebody_back_to_work(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    await floor.ring()
    await floor.dispatch()
    await floor.run_out(await floor.offer_of("ava"))
    await floor.present("ava", "available", by=f"user:{floor.agent('sam').user_id}")
    assert await floor.presence("ava") == ("available", None)
    assert len(await floor.dispatch()) == 1


async def test_a_timer_that_comes_twice_or_after_the_answer_changes_nothing(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    await floor.ring()
    await floor.dispatch()
    taken = await floor.offer_of("ava")
    await floor.accept("ava")
    await floor.transact(lambda tx: service.offer_timed_out(tx, taken, 1))
    assert (await floor.offer(taken))["state"] == "accepted"
    await floor.ring()
    await floor.dispatch()
    missed = await floor.offer_of("ben")
    await floor.run_out(missed)
    await floor.transact(lambda tx: service.offer_timed_out(tx, missed, 1))
    assert (await floor.agent_row("ben"))["misses"] == 1
    assert len(await floor.events("offer.ended")) == 1
    await floor.transact(lambda tx: service.offer_timed_out(tx, 10**15, 1))


async def test_an_answer_after_the_caller_left_says_so(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.hang_up(call)
    with pytest.raises(CallerLeft):
        await floor.accept("ava")
    with pytest.raises(CallerLeft):
        await floor.reject("ava")


async def test_an_answer_after_going_on_break_says_that_it_was_withdrawn(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    await floor.ring()
    await floor.dispatch()
    await floor.present("ava", "break")
    with pytest.raises(OfferRescinded):
        await floor.accept("ava")


async def test_every_offer_has_its_timer_and_loses_it_with_its_end(floor: Floor) -> None:
    await floor.open(rules=RING_GROUP)
    await floor.arrive("ava", "ben")
    await floor.ring()
    await floor.dispatch()

    async def timers() -> int:
        count: int = await floor.value("SELECT count(*) FROM timers WHERE kind = $1", service.OFFER_TIMER)
        return count

    assert await timers() == 2
    due = await floor.value(
        "SELECT bool_and(t.due_at = o.deadline) FROM timers t JOIN offers o ON o.id = t.object_id WHERE t.kind = $1",
        service.OFFER_TIMER,
    )
    assert due
    await floor.reject("ava")
    assert await timers() == 1
    await floor.accept("ben")
    assert await timers() == 0


async def test_the_time_to_answer_is_the_queues(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ben")
    await floor.ring("sales")
    await floor.dispatch()
    offer = await floor.offer(await floor.offer_of("ben"))
    assert (offer["deadline"] - offer["created_at"]).total_seconds() == 15


async def test_the_pool_is_woken_by_what_frees_a_place(floor: Floor) -> None:
    """Each of these publishes an event that wakes the pool's dispatcher."""
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.reject("ava")
    (ended,) = await floor.events("offer.ended")
    assert (ended[1]["pool"], ended[1]["outcome"]) == (POOL, "rejected")
    back = (await floor.events("work.queued"))[-1][1]
    assert (back["pool"], back["work_item_id"]) == (POOL, call.item_id)
