"""What the edge of a telephone system's webhooks lets in, and what it says to the rest."""

import asyncio
import json
import random
from typing import Any, Final

import pytest
import structlog

from infra.postgres import open_database
from tests import invariants
from tests.integration.cti.pbx import FORM, SECRET, TOKEN, Pbx, connect, new_id, told
from tests.link import Mode, link_to_postgres
from tests.stack import Stack, running_stack

WITHIN_S: Final = 2.0


@pytest.fixture
async def pbx(stack: Stack) -> Pbx:
    return await connect(stack)


async def nothing_is_written(stack: Stack) -> None:
    for table in ("provider_events", "calls", "tickets", "work_items", "cti_nonces"):
        assert await stack.count(table) == 0, table


def cloud(state: str, call: str, **more: Any) -> dict[str, Any]:
    fields = {
        "CallState": state,
        "CallSheetID": call,
        "CallNo": "13800138000",
        "CalledNo": "02155550123",
        "CallType": "normal",
    }
    return fields | more


# --- a mapping -----------------------------------------------------------------------------------------------------------


async def test_a_mapped_call_rings_is_answered_and_ends(stack: Stack, pbx: Pbx) -> None:
    chen, call = await stack.agent("chen"), new_id()
    for state, more in (("Ring", {}), ("Ringing", {"Exten": "203"}), ("Link", {"Exten": "203"})):
        answer = await pbx.sign(cloud(state, call, **more))
        assert (answer.status, answer.text) == (200, "{}"), answer
    row = await pbx.call(call, "cloud")
    assert (row["state"], row["agent_id"], row["from_value"]) == ("in_call", chen.id, "+8613800138000")
    assert (row["queue"], row["language"]) == ("sales", "zh-CN")
    assert (await pbx.sign(cloud("Hangup", call, State="dealing"))).status == 200
    row = await pbx.call(call, "cloud")
    assert (row["state"], row["outcome"]) == ("wrap_up", "answered")
    assert await pbx.offers() == [("Chen", "wrapping", None)]


async def test_what_cannot_be_mapped_is_named_with_its_place(stack: Stack, pbx: Pbx) -> None:
    for fields, field, path in (
        (cloud("Odd", "1"), "event", "CallState"),
        ({"CallState": "Ring"}, "call", "CallSheetID"),
        (cloud("Ring", "1", CallNo={"a": 1}), "from", "CallNo"),
    ):
        answer = await pbx.sign(fields)
        body = json.loads(answer.text)
        assert (answer.status, answer.content_type, body["code"]) == (422, "application/problem+json", "invalid")
        assert [(each["field"], each["path"]) for each in body["errors"]] == [(field, path)]
        assert "13800138000" not in answer.text
    assert (await pbx.sign(cloud("Login", "1"))).text == "{}", "what is to be ignored is acknowledged"
    assert await stack.count("calls") == 0


async def test_nonce_is_used_once(stack: Stack, pbx: Pbx) -> None:
    call = new_id()
    nonce, timestamp = "nonce-of-the-test", str(int(stack.parts.resources.database.clock.now().timestamp()))
    for _ in range(2):  # the very same request again, because its answer was lost
        answer = await pbx.sign(cloud("Ring", call), nonce=nonce, timestamp=timestamp)
        assert (answer.status, answer.text) == (200, "{}")
    other = await pbx.sign(cloud("Hangup", call), nonce=nonce, timestamp=timestamp)
    assert (other.status, json.loads(other.text)["code"]) == (409, "nonce_used")
    assert await stack.count("cti_nonces") == 1
    assert (await pbx.call(call, "cloud"))["state"] == "queued"


async def test_who_has_not_signed_is_refused_and_learns_no_name(stack: Stack, pbx: Pbx) -> None:
    old = str(int(stack.parts.resources.database.clock.now().timestamp()) - 400)
    for answer in (
        await pbx.sign(cloud("Ring", "1"), secret="somebody-elses-secret"),
        await pbx.sign(cloud("Ring", "1"), connection="unknown"),
        await pbx.sign(cloud("Ring", "1"), connection="office"),
        await pbx.sign(cloud("Ring", "1"), timestamp=old),
        await stack.raw("/cti/generic/cloud", json.dumps(cloud("Ring", "1")), headers={}),
    ):
        assert (answer.status, json.loads(answer.text)["code"]) == (401, "signature_invalid")
        assert json.loads(answer.text)["detail"] == "The signature does not hold"
    await nothing_is_written(stack)


