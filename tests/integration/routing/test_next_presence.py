"""What is chosen during a call or wrap-up waits for its end, is told meanwhile, and can be taken back."""

import pytest

from routing import acts, service
from routing import queries as sql
from routing.live import presence_of
from routing.messages import Presence
from tests.integration.routing.floor import POOL, Floor, Waiting
from tests.integration.routing.test_presence import away_for, since


async def seen(floor: Floor, name: str = "ava") -> Presence:
    async with floor.database.acquire() as conn:
        return await presence_of(conn, floor.agent(name).user_id)


async def talking(floor: Floor, *names: str) -> Waiting:
    await floor.open()
    await floor.arrive(*(names or ("ava",)))
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    return call


async def told(floor: Floor) -> list[tuple[str, str | None]]:
    return [(body["state"], body["next"]) for _, body in await floor.events("agent.presence_changed")]


@pytest.mark.parametrize("moment", ["accepted", "talking", "wrapping"])
async def test_a_choice_at_work_is_kept_and_applied_at_the_end(floor: Floor, moment: str) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    await floor.accept("ava")
    if moment != "accepted":
        await floor.join(call, "ava")
    if moment == "wrapping":
        await floor.hang_up(call)
    await floor.present("ava", "break", "lunch")
    now = await seen(floor)
    assert (now.state, now.next, now.next_reason) == ("available", "break", "lunch")
    if moment == "accepted":
        await floor.join(call, "ava")
    if moment != "wrapping":
        await floor.hang_up(call)
    assert (await seen(floor)).next == "break", "wrap-up is work too"
    await floor.ring()
    assert [name for name, _ in await floor.dispatch()] == ["ben"]
    await floor.finish(call, "ava")
    now = await seen(floor)
    assert (now.state, now.reason, now.next, now.next_reason) == ("break", "lunch", None, None)
    assert (await told(floor))[-2:] == [("available", "break"), ("break", None)]
    assert await floor.intervals("ava") == ["offline", "available", "reserved", "talking", "wrapping", "break"]


async def test_choosing_what_is_in_force_takes_the_choice_back(floor: Floor) -> None:
    call = await talking(floor)
    await floor.present("ava", "break", "lunch")
    await floor.present("ava", "break", "meeting")
    assert (await seen(floor)).next_reason == "meeting"
    before = await floor.agent_row("ava")
    await floor.present("ava", "break", "meeting")
    assert await floor.agent_row("ava") == before, "the same again changes nothing"
    await floor.present("ava", "available")
    assert (await seen(floor)).next is None
    await floor.hang_up(call)
    await floor.finish(call, "ava")
    assert await floor.presence("ava") == ("available", None)


async def test_a_supervisors_word_waits_for_the_end_of_work_too_and_the_agent_hears_it(floor: Floor) -> None:
    call = await talking(floor)
    by = f"user:{floor.agent('sam').user_id}"
    await floor.present("ava", "offline", "shift ended", by=by)
    last = (await floor.events("agent.presence_changed"))[-1][1]
    assert (last["state"], last["next"], last["by"]) == ("available", "offline", by)
    assert (await floor.item(call))["state"] == "assigned"
    await floor.hang_up(call)
    await floor.run_timer(service.WRAP_TIMER, await floor.offer_of("ava"))
    assert await floor.presence("ava") == ("offline", "shift ended")


async def force(floor: Floor, state: str, reason: str | None = None) -> int:
    return (await floor.force("ava", state, reason, who=floor.agent("sam"))).id


@pytest.mark.parametrize("forced", ["offline", "available"])
async def test_a_supervisors_word_in_a_call_can_be_undone_and_what_was_chosen_before_is_back(
    floor: Floor, forced: str
) -> None:
    call = await talking(floor)
    await floor.present("ava", "break", "lunch")
    act_id = await force(floor, forced, "shift ended")
    assert (await seen(floor)).next == ("offline" if forced == "offline" else None)
    await floor.transact(lambda tx: acts.undo(tx, act_id=act_id, who=floor.agent("sam")))
    now = await seen(floor)
    assert (now.state, now.next, now.next_reason) == ("available", "break", "lunch")
    await floor.hang_up(call)
    await floor.finish(call, "ava")
    assert await floor.presence("ava") == ("break", "lunch")


