"""Every statement fits the schema, and the schema keeps what the statements rely on."""

import asyncpg
import pytest

from core.principal import SYSTEM
from infra.outbox import Tx
from tests.builders import a_customer
from tests.integration.ticketing import given
from ticketing import lists, profile, queries, service, writes

STATEMENTS = {
    f"{module.__name__}.{name}": value
    for module in (lists, profile, queries, writes)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str) and value.split()[0] in ("SELECT", "WITH", "INSERT", "UPDATE")
}


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_statement_can_be_prepared(tx: Tx, name: str) -> None:
    await tx.conn.prepare(STATEMENTS[name])


def test_all_statements_are_looked_at() -> None:
    assert len(STATEMENTS) > 30


async def test_every_ticket_can_be_searched(tx: Tx) -> None:
    for _ in range(3):
        await given.a_bound_call(tx)
    orphans = await tx.conn.fetchval(
        "SELECT count(*) FROM tickets t LEFT JOIN ticket_search w ON w.ticket_id = t.id WHERE w.ticket_id IS NULL"
    )
    assert orphans == 0


@pytest.mark.parametrize(
    "change",
    [
        "state = 'closed'",
        "closed_at = now()",
        "state = 'pending_until'",
        "state = 'lost'",
        "priority = 'highest'",
        "subject = ''",
        "seq = 0",
    ],
)
async def test_the_schema_refuses_what_cannot_be(tx: Tx, change: str) -> None:
    bound = await given.a_bound_call(tx)
    with pytest.raises(asyncpg.CheckViolationError):
        await tx.conn.execute(f"UPDATE tickets SET {change} WHERE id = $1", bound.ticket_id)


async def test_a_call_cannot_have_two_tickets(tx: Tx) -> None:
    bound, other = await given.a_bound_call(tx), await given.a_bound_call(tx)
    with pytest.raises(asyncpg.UniqueViolationError):
        await tx.conn.execute(
            "INSERT INTO ticket_calls (call_id, ticket_id, is_opener, attached_at) VALUES ($1, $2, false, now())",
            bound.call_id,
            other.ticket_id,
        )


async def test_a_purged_ticket_takes_everything_of_it_along(tx: Tx) -> None:
    bound, kept = await given.a_bound_call(tx), await given.a_bound_call(tx)
    for each in (bound, kept):
        await service.add_note(tx, each.ticket_id, body="Note", call_id=None, actor=SYSTEM)
    await tx.conn.execute("DELETE FROM tickets WHERE id = $1", bound.ticket_id)
    for table in ("ticket_calls", "ticket_notes", "ticket_history", "ticket_search"):
        rows = await tx.conn.fetch(f"SELECT DISTINCT ticket_id FROM {table}")
        assert [row["ticket_id"] for row in rows] == [kept.ticket_id], table


async def test_a_ticket_outlives_its_customer(tx: Tx) -> None:
    card = await a_customer(tx, phone="+14155550100")
    bound = await given.a_bound_call(tx, given.number("+14155550100"))
    await tx.conn.execute("DELETE FROM customers WHERE id = $1", card.id)
    assert (await given.summary(tx, bound.ticket_id)).customer is None
