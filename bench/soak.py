"""A simulated shift: 20 agents, 15 calls a minute for half an hour, a provider that misbehaves. Every call is accounted for.

    python3 dev.py bench soak [--quick] [--minutes 30]

The books are kept outside: what the provider sent and was answered stands in the simulator's journal, what callers and agents did and were
told in a ledger. At the end both are held against the database, and the invariants of tests/invariants.py must return nothing.
The provider sends requests twice, twice at once, late, in another order or not at all, and answers some of ours with 429; agents reject and ignore.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import asyncpg

from accounts import queries as accounts
from accounts.passwords import hash_password
from app.apply import apply
from app.embedded.children import free_port
from app.one_off import one_off
from app.org import parse_org
from bench.kit.process import Program, program, pss_mb, ringdesk
from bench.kit.product import environment
from bench.kit.report import ROOT, Report, options, quantile, run, say
from bench.kit.servers import Servers, servers
from core import demo_account
from core.ids import UserId
from customers import service as customers
from simulator.people.agents import Habits
from simulator.people.callers import CallerHabits
from simulator.people.report import Report as Shift
from simulator.run import simulate
from tests import invariants
from tests.chaos.books import Books, faults_of, open_calls

MINUTES: Final = 30.0
CALLS_PER_MINUTE: Final = 15.0
AGENTS: Final = 20
QUEUES: Final = ("support", "de", "sales")
SETTLE_WITHIN_S: Final = 120.0
LOOK_EVERY_S: Final = 5.0
FAULTS: Final = {
    "duplicate": 0.05,
    "concurrent_duplicate": 0.03,
    "reorder": 0.2,
    "delay": 0.1,
    "delay_s": 3,
    "drop": 0.03,
}
REST_BUSY: Final = 0.02
AGENT_HABITS: Final = Habits(accept_after_s=(1, 4), talk_s=(20, 70), wrap_up_s=(3, 10), reject=0.05, ignore=0.03)
CALLER_HABITS: Final = CallerHabits(patience_median_s=60, patience_most_s=120, talk_s=(15, 60))
QUICK_AGENT_HABITS: Final = Habits(accept_after_s=(0.3, 1), talk_s=(1, 3), wrap_up_s=(0.3, 1), reject=0.1)
QUICK_CALLER_HABITS: Final = CallerHabits(patience_median_s=10, patience_most_s=15, talk_s=(1, 2))

OUTCOMES: Final = "SELECT coalesce(outcome, state) AS outcome, count(*) AS n FROM calls GROUP BY 1 ORDER BY 1"
WAITS: Final = """
SELECT extract(epoch FROM connected_at - entered_at)::float8 AS s FROM stints WHERE outcome = 'answered' AND connected_at IS NOT NULL
"""
OFFERS: Final = "SELECT coalesce(reason, state) AS how, count(*) AS n FROM offers GROUP BY 1 ORDER BY 1"


@dataclass(frozen=True, slots=True)
class Plan:
    minutes: float
    calls_per_minute: float
    agents: int
    faults: dict[str, float]
    rest_busy: float
    agent_habits: Habits
    caller_habits: CallerHabits


async def main() -> int:
    report = Report("soak", options(__doc__ or "", repetitions=1, minutes=MINUTES))
    plan = _plan(report)
    failures: list[str] = []
    async with servers(report) as running:
        url = await running.create_migrated("product")
        await _furnish(url, plan.agents)
        port, provider_port = free_port(), 0
        provider_port = free_port(avoid=[port])
        public, provider = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{provider_port}"
        serve = [sys.executable, "-m", "simulator", "serve", "--port", str(provider_port), "--public-url-of-service", public,
                 "--faults", json.dumps(plan.faults), "--rest-busy", str(plan.rest_busy), "--calls-per-second", "1"]  # fmt: skip
        env = environment(running, "product", public, None) | {"RINGDESK_TWILIO_API_BASE": f"{provider}/twilio"}
        up = ringdesk("up", "--port", str(port), "--broker", "local", "--no-demo")
        async with (
            program("simulator", serve, ready="simulator ready"),
            program("up", up, env=env, ready="ringdesk ready") as service,
        ):
            failures = await _shift(report, plan, running, public, provider, service)
            service.check()
    report.ratio("calls, offers and invariants that are not accounted for", len(failures), 0)
    for failure in failures:
        report.note(failure)
    say(f"written: {report.write().name}")
    return 1 if failures else 0


def _plan(report: Report) -> Plan:
    if report.options.quick:
        gentle = {"duplicate": 0.1, "concurrent_duplicate": 0.05, "reorder": 0.2, "delay": 0.1, "delay_s": 0.5}
        return Plan(0.25, 60, 6, gentle, REST_BUSY, QUICK_AGENT_HABITS, QUICK_CALLER_HABITS)
    minutes = report.options.minutes or MINUTES
    return Plan(minutes, CALLS_PER_MINUTE, AGENTS, dict(FAULTS), REST_BUSY, AGENT_HABITS, CALLER_HABITS)


async def _furnish(url: str, agents: int) -> None:
    """The demo's organisation with as many agents as wanted, two queues each and the skills its rules ask for, and its customers."""
    text = (ROOT / "demo" / "org.yaml").read_text(encoding="utf-8")
    more = [
        f"  - {{email: soak{n}@demo.example, name: Soak Agent {n}, queues: [{QUEUES[n % 3]}, {QUEUES[(n + 1) % 3]}], "
        f"skills: {{german: 5, chinese: 5, billing: 3, technical: 3}}}}\n"
        for n in range(1, agents + 1)
    ]
    org = parse_org(text.replace("agents:\n", "agents:\n" + "".join(more), 1))
    # Those of the demo stay at home: scripted people would take their places in the shift.
    ours = [each for each in org.agents if each.email.startswith("soak") or each.role != "agent"]
    org = org.model_copy(update={"agents": ours})
    shared_hash = await hash_password(demo_account.PASSWORD)
    async with one_off(url) as outbox, outbox.transaction(timeout_s=10) as tx:
        await apply(tx, org, by="bench")
        for each in org.agents:
            user = await accounts.user_by_email(tx.conn, email=each.email)
            if user is not None:
                await accounts.set_password_hash(
                    tx.conn, user_id=UserId(user.id), password_hash=shared_hash, now=tx.now
                )
        await customers.import_csv(tx, ROOT / "demo" / "customers.csv")


