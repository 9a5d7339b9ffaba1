"""A client of the service's HTTP interface, as a browser would use it: JSON, a session cookie, nothing inside."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp


class Refused(Exception):
    """The service answered no (4xx)."""

    def __init__(self, status: int, code: str, body: Any, retry_after_s: float | None) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code, self.body, self.retry_after_s = status, code, body, retry_after_s


class Unanswered(Exception):
    """No usable answer: it may have happened or not."""


class Api:
    """Paths are relative to the base URL. Every request has a time limit."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, timeout_s: float) -> None:
        self._session = session
        self._base = base_url.rstrip("/")
        self._timeout_s = timeout_s

    async def get(self, path: str, **query: str) -> Any:
        return await self._request("GET", path, query=query)

    async def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return await self._request("POST", path, body=body or {})

    async def put(self, path: str, body: dict[str, Any]) -> Any:
        return await self._request("PUT", path, body=body)

    async def delete(self, path: str) -> Any:
        return await self._request("DELETE", path, body={})

    async def _request(
        self, method: str, path: str, *, body: dict[str, Any] | None = None, query: dict[str, str] | None = None
    ) -> Any:
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.request(method, self._base + path, json=body, params=query) as response,
            ):
                content = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as failed:
            raise Unanswered(f"{method} {path}: {failed!r}") from failed
        decoded = _json(content)
        if response.status >= 500:
            raise Unanswered(f"{method} {path}: HTTP {response.status}")
        if response.status >= 400:
            code = str(decoded.get("code", "")) if isinstance(decoded, dict) else ""
            raise Refused(response.status, code, decoded, _seconds(response.headers.get("Retry-After")))
        return decoded


@asynccontextmanager
async def open_api(base_url: str, timeout_s: float = 10) -> AsyncIterator[Api]:
    """An own cookie jar, so each one is an own session; cookies also of bare addresses (127.0.0.1)."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        yield Api(session, base_url, timeout_s)


async def log_in(api: Api, email: str, password: str, patience_s: float = 60) -> dict[str, Any]:
    """Returns the user. Waits as told when log-ins are limited, for at most `patience_s`."""
    waited_s = 0.0
    while True:
        try:
            answer = await api.post("/api/v1/session", {"email": email, "password": password})
        except Refused as refused:
            pause_s = refused.retry_after_s or 1
            if refused.status != 429 or waited_s + pause_s > patience_s:
                raise
            waited_s += pause_s
            await asyncio.sleep(pause_s)
        else:
            user: dict[str, Any] = answer["user"]
            return user


def _json(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.isdigit() else None
