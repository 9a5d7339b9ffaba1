"""How long every process takes to start, and what it occupies when it has nothing to do.

    python3 dev.py bench starts [--quick]

Memory is proportional (PSS): what processes share is divided among them, so the parts of a stack add up.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

from bench.kit.process import family, program, pss_mb, ringdesk
from bench.kit.product import one_process, processes
from bench.kit.report import Report, options, run, say, spread
from bench.kit.servers import Servers, servers

SETTLE_S: Final = 5.0
EMBEDDED_LIMIT_MB: Final = 350.0


async def main() -> int:
    report = Report("starts", options(__doc__ or ""))
    async with servers(report, rabbitmq=not report.options.quick) as running:
        await running.create_migrated("product")
        await _servers(report, running)
        seconds: dict[str, list[float]] = {}
        memory: dict[str, list[float]] = {}
        for _ in range(report.options.repetitions):
            async with AsyncExitStack() as stack:
                started = list((await stack.enter_async_context(one_process(running, "product"))).programs)
                if running.rabbitmq is not None:
                    started += (await stack.enter_async_context(processes(running, "product"))).programs
                version = await stack.enter_async_context(program("version", ringdesk("--version"), ready=""))
                seconds.setdefault("ringdesk --version", []).append(version.seconds)
                await asyncio.sleep(0.5 if report.options.quick else SETTLE_S)
                for each in started:
                    seconds.setdefault(each.name, []).append(each.seconds)
                    memory.setdefault(each.name, []).append(pss_mb(each.pid))
        for name, found in seconds.items():
            facts = {"memory_mb": spread(memory[name])} if name in memory else {}
            report.add(f"process {name}", start_s=spread(found), **facts)
        whole = sum(_memory(pid) for pid in (running.postgres.pid, running.valkey.pid)) + spread(memory["up"])["median"]
        report.ratio(
            "embedded stack idle (up, Postgres, Valkey), MB", whole, None if report.options.quick else EMBEDDED_LIMIT_MB
        )
    say(f"written: {report.write().name}")
    return 0


async def _servers(report: Report, running: Servers) -> None:
    for name, server in (("postgres", running.postgres), ("valkey", running.valkey), ("rabbitmq", running.rabbitmq)):
        if server is not None:
            report.add(f"server {name}", start_s=round(server.seconds, 2), memory_mb=round(_memory(server.pid), 1))


def _memory(pid: int) -> float:
    total = 0.0
    for each in family(pid):
        try:
            total += pss_mb(each)
        except OSError:  # it has just ended
            continue
    return total


if __name__ == "__main__":
    run(main())
