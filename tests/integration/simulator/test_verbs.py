"""What each verb does to a call."""

import time
from datetime import timedelta

import pytest

from tests.integration.simulator.service import World, twiml

VOICE = "/twilio/voice"


def heard(world: World, sid: str) -> list[str]:
    return [entry["text"] for entry in world.exchange.journal.since(kind="heard", sid=sid)]


async def test_the_end_of_the_document_hangs_up(world: World) -> None:
    world.service.answers[VOICE] = "<Say>Hello</Say><Play>a.mp3</Play>"
    leg = world.call()
    await world.over(leg)
    assert (leg.status, heard(world, leg.sid)) == ("completed", ["Hello", "a.mp3"])


@pytest.mark.parametrize(
    ("verbs", "status"),
    [
        ("<Reject/>", "no-answer"),
        ('<Reject reason="busy"/>', "busy"),
        ("<Say>Hi</Say><Reject/>", "completed"),
        ('<Pause length="3"/><Reject reason="busy"/>', "busy"),
        ("<Hangup/>", "completed"),
    ],
)
async def test_reject_leaves_a_call_unanswered_only_as_the_first_verb(world: World, verbs: str, status: str) -> None:
    world.service.answers[VOICE] = verbs
    leg = world.call()
    await world.over(leg)
    assert (leg.status, leg.is_answered) == (status, status == "completed")
    assert world.service.at("/twilio/status")[0]["CallStatus"] == status


async def test_relative_urls_resolve_against_the_document_they_stand_in(world: World) -> None:
    world.service.answers |= {
        VOICE: "<Redirect>menu/main?x=1</Redirect>",
        "/twilio/menu/main": "<Redirect>../done</Redirect>",
        "/twilio/done": "<Redirect>/root</Redirect>",
    }
    await world.over(world.call())
    assert [a.path for a in world.service.asked][:4] == [VOICE, "/twilio/menu/main", "/twilio/done", "/root"]


async def test_a_redirect_loop_ends(world: World) -> None:
    world.service.answers[VOICE] = f"<Redirect>{VOICE}</Redirect>"
    leg = world.call()
    await world.over(leg)
    assert leg.is_over
    assert len(world.service.at(VOICE)) <= 102


async def test_gather_sends_the_digits_typed(world: World) -> None:
    world.service.answers[VOICE] = '<Gather numDigits="2" action="/picked"><Say>Type two digits, please</Say></Gather>'
    leg = world.call()
    await world.clock.advance(1)
    leg.press("42")
    await world.over(leg)
    assert world.service.at("/picked")[0]["Digits"] == "42"


async def test_gather_ends_with_the_finish_key_or_a_pause(world: World) -> None:
    world.service.answers[VOICE] = '<Gather action="/picked" timeout="3"/>'
    for typed in ("123#", "77", "#"):
        leg = world.call()
        await world.clock.advance(1)
        leg.press(typed)
        await world.over(leg)
    assert [a["Digits"] for a in world.service.at("/picked")] == ["123", "77", ""]


async def test_gather_without_input_goes_on_with_the_document(world: World) -> None:
    world.service.answers[VOICE] = '<Gather action="/picked"><Say>Press</Say></Gather><Say>Nothing then</Say>'
    leg = world.call()
    await world.over(leg)
    assert heard(world, leg.sid) == ["Press", "Nothing then"]
    assert world.service.at("/picked") == []


async def test_gather_may_report_that_nothing_came(world: World) -> None:
    world.service.answers[VOICE] = '<Gather action="/picked" actionOnEmptyResult="true"/>'
    await world.over(world.call())
    assert world.service.at("/picked")[0]["Digits"] == ""


async def test_gather_hears_speech_when_it_asks_for_it(world: World) -> None:
    world.service.answers[VOICE] = '<Gather input="dtmf speech" action="/heard"/>'
    leg = world.call()
    leg.say("my invoice is wrong")
    await world.over(leg)
    (asked,) = world.service.at("/heard")
    assert (asked["SpeechResult"], asked["Confidence"]) == ("my invoice is wrong", "0.9")


async def test_digits_typed_before_the_question_do_not_count(world: World) -> None:
    world.service.answers[VOICE] = '<Say>A greeting of some length</Say><Gather numDigits="1" action="/picked"/>'
    leg = world.call()
    await world.clock.advance(1)
    leg.press("9")
    await world.over(leg)
    assert world.service.at("/picked") == []


async def test_without_an_action_gather_asks_its_own_document(world: World) -> None:
    world.service.answers[VOICE] = ["<Gather numDigits='1'/>", "<Say>Thanks</Say>"]
    leg = world.call()
    await world.clock.advance(1)
    leg.press("1")
    await world.over(leg)
    assert world.service.at(VOICE)[1]["Digits"] == "1"


# Enqueue


def enqueue(action: str = ' action="/done"') -> str:
    return f'<Enqueue{action} waitUrl="/wait">support</Enqueue>'


