"""Who declined, missed or could not be joined: for how long not asked again, for what, and who brings them back."""

from typing import Final

import pytest

from routing import service
from routing.model import SECOND_THOUGHT_S
from tests.integration.routing.floor import ORG, Floor, Waiting

SETTINGS: Final = "cool_downs: {reject_s: 70, busy_s: 25, no_answer_s: 40}, misses_before_not_responding: 2"


async def opened(floor: Floor, settings: str = "") -> None:
    """Support is set up like this."""
    await floor.open(ORG.replace("{en: Support},", f"{{en: Support}}, {settings}," if settings else "{en: Support},"))


async def excluded_for(floor: Floor, call: Waiting, name: str = "ava") -> tuple[float, str] | None:
    rows = await floor.fetch(
        "SELECT extract(epoch FROM until - now())::float8 AS s, reason FROM exclusions WHERE work_item_id = $1 AND agent_id = $2",
        call.item_id,
        floor.agent(name).user_id,
    )
    return (rows[0]["s"], rows[0]["reason"]) if rows else None


async def later(floor: Floor, seconds: float) -> None:
    """Cool-downs are so much older."""
    await floor.execute("UPDATE exclusions SET until = until - make_interval(secs => $1)", seconds)
    await floor.execute("UPDATE agents SET cooldown_until = cooldown_until - make_interval(secs => $1)", seconds)
    await floor.execute("UPDATE offers SET created_at = created_at - make_interval(secs => $1), deadline = deadline - make_interval(secs => $1), accepted_at = accepted_at - make_interval(secs => $1), ended_at = ended_at - make_interval(secs => $1)", seconds)  # fmt: skip


@pytest.mark.parametrize(("settings", "seconds"), [("", 30), (SETTINGS, 70)])
async def test_r13_who_declined_is_asked_for_others_but_not_for_this_one(
    floor: Floor, settings: str, seconds: int
) -> None:
    await opened(floor, settings)
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.reject("ava")
    s, reason = await excluded_for(floor, call) or (0, "")
    assert (seconds - 3 < s <= seconds, reason) == (True, "rejected")
    assert await floor.dispatch() == []
    other = await floor.ring()
    assert await floor.dispatch() == [("ava", other.item_id)]


@pytest.mark.parametrize(("settings", "seconds"), [("", 10), (SETTINGS, 25)])
async def test_r29_whose_phone_does_not_come_is_asked_for_nothing_until_it_has_cooled_down(
    floor: Floor, settings: str, seconds: int
) -> None:
    await opened(floor, settings)
    await floor.arrive("ava")
    ava = floor.agent("ava").user_id
    call, other = await floor.ring(waited_s=9), await floor.ring(waited_s=5)
    await floor.dispatch()
    await floor.accept("ava")
    await floor.not_found(call)
    s, reason = await excluded_for(floor, call) or (0, "")
    assert (seconds - 3 < s <= seconds, reason) == (True, "connect_failed")
    assert await floor.dispatch() == [], "the next call would fail as well"
    assert seconds - 3 < (await floor.timer_due_in(service.COOLDOWN_TIMER, ava) or 0) <= seconds
    freed = len(await floor.events("agent.freed"))
    await later(floor, seconds)
    assert await floor.run_timer(service.COOLDOWN_TIMER, ava)
    assert len(await floor.events("agent.freed")) == freed + 1, "the pool looks again"
    assert await floor.dispatch() == [("ava", call.item_id)]
    await floor.hang_up(other)


async def test_the_first_miss_is_enough_where_nothing_is_said(floor: Floor) -> None:
    await opened(floor)
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.run_out(await floor.offer_of("ava"))
    assert await floor.presence("ava") == ("not_responding", "missed_offer")
    assert await excluded_for(floor, call) is None, "who is back may have it at once"
    await floor.present("ava", "available")
    assert await floor.dispatch() == [("ava", call.item_id)]


@pytest.mark.parametrize(
    ("settings", "seconds"), [("misses_before_not_responding: 2", SECOND_THOUGHT_S), (SETTINGS, 40)]
)
async def test_below_the_threshold_a_miss_keeps_only_this_call_away(floor: Floor, settings: str, seconds: int) -> None:
    await opened(floor, settings)
    await floor.arrive("ava")
    call = await floor.ring(waited_s=9)
    await floor.dispatch()
    await floor.run_out(await floor.offer_of("ava"))
    assert await floor.presence("ava") == ("available", None)
    s, reason = await excluded_for(floor, call) or (0, "")
    assert (seconds - 3 < s <= seconds, reason) == (True, "no_answer")
    assert await floor.dispatch() == []
    other = await floor.ring()
    assert await floor.dispatch() == [("ava", other.item_id)]
    await floor.run_out(await floor.offer_of("ava"))
    assert await floor.presence("ava") == ("not_responding", "missed_offer")
    assert (await floor.agent_row("ava"))["misses"] == 2


async def test_misses_count_in_a_row_and_a_moment_without_connection_is_no_new_start(floor: Floor) -> None:
    await opened(floor, "misses_before_not_responding: 2")
    await floor.arrive("ava")
    await floor.ring(waited_s=9)
    await floor.dispatch()
    await floor.run_out(await floor.offer_of("ava"))
    await floor.disconnect("ava")
    await floor.sweep_lost("ava")
    await floor.connect("ava")
    assert (await floor.presence("ava"), (await floor.agent_row("ava"))["misses"]) == (("available", None), 1)
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    await floor.hang_up(call)
    await floor.finish(call, "ava")
    assert (await floor.agent_row("ava"))["misses"] == 0, "an answered call ends the row"


@pytest.mark.parametrize("who", ["ava", "sam"])
async def test_kazoo_6609_nobody_is_logged_out_for_good_after_missed_calls(floor: Floor, who: str) -> None:
    """There an agent who had missed calls stayed logged out until a restart: what should have brought them back was gone.
    Here not responding is a row like any other, which the agent or a supervisor clears, and nothing else does."""
    await opened(floor)
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    offer_id = await floor.offer_of("ava")
    await floor.run_out(offer_id)
    for _ in range(2):  # a reload of the desk, the sweep, a time-out that comes twice
        await floor.disconnect("ava")
        await floor.sweep_lost("ava")
        await floor.connect("ava")
        await floor.transact(lambda tx: service.offer_timed_out(tx, offer_id, 1))
        await floor.transact(lambda tx: service.cooled_down(tx, floor.agent("ava").user_id, 0))
        assert await floor.presence("ava") == ("not_responding", "missed_offer")
        assert await floor.dispatch() == []
    by = "ava" if who == "ava" else f"user:{floor.agent('sam').user_id}"
    await floor.present("ava", "available", by=by)
    assert (await floor.agent_row("ava"))["misses"] == 0
    assert await floor.dispatch() == [("ava", call.item_id)]


async def test_r26_an_offer_that_runs_out_ends_whatever_the_settings_say(floor: Floor) -> None:
    await opened(floor, "misses_before_not_responding: 10, cool_downs: {no_answer_s: 3600}")
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    first = await floor.offer_of("ava")
    await floor.run_out(first)
    assert (await floor.offer(first))["state"] == "timeout"
    assert await floor.dispatch() == [("ben", call.item_id)]
    assert (await floor.item(call))["state"] == "offering"
