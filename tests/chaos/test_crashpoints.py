"""Every place where a process may die by name (`infra/crashpoints.py`): each is armed while calls come in, kills whoever passes it
first, and that process is started again. Nothing may be lost, done twice, or left hanging.

The points are read from the source, so a new one is tried without a word here. The short version takes some, by the seed.
"""

import ast
import asyncio
import random
import sys
import time
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from simulator.people.api import open_api
from tests.chaos.loads import GERMAN, nothing_lost
from tests.chaos.stack import AGENT_HABITS, IS_FULL, ROOT, SEED, Load, Program, Stack, until

SHORT: Final = 3
FIRED_WITHIN_S: Final = 90.0
FORGED: Final = {
    "wrong_signature": 1,
    "only": ["/twilio/queue/done", "/twilio/status", "/twilio/conference", "/dial/done"],
}

Help = Callable[[Stack], Awaitable[object]]


def points_of(source: Path) -> list[str]:
    """The names in the calls of `crashpoint`. A name that is not written out would escape the test."""
    found = []
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "crashpoint":
            [name] = node.args
            assert isinstance(name, ast.Constant), f"{source}: the name of a crashpoint must be written out"
            assert isinstance(name.value, str)
            found.append(name.value)
    return found


def all_points() -> list[str]:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    return sorted(
        point for package in packages for path in sorted((ROOT / package).rglob("*.py")) for point in points_of(path)
    )


async def _make_an_offer_time_out(stack: Stack) -> None:
    await stack.fetch(
        "UPDATE timers SET due_at = now() WHERE kind = 'routing.offer' AND object_id = "
        "(SELECT max(id) FROM offers WHERE state = 'pending') RETURNING 1"
    )


async def _repeat_an_effect(stack: Stack) -> None:
    """As if a process had died before it could say that it was done."""
    await stack.fetch(
        "UPDATE deliveries SET done_at = NULL, lease_until = NULL, sends = 0, next_at = now() WHERE consumer = 'realtime.push_offer' "
        "AND event_id = (SELECT max(event_id) FROM deliveries WHERE consumer = 'realtime.push_offer' AND done_at IS NOT NULL) RETURNING 1"
    )


async def _call_that_ends_unseen(stack: Stack) -> None:
    """Its callbacks are forged, so we refuse them, and only the reconciler hears of the end."""
    async with open_api(stack.simulator_url) as phones:
        await phones.post("/calls", {"to": GERMAN, "patience_s": 3, "talk_s": 1, "faults": FORGED})


async def _call_that_is_never_seen(stack: Stack) -> None:
    async with open_api(stack.simulator_url) as phones:
        await phones.post("/calls", {"to": GERMAN, "patience_s": 1, "faults": {"wrong_signature": 1}})


HELP: Final[Mapping[str, tuple[Help, float]]] = {
    "timers.after_take": (_make_an_offer_time_out, 0.2),
    "timers.before_commit": (_make_an_offer_time_out, 0.2),
    "relay.after_claim": (_repeat_an_effect, 3),
    "relay.after_confirm": (_repeat_an_effect, 3),
    "consumer.after_effect": (_repeat_an_effect, 3),
    "reconcile.before_commit": (_call_that_ends_unseen, 10),
    "reconcile.before_commit_of_missed": (_call_that_is_never_seen, 10),
}
"""What makes rare things happen, and how often it is done until they have."""
RARE: Final = frozenset({"reconcile.before_commit", "reconcile.before_commit_of_missed"})
"""They wait for a round of the reconciler: only in the long version."""


def chosen() -> list[str]:
    points = all_points()
    rng = random.Random(SEED)
    rng.shuffle(points)
    return points if IS_FULL else [point for point in points if point not in RARE][:SHORT]


def test_each_point_has_one_place() -> None:
    points = all_points()
    assert len(set(points)) == len(points) >= 20
    assert HELP.keys() <= set(points)
    assert set(points) >= RARE


@pytest.mark.timeout(3600 if IS_FULL else 1200)
async def test_whoever_dies_there_loses_nothing(stack: Stack) -> None:
    points = chosen()
    sys.stdout.write(f"\ncrashpoints, seed {SEED}: {', '.join(points)}\n")
    habits = replace(AGENT_HABITS, reject=0.05)
    async with nothing_lost(stack, f"{len(points)} crashpoints", seed=SEED, habits=habits) as load:
        await load.answered()
        for point in points:
            began = time.monotonic()
            victim = await _dies_at(stack, load, point)
            fired_s = time.monotonic() - began
            await victim.start()
            recovered_s = await load.answered(1)
            assert await stack.broken(settled=False) == {}, point
            sys.stdout.write(
                f"{point}: {victim.name} died after {fired_s:.1f} s, answered again {recovered_s:.1f} s after its start\n"
            )


async def _dies_at(stack: Stack, load: Load, point: str) -> Program:
    """Arm it and wait for the proof: its file says who died, and that process is gone."""
    fired = stack.crashpoints / f"{point}.fired"
    fired.unlink(missing_ok=True)
    (stack.crashpoints / point).touch()
    helping = asyncio.create_task(_help(stack, point))
    try:

        async def has_fired() -> bool:
            assert not load.task.done(), "the crowd has gone home"
            return fired.exists() and fired.read_text() != ""

        await until(has_fired, within_s=FIRED_WITHIN_S, what=f"somebody passes {point}")
    finally:
        helping.cancel()
        await asyncio.gather(helping, return_exceptions=True)
    [victim] = [program for program in stack.programs if program.pid == int(fired.read_text())]
    assert await victim.wait() == -9
    ended = [program.name for program in stack.programs if program.returncode is not None]
    assert ended == [victim.name], "somebody else ended too"
    return victim


async def _help(stack: Stack, point: str) -> None:
    if point not in HELP:
        return
    help_along, every_s = HELP[point]
    while True:
        await help_along(stack)
        await asyncio.sleep(every_s)
