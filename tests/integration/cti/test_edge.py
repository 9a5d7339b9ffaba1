"""What the edge of the webhooks lets in: nothing unsigned, nothing malformed, and it says so at once."""

import asyncio
import gzip
import json
from hashlib import sha256
from typing import Final
from urllib.parse import urlencode

import pytest
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from core import demo_account
from tests.integration.cti.payloads import new_sid, standard
from tests.stack import Stack

ENDPOINTS: Final = (
    "/twilio/voice",
    "/twilio/voice/fallback",
    "/twilio/queue/wait",
    "/twilio/queue/done",
    "/twilio/dial/done",
    "/twilio/agent",
    "/twilio/telephone",
    "/twilio/telephone/status",
    "/twilio/status",
    "/twilio/conference",
)
FORM: Final = "application/x-www-form-urlencoded"
FAST_S: Final = 1.0


def signature(url: str, fields: dict[str, str] | None = None, token: str = demo_account.AUTH_TOKEN) -> str:
    return str(RequestValidator(token).compute_signature(url, MultiDict(fields or {})))


async def nothing_is_written(stack: Stack) -> None:
    for table in ("provider_events", "calls", "legs", "tickets", "work_items"):
        assert await stack.count(table) == 0, table


async def test_forged_missing_and_doubled_signatures_are_refused(stack: Stack) -> None:
    fields, typed = standard(new_sid()), {"Content-Type": FORM}
    body = urlencode(fields)
    settings = {"X-Twilio-Webhooks-Signature-Settings": "key=k,algorithm=HMAC_SHA256"}
    for endpoint in ENDPOINTS:
        good = signature(stack.url + endpoint, fields)
        forged = signature(stack.url + endpoint, fields, token="somebody-elses-token")
        other = signature(stack.url + "/twilio/other", fields)
        hostile = ["", "x", forged, other, signature(stack.url + endpoint), f"{good},{good}", good.lower(), "é" * 28]
        for value in hostile:
            answer = await stack.raw(endpoint, body, headers={**typed, "X-Twilio-Signature": value})
            assert (answer.status, answer.content_type) == (403, "application/problem+json"), (endpoint, value)
        twice = MultiDict([*typed.items(), ("X-Twilio-Signature", good), ("X-Twilio-Signature", good)])
        signed = {**typed, "X-Twilio-Signature": good}
        assert (await stack.raw(endpoint, body, headers=typed)).status == 403
        assert (await stack.raw(endpoint, body, headers=twice)).status == 403
        assert (await stack.raw(endpoint, body, headers={**signed, **settings})).status == 403
        assert (await stack.raw(endpoint + "?r=1", body, headers=signed)).status == 403
    await nothing_is_written(stack)


async def test_fields_changed_on_the_way_are_refused(stack: Stack) -> None:
    fields = standard(new_sid())
    good = {"Content-Type": FORM, "X-Twilio-Signature": signature(stack.url + "/twilio/voice", fields)}
    for changed in ({**fields, "From": "+14155550999"}, {**fields, "New": ""}, {k: v for k, v in fields.items() if v}):
        assert (await stack.raw("/twilio/voice", urlencode(changed), headers=good)).status == 403
    await nothing_is_written(stack)


async def test_unknown_account_is_refused(stack: Stack) -> None:
    for account in ("AC" + "f" * 32, "", "AC1", demo_account.ACCOUNT_SID.lower(), "\x00"):
        for endpoint in ENDPOINTS:
            assert (await stack.hook(endpoint, standard(new_sid()) | {"AccountSid": account})).status == 403
    await nothing_is_written(stack)


async def test_get_carries_the_same_call(stack: Stack) -> None:
    sid = new_sid()
    answer = await stack.hook("/twilio/voice", standard(sid, CallerName="Köln & Söhne"), method="GET")
    assert (answer.status, answer.content_type) == (200, "text/xml")
    assert "<Enqueue" in answer.text
    assert (await stack.call(sid))["from_value"] == "+14155550123"
    body = await stack.value("SELECT body FROM provider_events WHERE call_sid = $1", sid)
    assert body["CallerName"] == "Köln & Söhne"
    again = await stack.hook("/twilio/voice", standard(sid, CallerName="Köln & Söhne"), method="GET")
    assert again.text == answer.text
    assert await stack.count("provider_events") == 1


