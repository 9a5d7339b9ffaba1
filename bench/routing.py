"""What one decision costs as the pool and the line grow: a whole pass of the dispatcher, from its lock to the commit of offer and reasons.

    python3 dev.py bench routing [--quick]

Synthetic pool: 200 sets of skills over 50 skills (Zipf) in 4 queues, 30 % of the agents free; 100 different requirements of one to three
skills. The curve over what is kept has a line that a rule keeps for a busy agent, and one item that the free agent gets. The curve over agents has one item in line that many, some, few or none can serve, or nobody at all free; the curve over items has one agent
come free who can serve nearly all, only what waits far behind, or nothing. What was given away is taken back between two passes, unmeasured.
"""

import json
import logging
import random
import resource
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import structlog

from bench.kit.report import Report, latencies, options, run, say, spread
from bench.kit.servers import Servers, servers
from infra.local_broker import LocalBroker
from infra.outbox import Outbox
from infra.postgres import open_database
from routing import queries as sql
from routing.dispatcher import one_pass

POOL: Final = "pool_bench"
QUEUES: Final = 4
SKILLS: Final = 50
SKILL_SETS: Final = 200
READY_OF_TEN: Final = 3
AGENTS: Final = (100, 1_000, 10_000, 100_000)
ITEMS: Final = (1_000, 10_000, 100_000, 1_000_000)
KEPT: Final = (100, 1_000, 10_000)
PASSES: Final = 200
WARM: Final = 20
STATEMENT_TIMEOUT_S: Final = 600

ADD_QUEUES: Final = """
INSERT INTO queues (key, name, pool_id) SELECT 'q' || n, '{"en": "Q"}', $1 FROM generate_series(0, $2::integer - 1) n
"""
ADD_AGENTS: Final = """
INSERT INTO agents (id, name, pool_id, presence, idle_since, last_offered_at, skills)
SELECT n, 'Agent ' || n, $1, CASE WHEN (n + n / $5) % 10 < $4 THEN 'available' ELSE 'break' END,
       now() - make_interval(secs => n % 3600 + n / 1e6), now() - make_interval(secs => n % 3600 + n / 1e6), ($3::text[])[n % $5 + 1]::jsonb
FROM generate_series(1, $2::integer) n
"""
ADD_AGENT_QUEUES: Final = """
INSERT INTO agent_queues (agent_id, queue_key)
SELECT n, 'q' || ((n % $2 + d) % $3) FROM generate_series(1, $1::integer) n, generate_series(0, 1) d
"""
ADD_DESKS: Final = """
INSERT INTO desk_connections (replica, sid, agent_id, lease_until)
SELECT 'r', 's' || id, id, now() + interval '1 day' FROM agents
"""
ADD_INTERVALS: Final = (
    "INSERT INTO agent_intervals (agent_id, state, started_at) SELECT id, presence, now() FROM agents"
)
ADD_ITEMS: Final = """
INSERT INTO work_items (ticket_id, queue, pool_id, state, entered_at, virtual_start, steps, rule, ruleset_version)
SELECT n, 'q' || (n % $2), $1, 'queued', at, at, ($4::text[])[n % array_length($4::text[], 1) + 1]::jsonb, 'bench', 1
FROM (SELECT n, now() - make_interval(secs => ($3::integer - n) / 10.0) AS at FROM generate_series(1, $3::integer) n) t
"""
ADD_ITEM: Final = """
INSERT INTO work_items (ticket_id, queue, pool_id, state, entered_at, virtual_start, steps, rule, ruleset_version)
VALUES (1, $2, $1, 'queued', now(), now(), $3::text::jsonb, 'bench', 1)
"""
KEEP: Final = "UPDATE work_items SET sticky_agent_id = 1, sticky_until = now() + interval '1 hour'"
IS_UNSEEN: Final = "SELECT EXISTS (SELECT 1 FROM work_items WHERE sticky_agent_id IS NOT NULL AND sticky_is_new)"
TAKE_BACK: Final = """
WITH gone AS (DELETE FROM offers RETURNING id, agent_id, work_item_id), timers_gone AS (DELETE FROM timers),
agents_back AS (UPDATE agents a SET used_units = 0, idle_since = now() FROM gone WHERE a.id = gone.agent_id)
UPDATE work_items i SET state = 'queued' FROM gone WHERE i.id = gone.work_item_id
"""


def skill_sets(rng: random.Random) -> list[dict[str, int]]:
    """Common skills are had by many, the last ones by few."""
    weights = [1 / (n + 1) for n in range(SKILLS)]
    return [
        {f"s{n}": rng.randint(1, 5) for n in rng.choices(range(SKILLS), weights, k=rng.randint(1, 6))}
        for _ in range(SKILL_SETS)
    ]


Case = tuple[str, list[dict[str, Any]]]


