"""Agents on a telephone: rung once they have accepted, in the call once they have pressed the key, and what goes wrong on the way."""

from typing import Any

import pytest

from app.apply import apply
from app.org import OrgFile
from cti.service import AGENT_GONE_TIMER, CONNECT_TIMER
from simulator.people.person import Person, Step
from simulator.provider.callees import BOX, Callee
from simulator.provider.conference import Seat
from simulator.provider.leg import Leg
from tests.integration.cti.payloads import of_leg, standard, status_callback
from tests.stack import GERMAN, ORG, SUPPORT, Agent, Fault, Stack

MOBILE, DESK_PHONE = "+4915112345678", "sip:ben@pbx.example.com"
CUSTOMER = "+14155550144"
PRESSES = Callee(after_s=3, then=Person(script=(Step(until_asked_s=10), Step(wait_s=2), Step(press="1"))))


async def with_telephones(stack: Stack, **telephones: str | None) -> None:
    """By the first names of their agents."""
    wanted = {"ava": MOBILE, "ben": DESK_PHONE, **telephones}
    agents = [{**agent, "telephone": wanted.get(agent["name"].lower())} for agent in ORG["agents"]]
    async with stack.parts.resources.outbox.transaction() as tx:
        await apply(tx, OrgFile.model_validate({**ORG, "agents": agents}), by="test")
    await stack.quiet()


async def on_telephone(stack: Stack, name: str = "ava", callee: Callee = PRESSES) -> Agent:
    agent = await stack.agent(name)
    status, presence = await agent.ask("PUT", "/presence/reach", {"by": "telephone"})
    assert (status, presence["telephone"]["is_used"]) == (200, True)
    stack.exchange.callees.describe(MOBILE if name == "ava" else DESK_PHONE, callee)
    await stack.quiet()
    return agent


@pytest.fixture
async def ava(stack: Stack) -> Agent:
    await with_telephones(stack)
    return await on_telephone(stack)


def rung(stack: Stack, address: str = MOBILE) -> list[Leg]:
    return [leg for leg in stack.exchange.legs.values() if leg.to == address]


async def ring_row(stack: Stack) -> Any:
    return (await stack.rows("SELECT * FROM agent_rings ORDER BY offer_id DESC LIMIT 1"))[0]


async def shown_call(agent: Agent) -> dict[str, Any]:
    _, desk = await agent.ask("GET", "/desk")
    (call,) = desk["calls"]
    return dict(call)


async def talks(stack: Stack, agent: Agent, to: str = MOBILE) -> tuple[int, Leg, Leg]:
    """A caller, and this agent on their telephone: the call's id and both legs."""
    caller = await stack.dial()
    call_id = await accepts(stack, agent)
    assert await stack.until(lambda: caller.is_talking, 30)
    return call_id, caller, rung(stack, to)[-1]


async def accepts(stack: Stack, agent: Agent) -> int:
    """What rings at this agent, whose telephone has its second then."""
    call_id = await agent.accept(await agent.offer())
    await stack.fire("cti.ring")
    return call_id


def seat_of(leg: Leg) -> Seat:
    assert leg.seat is not None
    return leg.seat


# --- the way into the call -----------------------------------------------------------------------------------------------


