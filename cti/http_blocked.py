"""The API of the block list."""

from typing import Final

from core.principal import LEADS
from cti import blocked
from cti import http_number_list as lists
from cti.http_number_list import ListedNumber, ListedPage, ListParams, NewListed
from infra.openapi import Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection

ROUTES: Final = Routes("calls")


@ROUTES.query("/api/v1/blocked-numbers", roles=LEADS, params=ListParams, returns=ListedPage)
async def list_blocked_numbers(conn: Connection, call: Call[ListParams]) -> ListedPage:
    """Numbers whose calls are not let in, the latest first."""
    return await lists.page(conn, call, blocked.LIST)


@ROUTES.command("POST", "/api/v1/blocked-numbers", roles=LEADS, body=NewListed, returns=ListedNumber, status=201)
async def block_number(tx: Tx, call: Call[NewListed]) -> ListedNumber:
    """Block a number. Its calls hear that we are busy; one that is blocked already takes the new reason and end."""
    return await lists.add(tx, call, blocked.LIST)


@ROUTES.command("DELETE", "/api/v1/blocked-numbers/{id}", roles=LEADS)
async def unblock_number(tx: Tx, call: Call[Nothing]) -> None:
    """Let a number's calls in again."""
    await lists.remove(tx, call, blocked.LIST)
