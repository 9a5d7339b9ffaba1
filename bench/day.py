"""A day of a contact centre in virtual time: what rules and ranks do to callers and agents, and whether the engine keeps to theory.

    python3 dev.py bench day [--quick]

Ten hours, three queues, 20 agents with shifts and breaks, some 1,240 callers with patience, one in twenty of them important. The same callers
and the same conversations for each policy; only who is asked for whom differs. Decisions and figures are the product's. The second part is a
queue for which there is a formula (Erlang C): Poisson arrivals, exponential conversations, nobody gives up, nobody hesitates.
"""

from math import factorial
from random import Random
from typing import Any, Final

from bench.kit.report import Report, options, run, say, spread
from bench.kit.shift import MORNING, Caller, Day, Policy, Worker, callers_of, figures
from routing.model import Served, SkillNeed, Step

SLOT_S: Final = 1800
HOURS: Final = 10
RATES: Final = {
    "support": (30, 45, 70, 95, 110, 105, 90, 75, 70, 85, 100, 105, 95, 85, 75, 65, 55, 45, 35, 25),
    "sales": (15, 25, 35, 45, 50, 50, 45, 35, 30, 40, 50, 50, 45, 40, 35, 30, 25, 20, 15, 10),
    "de": (8, 12, 18, 24, 26, 26, 22, 18, 16, 20, 24, 24, 22, 20, 18, 14, 12, 10, 8, 6),
}
"""Calls an hour in each half hour from 8 to 18: a hump in the morning and one after lunch."""
QUEUES: Final = (
    "offered", "answered", "abandoned", "service_level", "asa", "asa_p50", "asa_p90", "max_wait", "abandonment", "aht", "offer_answer_rate",
)  # fmt: skip
AGENTS: Final = ("occupancy", "handled")
SHOWN: Final = ("offered", "service_level", "asa", "asa_p90", "max_wait", "abandonment")


def workers(*, ranked: bool) -> list[Worker]:
    """Early and late shifts with lunch and a short break, so that seats are emptiest when nobody calls."""
    both = frozenset({"support", "sales"})
    ranks = {"support": Served(1), "sales": Served(2, 30)} if ranked else {}
    back = {"sales": Served(1), "support": Served(2, 30)} if ranked else {}
    found = []
    for n in range(20):
        early = n % 2 == 0
        shift = (0, 8.5 * 3600) if early else (1.5 * 3600, HOURS * 3600)
        breaks = ((3.5 + n % 4 * 0.5) * 3600,)
        more: dict[str, Any] = {"shift_s": shift, "breaks_s": breaks, "misses": 0.02}
        if n < 11:
            found.append(Worker(f"Support {n}", both, {"billing": 1 + n % 5}, ranks, **more))
        elif n < 16:
            found.append(Worker(f"Sales {n}", both, {}, back, **more))
        else:
            found.append(Worker(f"German {n}", frozenset({"de", "support"}), {"german": 5}, {}, **more))
    return found


def billing_first(caller: Caller) -> tuple[Step, ...]:
    """Support is asked of experts for 30 s, then of anybody."""
    if caller.queue != "support":
        return (Step(0.0),)
    return (Step(0.0, (SkillNeed("billing", 3),)), Step(30.0))


POLICIES: Final = (
    (Policy("as they come"), False),
    (Policy("important callers: 120 s of head start", boost_s=lambda caller: 120 * caller.is_vip), False),
    (Policy("important callers: a tier of their own", tier=lambda caller: int(caller.is_vip)), False),
    (Policy("support: experts first, after 30 s anybody", steps=billing_first), False),
    (Policy("each group its own queue first, the other after 30 s"), True),
)


