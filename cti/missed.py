"""Missed contacts: who called and reached nobody, as work that somebody owns.

What decides. One open entry per number, so that whoever dials again and again is one entry with a count; a hidden caller has one per call. An entry is
closed by a person with a result, or by itself as soon as somebody of ours talks with that number: they called again, or were called back. Its row is
locked after everything else, by calls that end as by people, so nobody waits in a circle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from asyncpg import UniqueViolationError

from accounts.audit import audit
from core.errors import Conflict, Forbidden, NotFound
from core.principal import Principal, actor_of
from cti import missed_queries as sql
from cti.model import INBOUND, Call, Outcome
from infra.outbox import Tx
from infra.phone import same_line

CALLED_AGAIN: Final = "called_again"
CALLED_BACK: Final = "called_back"
NOT_MISSED: Final = frozenset({Outcome.ANSWERED, Outcome.FORWARDED, Outcome.REJECTED_BLOCKED})


class MissedNotFound(NotFound):
    code, title = "missed_contact_not_found", "There is no such missed contact for you"


class MissedOwned(Conflict):
    code, title = "missed_contact_owned", "Somebody else has taken this missed contact"


class MissedDone(Conflict):
    code, title = "missed_contact_done", "This missed contact is done already"


@dataclass(frozen=True, slots=True)
class Changed:
    """An entry that a bulk act has changed, with its version after it."""

    id: int
    version: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """One that it has left as it was, and why: not_found, version_conflict, open_again."""

    id: int
    code: str


async def follow(tx: Tx, before: Call, call: Call) -> None:
    """After each step of a call: is it a missed contact now, or does it settle one?"""
    number = call.caller.value if call.direction == INBOUND else call.to_number
    if call.answered_at is not None and before.answered_at is None:
        result = CALLED_AGAIN if call.direction == INBOUND else CALLED_BACK
        await settle(tx, number=number, call_id=call.id, result=result, at=tx.now)
    elif call.outcome is not None and before.outcome is None and _is_missed(call):
        await record(
            tx, call_id=call.id, number=number, kind=call.caller.kind.value, to_number=call.to_number,
            queue=call.queue, outcome=call.outcome, at=call.ended_at or tx.now,
        )  # fmt: skip


def _is_missed(call: Call) -> bool:
    return call.direction == INBOUND and call.answered_at is None and call.outcome not in NOT_MISSED


async def record(
    tx: Tx, *, call_id: int, number: str | None, kind: str, to_number: str, queue: str | None, outcome: Outcome,
    at: datetime,
) -> None:  # fmt: skip
    """One more missed call: into the open entry of its number, or a new one. Whoever has talked with us since is not missed any more."""
    await tx.conn.execute(sql.RECORD, call_id, number, kind, to_number, queue, outcome.value, at)
    if number is None:
        return
    later = await tx.conn.fetchrow(sql.TALKED_SINCE, list(same_line(number)), at)
    if later is not None:
        result = CALLED_AGAIN if later["direction"] == INBOUND else CALLED_BACK
        await settle(tx, number=number, call_id=later["id"], result=result, at=tx.now)


async def settle(tx: Tx, *, number: str | None, call_id: int, result: str, at: datetime) -> None:
    """Somebody talks with this number: its open entry is done, and says by which call."""
    if number is not None:
        await tx.conn.execute(sql.SETTLE, list(same_line(number)), result, call_id, at)


async def set_owner(tx: Tx, *, missed_id: int, agent_id: int | None, who: Principal) -> Any:
    """Take it, give it back; a lead gives it to anybody who may take calls. Asking for what is changes nothing.

    Raises MissedNotFound, MissedDone, MissedOwned, Forbidden, NotFound."""
    row = await tx.conn.fetchrow(sql.LOCK, missed_id, viewer_of(who))
    if row is None:
        raise MissedNotFound
    if row["state"] == "done":
        raise MissedDone
    if row["owner_id"] == agent_id:
        return row
    if not who.is_lead:
        if agent_id not in (None, who.user_id):
            raise Forbidden("Only a supervisor gives missed contacts to others.")
        if row["owner_id"] not in (None, who.user_id):
            raise MissedOwned
    if agent_id is not None and not await tx.conn.fetchval(sql.MAY_OWN, agent_id):
        raise NotFound("There is no such person.")
    changed = await tx.conn.fetchrow(sql.SET_OWNER, missed_id, agent_id)
    before, after = {"owner_id": row["owner_id"]}, {"owner_id": agent_id}
    await audit(tx, actor_of(who), "missed_contact.assign", "missed_contact", missed_id, before=before, after=after)
    return changed


async def finish(
    tx: Tx, *, wanted: Sequence[Changed], result: str, note: str | None, who: Principal
) -> tuple[list[Changed], list[Skipped]]:
    """Close these with one result. What is not as it was seen is left, and said so."""
    found, skipped = await _locked(tx, wanted, who, state="open")
    done: list[Changed] = []
    for missed_id in found:
        version = await tx.conn.fetchval(sql.FINISH, missed_id, result, note, tx.now, who.user_id)
        done.append(Changed(missed_id, version))
        after = {"result": result}
        await audit(tx, actor_of(who), "missed_contact.done", "missed_contact", missed_id, after=after)
    return done, skipped


async def reopen(tx: Tx, *, wanted: Sequence[Changed], who: Principal) -> tuple[list[Changed], list[Skipped]]:
    """Take back what was closed. A number that is missed again meanwhile has its open entry already."""
    found, skipped = await _locked(tx, wanted, who, state="done")
    opened: list[Changed] = []
    for missed_id in found:
        try:
            async with tx.conn.transaction():
                version = await tx.conn.fetchval(sql.REOPEN, missed_id)
        except UniqueViolationError:
            skipped.append(Skipped(missed_id, "open_again"))
            continue
        opened.append(Changed(missed_id, version))
        await audit(tx, actor_of(who), "missed_contact.reopen", "missed_contact", missed_id)
    return opened, skipped


async def _locked(tx: Tx, wanted: Sequence[Changed], who: Principal, *, state: str) -> tuple[list[int], list[Skipped]]:
    """Those that are as they were seen, in the order of ids; the rest, each with the reason."""
    versions = {each.id: each.version for each in wanted}
    rows = await tx.conn.fetch(sql.LOCK_MANY, sorted(versions), viewer_of(who))
    fit = [row["id"] for row in rows if row["state"] == state and row["version"] == versions[row["id"]]]
    there = {row["id"] for row in rows}
    return fit, [
        Skipped(missed_id, "version_conflict" if missed_id in there else "not_found")
        for missed_id in sorted(versions)
        if missed_id not in fit
    ]


def viewer_of(who: Principal) -> int | None:
    """Whose queues and own entries bound what is seen; None for who sees all."""
    return who.user_id if who.role == "agent" else None
