"""Faults of Postgres, RabbitMQ and Redis themselves."""

import asyncio
import math
import time
from typing import Any, Final

import asyncpg
import orjson
import pytest
from aiohttp import ClientSession
from redis.asyncio import Redis as RedisClient
from redis.exceptions import ResponseError

from infra.broker_wire import to_wire
from infra.bus import Message
from infra.outbox import replay
from tests.chaos.loads import GERMAN, offered
from tests.chaos.scene import Scene, Strike

CLOSE_CALL: Final = "ticketing.close_call"
PUSH_TICKET: Final = "realtime.push_ticket"
BACK_WITHIN_S: Final = 30.0

# --- Postgres --------------------------------------------------------------------------------------------------------------


async def postgres_crashes(scene: Scene) -> None:
    before = scene.stack.postgres.link.connections
    pid = await scene.stack.postgres.kill()
    await scene.stack.postgres.start()
    assert scene.stack.postgres.server.pid != pid

    async def is_used() -> bool:
        return scene.stack.postgres.link.connections > before

    await scene.seen(is_used, "somebody connects again")
    scene.proved()


async def sessions_end(scene: Scene) -> None:
    rows = await scene.stack.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ringdesk'"
    )
    scene.proved(len(rows))


async def postgres_freezes(scene: Scene) -> None:
    before = await scene.emergencies()
    with scene.stack.postgres.frozen() as stopped:
        await scene.load.call(GERMAN)
        await scene.lasts(4)
        assert await scene.emergencies() > before, "nobody noticed"
    scene.proved(len(stopped))


async def read_only(scene: Scene) -> None:
    before = await scene.emergencies()
    async with scene.session() as conn:
        try:
            await conn.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            await conn.execute("SELECT pg_reload_conf()")
            await scene.load.call(GERMAN)

            async def is_felt() -> bool:
                return await scene.emergencies() > before

            await scene.seen(is_felt, "a caller is sent round")
        finally:
            await conn.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await conn.execute("SELECT pg_reload_conf()")
    scene.proved(int(await scene.emergencies() - before))


def locked(statement: str, *, for_s: float) -> Strike:
    """A stranger's transaction holds what ours need. Proof: somebody was seen waiting for it."""

    async def strike(scene: Scene) -> None:
        waiting = 0
        async with scene.session() as conn:
            transaction = conn.transaction()
            await transaction.start()
            try:
                await conn.execute(statement)
                ends = time.monotonic() + for_s
                await scene.load.call(GERMAN)
                while time.monotonic() < ends:
                    waiting += await scene.waiting_for_locks()
                    await asyncio.sleep(0.1)
            finally:
                await transaction.rollback()
        scene.proved(waiting)

    return strike


async def schema_changes(scene: Scene) -> None:
    """A forward migration while everybody works: a column comes, and another statement's plan is thrown away."""
    async with scene.session() as conn:
        for table in ("calls", "offers", "work_items", "deliveries"):
            await conn.execute(f"SET lock_timeout = '2s'; ALTER TABLE {table} ADD COLUMN chaos integer")
            await scene.lasts(0.3)
            await conn.execute(f"ALTER TABLE {table} DROP COLUMN chaos")
            scene.proved()


async def old_snapshot(scene: Scene) -> None:
    async with scene.session() as conn:
        transaction = conn.transaction(isolation="repeatable_read")
        await transaction.start()
        await conn.fetch("SELECT count(*) FROM deliveries")
        await scene.load.answered(2)
        held = await conn.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid = pg_backend_pid()"
        )
        await transaction.rollback()
    scene.proved(held)


async def late_commit_of_a_lower_id(scene: Scene) -> None:
    """Ids do not give the order of commits, and some are never used: a relay that reads `id > last` would lose this event."""
    async with scene.session() as conn:
        await conn.execute("SELECT nextval(pg_get_serial_sequence('events', 'id')) FROM generate_series(1, 50)")
        transaction = conn.transaction()
        await transaction.start()
        event_id = await _plant(conn, "ticket.changed", {"ticket_id": 1, "version": 1}, PUSH_TICKET)
        await scene.load.answered(2)
        higher = await scene.stack.fetch(
            "SELECT 1 FROM deliveries WHERE event_id > $1 AND done_at IS NOT NULL", event_id
        )
        await transaction.commit()
    await _done(scene, event_id)
    scene.proved(len(higher))


async def _plant(conn: Any, name: str, body: dict[str, object], consumer: str, *, v: int = 1) -> int:
    event_id: int = await conn.fetchval(
        "INSERT INTO events (name, v, body) VALUES ($1, $2, $3::text::jsonb) RETURNING id",
        name, v, orjson.dumps(body).decode(),
    )  # fmt: skip
    await conn.execute("INSERT INTO deliveries (event_id, consumer) VALUES ($1, $2)", event_id, consumer)
    return event_id


