"""The agent's phone: only who holds the accepted offer gets the conference, and nobody else stays in it."""

from cti.service import CONNECT_TIMER
from tests.integration.cti.payloads import conference_event, new_sid, standard
from tests.stack import NO_CALLBACKS, Agent, Answer, Stack


def a_phone(identity: str, call_id: int | str, sid: str | None = None) -> dict[str, str]:
    return standard(
        sid or new_sid(), from_=f"client:{identity}", to="", ApplicationSid="AP" + "0" * 32, CallId=str(call_id)
    )


def is_let_in(answer: Answer, call_id: int) -> bool:
    assert answer.status == 200
    assert answer.content_type == "text/xml"
    is_in = f">call_{call_id}</Conference>" in answer.text
    assert is_in != ("<Hangup" in answer.text)
    return is_in


async def rings(stack: Stack, agent: Agent) -> int:
    """A call that this agent has accepted."""
    await stack.dial(faults=NO_CALLBACKS)
    return await agent.accept(await agent.offer())


async def test_holder_gets_the_conference_again_and_again(stack: Stack) -> None:
    ava = await stack.agent("ava")
    call_id = await rings(stack, ava)
    first = a_phone(ava.identity, call_id)
    answer = await stack.hook("/twilio/agent", first)
    assert is_let_in(answer, call_id)
    assert 'participantLabel="agent_' in answer.text
    assert 'endConferenceOnExit="false"' in answer.text
    assert (await stack.hook("/twilio/agent", first)).text == answer.text
    assert is_let_in(await stack.hook("/twilio/agent", a_phone(ava.identity, f"call_{call_id}")), call_id)
    assert await stack.value("SELECT count(*) FROM legs WHERE kind = 'agent'") == 2


async def test_wrong_agents_do_not_get_it(stack: Stack) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben", is_available=False)
    leg = await stack.dial(faults=NO_CALLBACKS)
    offer_id = await ava.offer()
    call = await stack.call(leg.sid)
    early = await stack.hook("/twilio/agent", a_phone(ava.identity, call["id"]))
    assert not is_let_in(early, call["id"]), "offered is not accepted"
    call_id = await ava.accept(offer_id)
    for identity in (ben.identity, "agent_999999", "agent_", "agent_x", "guest", f"agent_{ava.id}x"):
        assert not is_let_in(await stack.hook("/twilio/agent", a_phone(identity, call_id)), call_id)
    for caller in ("+14155550123", f"agent_{ava.id}", f"sip:agent_{ava.id}@example.com", ""):
        fields = a_phone(ava.identity, call_id) | {"From": caller}
        assert not is_let_in(await stack.hook("/twilio/agent", fields), call_id)
    assert await stack.value("SELECT count(*) FROM legs WHERE kind = 'agent'") == 0
    assert await stack.count("calls") == 1


async def test_calls_that_are_not_there_are_not_joined(stack: Stack) -> None:
    ava = await stack.agent("ava")
    call_id = await rings(stack, ava)
    for wanted in ("0", "999", "-1", "1e3", "call_", "call_call_1", "９", "1; DROP", "9" * 40, " ", f"{call_id}.0"):
        assert not is_let_in(await stack.hook("/twilio/agent", a_phone(ava.identity, wanted)), call_id), wanted


async def test_phone_of_a_finished_call_is_sent_away_in_the_numbers_language(stack: Stack) -> None:
    ava = await stack.agent("ava")
    leg = await stack.dial(to="+4930901820")
    call_id, _ = await ava.take()
    leg.leave()
    await stack.quiet()
    answer = await stack.hook("/twilio/agent", a_phone(ava.identity, call_id))
    assert not is_let_in(answer, call_id)
    assert "Dieser Anruf gehört Ihnen nicht mehr" in answer.text


async def test_phone_that_lost_its_parameters_finds_its_call(stack: Stack) -> None:
    """A fallback or a redirect brings the phone back without what its page had passed on."""
    ava, ben = await stack.agent("ava"), await stack.agent("ben", is_available=False)
    call_id = await rings(stack, ava)
    for path in ("/twilio/agent", "/twilio/voice/fallback", "/twilio/voice"):
        bare = a_phone(ava.identity, "")
        del bare["CallId"]
        assert is_let_in(await stack.hook(path, bare), call_id), path
        other = bare | {"From": f"client:{ben.identity}", "CallSid": new_sid()}
        assert not is_let_in(await stack.hook(path, other), call_id), path
    assert is_let_in(await stack.hook(f"/twilio/agent?r=1&CallId={call_id}", a_phone(ava.identity, "")), call_id)


async def test_agents_phone_never_becomes_a_customers_call(stack: Stack) -> None:
    ava = await stack.agent("ava")
    for path in ("/twilio/voice", "/twilio/voice/fallback", "/twilio/voice?r=1"):
        assert not is_let_in(await stack.hook(path, a_phone(ava.identity, "5")), 5)
    assert await stack.count("calls") == 0
    assert await stack.count("tickets") == 0


async def test_end_of_the_agents_dial_ends_that_leg_only(stack: Stack) -> None:
    ava = await stack.agent("ava")
    leg = await stack.dial()
    call_id, phone = await ava.take()
    done = a_phone(ava.identity, call_id, phone.sid) | {"DialCallStatus": "answered", "CallStatus": "in-progress"}
    assert "<Response />" in (await stack.hook("/twilio/dial/done?o=1", done)).text
    assert (await stack.call(leg.sid))["state"] == "in_call"


async def test_who_joins_without_holding_the_call_is_taken_out(stack: Stack) -> None:
    """The phone had its document before the connection was given up, and comes into the conference too late."""
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    leg = await stack.dial()
    call_id = await ava.accept(await ava.offer())
    late = new_sid()
    assert is_let_in(await stack.hook("/twilio/agent", a_phone(ava.identity, call_id, late)), call_id)
    await stack.fire(CONNECT_TIMER)
    await ben.take()
    ended = [path for verb, path, fields in stack.wire.asked if fields.get("Status") == "completed"]
    assert [late in path for path in ended] == [True], "given up, so the phone is told to go"
    await stack.rows("DELETE FROM provider_commands WHERE kind = 'end_leg' RETURNING 1")
    await stack.hook("/twilio/conference", conference_event(call_id, "participant-join", sid=late, sequence=90))
    await stack.quiet()
    ended = [path for verb, path, fields in stack.wire.asked if fields.get("Status") == "completed"]
    assert [late in path for path in ended] == [True, True], "and again when it comes in all the same"
    call = await stack.call(leg.sid)
    assert (call["state"], call["agent_id"]) == ("in_call", ben.id)
