"""Every SQL statement that is a constant of a module is prepared against the migrated schema: a misspelt column fails here."""

import importlib
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import pytest

from cti.number_list_queries import Statements
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
_HOLDS_ONE: Final = re.compile(
    r'^[A-Z_]+(: Final(\[str\])?)? = (statements_of\(|f?"{1,3}' + _STATEMENT.pattern + ")", re.MULTILINE
)
MODULES: Final = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if _HOLDS_ONE.search(path.read_text())
)


def statements(module: str) -> dict[str, str]:
    """The upper-case constants of a module that are SQL, or hold SQL by name."""
    constants: dict[str, Any] = {}
    for name, value in vars(importlib.import_module(module)).items():
        constants[name] = value
        if isinstance(value, Statements):
            constants |= {f"{name}.{field.name}".upper(): getattr(value, field.name) for field in fields(value)}
    return {
        name: value
        for name, value in constants.items()
        if name.isupper() and isinstance(value, str) and _STATEMENT.match(value)
    }


@pytest.mark.parametrize(("module", "name"), [(m, name) for m in MODULES for name in statements(m)])
async def test_statement_fits_the_schema(conn: Connection, module: str, name: str) -> None:
    await conn.prepare(statements(module)[name].replace("public.{}", "public.customers"))  # of each table in turn


GROWING: Final = frozenset(
    {
        "agent_intervals", "agent_rings", "audit_log", "call_callers", "call_notes", "calls", "consults", "cti_nonces", "customer_identities", "customers", "decisions",
        "deliveries", "desk_log", "events", "exclusions", "idempotency_keys", "identity_choices", "legs", "missed_calls", "missed_contacts", "offers", "painted", "pop_layers",
        "provider_commands", "provider_events", "recordings", "segments",
        "stints", "ticket_bulk_acts", "ticket_note_search", "ticket_calls", "ticket_history", "ticket_notes", "ticket_search", "tickets", "timers", "transfers", "work_items",
    }
)  # fmt: skip
"""Reading all of one of these is a fault, or the purpose of the statement."""
READS_ALL: Final = frozenset({("infra.backup", "CHECKSUM")})
PLAN: Final = """
CREATE OR REPLACE FUNCTION pg_temp.plan(statement text) RETURNS json LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    SET LOCAL enable_seqscan = off;
    EXECUTE 'EXPLAIN (GENERIC_PLAN, FORMAT JSON) ' || statement INTO plan;
    RETURN plan;
END $$
"""


def relations(plan: dict[str, Any], kind: str) -> Iterator[str]:
    """The tables of all nodes of this kind."""
    if plan["Node Type"] == kind:
        yield plan["Relation Name"]
    for child in plan.get("Plans", ()):
        yield from relations(child, kind)


@pytest.mark.parametrize(("module", "name"), [(m, name) for m in MODULES for name in statements(m)])
async def test_statement_can_use_an_index_whatever_its_values_are(conn: Connection, module: str, name: str) -> None:
    """Sequential scans are forbidden here: one that is still in the plan is there because nothing else would do."""
    if await conn.fetchval("SELECT current_setting('server_version_num')::integer") < 160_000:
        pytest.skip("EXPLAIN (GENERIC_PLAN) came with PostgreSQL 16")
    await conn.execute(PLAN)
    statement = statements(module)[name].replace("public.{}", "public.customers")
    found = await conn.fetchval("SELECT pg_temp.plan($1)", statement)
    read = set(relations(found[0]["Plan"], "Seq Scan")) & GROWING
    assert not read or (module, name) in READS_ALL


def test_statements_are_found() -> None:
    assert "USER_BY_EMAIL" in statements("accounts.queries")
    assert "CUSTOMER_CARD" in statements("customers.queries")
    assert {"BLOCKED.ADD", "DO_NOT_CALL.ADD"} <= set(statements("cti.number_list_queries"))
    assert "KNOWN_TO_ALL" in statements("app.demo")
    assert len(MODULES) >= 15


async def test_misspelt_column_is_noticed(conn: Connection) -> None:
    with pytest.raises(Exception, match="no_such_column"):
        await conn.prepare(statements("accounts.queries")["USER"].replace("email", "no_such_column"))
