"""Messages over the API: heard through us with ranges, by who may see the ticket; deleted, and deleted at the provider; kept for so long."""

import asyncio
import io
import wave
from typing import Any

import pytest

from app.retention import purge_once
from app.settings import Settings
from core.principal import Role
from cti import twilio_api
from tests.integration.app.people import People, ask
from tests.integration.cti.payloads import new_sid
from tests.integration.cti.test_voicemail import SPOKEN, at_the_beep, configure, recorded_fields, recording_caller
from tests.stack import Agent, Fault, Stack


async def a_message(stack: Stack) -> int:
    await configure(stack)
    leg = await at_the_beep(stack)
    leg.say(SPOKEN)
    await stack.until(lambda: leg.is_over)
    return int(await stack.value("SELECT id FROM voicemails"))


async def sound(agent: Agent, message: int, **headers: str) -> tuple[int, bytes, Any]:
    async with agent.browser.get(f"/api/v1/voicemails/{message}/audio", headers=headers) as response:
        return response.status, await response.read(), response.headers


async def test_a_message_is_heard_through_us_whole_and_in_parts(stack: Stack) -> None:
    message, ava = await a_message(stack), await stack.agent("ava")
    status, whole, headers = await sound(ava, message)
    assert (status, headers["Content-Type"], headers["Accept-Ranges"]) == (200, "audio/wav", "bytes")
    assert headers["Cache-Control"] == "private, no-store"
    with wave.open(io.BytesIO(whole)) as read:
        assert read.getnframes() / read.getframerate() == 6
    for asked, part in (("bytes=0-", whole), ("bytes=100-199", whole[100:200]), ("bytes=-50", whole[-50:])):
        status, got, headers = await sound(ava, message, Range=asked)
        assert (status, got) == (206, part)
        assert headers["Content-Range"].endswith(f"/{len(whole)}")
    for asked in (f"bytes={len(whole)}-", "bytes=9-1", "lines=1-2"):
        assert (await sound(ava, message, Range=asked))[0] == 416, asked
    heard = await stack.rows("SELECT actor_id, object_id FROM audit_log WHERE action = 'voicemail.hear'")
    assert heard == [(ava.id, str(message))] * 2, "parts are not counted again"


async def test_nobody_hears_a_message_unwritten_by_asking_for_parts(stack: Stack) -> None:
    message, ava, ben = await a_message(stack), await stack.agent("ava"), await stack.agent("ben")
    await sound(ava, message)
    for asked in ("bytes=1-", "bytes=-9999999", "bytes=00-"):
        assert (await sound(ben, message, Range=asked))[0] == 206, asked
    heard = await stack.rows("SELECT actor_id FROM audit_log WHERE action = 'voicemail.hear' ORDER BY id")
    assert heard == [(ava.id,), (ben.id,)]


async def test_the_message_stands_in_the_call_log_and_in_the_ticket(stack: Stack) -> None:
    message, ava = await a_message(stack), await stack.agent("ava")
    expected = [{"id": message, "duration_s": 6, "is_deleted": False}]
    _, page = await ava.ask("GET", "/calls")
    assert (page["items"][0]["outcome"], page["items"][0]["voicemails"]) == ("voicemail", expected)
    _, ticket = await ava.ask("GET", f"/tickets/{page['items'][0]['ticket']['id']}")
    assert ticket["calls"][0]["voicemails"] == expected
    assert "voicemail_left" in [entry["kind"] for entry in ticket["history"]]


async def test_only_who_may_see_the_ticket_hears_the_message(stack: Stack, people: People) -> None:
    message = await a_message(stack)
    outsider = await people.browser(Role.AGENT)
    for browser, expected in ((people.nobody, 401), (outsider, 404), (await people.browser(Role.AUDITOR), 403)):
        status, _, _ = await ask(browser, "GET", f"/api/v1/voicemails/{message}/audio")
        assert status == expected
    status, problem, _ = await ask(outsider, "GET", "/api/v1/voicemails/999/audio")
    assert (status, problem["code"]) == (404, "voicemail_not_found")
    lead = await people.browser(Role.SUPERVISOR)
    assert (await ask(lead, "GET", f"/api/v1/voicemails/{message}/audio"))[0] == 200


