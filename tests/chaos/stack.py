"""Ringdesk as it is deployed, every process real and mortal: Postgres, Valkey and RabbitMQ, two `ringdesk web`, two `ringdesk
worker`, and the simulator on its own, so that it outlives them all. Whoever speaks to somebody does so over a link that can be broken.

The provider calls replica A (the public URL), the agents' desks are on replica B. All processes are ended by pid.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg
from aiohttp import ClientSession

from app.demo import seed
from app.embedded import Server, embedded_postgres, embedded_valkey
from app.embedded.children import free_port
from app.one_off import one_off
from infra import crashpoints
from infra.migrate import migrate
from infra.postgres import Connection
from simulator.people.agents import Habits
from simulator.people.api import open_api
from simulator.people.callers import CallerHabits
from simulator.people.report import Report
from simulator.run import simulate
from tests.chaos.books import Books
from tests.crowd import crowd
from tests.invariants import broken
from tests.link import Link, Mode
from tests.rabbitmq_node import RabbitNode

ROOT: Final = Path(__file__).resolve().parents[2]
IS_FULL: Final = os.environ.get("RINGDESK_TEST_FULL") == "1"
SEED: Final = int(os.environ["RINGDESK_CHAOS_SEED"])
"""Printed by whoever uses it; the same seed chooses the same faults in the same order."""
START_WITHIN_S: Final = 60.0
STOP_WITHIN_S: Final = 20.0
SETTLE_WITHIN_S: Final = 60.0
LOG_TAIL: Final = 60
LEAST_CALLS_PER_MINUTE: Final = 12.0
AGENT_HABITS: Final = Habits(accept_after_s=(0.3, 1.0), talk_s=(2, 5), wrap_up_s=(0.2, 0.8))
CALLER_HABITS: Final = CallerHabits(
    patience_median_s=20, patience_least_s=10, patience_most_s=30, talk_s=(1.5, 4), hangs_up_first=0.5
)

FACTS: Final = {
    "agents": "SELECT a.id, a.presence, a.used_units, a.idle_since, d.lease_until, d.replica, now() AS now "
    "FROM agents a LEFT JOIN desk_connections d ON d.agent_id = a.id WHERE a.presence <> 'offline' ORDER BY a.id",
    "open items": "SELECT id, call_id, state, queue, entered_at FROM work_items WHERE state NOT IN ('done', 'abandoned')",
    "open offers": "SELECT id, agent_id, call_id, state, created_at, deadline, wrap_ends_at FROM offers "
    "WHERE state IN ('pending', 'accepted', 'wrapping')",
    "open calls": "SELECT id, sid, state, outcome, agent_id, agent_joined, caller_joined FROM calls WHERE state <> 'closed'",
    "timers": "SELECT * FROM timers ORDER BY due_at LIMIT 20",
    "last decisions": "SELECT id, at, work_item_id, chosen_agent_id, counts, verdicts FROM decisions ORDER BY id DESC LIMIT 30",
    "last offers": "SELECT id, work_item_id, agent_id, state, reason, created_at, accepted_at, ended_at FROM offers ORDER BY id DESC LIMIT 40",
    "last items": "SELECT id, call_id, queue, state, tier, virtual_start, entered_at, ended_at, steps FROM work_items ORDER BY id DESC LIMIT 30",
    "exclusions": "SELECT * FROM exclusions ORDER BY until DESC LIMIT 20",
}


async def until(condition: Callable[[], Awaitable[object]], *, within_s: float, what: str) -> float:
    """Seconds until `condition()` is true; fails after `within_s`, or later on a machine that has much else to do."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < within_s * crowd(), f"not within {within_s:g} s × {crowd():.1f}: {what}"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


