"""Idle desks: what they cost, how long a board takes to reach all of them, and how fast they come back after an outage.

    python3 dev.py bench desks [--quick] [--only 1000]

The peer is the Socket.IO server of npm on the machine's Node.js, with the same clients (which offer permessage-deflate, as browsers do)
and the same message. A broadcast's time is from its first arrival at a client to its last: all clients live in one process, so
the figure includes their own reading, for both servers alike.
"""

import asyncio
import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import ClientSession

from bench.kit import centre
from bench.kit.centre import Person
from bench.kit.process import Failed, Helper, Program, cpu_s, helper, program, raise_file_limit, rss_mb
from bench.kit.product import one_process
from bench.kit.report import ROOT, Report, options, run, say, shown, spread
from bench.kit.servers import Servers, servers

COUNTS: Final = (1_000, 5_000, 10_000)
CONNECT_AT_ONCE: Final = 32
STORM_AT_ONCE: Final = 500
BROADCASTS: Final = 7
IDLE_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Size:
    counts: tuple[int, ...]
    broadcasts: int
    idle_s: float


async def main() -> int:
    report = Report("desks", options(__doc__ or "", repetitions=1))
    size = Size((20,), 1, 1) if report.options.quick else Size(COUNTS, BROADCASTS, IDLE_S)
    limit = raise_file_limit()
    async with servers(report) as running:
        counts = [count for count in size.counts if report.options.only in (None, str(count))]
        for count in counts:
            if count + 500 > limit:
                report.note(f"{count} desks: left out, a process may only have {limit} files open")
                continue
            # As many people as sit down: who is at work without a desk is looked for, and that is no idle desk's doing.
            people = await centre.furnish(await running.create_migrated("product"), agents=count, customers=100)
            ours = await of_product(report, running, people, size)
            peer = await of_node(report, people, size, ours["body"])
            judge(report, count, ours, peer)
    say(f"written: {report.write().name}")
    return 0


def judge(report: Report, count: int, ours: dict[str, Any], peer: dict[str, Any] | None) -> None:
    is_real = not report.options.quick
    report.ratio(f"{count} desks: KB each", ours["kb"], 40 if is_real else None)
    if peer is not None:
        ratio = ours["last_ms"]["median"] / max(peer["last_ms"]["median"], 0.001)
        report.ratio(f"{count} desks: broadcast to npm socket.io", ratio, 0.8 if is_real else None)


async def of_product(report: Report, running: Servers, people: list[Person], size: Size) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(one_process(running, "product"))
        sitters = await stack.enter_async_context(helper("bench.kit.sitters"))
        found = await _watch(
            report, "product", service.programs[0], sitters, people, size, url=service.public_url, node=None
        )
        storm = await sitters.ask(600, do="storm", at_once=STORM_AT_ONCE, with_ticket=True)
        report.add(
            f"{len(people)} desks, product: all come back at once", **storm, per_s=round(len(people) / storm["seconds"])
        )
        again = await sitters.ask(60, do="listen", seconds=15, broadcasts=1)
        report.add(
            f"{len(people)} desks, product: after the storm", lost=again["lost"], told_all=len(again["last_ms"]) > 0
        )
        return found


async def of_node(report: Report, people: list[Person], size: Size, body: str) -> dict[str, Any] | None:
    node = shutil.which("node")
    if node is None or not (ROOT / "web" / "node_modules" / "socket.io").exists():
        report.note("no Node.js, or no socket.io in web/node_modules: nothing to compare with")
        return None
    async with AsyncExitStack() as stack:
        argv = [node, str(ROOT / "bench" / "kit" / "node_server.cjs")]
        started = await stack.enter_async_context(program("node", argv, ready="node ready"))
        sitters = await stack.enter_async_context(helper("bench.kit.sitters"))
        url = f"http://127.0.0.1:{started.port}"
        return await _watch(report, "npm socket.io", started, sitters, people, size, url=url, node=body)


async def _watch(
    report: Report,
    name: str,
    server: Program,
    sitters: Helper,
    people: list[Person],
    size: Size,
    *,
    url: str,
    node: str | None,
) -> dict[str, Any]:
    await asyncio.sleep(1)
    before = rss_mb(server.pid)
    connected = await sitters.ask(
        900, do="connect", url=url, people=[[p.id, p.secret] for p in people], at_once=CONNECT_AT_ONCE, with_ticket=node is None
    )  # fmt: skip
    await asyncio.sleep(min(3.0, size.idle_s))
    after = rss_mb(server.pid)
    cpu = cpu_s(server.pid)
    await asyncio.sleep(size.idle_s)
    idle = (cpu_s(server.pid) - cpu) / size.idle_s
    if node is None:  # an unchanged board is sent again every five seconds
        heard = await sitters.ask(120, do="listen", seconds=8 * size.broadcasts, broadcasts=size.broadcasts)
    else:
        listening = asyncio.create_task(
            sitters.ask(120, do="listen", seconds=8 * size.broadcasts, broadcasts=size.broadcasts)
        )
        async with ClientSession() as http:
            for n in range(size.broadcasts + 1):
                await asyncio.sleep(0.5)
                text = node.replace('"v":1', f'"v":{n + 1}')  # each different, as a time makes them
                async with http.post(f"{url}/emit", data=text.encode()) as answer:
                    assert answer.status == 204
        heard = await listening
    if not heard["last_ms"]:
        raise Failed(
            f"{name}: no broadcast reached all {len(people)} desks; partly {heard['partly']}, lost {heard['lost']}, "
            f"connecting took {connected}"
        )
    row = report.add(
        f"{len(people)} desks, {name}", side=name, desks=len(people), connect_s=connected["seconds"], tries=connected["tries"], cut=connected["cut"],
        rss_mb=round(after, 1), kb=round((after - before) * 1024 / len(people), 1), idle_cpu_of_a_core=round(idle, 4),
        last_ms=spread(heard["last_ms"]), median_ms=spread(heard["median_ms"]), broadcasts=len(heard["last_ms"]), partly=heard["partly"],
        lost=heard["lost"],
    )  # fmt: skip
    report.say(f"{name}: a board reaches all {len(people)} in {shown(row['last_ms'])} ms")
    server.check()
    return row | {"body": heard["body"]}


if __name__ == "__main__":
    run(main())
