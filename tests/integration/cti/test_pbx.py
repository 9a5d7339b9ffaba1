"""Calls of a telephone system in Zammad's dialect, over HTTP, to what the desks are told."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, Final

import pytest

from tests.integration.cti.pbx import Pbx, connect, new_id, told
from tests.stack import SUPPORT, Stack


@pytest.fixture
async def pbx(stack: Stack) -> Pbx:
    return await connect(stack)


async def desk_log(stack: Stack, agent_id: int) -> list[str]:
    rows = await stack.rows(
        "SELECT type FROM desk_log WHERE agent_id = $1 AND type <> 'presence_changed' ORDER BY seq", agent_id
    )
    return [row["type"] for row in rows]


async def test_a_call_rings_is_answered_talked_and_wrapped_up(stack: Stack, pbx: Pbx) -> None:
    ava, call = await stack.agent("ava"), new_id()
    assert await pbx.tell(told("newCall", call, **{"user[]": ["Ava Chen"]})) == {}
    assert await pbx.offers() == [("Ava", "pending", None)]
    _, desk = await ava.ask("GET", "/desk")
    (pop,) = desk["offers"]
    assert (pop["call"]["from"], pop["call"]["is_external"], pop["ticket"]["is_new"]) == ("+4915112345678", True, True)
    assert pop["reason"]["why"]["en"] == "The telephone system office rings you."

    assert await pbx.tell(told("answer", call, answeringNumber="201")) == {}
    row = await pbx.call(call)
    assert (row["state"], row["agent_id"], row["provider"], row["language"]) == ("in_call", ava.id, "pbx", "de")
    _, desk = await ava.ask("GET", "/desk")
    assert (desk["offers"], [each["state"] for each in desk["calls"]]) == ([], ["in_call"])

    assert await pbx.tell(told("hangup", call, cause="normalClearing")) == {}
    row = await pbx.call(call)
    assert (row["state"], row["outcome"], row["ended_by"]) == ("wrap_up", "answered", "pbx")
    status, _ = await ava.ask("POST", f"/calls/{row['id']}/wrap-up", {"disposition": None, "note": "done"})
    assert (status, (await pbx.call(call))["state"]) == (200, "closed")
    assert await desk_log(stack, ava.id) == ["screen_pop", *["call_changed"] * 4]
    assert await stack.count("tickets") == 1
    assert await stack.count("provider_commands") == 0, "nothing is asked of anybody"
    assert stack.wire.asked == []


async def test_caller_who_gives_up_is_missed(stack: Stack, pbx: Pbx) -> None:
    ava, call = await stack.agent("ava"), new_id()
    await pbx.tell(told("newCall", call, user=["201"]))
    await pbx.tell(told("hangup", call, cause="cancel"))
    row = await pbx.call(call)
    assert (row["state"], row["outcome"]) == ("closed", "abandoned_queue")
    assert await pbx.offers() == [("Ava", "canceled", "caller_left")]
    assert await desk_log(stack, ava.id) == ["screen_pop", "offer_ended"]
    assert await stack.value("SELECT misses FROM agents WHERE id = $1", ava.id) == 0


ENDS: Final = [
    ("busy", "abandoned_queue", "abandoned"),
    ("cancel", "abandoned_queue", "abandoned"),
    ("noAnswer", "abandoned_queue", "abandoned"),
    ("congestion", "failed", "abandoned"),
    ("notFound", "failed", "abandoned"),
    ("forwarded", "forwarded", "diverted"),
    ("normalClearing", "abandoned_queue", "abandoned"),
    ("something of its own", "abandoned_queue", "abandoned"),
]


@pytest.mark.parametrize(("cause", "outcome", "item"), ENDS)
async def test_cause_says_what_became_of_a_call_nobody_answered(
    stack: Stack, pbx: Pbx, cause: str, outcome: str, item: str
) -> None:
    call = new_id()
    await pbx.tell(told("newCall", call))
    await pbx.tell(told("hangup", call, cause=cause))
    await pbx.time_passes()
    row = await pbx.call(call)
    assert (row["state"], row["outcome"]) == ("closed", outcome)
    assert await stack.value("SELECT state FROM work_items WHERE call_id = $1", row["id"]) == item


EVENTS: Final = {
    "new": told("newCall", "x", user=["201", "202"], queue="Vertrieb"),
    "answer": told("answer", "x", answeringNumber="201", user="201"),
    "hangup": told("hangup", "x", cause="normalClearing"),
    "cancel": told("hangup", "x", cause="cancel"),
}


def _orders(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Every order, and every order with one of them twice."""
    doubled = [(*names, again) for again in names]
    return sorted({order for each in [tuple(names), *doubled] for order in itertools.permutations(each)})


