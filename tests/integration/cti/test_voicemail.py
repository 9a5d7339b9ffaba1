"""Voicemail: every way to the recorder and what comes of it, with the callbacks in any order, twice, or not at all."""

import itertools
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from app.apply import apply
from app.org import OrgFile
from simulator.config import Faults
from simulator.provider.leg import Leg
from simulator.provider.recording import Recording
from tests.builders import a_customer
from tests.integration.cti.payloads import new_sid, of_leg, queue_done, standard, status_callback
from tests.integration.cti.test_commands import sweep
from tests.stack import ACCOUNT, CALLER, GERMAN, ORG, SUPPORT, Fault, Stack

NOTHING_TOLD: Final = Faults(drop=1, only=("/twilio/status", "/twilio/recording"))
SPOKEN: Final = "x" * 90
"""Six seconds."""


async def configure(stack: Stack, *, queue: dict[str, Any] | None = None, **number: Any) -> None:
    """The numbers take messages; the first queue lets go of its callers as said."""
    org = {
        **ORG,
        "queues": [{**ORG["queues"][0], "overflow": queue or {}}, *ORG["queues"][1:]],
        "numbers": [{**each, "voicemail": {"key": "2"}, **number} for each in ORG["numbers"]],
    }
    async with stack.parts.resources.outbox.transaction() as tx:
        await apply(tx, OrgFile.model_validate(org), by="test")
    await stack.parts.telephony.lines.refresh(stack.parts.resources.database)


async def at_the_beep(stack: Stack, to: str = SUPPORT, *, faults: Faults | None = None) -> Leg:
    """A caller who has asked for the recorder, and hears it listen."""
    leg = await stack.dial(to=to, faults=faults)
    await stack.pass_time(14)
    leg.press("2")
    assert await stack.until(lambda: any("tone" in h.text or "Signalton" in h.text for h in leg.heard))
    await stack.pass_time(8)
    return leg


async def outcome(stack: Stack, sid: str) -> tuple[str, str | None]:
    call = await stack.call(sid)
    return call["state"], call["outcome"]


async def messages(stack: Stack) -> list[Any]:
    return await stack.rows("SELECT * FROM voicemails ORDER BY id")


def message_fields(sid: str, recording_sid: str, *, seconds: int = 6, **more: str) -> dict[str, str]:
    """Of the action of <Record>."""
    return standard(
        sid, status="in-progress", RecordingSid=recording_sid, RecordingDuration=str(seconds),
        RecordingUrl=f"https://api.example.com/{recording_sid}", **more,
    )  # fmt: skip


def recorded_fields(sid: str, recording_sid: str, status: str = "completed", seconds: int = 6) -> dict[str, str]:
    return {
        "AccountSid": ACCOUNT, "CallSid": sid, "RecordingSid": recording_sid, "RecordingStatus": status,
        "RecordingDuration": str(seconds), "RecordingSource": "RecordVerb",
    }  # fmt: skip


async def recording_caller(stack: Stack) -> str:
    """At the recorder by hand-made webhooks: nothing is told but what the test tells. Returns the CallSid."""
    sid = new_sid()
    await stack.hook("/twilio/voice", standard(sid))
    assert "<Leave" in (await stack.hook("/twilio/queue/wait", standard(sid, status="in-progress", Digits="2"))).text
    assert "<Record" in (await stack.hook("/twilio/queue/done", queue_done(sid, "leave"))).text
    assert await outcome(stack, sid) == ("voicemail", None)
    return sid


# --- from key to ticket ----------------------------------------------------------------------------------------------


