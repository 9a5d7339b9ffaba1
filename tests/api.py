"""The API served as in production (same middlewares, same order) on a free loopback port, and browsers to ask it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import ClientSession, CookieJar, web
from aiohttp.test_utils import TestServer, unused_port

from accounts.middleware import authenticate
from core.principal import Role
from infra.http import edge
from infra.openapi import Operation, Routes, mount
from infra.resources import RESOURCES, Resources
from tests import builders


@dataclass(slots=True)
class Api:
    url: str
    resources: Resources
    operations: list[Operation]
    _stack: AsyncExitStack

    async def browser(self, **headers: str) -> ClientSession:
        """A client with its own cookies; every request of it carries `headers`."""
        session = ClientSession(self.url, cookie_jar=CookieJar(unsafe=True), headers=headers)
        return await self._stack.enter_async_context(session)

    async def logged_in(self, role: Role = Role.AGENT, **fields: Any) -> ClientSession:
        """The browser of a new user with a session. `fields` as for builders.a_user."""
        async with self.resources.outbox.transaction() as tx:
            user = await builders.a_user(tx, role=role, **fields)
            name, secret = await builders.a_session(tx, user, self.resources.public_url)
        return await self.browser(Cookie=f"{name}={secret}")


@asynccontextmanager
async def serving(resources: Resources, *routes: Routes, public_url: str | None = None) -> AsyncIterator[Api]:
    """Serve these routes until the end of the block, under a `public_url` with the port that was free if none is given."""
    port = unused_port()
    url = f"http://127.0.0.1:{port}"
    resources = replace(resources, public_url=public_url or url)
    app = web.Application(middlewares=[*edge(resources.public_url), authenticate])
    app[RESOURCES] = resources
    operations = [operation for package in routes for operation in package.operations]
    mount(app, operations)
    async with AsyncExitStack() as stack:
        server = TestServer(app, port=port)
        await server.start_server()
        stack.push_async_callback(server.close)
        yield Api(url, resources, operations, stack)
