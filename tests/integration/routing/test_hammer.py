"""Everybody acts at random and at once: callers, agents, timers, the dispatcher, the sweep. What must hold, holds."""

import asyncio
import os
from collections import Counter
from random import Random
from typing import Any

import pytest

from core.errors import RingdeskError
from core.principal import Principal, Role
from infra.timers import TimerRunner
from routing import acts, by_hand, service
from routing import queries as sql
from routing.dispatcher import Dispatcher
from tests.integration.routing.floor import DE_POOL, POOL, Floor, Waiting
from tests.integration.routing.racing import retries
from tests.invariants import broken

IS_FULL = os.environ.get("RINGDESK_TEST_FULL") == "1"
SECONDS = 60 if IS_FULL else 4
WORKERS = 6
QUEUES = ("support", "support", "sales", "de")
RULES = """
- name: VIP
  when: {field: call.from, op: ends_with, value: "1"}
  then: {tier: 1, steps: [{after_s: 0, require: [{skill: billing, level: 3}]}, {after_s: 1}]}
- name: two
  when: {field: call.from, op: ends_with, value: "2"}
  then: {steps: [{after_s: 0, offers: 2}]}
- name: boosted
  when: {field: call.from, op: ends_with, value: "3"}
  then: {boost_s: 30}
- name: Ben's
  when: {field: call.from, op: ends_with, value: "4"}
  then: {sticky: {agent: ben@example.com, wait_s: 5}}
- name: everybody
"""
PEOPLE = ("ava", "ben", "chen", "dana")
SAM = Principal(999_001, Role.SUPERVISOR, "Sam", "sam@example.com")


class Chaos:
    """Acts of one worker, drawn from its own seed."""

    def __init__(self, floor: Floor, seed: int) -> None:
        self.floor = floor
        self.random = Random(seed)
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.acts: list[tuple[int, Principal]] = []

    async def act(self) -> None:
        weights = {
            self.call: 3, self.accept: 6, self.reject: 2, self.join: 5, self.hang_up: 2, self.finish: 4, self.available: 5,
            self.away: 1, self.disconnect: 1, self.connect: 3, self.run_out: 2, self.not_found: 1, self.lost: 1,
            self.take: 2, self.push: 1, self.rank: 1, self.hold: 1, self.undo: 3,
        }  # fmt: skip
        act = self.random.choices(list(weights), list(weights.values()))[0]
        try:
            await act()
        except RingdeskError as error:
            self.refused[error.code] += 1
        else:
            self.done[act.__name__] += 1

    async def pick(self, query: str, *args: Any) -> dict[str, Any] | None:
        rows = await self.floor.fetch(query, *args)
        return self.random.choice(rows) if rows else None

    def somebody(self) -> str:
        return self.random.choice(PEOPLE)

    def name_of(self, agent_id: int) -> str:
        return next(name for name, person in self.floor.people.items() if person.user_id == agent_id)

    async def call(self) -> None:
        waiting = await self.floor.value("SELECT count(*) FROM work_items WHERE state = 'queued'")
        if waiting < 12:
            await self.floor.ring(self.random.choice(QUEUES), from_=f"+1415555010{self.random.randrange(10)}")

    async def accept(self) -> None:
        if row := await self.pick("SELECT id, agent_id FROM offers WHERE state = 'pending'"):
            await self.floor.accept(self.name_of(row["agent_id"]), row["id"])

    async def reject(self) -> None:
        if row := await self.pick("SELECT id, agent_id FROM offers WHERE state = 'pending'"):
            await self.floor.reject(self.name_of(row["agent_id"]), row["id"])

    async def run_out(self) -> None:
        if row := await self.pick("SELECT id FROM offers WHERE state = 'pending'"):
            await self.floor.execute(
                "UPDATE timers SET due_at = now() WHERE kind = $1 AND object_id = $2", service.OFFER_TIMER, row["id"]
            )

    async def join(self) -> None:
        if row := await self.pick("SELECT id, agent_id FROM calls WHERE state = 'connecting' AND agent_id IS NOT NULL"):
            await self.floor.join(Waiting(row["id"], 0, 0), self.name_of(row["agent_id"]))

    async def not_found(self) -> None:
        if row := await self.pick(
            "SELECT id FROM calls WHERE state IN ('connecting', 'in_call') AND offer_id IS NOT NULL"
        ):
            await self.floor.not_found(Waiting(row["id"], 0, 0))

    async def hang_up(self) -> None:
        if row := await self.pick("SELECT id FROM calls WHERE outcome IS NULL"):
            await self.floor.hang_up(Waiting(row["id"], 0, 0))

    async def finish(self) -> None:
        if row := await self.pick("SELECT call_id, agent_id FROM offers WHERE state = 'wrapping'"):
            await self.floor.finish(Waiting(row["call_id"], 0, 0), self.name_of(row["agent_id"]), "resolved")

    async def available(self) -> None:
        await self.floor.present(self.somebody(), "available")

    async def away(self) -> None:
        await self.floor.present(self.somebody(), self.random.choice(("break", "offline")))

    async def connect(self) -> None:
        await self.floor.connect(self.somebody())

    async def disconnect(self) -> None:
        await self.floor.disconnect(self.somebody())

    async def waiting(self) -> dict[str, Any] | None:
        return await self.pick("SELECT id, version FROM work_items WHERE state = 'queued'")

    async def take(self) -> None:
        who = self.floor.agent(self.somebody())
        if item := await self.waiting():
            _, act = await self.floor.transact(
                lambda tx: by_hand.pick(tx, item_id=item["id"], version=item["version"], who=who)
            )
            assert act is not None
            self.acts.append((act.id, who))

    async def push(self) -> None:
        agent = self.floor.agent(self.somebody())
        if item := await self.waiting():
            known = {"item_id": item["id"], "version": item["version"], "agent_id": agent.user_id}
            _, act = await self.floor.transact(lambda tx: by_hand.push(tx, **known, anyway=True, reason=None, who=SAM))
            self.acts.append((act.id, SAM))

    async def rank(self) -> None:
        if item := await self.waiting():
            _, act = await self.floor.transact(
                lambda tx: acts.prioritise(
                    tx, item_id=item["id"], tier=1, boost_s=None, version=item["version"], who=SAM
                )
            )
            self.acts.append((act.id, SAM))

    async def hold(self) -> None:
        is_held = await self.floor.value("SELECT held_since IS NOT NULL FROM queues WHERE key = 'sales'")
        act = await self.floor.hold("sales", is_held=not is_held, who=SAM)
        self.acts.append((act.id, SAM))

    async def undo(self) -> None:
        if self.acts:
            act_id, who = self.acts.pop()
            await self.floor.transact(lambda tx: acts.undo(tx, act_id=act_id, who=who))

    async def lost(self) -> None:
        name = self.somebody()
        await self.floor.execute(
            "UPDATE agents SET presence_since = presence_since - interval '50 s' WHERE id = $1 AND presence = 'reconnecting'",
            self.floor.agent(name).user_id,
        )
        await self.floor.sweep_lost(name)


