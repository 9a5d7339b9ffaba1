"""Use cases of customers: who is calling, create, change, import."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from accounts.audit import audit, changes
from core.events import CustomerChanged
from core.ids import CustomerId
from core.phone import Number
from core.principal import Actor
from customers import csv_file, queries
from customers.csv_file import Row
from customers.model import (
    MAX_CANDIDATES,
    Candidate,
    CustomerCard,
    CustomerExists,
    CustomerNotFound,
    CustomerVersionConflict,
    Identification,
    NewIdentity,
    Tier,
    judge,
    search_text,
)
from infra.outbox import Tx, publish
from infra.phone import same_line
from infra.postgres import Connection

CLI: Final = Actor("cli")


async def identify(conn: Connection, number: Number) -> Identification:
    """Who has this number: none, one or many, with the evidence. One query; none for withheld and unreadable numbers."""
    if number.value is None:
        return judge(number, ())
    found = await queries.customers_by_identity(
        conn, kind="phone", values=same_line(number.value), extension=number.extension
    )
    return judge(number, found)


async def remember_choice(tx: Tx, *, number: str, customer_id: CustomerId, actor: Actor) -> None:
    """Somebody said who calls from this number. With the next call they are a suggestion, beside whoever has the number."""
    chosen_by = actor.id if actor.kind == "user" else None
    await tx.conn.execute(queries.REMEMBER_CHOICE, number, customer_id, chosen_by, tx.now, MAX_CANDIDATES - 1)


async def forget_choice(tx: Tx, *, number: str, customer_id: CustomerId) -> None:
    """That was a mistake."""
    await tx.conn.execute(queries.FORGET_CHOICE, number, customer_id)


async def card(conn: Connection, customer_id: int) -> CustomerCard:
    """Raises CustomerNotFound."""
    found = await queries.customer_card(conn, customer_id=customer_id)
    if found is None:
        raise CustomerNotFound
    return found


async def create_customer(
    tx: Tx,
    *,
    name: str,
    company: str | None = None,
    tier: Tier = Tier.STANDARD,
    language: str | None = None,
    note: str = "",
    external_id: str | None = None,
    identities: Sequence[NewIdentity] = (),
    allow_duplicate: bool = False,
    source: str = "manual",
    actor: Actor,
) -> CustomerCard:
    """A new customer. Raises CustomerExists with the candidates when somebody has one of the identities,
    unless `allow_duplicate` says that this is known (a family, a switchboard)."""
    if not allow_duplicate:
        await _refuse_duplicate(tx.conn, identities)
    customer_id = await queries.insert_customer(
        tx.conn,
        external_id=external_id,
        name=name,
        company=company,
        tier=tier,
        language=language,
        note=note,
        search_text=search_text(name, company, identities),
    )
    if identities:
        owned = [(customer_id, identity) for identity in identities]
        await queries.insert_identities(tx.conn, owned=owned, source=source)
    created = await card(tx.conn, customer_id)
    await audit(tx, actor, "customer.create", "customer", customer_id, after=_facts(created))
    await publish(tx, CustomerChanged(customer_id=customer_id, version=created.version))
    return created


async def _refuse_duplicate(conn: Connection, identities: Sequence[NewIdentity]) -> None:
    found: dict[int, Candidate] = {}
    for identity in identities:
        values = same_line(identity.value) if identity.kind == "phone" else (identity.value,)
        for each in await queries.customers_by_identity(
            conn, kind=identity.kind, values=values, extension=identity.extension
        ):
            if each.has_number:
                found.setdefault(each.candidate.id, each.candidate)
    if found:
        raise CustomerExists(
            "A customer with this number or address exists. Choose that one, or create another with allow_duplicate.",
            candidates=[asdict(candidate) for candidate in found.values()],
        )


async def update_customer(
    tx: Tx, customer_id: int, *, version: int, changed: dict[str, Any], actor: Actor
) -> CustomerCard:
    """Set the fields in `changed` (name, company, tier, language, note) of the customer at `version`.

    Raises CustomerNotFound, CustomerVersionConflict with the customer as it is now. Nothing differs: nothing happens."""
    if await queries.lock_customer(tx.conn, customer_id=customer_id) is None:
        raise CustomerNotFound
    old = await card(tx.conn, customer_id)
    if old.version != version:
        raise CustomerVersionConflict("Somebody else changed this customer meanwhile.", current=as_json(old))
    new = replace(old, **changed)
    return old if new == old else await _save(tx, old, new, actor)


async def add_identity(tx: Tx, customer_id: int, identity: NewIdentity, *, actor: Actor) -> CustomerCard:
    """Another number or address of a customer. One they have already changes nothing."""
    if await queries.lock_customer(tx.conn, customer_id=customer_id) is None:
        raise CustomerNotFound
    old = await card(tx.conn, customer_id)
    if any((known.kind, known.value) == (identity.kind, identity.value) for known in old.identities):
        return old
    await queries.insert_identities(tx.conn, owned=[(old.id, identity)], source="manual")
    return await _save(tx, old, await card(tx.conn, customer_id), actor)


async def _save(tx: Tx, old: CustomerCard, new: CustomerCard, actor: Actor) -> CustomerCard:
    text = search_text(new.name, new.company, new.identities)
    version = await queries.update_customer(tx.conn, new, search_text=text)
    before, after = changes(_facts(old), _facts(new))
    await audit(tx, actor, "customer.update", "customer", old.id, before=before, after=after)
    await publish(tx, CustomerChanged(customer_id=old.id, version=version))
    return replace(new, version=version)


def _facts(card: CustomerCard) -> dict[str, Any]:
    facts = as_json(card)
    del facts["id"], facts["version"]
    return facts


def as_json(card: CustomerCard) -> dict[str, Any]:
    """Plain values, times as text."""
    plain: dict[str, Any] = orjson.loads(orjson.dumps(card))
    return plain


@dataclass(frozen=True, slots=True)
class Imported:
    created: int
    updated: int
    unchanged: int


async def import_csv(tx: Tx, path: Path, *, actor: Actor = CLI) -> Imported:
    """Bring customers in line with a file (`csv_file`), by external id; the same file again changes nothing.

    Only adds identities, and keeps the note of known customers: agents write it. Raises InvalidImport, then nothing is
    imported."""
    rows = await asyncio.to_thread(csv_file.read, path)  # reading and parsing numbers would stall the event loop
    known = await queries.cards_by_external_id(tx.conn, external_ids=[row.external_id for row in rows])
    new = [row for row in rows if row.external_id not in known]
    changed = [(known[row.external_id], row) for row in rows if row.external_id in known]
    changed = [(old, row) for old, row in changed if not _is_current(old, row)]
    ids = await queries.insert_customers(tx.conn, rows=[_insertable(row) for row in new])
    versions = await queries.update_customers(tx.conn, rows=[_updatable(old, row) for old, row in changed])
    owned = [(ids[row.external_id], identity) for row in new for identity in row.identities]
    owned += [(old.id, identity) for old, row in changed for identity in row.identities]
    await queries.insert_identities(tx.conn, owned=owned, source="import")
    for customer_id, version in versions.items():
        await publish(tx, CustomerChanged(customer_id=customer_id, version=version))
    result = Imported(len(new), len(changed), len(rows) - len(new) - len(changed))
    await audit(tx, actor, "customer.import", "customer", None, after=asdict(result))
    return result


def _is_current(old: CustomerCard, row: Row) -> bool:
    has = {(identity.kind, identity.value) for identity in old.identities}
    is_same = (old.name, old.company, old.tier, old.language) == (row.name, row.company, row.tier, row.language)
    return is_same and all((identity.kind, identity.value) in has for identity in row.identities)


def _insertable(row: Row) -> tuple[str, str, str | None, Tier, str | None, str, str]:
    text = search_text(row.name, row.company, row.identities)
    return row.external_id, row.name, row.company, row.tier, row.language, row.note, text


def _updatable(old: CustomerCard, row: Row) -> tuple[CustomerId, str, str | None, Tier, str | None, str]:
    has = {(identity.kind, identity.value) for identity in old.identities}
    added = [identity for identity in row.identities if (identity.kind, identity.value) not in has]
    text = search_text(row.name, row.company, [*old.identities, *added])
    return old.id, row.name, row.company, row.tier, row.language, text
