"""Bringing caller and agent together, and what happens when one of them does not come, leaves, or is lost."""

from core.ids import conference_name
from cti.service import AGENT_GONE_TIMER, CONNECT_TIMER
from simulator.config import Faults
from simulator.provider.leg import Leg
from tests.integration.cti.payloads import of_leg
from tests.stack import NO_CALLBACKS, Stack


async def talk_segments(stack: Stack) -> list[tuple[int, bool]]:
    rows = await stack.rows(
        "SELECT agent_id, ended_at IS NULL AS is_open FROM segments WHERE kind = 'talk' ORDER BY id"
    )
    return [(row["agent_id"], row["is_open"]) for row in rows]


def in_room(stack: Stack, call_id: int) -> list[str]:
    room = next(room for room in reversed(stack.exchange.conferences.values()) if room.name == conference_name(call_id))
    return sorted(seat.label or "" for seat in room.seats.values())


def left_the_conference(leg: Leg) -> dict[str, str]:
    return of_leg(leg, "in-progress", DialCallStatus="answered")


async def test_phone_that_does_not_come_gives_the_caller_the_old_place_back(stack: Stack) -> None:
    ava = await stack.agent("ava")
    first = await stack.dial("+14155550101")
    second = await stack.dial("+14155550102")
    entered = await stack.value("SELECT virtual_start FROM work_items ORDER BY id LIMIT 1")
    call_id = await ava.accept(await ava.offer())
    assert in_room(stack, call_id) == ["customer"]
    assert await stack.fire(CONNECT_TIMER) == 1
    call = await stack.call(first.sid)
    assert (call["state"], call["agent_id"], call["offer_id"]) == ("queued", None, None)
    assert await stack.value("SELECT (state, reason) = ('canceled', 'connect_failed') FROM offers")
    items = await stack.rows(
        "SELECT call_id, state, virtual_start FROM work_items ORDER BY tier DESC, virtual_start, id"
    )
    assert (items[0]["call_id"], items[0]["state"], items[0]["virtual_start"]) == (call_id, "queued", entered)
    assert first.heard[-1].text.startswith("We are sorry")
    await stack.pass_time(6)
    assert first.queue_name == "ringdesk"
    assert not second.is_over
    await stack.dispatch()
    assert await stack.value("SELECT count(*) FROM offers WHERE state = 'pending'") == 0, "Ava's phone has a pause"
    await stack.agent("ben")
    await stack.dispatch()
    assert await stack.value("SELECT call_id FROM offers WHERE state = 'pending'") == call_id


async def test_next_agent_gets_who_could_not_be_connected(stack: Stack) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    leg = await stack.dial()
    await ava.accept(await ava.offer())
    await stack.fire(CONNECT_TIMER)
    call_id, phone = await ben.take()
    assert leg.is_talking
    assert phone.is_talking
    call = await stack.call(leg.sid)
    assert (call["state"], call["agent_id"]) == ("in_call", ben.id)
    assert in_room(stack, call_id) == [ben.identity, "customer"]
    assert await talk_segments(stack) == [(ben.id, True)]


async def test_phone_of_the_first_agent_is_out_before_the_next_one_talks(stack: Stack) -> None:
    """Ava's phone sits in the conference, the caller never came there: Ava must not hear what Ben hears."""
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    leg = await stack.dial()
    stack.wire.is_down = True
    call_id, avas = await ava.take()
    assert in_room(stack, call_id) == [ava.identity]
    stack.wire.is_down = False
    await stack.fire(CONNECT_TIMER)
    assert (await stack.call(leg.sid))["state"] == "queued"
    assert avas.is_over
    _, bens = await ben.take()
    assert bens.is_talking
    assert in_room(stack, call_id) == [ben.identity, "customer"]


async def test_lost_join_callbacks_do_not_tear_a_conversation(stack: Stack) -> None:
    """Nobody told us that they talk. Before anybody is moved, the provider is asked."""
    ava = await stack.agent("ava")
    leg = await stack.dial(faults=NO_CALLBACKS)
    _, phone = await ava.take()
    assert leg.is_talking
    assert (await stack.call(leg.sid))["state"] == "connecting"
    await stack.fire(CONNECT_TIMER)
    assert leg.is_talking
    assert phone.is_talking
    call = await stack.call(leg.sid)
    assert (call["state"], call["agent_joined"], call["caller_joined"]) == ("in_call", True, True)
    assert await stack.value("SELECT state FROM offers") == "accepted"


async def test_agent_whose_phone_dies_may_come_back_in_time(stack: Stack) -> None:
    ava = await stack.agent("ava")
    leg = await stack.dial()
    call_id, phone = await ava.take()
    phone.leave()
    await stack.quiet()
    call = await stack.call(leg.sid)
    assert (call["state"], call["agent_joined"]) == ("in_call", False)
    due = await stack.value("SELECT extract(epoch FROM due_at - now()) FROM timers WHERE kind = $1", AGENT_GONE_TIMER)
    assert 10 < due <= 15
    assert in_room(stack, call_id) == ["customer"], "the caller is kept"
    again = await ava.pick_up(call_id)
    assert again.is_talking
    assert (await stack.call(leg.sid))["agent_joined"] is True
    assert await stack.fire(AGENT_GONE_TIMER) == 0
    assert (await stack.call(leg.sid))["state"] == "in_call"


