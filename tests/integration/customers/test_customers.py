"""Create, change, search and import customers, in transactions that roll back."""

from pathlib import Path
from typing import Any

import pytest

from core.events import CustomerChanged
from core.ids import CustomerId
from customers import queries, service
from customers.model import (
    CustomerExists,
    CustomerNotFound,
    CustomerVersionConflict,
    InvalidImport,
    Match,
    NewIdentity,
    Tier,
    like_patterns,
)
from customers.queries import Place
from customers.service import Imported
from infra.outbox import Tx
from infra.phone import parse_number
from tests.builders import TESTER, a_customer

DEMO_FILE = Path(__file__).resolve().parents[3] / "demo" / "customers.csv"


async def _audit(tx: Tx) -> list[dict[str, Any]]:
    return [dict(row) for row in await tx.conn.fetch("SELECT * FROM audit_log ORDER BY id")]


async def _names(tx: Tx, q: str) -> list[str]:
    items, _ = await queries.search_customers(tx.conn, patterns=like_patterns(q), after=Place(), limit=50)
    return [item.name for item in items]


async def test_created_customer_is_found_and_audited(tx: Tx) -> None:
    card = await a_customer(tx, name="Maria Lopez", phone="+14155550123", email="maria@example.com", tier=Tier.VIP)
    assert await service.card(tx.conn, card.id) == card
    assert (card.version, card.phones, card.note) == (1, ["+14155550123"], "")
    assert [(i.kind, i.value, i.source) for i in card.identities] == [
        ("phone", "+14155550123", "manual"),
        ("email", "maria@example.com", "manual"),
    ]
    [row] = await _audit(tx)
    assert (row["action"], row["object_id"], row["after"]["name"]) == ("customer.create", str(card.id), "Maria Lopez")
    assert tx.events == [CustomerChanged(customer_id=card.id, version=1)]


async def test_customer_without_identities_has_a_card(tx: Tx) -> None:
    assert (await a_customer(tx)).identities == ()


async def test_known_number_is_warned_about_and_may_be_used_on_purpose(tx: Tx) -> None:
    maria = await a_customer(tx, name="Maria", phone="+14155550123")

    async def create(*, allow_duplicate: bool) -> Any:
        identities = [NewIdentity("phone", "+14155550123"), NewIdentity("email", "new@example.com")]
        return await service.create_customer(
            tx, name="Mario", identities=identities, allow_duplicate=allow_duplicate, actor=TESTER
        )

    with pytest.raises(CustomerExists) as caught:
        await create(allow_duplicate=False)
    candidates = caught.value.fields["candidates"]
    assert isinstance(candidates, list)
    assert [(c["id"], c["name"], c["evidence"]["value"]) for c in candidates] == [(maria.id, "Maria", "+14155550123")]
    assert await _names(tx, "Mario") == []
    assert (await create(allow_duplicate=True)).name == "Mario"


async def test_known_address_is_warned_about(tx: Tx) -> None:
    await a_customer(tx, email="maria@example.com")
    with pytest.raises(CustomerExists):
        await service.create_customer(
            tx, name="Mario", identities=[NewIdentity("email", "maria@example.com")], actor=TESTER
        )


async def test_change_raises_the_version_and_audits_what_changed(tx: Tx) -> None:
    old = await a_customer(tx, name="Maria Lopez", phone="+14155550123")
    tx.events.clear()
    new = await service.update_customer(
        tx, old.id, version=1, changed={"name": "Maria Gómez", "tier": Tier.GOLD}, actor=TESTER
    )
    assert (new.name, new.tier, new.version, new.phones) == ("Maria Gómez", Tier.GOLD, 2, ["+14155550123"])
    assert await service.card(tx.conn, old.id) == new
    row = (await _audit(tx))[-1]
    assert (row["before"], row["after"]) == (
        {"name": "Maria Lopez", "tier": "standard"},
        {"name": "Maria Gómez", "tier": "gold"},
    )
    assert tx.events == [CustomerChanged(customer_id=old.id, version=2)]
    assert await _names(tx, "gomez") == ["Maria Gómez"]
    assert await _names(tx, "lopez") == []
    assert await _names(tx, "4155550123") == ["Maria Gómez"], "the numbers stay searchable"