async def test_a_key_pressed_while_waiting_leads_to_a_message_in_the_ticket(stack: Stack) -> None:
    await configure(stack)
    async with stack.parts.resources.outbox.transaction() as tx:
        await a_customer(tx, phone=CALLER)
    leg = await at_the_beep(stack)
    assert any("To leave a message instead, press 2" in heard.text for heard in leg.heard)
    assert await outcome(stack, leg.sid) == ("voicemail", None)
    assert await stack.rows("SELECT state, end_reason FROM work_items") == [("diverted", "voicemail")]
    leg.say(SPOKEN)
    await stack.until(lambda: leg.is_over)
    assert leg.heard[-1].text.startswith("Thank you. We have your message")
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"], call["recorder_reason"]) == ("closed", "voicemail", "asked")
    (message,) = await messages(stack)
    assert (message["call_id"], message["duration_s"], message["is_ready"]) == (call["id"], 6, True)
    (ticket_id,) = await stack.rows("SELECT ticket_id FROM ticket_calls WHERE call_id = $1", call["id"])
    told = await stack.rows("SELECT kind, data FROM ticket_history WHERE ticket_id = $1 ORDER BY id", ticket_id[0])
    kinds = [row["kind"] for row in told]
    assert kinds.count("voicemail_left") == 1
    assert told[kinds.index("voicemail_left")]["data"] == {
        "call_id": call["id"], "voicemail_id": message["id"], "duration_s": 6,
    }  # fmt: skip
    assert await stack.value("SELECT state FROM tickets") == "new", "somebody has to hear it"
    assert await stack.rows("SELECT outcome, overflow_reason FROM stints") == [("overflowed", "voicemail")]


async def test_who_rings_somebody_and_asks_for_the_recorder_is_taken_from_there(stack: Stack) -> None:
    await configure(stack)
    ava = await stack.agent("ava")
    leg = await stack.dial()
    offer_id = await ava.offer()
    await stack.hook("/twilio/queue/wait", of_leg(leg, Digits="2"))
    status, problem = await ava.ask("POST", f"/offers/{offer_id}/accept")
    assert (status, problem["code"]) == (409, "caller_left")
    assert await stack.value("SELECT used_units FROM agents WHERE id = $1", ava.id) == 0
    assert await outcome(stack, leg.sid) == ("voicemail", None)


async def test_another_key_and_a_number_without_voicemail_change_nothing(stack: Stack) -> None:
    await configure(stack)
    leg = await stack.dial()
    assert "<Leave" not in (await stack.hook("/twilio/queue/wait", of_leg(leg, Digits="3"))).text
    await configure(stack, voicemail=None)
    answer = await stack.hook("/twilio/queue/wait", of_leg(leg, Digits="2"))
    assert "<Leave" not in answer.text
    assert "<Gather" not in answer.text
    assert await outcome(stack, leg.sid) == ("queued", None)


@pytest.mark.parametrize("is_full", [True, False])
async def test_a_queue_lets_go_to_the_recorder(stack: Stack, is_full: bool) -> None:
    await configure(stack, queue={**({"max_waiting": 1} if is_full else {"max_wait_s": 60}), "voicemail": True})
    first = await stack.dial()
    if is_full:
        leg = await stack.dial("+14155550177")
    else:
        leg = first
        await stack.rows(
            "WITH earlier AS (SELECT now() - interval '61 seconds' AS at), s AS (UPDATE stints SET entered_at = at FROM earlier) "
            "UPDATE work_items SET entered_at = at, virtual_start = at FROM earlier RETURNING 1"
        )
        await stack.parts.dispatcher._sweep_once()
        await stack.quiet()
    assert await outcome(stack, leg.sid) == ("voicemail", None)
    reason = "full" if is_full else "too_long"
    assert (await stack.call(leg.sid))["recorder_reason"] == reason
    leg.say(SPOKEN)
    await stack.until(lambda: leg.is_over)
    assert await outcome(stack, leg.sid) == ("closed", "voicemail")
    assert await stack.rows("SELECT outcome, overflow_reason FROM stints WHERE outcome IS NOT NULL") == [("overflowed", reason)]  # fmt: skip


