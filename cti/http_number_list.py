"""What the APIs of all lists of numbers have in common."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from core.principal import actor_of
from cti import number_list
from cti.number_list import Listed, NumberList
from infra.openapi import ApiModel, ApiQuery, Call, Nothing
from infra.outbox import Tx
from infra.postgres import Connection
from infra.shapes import Region

Typed = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class ListParams(ApiQuery):
    """`number`: a part of it, in any spelling."""

    number: Typed | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[int, Field(ge=1, lt=2**63)] | None = None


class NewListed(ApiModel):
    """`region` (US, DE, …) is for a number that is not written with +. Without `expires_at` it counts until somebody removes it."""

    number: Typed
    region: Region | None = None
    reason: Reason
    expires_at: AwareDatetime | None = None


class ListedNumber(BaseModel):
    id: int
    number: str
    reason: str
    added_by: str
    added_at: datetime
    expires_at: datetime | None


class ListedPage(BaseModel):
    items: list[ListedNumber]
    next_cursor: str | None


def _shown(listed: Listed) -> ListedNumber:
    return ListedNumber.model_validate(listed, from_attributes=True)


async def page(conn: Connection, call: Call[ListParams], of: NumberList) -> ListedPage:
    limit = call.data.limit
    found = await number_list.page(conn, of, before=call.data.cursor, limit=limit + 1, holding=call.data.number)
    items = [_shown(each) for each in found[:limit]]
    return ListedPage(items=items, next_cursor=str(items[-1].id) if len(found) > limit else None)


async def add(tx: Tx, call: Call[NewListed], to: NumberList) -> ListedNumber:
    data = call.data
    return _shown(
        await number_list.add(
            tx, to, number=data.number, region=data.region, reason=data.reason, expires_at=data.expires_at,
            actor=actor_of(call.who),
        )
    )  # fmt: skip


async def remove(tx: Tx, call: Call[Nothing], of: NumberList) -> None:
    await number_list.remove(tx, of, listed_id=call.id(), actor=actor_of(call.who))