async def _state(stack: Stack, pbx: Pbx, call: str) -> Any:
    rows = await stack.rows(
        "SELECT c.state, c.outcome, c.queue, c.agent_id IS NOT NULL AS agent, c.answered_at IS NOT NULL AS answered, i.state AS item, "
        "i.end_reason, (SELECT count(*) FROM ticket_calls t WHERE t.call_id = c.id) AS tickets, "
        "(SELECT array_agg(s.outcome) FROM stints s WHERE s.call_id = c.id) AS stints, "
        "(SELECT array_agg(o.agent_id::text || o.state ORDER BY o.agent_id) FROM offers o WHERE o.call_id = c.id) AS offers "
        "FROM calls c JOIN work_items i ON i.call_id = c.id WHERE c.sid = $1",
        f"office:{call}",
    )
    assert len(rows) == 1
    return tuple(rows[0])


@pytest.mark.parametrize("names", [("new", "answer", "hangup"), ("new", "cancel")])
async def test_every_order_and_every_repeat_end_in_the_same_state(
    stack: Stack, pbx: Pbx, names: tuple[str, ...]
) -> None:
    await stack.agent("ava")
    await stack.agent("ben")
    seen = {}
    for order in _orders(names):
        call = new_id()
        for name in order:
            await pbx.tell(EVENTS[name] | {"callId": call})
        await pbx.time_passes()
        while await stack.fire("routing.wrap_up"):
            pass
        seen[order] = await _state(stack, pbx, call)
    wanted = seen[names]
    assert wanted[:3] == ("closed", "answered" if "answer" in names else "abandoned_queue", "sales")
    differing = {order: state for order, state in seen.items() if state[:-1] != wanted[:-1]}
    assert differing == {}
    assert await stack.count("work_items") == len(seen)


async def test_second_answer_by_somebody_else_is_a_transfer(stack: Stack, pbx: Pbx) -> None:
    ava, ben, call = await stack.agent("ava"), await stack.agent("ben"), new_id()
    await pbx.tell(told("newCall", call, user="201"))
    await pbx.tell(told("answer", call, answeringNumber="201"))
    await pbx.tell(told("answer", call, answeringNumber="202"))
    row = await pbx.call(call)
    assert (row["state"], row["agent_id"]) == ("in_call", ben.id)
    assert await pbx.offers() == [("Ava", "wrapping", None), ("Ben", "accepted", None)]
    await pbx.tell(told("answer", call, answeringNumber="201"))  # the first one again: late, or twice
    assert (await pbx.call(call))["agent_id"] == ben.id
    await pbx.tell(told("hangup", call, cause="normalClearing"))
    row = await pbx.call(call)
    assert (row["state"], row["outcome"], row["agent_id"]) == ("wrap_up", "answered", ben.id)
    assert await stack.value("SELECT count(*) FROM segments WHERE call_id = $1 AND kind = 'talk'", row["id"]) == 2
    assert await stack.value("SELECT count(*) FROM stints WHERE call_id = $1", row["id"]) == 1
    for agent in (ava, ben):
        await agent.ask("POST", f"/calls/{row['id']}/wrap-up", {"disposition": None, "note": None})
    assert (await pbx.call(call))["state"] == "closed"


