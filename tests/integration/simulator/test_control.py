"""Callers, softphones and the journal over HTTP."""

from typing import Any

import pytest
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import VoiceGrant

from core import demo_account
from tests.integration.simulator.service import World, a_world

VOICE = "/twilio/voice"


async def post(world: World, path: str, body: Any, status: int) -> Any:
    async with world.http.post(world.url + path, json=body) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def get(world: World, path: str, status: int = 200) -> Any:
    async with world.http.get(world.url + path) as response:
        assert response.status == status, await response.text()
        return await response.json()


def a_token(
    identity: str = "agent_7",
    *,
    secret: str = demo_account.API_KEY_SECRET,
    app_sid: str = demo_account.APP_SID,
    key_sid: str = demo_account.API_KEY_SID,
    ttl: int = 60,
) -> str:
    grant = VoiceGrant(outgoing_application_sid=app_sid)
    token = AccessToken(demo_account.ACCOUNT_SID, key_sid, secret, identity=identity, grants=[grant], ttl=ttl)
    return str(token.to_jwt())


async def test_a_call_is_started_watched_and_ended(world: World) -> None:
    world.service.answers |= {
        VOICE: '<Say>Welcome</Say><Enqueue waitUrl="/wait">support</Enqueue>',
        "/wait": '<Pause length="9"/>',
    }
    started = await post(world, "/calls", {"from": "+14155550100", "to": "+14155550199"}, 201)
    await world.clock.advance(5)
    seen = await get(world, f"/calls/{started['sid']}")
    assert (seen["status"], seen["queue"], seen["conference"]) == ("in-progress", "support", None)
    assert [(h["verb"], h["text"]) for h in seen["said"]] == [("Say", "Welcome")]
    assert [c["sid"] for c in (await get(world, "/calls?state=live"))["items"]] == [started["sid"]]
    ended = await post(world, f"/calls/{started['sid']}/hangup", {}, 200)
    again = await post(world, f"/calls/{started['sid']}/hangup", {}, 200)
    assert ended["status"] == again["status"] == "completed"
    assert (await get(world, "/calls?state=live"))["items"] == []


@pytest.mark.parametrize("word", ["", "anonymous", "Withheld"])
async def test_a_number_can_be_withheld(world: World, word: str) -> None:
    await post(world, "/calls", {"from": word, "to": "+14155550199"}, 201)
    await world.clock.settle()
    assert world.service.at(VOICE)[0]["From"] == "+266696687"


async def test_further_fields_arrive_with_the_call(world: World) -> None:
    fields = {"ForwardedFrom": "+1777", "StirVerstat": "TN-Validation-Passed-A"}
    await post(world, "/calls", {"from": "+1", "to": "+2", "fields": fields}, 201)
    await world.clock.settle()
    assert fields.items() <= world.service.at(VOICE)[0].fields.items()


async def test_digits_and_speech_reach_the_menu(world: World) -> None:
    world.service.answers[VOICE] = '<Gather input="dtmf speech" numDigits="1" action="/picked" timeout="30"/>'
    sid = (await post(world, "/calls", {"from": "+1", "to": "+2"}, 201))["sid"]
    await world.clock.advance(1)
    await post(world, f"/calls/{sid}/digits", {"digits": "3"}, 200)
    await world.clock.settle()
    assert world.service.at("/picked")[0]["Digits"] == "3"
    await post(world, "/calls", {"from": "+1", "to": "+2", "say": "billing"}, 201)
    await world.clock.settle()
    assert world.service.at("/picked")[1]["SpeechResult"] == "billing"


async def test_a_scripted_caller_waits_presses_and_hangs_up(world: World) -> None:
    world.service.answers |= {
        VOICE: '<Gather numDigits="1" action="/picked" timeout="30"/>',
        "/picked": '<Pause length="600"/>',
    }
    script = [{"wait_s": 4}, {"press": "2"}, {"wait_s": 10}, {"hang_up": True}]
    sid = (await post(world, "/calls", {"from": "+1", "to": "+2", "script": script}, 201))["sid"]
    leg = world.exchange.legs[sid]
    await world.over(leg)
    assert world.service.at("/picked")[0]["Digits"] == "2"
    assert leg.ended_at is not None
    assert (leg.ended_at - leg.created_at).total_seconds() == 14


