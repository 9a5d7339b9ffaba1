"""What a seed is made of: which features there are, which faults, and how heavy they are."""

from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from typing import Any

from core.ids import AgentId
from routing.model import PresenceState, Ranks, Served
from tests.sim.store import FOREVER, START, Agent, Desk, Queue, Store

SKILLS = ("billing", "german", "basque")
PICKS = ("longest_idle", "round_robin", "round_robin", "best_skill", "preserve_specialists")
FIRST_AGENT = 100


@dataclass
class Faults:
    """Chances per opportunity; 0 where a seed has none of it."""

    wake_lost: float = 0.0
    wake_twice: float = 0.0
    wake_late_s: float = 0.02
    hook_lost: float = 0.0
    hook_twice: float = 0.0
    hook_late_s: float = 0.1
    effect_lost: float = 0.0
    crash: float = 0.0
    """Per statement: a process dies."""
    unknown_commit: float = 0.0
    timers_away: float = 0.0
    """Per due timer: no runner is there for some seconds."""
    stall: float = 0.0
    """Per statement: time passes while the transaction is open."""
    overlap: float = 0.3
    """How often the next act begins before those under way are through."""

    def cease(self) -> "Faults":
        """Wakes go on being lost: the sweep is to make up for them."""
        return Faults(wake_lost=self.wake_lost, overlap=self.overlap)


@dataclass
class Swarm:
    queues: list[Queue]
    agents: list[Agent]
    rules: list[dict[str, Any]]
    weights: dict[str, float]
    faults: Faults
    acts: int = 60
    gap_s: float = 0.8
    extras: dict[str, Any] = field(default_factory=dict)


def draw(rng: Random) -> Swarm:
    keys = ("support", "sales", "de")[: rng.choice((1, 2, 2, 3))]
    has = {
        name: rng.random() < 0.5
        for name in ("skills", "steps", "groups", "tiers", "boosts", "picks", "holds", "ranks", "rises")
    }
    has["orders"] = has["steps"] and has["boosts"]
    skills = SKILLS[: rng.randint(1, 3)] if has["skills"] else ()
    queues = [
        Queue(
            key,
            "pool_de" if key == "de" else "pool_sales",
            offer_timeout_s=rng.choice((5, 10, 20)),
            wrap_mode=rng.choice(("none", "timed", "manual", "timed_fixed", "optional", "on_request")),
            wrap_s=rng.choice((3, 10)),
            pick=rng.choice(PICKS) if has["picks"] else "longest_idle",
            no_answer_s=rng.choice((None, None, 5)),
            misses_before_not_responding=rng.choice((1, 1, 2)),
        )
        for key in keys
    ]
    return Swarm(
        queues,
        some_agents(rng, queues, skills, has_orders=has["orders"]),
        some_rules(rng, keys, skills, has),
        some_acts(rng, has),
        some_faults(rng),
    )


def some_agents(rng: Random, queues: list[Queue], skills: tuple[str, ...], *, has_orders: bool) -> list[Agent]:
    groups: list[Ranks] = [{}]
    if has_orders:
        groups += [{q.key: Served(rng.randint(1, 2), rng.choice((0, 0, 6))) for q in queues} for _ in range(2)]
    agents = []
    for n in range(rng.randint(1, 6)):
        pool = rng.choice(sorted({queue.pool for queue in queues}))
        keys = [queue.key for queue in queues if queue.pool == pool]
        has = {skill: rng.randint(1, 5) for skill in skills if rng.random() < 0.6}
        group = rng.choice(groups) if has_orders else groups[0]
        agents.append(an_agent(n, pool, frozenset(rng.sample(keys, rng.randint(1, len(keys)))), has, group))
    return agents


def an_agent(
    n: int, pool: str, queues: frozenset[str], skills: dict[str, int], ranks: Ranks = MappingProxyType({})
) -> Agent:
    return Agent(
        AgentId(FIRST_AGENT + n),
        f"Agent {n}",
        pool,
        queues,
        skills,
        PresenceState.OFFLINE,
        START,
        START,
        START,
        ranks=ranks,
    )


