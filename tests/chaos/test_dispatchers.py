"""Two dispatchers of the same pools, one of which is killed now and then, while supervisors rank, hold and push and groups rank queues.

What the routing engine promises in virtual time (tests/sim) and act by act on Postgres (test_conformance) must hold here too, where two
real processes race for each pool over RabbitMQ and die in the middle of whatever they do.
"""

import asyncio
import itertools
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout, CookieJar

from core import demo_account
from simulator.people.api import Refused, Unanswered
from tests.chaos.loads import GERMAN, nothing_lost
from tests.chaos.stack import AGENT_HABITS, IS_FULL, SEED, Load, Stack, until
from tests.crowd import crowd

KILLS = 30 if IS_FULL else 6
FAILOVER_WITHIN_S = 5.0
"""The promise of the engine, on a machine that does nothing else."""
ACT_EVERY_S = 0.7
ACTS = ("hold", "rank", "push", "release")
"""What is held waits, and can be ranked and pushed."""
RANKED = """
UPDATE agent_queues m SET rank = $1, delay_s = $2 FROM users u
WHERE u.id = m.agent_id AND m.queue_key = 'support' AND u.email = ANY(ARRAY['agent2@demo.example', 'agent4@demo.example']) RETURNING 1
"""


@asynccontextmanager
async def ranked(stack: Stack) -> AsyncIterator[None]:
    """Ben and Dana come to their other queues first, and to support after three seconds."""
    assert len(await stack.fetch(RANKED, 2, 3)) == 2
    try:
        yield
    finally:
        await stack.fetch(RANKED, 1, 0)


@asynccontextmanager
async def supervised(stack: Stack, load: Load, done: Counter[str]) -> AsyncIterator[None]:
    task = asyncio.create_task(_supervise(stack, load, done))
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stack.fetch(
            "UPDATE queues SET held_since = NULL, held_by = NULL WHERE held_since IS NOT NULL RETURNING 1"
        )


async def _supervise(stack: Stack, load: Load, done: Counter[str]) -> None:
    rng = random.Random(SEED)
    async with ClientSession(stack.url, timeout=ClientTimeout(total=5), cookie_jar=CookieJar(unsafe=True)) as http:
        me = {"email": "supervisor@demo.example", "password": demo_account.PASSWORD}
        async with http.post("/api/v1/session", json=me, raise_for_status=True):
            pass
        for n in itertools.count():
            act = ACTS[n % len(ACTS)]
            try:
                if act == "rank":
                    await load.call(GERMAN)
                done[f"{act} {await _act(stack, http, rng, act)}"] += 1
            except (ClientError, TimeoutError, Refused, Unanswered):
                done[f"{act} unknown"] += 1
            await asyncio.sleep(ACT_EVERY_S)


async def _act(stack: Stack, http: ClientSession, rng: random.Random, act: str) -> int:
    """The status of the answer; 0 when there was nobody to do it to."""
    if act in ("hold", "release"):
        (queue,) = await stack.fetch("SELECT hold_version FROM queues WHERE key = 'de'")
        body = {"is_held": act == "hold", "reason": "drill", "version": queue["hold_version"]}
        async with http.put("/api/v1/queues/de/hold", json=body) as answer:
            return answer.status
    waiting = await stack.fetch(
        "SELECT id, version FROM work_items WHERE state = 'queued' AND channel = 'voice' LIMIT 20"
    )
    if not waiting:
        return 0
    item = rng.choice(waiting)
    if act == "rank":
        body = {"tier": rng.randint(0, 2), "boost_s": rng.choice((0, 30)), "version": item["version"]}
        async with http.patch(f"/api/v1/work-items/{item['id']}", json=body) as answer:
            return answer.status
    agents = await stack.fetch("SELECT id FROM agents WHERE presence = 'available' AND used_units = 0")
    if not agents:
        return 0
    body = {"agent_id": rng.choice(agents)["id"], "version": item["version"], "anyway": True}
    async with http.post(f"/api/v1/work-items/{item['id']}/push", json=body) as answer:
        return answer.status


@pytest.mark.timeout(3600 if IS_FULL else 600)
async def test_two_dispatchers_of_whom_one_dies_again_and_again(stack: Stack) -> None:
    rng, done = random.Random(SEED), Counter[str]()
    habits = replace(AGENT_HABITS, reject=0.1, ignore=0.03)
    async with ranked(stack), nothing_lost(stack, f"{KILLS} dispatchers killed", seed=SEED, habits=habits) as load:
        await load.answered()
        async with supervised(stack, load, done):
            for _ in range(KILLS):
                await asyncio.sleep(rng.uniform(0, 1.5))
                victim = rng.choice(stack.workers)
                await victim.kill()
                load.measure("decided again s", await _decided_again(stack, load))
                await victim.start()
                assert await stack.broken(settled=False) == {}
    sys.stdout.write(f"acts: {dict(sorted(done.items()))}\n")
    assert load.measured["decided again s"] < FAILOVER_WITHIN_S * crowd(), load.measured
    assert {act for act, n in done.items() if n and act.endswith(" 200")} >= {f"{act} 200" for act in ACTS}, done
    assert not {act for act in done if act.endswith((" 400", " 403", " 404", " 422", " 500"))}, done


async def _decided_again(stack: Stack, load: Load) -> float:
    """Seconds in which the other dispatcher left somebody waiting whom it could have helped: from the first moment at which a caller and
    an agent who may serve each other were both there."""
    since = await stack.now()

    async def is_decided() -> bool:
        assert not load.task.done(), "the crowd has gone home"
        return bool(await stack.fetch("SELECT 1 FROM decisions WHERE at > $1 LIMIT 1", since))

    await until(is_decided, within_s=60, what="somebody decides again")
    [row] = await stack.fetch(
        """SELECT extract(epoch FROM d.at - greatest($1, i.entered_at, coalesce(a.presence_since, d.at), coalesce(a.idle_since, d.at)))::float8 AS waited_s
           FROM decisions d JOIN work_items i ON i.id = d.work_item_id LEFT JOIN agents a ON a.id = d.chosen_agent_id
           WHERE d.at > $1 ORDER BY d.id LIMIT 1""",
        since,
    )  # fmt: skip
    return float(row["waited_s"])