@pytest.mark.parametrize("to_recorder", [True, False])
async def test_who_is_let_go_before_they_are_back_in_line_is_fetched_from_the_empty_conference(
    stack: Stack, to_recorder: bool
) -> None:
    """The provider is away for so long that the queue lets go of a caller who still sits where nobody came."""
    await configure(stack, queue={"max_wait_s": 60, "voicemail": to_recorder})
    ava, leg = await stack.agent("ava"), await stack.dial()
    await ava.accept(await ava.offer())
    stack.wire.is_down = True
    await stack.fire("cti.connect")
    for _ in range(3):
        await sweep(stack)
    assert await outcome(stack, leg.sid) == ("queued", None)
    assert leg.seat is not None
    await stack.rows(
        "WITH earlier AS (SELECT now() - interval '61 seconds' AS at), s AS (UPDATE stints SET entered_at = at FROM earlier WHERE left_at IS NULL) "
        "UPDATE work_items SET entered_at = at, virtual_start = at FROM earlier RETURNING 1"
    )
    await stack.parts.dispatcher._sweep_once()
    assert await outcome(stack, leg.sid) == (("voicemail", None) if to_recorder else ("closed", "deflected"))
    stack.wire.is_down = False
    await sweep(stack)
    if not to_recorder:
        await stack.until(lambda: leg.is_over)
        assert leg.heard[-1].text.startswith("We cannot take your call right now")
        return
    assert await stack.until(lambda: any("Please leave a message" in heard.text for heard in leg.heard))
    assert leg.seat is None
    await stack.pass_time(8)
    leg.say(SPOKEN)
    await stack.until(lambda: leg.is_over)
    assert await outcome(stack, leg.sid) == ("closed", "voicemail")


async def test_edge_case_11_a_parking_queue_that_takes_nobody_leaves_the_recorder(stack: Stack) -> None:
    await configure(stack)
    sid, path = new_sid(), "/twilio/queue/done"
    await stack.hook("/twilio/voice", standard(sid, to=GERMAN))
    for tries in (1, 2, 3):
        assert "<Enqueue" in (await stack.hook(path, queue_done(sid, "queue-full", waited_s=0, to=GERMAN))).text
        path = f"/twilio/queue/done?r={tries}"
    last = await stack.hook(path, queue_done(sid, "queue-full", waited_s=0, to=GERMAN))
    assert "Wir konnten Sie leider nicht verbinden" in last.text
    assert "<Record" in last.text
    assert (await stack.call(sid))["recorder_reason"] == "refused"
    await stack.hook("/twilio/voicemail/done", message_fields(sid, new_sid("RE"), to=GERMAN))
    await stack.quiet()
    assert await outcome(stack, sid) == ("closed", "voicemail")
    assert await stack.rows("SELECT overflow_reason FROM stints") == [("refused",)]


# --- what comes of it ------------------------------------------------------------------------------------------------


async def test_edge_case_35_action_and_callback_in_any_order_and_twice_make_one_item(stack: Stack) -> None:
    await configure(stack)
    for order in itertools.permutations(("done", "recorded", "status")):
        sid, recording = await recording_caller(stack), new_sid("RE")
        for which in (*order, *order):
            if which == "done":
                await stack.hook("/twilio/voicemail/done", message_fields(sid, recording, Digits="hangup"))
            elif which == "recorded":
                assert (await stack.hook("/twilio/recording", recorded_fields(sid, recording))).status == 204
            else:
                await stack.hook("/twilio/status", status_callback(sid))
            await stack.quiet()
        assert await outcome(stack, sid) == ("closed", "voicemail"), order
        rows = await stack.rows("SELECT is_ready FROM voicemails WHERE call_sid = $1", sid)
        assert [row["is_ready"] for row in rows] == [True], order
        count = "SELECT count(*) FROM events WHERE name = $1 AND (body ->> 'call_id')::bigint = (SELECT id FROM calls WHERE sid = $2)"
        assert await stack.value(count, "voicemail.left", sid) == 1, order
        assert await stack.value(count, "call.ended", sid) == 1, order


