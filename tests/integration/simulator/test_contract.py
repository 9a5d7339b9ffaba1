"""The simulator's REST answers against what the provider documents: names and types typed from its pages into tests/golden/provider_rest.json,
the names that its own client reads, and that client run over every resource that the service uses."""

import importlib
import inspect
import json
import re
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException

from core import demo_account
from simulator.config import Line, Target
from simulator.provider.leg import Leg
from tests.integration.simulator.service import World, a_world
from tests.integration.simulator.test_rest import BASE, ask, client

GOLDEN: Final[dict[str, dict[str, str]]] = json.loads(
    (Path(__file__).resolve().parents[2] / "golden" / "provider_rest.json").read_text(encoding="utf-8")
)
AUTH: Final = {"Authorization": aiohttp.encode_basic_auth(demo_account.ACCOUNT_SID, demo_account.AUTH_TOKEN)}
NUMBER: Final = "+14155550199"
CLIENTS: Final = {
    "call": ("account.call", "CallInstance"),
    "conference": ("account.conference", "ConferenceInstance"),
    "participant": ("account.conference.participant", "ParticipantInstance"),
    "recording": ("account.recording", "RecordingInstance"),
    "number": ("account.incoming_phone_number", "IncomingPhoneNumberInstance"),
    "app": ("account.application", "ApplicationInstance"),
    "account": ("account", "AccountInstance"),
}
LEFT_OUT: Final = {"account": {"auth_token"}}
"""A secret that nobody needs back."""


def fault(kind: str, value: object) -> str | None:
    """Why it is not of this kind."""
    is_optional, kind = kind.endswith("?"), kind.removesuffix("?")
    if value is None:
        return None if is_optional else "missing"
    word, _, more = kind.partition(" ")
    text = value if isinstance(value, str) else ""
    fits: dict[str, Callable[[], bool]] = {
        "sid": lambda: re.fullmatch(rf"{more}[0-9a-f]{{32}}", text) is not None,
        "text": lambda: isinstance(value, str),
        "digits": lambda: text.isdecimal(),
        "whole": lambda: type(value) is int,
        "bool": lambda: type(value) is bool,
        "object": lambda: isinstance(value, dict),
        "path": lambda: text.startswith("/2010-04-01/Accounts/AC") and ".json" in text,
        "date": lambda: (
            re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000", text) is not None
            and isinstance(parsedate_to_datetime(text), datetime)
        ),
        "one": lambda: text in more.removeprefix("of ").split(),
    }
    return None if fits[word]() else f"{value!r} is no {kind}"


def faults(resource: str, found: dict[str, Any]) -> dict[str, str | None]:
    missing: dict[str, str | None] = {name: "not there" for name in GOLDEN[resource] if name not in found}
    wrong = {name: fault(kind, found[name]) for name, kind in GOLDEN[resource].items() if name in found}
    return missing | {name: why for name, why in wrong.items() if why is not None}


@pytest.mark.parametrize(
    ("kind", "value"),
    [("sid CA", "CA1"), ("text", None), ("whole", "1"), ("whole", True), ("bool", 1), ("date", "2026-11-28"), ("path", "https://x/y.json"),
     ("one of a b", "c"), ("digits", "1.5"), ("object?", [])],
)  # fmt: skip
def test_a_wrong_value_is_found(kind: str, value: object) -> None:
    assert fault(kind, value) is not None


async def raw(world: World, path: str, *, method: str = "GET", **fields: str) -> tuple[int, dict[str, Any]]:
    async with world.http.request(method, world.rest_base + BASE + path, data=fields or None, headers=AUTH) as answer:
        return answer.status, await answer.json()


