"""Recording with consent: what callers are told and may decline, pauses that the provider proves, playback, retention."""

from datetime import timedelta
from typing import Any

import pytest

from app import retention
from cti import twilio_api
from cti.service import AGENT_GONE_TIMER
from simulator.provider.leg import Leg
from simulator.provider.recording import LegRecording
from tests.integration.cti import test_hold
from tests.integration.cti.test_commands import sweep
from tests.integration.cti.test_hold import desk_call, hold
from tests.stack import Agent, Fault, Stack

STARTS, CHANGES = "/Recordings.json", "/Recordings/RE"


async def records(stack: Stack, **how: Any) -> None:
    settings = {"decline_key": None, "keep_days": 30, "pause_on_hold": True, **how}
    await stack.rows("UPDATE numbers SET recording = $1 RETURNING 1", settings)
    await stack.parts.telephony.lines.refresh(stack.parts.resources.database)


async def in_call(stack: Stack) -> tuple[Agent, int, Leg, Leg]:
    """The caller has heard everything before the agent accepts."""
    ava = await stack.agent("ava")
    leg = await stack.dial()
    await stack.pass_time(15)
    call_id, phone = await ava.take()
    return ava, call_id, leg, phone


async def talking(stack: Stack, **how: Any) -> tuple[Agent, int, Leg, LegRecording]:
    await records(stack, **how)
    ava, call_id, leg, _ = await in_call(stack)
    return ava, call_id, leg, made(stack)


def made(stack: Stack) -> LegRecording:
    (found,) = stack.exchange.recordings.values()
    assert isinstance(found, LegRecording)
    return found


async def act(stack: Stack, agent: Agent, call_id: int, what: str, *, status: int = 200) -> dict[str, Any]:
    got, answer = await agent.ask("POST", f"/calls/{call_id}/recording/{what}")
    assert got == status, answer
    await stack.quiet()
    return dict(answer)


async def shown(agent: Agent) -> tuple[str, bool, str | None]:
    told = (await desk_call(agent))["recording"]
    return told["state"], told["is_pause_wanted"], told["problem"]


