"""`ringdesk up`: everything in one process, with embedded servers for every address that is not set."""

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.demo import Demo, refuse_known_passwords, seed
from app.embedded import Server, embedded_postgres, embedded_valkey, find_rabbitmq, private_rabbitmq
from app.parts import open_parts
from app.run import keep_what_started, running, stop_on_signals, web_loops, worker_loops
from app.settings import Settings
from app.web import build_app, serving
from core.errors import RingdeskError
from infra.bus import BrokerUnavailable
from infra.migrate import migrate

RUN_FILE: Final = "run.json"


class CannotStart(RingdeskError):
    code, title = "cannot_start", "Ringdesk cannot start"


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - these lines are the command's output


def say_part(name: str, where: str, seconds: float, detail: str = "") -> None:
    say(f"  {name:<10} {where:<44} {seconds:5.1f} s{f'  {detail}' if detail else ''}")


def listen(host: str, port: int) -> socket.socket:
    """Bind first: a used port is said before anything is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotStart(
            f"Port {port} on {host} is in use or not allowed ({error.strerror}). Choose another with --port, or --port 0 for a free one."
        ) from None
    listener.setblocking(False)
    return listener


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


async def up(settings: Settings) -> int:
    """Serve until a signal. Returns the exit code."""
    began = time.monotonic()
    stop = asyncio.Event()
    stop_on_signals(stop)
    listener = listen(settings.host, settings.port)
    port = listener.getsockname()[1]
    host = settings.host if ":" not in settings.host else f"[{settings.host}]"
    public_url = settings.public_url or f"http://{host}:{port}"
    settings = _for_demo(settings, public_url)
    say(f"ringdesk starts, soon at {public_url}")
    async with AsyncExitStack() as stack:
        found = await stack.enter_async_context(servers(settings))
        await _prepare_schema(found.database_url)
        parts = await stack.enter_async_context(
            open_parts(
                settings, database_url=found.database_url, redis_url=found.redis_url, rabbitmq_url=found.rabbitmq_url, public_url=public_url
            )
        )  # fmt: skip
        outbox = parts.resources.outbox
        await refuse_known_passwords(parts.resources.database, settings.host, settings.public_url)
        at = time.monotonic()
        if settings.demo and await seed(outbox):
            say_part("demo data", "demo/org.yaml, demo/customers.csv", time.monotonic() - at)
            await parts.telephony.lines.refresh(parts.resources.database)
        at = time.monotonic()
        await _declare(parts.resources.broker, outbox.consumers)
        say_part("broker", found.broker_note, time.monotonic() - at)
        async with parts.resources.database.acquire() as conn:
            from routing.model import LEASE_S
            from routing.queries import GRANT_LEASES

            await conn.execute(GRANT_LEASES, LEASE_S)
        demo = Demo(public_url) if settings.demo else None
        app = await build_app(parts, demo=demo.app if demo is not None else None)
        loops = [*web_loops(parts), *worker_loops(parts), ("after commit", outbox.run())]
        loops += [(f"{server.where}", _until_ended(server)) for server in found.embedded]
        failed = await stack.enter_async_context(running(loops, stop))
        await stack.enter_async_context(serving(app, listener))
        write_run_file(settings.data_dir, found, public_url)
        keep_what_started()
        if demo is not None:
            stack.push_async_callback(demo.traffic.stop)
            await demo.traffic.start()
        say_part("all", public_url, time.monotonic() - began)
        if demo is not None:
            say(f"open {public_url}/demo")
        say(f"ringdesk ready {public_url}")
        await stop.wait()
        say("ringdesk stops")
    await outbox.drain(1)
    for name in failed:
        print(f"ringdesk: {name} ended unexpectedly; see the log above", file=sys.stderr)  # noqa: T201
    return 1 if failed else 0


def _for_demo(settings: Settings, public_url: str) -> Settings:
    if settings.demo and settings.twilio_api_base is None and settings.twilio_accounts is None:
        return settings.model_copy(update={"twilio_api_base": f"{public_url}/demo/twilio"})
    return settings


async def _prepare_schema(url: str) -> None:
    at = time.monotonic()
    applied = await migrate(url)
    if applied:
        say_part("schema", f"{applied} migrations applied", time.monotonic() - at)


async def _declare(broker: object, consumers: object) -> None:
    """RabbitMQ may still be on its way when its address was given; publishing and consuming wait for it by themselves."""
    with contextlib.suppress(BrokerUnavailable):
        await broker.declare(consumers, [])  # type: ignore[attr-defined]


async def _until_ended(server: Server) -> None:
    raise CannotStart(await server.ended())


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
