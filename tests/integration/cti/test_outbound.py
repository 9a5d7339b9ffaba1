"""Calls that agents make, through the whole service and the simulated provider."""

from itertools import pairwise
from typing import Any

import pytest

from app.apply import apply
from app.org import OrgFile
from core.principal import Role
from cti.service import AGENT_GONE_TIMER
from simulator.people.person import Person
from simulator.provider.callees import Callee
from simulator.provider.leg import Leg
from tests import builders
from tests.integration.routing.test_transfer import NUMBER, allow
from tests.stack import GERMAN, ORG, SUPPORT, Agent, Fault, Stack

CUSTOMER = "+14155550144"
BERLIN = "+493023125693"
NO_HOURS = {"zones": ["UTC"], "start": "00:00", "end": "23:59"}


async def configure(stack: Stack, **outbound: Any) -> None:
    org = {**ORG, "outbound": {**ORG["outbound"], **outbound}}
    async with stack.parts.resources.outbox.transaction() as tx:
        await apply(tx, OrgFile.model_validate(org), by="test")


def describes(
    stack: Stack, outcome: Any = "answer", *, number: str = CUSTOMER, after_s: float = 2, **then: Any
) -> None:
    stack.exchange.callees.describe(number, Callee(outcome=outcome, after_s=after_s, then=Person(**then)))


async def calls(agent: Agent, to: str = CUSTOMER, **more: Any) -> int:
    status, body = await agent.ask("POST", "/calls", {"to": to, **more})
    assert status == 201, body
    await agent.stack.quiet()
    return int(body["call"]["id"])


async def refused(agent: Agent, to: str = CUSTOMER, **more: Any) -> tuple[int, str]:
    status, body = await agent.ask("POST", "/calls", {"to": to, **more})
    return status, str(body.get("code"))


async def row(stack: Stack, call_id: int) -> Any:
    return (await stack.rows("SELECT * FROM calls WHERE id = $1", call_id))[0]


async def rung(stack: Stack, to: str = CUSTOMER) -> list[Leg]:
    return [leg for leg in stack.exchange.legs.values() if leg.to == to]


async def desk_of(agent: Agent) -> dict[str, Any]:
    _, desk = await agent.ask("GET", "/desk")
    return dict(desk)


async def test_the_agents_phone_comes_first_then_the_customer_and_they_talk(stack: Stack) -> None:
    ava = await stack.agent("ava")
    describes(stack)
    call_id = await calls(ava)
    (shown,) = (await desk_of(ava))["calls"]
    assert (shown["state"], shown["dial_at"], shown["pop"]["call"]["direction"]) == ("connecting", None, "outbound")
    assert (shown["pop"]["call"]["from"], shown["pop"]["call"]["to"]) == (CUSTOMER, SUPPORT)
    assert await rung(stack) == [], "nobody is rung before the agent is there"
    phone = await ava.pick_up(call_id)
    await stack.until(lambda: phone.is_talking, 10)
    (leg,) = await rung(stack)
    assert (leg.from_, leg.status) == (SUPPORT, "in-progress")
    call = await row(stack, call_id)
    assert (call["state"], call["direction"], call["sid"]) == ("in_call", "outbound", leg.sid)
    leg.leave()
    await stack.quiet()
    call = await row(stack, call_id)
    assert (call["state"], call["outcome"], call["ended_by"]) == ("wrap_up", "answered", "customer")
    assert phone.is_over
    status, _ = await ava.ask("POST", f"/calls/{call_id}/wrap-up", {"note": "Told them."})
    assert status == 200
    await stack.quiet()
    assert (await row(stack, call_id))["state"] == "closed"
    assert await stack.value("SELECT count(*) FROM ticket_notes") == 1
    assert await stack.broken() == {}


