"""Tickets created over REST, at 1, 8 and 32 connections, against one row and one outbox row in a transaction behind the same HTTP server.

python3 dev.py bench tickets [--quick]
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Final

import orjson
from aiohttp import ClientSession, DummyCookieJar, TCPConnector

from accounts.cookies import cookie_name
from bench import floor
from bench.kit import centre
from bench.kit.process import Failed
from bench.kit.product import one_process
from bench.kit.report import Report, latencies, options, quantile, run, say
from bench.kit.servers import servers

WIDTHS: Final = (1, 8, 32)
PEOPLE: Final = 400
"""Requests are limited by person, so many people create."""
SECONDS: Final = 4.0

Create = Callable[[ClientSession, int], Awaitable[None]]


async def main() -> int:
    report = Report("tickets", options(__doc__ or ""))
    is_quick = report.options.quick
    seconds = 0.5 if is_quick else SECONDS
    customers = 200 if is_quick else 100_000
    async with servers(report) as running:
        await floor.furnish(running, agents=1, customers=customers)
        people = await centre.furnish(
            await running.create_migrated("product"), agents=20 if is_quick else PEOPLE, customers=customers
        )
        async with floor.service(running, "two") as bare, one_process(running, "product") as service:
            cookie = cookie_name(service.public_url)

            async def create(http: ClientSession, n: int) -> None:
                headers = {"Cookie": f"{cookie}={people[n % len(people)].secret}", "Content-Type": "application/json"}
                body = {"subject": f"Order {n}", "queue": centre.QUEUE, "customer_id": 1 + n * 7919 % customers}
                await _post(http, f"{service.public_url}/api/v1/tickets", body, headers, 201)

            async def create_bare(http: ClientSession, n: int) -> None:
                body = {"subject": f"Order {n}", "phone": "", "sid": f"sid {n}"}
                await _post(http, f"{bare.public_url}/tickets", body, {"Content-Type": "application/json"}, 201)

            numbers = count(1)
            for width in WIDTHS if not is_quick else (1, 4):
                rounds: dict[str, list[list[float]]] = {"floor": [], "product": []}
                for _ in range(report.options.repetitions):
                    for name, job in (("floor", create_bare), ("product", create)):
                        rounds[name].append(await _times(job, width, seconds, numbers))
                rates = {}
                for name, found in rounds.items():
                    rates[name] = sum(map(len, found)) / len(found) / seconds
                    p95 = quantile([ms for times in found for ms in times], 0.95)
                    report.add(
                        f"tickets, {name}",
                        connections=width,
                        per_s=round(rates[name], 1),
                        p95=round(p95, 2),
                        **latencies(found),
                    )
                report.ratio(f"{width} connections: tickets/s to floor", rates["product"] / rates["floor"])
    say(f"written: {report.write().name}")
    return 0


async def _post(http: ClientSession, url: str, body: Any, headers: dict[str, str], status: int) -> None:
    async with http.post(url, data=orjson.dumps(body), headers=headers) as answer:
        text = await answer.read()
        if answer.status != status:
            raise Failed(f"{url}: {answer.status} {text[:300]!r}")


async def _times(job: Create, width: int, seconds: float, numbers: "count[int]") -> list[float]:
    times: list[float] = []
    async with ClientSession(connector=TCPConnector(limit=width), cookie_jar=DummyCookieJar()) as http:
        for _ in range(2):
            await job(http, next(numbers))
        end = time.perf_counter() + seconds

        async def work() -> None:
            while (began := time.perf_counter()) < end or len(times) < width:
                await job(http, next(numbers))
                times.append((time.perf_counter() - began) * 1000)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(width):
                tasks.create_task(work())
    return times


if __name__ == "__main__":
    run(main())