def a_day(report: Report, policy: Policy, *, ranked: bool, hours: float, seeds: range) -> None:
    """Seeds are days: the figures are of all of them together, the spread of service level is over the days."""
    parts: dict[str, list[dict[str, float | None]]] = {}
    for seed in seeds:
        slots = int(hours * 3600 / SLOT_S)
        rates = {queue: by_slot[:slots] for queue, by_slot in RATES.items()}
        callers = callers_of(Random(seed), rates, slot_s=SLOT_S, vip=0.05, patience_s=240, talk_s=260, wrap_s=35)
        books = Day(callers, workers(ranked=ranked), policy, seed).run()
        kept = {
            "everybody": books.stints,
            "important": [stint for stint in books.stints if stint.work_item_id in books.vip],
            "others": [stint for stint in books.stints if stint.work_item_id not in books.vip],
        }
        kept |= {queue: [stint for stint in books.stints if stint.queue == queue] for queue in RATES}
        for name, stints in kept.items():
            parts.setdefault(name, []).append(figures(books.of_queues(stints), QUEUES))
        parts.setdefault("agents", []).append(figures(books.of_agents(books.intervals[-1].ended_at or MORNING), AGENTS))
    for name, days in parts.items():
        rows = {key: [value for day in days if (value := day[key]) is not None] for key in days[0]}
        shown = {key: spread(values) for key, values in rows.items() if values and (name == "agents" or key in SHOWN)}
        report.add(f"{policy.name}: {name}", **shown)


# --- a queue with a formula ----------------------------------------------------------------------------------------------


def erlang_c(agents: int, load: float) -> float:
    """The probability to wait: Erlang (1917), for a load in erlangs below the number of agents."""
    busy = load**agents / factorial(agents) * agents / (agents - load)
    return busy / (sum(load**k / factorial(k) for k in range(agents)) + busy)


def by_theory(report: Report, *, agents: int, per_hour: float, talk_s: float, hours: float, seeds: range) -> None:
    load = per_hour * talk_s / 3600
    waits = erlang_c(agents, load)
    mean_s = waits * talk_s / (agents - load)
    found_waits, found_mean = [], []
    for seed in seeds:
        rng = Random(seed)
        callers, at_s = [], 0.0
        while (at_s := at_s + rng.expovariate(per_hour / 3600)) < hours * 3600:
            callers.append(Caller(at_s, "support", False, 1e9, rng.expovariate(1 / talk_s), 0.0))
        people = [
            Worker(f"Agent {n}", frozenset({"support"}), shift_s=(0, 1e9), answers_after_s=(0, 0))
            for n in range(agents)
        ]
        books = Day(callers, people, Policy("as they come"), seed).run()
        steady = [s.wait.total_seconds() for s in books.stints if s.wait is not None and s.id > len(callers) // 10]
        found_waits.append(sum(wait > 1e-6 for wait in steady) / len(steady))
        found_mean.append(sum(steady) / len(steady))
    row = report.add(
        f"{agents} agents, {load:.1f} erlangs", waits=spread(found_waits), waits_by_formula=round(waits, 4),
        mean_wait_s=spread(found_mean), mean_wait_s_by_formula=round(mean_s, 2),
    )  # fmt: skip
    report.ratio(f"{row['what']}: mean wait to formula", sum(found_mean) / len(found_mean) / mean_s)
    report.ratio(f"{row['what']}: share that waits to formula", sum(found_waits) / len(found_waits) / waits)


async def main() -> int:
    report = Report("day", options(__doc__ or "", repetitions=5))
    quick = report.options.quick
    days = range(report.options.repetitions)
    if report.options.wants("policies"):
        for policy, ranked in POLICIES:
            a_day(report, policy, ranked=ranked, hours=1 if quick else HOURS, seeds=days)
    if report.options.wants("theory"):
        many = range(len(days) * (1 if quick else 5))  # waits of one day resemble each other: a mean needs many days
        for agents, per_hour in ((10, 126.0), (20, 288.0)):
            by_theory(report, agents=agents, per_hour=per_hour, talk_s=200, hours=1 if quick else 40, seeds=many)
    say(f"written: {report.write().name}")
    return 0


if __name__ == "__main__":
    run(main())