async def test_a_supervisors_word_that_has_come_into_force_is_not_undone(floor: Floor) -> None:
    call = await talking(floor)
    act_id = await force(floor, "offline")
    await floor.hang_up(call)
    await floor.finish(call, "ava")
    with pytest.raises(acts.TooLateToUndo):
        await floor.transact(lambda tx: acts.undo(tx, act_id=act_id, who=floor.agent("sam")))


async def test_a_supervisor_does_not_end_an_optional_wrap_up(floor: Floor) -> None:
    call = await talking(floor)
    await floor.execute("UPDATE queues SET wrap_mode = 'optional'")
    await floor.hang_up(call)
    await force(floor, "available")
    assert (await seen(floor)).work == "wrapping"
    await floor.finish(call, "ava")


async def test_going_offline_in_a_call_does_not_lose_it_whatever_becomes_of_the_desk(floor: Floor) -> None:
    call = await talking(floor)
    await floor.present("ava", "offline")
    await floor.disconnect("ava")
    await floor.sweep_lost("ava")
    assert (await seen(floor)).state == "reconnecting"
    await since(floor, "ava", 60)
    await floor.sweep_lost("ava")
    now = await seen(floor)
    assert (now.state, now.next) == ("unreachable", "offline")
    assert (await floor.item(call))["state"] == "assigned"
    await floor.hang_up(call)
    await floor.run_timer(service.WRAP_TIMER, await floor.offer_of("ava"))
    assert await floor.presence("ava") == ("offline", None)


async def test_a_short_loss_of_the_socket_forgets_no_choice(floor: Floor) -> None:
    call = await talking(floor)
    await floor.present("ava", "break", "lunch")
    await floor.disconnect("ava")
    await floor.sweep_lost("ava")
    await floor.connect("ava")
    now = await seen(floor)
    assert (now.state, now.next) == ("available", "break")
    await floor.hang_up(call)
    await floor.finish(call, "ava")
    assert await floor.presence("ava") == ("break", "lunch")


async def test_who_was_set_aside_in_a_call_is_back_at_once(floor: Floor) -> None:
    call = await talking(floor)
    await floor.disconnect("ava")
    await floor.sweep_lost("ava")
    await since(floor, "ava", 60)
    await floor.sweep_lost("ava")
    await floor.connect("ava")
    await floor.present("ava", "available")
    now = await seen(floor)
    assert (now.state, now.next, now.work) == ("available", None, "in_call")
    await floor.hang_up(call)


async def test_nobody_becomes_available_who_is_not_there(floor: Floor) -> None:
    call = await talking(floor)
    await floor.execute("UPDATE agents SET presence = 'break' WHERE id = $1", floor.agent("ava").user_id)
    await floor.present("ava", "available")
    await floor.disconnect("ava")
    await away_for(floor, "ava", 60)
    await floor.execute("UPDATE agents SET presence_since = now() - interval '1 hour'")
    await floor.sweep_lost("ava")
    await floor.hang_up(call)
    await floor.run_timer(service.WRAP_TIMER, await floor.offer_of("ava"))
    now = await seen(floor)
    assert (now.state, now.reason, now.next) == ("offline", "connection_lost", None)


@pytest.mark.parametrize("end", ["connect_failed", "caller_left"])
async def test_a_call_that_never_came_together_is_work_that_ends(floor: Floor, end: str) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    await floor.accept("ava")
    await floor.present("ava", "break", "lunch")
    await (floor.not_found(call) if end == "connect_failed" else floor.hang_up(call))
    now = await seen(floor)
    assert (now.state, now.reason, now.next, now.work) == ("break", "lunch", None, "idle")
    if end == "connect_failed":
        assert await floor.dispatch() == [("ben", call.item_id)]


