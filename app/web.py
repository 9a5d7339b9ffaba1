"""The web application: API, webhooks, socket, pages. Built from parts; serving is `serve`."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Middleware
from aiohttp_remotes import XForwardedStrict

from accounts import http as accounts
from accounts import keys
from accounts.middleware import authenticate
from app.operations import add_operations
from app.parts import Parts
from cti import http_blocked as blocked
from cti import http_do_not_call as do_not_call
from cti.http import TELEPHONY, webhooks
from cti.pbx_http import pbx_webhooks
from customers import http as customers
from infra.http import HttpProblem, edge, json_response
from infra.openapi import MAX_BODY, Operation, document, mount
from infra.resources import RESOURCES
from realtime import http as desk
from realtime import http_calls as call_log
from realtime import http_missed as missed
from realtime import http_outbound as outbound
from realtime import http_pop as pops
from realtime import http_recording as recordings
from realtime import http_voicemail as voicemails
from realtime.messages import SOCKET_MODELS
from reporting import http as figures
from reporting import wall_http as wallboards
from routing import http as routing
from routing import http_rules as rules
from routing import http_transfer as transfers
from ticketing import http as tickets
from ticketing import http_many as many_tickets

BUNDLE: Final = Path(__file__).resolve().parent.parent / "web" / "dist"
PAGES: Final = (
    "/", "/login", "/desk", "/tickets", "/tickets/{id}", "/customers", "/customers/{id}", "/calls", "/numbers", "/supervisor", "/figures", "/wall", "/design",
)  # fmt: skip
OPERATOR_PATHS: Final = ("/healthz", "/readyz", "/metrics", "/version")
"""Health checks and scrapers come to a replica itself, past the proxy."""
OPERATIONS: Final[list[Operation]] = [
    *accounts.ROUTES.operations,
    *keys.ROUTES.operations,
    *desk.ROUTES.operations,
    *blocked.ROUTES.operations,
    *do_not_call.ROUTES.operations,
    *voicemails.ROUTES.operations,
    *pops.ROUTES.operations,
    *recordings.ROUTES.operations,
    *call_log.ROUTES.operations,
    *missed.ROUTES.operations,
    *outbound.ROUTES.operations,
    *routing.ROUTES.operations,
    *rules.ROUTES.operations,
    *transfers.ROUTES.operations,
    *tickets.ROUTES.operations,
    *many_tickets.ROUTES.operations,
    *customers.ROUTES.operations,
    *figures.ROUTES.operations,
    *wallboards.ROUTES.operations,
]


@lru_cache(maxsize=1)
def openapi_document(version: str) -> dict[str, Any]:
    return document(OPERATIONS, version=version, extra_models=SOCKET_MODELS)


async def build_app(parts: Parts, *, demo: web.Application | None = None) -> web.Application:
    public_url = parts.resources.public_url
    app = web.Application(
        middlewares=[*edge(public_url, proxies=_proxies(parts.settings.trusted_proxies)), authenticate],
        client_max_size=MAX_BODY,
    )
    app[RESOURCES] = parts.resources
    app[TELEPHONY] = parts.telephony
    app[desk.PHONE_BACKEND] = (
        {"backend": "simulated", "connect_url": "/demo/phone/connect"} if demo is not None else {"backend": "twilio"}
    )
    add_operations(app)
    mount(app, OPERATIONS)
    _add_document(app, parts.resources.version)
    app.add_subapp("/twilio", webhooks())
    app.add_subapp("/cti", pbx_webhooks())
    parts.server.attach(app)
    app.on_shutdown.append(lambda _: parts.server.end_all())
    _add_pages(app, with_demo=demo is not None)
    if demo is not None:
        app.add_subapp("/demo", demo)
    return app


def _proxies(trusted: str) -> list[Middleware]:
    """The library's own `setup` would put it innermost, where the session's cookie is lost with the request it was set on."""
    addresses = [address.strip() for address in trusted.split(",") if address.strip()]
    return [XForwardedStrict([addresses], white_paths=OPERATOR_PATHS).middleware] if addresses else []


def _add_document(app: web.Application, version: str) -> None:
    """Made for the first reader, in a thread: it takes a third of a second, which no start and no call should wait for."""

    async def openapi(_: web.Request) -> web.Response:
        return json_response(await asyncio.to_thread(openapi_document, version))

    async def docs(_: web.Request) -> web.Response:
        page = _docs_page(await asyncio.to_thread(openapi_document, version))
        return web.Response(text=page, content_type="text/html")

    app.router.add_get("/api/v1/openapi.json", openapi)
    app.router.add_get("/api/docs", docs)


def _docs_page(body: dict[str, Any]) -> str:
    """Readable without scripts: every operation with its rights, parameters and answers."""
    from html import escape

    rows = []
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            roles = ", ".join(operation.get("x-roles", [])) or "public"
            answers = ", ".join(operation["responses"])
            rows.append(
                f"<tr><td><code>{method.upper()}</code></td><td><code>{escape(path)}</code></td>"
                f"<td>{escape(operation['summary'])}</td><td>{escape(roles)}</td><td>{escape(answers)}</td></tr>"
            )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Ringdesk API</title>"
        "<style>body{font:15px/1.5 system-ui;margin:2rem;max-width:75rem}table{border-collapse:collapse;width:100%}"
        "td,th{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #8884;vertical-align:top}</style>"
        "<h1>Ringdesk API</h1><p>OpenAPI 3.1: <a href='/api/v1/openapi.json'>/api/v1/openapi.json</a>. Log in with "
        "<code>POST /api/v1/session</code> or send <code>Authorization: Bearer &lt;API token&gt;</code>. Errors are RFC 9457 "
        "problems with a stable <code>code</code>.</p><table><thead><tr><th>Method<th>Path<th>What<th>Roles<th>Answers</thead>"
        f"<tbody>{''.join(rows)}</tbody></table></html>"
    )


def _add_pages(app: web.Application, *, with_demo: bool) -> None:
    index = BUNDLE / "index.html"

    def application(status: int) -> web.StreamResponse:
        if not index.exists():
            return web.Response(
                text="The web bundle is not built. Run: python3 dev.py run", status=503, content_type="text/plain"
            )
        headers = {"Cache-Control": "no-cache", "Content-Type": "text/html; charset=utf-8"}
        return web.FileResponse(index, status=status, headers=headers)

    async def page(_: web.Request) -> web.StreamResponse:
        return application(200)

    def is_mistyped(request: web.Request) -> bool:
        return (
            request.method == "GET"
            and "text/html" in request.headers.get("Accept", "")
            and not request.path.startswith("/api/")
        )

    @web.middleware
    async def cached(request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)
        except web.HTTPNotFound:
            if is_mistyped(request):  # by somebody in a browser: the application says so in words, with a way back
                return application(404)
            raise
        if request.path.startswith("/assets/"):
            response.headers.setdefault("Cache-Control", "public, max-age=31536000, immutable")
        return response

    app.middlewares.append(cached)
    for path in (*PAGES, "/demo", "/demo/console") if with_demo else PAGES:
        app.router.add_get(path, page)
    if (BUNDLE / "assets").is_dir():
        app.router.add_static("/assets", BUNDLE / "assets")

    async def root_file(request: web.Request) -> web.StreamResponse:
        wanted = BUNDLE / request.match_info["name"]
        if wanted.parent != BUNDLE or not wanted.is_file():
            raise HttpProblem(404, "There is no such page.")
        return web.FileResponse(wanted)

    app.router.add_get(r"/{name:[A-Za-z0-9_-]+\.(?:svg|ico|png|webmanifest|txt)}", root_file)


@contextlib.asynccontextmanager
async def serving(app: web.Application, listener: socket.socket) -> AsyncIterator[None]:
    """Serve until the block ends; then let requests in flight finish."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=10, keepalive_timeout=75)
    await runner.setup()
    try:
        await web.SockSite(runner, listener, backlog=1024).start()
        yield
    finally:
        await runner.cleanup()
