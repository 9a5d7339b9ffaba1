"""What still works while something is away: {Redis, RabbitMQ, both, Postgres, all} × {call answered, ticket, assignment, pop, board}.

The promise of each cell stands in MATRIX; what was measured is printed. Postgres is the only one whose loss is felt: then every
caller hears a document from memory that brings them back, and who hangs up meanwhile is found at the provider.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pytest
from aiohttp import ClientSession, ClientTimeout

from core import demo_account
from simulator.changes import Changes
from simulator.clock import RealClock
from simulator.people.api import log_in, open_api
from simulator.people.desk import Desk, Verdict
from simulator.people.desk_socket import DeskSocket
from tests.chaos.loads import GERMAN, nothing_lost
from tests.chaos.stack import IS_FULL, SEED, Load, Stack, until
from tests.crowd import crowd

SUPERVISOR: Final = "supervisor@demo.example"
TOLD_WITHIN_S: Final = 2.0
FOUND_WITHIN_S: Final = 60.0
AWAY_S: Final = 6.0

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True, slots=True)
class Promise:
    """Seconds until it is there, at most. None: not while this is away."""

    away: tuple[str, ...]
    told_s: float
    ticket_s: float | None
    assigned_s: float | None
    pop_s: float | None
    board_s: float | None
    """How old the newest board may be."""

    def __str__(self) -> str:
        return "+".join(self.away)


MATRIX: Final = (
    Promise(("redis",), TOLD_WITHIN_S, 2, 5, 5, 10),
    Promise(("rabbitmq",), TOLD_WITHIN_S, 2, 5, 5, 10),
    Promise(("redis", "rabbitmq"), TOLD_WITHIN_S, 2, 5, 5, 10),
    Promise(("postgres",), TOLD_WITHIN_S, None, None, None, None),
    Promise(("postgres", "redis", "rabbitmq"), TOLD_WITHIN_S, None, None, None, None),
)
TRIED: Final = MATRIX if IS_FULL else tuple(promise for promise in MATRIX if len(promise.away) > 1)
"""The short version takes the rows that promise most and least."""


class Screen(Desk):
    """A supervisor's, which remembers when it last saw the board."""

    def __init__(self) -> None:
        super().__init__()
        self.board_at = 0.0

    def receive(self, kind: str, envelope: dict[str, Any], now: datetime) -> Verdict:
        if kind == "queue_stats":
            self.board_at = time.monotonic()
        return super().receive(kind, envelope, now)


@asynccontextmanager
async def a_screen(stack: Stack) -> AsyncIterator[Screen]:
    screen = Screen()
    async with open_api(stack.replicas[1]) as api:
        await log_in(api, SUPERVISOR, demo_account.PASSWORD)
        socket = DeskSocket(stack.replicas[1], screen, Changes(RealClock()))
        await socket.connect(api)
        try:

            async def sees_the_board() -> bool:
                return screen.board_at > 0

            await until(sees_the_board, within_s=15, what="the supervisor sees the board")
            yield screen
        finally:
            await socket.close()


@asynccontextmanager
async def away(stack: Stack, what: tuple[str, ...]) -> AsyncIterator[None]:
    """Killed, and started again at the end; Postgres is stopped, so that it also leaves everybody without an answer."""
    async with AsyncExitStack() as undo:
        if "redis" in what:
            await stack.redis.kill()
            undo.push_async_callback(stack.redis.start)
        if "rabbitmq" in what:
            await stack.rabbit.kill()
            undo.push_async_callback(stack.rabbit.start)
        if "postgres" in what:
            undo.enter_context(stack.postgres.frozen())
        yield


async def _told(stack: Stack, sid: str) -> dict[str, Any]:
    """The answer to the first webhook of this call, from the provider's own books."""
    found: list[dict[str, Any]] = []

    async def is_there() -> bool:
        found[:] = [
            entry
            for entry in await stack.journal()
            if entry["kind"] == "webhook" and entry["sid"] == sid and "answer" in entry and "took_s" in entry
        ]
        return bool(found)

    await until(is_there, within_s=10, what="the caller hears something")
    return found[0]


