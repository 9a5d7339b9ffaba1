"""The active matcher: woken by the broker, guarded by an advisory lock, repeated by a sweep.

A pass over a pool: take the pool's lock (or leave it to who has it), read the heads of the lines that somebody free can serve and
who comes first for them, decide, lock calls, agents and items in id order, re-check, write offers and decisions, commit. At most 8
offers a transaction, then again until nothing more fits. When steps have come into force, or items are to be kept for an agent or no
longer, a pass of its own does that before. Single active consumer gives speed and fail-over, the lock gives truth. The sweep
re-derives everything every 2 s, so a lost wake costs seconds, also with the broker gone.

What a pass reads, and why that is enough, is in `routing.reading`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import groupby
from time import monotonic
from typing import Final

import structlog

from core.errors import RingdeskError, Unavailable
from infra.bus import BrokerUnavailable
from infra.crashpoints import crashpoint
from infra.outbox import Outbox, Tx
from infra.postgres import CONNECTION_ERRORS, RETRYABLE_ERRORS
from infra.telemetry import metrics
from routing import drain, service, ticket_work
from routing import queries as sql
from routing.decide import reasons
from routing.model import OFFER_GRACE_S, RECONNECT_GRACE_S, Channel, Proposal
from routing.offering import make_offers
from routing.overflow import overflow_due
from routing.reading import Reading, read_and_decide
from ticketing.service import lock_unassigned

log = structlog.get_logger()

AGENTS: Final = 100
"""Of so many a decision keeps the verdicts, at the most: who has room and is idle longest first."""
SWEEP_S: Final = 2.0
SWEEP_TIMEOUT_S: Final = 10
TALKS_EVERY_S: Final = 60
STICKINESS_EVERY_S: Final = 0.25
"""So soon the line hears that an agent whom items are kept for has come, gone, or got something else to do."""
STEADY_S: Final = RECONNECT_GRACE_S
BUSY_S: Final = 0.05
AWAY: Final = (Unavailable, TimeoutError, *CONNECTION_ERRORS, *RETRYABLE_ERRORS)


@dataclass(frozen=True, slots=True)
class Pass:
    """`made` offers. `again_in_s`: there may be more to do then; None when only a wake or the sweep can bring more. `is_sticky`: a rule keeps items for
    somebody."""

    made: int
    again_in_s: float | None
    is_sticky: bool = False


NOTHING: Final = Pass(0, None)
BUSY: Final = Pass(0, BUSY_S)
STEPS_OPENED: Final = Pass(0, 0)


class Dispatcher:
    """Serves all pools of this process. `wake(pool)` is called by the broker's consumer."""

    def __init__(self, outbox: Outbox, *, pass_timeout_s: float = 5) -> None:
        self._outbox = outbox
        self._flags: dict[str, asyncio.Event] = {}
        self._pass_timeout_s = pass_timeout_s
        self._steady_since = monotonic()
        """Since when the database has answered every sweep."""
        self._talks_due = monotonic()
        self._stickiness_due: dict[str, float] = {}
        self._looks_planned: dict[str, float] = {}

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
            due = self._stickiness_due.get(pool, 0.0)
            looks = monotonic() >= due
            async with asyncio.timeout(self._pass_timeout_s):
                done = await self._pass(pool, looks=looks)
            if not looks and done.is_sticky and self._looks_planned.get(pool) != due:
                self._looks_planned[pool] = due
                asyncio.get_running_loop().call_later(max(0.0, due - monotonic()), self._flags[pool].set)
            if done.again_in_s is None:
                return
            await asyncio.sleep(done.again_in_s)

    async def dispatch(self, pool: str) -> bool:
        """One pass, with the steps open that are due. True when it made offers, so that another pass may find more."""
        while (done := await self._pass(pool)).again_in_s == STEPS_OPENED.again_in_s:
            pass
        return done.made > 0

    async def _pass(self, pool: str, *, looks: bool = True) -> Pass:
        start = monotonic()
        done = await self._outbox.transact(lambda tx: one_pass(tx, pool, looks=looks))
        if looks and done.is_sticky:  # a look takes as long as there are items; it must not be what passes are made of
            took_s = monotonic() - start
            self._stickiness_due[pool] = start + took_s + max(STICKINESS_EVERY_S, 10 * took_s)
        if done.made:
            crashpoint("dispatcher.after_commit")
        metrics.decisions_seconds.observe(monotonic() - start)
        return done

    # --- the sweep -------------------------------------------------------------------------------------------------------

    async def _sweep_once(self) -> None:
        for job in (
            self._end_overdue,
            self._find_lost_agents,
            self._let_go,
            self._expire_skills,
            self._drain,
            self._renew_talks,
        ):
            try:
                async with asyncio.timeout(SWEEP_TIMEOUT_S):
                    await job()
            except AWAY as error:
                log.debug("sweep waits", error=type(error).__name__)
                self._steady_since = monotonic()
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
            await self._mend(service.wrap_up_overdue, row["id"], row["version"])

    async def _find_lost_agents(self) -> None:
        async with self._outbox.database.acquire() as conn:
            rows = await conn.fetch(sql.LOST_AGENTS)
            await conn.execute(sql.DROP_DEAD_CONNECTIONS)
        for row in rows:
            await self._mend(_agent_is_lost, row["id"], row["version"])

    async def _expire_skills(self) -> None:
        await self._outbox.transact(service.expire_skills)

    async def _drain(self) -> None:
        await self._outbox.transact(drain.drain)

    async def _renew_talks(self) -> None:
        """How long the last talks of each queue took; from this follows when somebody who talks may be done."""
        if monotonic() < self._talks_due:
            return
        async with self._outbox.database.acquire() as conn:
            await conn.execute(sql.RENEW_TALKS)
        self._talks_due = monotonic() + TALKS_EVERY_S

    async def _let_go(self) -> None:
        """Callers whom their queue sends elsewhere. After a start or an outage desks need a while to show that they are there."""
        async with self._outbox.database.acquire() as conn:
            rows = await conn.fetch(sql.OVERFLOWS_DUE, monotonic() - self._steady_since >= STEADY_S)
        for row in rows:
            await self._mend(overflow_due, row["id"], row["version"])

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


