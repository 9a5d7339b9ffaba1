"""<Dial> to clients and numbers: ringing, bridging, time-outs, whisper, leg callbacks."""

from typing import Any

import pytest

from simulator.people.person import Person, Step
from simulator.provider.callees import BOX, Callee
from simulator.provider.flow import Inline
from simulator.provider.leg import Leg
from tests.integration.simulator.service import World

VOICE = "/twilio/voice"
ALL = 'statusCallback="/leg" statusCallbackEvent="initiated ringing answered completed"'


def callee(world: World, address: str, **behaviour: Any) -> None:
    world.exchange.callees.describe(address, Callee(**behaviour))


def child_of(world: World, parent: Leg) -> Leg:
    return next(leg for leg in world.exchange.legs.values() if leg.parent is parent)


async def test_the_bridge_lasts_until_the_callee_hangs_up(world: World) -> None:
    world.service.answers |= {
        VOICE: f'<Dial action="/dialed" callerId="+14155550199"><Number {ALL}>+14155550177</Number></Dial>',
        "/dialed": "<Say>Goodbye</Say>",
    }
    callee(world, "+14155550177", after_s=3, then=Person(script=(Step(wait_s=40), Step(hang_up=True))))
    leg = world.call()
    await world.over(leg)
    child = child_of(world, leg)
    (dialed,) = world.service.at("/dialed")
    assert (dialed["DialCallStatus"], dialed["DialCallSid"], dialed["DialCallDuration"]) == (
        "completed",
        child.sid,
        "40",
    )
    assert dialed["DialBridged"] == "true"
    assert [h.text for h in leg.heard] == ["Goodbye"]
    events = sorted(world.service.at("/leg"), key=lambda a: int(a["SequenceNumber"]))
    assert [(e["CallStatus"], e["SequenceNumber"]) for e in events] == [
        ("initiated", "0"),
        ("ringing", "1"),
        ("in-progress", "2"),
        ("completed", "3"),
    ]
    assert {e["ParentCallSid"] for e in events} == {leg.sid}
    assert (events[0]["Direction"], events[0]["From"]) == ("outbound-dial", "+14155550199")
    assert events[-1]["CallDuration"] == "40"


async def test_when_the_caller_hangs_up_both_legs_end_and_the_action_is_told(world: World) -> None:
    world.service.answers[VOICE] = '<Dial action="/dialed"><Number>+14155550177</Number></Dial>'
    leg = world.call()
    await world.until(lambda: leg.is_talking)
    leg.leave()
    await world.over(child_of(world, leg))
    (dialed,) = world.service.at("/dialed")
    assert (dialed["DialCallStatus"], dialed["CallStatus"]) == ("completed", "completed")


@pytest.mark.parametrize("outcome", ["busy", "no-answer", "failed"])
async def test_the_action_says_why_nobody_answered(world: World, outcome: str) -> None:
    world.service.answers[VOICE] = '<Dial action="/dialed"><Number>+14155550177</Number></Dial>'
    callee(world, "+14155550177", outcome=outcome)
    await world.over(world.call())
    assert world.service.at("/dialed")[0]["DialCallStatus"] == outcome


async def test_nobody_within_the_timeout_is_no_answer(world: World) -> None:
    world.service.answers[VOICE] = '<Dial timeout="10"><Number>+14155550177</Number></Dial><Say>Nobody there</Say>'
    callee(world, "+14155550177", after_s=60)
    leg = world.call()
    start = world.clock.now()
    await world.until(lambda: len(leg.heard) == 1)
    assert (world.clock.now() - start).total_seconds() == 10
    assert child_of(world, leg).status == "no-answer"


async def test_the_first_client_to_answer_wins(world: World) -> None:
    world.service.answers[VOICE] = (
        f'<Dial action="/dialed"><Client {ALL}>agent_1</Client><Client><Identity>agent_2</Identity></Client></Dial>'
    )
    callee(world, "client:agent_1", after_s=9)
    callee(world, "client:agent_2", after_s=4, then=Person(talk_s=5))
    leg = world.call()
    await world.over(leg)
    children = {c.to: c.status for c in world.exchange.legs.values() if c.parent is leg}
    assert children == {"client:agent_1": "no-answer", "client:agent_2": "completed"}
    assert [e["CallStatus"] for e in world.service.at("/leg")] == ["initiated", "ringing", "no-answer"]


async def test_a_client_without_a_device_does_not_answer(world: World) -> None:
    world.service.answers[VOICE] = '<Dial action="/dialed"><Client statusCallback="/leg">agent_1</Client></Dial>'
    await world.over(world.call())
    assert world.service.at("/dialed")[0]["DialCallStatus"] == "no-answer"
    assert world.service.at("/leg") == [], "a client reports only events that were asked for"


async def test_the_callee_hears_the_whisper_before_the_bridge(world: World) -> None:
    world.service.answers |= {
        VOICE: '<Dial><Number url="/whisper">+14155550177</Number></Dial>',
        "/whisper": '<Gather numDigits="1" action="/accepted"><Say>Press one to take the call</Say></Gather><Hangup/>',
        "/accepted": "<Say>Connecting</Say>",
    }
    callee(world, "+14155550177", then=Person(script=(Step(wait_s=3), Step(press="1"))))
    leg = world.call()
    await world.until(lambda: leg.is_talking)
    child = child_of(world, leg)
    assert [h.text for h in child.heard] == ["Press one to take the call", "Connecting"]
    assert world.service.at("/accepted")[0]["CallSid"] == child.sid


async def test_the_caller_rings_until_the_bridge_if_asked(world: World) -> None:
    world.service.answers[VOICE] = '<Dial answerOnBridge="true"><Number>+14155550177</Number></Dial>'
    callee(world, "+14155550177", after_s=7)
    leg = world.call()
    await world.clock.advance(6)
    assert leg.status == "ringing"
    await world.clock.advance(2)
    assert (leg.status, leg.is_talking) == ("in-progress", True)


async def test_what_is_not_played_is_said_by_name(world: World) -> None:
    world.service.answers[VOICE] = "<Dial><Queue>support</Queue></Dial>"
    leg = world.call()
    await world.over(leg)
    (error,) = [e for e in world.exchange.journal.since(kind="error", sid=leg.sid) if e["code"] == 12200]
    assert "<Queue>" in error["why"]


@pytest.mark.parametrize("address", ["+14155550177", "sip:ben@pbx.example.com"])
async def test_who_is_asked_for_a_key_presses_it(world: World, address: str) -> None:
    ask = f'<Gather action="{world.service.url}/key" numDigits="1" timeout="4"><Say>Press 1.</Say></Gather><Hangup/>'
    leg = world.exchange.call_out("+14155550199", address, Inline(f"<Response>{ask}</Response>"))
    await world.over(leg)
    (asked,) = world.service.at("/key")
    assert (asked["Digits"], asked["To"], asked["Direction"]) == ("1", address, "outbound-api")


async def test_a_box_for_messages_presses_nothing(world: World) -> None:
    world.exchange.callees.describe("+14155550177", BOX)
    ask = f'<Gather action="{world.service.url}/key" numDigits="1" timeout="4"><Say>Press 1.</Say></Gather><Hangup/>'
    leg = world.exchange.call_out("+14155550199", "+14155550177", Inline(f"<Response>{ask}</Response>"))
    await world.over(leg)
    assert (world.service.at("/key"), leg.status, leg.is_asked) == ([], "completed", False)
