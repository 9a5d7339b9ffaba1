"""`ringdesk simulate`: scripted callers and agents against a running service, and the accounts at the end.

Only agents without a live connection are used. Calls arrive as a Poisson stream for `duration_s`; then the calls at
hand are let run out, and every one is looked up in the service: one record, one ticket, one end.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from core import demo_account
from simulator.chance import Chance
from simulator.people.agents import Habits, ScriptedAgent
from simulator.people.api import Api, Refused, Unanswered, log_in, open_api
from simulator.people.callers import SUPERVISOR, CallerHabits, Crowd, customer_numbers
from simulator.people.ledger import Ledger, Outcome
from simulator.people.report import FINISHED, Judgement, Report, judge, percentile
from simulator.tasks import TaskOwner

DEMO_NUMBERS: Final = {"+14155550199": "support", "+4930901820": "de", "+862155550123": "sales"}
READY_TIMEOUT_S = 45.0
DRAIN_TIMEOUT_S = 180.0
LEAVE_TIMEOUT_S = 60.0
POLL_S = 1.0
MAX_FAILURES = 20


class SimulationFailed(Exception):
    """It could not even begin; the text says why."""


async def simulate(
    url: str,
    calls_per_minute: float,
    agents: int,
    duration_s: float,
    seed: int,
    simulator_url: str | None = None,
    numbers: Mapping[str, str] | None = None,
    log: Callable[[str], None] | None = None,
    *,
    password: str = demo_account.PASSWORD,
    agent_habits: Habits | None = None,
    caller_habits: CallerHabits | None = None,
    enough: asyncio.Event | None = None,
    ledger: Ledger | None = None,
) -> Report:
    """Drive calls and agents for `duration_s`, or until `enough` is set, and account for every call.

    `numbers`: phone number → key of the queue it leads to; only numbers that one of the agents found can serve are
    dialled. `ledger` takes what everybody did and was told. Raises SimulationFailed when the service does not answer or no agent is free.
    """
    run = _Run(
        url=url.rstrip("/"),
        simulator_url=(simulator_url or url.rstrip("/") + "/demo").rstrip("/"),
        chance=Chance(seed),
        say=log or (lambda _: None),
        ledger=ledger or Ledger(),
    )
    began = time.monotonic()
    try:
        async with open_api(run.url) as service, open_api(run.simulator_url) as phones:
            await log_in(service, SUPERVISOR, password)
            chosen, dialled = await _choose(service, agents, numbers or DEMO_NUMBERS)
            run.say(f"{len(chosen)} agents: {', '.join(chosen)}; numbers: {', '.join(dialled)}")
            crowd = Crowd(run.chance.child(), caller_habits or CallerHabits(), await customer_numbers(service))
            team = [run.agent(email, password, agent_habits) for email in chosen]
            async with _at_work(team, run.say):
                await _dial(run, phones, crowd, dialled, calls_per_minute, duration_s, enough or asyncio.Event())
                await _run_out(run, phones)
                judgements = await _account(run, service)
    except (Refused, Unanswered) as failed:
        raise SimulationFailed(f"The service at {url} does not answer as expected: {failed}") from failed
    return _report(run, team, judgements, time.monotonic() - began, seed)


class _Run:
    def __init__(
        self, *, url: str, simulator_url: str, chance: Chance, say: Callable[[str], None], ledger: Ledger
    ) -> None:
        self.url = url
        self.simulator_url = simulator_url
        self.chance = chance
        self.say = say
        self.ledger = ledger
        self.sids: list[str] = []

    def agent(self, email: str, password: str, habits: Habits | None) -> ScriptedAgent:
        return ScriptedAgent(
            url=self.url,
            simulator_url=self.simulator_url,
            email=email,
            password=password,
            chance=self.chance.child(),
            ledger=self.ledger,
            habits=habits,
        )


async def _choose(service: Api, wanted: int, numbers: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """E-mails of free agents and the numbers that lead to them."""
    everybody: list[dict[str, Any]] = (await service.get("/api/v1/agents"))["items"]
    free = [a for a in everybody if a["role"] == "agent" and not a["connected"]]
    useful = [a for a in free if set(a["queues"]) & set(numbers.values())]
    # Agents with many queues first: so few agents still cover many numbers.
    chosen = sorted(useful, key=lambda a: (-len(a["queues"]), a["id"]))[:wanted]
    if not chosen:
        raise SimulationFailed(
            f"No agent is free: {len(free)} of {len(everybody)} have no live connection, and none of those "
            f"serves {', '.join(sorted(set(numbers.values())))}."
        )
    served = {queue for agent in chosen for queue in agent["queues"]}
    return [a["email"] for a in chosen], [n for n, queue in numbers.items() if queue in served]


@asynccontextmanager
async def _at_work(team: list[ScriptedAgent], say: Callable[[str], None]) -> AsyncIterator[None]:
    """The agents are connected and available within; afterwards they finish their calls and go home."""
    owner = TaskOwner()
    await owner.start()
    try:
        for agent in team:
            owner.spawn(agent.run(), f"agent.{agent.email}")
        await _until_ready(team, say)
        yield
        for agent in team:
            agent.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                for agent in team:
                    await agent.gone.wait()
        if staying := [agent.email for agent in team if not agent.gone.is_set()]:
            say(f"{len(staying)} agents could not leave, their desks still show work: {', '.join(staying)}")
    finally:
        await owner.stop()


async def _until_ready(team: list[ScriptedAgent], say: Callable[[str], None]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_TIMEOUT_S):
            for agent in team:
                await agent.changes.until(lambda a=agent: a.is_ready, None)  # type: ignore[misc]
    ready = sum(agent.is_ready for agent in team)
    if not ready:
        raise SimulationFailed(f"No agent became available within {READY_TIMEOUT_S:g} s.")
    say(f"{ready} agents available")


async def _dial(
    run: _Run,
    phones: Api,
    crowd: Crowd,
    numbers: list[str],
    calls_per_minute: float,
    duration_s: float,
    enough: asyncio.Event,
) -> None:
    """The stream of calls. Draws happen in one order whatever the answers, so that a seed repeats."""
    arrivals, targets = run.chance.child(), run.chance.child()
    began = time.monotonic()
    due_s = arrivals.next_arrival_s(calls_per_minute)
    async with asyncio.TaskGroup() as group:
        while not await _set_within(enough, min(due_s, duration_s) - (time.monotonic() - began)) and due_s < duration_s:
            group.create_task(_start_call(run, phones, crowd.next_call(targets.one_of(numbers))))
            due_s += arrivals.next_arrival_s(calls_per_minute)
    run.say(f"{len(run.sids)} calls started")


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), max(seconds, 0))
    return event.is_set()


async def _start_call(run: _Run, phones: Api, call: dict[str, Any]) -> None:
    with contextlib.suppress(Refused, Unanswered), run.ledger.attempt("caller", "call", call["to"]):
        run.sids.append((await phones.post("/calls", call))["sid"])


async def _run_out(run: _Run, phones: Api) -> None:
    """Until every call is over at the provider, or the drain time is."""
    open_sids = set(run.sids)
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    while open_sids and time.monotonic() < deadline:
        for sid in sorted(open_sids):
            if await _is_over(phones, sid):
                open_sids.discard(sid)
        if open_sids:
            await asyncio.sleep(POLL_S)
    run.say(f"{len(run.sids) - len(open_sids)} calls over, {len(open_sids)} still open")


async def _is_over(phones: Api, sid: str) -> bool:
    """Also when the simulator does not know the call any more: it was restarted, and nobody is on the line."""
    try:
        return (await phones.get(f"/calls/{sid}"))["ended_at"] is not None
    except Refused as refused:
        return refused.status == 404
    except Unanswered:
        return False


async def _account(run: _Run, service: Api) -> dict[str, Judgement]:
    """Look every call up until it is finished in the service too, or the drain time is over."""
    judgements: dict[str, Judgement] = {}
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    while len(judgements) < len(run.sids):
        is_last = time.monotonic() >= deadline
        for sid in run.sids:
            if sid in judgements:
                continue
            try:
                records = (await service.get("/api/v1/calls", sid=sid))["items"]
            except (Refused, Unanswered) as failed:
                if is_last:
                    judgements[sid] = Judgement("lost", f"asked about it, the service said {failed}")
                continue
            is_finished = len(records) == 1 and records[0]["state"] in FINISHED and records[0]["outcome"]
            if is_finished or is_last:
                judgements[sid] = judge(records)
        if len(judgements) < len(run.sids):
            await asyncio.sleep(POLL_S)
    return judgements


def _report(
    run: _Run, team: list[ScriptedAgent], judgements: dict[str, Judgement], seconds: float, seed: int
) -> Report:
    fates = [judgement.fate for judgement in judgements.values()]
    twice = [f"offer {offer} was shown twice" for agent in team for offer in agent.desk.shown_twice]
    lost = [f"call {sid}: {j.why}" for sid, j in judgements.items() if j.fate == "lost"]
    pop_ms = [ms for agent in team for ms in agent.desk.pop_ms]
    refused = run.ledger.count("call", Outcome.FAIL)
    if refused:
        lost.append(f"{refused} calls were refused by the simulator")
    return Report(
        calls=len(run.sids),
        answered=fates.count("answered"),
        abandoned=fates.count("abandoned"),
        lost=fates.count("lost") + len(twice) + refused,
        pops=sum(len(agent.desk.shown) for agent in team),
        duplicate_pops=len(twice),
        pop_ms={"p50": percentile(pop_ms, 0.5), "p99": percentile(pop_ms, 0.99)},
        seconds=round(seconds, 1),
        seed=seed,
        agents=len(team),
        unknown=run.ledger.count("call", Outcome.UNKNOWN),
        failures=(lost + twice)[:MAX_FAILURES],
    )
