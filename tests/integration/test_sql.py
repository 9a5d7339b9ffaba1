"""Every SQL statement of every `queries.py` is prepared against the migrated schema: a misspelt column fails here."""

import importlib
import re
from pathlib import Path
from typing import Final

import pytest

from infra.postgres import Connection

ROOT: Final = Path(__file__).resolve().parents[2]
MODULES: Final = sorted(
    [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("[a-z]*/*queries*.py")]
    + ["infra.outbox", "infra.timers", "infra.openapi", "accounts.audit"]
)
_STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")


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
    await conn.prepare(statements(module)[name])


def test_statements_are_found() -> None:
    assert "USER_BY_EMAIL" in statements("accounts.queries")
    assert "CUSTOMER_CARD" in statements("customers.queries")
    assert len(MODULES) >= 6


async def test_misspelt_column_is_noticed(conn: Connection) -> None:
    with pytest.raises(Exception, match="no_such_column"):
        await conn.prepare(statements("accounts.queries")["USER"].replace("email", "no_such_column"))