async def test_group_rings_and_one_answers(stack: Stack, pbx: Pbx) -> None:
    for name in ("ava", "ben", "chen"):
        await stack.agent(name)
    call = new_id()
    await pbx.tell(told("newCall", call, **{"user[]": ["201", "202", "203", "999"]}))
    assert {offer[1] for offer in await pbx.offers()} == {"pending"}
    await pbx.tell(told("answer", call, user="202"))
    assert await pbx.offers() == [
        ("Ava", "rescinded", "taken"), ("Ben", "accepted", None), ("Chen", "rescinded", "taken"),
    ]  # fmt: skip


async def test_who_is_not_there_is_shown_nothing_and_yet_talks_when_answering(stack: Stack, pbx: Pbx) -> None:
    ava, call = await stack.agent("ava", is_available=False), new_id()
    await pbx.tell(told("newCall", call, user="201"))
    assert await pbx.offers() == []
    await pbx.tell(told("answer", call, answeringNumber="ava@example.com"))
    assert (await pbx.call(call))["agent_id"] == ava.id
    assert await pbx.offers() == [("Ava", "accepted", None)]


async def test_answered_by_somebody_unknown(stack: Stack, pbx: Pbx) -> None:
    ava, call = await stack.agent("ava"), new_id()
    await pbx.tell(told("newCall", call, user="201"))
    await pbx.tell(told("answer", call, answeringNumber="4917155555555"))
    row = await pbx.call(call)
    assert (row["state"], row["agent_id"]) == ("in_call", None)
    assert await pbx.offers() == [("Ava", "rescinded", "taken")]
    _, floor = await ava.ask("GET", "/queues/live")
    assert [each["waiting"] for each in floor["queues"] if each["key"] == "support"] == [0]
    await pbx.tell(told("answer", call, answeringNumber="201"))  # who hands it over to Ava
    assert (await pbx.call(call))["agent_id"] == ava.id
    await pbx.tell(told("answer", call, answeringNumber="0049 171 5555556"))  # and she to somebody outside
    assert (await pbx.call(call))["agent_id"] is None
    await pbx.tell(told("hangup", call, cause="normalClearing"))
    row = await pbx.call(call)
    assert (row["state"], row["outcome"]) == ("closed", "answered")
    await stack.fire("routing.wrap_up")
    assert await stack.value("SELECT state FROM work_items WHERE call_id = $1", row["id"]) == "done"


async def test_the_dispatcher_gives_nobody_what_it_could_not_connect(stack: Stack, pbx: Pbx) -> None:
    ava = await stack.agent("ava")
    await pbx.tell(told("newCall", new_id()))
    await stack.dispatch()
    assert await pbx.offers() == []
    _, floor = await ava.ask("GET", "/queues/live")
    assert [each["waiting"] for each in floor["queues"] if each["key"] == "support"] == [1]
    leg = await stack.dial(to=SUPPORT)
    await ava.take()
    assert (await stack.call(leg.sid))["agent_id"] == ava.id


async def test_what_rings_at_the_telephone_is_answered_there(stack: Stack, pbx: Pbx) -> None:
    ava, call = await stack.agent("ava"), new_id()
    await pbx.tell(told("newCall", call, user="201"))
    offer = await stack.value("SELECT id FROM offers")
    for act in ("accept", "reject"):
        status, body = await ava.ask("POST", f"/offers/{offer}/{act}")
        assert (status, body["code"]) == (409, "answer_at_phone")
    assert await stack.fire("routing.offer") == 1  # nobody told that it has stopped
    assert await pbx.offers() == [("Ava", "rescinded", "no_answer")]
    assert await stack.value("SELECT presence FROM agents WHERE id = $1", ava.id) == "available"
    _, why = await ava.ask("GET", f"/work-items/{await stack.value('SELECT id FROM work_items')}/explain")
    assert why["sentences"][0]["en"] == "Its telephone system decides whom it rings, and when."
    await pbx.tell(told("answer", call, answeringNumber="201"))
    assert await pbx.offers() == [("Ava", "rescinded", "no_answer"), ("Ava", "accepted", None)]


