"""Two replicas on one database: what one of them does reaches the desks of the other, through Redis or, a second later, without."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

import pytest
from redis.asyncio import Redis

from app.parts import Parts, open_parts
from app.web import build_app, serving
from core.principal import Role
from realtime import push, viewers
from tests.crowd import crowd
from tests.integration.realtime.conftest import People
from tests.integration.realtime.desks import Desk, Person
from tests.link import Link, Mode, link_to_redis
from tests.stack import Agent, Stack, running_stack

SOON_S = 1.0
"""The promise, on a machine that does nothing else."""
NO_REDIS = "unix:///nonexistent/redis.sock"


@dataclass(frozen=True, slots=True)
class Replica:
    url: str
    parts: Parts


@dataclass(frozen=True, slots=True)
class Pair:
    """`first` dispatches and runs timers; `second` only serves desks. Each has its own link to Redis."""

    first: Stack
    second: Replica
    links: tuple[Link, Link]


@asynccontextmanager
async def a_second(first: Stack, database_url: str, redis_url: str) -> AsyncIterator[Replica]:
    """Behind the same public address, as behind a proxy."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    async with (
        open_parts(
            first.parts.settings, database_url=database_url, redis_url=redis_url, rabbitmq_url=None,
            public_url=first.url, relay=False,
        ) as parts,
        serving(await build_app(parts), listener),
    ):  # fmt: skip
        loops = [asyncio.create_task(parts.push.run()), asyncio.create_task(parts.resources.outbox.run())]
        try:
            yield Replica(f"http://127.0.0.1:{listener.getsockname()[1]}", parts)
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)


@pytest.fixture
async def stack(database_url: str, redis_url: str, clean: None) -> AsyncIterator[Stack]:
    """In place of the common one: its Redis is behind a link."""
    async with link_to_redis(redis_url) as (link, url), running_stack(database_url, url) as running:
        running.link = link  # type: ignore[attr-defined]
        yield running
        await link.set(Mode.PASS)
        await running.settle_down()
        assert await running.broken() == {}


@pytest.fixture
async def pair(live: Stack, database_url: str, redis_url: str) -> AsyncIterator[Pair]:
    async with link_to_redis(redis_url) as (link, url), a_second(live, database_url, url) as second:
        yield Pair(live, second, (live.link, link))  # type: ignore[attr-defined]


@pytest.fixture
async def ava(person: People) -> Person:
    return await person("ava")


@asynccontextmanager
async def available(ava: Person, second: Replica) -> AsyncIterator[Desk]:
    """Ava's page is at the second replica; her commands go to the first."""
    async with ava.desk(url=second.url) as desk:
        await desk.get("snapshot")
        await ava.ask("PUT", "/presence", {"state": "available"})
        await desk.until(lambda desk: desk.seq == 1)
        yield desk


async def offered_after(desk: Desk, stack: Stack) -> float:
    """A call comes, the first replica offers it; seconds until the pop is at the page of the second."""
    await stack.dial()
    await Agent(desk.person.id, "ava", desk.person.browser, stack).offer()
    start = monotonic()
    await desk.get("screen_pop", within_s=8)
    return monotonic() - start