@pytest.fixture
async def talk(world: World) -> tuple[Leg, Leg]:
    """Two people in a conference; a third has left a message."""
    world.service.answers |= {
        "/twilio/voice": '<Dial><Conference participantLabel="customer">call_1</Conference></Dial>',
        "/record": '<Record action="/done"/>',
        "/done": "<Hangup/>",
    }
    world.exchange.numbers.named("+1999").line = Line(Target(f"{world.service.url}/record"))  # type: ignore[union-attr]
    first, second = world.call(), world.call("+14155550101")
    message = world.call("+14155550102", "+1999")
    await world.clock.advance(2)
    message.say("x" * 60)
    await world.over(message)
    return first, second


async def every_resource(world: World, leg: Leg) -> dict[str, dict[str, Any]]:
    lists = {"conference": "/Conferences.json", "recording": "/Recordings.json", "number": f"/IncomingPhoneNumbers.json?PhoneNumber=%2B{NUMBER[1:]}",
             "app": "/Applications.json"}  # fmt: skip
    found = {"call": (await raw(world, f"/Calls/{leg.sid}.json"))[1]}
    for resource, path in lists.items():
        _, page = await raw(world, path)
        assert faults("page", page) == {}, path
        (items,) = [value for value in page.values() if isinstance(value, list)]
        found[resource] = items[0]
    _, page = await raw(world, f"/Conferences/{found['conference']['sid']}/Participants.json")
    found["participant"] = page["participants"][0]
    async with world.http.get(world.rest_base + BASE + ".json", headers=AUTH) as answer:
        found["account"] = await answer.json()
    return found


async def test_every_answer_has_the_documented_names_and_types(world: World, talk: tuple[Leg, Leg]) -> None:
    found = await every_resource(world, talk[0])
    assert found.keys() == GOLDEN.keys() - {"page", "error"}
    assert {resource: wrong for resource, each in found.items() if (wrong := faults(resource, each))} == {}
    talk[0].leave()
    await world.over(talk[0])
    assert faults("call", (await raw(world, f"/Calls/{talk[0].sid}.json"))[1]) == {}


async def test_every_name_that_the_providers_client_reads_is_answered(world: World, talk: tuple[Leg, Leg]) -> None:
    found = await every_resource(world, talk[0])
    for resource, (module, name) in CLIENTS.items():
        made = getattr(importlib.import_module(f"twilio.rest.api.v2010.{module}"), name)
        read = set(re.findall(r'payload\.get\(\s*"(\w+)"', inspect.getsource(made.__init__)))
        assert len(read) > 5, resource
        assert read - found[resource].keys() == LEFT_OUT.get(resource, set()), resource
        assert read - GOLDEN[resource].keys() == LEFT_OUT.get(resource, set()), resource


@pytest.mark.parametrize(
    ("method", "path", "fields", "status", "code"),
    [
        ("GET", "/Calls/CA" + "f" * 32 + ".json", {}, 404, 20404),
        ("POST", "/Calls.json", {"To": "x", "From": "+1999", "Twiml": "<Response/>"}, 400, 21211),
        ("GET", "/Conferences/CF" + "f" * 32 + ".json", {}, 404, 20404),
        ("GET", "/Recordings/RE" + "f" * 32 + ".json", {}, 404, 20404),
        ("GET", "/Nothing.json", {}, 404, 20404),
    ],
)
async def test_errors_are_worded_as_documented(
    world: World, method: str, path: str, fields: dict[str, str], status: int, code: int
) -> None:
    got, error = await raw(world, path, method=method, **fields)
    assert (got, error["status"], error["code"]) == (status, status, code)
    assert faults("error", error) == {}
    assert error["more_info"] == f"https://www.twilio.com/docs/errors/{code}"


