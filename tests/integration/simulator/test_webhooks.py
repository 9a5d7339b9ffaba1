"""How the simulator asks: signature, fields, time limits, retries, fallback, cookies."""

import asyncio
import dataclasses
import socket

import pytest
from aiohttp import web

from simulator.config import Faults, Line, Target
from tests.integration.simulator.service import Asked, World, a_world, twiml

VOICE = "/twilio/voice"


async def test_the_first_request_is_signed_and_has_the_standard_fields(world: World) -> None:
    leg = world.call()
    await world.over(leg)
    (asked,) = world.service.at(VOICE)
    assert asked.is_signed
    assert asked.headers["I-Twilio-Idempotency-Token"]
    expected = {
        "CallSid": leg.sid,
        "AccountSid": world.exchange.config.account_sid,
        "ApiVersion": "2010-04-01",
        "CallStatus": "ringing",
        "Direction": "inbound",
        "From": "+14155550100",
        "Caller": "+14155550100",
        "To": "+14155550199",
        "Called": "+14155550199",
        "FromCountry": "US",
        "FromCity": "",
    }
    assert expected.items() <= asked.fields.items()
    assert len(leg.sid) == 34


async def test_the_number_reports_the_end_and_nothing_else(world: World) -> None:
    world.service.answers[VOICE] = '<Say>Hello</Say><Pause length="60"/>'
    leg = world.call()
    await world.over(leg)
    (asked,) = world.service.at("/twilio/status")
    assert asked.is_signed
    assert asked["CallStatus"] == "completed"
    assert (asked["CallDuration"], asked["Duration"], asked["SequenceNumber"]) == ("61", "2", "0")
    assert asked["Timestamp"] == "Mon, 05 Jan 2026 09:01:00 +0000"
    assert asked["CallbackSource"] == "call-progress-events"


async def test_the_public_url_is_signed_even_when_it_leads_elsewhere(world: World) -> None:
    exchange = world.exchange
    exchange.webhooks._config = dataclasses.replace(
        exchange.config, service_base_url="https://ringdesk.example", service_address=world.service.url
    )
    fields = {"CallSid": "CA1"}
    leg = world.call()
    world.service.url = "https://ringdesk.example"
    await exchange.webhooks.send(Target("https://ringdesk.example/x?b=1&a=2"), fields, leg.party, "webhook")
    (asked,) = world.service.at("/x")
    assert asked.is_signed
    assert asked.headers["Host"] == "ringdesk.example"


async def test_get_puts_the_fields_into_the_signed_query(world: World) -> None:
    world.service.answers[VOICE] = '<Redirect method="GET">/next?step=2</Redirect>'
    await world.over(world.call())
    (asked,) = world.service.at("/next")
    assert asked.is_signed
    assert (asked["step"], asked["CallStatus"]) == ("2", "ringing")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (web.Response(status=500), "11200"),
        (web.Response(status=404), "11200"),
        (web.Response(text="<Response><Say>", content_type="text/xml"), "12100"),
        (web.Response(text="", content_type="text/xml"), "12100"),
        (web.Response(text="<Response><Sing/></Response>", content_type="text/xml"), "12200"),
        (web.Response(text="{}", content_type="application/json"), "12300"),
        (twiml("<Pay/>"), "12200"),
        (twiml("<Redirect>ftp://elsewhere</Redirect>"), "11100"),
    ],
)
async def test_a_failure_goes_to_the_fallback_with_its_code(world: World, answer: web.Response, code: str) -> None:
    async def reply(_: Asked) -> web.Response:
        return answer

    world.service.answers |= {VOICE: reply, "/twilio/voice/fallback": "<Say>Sorry</Say>"}
    leg = world.call()
    await world.over(leg)
    (asked,) = world.service.at("/twilio/voice/fallback")
    assert (asked["ErrorCode"], asked["ErrorUrl"]) == (code, f"{world.service.url}{VOICE}")
    assert [h.text for h in leg.heard] == ["Sorry"]
    assert leg.status == "completed"


async def test_when_the_fallback_fails_too_the_caller_hears_an_error_and_is_gone(world: World) -> None:
    async def refuse(_: Asked) -> web.Response:
        return web.Response(status=503)

    world.service.answers |= {VOICE: refuse, "/twilio/voice/fallback": refuse}
    leg = world.call()
    await world.over(leg)
    assert "application error" in leg.heard[-1].text
    assert len(world.service.at("/twilio/voice/fallback")) == 1


