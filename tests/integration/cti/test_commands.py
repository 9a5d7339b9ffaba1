"""Commands to the provider over wires that break: never twice where once tears something, never forgotten."""

import asyncio
import time

import pytest

from core.errors import Unavailable
from cti import twilio_api
from cti.commands import Commands
from simulator.provider.leg import Leg
from tests.stack import NO_CALLBACKS, Agent, Fault, Stack


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider has a fifth of a second to answer, so that the tests need not wait for five."""
    monkeypatch.setattr(twilio_api, "TIMEOUT_S", 0.2)


async def command(stack: Stack, kind: str = "connect") -> tuple[str, int, str | None]:
    rows = await stack.rows("SELECT state, attempts, last_error FROM provider_commands WHERE kind = $1", kind)
    assert len(rows) == 1
    return rows[0]["state"], rows[0]["attempts"], rows[0]["last_error"]


async def accepted(stack: Stack, agent: Agent, *, is_silent: bool = False) -> str:
    leg = await stack.dial(faults=NO_CALLBACKS if is_silent else None)
    await agent.accept(await agent.offer())
    return leg.sid


async def sweep(stack: Stack) -> int:
    """As two seconds, or the end of a lease, later."""
    await stack.rows(
        "UPDATE provider_commands SET created_at = created_at - interval '10 seconds', lease_until = now() - interval '1 second' "
        "WHERE state IN ('intended', 'sent', 'unknown') RETURNING 1"
    )
    tried = await stack.parts.commands.sweep_once()
    await stack.quiet()
    return tried


async def test_command_is_done_once_at_once(stack: Stack) -> None:
    sid = await accepted(stack, await stack.agent("ava"))
    assert await command(stack) == ("done", 1, None)
    assert await sweep(stack) == 0
    assert len(stack.wire.requests("POST", sid)) == 1
    assert len(stack.wire.requests("GET", sid)) == 0


async def test_answer_that_never_comes_is_unknown_and_looked_up_before_the_repeat(
    stack: Stack, short_patience: None
) -> None:
    """The request was lost: the leg is looked up, the caller is not in the conference, so it is sent again."""
    stack.wire.faults.append(Fault("hangs"))
    sid = await accepted(stack, await stack.agent("ava"))
    assert await command(stack) == ("unknown", 1, "no answer")
    before = len(stack.wire.asked)
    assert await sweep(stack) == 1
    asked = [(verb, path.rpartition("/")[2].partition("?")[0]) for verb, path, _ in stack.wire.asked[before:]]
    assert asked == [("GET", f"{sid}.json"), ("GET", "Conferences.json"), ("POST", f"{sid}.json")]
    assert await command(stack) == ("done", 2, None)
    await stack.settle_down()
    assert (await stack.call(sid))["caller_joined"] is True


async def test_command_whose_answer_was_lost_is_not_sent_twice(stack: Stack, short_patience: None) -> None:
    """The caller sits in the conference already; a second redirect would tear the talk apart."""
    ava = await stack.agent("ava")
    stack.wire.faults.append(Fault("answer_lost"))
    sid = await accepted(stack, ava, is_silent=True)
    phone = await ava.pick_up((await stack.call(sid))["id"])
    assert phone.is_talking
    assert await command(stack) == ("unknown", 1, "no answer")
    await sweep(stack)
    assert await command(stack) == ("done", 2, None)
    assert len(stack.wire.requests("POST", sid)) == 1
    assert phone.is_talking


@pytest.mark.parametrize(
    ("status", "code"), [(429, 20429), (500, 20500), (503, 20503)], ids=["too many", "broken", "away"]
)
async def test_busy_provider_is_asked_again(stack: Stack, status: int, code: int) -> None:
    stack.wire.faults.append(Fault("refused", status, code))
    sid = await accepted(stack, await stack.agent("ava"))
    assert (await command(stack))[0] == "unknown"
    assert (await stack.call(sid))["state"] == "connecting"
    await stack.repeat()
    assert (await command(stack))[:2] == ("unknown", 1), "not before some time has passed"
    await sweep(stack)
    assert (await command(stack))[:2] == ("done", 2)
    assert (await stack.call(sid))["caller_joined"] is True


async def test_unknown_commands_wait_longer_each_time_and_are_never_given_up(stack: Stack) -> None:
    stack.wire.is_down = True
    await accepted(stack, await stack.agent("ava"))
    waits = []
    for _ in range(8):
        await sweep(stack)
        waits.append(
            await stack.value("SELECT round(extract(epoch FROM lease_until - now()))::int FROM provider_commands")
        )
    assert waits == sorted(waits)
    assert waits[0] <= 4
    assert 25 <= waits[-1] <= 30
    stack.wire.is_down = False
    assert await sweep(stack) == 1
    assert (await command(stack))[0] == "done"


@pytest.mark.parametrize(("status", "code"), [(404, 20404), (400, 21220)], ids=["404", "21220"])
async def test_leg_that_is_not_in_progress_means_that_the_caller_left(stack: Stack, status: int, code: int) -> None:
    stack.wire.faults.append(Fault("refused", status, code))
    ava = await stack.agent("ava")
    sid = await accepted(stack, ava)
    assert await command(stack) == ("failed", 1, "leg_not_in_progress")
    call = await stack.call(sid)
    assert (call["state"], call["outcome"]) == ("closed", "abandoned_ringing")
    assert await stack.value("SELECT (state, reason) = ('canceled', 'caller_left') FROM offers")
    assert await stack.value("SELECT used_units FROM agents WHERE id = $1", ava.id) == 0


async def test_repeat_finds_that_the_caller_left_meanwhile(stack: Stack, short_patience: None) -> None:
    stack.wire.faults.append(Fault("hangs"))
    sid = await accepted(stack, await stack.agent("ava"), is_silent=True)
    stack.exchange.legs[sid].leave()
    await stack.quiet()
    await sweep(stack)
    assert (await command(stack))[0] == "failed"
    assert (await stack.call(sid))["outcome"] == "abandoned_ringing"
    assert len(stack.wire.requests("POST", sid)) == 1


async def taken(stack: Stack, agent: Agent) -> tuple[Leg, int]:
    """Who waits is taken out of the line by hand. The caller's leg, and the act that undoes it."""
    await agent.ask("PUT", "/presence", {"state": "break"})  # so that the call is offered to nobody before
    leg = await stack.dial()
    (item,) = await stack.rows("SELECT id, version FROM work_items WHERE state = 'queued'")
    status, answer = await agent.ask("POST", f"/work-items/{item['id']}/pick", {"version": item["version"]})
    assert status == 200, answer
    return leg, answer["undo"]["id"]


