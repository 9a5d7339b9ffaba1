"""Errors of the real database, as the log tells them: never with a row's values."""

import asyncpg
import pytest

from infra.outbox import Tx
from infra.telemetry import describe_error
from tests.builders import a_customer

CANARY = "+14155550199"


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            (
                "INSERT INTO customer_identities (customer_id, kind, value, source) "
                "SELECT customer_id, kind, value, 'x' FROM customer_identities"
            ),
            "customer_identities_key",
        ),
        (f"INSERT INTO customers (name, tier, search_text) VALUES ('{CANARY}', 'x', '')", "customers_tier_check"),
        (f"INSERT INTO customers (name, search_text) VALUES (NULL, '{CANARY}')", "customers name"),
        (f"SELECT '{CANARY}x'::bigint", "22P02"),
        ("SELECT no_such_column FROM customers", "no_such_column"),
        ("SELECT 1 / 0", "22012"),
    ],
)
async def test_error_names_the_rule_and_no_value(tx: Tx, statement: str, told: str) -> None:
    await a_customer(tx, name="Canary", phone=CANARY)
    with pytest.raises(asyncpg.PostgresError) as caught:
        async with tx.conn.transaction():
            await tx.conn.execute(statement)
    text = describe_error(caught.value)
    assert told in text
    assert CANARY not in text
    assert "Canary" not in text


async def test_error_of_the_driver_holds_no_value(tx: Tx) -> None:
    with pytest.raises(asyncpg.DataError) as caught:
        await tx.conn.fetchval("SELECT $1::bigint", 14155550199 * 10**12)
    assert "14155550199" not in describe_error(caught.value)
