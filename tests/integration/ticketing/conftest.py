"""The API of tickets beside the ones it stands on."""

from collections.abc import AsyncIterator

import pytest

from accounts import http as accounts
from customers import http as customers
from infra.resources import Resources
from tests.api import Api, serving
from ticketing import http as ticketing
from ticketing import http_many


@pytest.fixture
async def api(resources: Resources, clean: None) -> AsyncIterator[Api]:
    async with serving(resources, accounts.ROUTES, customers.ROUTES, ticketing.ROUTES, http_many.ROUTES) as served:
        yield served
