"""The product as its user starts it, in a process of its own, and what a test may ask it beside the browser."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from aiohttp import ClientSession, ClientTimeout, CookieJar

from core import demo_account
from infra.postgres import Connection
from tests.invariants import broken

ROOT: Final = Path(__file__).resolve().parents[2]
READY: Final = "ringdesk ready "
START_WITHIN_S: Final = 60.0
STOP_WITHIN_S: Final = 15.0
AGENTS: Final = tuple(f"agent{n}@demo.example" for n in (1, 2, 3, 4))
SUPERVISOR: Final = "supervisor@demo.example"

SUPPORT: Final = "+14155550199"
GERMAN: Final = "+4930901820"
CHINESE: Final = "+862155550123"
MARIA: Final = "+14155550123"  # Maria Lopez, VIP, Northwind Traders
JUERGEN: Final = "+493023125693"  # Jürgen Schneider
SHARED: Final = "+4930555100"  # Anna Becker and Jonas Becker
UNKNOWN: Final = "+12125550187"

Json = dict[str, Any]


async def until(condition: Callable[[], Awaitable[object]], *, within_s: float, what: str) -> float:
    """Seconds until `condition()` is true."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < within_s, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


class Person:
    """Somebody of the demo, at the API."""

    def __init__(self, http: ClientSession) -> None:
        self.http = http

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> Any:
        async with self.http.request(method, path, json=body, params=query) as answer:
            assert answer.status < 400, f"{method} {path}: {answer.status} {await answer.text()}"
            return await answer.json() if answer.content_type.endswith("json") else None

    async def get(self, path: str, **query: str) -> Any:
        return await self.ask("GET", f"/api/v1{path}", query=query)

    async def post(self, path: str, **body: Any) -> Any:
        return await self.ask("POST", f"/api/v1{path}", body)

    async def be(self, state: str) -> None:
        await self.ask("PUT", "/api/v1/presence", {"state": state})

    def cookies(self) -> dict[str, str]:
        return {each.key: each.value for each in self.http.cookie_jar}


class Ringdesk:
    """The running service with its demo."""

    def __init__(self, process: Process, url: str, data_dir: Path, output: list[str]) -> None:
        self.process = process
        self.url = url
        self.data_dir = data_dir
        self.output = output
        self._people: dict[str, Person] = {}
        self._http = self._client()

    def _client(self) -> ClientSession:
        return ClientSession(self.url, cookie_jar=CookieJar(unsafe=True), timeout=ClientTimeout(total=20))

    async def close(self) -> None:
        for http in (self._http, *(person.http for person in self._people.values())):
            await http.close()

    async def person(self, email: str) -> Person:
        """Logged in once for the whole run."""
        if email not in self._people:
            person = self._people[email] = Person(self._client())
            await person.post("/session", email=email, password=demo_account.PASSWORD)
        return self._people[email]

    # The caller's side

    async def demo(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return await Person(self._http).ask(method, f"/demo{path}", body)

    async def call(self, from_: str, to: str = SUPPORT) -> str:
        return str((await self.demo("POST", "/calls", {"from": from_, "to": to}))["sid"])

    async def caller(self, sid: str) -> Json:
        found: Json = await self.demo("GET", f"/calls/{sid}")
        return found

    async def heard(self, sid: str) -> str:
        return " ".join(line["text"] for line in (await self.caller(sid))["said"])

    async def hang_up(self, sid: str) -> None:
        await self.demo("POST", f"/calls/{sid}/hangup", {})

    async def traffic(self, *, on: bool) -> None:
        await self.demo("POST", "/traffic", {"on": on})

    # What the service says about it

    async def record(self, sid: str) -> Json:
        """The call with this sid as `GET /api/v1/calls` shows it."""
        supervisor = await self.person(SUPERVISOR)
        [found] = (await supervisor.get("/calls", sid=sid))["items"]
        return dict(found)

    async def ticket(self, sid: str) -> Json:
        """The ticket of the call with this sid."""
        number = (await self.record(sid))["ticket"]["number"]
        return dict(await (await self.person(SUPERVISOR)).get(f"/tickets/{number}"))

    async def painted(self) -> float:
        async with self._http.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("ringdesk_pop_painted_seconds_count"))

    async def settle(self) -> None:
        """Everybody hangs up, finishes and goes home, so that the next test starts from nothing."""
        await self.traffic(on=False)
        await until(self._nobody_talks, within_s=15, what="every phone is down")
        for email in AGENTS:
            agent = await self.person(email)
            await until(partial(self._is_free, agent), within_s=15, what=f"{email} is free")
            await agent.be("offline")

    async def _nobody_talks(self) -> bool:
        legs = (await self.demo("GET", "/calls?state=active"))["items"]
        for leg in legs:
            await self.hang_up(leg["sid"])
        return not legs

    async def _is_free(self, agent: Person) -> bool:
        desk = await agent.get("/desk")
        for call in desk["calls"]:
            if call["state"] == "wrapping":
                await agent.post(f"/calls/{call['pop']['call']['id']}/wrap-up", disposition=None, note=None)
        return not desk["calls"] and not desk["offers"]

    async def broken_invariants(self) -> dict[str, list[object]]:
        """What does not hold once things have settled."""
        async with self._database() as conn:
            found = await broken(conn)
            deadline = time.monotonic() + 10
            while found and time.monotonic() < deadline:
                await asyncio.sleep(0.25)
                found = await broken(conn)
            return found

    async def one(self, statement: str) -> object:
        """The one value of a statement, from the database itself."""
        async with self._database() as conn:
            value: object = await conn.fetchval(statement)
            return value

    @contextlib.asynccontextmanager
    async def slow(self, table: str) -> AsyncIterator[None]:
        """Whoever reads this table waits."""
        async with self._database() as conn, conn.transaction():
            await conn.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield

    @contextlib.asynccontextmanager
    async def _database(self) -> AsyncIterator[Connection]:
        run = json.loads((self.data_dir / "run.json").read_text())
        conn = await asyncpg.connect(run["database_url"], timeout=10)
        try:
            yield conn
        finally:
            await conn.close(timeout=5)

    def complaints(self) -> list[str]:
        """Lines of the log that say that something went wrong inside."""
        return [
            line
            for line in self.output
            if '"level": "error"' in line or '"level":"error"' in line or "Traceback" in line
        ]


@contextlib.asynccontextmanager
async def running(data_dir: Path) -> AsyncIterator[Ringdesk]:
    command = (
        Path(sys.executable).with_name("ringdesk"),
        *("up", "--port", "0", "--data-dir", data_dir, "--broker", "local", "--demo"),
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RINGDESK_")}
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=clean, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    output: list[str] = []
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    reading = asyncio.gather(*(_read(stream, output, ready) for stream in (process.stdout, process.stderr)))
    reading.add_done_callback(lambda _: ready.cancel())
    try:
        try:
            url = await asyncio.wait_for(ready, START_WITHIN_S)
        except (TimeoutError, asyncio.CancelledError):
            pytest.fail("the service did not become ready:\n" + "\n".join(output[-40:]))
        service = Ringdesk(process, url, data_dir, output)
        try:
            yield service
        finally:
            await service.close()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        await reading


async def _read(stream: asyncio.StreamReader, output: list[str], ready: asyncio.Future[str]) -> None:
    async for raw in stream:
        line = raw.decode(errors="replace").rstrip()
        output.append(line)
        if line.startswith(READY) and not ready.done():
            ready.set_result(line.removeprefix(READY))
