"""What follows a call, by the mode of its queue; more time once; the result when nobody chose one."""

import asyncio
from datetime import timedelta
from typing import Final

import pytest

from core.errors import Conflict, NotFound
from infra.timers import TAKE_TIMER
from routing import service
from routing.model import (
    DispositionRequired,
    NotWrappingUp,
    WrapUpAlreadyExtended,
    WrapUpHasNoTimer,
    WrapUpNotExtensible,
    WrapUpNotOnRequest,
)
from tests.integration.routing.floor import ORG, POOL, Floor, Waiting

DISPOSITIONS: Final = """
dispositions:
  - {key: resolved, digit: 1, name: {en: Resolved}, resolves_ticket: true}
  - {key: callback, digit: 2, name: {en: Call back}}
  - {key: not_stated, name: {en: Not stated}}
"""


async def opened(floor: Floor, wrap_up: str, *, more: str = DISPOSITIONS) -> None:
    """Support wraps up like this."""
    await floor.open(ORG.replace("wrap_up: {mode: timed, seconds: 30}", f"wrap_up: {{{wrap_up}}}") + more)


async def talking(floor: Floor, name: str = "ava") -> Waiting:
    await floor.arrive(name)
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, name)
    return call


async def wrapping(floor: Floor, name: str = "ava") -> Waiting:
    call = await talking(floor, name)
    await floor.hang_up(call)
    return call


async def state(floor: Floor, name: str = "ava") -> str:
    return str((await floor.offer(await floor.offer_of(name)))["state"])


# --- modes --------------------------------------------------------------------------------------------------------------


async def test_optional_wrap_up_ends_when_the_agent_goes_available(floor: Floor) -> None:
    await opened(floor, "mode: optional")
    call = await wrapping(floor)
    offer_id = await floor.offer_of("ava")
    assert await floor.timer_due_in(service.WRAP_TIMER, offer_id) is None
    other = await floor.ring()
    assert await floor.dispatch() == []
    await floor.present("ava", "break", "lunch")
    assert await state(floor) == "wrapping", "going away later does not end it"
    await floor.present("ava", "available")
    assert await state(floor) == "completed"
    assert (await floor.item(call))["state"] == "done"
    assert await floor.presence("ava") == ("available", None)
    assert (await floor.agent_row("ava"))["next_presence"] is None
    assert await floor.dispatch() == [("ava", other.item_id)]


@pytest.mark.parametrize("mode", ["timed", "timed_fixed", "manual"])
async def test_only_an_optional_wrap_up_ends_by_going_available(floor: Floor, mode: str) -> None:
    await opened(floor, f"mode: {mode}")
    await wrapping(floor)
    await floor.present("ava", "available")
    assert await state(floor) == "wrapping"


async def test_manual_wrap_up_asks_for_a_result(floor: Floor) -> None:
    await opened(floor, "mode: manual")
    call = await wrapping(floor)
    with pytest.raises(DispositionRequired):
        await floor.finish(call, "ava")
    assert await state(floor) == "wrapping"
    assert await floor.finish(call, "ava", "callback") == "closed"


async def test_a_result_given_during_the_call_is_enough_for_manual_wrap_up(floor: Floor) -> None:
    await opened(floor, "mode: manual")
    call = await talking(floor)
    await floor.finish(call, "ava", "callback")
    await floor.hang_up(call)
    assert await floor.finish(call, "ava") == "closed"
    assert (await floor.offer(await floor.offer_of("ava")))["disposition"] == "callback"


