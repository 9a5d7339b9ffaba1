"""Our storage for aiohttp-session: the cookie holds a secret, the session itself is a row in Postgres.

Rows are opened and ended by the service, in the transaction of log-in and log-out (with their audit rows). So this storage
reads on the way in, and on the way out only sets or clears the cookie.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp_session import AbstractStorage, Session

from accounts.model import SESSION_ABSOLUTE
from core.loopback import LOCAL_HOSTS
from core.principal import Principal

PRINCIPAL_FIELD: Final = "principal"
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")

FindPrincipal = Callable[[web.Request, str], Awaitable[Principal | None]]


def cookie_name(public_url: str) -> str:
    """`__Host-ringdesk` over https. Over http, allowed for loopback only, the port tells two services apart.

    Raises ValueError for http and any other host: such a cookie could be read on the way."""
    parts = urlsplit(public_url)
    if parts.scheme == "https":
        return "__Host-ringdesk"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    if parts.scheme != "http" or host not in LOCAL_HOSTS:
        raise ValueError("PUBLIC_URL must be https, or http on 127.0.0.1, localhost or [::1]")
    return f"ringdesk_{parts.port or 80}"


class PostgresSessions(AbstractStorage):
    """`find` looks a secret up. A loaded session holds its Principal under PRINCIPAL_FIELD."""

    def __init__(self, public_url: str, find: FindPrincipal) -> None:
        super().__init__(
            cookie_name=cookie_name(public_url),
            max_age=int(SESSION_ABSOLUTE.total_seconds()),
            secure=public_url.startswith("https:"),
            httponly=True,
            samesite="Lax",
            path="/",
        )
        self._find = find

    async def load_session(self, request: web.Request) -> Session:
        secret = self.load_cookie(request)
        if secret is not None and _SECRET.fullmatch(secret):
            principal = await self._find(request, secret)
            if principal is not None:
                return Session(secret, data={"session": {PRINCIPAL_FIELD: principal}}, new=False)
        return await self.new_session()

    async def save_session(self, request: web.Request, response: web.StreamResponse, session: Session) -> None:
        if session.empty or session.identity is None:
            # Not del_cookie: browsers ignore the removal of a __Host- cookie that does not say Secure.
            response.set_cookie(
                self.cookie_name,
                "",
                max_age=0,
                path="/",
                secure=self.cookie_params["secure"],
                httponly=True,
                samesite="Lax",
            )
        else:
            self.save_cookie(response, session.identity, max_age=self.max_age)
