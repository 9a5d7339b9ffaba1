"""Fixtures for everybody: real servers, a database per test process, transactions that roll back, an API over HTTP.

Most tests take `tx` and leave nothing behind. Tests that commit (outbox, consumers, HTTP) also take `clean`, which empties
every table afterwards. Servers come from RINGDESK_TEST_DATABASE_URL and RINGDESK_TEST_REDIS_URL, else the embedded ones are started.
A server that cannot run here skips its tests by name; with RINGDESK_REQUIRE_SERVERS=1 or CI=true it fails them.
"""

import os
import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import pytest
from redis.asyncio import Redis

from accounts import http as accounts
from customers import http as customers
from infra.local_broker import LocalBroker
from infra.outbox import Outbox, Tx
from infra.postgres import Connection, Database, open_database
from infra.ratelimit import RateLimiter
from infra.resources import Resources
from tests.api import Api, serving
from tests.servers import DELETE_ALL, Addresses, ServerMissing, Servers, fresh_database

if TYPE_CHECKING:
    from tests.stack import Stack

# Chosen once and inherited by xdist's processes, which must all collect the same tests.
os.environ.setdefault("RINGDESK_CHAOS_SEED", str(random.SystemRandom().randrange(1_000_000)))

SERVERS: Final = pytest.StashKey[Servers]()
ADDRESSES: Final = "ringdesk_addresses"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SERVERS] = Servers()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[SERVERS].stop()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side, a long test that comes last is waited for: those of `bench/` come first, the others in their random order."""
    items.sort(key=lambda item: item.path.parent.name != "bench")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """With xdist the first process starts the servers and tells the others where they are."""
    try:
        found = _addresses(node.config)
    except ServerMissing as error:
        node.workerinput[ADDRESSES] = str(error)
    else:
        node.workerinput[ADDRESSES] = (found.postgres, found.redis)


def _addresses(config: pytest.Config) -> Addresses:
    told = getattr(config, "workerinput", {}).get(ADDRESSES)
    if isinstance(told, str):
        raise ServerMissing(told)
    if told is not None:
        return Addresses(*told)
    postgres, redis = (os.environ.get(f"RINGDESK_TEST_{name}_URL") for name in ("DATABASE", "REDIS"))
    if postgres and redis:
        return Addresses(postgres, redis)
    embedded = config.stash[SERVERS].addresses()
    return Addresses(postgres or embedded.postgres, redis or embedded.redis)


@pytest.fixture(scope="session")
def addresses(request: pytest.FixtureRequest) -> Addresses:
    try:
        return _addresses(request.config)
    except ServerMissing as error:
        if os.environ.get("RINGDESK_REQUIRE_SERVERS") == "1" or os.environ.get("CI") == "true":
            pytest.fail(f"{error}")
        pytest.skip(f"{error}")


@pytest.fixture(scope="session")
async def database_url(addresses: Addresses) -> str:
    """This test process's own database, migrated."""
    return await fresh_database(addresses.postgres, f"ringdesk_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")


@pytest.fixture(scope="session")
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, size=10, application="ringdesk tests") as opened:
        yield opened


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Connection]:
    """A connection outside any transaction: what it writes stays, so take `clean` as well."""
    async with database.acquire() as connection:
        yield connection


@pytest.fixture
async def broker() -> AsyncIterator[LocalBroker]:
    async with LocalBroker() as opened:
        yield opened


@pytest.fixture
def outbox(database: Database, broker: LocalBroker) -> Outbox:
    """Without reactions; `outbox.react(...)` gives it some."""
    return Outbox(database, broker)


@pytest.fixture
async def tx(database: Database, outbox: Outbox) -> AsyncIterator[Tx]:
    """An open transaction that is rolled back. `tx.events` holds what was published."""
    async with database.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            yield Tx(connection, database.clock.now(), "test-request", outbox)
        finally:
            await transaction.rollback()


@pytest.fixture
async def clean(database: Database) -> AsyncIterator[None]:
    """For tests that commit: every table is emptied afterwards."""
    yield
    async with database.acquire() as connection:
        await connection.execute(DELETE_ALL)


@pytest.fixture(scope="session")
def redis_url(addresses: Addresses) -> str:
    """This test process's own numbered database of the one Redis."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return f"{addresses.redis}?db={number}" if number else addresses.redis


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """An empty Redis."""
    client = Redis.from_url(redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
def resources(database: Database, outbox: Outbox, broker: LocalBroker, redis: Redis) -> Resources:
    return Resources(
        database=database,
        outbox=outbox,
        broker=broker,
        redis=redis,
        limiter=RateLimiter(None),
        public_url="http://127.0.0.1:8080",
        version="test",
        replica="test",
    )


@pytest.fixture
async def api(resources: Resources, clean: None) -> AsyncIterator[Api]:
    """The API of accounts and customers over HTTP. `api.browser()` has its own cookies; `await api.logged_in(...)` a session."""
    async with serving(resources, accounts.ROUTES, customers.ROUTES) as served:
        yield served


@pytest.fixture
async def stack(database_url: str, redis_url: str, redis: Redis, clean: None) -> AsyncIterator["Stack"]:
    """The whole service with the simulator as its provider; see tests/stack.py. The invariants hold when the test is over.

    Redis is empty: it would still count what another test has asked from the same address against this one's limits."""
    from tests.stack import running_stack  # 0.5 s to import, and most tests need none of it

    async with running_stack(database_url, redis_url) as running:
        yield running
        await running.settle_down()
        assert await running.broken() == {}
