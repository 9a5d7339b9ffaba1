"""Many idle desks in a process of its own, for `desks.py`: they connect, listen, lose their connection all at once and come back.

Orders come as lines of JSON on standard input (`connect`, `listen`, `storm`, `leave`), answers go to standard output.
"""

import asyncio
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiohttp import ClientSession, DummyCookieJar, TCPConnector

from accounts.cookies import cookie_name
from bench.kit.process import raise_file_limit
from bench.kit.report import quantile
from bench.kit.wire import Desk, connect

MOST_TRIES: Final = 20
AGAIN_S: Final = 0.5
SETTLED_S: Final = 2.0
"""After the last one has come: who was cut meanwhile has noticed by then."""


@dataclass
class Room:
    http: ClientSession
    url: str = ""
    people: list[tuple[int, str]] = field(default_factory=list)
    desks: dict[int, Desk] = field(default_factory=dict)
    heard: dict[bytes, list[float]] = field(default_factory=dict)
    """Arrivals of each different broadcast."""
    body: bytes = b""
    tries: int = 0

    def on_event(self, desk: Desk, body: bytes) -> None:
        if body.startswith(b'["queue_stats"'):
            self.heard.setdefault(body, []).append(time.perf_counter())
            self.body = body
        elif not body.startswith(b'["snapshot"') and (seq := orjson.loads(body)[1].get("seq")) is not None:
            desk.emit(
                b'["ack",{"seq":%d}]' % seq
            )  # as every desk does: what is not acknowledged comes again each second

    async def sit_down(self, person: tuple[int, str], gate: asyncio.Semaphore, *, with_ticket: bool) -> None:
        """As a page does: again after a moment when the server is too busy."""
        for left in reversed(range(MOST_TRIES)):
            async with gate:
                try:
                    self.tries += 1
                    ticket = await self.ticket(person) if with_ticket else ""
                    self.desks[person[0]] = await connect(self.url, person[0], ticket, self.on_event)
                    return
                except (ConnectionError, OSError):
                    if not left:
                        raise
            await asyncio.sleep(AGAIN_S)

    async def ticket(self, person: tuple[int, str]) -> str:
        headers = {"Cookie": f"{cookie_name(self.url)}={person[1]}", "Content-Type": "application/json"}
        async with self.http.post(f"{self.url}/api/v1/realtime-ticket", data=b"{}", headers=headers) as answer:
            if answer.status != 200:
                raise ConnectionError(f"realtime-ticket: {answer.status}")
            return str(orjson.loads(await answer.read())["ticket"])

    async def connect(self, order: Mapping[str, Any]) -> dict[str, Any]:
        began, self.tries = time.perf_counter(), 0
        self.url = order.get("url", self.url)
        self.people = [(each[0], each[1]) for each in order["people"]] if "people" in order else self.people
        gate = asyncio.Semaphore(order["at_once"])
        coming, cut = self.people, 0
        while True:
            async with asyncio.TaskGroup() as tasks:
                for person in coming:
                    tasks.create_task(self.sit_down(person, gate, with_ticket=order["with_ticket"]))
            seconds = time.perf_counter() - began
            await asyncio.sleep(SETTLED_S)
            # A page comes back when it was cut.
            coming = [person for person in self.people if self.desks[person[0]].lost]
            cut += len(coming)
            if not coming or cut > len(self.people):
                break
        return {
            "seconds": round(seconds, 2),
            "connected": len(self.desks) - len(coming),
            "tries": self.tries,
            "cut": cut,
        }

    async def listen(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Every broadcast that reached all: milliseconds from its first arrival to its last, and to the median one."""
        self.heard.clear()
        deadline = time.perf_counter() + order["seconds"]
        while time.perf_counter() < deadline and len(self._whole()) < order["broadcasts"]:
            await asyncio.sleep(0.05)
        whole = self._whole()
        return {
            "last_ms": [round((max(times) - min(times)) * 1000, 2) for times in whole],
            "median_ms": [round((quantile(times, 0.5) - min(times)) * 1000, 2) for times in whole],
            "partly": len(self.heard) - len(whole),
            "lost": sum(desk.lost for desk in self.desks.values()),
            "body": self.body.decode(),
        }

    def _whole(self) -> list[list[float]]:
        return [times for times in self.heard.values() if len(times) == len(self.desks)]

    async def storm(self, order: Mapping[str, Any]) -> dict[str, Any]:
        self.leave()
        return await self.connect(order)

    def leave(self) -> None:
        for desk in self.desks.values():
            desk.abort()
        self.desks.clear()


async def serve() -> None:
    raise_file_limit()
    reader = asyncio.StreamReader(limit=64 * 2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with ClientSession(connector=TCPConnector(limit=0), cookie_jar=DummyCookieJar()) as http:
        room = Room(http)
        while line := await reader.readline():
            order = orjson.loads(line)
            try:
                if order["do"] == "leave":
                    room.leave()
                    answer: dict[str, Any] = {}
                else:
                    answer = await getattr(room, order["do"])(order)
            except Exception as error:  # the other side of the pipe judges it
                answer = {"failed": f"{type(error).__name__}: {error}"}
            sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
            sys.stdout.buffer.flush()
        room.leave()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve())
