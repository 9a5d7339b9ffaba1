"""The loop that keeps the stored figures up with the facts."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from app.retention import age_of
from app.settings import Settings
from infra.broker_outcome import heed_cancellation
from infra.outbox import AWAY, no_stray_cancellation
from infra.postgres import RETRYABLE_ERRORS, Database
from reporting import service as figures

log = structlog.get_logger()
INTERVAL_S: Final = 5.0
BREATH_S: Final = 0.2
"""Between rounds of history: others want the database, too."""


async def keep_figures(database: Database, settings: Settings) -> None:
    """Run until cancelled. A quarter that is over is stored within seconds; several workers take turns."""
    while True:
        heed_cancellation()
        has_more = False
        try:
            with no_stray_cancellation():
                has_more = await figures.keep_up(
                    database,
                    facts_kept=timedelta(days=settings.keep_facts_days),
                    figures_kept=age_of(settings, "keep_figures_days"),
                )
        except (*AWAY, *RETRYABLE_ERRORS) as error:
            log.debug("figures wait for the database", error=type(error).__name__)
        await asyncio.sleep(BREATH_S if has_more else INTERVAL_S)