async def test_edge_case_35_empty_or_absent_is_a_missed_call(stack: Stack) -> None:
    await configure(stack)
    nothing_heard, absent, empty = [await recording_caller(stack) for _ in range(3)]
    answer = await stack.hook("/twilio/voicemail/done", standard(nothing_heard, status="in-progress"))
    assert "We did not hear a message" in answer.text
    await stack.hook("/twilio/recording", recorded_fields(absent, new_sid("RE"), "absent", 0))
    await stack.hook("/twilio/voicemail/done", message_fields(empty, new_sid("RE"), seconds=0))
    await stack.quiet()
    for sid in (nothing_heard, absent, empty):
        assert await outcome(stack, sid) == ("closed", "abandoned_queue")
    assert await messages(stack) == []


async def test_who_says_nothing_hears_so(stack: Stack) -> None:
    await configure(stack)
    leg = await at_the_beep(stack, GERMAN)
    await stack.until(lambda: leg.is_over)
    assert leg.heard[-1].text.startswith("Wir haben keine Nachricht gehört")
    assert await outcome(stack, leg.sid) == ("closed", "abandoned_queue")


async def test_a_second_recording_of_the_call_is_a_second_item(stack: Stack) -> None:
    await configure(stack)
    sid = await recording_caller(stack)
    for _ in range(2):
        await stack.hook("/twilio/recording", recorded_fields(sid, new_sid("RE")))
    await stack.quiet()
    assert len(await messages(stack)) == 2
    assert await stack.value("SELECT count(*) FROM ticket_history WHERE kind = 'voicemail_left'") == 2


@pytest.mark.parametrize("state", ["pending_customer", "resolved", "closed"])
async def test_a_message_opens_a_ticket_that_was_done(stack: Stack, state: str) -> None:
    await configure(stack)
    sid = await recording_caller(stack)
    await stack.hook("/twilio/voicemail/done", standard(sid, status="in-progress"))
    await stack.quiet()
    done = {"resolved": "resolved_at = now()", "closed": "closed_at = now(), close_reason = 'by_hand'"}
    await stack.rows(f"UPDATE tickets SET state = $1, {done.get(state, 'resolved_at = NULL')} RETURNING 1", state)
    await stack.hook("/twilio/recording", recorded_fields(sid, new_sid("RE")))
    await stack.quiet()
    assert await stack.rows("SELECT state, closed_at FROM tickets") == [("open", None)], "somebody has to hear it"


async def test_who_was_let_go_to_the_recorder_and_says_nothing_has_not_given_up_at_once(stack: Stack) -> None:
    await configure(stack, queue={"max_waiting": 1, "voicemail": True})
    await stack.dial()
    leg = await stack.dial("+14155550177")
    await stack.until(lambda: leg.is_over)
    await stack.quiet()
    assert await outcome(stack, leg.sid) == ("closed", "abandoned_queue")
    ticket = "SELECT t.state FROM tickets t JOIN ticket_calls c ON c.ticket_id = t.id JOIN calls k ON k.id = c.call_id WHERE k.sid = $1"
    assert await stack.value(ticket, leg.sid) == "new", "a missed call is somebody's work"


async def test_other_recordings_are_no_messages(stack: Stack) -> None:
    await configure(stack)
    sid = await recording_caller(stack)
    fields = recorded_fields(sid, new_sid("RE")) | {"RecordingSource": "Conference"}
    await stack.hook("/twilio/recording", fields)
    await stack.hook("/twilio/recording", recorded_fields(sid, "https://evil.example.com/RE1"))
    await stack.hook("/twilio/recording", recorded_fields(sid, new_sid("RE"), "in-progress", 0))
    assert await messages(stack) == []
    assert await outcome(stack, sid) == ("voicemail", None)


