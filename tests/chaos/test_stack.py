"""Two replicas, two workers, and every part of it killed, stopped or erased while callers are on the line: nothing is lost.

Each test proves that its fault really happened, that every call of the load has one record, one ticket and one end, that no pop was
shown twice, and that the invariants hold: those of safety at once, those of liveness after bounded waiting. What it took is
printed. `RINGDESK_TEST_FULL=1` makes the loads longer and strikes more often.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime
from functools import partial
from typing import Final

import pytest
from redis.asyncio import Redis as RedisClient

from tests.chaos.loads import GERMAN, nothing_lost, offered
from tests.chaos.stack import IS_FULL, Stack, until
from tests.chaos.traces import footprint, growth
from tests.crowd import crowd
from tests.link import Mode

POP_WITHIN_MS: Final = 5000
TWIML_WITHIN_S: Final = 2.0
TAKEN_OVER_WITHIN_S: Final = 5.0
BACK_WITHIN_S: Final = 15.0
ROUNDS: Final = 4 if IS_FULL else 1

pytestmark = pytest.mark.timeout(1800 if IS_FULL else 900)


async def test_a_worker_killed_and_the_other_takes_over(stack: Stack) -> None:
    """Each worker in turn, so also the one that holds the dispatch queues. Meanwhile the provider speaks to replica A only and the
    agents sit at replica B, so every pop that arrives has found its way from a worker to there."""
    webhooks = await stack.metric(stack.replicas[0], "ringdesk_webhooks_total")
    async with nothing_lost(stack, "kill -9 of each worker", seed=2) as load:
        await load.answered()
        assert await stack.metric(stack.replicas[0], "ringdesk_desk_sockets") == 0
        assert await stack.metric(stack.replicas[1], "ringdesk_desk_sockets") == load.agents
        for _ in range(ROUNDS):
            for killed, other in (stack.workers, reversed(stack.workers)):
                seen = other.said().count("offer created")
                pid = await killed.kill()
                load.measure("taken over s", await offered(stack, load))
                assert other.said().count("offer created") > seen, "somebody else made the offer"
                await killed.start()
                assert killed.pid != pid
                await load.answered()
    assert load.measured["taken over s"] < TAKEN_OVER_WITHIN_S * crowd()
    assert load.measured["tickets assigned"] > 0
    assert (load.report.pop_ms["p99"] or 0) < POP_WITHIN_MS * crowd()
    assert await stack.metric(stack.replicas[0], "ringdesk_webhooks_total") > webhooks
    assert await stack.metric(stack.replicas[1], "ringdesk_webhooks_total") == 0


async def test_a_web_replica_killed_under_its_agents_and_one_under_its_calls(stack: Stack) -> None:
    """The second in the long version only: who calls while no webhook is answered is found by the reconciler, which takes a minute."""
    async with nothing_lost(stack, "kill -9 of a web replica", seed=3) as load:
        await load.answered()
        for _ in range(ROUNDS):
            for web in reversed(stack.webs if IS_FULL else stack.webs[1:]):
                before = await stack.replicas_of_desks()
                pid = await web.kill()
                await asyncio.sleep(1.5)  # how long the outage lasts
                await web.start()
                assert web.pid != pid
                if web is stack.webs[1]:
                    assert before, "nobody was connected"
                    back = partial(stack.desks_are_back, before)
                    load.measure("desks back s", await until(back, within_s=30, what="desks are back"))
                await load.answered()


async def test_rabbitmq_killed_erased_and_started_empty(stack: Stack) -> None:
    """While it is away the sweep assigns and the table of deliveries remembers; a process that starts meanwhile works."""
    async with nothing_lost(stack, "RabbitMQ erased", seed=4) as load:
        await load.answered()
        assert "ticketing.close_call" in await stack.rabbit.ctl("list_queues", "name")
        for _ in range(ROUNDS):
            unreachable = stack.rabbit_link.unreachable
            await stack.rabbit.kill()
            stack.rabbit.erase()
            worker = stack.workers[0]
            load.measure("worker stopped s", await worker.stop())
            await worker.start()
            load.measure("first offer meanwhile s", await offered(stack, load))
            assert await stack.broker_is("down")
            assert stack.rabbit_link.unreachable > unreachable
            assert await stack.fetch(
                "SELECT 1 FROM deliveries WHERE done_at IS NULL AND consumer = 'ticketing.close_call'"
            ), "nothing waits: somebody else has carried it"
            await stack.rabbit.start()
            back_s = await until(lambda: stack.broker_is("up"), within_s=30, what="the empty broker is used")
            load.measure("broker used again s", back_s)
            await load.answered()
    queues = await stack.rabbit.ctl("list_queues", "name", "consumers")
    assert "ticketing.close_call\t2" in queues, queues
    assert load.measured["broker used again s"] < BACK_WITHIN_S * crowd()
    assert load.measured["first offer meanwhile s"] < TAKEN_OVER_WITHIN_S * crowd()
    assert (load.report.pop_ms["p99"] or 0) < POP_WITHIN_MS * crowd()


@pytest.mark.skipif(not IS_FULL, reason="only in the long version")
async def test_rabbitmq_away_for_the_whole_load(stack: Stack) -> None:
    await stack.rabbit.kill()
    async with nothing_lost(stack, "RabbitMQ away", seed=5) as load:
        await load.answered()
        load.measure("first offer s", await offered(stack, load))
        await load.over()
        assert await stack.broker_is("down")
        await stack.rabbit.start()
    assert (load.report.pop_ms["p99"] or 0) < POP_WITHIN_MS * crowd()
    assert load.measured["first offer s"] < TAKEN_OVER_WITHIN_S * crowd()


async def test_redis_flushed_stopped_and_killed(stack: Stack) -> None:
    async with nothing_lost(stack, "Redis flushed, stopped, killed", seed=6) as load:
        await load.answered()
        for _ in range(ROUNDS):
            assert await _flush(stack, for_s=4) > 0, "there was never anything to lose"
            resets = stack.redis.link.unreachable
            with stack.redis.frozen():
                load.measure("first offer, stopped s", await offered(stack, load))
                await asyncio.sleep(5)
            pid = await stack.redis.kill()
            load.measure("first offer, killed s", await offered(stack, load))
            await asyncio.sleep(2)
            assert stack.redis.link.unreachable > resets
            await stack.redis.start()
            assert stack.redis.server.pid != pid
            await load.answered()
    assert (load.report.pop_ms["p99"] or 0) < POP_WITHIN_MS * crowd()


async def _flush(stack: Stack, *, for_s: float) -> int:
    """FLUSHALL in a loop. How often there was something to lose."""
    found, until_s = 0, time.monotonic() + for_s
    async with RedisClient.from_url(f"unix://{stack.redis.server.where}") as client:
        while time.monotonic() < until_s:
            found += bool(await client.dbsize())
            await client.flushall()
            await asyncio.sleep(0.02)
    return found


async def test_postgres_stopped(stack: Stack) -> None:
    """Callers keep hearing something; who holds the line comes back by the redirect, who hangs up is found by the reconciler."""
    stopped_s = 30 if IS_FULL else 10
    async with nothing_lost(stack, f"Postgres stopped {stopped_s} s", seed=7) as load:
        await load.answered()
        with stack.postgres.frozen():
            patient = await load.call(GERMAN)
            impatient = await load.call(GERMAN, patience_s=4)
            began_at = datetime.now(UTC)
            await asyncio.sleep(stopped_s)
            ended_at = datetime.now(UTC)
        thawed = time.monotonic()
        load.measure("calls answered again s", await load.answered(1))

        async def is_known(sid: str) -> bool:
            return bool(await stack.fetch("SELECT 1 FROM calls WHERE sid = $1", sid))

        load.measure(
            "patient caller in line s",
            await until(lambda: is_known(patient), within_s=30, what="the caller comes back"),
        )
        await until(lambda: is_known(impatient), within_s=60, what="the lost caller is found")
        load.measure("impatient caller found s", time.monotonic() - thawed)
        await load.answered()
    answers = [
        entry
        for entry in await stack.journal()
        if entry["kind"] == "webhook" and began_at < datetime.fromisoformat(entry["at"]) < ended_at
    ]
    assert [entry for entry in answers if "twilio/voice?r=" in entry["answer"]], "nobody was told to come back"
    late = [entry for entry in answers if entry["took_s"] > TWIML_WITHIN_S * crowd()]
    assert not late, late
    assert all(entry["content_type"] == "text/xml" and entry["status"] == 200 for entry in answers)
    [record] = await stack.fetch("SELECT source, outcome FROM calls WHERE sid = $1", impatient)
    assert tuple(record) == ("reconciled", "abandoned_ivr")
    sys.stdout.write(f"slowest webhook {max(entry['took_s'] for entry in answers):.2f} s of {len(answers)}\n")


@pytest.mark.skipif(not IS_FULL, reason="only in the long version")
async def test_nothing_grows_from_load_to_load(stack: Stack) -> None:
    """I22. The first load fills what is filled once: pools, statements, caches."""
    held: list[dict[str, float]] = []
    for number in range(1 + ROUNDS):
        async with nothing_lost(stack, f"load {number}", seed=10 + number) as load:
            await load.answered(12)
            await stack.links["postgres"].set(Mode.RESET)
            await stack.links["redis"].set(Mode.RESET)
            await stack.rabbit_link.set(Mode.RESET)
            await asyncio.sleep(2)  # how long the outage lasts
            await stack.heal()
            await load.answered(12)
        await until(stack.nobody_is_connected, within_s=60, what="everybody has gone home")
        held.append(await footprint(stack))
    for name in held[0]:
        sys.stdout.write(f"{name:<20} {' '.join(f'{at[name]:8.0f}' for at in held)}\n")
    assert growth(held[0], held[-1]) == []
