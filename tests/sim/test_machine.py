"""Hypothesis chooses what people do and when processes die, and makes a failure as short as it can."""

import os
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.sim import checks
from tests.sim.store import START
from tests.sim.world import WORKERS, World

IS_FULL: Final = os.environ.get("RINGDESK_TEST_FULL") == "1"
ACTS: Final = sorted(
    name.removeprefix("act_") for name in vars(World) if name.startswith("act_") and name != "act_replica_dies"
)


class Routing(RuleBasedStateMachine):
    """A day of `World` without its own chance for acts: those are the rules here."""

    world: World

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        self.world = World(seed)
        self.world.swarm.acts = 0
        self.world.chaos()

    @rule(acts=st.lists(st.sampled_from(ACTS), min_size=1, max_size=4))
    def people_act(self, acts: list[str]) -> None:
        """At once."""
        for name in acts:
            getattr(self.world, f"act_{name}")()

    @rule(for_s=st.sampled_from((0.001, 0.05, 0.5, 3, 12)))
    def time_passes(self, for_s: float) -> None:
        self.world.pass_time(for_s)

    @rule(process=st.sampled_from(("web A", "web B", *WORKERS)))
    def a_process_dies(self, process: str) -> None:
        self.world.crash(process)

    @invariant()
    def units_and_lines_agree(self) -> None:
        if hasattr(self, "world") and self.world.store.now > START:
            store = self.world.store
            assert checks.units_of(store, store.agents.rows) is None
            assert checks.line_of(store, store.items.rows) is None

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.calm()
            self.world.end()


Routing.TestCase.settings = settings(
    max_examples=500 if IS_FULL else 40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestRouting: Any = Routing.TestCase
