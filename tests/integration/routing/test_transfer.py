"""Blind transfers to a queue, an agent and a number outside: through the API and the provider, and what goes wrong on the way."""

import asyncio
from itertools import permutations
from typing import Any

import pytest

from simulator.provider.callees import Callee
from simulator.provider.leg import Leg
from tests.integration.cti.payloads import conference_event, of_leg, status_callback
from tests.integration.cti.test_commands import sweep
from tests.stack import NO_CALLBACKS, Agent, Fault, Stack

NUMBER = "+14155550177"


async def in_call(stack: Stack, name: str = "ava", **more: Any) -> tuple[Agent, int, Leg, Leg]:
    agent = await stack.agent(name)
    leg = await stack.dial(**more)
    call_id, phone = await agent.take()
    return agent, call_id, leg, phone


async def transfer(stack: Stack, agent: Agent, call_id: int, *, status: int = 200, **to: Any) -> dict[str, Any]:
    got, answer = await agent.ask("POST", f"/calls/{call_id}/transfer", to)
    assert got == status, answer
    await stack.quiet()
    return dict(answer)


async def transfers(stack: Stack) -> list[tuple[str, str | None]]:
    return [(row["to_kind"], row["outcome"]) for row in await stack.rows("SELECT * FROM transfers ORDER BY id")]


async def allow(stack: Stack, *prefixes: str) -> None:
    for prefix in prefixes:
        await stack.rows("INSERT INTO outside_prefixes (prefix) VALUES ($1) RETURNING 1", prefix)


async def waiting(stack: Stack) -> list[int]:
    rows = await stack.rows(
        "SELECT call_id FROM work_items WHERE state = 'queued' ORDER BY tier DESC, virtual_start, entered_at, id"
    )
    return [row["call_id"] for row in rows]


# --- to a queue ---------------------------------------------------------------------------------------------------------


async def test_call_goes_on_in_another_queue_and_its_agent_wraps_up(stack: Stack) -> None:
    ava, call_id, leg, phone = await in_call(stack)
    answer = await transfer(stack, ava, call_id, queue="sales", note="Wants two licences more.")
    assert answer["call"]["state"] == "queued"
    assert phone.is_over
    await stack.pass_time(1)
    assert leg.heard[-1].text.startswith("We are connecting you with a colleague")
    await stack.pass_time(8)
    assert leg.queue_name == "ringdesk"
    assert await stack.value("SELECT state FROM offers") == "wrapping"
    stints = await stack.rows("SELECT queue, outcome FROM stints ORDER BY id")
    assert [(s["queue"], s["outcome"]) for s in stints] == [("support", "answered"), ("sales", None)]
    item = (await stack.rows("SELECT * FROM work_items"))[0]
    assert (item["queue"], item["state"], item["entered_at"]) == ("sales", "queued", item["virtual_start"])
    assert await stack.value("SELECT queue FROM tickets") == "sales"
    assert await transfers(stack) == [("queue", None)]
    ben = await stack.agent("ben")
    await ben.offer()
    _, desk = await ben.ask("GET", "/desk")
    told = desk["offers"][0]["transfer"]
    assert (told["by"], told["note"]) == ("Ava", "Wants two licences more.")
    _, bens = await ben.take_pending()
    assert bens.is_talking
    assert leg.is_talking
    assert await transfers(stack) == [("queue", "taken")]
    assert await stack.value("SELECT offer_id FROM calls") == await stack.value("SELECT max(id) FROM offers")


async def test_who_gave_a_call_away_does_not_get_it_back_at_once(stack: Stack) -> None:
    await stack.rows("UPDATE queues SET wrap_mode = 'none' RETURNING 1")
    ava, call_id, _, _ = await in_call(stack)
    await transfer(stack, ava, call_id, queue="support")
    await stack.dispatch()
    assert await stack.value("SELECT count(*) FROM offers WHERE state = 'pending'") == 0
    await stack.rows("UPDATE exclusions SET until = now() RETURNING 1")
    assert await ava.offer()