async def _shift(
    report: Report, plan: Plan, running: Servers, public: str, provider: str, service: Program
) -> list[str]:
    books, memory = Books(provider), Memory(service.pid)
    seed = int(time.time()) % 1_000_000
    report.note(
        f"{plan.agents} agents, {plan.calls_per_minute:g} calls/min for {plan.minutes:g} min, seed {seed}, faults {plan.faults}, 429 {plan.rest_busy}"
    )
    watching = asyncio.create_task(memory.watch())
    try:
        async with books.kept():
            shift = await simulate(
                public, plan.calls_per_minute, plan.agents, plan.minutes * 60, seed, provider, log=report.say,
                agent_habits=plan.agent_habits, caller_habits=plan.caller_habits, ledger=books.ledger,
            )  # fmt: skip
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    conn = await asyncpg.connect(running.database("product"), timeout=10)
    try:
        settled_s = await _settled(conn, books)
        failures = _of_people(shift) + await faults_of(books, conn.fetch)
        broken = await invariants.broken(conn, deployed=True)
        failures += [f"invariant broken: {name}: {rows}" for name, rows in broken.items()]
        failures += await _none_too_many(conn, books)
        await _figures(report, plan, conn, books, shift, memory, settled_s, await _metrics(public), broken)
    finally:
        await conn.close(timeout=5)
    return failures


async def _settled(conn: asyncpg.Connection, books: Books) -> float:
    """Seconds until the service knows the end of every call, also of those whose callback was dropped, and nothing is left undone."""
    began = time.monotonic()
    while time.monotonic() - began < SETTLE_WITHIN_S:
        if not await open_calls(books, conn.fetch) and not await invariants.broken(conn, deployed=True):
            break
        await asyncio.sleep(0.5)
    return time.monotonic() - began


