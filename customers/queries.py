"""The SQL of customers and their identities."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.ids import CustomerId
from customers.model import (
    MAX_CANDIDATES,
    Candidate,
    ChosenBefore,
    CustomerCard,
    CustomerSummary,
    Evidence,
    Found,
    Identity,
    NewIdentity,
    Tier,
    search_form,
)
from infra.postgres import Connection

# --- who is it -----------------------------------------------------------------------------------------------------

CUSTOMERS_BY_IDENTITY: Final = """
WITH theirs AS (
    SELECT DISTINCT ON (c.id) c.id, c.name, c.tier, c.company, c.language, c.version,
           i.kind, i.value, i.label, i.extension, i.verified_at, i.is_shared, i.source, true AS has_number
    FROM customer_identities i
    JOIN customers c ON c.id = i.customer_id
    WHERE i.kind = $1 AND i.value = ANY($2)
    ORDER BY c.id, i.is_shared, i.verified_at DESC NULLS LAST, i.id
), chosen AS (
    SELECT DISTINCT ON (h.customer_id) h.customer_id, h.number, h.chosen_at, h.times, u.name AS chosen_by
    FROM identity_choices h LEFT JOIN users u ON u.id = h.chosen_by
    WHERE $1 = 'phone' AND h.number = ANY($2)
    ORDER BY h.customer_id, h.chosen_at DESC
)
SELECT id, name, tier, company, language, version, kind, value, label, extension, verified_at, is_shared, source, has_number,
       chosen_at, times, chosen_by
