"""Warm transfers: through the API and the provider, and what goes wrong on the way."""

import asyncio
from typing import Any

import pytest

from cti import twilio_api
from cti.service import AGENT_GONE_TIMER
from simulator.provider.callees import Callee
from simulator.provider.leg import Leg
from tests.integration.cti.payloads import conference_event
from tests.integration.cti.test_commands import sweep
from tests.integration.cti.test_hold import desk_call, hold, in_call, seat_of
from tests.integration.routing.test_transfer import NUMBER, allow, transfers
from tests.stack import Agent, Fault, Stack


async def consult(stack: Stack, agent: Agent, call_id: int, *, status: int = 200, **to: Any) -> dict[str, Any]:
    got, answer = await agent.ask("POST", f"/calls/{call_id}/consult", to)
    assert got == status, answer
    await stack.quiet()
    return dict(answer)


async def act(stack: Stack, agent: Agent, call_id: int, what: str, *, status: int = 200) -> dict[str, Any]:
    got, answer = await agent.ask("POST", f"/calls/{call_id}/consult/{what}")
    assert got == status, answer
    await stack.quiet()
    return dict(answer)


async def consults(stack: Stack) -> list[tuple[str, str | None]]:
    return [(row["state"], row["outcome"]) for row in await stack.rows("SELECT * FROM consults ORDER BY id")]


async def consulting(stack: Stack) -> tuple[Agent, Agent, int, Leg, Leg, Leg]:
    """Ava speaks with Ben about her caller, who is on hold: both, the call's id, the caller's leg, their phones."""
    ava, call_id, leg, phone = await in_call(stack)
    ben = await stack.agent("ben")
    await consult(stack, ava, call_id, agent_id=ben.id, note="Wants two licences more.")
    asked_id, bens = await ben.take_pending()
    assert asked_id == call_id
    return ava, ben, call_id, leg, phone, bens


async def handled(stack: Stack) -> list[tuple[str, str, bool]]:
    rows = await stack.rows(
        "SELECT a.name, o.state, o.connected_at IS NOT NULL AS talked FROM offers o JOIN agents a ON a.id = o.agent_id ORDER BY o.id"
    )
    return [(row["name"], row["state"], row["talked"]) for row in rows]


async def test_agent_speaks_with_a_colleague_first_and_then_hands_over(stack: Stack) -> None:
    ava, call_id, leg, phone = await in_call(stack)
    ben = await stack.agent("ben")
    answer = await consult(stack, ava, call_id, agent_id=ben.id, note="Wants two licences more.")
    assert answer["consult"]["state"] == "asking"
    assert seat_of(leg).is_held
    _, desk = await ben.ask("GET", "/desk")
    (pop,) = desk["offers"]
    assert (pop["consult"]["by"], pop["consult"]["note"], pop["transfer"]) == ("Ava", "Wants two licences more.", None)
    assert pop["call"]["id"] == call_id
    assert pop["ticket"]["id"] == await stack.value("SELECT ticket_id FROM ticket_calls")
    assert pop["reason"]["why"]["en"] == "Ava wants to speak about a call."
    call = await desk_call(ava)
    assert (call["state"], call["consult"]["state"], call["consult"]["who"]) == ("on_hold", "asking", "Ben")
    _, bens = await ben.take_pending()
    assert bens.is_talking
    assert seat_of(leg).is_held
    assert (await desk_call(ava))["consult"]["state"] == "talking"
    call = await desk_call(ben)
    assert (call["state"], call["consult"]["is_asker"], call["consult"]["who"]) == ("consulted", False, "Ava")
    assert await stack.value("SELECT agent_id FROM calls") == ava.id, "the call is still hers"

    answer = await act(stack, ava, call_id, "complete")
    assert answer["consult"]["outcome"] == "completed"
    assert phone.is_over
    assert not seat_of(leg).is_held
    assert bens.is_talking
    row = await stack.call(leg.sid)
    assert (row["agent_id"], row["state"], row["hold_wanted"]) == (ben.id, "in_call", False)
    assert await handled(stack) == [("Ava", "wrapping", True), ("Ben", "accepted", True)]
    assert (await desk_call(ava))["state"] == "wrapping"
    assert (await desk_call(ben))["state"] == "in_call"
    assert await transfers(stack) == [("agent", "taken")]
    segments = await stack.rows(
        "SELECT agent_id, kind, ended_at IS NULL AS is_open FROM segments ORDER BY started_at, id"
    )
    assert [(s["agent_id"], s["kind"], s["is_open"]) for s in segments if s["kind"] != "wrap"] == [
        (ava.id, "talk", False),
        (ava.id, "hold", False),
        (ben.id, "talk", True),
        (ben.id, "hold", False),
    ]
    actions = [
        row["action"] for row in await stack.rows("SELECT action FROM audit_log WHERE object_kind = 'call' ORDER BY id")
    ]
    assert actions == ["call.consult", "call.consult_complete"]
    leg.leave()
    await stack.quiet()
    assert (await stack.call(leg.sid))["outcome"] == "answered"
    assert await handled(stack) == [("Ava", "wrapping", True), ("Ben", "wrapping", True)]