async def test_agent_who_is_lost_leaves_the_caller_at_the_head_of_the_line(stack: Stack) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben", is_available=False)
    leg = await stack.dial("+14155550101")
    _, phone = await ava.take()
    later = await stack.dial("+14155550102")
    phone.leave()
    await stack.quiet()
    await stack.fire(AGENT_GONE_TIMER)
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"], call["agent_id"]) == ("queued", None, None)
    await stack.pass_time(6)
    assert leg.queue_name == "ringdesk"
    assert await talk_segments(stack) == [(ava.id, False)]
    assert await stack.value("SELECT state FROM offers") == "wrapping"
    assert await stack.value("SELECT count(*) FROM stints WHERE call_id = $1", call["id"]) == 2
    order = await stack.rows(
        "SELECT call_id FROM work_items WHERE state = 'queued' ORDER BY tier DESC, virtual_start, id"
    )
    assert [row["call_id"] for row in order] == [call["id"], (await stack.call(later.sid))["id"]]
    assert ben.id != ava.id


async def test_second_conversation_is_measured_from_its_own_beginning(stack: Stack) -> None:
    """The call was answered once, talked twice: two talk segments, two answered stints, one outcome."""
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    leg = await stack.dial()
    call_id, phone = await ava.take()
    first_answer = (await stack.call(leg.sid))["answered_at"]
    await stack.rows("UPDATE segments SET started_at = started_at - interval '1 minute' RETURNING 1")
    phone.leave()
    await stack.quiet()
    await stack.fire(AGENT_GONE_TIMER)
    await stack.pass_time(30)
    _, bens = await ben.take()
    assert bens.is_talking
    assert (await stack.call(leg.sid))["answered_at"] == first_answer
    for statement in (
        "SELECT started_at FROM segments WHERE kind = 'talk' AND agent_id = $1",
        "SELECT connected_at FROM offers WHERE agent_id = $1",
    ):
        assert await stack.value(statement, ben.id) > first_answer
    assert (
        await stack.value("SELECT connected_at FROM stints WHERE call_id = $1 ORDER BY id DESC LIMIT 1", call_id)
        > first_answer
    )
    assert await stack.value("SELECT count(*) FROM stints WHERE outcome = 'answered'") == 2
    leg.leave()
    await stack.quiet()
    assert (await stack.call(leg.sid))["outcome"] == "answered"


async def test_wrap_up_of_the_first_agent_does_not_close_the_call_of_the_second(stack: Stack) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    await stack.rows("INSERT INTO dispositions (key, name) VALUES ('dropped', '{\"en\": \"x\"}'), ('solved', '{\"en\": \"y\"}') RETURNING 1")  # fmt: skip
    leg = await stack.dial()
    call_id, phone = await ava.take()
    phone.leave()
    await stack.quiet()
    await stack.fire(AGENT_GONE_TIMER)
    await ben.take()
    leg.leave()
    await stack.quiet()
    assert (await ben.ask("POST", f"/calls/{call_id}/wrap-up", {"disposition": "solved", "note": None}))[0] == 200
    assert (await stack.call(leg.sid))["state"] == "closed"
    assert (await ava.ask("POST", f"/calls/{call_id}/wrap-up", {"disposition": "dropped", "note": None}))[0] == 200
    assert (await stack.call(leg.sid))["disposition"] == "solved"


async def test_first_agents_wrap_up_ends_while_the_second_wraps_up(stack: Stack) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    leg = await stack.dial()
    call_id, phone = await ava.take()
    phone.leave()
    await stack.quiet()
    await stack.fire(AGENT_GONE_TIMER)
    await ben.take()
    leg.leave()
    await stack.quiet()
    await ava.ask("POST", f"/calls/{call_id}/wrap-up", {"disposition": None, "note": None})
    assert (await stack.call(leg.sid))["state"] == "wrap_up", "Ben is not done"
    assert await stack.value("SELECT agent_id FROM segments WHERE kind = 'wrap' AND ended_at IS NULL") == ben.id
    await ben.ask("POST", f"/calls/{call_id}/wrap-up", {"disposition": None, "note": None})
    assert (await stack.call(leg.sid))["state"] == "closed"


async def test_caller_who_gives_up_after_a_lost_agent_did_not_leave_at_once(stack: Stack) -> None:
    """A short abandon closes a fresh ticket; this caller has talked and then waited."""
    ava = await stack.agent("ava")
    leg = await stack.dial()
    await stack.rows("UPDATE calls SET created_at = created_at - interval '1 minute', queued_at = queued_at - interval '1 minute' RETURNING 1")  # fmt: skip
    _, phone = await ava.take()
    await stack.rows("UPDATE calls SET answered_at = queued_at + interval '1 second' RETURNING 1")
    phone.leave()
    await stack.quiet()
    await stack.fire(AGENT_GONE_TIMER)
    leg.leave()
    await stack.quiet()
    assert (await stack.call(leg.sid))["outcome"] == "abandoned_queue"
    waited = await stack.value("SELECT body->>'wait_s' FROM events WHERE name = 'call.ended'")
    assert float(waited) > 50
    assert await stack.value("SELECT close_reason FROM tickets") is None


