"""The active matcher: woken by the broker, guarded by an advisory lock, repeated by a sweep.

A pass over a pool: take the pool's lock (or leave it to who has it), read the head of the line and the agents, decide, lock the agents in
id order, re-check, write offers and decisions, commit. At most 8 offers a transaction, then again until nothing more
fits. Single active consumer gives speed and fail-over; the lock gives truth. The sweep re-derives everything every 2 s, so a
lost wake costs seconds, also with the broker gone.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final

import structlog

from core.errors import RingdeskError, Unavailable
from core.events import OfferCreated
from core.ids import AgentId, CallId, OfferId, WorkItemId
from infra.bus import BrokerUnavailable
from infra.outbox import Outbox, Tx, publish
from infra.postgres import CONNECTION_ERRORS, RETRYABLE_ERRORS
from infra.telemetry import metrics
from routing import queries as sql
from routing import service
from routing.decide import decide
from routing.model import OFFER_GRACE_S, RECONNECT_GRACE_S, PoolState, Proposal

log = structlog.get_logger()

HEADS: Final = 50
MAX_OFFERS: Final = 8
SWEEP_S: Final = 2.0
VERDICTS_IN_FULL: Final = 20
AWAY: Final = (Unavailable, TimeoutError, *CONNECTION_ERRORS, *RETRYABLE_ERRORS)


class Dispatcher:
    """Serves all pools of this process. `wake(pool)` is called by the broker's consumer."""

    def __init__(self, outbox: Outbox, *, pass_timeout_s: float = 5) -> None:
        self._outbox = outbox
        self._flags: dict[str, asyncio.Event] = {}
        self._pass_timeout_s = pass_timeout_s

    async def run(self) -> None:
        """Run until cancelled: one loop per pool, the wake consumers, the sweep. New pools are picked up by the sweep."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for pool in await self._pools():
                    if pool not in self._flags:
                        self._flags[pool] = asyncio.Event()
                        self._flags[pool].set()
                        with contextlib.suppress(BrokerUnavailable):  # it is declared once the broker is back
                            await self._outbox.broker.declare([], [pool])
                        tasks.create_task(self._serve(pool))
                        tasks.create_task(self._outbox.broker.consume_wakes(pool, self._flags[pool].set))
                await self._sweep_once()
                await asyncio.sleep(SWEEP_S)

    def wake(self, pool: str) -> None:
        if pool in self._flags:
            self._flags[pool].set()

    async def _pools(self) -> list[str]:
        try:
            async with self._outbox.database.acquire() as conn:
                return [row["pool_id"] for row in await conn.fetch(sql.POOLS)]
        except AWAY:
            return []

    async def _serve(self, pool: str) -> None:
        flag = self._flags[pool]
        while True:
            await flag.wait()
            flag.clear()
            try:
                async with asyncio.timeout(self._pass_timeout_s):
                    while await self.dispatch(pool):
                        pass
            except AWAY as error:
                log.warning("pass not finished; the sweep repeats it", pool=pool, error=type(error).__name__)
            except RingdeskError as error:
                log.error("pass failed", pool=pool, code=error.code)
            except Exception:
                log.exception("pass failed; the sweep tries again", pool=pool)

    async def dispatch(self, pool: str) -> bool:
        """One pass. True when it made offers, so that another pass may find more."""
        start = monotonic()
        made = await self._outbox.transact(lambda tx: one_pass(tx, pool))
        metrics.decisions_seconds.observe(monotonic() - start)
        return made > 0

    async def _sweep_once(self) -> None:
        for job in (self._end_overdue, self._find_lost_agents):
            try:
                async with asyncio.timeout(10):
                    await job()
            except AWAY as error:
                log.debug("sweep waits", error=type(error).__name__)
        for flag in self._flags.values():
            flag.set()

    async def _end_overdue(self) -> None:
        """Timers that somehow did not run: offers past their deadline, wrap-ups past their end."""
        async with self._outbox.database.acquire() as conn:
            offers = await conn.fetch(sql.OVERDUE_OFFERS)
            wraps = await conn.fetch(sql.OVERDUE_WRAP_UPS)
        for row in offers:
            await self._transact(service.offer_timed_out, row["id"], row["version"])
        for row in wraps:
            await self._transact(service.wrap_up_timed_out, row["id"], row["version"])

    async def _transact(
        self, use_case: Callable[[Tx, int, int], Awaitable[None]], object_id: int, version: int
    ) -> None:
        await self._outbox.transact(lambda tx: use_case(tx, object_id, version))

    async def _find_lost_agents(self) -> None:
        async with self._outbox.database.acquire() as conn:
            rows = await conn.fetch(sql.LOST_AGENTS)
            await conn.execute(sql.DROP_DEAD_CONNECTIONS)
        for row in rows:
            agent_id = row["id"]
            await self._outbox.transact(
                lambda tx, agent_id=agent_id: service.agent_is_lost(  # type: ignore[misc]
                    tx, agent_id=agent_id, offer_grace_s=OFFER_GRACE_S, reconnect_grace_s=RECONNECT_GRACE_S
                )
            )


async def one_pass(tx: Tx, pool: str) -> int:
    """The pass inside its transaction. Returns the number of offers made."""
    if not await tx.conn.fetchval(sql.TRY_POOL_LOCK, pool):
        return 0
    items = await sql.waiting_items(tx.conn, pool=pool, now=tx.now, limit=HEADS)
    if not items:
        return 0
    agents = await sql.pool_agents(tx.conn, pool=pool)
    decision = decide(PoolState(items, agents, MAX_OFFERS), tx.now)
    if not decision.proposals:
        return 0
    return await apply_decision(tx, decision.proposals)


async def apply_decision(tx: Tx, proposals: tuple[Proposal, ...]) -> int:
    """Lock, re-check, write. What changed since it was read is left for the next pass."""
    wanted = [p.agent_id for p in proposals]
    free = {row["id"] for row in await tx.conn.fetch(sql.LOCK_FREE_AGENTS, wanted)}
    queued = {row["id"] for row in await tx.conn.fetch(sql.LOCK_QUEUED_ITEMS, sorted({p.item.id for p in proposals}))}
    kept = [p for p in proposals if p.agent_id in free and p.item.id in queued]
    if not kept:
        return 0
    rows = await sql.make_offers(tx.conn, kept, now=tx.now)
    by_pair = {(row["work_item_id"], row["agent_id"]): row for row in rows}
    written = [(p, by_pair[(p.item.id, p.agent_id)]) for p in kept if (p.item.id, p.agent_id) in by_pair]
    await _keep_decisions(tx, written)
    await tx.conn.execute(sql.REFRESH_INTERVALS, [p.agent_id for p, _ in written], tx.now)
    for _, row in written:
        await publish(
            tx,
            OfferCreated(
                offer_id=OfferId(row["id"]),
                work_item_id=WorkItemId(row["work_item_id"]),
                agent_id=AgentId(row["agent_id"]),
                queue=row["queue"],
                version=row["version"],
                call_id=None if row["call_id"] is None else CallId(row["call_id"]),
            ),
        )
        log.info("offer created", offer=row["id"], agent=row["agent_id"])
    return len(written)


async def _keep_decisions(tx: Tx, written: list[tuple[Proposal, Any]]) -> None:
    await tx.conn.execute(
        sql.ADD_DECISIONS,
        [p.item.id for p, _ in written],
        [row["id"] for _, row in written],
        [tx.now] * len(written),
        [p.item.ruleset_version for p, _ in written],
        [p.item.rule for p, _ in written],
        [p.step for p, _ in written],
        [p.agent_id for p, _ in written],
        [_verdicts(p) for p, _ in written],
        [json.dumps(Counter(v.verdict.value for v in p.verdicts)) for p, _ in written],
    )


def _verdicts(proposal: Proposal) -> str:
    """As JSON text: a list of lists would reach Postgres as an array of two dimensions."""
    return json.dumps(
        [
            {"agent_id": v.agent_id, "verdict": v.verdict.value, **({"detail": v.detail} if v.detail else {})}
            for v in proposal.verdicts[:VERDICTS_IN_FULL]
        ]
    )
