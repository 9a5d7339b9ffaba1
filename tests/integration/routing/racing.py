"""Acts that start in the same instant, each in a transaction on a connection of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from core.errors import RingdeskError
from infra.outbox import Tx
from infra.telemetry import metrics
from tests.integration.routing.floor import Floor

Act = Callable[[Tx], Awaitable[Any]]


async def race(floor: Floor, *acts: Act) -> list[Any]:
    """What came of each: its result, or the error it was refused with. All transactions are open before the first one acts."""
    barrier = asyncio.Barrier(len(acts))

    async def run(act: Act) -> Any:
        is_first = True

        async def body(tx: Tx) -> Any:
            nonlocal is_first
            if is_first:
                is_first = False
                await tx.conn.fetchval("SELECT 1")
                await barrier.wait()
            return await act(tx)

        try:
            return await floor.transact(body)
        except RingdeskError as error:
            return error

    return list(await asyncio.gather(*(run(act) for act in acts)))


def retries() -> float:
    """Transactions that the database rolled back for reasons of its own (deadlocks above all) and that ran again."""
    found = metrics.transaction_retries.collect()
    return sum(sample.value for metric in found for sample in metric.samples if sample.name.endswith("_total"))
