"""Where a pop comes from, and what becomes of it when one of these does not answer: a hole with its name, never a pop that does not come.

All sources of one pop share one budget of time, in the order in which a person reads them. One that is too slow is cut off by it, one that fails
is left out; what has been read is sent, and the desk asks for the rest itself (`GET /api/v1/offers/{id}/pop`, with more patience).
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, TypeVar

import asyncpg
import structlog

from infra.postgres import Connection
from infra.telemetry import metrics
from realtime.messages import Hole, Source, Why

log = structlog.get_logger()

PUSH_WITHIN_S: Final = 0.2
"""For all sources of a pop that is pushed: what is left of 300 ms is for the wire and the screen."""
ASKED_WITHIN_S: Final = 2.0
LEAST_S: Final = 0.02
"""So that one slow source does not cut off those after it unasked."""

Read = TypeVar("Read")


class Sources:
    """Reads one after the other within the budget, and remembers what did not answer."""

    def __init__(self, conn: Connection, *, within_s: float) -> None:
        self._conn = conn
        self._until = monotonic() + within_s
        self.holes: list[Hole] = []

    async def read(self, source: Source, ask: Callable[[], Awaitable[Read]], missing: Read) -> Read:
        """What `ask` says, or `missing` and a hole. A lost connection is the whole pop's trouble and is raised."""
        try:
            async with asyncio.timeout(max(LEAST_S, self._until - monotonic())):
                if not self._conn.is_in_transaction():
                    return await ask()
                async with self._conn.transaction():  # a savepoint: what fails here must not end what surrounds it
                    return await ask()
        except TimeoutError:
            self._missed(source, "slow")
        except asyncpg.PostgresError as error:
            if self._conn.is_closed():
                raise
            self._missed(source, "failed", error)
        except (ValueError, TypeError, LookupError) as error:  # a row that cannot be shown
            self._missed(source, "failed", error)
        return missing

    def _missed(self, source: Source, why: Why, error: Exception | None = None) -> None:
        self.holes.append(Hole(source=source, why=why))
        metrics.pop_holes.labels(source, why).inc()
        kind = None if error is None else type(error).__name__  # its text may hold personal data
        log.warning("pop sent with a hole", source=source, why=why, error=kind)
