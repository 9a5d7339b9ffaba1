"""Every table that grows has an age at which rows go, in small batches, so that no statement holds the others up."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from accounts import retention as accounts
from app.settings import Settings
from cti import recording, voicemail
from infra.broker_outcome import heed_cancellation
from infra.outbox import AWAY, Outbox, no_stray_cancellation

log = structlog.get_logger()
BATCH: Final = 1000
INTERVAL_S: Final = 300
DELETED_AT_ONCE: Final = 20
"""Messages: the provider is asked to delete each of them."""
MOST_BATCHES: Final = 500


def _indexed(table: str, key: str, age: str, also: str = "true") -> str:
    """Oldest first, along the index of the column that says how old a row is. $1 is the age, $2 the batch."""
    return (
        f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} "  # noqa: S608 - our own names
        f"WHERE {age} < now() - $1::interval AND {also} ORDER BY {age} LIMIT $2)"
    )


def _oldest(table: str, key: str, age: str) -> str:
    """The first rows by key, which is nearly the order of age: tables without an index for this are never read as a whole.

    Ten times the batch is looked at, so that rows that are not over yet do not block those behind them."""
    return (
        f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM "  # noqa: S608 - our own names
        f"(SELECT {key}, {age} FROM {table} ORDER BY {key} LIMIT $2 * 10) oldest "
        f"WHERE {age} < now() - $1::interval LIMIT $2)"
    )


NOT_OWED: Final = "NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = events.id)"

# Table, setting, statement. Deliveries go before their events.
PURGES: Final[tuple[tuple[str, str, str], ...]] = (
    ("deliveries", "keep_events_h", _indexed("deliveries", "event_id, consumer", "done_at")),
    ("events", "keep_events_h", _indexed("events", "id", "created_at", NOT_OWED)),
    ("idempotency_keys", "keep_events_h", _indexed("idempotency_keys", "principal, key", "created_at")),
    ("desk_log", "keep_events_h", _indexed("desk_log", "agent_id, seq", "created_at")),
    ("exclusions", "keep_events_h", _oldest("exclusions", "work_item_id, agent_id", "until")),
    ("provider_events", "keep_webhooks_days", _indexed("provider_events", "id", "received_at")),
    ("blocked_numbers", "keep_events_h", _indexed("blocked_numbers", "id", "expires_at")),
    ("do_not_call", "keep_events_h", _indexed("do_not_call", "id", "expires_at")),
    ("cti_nonces", "keep_events_h", _indexed("cti_nonces", "connection, nonce", "used_at")),
    ("provider_commands", "keep_webhooks_days", _oldest("provider_commands", "id", "ended_at")),
    ("call_notes", "keep_webhooks_days", _oldest("call_notes", "call_id, agent_id", "saved_at")),
    ("transfers", "keep_webhooks_days", _oldest("transfers", "id", "ended_at")),
    ("call_callers", "keep_webhooks_days", _oldest("call_callers", "call_id", "at")),
    ("identity_choices", "keep_facts_days", _indexed("identity_choices", "number, customer_id", "chosen_at")),
    ("pop_layers", "keep_decisions_days", _indexed("pop_layers", "offer_id, layer", "at")),
    ("ticket_bulk_acts", "keep_events_h", _indexed("ticket_bulk_acts", "id", "at")),
    ("consults", "keep_webhooks_days", _oldest("consults", "id", "ended_at")),
    ("agent_rings", "keep_webhooks_days", _oldest("agent_rings", "offer_id", "at")),
    ("painted", "keep_decisions_days", _oldest("painted", "offer_id", "at")),
    ("decisions", "keep_decisions_days", _indexed("decisions", "id", "at")),
    ("agent_intervals", "keep_facts_days", _oldest("agent_intervals", "id", "ended_at")),
    ("stints", "keep_facts_days", _oldest("stints", "id", "left_at")),
    ("segments", "keep_facts_days", _oldest("segments", "id", "ended_at")),
    ("offers", "keep_facts_days", _oldest("offers", "id", "ended_at")),
    ("work_items", "keep_facts_days", _oldest("work_items", "id", "ended_at")),
    ("queue_figures", "keep_figures_days", _indexed("queue_figures", "bucket, queue", "bucket")),
    ("answered_waits", "keep_figures_days", _indexed("answered_waits", "bucket, queue, wait_s", "bucket")),
    ("agent_figures", "keep_figures_days", _indexed("agent_figures", "bucket, agent_id", "bucket")),
    ("calls", "keep_facts_days", _oldest("calls", "id", "closed_at")),
    ("missed_contacts", "keep_facts_days", _oldest("missed_contacts", "id", "last_at")),
    ("voicemails", "keep_facts_days", _indexed("voicemails", "id", "deleted_at")),
    ("recordings", "keep_facts_days", _indexed("recordings", "id", "deleted_at")),
    ("tickets", "keep_tickets_days", _indexed("tickets", "id", "closed_at")),
)


def age_of(settings: Settings, name: str) -> timedelta | None:
    """The age a setting stands for; None keeps for ever."""
    value: int = getattr(settings, name)
    if value == 0:
        return None
    return timedelta(hours=value) if name.endswith("_h") else timedelta(days=value)


async def purge_once(outbox: Outbox, settings: Settings) -> dict[str, int]:
    """One batch per table. Returns the rows removed by table."""
    removed: dict[str, int] = {}
    for table, setting, statement in PURGES:
        age = age_of(settings, setting)
        if age is not None:
            async with outbox.database.acquire() as conn:
                answer = await conn.execute(statement, age, BATCH)
            removed[table] = int(answer.split()[-1])
    if settings.keep_voicemails_days:
        async with outbox.transaction() as tx:
            before = tx.now - timedelta(days=settings.keep_voicemails_days)
            removed["voicemails deleted"] = await voicemail.delete_older(tx, before=before, limit=DELETED_AT_ONCE)
    async with outbox.transaction() as tx:
        removed["recordings deleted"] = await recording.delete_due(tx, now=tx.now, limit=DELETED_AT_ONCE)
    async with outbox.transaction() as tx:
        removed["accounts"] = await accounts.purge(tx, audit_kept=timedelta(days=settings.keep_audit_days), limit=BATCH)
    return removed


async def purge(outbox: Outbox, settings: Settings) -> None:
    """Run until cancelled: again at once while batches come back full, then every five minutes."""
    while True:
        heed_cancellation()
        await asyncio.sleep(INTERVAL_S)
        try:
            with no_stray_cancellation():
                await _purge_all(outbox, settings)
        except AWAY:
            log.debug("purge waits for the database")


async def _purge_all(outbox: Outbox, settings: Settings) -> None:
    """Batch after batch, with a pause for the others, until none comes back full."""
    for _ in range(MOST_BATCHES):
        removed = await purge_once(outbox, settings)
        if all(count < BATCH for count in removed.values()):
            return
        await asyncio.sleep(0.2)