async def test_no_address_of_the_provider_is_kept_but_in_the_webhook(stack: Stack) -> None:
    await configure(stack)
    sid = await recording_caller(stack)
    await stack.hook("/twilio/voicemail/done", message_fields(sid, new_sid("RE")))
    await stack.quiet()
    for table in ("voicemails", "events", "ticket_history", "audit_log"):
        assert await stack.value(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%api.example.com%'") == 0


async def test_the_caller_comes_back_from_an_emergency_to_the_recorder(stack: Stack) -> None:
    await configure(stack)
    sid = await recording_caller(stack)
    assert "<Record" in (await stack.hook("/twilio/voice?r=1", standard(sid, status="in-progress"))).text
    assert "<Leave" in (await stack.hook("/twilio/queue/wait", standard(sid, status="in-progress"))).text


# --- nobody tells ------------------------------------------------------------------------------------------------------


async def test_a_hang_up_leaves_the_call_open_until_the_provider_has_been_asked(stack: Stack) -> None:
    await configure(stack)
    said, silent = await at_the_beep(stack, faults=NOTHING_TOLD), await recording_caller(stack)
    said.party.faults = Faults(drop=1, wrong_signature=1)  # not even the action arrives
    said.say(SPOKEN)
    await stack.pass_time(3)
    said.leave()
    await stack.quiet()
    for sid in (said.sid, silent):
        await stack.hook("/twilio/status", status_callback(sid))
        call = await stack.call(sid)
        assert (call["state"], call["left_at"] is not None) == ("voicemail", True)
    assert await stack.fire("cti.voicemail") == 2
    assert await outcome(stack, said.sid) == ("closed", "voicemail")
    assert await outcome(stack, silent) == ("closed", "abandoned_queue"), "the provider knows of no such call"
    assert (await stack.call(said.sid))["source"] == "reconciled"
    assert await stack.value("SELECT count(*) FROM timers WHERE kind = 'cti.voicemail'") == 0


async def test_a_provider_that_is_away_is_asked_again_and_not_for_ever(stack: Stack) -> None:
    await configure(stack)
    sid = await recording_caller(stack)
    await stack.hook("/twilio/status", status_callback(sid))
    stack.wire.faults.append(Fault("refused", 401, 20003))
    await stack.fire("cti.voicemail")
    assert await outcome(stack, sid) == ("voicemail", None)
    await stack.rows("UPDATE calls SET left_at = left_at - interval '2 hours' RETURNING 1")
    await stack.fire("cti.voicemail")
    assert await outcome(stack, sid) == ("closed", "abandoned_queue")
    assert (await stack.call(sid))["source"] == "timed_out"


async def test_a_provider_that_is_away_has_one_question_waiting(stack: Stack) -> None:
    await configure(stack)
    sid = await recording_caller(stack)
    await stack.hook("/twilio/status", status_callback(sid))
    stack.wire.is_down = True
    for _ in range(3):
        await stack.fire("cti.voicemail")
        await stack.rows("UPDATE provider_commands SET object = object || '_earlier' RETURNING 1")
    assert await stack.rows("SELECT state FROM provider_commands WHERE kind = 'recordings'") == [("unknown",)]
    stack.wire.is_down = False
    await stack.repeat()
    await stack.rows("UPDATE provider_commands SET lease_until = NULL, created_at = created_at - interval '9 s' RETURNING 1")  # fmt: skip
    await stack.parts.commands.sweep_once()
    assert await outcome(stack, sid) == ("closed", "abandoned_queue")


async def test_what_else_was_recorded_of_the_call_is_no_message(stack: Stack) -> None:
    await configure(stack)
    leg = await at_the_beep(stack, faults=NOTHING_TOLD)
    leg.party.faults = Faults(drop=1, wrong_signature=1)
    leg.leave()
    await stack.quiet()
    conversation = Recording(
        new_sid("RE"), leg.sid, ACCOUNT, datetime.now(UTC), 9, source="StartConferenceRecordingAPI"
    )
    stack.exchange.keep_recording(conversation)
    await stack.hook("/twilio/status", status_callback(leg.sid))
    await stack.fire("cti.voicemail")
    assert await outcome(stack, leg.sid) == ("closed", "abandoned_queue")
    assert await messages(stack) == []


async def test_who_still_speaks_is_left_alone(stack: Stack) -> None:
    await configure(stack)
    leg = await at_the_beep(stack)
    leg.say("x" * 1500)
    await stack.pass_time(5)
    await stack.fire("cti.voicemail")
    assert await outcome(stack, leg.sid) == ("voicemail", None)
    assert await stack.value("SELECT count(*) FROM timers WHERE kind = 'cti.voicemail'") == 1
    leg.press("#")
    await stack.until(lambda: leg.is_over)
    assert await outcome(stack, leg.sid) == ("closed", "voicemail")


async def test_the_reconciler_finds_who_hung_up_at_the_recorder(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cti.reconcile.MIN_AGE_S", 0)
    await configure(stack)
    leg = await at_the_beep(stack, faults=NOTHING_TOLD)
    leg.say(SPOKEN)
    await stack.pass_time(2)
    leg.party.faults = Faults(drop=1, wrong_signature=1)
    leg.leave()
    await stack.quiet()
    assert await outcome(stack, leg.sid) == ("voicemail", None)
    reconciler = stack.parts.reconciler
    assert await reconciler.once(min_age_s=0) == 1
    assert await reconciler.once(min_age_s=0) == 0, "known to have left"
    await stack.fire("cti.voicemail")
    assert await outcome(stack, leg.sid) == ("closed", "voicemail")


async def test_a_message_of_a_call_we_do_not_know_gets_its_call_and_ticket(stack: Stack) -> None:
    """As after a backup was put back: the call's row is gone, and its message comes."""
    await configure(stack)
    leg = await at_the_beep(stack, faults=NOTHING_TOLD)
    for table in ("work_items", "stints", "ticket_calls", "tickets", "calls", "events", "timers"):
        await stack.rows(f"DELETE FROM {table} RETURNING 1")
    recording = new_sid("RE")
    await stack.hook("/twilio/recording", recorded_fields(leg.sid, recording))
    assert [row["call_id"] for row in await messages(stack)] == [None]
    assert await stack.parts.reconciler.once() == 0, "the call is still going on"
    leg.leave()
    await stack.quiet()
    await stack.rows("DELETE FROM calls RETURNING 1")
    assert await stack.parts.reconciler.once() >= 1
    await stack.quiet()
    (message,) = await messages(stack)
    call = await stack.call(leg.sid)
    assert (message["call_id"], call["source"], call["queue"]) == (call["id"], "reconciled", None)
    assert await stack.value("SELECT queue FROM tickets") == "support"
    assert await stack.parts.reconciler.once() == 0


async def test_a_message_whose_call_is_found_before_it_is_told_of_again_is_in_a_ticket(stack: Stack) -> None:
    await configure(stack)
    leg = await at_the_beep(stack, faults=NOTHING_TOLD)
    for table in ("work_items", "stints", "ticket_calls", "tickets", "calls", "events", "timers"):
        await stack.rows(f"DELETE FROM {table} RETURNING 1")
    recording = new_sid("RE")
    await stack.hook("/twilio/voicemail/done", message_fields(leg.sid, recording))
    leg.leave()
    await stack.quiet()
    await stack.parts.reconciler._find_unseen()
    call = await stack.call(leg.sid)
    for _ in range(2):
        await stack.hook("/twilio/recording", recorded_fields(leg.sid, recording))
        await stack.quiet()
    (message,) = await messages(stack)
    assert message["call_id"] == call["id"]
    assert await stack.value("SELECT count(*) FROM ticket_calls WHERE call_id = $1", call["id"]) == 1
    assert await stack.value("SELECT count(*) FROM ticket_history WHERE kind = 'voicemail_left'") == 1
