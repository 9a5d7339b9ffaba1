import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import ClientSession

from accounts import queries as accounts
from core.principal import Role
from realtime import push
from tests import builders
from tests.integration.realtime.desks import Person
from tests.stack import Stack

People = Callable[..., Awaitable[Person]]


@pytest.fixture
async def live(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    """The stack with its desks served: greetings, repeats, boards (more often than in earnest), leases."""
    monkeypatch.setattr(push, "BOARD_S", 0.1)
    loop = asyncio.create_task(stack.parts.push.run())
    yield stack
    has_ended = loop.done()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    assert not has_ended, "the desks' loops have ended"


@pytest.fixture
async def person(live: Stack) -> AsyncIterator[People]:
    """`await person("ava")` of the organisation, or a new one: `await person(role=Role.SUPERVISOR)`."""
    opened: list[ClientSession] = []

    async def log_in(name: str | None = None, *, role: Role = Role.AGENT) -> Person:
        async with live.parts.resources.outbox.transaction() as tx:
            user = None if name is None else await accounts.user_by_email(tx.conn, email=f"{name}@example.com")
            user = user or await builders.a_user(tx, role=role)
            cookie, secret = await builders.a_session(tx, user, live.url)
        browser, session = ClientSession(live.url, headers={"Cookie": f"{cookie}={secret}"}), ClientSession()
        opened.extend((browser, session))
        return Person(user.id, live, browser, session)

    yield log_in
    for each in opened:
        await each.close()