async def test_change_to_the_same_is_none(tx: Tx) -> None:
    old = await a_customer(tx, name="Maria")
    tx.events.clear()
    assert await service.update_customer(tx, old.id, version=1, changed={"name": "Maria"}, actor=TESTER) == old
    assert tx.events == []
    assert len(await _audit(tx)) == 1


async def test_change_of_an_old_version_is_refused_with_the_current_customer(tx: Tx) -> None:
    old = await a_customer(tx, name="Maria")
    await service.update_customer(tx, old.id, version=1, changed={"name": "Marie"}, actor=TESTER)
    with pytest.raises(CustomerVersionConflict) as caught:
        await service.update_customer(tx, old.id, version=1, changed={"name": "Mario"}, actor=TESTER)
    current = caught.value.fields["current"]
    assert isinstance(current, dict)
    assert (current["name"], current["version"]) == ("Marie", 2)


async def test_unknown_customer_is_said_to_be_unknown(tx: Tx) -> None:
    with pytest.raises(CustomerNotFound):
        await service.update_customer(tx, 10**15, version=1, changed={}, actor=TESTER)
    with pytest.raises(CustomerNotFound):
        await service.add_identity(tx, 10**15, NewIdentity("phone", "+1"), actor=TESTER)
    with pytest.raises(CustomerNotFound):
        await service.card(tx.conn, 10**15)


async def test_added_number_is_found_raises_the_version_and_is_added_once(tx: Tx) -> None:
    maria = await a_customer(tx, phone="+14155550123")
    added = await service.add_identity(tx, maria.id, NewIdentity("phone", "+14155550124", "mobile"), actor=TESTER)
    assert (added.version, added.phones) == (2, ["+14155550123", "+14155550124"])
    assert added == await service.card(tx.conn, maria.id)
    again = await service.add_identity(tx, maria.id, NewIdentity("phone", "+14155550124"), actor=TESTER)
    assert again == added
    found = await service.identify(tx.conn, parse_number("+14155550124", "US"))
    assert (found.match, found.candidates[0].evidence.label) == (Match.ONE, "mobile")
    assert len(await _names(tx, "14155550124")) == 1


# --- search --------------------------------------------------------------------------------------------------------


async def test_search_by_every_kind_of_word(tx: Tx) -> None:
    await a_customer(tx, name="Maria Lopez", company="Northwind", phone="+14155550123", email="maria@north.example")
    await a_customer(tx, name="Jürgen Groß", phone="+4930555100")
    await a_customer(tx, name="王小明", company="星河科技", phone="+8613800138000")
    for q, names in {
        "maria": ["Maria Lopez"],
        "north lop": ["Maria Lopez"],
        "ma": ["Maria Lopez"],
        "o z": ["Maria Lopez"],
        "maria@north": ["Maria Lopez"],
        "415 555": ["Maria Lopez"],
        "gross jurgen": ["Jürgen Groß"],
        "030 555 100": ["Jürgen Groß"],
        "小明": ["王小明"],
        "星": ["王小明"],
        "明 138": ["王小明"],
        "maria gross": [],
        "": ["Jürgen Groß", "Maria Lopez", "王小明"],
    }.items():
        assert await _names(tx, q) == names, q


@pytest.mark.parametrize("q", ["%", "_", "\\", "' OR 1=1--", "'; DROP TABLE customers; --", "maria%", "$1", "%%%%%%"])
async def test_what_looks_like_sql_is_only_text(tx: Tx, q: str) -> None:
    await a_customer(tx, name="Maria Lopez")
    assert await _names(tx, q) == []
    await a_customer(tx, name=f"weird {q} name")
    assert await _names(tx, q) == [f"weird {q} name"]


async def test_pages_follow_each_other_without_gap_or_repeat(tx: Tx) -> None:
    names = ["anna", "Anna", "Ben", "ben", "Clara", "王小明", "anna"]
    for name in names:
        await a_customer(tx, name=name, phone="+4930555100")
    for search in (_by_words, _by_phone):
        found, place = [], Place()
        for _ in range(len(names)):
            items, after = await search(tx, place)
            found += items
            if after is None:
                break
            place = after
        assert len(set(found)) == len(found) == len(names)