async def test_a_slow_answer_counts_as_none() -> None:
    async def slow(_: Asked) -> str:
        await asyncio.sleep(0.8)
        return "<Say>Too late</Say>"

    async with a_world(read_timeout_s=0.4) as world:
        world.service.answers |= {VOICE: slow, "/twilio/voice/fallback": "<Say>Sorry</Say>"}
        leg = world.call()
        await world.over(leg)
        assert [h.text for h in leg.heard] == ["Sorry"]
        assert world.service.at("/twilio/voice/fallback")[0]["ErrorCode"] == "11200"
        assert len(world.service.at(VOICE)) == 1, "the default policy repeats only failed connections"


async def test_a_failed_connection_is_tried_twice_under_one_token() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}/voice"
        async with a_world(numbers={"+1999": Line(voice=Target(nowhere))}) as world:
            leg = world.call(to="+1999")
            await world.over(leg)
            attempts = world.exchange.journal.since(kind="webhook", sid=leg.sid)
    assert [a["attempt"] for a in attempts] == [0, 1]
    assert all("cannot connect" in a["error"] for a in attempts)


async def test_the_retry_policy_may_stand_in_the_fragment() -> None:
    async with a_world() as world:
        answers = [web.Response(status=500), web.Response(status=502), twiml("<Say>Third</Say>")]

        async def reply(_: Asked) -> web.Response:
            return answers.pop(0)

        world.exchange.config.numbers["+1999"] = Line(voice=Target(f"{world.service.url}/x#rc=2&rp=5xx"))  # type: ignore[index]
        world.service.answers["/x"] = reply
        leg = world.call(to="+1999")
        await world.over(leg)
        tokens = {a.headers["I-Twilio-Idempotency-Token"] for a in world.service.at("/x")}
    assert [h.text for h in leg.heard] == ["Third"]
    assert len(tokens) == 1
    assert all(a.is_signed for a in world.service.at("/x")), "the fragment is not signed"


async def test_the_token_may_be_kept_for_retries() -> None:
    async with a_world(idempotency_header="retries") as world:
        await world.over(world.call())
        assert "I-Twilio-Idempotency-Token" not in world.service.at(VOICE)[0].headers


async def test_cookies_live_as_long_as_the_call(world: World) -> None:
    async def set_cookie(asked: Asked) -> web.Response:
        response = twiml("<Redirect>/next</Redirect>")
        response.set_cookie("seen", asked["CallSid"])
        return response

    world.service.answers |= {VOICE: set_cookie, "/next": "<Say>Hello</Say>"}
    first = world.call()
    await world.over(first)
    second = world.call()
    await world.over(second)
    assert world.service.at("/next")[0].headers["Cookie"] == f"seen={first.sid}"
    assert "Cookie" not in world.service.at(VOICE)[1].headers


async def test_a_redirect_by_302_loses_the_fields_and_307_keeps_them(world: World) -> None:
    async def found(_: Asked) -> web.Response:
        return web.Response(status=302, headers={"Location": "/lost"})

    async def temporary(_: Asked) -> web.Response:
        return web.Response(status=307, headers={"Location": "/kept"})

    world.service.answers |= {VOICE: found, "/lost": "<Redirect>/again</Redirect>", "/again": temporary, "/kept": ""}
    await world.over(world.call())
    assert world.service.at("/lost")[0].fields == {}
    assert world.service.at("/kept")[0]["CallSid"]
    assert all(a.is_signed for a in world.service.asked)


async def test_credentials_in_a_url_are_sent_when_asked_for() -> None:
    async with a_world() as world:
        url = world.service.url.replace("http://", "http://li:s%20cret@")
        world.exchange.config.numbers["+1999"] = Line(voice=Target(f"{url}/private"))  # type: ignore[index]
        seen: list[str | None] = []

        async def guarded(asked: Asked) -> web.Response:
            seen.append(asked.headers.get("Authorization"))
            return twiml("<Say>Hello</Say>") if len(seen) > 1 else web.Response(status=401)

        world.service.answers["/private"] = guarded
        leg = world.call(to="+1999")
        await world.over(leg)
    assert seen == [None, "Basic bGk6cyBjcmV0"]
    assert [h.text for h in leg.heard] == ["Hello"]


async def test_who_hangs_up_while_the_service_thinks_hears_nothing_of_the_answer(world: World) -> None:
    thinking = asyncio.Event()

    async def think(_: Asked) -> str:
        thinking.set()
        await asyncio.sleep(0.2)
        return "<Say>Anybody there?</Say>"

    world.service.answers[VOICE] = think
    leg = world.call()
    await thinking.wait()
    leg.leave()
    await world.over(leg)
    assert (leg.status, list(leg.heard)) == ("canceled", [])
    assert world.service.at("/twilio/status")[0]["CallStatus"] == "canceled"


async def test_a_wrong_signature_is_sent_on_request() -> None:
    async with a_world(faults=Faults(wrong_signature=1)) as world:
        await world.over(world.call())
        assert not world.service.at(VOICE)[0].is_signed
