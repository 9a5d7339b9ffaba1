"""The demo's customers: made by their script, readable by the import, with the people that the guided demo speaks of."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

from customers import csv_file
from customers.model import InvalidImport, Tier
from infra.phone import parse_number

DEMO = Path(__file__).resolve().parents[3] / "demo"
HEAD = "external_id,name,company,tier,language,region,phone,phone2,shared_phone,email,note\n"


def test_file_is_what_its_script_makes() -> None:
    spec = importlib.util.spec_from_file_location("make_customers", DEMO / "make_customers.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (DEMO / "customers.csv").read_text(encoding="utf-8") == script.render()


def test_five_hundred_customers_of_three_countries() -> None:
    rows = csv_file.read(DEMO / "customers.csv")
    assert len(rows) == 500
    assert len({row.external_id for row in rows}) == 500
    prefixes = Counter(
        code for row in rows for code in ("+1", "+49", "+86") if any(i.value.startswith(code) for i in row.identities)
    )
    assert min(prefixes[code] for code in ("+1", "+49", "+86")) > 80
    tiers = Counter(row.tier for row in rows)
    assert all(tiers[tier] >= 10 for tier in Tier)
    assert {row.language for row in rows} >= {"en", "es", "de", "zh-CN"}


def test_people_of_the_guided_demo() -> None:
    rows = csv_file.read(DEMO / "customers.csv")
    owners: dict[str, list[csv_file.Row]] = {}
    for row in rows:
        for identity in row.identities:
            owners.setdefault(identity.value, []).append(row)
    assert [(row.name, row.tier) for row in owners["+14155550123"]] == [("Maria Lopez", Tier.VIP)]
    assert [row.name for row in owners["+8613800138000"]] == ["王小明"]
    assert [row.name for row in owners["+4930555100"]] == ["Anna Becker", "Jonas Becker"]
    shared = [value for value, people in owners.items() if len(people) > 1]
    assert len(shared) >= 8
    for value in shared:
        assert all(i.is_shared for row in owners[value] for i in row.identities if i.value == value)
    for line in ("+14155550199", "+4930901820", "+862155550123"):
        assert line not in owners, "a customer does not call from our own line"


def test_every_number_is_read_the_same_from_a_provider() -> None:
    for row in csv_file.read(DEMO / "customers.csv"):
        for identity in row.identities:
            if identity.kind == "phone":
                number = parse_number(identity.value, "US")
                assert (number.e164, number.is_suspect) == (identity.value, False)


# --- mistakes ------------------------------------------------------------------------------------------------------


def read(tmp_path: Path, body: str | bytes, head: str = HEAD) -> list[csv_file.Row]:
    path = tmp_path / "customers.csv"
    path.write_bytes(head.encode() + (body if isinstance(body, bytes) else body.encode()))
    return csv_file.read(path)


def test_national_forms_are_read_in_their_region(tmp_path: Path) -> None:
    [row] = read(tmp_path, "1, Anna ,,,,DE,030 123456,,,Anna@Example.COM,\n")
    assert (row.name, row.tier, row.company, row.language) == ("Anna", Tier.STANDARD, None, None)
    assert [identity.value for identity in row.identities] == ["+4930123456", "anna@example.com"]


def test_byte_order_mark_of_spreadsheets_is_accepted(tmp_path: Path) -> None:
    assert len(read(tmp_path, "1,Anna\n", head="\ufeffexternal_id,name\n")) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (",Anna,,,,,,,,,\n", "needs external_id and name"),
        ("1,,,,,,,,,,\n", "needs external_id and name"),
        ("1,Anna,,platinum,,,,,,,\n", "tier must be one of"),
        ("1,Anna,,,,,030 123456,,,,\n", "phone is not a telephone number"),
        ("1,Anna,,,,DE,,,911,,\n", "shared_phone is not a telephone number"),
        ("1,Anna,,,,,,,,nobody,\n", "e-mail"),
        ("1,Anna,,,,,,,,,,too,many\n", "more fields"),
        ("1,Anna,,,,,,,,,\n1,Ben,,,,,,,,,\n", "there twice"),
    ],
)
def test_mistake_is_named_with_its_line(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(InvalidImport, match=message) as caught:
        read(tmp_path, "0,Good,,,,,,,,,\n" + body)
    assert "line " in caught.value.detail


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidImport, match="2 lines") as caught:
        read(tmp_path, "1,,,,,,,,,,\n2,Good,,,,,,,,,\n3,,,,,,,,,,\n")
    errors = caught.value.fields["errors"]
    assert isinstance(errors, list)
    assert [error["field"] for error in errors] == ["line 2", "line 4"]


@pytest.mark.parametrize(
    ("head", "body"),
    [("id,name\n", "1,Anna\n"), ("external_id,name,colour\n", "1,Anna,red\n"), ("", ""), (HEAD, b"1,\xff\xfe\n")],
)
def test_what_is_no_customer_file_is_refused(tmp_path: Path, head: str, body: str | bytes) -> None:
    with pytest.raises(InvalidImport):
        read(tmp_path, body, head)