async def give_back(agent: Agent, act_id: int) -> None:
    status, answer = await agent.ask("POST", f"/acts/{act_id}/undo", {})
    assert status == 200, answer


async def come_to(stack: Stack, wanted: list[tuple[str, str]]) -> None:
    """While a request is held nothing is quiet."""
    began = time.monotonic()
    while (found := await states(stack)) != wanted:
        assert time.monotonic() - began < 5, found
        await asyncio.sleep(0.02)


async def states(stack: Stack) -> list[tuple[str, str]]:
    rows = await stack.rows("SELECT kind, state FROM provider_commands WHERE kind <> 'end_leg' ORDER BY id")
    return [(row["kind"], row["state"]) for row in rows]


async def test_caller_who_is_given_back_is_fetched_only_once_the_way_in_is_over(stack: Stack) -> None:
    """Else the request that arrives last would win, and the caller would sit alone in a conference."""
    ava = await stack.agent("ava")
    stack.wire.faults.append(Fault("held"))
    leg, act_id = await taken(stack, ava)
    async with asyncio.timeout(5):
        await stack.wire.under_way.wait()
    await give_back(ava, act_id)
    await come_to(stack, [("connect", "sent"), ("requeue", "unknown")])
    stack.wire.let_go.set()
    await stack.quiet()
    await sweep(stack)
    await stack.pass_time(20)
    found = await states(stack)
    assert found[:2] == [("connect", "done"), ("requeue", "done")]
    assert {kind for kind, _ in found[2:]} <= {"fetch"}, "it was seen to come in, too"
    call = await stack.call(leg.sid)
    assert (call["state"], call["agent_id"]) == ("queued", None)
    assert leg.queue_name is not None, "in the provider's line again"


async def test_next_agents_talk_is_not_torn_by_the_way_back_of_the_one_before(stack: Stack) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    leg, act_id = await taken(stack, ava)
    await stack.quiet()
    stack.wire.faults.append(Fault("held"))
    await give_back(ava, act_id)
    async with asyncio.timeout(5):
        await stack.wire.under_way.wait()
    pool = await stack.value("SELECT pool_id FROM queues WHERE key = 'support'")
    while await stack.parts.dispatcher.dispatch(pool):
        pass
    offer_id = await stack.value("SELECT id FROM offers WHERE agent_id = $1 AND state = 'pending'", ben.id)
    assert (await ben.ask("POST", f"/offers/{offer_id}/accept"))[0] == 200
    await come_to(stack, [("connect", "done"), ("requeue", "sent"), ("connect", "unknown")])
    stack.wire.let_go.set()
    await stack.quiet()
    await sweep(stack)
    phone = await ben.pick_up((await stack.call(leg.sid))["id"])
    assert phone.is_talking
    assert (await stack.call(leg.sid))["state"] == "in_call"


async def test_caller_who_comes_into_the_conference_too_late_is_fetched_out_of_it(stack: Stack) -> None:
    """The provider says that it has not done it, and does it all the same."""
    ava = await stack.agent("ava")
    stack.wire.faults.append(Fault("refused", 503, 20503))
    leg, act_id = await taken(stack, ava)
    await stack.quiet()
    sent = stack.wire.requests("POST", leg.sid)[-1]
    await give_back(ava, act_id)
    await stack.quiet()
    assert ("requeue", "done") in await states(stack)
    await stack.parts.telephony.twilio.redirect((await stack.call(leg.sid))["account_sid"], leg.sid, sent["Twiml"])
    await stack.quiet()
    assert ("fetch", "done") in await states(stack)
    await stack.pass_time(20)
    assert leg.queue_name is not None