async def test_offer_reaches_the_desk_at_another_replica_at_once(
    pair: Pair, ava: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with available(ava, pair.second) as desk:
        monkeypatch.setattr(pair.second.parts.push, "send", _nothing)  # no repeats: Redis alone
        assert await offered_after(desk, pair.first) < 0.8
        assert pair.first.parts.server.desks == {}


async def _nothing(*_: object, **__: object) -> None: ...


async def test_redis_killed_is_made_up_for_by_the_replica_with_the_socket(pair: Pair, ava: Person) -> None:
    async with available(ava, pair.second) as desk:
        for link in pair.links:
            await link.set(Mode.RESET)
        assert await offered_after(desk, pair.first) < 2.5
        assert [event["seq"] for event in desk.numbered] == [1, 2]


async def test_hanging_redis_holds_up_neither_replica(pair: Pair, ava: Person, person: People) -> None:
    ben = await person("ben")
    async with available(ava, pair.second) as desk, ben.desk() as near:
        await near.get("snapshot")
        for link in pair.links:
            await link.set(Mode.SWALLOW)
        start = monotonic()
        await ben.ask("PUT", "/presence", {"state": "break", "reason": "tea"})
        await near.until(lambda near: near.of("presence_changed"))
        assert monotonic() - start < 1.0, "desks of the same replica wait for no Redis"
        assert await offered_after(desk, pair.first) < 3.0
        for link in pair.links:
            await link.set(Mode.PASS)


async def test_erased_redis_changes_nothing(pair: Pair, ava: Person, redis_url: str) -> None:
    async with available(ava, pair.second) as desk:
        client = Redis.from_url(redis_url)
        erasing = True

        async def erase() -> None:
            while erasing:
                await client.flushall()
                await asyncio.sleep(0.01)

        eraser = asyncio.create_task(erase())
        assert await offered_after(desk, pair.first) < 2.5
        erasing = False
        await eraser
        await client.aclose()


async def test_replica_hears_again_soon_after_an_outage(
    pair: Pair, ava: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's own listener would sleep ever longer, up to a minute (lab finding L19)."""
    async with available(ava, pair.second) as desk:
        for link in pair.links:
            await link.set(Mode.RESET)
        await asyncio.sleep(3.5)
        for link in pair.links:
            await link.set(Mode.PASS)
        await asyncio.sleep(2.2)
        monkeypatch.setattr(pair.second.parts.push, "send", _nothing)
        assert await offered_after(desk, pair.first) < 0.8


async def test_silently_dead_link_to_redis_is_noticed(pair: Pair, ava: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.hints.PROBE_S", 0.3)
    async with available(ava, pair.second):
        await pair.links[1].set(Mode.SWALLOW)
        hints = pair.second.parts.server.hints
        assert hints is not None
        async with asyncio.timeout(8):
            while hints._receiver.connection_pool._in_use_connections:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await pair.links[1].set(Mode.PASS)


async def test_two_pages_of_one_agent_at_two_replicas(pair: Pair, ava: Person) -> None:
    async with available(ava, pair.second) as far, ava.desk() as near:
        await near.get("snapshot")
        await offered_after(far, pair.first)
        await near.get("screen_pop")
        offer_id = far.of("screen_pop")[0]["data"]["offer_id"]
        await ava.ask("POST", f"/offers/{offer_id}/reject", {})
        for desk in (far, near):
            assert (await desk.get("offer_ended"))["outcome"] == "rejected"
            seqs = [event["seq"] for event in desk.numbered]
            assert seqs == sorted(seqs)


async def test_who_else_looks_is_told_across_replicas_at_once(
    pair: Pair, ava: Person, person: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two people at two processes; what a look of their own would find is kept from both, so that Redis alone carries it."""
    for server in (pair.first.parts.server, pair.second.parts.server):
        monkeypatch.setattr(server.viewers, "news", lambda _: {})
    lead = await person(role=Role.SUPERVISOR)
    ticket = (await lead.ask("POST", "/tickets", {"subject": "Lamp", "queue": "support"}))["id"]
    async with ava.desk(url=pair.second.url) as far, lead.desk() as near:
        await far.wire.emit("viewing", {"ticket_id": ticket})
        await told_of(far, {ava.id: False})
        await near.wire.emit("viewing", {"ticket_id": ticket, "is_editing": True})
        soon_s = SOON_S * crowd()
        assert await told_of(far, {ava.id: False, lead.id: True}) < soon_s
        assert await told_of(near, {ava.id: False, lead.id: True}) < soon_s
        await near.wire.emit("viewing", {"ticket_id": None})
        assert await told_of(far, {ava.id: False}) < soon_s
        await near.wire.emit("viewing", {"ticket_id": ticket})
        await told_of(far, {ava.id: False, lead.id: False})
        await far.wire.vanish()
        assert await told_of(near, {lead.id: False}) < soon_s


async def test_who_else_looks_is_told_a_look_later_without_redis(pair: Pair, ava: Person, person: People) -> None:
    lead = await person(role=Role.SUPERVISOR)
    ticket = (await lead.ask("POST", "/tickets", {"subject": "Lamp", "queue": "support"}))["id"]
    for link in pair.links:
        await link.set(Mode.RESET)
    async with ava.desk(url=pair.second.url) as far, lead.desk() as near:
        late_s = viewers.LOOK_S + SOON_S * crowd()
        await far.wire.emit("viewing", {"ticket_id": ticket})
        await told_of(far, {ava.id: False})
        await near.wire.emit("viewing", {"ticket_id": ticket})
        assert await told_of(far, {ava.id: False, lead.id: False}) < late_s
        await far.wire.vanish()
        assert await told_of(near, {lead.id: False}) < late_s


async def told_of(desk: Desk, people: dict[int, bool]) -> float:
    """Seconds until this page was told that exactly these people look, and who of them is editing."""
    start = monotonic()

    def is_told(desk: Desk) -> bool:
        told = desk.of("viewers")
        return bool(told) and {v["id"]: v["is_editing"] for v in told[-1]["data"]["viewers"]} == people

    await desk.until(is_told)
    return monotonic() - start


async def test_two_replicas_without_any_redis(database_url: str, clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right, only a second later."""
    from aiohttp import ClientSession

    from accounts import queries as accounts
    from tests import builders

    monkeypatch.setattr(push, "BOARD_S", 0.1)
    async with running_stack(database_url, NO_REDIS) as first, a_second(first, database_url, NO_REDIS) as second:
        loop = asyncio.create_task(first.parts.push.run())
        async with first.parts.resources.outbox.transaction() as tx:
            user = await accounts.user_by_email(tx.conn, email="ava@example.com")
            assert user is not None
            cookie, secret = await builders.a_session(tx, user, first.url)
        async with (
            ClientSession(first.url, headers={"Cookie": f"{cookie}={secret}"}) as browser,
            ClientSession() as bare,
        ):
            ava = Person(user.id, first, browser, bare)
            async with available(ava, second) as desk:
                assert await offered_after(desk, first) < 2.5
                assert desk.of("queue_stats")
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await first.settle_down()
        assert await first.broken() == {}
