"""Every table that grows has an age at which its rows go; what is still needed stays."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from app import retention
from app.retention import PURGES, age_of, purge_once
from app.settings import Settings
from infra.postgres import Connection
from reporting import service as figures
from reporting.model import BUCKET, bucket_of
from tests.builders import a_customer
from tests.servers import DELETE_ALL
from tests.stack import CALLER, Stack

GO_WITH_ANOTHER: Final = {
    "legs": "with their call",
    "missed_calls": "with their missed contact",
    "ticket_calls": "with their ticket",
    "ticket_notes": "with their ticket",
    "ticket_history": "with their ticket",
    "ticket_search": "with their ticket",
    "customer_identities": "with their customer",
    "agent_queues": "with their agent",
    "profiles": "as many as there are sets of queues and skills",
    "ticket_note_search": "with their note",
    "desk_viewings": "with their socket, or when its lease ends",
    "desk_connections": "by the dispatcher's sweep, a minute after they end",
    "sessions": "accounts/retention.py",
    "realtime_tickets": "accounts/retention.py",
    "audit_log": "accounts/retention.py",
    "figures_reopened": "by the loop that counts figures again, within seconds",
}
DO_NOT_GROW: Final = {
    "users": "people are switched off, not removed: rows of theirs outlive them",
    "api_tokens": "made by hand, few",
    "wallboards": "made by hand, few",
    "agents": "one per user",
    "ticket_views": "made by hand, at most fifty for each person",
    "pool_turns": "one per pool",
    "desk_heads": "one per agent",
    "key_settings": "one per user",
    "agent_telephones": "configuration, one per agent",
    "customers": "the organisation's own data",
    "queues": "configuration",
    "skills": "configuration",
    "numbers": "configuration",
    "calendars": "configuration",
    "menus": "configuration",
    "dispositions": "configuration",
    "cti_connections": "configuration",
    "agent_extensions": "configuration",
    "outside_prefixes": "configuration",
    "outbound_settings": "one row",
    "dial_slots": "one per account of a provider",
    "rule_sets": "configuration, versions are kept for the explanations",
    "config_changes": "one per apply that changed something",
    "ticket_settings": "one row",
    "ticket_counters": "one row a year",
    "figures_progress": "one row",
    "timers": "removed as they run",
    "schema_migrations": "one row per migration",
    "schema_compatibility": "one row",
}


async def test_every_table_is_purged_or_has_a_reason(conn: Connection) -> None:
    """A new table fails here until somebody has decided."""
    rows = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {row["tablename"] for row in rows} == {p[0] for p in PURGES} | set(GO_WITH_ANOTHER) | set(DO_NOT_GROW)


async def test_statements_fit_the_schema_and_use_an_index(conn: Connection) -> None:
    """With everything young, each is answered without reading the table as a whole."""
    settings = Settings(keep_tickets_days=30)
    await conn.execute("SET enable_seqscan = off")
    try:
        for table, name, statement in PURGES:
            age = age_of(settings, name)
            rows = await conn.fetch(f"EXPLAIN {statement}", age, retention.BATCH)
            plan = "\n".join(row[0] for row in rows)
            assert f"Seq Scan on {table}" not in plan, plan
    finally:
        await conn.execute("RESET enable_seqscan")


async def a_past(stack: Stack) -> None:
    """A talk with note and result, one that was rejected, one that hung up, a call in the line, a closed ticket."""
    async with stack.parts.resources.outbox.transaction() as tx:
        await a_customer(tx, phone=CALLER)
    ava = await stack.agent("ava")
    leg = await stack.dial()
    call_id, _ = await ava.take()
    await ava.ask("PUT", f"/calls/{call_id}/note", {"body": "x", "version": 0})
    leg.leave()
    await stack.quiet()
    await ava.ask("POST", f"/calls/{call_id}/wrap-up", {"note": "x"})
    second = await stack.dial("+14155550124")
    await ava.ask("POST", f"/offers/{await ava.offer()}/reject", {})
    second.hang_up()
    await stack.quiet()
    for row in await stack.rows("SELECT id, version FROM tickets WHERE closed_at IS NULL"):
        await ava.ask("PATCH", f"/tickets/{row['id']}", {"version": row["version"], "state": "resolved"})
    await stack.rows(
        "INSERT INTO voicemails (recording_sid, account_sid, call_sid, duration_s, created_at, deleted_at) "
        "VALUES ('RE1', 'AC1', 'CA1', 5, now(), now()) RETURNING 1"
    )
    await stack.rows(
        "INSERT INTO recordings (call_id, account_sid, pause_on_hold, created_at, keep_until, deleted_at) "
        "VALUES (1, 'AC1', true, now(), now(), now()) RETURNING 1"
    )
    for table in ("blocked_numbers", "do_not_call"):
        await stack.rows(
            f"INSERT INTO {table} (number, reason, added_by, added_at, expires_at) VALUES ('1', 'x', 'x', now(), now()) RETURNING 1"
        )
    await stack.rows("INSERT INTO cti_nonces (connection, nonce, signature) VALUES ('cloud', 'n', 's') RETURNING 1")
    await stack.rows(
        "INSERT INTO transfers (call_id, offer_id, from_agent_id, to_kind, to_queue, at, outcome, ended_at) "
        "SELECT call_id, id, agent_id, 'queue', 'sales', now(), 'taken', now() FROM offers WHERE state = 'completed' RETURNING 1"
    )
    await stack.rows(
        "INSERT INTO pop_layers (offer_id, layer, agent_id, ms) SELECT id, 'identity', agent_id, 1 FROM offers RETURNING 1"
    )
    await stack.rows(
        "INSERT INTO identity_choices (number, customer_id, chosen_at) SELECT '1', id, now() FROM customers LIMIT 1 RETURNING 1"
    )
    await stack.rows(
        "INSERT INTO ticket_bulk_acts (actor_id, at, rows) SELECT id, now(), '[]' FROM users LIMIT 1 RETURNING 1"
    )
    await stack.rows(
        "INSERT INTO consults (call_id, offer_id, from_agent_id, to_kind, to_queue, at, state, outcome, ended_at) "
        "SELECT call_id, id, agent_id, 'queue', 'sales', now(), 'over', 'returned', now() FROM offers WHERE state = 'completed' RETURNING 1"
    )
    await stack.rows(
        "INSERT INTO agent_rings (offer_id, call_id, agent_id, address, language, queue_name, dial_at, at) "
        "SELECT id, call_id, agent_id, '+4915112345678', 'en', '{}', now(), now() FROM offers RETURNING 1"
    )
    await stack.rows("INSERT INTO painted (offer_id, agent_id, ms) SELECT id, agent_id, 1 FROM offers RETURNING 1")
    await stack.rows(
        "INSERT INTO call_notes (call_id, agent_id, body) SELECT id, 1, 'x' FROM calls LIMIT 1 RETURNING 1"
    )
    async with ava.browser.post(
        "/api/v1/tickets", json={"subject": "x", "queue": "support"}, headers={"Idempotency-Key": "k"}
    ) as response:
        assert response.status == 201
    await stack.quiet()
    await stack.rows("UPDATE tickets SET state = 'closed', closed_at = now(), close_reason = 'resolved' RETURNING 1")
    await stack.rows(
        "INSERT INTO figures_progress (closed_until, filled_from, filled_until) VALUES ($1, $2, $2) RETURNING 1",
        *quarter(),
    )
    await figures.keep_up(stack.parts.resources.database, facts_kept=timedelta(days=800))


def quarter() -> tuple[datetime, datetime]:
    """This one, as if it were over: its end and its beginning."""
    start = bucket_of(datetime.now(UTC))
    return start + BUCKET, start


AGE_ALL: Final = """
DO $$
DECLARE t text; columns text;
BEGIN
    SET LOCAL session_replication_role = replica;
    -- Those with an end first: an open one that is aged before them would overlap them.
    UPDATE agent_intervals SET started_at = started_at - interval '1200 days', ended_at = ended_at - interval '1200 days'
    WHERE ended_at IS NOT NULL;
    FOR t, columns IN
        SELECT c.table_name, string_agg(format('%I = %I - interval ''1200 days''', column_name, column_name), ', ')
        FROM information_schema.columns c JOIN pg_tables p ON p.tablename = c.table_name AND p.schemaname = 'public'
        WHERE c.table_schema = 'public' AND data_type = 'timestamp with time zone' GROUP BY c.table_name
    LOOP
        EXECUTE format('UPDATE %I SET %s', t, columns) || CASE t WHEN 'agent_intervals' THEN ' WHERE ended_at IS NULL' ELSE '' END;
    END LOOP;
