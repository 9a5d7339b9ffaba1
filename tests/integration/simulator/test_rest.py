"""The REST API, asked with the provider's own client."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from core import demo_account
from simulator.provider.leg import Leg
from tests.integration.simulator.service import World, a_world

T = TypeVar("T")
VOICE = "/twilio/voice"
CALL = "CA" + "f" * 32
BASE = f"/2010-04-01/Accounts/{demo_account.ACCOUNT_SID}"


def client(world: World, user: str = demo_account.ACCOUNT_SID, password: str = demo_account.AUTH_TOKEN) -> Client:
    built = Client(user, password, demo_account.ACCOUNT_SID)
    built.api.base_url = world.rest_base
    return built


async def ask(question: Callable[[], T]) -> T:
    """The plain client blocks, so it is asked from a thread."""
    async with asyncio.timeout(10):
        return await asyncio.to_thread(question)


async def waiting(world: World) -> Leg:
    world.service.answers |= {
        VOICE: '<Enqueue action="/done" waitUrl="/wait">support</Enqueue>',
        "/wait": '<Pause length="10"/>',
    }
    leg = world.call()
    await world.clock.advance(15)
    return leg


async def test_a_call_reads_as_at_the_provider(world: World) -> None:
    leg = await waiting(world)
    twilio = client(world)
    found = await ask(lambda: twilio.calls(leg.sid).fetch())
    assert (found.sid, found.status, found.direction, found.to) == (leg.sid, "in-progress", "inbound", "+14155550199")
    assert found._from == "+14155550100"
    assert found.start_time == leg.started_at
    assert (found.end_time, found.duration) == (None, None)
    leg.leave()
    await world.over(leg)
    ended = await ask(lambda: twilio.calls(leg.sid).fetch())
    assert (ended.status, ended.duration) == ("completed", "15")
    assert ended.end_time == leg.ended_at


async def test_a_waiting_caller_is_redirected_by_twiml(world: World) -> None:
    leg = await waiting(world)
    document = "<Response><Say>An agent takes your call</Say></Response>"
    await ask(lambda: client(world).calls(leg.sid).update(twiml=document))
    await world.over(leg)
    assert [h.text for h in leg.heard] == ["An agent takes your call"]
    (done,) = world.service.at("/done")
    assert (done["QueueResult"], done["CallStatus"]) == ("redirected", "in-progress")


async def test_a_waiting_caller_is_redirected_by_url_and_ended_by_status(world: World) -> None:
    world.service.answers["/next"] = '<Say>Hold on</Say><Pause length="100"/>'
    leg = await waiting(world)
    twilio = client(world)
    await ask(lambda: twilio.calls(leg.sid).update(url=f"{world.service.url}/next"))
    await world.clock.advance(5)
    assert world.service.at("/next")[0]["CallSid"] == leg.sid
    updated = await ask(lambda: twilio.calls(leg.sid).update(status="completed"))
    assert updated.status == "completed"
    await world.over(leg)
    assert world.service.at("/twilio/status")[0]["CallStatus"] == "completed"


async def test_a_call_that_is_over_cannot_be_redirected(world: World) -> None:
    leg = await waiting(world)
    leg.leave()
    await world.over(leg)
    with pytest.raises(TwilioRestException) as refused:
        await ask(lambda: client(world).calls(leg.sid).update(twiml="<Response/>"))
    assert (refused.value.status, refused.value.code) == (400, 21220)


async def test_unknown_sids_and_wrong_credentials(world: World) -> None:
    for question, status, code in (
        (lambda: client(world).calls(CALL).fetch(), 404, 20404),
        (lambda: client(world).conferences("CF" + "f" * 32).fetch(), 404, 20404),
        (lambda: client(world).queues("QU" + "f" * 32).fetch(), 404, 20404),
        (lambda: client(world, password="wrong").calls(CALL).fetch(), 401, 20003),
        (lambda: client(world, user="AC" + "1" * 32).calls(CALL).fetch(), 401, 20003),
    ):
        with pytest.raises(TwilioRestException) as refused:
            await ask(question)
        assert (refused.value.status, refused.value.code) == (status, code)


async def test_errors_have_the_providers_shape(world: World) -> None:
    async with world.http.get(world.rest_base + BASE + "/Calls/CA1.json") as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Basic")
        assert await response.json() == {
            "code": 20003,
            "message": "Authenticate",
            "more_info": "https://www.twilio.com/docs/errors/20003",
            "status": 401,
        }


async def test_an_api_key_is_as_good(world: World) -> None:
    keyed = client(world, demo_account.API_KEY_SID, demo_account.API_KEY_SECRET)
    assert await ask(keyed.calls.list) == []


async def test_the_list_is_filtered_and_paged(world: World) -> None:
    world.service.answers[VOICE] = '<Pause length="100000"/><Say>x</Say>'
    legs = [world.call(from_=f"+1415555{n:04}", to="+1999" if n % 2 else "+1888") for n in range(7)]
    await world.clock.advance(3600)
    late = world.call(from_="+14155559999")
    late.leave()
    await world.over(late)
    twilio = client(world)
    sids = [call.sid for call in await ask(lambda: twilio.calls.list(page_size=3))]
    assert sids == [late.sid, *(leg.sid for leg in reversed(legs))]
    assert late.started_at is not None
    an_hour_in = late.started_at - timedelta(minutes=1)

    async def found(**filters: Any) -> list[str]:
        return [call.sid for call in await ask(lambda: twilio.calls.list(**filters))]

    assert await found(from_="+14155550003") == [legs[3].sid]
    assert await found(to="+1999", status="ringing") == [legs[n].sid for n in (5, 3, 1)]
    assert await found(status="canceled") == [late.sid]
    assert await found(start_time_after=an_hour_in) == [late.sid]
    assert await found(start_time_before=an_hour_in, limit=2) == [legs[6].sid, legs[5].sid]
    assert len(await found(start_time=late.started_at.date())) == 8


async def test_an_outgoing_call_is_placed_and_reports_its_events(world: World) -> None:
    world.service.answers["/out"] = '<Say>Hello</Say><Pause length="10"/>'
    twilio = client(world)
    created = await ask(
        lambda: twilio.calls.create(
            to="+14155550177",
            from_="+14155550199",
            url=f"{world.service.url}/out",
            status_callback=f"{world.service.url}/leg",
            status_callback_event=["initiated", "ringing", "answered", "completed"],
        )
    )
    assert (created.status, created.direction, created.queue_time) == ("queued", "outbound-api", "0")
    leg = world.exchange.legs[created.sid or ""]
    await world.over(leg)
    assert world.service.at("/out")[0]["CallStatus"] == "in-progress"
    events = sorted(world.service.at("/leg"), key=lambda a: int(a["SequenceNumber"]))
    assert [e["CallStatus"] for e in events] == ["initiated", "ringing", "in-progress", "completed"]


async def test_events_in_one_parameter_are_one_unknown_event(world: World) -> None:
    twilio = client(world)
    created = await ask(
        lambda: twilio.calls.create(
            to="+14155550177",
            from_="+1999",
            twiml="<Response/>",
            status_callback=f"{world.service.url}/leg",
            status_callback_event=["initiated ringing answered completed"],
        )
    )
    await world.over(world.exchange.legs[created.sid or ""])
    assert world.service.at("/leg") == []


async def test_calls_are_placed_one_per_second(world: World) -> None:
    twilio = client(world)

    def place() -> Any:
        return twilio.calls.create(to="+14155550177", from_="+1999", twiml="<Response/>")

    created = [await ask(place) for _ in range(3)]
    assert [c.queue_time for c in created] == ["0", "1000", "2000"]
    last = world.exchange.legs[created[2].sid]
    await world.clock.advance(1)
    assert last.status == "queued"
    canceled = await ask(lambda: twilio.calls(last.sid).update(status="canceled"))
    assert canceled.status == "canceled"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"from_": "+1999", "to": "", "twiml": "<Response/>"}, 21201),
        ({"from_": "", "to": "+14155550177", "twiml": "<Response/>"}, 21213),
        ({"from_": "+1999", "to": "0177", "twiml": "<Response/>"}, 21211),
        ({"from_": "+1999", "to": "+14155550177"}, 21205),
        ({"from_": "+1999", "to": "+14155550177", "url": "/relative"}, 21205),
        ({"from_": "+1999", "to": "+14155550177", "twiml": "x" * 4001}, 20001),
    ],
)
async def test_a_bad_call_is_refused(world: World, fields: dict[str, str], code: int) -> None:
    with pytest.raises(TwilioRestException) as refused:
        await ask(lambda: client(world).calls.create(**fields))
    assert (refused.value.status, refused.value.code) == (400, code)


async def test_a_ringing_call_cannot_be_redirected_but_canceled(world: World) -> None:
    world.service.answers[VOICE] = '<Pause length="60"/><Say>x</Say>'
    leg = world.call()
    await world.clock.advance(1)
    twilio = client(world)
    with pytest.raises(TwilioRestException) as refused:
        await ask(lambda: twilio.calls(leg.sid).update(twiml="<Response/>"))
    assert refused.value.code == 21220
    assert (await ask(lambda: twilio.calls(leg.sid).update(status="completed"))).status == "canceled"


@pytest.mark.filterwarnings("ignore:.*encode_basic_auth:DeprecationWarning")  # inside the client
async def test_the_asynchronous_client_works_too(world: World) -> None:
    leg = await waiting(world)
    async with AsyncTwilioHttpClient() as transport, asyncio.timeout(10):
        twilio = Client(demo_account.ACCOUNT_SID, demo_account.AUTH_TOKEN, http_client=transport)
        twilio.api.base_url = world.rest_base
        found = await twilio.calls.list_async(status="in-progress")
        await twilio.calls(leg.sid).update_async(status="completed")
    assert [call.sid for call in found] == [leg.sid]
    assert leg.status == "completed"


async def test_conferences_are_listed_by_name_and_state(world: World) -> None:
    world.service.answers[VOICE] = '<Dial><Conference participantLabel="customer">call_1</Conference></Dial>'
    leg = world.call()
    await world.clock.advance(1)
    twilio = client(world)
    (room,) = await ask(lambda: twilio.conferences.list(friendly_name="call_1", status="init"))
    assert await ask(lambda: twilio.conferences.list(friendly_name="call_2")) == []
    member = await ask(lambda: twilio.conferences(room.sid).participants("customer").fetch())
    assert (member.call_sid, member.status, member.hold, member.muted) == (leg.sid, "connected", False, False)
    await ask(lambda: twilio.conferences(room.sid).participants(leg.sid).delete())
    await world.over(leg)
    (ended,) = await ask(lambda: twilio.conferences.list(status="completed"))
    assert ended.reason_conference_ended == "last-participant-kicked"


async def test_every_request_is_in_the_journal() -> None:
    async with a_world() as world:
        auth = {"Authorization": aiohttp.encode_basic_auth(demo_account.ACCOUNT_SID, demo_account.AUTH_TOKEN)}
        async with world.http.post(world.rest_base + BASE + "/Calls.json", data={"To": "x"}, headers=auth) as response:
            assert response.status == 400
        (entry,) = world.exchange.journal.since(kind="rest")
    assert (entry["method"], entry["fields"], entry["status"]) == ("POST", {"To": "x"}, 400)
    assert "Authorization" not in str(entry)