FROM (
    SELECT t.*, h.chosen_at, h.times, h.chosen_by FROM theirs t LEFT JOIN chosen h ON h.customer_id = t.id
    UNION ALL
    SELECT c.id, c.name, c.tier, c.company, c.language, c.version, 'phone', h.number, NULL, NULL, NULL, false, 'choice', false,
           h.chosen_at, h.times, h.chosen_by
    FROM chosen h JOIN customers c ON c.id = h.customer_id WHERE NOT EXISTS (SELECT FROM theirs t WHERE t.id = c.id)
) AS found
ORDER BY extension IS DISTINCT FROM $3, chosen_at DESC NULLS LAST, is_shared, verified_at DESC NULLS LAST, id
LIMIT $4
"""
# Old choices make room: a number keeps as many as are shown.
REMEMBER_CHOICE: Final = """
WITH old AS (
    DELETE FROM identity_choices h USING (
        SELECT customer_id FROM identity_choices WHERE number = $1 AND customer_id <> $2 ORDER BY chosen_at DESC OFFSET $5
    ) o WHERE h.number = $1 AND h.customer_id = o.customer_id
)
INSERT INTO identity_choices (number, customer_id, chosen_by, chosen_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (number, customer_id) DO UPDATE
SET chosen_by = excluded.chosen_by, chosen_at = excluded.chosen_at, times = identity_choices.times + 1
"""
FORGET_CHOICE: Final = """
WITH fewer AS (
    UPDATE identity_choices SET times = times - 1 WHERE number = $1 AND customer_id = $2 AND times > 1 RETURNING 1
)
DELETE FROM identity_choices WHERE number = $1 AND customer_id = $2 AND NOT EXISTS (SELECT FROM fewer)
"""


def _found(row: Any) -> Found:
    evidence = Evidence(row["kind"], row["value"], row["label"], row["verified_at"], row["is_shared"], row["source"])
    candidate = Candidate(
        CustomerId(row["id"]),
        row["name"],
        Tier(row["tier"]),
        row["company"],
        row["language"],
        evidence,
        row["version"],
        None if row["chosen_at"] is None else ChosenBefore(row["chosen_by"], row["chosen_at"], row["times"]),
    )
    return Found(candidate, row["extension"], row["has_number"])


async def customers_by_identity(
    conn: Connection, *, kind: str, values: Sequence[str], extension: str | None = None
) -> list[Found]:
    """Who has one of these identities, and who was chosen for it, each customer once, the likeliest first, one more than may be shown."""
    rows = await conn.fetch(CUSTOMERS_BY_IDENTITY, kind, list(values), extension, MAX_CANDIDATES + 1)
    return [_found(row) for row in rows]


# --- one customer --------------------------------------------------------------------------------------------------

CARD_COLUMNS: Final = """c.id, c.name, c.tier, c.language, c.company, c.note, c.version,
       (SELECT array_agg((i.kind, i.value, i.label, i.verified_at, i.is_shared, i.extension, i.source)
                         ORDER BY i.kind = 'phone' DESC, i.is_shared, i.id)
        FROM customer_identities i WHERE i.customer_id = c.id) AS identities"""
"""Of `customers c`, for `card_of`."""
CUSTOMER_CARD: Final = f"SELECT {CARD_COLUMNS} FROM customers c WHERE c.id = $1"
CUSTOMER_VERSION: Final = "SELECT version FROM customers WHERE id = $1"
LOCK_CUSTOMER: Final = "SELECT version FROM customers WHERE id = $1 FOR UPDATE"


async def customer_card(conn: Connection, *, customer_id: int) -> CustomerCard | None:
    """The customer and all identities in one query."""
    row = await conn.fetchrow(CUSTOMER_CARD, customer_id)
    return None if row is None else card_of(row)


def card_of(row: Any) -> CustomerCard:
    return CustomerCard(
        CustomerId(row["id"]),
        row["name"],
        Tier(row["tier"]),
        row["language"],
        row["company"],
        row["note"],
        row["version"],
        tuple(Identity(*fields) for fields in row["identities"] or ()),
    )


async def customer_version(conn: Connection, *, customer_id: int) -> int | None:
    version: int | None = await conn.fetchval(CUSTOMER_VERSION, customer_id)
    return version


async def lock_customer(conn: Connection, *, customer_id: int) -> int | None:
    """The version, held until the transaction ends."""
    version: int | None = await conn.fetchval(LOCK_CUSTOMER, customer_id)
    return version


# --- lists ---------------------------------------------------------------------------------------------------------

SEARCH_CUSTOMERS: Final = """
SELECT c.id, c.name, c.tier, c.company, c.language, lower(c.name) AS sort_name,
       coalesce((SELECT array_agg(i.value ORDER BY i.is_shared, i.id) FROM customer_identities i
                 WHERE i.customer_id = c.id AND i.kind = 'phone'), '{}') AS phones,
       (SELECT array_agg(i.value ORDER BY i.id) FROM customer_identities i
        WHERE i.customer_id = c.id AND i.kind <> 'phone') AS others
FROM customers c
WHERE c.search_text LIKE $1 AND c.search_text LIKE $2 AND c.search_text LIKE $3 AND c.search_text LIKE $4
  AND (lower(c.name), c.id) > ($5, $6)
ORDER BY lower(c.name), c.id
LIMIT $7
"""
WALK_CUSTOMERS: Final = """
SELECT c.id, c.name, c.tier, c.company, c.language, lower(c.name) AS sort_name,
       coalesce((SELECT array_agg(i.value ORDER BY i.is_shared, i.id) FROM customer_identities i
                 WHERE i.customer_id = c.id AND i.kind = 'phone'), '{}') AS phones,
       (SELECT array_agg(i.value ORDER BY i.id) FROM customer_identities i
        WHERE i.customer_id = c.id AND i.kind <> 'phone') AS others
FROM customers c
WHERE c.search_text || '' LIKE $1 AND c.search_text || '' LIKE $2 AND c.search_text || '' LIKE $3 AND c.search_text || '' LIKE $4
  AND (lower(c.name), c.id) > ($5, $6)
ORDER BY lower(c.name), c.id
LIMIT $7
"""
CUSTOMERS_BY_PHONE: Final = """
SELECT c.id, c.name, c.tier, c.company, c.language, lower(c.name) AS sort_name,
       (SELECT array_agg(p.value ORDER BY p.is_shared, p.id) FROM customer_identities p
        WHERE p.customer_id = c.id AND p.kind = 'phone') AS phones, NULL::text[] AS others
FROM customers c
WHERE c.id IN (SELECT i.customer_id FROM customer_identities i WHERE i.kind = 'phone' AND i.value = ANY($1))
  AND (lower(c.name), c.id) > ($2, $3)
ORDER BY lower(c.name), c.id
LIMIT $4
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of the list begins: after this name and id."""

    name: str = ""
    id: int = 0


def _page(rows: Sequence[Any], limit: int, patterns: Sequence[str] = ()) -> tuple[list[CustomerSummary], Place | None]:
    words = [word for pattern in patterns if (word := re.sub(r"\\(.)", r"\1", pattern[1:-1]))]
    items = [
        CustomerSummary(
            CustomerId(row["id"]),
            row["name"],
            Tier(row["tier"]),
            row["company"],
            row["language"],
            tuple(row["phones"]),
            tuple(value for value in row["others"] or () if any(word in search_form(value) for word in words)),
        )
        for row in rows[:limit]
    ]
    return items, Place(rows[limit - 1]["sort_name"], items[-1].id) if len(rows) > limit else None


async def search_customers(
    conn: Connection, *, patterns: Sequence[str], after: Place, limit: int
) -> tuple[list[CustomerSummary], Place | None]:
    """Customers whose search text fits all four patterns (model.like_patterns), by name; and where the next page begins.

    Trigrams need three characters. Fewer (or none: the whole list) fit so many rows that walking them by name finds a page
    at once, where the trigram index would be read from end to end (0.3 s with 200,000 customers)."""
    has_trigram = any(len(pattern) >= len("%abc%") for pattern in patterns)
    first, second, third, fourth = patterns
    rows = await conn.fetch(
        SEARCH_CUSTOMERS if has_trigram else WALK_CUSTOMERS,
        first, second, third, fourth, after.name, after.id, limit + 1,
    )  # fmt: skip
    return _page(rows, limit, patterns)


async def customers_by_phone(
    conn: Connection, *, values: Sequence[str], after: Place, limit: int
) -> tuple[list[CustomerSummary], Place | None]:
    """Customers who have one of these numbers."""
    rows = await conn.fetch(CUSTOMERS_BY_PHONE, list(values), after.name, after.id, limit + 1)
    return _page(rows, limit)


# --- changes -------------------------------------------------------------------------------------------------------

INSERT_CUSTOMER: Final = """
INSERT INTO customers (external_id, name, company, tier, language, note, search_text)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id
"""
UPDATE_CUSTOMER: Final = """
UPDATE customers SET name = $2, company = $3, tier = $4, language = $5, note = $6, search_text = $7,
       version = version + 1, updated_at = now()
WHERE id = $1 RETURNING version
"""
INSERT_IDENTITIES: Final = """
INSERT INTO customer_identities (customer_id, kind, value, label, is_shared, extension, verified_at, source)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::timestamptz[], $8::text[])
ON CONFLICT ON CONSTRAINT customer_identities_key DO NOTHING
"""


async def insert_customer(
    conn: Connection,
    *,
    external_id: str | None,
    name: str,
    company: str | None,
    tier: Tier,
    language: str | None,
    note: str,
    search_text: str,
) -> CustomerId:
    created: CustomerId = await conn.fetchval(
        INSERT_CUSTOMER, external_id, name, company, tier, language, note, search_text
    )
    return created


async def update_customer(conn: Connection, new: CustomerCard, *, search_text: str) -> int:
    """Returns the new version."""
    version: int = await conn.fetchval(
        UPDATE_CUSTOMER, new.id, new.name, new.company, new.tier, new.language, new.note, search_text
    )
    return version


async def insert_identities(conn: Connection, *, owned: Sequence[tuple[CustomerId, NewIdentity]], source: str) -> None:
    """Add identities; those a customer already has stay as they are."""
    await conn.execute(
        INSERT_IDENTITIES,
        [customer_id for customer_id, _ in owned],
        [identity.kind for _, identity in owned],
        [identity.value for _, identity in owned],
        [identity.label for _, identity in owned],
        [identity.is_shared for _, identity in owned],
        [identity.extension for _, identity in owned],
        [identity.verified_at for _, identity in owned],
        [source] * len(owned),
    )


# --- import --------------------------------------------------------------------------------------------------------

CARDS_BY_EXTERNAL_ID: Final = """
SELECT c.external_id, c.id, c.name, c.tier, c.language, c.company, c.note, c.version,
       (SELECT array_agg((i.kind, i.value, i.label, i.verified_at, i.is_shared, i.extension, i.source) ORDER BY i.id)
        FROM customer_identities i WHERE i.customer_id = c.id) AS identities