class Program:
    """One process of ours. Its output of all starts goes to one file."""

    def __init__(self, name: str, argv: Sequence[str], *, env: Mapping[str, str], ready: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.process: Process | None = None
        self._argv = argv
        # PYTHONPATH: what is tested is this checkout, wherever the environment's own one is.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RINGDESK_")}
        self._env = inherited | {"PYTHONPATH": str(ROOT)} | dict(env)
        self._ready = ready

    async def start(self) -> float:
        """Returns the seconds until it said that it is ready."""
        began, at = time.monotonic(), self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self._argv, cwd=ROOT, env=self._env, stdin=DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

        async def is_ready() -> bool:
            assert self.returncode is None, f"{self.name} ended with {self.returncode}\n{self.tail()}"
            return self._ready in self.said(at)

        await until(is_ready, within_s=START_WITHIN_S, what=f"{self.name} is ready\n{self.tail()}")
        return time.monotonic() - began

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        assert self.process is not None
        return self.process.returncode

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def wait(self, within_s: float = STOP_WITHIN_S) -> int:
        assert self.process is not None
        async with asyncio.timeout(within_s * crowd()):
            return await self.process.wait()

    async def kill(self) -> int:
        """kill -9. Returns the pid that it had."""
        self.send(signal.SIGKILL)
        assert await self.wait() == -signal.SIGKILL
        return self.pid

    async def stop(self) -> float:
        """SIGTERM, as every supervisor does. Returns the seconds it took."""
        began = time.monotonic()
        self.send(signal.SIGTERM)
        assert await self.wait() == 0, self.tail()
        return time.monotonic() - began

    async def end(self) -> None:
        """Whatever state it is in."""
        if self.process is None or self.returncode is not None:
            return
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            await self.wait()
        except TimeoutError:
            await self.kill()

    def said(self, since: int = 0) -> str:
        with self.log.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")

    def tail(self) -> str:
        if not self.log.exists():
            return ""
        return f"--- {self.name}\n" + "\n".join(self.said().splitlines()[-LOG_TAIL:])

    def complaints(self) -> list[str]:
        """What it logged as an error, without what libraries say about a server that is away."""
        lines = self.said().splitlines()
        return [f"{self.name}: {line}" for line in lines if re.search(r'"level": ?"(error|critical)"|^Traceback', line)]


class Held:
    """An embedded server behind a link of fixed address; it may be stopped or killed and started again."""

    def __init__(self, open_server: Callable[[], AbstractAsyncContextManager[Server]]) -> None:
        self.link = Link()
        self._open = open_server
        self._manager: AbstractAsyncContextManager[Server] | None = None
        self._server: Server | None = None

    @property
    def server(self) -> Server:
        assert self._server is not None, "it is stopped"
        return self._server

    @property
    def is_running(self) -> bool:
        return self._server is not None

    async def start(self) -> None:
        manager = self._open()
        self._server = await manager.__aenter__()
        self._manager = manager

    async def stop(self) -> None:
        manager, self._manager, self._server = self._manager, None, None
        if manager is not None:
            await manager.__aexit__(None, None, None)

    async def kill(self) -> int:
        """kill -9 of the server itself. Returns the pid that it had."""
        pid = self.server.pid
        os.kill(pid, signal.SIGKILL)
        await self.server.ended()
        await self.stop()
        return pid


class Postgres(Held):
    def __init__(self, folder: Path) -> None:
        super().__init__(lambda: embedded_postgres(folder))

    async def start(self) -> None:
        await super().start()
        self.link.lead_to_socket(Path(self.server.where) / ".s.PGSQL.5432")

    @property
    def url(self) -> str:
        return f"postgresql://ringdesk@127.0.0.1:{self.link.port}/ringdesk"

    @contextlib.contextmanager
    def frozen(self) -> Any:
        """SIGSTOP for the postmaster first, so that it starts nobody new, then for everybody it has started."""
        stopped = [self.server.pid]
        os.kill(self.server.pid, signal.SIGSTOP)
        try:
            for pid in children_of(self.server.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    stopped.append(pid)
            yield stopped
        finally:
            for pid in reversed(stopped):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


class Redis(Held):
    def __init__(self, folder: Path) -> None:
        super().__init__(lambda: embedded_valkey(folder))

    async def start(self) -> None:
        await super().start()
        self.link.lead_to_socket(Path(self.server.where))

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.link.port}/0"

    @contextlib.contextmanager
    def frozen(self) -> Any:
        os.kill(self.server.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.server.pid, signal.SIGCONT)


def children_of(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(stat.parent.name))
    return found


@dataclass
class Load:
    """Callers and agents at work. The report is there when the block has ended."""

    stack: "Stack"
    task: "asyncio.Task[Report]"
    said: list[str]
    agents: int
    enough: asyncio.Event
    """Set: no more calls."""
    books: Books
    probes: list[str] = field(default_factory=list)
    """Calls that the test itself has started beside the crowd's."""
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def report(self) -> Report:
        return self.task.result()

    async def answered(self, count: int = 3) -> float:
        """Seconds until so many more calls have found their agent: before a fault, so that it strikes a full house, and after it."""
        since = await self.stack.now()

        async def is_answered() -> bool:
            if self.task.done():
                self.task.result()
                raise AssertionError("the crowd has gone home before the test was over")
            return len(await self.stack.fetch("SELECT 1 FROM offers WHERE accepted_at >= $1", since)) >= count

        return await until(is_answered, within_s=60, what=f"{count} calls are answered: {self.said}")

    async def over(self) -> None:
        """Let the calls at hand run out, and wait until they are accounted for."""
        self.enough.set()
        await asyncio.wait({self.task})

    async def call(self, to: str, *, patience_s: float = 40, talk_s: float = 2) -> str:
        """One more caller; returns the sid."""
        async with open_api(self.stack.simulator_url) as phones:
            started = await phones.post("/calls", {"to": to, "patience_s": patience_s, "talk_s": talk_s})
        self.probes.append(str(started["sid"]))
        return self.probes[-1]

    def measure(self, name: str, value: float) -> None:
        """Keep the worst."""
        self.measured[name] = max(value, self.measured.get(name, 0))


def _ports_of_this_worker(count: int) -> list[int]:
    """Free ones that the stack of the other test process does not choose between now and their use: one takes even ones, the other odd ones."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    tried: list[int] = []
    while sum(port % 2 == worker % 2 for port in tried) < count:
        tried.append(free_port(avoid=tried))
    return [port for port in tried if port % 2 == worker % 2]


class Stack:
    def __init__(self, folder: Path, scripts: Path) -> None:
        self.folder = folder
        self.postgres = Postgres(folder / "data")
        self.redis = Redis(folder / "data")
        self.rabbit = RabbitNode(scripts)
        self.rabbit_link = Link()
        self.links = {
            "postgres": self.postgres.link,
            "redis": self.redis.link,
            "rabbitmq": self.rabbit_link,
            "webhooks": Link(),
            "desks": Link(),
            "provider": Link(),
        }
        """`webhooks`: the provider → replica A. `desks`: the agents → replica B. `provider`: our commands → the provider."""
        ports = _ports_of_this_worker(11)
        self._link_ports = dict(zip(self.links, ports[:6], strict=True))
        self._ports, self._worker_ports = ports[6:9], ports[9:]
        self.public_url, self.url, provider_url = (
            f"http://127.0.0.1:{self._link_ports[name]}" for name in ("webhooks", "desks", "provider")
        )
        """Replica A, which the provider calls, and replica B, where the agents are: both over their links."""
        self._provider_url = f"{provider_url}/twilio"
        self.replicas = tuple(f"http://127.0.0.1:{port}" for port in self._ports[:2])
        """The same two, directly."""
        self.scraped = tuple(f"127.0.0.1:{port}" for port in (*self._ports[:2], *self._worker_ports))
        """Where each process of ours serves its metrics."""
        self.simulator_url = f"http://127.0.0.1:{self._ports[2]}"
        self.crashpoints = folder / "crashpoints"
        self.webs: list[Program] = []
        self.workers: list[Program] = []
        self.simulator: Program | None = None

    @property
    def programs(self) -> list[Program]:
        return [*self.webs, *self.workers, *([self.simulator] if self.simulator else [])]

    async def start(self) -> None:
        self.crashpoints.mkdir()
        for name, link in self.links.items():
            await link.open(self._link_ports[name])
        self.rabbit_link.lead_to_port(self.rabbit.port)
        for name, port in zip(("webhooks", "desks", "provider"), self._ports, strict=True):
            self.links[name].lead_to_port(port)
        await asyncio.gather(self.postgres.start(), self.redis.start(), self.rabbit.start())
        await migrate(self.postgres.server.url)
        async with one_off(self.postgres.server.url) as outbox:
            await seed(outbox)
        self._describe_programs()
        await asyncio.gather(*(program.start() for program in self.programs))

    def _describe_programs(self) -> None:
        env = {
            "RINGDESK_DATABASE_URL": self.postgres.url,
            "RINGDESK_REDIS_URL": self.redis.url,
            "RINGDESK_RABBITMQ_URL": f"amqp://guest:guest@127.0.0.1:{self.rabbit_link.port}/",
            "RINGDESK_PUBLIC_URL": self.public_url,
            "RINGDESK_TWILIO_API_BASE": self._provider_url,
            "RINGDESK_LOG_LEVEL": "INFO",
            crashpoints.VARIABLE: str(self.crashpoints),
        }
        ringdesk = str(Path(sys.executable).with_name("ringdesk"))

        def program(name: str, ready: str, *argv: str, **more: str) -> Program:
            return Program(name, argv, env=env | more, ready=ready, folder=self.folder)

        self.webs = [
            program(f"web-{name}", "ringdesk web ready", ringdesk, "web", "--port", str(port))
            for name, port in zip("ab", self._ports[:2], strict=True)
        ]
        self.workers = [
            program(f"worker-{n}", "ringdesk worker ready", ringdesk, "worker", RINGDESK_METRICS_PORT=str(port))
            for n, port in enumerate(self._worker_ports, 1)
        ]
        serve = (sys.executable, "-m", "simulator", "serve", "--port", str(self._ports[2]))
        self.simulator = program("simulator", "simulator ready", *serve, "--public-url-of-service", self.public_url)

    async def close(self) -> None:
        await asyncio.gather(*(program.end() for program in self.programs))
        for link in self.links.values():
            await link.close()
        await asyncio.gather(self.rabbit.close(), self.redis.stop(), self.postgres.stop())

    # What a test asks

    async def fetch(self, statement: str, *args: object) -> list[asyncpg.Record]:
        """Straight from the server, not over the link."""
        conn = await asyncpg.connect(self.postgres.server.url, timeout=10)
        try:
            return list(await conn.fetch(statement, *args))
        finally:
            await conn.close(timeout=5)

    async def now(self) -> Any:
        return (await self.fetch("SELECT clock_timestamp() AS now"))[0]["now"]

    async def journal(self, since: int = 0) -> list[dict[str, Any]]:
        """What the provider did and got, from its own books."""
        found: list[dict[str, Any]] = []
        async with open_api(self.simulator_url) as phones:
            while items := (await phones.get("/journal", since=str(since), limit="1000"))["items"]:
                found += items
                since = items[-1]["n"]
        return found

    async def metric(self, url: str, name: str) -> float:
        """The sum over all labels."""
        async with ClientSession() as http, http.get(f"{url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return sum(float(line.split()[-1]) for line in lines if re.match(rf"{name}(\{{| )", line))

    async def broker_is(self, state: str) -> bool:
        """As both replicas say."""
        states = []
        async with ClientSession() as http:
            for url in self.replicas:
                async with http.get(f"{url}/readyz") as answer:
                    states.append((await answer.json())["parts"]["broker"])
        return states == [state] * 2

    async def replicas_of_desks(self) -> set[str]:
        """The names, new at each start, of the processes that hold a desk."""
        return {
            row["replica"] for row in await self.fetch("SELECT replica FROM desk_connections WHERE lease_until > now()")
        }

    async def desks_are_back(self, before: set[str]) -> bool:
        """Whoever is at work has a socket of a process that is not one of `before`."""
        rows = await self.fetch(
            "SELECT 1 FROM agents a WHERE a.presence <> 'offline' AND NOT EXISTS (SELECT 1 FROM desk_connections d "
            "WHERE d.agent_id = a.id AND d.lease_until > now() AND d.replica <> ALL($1))",
            list(before),
        )
        return not rows

    async def assert_accounted(self, sid: str) -> None:
        """One record, one ticket if it was ever in line, one end."""
        rows = await self.fetch(
            "SELECT c.outcome, c.queued_at, count(t.ticket_id) AS tickets FROM calls c LEFT JOIN ticket_calls t ON t.call_id = c.id "
            "WHERE c.sid = $1 GROUP BY c.id",
            sid,
        )
        assert len(rows) == 1, f"{len(rows)} records of {sid}"
        assert rows[0]["outcome"], f"{sid} has no end"
        assert rows[0]["tickets"] == (1 if rows[0]["queued_at"] else 0)

    @asynccontextmanager
    async def load(
        self,
        *,
        seed: int,
        longest_s: float = 1500,
        calls_per_minute: float = 60,
        agents: int = 8,
        habits: Habits = AGENT_HABITS,
    ) -> AsyncIterator[Load]:
        """Calls come as long as the block lasts; fewer where the machine has much else to do.

        Agents whose desks still count as connected are not taken, so this waits for those of an earlier load: with a few
        agents of one queue only, the callers of another would wait for nobody."""
        await until(self.nobody_is_connected, within_s=60, what="the desks of an earlier load are gone")
        calls_per_minute = max(LEAST_CALLS_PER_MINUTE, calls_per_minute / crowd())
        said: list[str] = []
        enough, books = asyncio.Event(), Books(self.simulator_url)
        async with books.kept():
            task = asyncio.create_task(
                simulate(
                    self.url, calls_per_minute, agents, longest_s, seed, self.simulator_url, log=said.append,
                    agent_habits=habits, caller_habits=CALLER_HABITS, enough=enough, ledger=books.ledger,
                )
            )  # fmt: skip
            try:
                yield Load(self, task, said, agents, enough, books)
                enough.set()
                await task
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def nobody_is_connected(self) -> bool:
        return not await self.fetch("SELECT 1 FROM desk_connections WHERE lease_until > now() LIMIT 1")

    async def broken(self, *, settled: bool) -> dict[str, list[object]]:
        conn: Connection = await asyncpg.connect(self.postgres.server.url, timeout=10)
        try:
            return await broken(conn, settled=settled, deployed=True, slowness=crowd())
        finally:
            await conn.close(timeout=5)

    async def settle(self) -> float:
        """Seconds until nothing is under way and every invariant holds."""
        began = time.monotonic()
        while found := await self.broken(settled=True):
            assert time.monotonic() - began < SETTLE_WITHIN_S * crowd(), f"does not settle: {found}"
            await asyncio.sleep(0.25)
        return time.monotonic() - began

    async def heal(self) -> None:
        """Start whatever does not run and let every link pass."""
        for link in self.links.values():
            await link.set(Mode.PASS)
        for held in (self.postgres, self.redis):
            if not held.is_running:
                await held.start()
        if not self.rabbit.is_running:
            await self.rabbit.start()
        for program in self.programs:
            if program.returncode is not None:
                await program.start()

    def assert_all_alive(self) -> None:
        dead = [f"{p.name} ended with {p.returncode}\n{p.tail()}" for p in self.programs if p.returncode is not None]
        assert not dead, "\n".join(dead)

    async def facts(self) -> str:
        """Who is where, for the log of a test that fails."""
        lines = []
        for name, statement in FACTS.items():
            with contextlib.suppress(Exception):
                lines += [f"--- {name}", *(str(dict(row)) for row in await self.fetch(statement))]
        return "\n".join(lines) + "\n"

    def logs(self) -> str:
        return "\n".join(program.tail() for program in self.programs)


@asynccontextmanager
async def running_stack(scripts: Path) -> AsyncIterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="ringdesk-faults-"))
    folder.chmod(0o755)  # the servers run as another user when this one is root
    stack = Stack(folder, scripts)
    try:
        await stack.start()
        yield stack
    finally:
        await stack.close()
        shutil.rmtree(folder, ignore_errors=True)