async def test_refused_command_is_kept_with_its_reason_and_the_timer_takes_over(stack: Stack) -> None:
    stack.wire.faults.append(Fault("refused", 401, 20003))
    sid = await accepted(stack, await stack.agent("ava"))
    assert (await command(stack))[0] == "failed"
    assert (await stack.call(sid))["state"] == "connecting"
    assert await sweep(stack) == 0
    await stack.fire("cti.connect")
    assert (await stack.call(sid))["state"] == "queued"


async def test_refused_hang_up_can_be_asked_for_again(stack: Stack) -> None:
    ava = await stack.agent("ava")
    leg = await stack.dial()
    call_id, _ = await ava.take()
    stack.wire.faults.append(Fault("refused", 401, 20003))
    await ava.ask("POST", f"/calls/{call_id}/hangup")
    await stack.quiet()
    assert (await command(stack, "end"))[0] == "failed"
    await ava.ask("POST", f"/calls/{call_id}/hangup")
    await stack.quiet()
    assert leg.is_over
    assert (await stack.call(leg.sid))["ended_by"] == "agent"


async def test_two_runners_at_once_send_one_command(stack: Stack) -> None:
    """The lease: whoever claims it does it, the other one leaves it alone."""
    stack.wire.is_down = True
    sid = await accepted(stack, await stack.agent("ava"))
    stack.wire.is_down = False
    stack.wire.asked.clear()
    await stack.rows(
        "UPDATE provider_commands SET lease_until = NULL, created_at = now() - interval '9 seconds' RETURNING 1"
    )
    telephony, twilio = stack.parts.telephony, stack.parts.commands._twilio
    second = Commands(stack.parts.resources.outbox, twilio, telephony.lines, telephony.base)
    await asyncio.gather(stack.parts.commands.sweep_once(), second.sweep_once(), second.sweep_once())
    await stack.quiet()
    assert len(stack.wire.requests("POST", sid)) == 1
    assert (await command(stack))[:2] == ("done", 2)


async def test_command_of_a_runner_that_died_is_taken_over_when_its_lease_is_over(stack: Stack) -> None:
    sid = await accepted(stack, await stack.agent("ava"), is_silent=True)
    await stack.rows(
        "UPDATE provider_commands SET state = 'sent', created_at = now() - interval '9 seconds', lease_until = now() + interval '5 seconds' RETURNING 1"
    )
    assert await stack.parts.commands.sweep_once() == 0
    assert await sweep(stack) == 1
    assert (await command(stack))[:2] == ("done", 2)
    assert len(stack.wire.requests("POST", sid)) == 1, "the caller sat in the conference already"


async def test_commands_of_a_call_that_is_over_are_dropped(stack: Stack) -> None:
    stack.wire.is_down = True
    ava = await stack.agent("ava")
    leg = await stack.dial()
    await ava.accept(await ava.offer())
    leg.leave()
    await stack.quiet()
    stack.wire.is_down = False
    stack.wire.asked.clear()
    await sweep(stack)
    assert stack.wire.asked == []
    assert await stack.value("SELECT count(*) FROM provider_commands WHERE ended_at IS NULL") == 0


async def test_provider_that_cannot_say_who_is_there_counts_as_nobody_in_the_end(stack: Stack) -> None:
    ava = await stack.agent("ava")
    sid = await accepted(stack, ava)
    stack.wire.is_down = True
    await stack.fire("cti.connect")
    for _ in range(3):
        assert (await stack.call(sid))["state"] == "connecting"
        await sweep(stack)
    assert (await stack.call(sid))["state"] == "queued"
    stack.wire.is_down = False
    await sweep(stack)
    assert (await command(stack, "requeue"))[0] == "done"
    assert stack.exchange.legs[sid].seat is None


async def test_effect_that_failed_is_repeated_but_does_nothing_twice(stack: Stack) -> None:
    stack.wire.faults.append(Fault("refused", 503))
    sid = await accepted(stack, await stack.agent("ava"))
    assert await stack.value("SELECT last_error FROM deliveries WHERE done_at IS NULL") == Unavailable.code
    await sweep(stack)
    await stack.repeat()
    assert await stack.value("SELECT count(*) FROM deliveries WHERE done_at IS NULL") == 0
    assert len(stack.wire.requests("POST", sid)) == 2, "one refused, one done"


async def test_own_text_that_is_too_long_to_be_sent_does_not_strand_the_caller(stack: Stack) -> None:
    await stack.rows("UPDATE numbers SET voice = jsonb_set(voice, '{texts}', $1) RETURNING 1", {"sorry": "&" * 3000})
    await stack.parts.telephony.lines.refresh(stack.parts.resources.database)
    sid = await accepted(stack, await stack.agent("ava"))
    await stack.fire("cti.connect")
    assert (await command(stack, "requeue"))[0] == "done"
    assert stack.exchange.legs[sid].heard[-1].text.startswith("We are sorry")