async def test_the_telephone_rings_a_key_takes_the_call_and_they_talk(stack: Stack, ava: Agent) -> None:
    caller = await stack.dial()
    status, body = await ava.ask("POST", f"/offers/{await ava.offer()}/accept")
    assert (status, body["call"]["is_on_telephone"]) == (200, True)
    await stack.quiet()
    call_id = body["call"]["id"]
    (phone,) = rung(stack)
    assert (phone.from_, phone.status, caller.conference) == (SUPPORT, "ringing", None)
    shown = await shown_call(ava)
    assert (shown["state"], shown["telephone"]["shown"], shown["telephone"]["state"]) == (
        "connecting", "+49…78", "ringing",
    )  # fmt: skip
    await stack.pass_time(4)
    assert (phone.status, caller.conference) == ("in-progress", None), "the caller waits on in the line"
    assert [heard.text for heard in phone.heard] == ["Call for Support. Press 1 to take it."]
    assert (await shown_call(ava))["telephone"]["state"] == "answered"
    assert await stack.until(lambda: caller.is_talking, 10)
    assert seat_of(phone).label == f"agent_{ava.id}"
    call = await stack.call(caller.sid)
    assert (call["state"], call["agent_id"], call["direction"]) == ("in_call", ava.id, "inbound")
    assert (await shown_call(ava))["telephone"]["state"] == "taken"
    caller.leave()
    await stack.quiet()
    call = await stack.call(caller.sid)
    assert (call["state"], call["outcome"], call["ended_by"], phone.is_over) == (
        "wrap_up", "answered", "customer", True,
    )  # fmt: skip
    assert (await shown_call(ava))["telephone"] is None
    status, _ = await ava.ask("POST", f"/calls/{call_id}/wrap-up", {})
    assert status == 200
    await stack.quiet()
    assert ((await ring_row(stack))["outcome"], await stack.count("calls")) == ("talked", 1)
    assert await stack.count("missed_contacts") == 0
    assert await stack.broken() == {}


async def test_a_sip_telephone_is_rung_likewise(stack: Stack, ava: Agent) -> None:
    ben = await on_telephone(stack, "ben")
    await ava.ask("PUT", "/presence", {"state": "break"})
    caller = await stack.dial(to=GERMAN)
    await accepts(stack, ben)
    assert await stack.until(lambda: caller.is_talking, 30)
    (phone,) = rung(stack, DESK_PHONE)
    assert (phone.from_, phone.heard[0].text) == (GERMAN, "Anruf für De. Zum Annehmen drücken Sie die 1.")
    assert (await shown_call(ben))["telephone"]["shown"] == "be…@pbx.example.com"


async def test_an_agent_with_a_language_is_asked_in_it(stack: Stack, ava: Agent) -> None:
    await stack.rows("UPDATE users SET language = 'zh-CN' WHERE id = $1 RETURNING 1", ava.id)
    _, _, phone = await talks(stack, ava)
    assert phone.heard[0].text == "Support来电，接听请按1。"


@pytest.mark.parametrize(
    ("callee", "why"),
    [
        (BOX, "no_key"),
        (Callee(then=Person(script=(Step(until_asked_s=10), Step(wait_s=3), Step(hang_up=True)))), "no_key"),
        (Callee(outcome="no-answer", after_s=20), "no_answer"),
        (Callee(after_s=600), "no_answer"),
        (Callee(outcome="busy"), "busy"),
        (Callee(outcome="failed"), "failed"),
    ],
    ids=["box", "hangs-up", "no-answer", "rings-on", "busy", "failed"],
)
async def test_a_telephone_that_does_not_take_the_call_costs_the_caller_nothing(
    stack: Stack, ava: Agent, callee: Callee, why: str
) -> None:
    stack.exchange.callees.describe(MOBILE, callee)
    caller = await stack.dial()
    before = await stack.value("SELECT entered_at FROM work_items")
    offer_id = await ava.offer()
    await ava.accept(offer_id)
    (phone,) = rung(stack)
    assert await stack.until(lambda: phone.is_over, 60)
    assert (await ring_row(stack))["outcome"] == why
    call = await stack.call(caller.sid)
    assert (call["state"], call["agent_id"], caller.conference) == ("queued", None, None)
    await stack.pass_time(10)
    assert (caller.queue_name, caller.is_over) == ("ringdesk", False)
    assert not any("something went wrong" in heard.text for heard in caller.heard), "nothing has happened to the caller"
    ended = (await stack.rows("SELECT state, reason FROM offers WHERE id = $1", offer_id))[0]
    assert tuple(ended) == ("canceled", "connect_failed")
    assert await stack.value("SELECT cooldown_until > now() FROM agents WHERE id = $1", ava.id)
    assert await stack.value("SELECT entered_at FROM work_items") == before
    ben = await stack.agent("ben")
    await ben.take()
    assert caller.is_talking
    assert await stack.broken() == {}


