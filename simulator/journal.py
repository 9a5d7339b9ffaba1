"""What happened, in order, for assertions and for curious eyes. Bounded: the oldest entries are dropped."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from simulator.clock import Clock

Entry = dict[str, Any]


class Journal:
    """Kinds: `webhook` and `callback` (a request of ours with the answer), `rest` (a request to us), `call`,
    `conference`, `queue` (state changes), `heard` (what a person on the line heard), `fault`, `error`."""

    def __init__(self, clock: Clock, size: int) -> None:
        self._clock = clock
        self._entries: deque[Entry] = deque(maxlen=size)
        self._last = 0

    def add(self, kind: str, **facts: Any) -> Entry:
        self._last += 1
        entry: Entry = {"n": self._last, "at": self._clock.now().isoformat(), "kind": kind, **facts}
        self._entries.append(entry)
        return entry

    def since(self, n: int = 0, limit: int | None = None, **wanted: str) -> list[Entry]:
        """Entries after number `n`, oldest first, whose facts equal all of `wanted`."""
        found = [e for e in self._entries if e["n"] > n and _matches(e, wanted)]
        return found if limit is None else found[:limit]

    @property
    def last(self) -> int:
        return self._last


def _matches(entry: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    return all(entry.get(name) == value for name, value in wanted.items())