STEPS: Final = {
    "ticket": "SELECT 1 FROM calls c JOIN ticket_calls t ON t.call_id = c.id WHERE c.sid = $1",
    "assigned": "SELECT 1 FROM calls c JOIN offers o ON o.call_id = c.id WHERE c.sid = $1",
    "pop": "SELECT 1 FROM calls c JOIN offers o ON o.call_id = c.id JOIN desk_log l ON l.offer_id = o.id AND l.type = 'screen_pop' "
    "JOIN desk_heads h ON h.agent_id = l.agent_id AND h.acked_seq >= l.seq WHERE c.sid = $1",
}


@pytest.mark.parametrize("promise", TRIED, ids=str)
async def test_what_still_works(promise: Promise, stack: Stack) -> None:
    cells: dict[str, float | None] = {}
    async with nothing_lost(stack, f"without {promise}", seed=SEED, least_calls=1) as load:
        await load.answered(1)
        async with a_screen(stack) as screen:
            async with away(stack, promise.away):
                sid = await load.call(GERMAN)
                began = time.monotonic()
                told = await _told(stack, sid)
                cells["told"] = float(told["took_s"])
                if promise.ticket_s is None:
                    assert "/twilio/voice?r=" in told["answer"]
                    hasty = await load.call(GERMAN, patience_s=3)
                    await _nobody_gets_in(stack)
                    await asyncio.sleep(AWAY_S)
                else:
                    assert "<Enqueue" in told["answer"]
                    for step, statement in STEPS.items():

                        async def is_done(statement: str = statement) -> bool:
                            return bool(await stack.fetch(statement, sid))

                        await until(is_done, within_s=20, what=f"{step} while {promise} is away")
                        cells[step] = time.monotonic() - began
                    cells["board"] = time.monotonic() - screen.board_at
            if promise.ticket_s is None:
                await _all_comes_back(stack, load, sid, hasty, cells)
    _tell(promise, cells)
    _judge(promise, cells)


async def _nobody_gets_in(stack: Stack) -> None:
    """A log-in cannot be checked: it is refused, in time, and not let pass."""
    body = {"email": SUPERVISOR, "password": demo_account.PASSWORD}
    status = 503
    with contextlib.suppress(TimeoutError):
        async with (
            ClientSession(timeout=ClientTimeout(total=15)) as http,
            http.post(f"{stack.replicas[1]}/api/v1/session", json=body) as answer,
        ):
            status = answer.status
    assert status >= 500, status


async def _all_comes_back(stack: Stack, load: Load, patient: str, hasty: str, cells: dict[str, float | None]) -> None:
    began = time.monotonic()

    async def is_known(sid: str) -> bool:
        return bool(await stack.fetch("SELECT 1 FROM calls WHERE sid = $1", sid))

    await until(lambda: is_known(patient), within_s=30, what="the patient caller comes back")
    cells["back in line"] = time.monotonic() - began
    await until(lambda: is_known(hasty), within_s=FOUND_WITHIN_S, what="who has hung up is found")
    cells["found"] = time.monotonic() - began
    await load.answered(1)
    cells["answered again"] = time.monotonic() - began


def _tell(promise: Promise, cells: dict[str, float | None]) -> None:
    told = ", ".join(f"{name} {value:.1f} s" for name, value in cells.items() if value is not None)
    sys.stdout.write(f"\n| {promise!s:<24} | {told} |\n")


def _judge(promise: Promise, cells: dict[str, float | None]) -> None:
    limits = {
        "told": promise.told_s, "ticket": promise.ticket_s, "assigned": promise.assigned_s, "pop": promise.pop_s, "board": promise.board_s,
    }  # fmt: skip
    for name, limit_s in limits.items():
        value = cells.get(name)
        if limit_s is None:
            assert value is None, f"{name} while {promise} is away"
        else:
            assert value is not None
            assert value < limit_s * crowd(), f"{name}: {value:.1f} s"
