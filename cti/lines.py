"""Our numbers in memory: the emergency answer must need no database, and no webhook should look them up each time."""

from typing import Final

import structlog

from cti import queries as sql
from cti.twilio_voice import Line
from infra.postgres import Database, keep_fresh

log = structlog.get_logger()
REFRESH_S: Final = 10


class Lines:
    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}

    async def refresh(self, database: Database) -> None:
        async with database.acquire() as conn:
            self._lines = await sql.lines(conn)

    async def keep(self, database: Database) -> None:
        await keep_fresh(database, self.refresh, "numbers", every_s=REFRESH_S)

    def of(self, number: str) -> Line:
        """The line that was dialled. A number we do not know is answered like the first one: a caller is never turned away
        by our configuration."""
        line = self._lines.get(number)
        if line is None:
            first = next(iter(self._lines.values()), None)
            line = Line(number, "US", "") if first is None else first
        return line

    def all(self) -> dict[str, Line]:
        return self._lines

    @property
    def default(self) -> Line:
        return self.of("")
