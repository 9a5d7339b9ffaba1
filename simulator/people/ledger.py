"""What the drivers saw, written outside the system under test: did, refused, or nobody knows.

An answer that never came is `unknown`: the thing may have happened once. Checkers must allow for both.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from simulator.people.api import Refused, Unanswered


class Outcome(StrEnum):
    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Record:
    at: datetime
    actor: str
    action: str
    subject: str
    outcome: Outcome
    detail: str = ""


class Ledger:
    def __init__(self, size: int = 100_000) -> None:
        self.records: deque[Record] = deque(maxlen=size)

    def add(self, actor: str, action: str, subject: object, outcome: Outcome, detail: str = "") -> None:
        self.records.append(Record(datetime.now(UTC), actor, action, str(subject), outcome, detail))

    @contextmanager
    def attempt(self, actor: str, action: str, subject: object) -> Iterator[None]:
        """Record how the requests within ended; their errors pass through."""
        try:
            yield
        except Refused as refused:
            self.add(actor, action, subject, Outcome.FAIL, f"{refused.status} {refused.code}")
            raise
        except Unanswered as unanswered:
            self.add(actor, action, subject, Outcome.UNKNOWN, str(unanswered))
            raise
        self.add(actor, action, subject, Outcome.OK)

    def count(self, action: str, outcome: Outcome) -> int:
        return sum(1 for record in self.records if record.action == action and record.outcome is outcome)
