"""`ringdesk up`, all in one process with servers of its own: killed under load, ended in every way, started where it cannot start."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from app.demo import seed
from app.embedded import embedded_postgres, find_rabbitmq
from app.embedded.children import free_port
from app.embedded.keeper import start_stamp
from app.one_off import one_off
from infra.migrate import migrate
from simulator.people.report import Report
from simulator.run import simulate
from tests.chaos.stack import AGENT_HABITS, CALLER_HABITS, IS_FULL, ROOT, Program, children_of, until
from tests.crowd import crowd
from tests.invariants import broken

KILLS: Final = 5 if IS_FULL else 1
SETTLE_WITHIN_S: Final = 60.0
SECOND_START_WITHIN_S: Final = 3.0
"""The promise is 2 s on a machine of one's own; this one may be shared."""
GONE_WITHIN_S: Final = 5.0

pytestmark = pytest.mark.timeout(1800 if IS_FULL else 900)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Every user may enter it: as root the servers run as another one."""
    made = Path(tempfile.mkdtemp(prefix="ringdesk-faults-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


class Up:
    """One `ringdesk up` with the simulator beside it, so that the callers outlive a kill -9."""

    def __init__(self, folder: Path, *, broker: str = "local") -> None:
        self.data_dir = folder / "data"
        port, simulator_port = free_port(), free_port()
        while simulator_port == port:
            simulator_port = free_port()
        self.url, self.simulator_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{simulator_port}"
        ringdesk = str(Path(sys.executable).with_name("ringdesk"))
        options = ("--data-dir", str(self.data_dir), "--broker", broker, "--no-demo", "--log-level", "INFO")
        self.program = Program(
            "up",
            (ringdesk, "up", "--port", str(port), *options),
            env={"RINGDESK_TWILIO_API_BASE": f"{self.simulator_url}/twilio"},
            ready="ringdesk ready",
            folder=folder,
        )
        serve = (sys.executable, "-m", "simulator", "serve", "--port", str(simulator_port))
        self.simulator = Program(
            "simulator",
            (*serve, "--public-url-of-service", self.url),
            env={},
            ready="simulator ready",
            folder=folder,
        )

    @property
    def database_url(self) -> str:
        return str(self.run_file["database_url"])

    @property
    def run_file(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.data_dir / "run.json").read_text())
        return found

    async def with_demo_data(self) -> None:
        """Before the first start, so that `up` finds an organisation."""
        async with embedded_postgres(self.data_dir) as server:
            await migrate(server.url)
            async with one_off(server.url) as outbox:
                await seed(outbox)

    async def broken(self, *, settled: bool) -> dict[str, list[object]]:
        conn = await asyncpg.connect(self.database_url, timeout=10)
        try:
            return await broken(conn, settled=settled)
        finally:
            await conn.close(timeout=5)

    async def settle(self) -> float:
        began = time.monotonic()
        while found := await self.broken(settled=True):
            assert time.monotonic() - began < SETTLE_WITHIN_S * crowd(), f"does not settle: {found}"
            await asyncio.sleep(0.25)
        return time.monotonic() - began

    async def accepted(self) -> int:
        conn = await asyncpg.connect(self.database_url, timeout=10)
        try:
            return int(await conn.fetchval("SELECT count(*) FROM offers WHERE accepted_at IS NOT NULL"))
        finally:
            await conn.close(timeout=5)


@asynccontextmanager
async def an_up(folder: Path, *, broker: str = "local") -> AsyncIterator[Up]:
    up = Up(folder, broker=broker)
    try:
        yield up
    except BaseException:
        sys.stdout.write(up.program.tail() + up.simulator.tail())
        raise
    finally:
        await up.program.end()
        await up.simulator.end()


# What may not stay behind


def family_of(pid: int) -> dict[int, str]:
    """All descendants, each with the moment of its start, so that a pid that is given to somebody else does not count."""
    found: dict[int, str] = {}
    ahead = [pid]
    while ahead:
        for child in children_of(ahead.pop()):
            stamp = start_stamp(child)
            if stamp is not None:
                found[child] = stamp
                ahead.append(child)
    return found


def running_in(data_dir: Path) -> list[str]:
    """Processes that work in this data directory or name it, as "pid command"."""
    wanted, found = str(data_dir), []
    places = {
        str((data_dir / name).resolve()) for name in ("postgres", "valkey", "rabbitmq") if (data_dir / name).exists()
    }
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = os.readlink(process / "cwd")
        except OSError:
            continue
        if int(process.name) != os.getpid() and (wanted in command or any(where.startswith(place) for place in places)):
            found.append(f"{process.name} {command}")
    return found


async def nothing_stays(family: dict[int, str], data_dir: Path, sockets: list[Path]) -> float:
    async def is_gone() -> bool:
        return all(start_stamp(pid) != stamp for pid, stamp in family.items())

    seconds = await until(is_gone, within_s=GONE_WITHIN_S, what=f"all of {family} are gone: {running_in(data_dir)}")
    assert running_in(data_dir) == []
    assert [path for path in sockets if path.exists()] == []
    return seconds


def sockets_of(up: Up) -> list[Path]:
    """The folders of the servers' sockets."""
    run = up.run_file
    return [
        Path(str(run["database_url"]).rpartition("host=")[2]),
        Path(str(run["redis_url"]).removeprefix("unix://")).parent,
    ]