async def test_agent_goes_back_to_the_customer_and_the_colleague_is_free(stack: Stack) -> None:
    ava, ben, call_id, leg, phone, bens = await consulting(stack)
    await act(stack, ava, call_id, "end")
    assert await consults(stack) == [("over", "returned")]
    assert bens.is_over
    assert not phone.is_over
    assert not seat_of(leg).is_held
    assert await handled(stack) == [("Ava", "accepted", True), ("Ben", "canceled", False)]
    assert await stack.value("SELECT used_units FROM agents WHERE id = $1", ben.id) == 0
    _, desk = await ben.ask("GET", "/desk")
    assert desk["calls"] == []
    await act(stack, ava, call_id, "end")
    assert await consults(stack) == [("over", "returned")]
    await act(stack, ava, call_id, "complete", status=409)


async def test_all_three_speak_while_the_customer_is_off_hold(stack: Stack) -> None:
    ava, _, call_id, leg, phone, bens = await consulting(stack)
    await hold(stack, ava, call_id, "resume")
    assert not seat_of(leg).is_held
    assert await consults(stack) == [("talking", None)]
    assert len(seat_of(leg).conference.seats) == 3
    await hold(stack, ava, call_id)
    assert seat_of(leg).is_held
    await hold(stack, ava, call_id, "resume")
    await act(stack, ava, call_id, "complete")
    assert phone.is_over
    assert leg.is_talking
    assert bens.is_talking


@pytest.mark.parametrize("how", ["rejects", "ignores"])
async def test_colleague_who_does_not_come_leaves_the_call_with_its_agent(stack: Stack, how: str) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    ben = await stack.agent("ben")
    await consult(stack, ava, call_id, agent_id=ben.id)
    offer_id = await stack.value("SELECT id FROM offers WHERE state = 'pending'")
    if how == "rejects":
        await ben.ask("POST", f"/offers/{offer_id}/reject")
    else:
        await stack.fire("routing.offer")
    await stack.quiet()
    assert await consults(stack) == [("over", "declined")]
    assert not seat_of(leg).is_held
    call = await desk_call(ava)
    assert (call["state"], call["consult"]["state"], call["consult"]["outcome"]) == ("in_call", "over", "declined")
    chen = await stack.agent("chen")
    await consult(stack, ava, call_id, agent_id=chen.id)
    await chen.take_pending()
    await act(stack, ava, call_id, "complete")
    assert (await stack.call(leg.sid))["agent_id"] == chen.id