async def test_both_secrets_hold_while_one_is_changed(stack: Stack, pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGDESK_CTI_CLOUD", f"{SECRET}-new, {SECRET}")
    monkeypatch.setenv("RINGDESK_CTI_OFFICE", "too-short")
    await stack.parts.telephony.connections.refresh(stack.parts.resources.database)
    for secret, status in ((SECRET, 200), (f"{SECRET}-new", 200), (f"{SECRET}-new, {SECRET}", 401)):
        assert (await pbx.sign(cloud("Ring", new_id()), secret=secret)).status == status
    assert (await pbx.post(told("newCall", new_id()), token="too-short")).status == 401


# --- a token -------------------------------------------------------------------------------------------------------------


async def test_wrong_tokens_are_refused(stack: Stack, pbx: Pbx) -> None:
    for token in ("x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "%00", SECRET, "%C3%A9"):
        answer = await pbx.post(told("newCall", new_id()), token=token)
        assert (answer.status, json.loads(answer.text)["code"]) == (401, "token_invalid")
    for path, status in (("/cti/", 404), ("/cti/zammad", 404), ("/cti/zammad/a/b", 404), ("/cti/generic/A", 404)):
        assert (await stack.raw(path, "event=newCall", headers=FORM)).status == status
    assert (await stack.raw(f"/cti/zammad/{TOKEN}", None, headers={}, method="GET")).status == 405
    await nothing_is_written(stack)


async def test_json_and_form_say_the_same(stack: Stack, pbx: Pbx) -> None:
    await stack.agent("ava")
    for fields in (told("newCall", new_id(), user=["201"]), told("newCall", new_id(), user="201")):
        assert (await pbx.post_json(fields)).text == "{}"
    assert (await pbx.post_json(told("newCall", "n", direction="out", to="49301"))).text == (
        await pbx.post(told("newCall", "m", direction="out", to="49301"))
    ).text
    await stack.quiet()
    assert await pbx.offers() == [("Ava", "pending", None)] * 2


async def test_a_repeat_gets_the_answer_of_the_first(stack: Stack, pbx: Pbx) -> None:
    call = told("newCall", new_id(), **{"from": "49306666666"})
    answers = await asyncio.gather(*(pbx.post(call) for _ in range(6)))
    assert {(answer.status, answer.text) for answer in answers} == {(200, '{"action":"reject","reason":"busy"}')}
    assert await stack.count("provider_events") == 1


async def test_events_at_once_end_in_one_call(stack: Stack, pbx: Pbx) -> None:
    ava, call = await stack.agent("ava"), new_id()
    events = [
        told("newCall", call, user="201"),
        told("answer", call, answeringNumber="201"),
        told("hangup", call, cause="normalClearing"),
    ]
    answers = await asyncio.gather(*(pbx.post(event) for event in events * 3))
    assert {answer.status for answer in answers} == {200}
    await pbx.time_passes()
    row = await pbx.call(call)
    assert (row["outcome"], row["agent_id"]) == ("answered", ava.id)
    assert await stack.count("provider_events") == 3


UNREADABLE: Final[list[tuple[bytes, dict[str, str], int]]] = [
    (b"", FORM, 422),
    (b"event=newCall&callId=1&direction=sideways", FORM, 422),
    (b"event=%FF", FORM, 400),
    (b"\xff\xfe", FORM, 400),
    (b"a=" + b"x" * 70_000, FORM, 413),
    (b"{", {"Content-Type": "application/json"}, 400),
    (b"[]", {"Content-Type": "application/json"}, 400),
    (b'"text"', {"Content-Type": "application/json"}, 400),
    (b'{"event": NaN}', {"Content-Type": "application/json"}, 400),
    (b'{"event": "\\ud800"}', {"Content-Type": "application/json"}, 400),
    (b'{"a":' * 2000 + b"1" + b"}" * 2000, {"Content-Type": "application/json"}, 400),
    (b'{"event": "newCall", "direction": "in", "callId": "\\u0000"}', {"Content-Type": "application/json"}, 422),
    (b'{"event": "newCall", "direction": "in", "callId": "a\\u0000b", "from": "\\u0000"}', {}, 200),
]


@pytest.mark.parametrize(("body", "headers", "status"), UNREADABLE)
async def test_bodies_that_are_none(pbx: Pbx, body: bytes, headers: dict[str, str], status: int) -> None:
    answer = await pbx.stack.raw(f"/cti/zammad/{TOKEN}", body, headers=headers)
    assert answer.status == status, answer.text


async def test_no_request_makes_the_service_stumble(stack: Stack, pbx: Pbx) -> None:
    """Drawn fields and values, whole and broken, in both dialects: never a 5xx."""
    draw, seen = random.Random(7), set[int]()
    names = ["event", "from", "to", "direction", "callId", "user", "user[]", "queue", "cause", "answeringNumber"]
    values: list[Any] = [
        "newCall", "answer", "hangup", "in", "out", "49301234567", "anonymous", "201", "normalClearing", "cancel", "", None, 0, -1, 1e300,
        True, [], {}, ["201", None], [[]], {"a": "b"}, "\x00", "💥" * 60, "x" * 300, "a\nb", "+", "sip:x@y", "999", "call-1", "call-2",
    ]  # fmt: skip
    for _ in range(250):
        fields = {name: draw.choice(values) for name in draw.sample(names, draw.randrange(11))}
        if draw.random() < 0.7:
            fields |= {"event": draw.choice(values[:3]), "direction": "in", "callId": f"call-{draw.randrange(9)}"}
        mapped = {
            name: draw.choice(values) for name in ("CallSheetID", "CallNo", "CalledNo", "CallType", "Exten", "State")
        }
        mapped["CallState"] = draw.choice(["Ring", "Ringing", "Link", "Hangup", *values])
        for answer in (await pbx.post_json(fields), await pbx.sign(mapped)):
            seen.add(answer.status)
            assert answer.status in (200, 422), (fields, mapped, answer)
    assert seen == {200, 422}
    await pbx.time_passes()
    assert await stack.value("SELECT count(*) FROM provider_events WHERE applied_at IS NULL") == 0


async def test_no_secret_and_no_number_is_logged(pbx: Pbx) -> None:
    with structlog.testing.capture_logs() as lines:
        await pbx.post(told("newCall", new_id()), token=TOKEN + "x")
        await pbx.post(told("newCall", new_id(), user="201"))
        await pbx.post(told("newCall", "", **{"from": "4915112345678"}))
        await pbx.sign(cloud("Odd", "1"), secret="a-secret-that-is-wrong")
        await pbx.sign(cloud("Odd", "1"))
    text = repr(lines)
    for part in (TOKEN, SECRET, "a-secret-that-is-wrong", "15112345678", "13800138000"):
        assert part not in text
    assert "webhook refused" in text


# --- without the database ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [Mode.SWALLOW, Mode.RESET])
async def test_without_the_database_it_says_in_time_that_nothing_was_taken(
    database_url: str, redis_url: str, clean: None, how: Mode
) -> None:
    async with link_to_postgres(database_url) as (link, url), running_stack(url, redis_url) as stack:
        pbx = await connect(stack)
        await link.set(how)
        call = new_id()
        answers = await asyncio.gather(
            pbx.post(told("newCall", call)),
            stack.raw(f"/cti/zammad/{TOKEN}x", "event=newCall", headers=FORM),
        )
        assert [answer.status for answer in answers] == [503, 401]
        assert max(answer.seconds for answer in answers) < WITHIN_S * 2
        await link.set(Mode.PASS)
        async with asyncio.timeout(20):
            while (await pbx.post(told("newCall", call))).status != 200:  # noqa: ASYNC110 - the other end of a wire
                await asyncio.sleep(0.05)
        await stack.settle_down()
        assert (await pbx.call(call))["state"] == "queued"
    async with open_database(database_url, size=2) as direct, direct.acquire() as conn:
        assert await invariants.broken(conn) == {}