async def test_killed_under_load_and_started_again(folder: Path) -> None:
    async with an_up(folder) as up:
        await up.with_demo_data()
        await asyncio.gather(up.program.start(), up.simulator.start())
        enough = asyncio.Event()
        load = asyncio.create_task(
            simulate(
                up.url, 60, 8, 300, 8, up.simulator_url,
                log=lambda _: None, agent_habits=AGENT_HABITS, caller_habits=CALLER_HABITS, enough=enough,
            )
        )  # fmt: skip
        try:
            starts = []
            for _ in range(KILLS):
                await _answered(up, load)
                starts.append(await _kill_and_start(up))
            assert await up.broken(settled=False) == {}
            answered_s = await _answered(up, load)
            enough.set()
            report = await load
        finally:
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)
        assert await up.broken(settled=False) == {}
        settled_s = await up.settle()
        assert report.lost == 0, report.failures
        assert report.duplicate_pops == 0
        assert report.unknown == 0
        assert report.calls >= 8
        assert report.answered >= 3 * KILLS, "what was accepted in the moment of a kill may never be joined"
        family = family_of(up.program.pid)
        sockets = sockets_of(up)
        up.program.send(signal.SIGTERM)
        assert await up.program.wait() == 0
        await nothing_stays(family, up.data_dir, sockets)
        _tell("kill -9 of ringdesk up", report, start_s=max(starts), answered_again_s=answered_s, settled_s=settled_s)


async def _answered(up: Up, load: "asyncio.Task[Report]") -> float:
    """Seconds until three more calls have found their agent."""
    before = await up.accepted()

    async def is_answered() -> bool:
        if load.done():
            load.result()
        return await up.accepted() >= before + 3

    return await until(is_answered, within_s=60, what="calls are answered")


async def _kill_and_start(up: Up) -> float:
    """In the middle of calls; nobody is there for 3 s. Returns the seconds to ready."""
    family, sockets = family_of(up.program.pid), sockets_of(up)
    assert len(family) >= 6, "keepers, Postgres with its helpers, Valkey"
    pid = await up.program.kill()
    gone_s = await nothing_stays(family, up.data_dir, sockets)
    await asyncio.sleep(max(0, 3 - gone_s))
    start_s = await up.program.start()
    assert up.program.pid != pid
    return start_s


def _tell(fault: str, report: Report, **measured: float) -> None:
    facts = ", ".join(f"{name} {value:.1f}" for name, value in measured.items())
    sys.stdout.write(
        f"\n{fault}: {report.calls} calls, {report.answered} answered, {report.abandoned} abandoned, {report.lost} lost, "
        f"{report.pops} pops, shown twice {report.duplicate_pops}, pop ms {report.pop_ms}, {facts}\n"
    )


