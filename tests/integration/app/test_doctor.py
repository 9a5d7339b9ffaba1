"""`ringdesk doctor --twilio` against the simulator: says what is wrong at the provider in plain words, and --fix sets it right."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from core import demo_account
from simulator.config import Target
from simulator.provider.numbers import Numbers
from tests.command import run
from tests.stack import CHINESE, GERMAN, SUPPORT, Fault, Stack

ACCOUNT = {
    "sid": demo_account.ACCOUNT_SID,
    "auth_tokens": [demo_account.AUTH_TOKEN],
    "api_key_sid": demo_account.API_KEY_SID,
    "api_key_secret": demo_account.API_KEY_SECRET,
    "app_sid": demo_account.APP_SID,
}
WRONG_SECRET = "not-the-secret-of-anything"
Told = Callable[[], str]


@pytest.fixture
def set_up(stack: Stack, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def with_account(**more: Any) -> None:
        monkeypatch.setenv("RINGDESK_DATABASE_URL", database_url)
        monkeypatch.setenv("RINGDESK_PUBLIC_URL", stack.url)
        monkeypatch.setenv("RINGDESK_TWILIO_API_BASE", str(stack.parts.settings.twilio_api_base))
        monkeypatch.setenv("RINGDESK_TWILIO_ACCOUNTS", json.dumps([ACCOUNT | more]))

    with_account()
    return with_account


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    return lambda: capsys.readouterr().out


async def doctor(*words: str) -> int:
    return await run("doctor", "--twilio", *words)


def point_elsewhere(stack: Stack) -> None:
    owned = stack.exchange.numbers.named(SUPPORT)
    assert owned is not None
    owned.line = replace(owned.line, voice=Target("https://me:pw@old.example.com/voice", "GET"), status_callback=None)


async def test_what_is_set_up_is_said_to_be_right(stack: Stack, set_up: object, told: Told) -> None:
    assert await doctor() == 0
    text = told()
    for line in (
        f"ok       {SUPPORT}: ",
        f"ok       {GERMAN}: ",
        f"ok       {CHINESE}: ",
        "ok       TwiML App AP",
        "leads to Ringdesk",
    ):
        assert line in text
    assert "WRONG" not in text


async def test_wrong_addresses_are_named_and_nothing_is_changed(stack: Stack, set_up: object, told: Told) -> None:
    point_elsewhere(stack)
    assert await doctor() == 1
    text = told()
    assert (
        f"WRONG    {SUPPORT}: when a call comes in, it asks https://***@old.example.com/voice; it must be {stack.url}/twilio/voice"
        in text
    )
    assert f"WRONG    {SUPPORT}: when a call is over, it tells nobody; it must be {stack.url}/twilio/status." in text
    assert "--fix" in text
    assert not stack.wire.requests("POST")


async def test_fix_sets_them_once_and_a_call_comes_in(stack: Stack, set_up: object, told: Told) -> None:
    point_elsewhere(stack)
    owned = stack.exchange.numbers.named(GERMAN)
    assert owned is not None
    owned.application_sid = demo_account.APP_SID
    stack.exchange.numbers.app.line = replace(stack.exchange.numbers.app.line, voice=Target(f"{stack.url}/old"))
    assert await doctor("--fix") == 0
    text = told()
    assert f"changed  {SUPPORT}: voice_url was https://***@old.example.com/voice, is {stack.url}/twilio/voice" in text
    assert f"changed  {SUPPORT}: voice_method was GET, is POST." in text
    assert f"changed  {GERMAN}: voice_application_sid was {demo_account.APP_SID}, is blank." in text
    assert (
        f"changed  TwiML App {demo_account.APP_SID}: voice_url was {stack.url}/old, is {stack.url}/twilio/agent."
        in text
    )
    rows = await stack.rows(
        "SELECT object_kind, actor_kind, before::text, after::text FROM audit_log WHERE action = 'telephony.set_up'"
    )
    assert sorted(row["object_kind"] for row in rows) == ["app", "number", "number"]
    assert {row["actor_kind"] for row in rows} == {"cli"}
    assert all("pw" not in row["before"] + row["after"] for row in rows)
    asked = len(stack.wire.requests("POST"))
    assert asked == 3
    assert await doctor("--fix") == 0
    assert "changed" not in told()
    assert len(stack.wire.requests("POST")) == asked
    ava = await stack.agent("ava")
    await stack.dial(to=SUPPORT)
    await ava.take()
    leg = await stack.dial(to=GERMAN)
    assert (await stack.call(leg.sid))["state"] == "queued"


async def test_wrong_secret_is_said_without_the_secret(stack: Stack, set_up: Callable[..., None], told: Told) -> None:
    set_up(auth_tokens=[WRONG_SECRET], api_key_secret=WRONG_SECRET)
    assert await doctor() == 1
    text = told()
    assert "the auth token is refused" in text
    assert "RINGDESK_TWILIO_ACCOUNTS" in text
    assert f"the API key {demo_account.API_KEY_SID} is refused" in text
    assert f"WRONG    {SUPPORT}: not found where we are let in" in text
    assert WRONG_SECRET not in text
    assert demo_account.AUTH_TOKEN not in text


async def test_while_tokens_rotate_the_order_is_looked_at(
    stack: Stack, set_up: Callable[..., None], told: Told
) -> None:
    set_up(auth_tokens=[WRONG_SECRET, demo_account.AUTH_TOKEN])
    assert await doctor() == 1
    assert "put the second first" in told()
    set_up(auth_tokens=[demo_account.AUTH_TOKEN, WRONG_SECRET])
    assert await doctor() == 0
    assert "note     account" in told()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"api_key_secret": None}, "api_key_secret missing: agents cannot talk in the browser"),
        ({"app_sid": None}, "app_sid missing"),
        ({"app_sid": "AP" + "1" * 32}, f"the account has no TwiML App AP{'1' * 32}"),
        ({"sid": "AC" + "1" * 32}, "the auth token is refused"),
    ],
)
async def test_phones_need_a_key_and_an_app(
    stack: Stack, set_up: Callable[..., None], told: Told, more: dict[str, Any], why: str
) -> None:
    set_up(**more)
    assert await doctor() == 1
    assert why in told()


async def test_number_of_another_account_and_number_of_a_trunk(stack: Stack, set_up: object, told: Told) -> None:
    config = stack.exchange.config
    lines = {SUPPORT: config.default_line, GERMAN: config.default_line}
    numbers = stack.exchange.numbers = Numbers(replace(config, accept_any_number=False, numbers=lines))
    german, support = numbers.named(GERMAN), numbers.named(SUPPORT)
    assert german is not None
    assert support is not None
    german.trunk_sid, support.receives_voice = "TK" + "1" * 32, False
    assert await doctor("--fix") == 1
    text = told()
    assert f"WRONG    {CHINESE}: the account has no such number." in text
    assert f"WRONG    {GERMAN}: the SIP trunk TK" in text
    assert f"WRONG    {SUPPORT}: it cannot take calls" in text
    assert not stack.wire.requests("POST")


async def test_provider_out_of_reach_is_another_exit_code(
    stack: Stack, set_up: object, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.wire.is_down = True
    assert await doctor() == 2
    assert "The telephony provider is busy." in told()
    stack.wire.is_down = False
    monkeypatch.setattr("cti.twilio_setup.TIMEOUT_S", 0.2)
    stack.wire.faults.append(Fault("hangs"))
    assert await doctor() == 2
    assert "did not answer" in told()


async def test_fix_that_breaks_half_way_is_finished_by_the_next(stack: Stack, set_up: object, told: Told) -> None:
    point_elsewhere(stack)
    stack.wire.aimed.append(("IncomingPhoneNumbers", Fault("refused", 500)))
    assert await doctor("--fix") == 2
    assert await doctor("--fix") == 0
    assert f"changed  {SUPPORT}" in told()


async def test_public_address_that_leads_elsewhere(
    stack: Stack, set_up: object, told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("RINGDESK_PUBLIC_URL", "http://127.0.0.1:9")
    assert await doctor() == 1
    assert "WRONG    RINGDESK_PUBLIC_URL: (http://127.0.0.1:9) cannot be reached" in told()
    monkeypatch.setenv("RINGDESK_PUBLIC_URL", str(stack.parts.settings.twilio_api_base).removesuffix("/twilio"))
    assert await doctor() == 1
    assert "HTTP 404" in told()
    monkeypatch.delenv("RINGDESK_PUBLIC_URL")
    assert await doctor("--data-dir", f"{tmp_path}") == 1  # else one that runs in this folder would say where it is
    assert "WRONG    RINGDESK_PUBLIC_URL: is not set" in told()


async def test_as_json_and_without_a_database(
    stack: Stack, set_up: object, told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    assert await doctor("--json", "--number", SUPPORT) == 0
    found = json.loads(told())
    assert [each["about"] for each in found["twilio"] if each["about"].startswith("+")] == [SUPPORT]
    monkeypatch.delenv("RINGDESK_DATABASE_URL")
    assert await doctor("--number", SUPPORT, "--data-dir", f"{tmp_path}") == 0
    with pytest.raises(SystemExit):
        await doctor("--number", SUPPORT, "--data-dir", f"{tmp_path}", "--fix")


async def test_no_account_is_said_and_flags_without_twilio_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    for name in ("ACCOUNTS", "API_BASE"):
        monkeypatch.delenv(f"RINGDESK_TWILIO_{name}", raising=False)
    assert await doctor("--data-dir", f"{tmp_path}") == 1
    assert "set RINGDESK_TWILIO_ACCOUNTS" in capsys.readouterr().err
    assert await run("doctor", "--fix") == 1
    assert "belong to --twilio" in capsys.readouterr().err