END $$
"""


async def test_old_rows_go_and_young_ones_stay(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox, settings = stack.parts.resources.outbox, Settings(keep_tickets_days=30)
    await a_past(stack)
    before = {table: await stack.count(table) for table, _, _ in PURGES}
    assert {table for table, count in before.items() if count == 0} == set(), "the past has something of everything"
    assert {count for table, count in (await purge_once(outbox, settings)).items()} == {0}
    await stack.rows(AGE_ALL)
    monkeypatch.setattr(retention, "BATCH", 2)
    first = await purge_once(outbox, settings)
    assert max(count for table, count in first.items() if table != "accounts") == 2, "in batches"
    await retention._purge_all(outbox, settings)
    left = {table: count for table, _, _ in PURGES if (count := await stack.count(table))}
    assert left == {"agent_intervals": 3}, "each agent's present stretch"
    for table in ("legs", "ticket_calls", "ticket_notes", "ticket_history", "ticket_search", "sessions", "audit_log"):
        assert await stack.count(table) == 0, table


async def test_what_is_owed_is_kept(stack: Stack) -> None:
    """An event with an undone or parked delivery, an open call, an open ticket: however old."""
    outbox, settings = stack.parts.resources.outbox, Settings(keep_tickets_days=30)
    ava, leg = await stack.agent("ava"), await stack.dial()
    await ava.offer()
    await stack.rows("UPDATE deliveries SET done_at = NULL, parked_at = now() RETURNING 1")
    await stack.rows(AGE_ALL)
    await purge_once(outbox, settings)
    kept = {name: await stack.count(name) for name in ("events", "deliveries", "calls", "work_items", "tickets")}
    assert all(kept.values()), kept
    assert leg.is_answered
    await stack.rows(DELETE_ALL)  # an offer that rings for years is nothing that the invariants know


def test_tickets_are_kept_for_ever_unless_said_otherwise() -> None:
    assert age_of(Settings(), "keep_tickets_days") is None
    assert age_of(Settings(keep_tickets_days=7), "keep_tickets_days") is not None
    assert {setting for _, setting, _ in PURGES} <= set(Settings.model_fields)