async def test_the_providers_client_over_every_resource_we_use(world: World, talk: tuple[Leg, Leg]) -> None:
    twilio, (first, second) = client(world), talk
    assert (await ask(lambda: twilio.calls(first.sid).fetch())).start_time == first.started_at
    assert {call.sid for call in await ask(lambda: twilio.calls.list(status="in-progress"))} == {first.sid, second.sid}
    (room,) = await ask(lambda: twilio.conferences.list(friendly_name="call_1"))
    seats = twilio.conferences(room.sid).participants
    assert {seat.call_sid for seat in await ask(seats.list)} == {first.sid, second.sid}
    held = await ask(lambda: seats(first.sid).update(hold=True, hold_url=f"{world.service.url}/music"))
    assert held.hold is True
    assert (await ask(seats(first.sid).fetch)).hold is True
    (recording,) = await ask(lambda: twilio.recordings.list())
    assert (await ask(lambda: twilio.calls(recording.call_sid).recordings.list()))[0].sid == recording.sid
    assert isinstance(recording.date_created, datetime)
    assert await ask(lambda: twilio.recordings(recording.sid).delete()) is True
    assert await ask(lambda: twilio.recordings.list()) == []
    (number,) = await ask(lambda: twilio.incoming_phone_numbers.list(phone_number=NUMBER))
    assert number.capabilities["voice"] is True
    assert (await ask(twilio.applications(demo_account.APP_SID).fetch)).sid == demo_account.APP_SID
    assert (await ask(twilio.api.v2010.accounts(demo_account.ACCOUNT_SID).fetch)).type == "Full"
    await ask(lambda: twilio.calls(second.sid).update(status="completed"))
    await world.over(second)
    assert second.status == "completed"


async def test_more_requests_than_allowed_are_refused_and_later_ones_are_not() -> None:
    async with a_world(requests_per_second=3) as world:
        answers = [(await raw(world, "/Calls.json"))[0] for _ in range(5)]
        assert answers == [200, 200, 200, 429, 429]
        _, error = await raw(world, "/Calls.json")
        assert (error["code"], faults("error", error)) == (20429, {})
        with pytest.raises(TwilioRestException) as refused:
            await ask(client(world).calls("CA" + "f" * 32).fetch)
        assert (refused.value.status, refused.value.code) == (429, 20429)
        await world.clock.advance(1)
        assert (await raw(world, "/Calls.json"))[0] == 200


async def test_busy_by_chance_repeats_with_its_seed() -> None:
    answers = []
    for _ in range(2):
        async with a_world(rest_busy=0.5) as world:
            answers.append([(await raw(world, "/Calls.json"))[0] for _ in range(20)])
    assert answers[0] == answers[1]
    assert set(answers[0]) == {200, 429}


async def test_one_call_a_second_is_created_and_the_others_say_how_long_they_wait(world: World) -> None:
    made = [await raw(world, "/Calls.json", method="POST", To=f"+1415555{n:04}", From=NUMBER, Twiml="<Response/>") for n in range(4)]  # fmt: skip
    assert [status for status, _ in made] == [201] * 4
    assert [found["queue_time"] for _, found in made] == ["0", "1000", "2000", "3000"]
    assert all(found["status"] == "queued" for _, found in made)


async def test_hundreds_of_callers_at_once_all_end_and_each_end_is_told_once(world: World) -> None:
    world.service.answers |= {
        "/twilio/voice": '<Enqueue action="/left" waitUrl="/wait">support</Enqueue>',
        "/wait": '<Play>/music.mp3</Play><Pause length="5"/>',
        "/left": "<Hangup/>",
    }
    legs = [world.call(f"+1415555{n:04}") for n in range(400)]
    await world.clock.advance(12)
    assert len(world.exchange.queues["support"].members) == 400
    for leg in legs[::2]:
        leg.leave()
    await world.clock.advance(2)
    for leg in legs[1::2]:
        leg.hang_up("completed")
    await world.until(lambda: all(leg.is_over for leg in legs))
    await world.clock.settle()
    ends = [asked["CallSid"] for asked in world.service.at("/twilio/status") if asked["CallStatus"] == "completed"]
    assert sorted(ends) == sorted(leg.sid for leg in legs)
    assert len(world.exchange.queues["support"].members) == 0
