"""The API of the block list."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from core.principal import LEADS, actor_of
from cti import blocked
from cti import queries as sql
from infra.openapi import ApiModel, ApiQuery, Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection
from infra.shapes import Region

ROUTES: Final = Routes("calls")
Typed = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class BlockedParams(ApiQuery):
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[int, Field(ge=1, lt=2**63)] | None = None


class NewBlocked(ApiModel):
    """`region` (US, DE, …) is for a number that is not written with +. Without `expires_at` it is blocked until somebody removes it."""

    number: Typed
    region: Region | None = None
    reason: Reason
    expires_at: AwareDatetime | None = None


class BlockedNumber(BaseModel):
    id: int
    number: str
    reason: str
    added_by: str
    added_at: datetime
    expires_at: datetime | None


class BlockedPage(BaseModel):
    items: list[BlockedNumber]
    next_cursor: str | None


def _shown(found: blocked.Blocked) -> BlockedNumber:
    return BlockedNumber.model_validate(found, from_attributes=True)


@ROUTES.query("/api/v1/blocked-numbers", roles=LEADS, params=BlockedParams, returns=BlockedPage)
async def list_blocked_numbers(conn: Connection, call: Call[BlockedParams]) -> BlockedPage:
    """Numbers whose calls are not let in, the latest first."""
    rows = await conn.fetch(sql.BLOCKED, call.data.cursor, call.data.limit + 1)
    items = [_shown(blocked.Blocked(**dict(row))) for row in rows[: call.data.limit]]
    return BlockedPage(items=items, next_cursor=str(items[-1].id) if len(rows) > call.data.limit else None)


@ROUTES.command("POST", "/api/v1/blocked-numbers", roles=LEADS, body=NewBlocked, returns=BlockedNumber, status=201)
async def block_number(tx: Tx, call: Call[NewBlocked]) -> BlockedNumber:
    """Block a number. Its calls hear that we are busy; one that is blocked already takes the new reason and end."""
    data = call.data
    return _shown(
        await blocked.add(
            tx, number=data.number, region=data.region, reason=data.reason, expires_at=data.expires_at,
            actor=actor_of(call.who),
        )
    )  # fmt: skip


@ROUTES.command("DELETE", "/api/v1/blocked-numbers/{id}", roles=LEADS)
async def unblock_number(tx: Tx, call: Call[Nothing]) -> None:
    """Let a number's calls in again."""
    await blocked.remove(tx, blocked_id=call.id(), actor=actor_of(call.who))
