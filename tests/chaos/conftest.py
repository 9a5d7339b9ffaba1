"""One deployment of real processes for all tests of this folder: it takes longer to start than most faults take to strike."""

import os
from collections.abc import AsyncIterator

import pytest

from tests.chaos.stack import Stack, running_stack
from tests.rabbitmq_node import scripts_dir


@pytest.fixture(scope="session")
async def _stack() -> AsyncIterator[Stack]:
    scripts = scripts_dir()
    if scripts is None:
        why = "RabbitMQ is not installed: the faults of a whole deployment are not tried"
        if os.environ.get("RINGDESK_REQUIRE_SERVERS") == "1" or os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    async with running_stack(scripts) as started:
        yield started


@pytest.fixture
async def stack(_stack: Stack) -> AsyncIterator[Stack]:
    """Whole before and after, whatever a failing test has left."""
    await _stack.heal()
    yield _stack
    await _stack.heal()
