"""The HTTP edge shared by webhooks and API: request ids, problems (RFC 9457), security headers, the origin check.

Order of the middlewares, outermost first: request id and measuring · security headers · errors to problems · origin.
Authentication is added by app (accounts knows users); API limits and roles are checked per operation in `infra/openapi.py`.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from core.errors import Invalid, RateLimited, RingdeskError, Unavailable
from core.loopback import LOCAL_HOSTS
from infra.postgres import CONNECTION_ERRORS, RETRYABLE_ERRORS
from infra.telemetry import metrics

log = structlog.get_logger()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_ID: Final = "request_id"
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
UNSAFE_METHODS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
KNOWN_METHODS: Final = UNSAFE_METHODS | {"GET", "HEAD", "OPTIONS"}


def edge(public_url: str, *, proxies: Sequence[Middleware] = ()) -> list[Middleware]:
    """The middlewares of every application of ours, outermost first. `proxies` put the client's address in its place."""
    return [
        request_id_middleware,
        security_headers_middleware(public_url),
        problem_middleware,
        *proxies,
        origin_middleware(public_url),
    ]


def json_response(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def problem_response(error: RingdeskError, request: web.Request) -> web.Response:
    """One shape for every error. The caller's input is never echoed."""
    body = {
        "type": f"/api/docs#{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request.get(REQUEST_ID),
        **error.fields,
    }
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, RateLimited) else {}
    return web.Response(
        body=orjson.dumps(body, default=str),
        status=error.status,
        content_type="application/problem+json",
        headers=headers,
    )


_CODES: Final = {413: "too_large", 414: "too_large", 422: "invalid", 431: "too_large"}
"""Where the phrase of the status differs between Python versions: codes are stable."""


class HttpProblem(RingdeskError):
    """An error of the HTTP layer itself (404, 405, 413, 415) in the same shape."""

    def __init__(self, status: int, detail: str = "") -> None:
        phrase = HTTPStatus(status).phrase
        self.status = status  # type: ignore[misc]
        self.code = _CODES.get(status) or phrase.lower().replace(" ", "_").replace("'", "")  # type: ignore[misc]
        self.title = phrase  # type: ignore[misc]
        super().__init__(detail or f"{phrase}.")


@web.middleware
async def request_id_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give each request an id (the proxy's, if sane), carry it into logs and events, measure the answer."""
    given = request.headers.get("X-Request-Id", "")
    request_id = given if _SAFE_ID.fullmatch(given) else uuid4().hex
    request[REQUEST_ID] = request_id
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    start = monotonic()
    status = 500
    try:
        response = await handler(request)
        status = response.status
        if not response.prepared:
            response.headers["X-Request-Id"] = request_id
        return response
    finally:
        method = request.method if request.method in KNOWN_METHODS else "other"
        metrics.http_seconds.labels(_route(request), method, str(status)).observe(monotonic() - start)


def _route(request: web.Request) -> str:
    """For logs and metrics: the pattern, never the path itself, which holds what callers put there."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


@web.middleware
async def problem_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RingdeskError as error:
        if error.status >= 500:
            log.warning("request failed", code=error.code, route=_route(request))
        return problem_response(error, request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = problem_response(HttpProblem(error.status, _detail(error.status, request)), request)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except (TimeoutError, *CONNECTION_ERRORS, *RETRYABLE_ERRORS) as error:
        log.warning("request failed", error=type(error).__name__, route=_route(request))
        return problem_response(Unavailable("The service is busy or its database is away; try again."), request)
    except asyncpg.DataError as error:  # a value that no model's limit has caught and no column can hold
        log.warning("request holds a value out of range", exc_info=error, route=_route(request))
        return problem_response(Invalid("A value is out of its range."), request)
    except Exception:
        log.exception("request failed unexpectedly", route=_route(request))
        return problem_response(RingdeskError("An unexpected error; the request id finds it in the log."), request)


def _detail(status: int, request: web.Request) -> str:
    if status == 404 and request.path.startswith("/api/"):
        return "There is no such API path; see /api/docs."
    return "The request body is too large." if status == 413 else ""


def security_headers_middleware(public_url: str) -> Middleware:
    """Headers by our own preset: strict sources, but the microphone and Mantine's inline styles stay possible.

    Outside `problem_middleware`, so that errors have them too."""
    https = public_url.startswith("https:")
    sources = (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "font-src 'self' data:; media-src 'self' blob: https://*.twilio.com; worker-src 'self' blob:; "
        f"connect-src 'self' {'wss' if https else 'ws'}://{urlsplit(public_url).netloc} wss://*.twilio.com https://*.twilio.com; "
        "frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'; object-src 'none'"
    )
    headers = {
        "Content-Security-Policy": sources,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "SAMEORIGIN",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    if https:
        headers["Strict-Transport-Security"] = "max-age=31536000"

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if not response.prepared:
            for name, value in headers.items():
                response.headers.setdefault(name, value)
            if request.path.startswith("/api/"):
                response.headers.setdefault("Cache-Control", "no-store")
        return response

    return middleware


def allowed_origins(public_url: str) -> frozenset[str]:
    """PUBLIC_URL's origin as browsers spell it (lower case, default port left out); for a loopback one also its other
    loopback spellings (same machine, same port)."""
    parts = urlsplit(public_url.lower())
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    is_default = parts.port in (None, 443 if parts.scheme == "https" else 80)
    port = "" if is_default else f":{parts.port}"
    hosts = LOCAL_HOSTS if parts.scheme == "http" and host in LOCAL_HOSTS else (host,)
    return frozenset(f"{parts.scheme}://{name}{port}" for name in hosts)


def origin_middleware(public_url: str) -> Middleware:
    """Cross-site requests with the cookie are refused (no token needed with SameSite=Lax and this check).

    Unsafe methods under /api: a present Origin must be ours, a present Sec-Fetch-Site same-origin; with neither (not a
    browser), JSON content type is required when there is a body."""
    origins = allowed_origins(public_url)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method in UNSAFE_METHODS and (request.path.startswith(("/api/", "/demo/"))):
            origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
            if origin is not None and origin not in origins:
                return problem_response(HttpProblem(403, "This origin may not write here."), request)
            if site is not None and site not in ("same-origin", "none"):
                return problem_response(HttpProblem(403, "Cross-site requests may not write here."), request)
            is_form = request.content_type not in ("application/json", "application/octet-stream")
            if (
                origin is None
                and site is None
                and request.path.startswith("/api/")
                and request.can_read_body
                and is_form
            ):
                return problem_response(HttpProblem(415, "Send JSON with Content-Type: application/json."), request)
        return await handler(request)

    return middleware


def path_id(request: web.Request, name: str = "id") -> int:
    """A numeric id from the path; anything else does not exist."""
    value = request.match_info[name]
    if not value.isdecimal() or not value.isascii() or len(value) > 18:
        raise Invalid("This id is not a number.", errors=[{"field": name, "message": "must be a number"}])
    return int(value)


def client_address(request: web.Request) -> str:
    """The peer; behind a proxy aiohttp-remotes has already put the right one there."""
    return request.remote or "unknown"
