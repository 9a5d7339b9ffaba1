"""<Record> and the recordings of REST: what was said, how it ended, and the sound."""

import asyncio
import io
import wave

import aiohttp
import pytest

from core import demo_account
from tests.integration.simulator.service import World
from tests.integration.simulator.test_rest import BASE, ask, client

VOICE = "/twilio/voice"
RECORD = (
    '<Record action="/done" maxLength="20" timeout="4" finishOnKey="#" recordingStatusCallback="/made" '
    'recordingStatusCallbackEvent="completed absent"/><Say>Nothing heard</Say>'
)
AUTH = {"Authorization": aiohttp.encode_basic_auth(demo_account.ACCOUNT_SID, demo_account.AUTH_TOKEN)}


@pytest.fixture(autouse=True)
def _documents(world: World) -> None:
    world.service.answers |= {VOICE: RECORD, "/done": "<Say>Thanks</Say>"}


async def test_what_was_said_until_a_key_goes_to_the_action_and_the_callback(world: World) -> None:
    leg = world.call()
    await world.clock.advance(2)
    leg.say("x" * 90)  # six seconds
    await world.clock.advance(3)
    leg.press("#")
    await world.over(leg)
    (action,), (made,) = world.service.at("/done"), world.service.at("/made")
    assert (action["Digits"], action["RecordingDuration"]) == ("#", "3")
    assert action["RecordingSid"] == made["RecordingSid"]
    assert action["RecordingSid"].startswith("RE")
    assert (made["RecordingStatus"], made["RecordingSource"], made["CallSid"]) == ("completed", "RecordVerb", leg.sid)
    assert [heard.text for heard in leg.heard] == ["Thanks"]


async def test_silence_ends_it_and_the_limit_cuts_it_off(world: World) -> None:
    quiet, endless = world.call(), world.call()
    await world.clock.advance(2)
    quiet.say("x" * 30)
    endless.say("x" * 900)
    await world.over(quiet)
    await world.over(endless)
    lengths = {asked["CallSid"]: asked["RecordingDuration"] for asked in world.service.at("/done")}
    assert lengths == {quiet.sid: "2", endless.sid: "20"}


async def test_nothing_said_is_no_recording_and_the_document_goes_on(world: World) -> None:
    leg = world.call()
    await world.over(leg)
    assert world.service.at("/done") == []
    assert world.service.events("/made", "RecordingStatus") == ["absent"]
    assert [heard.text for heard in leg.heard] == ["Nothing heard"]
    assert world.exchange.recordings == {}


async def test_hanging_up_keeps_what_was_said(world: World) -> None:
    leg, silent = world.call(), world.call()
    await world.clock.advance(2)
    leg.say("x" * 90)
    await world.clock.advance(4)
    leg.leave()
    silent.leave()
    await world.clock.settle()
    (action,) = world.service.at("/done")
    assert (action["CallSid"], action["Digits"], action["CallStatus"]) == (leg.sid, "hangup", "completed")
    assert action["RecordingDuration"] == "4"
    assert sorted(world.service.events("/twilio/status", "CallStatus")) == ["completed", "completed"]


async def test_recordings_over_rest_and_their_sound_with_ranges(world: World) -> None:
    leg, other = world.call(), world.call()
    await world.clock.advance(2)
    leg.say("x" * 45)
    await world.over(leg)
    await world.over(other)
    twilio = client(world)
    (found,) = await ask(lambda: twilio.calls(leg.sid).recordings.list())
    assert (found.call_sid, found.duration, found.status, found.source) == (leg.sid, "3", "completed", "RecordVerb")
    assert await ask(lambda: twilio.calls(other.sid).recordings.list()) == []
    assert [each.sid for each in await ask(lambda: twilio.recordings.list())] == [found.sid]
    url = f"{world.rest_base}{BASE}/Recordings/{found.sid}.wav"
    async with asyncio.timeout(5):
        async with world.http.get(url) as refused:
            assert refused.status == 401
        async with world.http.get(url, headers=AUTH) as whole:
            sound = await whole.read()
        async with world.http.get(url, headers={**AUTH, "Range": "bytes=100-199"}) as part:
            assert (part.status, await part.read()) == (206, sound[100:200])
            assert part.headers["Content-Range"] == f"bytes 100-199/{len(sound)}"
        async with world.http.get(url, headers={**AUTH, "Range": "bytes=9999999-"}) as beyond:
            assert beyond.status == 416
    with wave.open(io.BytesIO(sound)) as read:
        assert read.getnframes() / read.getframerate() == 3
    assert await ask(lambda: twilio.recordings(found.sid).delete())
    async with asyncio.timeout(5), world.http.get(url, headers=AUTH) as gone:
        assert gone.status == 404
