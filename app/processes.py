"""`ringdesk web` and `ringdesk worker`: the same parts in processes of their own."""

import asyncio
import contextlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

import structlog

from app.demo import refuse_known_passwords
from app.operations import operations_app
from app.parts import Parts, open_parts
from app.run import running, web_loops, worker_loops
from app.settings import Settings
from app.start import keep_what_started, listen, say, stop_on_signals
from app.web import build_app, serving
from infra.bus import BrokerUnavailable
from infra.migrate import require_schema
from infra.telemetry import watch_loop
from routing.model import LEASE_S
from routing.queries import GRANT_LEASES

log = structlog.get_logger()
DECLARE_EVERY_S: Final = 2


async def _declare(parts: Parts) -> None:
    """Until the broker has answered once; a topology that does not fit ends the process with its message."""
    while True:
        try:
            await parts.resources.broker.declare(parts.resources.outbox.consumers, [])
        except BrokerUnavailable:
            log.warning("broker not reachable; deliveries wait in the database")
            await asyncio.sleep(DECLARE_EVERY_S)
        else:
            await asyncio.Event().wait()


async def web(settings: Settings, database_url: str, redis_url: str, rabbitmq_url: str) -> int:
    stop = asyncio.Event()
    stop_on_signals(stop)
    listener = listen(settings.host, settings.port)
    await require_schema(database_url)
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(
            open_parts(
                settings, database_url=database_url, redis_url=redis_url, rabbitmq_url=rabbitmq_url,
                public_url=settings.public_url or "", relay=False,
            )
        )  # fmt: skip
        await refuse_known_passwords(parts.resources.database, settings.host, settings.public_url)
        async with parts.resources.database.acquire() as conn:
            await conn.execute(GRANT_LEASES, LEASE_S)
        app = await build_app(parts)
        loops = [*web_loops(parts), ("after commit", parts.resources.outbox.run()), ("topology", _declare(parts))]
        failed = await stack.enter_async_context(running(loops, stop))
        stack.push_async_callback(parts.resources.outbox.drain, 1)
        await stack.enter_async_context(serving(app, listener))
        keep_what_started()
        say(f"ringdesk web ready {listener.getsockname()[1]}")
        await stop.wait()
    return 1 if failed else 0


async def worker(settings: Settings, database_url: str, redis_url: str, rabbitmq_url: str, roles: Sequence[str]) -> int:
    stop = asyncio.Event()
    stop_on_signals(stop)
    await require_schema(database_url)
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(
            open_parts(
                settings, database_url=database_url, redis_url=redis_url, rabbitmq_url=rabbitmq_url,
                public_url=settings.public_url or "",
            )
        )  # fmt: skip
        loops = [
            *worker_loops(parts, roles),
            ("after commit", parts.resources.outbox.run()),
            ("lines", parts.telephony.lines.keep(parts.resources.database)),
            ("connections", parts.telephony.connections.keep(parts.resources.database)),
            ("topology", _declare(parts)),
            ("loop watch", watch_loop()),
        ]
        if settings.metrics_port is not None:
            listener = listen(settings.host, settings.metrics_port)
            await stack.enter_async_context(serving(operations_app(parts.resources), listener))
            say(f"  operations http://{settings.host}:{listener.getsockname()[1]}/metrics")
        failed = await stack.enter_async_context(running(loops, stop))
        stack.push_async_callback(parts.resources.outbox.drain, 1)
        keep_what_started()
        say("ringdesk worker ready")
        with contextlib.suppress(asyncio.CancelledError):
            await stop.wait()
    return 1 if failed else 0