async def test_another_key_is_asked_again_until_it_was_said_three_times(stack: Stack, ava: Agent) -> None:
    wrong = (Step(until_asked_s=10), Step(wait_s=1), Step(press="7"), Step(wait_s=1))
    stack.exchange.callees.describe(MOBILE, Callee(then=Person(script=wrong * 4)))
    await stack.dial()
    await accepts(stack, ava)
    (phone,) = rung(stack)
    assert await stack.until(lambda: phone.is_over, 60)
    assert sum(heard.verb == "Say" for heard in phone.heard) == 3
    assert (await ring_row(stack))["outcome"] == "no_key"


async def test_a_wrong_key_and_then_the_right_one(stack: Stack, ava: Agent) -> None:
    script = (Step(until_asked_s=10), Step(press="7"), Step(wait_s=2), Step(press="1"))
    stack.exchange.callees.describe(MOBILE, Callee(then=Person(script=script)))
    await talks(stack, ava)


async def test_a_caller_who_leaves_while_it_rings_stops_it(stack: Stack, ava: Agent) -> None:
    stack.exchange.callees.describe(MOBILE, Callee(after_s=20))
    caller = await stack.dial()
    await accepts(stack, ava)
    await stack.pass_time(3)
    (phone,) = rung(stack)
    caller.leave()
    await stack.pass_time(2)
    assert (phone.status, (await ring_row(stack))["outcome"]) == ("canceled", "withdrawn")
    call = await stack.call(caller.sid)
    assert call["outcome"] == "abandoned_ringing"
    assert await stack.value("SELECT used_units FROM agents WHERE id = $1", ava.id) == 0
    assert await stack.broken() == {}


async def test_a_caller_who_leaves_while_the_key_is_asked_for_is_not_taken(stack: Stack, ava: Agent) -> None:
    stack.exchange.callees.describe(MOBILE, BOX)
    caller = await stack.dial()
    await accepts(stack, ava)
    await stack.pass_time(6)
    (phone,) = rung(stack)
    offer_id = (await ring_row(stack))["offer_id"]
    caller.leave()
    await stack.quiet()
    answer = await stack.hook(f"/twilio/telephone?o={offer_id}&n=1", of_leg(phone, "in-progress", Digits="1"))
    assert ("<Conference" in answer.text, "no longer yours" in answer.text) == (False, True)
    await stack.pass_time(2)
    assert phone.is_over


async def test_an_agent_who_changes_their_mind_while_it_rings_gives_the_caller_back(stack: Stack, ava: Agent) -> None:
    stack.exchange.callees.describe(MOBILE, Callee(after_s=20))
    caller = await stack.dial()
    call_id = await accepts(stack, ava)
    await stack.pass_time(2)
    status, body = await ava.ask("POST", f"/calls/{call_id}/hangup")
    assert (status, body["call"]["state"]) == (200, "queued")
    await stack.pass_time(2)
    (phone,) = rung(stack)
    assert (phone.status, caller.is_over, (await ring_row(stack))["outcome"]) == ("canceled", False, "withdrawn")
    ben = await stack.agent("ben")
    await ben.take()
    assert caller.is_talking
    assert await stack.broken() == {}


async def test_a_telephone_that_nobody_tells_of_is_given_up_by_the_timer(stack: Stack, ava: Agent) -> None:
    stack.exchange.callees.describe(MOBILE, Callee(after_s=600))
    caller = await stack.dial()
    await accepts(stack, ava)
    due_s = await stack.value("SELECT extract(epoch FROM due_at - now()) FROM timers WHERE kind = $1", CONNECT_TIMER)
    assert 55 < due_s <= 60
    await stack.fire(CONNECT_TIMER)
    assert (await stack.call(caller.sid))["state"] == "queued"
    await stack.pass_time(2)
    assert (rung(stack)[0].is_over, caller.is_over, caller.conference) == (True, False, None)


