"""A private RabbitMQ node from an installed `rabbitmq-server`: its own ports, folders, cookie and port mapper.

Erlang's port mapper (epmd) normally starts itself as a daemon that outlives the node. Here it is a child like any other,
started first, so that the node finds it and nothing stays behind.
"""

import asyncio
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from app.embedded import children, places
from app.embedded.children import Server
from app.embedded.places import EmbeddedError, Home

READY_DEADLINE_S: Final = 90.0
USER: Final = "ringdesk"
NODE: Final = "ringdesk@localhost"
INSTALLED: Final = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",  # Debian: the script itself, not the wrapper that wants to be root
    "/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server",
    "/usr/local/opt/rabbitmq/sbin/rabbitmq-server",
)
ERLANG: Final = (
    # Two schedulers that do not spin, few helper threads, distribution on loopback only: about 100 MB idle.
    "+S 2:2 +SDcpu 1:1 +SDio 2 +A 2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
)
GENTLE: Final = (("SIGTERM", 8.0),)
HURRIED: Final = (("SIGTERM", 1.0),)
MAPPER_LADDER: Final = (("SIGTERM", 0.3),)


def find_rabbitmq() -> Path | None:
    """The `rabbitmq-server` script of this machine, or None."""
    on_path = shutil.which("rabbitmq-server")
    candidates = [*map(Path, INSTALLED), *([Path(on_path)] if on_path else [])]
    return next((path for path in candidates if os.access(path, os.X_OK)), None)


@asynccontextmanager
async def private_rabbitmq(data_dir: Path) -> AsyncIterator[Server]:
    """Run a node under `data_dir/rabbitmq`. Raises EmbeddedError when RabbitMQ is not installed or does not start."""
    started_at = time.monotonic()
    script = find_rabbitmq()
    if script is None:
        raise EmbeddedError("RabbitMQ is not installed: install the package rabbitmq-server, or use --broker local.")
    epmd = _find_epmd()
    home = await asyncio.to_thread(places.home, data_dir, "rabbitmq", throwaway=False)
    async with children.lock(home):
        await children.end_leftovers(home.record)
        mapper_port = children.free_port()
        port = children.free_port(avoid=(mapper_port,))
        distribution_port = children.free_port(avoid=(mapper_port, port))
        password = _password(home)
        env = _prepare(home, port, distribution_port, mapper_port, password)
        mapper = [str(epmd), "-port", str(mapper_port), "-address", "127.0.0.1"]
        async with (
            children.child(
                "epmd",
                mapper,
                home,
                gentle=MAPPER_LADDER,
                hurried=MAPPER_LADDER,
                record=home.folder / "epmd.json",
            ),
            children.child("RabbitMQ", [str(script)], home, gentle=GENTLE, hurried=HURRIED, env=env) as rabbitmq,
        ):
            version = await _until_ready(port, rabbitmq)
            yield Server(
                url=f"amqp://{USER}:{password}@127.0.0.1:{port}/",
                where=f"127.0.0.1:{port}",
                seconds=time.monotonic() - started_at,
                detail=f"RabbitMQ {version}, private node",
                pid=rabbitmq.pid,
                ended=rabbitmq.ended,
            )


def _find_epmd() -> Path:
    on_path = shutil.which("epmd")
    candidates = [*([Path(on_path)] if on_path else []), *sorted(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"))]
    found = next((path for path in candidates if path.exists()), None)
    if found is None:
        raise EmbeddedError("RabbitMQ is installed, but Erlang's epmd is not on PATH; use --broker local.")
    return found


def _password(home: Home) -> str:
    """The node keeps its users, so the password is made once and kept beside them."""
    kept = home.folder / "password"
    if not kept.exists():
        with open(kept, "w", opener=lambda name, flags: os.open(name, flags, mode=0o600)) as file:
            file.write(secrets.token_urlsafe(24))
    return kept.read_text()


def _prepare(home: Home, port: int, distribution_port: int, mapper_port: int, password: str) -> dict[str, str]:
    """Write the node's configuration and return its environment."""
    data = home.data
    _hand_over(
        home,
        data / "rabbitmq.conf",
        f"listeners.tcp.default = 127.0.0.1:{port}\n"
        f"default_user = {USER}\n"
        f"default_pass = {password}\n"
        "default_user_tags.administrator = true\n"
        "vm_memory_high_watermark.absolute = 256MB\n"
        "disk_free_limit.absolute = 50MB\n"
        "raft.wal_max_size_bytes = 33554432\n"
        "log.file = false\n"
        "log.console = true\n"
        "log.console.level = warning\n",
    )
    _hand_over(home, data / "enabled_plugins", "[].\n")
    _hand_over(home, data / "env.conf", "")
    return {
        "HOME": str(data),
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution_port),
        "ERL_EPMD_PORT": str(mapper_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
        "RABBITMQ_LOG_BASE": str(data / "log"),
        "RABBITMQ_CONFIG_FILE": str(data / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "enabled_plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(data / "env.conf"),
        "RABBITMQ_PID_FILE": str(data / "node.pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
        "RUNNING_UNDER_SYSTEMD": "true",  # The script then becomes the node instead of waiting for it.
    }


def _hand_over(home: Home, path: Path, text: str) -> None:
    """Write a file for the server: readable by its account and by nobody else."""
    path.unlink(missing_ok=True)
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, mode=0o600)) as file:
        file.write(text)
        if home.account is not None:
            os.fchown(file.fileno(), home.account.uid, home.account.gid)


async def _until_ready(port: int, rabbitmq: children.Child) -> str:
    """Until the node greets an AMQP client (it listens only when it is up); returns its version."""
    death = asyncio.ensure_future(rabbitmq.ended())
    try:
        async with asyncio.timeout(READY_DEADLINE_S):
            while not death.done():
                try:
                    return await _greeting(port)
                except (OSError, EOFError):
                    await asyncio.wait({death}, timeout=0.1)
        raise EmbeddedError(await death)
    except TimeoutError:
        raise EmbeddedError(f"RabbitMQ was not ready after {READY_DEADLINE_S:.0f} seconds.") from None
    finally:
        death.cancel()


async def _greeting(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"AMQP\x00\x00\x09\x01")
        kind, _channel, size = (await reader.readexactly(1), await reader.readexactly(2), await reader.readexactly(4))
        if kind != b"\x01":
            raise ConnectionError("not an AMQP 0-9-1 server")
        start = await reader.readexactly(int.from_bytes(size, "big"))
        version = re.search(rb"\x07versionS\x00\x00\x00.([0-9.]+)", start)
        return version[1].decode() if version else "of unknown version"
    finally:
        writer.close()
