"""What the provider's console complains of: signed, kept once by its id, counted and logged without anybody in it."""

import json
from hashlib import sha256
from typing import Any, Final

import pytest
from structlog.testing import capture_logs
from twilio.request_validator import RequestValidator

from core import demo_account
from cti.provider_errors import ENDPOINT
from cti.signature import TwilioAccount
from infra.telemetry import metrics
from tests.integration.cti.payloads import new_sid
from tests.stack import ACCOUNT, CALLER, Answer, Stack

SUB: Final = "AC" + "5" * 32


def counted(level: str, code: str) -> float:
    return float(metrics.provider_errors.labels(level, code)._value.get())


def form(sid: str, code: object = 11200, **more: str) -> dict[str, str]:
    """As the console posts it."""
    request = {"request": {"url": "https://desk.example.com/twilio/voice", "parameters": {"From": CALLER}}}
    payload = {
        "resource_sid": "CA" + "1" * 32,
        "error_code": str(code),
        "more_info": {"Msg": CALLER},
        "webhook": request,
    }
    return {
        "Sid": sid, "AccountSid": ACCOUNT, "ParentAccountSid": "", "Level": "ERROR", "Timestamp": "2026-11-28T18:00:00Z",
        "PayloadType": "application/json", "Payload": json.dumps(payload),
    } | more  # fmt: skip


def event(sid: str, code: object = 11200, kind: str = "com.twilio.error-logs.error.logged") -> dict[str, Any]:
    data = {
        "account_sid": ACCOUNT,
        "level": "ERROR",
        "error_code": code,
        "correlation_sid": "CA" + "1" * 32,
        "Msg": CALLER,
    }
    return {
        "specversion": "1.0",
        "type": kind,
        "source": "/x",
        "id": sid,
        "datacontenttype": "application/json",
        "data": data,
    }


async def post_json(
    stack: Stack, found: object, *, token: str = demo_account.AUTH_TOKEN, hashed: bool = True
) -> Answer:
    body = found if isinstance(found, bytes) else json.dumps(found).encode()
    path = f"{ENDPOINT}?bodySHA256={sha256(body if hashed else b'other').hexdigest()}"
    signature = RequestValidator(token).compute_signature(stack.url + path, {})
    return await stack.raw(path, body, headers={"Content-Type": "application/json", "X-Twilio-Signature": signature})


async def test_error_is_kept_once_counted_and_logged_without_the_caller(stack: Stack) -> None:
    before, fields = counted("error", "11200"), form("NO1")
    with capture_logs() as logs:
        for token in (None, "a", "b"):
            assert (await stack.hook(ENDPOINT, fields, token=token)).status == 204
    assert counted("error", "11200") == before + 1
    (kept,) = await stack.rows("SELECT key, account_sid, call_sid, body FROM provider_events")
    assert (kept["key"], kept["account_sid"], kept["call_sid"]) == (f"{ENDPOINT}:NO1", ACCOUNT, "CA" + "1" * 32)
    assert kept["body"] == {"sid": "NO1", "level": "error", "code": "11200", "about": "CA" + "1" * 32}
    (line,) = [each for each in logs if each["event"] == "provider complains" or each.get("provider_code")]
    assert (line["log_level"], line["provider_code"]) == ("error", "11200")
    assert CALLER not in str(logs) + str(kept["body"])


async def test_get_carries_the_same(stack: Stack) -> None:
    assert (
        await stack.hook(ENDPOINT, form("NO2", Level="WARNING", Timestamp="", PayloadType="", Payload=""), method="GET")
    ).status == 204
    assert (await stack.rows("SELECT body FROM provider_events"))[0]["body"]["level"] == "warning"


