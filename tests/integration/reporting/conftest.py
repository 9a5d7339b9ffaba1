"""A floor whose figures are right when the test is over, and the API of reporting."""

from collections.abc import AsyncIterator

import pytest

from infra.outbox import Outbox
from infra.postgres import Database
from infra.resources import Resources
from reporting import http as reporting
from tests.api import Api, serving
from tests.integration.reporting.books import Books
from tests.integration.routing.floor import Floor, a_floor


@pytest.fixture
async def floor(database: Database, outbox: Outbox, clean: None) -> AsyncIterator[Floor]:
    async with a_floor(database, outbox) as opened:
        yield opened


@pytest.fixture
def books(floor: Floor) -> Books:
    return Books(floor)


@pytest.fixture
async def api(floor: Floor, resources: Resources) -> AsyncIterator[Api]:
    async with serving(resources, reporting.ROUTES) as served:
        yield served