async def test_ten_minutes_in_the_queue_take_milliseconds(world: World) -> None:
    world.service.answers |= {VOICE: enqueue(), "/wait": '<Say>Soon</Say><Pause length="30"/>'}
    began, leg = time.monotonic(), world.call()
    await world.clock.advance(600)
    assert leg.queue_name == "support"
    waits = world.service.at("/wait")
    assert 19 <= len(waits) <= 21
    assert [w["QueueTime"] for w in waits[:3]] == ["0", "30", "60"]
    first = waits[0].fields
    assert (first["QueuePosition"], first["CurrentQueueSize"], first["MaxQueueSize"]) == ("1", "1", "1000")
    assert first["CallStatus"] == "in-progress"
    assert all(w.is_signed for w in waits)
    assert time.monotonic() - began < 5


async def test_positions_move_up_when_somebody_leaves(world: World) -> None:
    world.service.answers |= {VOICE: enqueue(), "/wait": '<Pause length="10"/>'}
    first, second = world.call(), world.call()
    await world.clock.advance(15)
    first.leave()
    await world.clock.advance(14)
    positions = [w["QueuePosition"] for w in world.service.at("/wait") if w["CallSid"] == second.sid]
    assert positions == ["2", "2", "1"]
    assert world.service.at("/wait")[-1]["AvgQueueTime"] == "15"


async def test_who_hangs_up_in_the_queue_is_reported_to_the_action(world: World) -> None:
    world.service.answers |= {VOICE: enqueue(), "/wait": '<Pause length="10"/>'}
    leg = world.call()
    await world.clock.advance(25)
    leg.leave()
    await world.over(leg)
    (done,) = world.service.at("/done")
    assert (done["QueueResult"], done["QueueTime"], done["CallStatus"]) == ("hangup", "25", "completed")
    assert world.service.at("/twilio/status")[0]["CallStatus"] == "completed"


async def test_leave_goes_to_the_action_or_on_with_the_document(world: World) -> None:
    world.service.answers |= {
        VOICE: [enqueue(), enqueue(action="") + "<Say>After the queue</Say>"],
        "/wait": "<Say>Bye</Say><Leave/>",
        "/done": "<Say>Left</Say>",
    }
    for said in (["Bye", "Left"], ["Bye", "After the queue"]):
        leg = world.call()
        await world.over(leg)
        assert heard(world, leg.sid) == said
    assert [d["QueueResult"] for d in world.service.at("/done")] == ["leave"]


async def test_the_wait_document_may_ask_for_a_digit(world: World) -> None:
    world.service.answers |= {
        VOICE: enqueue(),
        "/wait": '<Gather numDigits="1" action="/choice" timeout="20"><Say>One for a call back</Say></Gather>',
        "/choice": "<Leave/>",
        "/done": "<Say>We call you</Say>",
    }
    leg = world.call()
    await world.clock.advance(5)
    leg.press("1")
    await world.over(leg)
    assert world.service.at("/choice")[0]["Digits"] == "1"
    assert heard(world, leg.sid)[-1] == "We call you"


async def test_a_broken_wait_document_ends_the_wait_with_an_error(world: World) -> None:
    world.service.answers |= {VOICE: enqueue(), "/wait": "<Dial>+1</Dial>", "/done": "<Say>Sorry</Say>"}
    leg = world.call()
    await world.over(leg)
    assert world.service.at("/done")[0]["QueueResult"] == "error"
    assert heard(world, leg.sid) == ["Sorry"]


async def test_a_full_queue_is_said_at_once(world: World) -> None:
    world.service.answers |= {
        VOICE: '<Enqueue action="/done" waitUrl="/wait" maxQueueSize="1">small</Enqueue>',
        "/wait": '<Pause length="60"/>',
    }
    world.call()
    await world.clock.advance(1)
    late = world.call()
    await world.over(late)
    assert [(d["CallSid"], d["QueueResult"]) for d in world.service.at("/done")] == [(late.sid, "queue-full")]


async def test_an_empty_wait_document_is_not_asked_for_in_a_tight_loop(world: World) -> None:
    world.service.answers |= {VOICE: enqueue(), "/wait": ""}
    world.call()
    await world.clock.advance(20)
    assert len(world.service.at("/wait")) <= 21


async def test_a_wait_document_may_point_to_the_next(world: World) -> None:
    world.service.answers |= {
        VOICE: enqueue(),
        "/wait": "<Redirect>/music</Redirect>",
        "/music": '<Play loop="2">a.mp3</Play>',
    }
    leg = world.call()
    start = world.clock.now()
    await world.until(lambda: len(world.service.at("/wait")) == 3)
    assert world.clock.now() - start == timedelta(seconds=20)
    assert leg.queue_name == "support"


async def test_plain_text_is_read_aloud(world: World) -> None:
    response = twiml("")
    response.content_type, response.text = "text/plain", "Hello there"
    world.service.answers[VOICE] = response
    leg = world.call()
    await world.over(leg)
    assert heard(world, leg.sid) == ["Hello there"]