def by_reach(sets: Sequence[dict[str, int]], rng: random.Random) -> dict[str, Case]:
    """Queue and requirement that nearly all, some, and few of these sets meet; always also an agent who is free in the smallest pool."""
    found: dict[str, Case] = {"many": ("q0", [])}
    while len(found) < 3:
        chosen = rng.sample(range(SKILLS), rng.randint(1, 2))
        need: list[dict[str, Any]] = [{"skill": f"s{n}", "level": rng.randint(1, 3)} for n in chosen]
        meet = [n for n, one in enumerate(sets) if all(one.get(each["skill"], 0) >= each["level"] for each in need)]
        ready = [n for n in meet if n < AGENTS[0] and n % 10 < READY_OF_TEN]
        if ready and len(meet) == 1:
            found.setdefault("few", (f"q{ready[0] % QUEUES}", need))
        elif ready and 3 <= len(meet) <= 8:
            found.setdefault("some", (f"q{ready[0] % QUEUES}", need))
    return found | {"none": ("q0", [{"skill": "nobody has it", "level": 1}]), "nobody free": ("q0", [])}


def steps(need: Sequence[dict[str, Any]]) -> str:
    return json.dumps([{"after_s": 0, "require": list(need)}])


class Pool:
    def __init__(self, outbox: Outbox, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.outbox = outbox
        self.admin = admin

    async def erase(self) -> None:
        await self.admin.execute(
            "TRUNCATE queues, agents, agent_queues, desk_connections, agent_intervals, work_items, offers, timers, decisions, events, "
            "deliveries, exclusions, profiles CASCADE",
        )
        await self.admin.execute(ADD_QUEUES, POOL, QUEUES)

    async def add_agents(self, count: int, sets: Sequence[dict[str, int]], ready: int = READY_OF_TEN) -> None:
        documents = [json.dumps(each) for each in sets]
        await self.admin.execute(ADD_AGENTS, POOL, count, documents, ready, len(sets))
        await self.admin.execute(ADD_AGENT_QUEUES, count, len(sets), QUEUES)
        await self.admin.execute(ADD_DESKS)
        await self.admin.execute(ADD_INTERVALS)

    async def settle(self) -> None:
        """As autovacuum leaves it: plans know the sizes."""
        await self.admin.execute(
            "VACUUM ANALYZE agents, agent_queues, desk_connections, work_items, offers, timers, agent_intervals"
        )

    async def passes(self, count: int, *, looks: bool = True) -> list[float]:
        """Milliseconds of each pass, with its commit; how many offers they made is checked by who calls."""
        taken = []
        for n in range(WARM + count):
            began = time.perf_counter()
            done = await self.outbox.transact(lambda tx: one_pass(tx, POOL, looks=looks))
            if n >= WARM:
                taken.append((time.perf_counter() - began) * 1000)
            if done.made:
                await self.admin.execute(TAKE_BACK)
        return taken

    async def one(self) -> int:
        done = await self.outbox.transact(lambda tx: one_pass(tx, POOL))
        if done.made:
            await self.admin.execute(TAKE_BACK)
        return done.made


@asynccontextmanager
async def pool_in(running: Servers) -> AsyncIterator[Pool]:
    await running.create_migrated("product")
    admin = await asyncpg.connect(running.database("product"), timeout=10, command_timeout=STATEMENT_TIMEOUT_S)
    try:
        async with open_database(running.database("product")) as database, LocalBroker() as broker:
            yield Pool(Outbox(database, broker), admin)
    finally:
        await admin.close(timeout=5)


async def over_agents(report: Report, pool: Pool, sizes: Sequence[int], passes: int) -> None:
    rng = random.Random(4)
    sets = skill_sets(rng)
    needs = by_reach(sets, rng)
    p50: dict[str, list[float]] = {}
    for size in sizes:
        await pool.erase()
        await pool.add_agents(size, sets)
        await pool.settle()
        for case in ("many", "some", "few", "none", "nobody free"):
            if case == "nobody free":
                await pool.admin.execute("UPDATE agents SET presence = 'break'")
                await pool.settle()
            queue, need = needs[case]
            await pool.admin.execute("DELETE FROM work_items")
            await pool.admin.execute(ADD_ITEM, POOL, queue, steps(need))
            made = await pool.one()
            rounds = [await pool.passes(passes) for _ in range(report.options.repetitions)]
            row = report.add(f"{size} agents, {case} can serve it", offers=made, **latencies(rounds))
            p50.setdefault(case, []).append(row["p50"]["median"])
    for case, found in p50.items():
        report.ratio(f"agents: {case}, {sizes[-1]} to {sizes[0]}", found[-1] / found[0], 1.5)


async def over_items(report: Report, pool: Pool, sizes: Sequence[int], passes: int) -> None:
    p50: dict[str, list[float]] = {}
    for size in sizes:
        await pool.erase()
        kinds = [steps([{"skill": f"s{n % SKILLS}", "level": 1 + n % 5}][: 1 + n % 2]) for n in range(100)]
        await pool.admin.execute(ADD_ITEMS, POOL, QUEUES, size, kinds)
        everything = {f"s{n}": 9 for n in range(SKILLS)}
        for case, skills, queues in (
            ("nearly all", everything, 2),
            ("only the last in line", {"rare": 1}, 1),
            ("nothing", {"other": 1}, 1),
        ):
            await pool.admin.execute("TRUNCATE agents, agent_queues, desk_connections, agent_intervals CASCADE")
            await pool.add_agents(1, [skills], ready=10)
            await pool.admin.execute(
                "DELETE FROM agent_queues WHERE NOT queue_key = ANY($1)", [f"q{n}" for n in range(queues)]
            )
            await pool.admin.execute(
                "INSERT INTO agent_queues (agent_id, queue_key) VALUES (1, 'q0') ON CONFLICT DO NOTHING"
            )
            if case == "only the last in line":
                await pool.admin.execute(ADD_ITEM, POOL, "q0", steps([{"skill": "rare", "level": 1}]))
            await pool.settle()
            made = await pool.one()
            rounds = [await pool.passes(passes) for _ in range(report.options.repetitions)]
            row = report.add(f"{size} waiting, {case} fits", offers=made, **latencies(rounds))
            p50.setdefault(case, []).append(row["p50"]["median"])
    for case, found in p50.items():
        report.ratio(f"items: {case}, {sizes[-1]} to {sizes[0]}", found[-1] / found[0], 1.5)


async def over_kept(report: Report, pool: Pool, sizes: Sequence[int], passes: int) -> None:
    """Most passes do not look at all that is kept (`STICKINESS_EVERY_S`); what one of those costs that do stands beside it."""
    p50: list[float] = []
    for size in sizes:
        await pool.erase()
        await pool.add_agents(2, [{}], ready=10)
        await pool.admin.execute(
            "UPDATE agents SET used_units = 1, busy_until = now() + interval '10 minutes' WHERE id = 1"
        )
        await pool.admin.execute(ADD_ITEMS, POOL, QUEUES, size, [steps([])])
        await pool.admin.execute(KEEP)
        await pool.settle()
        while await pool.admin.fetchval(IS_UNSEEN):
            await pool.one()
        await pool.admin.execute(ADD_ITEM, POOL, "q0", steps([]))
        await pool.settle()
        made = await pool.one()
        rounds = [await pool.passes(passes, looks=False) for _ in range(report.options.repetitions)]
        row = report.add(f"{size} kept for somebody busy, another item fits", offers=made, **latencies(rounds))
        p50.append(row["p50"]["median"])
        rounds = [await pool.passes(max(5, passes // 10)) for _ in range(report.options.repetitions)]
        report.add(f"{size} kept for somebody busy, a pass that looks at all of them", offers=made, **latencies(rounds))
    report.ratio(f"kept: {sizes[-1]} to {sizes[0]}", p50[-1] / p50[0], 1.5)


async def rate(report: Report, pool: Pool, agents: int, items: int) -> None:
    """A crowd meets a crowd: passes one after the other until the free agents are used up, or for so many offers."""
    rng = random.Random(6)
    sets = skill_sets(rng)
    most = min(2_000, agents // 5)
    rates = []
    for _ in range(report.options.repetitions):
        await pool.erase()
        await pool.add_agents(agents, sets)
        await pool.admin.execute(ADD_ITEMS, POOL, QUEUES, items, [steps([])])
        await pool.settle()
        made, began = 0, time.perf_counter()
        while made < most and (done := await pool.outbox.transact(lambda tx: one_pass(tx, POOL))).made:
            made += done.made
        rates.append(made / (time.perf_counter() - began))
    report.add("offers in a crowd", agents=agents, waiting=items, offers=made, per_s=spread(rates))


async def plans(report: Report, pool: Pool) -> None:
    """How needs and idle agents are found beside the longest line: by index only."""
    for name, statement, args in (
        ("NEEDS", sql.NEEDS, (POOL,)),
        ("LONGEST_IDLE", sql.LONGEST_IDLE, (POOL, await pool.admin.fetchval("SELECT now()"), 16, ["q0", "q1"])),
    ):
        found = await pool.admin.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {statement}", *args)
        report.add(f"plan of {name}", plan=[row[0] for row in found])


async def main() -> int:
    report = Report("routing", options(__doc__ or ""))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    quick = report.options.quick
    async with servers(report) as running, pool_in(running) as pool:
        if report.options.wants("agents"):
            await over_agents(report, pool, (20, 200) if quick else AGENTS, 10 if quick else PASSES)
        if report.options.wants("items"):
            await over_items(report, pool, (50, 500) if quick else ITEMS, 10 if quick else PASSES)
            await plans(report, pool)
        if report.options.wants("kept"):
            await over_kept(report, pool, (20, 200) if quick else KEPT, 10 if quick else PASSES)
        if report.options.wants("crowd"):
            await rate(report, pool, 200 if quick else 20_000, 100 if quick else 20_000)
    report.add("memory of this process", mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1))
    say(f"written: {report.write().name}")
    return 0


if __name__ == "__main__":
    run(main())
