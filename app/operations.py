"""For those who run it: is it alive, is it ready, what does it measure, which version is it."""

import asyncio

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from core.errors import Unavailable
from infra.http import json_response
from infra.outbox import lag
from infra.postgres import CONNECTION_ERRORS
from infra.resources import RESOURCES, Resources
from infra.telemetry import REGISTRY, metrics
from infra.timers import overdue_s
from routing import queries as sql


async def healthz(_: web.Request) -> web.Response:
    """The process answers."""
    return json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """The database answers. Broker and Redis are named, but missing ones only degrade: calls are still answered."""
    r = request.config_dict[RESOURCES]
    parts: dict[str, str] = {}
    try:
        async with asyncio.timeout(2), r.database.acquire() as conn:
            await conn.fetchval("SELECT 1")
        parts["database"] = "up"
    except (Unavailable, TimeoutError, *CONNECTION_ERRORS):
        parts["database"] = "down"
    parts["broker"] = "up" if r.broker.health().is_up else "down"
    parts["redis"] = "up" if await _redis_answers(r) else "down"
    is_ready = parts["database"] == "up"
    status = "ok" if is_ready and set(parts.values()) == {"up"} else ("degraded" if is_ready else "down")
    return json_response({"status": status, "parts": parts}, status=200 if is_ready else 503)


async def metrics_page(request: web.Request) -> web.Response:
    """Prometheus text. No labels with ids, numbers or names of people."""
    r = request.config_dict[RESOURCES]
    metrics.build.info({"version": r.version})
    metrics.pool_size.set(r.database.size)
    metrics.pool_in_use.set(r.database.in_use)
    metrics.up.labels("broker").set(r.broker.health().is_up)
    metrics.up.labels("redis").set(await _redis_answers(r))
    metrics.up.labels("database").set(await _measure_database(r))
    return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _measure_database(r: Resources) -> bool:
    """Set what the database knows. With the database away nothing of it is told, rather than something old."""
    try:
        async with asyncio.timeout(2), r.database.acquire() as conn:
            owed, late_s = await lag(conn), await overdue_s(conn)
            queues, pools = await conn.fetch(sql.QUEUE_FIGURES), await conn.fetch(sql.POOL_FIGURES)
    except (Unavailable, TimeoutError, *CONNECTION_ERRORS):
        _forget_labels()
        for single in (metrics.outbox_due, metrics.outbox_parked, metrics.outbox_lag, metrics.timers_overdue):
            single.set(float("nan"))
        return False
    _forget_labels()
    metrics.outbox_due.set(owed.undone)
    metrics.outbox_parked.set(owed.parked)
    metrics.outbox_lag.set(owed.lag_s)
    metrics.timers_overdue.set(late_s)
    for row in queues:
        metrics.waiting.labels(row["key"]).set(row["waiting"])
        metrics.longest_wait.labels(row["key"]).set(row["longest_wait_s"])
        metrics.deserted.labels(row["key"]).set(row["is_deserted"])
    for row in pools:
        metrics.agents_free.labels(row["pool_id"]).set(row["free"])
    return True


def _forget_labels() -> None:
    for by_label in (metrics.waiting, metrics.longest_wait, metrics.deserted, metrics.agents_free):
        by_label.clear()


async def _redis_answers(r: Resources) -> bool:
    try:
        async with asyncio.timeout(1):
            await r.redis.ping()
    except Exception:
        return False
    return True


async def version_page(request: web.Request) -> web.Response:
    return json_response({"version": request.config_dict[RESOURCES].version})


def add_operations(app: web.Application) -> None:
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics_page)
    app.router.add_get("/version", version_page)


def operations_app(resources: Resources) -> web.Application:
    """Only these pages, for a process that serves nothing else."""
    app = web.Application()
    app[RESOURCES] = resources
    add_operations(app)
    return app