async def test_colleague_whose_phone_never_joins_is_looked_for_and_given_up(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    ben = await stack.agent("ben")
    await consult(stack, ava, call_id, agent_id=ben.id)
    await ben.accept(await stack.value("SELECT id FROM offers WHERE state = 'pending'"))
    await act(stack, ava, call_id, "complete", status=409)
    await stack.fire("cti.consult")
    assert await consults(stack) == [("over", "not_reached")]
    assert not seat_of(leg).is_held
    assert await handled(stack) == [("Ava", "accepted", True), ("Ben", "canceled", False)]


async def test_colleague_who_hangs_up_leaves_the_call_with_its_agent(stack: Stack) -> None:
    ava, _, call_id, leg, phone, bens = await consulting(stack)
    bens.leave()
    await stack.quiet()
    assert await consults(stack) == [("over", "left")]
    assert not seat_of(leg).is_held
    assert phone.is_talking
    assert (await act(stack, ava, call_id, "complete", status=409))["code"] == "consult_over"


async def test_colleague_leaves_by_their_own_button(stack: Stack) -> None:
    ava, ben, call_id, leg, _, bens = await consulting(stack)
    assert (await ben.ask("POST", f"/calls/{call_id}/consult/complete"))[0] == 404
    assert (await ben.ask("POST", f"/calls/{call_id}/hold"))[0] == 404
    await act(stack, ben, call_id, "end")
    assert await consults(stack) == [("over", "left")]
    assert bens.is_over
    assert (await stack.call(leg.sid))["agent_id"] == ava.id


async def test_caller_who_hangs_up_on_hold_ends_it_for_both(stack: Stack) -> None:
    _, ben, _, leg, phone, bens = await consulting(stack)
    leg.leave()
    await stack.quiet()
    [(state, outcome)] = await consults(stack)
    assert (state, outcome in ("ended", "left")) == ("over", True), (
        "their conference ends: who is told of first is the provider's"
    )
    assert phone.is_over
    assert bens.is_over
    assert await handled(stack) == [("Ava", "wrapping", True), ("Ben", "canceled", False)]
    assert await stack.value("SELECT used_units FROM agents WHERE id = $1", ben.id) == 0


async def test_caller_who_hangs_up_while_a_colleague_is_asked_takes_the_pop_away(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    ben = await stack.agent("ben")
    await consult(stack, ava, call_id, agent_id=ben.id)
    offer_id = await stack.value("SELECT id FROM offers WHERE state = 'pending'")
    leg.leave()
    await stack.quiet()
    assert await consults(stack) == [("over", "ended")]
    status, problem = await ben.ask("POST", f"/offers/{offer_id}/accept")
    assert (status, problem["code"]) == (409, "offer_rescinded")


async def test_colleague_has_the_call_when_the_agent_is_lost_in_mid_consultation(stack: Stack) -> None:
    _, ben, _, leg, phone, bens = await consulting(stack)
    phone.leave()
    await stack.quiet()
    assert seat_of(leg).is_held
    await stack.fire(AGENT_GONE_TIMER)
    assert await consults(stack) == [("over", "completed")]
    assert (await stack.call(leg.sid))["agent_id"] == ben.id
    assert not seat_of(leg).is_held
    assert leg.is_talking
    assert bens.is_talking
    assert await handled(stack) == [("Ava", "wrapping", True), ("Ben", "accepted", True)]


async def test_caller_is_at_the_head_of_the_line_when_the_agent_is_lost_while_asking(stack: Stack) -> None:
    ava, call_id, leg, phone = await in_call(stack)
    ben = await stack.agent("ben")
    await consult(stack, ava, call_id, agent_id=ben.id)
    phone.leave()
    await stack.quiet()
    await stack.rows("UPDATE queues SET held_since = now() RETURNING 1")
    await stack.fire(AGENT_GONE_TIMER)
    assert await consults(stack) == [("over", "ended")]
    assert (await stack.call(leg.sid))["state"] == "queued"
    assert await stack.value("SELECT count(*) FROM offers WHERE state = 'pending'") == 0
    await stack.rows("UPDATE queues SET held_since = NULL RETURNING 1")
    assert (await ben.take())[0] == call_id


async def test_agent_who_comes_back_in_time_goes_on_consulting(stack: Stack) -> None:
    ava, _, call_id, leg, phone, bens = await consulting(stack)
    phone.leave()
    await stack.quiet()
    again = await ava.pick_up(call_id)
    assert again.is_talking
    assert bens.is_talking
    assert await consults(stack) == [("talking", None)]
    assert (await stack.call(leg.sid))["agent_id"] == ava.id


async def test_completed_twice_at_once_is_completed_once(stack: Stack) -> None:
    ava, ben, call_id, leg, _, _ = await consulting(stack)
    answers = await asyncio.gather(*(ava.ask("POST", f"/calls/{call_id}/consult/complete") for _ in range(3)))
    await stack.quiet()
    assert [status for status, _ in answers] == [200, 200, 200]
    assert await transfers(stack) == [("agent", "taken")]
    assert (await stack.call(leg.sid))["agent_id"] == ben.id


async def test_completed_as_the_colleague_hangs_up_loses_nobody(stack: Stack) -> None:
    ava, _, call_id, leg, _, bens = await consulting(stack)
    bens.leave()
    status, _ = await ava.ask("POST", f"/calls/{call_id}/consult/complete")
    await stack.quiet()
    assert status in (200, 409)
    await stack.rows("UPDATE queues SET held_since = now() RETURNING 1")
    await stack.fire(AGENT_GONE_TIMER)
    call = await stack.call(leg.sid)
    assert not leg.is_over
    assert (call["state"], call["agent_id"]) == (("queued", None) if status == 200 else ("in_call", ava.id))


async def test_taken_back_as_the_colleague_accepts_has_one_end(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    ben = await stack.agent("ben")
    await consult(stack, ava, call_id, agent_id=ben.id)
    offer_id = await stack.value("SELECT id FROM offers WHERE state = 'pending'")
    (ended, _), (accepted, _) = await asyncio.gather(
        ava.ask("POST", f"/calls/{call_id}/consult/end"), ben.ask("POST", f"/offers/{offer_id}/accept")
    )
    await stack.quiet()
    assert ended == 200
    assert accepted in (200, 409)
    assert await consults(stack) == [("over", "returned")]
    late = await ben.pick_up(call_id)
    await stack.pass_time(15)
    assert late.is_over, "who is consulted no more does not hear the call"
    assert await stack.value("SELECT used_units FROM agents WHERE id = $1", ben.id) == 0
    assert (await stack.call(leg.sid))["agent_id"] == ava.id


async def test_what_would_lose_one_of_both_is_refused_meanwhile(stack: Stack) -> None:
    ava, ben, call_id, _, _, _ = await consulting(stack)
    for path, body in (("hangup", None), ("transfer", {"queue": "sales"}), ("consult", {"queue": "sales"})):
        status, problem = await ava.ask("POST", f"/calls/{call_id}/{path}", body)
        assert (status, problem["code"]) == (409, "consult_under_way"), path
    assert (await ben.ask("POST", f"/calls/{call_id}/consult", {"queue": "sales"}))[0] == 404
    chen = await stack.agent("chen")
    assert (await chen.ask("POST", f"/calls/{call_id}/consult/end"))[0] == 404


# --- somebody of a queue ------------------------------------------------------------------------------------------------


async def test_whoever_of_a_queue_is_free_is_asked_next_after_a_refusal(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    ben = await stack.agent("ben")
    later = await stack.dial("+14155550102", "+862155550123")
    await consult(stack, ava, call_id, queue="sales", note="Needs a price.")
    first = await ben.offer()
    assert await stack.value("SELECT call_id FROM offers WHERE id = $1", first) == call_id, "before who called later"
    await ben.ask("POST", f"/offers/{first}/reject")
    assert await consults(stack) == [("asking", None)]
    chen = await stack.agent("chen")
    await chen.offer()
    assert (await chen.take_pending())[0] == call_id
    await act(stack, ava, call_id, "complete")
    assert (await stack.call(leg.sid))["agent_id"] == chen.id
    assert await transfers(stack) == [("queue", "taken")]
    item = (await stack.rows("SELECT queue, state FROM work_items WHERE call_id = $1", call_id))[0]
    assert (item["queue"], item["state"]) == ("sales", "assigned")
    assert await stack.value("SELECT t.queue FROM tickets t JOIN ticket_calls c ON c.ticket_id = t.id WHERE c.call_id = $1", call_id) == "sales"  # fmt: skip
    stays = await stack.rows("SELECT queue, outcome FROM stints WHERE call_id = $1", call_id)
    assert [(s["queue"], s["outcome"]) for s in stays] == [("support", "answered")], "no customer waited in sales"
    assert not later.is_over


async def test_nobody_of_a_queue_is_there_and_the_agent_takes_the_customer_back(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    await consult(stack, ava, call_id, queue="sales")
    await stack.dispatch()
    assert await stack.value("SELECT count(*) FROM offers") == 1, "who asks is not asked"
    await act(stack, ava, call_id, "end")
    assert not seat_of(leg).is_held
    assert await stack.value("SELECT count(*) FROM work_items WHERE state = 'queued'") == 0


# --- a number outside ---------------------------------------------------------------------------------------------------


async def outside_leg(stack: Stack) -> Leg:
    return next(leg for leg in reversed(stack.exchange.legs.values()) if leg.to == NUMBER)


async def test_number_outside_is_rung_spoken_with_and_given_the_call(stack: Stack) -> None:
    await allow(stack, "+1415")
    ava, call_id, leg, phone = await in_call(stack)
    answer = await consult(stack, ava, call_id, number=NUMBER)
    assert answer["consult"]["state"] == "asking"
    await act(stack, ava, call_id, "complete", status=409)
    await stack.pass_time(4)
    assert await consults(stack) == [("talking", None)]
    other = await outside_leg(stack)
    assert other.is_talking
    assert seat_of(leg).is_held
    assert (await desk_call(ava))["consult"]["who"] == NUMBER
    await act(stack, ava, call_id, "complete")
    assert phone.is_over
    assert not seat_of(leg).is_held
    assert (await stack.call(leg.sid))["state"] == "outside"
    assert await transfers(stack) == [("number", None)]
    other.leave()
    await stack.quiet()
    await stack.pass_time(2)
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"], call["ended_by"]) == ("closed", "answered", "outside")
    assert leg.is_over
    assert await transfers(stack) == [("number", "ended")]


@pytest.mark.parametrize("outcome", ["busy", "no-answer", "failed"])
async def test_number_outside_that_does_not_answer_leaves_the_call_with_its_agent(stack: Stack, outcome: Any) -> None:
    await allow(stack, "+1415")
    stack.exchange.callees.describe(NUMBER, Callee(outcome=outcome, after_s=2))
    ava, call_id, leg, phone = await in_call(stack)
    await consult(stack, ava, call_id, number=NUMBER)
    await stack.pass_time(4)
    assert await consults(stack) == [("over", "not_reached")]
    assert not seat_of(leg).is_held
    assert phone.is_talking


async def test_number_outside_that_still_rings_is_let_go_when_the_agent_goes_back(stack: Stack) -> None:
    await allow(stack, "+1415")
    stack.exchange.callees.describe(NUMBER, Callee(outcome="answer", after_s=20))
    ava, call_id, leg, _ = await in_call(stack)
    await consult(stack, ava, call_id, number=NUMBER)
    await act(stack, ava, call_id, "end")
    await stack.pass_time(2)
    assert (await outside_leg(stack)).is_over
    assert not seat_of(leg).is_held


async def test_caller_who_leaves_after_completion_ends_it_outside_too(stack: Stack) -> None:
    await allow(stack, "+1415")
    ava, call_id, leg, _ = await in_call(stack)
    await consult(stack, ava, call_id, number=NUMBER)
    await stack.pass_time(4)
    await act(stack, ava, call_id, "complete")
    leg.leave()
    await stack.quiet()
    assert (await outside_leg(stack)).is_over
    assert (await stack.call(leg.sid))["outcome"] == "answered"


async def test_dial_whose_answer_is_lost_is_looked_for_and_rings_nobody_twice(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_api, "TIMEOUT_S", 0.3)
    await allow(stack, "+1415")
    ava, call_id, leg, _ = await in_call(stack)
    stack.wire.aimed.append(("/Participants.json", Fault("answer_lost")))
    await consult(stack, ava, call_id, number=NUMBER)
    await sweep(stack)
    await stack.pass_time(4)
    assert len(stack.wire.requests("POST", "/Participants.json")) == 1
    assert await consults(stack) == [("talking", None)]
    await act(stack, ava, call_id, "complete")
    assert (await outside_leg(stack)).is_talking
    assert leg.is_talking


async def test_dial_that_never_arrived_is_not_repeated_blindly(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio_api, "TIMEOUT_S", 0.3)
    await allow(stack, "+1415")
    ava, call_id, leg, phone = await in_call(stack)
    stack.wire.aimed.append(("/Participants.json", Fault("hangs")))
    await consult(stack, ava, call_id, number=NUMBER)
    await sweep(stack)
    assert await consults(stack) == [("over", "failed")]
    assert len(stack.wire.requests("POST", "/Participants.json")) == 1
    assert not seat_of(leg).is_held
    assert phone.is_talking


async def test_number_the_provider_refuses_leaves_the_call_with_its_agent(stack: Stack) -> None:
    await allow(stack, "+1415")
    ava, call_id, leg, _ = await in_call(stack)
    stack.wire.aimed.append(("/Participants.json", Fault("refused", 400, 13224)))
    await consult(stack, ava, call_id, number=NUMBER)
    assert await consults(stack) == [("over", "failed")]
    assert not seat_of(leg).is_held


async def test_seats_told_in_any_order_and_twice_leave_the_same_consultation(stack: Stack) -> None:
    ava, ben, call_id, leg, _, bens = await consulting(stack)
    room = seat_of(leg).conference.sid
    for number in (90, 90, 3, 1):  # the number of an event that was told before, and older ones
        await stack.hook(
            "/twilio/conference",
            conference_event(call_id, "participant-join", sid=bens.sid, sequence=number, room=room),
        )
    await stack.quiet()
    assert await consults(stack) == [("talking", None)]
    assert await stack.value("SELECT count(*) FROM consults WHERE talked_at IS NOT NULL") == 1
    await act(stack, ava, call_id, "complete")
    await stack.hook(
        "/twilio/conference", conference_event(call_id, "participant-join", sid=bens.sid, sequence=91, room=room)
    )
    await stack.quiet()
    assert (await stack.call(leg.sid))["agent_id"] == ben.id


async def test_number_that_is_not_allowed_is_refused_and_nobody_is_put_on_hold(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    problem = await consult(stack, ava, call_id, number=NUMBER, status=409)
    assert problem["code"] == "not_allowed_outside"
    assert not seat_of(leg).is_held