@pytest.mark.parametrize(
    ("outcome", "is_called"), [("busy", "busy"), ("no-answer", "unanswered"), ("failed", "failed")]
)
async def test_nobody_answers_and_the_agent_notes_it(stack: Stack, outcome: Any, is_called: str) -> None:
    ava = await stack.agent("ava")
    describes(stack, outcome)
    call_id = await calls(ava)
    phone = await ava.pick_up(call_id)
    await stack.until(lambda: phone.is_over, 40)
    call = await row(stack, call_id)
    assert (call["outcome"], call["state"], call["answered_at"]) == (is_called, "wrap_up", None)
    status, _ = await ava.ask("POST", f"/calls/{call_id}/wrap-up", {"note": "Nobody there."})
    assert status == 200
    await stack.quiet()
    assert await stack.value("SELECT used_units FROM agents WHERE id = $1", ava.id) == 0
    assert await stack.count("missed_contacts") == 0
    assert await stack.broken() == {}


async def test_who_does_not_answer_in_time_is_not_rung_any_longer(stack: Stack) -> None:
    await configure(stack, ring_s=10)
    ava = await stack.agent("ava")
    describes(stack, after_s=600)
    call_id = await calls(ava)
    await ava.pick_up(call_id)
    await stack.pass_time(20)
    assert (await row(stack, call_id))["outcome"] == "unanswered"


async def test_an_agent_who_is_calling_gets_no_offer_and_makes_no_second_call(stack: Stack) -> None:
    ava = await stack.agent("ava")
    describes(stack)
    call_id = await calls(ava)
    await stack.dial()
    await stack.dispatch()
    assert await stack.value("SELECT count(*) FROM offers WHERE state = 'pending'") == 0
    assert await refused(ava, BERLIN) == (409, "agent_busy")
    status, _ = await ava.ask("POST", f"/calls/{call_id}/hangup")
    assert status == 200
    await stack.quiet()
    assert (await row(stack, call_id))["outcome"] == "canceled"
    await ava.take()
    assert await stack.broken() == {}


async def test_hanging_up_while_it_rings_stops_the_ringing(stack: Stack) -> None:
    ava = await stack.agent("ava")
    describes(stack, after_s=30)
    call_id = await calls(ava)
    phone = await ava.pick_up(call_id)
    await stack.pass_time(3)
    (leg,) = await rung(stack)
    assert leg.status == "ringing"
    await ava.ask("POST", f"/calls/{call_id}/hangup")
    await stack.pass_time(2)
    assert (leg.status, phone.is_over) == ("canceled", True)
    assert (await row(stack, call_id))["outcome"] == "canceled"
    assert await stack.broken() == {}


async def test_an_agent_whose_phone_is_lost_before_the_answer_leaves_nobody_ringing(stack: Stack) -> None:
    ava = await stack.agent("ava")
    describes(stack, after_s=30)
    call_id = await calls(ava)
    phone = await ava.pick_up(call_id)
    await stack.pass_time(3)
    phone.leave()
    await stack.pass_time(2)
    (leg,) = await rung(stack)
    assert (leg.is_over, (await row(stack, call_id))["outcome"]) == (True, "canceled")


async def test_an_agent_whose_phone_never_comes_calls_nobody(stack: Stack) -> None:
    ava = await stack.agent("ava")
    call_id = await calls(ava)
    await stack.fire("cti.connect")
    assert (await row(stack, call_id))["outcome"] == "canceled"
    assert await rung(stack) == []
    assert await stack.broken() == {}


async def test_an_agent_who_is_lost_in_the_talk_ends_the_call(stack: Stack) -> None:
    ava = await stack.agent("ava")
    describes(stack)
    call_id = await calls(ava)
    phone = await ava.pick_up(call_id)
    await stack.until(lambda: phone.is_talking, 10)
    phone.leave()
    await stack.quiet()
    await stack.fire("cti.agent_gone")
    await stack.pass_time(2)
    (leg,) = await rung(stack)
    call = await row(stack, call_id)
    assert (leg.is_over, call["outcome"], call["state"]) == (True, "answered", "wrap_up")
    assert await stack.count("stints") == 0
    assert await stack.broken() == {}


# --- what the provider does not answer ------------------------------------------------------------------------------------


