"""The catalogue of faults, each on a running deployment with a full house.

The short version takes some of them, by a seed; `RINGDESK_TEST_FULL=1` takes all, and `RINGDESK_CHAOS_SEED` gives the seed again. One
crowd is at work through all of them, so what one fault breaks slowly is found at the latest when the books are closed.
"""

import os
import random
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import pytest

from tests.chaos.catalogue import FAULTS
from tests.chaos.loads import GERMAN, nothing_lost
from tests.chaos.scene import Fault, Scene
from tests.chaos.stack import IS_FULL, ROOT, SEED, Load, Stack, until
from tests.crowd import crowd

SHORT: Final = 5
CROWD: Final = 12
LEAST: Final = 45
RECOVERED_WITHIN_S: Final = 30.0
"""The longest of the recovery goals is 15 s; a caller must come and an agent be free on top of it."""

PAGE: Final = ROOT / "docs" / "reference" / "faults.md"
HEAD: Final = """# Faults

Every fault that is tried on a deployment of real processes while callers and agents are at work (`tests/chaos/catalogue.py`), how
often it was seen to happen, and the seconds from its end to the next answered call. Numbers depend on the machine. Renew with
`RINGDESK_WRITE_FAULTS=1 python3 dev.py test --full tests/chaos/test_faults.py`.

"""

pytestmark = pytest.mark.timeout(600)


def chosen() -> list[Fault]:
    """In an order of the seed's, too: what one fault leaves behind meets another."""
    rng = random.Random(SEED)
    quick = [fault for fault in FAULTS if not fault.is_slow]
    found = list(FAULTS) if IS_FULL else rng.sample(quick, SHORT)
    rng.shuffle(found)
    return found


@dataclass(frozen=True, slots=True)
class Seen:
    fault: Fault
    times: int
    recovery_s: float


@pytest.fixture(scope="module")
async def house(_stack: Stack) -> AsyncIterator[tuple[Load, list[Seen]]]:
    seen: list[Seen] = []
    await _stack.heal()
    since = await _stack.now()
    async with nothing_lost(_stack, "the catalogue of faults", seed=SEED) as load:
        await load.answered()
        yield load, seen
        await _stack.heal()

        async def is_a_crowd() -> bool:
            called = "SELECT 1 FROM calls WHERE created_at >= $1 AND NOT sid = ANY($2)"
            return len(await _stack.fetch(called, since, load.probes)) >= CROWD

        await until(is_a_crowd, within_s=120, what="a crowd has called, however quickly the faults were over")
    _tell(seen)


def _tell(seen: list[Seen]) -> None:
    table = ["| fault | what | injected by | proof | happened | recovered after |", "|---|---|---|---|---:|---:|"]
    for one in sorted(seen, key=lambda one: one.fault.id):
        fault = one.fault
        table.append(
            f"| {fault.id} | {fault.what} | {fault.injected} | {fault.proof} | {one.times} | {one.recovery_s:.1f} s |"
        )
    sys.stdout.write(f"\nseed {SEED}\n" + "\n".join(table) + "\n")
    if IS_FULL and os.environ.get("RINGDESK_WRITE_FAULTS") == "1":
        PAGE.write_text(HEAD + "\n".join(table) + "\n")


@pytest.mark.parametrize("fault", chosen(), ids=str)
async def test_after_a_fault_everything_is_as_it_should_be(
    fault: Fault, stack: Stack, house: tuple[Load, list[Seen]]
) -> None:
    load, seen = house
    scene = Scene(stack, load, random.Random(f"{SEED} {fault.id}"))
    sys.stdout.write(f"\n{fault.id} (seed {SEED}): {fault.what}\n")
    await fault.strike(scene)
    assert scene.happened, "nobody saw it happen"
    healed = time.monotonic()
    stack.assert_all_alive()
    await load.call(GERMAN)  # or the next caller of the crowd is what it takes
    await load.answered(1)
    recovery_s = time.monotonic() - healed
    assert recovery_s < RECOVERED_WITHIN_S * crowd()
    assert await stack.broken(settled=False) == {}
    seen.append(Seen(fault, scene.happened, recovery_s))


def test_the_catalogue_is_whole() -> None:
    ids = [fault.id for fault in FAULTS]
    assert len(set(ids)) == len(ids) >= LEAST
    assert len({fault.id.split()[0][:3] for fault in FAULTS}) >= 30