async def test_second_line_of_somebody_who_talks(stack: Stack, pbx: Pbx) -> None:
    ava, first, second = await stack.agent("ava"), new_id(), new_id()
    for call in (first, second):
        await pbx.tell(told("newCall", call, user="201"))
        await pbx.tell(told("answer", call, answeringNumber="201"))
    assert await stack.value("SELECT used_units FROM agents WHERE id = $1", ava.id) == 2
    for call in (first, second):
        await pbx.tell(told("hangup", call, cause="normalClearing"))
    await stack.fire("routing.wrap_up")
    row = (await stack.rows("SELECT used_units, over_by FROM agents WHERE id = $1", ava.id))[0]
    assert tuple(row) == (0, 0)


async def test_outbound_calls_are_recorded_and_told_which_number_to_show(stack: Stack, pbx: Pbx) -> None:
    ava, call = await stack.agent("ava"), new_id()
    out = {"direction": "out", "from": "49301234567", "to": "4917199999999", "user": "Ava Chen"}
    assert await pbx.tell(told("newCall", call, **out)) == {
        "action": "dial", "caller_id": "4930123456", "callerId": "4930123456", "number": "4917199999999",
    }  # fmt: skip
    await pbx.tell(told("answer", call, **out))
    row = await pbx.call(call)
    assert (row["direction"], row["state"], row["agent_id"]) == ("outbound", "in_call", ava.id)
    await pbx.tell(told("hangup", call, cause="normalClearing", **out))
    row = await pbx.call(call)
    assert (row["state"], row["outcome"], row["to_number"]) == ("closed", "answered", "+4917199999999")
    assert row["talk_s"] >= 0
    for table in ("work_items", "tickets", "offers"):
        assert await stack.count(table) == 0
    assert (await pbx.tell(told("newCall", new_id(), **out | {"to": "1415555"})))["caller_id"] == "14155550199"
    assert (await pbx.tell(told("newCall", new_id(), **out | {"to": "44155"})))["caller_id"] == "49800100100"


@pytest.mark.parametrize(
    ("cause", "outcome"), [("busy", "unanswered"), ("noAnswer", "unanswered"), ("notFound", "failed")]
)
async def test_outbound_call_nobody_answers(pbx: Pbx, cause: str, outcome: str) -> None:
    call = new_id()
    await pbx.tell(told("newCall", call, direction="out"))
    await pbx.tell(told("hangup", call, direction="out", cause=cause))
    row = await pbx.call(call)
    assert (row["state"], row["outcome"]) == ("closed", outcome)


async def test_blocked_callers_are_rejected_however_the_number_is_written(stack: Stack, pbx: Pbx) -> None:
    for written in ("49306666666", "0306666666", "+49 30 6666666", "00493 06666666"):
        call = new_id()
        answer = await pbx.tell(told("newCall", call, user="201", **{"from": written}))
        assert answer == {"action": "reject", "reason": "busy"}
        await pbx.tell(told("hangup", call, cause="busy", **{"from": written}))
        assert (await pbx.call(call))["outcome"] == "rejected_blocked"
    assert await stack.count("tickets") == 0


CALLERS: Final = [
    ("anonymous", "withheld", None),
    ("", "withheld", None),
    ("4915112345678", "e164", "+4915112345678"),
    ("015112345678", "e164", "+4915112345678"),
    ("004915112345678", "e164", "+4915112345678"),
    ("+49 151 12345678", "e164", "+4915112345678"),
    ("030/1234567", "e164", "+49301234567"),
    ("16505551234", "e164", "+16505551234"),
    ("345", "short", "345"),
]


@pytest.mark.parametrize(("written", "kind", "value"), CALLERS)
async def test_callers_as_the_system_writes_them(pbx: Pbx, written: str, kind: str, value: str | None) -> None:
    call = new_id()
    await pbx.tell(told("newCall", call, **{"from": written}))
    row = await pbx.call(call)
    assert (row["from_kind"], row["from_value"], row["direction"]) == (kind, value, "inbound")