async def test_an_agent_who_switches_back_is_reached_in_the_browser(stack: Stack, ava: Agent) -> None:
    status, presence = await ava.ask("PUT", "/presence/reach", {"by": "browser"})
    assert (status, presence["telephone"]) == (200, {"shown": "+49…78", "is_used": False})
    caller = await stack.dial()
    await ava.take()
    assert (caller.is_talking, rung(stack)) == (True, [])


async def test_no_browser_joins_beside_the_telephone(stack: Stack, ava: Agent) -> None:
    call_id, _, phone = await talks(stack, ava)
    second = await ava.pick_up(call_id)
    await stack.pass_time(5)
    assert (second.is_over, phone.is_talking, len(seat_of(phone).conference.seats)) == (True, True, 2)


# --- who may be reached where -------------------------------------------------------------------------------------------


async def test_only_a_telephone_of_the_organisation_file_can_be_chosen(stack: Stack) -> None:
    await with_telephones(stack, ava=None)
    ava = await stack.agent("ava")
    status, body = await ava.ask("PUT", "/presence/reach", {"by": "telephone"})
    assert (status, body["code"]) == (409, "no_telephone")
    status, _ = await ava.ask("PUT", "/presence/reach", {"by": "telephone", "address": MOBILE})
    assert status == 422


async def test_a_telephone_that_is_taken_away_is_rung_no_more_and_the_desk_hears_of_it(
    stack: Stack, ava: Agent
) -> None:
    await with_telephones(stack, ava=None)
    _, desk = await ava.ask("GET", "/desk")
    assert desk["presence"]["telephone"] is None
    caller = await stack.dial()
    await ava.take()
    assert (caller.is_talking, rung(stack)) == (True, [])


async def test_another_telephone_keeps_the_choice(stack: Stack, ava: Agent) -> None:
    await with_telephones(stack, ava="+4915112345679")
    _, desk = await ava.ask("GET", "/desk")
    assert desk["presence"]["telephone"] == {"shown": "+49…79", "is_used": True}


async def test_supervisors_see_who_is_on_a_telephone_but_no_number(stack: Stack, ava: Agent) -> None:
    ben = await stack.agent("ben")
    await stack.rows("UPDATE users SET role = 'supervisor' WHERE id = $1 RETURNING 1", ben.id)
    _, listed = await ben.ask("GET", "/agents")
    assert {each["name"]: each["is_on_telephone"] for each in listed["items"]} == {
        "Ava": True, "Ben": False, "Chen": False,
    }  # fmt: skip
    assert MOBILE[3:] not in str(listed)


async def test_the_number_stands_in_no_event_command_or_answer(stack: Stack, ava: Agent) -> None:
    await talks(stack, ava)
    told = await stack.value(
        "SELECT string_agg(x, ' ') FROM (SELECT body::text FROM events UNION ALL SELECT object || payload::text FROM provider_commands "
        "UNION ALL SELECT data::text FROM desk_log UNION ALL SELECT after::text FROM audit_log) t (x)"
    )
    assert MOBILE[3:] not in told
    _, desk = await ava.ask("GET", "/desk")
    assert MOBILE[3:] not in str(desk)


# --- in the call -----------------------------------------------------------------------------------------------------------


async def test_who_hangs_up_the_telephone_ends_the_call(stack: Stack, ava: Agent) -> None:
    _, caller, phone = await talks(stack, ava)
    phone.leave()
    await stack.pass_time(2)
    call = await stack.call(caller.sid)
    assert (call["state"], call["outcome"], call["ended_by"], caller.is_over) == ("wrap_up", "answered", "agent", True)
    assert await stack.broken() == {}


