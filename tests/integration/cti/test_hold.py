"""Hold and resume: through the API, the provider's participant and its callbacks, and what goes wrong on the way."""

import asyncio
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from core.ids import CallId, conference_name
from cti import queries, service, twilio_api
from cti.model import CallerGone, HoldChanged, HoldWanted
from cti.service import AGENT_GONE_TIMER
from reporting import queries as figures
from simulator.provider.conference import Seat
from simulator.provider.leg import Leg
from tests.integration.cti.payloads import conference_event
from tests.integration.cti.test_commands import sweep
from tests.stack import NO_CALLBACKS, Agent, Fault, Stack


async def in_call(stack: Stack, **more: Any) -> tuple[Agent, int, Leg, Leg]:
    """Ava talks with a caller: her, the call's id, the caller's leg, the leg of her phone."""
    ava = await stack.agent("ava")
    leg = await stack.dial(**more)
    call_id, phone = await ava.take()
    return ava, call_id, leg, phone


async def hold(stack: Stack, agent: Agent, call_id: int, act: str = "hold") -> dict[str, Any]:
    status, answer = await agent.ask("POST", f"/calls/{call_id}/{act}")
    assert status == 200, answer
    await stack.quiet()
    return dict(answer)


def seat_of(leg: Leg) -> Seat:
    assert leg.seat is not None
    return leg.seat


async def holds(stack: Stack) -> list[bool]:
    rows = await stack.rows("SELECT ended_at IS NULL AS is_open FROM segments WHERE kind = 'hold' ORDER BY id")
    return [row["is_open"] for row in rows]


async def desk_call(agent: Agent) -> dict[str, Any]:
    _, desk = await agent.ask("GET", "/desk")
    (call,) = desk["calls"]
    return dict(call)


async def test_customer_is_held_with_music_and_comes_back(stack: Stack) -> None:
    ava, call_id, leg, phone = await in_call(stack)
    answer = await hold(stack, ava, call_id)
    assert answer["hold_wanted"] is True
    assert seat_of(leg).is_held
    call = await desk_call(ava)
    assert (call["state"], call["hold_wanted"]) == ("on_hold", True)
    assert call["held_since"] is not None
    assert await holds(stack) == [True]
    await stack.pass_time(3)
    assert leg.heard[-1].text.startswith("Please hold the line")
    assert not phone.is_over
    await hold(stack, ava, call_id, "resume")
    assert not seat_of(leg).is_held
    call = await desk_call(ava)
    assert (call["state"], call["hold_wanted"], call["held_since"]) == ("in_call", False, None)
    assert await holds(stack) == [False]
    assert await stack.value("SELECT count(*) FROM segments WHERE kind = 'talk' AND ended_at IS NULL") == 1


async def test_asking_again_for_what_is_changes_nothing(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    for act in ("resume", "hold", "hold", "resume", "resume", "hold"):
        await hold(stack, ava, call_id, act)
    assert seat_of(leg).is_held
    assert len(stack.wire.requests("POST", "/Participants/")) == 3
    assert await holds(stack) == [False, True]


async def test_own_music_is_played(stack: Stack) -> None:
    await stack.rows("UPDATE numbers SET voice = voice || $1 RETURNING 1", {"music": "https://ring.example.com/a.mp3"})
    await stack.parts.telephony.lines.refresh(stack.parts.resources.database)
    ava, call_id, leg, _ = await in_call(stack)
    await hold(stack, ava, call_id)
    await stack.pass_time(8)
    assert ("Play", "https://ring.example.com/a.mp3") in [(heard.verb, heard.text) for heard in leg.heard]


async def test_only_who_talks_in_it_holds_a_call(stack: Stack) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben", is_available=False)
    leg = await stack.dial()
    call_id = await ava.accept(await ava.offer())
    status, problem = await ava.ask("POST", f"/calls/{call_id}/hold")
    assert (status, problem["code"]) == (409, "not_in_call"), "still connecting"
    await ava.pick_up(call_id)
    assert (await ben.ask("POST", f"/calls/{call_id}/hold"))[0] == 404
    leg.leave()
    await stack.quiet()
    status, problem = await ava.ask("POST", f"/calls/{call_id}/hold")
    assert (status, problem["code"]) == (409, "not_in_call"), "wrapping up"


async def test_caller_who_leaves_on_hold_ends_the_call(stack: Stack) -> None:
    ava, call_id, leg, phone = await in_call(stack)
    await hold(stack, ava, call_id)
    leg.leave()
    await stack.quiet()
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"], call["hold_wanted"], call["held_at"]) == (
        "wrap_up",
        "answered",
        False,
        None,
    )
    assert await holds(stack) == [False]
    assert phone.is_over
    assert (await desk_call(ava))["state"] == "wrapping"