async def test_get_with_a_changed_query_is_refused(stack: Stack) -> None:
    query = urlencode(standard(new_sid()))
    good = {"X-Twilio-Signature": signature(f"{stack.url}/twilio/voice?{query}")}
    assert (await stack.raw(f"/twilio/voice?{query}&x=1", None, headers=good, method="GET")).status == 403
    assert (await stack.raw(f"/twilio/voice?{query}", None, headers=good, method="GET")).status == 200


async def test_other_methods_are_refused(stack: Stack) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert (await stack.raw("/twilio/voice", b"", headers={}, method=method)).status == 405


async def test_unknown_paths_are_not_there(stack: Stack) -> None:
    for path in ("/twilio/", "/twilio/sms", "/twilio/voice/", "/twilio/voice/x", "/twilio/%00", "/twilio/..%2fvoice"):
        answer = await stack.hook(path, standard(new_sid()))
        assert answer.status == 404, path
    await nothing_is_written(stack)


BODIES: Final[list[tuple[str, bytes, dict[str, str], int]]] = [
    ("empty", b"", {"Content-Type": FORM}, 403),
    ("empty, no type", b"", {}, 403),
    ("raw bytes", b"From=\xff\xfe&To=\x80", {"Content-Type": FORM}, 400),
    ("escaped bytes that are no text", b"From=%FF%FE&AccountSid=%C3%28", {"Content-Type": FORM}, 400),
    ("half a character", b"From=%ED%A0%80", {"Content-Type": FORM}, 400),
    ("1 MB", b"a=" + b"x" * 1_000_000, {"Content-Type": FORM}, 413),
    ("70 KB", b"a=" + b"x" * 70_000, {"Content-Type": FORM}, 413),
    ("64 KB and one byte", b"a=" + b"x" * (64 * 1024 - 1), {"Content-Type": FORM}, 413),
    ("64 KB of one field", b"a=" + b"x" * (64 * 1024 - 2), {"Content-Type": FORM}, 403),
    ("5,000 fields", b"&".join(b"a%d=1" % n for n in range(5000)), {"Content-Type": FORM}, 400),
    ("JSON", json.dumps(standard("CA" + "0" * 32)).encode(), {"Content-Type": "application/json"}, 403),
    ("plain text", b"AccountSid=AC", {"Content-Type": "text/plain"}, 403),
    ("no type", b"AccountSid=AC", {}, 403),
    ("type of nonsense", b"AccountSid=AC", {"Content-Type": "/;;;charset=\xff".encode("latin1").decode("latin1")}, 403),
    ("multipart", b"--x\r\n\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 403),
    ("not gzip", b"AccountSid=AC", {"Content-Type": FORM, "Content-Encoding": "gzip"}, 400),
    ("a bomb", gzip.compress(b"a" * 30_000_000), {"Content-Type": FORM, "Content-Encoding": "gzip"}, 413),
    ("unknown coding", b"AccountSid=AC", {"Content-Type": FORM, "Content-Encoding": "x-none"}, 403),
]


async def test_bodies_that_are_no_webhook_get_the_right_refusal_fast(stack: Stack) -> None:
    for name, body, headers, status in BODIES:
        sent = {"X-Twilio-Signature": "x", "Connection": "close", **headers}
        for endpoint in ("/twilio/voice", "/twilio/queue/wait", "/twilio/conference"):
            answer = await stack.raw(endpoint, body, headers=sent)
            assert (answer.status, answer.content_type) == (status, "application/problem+json"), name
            assert answer.seconds < FAST_S, name
            assert len(answer.text) < 1000, name
            assert "AccountSid=AC" not in answer.text, name
    await nothing_is_written(stack)


async def test_signed_bodies_that_are_no_form_open_nothing(stack: Stack) -> None:
    body = json.dumps(standard(new_sid())).encode()
    path = f"/twilio/voice?bodySHA256={sha256(body).hexdigest()}"
    headers = {"Content-Type": "application/json", "X-Twilio-Signature": signature(stack.url + path)}
    assert (await stack.raw(path, body, headers=headers)).status == 403
    await nothing_is_written(stack)


async def test_signed_webhooks_without_a_call_are_refused(stack: Stack) -> None:
    for sid in ("", "CA1", "CA" + "g" * 32, new_sid() + "0", f" {new_sid()}"):
        answer = await stack.hook("/twilio/voice", standard(sid))
        assert (answer.status, answer.content_type) == (400, "application/problem+json")
    await nothing_is_written(stack)


async def test_hostile_request_lines_and_headers_never_break_it(stack: Stack) -> None:
    """Over a bare socket: what no client library sends."""
    host, port = "127.0.0.1", int(stack.url.rpartition(":")[2])
    body = urlencode(standard(new_sid())).encode()
    head = b"Host: x\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n"
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    requests = [
        b"POST /twilio/voice?a=\xff\xfe HTTP/1.1\r\n" + head + b"X-Twilio-Signature: abc\r\n" + length + body,
        b"POST /twilio/voice?%ff%00 HTTP/1.1\r\n" + head + b"X-Twilio-Signature: abc\r\n" + length + body,
        b"GET /twilio/voice?AccountSid=%ff%ed%a0%80 HTTP/1.1\r\n" + head + b"X-Twilio-Signature: abc\r\n\r\n",
        b"GET //twilio/voice HTTP/1.1\r\n" + head + b"\r\n",
        b"POST http://evil.example/twilio/voice HTTP/1.1\r\n" + head + b"X-Twilio-Signature: abc\r\n" + length + body,
        b"POST /twilio/voice HTTP/1.1\r\n" + head + b"X-Twilio-Signature: \xff\xfe\r\n" + length + body,
        b"POST /twilio/voice HTTP/1.1\r\n" + head + b"I-Twilio-Idempotency-Token: \xff\r\n" + length + body,
        b"POST /twilio/voice HTTP/1.1\r\n" + head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nAccount\r\n",
        b"POST /twilio/voice HTTP/1.1\r\n" + head + b"Content-Length: -5\r\n\r\n",
        b"POST /twilio/voice HTTP/1.1\r\n" + head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    ]
    for request in requests:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request)
        async with asyncio.timeout(5):
            answer = await reader.read(65536)
        writer.close()
        status = int(answer.split(b" ", 2)[1])
        assert 400 <= status < 500, (request[:60], answer[:200])
    await nothing_is_written(stack)


async def test_slow_body_is_not_waited_for(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cti.twilio_webhook.READ_TIMEOUT_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(stack.url.rpartition(":")[2]))
    writer.write(
        b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 100\r\n\r\nAccountSid="
    )
    async with asyncio.timeout(FAST_S):
        answer = await reader.readuntil(b"\r\n")
    writer.close()
    assert b" 408 " in answer
    await nothing_is_written(stack)


async def test_strange_but_signed_callers_are_answered(stack: Stack) -> None:
    """NUL, emoji, megametres of digits: whatever the provider signs is a caller, and callers are answered."""
    strange = [
        "",
        "anonymous",
        "+266696687",
        "\x00+1415\x00",
        "🙂" * 50,
        "9" * 500,
        "sip:ann@example.com",
        "client:guest",
        " ",
    ]
    for caller in strange:
        sid = new_sid()
        fields = standard(sid, from_=caller, CallerName="a\x00b\u202e", **{"Näme\x00": "x"})
        answer = await stack.hook("/twilio/voice", fields)
        assert (answer.status, "<Enqueue" in answer.text) == (200, True), caller
        assert (await stack.call(sid))["state"] == "queued"
    assert await stack.count("tickets") == len(strange)
