"""What a client may send: three events with one object each. Everything else ends its connection and harms nobody else."""
# ruff: noqa: ASYNC110 - what is waited for is in the database or the server

import asyncio
import json
import os
import random
import resource
import time
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import pytest

from infra.telemetry import metrics
from realtime import server as module
from tests.integration.realtime.conftest import People
from tests.integration.realtime.desks import PATH, Desk, Person
from tests.stack import Stack

IS_FULL: Final = os.environ.get("RINGDESK_TEST_FULL") == "1"
PACKETS_SENT: Final = 50_000 if IS_FULL else 4_000


@pytest.fixture
async def ava(person: People) -> Person:
    return await person("ava")


@pytest.fixture
async def bystander(person: People) -> AsyncIterator[Desk]:
    """Somebody else's desk, which must not notice anything."""
    ben = await person("ben")
    async with ben.desk() as desk:
        await desk.get("snapshot")
        yield desk
        assert not desk.is_lost
        assert desk.sid in ben.stack.parts.server.desks
        await ben.ask("PUT", "/presence", {"state": "break", "reason": "still here"})
        await desk.until(
            lambda desk: (
                desk.of("presence_changed")[-1:] and desk.of("presence_changed")[-1]["data"]["reason"] == "still here"
            )
        )


def refused() -> dict[str, float]:
    return {
        sample.labels["reason"]: sample.value
        for metric in metrics.socket_refused.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


async def leases(stack: Stack, person: Person) -> int:
    return int(
        await stack.value(
            "SELECT count(*) FROM desk_connections WHERE agent_id = $1 AND lease_until > now()", person.id
        )
    )


async def gone(stack: Stack, person: Person) -> None:
    """Nothing is left of the person's desk: no socket that we think is there, no lease that brings offers."""
    async with asyncio.timeout(4):
        while await leases(stack, person) or any(d.principal.user_id == person.id for d in each_desk(stack)):
            await asyncio.sleep(0.02)


def each_desk(stack: Stack) -> list[module.DeskSocket]:
    return list(stack.parts.server.desks.values())


EVENTS = [
    '42/desk,["connect",{}]',
    '42/desk,["connect",{"HTTP_COOKIE":"x"},{"ticket":"x"}]',
    '42/desk,["disconnect"]',
    '42/desk,["disconnect",{}]',
    '42/desk,["disconnect","transport close"]',
    '42/desk,["connect_error",{}]',
    '42/desk,["message",{}]',
    '42/desk,["*",{}]',
    '42/desk,["__init__",{}]',
    '42/desk,["snapshot",{}]',
    '42/desk,["screen_pop",{"offer_id":1}]',
    "42/desk,[]",
    "42/desk,[{}]",
    "42/desk,[null]",
    "42/desk,[1,{}]",
    '42/desk,{"0":"ack"}',
    '42/desk,"ack"',
    "42/desk,",
    "42/desk",
    '42/desk,["ack"]',
    '42/desk,["ack",{"seq":1},{}]',
    '42/desk,["ack",null]',
    '42/desk,["ack",[1]]',
    '42/desk,["ack",{"seq":-1}]',
    '42/desk,["ack",{"seq":"1"}]',
    '42/desk,["ack",{"seq":true}]',
    '42/desk,["ack",{"seq":1.5}]',
    '42/desk,["ack",{"seq":1e400}]',
    f'42/desk,["ack",{{"seq":{2**63}}}]',
    '42/desk,["ack",{"seq":1,"agent_id":2}]',
    '42/desk,["viewing",{"ticket_id":"1"}]',
    '42/desk,["viewing",{"room":"agent:1"}]',
    '42/desk,["viewing",{"ticket_id":1,"customer_id":1}]',
    '42/desk,["painted",{"offer_id":1,"ms":-1}]',
    '42/desk,["painted",{"offer_id":1,"ms":NaN}]',
    '42/desk,["painted",{"offer_id":0,"ms":1}]',
    f'42/desk,["ack",{"[" * 5000}]',
]
PACKETS = [
    '42/desk,1["ack",{"seq":1}]',
    f'42/desk,{2**53}["ack",{{"seq":1}}]',
    "43/desk,1[]",
    "43/desk,[]",
    '45/desk,1-["ack",{"_placeholder":true,"num":0}]',
    '451-/desk,["ack",{"_placeholder":true,"num":0}]',
    "46/desk,1-[]",
    '461-/desk,1["x"]',
    '44/desk,{"message":"x"}',
    '42["ack",{"seq":1}]',
    '42/,["ack",{"seq":1}]',
    '42/admin,["ack",{"seq":1}]',
    '42/desk/x,["ack",{"seq":1}]',
    "40",
    "40/admin,",
    "40/desk,",
    '40/desk,{"ticket":"again"}',
    "41",
    "41/admin,",
    "47/desk,",
    "4",
    "4x",
    "4" + "9" * 200 + "-/desk,[]",
    "bQUFB",
    "0{}",
    "2probe",
    "5",
    "6",
    "x",
    "",
    "\x00",
    "42/desk,\x00",
    b"\x00",
    b"42/desk,[]",
]


async def _is_ended_by(ava: Person, frame: str | bytes, *, connects: bool = True) -> bool:
    wire = await ava.wire()
    if connects:
        assert (await wire.connect({"ticket": await ava.ticket(), "last_seq": None}))[0] == "connected"
    await wire.send(frame)
    try:
        return await wire.is_closed()
    finally:
        await wire.close()


@pytest.mark.parametrize("frames", [EVENTS, PACKETS], ids=["events", "packets"])
async def test_anything_else_ends_the_connection(
    live: Stack, ava: Person, bystander: Desk, frames: list[str | bytes]
) -> None:
    before = sum(refused().values())
    for start in range(0, len(frames), 8):
        batch = frames[start : start + 8]
        ended = await asyncio.gather(*(_is_ended_by(ava, frame) for frame in batch))
        assert [frame for frame, is_ended in zip(batch, ended, strict=True) if not is_ended] == []
    await gone(live, ava)
    assert sum(refused().values()) == before + len(frames), "each counted, once"


async def test_nothing_passes_before_connect(live: Stack, ava: Person, bystander: Desk) -> None:
    for frame in ('42/desk,["ack",{"seq":0}]', "41/desk,", "43/desk,1[]", '42/desk,["connect",{}]'):
        assert await _is_ended_by(ava, frame, connects=False), frame


async def test_reserved_names_run_no_handler(
    live: Stack, ava: Person, person: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lab finding L22: the library would run our own handlers with arguments of the client's choice."""
    runs: list[str] = []
    for name in ("connect", "disconnect"):
        handler = live.parts.server.handlers["/desk"][name]

        async def counted(*args: object, name: str = name, handler: object = handler) -> object:
            runs.append(name)
            return await handler(*args)  # type: ignore[operator]

        monkeypatch.setitem(live.parts.server.handlers["/desk"], name, counted)
    ben = await person("ben")
    stolen = await ben.ticket()
    for event in (["disconnect"], ["disconnect", "x"], ["connect", {}], ["connect", {}, {"ticket": stolen}]):
        runs.clear()
        wire = await ava.wire()
        await wire.connect({"ticket": await ava.ticket()})
        await wire.send(f"42/desk,{json.dumps(event)}")
        assert await wire.is_closed()
        await gone(live, ava)
        assert runs == ["connect", "disconnect"], "once each, by the engine itself"
        await wire.close()
    wire = await ben.wire()
    assert (await wire.connect({"ticket": stolen}))[0] == "connected", "and the ticket is still good"
    await wire.close()


async def test_large_frame_ends_the_connection(live: Stack, ava: Person, bystander: Desk) -> None:
    wire = await ava.wire()
    await wire.connect({"ticket": await ava.ticket()})
    await wire.send('42/desk,["ack",{"seq":1,"x":"' + "x" * 1_000_000 + '"}]')
    assert await wire.is_closed()
    await gone(live, ava)
    await wire.close()


async def test_flood_ends_the_connection_and_delays_nobody(live: Stack, ava: Person, bystander: Desk) -> None:
    for frame in ('42/desk,["ack",{"seq":0}]', "3", '40/desk,{"ticket":"guess"}'):
        before = refused().get("rate", 0)
        wire = await ava.wire()
        if frame != '40/desk,{"ticket":"guess"}':
            await wire.connect({"ticket": await ava.ticket()})
        start = time.perf_counter()
        try:
            for _ in range(1000):
                await wire.send(frame)
        except (ConnectionError, aiohttp.ClientError):
            pass
        assert await wire.is_closed()
        assert time.perf_counter() - start < 3
        assert refused()["rate"] == before + 1
        await gone(live, ava)
        await wire.close()


async def test_acks_at_the_pace_of_a_busy_page_are_fine(ava: Person) -> None:
    async with ava.desk() as desk:
        await desk.get("snapshot")
        for _ in range(40):
            await desk.wire.emit("ack", {"seq": 0})
        await asyncio.sleep(0.2)
        assert not desk.is_lost


async def test_silent_socket_is_closed(
    live: Stack, ava: Person, bystander: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lab finding L23: it would stay for as long as it answers pings."""
    monkeypatch.setattr(module, "CONNECT_DEADLINE_S", 0.3)
    silent, refused_one = await ava.wire(), await ava.wire()
    assert (await refused_one.connect({"ticket": "no"}))[0] == "refused"
    assert await silent.is_closed()
    assert await refused_one.is_closed()
    assert live.parts.server._fresh == {}
    for wire in (silent, refused_one):
        await wire.close()


async def test_refused_page_may_try_again_on_the_same_connection_but_not_guess(ava: Person) -> None:
    wire = await ava.wire()
    for _ in range(module.CONNECT_TRIES - 1):
        assert (await wire.connect({"ticket": "no"}))[0] == "refused"
    assert (await wire.connect({"ticket": await ava.ticket()}))[0] == "connected"
    await wire.close()
    guesser = await ava.wire()
    for _ in range(module.CONNECT_TRIES):
        assert (await guesser.connect({"ticket": "no"}))[0] == "refused"
    await guesser.send('40/desk,{"ticket":"no"}')
    assert await guesser.is_closed()
    await guesser.close()


async def test_page_that_says_goodbye_is_let_go(live: Stack, ava: Person) -> None:
    wire = await ava.wire()
    await wire.connect({"ticket": await ava.ticket()})
    before = refused()
    await wire.send("41/desk,")
    assert await wire.is_closed()
    await gone(live, ava)
    assert refused() == before
    await wire.close()


async def test_client_that_does_not_read_holds_up_nobody(
    live: Stack, ava: Person, bystander: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BACKLOG", 50)
    monkeypatch.setattr(module, "RENEW_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", live.url.rsplit(":", 1)[1], limit=1024)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    del reader
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    writer.write(
        f"GET {PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    payload = f'40/desk,{{"ticket":"{await ava.ticket()}"}}'.encode()
    head = (
        bytes([0x81, 0x80 | 126]) + len(payload).to_bytes(2, "big")
        if len(payload) > 125
        else bytes([0x81, 0x80 | len(payload)])
    )
    writer.write(head + bytes(4) + payload)
    async with asyncio.timeout(4):
        while not await leases(live, ava):
            await asyncio.sleep(0.02)
    before = refused().get("slow", 0)
    big = {"seq": None, "type": "noop", "v": 1, "at": "x", "data": {"x": "x" * 20_000}}
    async with asyncio.timeout(10):
        while await leases(live, ava):
            for _ in range(100):
                await live.parts.server.emit("noop", big, room=f"agent:{ava.id}", namespace="/desk")
            await asyncio.sleep(0.05)
    assert refused()["slow"] > before
    await gone(live, ava)
    writer.close()


@pytest.mark.parametrize("size", [1, 125, 300, 65_535, 200_000])
async def test_broadcast_of_any_size_reaches_every_socket_of_the_room_and_no_other(
    live: Stack, ava: Person, bystander: Desk, size: int
) -> None:
    message = {"seq": None, "type": "noop", "v": 1, "at": "x", "data": {"x": "ü" * (size // 2)}}
    async with ava.desk() as first, ava.desk() as second:
        for desk in (first, second):
            await desk.get("snapshot")
        await live.parts.server.broadcast("noop", message, f"agent:{ava.id}")
        for desk in (first, second):
            assert await desk.get("noop") == message["data"]
            await live.parts.server.emit(
                "noop", message, room=desk.sid, namespace="/desk"
            )  # the stream is whole after it
            await desk.until(lambda desk: len(desk.of("noop")) == 2)
    assert not bystander.of("noop")


async def test_broadcast_leaves_out_who_does_not_read(
    live: Stack, ava: Person, bystander: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing piles up for them: the next board replaces this one."""
    monkeypatch.setattr(module, "MAX_UNSENT", 4096)
    reader, writer = await asyncio.open_connection("127.0.0.1", live.url.rsplit(":", 1)[1], limit=1024)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(
        f"GET {PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    payload = f'40/desk,{{"ticket":"{await ava.ticket()}"}}'.encode()
    writer.write(bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload)
    async with asyncio.timeout(4):
        while not any(d.principal.user_id == ava.id for d in each_desk(live)):
            await asyncio.sleep(0.02)
    desk = next(d for d in each_desk(live) if d.principal.user_id == ava.id)
    transport = live.parts.server.environ[desk.eio_sid]["aiohttp.request"].transport
    big = {"seq": None, "type": "noop", "v": 1, "at": "x", "data": {"x": "x" * 100_000}}
    for _ in range(300):
        await live.parts.server.broadcast("noop", big, desk.board_room)
    assert transport.get_write_buffer_size() < 4096 + 2 * 100_000
    writer.close()
    await gone(live, ava)
    await bystander.until(lambda desk: desk.of("noop"))


async def test_vanished_socket_leaves_no_desk_behind(live: Stack, ava: Person) -> None:
    for moment in ("connected", "connecting"):
        wire = await ava.wire()
        ticket = await ava.ticket()
        if moment == "connected":
            await wire.connect({"ticket": ticket})
        else:
            await wire.send(f'40/desk,{{"ticket":"{ticket}"}}')
        await wire.vanish()
        await asyncio.sleep(0.3)
        await gone(live, ava)


async def test_socket_closed_while_it_is_admitted_is_no_desk(
    live: Stack, ava: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library would count it as connected for ever, and its agent would be offered calls that nobody sees."""
    server, admit = live.parts.server, live.parts.server._admit

    async def slowly(*args: object) -> object:
        found = await admit(*args)  # type: ignore[arg-type]
        await server.end(next(iter(server._fresh)))
        return found

    monkeypatch.setattr(server, "_admit", slowly)
    wire = await ava.wire()
    await wire.send(f'40/desk,{{"ticket":"{await ava.ticket()}"}}')
    assert await wire.is_closed()
    await gone(live, ava)
    await wire.close()


async def test_too_many_pages_of_one_person_push_out_the_oldest(
    live: Stack, ava: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SOCKETS_PER_USER", 2)
    wires = []
    for _ in range(3):
        wire = await ava.wire()
        await wire.connect({"ticket": await ava.ticket()})
        wires.append(wire)
    assert await wires[0].is_closed()
    assert await leases(live, ava) == 2
    for wire in wires:
        await wire.close()


async def test_crowd_before_the_door_is_bounded(live: Stack, ava: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNFINISHED", 3)
    wires = [await ava.wire() for _ in range(3)]
    with pytest.raises((aiohttp.ClientError, AssertionError)):
        await ava.wire()
    for wire in wires:
        await wire.close()


def kept(stack: Stack) -> tuple[int, ...]:
    """What the server remembers of its sockets: theirs, the engine's, the library's."""
    server = stack.parts.server
    rooms = server.manager.rooms.get("/desk", {})
    return len(server._fresh), len(server.desks), len(server.eio.sockets), len(server.environ), len(rooms)


@pytest.mark.timeout(1800 if IS_FULL else 120)
async def test_thousands_of_random_packets(live: Stack, ava: Person, bystander: Desk) -> None:
    """Spoilt, cut off, made up, in bursts: the server lives, forgets them, counts them, and the desk beside hears its news in time."""
    rng = random.Random(20261122)
    seeds = [frame for frame in EVENTS + PACKETS if isinstance(frame, str)]
    alphabet = '0123456789-/desk,[]{}":acknullviewpt \\\x00é\u2028'
    before, counted, memory = kept(live), sum(refused().values()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sent = connections = 0
    slowest_s = 0.0
    while sent < PACKETS_SENT:
        wire = await ava.wire()
        connections += 1
        if rng.random() < 0.3:
            await wire.send(f'40/desk,{{"ticket":"{await ava.ticket()}"}}')
        frame = rng.choice(seeds)
        match rng.randrange(4):
            case 0:
                frame = "4" + "".join(rng.choices(alphabet, k=rng.randrange(40)))
            case 1:
                position = rng.randrange(len(frame) + 1)
                frame = frame[:position] + rng.choice(alphabet) + frame[position:]
            case 2:
                frame = frame[: rng.randrange(len(frame) + 1)]
        try:
            for _ in range(rng.randrange(1, 60)):
                await wire.send(frame)
                sent += 1
        except (ConnectionError, aiohttp.ClientError):
            pass
        await wire.close()
        if connections % 25 == 0:
            slowest_s = max(slowest_s, await _news_arrive(bystander, f"note {connections}"))
    await gone(live, ava)
    async with asyncio.timeout(8):
        while kept(live) != before:
            await asyncio.sleep(0.05)
    assert sum(refused().values()) - counted > connections / 2, "most were refused, and each refusal was counted"
    assert slowest_s < 3
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    assert grown_kb < 80_000, f"{grown_kb} KB more after {sent} packets on {connections} connections"
    async with ava.desk() as desk:
        assert await desk.get("snapshot")


async def _news_arrive(desk: Desk, reason: str) -> float:
    """Seconds from a change of the agent's presence to its event at the desk."""
    began = time.perf_counter()
    await desk.person.ask("PUT", "/presence", {"state": "break", "reason": reason})
    await desk.until(lambda desk: any(e["data"]["reason"] == reason for e in desk.of("presence_changed")))
    return time.perf_counter() - began


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("self", True),
        ("https://evil.example", False),
        ("null", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://127.0.0.1:1", False),
        ("https://127.0.0.1", False),
    ],
)
async def test_origin_of_the_page(live: Stack, ava: Person, origin: str | None, allowed: bool) -> None:
    headers = {} if origin is None else {"Origin": live.url if origin == "self" else origin}
    if allowed:
        wire = await ava.wire(**headers)
        assert (await wire.connect({"ticket": await ava.ticket()}))[0] == "connected"
        await wire.close()
    else:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await ava.wire(**headers)
        assert caught.value.status == 400


@pytest.mark.parametrize("transport", ["polling", "webtransport", "", "websocket&sid=x"])
async def test_only_websockets_are_served(live: Stack, ava: Person, transport: str) -> None:
    async with ava.session.get(f"{live.url}/socket.io/?EIO=4&transport={transport}") as response:
        assert response.status == 400
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    async with ava.session.post(f"{live.url}/socket.io/?EIO=4&transport=polling&sid=x", data="4") as response:
        assert response.status == 400