@pytest.mark.parametrize("kind", ["refused", "hangs"])
async def test_a_provider_that_does_not_give_it_now_is_said_plainly(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    monkeypatch.setattr(twilio_api, "SOUND_TIMEOUT_S", 0.3)
    message, ava = await a_message(stack), await stack.agent("ava")
    stack.wire.faults.append(Fault(kind, 503))
    async with asyncio.timeout(5):
        status, _, headers = await sound(ava, message)
    assert (status, headers["Content-Type"].split(";")[0]) == (503, "application/problem+json")
    assert (await sound(ava, message))[0] == 200, "later it does"


async def test_a_recording_that_is_not_there_yet_or_no_longer(stack: Stack) -> None:
    await configure(stack)
    ava, sid = await stack.agent("ava"), await recording_caller(stack)
    recording = new_sid("RE")
    await stack.hook("/twilio/recording", recorded_fields(sid, recording))
    await stack.quiet()
    message = await stack.value("SELECT id FROM voicemails")
    status, problem = await ava.ask("GET", f"/voicemails/{message}/audio")
    assert (status, problem["code"]) == (502, "recording_missing")
    await stack.rows("UPDATE voicemails SET is_ready = false RETURNING 1")
    status, problem = await ava.ask("GET", f"/voicemails/{message}/audio")
    assert (status, problem["code"]) == (503, "recording_not_ready")


async def test_a_deleted_message_is_gone_here_at_once_and_at_the_provider(stack: Stack, people: People) -> None:
    message, ava = await a_message(stack), await stack.agent("ava")
    assert (await ava.ask("DELETE", f"/voicemails/{message}"))[0] == 403
    stack.wire.is_down = True
    lead = await people.browser(Role.SUPERVISOR)
    assert (await ask(lead, "DELETE", f"/api/v1/voicemails/{message}"))[0] == 204
    assert (await ask(lead, "DELETE", f"/api/v1/voicemails/{message}"))[0] == 404
    assert (await ava.ask("GET", f"/voicemails/{message}/audio"))[0] == 404
    await stack.quiet()
    assert len(stack.exchange.recordings) == 1
    stack.wire.is_down = False
    await stack.repeat()
    await stack.rows(
        "UPDATE provider_commands SET lease_until = NULL, created_at = created_at - interval '9 s' RETURNING 1"
    )
    await stack.parts.commands.sweep_once()
    assert stack.exchange.recordings == {}
    assert await stack.rows("SELECT state FROM provider_commands WHERE kind = 'delete_recording'") == [("done",)]
    _, page = await ava.ask("GET", "/calls")
    assert page["items"][0]["voicemails"] == [{"id": message, "duration_s": 6, "is_deleted": True}]


async def test_old_messages_are_deleted_also_when_their_call_is_gone(stack: Stack) -> None:
    await a_message(stack)
    outbox = stack.parts.resources.outbox
    assert (await purge_once(outbox, Settings()))["voicemails deleted"] == 0
    await stack.rows("UPDATE voicemails SET created_at = created_at - interval '91 days' RETURNING 1")
    for table in ("ticket_calls", "calls"):
        await stack.rows(f"DELETE FROM {table} RETURNING 1")
    assert "voicemails deleted" not in await purge_once(outbox, Settings(keep_voicemails_days=0))
    assert (await purge_once(outbox, Settings()))["voicemails deleted"] == 1
    await stack.quiet()
    assert stack.exchange.recordings == {}
    for table in ("voicemails", "work_items", "tickets"):
        await stack.rows(f"DELETE FROM {table} RETURNING 1")  # a call without its row is nothing the invariants know


async def test_an_old_message_whose_call_was_never_found_is_deleted_too(stack: Stack) -> None:
    await a_message(stack)
    await stack.rows("UPDATE voicemails SET call_id = NULL, created_at = created_at - interval '91 days' RETURNING 1")
    assert (await purge_once(stack.parts.resources.outbox, Settings()))["voicemails deleted"] == 1
    await stack.quiet()
    assert stack.exchange.recordings == {}
    assert await stack.rows("SELECT state FROM provider_commands WHERE kind = 'delete_recording'") == [("done",)]
    await stack.rows("UPDATE voicemails SET call_id = (SELECT id FROM calls) RETURNING 1")  # for the invariants
