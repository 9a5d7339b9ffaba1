"""Every seed is a day of its own: what holds, holds in all of them. A seed that has ever failed stands in seeds.txt and runs first."""

import gc
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.sim import checks
from tests.sim.world import World

COUNT: Final = 10_000 if os.environ.get("RINGDESK_TEST_FULL") == "1" else 1_000
BLOCKS: Final = 20
FAILED: Final = [
    int(line.split("#")[0])
    for line in (Path(__file__).parent / "seeds.txt").read_text(encoding="utf-8").splitlines()
    if line.split("#")[0].strip()
]


@pytest.fixture
def little_to_collect() -> Iterator[None]:
    """Whatever else this process has loaded is not looked through again and again: that cost half of the time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def run(seed: int) -> World:
    world = World(seed)
    world.run()
    return world


@pytest.mark.parametrize("seed", FAILED)
def test_a_seed_that_once_failed(seed: int) -> None:
    run(seed)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_whatever_happens_the_invariants_hold(block: int, little_to_collect: None) -> None:
    happened: Counter[str] = Counter()
    for seed in range(block, COUNT, BLOCKS):
        world = run(seed)
        happened.update(world.happened())
    assert set(happened) >= SOMETIMES, f"never in {COUNT // BLOCKS} days: {SOMETIMES - set(happened)}"


SOMETIMES: Final = frozenset(
    [
        "crash",
        *(f"offer {state}" for state in ("accepted", "rejected", "timeout", "rescinded", "canceled", "completed")),
        *(f"item {state}" for state in ("done", "abandoned")),
        *(f"refused {code}" for code in ("CallerLeft", "OfferExpired", "OfferRescinded")),
    ]
)
"""What is never seen is not tested: each of these happens in every block."""


def test_every_invariant_of_routing_that_needs_a_history_is_checked() -> None:
    assert checks.numbers() == set(range(1, 31)) | {34}


def test_the_same_seed_is_the_same_day() -> None:
    one, two = run(7), run(7)
    assert one.store.offers.rows == two.store.offers.rows
    assert list(one.log) == list(two.log)
