"""Presence: what people choose, what a lost socket does and when, and what neither may cost."""

import pytest

from core.errors import Forbidden, Invalid, NotFound
from routing import queries as sql
from routing import service
from routing.model import LEASE_S
from tests.integration.routing.floor import Floor


async def since(floor: Floor, name: str, seconds: float) -> None:
    """The presence has been so for `seconds`, and the desk away as long."""
    ident = floor.agent(name).user_id
    await floor.execute(
        "UPDATE agents SET presence_since = now() - make_interval(secs => $2) WHERE id = $1", ident, seconds
    )
    await away_for(floor, name, seconds)


async def away_for(floor: Floor, name: str, seconds: float) -> None:
    await floor.execute(
        "UPDATE desk_connections SET lease_until = now() - make_interval(secs => $2) WHERE agent_id = $1",
        floor.agent(name).user_id,
        seconds,
    )


# --- chosen -----------------------------------------------------------------------------------------------------------------


async def test_work_goes_only_to_the_available_with_a_live_desk(floor: Floor) -> None:
    await floor.open()
    await floor.ring()
    assert await floor.dispatch() == []
    await floor.present("ava", "available")
    assert await floor.dispatch() == []
    await floor.connect("ben")
    assert await floor.dispatch() == []
    await floor.connect("ava")
    assert [name for name, _ in await floor.dispatch()] == ["ava"]


async def test_a_break_keeps_its_reason_and_needs_none(floor: Floor) -> None:
    await floor.open()
    await floor.present("ava", "break", "lunch")
    assert await floor.presence("ava") == ("break", "lunch")
    await floor.present("ava", "break")
    assert await floor.presence("ava") == ("break", None)
    await floor.present("ava", "available", "lunch")
    assert await floor.presence("ava") == ("available", None)


@pytest.mark.parametrize("state", ["reconnecting", "unreachable", "not_responding", "", "Available", "busy"])
async def test_only_three_states_can_be_chosen(floor: Floor, state: str) -> None:
    await floor.open()
    with pytest.raises(Invalid):
        await floor.present("ava", state)


async def test_somebody_who_is_no_agent_has_no_presence(floor: Floor) -> None:
    await floor.open()
    with pytest.raises(NotFound):
        await floor.transact(lambda tx: service.set_presence(tx, agent_id=10**9, state="break", reason=None, by="x"))
    with pytest.raises(Forbidden):
        await floor.transact(lambda tx: service.desk_connected(tx, agent_id=10**9, replica="r", sid="s"))
    assert await floor.value("SELECT count(*) FROM desk_connections") == 0


