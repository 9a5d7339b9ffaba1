"""Waiting: the wait document, and every way out of the parking queue."""

import pytest

from cti.twilio_voice import EMPTY
from tests.integration.cti.payloads import new_sid, of_leg, queue_done, standard
from tests.stack import CHINESE, GERMAN, NO_CALLBACKS, Stack


async def test_wait_document_says_the_place_in_the_callers_own_queue(stack: Stack) -> None:
    await stack.agent("ava", is_available=False)
    await stack.rows("UPDATE agents SET presence = 'break', presence_since = now() RETURNING 1")
    await stack.rows("UPDATE agent_intervals SET state = 'break' RETURNING 1")
    await stack.rows(
        "INSERT INTO desk_connections (replica, sid, agent_id, lease_until) "
        "SELECT 'test', id::text, id, now() + interval '1 hour' FROM agents RETURNING 1"
    )
    legs = [await stack.dial(f"+1415555010{n}") for n in range(3)]
    other = await stack.dial("+4930123456", GERMAN)
    said = [(await stack.hook("/twilio/queue/wait", of_leg(leg))).text for leg in (*legs, other)]
    assert "You are next in line" in said[0]
    assert "You are number 2 in line" in said[1]
    assert "You are number 3 in line" in said[2]
    assert "Sie sind als Nächstes an der Reihe" in said[3]
    assert all(document.count("<Pause") == 1 for document in said)
    legs[0].leave()
    await stack.quiet()
    assert "You are next in line" in (await stack.hook("/twilio/queue/wait", of_leg(legs[1]))).text


async def test_wait_document_says_that_nobody_is_there(stack: Stack) -> None:
    leg = await stack.dial(to=CHINESE)
    answer = await stack.hook("/twilio/queue/wait", of_leg(leg))
    assert "目前没有空闲的客服" in answer.text


async def test_wait_document_says_how_long_others_waited_where_there_is_something_to_say(stack: Stack) -> None:
    await stack.agent("ava", is_available=True)
    await stack.rows("UPDATE agents SET presence = 'break', presence_since = now() RETURNING 1")
    await stack.rows("UPDATE agent_intervals SET state = 'break' RETURNING 1")
    leg = await stack.dial()

    async def said(queue_time: int) -> str:
        return (await stack.hook("/twilio/queue/wait", of_leg(leg, QueueTime=str(queue_time)))).text

    assert "Most callers" not in await said(0)
    for wait_s in (60, 100, 130, 200, 230):
        await stack.rows(
            "INSERT INTO stints (work_item_id, call_id, queue, entered_at, left_at, connected_at, outcome, within_s, target, short_abandon_s, zone) "
            "SELECT 1000000 + $1, 1000000 + $1, 'support', now() - interval '30 minutes', at, at, 'answered', 20, 0.8, 5, 'UTC' "
            "FROM (SELECT now() - interval '30 minutes' + make_interval(secs => $1) AS at) x RETURNING 1",
            wait_s,
        )
    assert "waited 1 to 4 minutes" in await said(0)
    assert "Most callers" not in await said(20), "not with each round"
    assert "waited 1 to 4 minutes" in await said(60)
    assert "Most callers" not in await said(240), "nothing is promised to who has waited longer"


async def test_wait_document_of_a_call_we_do_not_know_is_quiet(stack: Stack) -> None:
    answer = await stack.hook("/twilio/queue/wait", standard(new_sid()))
    assert (answer.status, "<Say" in answer.text, "<Pause" in answer.text) == (200, False, True)
    assert await stack.count("calls") == 0


async def test_caller_hears_greeting_and_place_in_real_time_order(stack: Stack) -> None:
    leg = await stack.dial(to=GERMAN)
    await stack.pass_time(40)
    said = [heard.text for heard in leg.heard]
    assert said[0].startswith("Willkommen")
    assert len(said) >= 3
    assert all("niemand frei" in text for text in said[1:])
    leg.leave()
    await stack.quiet()
    assert (await stack.call(leg.sid))["outcome"] == "abandoned_queue"


@pytest.mark.parametrize("is_after_callback", [False, True])
async def test_caller_who_gives_up_is_counted_once(stack: Stack, is_after_callback: bool) -> None:
    leg = await stack.dial(faults=None if is_after_callback else NO_CALLBACKS)
    if is_after_callback:
        leg.leave()
        await stack.quiet()
    fields = queue_done(leg.sid, "hangup", status="completed")
    answer = await stack.hook("/twilio/queue/done", fields)
    assert (answer.status, answer.content_type) == (200, "text/xml")
    await stack.quiet()
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"], call["ended_by"]) == ("closed", "abandoned_queue", "customer")
    assert await stack.value("SELECT state FROM work_items") == "abandoned"
    assert await stack.value("SELECT count(*) FROM events WHERE name = 'call.ended'") == 1
    assert await stack.value("SELECT count(*) FROM stints WHERE outcome = 'abandoned'") == 1


async def test_end_of_the_leg_while_queued_is_an_abandoned_call(stack: Stack) -> None:
    """Only the number's own callback comes: the caller left during the greeting."""
    leg = await stack.dial()
    leg.leave()
    await stack.quiet()
    assert (await stack.call(leg.sid))["outcome"] == "abandoned_queue"