async def quiet(floor: Floor) -> None:
    """All callers hang up, all wrap-ups end, everybody is back."""
    for row in await floor.fetch("SELECT id FROM calls WHERE outcome IS NULL"):
        await floor.hang_up(Waiting(row["id"], 0, 0))
    await floor.execute("UPDATE queues SET held_since = NULL, held_by = NULL")
    await floor.execute("UPDATE provider_commands SET state = 'done'")  # there is no provider here
    for row in await floor.fetch("SELECT id FROM offers WHERE state = 'wrapping'"):
        await floor.transact(lambda tx, ident=row["id"]: service.wrap_up_timed_out(tx, ident, 0))  # type: ignore[misc]


@pytest.mark.parametrize("seed", range(3) if IS_FULL else [1])
@pytest.mark.timeout(300)
async def test_whatever_happens_at_once_the_invariants_hold(floor: Floor, seed: int) -> None:
    await floor.open(rules=RULES)
    await floor.arrive(*PEOPLE)
    before = retries()
    stop = asyncio.get_running_loop().time() + SECONDS
    workers = [Chaos(floor, seed * 100 + n) for n in range(WORKERS)]
    matcher = Dispatcher(floor.outbox)
    timers = TimerRunner(
        floor.outbox,
        {
            service.OFFER_TIMER: service.offer_timed_out,
            service.STEP_TIMER: service.step_opened,
            service.WRAP_TIMER: service.wrap_up_timed_out,
        },
    )

    def is_over() -> bool:
        return asyncio.get_running_loop().time() >= stop

    async def work(chaos: Chaos) -> None:
        while not is_over():
            await chaos.act()

    async def match() -> None:
        while not is_over():
            for pool in (POOL, DE_POOL):
                while await matcher.dispatch(pool):
                    pass
            await timers.run_due()
            await asyncio.sleep(0.002)

    async def watch() -> None:
        """In the middle of everything, from a snapshot of its own."""
        while not is_over():
            async with floor.database.acquire() as conn, conn.transaction(isolation="repeatable_read"):
                assert await broken(conn, settled=False) == {}
            await asyncio.sleep(0.25)

    async with asyncio.TaskGroup() as tasks:
        for chaos in workers:
            tasks.create_task(work(chaos))
        for _ in range(2):
            tasks.create_task(match())
        tasks.create_task(watch())

    done = sum((chaos.done for chaos in workers), Counter[str]())
    refused = sum((chaos.refused for chaos in workers), Counter[str]())
    assert set(done) >= {
        "call",
        "accept",
        "reject",
        "join",
        "hang_up",
        "finish",
        "available",
        "away",
        "connect",
        "take",
        "rank",
        "hold",
        "undo",
    }
    assert refused["unavailable"] == 0, refused
    assert retries() - before <= sum(done.values()) * 0.002, "deadlocks must be rare"
    await quiet(floor)
    assert await floor.fetch("SELECT id FROM agents WHERE used_units > 0") == []
    assert await floor.fetch("SELECT id FROM work_items WHERE state NOT IN ('done', 'abandoned')") == []
    assert await floor.value(f"SELECT count(*) FROM ({sql.OVERDUE_OFFERS}) o") == 0
