"""The API of the do-not-call list."""

from typing import Final

from core.principal import LEADS
from cti import do_not_call
from cti import http_number_list as lists
from cti.http_number_list import ListedNumber, ListedPage, ListParams, NewListed
from infra.openapi import Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection

ROUTES: Final = Routes("calls")


@ROUTES.query("/api/v1/do-not-call", roles=LEADS, params=ListParams, returns=ListedPage)
async def list_do_not_call(conn: Connection, call: Call[ListParams]) -> ListedPage:
    """Numbers that agents must not call, the latest first."""
    return await lists.page(conn, call, do_not_call.LIST)


@ROUTES.command("POST", "/api/v1/do-not-call", roles=LEADS, body=NewListed, returns=ListedNumber, status=201)
async def add_do_not_call(tx: Tx, call: Call[NewListed]) -> ListedNumber:
    """Put a number on the list; one that is there takes the new reason and end."""
    return await lists.add(tx, call, do_not_call.LIST)


@ROUTES.command("DELETE", "/api/v1/do-not-call/{id}", roles=LEADS)
async def remove_do_not_call(tx: Tx, call: Call[Nothing]) -> None:
    """Take a number off the list."""
    await lists.remove(tx, call, do_not_call.LIST)