def _of_people(shift: Shift) -> list[str]:
    found = list(shift.failures)
    if shift.lost > len(found):
        found.append(f"{shift.lost} calls or pops lost, of which the first are named")
    if shift.unknown:
        found.append(f"{shift.unknown} calls could not be started: the simulator did not answer")
    return found


async def _none_too_many(conn: asyncpg.Connection, books: Books) -> list[str]:
    """A call in the database that no provider ever had."""
    known = set(books.told())
    return [
        f"call {row['sid']} is in no book"
        for row in await conn.fetch("SELECT sid FROM calls")
        if row["sid"] not in known
    ]


async def _figures(
    report: Report, plan: Plan, conn: asyncpg.Connection, books: Books, shift: Shift, memory: "Memory", settled_s: float,
    metrics: dict[str, float], broken: dict[str, list[object]],
) -> None:  # fmt: skip
    asked = [entry for entry in books.entries.values() if entry["kind"] in ("webhook", "callback")]
    took = [entry["took_s"] * 1000 for entry in asked if "took_s" in entry]
    voice = [entry["took_s"] * 1000 for entry in books.voice() if "took_s" in entry]
    rest = Counter(entry["status"] for entry in books.entries.values() if entry["kind"] == "rest" and "status" in entry)
    waits = [row["s"] for row in await conn.fetch(WAITS)]
    report.add(
        "calls", made=shift.calls, answered=shift.answered, abandoned=shift.abandoned, lost=shift.lost, unknown=shift.unknown,
        outcomes={row["outcome"]: row["n"] for row in await conn.fetch(OUTCOMES)},
    )  # fmt: skip
    report.add("offers", **{row["how"]: row["n"] for row in await conn.fetch(OFFERS)})
    report.add("pops", shown=shift.pops, shown_twice=shift.duplicate_pops, **_ms(shift.pop_ms))
    report.add(
        "waiting until an agent, s", n=len(waits), p50=_round(quantile(waits, 0.5)), p90=_round(quantile(waits, 0.9))
    )
    report.add(
        "webhooks and callbacks, ms", n=len(took), p50=_round(quantile(took, 0.5)), p99=_round(quantile(took, 0.99))
    )
    report.add(
        "documents, ms",
        n=len(voice),
        p50=_round(quantile(voice, 0.5)),
        p99=_round(quantile(voice, 0.99)),
        max=_round(max(voice, default=0)),
    )
    report.add(
        "faults of the provider",
        **Counter(entry["fault"] for entry in books.entries.values() if entry["kind"] == "fault"),
        rest_429=rest[429],
        rest_all=sum(rest.values()),
    )
    report.add("books", **books.count())
    report.add(
        "service",
        **metrics,
        settled_s=_round(settled_s),
        memory_start_mb=_round(memory.first),
        memory_end_mb=_round(memory.last),
        memory_most_mb=_round(memory.most),
    )
    report.add(
        "invariants", checked=len(invariants.SAFETY | invariants.SETTLED | invariants.DEPLOYED), broken=len(broken)
    )


def _ms(pop_ms: dict[str, float | None]) -> dict[str, float | None]:
    return {f"{name}_ms": value for name, value in pop_ms.items()}


def _round(value: float) -> float:
    return round(value, 1)


async def _metrics(public: str) -> dict[str, float]:
    wanted = {"ringdesk_emergency_answers_total": "emergency_answers", "ringdesk_tasks_failed_total": "tasks_failed",
              "ringdesk_transaction_retries_total": "transaction_retries", "ringdesk_outbox_parked": "parked"}  # fmt: skip
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
        http.get(f"{public}/metrics") as answer,
    ):
        lines = (await answer.text()).splitlines()
    return {
        told: float(line.split()[-1]) for line in lines for name, told in wanted.items() if line.startswith(f"{name} ")
    }


class Memory:
    """Of the service, at the beginning of the shift, at its end and the most of it: what grows and grows would not last a day."""

    def __init__(self, pid: int) -> None:
        self.pid, self.first, self.last, self.most = pid, 0.0, 0.0, 0.0

    async def watch(self) -> None:
        while Path(f"/proc/{self.pid}").exists():
            self.last = pss_mb(self.pid)
            self.first = self.first or self.last
            self.most = max(self.most, self.last)
            await asyncio.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    run(main())