async def test_callback_of_the_agents_return_that_was_lost_is_made_up_for(stack: Stack) -> None:
    ava = await stack.agent("ava")
    leg = await stack.dial()
    call_id, phone = await ava.take()
    phone.leave()
    await stack.quiet()
    room = next(iter(stack.exchange.conferences.values()))
    room.party.faults = Faults(drop=1)
    again = await ava.pick_up(call_id)
    assert (await stack.call(leg.sid))["agent_joined"] is False
    await stack.fire(AGENT_GONE_TIMER)
    assert again.is_talking
    call = await stack.call(leg.sid)
    assert (call["state"], call["agent_joined"]) == ("in_call", True)


async def test_agent_hangs_up(stack: Stack) -> None:
    ava = await stack.agent("ava")
    leg = await stack.dial()
    call_id, phone = await ava.take()
    for _ in range(2):
        assert (await ava.ask("POST", f"/calls/{call_id}/hangup"))[0] == 200
    await stack.quiet()
    assert leg.is_over
    assert phone.is_over
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"], call["ended_by"]) == ("wrap_up", "answered", "agent")
    assert len(stack.wire.requests("POST", leg.sid)) == 2, "one into the conference, one off"
    assert (await ava.ask("POST", f"/calls/{call_id}/hangup"))[1]["call"]["state"] == "wrap_up"


async def test_nobody_else_hangs_up(stack: Stack) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    leg = await stack.dial()
    call_id, _ = await ava.take()
    status, problem = await ben.ask("POST", f"/calls/{call_id}/hangup")
    assert (status, problem["code"]) == (404, "not_found")
    assert (await ben.ask("POST", "/calls/999/hangup"))[0] == 404
    assert not leg.is_over


async def test_hang_up_while_connecting_is_not_undone_by_the_timer(stack: Stack) -> None:
    ava = await stack.agent("ava")
    leg = await stack.dial()
    call_id = await ava.accept(await ava.offer())
    stack.wire.is_down = True
    await ava.ask("POST", f"/calls/{call_id}/hangup")
    await stack.quiet()
    await stack.fire(CONNECT_TIMER)
    assert (await stack.call(leg.sid))["state"] == "connecting"
    stack.wire.is_down = False
    await stack.rows(
        "UPDATE provider_commands SET created_at = now() - interval '1 minute', lease_until = NULL RETURNING 1"
    )
    await stack.parts.commands.sweep_once()
    await stack.quiet()
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"], call["ended_by"]) == ("closed", "abandoned_ringing", "agent")
    assert leg.is_over


async def test_caller_who_leaves_at_the_moment_of_accept(stack: Stack) -> None:
    """The claim is made, the redirect finds nobody: told at once, no wrap-up forced."""
    ava = await stack.agent("ava")
    leg = await stack.dial(faults=NO_CALLBACKS)
    offer_id = await ava.offer()
    leg.leave()
    await ava.accept(offer_id)
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"]) == ("closed", "abandoned_ringing")
    assert await stack.value("SELECT (state, reason) = ('canceled', 'caller_left') FROM offers")
    status, desk = await ava.ask("GET", "/desk")
    assert (status, desk["calls"], desk["presence"]["work"]) == (200, [], "idle")


async def test_conference_that_ends_under_the_caller_ends_the_call(stack: Stack) -> None:
    ava = await stack.agent("ava")
    leg = await stack.dial()
    _, phone = await ava.take()
    next(iter(stack.exchange.conferences.values())).end()
    await stack.quiet()
    assert leg.is_over
    assert phone.is_over
    call = await stack.call(leg.sid)
    assert (call["outcome"], call["ended_by"]) == ("answered", "system")


async def test_result_of_an_earlier_connection_leaves_the_present_one_alone(stack: Stack) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    leg = await stack.dial()
    await ava.accept(await ava.offer())
    old = (await stack.call(leg.sid))["offer_id"]
    await stack.fire(CONNECT_TIMER)
    await ben.take()
    answer = await stack.hook(f"/twilio/dial/done?o={old}", left_the_conference(leg))
    assert "<Enqueue" in answer.text
    assert (await stack.call(leg.sid))["state"] == "in_call"


async def test_second_connection_may_fail_exactly_like_the_first(stack: Stack) -> None:
    """Word for word the same result, without a token: still about the other connection."""
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    leg = await stack.dial(faults=NO_CALLBACKS)
    for agent in (ava, ben):
        await agent.accept(await agent.offer())
        offer_id = (await stack.call(leg.sid))["offer_id"]
        assert "<Enqueue" in (await stack.hook(f"/twilio/dial/done?o={offer_id}", left_the_conference(leg))).text
        assert (await stack.call(leg.sid))["state"] == "queued"
