"""The API of wallboards: supervisors make and revoke their links; a screen on the wall asks with the secret of its link alone."""

from datetime import datetime
from typing import Annotated, Final

from aiohttp import web
from limits import parse
from pydantic import BaseModel, StringConstraints

from core.principal import LEADS
from core.texts import Text
from infra.http import client_address, json_response
from infra.openapi import PUBLIC, ApiModel, Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection
from reporting import wall
from reporting.shared import SharedReadings, readings_of
from routing.live import board
from routing.messages import ServiceLevel

ROUTES: Final = Routes("wallboards")
TOKEN: Final = "X-Wallboard-Token"  # noqa: S105 - the name of a header
PER_BOARD: Final = parse("600 per minute")
"""A link may hang on several walls; each asks once a second."""
WRONG_PER_ADDRESS: Final = parse("60 per 5 minutes")

Label = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$")]


class WallboardOut(BaseModel):
    id: int
    label: str
    created_by: str
    created_at: datetime


class WallboardList(BaseModel):
    items: list[WallboardOut]


class NewWallboard(ApiModel):
    label: Label


class NewWallboardOut(WallboardOut):
    """`token` is shown this once; the screen's address is /wall#token."""

    token: str


class WallQueue(BaseModel):
    """Counts and times of a queue, nobody's name or number."""

    key: str
    name: Text
    is_held: bool
    waiting: int
    longest_wait_s: float | None
    agents_available: int
    agents_signed_in: int
    answered_today: int
    abandoned_today: int
    service_level: ServiceLevel


class WallTotal(BaseModel):
    """Of all queues shown: sums, the longest wait, Σ numerators and Σ denominators of the service level."""

    waiting: int
    longest_wait_s: float | None
    answered_today: int
    abandoned_today: int
    numerator: int
    denominator: int


class Wall(BaseModel):
    as_of: datetime
    total: WallTotal
    queues: list[WallQueue]


@ROUTES.query("/api/v1/wallboards", roles=LEADS, returns=WallboardList)
async def list_wallboards(conn: Connection, _: Call[Nothing]) -> WallboardList:
    """The links that work, the newest first; their secrets are not kept."""
    return WallboardList(items=[_shown(each) for each in await wall.wallboards(conn)])


@ROUTES.command("POST", "/api/v1/wallboards", roles=LEADS, body=NewWallboard, returns=NewWallboardOut, status=201)
async def create_wallboard(tx: Tx, call: Call[NewWallboard]) -> web.Response:
    """A link for a screen on the wall; its secret is shown this once."""
    made, secret = await wall.create(tx, label=call.data.label, who=call.who)
    # A finished response is not kept for repeats of an Idempotency-Key: the secret would be stored.
    out = NewWallboardOut(**_shown(made).model_dump(), token=secret)
    return json_response(out.model_dump_json().encode(), status=201)


@ROUTES.command("DELETE", "/api/v1/wallboards/{id}", roles=LEADS, errors=("404",))
async def revoke_wallboard(tx: Tx, call: Call[Nothing]) -> None:
    """The link shows nothing any more."""
    await wall.revoke(tx, call.id(), who=call.who)


@ROUTES.query("/api/v1/wall", roles=PUBLIC, returns=Wall, errors=("403", "429"))
async def show_wall(conn: Connection, call: Call[Nothing]) -> Wall:
    """What a wallboard shows, for the secret of its link in the header X-Wallboard-Token."""
    limiter, request = call.resources.limiter, call.request
    try:
        wallboard_id = await wall.wallboard_with(conn, request.headers.get(TOKEN))
    except wall.WallboardUnknown:
        # Only links that do not work are counted: a revoked screen must not darken the others behind the same address.
        await limiter.hit(WRONG_PER_ADDRESS, "wall", client_address(request))
        raise
    await limiter.hit_in_lots(PER_BOARD, "wallboard", str(wallboard_id))
    readings: SharedReadings[Wall] = readings_of(call.resources.outbox)
    return await readings.get("wall", lambda: _read(conn, call.resources.clock.now()))


async def _read(conn: Connection, now: datetime) -> Wall:
    """Queues of calls. Tickets have no service level and nobody looks up when one waits."""
    stats = [queue for queue in await board(conn, now=now, agent_id=None) if queue.channel == "voice"]
    return Wall(
        as_of=now,
        total=WallTotal.model_validate(wall.total_of(stats), from_attributes=True),
        queues=[
            WallQueue(
                key=queue.key,
                name=queue.name,
                is_held=queue.held_since is not None,
                waiting=queue.waiting,
                longest_wait_s=queue.longest_wait_s,
                agents_available=queue.agents_available,
                agents_signed_in=queue.agents_signed_in,
                answered_today=queue.answered_today,
                abandoned_today=queue.abandoned_today,
                service_level=queue.service_level,
            )
            for queue in stats
        ],
    )


def _shown(each: wall.Wallboard) -> WallboardOut:
    return WallboardOut.model_validate(each, from_attributes=True)