async def test_choosing_the_same_again_changes_and_tells_nothing(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    before = await floor.agent_row("ava")
    told = len(await floor.events("agent.presence_changed"))
    await floor.present("ava", "available")
    assert await floor.agent_row("ava") == before
    assert len(await floor.events("agent.presence_changed")) == told


async def test_going_away_while_it_rings_gives_the_call_back_without_a_miss(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring(waited_s=9)
    before = await floor.item(call)
    await floor.dispatch()
    offer_id = await floor.offer_of("ava")
    await floor.present("ava", "break", "lunch")
    offer = await floor.offer(offer_id)
    assert (offer["state"], offer["reason"]) == ("rescinded", "agent_left")
    row = await floor.agent_row("ava")
    assert (row["presence"], row["misses"], row["used_units"]) == ("break", 0, 0)
    assert (await floor.item(call))["virtual_start"] == before["virtual_start"]
    assert await floor.dispatch() == [("ben", call.item_id)]
    assert await floor.intervals("ava") == ["offline", "available", "reserved", "break"]


async def test_going_away_does_not_end_a_call_that_was_just_accepted(floor: Floor) -> None:
    """What rang when the agent pressed the key may be a conversation by now."""
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.accept("ava")
    await floor.present("ava", "offline")
    assert (await floor.offer(await floor.offer_of("ava")))["state"] == "accepted"
    assert (await floor.item(call))["state"] == "assigned"


async def test_choosing_available_keeps_what_rings(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    await floor.ring()
    await floor.dispatch()
    await floor.present("ava", "available")
    assert (await floor.offer(await floor.offer_of("ava")))["state"] == "pending"


async def test_a_change_during_a_call_counts_from_its_end(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    await floor.present("ava", "break", "lunch")
    assert (await floor.item(call))["state"] == "assigned"
    await floor.hang_up(call)
    await floor.finish(call, "ava")
    assert await floor.intervals("ava") == ["offline", "available", "reserved", "talking", "wrapping", "break"]
    await floor.ring()
    assert [name for name, _ in await floor.dispatch()] == ["ben"]


async def test_a_change_during_wrap_up_counts_from_its_end(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    await floor.present("ava", "break")
    await floor.hang_up(call)
    await floor.present("ava", "available")
    other = await floor.ring()
    assert await floor.dispatch() == [], "still wrapping up"
    await floor.finish(call, "ava")
    assert await floor.dispatch() == [("ava", other.item_id)]
    assert await floor.intervals("ava") == [
        "offline", "available", "reserved", "talking", "wrapping", "available", "reserved"
    ]  # fmt: skip


async def test_r20_the_idle_clock_starts_when_work_ends_or_somebody_becomes_available(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    start = (await floor.agent_row("ava"))["idle_since"]
    call = await floor.ring()
    await floor.dispatch()
    await floor.run_out(await floor.offer_of("ava"))
    assert (await floor.agent_row("ava"))["idle_since"] == start, "a missed offer is no work"
    await floor.present("ava", "available")
    back = (await floor.agent_row("ava"))["idle_since"]
    assert back > start
    await floor.dispatch()
    await floor.talk(call, "ava")
    await floor.hang_up(call)
    assert (await floor.agent_row("ava"))["idle_since"] == back
    await floor.finish(call, "ava")
    assert (await floor.agent_row("ava"))["idle_since"] > back


# --- lost --------------------------------------------------------------------------------------------------------------------------


async def test_an_offer_outlives_a_lost_socket_by_five_seconds(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    offer_id = await floor.offer_of("ava")
    await floor.disconnect("ava")
    await floor.sweep_lost("ava")
    assert await floor.presence("ava") == ("reconnecting", None)
    await since(floor, "ava", 4.5)
    await floor.sweep_lost("ava")
    assert (await floor.offer(offer_id))["state"] == "pending"
    await since(floor, "ava", 5.5)
    await floor.sweep_lost("ava")
    offer = await floor.offer(offer_id)
    assert (offer["state"], offer["reason"]) == ("rescinded", "agent_left")
    row = await floor.agent_row("ava")
    assert (row["presence"], row["misses"]) == ("reconnecting", 0)
    assert await floor.dispatch() == [("ben", call.item_id)]


async def test_who_is_back_in_time_still_has_the_offer(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    await floor.ring()
    await floor.dispatch()
    await floor.disconnect("ava")
    await floor.sweep_lost("ava")
    await floor.connect("ava")
    assert await floor.presence("ava") == ("available", None)
    await floor.accept("ava")


async def test_an_offer_that_ran_out_on_a_lost_desk_is_no_miss(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.disconnect("ava")
    await floor.sweep_lost("ava")
    await floor.run_out(await floor.offer_of("ava"))
    row = await floor.agent_row("ava")
    assert (row["presence"], row["misses"]) == ("reconnecting", 0)
    assert (await floor.offer(await floor.offer_of("ava")))["reason"] == "agent_left"
    assert (await floor.item(call))["state"] == "queued"
    await floor.connect("ava")
    assert await floor.dispatch() == [("ava", call.item_id)]


async def test_presence_outlives_a_lost_socket_by_45_seconds(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    await floor.disconnect("ava")
    await floor.sweep_lost("ava")
    await since(floor, "ava", 44)
    await floor.sweep_lost("ava")
    assert await floor.presence("ava") == ("reconnecting", None)
    await since(floor, "ava", 46)
    await floor.sweep_lost("ava")
    assert await floor.presence("ava") == ("unreachable", "connection_lost")
    await floor.connect("ava")
    await floor.ring()
    assert await floor.dispatch() == [], "it takes a person to come back from there"
    await floor.present("ava", "available")
    assert len(await floor.dispatch()) == 1


async def test_who_is_back_in_time_keeps_the_place_among_the_idle(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    before = (await floor.agent_row("ava"))["idle_since"]
    await floor.disconnect("ava")
    await floor.sweep_lost("ava")
    await floor.connect("ava", "another window")
    row = await floor.agent_row("ava")
    assert (row["presence"], row["idle_since"]) == ("available", before)
    await floor.ring()
    assert [name for name, _ in await floor.dispatch()] == ["ava"]


async def test_one_of_two_windows_closed_is_nothing_lost(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    await floor.connect("ava", "second window")
    await floor.disconnect("ava")
    await floor.sweep_lost("ava")
    assert await floor.presence("ava") == ("available", None)


async def test_a_replica_that_died_leaves_leases_that_end(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    lease = await floor.value("SELECT extract(epoch FROM lease_until - now())::float8 FROM desk_connections")
    assert LEASE_S - 2 < lease <= LEASE_S
    assert await floor.fetch(sql.LOST_AGENTS) == []
    await away_for(floor, "ava", 0.1)
    assert [row["id"] for row in await floor.fetch(sql.LOST_AGENTS)] == [floor.agent("ava").user_id]
    await floor.renew("ava")
    assert await floor.fetch(sql.LOST_AGENTS) == []


async def test_whose_lease_lives_again_without_a_new_socket_is_back(floor: Floor) -> None:
    """A replica could not reach the database for a while: the desk has noticed nothing, so nobody would connect again."""
    await floor.open()
    await floor.arrive("ava")
    idle_since = (await floor.agent_row("ava"))["idle_since"]
    await away_for(floor, "ava", 0.1)
    await floor.sweep_lost("ava")
    assert await floor.presence("ava") == ("reconnecting", None)
    await floor.renew("ava")
    assert [row["id"] for row in await floor.fetch(sql.LOST_AGENTS)] == [floor.agent("ava").user_id]
    await floor.sweep_lost("ava")
    assert await floor.presence("ava") == ("available", None)
    assert (await floor.agent_row("ava"))["idle_since"] == idle_since
    assert await floor.fetch(sql.LOST_AGENTS) == []
    await floor.ring()
    assert await floor.dispatch() != []


async def test_after_a_start_leases_count_as_alive_but_not_those_of_closed_windows(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    await away_for(floor, "ava", 300)
    await floor.disconnect("ben")
    await floor.execute(sql.GRANT_LEASES, LEASE_S)
    assert [row["id"] for row in await floor.fetch(sql.LOST_AGENTS)] == [floor.agent("ben").user_id]
    await floor.renew("ava", "ben")
    assert [row["id"] for row in await floor.fetch(sql.LOST_AGENTS)] == [floor.agent("ben").user_id]


@pytest.mark.parametrize("how", ["break", "not_responding"])
async def test_a_reload_during_a_long_break_signs_nobody_off(floor: Floor, how: str) -> None:
    await floor.open()
    await floor.arrive("ava")
    if how == "break":
        await floor.present("ava", "break", "lunch")
    else:
        await floor.ring()
        await floor.dispatch()
        await floor.run_out(await floor.offer_of("ava"))
    presence = await floor.presence("ava")
    await floor.execute("UPDATE agents SET presence_since = now() - interval '20 minutes'")
    await floor.disconnect("ava")
    await floor.sweep_lost("ava")
    assert await floor.presence("ava") == presence
    await away_for(floor, "ava", 44)
    await floor.sweep_lost("ava")
    assert await floor.presence("ava") == presence
    await away_for(floor, "ava", 46)
    await floor.sweep_lost("ava")
    assert await floor.presence("ava") == ("offline", "connection_lost")


async def test_what_is_known_of_a_closed_desk_is_forgotten_only_after_the_grace(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    await floor.disconnect("ava")
    await away_for(floor, "ava", 50)
    await floor.execute(sql.DROP_DEAD_CONNECTIONS)
    assert await floor.value("SELECT count(*) FROM desk_connections") == 1
    await away_for(floor, "ava", 61)
    await floor.execute(sql.DROP_DEAD_CONNECTIONS)
    assert await floor.value("SELECT count(*) FROM desk_connections") == 0


async def test_a_call_goes_on_when_the_desk_is_lost(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    await floor.disconnect("ava")
    await floor.sweep_lost("ava")
    await since(floor, "ava", 60)
    await floor.sweep_lost("ava")
    assert (await floor.item(call))["state"] == "assigned"
    assert await floor.presence("ava") == ("unreachable", "connection_lost")
    await floor.hang_up(call)
    await floor.run_timer(service.WRAP_TIMER, await floor.offer_of("ava"))
    assert (await floor.agent_row("ava"))["used_units"] == 0
    assert await floor.intervals("ava") == ["offline", "available", "reserved", "talking", "wrapping", "unreachable"]


async def test_nobody_who_is_offline_is_looked_for(floor: Floor) -> None:
    await floor.open()
    assert await floor.fetch(sql.LOST_AGENTS) == []


async def test_everything_that_changes_is_told_with_a_rising_version(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    await floor.present("ava", "break", "lunch")
    await floor.present("ava", "available")
    told = [body for _, body in await floor.events("agent.presence_changed")]
    assert [body["state"] for body in told] == ["available", "break", "available"]
    versions = [body["version"] for body in told]
    assert versions == sorted(set(versions))
    assert len(await floor.events("agent.freed")) == 2