async def test_whatever_ends_it_nothing_stays_behind(folder: Path) -> None:
    async with an_up(folder) as up:
        starts = [await up.program.start()]
        for end in (_terminate, _interrupt, _kill_with_its_keepers):
            await end(up)
            starts.append(await up.program.start())
        later = ", ".join(f"{seconds:.1f}" for seconds in starts[1:])
        sys.stdout.write(f"\nringdesk up --broker local: first start {starts[0]:.1f} s, later ones {later} s\n")
        assert min(starts[1:]) < SECOND_START_WITHIN_S * crowd()


async def test_nothing_of_a_private_rabbitmq_stays_behind(folder: Path) -> None:
    if find_rabbitmq() is None:
        pytest.skip("RabbitMQ is not installed")
    async with an_up(folder, broker="rabbitmq") as up:
        first = await up.program.start()
        assert any("/beam" in command or "epmd" in command for command in running_in(up.data_dir)), running_in(
            up.data_dir
        )
        for end in (_kill, _interrupt):
            await end(up)
            if end is _kill:
                second = await up.program.start()
    sys.stdout.write(f"\nringdesk up --broker rabbitmq: first start {first:.1f} s, second {second:.1f} s\n")


async def _terminate(up: Up) -> None:
    await _end(up, signal.SIGTERM)


async def _interrupt(up: Up) -> None:
    await _end(up, signal.SIGINT)


async def _end(up: Up, number: signal.Signals) -> None:
    family, sockets = family_of(up.program.pid), sockets_of(up)
    up.program.send(number)
    assert await up.program.wait() == 0
    await nothing_stays(family, up.data_dir, sockets)


async def _kill(up: Up) -> None:
    family, sockets = family_of(up.program.pid), sockets_of(up)
    await up.program.kill()
    await nothing_stays(family, up.data_dir, sockets)


async def _kill_with_its_keepers(up: Up) -> None:
    """The worst: the servers are left alone. The next start must end them, by pid and moment of start."""
    family, keepers = family_of(up.program.pid), children_of(up.program.pid)
    up.program.send(signal.SIGSTOP)  # or it would notice that its servers' keepers have gone
    for keeper in keepers:
        os.kill(keeper, signal.SIGKILL)
    await up.program.kill()
    servers = {pid: stamp for pid, stamp in family.items() if pid not in keepers}
    assert any(start_stamp(pid) == stamp for pid, stamp in servers.items()), "nobody was left behind to be found"
    await up.program.start()
    assert [pid for pid, stamp in servers.items() if start_stamp(pid) == stamp] == []
    await _terminate(up)


async def test_a_used_port_is_told_in_one_sentence(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = await _refused(folder, "--port", str(port))
    assert (code, len(said)) == (1, 1), said
    assert f"Port {port} on 127.0.0.1 is in use" in said[0]
    assert "--port" in said[0]
    assert not (folder / "data").exists(), "something was started before the port was looked at"


async def test_data_of_another_postgres_is_told_in_one_sentence(folder: Path) -> None:
    async with embedded_postgres(folder / "data"):
        pass
    [version] = (folder / "data" / "postgres").resolve().glob("data/cluster/PG_VERSION")
    version.write_text("12\n")
    code, said = await _refused(folder, "--port", "0")
    assert code == 1
    told = [line for line in said if not line.startswith("ringdesk starts")]
    assert len(told) == 1, said
    assert "was written by PostgreSQL 12, this is PostgreSQL" in told[0]
    assert "choose another --data-dir" in told[0]
    assert running_in(folder / "data") == []


async def _refused(folder: Path, *options: str) -> tuple[int, list[str]]:
    """Exit code and all lines of a start that cannot work."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("ringdesk"), "up", "--data-dir", folder / "data", "--broker", "local", "--no-demo", *options,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode().splitlines()