async def test_timed_wrap_up_with_a_fixed_time_keeps_the_result_and_the_time(floor: Floor) -> None:
    await opened(floor, "mode: timed_fixed, seconds: 40")
    call = await wrapping(floor)
    offer_id = await floor.offer_of("ava")
    assert await floor.finish(call, "ava", "callback") == "wrapping"
    assert (await floor.offer(offer_id))["state"] == "wrapping"
    await floor.ring()
    assert await floor.dispatch() == []
    assert 38 < (await floor.timer_due_in(service.WRAP_TIMER, offer_id) or 0) <= 40
    assert await floor.run_timer(service.WRAP_TIMER, offer_id)
    offer = await floor.offer(offer_id)
    assert (offer["state"], offer["disposition"], offer["disposition_is_default"]) == ("completed", "callback", False)


@pytest.mark.parametrize("wishes", [[], [True, False]])
async def test_wrap_up_on_request_is_none_for_who_did_not_ask(floor: Floor, wishes: list[bool]) -> None:
    await opened(floor, "mode: on_request, seconds: 25")
    call = await talking(floor)
    for is_wanted in wishes:
        await floor.request_wrap_up(call, "ava", is_wanted=is_wanted)
    await floor.hang_up(call)
    assert await state(floor) == "completed"
    assert await floor.intervals("ava") == ["offline", "available", "reserved", "talking", "available"]


async def test_r29_wrap_up_on_request_is_timed_for_who_asked(floor: Floor) -> None:
    await opened(floor, "mode: on_request, seconds: 25")
    call = await talking(floor)
    for _ in range(2):
        await floor.request_wrap_up(call, "ava")
    told = [body["is_requested"] for _, body in await floor.events("wrap_up.changed")]
    assert told == [True], "asking again changes and tells nothing"
    await floor.hang_up(call)
    offer_id = await floor.offer_of("ava")
    assert 23 < (await floor.timer_due_in(service.WRAP_TIMER, offer_id) or 0) <= 25
    with pytest.raises(NotWrappingUp):
        await floor.request_wrap_up(call, "ava", is_wanted=False)
    assert await floor.run_timer(service.WRAP_TIMER, offer_id)
    assert await state(floor) == "completed"


async def test_wrap_up_is_asked_for_only_where_it_is_on_request_and_by_whose_call_it_is(floor: Floor) -> None:
    await opened(floor, "mode: timed")
    call = await talking(floor)
    with pytest.raises(WrapUpNotOnRequest):
        await floor.request_wrap_up(call, "ava")
    with pytest.raises(NotFound):
        await floor.request_wrap_up(call, "ben")


@pytest.mark.parametrize("mode", ["timed", "timed_fixed", "on_request"])
async def test_r29_every_wrap_up_with_a_timer_ends_by_the_sweep_when_its_timer_is_lost(floor: Floor, mode: str) -> None:
    await opened(floor, f"mode: {mode}")
    call = await talking(floor)
    if mode == "on_request":
        await floor.request_wrap_up(call, "ava")
    await floor.hang_up(call)
    await floor.execute("UPDATE offers SET wrap_ends_at = now() - interval '3 seconds'")
    await floor.execute("DELETE FROM timers")
    await floor.dispatcher._sweep_once()
    assert await state(floor) == "completed"


# --- more time ------------------------------------------------------------------------------------------------------------


async def test_r29_wrap_up_is_extended_once_and_ends_at_its_new_time(floor: Floor) -> None:
    await opened(floor, "mode: timed, seconds: 30, extension_s: 45")
    call = await wrapping(floor)
    offer_id = await floor.offer_of("ava")
    before = await floor.offer(offer_id)
    ends_at = await floor.extend(call, "ava")
    after = await floor.offer(offer_id)
    assert ends_at == after["wrap_ends_at"] == before["wrap_ends_at"] + timedelta(seconds=45)
    assert (after["wrap_extended_s"], after["version"]) == (45, before["version"] + 1)
    assert 73 < (await floor.timer_due_in(service.WRAP_TIMER, offer_id) or 0) <= 75
    ((_, told),) = await floor.events("wrap_up.changed")
    assert (told["version"], told["ends_at"]) == (after["version"], ends_at.isoformat().replace("+00:00", "Z"))
    with pytest.raises(WrapUpAlreadyExtended):
        await floor.extend(call, "ava")
    assert await floor.run_timer(service.WRAP_TIMER, offer_id)
    assert await state(floor) == "completed"
    with pytest.raises(NotFound):
        await floor.extend(call, "ava")


