"""Scripted agents and callers over real HTTP and Socket.IO, and the accounts at the end."""

import asyncio
import json

import pytest

from core import demo_account
from simulator.chance import Chance
from simulator.config import Faults
from simulator.people.agents import Habits, ScriptedAgent
from simulator.people.callers import CallerHabits
from simulator.people.ledger import Ledger, Outcome
from simulator.people.report import Report
from simulator.run import SimulationFailed, simulate
from simulator.traffic import Traffic
from tests.integration.simulator.desk_service import Centre, a_centre

EMAILS = ["agent1@demo.example", "agent2@demo.example"]
QUICK = Habits(accept_after_s=(0.01, 0.05), talk_s=(0.1, 0.3), wrap_up_s=(0.01, 0.05))
HURRIED = CallerHabits(patience_median_s=1, patience_least_s=0.6, patience_most_s=1.5, talk_s=(0.05, 0.3))


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.run.POLL_S", 0.1)
    monkeypatch.setattr("simulator.run.DRAIN_TIMEOUT_S", 2.0)


async def a_run(centre: Centre, *, seed: int = 1, habits: Habits = QUICK, calls_per_minute: float = 600) -> Report:
    async with asyncio.timeout(30):
        return await simulate(
            centre.url,
            calls_per_minute,
            5,
            0.6,
            seed,
            numbers={"+14155550199": "support"},
            agent_habits=habits,
            caller_habits=HURRIED,
        )


def an_agent(centre: Centre, ledger: Ledger, habits: Habits = QUICK) -> ScriptedAgent:
    return ScriptedAgent(
        url=centre.url,
        simulator_url=f"{centre.url}/demo",
        email=EMAILS[0],
        password=demo_account.PASSWORD,
        chance=Chance(1),
        ledger=ledger,
        habits=habits,
    )


async def test_every_call_is_accounted_for() -> None:
    async with a_centre(EMAILS) as centre:
        report = await a_run(centre)
        assert report.is_clean, report.failures
        assert report.calls == report.answered + report.abandoned == len(centre.service.calls)
        assert report.answered >= 3
        assert report.agents == 2
        assert report.pops >= report.answered
        assert all(agent.presence == "offline" and not agent.sockets for agent in centre.service.agents.values())
        async with asyncio.timeout(5):  # the last ones may still be on the wire
            while any(agent.acked != len(agent.log) for agent in centre.service.agents.values()):  # noqa: ASYNC110 - of the other side
                await asyncio.sleep(0.01)
    line = json.loads(report.as_json_line())
    assert {
        "calls",
        "answered",
        "abandoned",
        "lost",
        "pops",
        "duplicate_pops",
        "pop_ms",
        "seconds",
        "seed",
    } <= line.keys()
    assert line["pop_ms"]["p99"] is not None


async def test_repeated_events_are_not_pops_shown_twice() -> None:
    async with a_centre(EMAILS) as centre:
        centre.service.flaws.add("repeats")
        report = await a_run(centre)
    assert (report.lost, report.duplicate_pops) == (0, 0)


@pytest.mark.parametrize(
    ("flaw", "why"), [("no_ticket", "has no ticket"), ("shows_twice", "was shown twice"), ("forgets", "0 calls")]
)
async def test_a_loss_is_found_and_named(flaw: str, why: str) -> None:
    async with a_centre(EMAILS) as centre:
        centre.service.flaws.add(flaw)
        report = await a_run(centre, calls_per_minute=120)
    assert report.lost >= 1
    assert any(why in failure for failure in report.failures), report.failures


async def test_duplicated_and_reordered_callbacks_change_nothing() -> None:
    async with a_centre(EMAILS, faults=Faults(duplicate=0.5, only=("/twilio/status", "/twilio/conference"))) as centre:
        report = await a_run(centre)
    assert report.is_clean, report.failures


async def test_agents_in_use_are_left_alone() -> None:
    async with a_centre(EMAILS) as centre:
        for agent in centre.service.agents.values():
            agent.sockets.add("a browser")
        with pytest.raises(SimulationFailed, match="No agent is free"):
            await a_run(centre)


async def test_a_service_that_is_not_there_is_said_plainly() -> None:
    with pytest.raises(SimulationFailed, match="does not answer"):
        await simulate("http://127.0.0.1:9", 60, 1, 1, 1)


async def test_an_agent_lives_through_the_loss_of_its_socket() -> None:
    async with a_centre(EMAILS[:1]) as centre, asyncio.TaskGroup() as group:
        ledger, habits = Ledger(), Habits(accept_after_s=(0.6, 0.7), talk_s=(1, 1.2), wrap_up_s=(0.01, 0.02))
        agent = an_agent(centre, ledger, habits)
        running = group.create_task(agent.run())
        await centre.until(lambda: agent.is_ready)
        centre.exchange.call_in("+14155550100", "+14155550199")
        await centre.until(lambda: bool(centre.service.agents[EMAILS[0]].painted))
        await centre.service.drop_sockets()
        (call,) = centre.service.calls.values()
        await centre.until(lambda: call.state == "in_call")
        await centre.service.drop_sockets()
        await centre.until(lambda: call.state == "closed")
        agent.leave()
        await centre.until(running.done)
    assert (call.outcome, agent.desk.shown_twice) == ("answered", [])
    assert ledger.count("connect", Outcome.OK) >= 3
    assert centre.service.agents[EMAILS[0]].painted == [call.offer]


async def test_a_limited_log_in_is_waited_for() -> None:
    async with a_centre(EMAILS) as centre:
        centre.service.flaws.add("limited")
        report = await a_run(centre, calls_per_minute=60)
    assert report.is_clean


async def test_rejected_calls_are_offered_again() -> None:
    async with a_centre(EMAILS) as centre:
        picky = Habits(accept_after_s=(0.01, 0.05), talk_s=(0.1, 0.2), wrap_up_s=(0.01, 0.05), reject=0.7)
        report = await a_run(centre, habits=picky)
    assert report.is_clean, report.failures
    assert report.pops > report.answered


def placed(centre: Centre) -> list[str]:
    """Calls of customers that were begun; the service may hear of the last ones a moment later."""
    return [sid for sid, leg in centre.exchange.legs.items() if leg.from_.startswith("+")]


async def test_traffic_runs_until_it_is_switched_off() -> None:
    async with a_centre(EMAILS) as centre:
        traffic = Traffic(
            centre.url,
            calls_per_minute=600,
            agents=EMAILS,
            numbers=["+14155550199"],
            seed=1,
            agent_habits=QUICK,
            caller_habits=HURRIED,
        )
        assert not traffic.is_on
        await traffic.start()
        await traffic.start()
        await centre.until(lambda: sum(c.outcome == "answered" for c in centre.service.calls.values()) >= 2)
        assert traffic.is_on
        await traffic.stop()
        assert not traffic.is_on
        assert all(not agent.sockets for agent in centre.service.agents.values())
        calls = len(placed(centre))
        await asyncio.sleep(0.3)
        assert len(placed(centre)) == calls
        await traffic.start()
        await centre.until(lambda: len(placed(centre)) > calls)
        await traffic.stop()


async def test_traffic_waits_for_a_service_that_is_not_there() -> None:
    traffic = Traffic("http://127.0.0.1:9", calls_per_minute=600, agents=EMAILS, seed=1)
    await traffic.start()
    await asyncio.sleep(0.2)
    async with asyncio.timeout(8):
        await traffic.stop()