FROM customers c
WHERE c.external_id = ANY($1)
FOR UPDATE OF c
"""
INSERT_CUSTOMERS: Final = """
INSERT INTO customers (external_id, name, company, tier, language, note, search_text)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
RETURNING external_id, id
"""
UPDATE_CUSTOMERS: Final = """
UPDATE customers c SET name = x.name, company = x.company, tier = x.tier, language = x.language,
       search_text = x.search_text, version = c.version + 1, updated_at = now()
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
     AS x (id, name, company, tier, language, search_text)
WHERE c.id = x.id RETURNING c.id, c.version
"""


async def cards_by_external_id(conn: Connection, *, external_ids: Sequence[str]) -> dict[str, CustomerCard]:
    """The known ones among these, held until the transaction ends."""
    rows = await conn.fetch(CARDS_BY_EXTERNAL_ID, list(external_ids))
    return {row["external_id"]: card_of(row) for row in rows}


async def insert_customers(
    conn: Connection, *, rows: Sequence[tuple[str, str, str | None, Tier, str | None, str, str]]
) -> dict[str, CustomerId]:
    """Each row: external id, name, company, tier, language, note, search text. Returns the ids by external id."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(7)]
    return {row["external_id"]: row["id"] for row in await conn.fetch(INSERT_CUSTOMERS, *columns)}


async def update_customers(
    conn: Connection, *, rows: Sequence[tuple[CustomerId, str, str | None, Tier, str | None, str]]
) -> dict[CustomerId, int]:
    """Each row: id, name, company, tier, language, search text. Returns the new versions."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(6)]
    return {row["id"]: row["version"] for row in await conn.fetch(UPDATE_CUSTOMERS, *columns)}