async def test_hanging_up_at_the_desk_ends_it_too(stack: Stack, ava: Agent) -> None:
    call_id, caller, phone = await talks(stack, ava)
    status, _ = await ava.ask("POST", f"/calls/{call_id}/hangup")
    await stack.pass_time(2)
    assert (status, caller.is_over, phone.is_over) == (200, True, True)


async def test_who_hangs_up_with_the_customer_on_hold_loses_nobody(stack: Stack, ava: Agent) -> None:
    call_id, caller, phone = await talks(stack, ava)
    await ava.ask("POST", f"/calls/{call_id}/hold")
    await stack.quiet()
    phone.leave()
    await stack.pass_time(2)
    assert not caller.is_over
    await stack.fire(AGENT_GONE_TIMER)
    assert ((await stack.call(caller.sid))["state"], caller.is_over) == ("queued", False)


async def test_a_telephone_whose_end_only_the_leg_tells_of_ends_the_call_after_the_grace(
    stack: Stack, ava: Agent
) -> None:
    _, caller, phone = await talks(stack, ava)
    offer_id = (await ring_row(stack))["offer_id"]
    seat_of(phone).conference.callback = None
    phone.leave()
    fields = status_callback(phone.sid, sequence=9, CallSid=phone.sid)
    await stack.hook(f"/twilio/telephone/status?o={offer_id}", fields)
    await stack.quiet()
    assert not caller.is_over
    await stack.fire(AGENT_GONE_TIMER)
    await stack.pass_time(2)
    assert (caller.is_over, (await stack.call(caller.sid))["ended_by"]) == (True, "agent")


async def test_mute_is_done_by_the_provider(stack: Stack, ava: Agent) -> None:
    call_id, caller, phone = await talks(stack, ava)
    for act, is_muted in (("mute", True), ("mute", True), ("unmute", False), ("mute", True)):
        status, body = await ava.ask("POST", f"/calls/{call_id}/{act}")
        assert (status, body["is_mute_wanted"]) == (200, is_muted)
        await stack.quiet()
        assert seat_of(phone).is_muted is is_muted
        shown = (await shown_call(ava))["telephone"]
        assert (shown["is_mute_wanted"], shown["is_muted"]) == (is_muted, is_muted)
    assert len(stack.wire.requests("POST", "/Participants/")) == 3
    assert not seat_of(caller).is_muted
    assert await stack.broken() == {}


