"""A list of numbers that somebody keeps: each with a reason, who put it there, and until when. What a list is for says its `NumberList`.

Numbers are kept in the form in which callers are known and numbers are dialled, so that no spelling gets past a list.
"""

import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from accounts.audit import audit
from core.errors import Invalid, NotFound
from core.phone import NumberKind
from core.principal import Actor
from cti.number_list_queries import Statements
from infra.outbox import Tx
from infra.phone import parse_typed, same_line
from infra.postgres import Connection


@dataclass(frozen=True, slots=True)
class NumberList:
    """`kind`: its name in the audit log. `refused`: why a number cannot be on it. `absent`: what is raised for one that is not there."""

    sql: Statements
    kind: str
    refused: Callable[[Connection, str], Awaitable[str | None]]
    absent: type[NotFound]


@dataclass(frozen=True, slots=True)
class Listed:
    id: int
    number: str
    reason: str
    added_by: str
    added_at: datetime
    expires_at: datetime | None


def form_of(text: str, region: str | None) -> str:
    """The form that calls of this number have. `region` is needed for numbers that are not written with +. Raises Invalid."""
    number = parse_typed(text, region or "US")
    is_whole = number.kind in (NumberKind.SIP, NumberKind.SHORT) or text.strip().startswith("+") or region is not None
    if number.value is None or number.is_suspect or number.kind is NumberKind.CLIENT or not is_whole:
        raise _invalid("number", "write it in international form, such as +14155550123, or say its region")
    return number.value


async def reason(conn: Connection, of: NumberList, number: str, *, now: datetime) -> str | None:
    """Why this number is on the list, by whatever form of it; None when it is not."""
    found: str | None = await conn.fetchval(of.sql.reason, list(same_line(number)), now)
    return found


async def page(
    conn: Connection, of: NumberList, *, before: int | None = None, limit: int, holding: str | None = None
) -> list[Listed]:
    """The latest first. `holding`: a part of the number, in any spelling."""
    part = None if holding is None else _part(holding)
    return [Listed(**dict(row)) for row in await conn.fetch(of.sql.page, before, limit, part)]


async def add(
    tx: Tx, to: NumberList, *, number: str, region: str | None, reason: str, expires_at: datetime | None, actor: Actor
) -> Listed:
    """On the list from now on. One that is there already takes the new reason and end. Raises Invalid."""
    value = form_of(number, region)
    if (message := await to.refused(tx.conn, value)) is not None:
        raise _invalid("number", message)
    if expires_at is not None and expires_at <= tx.now:
        raise _invalid("expires_at", "this is in the past")
    row = await tx.conn.fetchrow(to.sql.add, value, reason, actor.name or actor.kind, tx.now, expires_at)
    assert row is not None
    listed = Listed(**dict(row))
    after = {"number": value, "reason": reason, "expires_at": expires_at and expires_at.isoformat()}
    await audit(tx, actor, f"{to.kind}.add", to.kind, listed.id, after=after)
    return listed


async def remove(tx: Tx, of: NumberList, *, listed_id: int, actor: Actor) -> None:
    """Raises the list's `absent`."""
    row = await tx.conn.fetchrow(of.sql.remove, listed_id)
    if row is None:
        raise of.absent
    before = {"number": row["number"], "reason": row["reason"]}
    await audit(tx, actor, f"{of.kind}.remove", of.kind, listed_id, before=before)


async def remove_number(tx: Tx, of: NumberList, *, number: str, region: str | None, actor: Actor) -> str:
    """By any spelling. Returns the form in which it stood there. Raises Invalid, the list's `absent`."""
    value = form_of(number, region)
    listed_id = await tx.conn.fetchval(of.sql.by_number, value)
    if listed_id is None:
        raise of.absent
    await remove(tx, of, listed_id=listed_id, actor=actor)
    return value


def _part(typed: str) -> str:
    """As it stands in what is kept: of a telephone number its digits, without the zero that is dialled in front at home."""
    if any(char.isalpha() or char == "@" for char in typed):
        return typed.strip().lower()
    return "".join(char for char in unicodedata.normalize("NFKC", typed) if "0" <= char <= "9").lstrip("0")


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(f"{field}: {message}.", errors=[{"field": field, "message": message}])