async def _done(scene: Scene, event_id: int) -> None:
    async def is_done() -> bool:
        return bool(
            await scene.stack.fetch("SELECT 1 FROM deliveries WHERE event_id = $1 AND done_at IS NOT NULL", event_id)
        )

    await scene.seen(is_done, f"event {event_id} is delivered")


# --- RabbitMQ --------------------------------------------------------------------------------------------------------------


async def rabbitmq_restarts(scene: Scene) -> None:
    rabbit = scene.stack.rabbit
    await rabbit.ctl("stop_app")

    async def is_down() -> bool:
        return await scene.stack.broker_is("down")

    scene.proved(await scene.seen(is_down, "both replicas say that the broker is down") > 0)
    await rabbit.ctl("start_app")
    await _broker_back(scene)


def rabbitmq_killed(*, erased: bool) -> Strike:
    async def strike(scene: Scene) -> None:
        unreachable = scene.stack.rabbit_link.unreachable
        await scene.stack.rabbit.kill()
        if erased:
            scene.stack.rabbit.erase()
        assert await offered(scene.stack, scene.load) < 20

        async def is_missed() -> bool:
            return scene.stack.rabbit_link.unreachable > unreachable

        await scene.seen(is_missed, "somebody misses the broker")
        await scene.stack.rabbit.start()
        await _broker_back(scene)
        scene.proved(scene.stack.rabbit_link.unreachable - unreachable)

    return strike


async def rabbitmq_freezes(scene: Scene) -> None:
    scene.stack.rabbit.freeze()
    try:
        assert await offered(scene.stack, scene.load) < 20
        await scene.lasts(25)  # longer than two heartbeats

        async def is_down() -> bool:
            return await scene.stack.broker_is("down")

        await scene.seen(is_down, "both replicas have given the broker up")
    finally:
        scene.stack.rabbit.thaw()
    await _broker_back(scene)
    scene.proved()


def alarm(limit: tuple[str, ...], normal: tuple[str, ...]) -> Strike:
    """The broker takes no more from publishers. Proof: it says so itself, and the outbox grows and empties."""

    async def strike(scene: Scene) -> None:
        rabbit = scene.stack.rabbit
        await rabbit.ctl(*limit)
        try:
            alarms = await rabbit.ctl("eval", "rabbit_alarm:get_alarms().")
            assert "resource_limit" in alarms, alarms
            assert await offered(scene.stack, scene.load) < 20
        finally:
            await rabbit.ctl(*normal)
        await _broker_back(scene)
        scene.proved()

    return strike


async def _broker_back(scene: Scene) -> None:
    async def is_up() -> bool:
        return await scene.stack.broker_is("up")

    await scene.seen(is_up, "both replicas use the broker again", within_s=BACK_WITHIN_S)


async def binding_missing(scene: Scene) -> None:
    async with scene.channel() as channel:
        queue = await channel.get_queue(CLOSE_CALL, ensure=False)
        await queue.unbind("ringdesk.events", routing_key="call.ended")
    scene.proved()  # the broker has confirmed it; it may be mended before anybody can look

    async def is_bound() -> bool:
        return f"{CLOSE_CALL}\tcall.ended" in await scene.stack.rabbit.ctl(
            "list_bindings", "destination_name", "routing_key"
        )

    await scene.seen(is_bound, "the binding is mended", within_s=60)


async def queue_deleted(scene: Scene) -> None:
    async with scene.channel() as channel:
        await channel.queue_delete(CLOSE_CALL)
    scene.proved()

    async def is_back() -> bool:
        return f"{CLOSE_CALL}\t2" in await scene.stack.rabbit.ctl("list_queues", "name", "consumers")

    await scene.seen(is_back, "queue and consumers are back", within_s=BACK_WITHIN_S)


