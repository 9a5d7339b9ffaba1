"""RabbitMQ for the tests of the brokers.

`rabbitmq_url`: RINGDESK_TEST_RABBITMQ_URL, else a private node of the installed server, else the tests are skipped by name
(failed with RINGDESK_REQUIRE_SERVERS=1 or CI=true). `rabbitmq_node` is always private, since its tests kill, freeze and erase it.
"""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.rabbitmq_node import RabbitNode, scripts_dir


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rabbitmq_node() -> AsyncIterator[RabbitNode]:
    scripts = scripts_dir()
    if scripts is None:
        missing = "RabbitMQ is not installed (Debian: rabbitmq-server)"
        if os.environ.get("RINGDESK_REQUIRE_SERVERS") == "1" or os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    node = RabbitNode(scripts)
    try:
        await node.start()
        yield node
    finally:
        await node.close()


@pytest.fixture(scope="session")
def rabbitmq_url(request: pytest.FixtureRequest) -> str:
    url = os.environ.get("RINGDESK_TEST_RABBITMQ_URL")
    if url:
        return url
    node: RabbitNode = request.getfixturevalue("rabbitmq_node")
    return node.url
