"""`ringdesk up`: everything in one process, with embedded servers for every address that is not set."""

import asyncio
import contextlib
import importlib
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from app.embedded import Server, embedded_postgres, embedded_valkey, find_rabbitmq, private_rabbitmq
from app.settings import Settings
from app.start import CannotStart, hidden, listen, say, say_part, stop_on_signals, uncollected

RUN_FILE: Final = "run.json"


@dataclass(frozen=True, slots=True)
class Servers:
    database_url: str
    redis_url: str
    rabbitmq_url: str | None
    broker_note: str
    embedded: tuple[Server, ...]


@contextlib.asynccontextmanager
async def servers(settings: Settings) -> AsyncIterator[Servers]:
    """Start what has no address, side by side. Explicit URLs always win."""
    database_url, redis_url, rabbitmq_url = (
        settings.secret(name) for name in ("database_url", "redis_url", "rabbitmq_url")
    )
    started: list[Server] = []
    wants_rabbit = rabbitmq_url is None and settings.broker != "local"
    binary = find_rabbitmq() if wants_rabbit else None
    if wants_rabbit and settings.broker == "rabbitmq" and binary is None:
        raise CannotStart(
            "--broker rabbitmq needs the program rabbitmq-server (Debian package rabbitmq-server) or RINGDESK_RABBITMQ_URL."
        )
    async with AsyncExitStack() as stack:
        # Entered one after the other in tasks of their own would unwind wrongly, so each start is a task and the exits stay here.
        wanted: list[tuple[str, contextlib.AbstractAsyncContextManager[Server]]] = []
        if database_url is None:
            wanted.append(("postgres", embedded_postgres(settings.data_dir)))
        if redis_url is None:
            wanted.append(("valkey", embedded_valkey(settings.data_dir)))
        if binary is not None:
            wanted.append(("rabbitmq", private_rabbitmq(settings.data_dir)))
        results = await asyncio.gather(*(stack_later(stack, manager) for _, manager in wanted), return_exceptions=True)
        for (name, _), result in zip(wanted, results, strict=True):
            if isinstance(result, BaseException):
                if name == "rabbitmq" and settings.broker == "auto":
                    say(f"  rabbitmq   did not start ({result}); the local broker serves instead")
                    continue
                raise result
            started.append(result)
            say_part(name, result.where, result.seconds, result.detail)
            if name == "postgres":
                database_url = result.url
            elif name == "valkey":
                redis_url = result.url
            else:
                rabbitmq_url = result.url
        for name, url in (
            ("postgres", settings.database_url),
            ("valkey", settings.redis_url),
            ("rabbitmq", settings.rabbitmq_url),
        ):
            if url is not None:
                say_part(name, "as configured", 0.0)
        note = _broker_note(
            wanted=settings.broker,
            serves=rabbitmq_url is not None,
            is_configured=settings.rabbitmq_url is not None,
            is_installed=find_rabbitmq() is not None,
        )
        assert database_url is not None
        assert redis_url is not None
        yield Servers(database_url, redis_url, rabbitmq_url, note, tuple(started))


def _broker_note(*, wanted: str, serves: bool, is_configured: bool, is_installed: bool) -> str:
    """Which broker serves, and how to get the other."""
    if is_configured:
        return "RabbitMQ, as configured (for the local one unset RINGDESK_RABBITMQ_URL and add --broker local)"
    if serves:
        return "RabbitMQ, a private node (for the local one in this process add --broker local)"
    other = "install rabbitmq-server"
    if is_installed:
        other = "leave out --broker local" if wanted == "local" else "see why its node did not start"
    return f"local, in this process (for RabbitMQ {other} or set RINGDESK_RABBITMQ_URL)"


async def stack_later(stack: AsyncExitStack, manager: contextlib.AbstractAsyncContextManager[Server]) -> Server:
    return await stack.enter_async_context(manager)


def _import_service() -> ModuleType:
    with uncollected():
        with hidden("aio_pika", "requests", "rich", "websocket"):  # 0.2 s
            importlib.import_module("socketio")
            importlib.import_module("structlog")
        return importlib.import_module("app.all_in_one")


async def up(settings: Settings) -> int:
    """Serve until a signal. Returns the exit code."""
    began = time.monotonic()
    stop = asyncio.Event()
    stop_on_signals(stop)
    listener = listen(settings.host, settings.port)
    port = listener.getsockname()[1]
    host = settings.host if ":" not in settings.host else f"[{settings.host}]"
    public_url = settings.public_url or f"http://{host}:{port}"
    say(f"ringdesk starts, soon at {public_url}")
    # Importing the service takes longer than a second start of the servers: one goes on beside the other.
    service = asyncio.create_task(asyncio.to_thread(_import_service), name="import")
    async with servers(settings) as found:
        code: int = await (await service).serve(settings, found, listener, public_url, stop=stop, began=began)
    return code


def write_run_file(data_dir: Path, found: Servers, public_url: str) -> None:
    """For `ringdesk doctor`: where this run's servers are. Readable by the owner only."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / RUN_FILE
    document = {
        "pid": os.getpid(),
        "public_url": public_url,
        "database_url": found.database_url,
        "redis_url": found.redis_url,
        "rabbitmq_url": found.rabbitmq_url,
        "broker": "rabbitmq" if found.rabbitmq_url else "local",
    }
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(document))
    fresh.replace(path)
