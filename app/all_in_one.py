"""What `ringdesk up` serves once its servers run: web, worker and demo in one process."""

import asyncio
import contextlib
import socket
import sys
import time
from contextlib import AsyncExitStack

from app.demo import Demo, refuse_known_passwords, seed
from app.embedded import Server
from app.parts import open_parts
from app.run import running, web_loops, worker_loops
from app.settings import Settings
from app.start import CannotStart, keep_what_started, say, say_part
from app.up import Servers, write_run_file
from app.web import build_app, serving
from infra.bus import BrokerUnavailable
from infra.migrate import migrate
from infra.telemetry import configure_logging
from routing.model import LEASE_S
from routing.queries import GRANT_LEASES


async def serve(
    settings: Settings, found: Servers, listener: socket.socket, public_url: str, *, stop: asyncio.Event, began: float
) -> int:
    """Serve until `stop` is set. Returns the exit code. `began`: when the start began, by the monotonic clock."""
    configure_logging(level=settings.log_level, json=settings.log_json)
    settings = _for_demo(settings, public_url)
    async with AsyncExitStack() as stack:
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
            await conn.execute(GRANT_LEASES, LEASE_S)
        demo = Demo(public_url, settings.basic_auth()) if settings.demo else None
        app = await build_app(parts, demo=demo.app if demo is not None else None)
        loops = [*web_loops(parts), *worker_loops(parts), ("after commit", outbox.run())]
        loops += [(f"{server.where}", _until_ended(server)) for server in found.embedded]
        failed = await stack.enter_async_context(running(loops, stop))
        stack.push_async_callback(outbox.drain, 1)
        await stack.enter_async_context(serving(app, listener))
        write_run_file(settings.data_dir, found, public_url)
        say_part("all", public_url, time.monotonic() - began)
        if demo is not None:
            say(f"open {public_url}/demo")
        say(f"ringdesk ready {public_url}")
        keep_what_started()  # a tenth of a second, for which nobody has to wait
        if demo is not None:
            stack.push_async_callback(demo.traffic.stop)
            await demo.traffic.start()
        await stop.wait()
        say("ringdesk stops")
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
