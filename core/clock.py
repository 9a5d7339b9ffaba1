"""Time is an argument. Edges ask a Clock; everything below takes `now` (aware UTC)."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC; in production the database's clock, so that all processes agree on deadlines."""
        ...
