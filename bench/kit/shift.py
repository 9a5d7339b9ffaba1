"""A day of a contact centre in virtual time: the product decides (`routing.decide`) and counts (`reporting.measures`), chance does the rest.

No database and no network: what a pass reads and writes is measured elsewhere. Everything that differs between two days with the same seed
is what the policy does: callers, their patience and how long each talks are drawn before the day begins.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from core.ids import AgentId, CallId, TicketId, WorkItemId
from reporting.catalogue import CATALOGUE, value_of
from reporting.measures import agent_cells, queue_cells
from reporting.model import Interval, Offer, Segment, Stint, Sums
from routing.decide import decide
from routing.model import AgentView, PoolState, PresenceState, Ranks, Step, WaitingItem

MORNING: Final = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
RING_S: Final = 20
AGAIN_S: Final = 10
"""Who missed a call is not asked for the same one for so long."""
WITHIN_S: Final = 20
SHORT_S: Final = 5


@dataclass(frozen=True, slots=True)
class Caller:
    """One call of the day, drawn beforehand. Seconds."""

    at_s: float
    queue: str
    is_vip: bool
    patience_s: float
    talk_s: float
    wrap_s: float


@dataclass(frozen=True, slots=True)
class Worker:
    """`shift_s`: from, to. `breaks_s`: beginnings of breaks of `break_s`."""

    name: str
    queues: frozenset[str]
    skills: dict[str, int] = field(default_factory=dict)
    ranks: Ranks = field(default_factory=dict)
    shift_s: tuple[float, float] = (0, 36_000)
    breaks_s: tuple[float, ...] = ()
    break_s: float = 1800
    answers_after_s: tuple[float, float] = (1.5, 6)
    misses: float = 0.0
    """So often what rings is not answered."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a caller is lined up."""

    name: str
    tier: Callable[[Caller], int] = lambda _: 0
    boost_s: Callable[[Caller], int] = lambda _: 0
    steps: Callable[[Caller], tuple[Step, ...]] = lambda _: (Step(0.0),)


@dataclass(slots=True)
class Seat:
    """An agent at work."""

    worker: Worker
    view: AgentView
    wants: PresenceState = PresenceState.OFFLINE
    """What the plan of the day says; it holds from the end of the call in hand."""
    state: str = "offline"
    since: datetime = MORNING


@dataclass
class Books:
    stints: list[Stint] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)
    vip: set[int] = field(default_factory=set)
    passes: int = 0

    def of_queues(self, stints: Iterable[Stint]) -> Sums:
        """Of these stays, and of all offers and conversations."""
        return _total(queue_cells(stints, self.offers, self.segments).values())

    def of_agents(self, end: datetime) -> Sums:
        cells = agent_cells(self.offers, self.segments, self.intervals, start=MORNING, end=end, now=end)
        return _total(cells.values())


def figures(sums: Sums, names: Sequence[str]) -> dict[str, float | None]:
    """By the product's own formulas."""
    return {name: value_of(CATALOGUE[name], sums).value for name in names}


def _total(cells: Iterable[Sums]) -> Sums:
    found = Sums()
    for cell in cells:
        found.add(cell)
    return found