async def test_transferred_caller_comes_before_who_called_later(stack: Stack) -> None:
    ava, call_id, _, _ = await in_call(stack)
    later = await stack.dial("+14155550102", "+862155550123")
    await transfer(stack, ava, call_id, queue="sales")
    assert await waiting(stack) == [call_id, (await stack.call(later.sid))["id"]]


async def test_rules_of_the_queue_say_who_may_have_it_from_its_entry_there(stack: Stack) -> None:
    from app.apply import apply
    from app.org import OrgFile
    from tests.stack import ORG

    steps = [{"after_s": 0, "require": [{"skill": "deals", "level": 3}]}, {"after_s": 40, "boost_s": 30}]
    rule = {
        "name": "Deals",
        "when": {"field": "call.queue", "op": "==", "value": "sales"},
        "then": {"tier": 2, "steps": steps},
    }
    org = OrgFile.model_validate(
        {**ORG, "skills": [{"key": "deals", "name": {"en": "Deals"}}], "rules": [rule, {"name": "all"}]}
    )
    async with stack.parts.resources.outbox.transaction() as tx:
        await apply(tx, org, by="test", replace_rules=True)
    ava, call_id, _, _ = await in_call(stack)
    await stack.rows("UPDATE work_items SET entered_at = entered_at - interval '100 seconds', virtual_start = virtual_start - interval '100 seconds' RETURNING 1")  # fmt: skip
    await stack.rows("UPDATE stints SET entered_at = entered_at - interval '100 seconds' RETURNING 1")
    await stack.rows("UPDATE work_items SET tier = 3 RETURNING 1")
    await transfer(stack, ava, call_id, queue="sales")
    item = (await stack.rows("SELECT rule, tier, step, steps FROM work_items"))[0]
    assert (item["rule"], item["tier"], item["step"]) == ("Deals", 3, 0)
    assert [(step["tier"], step["boost_s"]) for step in item["steps"]] == [(3, 0), (3, 30)], "no lower than it was"
    assert 140 <= item["steps"][1]["after_s"] < 160


