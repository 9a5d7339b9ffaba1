"""The API of many tickets at once: named lists, and one change to many rows."""

from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, model_validator

from core.errors import Invalid
from core.ids import TicketId
from core.principal import READERS, STAFF
from infra.openapi import ApiModel, Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection
from ticketing import bulk, views
from ticketing.http import Id, Slug, Tag, Version
from ticketing.model import Priority, TicketState

ROUTES: Final = Routes("tickets")
MOST_ROWS: Final = 100

Name = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$")]


class ViewQuery(ApiModel):
    """What the address of the list holds, as of the parameters of GET /api/v1/tickets."""

    state: Annotated[list[TicketState], Field(max_length=8)] | None = None
    priority: Annotated[list[Priority], Field(max_length=4)] | None = None
    queue: Slug | None = None
    assignee: Annotated[str, StringConstraints(pattern=r"^(me|none|[0-9]{1,18})$")] | None = None
    tag: Tag | None = None
    q: Annotated[str, StringConstraints(max_length=200)] | None = None


class NewView(ApiModel):
    name: Name
    query: ViewQuery
    is_shared: bool = False


class ViewChange(ApiModel):
    """Only the fields that are present change."""

    version: Version
    name: Name | None = None
    query: ViewQuery | None = None
    is_shared: bool | None = None


class View(BaseModel):
    """`is_mine`: the reader made it and may change it."""

    id: int
    name: str
    query: ViewQuery
    is_shared: bool
    is_mine: bool
    owner: str
    version: int


class Views(BaseModel):
    items: list[View]


class Row(ApiModel):
    id: Id
    version: Version


class ManyChange(ApiModel):
    """Only the fields that are present change; `assignee_id` null takes the tickets from whoever has them."""

    state: TicketState | None = None
    due_at: AwareDatetime | None = None
    priority: Priority | None = None
    queue: Slug | None = None
    assignee_id: Id | None = None
    add_tags: Annotated[list[Tag], Field(default_factory=list, max_length=20)]
    remove_tags: Annotated[list[Tag], Field(default_factory=list, max_length=20)]


class ManyTickets(ApiModel):
    """`version`: the one seen in the list; who was faster in the same field wins, and the row says so."""

    rows: Annotated[list[Row], Field(min_length=1, max_length=MOST_ROWS)]
    change: ManyChange

    @model_validator(mode="after")
    def _each_once(self) -> "ManyTickets":
        if len({row.id for row in self.rows}) != len(self.rows):
            raise ValueError("rows: a ticket may be there only once")
        return self


class RowOut(BaseModel):
    """`code` and `detail` say why a row was refused."""

    id: int
    number: str | None
    outcome: bulk.Outcome
    version: int | None
    code: str | None
    detail: str | None


class ManyDone(BaseModel):
    """`act` takes it back until `undo_until`; null when nothing was changed, or when this was the taking back."""

    act: int | None
    undo_until: AwareDatetime | None
    results: list[RowOut]


@ROUTES.query("/api/v1/ticket-views", roles=READERS, returns=Views)
async def list_ticket_views(conn: Connection, call: Call[Nothing]) -> Views:
    """One's own views, and those that are shared."""
    return Views(items=[_view(row, call) for row in await views.views_for(conn, who=call.who)])


@ROUTES.command("POST", "/api/v1/ticket-views", roles=STAFF, body=NewView, returns=View, status=201)
async def create_ticket_view(tx: Tx, call: Call[NewView]) -> View:
    """Give a list a name. Sharing it with everybody is for supervisors and administrators."""
    new = call.data
    query = new.query.model_dump(mode="json", exclude_none=True)
    view_id = await views.add(tx, name=new.name, query=query, is_shared=new.is_shared, who=call.who)
    return _view(await views.view(tx.conn, view_id=view_id), call)


@ROUTES.command("PATCH", "/api/v1/ticket-views/{id}", roles=STAFF, body=ViewChange, returns=View)
async def change_ticket_view(tx: Tx, call: Call[ViewChange]) -> View:
    """Another name, other filters, shared or not. Of one's own views only."""
    changed = call.data.model_dump(mode="json", include=call.data.model_fields_set - {"version"})
    for name, value in changed.items():
        if value is None:
            raise Invalid(f"{name} cannot be null.", errors=[{"field": name, "message": "cannot be null"}])
    if call.data.query is not None:
        changed["query"] = call.data.query.model_dump(mode="json", exclude_none=True)
    await views.change(tx, call.id(), changed, version=call.data.version, who=call.who)
    return _view(await views.view(tx.conn, view_id=call.id()), call)


@ROUTES.command("DELETE", "/api/v1/ticket-views/{id}", roles=STAFF, status=204)
async def delete_ticket_view(tx: Tx, call: Call[Nothing]) -> None:
    """Remove one's own view; supervisors and administrators also one that is shared."""
    await views.remove(tx, call.id(), who=call.who)


def _view(row: Any, call: Call[Any]) -> View:
    return View(
        id=row["id"],
        name=row["name"],
        query=ViewQuery.model_validate(row["query"]),
        is_shared=row["is_shared"],
        is_mine=row["owner_id"] == call.who.user_id,
        owner=row["owner_name"],
        version=row["version"],
    )


@ROUTES.command("POST", "/api/v1/ticket-acts", roles=STAFF, body=ManyTickets, returns=ManyDone)
async def change_many_tickets(tx: Tx, call: Call[ManyTickets]) -> ManyDone:
    """Change up to a hundred tickets; each row for itself, and `results` says what came of it."""
    change = call.data.change
    given = change.model_fields_set - {"add_tags", "remove_tags"}
    wanted = change.model_dump(include=given)
    for name, value in wanted.items():
        if value is None and name not in ("assignee_id", "due_at"):
            raise Invalid(f"{name} cannot be null.", errors=[{"field": f"change.{name}", "message": "cannot be null"}])
    if not wanted and not change.add_tags and not change.remove_tags:
        raise Invalid("change: says nothing.", errors=[{"field": "change", "message": "say what is to change"}])
    rows = {TicketId(row.id): row.version for row in call.data.rows}
    done = await bulk.change_many(
        tx, rows, wanted, add_tags=change.add_tags, remove_tags=change.remove_tags, who=call.who
    )
    return _done(done)


@ROUTES.command("POST", "/api/v1/ticket-acts/{id}/undo", roles=STAFF, returns=ManyDone)
async def undo_ticket_act(tx: Tx, call: Call[Nothing]) -> ManyDone:
    """Take back one's own act within a minute. Rows that somebody has changed since stay, and say so. 409 too_late_to_undo."""
    return _done(await bulk.undo(tx, call.id(), who=call.who))


def _done(done: bulk.Done) -> ManyDone:
    results = [
        RowOut(
            id=each.id,
            number=each.number,
            outcome=each.outcome,
            version=each.version,
            code=each.code,
            detail=each.detail,
        )
        for each in done.results
    ]
    return ManyDone(act=done.act, undo_until=done.undo_until, results=results)