async def test_an_answer_that_is_lost_rings_nobody_twice(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cti.twilio_api.TIMEOUT_S", 0.3)
    ava = await stack.agent("ava")
    describes(stack, after_s=5)
    stack.wire.aimed.append(("/Calls.json", Fault("answer_lost")))
    call_id = await calls(ava)
    phone = await ava.pick_up(call_id)
    await stack.pass_time(1)
    await stack.repeat()
    await stack.until(lambda: phone.is_talking, 20)
    (leg,) = await rung(stack)
    assert (await row(stack, call_id))["sid"] == leg.sid
    assert len(stack.wire.requests("POST", "/Calls.json")) == 1
    leg.leave()
    await stack.quiet()
    await stack.settle_down()
    assert await stack.broken() == {}


async def test_a_question_that_never_arrived_is_given_up_and_not_asked_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cti.twilio_api.TIMEOUT_S", 0.3)
    ava = await stack.agent("ava")
    stack.wire.aimed.append(("/Calls.json", Fault("hangs")))
    call_id = await calls(ava)
    await ava.pick_up(call_id)
    await stack.rows("UPDATE provider_commands SET lease_until = now() - interval '1 second' RETURNING 1")
    await stack.repeat()
    assert (await row(stack, call_id))["outcome"] is None, "perhaps it rings there"
    await stack.rows("UPDATE calls SET dialed_at = dialed_at - interval '40 seconds' RETURNING 1")
    await stack.rows("UPDATE provider_commands SET lease_until = now() - interval '1 second' RETURNING 1")
    await stack.repeat()
    assert (await row(stack, call_id))["outcome"] == "failed"
    assert await rung(stack) == []
    assert len(stack.wire.requests("POST", "/Calls.json")) == 1


async def test_a_plain_refusal_for_now_is_tried_again(stack: Stack) -> None:
    ava = await stack.agent("ava")
    describes(stack)
    stack.wire.aimed.append(("/Calls.json", Fault("refused", 429, 20429)))
    call_id = await calls(ava)
    phone = await ava.pick_up(call_id)
    assert await rung(stack) == []
    await stack.rows("UPDATE provider_commands SET lease_until = now() - interval '1 second' RETURNING 1")
    await stack.repeat()
    await stack.until(lambda: phone.is_talking, 10)
    assert len(await rung(stack)) == 1


async def test_a_refused_number_ends_the_call(stack: Stack) -> None:
    ava = await stack.agent("ava")
    stack.wire.aimed.append(("/Calls.json", Fault("refused", 400, 21211)))
    call_id = await calls(ava)
    phone = await ava.pick_up(call_id)
    await stack.pass_time(2)
    assert ((await row(stack, call_id))["outcome"], phone.is_over) == ("failed", True)


async def test_a_leg_that_is_heard_of_when_the_call_is_over_is_ended(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cti.twilio_api.TIMEOUT_S", 0.3)
    ava = await stack.agent("ava")
    describes(stack, after_s=30)
    stack.wire.aimed.append(("/Calls.json", Fault("answer_lost")))
    call_id = await calls(ava)
    await ava.pick_up(call_id)
    await stack.rows("UPDATE calls SET sid = 'out:lost' WHERE id = $1 RETURNING 1", call_id)
    await stack.rows("DELETE FROM legs WHERE call_id = $1 AND kind = 'customer' RETURNING 1", call_id)
    await ava.ask("POST", f"/calls/{call_id}/hangup")
    await stack.rows("UPDATE provider_commands SET lease_until = now() - interval '1 second' RETURNING 1")
    await stack.repeat()
    await stack.pass_time(2)
    (leg,) = await rung(stack)
    assert leg.is_over


async def test_one_call_a_second_and_the_agent_is_told_when(stack: Stack) -> None:
    agents = [await stack.agent(name) for name in ("ava", "ben", "chen")]
    made = []
    for number, agent in enumerate(agents):
        describes(stack, number=f"+1415555015{number}")
        made.append((agent, await calls(agent, f"+1415555015{number}")))
    for agent, call_id in made:
        await agent.pick_up(call_id)
    slots = [(await row(stack, call_id))["dial_at"] for _, call_id in made]
    assert [(b - a).total_seconds() for a, b in pairwise(slots)] == [1.0, 1.0]
    (shown,) = (await desk_of(agents[2]))["calls"]
    assert shown["dial_at"] is not None
    assert len(stack.wire.requests("POST", "/Calls.json")) == 1
    await stack.fire("cti.dial")
    assert len(stack.wire.requests("POST", "/Calls.json")) == 3


# --- who may be called ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("911", "not_allowed_to_call"),
        ("+49 112", "not_allowed_to_call"),
        ("+19005550123", "not_allowed_to_call"),
        ("+33145678901", "not_allowed_to_call"),
        (SUPPORT, "not_allowed_to_call"),
        ("hello", "invalid"),
        ("80808", "invalid"),
    ],
)
async def test_some_numbers_are_called_by_nobody(stack: Stack, to: str, code: str) -> None:
    ava = await stack.agent("ava")
    assert (await refused(ava, to))[1] == code
    assert await stack.count("calls") == 0