async def one_pass(tx: Tx, pool: str, *, looks: bool = True) -> Pass:
    """The pass inside its transaction. `looks`: whether all items that a rule keeps for somebody are looked at again; new ones are in any case."""
    lock = await tx.conn.fetchrow(sql.TRY_POOL_LOCK, pool, tx.now)
    if lock is None or not lock["has_work"]:
        return NOTHING
    if not lock["is_mine"]:
        return BUSY  # its holder may have read the line before our news came
    crashpoint("dispatcher.after_lock")
    if lock["has_due_steps"] and await tx.conn.fetch(sql.OPEN_STEPS, pool, tx.now):
        return STEPS_OPENED
    is_sticky = lock["is_sticky"]
    if is_sticky and (looks or lock["is_newly_sticky"]):
        statement = sql.KEEP_OR_RELEASE if looks else sql.NEWLY_KEPT
        if await tx.conn.fetch(statement, pool, tx.now):
            return replace(STEPS_OPENED, is_sticky=True)
    if not lock["has_room"]:
        return replace(NOTHING, is_sticky=is_sticky)
    reading = await read_and_decide(tx.conn, pool, tx.now)
    done = await apply_decision(tx, pool, reading) if reading.decision.proposals else NOTHING
    return replace(done, is_sticky=is_sticky)


async def apply_decision(tx: Tx, pool: str, reading: Reading) -> Pass:
    """Lock, re-check, write. Items that somebody else holds just now, or that ask for something else by now, are left out. An agent who is no longer free ends the list:
    an item behind may have got whom this item needs now, so the rest is decided anew. When nothing was cut short, no other pass
    follows: what has come since has its own wake."""
    proposals = reading.decision.proposals
    everybody = await sql.pool_agents(tx.conn, pool=pool, limit=AGENTS)
    calls = {p.item.call_id for p in proposals if p.item.call_id is not None}
    items = {p.item.id for p in proposals}
    tickets = [p for p in proposals if p.item.channel is Channel.TICKET]
    live = {row["id"] for row in await tx.conn.fetch(sql.LOCK_LIVE_CALLS, sorted(calls))}
    agents_asked, given_tickets = [p.agent_id for p in proposals], [p.agent_id for p in tickets]
    free = {row["id"] for row in await tx.conn.fetch(sql.LOCK_FREE_AGENTS, agents_asked, given_tickets)}
    held = await lock_unassigned(tx, [p.item.ticket_id for p in tickets]) if tickets else {}
    queued = {(row["id"], row["need"]) for row in await tx.conn.fetch(sql.LOCK_QUEUED_ITEMS, sorted(items))}
    kept: list[Proposal] = []
    for item, group in groupby(proposals, key=lambda p: p.item):
        asked = list(group)
        if not all(p.agent_id in free for p in asked):
            break
        if item.channel is Channel.VOICE:
            is_there = item.call_id is None or item.call_id in live
        else:
            is_there = item.ticket_id in held and held[item.ticket_id].queue == item.queue
        if (item.id, item.need) in queued and is_there:
            kept += asked
    if not kept:
        return BUSY
    # A verdict for everybody in a pool of up to AGENTS, else for as many and for all who were in question.
    agents = {agent.id: agent for agent in (*everybody, *reading.agents)}
    has_more = len(everybody) == AGENTS and all(agent.has_room for agent in everybody)
    found = reasons(kept, agents.values(), tx.now, supply=reading.supply)
    made = 0
    for channel in Channel:
        part = [(p, verdicts) for p, verdicts in zip(kept, found, strict=True) if p.item.channel is channel]
        if not part:
            continue
        chosen, why = [p for p, _ in part], [verdicts for _, verdicts in part]
        if channel is Channel.VOICE:
            made += len(await make_offers(tx, chosen, why, has_more=has_more))
        else:
            made += await ticket_work.assign(tx, chosen, why, held, has_more=has_more)
    crashpoint("dispatcher.before_commit")
    # Who was given a ticket may have room for another.
    is_done = len(kept) == len(proposals) and not reading.is_cut and not reading.decision.is_full and not held
    return Pass(made, None if is_done else 0)
