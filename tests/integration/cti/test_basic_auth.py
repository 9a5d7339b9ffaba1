"""With credentials in our addresses: the provider asks without them, is asked for them, and comes again; nothing happens before both checks."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import encode_basic_auth

from simulator.config import Target
from tests.integration.cti.payloads import new_sid, standard
from tests.stack import SUPPORT, Stack, running_stack

NAME, PASSWORD = "twilio", "correct-horse-44"


@pytest.fixture
async def guarded(database_url: str, redis_url: str, redis: object, clean: None) -> AsyncIterator[Stack]:
    async with running_stack(database_url, redis_url, webhook_credentials=f"{NAME}:{PASSWORD}") as stack:
        base = stack.parts.telephony.base
        assert base == stack.url.replace("://", f"://{NAME}:{PASSWORD}@")
        owned = stack.exchange.numbers.named(SUPPORT)
        assert owned is not None
        owned.line = replace(
            owned.line,
            voice=Target(f"{base}/twilio/voice"),
            status_callback=Target(f"{base}/twilio/status"),
            fallback=Target(f"{base}/twilio/voice/fallback"),
        )
        app = stack.exchange.numbers.app
        app.line = replace(app.line, voice=Target(f"{base}/twilio/agent"), status_callback=None)
        yield stack
        await stack.settle_down()
        assert await stack.broken() == {}


async def test_nothing_is_let_in_without_both_and_nothing_is_done(guarded: Stack) -> None:
    fields = standard(new_sid())
    for headers in (
        {},
        {"Authorization": encode_basic_auth(NAME, "wrong")},
        {"Authorization": "Basic ?"},
        {"Authorization": "é"},
    ):
        answer = await guarded.hook("/twilio/voice", fields, headers=headers)
        assert answer.status == 401
    right = {"Authorization": encode_basic_auth(NAME, PASSWORD)}
    assert (await guarded.hook("/twilio/voice", fields, headers=right, auth_token="another")).status == 403
    assert (await guarded.raw("/twilio/voice", None, headers=right)).status == 403
    for table in ("provider_events", "calls", "tickets"):
        assert await guarded.count(table) == 0
    assert "<Enqueue" in (await guarded.hook("/twilio/voice", fields, headers=right)).text


async def test_a_whole_call_in_two_steps_each(guarded: Stack) -> None:
    ava = await guarded.agent("ava")
    leg = await guarded.dial()
    _, phone = await ava.take()
    await guarded.until(lambda: leg.is_talking, 10)
    assert leg.is_talking
    assert phone.is_talking
    await guarded.pass_time(5)
    leg.leave()
    await guarded.quiet()
    await guarded.until(lambda: phone.is_over, 20)
    call = await guarded.call(leg.sid)
    assert call["outcome"] == "answered"
    asked = guarded.exchange.journal.since(kind="webhook") + guarded.exchange.journal.since(kind="callback")
    assert len(asked) > 5
    assert all(entry.get("status") in (200, 204) for entry in asked), [
        e for e in asked if e.get("status") not in (200, 204)
    ]


async def test_requests_without_a_setting_need_none(stack: Stack) -> None:
    assert "<Enqueue" in (await stack.hook("/twilio/voice", standard(new_sid()))).text
