"""Every table that grows has an age at which rows go, in small batches, so that no statement holds the others up."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from accounts import retention as accounts
from app.settings import Settings
from core.errors import Unavailable
from infra.outbox import Outbox
from infra.postgres import CONNECTION_ERRORS, RETRYABLE_ERRORS

log = structlog.get_logger()
BATCH: Final = 1000
INTERVAL_S: Final = 300
MOST_BATCHES: Final = 500

# One statement per table, oldest first; $1 is the age as an interval, $2 the batch.
PURGES: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "deliveries",
        "keep_events_h",
        (
            "DELETE FROM deliveries WHERE (event_id, consumer) IN (SELECT event_id, consumer FROM deliveries "
            "WHERE done_at < now() - $1::interval ORDER BY done_at LIMIT $2)"
        ),
    ),
    (
        "events",
        "keep_events_h",
        (
            "DELETE FROM events WHERE id IN (SELECT e.id FROM events e WHERE e.created_at < now() - $1::interval "
            "AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = e.id) ORDER BY e.created_at LIMIT $2)"
        ),
    ),
    (
        "idempotency_keys",
        "keep_events_h",
        (
            "DELETE FROM idempotency_keys WHERE (principal, key) IN (SELECT principal, key FROM idempotency_keys "
            "WHERE created_at < now() - $1::interval ORDER BY created_at LIMIT $2)"
        ),
    ),
    (
        "desk_log",
        "keep_events_h",
        (
            "DELETE FROM desk_log WHERE (agent_id, seq) IN (SELECT agent_id, seq FROM desk_log "
            "WHERE created_at < now() - $1::interval ORDER BY created_at LIMIT $2)"
        ),
    ),
    (
        "exclusions",
        "keep_events_h",
        (
            "DELETE FROM exclusions WHERE (work_item_id, agent_id) IN (SELECT work_item_id, agent_id FROM exclusions "
            "WHERE until < now() - $1::interval LIMIT $2)"
        ),
    ),
    (
        "provider_events",
        "keep_webhooks_days",
        (
            "DELETE FROM provider_events WHERE id IN (SELECT id FROM provider_events "
            "WHERE received_at < now() - $1::interval ORDER BY received_at LIMIT $2)"
        ),
    ),
    (
        "provider_commands",
        "keep_webhooks_days",
        (
            "DELETE FROM provider_commands WHERE id IN (SELECT id FROM provider_commands "
            "WHERE ended_at < now() - $1::interval LIMIT $2)"
        ),
    ),
    (
        "call_notes",
        "keep_webhooks_days",
        (
            "DELETE FROM call_notes WHERE (call_id, agent_id) IN (SELECT call_id, agent_id FROM call_notes "
            "WHERE saved_at < now() - $1::interval LIMIT $2)"
        ),
    ),
    (
        "painted",
        "keep_decisions_days",
        "DELETE FROM painted WHERE offer_id IN (SELECT offer_id FROM painted WHERE at < now() - $1::interval LIMIT $2)",
    ),
    (
        "decisions",
        "keep_decisions_days",
        "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE at < now() - $1::interval ORDER BY at LIMIT $2)",
    ),
    (
        "agent_intervals",
        "keep_facts_days",
        (
            "DELETE FROM agent_intervals WHERE id IN (SELECT id FROM agent_intervals "
            "WHERE ended_at < now() - $1::interval LIMIT $2)"
        ),
    ),
    (
        "stints",
        "keep_facts_days",
        "DELETE FROM stints WHERE id IN (SELECT id FROM stints WHERE left_at < now() - $1::interval LIMIT $2)",
    ),
    (
        "segments",
        "keep_facts_days",
        "DELETE FROM segments WHERE id IN (SELECT id FROM segments WHERE ended_at < now() - $1::interval LIMIT $2)",
    ),
    (
        "offers",
        "keep_facts_days",
        "DELETE FROM offers WHERE id IN (SELECT id FROM offers WHERE ended_at < now() - $1::interval LIMIT $2)",
    ),
    (
        "work_items",
        "keep_facts_days",
        "DELETE FROM work_items WHERE id IN (SELECT id FROM work_items WHERE ended_at < now() - $1::interval LIMIT $2)",
    ),
    (
        "calls",
        "keep_facts_days",
        "DELETE FROM calls WHERE id IN (SELECT id FROM calls WHERE closed_at < now() - $1::interval LIMIT $2)",
    ),
    (
        "tickets",
        "keep_tickets_days",
        "DELETE FROM tickets WHERE id IN (SELECT id FROM tickets WHERE closed_at < now() - $1::interval LIMIT $2)",
    ),
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
    async with outbox.transaction() as tx:
        removed["accounts"] = await accounts.purge(tx, audit_kept=timedelta(days=settings.keep_audit_days), limit=BATCH)
    return removed


async def purge(outbox: Outbox, settings: Settings) -> None:
    """Run until cancelled: again at once while batches come back full, then every five minutes."""
    while True:
        await asyncio.sleep(INTERVAL_S)
        try:
            await _purge_all(outbox, settings)
        except (Unavailable, TimeoutError, *CONNECTION_ERRORS, *RETRYABLE_ERRORS):
            log.debug("purge waits for the database")


async def _purge_all(outbox: Outbox, settings: Settings) -> None:
    """Batch after batch, with a pause for the others, until none comes back full."""
    for _ in range(MOST_BATCHES):
        removed = await purge_once(outbox, settings)
        if all(count < BATCH for count in removed.values()):
            return
        await asyncio.sleep(0.2)