async def _lead(stack: Stack, agent: Agent) -> None:
    await stack.rows("UPDATE users SET role = 'supervisor' WHERE id = $1 RETURNING 1", agent.id)


async def test_the_list_forbids_and_a_supervisor_may_overrule_it_with_a_reason(stack: Stack) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    await _lead(stack, ben)
    status, listed = await ben.ask(
        "POST", "/do-not-call", {"number": "(415) 555-0144", "region": "US", "reason": "Asked"}
    )
    assert (status, listed["number"]) == (201, CUSTOMER)
    assert await refused(ava) == (409, "do_not_call")
    assert await refused(ava, override_reason="x") == (403, "forbidden")
    await calls(ben, override_reason="They called and asked us to.")
    purpose = await stack.value("SELECT purpose FROM audit_log WHERE action = 'call.make'")
    assert purpose == "They called and asked us to."
    status, _ = await ava.ask("GET", "/do-not-call")
    assert status == 403


async def test_quiet_hours_are_those_of_the_callee(stack: Stack) -> None:
    await configure(stack, quiet_hours=[{**NO_HOURS, "regions": ["DE"]}])
    ava = await stack.agent("ava")
    assert await refused(ava, BERLIN) == (409, "quiet_hours")
    await calls(ava)


async def test_the_number_shown_is_by_rule_or_the_one_they_called(stack: Stack) -> None:
    await configure(stack, caller_ids=[{"number": GERMAN, "region": "DE"}], prefer_last_dialled=True)
    ava = await stack.agent("ava")
    status, body = await ava.ask("POST", "/calls", {"to": BERLIN})
    assert (status, body["shown"]) == (201, GERMAN)
    await ava.ask("POST", f"/calls/{body['call']['id']}/hangup")
    await stack.quiet()
    leg = await stack.dial(CUSTOMER, GERMAN)
    leg.leave()
    await stack.quiet()
    status, body = await ava.ask("POST", "/calls", {"to": CUSTOMER, "queue": "support"})
    assert (status, body["shown"]) == (201, GERMAN)


async def test_calling_back_closes_the_missed_contact_with_the_reason(stack: Stack) -> None:
    ava = await stack.agent("ava")
    lost = await stack.dial(CUSTOMER)
    lost.leave()
    await stack.quiet()
    missed_id = await stack.value("SELECT id FROM missed_contacts")
    describes(stack)
    status, body = await ava.ask("POST", "/calls", {"missed_contact_id": missed_id})
    assert status == 201, body
    await stack.quiet()
    assert await stack.value("SELECT state FROM missed_contacts") == "open"
    phone = await ava.pick_up(body["call"]["id"])
    await stack.until(lambda: phone.is_talking, 10)
    found = await stack.rows("SELECT state, result, done_call_id FROM missed_contacts")
    assert [tuple(each) for each in found] == [("done", "called_back", body["call"]["id"])]