async def test_caller_on_hold_is_handed_on_too(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    await ava.ask("POST", f"/calls/{call_id}/hold")
    await stack.quiet()
    await transfer(stack, ava, call_id, queue="sales")
    await stack.pass_time(8)
    assert leg.queue_name == "ringdesk"
    call = await stack.call(leg.sid)
    assert (call["state"], call["hold_wanted"]) == ("queued", False)


async def test_caller_who_leaves_while_being_handed_on_is_no_missed_work(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    await transfer(stack, ava, call_id, queue="sales")
    leg.leave()
    await stack.quiet()
    assert (await stack.call(leg.sid))["outcome"] == "abandoned_queue"
    assert await transfers(stack) == [("queue", "ended")]
    assert await stack.value("SELECT state FROM work_items") == "abandoned"


async def test_same_transfer_twice_at_once_is_one(stack: Stack) -> None:
    ava, call_id, _, _ = await in_call(stack)
    body = {"queue": "sales"}
    answers = await asyncio.gather(*(ava.ask("POST", f"/calls/{call_id}/transfer", body) for _ in range(3)))
    await stack.quiet()
    assert sorted(status for status, _ in answers) == [200, 404, 404]
    assert await transfers(stack) == [("queue", None)]


# --- to an agent --------------------------------------------------------------------------------------------------------


async def test_agent_is_rung_first_and_takes_it(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    ben, chen = await stack.agent("ben"), await stack.agent("chen")
    await transfer(stack, ava, call_id, agent_id=chen.id, note="For you.")
    row = (await stack.rows("SELECT agent_id, state FROM offers ORDER BY id DESC"))[0]
    assert (row["agent_id"], row["state"]) == (chen.id, "pending")
    _, desk = await chen.ask("GET", "/desk")
    assert desk["offers"][0]["reason"]["why"]["en"] == "Transferred by Ava."
    assert desk["offers"][0]["transfer"]["note"] == "For you."
    _, phone = await chen.take_pending()
    assert phone.is_talking
    assert leg.is_talking
    assert await transfers(stack) == [("agent", "taken")]
    assert ben.id != chen.id


@pytest.mark.parametrize("how", ["rejects", "ignores"])
async def test_call_that_the_agent_does_not_take_goes_on_in_its_queue(stack: Stack, how: str) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    chen = await stack.agent("chen")
    later = await stack.dial("+14155550102")
    await stack.rows("UPDATE queues SET held_since = now() RETURNING 1")
    await transfer(stack, ava, call_id, agent_id=chen.id)
    offer_id = await stack.value("SELECT id FROM offers WHERE state = 'pending'")
    if how == "rejects":
        await chen.ask("POST", f"/offers/{offer_id}/reject")
    else:
        await stack.fire("routing.offer")
    await stack.quiet()
    assert await waiting(stack) == [call_id, (await stack.call(later.sid))["id"]]
    assert leg.is_over is False
    await stack.rows("UPDATE queues SET held_since = NULL RETURNING 1")
    ben = await stack.agent("ben")
    assert (await ben.take())[0] == call_id


@pytest.mark.parametrize(("prepare", "verdict"), [("away", "offline"), ("break", "on_break"), ("talks", "in_call")])
async def test_agent_who_cannot_take_it_is_refused_and_the_call_stays(stack: Stack, prepare: str, verdict: str) -> None:
    ava, call_id, leg, phone = await in_call(stack)
    ben = await stack.agent("ben", is_available=prepare != "away")
    if prepare == "break":
        await ben.ask("PUT", "/presence", {"state": "break"})
    if prepare == "talks":
        await stack.dial("+14155550102")
        await ben.take()
    problem = await transfer(stack, ava, call_id, agent_id=ben.id, status=409)
    assert (problem["code"], problem["verdict"]) == ("cannot_take", verdict)
    assert phone.is_talking
    assert leg.is_talking
    assert await transfers(stack) == []


async def test_whom_a_call_can_be_given_to_is_told(stack: Stack) -> None:
    ava, call_id, _, _ = await in_call(stack)
    ben = await stack.agent("ben")
    await allow(stack, "+1415")
    _, found = await ava.ask("GET", f"/calls/{call_id}/transfer-targets")
    assert [(each["name"], each["can"]) for each in found["agents"]] == [("Ben", True), ("Chen", False)]
    assert {queue["key"] for queue in found["queues"]} == {"support", "de", "sales"}
    assert found["outside"] == ["+1415"]
    _, found = await ava.ask("GET", f"/calls/{call_id}/transfer-targets?q=CHE&kind=agents")
    assert [each["name"] for each in found["agents"]] == ["Chen"]
    assert found["queues"] == []
    assert (await ben.ask("GET", f"/calls/{call_id}/transfer-targets"))[0] == 404


# --- outside ------------------------------------------------------------------------------------------------------------


async def outside_leg(stack: Stack) -> Leg:
    return next(leg for leg in stack.exchange.legs.values() if leg.to == NUMBER)


async def test_caller_talks_outside_and_the_call_ends_there(stack: Stack) -> None:
    await allow(stack, "+1415")
    stack.exchange.callees.describe(NUMBER, Callee(after_s=2))
    ava, call_id, leg, phone = await in_call(stack)
    await transfer(stack, ava, call_id, number="(415) 555-0177")
    assert phone.is_over
    call = await stack.call(leg.sid)
    assert (call["state"], call["agent_id"], call["outcome"]) == ("outside", None, None)
    assert await stack.value("SELECT state FROM work_items") == "wrapping"
    await stack.pass_time(12)
    other = await outside_leg(stack)
    assert other.is_answered
    assert leg.partner is other
    assert other.from_ == "+14155550199", "our own number is shown"
    other.leave()
    await stack.pass_time(1)
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"], call["ended_by"]) == ("closed", "answered", "outside")
    assert leg.is_over
    assert await transfers(stack) == [("number", "ended")]


async def test_caller_who_hangs_up_outside_ends_the_call(stack: Stack) -> None:
    await allow(stack, "+1415")
    stack.exchange.callees.describe(NUMBER, Callee(after_s=2))
    ava, call_id, leg, _ = await in_call(stack)
    await ava.ask("POST", f"/calls/{call_id}/wrap-up", {"disposition": None, "note": None})
    await transfer(stack, ava, call_id, number=NUMBER)
    await stack.pass_time(12)
    leg.leave()
    await stack.quiet()
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"], call["ended_by"]) == ("closed", "answered", "customer")


@pytest.mark.parametrize("how", ["busy", "no-answer", "failed"])
async def test_caller_whom_nobody_outside_takes_is_back_at_the_head_of_the_line(stack: Stack, how: Any) -> None:
    await allow(stack, "+1415")
    stack.exchange.callees.describe(NUMBER, Callee(outcome=how))
    ava, call_id, leg, _ = await in_call(stack)
    later = await stack.dial("+14155550102")
    await transfer(stack, ava, call_id, number=NUMBER)
    await stack.pass_time(50)
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"]) == ("queued", None)
    assert leg.queue_name == "ringdesk"
    assert any(heard.text.startswith("We could not reach them") for heard in leg.heard)
    assert await waiting(stack) == [call_id, (await stack.call(later.sid))["id"]]
    assert await transfers(stack) == [("number", "returned")]
    ben = await stack.agent("ben")
    assert (await ben.take())[0] == call_id
    assert leg.is_talking


@pytest.mark.parametrize("number", ["+4930901888", "112", "hello", "+19005550100", "+14155550199", "+1415555017"])
async def test_numbers_that_are_not_allowed_are_refused(stack: Stack, number: str) -> None:
    await allow(stack, "+1")
    ava, call_id, leg, phone = await in_call(stack)
    status, problem = await ava.ask("POST", f"/calls/{call_id}/transfer", {"number": number})
    assert (status, problem["code"]) in {(409, "not_allowed_outside"), (422, "invalid")}
    assert phone.is_talking
    assert leg.is_talking


async def test_nothing_is_allowed_outside_by_default(stack: Stack) -> None:
    ava, call_id, _, _ = await in_call(stack)
    assert (await transfer(stack, ava, call_id, number=NUMBER, status=409))["code"] == "not_allowed_outside"


async def test_refused_redirect_brings_the_caller_back_to_the_line(stack: Stack) -> None:
    await allow(stack, "+1415")
    ava, call_id, leg, _ = await in_call(stack)
    stack.wire.aimed.append((leg.sid, Fault("refused", 400, 21205)))
    await transfer(stack, ava, call_id, number=NUMBER)
    await stack.pass_time(8)
    assert (await stack.call(leg.sid))["state"] == "queued"
    assert leg.queue_name == "ringdesk"
    assert await transfers(stack) == [("number", "returned")]


async def test_transfer_whose_answer_was_lost_does_not_tear_the_talk(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cti import twilio_api

    monkeypatch.setattr(twilio_api, "TIMEOUT_S", 0.2)
    await allow(stack, "+1415")
    stack.exchange.callees.describe(NUMBER, Callee(after_s=2))
    ava, call_id, leg, _ = await in_call(stack)
    stack.wire.aimed.append((leg.sid, Fault("answer_lost")))
    await transfer(stack, ava, call_id, number=NUMBER)
    await stack.pass_time(12)
    assert leg.partner is not None
    await sweep(stack)
    assert leg.partner is not None
    assert len(stack.wire.requests("POST", leg.sid)) == 2, "one into the conference, one outside"


async def test_result_of_an_earlier_transfer_leaves_the_present_one_alone(stack: Stack) -> None:
    await allow(stack, "+1415")
    stack.exchange.callees.describe(NUMBER, Callee(after_s=2))
    ava, call_id, leg, _ = await in_call(stack, faults=NO_CALLBACKS)
    await stack.fire("cti.connect")
    await transfer(stack, ava, call_id, number=NUMBER)
    fields = of_leg(leg, "in-progress", DialCallStatus="no-answer")
    assert "<Enqueue" in (await stack.hook("/twilio/transfer/done?t=999", fields)).text
    assert (await stack.call(leg.sid))["state"] == "outside"


# --- refusals -----------------------------------------------------------------------------------------------------------


async def test_refusals_say_what_is_wrong(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    for body in (
        {},
        {"queue": "sales", "number": NUMBER},
        {"queue": "nowhere"},
        {"agent_id": ava.id},
        {"agent_id": 999},
    ):
        status, problem = await ava.ask("POST", f"/calls/{call_id}/transfer", body)
        assert (status, problem["code"]) == (422, "invalid"), body
    leg.leave()
    await stack.quiet()
    assert (await transfer(stack, ava, call_id, queue="sales", status=409))["code"] == "not_in_call"


async def test_busy_provider_is_asked_again(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    stack.wire.is_down = True
    await transfer(stack, ava, call_id, queue="sales")
    stack.wire.is_down = False
    await sweep(stack)
    await stack.pass_time(8)
    assert leg.queue_name == "ringdesk"


# --- any order, any moment ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", [{"queue": "sales"}, {"number": NUMBER}], ids=["queue", "number"])
async def test_what_the_provider_tells_of_a_transfer_in_any_order_and_twice_ends_alike(
    stack: Stack, to: dict[str, Any]
) -> None:
    """Both leave the conference, it ends, the agent's leg is over: late, doubled, and in all orders."""
    await allow(stack, "+1415")
    ava, call_id, leg, phone = await in_call(stack, faults=NO_CALLBACKS)
    await stack.fire("cti.connect")
    room = next(iter(stack.exchange.conferences.values())).sid
    await transfer(stack, ava, call_id, **to)
    before = dict(await stack.call(leg.sid))
    leaves = {"ParticipantCallStatus": "in-progress", "ReasonParticipantLeft": "participant_updated_via_api"}
    gone = {"ParticipantCallStatus": "completed", "ReasonParticipantLeft": "participant_hung_up"}
    told = [
        ("/twilio/conference", conference_event(call_id, "participant-leave", sid=leg.sid, label="customer", sequence=20, room=room, **leaves)),
        ("/twilio/conference", conference_event(call_id, "participant-leave", sid=phone.sid, label=ava.identity, sequence=21, room=room, **gone)),
        ("/twilio/conference", conference_event(call_id, "conference-end", sequence=22, room=room)),
        ("/twilio/status", status_callback(phone.sid)),
    ]  # fmt: skip
    for number, order in enumerate(permutations(told)):
        for times in range(2):
            for path, fields in order:
                answer = await stack.hook(path, fields, token=f"{number} {times} {path} {fields.get('CallSid')}")
                assert answer.status == 204
    after = dict(await stack.call(leg.sid))
    assert after == before
    assert await stack.value("SELECT state FROM offers") == "wrapping"


@pytest.mark.parametrize("act", ["caller leaves", "agent hangs up", "hold", "another transfer"])
async def test_transfer_at_the_moment_of_something_else_loses_nobody(stack: Stack, act: str) -> None:
    ava, call_id, leg, _ = await in_call(stack)

    async def other() -> int:
        if act == "caller leaves":
            leg.leave()
            return 200
        paths = {"agent hangs up": "hangup", "hold": "hold", "another transfer": "transfer"}
        return (
            await ava.ask(
                "POST", f"/calls/{call_id}/{paths[act]}", {"queue": "de"} if act == "another transfer" else {}
            )
        )[0]

    (status, _), also = await asyncio.gather(ava.ask("POST", f"/calls/{call_id}/transfer", {"queue": "sales"}), other())
    await stack.quiet()
    assert {status, also} <= {200, 404, 409}
    await stack.pass_time(8)
    call = await stack.call(leg.sid)
    if leg.is_over:
        assert call["outcome"] is not None
    else:
        assert (call["state"], leg.queue_name) == ("queued", "ringdesk")
    assert len(await transfers(stack)) <= 1