async def test_mute_that_was_not_answered_is_done_once_it_can_be(
    stack: Stack, ava: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cti.twilio_api.TIMEOUT_S", 0.6)
    call_id, _, phone = await talks(stack, ava)
    stack.wire.aimed.append(("/Participants/", Fault("hangs")))
    await ava.ask("POST", f"/calls/{call_id}/mute")
    await stack.quiet()
    shown = (await shown_call(ava))["telephone"]
    assert (shown["is_mute_wanted"], shown["is_muted"]) == (True, False)
    await stack.rows("UPDATE provider_commands SET lease_until = now() - interval '1 second' RETURNING 1")
    await stack.repeat()
    assert (seat_of(phone).is_muted, (await shown_call(ava))["telephone"]["is_muted"]) == (True, True)


async def test_who_speaks_in_the_browser_mutes_there(stack: Stack) -> None:
    ava = await stack.agent("ava")
    await stack.dial()
    call_id, _ = await ava.take()
    status, body = await ava.ask("POST", f"/calls/{call_id}/mute")
    assert (status, body["code"]) == (409, "not_at_telephone")
    ben = await stack.agent("ben")
    status, _ = await ben.ask("POST", f"/calls/{call_id}/mute")
    assert status == 404


async def test_a_transfer_lets_go_of_the_telephone_and_rings_the_next_one(stack: Stack, ava: Agent) -> None:
    call_id, caller, phone = await talks(stack, ava)
    ben = await on_telephone(stack, "ben")
    status, body = await ava.ask("POST", f"/calls/{call_id}/transfer", {"agent_id": ben.id})
    assert status == 200, body
    await stack.pass_time(2)
    assert (phone.is_over, caller.is_over) == (True, False)
    await accepts(stack, ben)
    assert await stack.until(lambda: caller.is_talking, 30)
    assert ((await stack.call(caller.sid))["agent_id"], len(rung(stack, DESK_PHONE))) == (ben.id, 1)
    assert await stack.broken() == {}


async def test_a_colleague_is_consulted_on_the_telephone_and_takes_the_call_over(stack: Stack, ava: Agent) -> None:
    call_id, caller, phone = await talks(stack, ava)
    ben = await on_telephone(stack, "ben")
    status, body = await ava.ask("POST", f"/calls/{call_id}/consult", {"agent_id": ben.id})
    assert status == 200, body
    await stack.quiet()
    await accepts(stack, ben)
    (second,) = rung(stack, DESK_PHONE)
    assert await stack.until(lambda: second.is_talking, 30)
    status, body = await ava.ask("POST", f"/calls/{call_id}/consult/complete")
    assert status == 200, body
    await stack.pass_time(2)
    assert (phone.is_over, second.is_over, caller.is_talking) == (True, False, True)
    assert (await stack.call(caller.sid))["agent_id"] == ben.id
    second.leave()
    await stack.pass_time(2)
    assert caller.is_over
    assert await stack.broken() == {}


async def test_a_colleague_who_does_not_come_brings_the_customer_off_hold(stack: Stack, ava: Agent) -> None:
    call_id, caller, _ = await talks(stack, ava)
    ben = await on_telephone(stack, "ben", BOX)
    await ava.ask("POST", f"/calls/{call_id}/consult", {"agent_id": ben.id})
    await stack.quiet()
    await accepts(stack, ben)
    (second,) = rung(stack, DESK_PHONE)
    assert await stack.until(lambda: second.is_over, 60)
    await stack.quiet()
    assert await stack.value("SELECT outcome FROM consults") == "not_reached"
    assert ((await stack.call(caller.sid))["state"], seat_of(caller).is_held) == ("in_call", False)


# --- calls that the agent makes --------------------------------------------------------------------------------------------


async def test_who_calls_out_is_rung_first_and_the_customer_after_the_key(stack: Stack, ava: Agent) -> None:
    stack.exchange.callees.describe(CUSTOMER, Callee(after_s=2))
    status, body = await ava.ask("POST", "/calls", {"to": CUSTOMER})
    assert (status, body["is_on_telephone"]) == (201, True)
    await stack.pass_time(4)
    (phone,) = rung(stack)
    assert ((phone.from_, phone.status), rung(stack, CUSTOMER)) == ((SUPPORT, "in-progress"), [])
    await stack.pass_time(2)
    await stack.fire("cti.dial")
    assert await stack.until(lambda: phone.is_talking, 10)
    (customer,) = rung(stack, CUSTOMER)
    call = await stack.call(customer.sid)
    assert (call["state"], call["direction"]) == ("in_call", "outbound")
    phone.leave()
    await stack.pass_time(2)
    call = await stack.call(customer.sid)
    assert (call["outcome"], call["ended_by"], customer.is_over) == ("answered", "agent", True)
    assert await stack.broken() == {}


async def test_who_does_not_take_the_own_call_out_calls_nobody(stack: Stack, ava: Agent) -> None:
    stack.exchange.callees.describe(MOBILE, BOX)
    _, body = await ava.ask("POST", "/calls", {"to": CUSTOMER})
    await stack.pass_time(40)
    assert await stack.value("SELECT outcome FROM calls WHERE id = $1", body["call"]["id"]) == "canceled"
    assert rung(stack, CUSTOMER) == []
    assert await stack.broken() == {}


# --- what the provider does not answer -----------------------------------------------------------------------------------


async def _again(stack: Stack) -> None:
    await stack.rows("UPDATE provider_commands SET lease_until = now() - interval '1 second' RETURNING 1")
    await stack.repeat()


async def test_an_answer_that_is_lost_rings_nobody_twice(
    stack: Stack, ava: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cti.twilio_api.TIMEOUT_S", 0.6)
    stack.wire.aimed.append(("/Calls.json", Fault("answer_lost")))
    caller = await stack.dial()
    await accepts(stack, ava)
    await _again(stack)
    assert await stack.until(lambda: caller.is_talking, 30)
    assert (len(rung(stack)), len(stack.wire.requests("POST", "/Calls.json"))) == (1, 1)
    await stack.settle_down()
    assert await stack.broken() == {}


async def test_a_telephone_found_by_looking_is_the_agents(
    stack: Stack, ava: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cti.twilio_api.TIMEOUT_S", 0.6)
    stack.exchange.callees.describe(MOBILE, Callee(after_s=600))
    stack.wire.aimed.append(("/Calls.json", Fault("answer_lost")))
    await stack.dial()
    await accepts(stack, ava)
    await stack.rows("UPDATE agent_rings SET sid = NULL RETURNING 1")
    await stack.rows("DELETE FROM legs WHERE kind = 'agent' RETURNING 1")
    await _again(stack)
    (phone,) = rung(stack)
    assert (await ring_row(stack))["sid"] == phone.sid


async def test_a_question_that_never_arrived_is_given_up_and_not_asked_again(
    stack: Stack, ava: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cti.twilio_api.TIMEOUT_S", 0.6)
    stack.wire.aimed.append(("/Calls.json", Fault("hangs")))
    caller = await stack.dial()
    await accepts(stack, ava)
    await _again(stack)
    assert (await stack.call(caller.sid))["state"] == "connecting", "perhaps it rings there"
    await stack.rows("UPDATE agent_rings SET dialed_at = dialed_at - interval '40 seconds' RETURNING 1")
    await _again(stack)
    assert (await stack.call(caller.sid))["state"] == "queued"
    assert (rung(stack), len(stack.wire.requests("POST", "/Calls.json"))) == ([], 1)


async def test_a_telephone_that_is_heard_of_too_late_is_ended(
    stack: Stack, ava: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cti.twilio_api.TIMEOUT_S", 0.6)
    stack.exchange.callees.describe(MOBILE, Callee(after_s=600))
    stack.wire.aimed.append(("/Calls.json", Fault("answer_lost")))
    caller = await stack.dial()
    await accepts(stack, ava)
    await stack.rows("UPDATE agent_rings SET sid = NULL RETURNING 1")
    await stack.rows("DELETE FROM legs WHERE kind = 'agent' RETURNING 1")
    caller.leave()
    await stack.quiet()
    assert not rung(stack)[0].is_over
    await _again(stack)
    await stack.pass_time(2)
    assert rung(stack)[0].is_over
    assert await stack.broken() == {}


async def test_a_plain_refusal_for_now_is_tried_again(stack: Stack, ava: Agent) -> None:
    stack.wire.aimed.append(("/Calls.json", Fault("refused", 429, 20429)))
    caller = await stack.dial()
    await accepts(stack, ava)
    assert rung(stack) == []
    await _again(stack)
    assert await stack.until(lambda: caller.is_talking, 30)
    assert len(rung(stack)) == 1


async def test_a_telephone_that_the_provider_refuses_fails_at_once(stack: Stack, ava: Agent) -> None:
    stack.wire.aimed.append(("/Calls.json", Fault("refused", 400, 21211)))
    caller = await stack.dial()
    await accepts(stack, ava)
    assert ((await stack.call(caller.sid))["state"], (await ring_row(stack))["outcome"]) == ("queued", "failed")


async def test_one_telephone_a_second(stack: Stack, ava: Agent) -> None:
    ben = await on_telephone(stack, "ben")
    first, second = await stack.dial(), await stack.dial("+14155550124")
    offers = {agent.id: await agent.offer() for agent in (ava, ben)}
    await ava.accept(offers[ava.id])
    await ben.accept(offers[ben.id])
    assert (len(rung(stack)), len(rung(stack, DESK_PHONE))) == (1, 0)
    assert await stack.fire("cti.ring") == 1
    assert await stack.until(lambda: first.is_talking and second.is_talking, 30)


async def test_who_leaves_before_the_telephones_second_is_not_rung_for(stack: Stack, ava: Agent) -> None:
    ben = await on_telephone(stack, "ben")
    await stack.dial()
    second = await stack.dial("+14155550124")
    offers = {agent.id: await agent.offer() for agent in (ava, ben)}
    await ava.accept(offers[ava.id])
    await ben.accept(offers[ben.id])
    second.leave()
    await stack.quiet()
    await stack.fire("cti.ring")
    assert rung(stack, DESK_PHONE) == []
    assert (await ring_row(stack))["outcome"] == "withdrawn"
    assert await stack.broken() == {}


async def test_the_reconciler_notices_a_telephone_that_went_down_unseen(stack: Stack, ava: Agent) -> None:
    stack.exchange.callees.describe(MOBILE, Callee(outcome="busy", after_s=5))
    caller = await stack.dial()
    await accepts(stack, ava)
    (phone,) = rung(stack)
    phone.callback = None
    assert await stack.until(lambda: phone.is_over, 20)
    assert (await stack.call(caller.sid))["state"] == "connecting"
    assert await stack.parts.reconciler.once(min_age_s=0) == 1
    assert ((await stack.call(caller.sid))["state"], (await ring_row(stack))["outcome"]) == ("queued", "busy")
    assert await stack.parts.reconciler.once(min_age_s=0) == 0
    assert await stack.count("calls") == 1, "no telephone of an agent is a customer's call"
    assert await stack.count("missed_contacts") == 0


# --- the webhook -------------------------------------------------------------------------------------------------------------


async def test_the_key_counts_once_and_only_when_it_is_signed(stack: Stack, ava: Agent) -> None:
    stack.exchange.callees.describe(MOBILE, BOX)
    await stack.dial()
    call_id = await accepts(stack, ava)
    await stack.pass_time(6)
    (phone,) = rung(stack)
    path = f"/twilio/telephone?o={(await ring_row(stack))['offer_id']}&n=1"
    fields = of_leg(phone, "in-progress", Digits="1")
    forged = await stack.hook(path, fields, auth_token="not the token")
    assert (forged.status, (await ring_row(stack))["taken_at"]) == (403, None)
    for answer in (await stack.hook(path, fields), await stack.hook(path, fields)):
        assert (answer.status, answer.content_type) == (200, "text/xml")
        assert f">call_{call_id}</Conference>" in answer.text
        assert ('participantLabel="agent_' in answer.text, "dial/done" in answer.text) == (True, False)
    assert await stack.value("SELECT count(*) FROM provider_commands WHERE kind = 'connect'") == 1
    status = await stack.hook(path.replace("?", "/status?"), fields, auth_token="not the token")
    assert status.status == 403


@pytest.mark.parametrize(
    "path",
    ["/twilio/telephone", "/twilio/telephone?o=0", "/twilio/telephone?o=999999999999", "/twilio/telephone?o=x&n=x"],
)
async def test_a_key_for_no_call_leads_nowhere(stack: Stack, path: str) -> None:
    answer = await stack.hook(path, standard("CA" + "7" * 32, to=MOBILE, Digits="1"))
    assert (answer.status, "<Hangup" in answer.text, "<Conference" in answer.text) == (200, True, False)
    status = await stack.hook(path.replace("telephone", "telephone/status"), status_callback("CA" + "7" * 32))
    assert (status.status, await stack.count("calls")) == (204, 0)