@pytest.mark.parametrize(
    ("wrap_up", "refusal"),
    [
        ("mode: optional", WrapUpHasNoTimer),
        ("mode: manual", WrapUpHasNoTimer),
        ("mode: timed, extension_s: 0", WrapUpNotExtensible),
    ],
)
async def test_each_refusal_of_more_time_says_why(floor: Floor, wrap_up: str, refusal: type[Conflict]) -> None:
    await opened(floor, wrap_up)
    call = await talking(floor)
    with pytest.raises(NotWrappingUp):
        await floor.extend(call, "ava")
    await floor.hang_up(call)
    with pytest.raises(refusal):
        await floor.extend(call, "ava")
    with pytest.raises(NotFound):
        await floor.extend(call, "ben")


async def test_a_wrap_up_that_is_just_ending_is_not_extended_and_nobody_waits_for_anybody(floor: Floor) -> None:
    """The runner has taken the timer and wants the call; whoever extends has the call and would want the timer."""
    await opened(floor, "mode: timed")
    call = await wrapping(floor)
    offer_id = await floor.offer_of("ava")
    await floor.execute("UPDATE timers SET due_at = now() WHERE kind = $1", service.WRAP_TIMER)
    async with floor.outbox.transaction() as tx:
        assert await tx.conn.fetchval(TAKE_TIMER, service.WRAP_TIMER, offer_id) is not None
        async with asyncio.timeout(5):
            with pytest.raises(NotWrappingUp):
                await floor.extend(call, "ava")
        await service.wrap_up_timed_out(tx, offer_id, 0)
    assert await state(floor) == "completed"