@pytest.mark.parametrize("caller", ["201", "+4930901820", "4930901820"])
async def test_our_own_numbers_are_no_customers(stack: Stack, pbx: Pbx, caller: str) -> None:
    await stack.agent("ben")
    call = new_id()
    await pbx.tell(told("newCall", call, user="202", **{"from": caller}))
    await pbx.tell(told("answer", call, answeringNumber="202", **{"from": caller}))
    row = await pbx.call(call)
    assert (row["direction"], row["state"]) == ("internal", "in_call")
    await pbx.tell(told("hangup", call, cause="normalClearing", **{"from": caller}))
    assert (await pbx.call(call))["state"] == "closed"
    for table in ("work_items", "tickets", "offers"):
        assert await stack.count(table) == 0


async def test_queue_and_language_of_the_number_that_was_called(stack: Stack, pbx: Pbx) -> None:
    for to, more, queue, language in (
        ("14155550199", {}, "support", "en"),
        ("862155550123", {}, "sales", "zh-CN"),
        ("4930999999", {}, "support", "de"),
        ("862155550123", {"queue": "Vertrieb"}, "sales", "zh-CN"),
        ("14155550199", {"queue": "Vertrieb"}, "sales", "en"),
    ):
        call = new_id()
        await pbx.tell(told("newCall", call, to=to, **more))
        row = await pbx.call(call)
        assert (row["queue"], row["language"]) == (queue, language)


async def test_end_that_never_comes_is_made_up_for(stack: Stack, pbx: Pbx) -> None:
    await stack.agent("ava")
    waiting, talking = new_id(), new_id()
    for call in (waiting, talking):
        await pbx.tell(told("newCall", call))
    await pbx.tell(told("answer", talking, answeringNumber="201"))
    await stack.fire("cti.pbx_limit")
    assert [(await pbx.call(call))["outcome"] for call in (waiting, talking)] == [None, None], "it was too early"
    await stack.rows(
        "UPDATE calls SET created_at = created_at - interval '61 minutes', queued_at = queued_at - interval '61 minutes' RETURNING 1"
    )
    await stack.rows(
        "UPDATE work_items SET entered_at = entered_at - interval '61 minutes', virtual_start = virtual_start - interval '61 minutes' RETURNING 1"
    )
    await stack.rows("UPDATE stints SET entered_at = entered_at - interval '61 minutes' RETURNING 1")
    await stack.fire("cti.pbx_limit")
    row = await pbx.call(waiting)
    assert (row["state"], row["outcome"], row["source"]) == ("closed", "unknown", "timed_out")
    assert (await pbx.call(talking))["state"] == "in_call"
    await stack.rows(
        "UPDATE calls SET answered_at = answered_at - interval '241 minutes', created_at = created_at - interval '241 minutes', queued_at = queued_at - interval '241 minutes' WHERE outcome IS NULL RETURNING 1"
    )
    await stack.fire("cti.pbx_limit")
    row = await pbx.call(talking)
    assert (row["state"], row["outcome"], row["ended_by"]) == ("wrap_up", "answered", "system")


async def test_agent_says_that_a_call_is_over_whose_end_was_not_told(stack: Stack, pbx: Pbx) -> None:
    ava, call = await stack.agent("ava"), new_id()
    await pbx.tell(told("newCall", call, user="201"))
    await pbx.tell(told("answer", call, answeringNumber="201"))
    row = await pbx.call(call)
    status, _ = await ava.ask("POST", f"/calls/{row['id']}/hangup")
    row = await pbx.call(call)
    assert (status, row["state"], row["ended_by"]) == (200, "wrap_up", "agent")
    assert await stack.count("provider_commands") == 0
    await pbx.tell(told("hangup", call, cause="normalClearing"))
    assert (await pbx.call(call))["ended_by"] == "agent"


