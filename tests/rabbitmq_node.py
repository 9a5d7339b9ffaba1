"""A private RabbitMQ node for tests: own ports, own folder, unprivileged user; may be killed, stopped and erased."""

import asyncio
import os
import pwd
import random
import shutil
import signal
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

DEBIAN_SCRIPTS: Final = Path("/usr/lib/rabbitmq/bin")  # the wrappers on PATH insist on the system's own user
READY_WITHIN_S: Final = 60.0
CTL_WITHIN_S: Final = 30.0


def scripts_dir() -> Path | None:
    """Where `rabbitmq-server` and `rabbitmqctl` are, or None when RabbitMQ is not installed."""
    if (DEBIAN_SCRIPTS / "rabbitmq-server").exists():
        return DEBIAN_SCRIPTS
    found = shutil.which("rabbitmq-server")
    return Path(found).resolve().parent if found else None


class RabbitNode:
    """`await start()`, then `url`; every other call acts on the processes started here and on nothing else."""

    def __init__(self, scripts: Path) -> None:
        self._scripts = scripts
        self._dir = Path(tempfile.mkdtemp(prefix="ringdesk-rabbitmq-"))
        self._user = _unprivileged_user()
        self.port, dist_port, epmd_port = _free_ports(3)
        self._env = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self._dir),
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd_port),
            "RABBITMQ_NODENAME": f"ringdesk-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(dist_port),
            "RABBITMQ_MNESIA_BASE": str(self._dir / "data"),
            "RABBITMQ_LOG_BASE": str(self._dir / "log"),
            "RABBITMQ_CONFIG_FILE": str(self._dir / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._dir / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self._dir / "rabbitmq-env.conf"),
            "RABBITMQ_PID_FILE": str(self._dir / "pid"),
            # Makes the script exec the Erlang machine, so that the process started here is the node.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
        (self._dir / "rabbitmq.conf").write_text("log.file.level = warning\ndisk_free_limit.absolute = 10MB\n")
        (self._dir / "enabled_plugins").write_text("[].\n")
        if self._user is not None:
            for path in (self._dir, *self._dir.iterdir()):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        self._epmd: asyncio.subprocess.Process | None = None
        self._node: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def is_running(self) -> bool:
        return self._node is not None and self._node.returncode is None

    async def start(self) -> None:
        if self._epmd is None:
            epmd = shutil.which("epmd")
            assert epmd is not None, "Erlang's epmd is not on PATH"
            # As a child, not as the daemon the node would start and leave behind.
            self._epmd = await self._spawn(epmd)
        self._node = await self._spawn(self._scripts / "rabbitmq-server")
        async with asyncio.timeout(READY_WITHIN_S):
            while not await self._answers():
                assert self._node.returncode is None, f"the node ended; its log:\n{self.log()}"
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """SIGKILL to the node itself: nothing is flushed."""
        assert self._node is not None
        self._node.kill()
        await self._node.wait()

    def freeze(self) -> None:
        assert self._node is not None
        self._node.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._node is not None
        self._node.send_signal(signal.SIGCONT)

    def erase(self) -> None:
        """Forget everything; only while the node is down."""
        shutil.rmtree(self._dir / "data")

    async def ctl(self, *arguments: str) -> str:
        process = await self._spawn(self._scripts / "rabbitmqctl", "-q", *arguments, stdout=asyncio.subprocess.PIPE)
        async with asyncio.timeout(CTL_WITHIN_S):
            output, _ = await process.communicate()
        assert process.returncode == 0, output.decode(errors="replace")
        return output.decode(errors="replace")

    async def close(self) -> None:
        for process in (self._node, self._epmd):
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()
        shutil.rmtree(self._dir, ignore_errors=True)

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-4000:] for path in (self._dir / "log").glob("*.log"))

    async def _answers(self) -> bool:
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(b"AMQP\x00\x00\x09\x01")
                async with asyncio.timeout(5):
                    return bool(await reader.readexactly(1))
            finally:
                writer.close()
        return False

    async def _spawn(
        self, program: str | Path, *arguments: str, stdout: int = asyncio.subprocess.DEVNULL
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            str(program),
            *arguments,
            env=self._env,
            cwd=self._dir,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.STDOUT if stdout == asyncio.subprocess.PIPE else asyncio.subprocess.DEVNULL,
            start_new_session=True,
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
        )


def _unprivileged_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    with suppress(KeyError):
        return pwd.getpwnam("rabbitmq")
    return pwd.getpwnam("nobody")


def _free_ports(count: int) -> list[int]:
    """Below the range of outgoing connections, which could take them between the look and the start."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            if port not in ports:
                ports.append(port)
    return ports