async def test_results_of_our_own_doing_change_nothing(stack: Stack) -> None:
    leg = await stack.dial(faults=NO_CALLBACKS)
    before = dict(await stack.call(leg.sid))
    for result in ("redirected", "redirected-from-bridged", "bridged", "bridging-in-process", "unheard-of", ""):
        answer = await stack.hook("/twilio/queue/done", queue_done(leg.sid, result))
        assert (answer.status, answer.text) == (200, EMPTY), result
    assert dict(await stack.call(leg.sid)) == before


async def test_leave_that_nobody_asked_for_puts_the_caller_back(stack: Stack) -> None:
    leg = await stack.dial(faults=NO_CALLBACKS)
    before = dict(await stack.call(leg.sid))
    answer = await stack.hook("/twilio/queue/done", queue_done(leg.sid, "leave"))
    assert "<Enqueue" in answer.text
    assert "<Say" not in answer.text
    assert dict(await stack.call(leg.sid)) == before


async def test_who_is_let_go_hears_that_we_call_back_and_is_counted_once(stack: Stack) -> None:
    """The queue empties itself: its next wait document lets the caller leave, and the way out ends with a word."""
    await stack.rows("UPDATE queues SET max_waiting = 0 RETURNING 1")
    leg = await stack.dial(to=GERMAN)
    await stack.pass_time(60)
    said = [heard.text for heard in leg.heard]
    assert said[0].startswith("Willkommen")
    assert said[1].startswith("Wir können Ihren Anruf gerade nicht annehmen")
    assert len(said) == 2
    assert leg.is_over
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"], call["ended_by"]) == ("closed", "deflected", "system")
    assert await stack.rows("SELECT state, end_reason FROM work_items") == [("diverted", "deflected")]
    assert await stack.value("SELECT state FROM tickets") == "new"
    assert await stack.value("SELECT count(*) FROM events WHERE name = 'call.ended'") == 1
    voice = await stack.hook("/twilio/voice?r=1", standard(leg.sid, to=GERMAN))
    assert "rufen Sie zurück" in voice.text


async def test_who_was_let_go_at_once_and_had_hung_up_before_is_counted_once(stack: Stack) -> None:
    await stack.rows("UPDATE queues SET max_waiting = 0 RETURNING 1")
    sid = new_sid()
    await stack.hook("/twilio/voice", {**standard(sid, to=GERMAN), "CallStatus": "completed"})
    await stack.quiet()
    call = await stack.call(sid)
    assert (call["state"], call["outcome"]) == ("closed", "deflected")
    assert await stack.value("SELECT state FROM work_items") == "diverted"
    assert await stack.value("SELECT count(*) FROM events WHERE name = 'call.ended'") == 1


async def test_queue_that_refuses_is_tried_again_three_times(stack: Stack) -> None:
    for result in ("error", "system-error", "queue-full"):
        sid, path = new_sid(), "/twilio/queue/done"
        await stack.hook("/twilio/voice", standard(sid, to=GERMAN))
        fields = queue_done(sid, result, waited_s=0, to=GERMAN)
        for tries in (1, 2, 3):
            answer = await stack.hook(path, fields)
            assert "etwas ist schiefgegangen" in answer.text
            assert f"/twilio/queue/done?r={tries}" in answer.text
            path = f"/twilio/queue/done?r={tries}"
            assert (await stack.call(sid))["state"] == "queued"
        last = await stack.hook(path, fields)
        assert "<Hangup" in last.text
        assert "<Enqueue" not in last.text
        call = await stack.call(sid)
        assert (call["outcome"], call["ended_by"]) == ("failed", "system")


async def test_queue_that_held_the_caller_for_a_while_starts_counting_anew(stack: Stack) -> None:
    leg = await stack.dial(faults=NO_CALLBACKS)
    answer = await stack.hook("/twilio/queue/done?r=3", queue_done(leg.sid, "error", waited_s=400))
    assert "/twilio/queue/done?r=1" in answer.text


async def test_error_of_a_caller_who_has_left_is_the_end(stack: Stack) -> None:
    """`system-error` also comes when the caller leaves while being put into the queue."""
    leg = await stack.dial(faults=NO_CALLBACKS)
    await stack.hook("/twilio/queue/done", queue_done(leg.sid, "system-error", status="completed"))
    assert (await stack.call(leg.sid))["outcome"] == "abandoned_queue"


async def test_full_queue_at_the_provider_reaches_the_callers_ear(stack: Stack) -> None:
    stack.exchange.queue("ringdesk", max_size=1)
    first, second = await stack.dial(), await stack.dial("+14155550177")
    await stack.pass_time(120)
    assert not first.is_over
    assert second.is_over
    assert second.heard[-1].text.startswith("We could not connect you")
    assert (await stack.call(second.sid))["outcome"] == "failed"
    assert await stack.count("tickets") == 2


async def test_same_caller_again_has_the_same_place_and_ticket(stack: Stack) -> None:
    """A wait document that cannot be fetched, a fallback: the call comes back to the first door."""
    leg = await stack.dial(faults=NO_CALLBACKS)
    before = await stack.call(leg.sid)
    failed = of_leg(leg, ErrorCode="11200", ErrorUrl=f"{stack.url}/twilio/queue/wait")
    assert "<Enqueue" in (await stack.hook("/twilio/voice/fallback", failed)).text
    assert dict(await stack.call(leg.sid)) == dict(before)
    assert await stack.count("tickets") == 1


async def test_unknown_number_is_answered_like_the_first(stack: Stack) -> None:
    leg = await stack.dial(to="+14155559999")
    assert leg.heard[0].text.startswith("Welcome")
    call = await stack.call(leg.sid)
    assert (call["queue"], call["to_number"]) == ("support", "+14155559999")
