from collections.abc import AsyncIterator

import pytest

from tests.integration.simulator.service import World, a_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A service, a simulator that calls it, and a virtual clock."""
    async with a_world() as built:
        yield built
