"""What tests of tickets start from: queues, people who serve them, calls, and tickets that calls have opened."""

import itertools
from datetime import datetime
from typing import Any

from accounts.model import User
from core.events import CallEnded, CallQueued, TicketBound, TicketChanged
from core.ids import CallId, TicketId
from core.phone import Number, NumberKind
from core.principal import Actor, Principal, Role
from infra.outbox import Tx
from infra.postgres import Connection
from tests.builders import a_user
from ticketing import queries, service
from ticketing.model import TicketSummary

_call_ids = itertools.count(1)
WITHHELD = Number(NumberKind.WITHHELD, "anonymous")


def number(value: str) -> Number:
    return Number(NumberKind.E164, value, value)


def new_call_id() -> CallId:
    return CallId(next(_call_ids))


async def a_queue(tx: Tx, key: str = "support", *, short_abandon_s: int = 5) -> str:
    await tx.conn.execute(
        "INSERT INTO queues (key, name, pool_id, short_abandon_s) VALUES ($1, $2, 'main', $3) ON CONFLICT DO NOTHING",
        key,
        {"en": key.capitalize()},
        short_abandon_s,
    )
    return key


async def a_person(tx: Tx, *queues: str, role: Role = Role.AGENT, name: str = "Ava Chen") -> Principal:
    """A user who serves these queues."""
    user = await a_user(tx, role=role, name=name)
    await serves(tx, user, *queues)
    return Principal(user.id, role, name, user.email)


async def serves(tx: Tx, user: User, *queues: str) -> None:
    await tx.conn.execute("INSERT INTO agents (id, name) VALUES ($1, $2)", user.id, user.name)
    for queue in queues:
        await a_queue(tx, queue)
        await tx.conn.execute("INSERT INTO agent_queues (agent_id, queue_key) VALUES ($1, $2)", user.id, queue)


async def a_stored_call(tx: Tx, *, at: datetime | None = None, **columns: Any) -> CallId:
    """A row of cti's calls."""
    values = {
        "account_sid": "AC1",
        "sid": f"CA{next(_call_ids)}",
        "direction": "inbound",
        "from_raw": "+14155550123",
        "from_kind": "e164",
        "from_value": "+14155550123",
        "to_number": "+14155550199",
        "queue": "support",
        "state": "in_call",
        "created_at": at or tx.now,
        **columns,
    }
    names, places = ", ".join(values), ", ".join(f"${place}" for place in range(1, len(values) + 1))
    ident: int = await tx.conn.fetchval(f"INSERT INTO calls ({names}) VALUES ({places}) RETURNING id", *values.values())
    return CallId(ident)


def queued(
    call_id: CallId, caller: Number | None, *, queue: str = "support", language: str = "en", at: datetime
) -> CallQueued:
    return CallQueued(
        call_id=call_id,
        version=2,
        queue=queue,
        entered_at=at,
        caller=caller,
        to_number="+14155550199",
        language=language,
    )


async def a_bound_call(
    tx: Tx,
    caller: Number | None = WITHHELD,
    *,
    call_id: CallId | None = None,
    queue: str = "support",
    language: str = "en",
) -> TicketBound:
    """A call that has entered a queue; what was published about its ticket."""
    before = len(tx.events)
    call_id = call_id or new_call_id()
    await service.bind(tx, queued(call_id, caller, queue=queue, language=language, at=tx.now))
    bound = [event for event in tx.events[before:] if isinstance(event, TicketBound)]
    assert len(bound) == 1
    return bound[0]


def ended(call_id: CallId, outcome: str, *, wait_s: float | None = None, at: datetime) -> CallEnded:
    return CallEnded(call_id=call_id, version=9, outcome=outcome, at=at, wait_s=wait_s)


async def summary(tx: Tx, ticket_id: int) -> TicketSummary:
    return await queries.summary(tx.conn, ticket_id=TicketId(ticket_id))


async def close_reason(tx: Tx, ticket_id: int) -> str | None:
    reason: str | None = await tx.conn.fetchval("SELECT close_reason FROM tickets WHERE id = $1", ticket_id)
    return reason


async def history(conn: Connection, ticket_id: int) -> list[tuple[str, dict[str, Any]]]:
    rows = await conn.fetch("SELECT kind, data FROM ticket_history WHERE ticket_id = $1 ORDER BY id", ticket_id)
    return [(row["kind"], row["data"]) for row in rows]


async def audited(tx: Tx, ticket_id: int) -> list[str]:
    rows = await tx.conn.fetch(
        "SELECT action FROM audit_log WHERE object_kind = 'ticket' AND object_id = $1 ORDER BY id", str(ticket_id)
    )
    return [row["action"] for row in rows]


def changes_published(tx: Tx, ticket_id: int) -> list[int]:
    return [event.version for event in tx.events if isinstance(event, TicketChanged) and event.ticket_id == ticket_id]


def actor(principal: Principal) -> Actor:
    return Actor("user", principal.user_id, principal.name)