async def test_nobody_asks_twilio_about_them(stack: Stack, pbx: Pbx) -> None:
    await pbx.tell(told("newCall", new_id()))
    assert await stack.parts.reconciler.once(min_age_s=0) == 0
    assert not stack.wire.requests("GET", "/Calls/")


async def test_end_of_an_unknown_call_is_a_missed_call_if_it_says_so(stack: Stack, pbx: Pbx) -> None:
    missed, over, silent = new_id(), new_id(), new_id()
    await pbx.tell(told("hangup", missed, cause="noAnswer"))
    await pbx.tell(told("hangup", over, cause="normalClearing"))
    await pbx.tell({"event": "hangup", "callId": silent})
    assert await stack.count("calls") == 0, "the new call may still come"
    await pbx.time_passes()
    assert (await pbx.call(missed))["outcome"] == "abandoned_queue"
    assert (await pbx.call(over))["outcome"] == "unknown"
    assert await stack.count("calls") == 2
    assert await stack.count("tickets") == 1
    assert await stack.value("SELECT count(*) FROM provider_events WHERE applied_at IS NULL") == 0


async def test_second_new_call_of_the_same_id_rings_more_telephones(stack: Stack, pbx: Pbx) -> None:
    await stack.agent("ava")
    await stack.agent("ben")
    call = new_id()
    for users in ("201", "202", "202"):
        await pbx.tell(told("newCall", call, user=users))
    assert await pbx.offers() == [("Ava", "pending", None), ("Ben", "pending", None)]
    assert await stack.count("calls") == 1


@pytest.mark.parametrize("is_early", [False, True])
async def test_transfer_that_is_a_new_call_is_one_conversation(stack: Stack, pbx: Pbx, is_early: bool) -> None:
    """Also when the end of the first is told before the second begins."""
    ben, first, second = await stack.agent("ben"), new_id(), new_id()
    await stack.agent("ava")
    await pbx.tell(told("newCall", first, user="201"))
    await pbx.tell(told("answer", first, answeringNumber="201"))
    steps = [
        told("hangup", first, cause="forwarded"),
        told("newCall", second, user="202", origCallId=first),
        told("answer", second, answeringNumber="202"),
    ]
    for step in steps if is_early else [*steps[1:], steps[0]]:
        await pbx.tell(step)
    await pbx.time_passes()
    row = await pbx.call(first)
    assert (row["state"], row["agent_id"]) == ("in_call", ben.id)
    await pbx.tell(told("hangup", second, cause="normalClearing"))
    row = await pbx.call(first)
    assert (row["state"], row["outcome"]) == ("wrap_up", "answered")
    assert await stack.value("SELECT count(*) FROM legs WHERE call_id = $1 AND ended_at IS NOT NULL", row["id"]) == 2
    for table in ("calls", "tickets", "work_items"):
        assert await stack.count(table) == 1


async def test_transfers_back_and_forth_among_wrapping_agents_meet_no_deadlock(stack: Stack, pbx: Pbx) -> None:
    """Calls of one customer, on one ticket, are answered, handed over and ended at once by the same two agents."""
    await stack.agent("ava")
    await stack.agent("ben")
    calls = [new_id() for _ in range(6)]

    async def live(call: str, first: str, second: str) -> None:
        for event in (
            told("newCall", call, user=[first, second]),
            told("answer", call, answeringNumber=first),
            told("answer", call, answeringNumber=second),
            told("hangup", call, cause="normalClearing"),
        ):
            tries = 1
            while (answer := await pbx.post(event)).status == 503 and tries < 5:  # a busy machine says: post it again
                tries += 1
            assert answer.status == 200

    await asyncio.gather(*(live(call, *("201", "202")[:: 1 if n % 2 else -1]) for n, call in enumerate(calls)))
    await stack.quiet()
    await pbx.time_passes()
    while await stack.fire("routing.wrap_up"):
        pass
    assert {(await pbx.call(call))["outcome"] for call in calls} == {"answered"}
    assert {tuple(row) for row in await stack.rows("SELECT used_units, over_by FROM agents")} == {(0, 0)}
