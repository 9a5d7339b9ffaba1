"""One reading for all who ask the same at the same time: a board that moves makes everybody who looks at it ask at once.

Who asks while a reading is under way waits for the next one, which all who wait then share. So an answer is never older than its question,
nothing is kept, and the same question is read once at a time in each process, however many ask.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from infra.outbox import Outbox

T = TypeVar("T")


@dataclass(slots=True)
class _Question(Generic[T]):
    """`begun`: how many readings have begun; `answered`: the number of the last one that ended well."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    asking: int = 0
    begun: int = 0
    answered: int = 0
    answer: T | None = None


class SharedReadings(Generic[T]):
    def __init__(self) -> None:
        self._questions: dict[Hashable, _Question[T]] = {}

    async def get(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        question = self._questions.setdefault(key, _Question())
        before = question.begun
        question.asking += 1
        try:
            async with question.lock:
                if question.answered <= before or question.answer is None:
                    question.begun += 1
                    number = question.begun
                    question.answer = await read()
                    question.answered = number
                return question.answer
        finally:
            question.asking -= 1
            if not question.asking:
                del self._questions[key]


_READINGS: Final[WeakKeyDictionary[Outbox, SharedReadings[Any]]] = WeakKeyDictionary()


def readings_of(outbox: Outbox) -> SharedReadings[Any]:
    """Those of this process (tests have several)."""
    return _READINGS.setdefault(outbox, SharedReadings())
