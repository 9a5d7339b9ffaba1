"""One provider connection (a CallSid): what it is, and the wait in which everything that happens to it arrives.

All waiting on a leg goes through `wait_for`. Who hangs up or redirects a leg only leaves a mark and wakes it; the
wait then raises HungUp or Redirected inside whatever is being played. So there is exactly one place where a call can
be interrupted, and no task is cancelled from outside.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from simulator.changes import Changes
from simulator.clock import Clock
from simulator.config import Target
from simulator.provider.flow import HungUp, Program, Redirected, Stopped
from simulator.provider.webhooks import Party

if TYPE_CHECKING:
    from simulator.provider.conference import Conference, Seat

T = TypeVar("T")
Direction = Literal["inbound", "outbound-api", "outbound-dial"]
LIVE = frozenset({"queued", "initiated", "ringing", "in-progress"})
ENDED = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
ALL_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})


@dataclass(frozen=True, slots=True)
class StatusCallback:
    target: Target
    events: frozenset[str] = frozenset({"completed"})


@dataclass(frozen=True, slots=True)
class Heard:
    at: datetime
    verb: str
    text: str


@dataclass(eq=False)
class Leg:
    clock: Clock
    party: Party
    account_sid: str
    from_: str
    to: str
    direction: Direction
    created_at: datetime
    status: str
    fallback: Target | None = None
    callback: StatusCallback | None = None
    parent: "Leg | None" = None
    application_sid: str | None = None
    phone_number_sid: str | None = None
    queue_time_ms: int = 0
    identity: Mapping[str, str] = field(default_factory=dict)
    """Further fields of every request: ForwardedFrom, CallerName, StirVerstat…"""
    first_fields: Mapping[str, str] = field(default_factory=dict)
    """Further fields of the first request only: what an SDK passed on."""

    started_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime | None = None
    sequence: int = 0
    heard: deque[Heard] = field(default_factory=lambda: deque(maxlen=200))
    seat: "Seat | None" = None
    queue_name: str | None = None
    partner: "Leg | None" = None
    is_ready: bool = False
    """Answered, whisper heard, waiting to be bridged."""
    bridged_at: datetime | None = None
    on_answer: Callable[["Leg"], None] | None = None

    is_asked: bool = False
    """A key or a word is being listened for."""
    keys: deque[str] = field(default_factory=deque)
    speech: deque[str] = field(default_factory=deque)
    _redirect: Program | None = None
    _changes: Changes = field(init=False)
    _guards: list[Callable[[], bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._changes = Changes(self.clock)

    @property
    def sid(self) -> str:
        return self.party.sid

    @property
    def parent_sid(self) -> str | None:
        return self.parent.sid if self.parent is not None else None

    @property
    def is_over(self) -> bool:
        return self.ended_at is not None

    @property
    def is_answered(self) -> bool:
        return self.answered_at is not None

    @property
    def conference(self) -> "Conference | None":
        return self.seat.conference if self.seat is not None else None

    @property
    def is_talking(self) -> bool:
        """Somebody else hears this leg now."""
        if self.partner is not None:
            return True
        conference = self.conference
        return conference is not None and conference.is_started and len(conference.seats) > 1

    @property
    def duration_s(self) -> int:
        if self.answered_at is None or self.ended_at is None:
            return 0
        return math.ceil((self.ended_at - self.answered_at).total_seconds())

    # What happens to the leg from outside

    def hang_up(self, status: str = "completed") -> bool:
        """End the leg with `status`; False when it was over already (the first end counts)."""
        if self.is_over:
            return False
        self.status = status
        self.ended_at = self.updated_at = self.clock.now()
        self.notify()
        if self.parent is not None:
            self.parent.notify()
        return True

    def redirect(self, program: Program) -> None:
        self._redirect = program
        self.updated_at = self.clock.now()
        self.notify()

    def press(self, digits: str) -> None:
        self.keys.extend(digits)
        self.notify()

    def say(self, text: str) -> None:
        self.speech.append(text)
        self.notify()

    def answer(self) -> None:
        if self.is_answered or self.is_over:
            return
        self.status = "in-progress"
        self.answered_at = self.updated_at = self.clock.now()
        if self.on_answer is not None:
            self.on_answer(self)
        self.notify()

    def leave(self) -> bool:
        """The person on the line hangs up."""
        return self.hang_up("completed" if self.is_answered else "canceled")

    def notify(self) -> None:
        """Something changed that a wait may be waiting for."""
        self._changes.notify()

    async def watch(self, condition: Callable[[], bool], seconds: float | None) -> bool:
        """Wait from outside, as the person on the line does: True when `condition()` holds, False when late."""
        return await self._changes.until(condition, seconds)

    # Waiting

    async def wait_for(self, condition: Callable[[], bool], seconds: float | None) -> bool:
        """True when `condition()` holds, False when the time is over (None: no limit).

        Raises HungUp, Redirected or Stopped. Whoever changes what the condition reads calls `notify`.
        """

        def ready() -> bool:
            self._check()
            return condition()

        return await self.watch(ready, seconds)

    async def rest(self, seconds: float) -> None:
        await self.wait_for(lambda: False, seconds)

    async def result_of(
        self, start: Callable[[Coroutine[Any, Any, None], str], object], work: Coroutine[Any, Any, T]
    ) -> T:
        """The result of `work`, run by its own owner: an interrupted leg leaves it to end by itself, unheard."""
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        outcome.add_done_callback(lambda f: f.cancelled() or f.exception())  # nobody may be left to look at it

        async def run() -> None:
            try:
                result = await work
            except Exception as failed:
                outcome.set_exception(failed)
            else:
                outcome.set_result(result)
            self.notify()

        start(run(), f"fetch.{self.sid}")
        await self.wait_for(outcome.done, None)
        return outcome.result()

    @contextmanager
    def until(self, condition: Callable[[], bool]) -> Iterator[None]:
        """Within, every wait raises Stopped once `condition()` holds."""
        self._guards.append(condition)
        try:
            yield
        finally:
            self._guards.pop()

    def _check(self) -> None:
        if self.is_over:
            raise HungUp
        if self._redirect is not None:
            program, self._redirect = self._redirect, None
            raise Redirected(program)
        if any(guard() for guard in self._guards):
            raise Stopped