async def test_of_two_who_extend_at_once_one_does(floor: Floor) -> None:
    await opened(floor, "mode: timed, seconds: 30, extension_s: 20")
    call = await wrapping(floor)
    results = await asyncio.gather(*(floor.extend(call, "ava") for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(result, WrapUpAlreadyExtended) for result in results) == 3
    assert (await floor.offer(await floor.offer_of("ava")))["wrap_extended_s"] == 20


# --- the result when nobody chose one --------------------------------------------------------------------------------------


async def result(floor: Floor, call: Waiting) -> tuple[str | None, bool, str | None]:
    offer = await floor.row("SELECT * FROM offers WHERE call_id = $1 AND state = 'completed'", call.call_id)
    of_call = await floor.value("SELECT disposition FROM calls WHERE id = $1", call.call_id)
    return offer["disposition"], offer["disposition_is_default"], of_call


async def test_a_wrap_up_that_runs_out_has_the_queues_result_and_says_that_nobody_chose_it(floor: Floor) -> None:
    await opened(floor, "mode: timed, default_disposition: not_stated")
    call = await wrapping(floor)
    await floor.run_timer(service.WRAP_TIMER, await floor.offer_of("ava"))
    assert await result(floor, call) == ("not_stated", True, "not_stated")
    ((_, told),) = await floor.events("wrap_up.ended")
    assert (told["disposition"], told["is_default"], told["by"]) == ("not_stated", True, "system")


async def test_a_result_that_was_chosen_stays_also_when_time_runs_out(floor: Floor) -> None:
    await opened(floor, "mode: timed, default_disposition: not_stated")
    call = await talking(floor)
    await floor.finish(call, "ava", "callback")
    await floor.hang_up(call)
    await floor.run_timer(service.WRAP_TIMER, await floor.offer_of("ava"))
    assert await result(floor, call) == ("callback", False, "callback")


async def test_without_wrap_up_the_queues_result_counts_unless_one_was_chosen_in_the_call(floor: Floor) -> None:
    await opened(floor, "mode: none, default_disposition: not_stated")
    call = await wrapping(floor)
    assert await result(floor, call) == ("not_stated", True, "not_stated")
    other = await floor.ring()
    await floor.dispatch()
    await floor.talk(other, "ava")
    await floor.finish(other, "ava", "callback")
    await floor.hang_up(other)
    assert await result(floor, other) == ("callback", False, "callback")


async def test_a_result_nobody_chose_does_not_replace_that_of_the_colleague_before(floor: Floor) -> None:
    await opened(floor, "mode: timed, default_disposition: not_stated")
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    await floor.finish(call, "ava", "callback")
    await floor.agent_vanishes(call, "ava")
    await floor.finish(call, "ava")
    assert await floor.dispatch() == [("ben", call.item_id)]
    await floor.talk(call, "ben")
    await floor.hang_up(call)
    await floor.run_timer(service.WRAP_TIMER, await floor.offer_of("ben"))
    assert (await floor.offer(await floor.offer_of("ben")))["disposition"] == "not_stated"
    assert await floor.value("SELECT disposition FROM calls WHERE id = $1", call.call_id) == "callback"


async def test_without_a_default_nothing_is_made_up(floor: Floor) -> None:
    await opened(floor, "mode: timed")
    call = await wrapping(floor)
    await floor.run_timer(service.WRAP_TIMER, await floor.offer_of("ava"))
    assert await result(floor, call) == (None, False, None)


# --- seen elsewhere ----------------------------------------------------------------------------------------------------------


async def test_asterisk_1006_wrap_up_is_per_agent_not_per_queue(floor: Floor) -> None:
    """There the time of the last call was kept per queue, so an agent of six queues got the next call at once from another."""
    keys = [f"q{n}" for n in range(6)]
    await floor.open(
        "queues:\n"
        + "".join(f"  - {{key: {key}, name: {{en: {key}}}, wrap_up: {{mode: timed}}}}\n" for key in ("support", *keys))
        + f"agents: [{{email: ava@example.com, name: Ava, queues: [support, {', '.join(keys)}]}}]\n"
        + 'numbers: [{number: "+14155550199", region: US, queue: support}]\n'
    )
    pool: str = await floor.value("SELECT pool_id FROM queues WHERE key = 'support'")
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch(pool)
    await floor.talk(call, "ava")
    others = []
    for key in keys:
        other = await floor.ring()
        await floor.execute("UPDATE work_items SET queue = $2 WHERE id = $1", other.item_id, key)
        await floor.execute("UPDATE stints SET queue = $2 WHERE work_item_id = $1", other.item_id, key)
        others.append(other)
    await floor.hang_up(call)
    assert await floor.dispatch(pool) == [], "wrap-up of one queue holds the agent back from all"
    await floor.finish(call, "ava")
    assert await floor.dispatch(pool) == [("ava", others[0].item_id)]


async def test_freeswitch_1973_who_hung_up_is_answered_nowhere(floor: Floor) -> None:
    """There callers were shown as answered hours after they had hung up: two owners of one state. Whatever comes late or twice here
    leaves nothing open."""
    await opened(floor, "mode: timed")
    call = await talking(floor)
    offer_id = await floor.offer_of("ava")
    await floor.hang_up(call)
    await floor.hang_up(call)
    await floor.join(call, "ava")
    await floor.run_timer(service.WRAP_TIMER, offer_id)
    for _ in range(2):
        await floor.transact(lambda tx: service.wrap_up_timed_out(tx, offer_id, 0))
    await floor.hang_up(call)
    assert (await floor.item(call))["state"] == "done"
    assert await floor.value("SELECT state FROM calls WHERE id = $1", call.call_id) == "closed"
    assert await floor.fetch("SELECT id FROM segments WHERE ended_at IS NULL") == []
    assert (await floor.agent_row("ava"))["used_units"] == 0
    assert await floor.dispatch(POOL) == []