async def test_the_call_is_about_the_ticket_it_is_made_from(stack: Stack) -> None:
    ava = await stack.agent("ava")
    _, ticket = await ava.ask("POST", "/tickets", {"subject": "Refund", "queue": "sales"})
    call_id = await calls(ava, ticket_id=ticket["id"])
    assert await stack.value("SELECT ticket_id FROM ticket_calls WHERE call_id = $1", call_id) == ticket["id"]
    assert (await row(stack, call_id))["queue"] == "sales"
    await ava.ask("POST", f"/calls/{call_id}/hangup")
    await stack.quiet()
    async with stack.parts.resources.outbox.transaction() as tx:
        await builders.a_user(tx, role=Role.ADMIN)
    assert await stack.broken() == {}


async def test_two_do_not_call_one_number_at_once(stack: Stack) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    await calls(ava)
    assert await refused(ben) == (409, "already_calling")


async def talking(stack: Stack, agent: Agent) -> tuple[int, Leg, Leg]:
    """The agent talks with a customer whom they have called: the call's id, the customer's leg, the agent's phone."""
    describes(stack)
    call_id = await calls(agent)
    phone = await agent.pick_up(call_id)
    await stack.until(lambda: phone.is_talking, 10)
    (leg,) = await rung(stack)
    return call_id, leg, phone


async def test_hold_works_and_giving_it_away_unheard_does_not(stack: Stack) -> None:
    ava = await stack.agent("ava")
    call_id, _, _ = await talking(stack, ava)
    status, _ = await ava.ask("POST", f"/calls/{call_id}/hold")
    await stack.quiet()
    assert (status, (await row(stack, call_id))["state"]) == (200, "on_hold")
    status, body = await ava.ask("POST", f"/calls/{call_id}/transfer", {"queue": "sales"})
    assert (status, body["code"]) == (409, "not_for_outbound_calls")


async def speaks_with(stack: Stack, ava: Agent, ben: Agent, call_id: int, **to: Any) -> Leg:
    status, body = await ava.ask("POST", f"/calls/{call_id}/consult", to or {"agent_id": ben.id})
    assert status == 200, body
    await stack.quiet()
    asked_id, phone = await (ben.take() if to else ben.take_pending())
    assert asked_id == call_id
    return phone


@pytest.mark.parametrize("to", [{}, {"queue": "sales"}])
async def test_it_is_handed_over_once_a_colleague_was_spoken_with(stack: Stack, to: dict[str, Any]) -> None:
    ava = await stack.agent("ava")
    call_id, leg, phone = await talking(stack, ava)
    ben = await stack.agent("ben")
    bens = await speaks_with(stack, ava, ben, call_id, **to)
    (shown,) = (await desk_of(ben))["calls"]
    assert (shown["state"], shown["pop"]["call"]["from"], shown["pop"]["call"]["direction"]) == ("consulted", CUSTOMER, "outbound")  # fmt: skip
    status, body = await ava.ask("POST", f"/calls/{call_id}/consult/complete")
    assert status == 200, body
    await stack.quiet()
    assert phone.is_over
    assert bens.is_talking
    call = await row(stack, call_id)
    assert (call["agent_id"], call["state"], call["hold_wanted"]) == (ben.id, "in_call", False)
    assert await stack.rows("SELECT to_kind, outcome FROM transfers") == [("queue" if to else "agent", "taken")]
    leg.leave()
    await stack.quiet()
    assert (await row(stack, call_id))["outcome"] == "answered"
    for agent in (ava, ben):
        assert (await agent.ask("POST", f"/calls/{call_id}/wrap-up", {}))[0] == 200
    await stack.quiet()
    assert await stack.count("missed_contacts") == 0
    assert await stack.value("SELECT count(*) FROM offers WHERE NOT is_outbound") == 0
    assert await stack.value("SELECT count(*) FROM stints WHERE outcome <> 'closed'") == 0, "no contact anywhere"
    assert await stack.value("SELECT sum(used_units)::integer FROM agents") == 0
    assert await stack.broken() == {}