async def _by_words(tx: Tx, place: Place) -> tuple[list[CustomerId], Place | None]:
    items, after = await queries.search_customers(tx.conn, patterns=like_patterns(""), after=place, limit=2)
    return [item.id for item in items], after


async def _by_phone(tx: Tx, place: Place) -> tuple[list[CustomerId], Place | None]:
    items, after = await queries.customers_by_phone(tx.conn, values=["+4930555100"], after=place, limit=2)
    return [item.id for item in items], after


async def test_search_uses_the_trigram_index_also_for_chinese(tx: Tx) -> None:
    await tx.conn.execute("SET LOCAL enable_seqscan = off")
    await tx.conn.execute("DROP INDEX customers_by_name")
    for q in ("小明", "明", "maria"):
        first = like_patterns(q)[0]
        plan = await tx.conn.fetch(f"EXPLAIN SELECT id FROM customers WHERE search_text LIKE '{first}'")
        assert "customers_search" in "\n".join(row[0] for row in plan), q


# --- import --------------------------------------------------------------------------------------------------------


async def test_import_is_idempotent_by_external_id(tx: Tx) -> None:
    assert await service.import_csv(tx, DEMO_FILE) == Imported(500, 0, 0)
    assert tx.events == []
    assert await service.import_csv(tx, DEMO_FILE) == Imported(0, 0, 500)
    assert tx.events == []
    assert await tx.conn.fetchval("SELECT count(*) FROM customers") == 500
    assert [row["action"] for row in await _audit(tx)] == ["customer.import", "customer.import"]
    assert (await _audit(tx))[0]["after"] == {"created": 500, "updated": 0, "unchanged": 0}


async def test_imported_people_of_the_guided_demo_are_identified(tx: Tx) -> None:
    await service.import_csv(tx, DEMO_FILE)
    maria = await service.identify(tx.conn, parse_number("+14155550123", "US"))
    assert maria.customer is not None
    assert (maria.customer.name, maria.customer.tier) == ("Maria Lopez", Tier.VIP)
    assert maria.customer.evidence.source == "import"
    becker = await service.identify(tx.conn, parse_number("+4930555100", "DE"))
    assert (becker.match, [c.name for c in becker.candidates]) == (Match.MANY, ["Anna Becker", "Jonas Becker"])
    xiaoming = await service.identify(tx.conn, parse_number("138 0013 8000", "CN"))
    assert xiaoming.customer is not None
    assert xiaoming.customer.name == "王小明"
    assert "王小明" in await _names(tx, "小明")


async def test_import_updates_what_differs_and_keeps_what_agents_added(tx: Tx, tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("external_id,name,phone,note\n1,Anna,+4930555101,first\n2,Ben,+4930555102,\n")
    await service.import_csv(tx, path)
    anna = (await queries.cards_by_external_id(tx.conn, external_ids=["1"]))["1"]
    await service.add_identity(tx, anna.id, NewIdentity("phone", "+4930555103"), actor=TESTER)
    await service.update_customer(tx, anna.id, version=2, changed={"note": "an agent's note"}, actor=TESTER)
    tx.events.clear()
    path.write_text("external_id,name,phone,note\n1,Anna Koch,+4930555104,second\n2,Ben,+4930555102,\n3,Clara,,\n")
    assert await service.import_csv(tx, path) == Imported(created=1, updated=1, unchanged=1)
    after = await service.card(tx.conn, anna.id)
    assert (after.name, after.note, after.version) == ("Anna Koch", "an agent's note", 4)
    assert after.phones == ["+4930555101", "+4930555103", "+4930555104"]
    assert tx.events == [CustomerChanged(customer_id=anna.id, version=4)]
    assert await _names(tx, "030 555103") == ["Anna Koch"]
    assert await _names(tx, "030 555104") == ["Anna Koch"]
    assert await service.import_csv(tx, path) == Imported(0, 0, 3)


async def test_file_with_a_mistake_imports_nothing(tx: Tx, tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("external_id,name,phone\n1,Anna,+4930555101\n2,Ben,nonsense\n")
    with pytest.raises(InvalidImport, match="line 3"):
        await service.import_csv(tx, path)
    assert await _names(tx, "") == []


async def test_empty_file_is_an_import_of_nobody(tx: Tx, tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("external_id,name\n")
    assert await service.import_csv(tx, path) == Imported(0, 0, 0)
