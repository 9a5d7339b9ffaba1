"""Background traffic of the demo: a few simulated agents and a gentle stream of calls, with an off switch."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from core import demo_account
from simulator.chance import Chance
from simulator.people.agents import Habits, ScriptedAgent
from simulator.people.api import Refused, Unanswered, log_in, open_api
from simulator.people.callers import SUPERVISOR, CallerHabits, Crowd, customer_numbers
from simulator.people.ledger import Ledger
from simulator.tasks import TaskOwner

log = structlog.get_logger(__name__)

AGENTS: Final = tuple(f"sim{n}@demo.example" for n in range(1, 7))
NUMBERS: Final = ("+4930901820", "+862155550123")
GOODBYE_TIMEOUT_S = 4.0
MAX_BACKOFF_S = 30.0
ARRIVE_EVERY_S = 0.25
"""Agents come one after the other: a machine that has just started Ringdesk need not also check all their passwords at once."""


class Traffic:
    """Off until `start`; survives a service that is slow, restarts or is gone; ends with `stop`.

    `customers`: phone numbers to call from; None: those the service knows. After a stop, callers still on the line
    hang up by their own scripts.
    """

    def __init__(
        self,
        url: str,
        simulator_url: str | None = None,
        *,
        calls_per_minute: float = 4,
        agents: Sequence[str] = AGENTS,
        numbers: Sequence[str] = NUMBERS,
        customers: Sequence[str] | None = None,
        password: str = demo_account.PASSWORD,
        seed: int | None = None,
        agent_habits: Habits | None = None,
        caller_habits: CallerHabits | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._simulator_url = (simulator_url or self._url + "/demo").rstrip("/")
        self._calls_per_minute = calls_per_minute
        self._emails = tuple(agents)
        self._numbers = list(numbers)
        self._customers = customers
        self._password = password
        self._chance = Chance(seed)
        self._agent_habits = agent_habits or Habits(talk_s=(15, 45), wrap_up_s=(3, 8), reject=0.05)
        self._caller_habits = caller_habits or CallerHabits(patience_median_s=40, talk_s=(10, 40))
        self._switch = asyncio.Lock()
        self._tasks: TaskOwner | None = None
        self._team: list[ScriptedAgent] = []

    @property
    def is_on(self) -> bool:
        return self._tasks is not None

    async def start(self) -> None:
        """Returns at once; agents connect in the background. Does nothing when it is on."""
        async with self._switch:
            if self._tasks is not None:
                return
            tasks = TaskOwner()
            await tasks.start()
            ledger = Ledger(size=10_000)
            self._team = [self._agent(email, ledger) for email in self._emails]
            for number, agent in enumerate(self._team):
                tasks.spawn(_again_and_again(agent.run, after_s=number * ARRIVE_EVERY_S), f"agent.{agent.email}")
            tasks.spawn(_again_and_again(self._call), "callers")
            self._tasks = tasks

    async def stop(self) -> None:
        """Agents free of calls say goodbye; then everything ends. Does nothing when it is off."""
        async with self._switch:
            tasks, self._tasks = self._tasks, None
            if tasks is None:
                return
            for agent in self._team:
                agent.leave()
            await self._wait_for_goodbyes()
            await tasks.stop()

    async def _wait_for_goodbyes(self) -> None:
        try:
            async with asyncio.timeout(GOODBYE_TIMEOUT_S):
                for agent in self._team:
                    await agent.gone.wait()
        except TimeoutError:
            log.info("simulated agents leave in the middle of a call")

    def _agent(self, email: str, ledger: Ledger) -> ScriptedAgent:
        return ScriptedAgent(
            url=self._url,
            simulator_url=self._simulator_url,
            email=email,
            password=self._password,
            chance=self._chance.child(),
            ledger=ledger,
            habits=self._agent_habits,
        )

    async def _call(self) -> None:
        """Callers, one after the other, for ever."""
        customers = await self._look_up_customers() if self._customers is None else self._customers
        crowd = Crowd(self._chance.child(), self._caller_habits, customers)
        async with open_api(self._simulator_url) as phones:
            while True:
                await asyncio.sleep(self._chance.next_arrival_s(self._calls_per_minute))
                await phones.post("/calls", crowd.next_call(self._chance.one_of(self._numbers)))

    async def _look_up_customers(self) -> list[str]:
        async with open_api(self._url) as service:
            await log_in(service, SUPERVISOR, self._password)
            found = await customer_numbers(service)
            await service.delete("/api/v1/session")
            return found


async def _again_and_again(job: Callable[[], Awaitable[None]], after_s: float = 0) -> None:
    """Run a job that may fail, with pauses that grow while it fails at once; return when it ends by itself."""
    await asyncio.sleep(after_s)
    pause_s = 1.0
    while True:
        began = time.monotonic()
        try:
            await job()
        except (Refused, Unanswered) as failed:
            log.info("simulated traffic pauses", why=str(failed))
        except Exception:
            log.exception("simulated traffic stumbled")
        else:
            return
        pause_s = 1.0 if time.monotonic() - began > MAX_BACKOFF_S else min(pause_s * 2, MAX_BACKOFF_S)
        await asyncio.sleep(pause_s)