class Day:
    """`run` until the last caller is gone; nobody new calls after `closes_s`."""

    def __init__(self, callers: Sequence[Caller], workers: Sequence[Worker], policy: Policy, seed: int) -> None:
        self._rng = Random(seed)
        self._policy = policy
        self._now_s = 0.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._waiting: dict[WorkItemId, WaitingItem] = {}
        self._callers: dict[WorkItemId, Caller] = {}
        self._gone: set[WorkItemId] = set()
        self._entered: dict[WorkItemId, datetime] = {}
        self.books = Books()
        self._seats = {AgentId(n): self._seat(AgentId(n), worker) for n, worker in enumerate(workers, 1)}
        for n, caller in enumerate(callers, 1):
            self._at(caller.at_s, lambda n=n, caller=caller: self._call(WorkItemId(n), caller))  # type: ignore[misc]

    @property
    def now(self) -> datetime:
        return MORNING + timedelta(seconds=self._now_s)

    def run(self) -> Books:
        while self._agenda:
            self._now_s, _, what = heapq.heappop(self._agenda)
            what()
            self._look()
        for seat in self._seats.values():
            self._becomes(seat, "offline")
        return self.books

    # --- time and agents -----------------------------------------------------------------------------------------------------

    def _at(self, at_s: float, what: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._agenda, (at_s, self._serial, what))

    def _after(self, seconds: float, what: Callable[[], None]) -> None:
        self._at(self._now_s + seconds, what)

    def _seat(self, ident: AgentId, worker: Worker) -> Seat:
        view = AgentView(
            ident,
            worker.name,
            worker.skills,
            worker.queues,
            PresenceState.OFFLINE,
            True,
            "idle",
            1,
            MORNING,
            MORNING,
            ranks=worker.ranks,
        )
        seat = Seat(worker, view)
        plan = [(worker.shift_s[0], PresenceState.AVAILABLE), (worker.shift_s[1], PresenceState.OFFLINE)]
        for begin in worker.breaks_s:
            plan += [(begin, PresenceState.BREAK), (begin + worker.break_s, PresenceState.AVAILABLE)]
        for at_s, presence in sorted(plan):
            self._at(at_s, lambda presence=presence: self._wants(seat, presence))  # type: ignore[misc]
        return seat

    def _wants(self, seat: Seat, presence: PresenceState) -> None:
        seat.wants = presence
        if seat.view.free_units:
            self._rests(seat)

    def _rests(self, seat: Seat) -> None:
        """Nothing in hand: as the plan says."""
        was = seat.view.presence
        came = seat.wants is PresenceState.AVAILABLE and was is not PresenceState.AVAILABLE
        seat.view = replace(
            seat.view,
            work="idle",
            free_units=1,
            presence=seat.wants,
            idle_since=self.now if came or seat.state in ("talking", "wrapping") else seat.view.idle_since,
        )
        self._becomes(seat, seat.wants.value)

    def _becomes(self, seat: Seat, state: str) -> None:
        if state == seat.state:
            return
        if seat.state != "offline":
            self.books.intervals.append(Interval(seat.view.id, seat.state, seat.since, self.now))
        seat.state, seat.since = state, self.now

    # --- calls -----------------------------------------------------------------------------------------------------------------

    def _call(self, ident: WorkItemId, caller: Caller) -> None:
        boost_s = self._policy.boost_s(caller)
        self._callers[ident], self._entered[ident] = caller, self.now
        if caller.is_vip:
            self.books.vip.add(ident)
        self._waiting[ident] = WaitingItem(
            ident, CallId(ident), TicketId(ident), caller.queue, self._policy.tier(caller), self.now - timedelta(seconds=boost_s),
            self.now, self._policy.steps(caller), self._policy.name, 1, RING_S,
        )  # fmt: skip
        self._after(caller.patience_s, lambda: self._gives_up(ident))
        for seconds in {step.after_s for step in self._waiting[ident].steps} | self._delays_of(caller.queue):
            if seconds:
                self._after(seconds, lambda: None)  # somebody else may have it from now on

    def _delays_of(self, queue: str) -> set[float]:
        return {float(seat.worker.ranks[queue].delay_s) for seat in self._seats.values() if queue in seat.worker.ranks}

    def _gives_up(self, ident: WorkItemId) -> None:
        if ident not in self._gone:
            self._leaves(ident, "abandoned")

    def _leaves(self, ident: WorkItemId, outcome: str) -> None:
        self._gone.add(ident)
        self._waiting.pop(ident, None)
        queue = self._callers[ident].queue
        self.books.stints.append(
            Stint(ident, ident, CallId(ident), queue, self._entered[ident], self.now, outcome, WITHIN_S, SHORT_S)
        )

    def _look(self) -> None:
        """A pass, as often as it finds something."""
        while self._waiting:
            state = PoolState(tuple(self._waiting.values()), tuple(seat.view for seat in self._seats.values()))
            decision = decide(state, self.now)
            self.books.passes += 1
            for proposal in decision.proposals:
                self._rings(proposal.item, self._seats[proposal.agent_id])
            if not decision.is_full:
                return

    def _rings(self, item: WaitingItem, seat: Seat) -> None:
        self._waiting.pop(item.id, None)
        seat.view = replace(seat.view, work="offered", free_units=0, last_offered_at=self.now)
        self._becomes(seat, "reserved")
        began = self.now
        if self._rng.random() < seat.worker.misses:
            self._after(RING_S, lambda: self._answered(item, seat, began, is_missed=True))
        else:
            self._after(
                self._rng.uniform(*seat.worker.answers_after_s),
                lambda: self._answered(item, seat, began, is_missed=False),
            )

    def _answered(self, item: WaitingItem, seat: Seat, began: datetime, *, is_missed: bool) -> None:
        is_gone = item.id in self._gone
        state = "canceled" if is_gone else "timeout" if is_missed else "completed"
        is_accepted = not is_gone and not is_missed
        self.books.offers.append(
            Offer(len(self.books.offers), item.id, item.call_id, item.queue, seat.view.id, began, state, is_accepted)
        )
        if is_gone:
            self._rests(seat)
        elif is_missed:
            self._waiting[item.id] = replace(item, excluded=item.excluded | {seat.view.id})
            self._after(AGAIN_S, lambda: self._may_be_asked_again(item.id, seat.view.id))
            self._rests(seat)
        else:
            self._talks(item, seat)

    def _may_be_asked_again(self, ident: WorkItemId, agent: AgentId) -> None:
        if (item := self._waiting.get(ident)) is not None:
            self._waiting[ident] = replace(item, excluded=item.excluded - {agent})

    def _talks(self, item: WaitingItem, seat: Seat) -> None:
        self._leaves(item.id, "answered")
        caller, connected = self._callers[item.id], self.now
        seat.view = replace(seat.view, work="in_call")
        self._becomes(seat, "talking")

        def hangs_up() -> None:
            seat.view = replace(seat.view, work="wrapping")
            self._becomes(seat, "wrapping")
            ended = self.now
            self._after(caller.wrap_s, lambda: done(ended))

        def done(ended: datetime) -> None:
            self.books.segments.append(
                Segment(
                    len(self.books.segments),
                    item.id,
                    item.call_id,
                    item.queue,
                    seat.view.id,
                    connected,
                    ended,
                    self.now,
                    is_first=True,
                )
            )
            self._rests(seat)

        self._after(caller.talk_s, hangs_up)


def callers_of(
    rng: Random,
    rates: Mapping[str, Sequence[float]],
    *,
    slot_s: float,
    vip: float,
    patience_s: float,
    talk_s: float,
    wrap_s: float,
) -> list[Caller]:
    """`rates`: by queue the calls an hour in each slot; arrivals are Poisson, patience and wrap-up exponential, conversations log-normal
    with a coefficient of variation of 0.8, as measured times of conversations are roughly."""
    sigma = 0.703  # sqrt(ln(1 + 0.8²))
    found = []
    for queue, by_slot in rates.items():
        for slot, per_hour in enumerate(by_slot):
            at_s = slot * slot_s
            while per_hour and (at_s := at_s + rng.expovariate(per_hour / 3600)) < (slot + 1) * slot_s:
                talk = talk_s * rng.lognormvariate(-sigma * sigma / 2, sigma)
                found.append(
                    Caller(
                        at_s,
                        queue,
                        rng.random() < vip,
                        rng.expovariate(1 / patience_s),
                        talk,
                        rng.expovariate(1 / wrap_s),
                    )
                )
    return sorted(found, key=lambda caller: caller.at_s)