def some_steps(rng: Random, skills: tuple[str, ...], has: dict[str, bool]) -> list[dict[str, Any]]:
    offsets = [0, *sorted(rng.sample(range(2, 20), rng.randint(1, 2)))] if has["steps"] else [0]
    steps = []
    for after_s in offsets:
        step: dict[str, Any] = {"after_s": after_s, "offers": rng.choice((1, 2, 3)) if has["groups"] else 1}
        if skills:
            chosen = rng.sample(skills, rng.randint(0, min(2, len(skills))))
            step["require"] = [{"skill": skill, "level": rng.randint(1, 4)} for skill in chosen]
            if has["picks"] and rng.random() < 0.4:
                step["prefer"] = [{"skill": rng.choice(skills), "level": 2}]
        if has["picks"] and rng.random() < 0.3:
            step["order"] = rng.choice((["round_robin"], ["best_skill", "longest_idle"], ["preserve_specialists"]))
        if has["rises"] and after_s and rng.random() < 0.5:
            step |= rng.choice(({"tier": rng.choice((0, 1, 2))}, {"boost_s": rng.choice((0, 10, 60))}))
        steps.append(step)
    return steps


def some_rules(
    rng: Random, keys: tuple[str, ...], skills: tuple[str, ...], has: dict[str, bool]
) -> list[dict[str, Any]]:
    """By the last digit of the caller's number; the last rule is for the rest."""
    rules = []
    for digit in range(rng.randint(0, 3)):
        then: dict[str, Any] = {"steps": some_steps(rng, skills, has)}
        if has["tiers"]:
            then["tier"] = rng.choice((0, 0, 1, 2))
        if has["boosts"]:
            then["boost_s"] = rng.choice((0, 5, 60))
        if rng.random() < 0.2:
            then["queue"] = rng.choice(keys)
        when = {"field": "call.from", "op": "ends_with", "value": str(digit)}
        rules.append({"name": f"digit {digit}", "when": when, "then": then})
    rest = {"steps": some_steps(rng, skills, has)} if rng.random() < 0.4 else {}
    return [*rules, {"name": "rest", "then": rest}]


def some_acts(rng: Random, has: dict[str, bool]) -> dict[str, float]:
    """How often who does what; a seed may do without some of it altogether."""
    weights: dict[str, float] = {
        "call": 8, "accept": 9, "reject": 3, "give_up": 2, "hang_up": 4, "finish": 5, "come": 6, "leave": 2, "vanish": 1,
        "connect": 3, "disconnect": 1.5, "lapse": 0.7, "replica_dies": 0.3, "late_accept": 1, "hire": 0.3,
    }  # fmt: skip
    if rng.random() < 0.3:  # a day on which people simply work
        weights |= {"call": 12, "accept": 16, "hang_up": 12, "finish": 10, "give_up": 0.3, "disconnect": 0.3}
    for name in ("reject", "leave", "vanish", "disconnect", "lapse", "replica_dies", "late_accept", "give_up"):
        weights[name] *= rng.choice((0, 1, 1, 3))
    weights["rank"] = 3 if has["ranks"] else 0
    weights["hold"] = 1 if has["holds"] else 0
    return weights


def some_faults(rng: Random) -> Faults:
    heavy = rng.choice((0, 0.3, 1, 3))

    def on(rate: float) -> float:
        return rate * heavy if rng.random() < 0.5 else 0.0

    return Faults(
        wake_lost=rng.choice((0, 0, 0.2, 1)),
        wake_twice=on(0.2),
        wake_late_s=rng.choice((0.002, 0.002, 0.1, 1.5)),
        hook_lost=on(0.05),
        hook_twice=on(0.2),
        hook_late_s=rng.choice((0.05, 0.5, 3)),
        effect_lost=on(0.1),
        crash=on(0.004),
        unknown_commit=on(0.02),
        timers_away=on(0.1),
        stall=on(0.006),
        overlap=rng.choice((0, 0.3, 0.8)),
    )


def fill(store: Store, swarm: Swarm) -> None:
    for queue in swarm.queues:
        store.add(store.queues, queue.key, queue)
    for agent in swarm.agents:
        store.add(store.agents, agent.id, agent)
        store.add(store.desks, f"{agent.id}.0", Desk(agent.id, "web A", FOREVER))