def delivered_again(messages_in_all: int) -> Strike:
    """What was done long ago comes again, many times: every copy is taken and does nothing."""

    async def strike(scene: Scene) -> None:
        rows: list[asyncpg.Record] = []

        async def is_something_done() -> bool:
            rows[:] = await scene.stack.fetch(
                "SELECT e.id, e.name, e.v, e.body, e.created_at, d.attempts FROM deliveries d JOIN events e ON e.id = d.event_id "
                "WHERE d.consumer = $1 AND d.done_at IS NOT NULL ORDER BY e.id DESC LIMIT 20", CLOSE_CALL,
            )  # fmt: skip
            return bool(rows)

        await scene.seen(is_something_done, "a first call is over")
        copies = math.ceil(messages_in_all / len(rows))
        messages = [Message(r["id"], r["name"], r["v"], r["body"].encode(), r["created_at"]) for r in rows]
        async with scene.channel() as channel:
            for _ in range(copies):
                for message in messages:
                    await channel.default_exchange.publish(to_wire(message), CLOSE_CALL)

        async def is_empty() -> bool:
            return await scene.depth(CLOSE_CALL) == 0

        await scene.seen(is_empty, "the copies are taken")
        again = await scene.stack.fetch(
            "SELECT event_id FROM deliveries WHERE consumer = $1 AND event_id = ANY($2) AND attempts > 1 AND attempts <> ALL($3)",
            CLOSE_CALL, [r["id"] for r in rows], [r["attempts"] for r in rows],
        )  # fmt: skip
        assert not again, "a copy had an effect"
        scene.proved(copies * len(messages))

    return strike


async def poison(scene: Scene) -> None:
    """A body that fits no model is parked with its reason, and everybody else's deliveries go on."""
    event_id = await _parked(scene, "call.ended", {"nonsense": True}, CLOSE_CALL, v=1, reason="the body does not fit")
    async with scene.session() as conn:
        await conn.execute("DELETE FROM deliveries WHERE event_id = $1", event_id)
    scene.proved()


async def newer_version(scene: Scene) -> None:
    """Kept until somebody understands it, then done."""
    event_id = await _parked(
        scene,
        "ticket.changed",
        {"ticket_id": 1, "version": 1},
        PUSH_TICKET,
        v=99,
        reason="unknown event or version",
    )
    async with scene.session() as conn:
        await conn.execute("UPDATE events SET v = 1 WHERE id = $1", event_id)
        assert await replay(conn, event_id=event_id) == 1
    await _done(scene, event_id)
    scene.proved()


async def _parked(scene: Scene, name: str, body: dict[str, object], consumer: str, *, v: int, reason: str) -> int:
    async with scene.session() as conn:
        event_id = await _plant(conn, name, body, consumer, v=v)
    rows: list[Any] = []

    async def is_parked() -> bool:
        rows[:] = await scene.stack.fetch(
            "SELECT last_error FROM deliveries WHERE event_id = $1 AND parked_at IS NOT NULL", event_id
        )
        return bool(rows)

    await scene.seen(is_parked, "it is parked")
    assert reason in rows[0]["last_error"]
    return event_id


# --- Redis -----------------------------------------------------------------------------------------------------------------


async def redis_killed(scene: Scene) -> None:
    unreachable = scene.stack.redis.link.unreachable
    pid = await scene.stack.redis.kill()
    assert await offered(scene.stack, scene.load) < 20

    async def is_missed() -> bool:
        return scene.stack.redis.link.unreachable > unreachable

    await scene.seen(is_missed, "somebody misses Redis")
    await scene.stack.redis.start()
    assert scene.stack.redis.server.pid != pid
    scene.proved(scene.stack.redis.link.unreachable - unreachable)


async def redis_freezes(scene: Scene) -> None:
    with scene.stack.redis.frozen():
        assert await offered(scene.stack, scene.load) < 20
        await scene.lasts(4)
    scene.proved()


async def redis_flushed(scene: Scene) -> None:
    found, ends = 0, time.monotonic() + 3
    async with RedisClient.from_url(f"unix://{scene.stack.redis.server.where}") as client:
        while time.monotonic() < ends or not found:
            found += bool(await client.dbsize())
            await client.flushall()
            await asyncio.sleep(0.02)
    scene.proved(found)


async def redis_full(scene: Scene) -> None:
    async with RedisClient.from_url(f"unix://{scene.stack.redis.server.where}") as client:
        await client.config_set("maxmemory", "100kb")
        try:
            with pytest.raises(ResponseError, match=r"OOM|maxmemory"):
                await client.set("chaos", "x")
            scene.proved()
            await scene.load.answered(1)
        finally:
            await client.config_set("maxmemory", "0")


async def attack_on_a_password_without_redis(scene: Scene) -> None:
    """The replica's own window holds."""
    await scene.stack.redis.kill()
    statuses = []
    try:
        async with ClientSession() as http:
            for _ in range(14):
                wrong = {"email": f"nobody{scene.stack.redis.link.port}@demo.example", "password": "guess"}
                async with http.post(f"{scene.stack.replicas[0]}/api/v1/session", json=wrong) as answer:
                    statuses.append(answer.status)
    finally:
        await scene.stack.redis.start()
    assert set(statuses) <= {401, 429}, statuses
    scene.proved(statuses.count(429))