async def test_agent_whose_browser_dies_on_hold_finds_the_customer_there(stack: Stack) -> None:
    ava, call_id, leg, phone = await in_call(stack)
    await hold(stack, ava, call_id)
    phone.leave()
    await stack.quiet()
    assert (await stack.call(leg.sid))["state"] == "on_hold"
    again = await ava.pick_up(call_id)
    assert seat_of(leg).is_held
    assert await stack.fire(AGENT_GONE_TIMER) == 0
    await hold(stack, ava, call_id, "resume")
    assert again.is_talking
    assert leg.is_talking


async def test_customer_of_an_agent_who_is_lost_on_hold_waits_at_the_head_of_the_line(stack: Stack) -> None:
    ava, call_id, leg, phone = await in_call(stack)
    ben = await stack.agent("ben")
    await hold(stack, ava, call_id)
    phone.leave()
    await stack.quiet()
    await stack.fire(AGENT_GONE_TIMER)
    call = await stack.call(leg.sid)
    assert (call["state"], call["hold_wanted"], call["held_at"]) == ("queued", False, None)
    assert await holds(stack) == [False]
    await stack.pass_time(6)
    assert leg.queue_name == "ringdesk"
    _, bens = await ben.take()
    assert bens.is_talking
    assert not seat_of(leg).is_held


def lose(stack: Stack, kind: Any) -> None:
    """The next update of a participant; the list before it is answered."""
    stack.wire.faults.extend([Fault("none"), Fault(kind)])


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio_api, "TIMEOUT_S", 0.2)


@pytest.mark.parametrize("kind", ["hangs", "answer_lost"])
async def test_hold_without_an_answer_is_looked_up_and_done_once(stack: Stack, short_patience: None, kind: Any) -> None:
    ava, call_id, leg, _ = await in_call(stack, faults=NO_CALLBACKS)
    await stack.fire("cti.connect")
    lose(stack, kind)
    await hold(stack, ava, call_id)
    assert (await stack.call(leg.sid))["state"] == "in_call"
    await sweep(stack)
    assert (await stack.call(leg.sid))["state"] == "on_hold"
    assert seat_of(leg).is_held
    assert len(stack.wire.requests("POST", "/Participants/")) == (2 if kind == "hangs" else 1)


async def test_resume_before_the_hold_was_answered_ends_off_hold(stack: Stack, short_patience: None) -> None:
    """The provider holds and its answer is lost; the agent has changed their mind since."""
    ava, call_id, leg, _ = await in_call(stack, faults=NO_CALLBACKS)
    await stack.fire("cti.connect")
    lose(stack, "answer_lost")
    await hold(stack, ava, call_id)
    assert seat_of(leg).is_held
    await hold(stack, ava, call_id, "resume")
    await sweep(stack)
    assert not seat_of(leg).is_held
    assert (await stack.call(leg.sid))["state"] == "in_call"
    assert await holds(stack) == []


