"""A floor per test, which holds every invariant when the test is over; and routing's API."""

from collections.abc import AsyncIterator

import pytest

from accounts import http as accounts
from infra.outbox import Outbox
from infra.postgres import Database
from infra.resources import Resources
from routing import http as routing
from routing import http_rules as rules
from routing import http_transfer as transfers
from tests.api import Api, serving
from tests.integration.routing.floor import Floor, a_floor


@pytest.fixture
async def floor(database: Database, outbox: Outbox, clean: None) -> AsyncIterator[Floor]:
    async with a_floor(database, outbox) as opened:
        yield opened


@pytest.fixture
async def api(floor: Floor, resources: Resources) -> AsyncIterator[Api]:
    async with serving(resources, accounts.ROUTES, routing.ROUTES, rules.ROUTES, transfers.ROUTES) as served:
        yield served
