"""For those who run it: is it alive, is it ready, what does it measure, which version is it."""

import asyncio

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from core.errors import Unavailable
from infra.http import json_response
from infra.outbox import lag
from infra.postgres import CONNECTION_ERRORS
from infra.resources import RESOURCES
from infra.telemetry import REGISTRY, metrics


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
    try:
        async with asyncio.timeout(1):
            await r.redis.ping()
        parts["redis"] = "up"
    except Exception:
        parts["redis"] = "down"
    is_ready = parts["database"] == "up"
    status = "ok" if is_ready and set(parts.values()) == {"up"} else ("degraded" if is_ready else "down")
    return json_response({"status": status, "parts": parts}, status=200 if is_ready else 503)


async def metrics_page(request: web.Request) -> web.Response:
    """Prometheus text. No labels with ids, numbers or names."""
    r = request.config_dict[RESOURCES]
    metrics.pool_in_use.set(r.database.in_use)
    try:
        async with asyncio.timeout(2), r.database.acquire() as conn:
            due, parked = await lag(conn)
            metrics.outbox_due.set(due)
            metrics.outbox_parked.set(parked)
            for row in await conn.fetch(
                "SELECT q.key, count(i.id) AS n FROM queues q LEFT JOIN work_items i "
                "ON i.queue = q.key AND i.state IN ('queued', 'offering') GROUP BY q.key"
            ):
                metrics.waiting.labels(row["key"]).set(row["n"])
    except (Unavailable, TimeoutError, *CONNECTION_ERRORS):
        metrics.outbox_due.set(float("nan"))
    return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def version_page(request: web.Request) -> web.Response:
    return json_response({"version": request.config_dict[RESOURCES].version})


def add_operations(app: web.Application) -> None:
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics_page)
    app.router.add_get("/version", version_page)
