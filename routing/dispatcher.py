"""The active matcher: woken by the broker, guarded by an advisory lock, repeated by a sweep.

A pass over a pool: take the pool's lock (or leave it to who has it), read the agents and the heads of the lines that the free
ones serve, decide, lock calls, agents and items in id order, re-check, write offers and decisions, commit. At most 8 offers a
transaction, then again until nothing more fits. Single active consumer gives speed and fail-over, the lock gives truth. The sweep
re-derives everything every 2 s, so a lost wake costs seconds, also with the broker gone.

What grows and what does not. Of the agents with room the hundred who are idle longest are read, more only when these do not fit.
With nobody waiting or nobody free no item is read; a long line costs its heads. Only when free agents are left over and the
heads fit none of them are more read, up to MOST_HEADS: an item nobody can serve holds back nobody.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from time import monotonic
from typing import Any, Final

import structlog

from core.errors import RingdeskError, Unavailable
from core.events import OfferCreated
from core.ids import AgentId, CallId, OfferId, WorkItemId
from infra.bus import BrokerUnavailable
from infra.crashpoints import crashpoint
from infra.outbox import Outbox, Tx, publish
from infra.postgres import CONNECTION_ERRORS, RETRYABLE_ERRORS, Connection
from infra.telemetry import metrics
from routing import queries as sql
from routing import service
from routing.decide import decide, free_agents
from routing.explain import MORE
from routing.model import OFFER_GRACE_S, RECONNECT_GRACE_S, AgentView, Decision, PoolState, Proposal

log = structlog.get_logger()

HEADS: Final = 50
MOST_HEADS: Final = 3200
AGENTS: Final = 100
MOST_AGENTS: Final = 2000
MAX_OFFERS: Final = 8
SWEEP_S: Final = 2.0
SWEEP_TIMEOUT_S: Final = 10
BUSY_S: Final = 0.05
VERDICTS_IN_FULL: Final = 20
AWAY: Final = (Unavailable, TimeoutError, *CONNECTION_ERRORS, *RETRYABLE_ERRORS)


@dataclass(frozen=True, slots=True)
class Pass:
    """`made` offers. `again_in_s`: there may be more to do then; None when only a wake or the sweep can bring more."""

    made: int
    again_in_s: float | None


NOTHING: Final = Pass(0, None)
BUSY: Final = Pass(0, BUSY_S)


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
                await self._serve_once(pool)
            except AWAY as error:
                log.warning("pass not finished; the sweep repeats it", pool=pool, error=type(error).__name__)
            except RingdeskError as error:
                log.error("pass failed", pool=pool, code=error.code)
            except Exception:
                log.exception("pass failed; the sweep tries again", pool=pool)

    async def _serve_once(self, pool: str) -> None:
        """Passes until nothing more fits."""
        while True:
            async with asyncio.timeout(self._pass_timeout_s):
                done = await self._pass(pool)
            if done.again_in_s is None:
                return
            await asyncio.sleep(done.again_in_s)

    async def dispatch(self, pool: str) -> bool:
        """One pass. True when it made offers, so that another pass may find more."""
        return (await self._pass(pool)).made > 0

    async def _pass(self, pool: str) -> Pass:
        start = monotonic()
        done = await self._outbox.transact(lambda tx: one_pass(tx, pool))
        if done.made:
            crashpoint("dispatcher.after_commit")
        metrics.decisions_seconds.observe(monotonic() - start)
        return done

    # --- the sweep -------------------------------------------------------------------------------------------------------

    async def _sweep_once(self) -> None:
        for job in (self._end_overdue, self._find_lost_agents):
            try:
                async with asyncio.timeout(SWEEP_TIMEOUT_S):
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
            await self._mend(service.offer_timed_out, row["id"], row["version"])
        for row in wraps:
            await self._mend(service.wrap_up_timed_out, row["id"], row["version"])

    async def _find_lost_agents(self) -> None:
        async with self._outbox.database.acquire() as conn:
            rows = await conn.fetch(sql.LOST_AGENTS)
            await conn.execute(sql.DROP_DEAD_CONNECTIONS)
        for row in rows:
            await self._mend(_agent_is_lost, row["id"], row["version"])

    async def _mend(self, use_case: Callable[[Tx, int, int], Awaitable[None]], object_id: int, version: int) -> None:
        """One object that cannot be mended keeps no other from it."""
        try:
            await self._outbox.transact(lambda tx: use_case(tx, object_id, version))
        except AWAY:
            raise
        except Exception:
            log.exception("the sweep could not mend this", what=use_case.__name__, object_id=object_id)


async def _agent_is_lost(tx: Tx, agent_id: int, _: int) -> None:
    await service.agent_is_lost(tx, agent_id=agent_id, offer_grace_s=OFFER_GRACE_S, reconnect_grace_s=RECONNECT_GRACE_S)


# --- one pass -----------------------------------------------------------------------------------------------------------


async def one_pass(tx: Tx, pool: str) -> Pass:
    """The pass inside its transaction."""
    lock = await tx.conn.fetchrow(sql.TRY_POOL_LOCK, pool)
    if lock is None or not lock["has_work"]:
        return NOTHING
    if not lock["is_mine"]:
        return BUSY  # its holder may have read the line before our news came
    crashpoint("dispatcher.after_lock")
    decision = await _decide(tx.conn, pool, tx.now)
    return await apply_decision(tx, decision) if decision.proposals else NOTHING


async def _decide(conn: Connection, pool: str, now: datetime) -> Decision:
    """Among those with room who are idle longest; among more of them when these cannot give an item all it asks for.

    An agent who was not read has been idle for a shorter time than all who were, so the choice is the same; and an item that
    only they can serve is not passed over by those behind it."""
    width = AGENTS
    while True:
        agents = await sql.pool_agents(conn, pool=pool, limit=width)
        decision = await _decide_among(conn, pool, agents, now)
        is_everybody = len(agents) < width or not all(agent.has_room for agent in agents)
        if is_everybody or width >= MOST_AGENTS or (decision.proposals and not decision.is_lacking):
            return replace(decision, proposals=tuple(replace(p, has_more=not is_everybody) for p in decision.proposals))
        width = min(width * 4, MOST_AGENTS)


async def _decide_among(conn: Connection, pool: str, agents: tuple[AgentView, ...], now: datetime) -> Decision:
    """Over the heads of the lines; over more of them while they leave agents free whom others behind may need."""
    free = free_agents(agents, now)
    queues = sorted(frozenset().union(*(agent.queues for agent in free)))
    limit = HEADS
    while queues:
        items = await sql.waiting_items(conn, pool=pool, queues=queues, now=now, limit=limit)
        decision = decide(PoolState(items, agents, MAX_OFFERS), now)
        if decision.is_full or len(items) < limit or limit >= MOST_HEADS:
            return decision if len(items) < limit else replace(decision, is_whole=False)
        limit *= 4
    return Decision(())


async def apply_decision(tx: Tx, decision: Decision) -> Pass:
    """Lock, re-check, write. Items that somebody else holds just now are left out. An agent who is no longer free ends the list:
    an item behind may have got whom this item needs now, so the rest is decided anew. When the whole line got what it asks for,
    no other pass follows: what has come since has its own wake."""
    proposals = decision.proposals
    calls = {p.item.call_id for p in proposals if p.item.call_id is not None}
    items = {p.item.id for p in proposals}
    live = {row["id"] for row in await tx.conn.fetch(sql.LOCK_LIVE_CALLS, sorted(calls))}
    free = {row["id"] for row in await tx.conn.fetch(sql.LOCK_FREE_AGENTS, [p.agent_id for p in proposals])}
    queued = {row["id"] for row in await tx.conn.fetch(sql.LOCK_QUEUED_ITEMS, sorted(items))}
    kept: list[Proposal] = []
    for item, group in groupby(proposals, key=lambda p: p.item):
        asked = list(group)
        if not all(p.agent_id in free for p in asked):
            break
        if item.id in queued and (item.call_id is None or item.call_id in live):
            kept += asked
    if not kept:
        return BUSY
    rows = await sql.make_offers(tx.conn, kept, now=tx.now)
    by_pair = {(row["work_item_id"], row["agent_id"]): row for row in rows}
    written = [(p, by_pair[(p.item.id, p.agent_id)]) for p in kept]
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
        tx.on_commit.append(metrics.offers_made.inc)
        log.info("offer created", offer=row["id"], agent=row["agent_id"])
    crashpoint("dispatcher.before_commit")
    return Pass(len(written), None if decision.is_whole and len(kept) == len(proposals) else 0)


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
        [json.dumps(_counts(p)) for p, _ in written],
    )


def _counts(proposal: Proposal) -> dict[str, int]:
    """How many agents had each verdict; `more`: others with room were not looked at."""
    return Counter(v.verdict.value for v in proposal.verdicts) | ({MORE: 1} if proposal.has_more else {})


def _verdicts(proposal: Proposal) -> str:
    """As JSON text: a list of lists would reach Postgres as an array of two dimensions."""
    return json.dumps(
        [
            {"agent_id": v.agent_id, "verdict": v.verdict.value, **({"detail": v.detail} if v.detail else {})}
            for v in proposal.verdicts[:VERDICTS_IN_FULL]
        ]
    )