async def test_nothing_is_recorded_or_said_without_the_setting(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    assert stack.exchange.recordings == {}
    assert await stack.count("recordings") == 0
    assert not any("recorded" in heard.text for heard in leg.heard)
    assert (await desk_call(ava))["recording"] is None
    assert (await act(stack, ava, call_id, "pause", status=409))["code"] == "not_recorded"


async def test_caller_is_told_before_and_recorded_from_the_answer_on(stack: Stack) -> None:
    await records(stack)
    ava = await stack.agent("ava")
    leg = await stack.dial()
    await stack.pass_time(12)
    assert "This call will be recorded." in [heard.text for heard in leg.heard]
    assert stack.exchange.recordings == {}, "not in line"
    await ava.take()
    assert made(stack).status == "in-progress"
    assert made(stack).call_sid == leg.sid
    assert await shown(ava) == ("recording", False, None)
    await stack.pass_time(5)
    leg.leave()
    await stack.quiet()
    row = (await stack.rows("SELECT * FROM recordings"))[0]
    assert (row["state"], row["is_ready"], row["sid"]) == ("ended", True, made(stack).sid)
    assert row["duration_s"] >= 5


async def test_caller_is_told_in_the_language_of_the_number(stack: Stack) -> None:
    await records(stack)
    leg = await stack.dial(to="+862155550123")
    await stack.pass_time(12)
    assert "本次通话将被录音。" in [heard.text for heard in leg.heard]


async def test_caller_who_declines_is_not_recorded_and_keeps_the_place(stack: Stack) -> None:
    await records(stack, decline_key="9")
    ava = await stack.agent("ava")
    leg = await stack.dial()
    await stack.until(lambda: any("press 9" in heard.text for heard in leg.heard), 20)
    leg.press("9")
    await stack.pass_time(12)
    assert leg.queue_name == "ringdesk"
    assert (await stack.call(leg.sid))["state"] == "queued"
    await ava.take()
    assert stack.exchange.recordings == {}
    assert await shown(ava) == ("declined", False, None)
    assert await stack.count("calls") == 1


async def test_caller_who_presses_another_key_or_none_is_recorded(stack: Stack) -> None:
    await records(stack, decline_key="9")
    ava = await stack.agent("ava")
    leg = await stack.dial()
    await stack.until(lambda: any("press 9" in heard.text for heard in leg.heard), 20)
    leg.press("5")
    await stack.pass_time(12)
    await ava.take()
    assert made(stack).status == "in-progress"


async def test_caller_whom_an_agent_takes_at_once_hears_it_on_the_way_and_is_not_recorded_before(stack: Stack) -> None:
    await records(stack)
    ava, _, leg, _ = await test_hold.in_call(stack)
    said = "This call will be recorded."
    assert said not in [heard.text for heard in leg.heard][:-1]
    assert stack.exchange.recordings == {}, "not before it is said"
    await stack.pass_time(8)
    assert [heard.text for heard in leg.heard].count(said) == 1
    assert leg.is_talking
    assert made(stack).status == "in-progress"
    assert await shown(ava) == ("recording", False, None)


async def test_caller_whom_an_agent_takes_at_once_may_decline_on_the_way(stack: Stack) -> None:
    await records(stack, decline_key="9")
    ava, _, leg, _ = await test_hold.in_call(stack)
    leg.press("9")
    await stack.pass_time(8)
    assert leg.is_talking
    assert stack.exchange.recordings == {}
    assert await shown(ava) == ("declined", False, None)


async def test_pause_is_shown_once_the_provider_has_said_so(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio_api, "TIMEOUT_S", 0.3)
    ava, call_id, _, recording = await talking(stack)
    stack.wire.aimed.append((CHANGES, Fault("hangs")))
    answer = await act(stack, ava, call_id, "pause")
    assert (answer["state"], answer["is_pause_wanted"]) == ("recording", True)
    assert recording.status == "in-progress"
    assert await shown(ava) == ("recording", True, None), "wanted is not paused"
    await sweep(stack)
    assert recording.status == "paused"
    assert await shown(ava) == ("paused", True, None)
    await act(stack, ava, call_id, "resume")
    assert recording.status == "in-progress"
    assert await shown(ava) == ("recording", False, None)


async def test_pause_whose_answer_is_lost_is_looked_up(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio_api, "TIMEOUT_S", 0.3)
    ava, call_id, _, recording = await talking(stack)
    stack.wire.aimed.append((CHANGES, Fault("answer_lost")))
    await act(stack, ava, call_id, "pause")
    assert await shown(ava) == ("recording", True, None)
    await sweep(stack)
    assert await shown(ava) == ("paused", True, None)
    assert recording.status == "paused"
    assert len(stack.wire.requests("POST", CHANGES)) == 1


async def test_refused_pause_is_shown_as_still_recording_and_can_be_tried_again(stack: Stack) -> None:
    ava, call_id, _, recording = await talking(stack)
    stack.wire.aimed.append((CHANGES, Fault("refused", 400, 20001)))
    await act(stack, ava, call_id, "pause")
    assert await shown(ava) == ("recording", False, "pause")
    await act(stack, ava, call_id, "pause")
    assert recording.status == "paused"
    assert await shown(ava) == ("paused", True, None)


async def test_start_whose_answer_is_lost_starts_nothing_twice(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio_api, "TIMEOUT_S", 0.3)
    await records(stack)
    stack.wire.aimed.append((STARTS, Fault("answer_lost")))
    ava, _, _, _ = await in_call(stack)
    await sweep(stack)
    assert made(stack).status == "in-progress"
    assert await shown(ava) == ("recording", False, None)


async def test_refused_start_is_said(stack: Stack) -> None:
    await records(stack)
    stack.wire.aimed.append((STARTS, Fault("refused", 400, 20001)))
    ava, call_id, leg, _ = await in_call(stack)
    assert await shown(ava) == ("failed", False, "start")
    assert leg.is_talking
    assert (await act(stack, ava, call_id, "pause", status=409))["code"] == "not_recorded"


@pytest.mark.parametrize("pauses", [True, False])
async def test_hold_pauses_it_where_the_number_says_so(stack: Stack, pauses: bool) -> None:
    ava, call_id, _, recording = await talking(stack, pause_on_hold=pauses)
    await hold(stack, ava, call_id)
    assert recording.status == ("paused" if pauses else "in-progress")
    await hold(stack, ava, call_id, "resume")
    assert recording.status == "in-progress"
    await act(stack, ava, call_id, "pause")
    await hold(stack, ava, call_id)
    await hold(stack, ava, call_id, "resume")
    assert recording.status == "paused", "the agent's pause outlasts a hold"


async def test_line_is_not_recorded_and_the_next_agent_begins_without_the_pause(stack: Stack) -> None:
    ava, call_id, _, recording = await talking(stack)
    await act(stack, ava, call_id, "pause")
    await ava.ask("POST", f"/calls/{call_id}/transfer", {"queue": "sales"})
    await stack.quiet()
    assert recording.status == "paused"
    ben = await stack.agent("ben")
    await ben.take()
    assert recording.status == "in-progress"
    assert await shown(ben) == ("recording", False, None)
    assert len(stack.exchange.recordings) == 1


async def test_lost_agent_pauses_it(stack: Stack) -> None:
    await records(stack)
    _, _, leg, phone = await in_call(stack)
    phone.leave()
    await stack.quiet()
    await stack.fire(AGENT_GONE_TIMER)
    assert (await stack.call(leg.sid))["state"] == "queued"
    assert made(stack).status == "paused"


async def test_only_who_has_the_call_pauses_it(stack: Stack) -> None:
    _, call_id, _, _ = await talking(stack)
    ben = await stack.agent("ben")
    await act(stack, ben, call_id, "pause", status=404)


# --- afterwards ---------------------------------------------------------------------------------------------------------


async def ended(stack: Stack) -> tuple[Agent, int]:
    ava, _, leg, _ = await talking(stack)
    await stack.pass_time(3)
    leg.leave()
    await stack.quiet()
    return ava, await stack.value("SELECT id FROM recordings")


async def hear(agent: Agent, recording_id: int, part: str | None = None) -> tuple[int, bytes, str | None]:
    headers = {} if part is None else {"Range": part}
    async with agent.browser.get(f"/api/v1/recordings/{recording_id}/audio", headers=headers) as response:
        return response.status, await response.read(), response.headers.get("Content-Range")


async def hearings(stack: Stack) -> int:
    return int(await stack.value("SELECT count(*) FROM audit_log WHERE action = 'recording.hear'"))


async def test_recording_is_heard_through_us_in_parts_and_each_hearing_is_written_down(stack: Stack) -> None:
    ava, recording_id = await ended(stack)
    status, whole, _ = await hear(ava, recording_id)
    assert (status, whole[:4]) == (200, b"RIFF")
    assert whole == made(stack).sound()
    status, part, told = await hear(ava, recording_id, "bytes=100-199")
    assert (status, part, told) == (206, whole[100:200], f"bytes 100-199/{len(whole)}")
    assert (await hear(ava, recording_id, f"bytes={len(whole)}-"))[0] == 416
    assert await hearings(stack) == 1
    await hear(ava, recording_id, "bytes=0-")
    assert await hearings(stack) == 2
    text = str(await stack.rows("SELECT * FROM recordings"))
    assert "http" not in text, "no address is stored"
    ticket_id = await stack.value("SELECT ticket_id FROM ticket_calls")
    async with ava.browser.get(f"/api/v1/tickets/{ticket_id}") as response:
        (call,) = (await response.json())["calls"]
    assert call["recordings"] == [{"id": recording_id, "duration_s": made(stack).seconds, "is_deleted": False}]
    async with ava.browser.get("/api/v1/calls") as response:
        assert (await response.json())["items"][0]["recordings"] == call["recordings"]


async def test_who_may_not_see_the_ticket_does_not_hear_it(stack: Stack) -> None:
    _, recording_id = await ended(stack)
    await stack.rows(
        "DELETE FROM agent_queues WHERE agent_id = (SELECT id FROM agents WHERE name = 'Chen') RETURNING 1"
    )
    chen = await stack.agent("chen", is_available=False)
    assert (await hear(chen, recording_id))[0] == 404
    assert (await hear(chen, recording_id + 1))[0] == 404
    assert await hearings(stack) == 0


async def test_recording_is_deleted_here_and_there_after_its_days(stack: Stack) -> None:
    ava, recording_id = await ended(stack)
    await retention.purge_once(stack.parts.resources.outbox, stack.parts.settings)
    await stack.quiet()
    assert len(stack.exchange.recordings) == 1, "not yet"
    kept = await stack.value("SELECT keep_until - created_at FROM recordings")
    assert kept == timedelta(days=30)
    await stack.rows("UPDATE recordings SET keep_until = now() - interval '1 second' RETURNING 1")
    stack.wire.is_down = True
    await retention.purge_once(stack.parts.resources.outbox, stack.parts.settings)
    await stack.quiet()
    assert (await hear(ava, recording_id))[0] == 404
    stack.wire.is_down = False
    await sweep(stack)
    assert stack.exchange.recordings == {}


async def test_callback_that_comes_first_or_twice_or_of_a_stranger_changes_nothing_else(stack: Stack) -> None:
    _, recording_id = await ended(stack)
    leg_sid, sid = made(stack).call_sid, made(stack).sid
    before = await stack.rows("SELECT * FROM recordings")
    fields = {
        "AccountSid": made(stack).account_sid, "CallSid": leg_sid, "RecordingSid": sid, "RecordingStatus": "completed",
        "RecordingDuration": str(made(stack).seconds), "RecordingSource": "StartCallRecordingAPI",
    }  # fmt: skip
    await stack.hook("/twilio/recording", fields)
    await stack.hook("/twilio/recording", fields | {"RecordingSid": "RE" + "0" * 32, "RecordingDuration": "999"})
    await stack.quiet()
    assert await stack.rows("SELECT * FROM recordings") == before
    assert await stack.count("voicemails") == 0
    assert recording_id == before[0]["id"]
