"""The same webhook again: the same answer and nothing new; late, doubled, at once, or long afterwards."""

import asyncio

import pytest

from tests.integration.cti.payloads import new_sid, of_leg, queue_done, standard, status_callback
from tests.stack import NO_CALLBACKS, Stack


async def one_of_each(stack: Stack, sid: str) -> None:
    call = await stack.call(sid)
    assert await stack.count("calls") == 1
    assert await stack.count("tickets") == 1
    assert await stack.value("SELECT count(*) FROM work_items WHERE call_id = $1", call["id"]) == 1
    assert await stack.value("SELECT count(*) FROM legs WHERE call_id = $1", call["id"]) == 1
    assert await stack.value("SELECT count(*) FROM events WHERE name = 'call.queued'") == 1


@pytest.mark.parametrize("token", [None, "0f0c3a56-1111-2222-3333-444455556666"])
async def test_same_webhook_twice_is_one_call(stack: Stack, token: str | None) -> None:
    fields = standard(new_sid())
    first = await stack.hook("/twilio/voice", fields, token=token)
    second = await stack.hook("/twilio/voice", fields, token=token)
    assert first.status == second.status == 200
    assert first.text == second.text
    assert "<Say" in first.text
    assert "<Enqueue" in first.text
    await one_of_each(stack, fields["CallSid"])
    assert await stack.count("provider_events") == 1


async def test_retry_that_alone_carries_a_token_is_still_the_same_call(stack: Stack) -> None:
    fields = standard(new_sid())
    first = await stack.hook("/twilio/voice", fields)
    second = await stack.hook("/twilio/voice", fields, token="on-the-retry-only")
    assert first.text == second.text
    await one_of_each(stack, fields["CallSid"])


async def test_twenty_at_once_are_one_call(stack: Stack) -> None:
    fields = standard(new_sid())
    answers = await asyncio.gather(*(stack.hook("/twilio/voice", fields, token="t") for _ in range(20)))
    assert {(answer.status, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert "<Enqueue" in answers[0].text
    await one_of_each(stack, fields["CallSid"])


async def test_twenty_at_once_with_two_keys_and_two_doors_are_one_call(stack: Stack) -> None:
    fields = standard(new_sid())
    failed = fields | {"ErrorCode": "11200", "ErrorUrl": f"{stack.url}/twilio/voice"}
    answers = await asyncio.gather(
        *(stack.hook("/twilio/voice", fields, token="one") for _ in range(7)),
        *(stack.hook("/twilio/voice", fields, token="two") for _ in range(7)),
        *(stack.hook("/twilio/voice/fallback", failed) for _ in range(6)),
    )
    assert {(answer.status, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert "<Enqueue" in answers[0].text
    await one_of_each(stack, fields["CallSid"])


async def test_two_callers_at_once_are_two_calls_in_one_line(stack: Stack) -> None:
    ends = [standard(new_sid()), standard(new_sid(), from_="+14155550177")]
    await asyncio.gather(*(stack.hook("/twilio/voice", fields) for fields in ends * 3))
    assert await stack.count("calls") == await stack.count("tickets") == await stack.count("work_items") == 2


async def test_doubled_callbacks_change_nothing_more(stack: Stack) -> None:
    leg = await stack.dial(faults=NO_CALLBACKS)
    for fields in (status_callback(leg.sid), status_callback(leg.sid, sequence=1), status_callback(leg.sid, "failed")):
        for _ in range(2):
            assert (await stack.hook("/twilio/status", fields)).status == 204
    await asyncio.gather(*(stack.hook("/twilio/status", status_callback(leg.sid), token=f"{n}") for n in range(6)))
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"]) == ("closed", "abandoned_queue")
    assert await stack.value("SELECT count(*) FROM events WHERE name = 'call.ended'") == 1


async def test_replay_of_an_old_request_is_acknowledged_without_effect(stack: Stack) -> None:
    """A signature holds no time: whoever recorded a request can send it again, also with another token."""
    ava = await stack.agent("ava")
    leg = await stack.dial(faults=NO_CALLBACKS)
    old = of_leg(leg, "ringing")
    first = await stack.hook("/twilio/voice", old)
    await stack.hook("/twilio/queue/done", queue_done(leg.sid, "redirected"))
    call_id, _ = await ava.take()
    ended = status_callback(leg.sid)
    await stack.hook("/twilio/status", ended)
    await ava.ask("POST", f"/calls/{call_id}/wrap-up", {"disposition": None, "note": None})
    before = await stack.call(leg.sid)
    assert before["state"] == "closed"
    assert (await stack.hook("/twilio/voice", old)).text == first.text
    for token in ("a", "b"):
        replayed = await stack.hook("/twilio/voice", old, token=token)
        assert replayed.status == 200
        assert "<Enqueue" not in replayed.text, "a call that is over does not wait in line"
        assert (await stack.hook("/twilio/status", ended, token=token)).status == 204
        done = queue_done(leg.sid, "hangup", status="completed")
        assert (await stack.hook("/twilio/queue/done", done, token=token)).status == 200
    assert dict(await stack.call(leg.sid)) == dict(before)
    assert await stack.count("calls") == await stack.count("tickets") == await stack.count("work_items") == 1


async def test_repeated_results_of_the_line_and_of_dials_get_the_stored_document(stack: Stack) -> None:
    leg = await stack.dial(faults=NO_CALLBACKS)
    refused = queue_done(leg.sid, "queue-full", waited_s=0)
    first = await stack.hook("/twilio/queue/done", refused)
    assert (await stack.hook("/twilio/queue/done", refused)).text == first.text
    assert "/twilio/queue/done?r=1" in first.text
    left = of_leg(leg, "in-progress", DialCallStatus="answered")
    answers = [await stack.hook("/twilio/dial/done?o=1", left) for _ in range(2)]
    assert answers[0].text == answers[1].text


async def test_wait_document_is_never_stored(stack: Stack) -> None:
    leg = await stack.dial()
    before = await stack.count("provider_events")
    for token in ("same", "same"):
        assert (await stack.hook("/twilio/queue/wait", of_leg(leg, QueuePosition="1"), token=token)).status == 200
    assert await stack.count("provider_events") == before