async def test_a_choice_in_a_queue_without_wrap_up_applies_with_the_hang_up(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ben")
    call = await floor.ring("sales")
    await floor.dispatch()
    await floor.talk(call, "ben")
    await floor.present("ben", "break")
    await floor.hang_up(call)
    assert await floor.presence("ben") == ("break", None)
    assert await floor.intervals("ben") == ["offline", "available", "reserved", "talking", "break"]


async def test_r4_who_will_go_gets_no_more_though_there_is_room(floor: Floor) -> None:
    await floor.open()
    await floor.execute("UPDATE agents SET total_units = 2 WHERE id = $1", floor.agent("ava").user_id)
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    ava = floor.agent("ava").user_id
    assert await floor.fetch(sql.LOCK_FREE_AGENTS, [ava], []) == [{"id": ava}], "there is room for another"
    await floor.present("ava", "break")
    assert await floor.fetch(sql.LOCK_FREE_AGENTS, [ava], []) == []
    await floor.ring()
    assert await floor.dispatch() == []
    async with floor.database.acquire() as conn:
        (view,) = [agent for agent in await sql.pool_agents(conn, pool=POOL) if agent.id == ava]
    assert view.presence == "break", "and that is what an explanation says"
    await floor.hang_up(call)
    await floor.finish(call, "ava")
    assert await floor.presence("ava") == ("break", None)


async def test_who_is_an_agent_no_longer_is_offline_at_once_and_keeps_the_call(floor: Floor) -> None:
    call = await talking(floor)
    await floor.present("ava", "break")
    await floor.transact(
        lambda tx: service.set_presence(
            tx, agent_id=floor.agent("ava").user_id, state="offline", reason="retired", by="cli", at_once=True
        )
    )
    assert await floor.presence("ava") == ("offline", "retired")
    assert (await seen(floor)).next is None
    assert (await floor.item(call))["state"] == "assigned"
    await floor.hang_up(call)
    await floor.finish(call, "ava")


async def test_comms_router_62_idle_clock_is_reset_by_the_end_of_work_alone(floor: Floor) -> None:
    """There completing work set the clock at the wrong event, and the wrong agent was longest idle. The order here is that of the
    ends of work, whatever was chosen meanwhile, and a break that never came into force changes nothing."""
    await floor.open()
    await floor.arrive("ava", "ben")
    first, second = await floor.ring(), await floor.ring()
    await floor.dispatch()
    await floor.talk(first, "ava")
    await floor.talk(second, "ben")
    start = (await floor.agent_row("ava"))["idle_since"]
    await floor.hang_up(first)
    await floor.hang_up(second)
    await floor.present("ava", "break")
    await floor.present("ava", "available")
    assert (await floor.agent_row("ava"))["idle_since"] == start
    await floor.finish(second, "ben")
    await floor.finish(first, "ava")
    ben, ava = (await floor.agent_row("ben"))["idle_since"], (await floor.agent_row("ava"))["idle_since"]
    assert start < ben < ava
    third = await floor.ring()
    assert await floor.dispatch() == [("ben", third.item_id)]


async def test_r20_a_break_after_the_call_starts_no_idle_clock_and_its_end_does(floor: Floor) -> None:
    call = await talking(floor)
    await floor.present("ava", "break")
    await floor.hang_up(call)
    await floor.finish(call, "ava")
    ended = (await floor.agent_row("ava"))["idle_since"]
    await floor.present("ava", "break", "lunch")
    assert (await floor.agent_row("ava"))["idle_since"] == ended
    await floor.present("ava", "available")
    assert (await floor.agent_row("ava"))["idle_since"] > ended


@pytest.mark.parametrize("how", ["break", "offline", "lost"])
async def test_chatwoot_7204_4158_9587_work_does_not_stay_with_who_is_gone(floor: Floor, how: str) -> None:
    """There conversations stayed assigned to people who were offline, for days. Here what has not begun goes to others in its old
    place, what has begun is talked to its end, and nothing new comes."""
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring(waited_s=30)
    before = await floor.item(call)
    await floor.dispatch()
    if how == "lost":
        await floor.disconnect("ava")
        await floor.sweep_lost("ava")
        await since(floor, "ava", 6)
        await floor.sweep_lost("ava")
    else:
        await floor.present("ava", how)
    item = await floor.item(call)
    assert (item["state"], item["virtual_start"]) == ("queued", before["virtual_start"])
    assert (await floor.agent_row("ava"))["used_units"] == 0
    await floor.arrive("ben")
    assert await floor.dispatch() == [("ben", call.item_id)]