async def test_stream_of_events_is_held_to_its_hash_and_kept_by_their_ids(stack: Stack) -> None:
    before = counted("error", "20429")
    events = [event("EV1", 20429), event("EV2", 20429), event("EV3", kind="com.twilio.voice.insights.call-summary")]
    assert (await post_json(stack, events)).status == 204
    assert (await post_json(stack, [event("EV2", 20429)])).status == 204
    assert counted("error", "20429") == before + 2
    keys = [row["key"] for row in await stack.rows("SELECT key FROM provider_events ORDER BY key")]
    assert keys == [f"{ENDPOINT}:EV1", f"{ENDPOINT}:EV2"]
    assert CALLER not in str(await stack.rows("SELECT body FROM provider_events"))


async def test_what_nobody_signed_is_refused_and_leaves_nothing(stack: Stack) -> None:
    assert (await stack.hook(ENDPOINT, form("NO1"), auth_token="another")).status == 403
    assert (await stack.hook(ENDPOINT, form("NO1", AccountSid="AC" + "9" * 32))).status == 403
    assert (await post_json(stack, [event("EV1")], token="another")).status == 403
    assert (await post_json(stack, [event("EV1")], hashed=False)).status == 403
    assert await stack.count("provider_events") == 0


@pytest.mark.parametrize("fields", [{"Sid": ""}, {"Sid": "a b"}, {"Sid": "x" * 65}])
async def test_without_an_id_it_is_refused(stack: Stack, fields: dict[str, str]) -> None:
    assert (await stack.hook(ENDPOINT, form("NO1") | fields)).status == 400


@pytest.mark.parametrize(
    "body", [b"{", b"[1]", b'"x"', b"[" * 5000, json.dumps([event(f"E{n}") for n in range(101)]).encode()]
)
async def test_bodies_that_are_no_events_are_refused(stack: Stack, body: bytes) -> None:
    assert (await post_json(stack, body)).status in (400, 413)
    assert await stack.count("provider_events") == 0


@pytest.mark.parametrize(
    ("fields", "code", "about"),
    [
        ({"Payload": "no json"}, "", None),
        ({"Payload": "[]"}, "", None),
        ({"Payload": json.dumps({"error_code": "<b>", "resource_sid": CALLER})}, "", None),
        ({"Payload": json.dumps({"error_code": 99999, "resource_sid": 7})}, "99999", None),
    ],
)
async def test_strange_payloads_are_kept_as_far_as_they_are_understood(
    stack: Stack, fields: dict[str, str], code: str, about: str | None
) -> None:
    before = counted("error", "other")
    assert (await stack.hook(ENDPOINT, form("NO1") | fields)).status == 204
    assert counted("error", "other") == before + 1, "codes that we do not know share a series"
    body = (await stack.rows("SELECT body FROM provider_events"))[0]["body"]
    assert (body["code"], body["about"]) == (code, about)


async def test_parent_may_sign_for_its_sub_account(stack: Stack) -> None:
    assert (await stack.hook(ENDPOINT, form("NO1", AccountSid=SUB, ParentAccountSid=ACCOUNT))).status == 204
    assert (await stack.hook(ENDPOINT, form("NO2", AccountSid=SUB, ParentAccountSid=SUB))).status == 403


async def test_calls_of_a_sub_account_are_signed_by_its_own_token_and_both_while_it_rotates(stack: Stack) -> None:
    from tests.integration.cti.payloads import standard

    stack.parts.telephony.accounts[SUB] = TwilioAccount(SUB, ("old-token-of-sub", "new-token-of-sub"))
    for token in ("old-token-of-sub", "new-token-of-sub"):
        fields = standard(new_sid()) | {"AccountSid": SUB}
        assert "<Enqueue" in (await stack.hook("/twilio/voice", fields, auth_token=token)).text
        assert (await stack.call(fields["CallSid"]))["account_sid"] == SUB
    refused = standard(new_sid()) | {"AccountSid": SUB}
    assert (await stack.hook("/twilio/voice", refused, auth_token=demo_account.AUTH_TOKEN)).status == 403
    assert (await stack.hook("/twilio/voice", standard(new_sid()), auth_token="new-token-of-sub")).status == 403