async def test_refused_hold_is_told_and_may_be_asked_for_again(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    stack.wire.faults.extend([Fault("none"), Fault("refused", 401, 20003)])
    await hold(stack, ava, call_id)
    call = await desk_call(ava)
    assert (call["state"], call["hold_wanted"]) == ("in_call", False)
    await hold(stack, ava, call_id)
    assert seat_of(leg).is_held


async def test_busy_provider_is_asked_again(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    stack.wire.faults.append(Fault("refused", 429, 20429))
    await hold(stack, ava, call_id)
    assert not seat_of(leg).is_held
    await sweep(stack)
    assert seat_of(leg).is_held


async def test_hold_of_a_caller_who_is_gone_ends_the_call(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    stack.wire.faults.extend([Fault("none"), Fault("refused", 404, 20404), Fault("refused", 404, 20404)])
    await hold(stack, ava, call_id)
    assert (await stack.call(leg.sid))["outcome"] == "answered"


async def test_callbacks_of_hold_and_resume_in_any_order_and_twice_end_alike(stack: Stack) -> None:
    """The provider held and resumed, and says so late, doubled and in every order."""
    ava, call_id, leg, _ = await in_call(stack, faults=NO_CALLBACKS)
    await stack.fire("cti.connect")
    room = next(iter(stack.exchange.conferences.values())).sid
    told = [("hold", 10), ("unhold", 11), ("hold", 12)]
    for final, state in (("hold", "on_hold"), ("resume", "in_call")):
        await hold(stack, ava, call_id, final)
        for order in permutations(told):
            for event, sequence in (*order, *order):
                await stack.hook(
                    "/twilio/conference",
                    conference_event(
                        call_id, f"participant-{event}", sid=leg.sid, label="customer", sequence=sequence, room=room
                    ),
                )
        assert (await stack.call(leg.sid))["state"] == state
        assert seat_of(leg).is_held is (final == "hold")
    assert seat_of(leg).conference.name == conference_name(call_id)


async def test_hold_and_resume_at_the_same_moment_end_as_the_last_one_said(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    for _ in range(3):
        await asyncio.gather(*(ava.ask("POST", f"/calls/{call_id}/{act}") for act in ("hold", "resume", "hold")))
        await stack.quiet()
        call = await stack.call(leg.sid)
        assert seat_of(leg).is_held is call["hold_wanted"]
        assert (call["state"] == "on_hold") is call["hold_wanted"]


async def test_hold_lies_inside_the_talk_though_the_provider_tells_whole_seconds(stack: Stack) -> None:
    """The law is checked after each test. Here the hold seems to begin before the talk, and the talk to end before the hold."""
    _, call_id, _, _ = await in_call(stack)
    async with stack.parts.resources.outbox.transaction() as tx:
        call = await queries.lock_call(tx.conn, call_id=CallId(call_id))
        assert call is not None
        assert call.answered_at is not None
        early = timedelta(seconds=0.9)
        for event in (
            HoldWanted(True),
            HoldChanged(True, call.answered_at - early),
            HoldWanted(False),
            HoldChanged(False, tx.now),
            CallerGone(tx.now - early),
        ):
            call = await service.apply(tx, call, event)
    (held,) = await stack.rows("SELECT ended_at - started_at AS took FROM segments WHERE kind = 'hold'")
    assert held["took"] >= timedelta(0)
    assert call.is_over


async def test_time_on_hold_is_a_figure_of_queue_and_agent(stack: Stack) -> None:
    ava, call_id, leg, _ = await in_call(stack)
    await hold(stack, ava, call_id)
    await stack.rows(
        "UPDATE segments SET started_at = started_at - interval '30 seconds' WHERE kind = 'hold' RETURNING 1"
    )
    await stack.rows(
        "UPDATE segments SET started_at = started_at - interval '40 seconds' WHERE kind = 'talk' RETURNING 1"
    )
    await stack.rows("UPDATE offers SET connected_at = connected_at - interval '40 seconds' RETURNING 1")
    await stack.rows("UPDATE stints SET connected_at = left_at RETURNING 1")
    await hold(stack, ava, call_id, "resume")
    leg.leave()
    await stack.quiet()
    await ava.ask("POST", f"/calls/{call_id}/wrap-up", {"disposition": None, "note": None})
    now = stack.parts.resources.database.clock.now()
    async with stack.parts.resources.database.acquire() as conn:
        (of_queue,) = await figures.segments_by_queue(
            conn, start=now - timedelta(hours=1), end=now + timedelta(hours=1)
        )
        (of_agent,) = await figures.segments_by_agent(
            conn, start=now - timedelta(hours=1), end=now + timedelta(hours=1)
        )
    assert 30_000_000 <= of_queue.hold_us < of_queue.talk_us
    assert of_agent.hold_us == of_queue.hold_us
