"""Every SQL statement that is a constant of a module is prepared against the migrated schema: a misspelt column fails here."""

import importlib
import re
from pathlib import Path
from typing import Final

import pytest

from infra.postgres import Connection

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = (
    "accounts",
    "app",
    "core",
    "cti",
    "customers",
    "infra",
    "realtime",
    "reporting",
    "routing",
    "simulator",
    "ticketing",
)
_STATEMENT: Final = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
_HOLDS_ONE: Final = re.compile(r'^[A-Z_]+(: Final(\[str\])?)? = f?"{1,3}' + _STATEMENT.pattern, re.MULTILINE)
MODULES: Final = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if _HOLDS_ONE.search(path.read_text())
)


def statements(module: str) -> dict[str, str]:
    """The upper-case string constants of a module that are SQL."""
    constants = vars(importlib.import_module(module))
    return {
        name: value
        for name, value in constants.items()
        if name.isupper() and isinstance(value, str) and _STATEMENT.match(value)
    }


@pytest.mark.parametrize(("module", "name"), [(m, name) for m in MODULES for name in statements(m)])
async def test_statement_fits_the_schema(conn: Connection, module: str, name: str) -> None:
    await conn.prepare(statements(module)[name].replace("public.{}", "public.customers"))  # of each table in turn


def test_statements_are_found() -> None:
    assert "USER_BY_EMAIL" in statements("accounts.queries")
    assert "CUSTOMER_CARD" in statements("customers.queries")
    assert "KNOWN_TO_ALL" in statements("app.demo")
    assert len(MODULES) >= 15


async def test_misspelt_column_is_noticed(conn: Connection) -> None:
    with pytest.raises(Exception, match="no_such_column"):
        await conn.prepare(statements("accounts.queries")["USER"].replace("email", "no_such_column"))
