"""People of every role at the whole service."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession

from accounts import queries as accounts
from accounts.model import User
from core.principal import Role
from infra.outbox import Tx
from tests import builders
from tests.stack import Stack


@dataclass(slots=True)
class People:
    """`people.browser(role)` is a logged-in client of a new user, `people.nobody` one without cookies."""

    stack: Stack
    nobody: ClientSession
    _opened: AsyncExitStack

    async def browser(self, role: Role = Role.AGENT, *, name: str | None = None) -> ClientSession:
        """`name`: somebody of the organisation (ava, ben, chen), in place of a new user."""
        async with self.stack.parts.resources.outbox.transaction() as tx:
            user = await self._user(tx, role, name)
            cookie, secret = await builders.a_session(tx, user, self.stack.url)
        return await self.client({"Cookie": f"{cookie}={secret}"})

    async def client(self, headers: Mapping[str, str]) -> ClientSession:
        return await self._opened.enter_async_context(ClientSession(self.stack.url, headers=headers))

    async def _user(self, tx: Tx, role: Role, name: str | None) -> User:
        if name is None:
            return await builders.a_user(tx, role=role)
        found = await accounts.user_by_email(tx.conn, email=f"{name}@example.com")
        assert found is not None
        return found


@asynccontextmanager
async def people_at(stack: Stack) -> AsyncIterator[People]:
    async with AsyncExitStack() as opened:
        nobody = await opened.enter_async_context(ClientSession(stack.url))
        yield People(stack, nobody, opened)


async def ask(
    client: ClientSession,
    method: str,
    path: str,
    *,
    body: Any = None,
    raw: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """(status, JSON, headers). `body` goes as JSON, `raw` as it is with JSON's content type."""
    sent = dict(headers or {})
    if raw is not None:
        sent.setdefault("Content-Type", "application/json")
    async with client.request(method, path, json=body, data=raw, headers=sent) as response:
        is_json = "json" in response.content_type and await response.read()
        answer = await response.json(content_type=None) if is_json else {}
        return response.status, answer, response.headers
