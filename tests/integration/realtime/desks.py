"""Desks at the wire: a bare Engine.IO/Socket.IO client that can also misbehave, and one that keeps the protocol as the browser does."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from aiohttp import ClientSession, WSMsgType

from tests.stack import Stack

PATH: Final = "/socket.io/?EIO=4&transport=websocket"
DEADLINE_S: Final = 4.0
ACK_EVERY_S: Final = 0.1


class Closed(Exception):
    """The server has ended the connection."""


class Wire:
    """One websocket. Pings are answered; everything else is up to the test."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.answers_pings = True
        self._frames: asyncio.Queue[str | None] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self.socket:
            if message.type is not WSMsgType.TEXT:
                break
            if message.data == "2":
                if self.answers_pings:
                    await self.socket.send_str("3")
            else:
                self._frames.put_nowait(message.data)
        self._frames.put_nowait(None)

    async def send(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            await self.socket.send_bytes(frame)
        else:
            await self.socket.send_str(frame)

    async def next(self, within_s: float = DEADLINE_S) -> str:
        async with asyncio.timeout(within_s):
            frame = await self._frames.get()
        if frame is None:
            self._frames.put_nowait(None)
            raise Closed
        return frame

    async def is_closed(self, within_s: float = DEADLINE_S) -> bool:
        """Whether the server ends it in time."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    await self.next(within_s)
        except Closed:
            return True
        except TimeoutError:
            return False

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self.socket.close()

    async def vanish(self) -> None:
        """The connection breaks off without a word."""
        response = self.socket._response
        assert response.connection is not None
        assert response.connection.transport is not None
        response.connection.transport.abort()
        await self.close()

    # --- Socket.IO -----------------------------------------------------------------------------------------------------

    async def connect(self, auth: Any = None, namespace: str = "/desk") -> tuple[str, Any]:
        """Send CONNECT; returns ("connected", {sid}) or ("refused", {message, data})."""
        await self.send(f"40{namespace},{'' if auth is None else json.dumps(auth)}")
        while True:
            frame = await self.next()
            if frame.startswith(f"40{namespace},"):
                return "connected", json.loads(frame.split(",", 1)[1])
            if frame.startswith(f"44{namespace},"):
                return "refused", json.loads(frame.split(",", 1)[1])

    async def emit(self, name: str, *data: Any) -> None:
        await self.send(f"42/desk,{json.dumps([name, *data])}")


@dataclass(frozen=True, slots=True)
class Person:
    id: int
    stack: Stack
    browser: ClientSession
    session: ClientSession
    """Without cookies, for sockets: a socket's rights come from its ticket alone."""

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        async with self.browser.request(method, f"/api/v1{path}", json=body if body is not None else {}) as response:
            answer = await response.json() if response.content_length else None
            assert response.status < 300, (response.status, answer)
            return answer

    async def force(self, agent_id: int, state: str, reason: str) -> None:
        """As a supervisor who has looked at the floor just now."""
        agents = (await self.ask("GET", "/agents"))["items"]
        (version,) = (each["presence_version"] for each in agents if each["id"] == agent_id)
        await self.ask("PUT", f"/agents/{agent_id}/presence", {"state": state, "reason": reason, "version": version})

    async def ticket(self) -> str:
        return str((await self.ask("POST", "/realtime-ticket"))["ticket"])

    async def wire(self, url: str | None = None, **headers: str) -> Wire:
        """A fresh connection, the engine's greeting read."""
        wire = Wire(await self.session.ws_connect((url or self.stack.url) + PATH, headers=headers, max_msg_size=0))
        assert (await wire.next()).startswith("0{")
        return wire

    @asynccontextmanager
    async def desk(
        self, *, last_seq: int | None = None, url: str | None = None, acks: bool = True
    ) -> AsyncIterator["Desk"]:
        desk = Desk(self, await self.wire(url), acks)
        try:
            await desk.open(last_seq)
            yield desk
        finally:
            await desk.close()


@dataclass
class Desk:
    """What a page keeps: the events in the order they came, and the place in the sequence."""

    person: Person
    wire: Wire
    acks: bool = True
    events: list[dict[str, Any]] = field(default_factory=list)
    seq: int | None = None
    sid: str = ""
    is_lost: bool = False
    _listener: asyncio.Task[None] | None = None
    _acknowledging: asyncio.Task[None] | None = None
    _to_ack: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self, last_seq: int | None = None) -> None:
        self.seq = last_seq
        outcome, answer = await self.wire.connect({"ticket": await self.person.ticket(), "last_seq": last_seq})
        assert outcome == "connected", answer
        self.sid = answer["sid"]
        self._listener = asyncio.create_task(self._listen())
        self._acknowledging = asyncio.create_task(self._acknowledge())

    async def _acknowledge(self) -> None:
        """As the page does: at once, then at most each tenth of a second, with the newest number."""
        with contextlib.suppress(Closed, aiohttp.ClientError, ConnectionError):
            while True:
                await self._to_ack.wait()
                self._to_ack.clear()
                await self.wire.emit("ack", {"seq": self.seq})
                await asyncio.sleep(ACK_EVERY_S)

    async def _listen(self) -> None:
        try:
            while True:
                frame = await self.wire.next(3600)
                if frame.startswith("42/desk,"):
                    name, event = json.loads(frame.removeprefix("42/desk,"))
                    assert name == event["type"]
                    self.events.append(event)
                    if event["type"] == "snapshot":
                        self.seq = event["data"]["seq"]
                    elif event["seq"] is not None and event["seq"] == (self.seq or 0) + 1:
                        self.seq = event["seq"]
                    is_numbered = event["type"] == "snapshot" or event["seq"] is not None
                    if self.acks and is_numbered and self.seq is not None:  # a board may come before the snapshot
                        self._to_ack.set()
                self._news.set()
        except (Closed, aiohttp.ClientError):
            self.is_lost = True
            self._news.set()

    def of(self, *types: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] in types]

    @property
    def numbered(self) -> list[dict[str, Any]]:
        """Events with a number, each once, as a page applies them."""
        seen: dict[int, dict[str, Any]] = {}
        for event in self.events:
            if event["seq"] is not None:
                seen.setdefault(event["seq"], event)
        return list(seen.values())

    async def until(self, condition: Callable[["Desk"], object], within_s: float = DEADLINE_S) -> Any:
        async with asyncio.timeout(within_s):
            while not (found := condition(self)):
                self._news.clear()
                await self._news.wait()
        return found

    async def get(self, type_: str, within_s: float = DEADLINE_S) -> dict[str, Any]:
        """The data of the last event of that type, as soon as there is one."""
        event: dict[str, Any] = (await self.until(lambda desk: desk.of(type_), within_s))[-1]
        data: dict[str, Any] = event["data"]
        return data

    async def close(self) -> None:
        tasks = [task for task in (self._listener, self._acknowledging) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.wire.close()