async def test_an_impatient_caller_gives_up_and_a_served_one_talks(world: World) -> None:
    world.service.answers |= {
        VOICE: ['<Enqueue waitUrl="/wait">q</Enqueue>', "<Dial><Conference>call_1</Conference></Dial>"],
        "/wait": '<Pause length="5"/>',
        "/twilio/agent": "<Dial><Conference>call_1</Conference></Dial>",
    }
    gives_up = (await post(world, "/calls", {"from": "+1", "to": "+2", "patience_s": 20}, 201))["sid"]
    await world.clock.advance(1)
    talks = (await post(world, "/calls", {"from": "+1", "to": "+2", "patience_s": 20, "talk_s": 30}, 201))["sid"]
    await world.clock.advance(9)
    await post(world, "/phone/connect", {"token": a_token()}, 201)
    impatient, served = world.exchange.legs[gives_up], world.exchange.legs[talks]
    await world.over(served)
    assert impatient.ended_at is not None
    assert served.ended_at is not None
    assert (impatient.ended_at - impatient.created_at).total_seconds() == 20
    assert (served.ended_at - served.created_at).total_seconds() == 39


async def test_a_phone_connects_with_its_token(world: World) -> None:
    world.service.answers["/twilio/agent"] = "<Dial><Conference>call_7</Conference></Dial>"
    phone = await post(world, "/phone/connect", {"token": a_token(), "params": {"CallId": "7"}}, 201)
    await world.clock.advance(1)
    (asked,) = world.service.at("/twilio/agent")
    assert asked.is_signed
    assert (asked["From"], asked["CallId"], asked["ApplicationSid"], asked["Direction"]) == (
        "client:agent_7",
        "7",
        demo_account.APP_SID,
        "inbound",
    )
    assert (await get(world, f"/phone/{phone['sid']}"))["conference"] == "call_7"
    assert (await post(world, f"/phone/{phone['sid']}/hangup", {}, 200))["status"] == "completed"
    await world.clock.settle()
    assert world.service.at("/twilio/status")[0]["CallSid"] == phone["sid"]


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"secret": "x" * 40}, 401, "token_invalid"),
        ({"ttl": -60}, 401, "token_invalid"),
        ({"key_sid": "SK" + "1" * 32}, 401, "token_invalid"),
        ({"app_sid": "AP" + "1" * 32}, 403, "token_without_grant"),
    ],
)
async def test_a_bad_token_connects_nobody(world: World, wrong: dict[str, Any], status: int, code: str) -> None:
    problem = await post(world, "/phone/connect", {"token": a_token(**wrong)}, status)
    assert problem["code"] == code
    assert (await post(world, "/phone/connect", {"token": "nonsense"}, 401))["code"] == "token_invalid"
    assert world.service.asked == []


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/calls", {"from": "+1"}, 422, "invalid"),
        ("/calls", {"from": "+1", "to": "+2", "typo": 1}, 422, "invalid"),
        ("/calls", {"from": "+1", "to": "+2", "script": [{"wait_s": 1, "press": "1"}]}, 422, "invalid"),
        ("/calls", [], 422, "invalid"),
        ("/calls/CA1/hangup", {}, 404, "call_unknown"),
    ],
)
async def test_a_bad_request_is_a_problem(world: World, path: str, body: Any, status: int, code: str) -> None:
    assert (await post(world, path, body, status))["code"] == code


async def test_a_number_nobody_has_is_refused() -> None:
    async with a_world(accept_any_number=False) as world:
        assert (await post(world, "/calls", {"from": "+1", "to": "+2"}, 404))["code"] == "number_unknown"


async def test_the_journal_is_read_from_where_one_left_off(world: World) -> None:
    world.service.answers[VOICE] = "<Say>Hello</Say>"
    sid = (await post(world, "/calls", {"from": "+1", "to": "+2"}, 201))["sid"]
    await world.clock.settle()
    first = await get(world, "/journal")
    (webhook,) = [e for e in first["items"] if e["kind"] == "webhook"]
    assert (webhook["sid"], webhook["status"], webhook["fields"]["CallSid"]) == (sid, 200, sid)
    assert webhook["answer"] == "<Response><Say>Hello</Say></Response>"
    assert (await get(world, f"/journal?since={first['next']}"))["items"] == []
    await post(world, f"/calls/{sid}/hangup", {}, 200)
    await world.clock.settle()
    later = await get(world, f"/journal?since={first['next']}&kind=callback")
    assert [e["fields"]["CallStatus"] for e in later["items"]] == ["completed"]


async def test_the_journal_is_bounded() -> None:
    async with a_world(journal_size=10, keep_ended=3) as world:
        for _ in range(8):
            await world.over(world.call())
        assert len(world.exchange.journal.since()) == 10
        assert len(world.exchange.legs) <= 4
