"""One change to many tickets: each row for itself, with what came of it, and taken back together for a while.

What a row was is kept with the act. Taking back writes those values again past the table of transitions: a ticket that was new is new
again. A row that somebody has changed in the same fields since stays as it is and says so; notes and other fields do not matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from accounts.audit import audit
from core.errors import Conflict, NotFound, RingdeskError
from core.ids import TicketId
from core.principal import Principal, actor_of
from infra.outbox import Tx
from ticketing import queries, service, writes
from ticketing.model import Priority, TicketRow, TicketState

UNDO_WITHIN: Final = timedelta(seconds=60)
RESTORED: Final = (
    "state", "priority", "queue", "assignee_id", "tags", "close_reason", "resolved_at", "closed_at", "due_at",
)  # fmt: skip
"""What an act may have changed; the moments and the reason go with the state."""
MOMENTS: Final = ("resolved_at", "closed_at", "due_at")

KEEP_ACT: Final = "INSERT INTO ticket_bulk_acts (actor_id, at, rows) VALUES ($1, $2, $3) RETURNING id"
LOCK_ACT: Final = "SELECT actor_id, at, undone_at, rows FROM ticket_bulk_acts WHERE id = $1 FOR UPDATE"
CLOSE_ACT: Final = "UPDATE ticket_bulk_acts SET undone_at = $2 WHERE id = $1"

Outcome = Literal["changed", "unchanged", "refused"]


class TooLateToUndo(Conflict):
    code, title = "too_late_to_undo", "This can no longer be undone"


class ChangedSince(Conflict):
    code, title = "changed_since", "Somebody has changed this ticket since"


@dataclass(frozen=True, slots=True)
class RowResult:
    """What came of one ticket. `code` and `detail` say why it was refused."""

    id: int
    number: str | None
    outcome: Outcome
    version: int | None
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """`act` takes it back until `undo_until`; None when nothing was changed."""

    act: int | None
    undo_until: datetime | None
    results: tuple[RowResult, ...]


async def change_many(
    tx: Tx,
    rows: Mapping[TicketId, int],
    wanted: Mapping[str, Any],
    *,
    add_tags: Sequence[str],
    remove_tags: Sequence[str],
    who: Principal,
) -> Done:
    """The fields in `wanted` (as of `service.change`) and tags, of the tickets at these versions, by rising id as everywhere."""
    seen = {each.id for each in await queries.ticket_summaries(tx.conn, ids=list(rows), principal=who)}
    results, kept = [], []
    for ticket_id in sorted(rows):
        before = await service.lock(tx, ticket_id) if ticket_id in seen else None
        if before is None:
            results.append(
                RowResult(ticket_id, None, "refused", None, "ticket_not_found", "There is no such ticket for you.")
            )
            continue
        row_wants = {**wanted, **_tags(before, add_tags, remove_tags)}
        try:
            await service.change(tx, ticket_id, row_wants, version=rows[ticket_id], actor=actor_of(who))
        except RingdeskError as error:  # raised before anything of this row was written
            results.append(RowResult(ticket_id, before.number, "refused", before.version, error.code, str(error)))
            continue
        after = await service.lock(tx, ticket_id)
        assert after is not None
        is_changed = after.version != before.version
        results.append(RowResult(ticket_id, before.number, "changed" if is_changed else "unchanged", after.version))
        if is_changed:
            kept.append({"id": ticket_id, "version": after.version, "before": _differing(before, after)})
    if not kept:
        return Done(None, None, tuple(results))
    act: int = await tx.conn.fetchval(KEEP_ACT, who.user_id, tx.now, kept)
    after_all = {"act": act, "changed": len(kept), "refused": sum(each.outcome == "refused" for each in results)}
    await audit(tx, actor_of(who), "ticket.change_many", "ticket", None, after=after_all)
    return Done(act, tx.now + UNDO_WITHIN, tuple(results))


def _tags(ticket: TicketRow, add: Sequence[str], remove: Sequence[str]) -> dict[str, tuple[str, ...]]:
    if not add and not remove:
        return {}
    return {"tags": tuple(dict.fromkeys([*(tag for tag in ticket.tags if tag not in remove), *add]))}


def _differing(before: TicketRow, after: TicketRow) -> dict[str, Any]:
    return {name: getattr(before, name) for name in RESTORED if getattr(before, name) != getattr(after, name)}


async def undo(tx: Tx, act_id: int, *, who: Principal) -> Done:
    """Put back what one's own act has changed. Raises NotFound, TooLateToUndo (also when it is undone already)."""
    act = await tx.conn.fetchrow(LOCK_ACT, act_id)
    if act is None or act["actor_id"] != who.user_id:
        raise NotFound("There is no such act of yours.")
    if act["undone_at"] is not None or tx.now > act["at"] + UNDO_WITHIN:
        raise TooLateToUndo
    results = [await _put_back(tx, row, who) for row in act["rows"]]
    await tx.conn.execute(CLOSE_ACT, act_id, tx.now)
    put_back = {"act": act_id, "changed": sum(each.outcome == "changed" for each in results)}
    await audit(tx, actor_of(who), "ticket.undo_many", "ticket", None, after=put_back)
    return Done(None, None, tuple(results))


async def _put_back(tx: Tx, row: Mapping[str, Any], who: Principal) -> RowResult:
    ticket = await service.lock(tx, TicketId(row["id"]))
    if ticket is None:
        return RowResult(row["id"], None, "refused", None, "ticket_not_found", "There is no such ticket.")
    values = _values(row["before"])
    touched = await writes.fields_changed_since(tx.conn, ticket_id=ticket.id, version=row["version"])
    if touched & values.keys():
        error = ChangedSince(f"Somebody has changed {', '.join(sorted(touched & values.keys()))} since.")
        return RowResult(ticket.id, ticket.number, "refused", ticket.version, error.code, str(error))
    if replace(ticket, **values) == ticket:
        return RowResult(ticket.id, ticket.number, "unchanged", ticket.version)
    version = await service.save(tx, ticket, values, actor=actor_of(who))
    return RowResult(ticket.id, ticket.number, "changed", version)


def _values(stored: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(stored)
    for name in MOMENTS:
        if values.get(name) is not None:
            values[name] = datetime.fromisoformat(values[name])
    if "state" in values:
        values["state"] = TicketState(values["state"])
    if "priority" in values:
        values["priority"] = Priority(values["priority"])
    if "tags" in values:
        values["tags"] = tuple(values["tags"])
    return values
