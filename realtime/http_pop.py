"""The API of the pop: read it again, how soon pops are painted, what rang and went elsewhere, what still needs a result.

How soon is a service level: of each layer, how many were on the screen in time, and how much of the budget is used. Measured in the agents' browsers, from the assignment to the frame that shows the layer; a window that nobody looks at paints nothing and reports
nothing. What a pop does not have (a caller whom nobody knows has no history) is not counted for it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from accounts.audit import audit
from core.errors import Invalid, NotFound
from core.principal import LEADS, STAFF, actor_of
from core.texts import Text
from infra.openapi import ApiModel, ApiQuery, Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection
from realtime import pop
from realtime import queries as sql
from realtime.http_calls import TicketRef
from realtime.messages import Layer, ScreenPop
from realtime.sources import ASKED_WITHIN_S
from routing import late_result
from ticketing.model import Named

ROUTES: Final = Routes("desk")
DEADLINES_MS: Final[Mapping[Layer, int]] = {"identity": 300, "reason": 600, "context": 1000, "depth": 2000}
TARGET: Final = 0.95
"""So many of a hundred are to be on the screen in time; the rest is the budget for errors."""


LOST_WITHIN: Final = timedelta(hours=24)


@ROUTES.query("/api/v1/offers/{id}/pop", roles=STAFF, returns=ScreenPop)
async def read_pop(conn: Connection, call: Call[Nothing]) -> ScreenPop:
    """One's own offer or call as it is now, with more patience for sources that were too slow for the push (`holes`)."""
    is_mine = await conn.fetchval(sql.OFFER_FOR, call.id(), call.who.user_id)
    found = await pop.screen_pop(conn, offer_id=call.id(), within_s=ASKED_WITHIN_S) if is_mine else None
    if found is None:
        raise NotFound("There is no such offer of yours, or it is over.")
    return found


class LayerLevel(BaseModel):
    """`level` and the percentiles are null where nothing was reported. `budget_used`: late ones, in parts of those that may be late;
    above 1 the target is missed."""

    layer: Layer
    deadline_ms: int
    count: int
    within: int
    level: float | None
    budget_used: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class PopLevel(BaseModel):
    """`offers`: made in this time to agents with a desk; `reported`: those of them whose browser said when the first layer was painted."""

    since: datetime
    as_of: datetime
    target: float
    offers: int
    reported: int
    layers: list[LayerLevel]


class PopLevelParams(ApiQuery):
    minutes: Annotated[int, Field(ge=1, le=1440, description="how far back from now")] = 60


@ROUTES.query("/api/v1/pop-level", roles=LEADS, params=PopLevelParams, returns=PopLevel)
async def read_level(conn: Connection, call: Call[PopLevelParams]) -> PopLevel:
    """How soon pops were painted in the last minutes, by layer, against the deadlines 0.3, 0.6, 1 and 2 s."""
    now = call.resources.clock.now()
    since = now - timedelta(minutes=call.data.minutes)
    found = {row["layer"]: row for row in await conn.fetch(sql.POP_LEVEL, since, list(DEADLINES_MS), _limits())}
    offers = await conn.fetchrow(sql.POPS_REPORTED, since)
    assert offers is not None
    return PopLevel(
        since=since,
        as_of=now,
        target=TARGET,
        offers=offers["offers"],
        reported=offers["reported"],
        layers=[level_of(layer, limit, found.get(layer)) for layer, limit in DEADLINES_MS.items()],
    )


def _limits() -> list[float]:
    return [float(limit) for limit in DEADLINES_MS.values()]


def level_of(layer: Layer, deadline_ms: int, row: Any | None) -> LayerLevel:
    count, within = (0, 0) if row is None else (row["painted"], row["within"])
    late = count - within
    return LayerLevel(
        layer=layer,
        deadline_ms=deadline_ms,
        count=count,
        within=within,
        level=within / count if count else None,
        budget_used=late / (count * (1 - TARGET)) if count else None,
        p50_ms=None if row is None else row["p50"],
        p95_ms=None if row is None else row["p95"],
        p99_ms=None if row is None else row["p99"],
    )


class PastCall(BaseModel):
    """`from` is null when withheld or unreadable."""

    offer_id: int
    call_id: int
    queue_name: Text
    number: str | None
    ended_at: datetime
    ticket: TicketRef | None
    customer: Named | None


class LostOffer(PastCall):
    """`outcome` and `reason` as in `offer_ended`; `by`: who took it instead; `match`: what the number told."""

    outcome: str
    reason: str
    by: str | None
    match: str | None


class LostOffers(BaseModel):
    items: list[LostOffer]


@ROUTES.query("/api/v1/desk/lost-offers", roles=STAFF, returns=LostOffers)
async def lost_offers(conn: Connection, call: Call[Nothing]) -> LostOffers:
    """The last calls that rang at this desk and went elsewhere, of the last day, latest first."""
    rows = await conn.fetch(sql.LOST_OFFERS, call.who.user_id, call.resources.clock.now() - LOST_WITHIN)
    return LostOffers(
        items=[
            LostOffer(**_past(row), outcome=row["state"], reason=row["reason"] or "", by=row["by"], match=row["match"])
            for row in rows
        ]
    )


def _past(row: Any) -> dict[str, Any]:
    return {
        "offer_id": row["offer_id"],
        "call_id": row["call_id"],
        "queue_name": row["queue_name"],
        "number": pop.shown_number(row),
        "ended_at": row["ended_at"],
        "ticket": None if row["ticket_id"] is None else TicketRef(id=row["ticket_id"], number=row["ticket_number"]),
        "customer": None if row["customer_id"] is None else Named(id=row["customer_id"], name=row["customer_name"]),
    }


class WithoutResult(PastCall):
    queue: str
    subject: str | None


class CallsWithoutResult(BaseModel):
    items: list[WithoutResult]


@ROUTES.query("/api/v1/desk/without-result", roles=STAFF, returns=CallsWithoutResult)
async def without_result(conn: Connection, call: Call[Nothing]) -> CallsWithoutResult:
    """One's own calls of the last days that ended without a result, latest first. They hold nobody up."""
    since = call.resources.clock.now() - late_result.WITHIN
    rows = await conn.fetch(sql.WITHOUT_RESULT, call.who.user_id, since)
    return CallsWithoutResult(
        items=[WithoutResult(**_past(row), queue=row["queue"], subject=row["subject"]) for row in rows]
    )


class ResultIn(ApiModel):
    """null takes the result back."""

    disposition: Annotated[str, Field(max_length=60)] | None


class ResultSet(BaseModel):
    call_id: int
    disposition: str | None
    before: str | None


@ROUTES.command("PUT", "/api/v1/calls/{id}/result", roles=STAFF, body=ResultIn, returns=ResultSet)
async def set_result(tx: Tx, call: Call[ResultIn]) -> ResultSet:
    """The result of one's call.

    Until it is finished: the choice so far, which stands whatever ends the call. Afterwards: one that is missing, or within 10 s of the end another
    one, or none again; 409 result_is_final later."""
    wanted = call.data.disposition
    if wanted is not None and await tx.conn.fetchval(sql.DISPOSITION, wanted) is None:
        raise Invalid("There is no such disposition.", errors=[{"field": "disposition", "message": "unknown"}])
    before = await late_result.set_result(tx, call_id=call.id(), who=call.who, disposition=wanted)
    await audit(
        tx, actor_of(call.who), "call.result", "call", call.id(), before={"disposition": before}, after={"disposition": wanted}
    )  # fmt: skip
    return ResultSet(call_id=call.id(), disposition=wanted, before=before)
