"""The file of customers: columns, checks with line numbers, and nothing of the database.

    external_id,name,company,tier,language,region,phone,phone2,shared_phone,email,note

`region` is the country of national number forms. `shared_phone` is a number of several people (a switchboard, a family): it is
shown, but never taken for one of them.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from accounts.model import normalise_email
from core.errors import Invalid
from customers.model import InvalidImport, NewIdentity, Tier
from infra.phone import parse_typed

REQUIRED: Final = frozenset({"external_id", "name"})
COLUMNS: Final = REQUIRED | {
    "company", "tier", "language", "region", "phone", "phone2", "shared_phone", "email", "note",
}  # fmt: skip
MAX_MISTAKES: Final = 50


@dataclass(frozen=True, slots=True)
class Row:
    external_id: str
    name: str
    company: str | None
    tier: Tier
    language: str | None
    note: str
    identities: tuple[NewIdentity, ...]


def read(path: Path) -> list[Row]:
    """All rows. Raises InvalidImport that names every mistake with its line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _rows(csv.DictReader(file, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidImport("This is not a CSV file in UTF-8.") from error


def _rows(reader: "csv.DictReader[str]") -> list[Row]:
    columns = set(reader.fieldnames or ())
    if not columns >= REQUIRED or not columns <= COLUMNS:
        raise InvalidImport(f"The columns must be among: {', '.join(sorted(COLUMNS))}.")
    rows: dict[str, Row] = {}
    mistakes: list[dict[str, str]] = []
    for fields in reader:
        place = f"line {reader.line_num}"
        try:
            row = _row(fields)
        except (Invalid, ValueError, TypeError) as error:
            mistakes.append({"field": place, "message": str(error)})
            continue
        if row.external_id in rows:
            mistakes.append({"field": place, "message": f"{row.external_id} is there twice"})
        rows[row.external_id] = row
    if mistakes:
        first = mistakes[0]
        text = f"{len(mistakes)} lines cannot be read; {first['field']}: {first['message']}"
        raise InvalidImport(text, errors=mistakes[:MAX_MISTAKES])
    return list(rows.values())


def _row(fields: Mapping[str, str | None]) -> Row:
    text = {name: (value or "").strip() for name, value in fields.items() if name is not None}
    if None in fields:
        raise ValueError("has more fields than columns")
    if not text["external_id"] or not text["name"]:
        raise ValueError("needs external_id and name")
    if any("\x00" in value for value in text.values()):
        raise ValueError("holds a NUL character")
    return Row(
        external_id=text["external_id"],
        name=text["name"],
        company=text.get("company") or None,
        tier=_tier(text.get("tier", "")),
        language=text.get("language") or None,
        note=text.get("note", ""),
        identities=tuple(_identities(text)),
    )


def _tier(text: str) -> Tier:
    try:
        return Tier(text or "standard")
    except ValueError:
        raise ValueError(f"tier must be one of {', '.join(Tier)}") from None


def _identities(text: Mapping[str, str]) -> Iterator[NewIdentity]:
    for column in ("phone", "phone2", "shared_phone"):
        if text.get(column):
            number = parse_typed(text[column], text.get("region") or "ZZ")
            if number.e164 is None or number.is_suspect:
                raise ValueError(f"{column} is not a telephone number")
            yield NewIdentity("phone", number.e164, is_shared=column == "shared_phone", extension=number.extension)
    if text.get("email"):
        yield NewIdentity("email", normalise_email(text["email"]))