async def test_who_has_spoken_with_a_colleague_about_it_goes_back_to_the_customer(stack: Stack) -> None:
    ava = await stack.agent("ava")
    call_id, leg, phone = await talking(stack, ava)
    ben = await stack.agent("ben")
    bens = await speaks_with(stack, ava, ben, call_id)
    assert (await ava.ask("POST", f"/calls/{call_id}/consult/end"))[0] == 200
    await stack.quiet()
    assert bens.is_over
    assert phone.is_talking
    call = await row(stack, call_id)
    assert (call["agent_id"], call["state"]) == (ava.id, "in_call")
    leg.leave()
    await stack.quiet()
    assert (await row(stack, call_id))["outcome"] == "answered"
    assert await stack.broken() == {}


async def test_a_customer_who_hangs_up_meanwhile_ends_it_for_both(stack: Stack) -> None:
    ava = await stack.agent("ava")
    call_id, leg, phone = await talking(stack, ava)
    ben = await stack.agent("ben")
    bens = await speaks_with(stack, ava, ben, call_id)
    leg.leave()
    await stack.quiet()
    assert bens.is_over
    assert phone.is_over
    assert (await row(stack, call_id))["outcome"] == "answered"
    assert await stack.rows("SELECT outcome FROM consults") == [("ended",)]
    assert await stack.broken() == {}


async def test_who_is_lost_leaves_it_to_the_colleague_they_speak_with(stack: Stack) -> None:
    ava = await stack.agent("ava")
    call_id, _, phone = await talking(stack, ava)
    ben = await stack.agent("ben")
    bens = await speaks_with(stack, ava, ben, call_id)
    phone.leave()
    await stack.quiet()
    await stack.fire(AGENT_GONE_TIMER)
    assert bens.is_talking
    call = await row(stack, call_id)
    assert (call["agent_id"], call["state"]) == (ben.id, "in_call")
    assert await stack.broken() == {}


async def test_it_is_handed_over_to_a_number_outside_that_was_spoken_with(stack: Stack) -> None:
    await allow(stack, "+1415")
    stack.exchange.callees.describe(NUMBER, Callee(after_s=2))
    ava = await stack.agent("ava")
    call_id, leg, phone = await talking(stack, ava)
    status, body = await ava.ask("POST", f"/calls/{call_id}/consult", {"number": NUMBER})
    assert status == 200, body
    await stack.quiet()
    await stack.pass_time(4)
    (outside,) = await rung(stack, NUMBER)
    assert outside.from_ == SUPPORT
    assert (await ava.ask("POST", f"/calls/{call_id}/consult/complete"))[0] == 200
    await stack.quiet()
    assert phone.is_over
    assert (await row(stack, call_id))["state"] == "outside"
    outside.leave()
    await stack.quiet()
    assert leg.is_over
    call = await row(stack, call_id)
    assert (call["outcome"], call["state"]) == ("answered", "closed")
    assert await stack.broken() == {}


async def test_they_are_no_offered_contacts(stack: Stack) -> None:
    ava = await stack.agent("ava")
    describes(stack)
    call_id = await calls(ava)
    phone = await ava.pick_up(call_id)
    await stack.until(lambda: phone.is_talking, 10)
    (await rung(stack))[0].leave()
    await stack.quiet()
    await ava.ask("POST", f"/calls/{call_id}/wrap-up", {})
    await stack.quiet()
    ben = await stack.agent("ben")
    await _lead(stack, ben)
    status, figures = await ben.ask("GET", "/figures?metrics=offered,answered")
    assert status == 200, figures
    assert {key: figure["value"] for key, figure in figures["total"].items()} == {
        "offered": 0, "answered": 0,
    }  # fmt: skip
    assert await stack.value("SELECT count(*) FROM offers WHERE NOT is_outbound") == 0
    _, counted = await ben.ask("GET", "/outbound/figures")
    assert [(each["agent"], each["calls"], each["reached"], each["busy"]) for each in counted["items"]] == [
        ("Ava", 1, 1, 0)
    ]
