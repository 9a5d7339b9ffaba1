"""The customer page under a thousand readers: 1,000 Locust users with 1–3 s think time over 100,000 customers; then with Redis away.

    python3 dev.py bench customer_page [--quick]

Each user is an agent with a session of their own (requests are limited by person). Locust (FastHttpUser, whose figures agree with an
independent probe here) is a process of its own; beside it is the processor time of the service and of Postgres per request.
"""

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from typing import Any, Final

from accounts.cookies import cookie_name
from app.embedded.children import free_port
from bench.kit import centre
from bench.kit.centre import Person
from bench.kit.process import Failed, cpu_s, family, program, raise_file_limit, ringdesk
from bench.kit.product import environment
from bench.kit.report import ROOT, Report, options, run, say
from bench.kit.servers import Servers, servers

NOBODY_THERE: Final = "redis://127.0.0.1:1"


@dataclass(frozen=True, slots=True)
class Size:
    users: int
    per_s: int
    seconds: int
    customers: int


FULL: Final = Size(1000, 50, 130, 100_000)
QUICK: Final = Size(10, 10, 5, 500)


async def main() -> int:
    report = Report("customer_page", options(__doc__ or "", repetitions=1))
    size = QUICK if report.options.quick else FULL
    raise_file_limit()
    async with servers(report) as running:
        report.say(f"a centre with {size.users} agents and {size.customers} customers …")
        people = await centre.furnish(
            await running.create_migrated("product"), agents=size.users, customers=size.customers
        )
        found = {}
        for name, redis_url in (("with Redis", running.valkey.url), ("Redis away", NOBODY_THERE)):
            if report.options.wants(name):
                found[name] = await measure(report, running, people, size, name, redis_url)
        for name, row in found.items():
            is_real = not report.options.quick
            report.ratio(f"{name}: p95, ms", row["p95"], 50 if is_real else None)
            report.ratio(f"{name}: p99, ms", row["p99"], 200 if is_real else None)
            report.ratio(f"{name}: failures", row["failures"], 0)
        if len(found) == 2:
            ours, bare = found["with Redis"], found["Redis away"]
            report.ratio("p99 with Redis to without", ours["p99"] / bare["p99"])
            report.ratio(
                "processor time of Postgres with Redis to without",
                ours["postgres_ms"] / max(bare["postgres_ms"], 0.001),
            )
    say(f"written: {report.write().name}")
    return 0


async def measure(
    report: Report, running: Servers, people: list[Person], size: Size, name: str, redis_url: str
) -> dict[str, Any]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = environment(running, "product", url, None) | {"RINGDESK_REDIS_URL": redis_url}
    argv = ringdesk("up", "--port", str(port), "--broker", "local", "--no-demo")
    async with program("up", argv, env=env, ready="ringdesk ready") as service:
        postgres = running.postgres.pid
        before = cpu_s(service.pid), sum(map(_cpu, family(postgres)))
        report.say(f"{name}: {size.users} users for {size.seconds} s …")
        stats = await _locust(url, people[0].id, size)
        after = cpu_s(service.pid), sum(map(_cpu, family(postgres)))
        service.check()
    times: dict[float, int] = {}
    for entry in stats:
        for ms, count in entry["response_times"].items():
            times[float(ms)] = times.get(float(ms), 0) + count
    requests = sum(times.values())
    return report.add(
        f"customer page, {name}",
        users=size.users,
        requests=requests,
        per_s=round(requests / size.seconds, 1),
        failures=sum(entry["num_failures"] for entry in stats),
        p50=_quantile(times, 0.5),
        p95=_quantile(times, 0.95),
        p99=_quantile(times, 0.99),
        max=max(times),
        service_ms=round((after[0] - before[0]) * 1000 / requests, 3),
        postgres_ms=round((after[1] - before[1]) * 1000 / requests, 3),
    )


def _cpu(pid: int) -> float:
    with contextlib.suppress(OSError):
        return cpu_s(pid)
    return 0.0


def _quantile(times: dict[float, int], q: float) -> float:
    left = q * sum(times.values())
    for ms, count in sorted(times.items()):
        left -= count
        if left <= 0:
            return ms
    return max(times)


async def _locust(url: str, first_agent: int, size: Size) -> list[dict[str, Any]]:
    """Its statistics by request, without the time in which the users arrive."""
    env = dict(os.environ) | {
        "PYTHONPATH": str(ROOT),
        "BENCH_FIRST_AGENT": str(first_agent),
        "BENCH_AGENTS": str(size.users),
        "BENCH_CUSTOMERS": str(size.customers),
        "BENCH_COOKIE": cookie_name(url),
    }
    ramp_s = size.users / size.per_s
    argv = [
        sys.executable, "-m", "locust", "-f", str(ROOT / "bench" / "kit" / "page_users.py"), "--headless", "--host", url, "--json",
        "--users", str(size.users), "--spawn-rate", str(size.per_s), "--run-time", f"{size.seconds + ramp_s:.0f}s", "--reset-stats",
        "--loglevel", "ERROR", "--stop-timeout", "5",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(*argv, cwd=ROOT, env=env, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(size.seconds + ramp_s + 120):
            output, errors = await process.communicate()
    except TimeoutError:
        raise Failed("locust did not end") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode(errors="replace")
    try:
        stats: list[dict[str, Any]] = json.loads(text[text.index("[") :])
    except ValueError:
        raise Failed(f"locust said nothing to read:\n{errors.decode(errors='replace')[-2000:]}") from None
    return stats


if __name__ == "__main__":
    run(main())
