"""The routing engine in virtual time: people, a provider, processes that die, messages that go astray, all drawn from one seed.

Two web processes take what people and the provider say, two workers run timers, dispatchers and the sweep. Everything they do is a
transaction over the store in memory, one statement at a time, interleaved as the seed has it. Time never passes by itself: the clock
jumps to the next thing that is to happen.

    World(seed).run()    acts under faults, safety after every commit; then faults cease: liveness within 30 s; then everybody hangs up
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, Final

from core.errors import RingdeskError
from core.ids import AgentId
from routing.model import Decision as Decided
from routing.model import OfferState, PoolState, PresenceState
from routing.rules import RuleSet, compile_rules
from tests.sim import checks, matcher, shell
from tests.sim.checks import History
from tests.sim.store import FOREVER, START, Commit, Item, Offer, Steps, Store, Timer, Tx
from tests.sim.swarm import FIRST_AGENT, SKILLS, Swarm, an_agent, draw, fill

Body = Callable[[Tx], Steps[Any]]
SWEEP_S: Final = 2.0
LOOK_S: Final = 0.25
"""How often timers are looked for."""
RELAY_S: Final = 15.0
"""After so long an effect that nobody did is done by somebody else."""
RECONCILE_S: Final = 30.0
CALM_S: Final = 30.0
LOST: Final = frozenset(
    {PresenceState.AVAILABLE, PresenceState.RECONNECTING, PresenceState.NOT_RESPONDING, PresenceState.BREAK}
)
WEBS: Final = ("web A", "web B")
WORKERS: Final = ("worker A", "worker B")


@dataclass(slots=True)
class Job:
    """A transaction under way. `then` gets its result; `failed` is for the work that nobody else repeats."""

    name: str
    body: Body
    process: str
    then: Callable[[Any], None] | None
    failed: Callable[[], None] | None
    tx: Tx
    steps: Steps[Any]
    tries: int = 1


@dataclass(slots=True)
class Line:
    """The truth about a call, as only the provider knows it."""

    call_id: int
    is_on: bool = True
    offer_id: int = 0
    agent_id: int = 0
    seq: int = 0
    caller_in: bool = False
    agent_in: bool = False


class Seats:
    """A matcher's memory: which pools it was told to look at, which it is looking at."""

    def __init__(self) -> None:
        self.flags: set[str] = set()
        self.busy: set[str] = set()


class World:
    def __init__(self, seed: int, *, swarm: Swarm | None = None) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.swarm = swarm if swarm is not None else draw(self.rng)
        self.faults = self.swarm.faults
        self.store = Store()
        fill(self.store, self.swarm)
        self.pools = sorted({queue.pool for queue in self.swarm.queues})
        self.rules: RuleSet = compile_rules(1, self.swarm.rules)
        self.history = History(self.store)
        self.agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self.serial = 0
        self.active: list[Job] = []
        self.dead: dict[str, datetime] = {}
        self.seats: dict[str, Seats] = {worker: Seats() for worker in WORKERS}
        self.lines: dict[int, Line] = {}
        self.unheard: list[tuple[str, Body]] = []
        """Webhooks that got lost; the provider tries them again when faults have ceased."""
        self.log: deque[tuple[float, str]] = deque(maxlen=30)
        self.is_calm = False
        self.calls_made = 0
        self.acts_undoable: list[int] = []
        self.refused: dict[str, int] = {}
        self.seen: Counter[str] = Counter()
        self.deadlocks = 0

    # --- time ----------------------------------------------------------------------------------------------------------------

    def at(self, delay_s: float, what: Callable[[], None]) -> None:
        self.when(self.store.now + timedelta(seconds=delay_s), what)

    def when(self, at: datetime, what: Callable[[], None]) -> None:
        self.serial += 1
        heapq.heappush(self.agenda, (at, self.serial, what))

    def note(self, what: str) -> None:
        self.log.append(((self.store.now - START).total_seconds(), what))

    def run(self) -> None:
        try:
            self.chaos()
            self.calm()
            self.end()
        except Exception as error:
            error.add_note(self.story())
            raise

    def story(self) -> str:
        acts = "\n".join(f"  {at:8.3f} s  {what}" for at, what in self.log)
        return f"seed {self.seed}; the last {len(self.log)} things that happened:\n{acts}"

    def until(self, end: datetime) -> None:
        """Everything that is to happen before `end`, and whatever is under way then."""
        while True:
            if self.active and not (self.agenda and self.overlaps(end)):
                self.step()
            elif self.agenda and self.agenda[0][0] <= end:
                at, _, what = heapq.heappop(self.agenda)
                if at > self.store.now:
                    self.store.now = at
                what()
            elif not self.active:
                self.store.now = max(self.store.now, end)
                return

    def overlaps(self, end: datetime) -> bool:
        at = self.agenda[0][0]
        return (
            at <= end and len(self.active) < 4 and (at - self.store.now).total_seconds() < 0.05
            and self.rng.random() < self.faults.overlap
        )  # fmt: skip

    # --- transactions ----------------------------------------------------------------------------------------------------------

    def spawn(
        self,
        name: str,
        body: Body,
        process: str,
        then: Callable[[Any], None] | None = None,
        failed: Callable[[], None] | None = None,
    ) -> None:
        tx = Tx(self.store, name)
        self.active.append(Job(name, body, process, then, failed, tx, body(tx)))

    def step(self) -> None:
        """One statement of one transaction."""
        rng, active = self.rng, self.active
        ready = active if len(active) == 1 else [job for job in active if self.is_unblocked(job)]
        if not ready:
            self.deadlocks += 1
            self.again(rng.choice(active))
            return
        job = ready[0] if len(ready) == 1 else rng.choice(ready)
        if self.faults.crash and rng.random() < self.faults.crash:
            self.crash(job.process)
            return
        if self.faults.stall and rng.random() < self.faults.stall:
            self.store.now += timedelta(seconds=rng.choice((0.3, 2, 12)))
        try:
            next(job.steps)
        except StopIteration as done:
            self.finish(job, done.value)
        except RingdeskError as error:
            self.drop(job)
            code = type(error).__name__
            self.refused[code] = self.refused.get(code, 0) + 1
            self.note(f"{job.name}: refused, {code}")
            if job.failed is not None:
                job.failed()

    def is_unblocked(self, job: Job) -> bool:
        waits_for = job.tx.waits_for
        return waits_for is None or all(other.tx is not waits_for for other in self.active)

    def drop(self, job: Job) -> None:
        job.steps.close()
        job.tx.release()
        self.active.remove(job)

    def again(self, job: Job) -> None:
        """The database broke a deadlock; the transaction begins anew, at most three times."""
        self.drop(job)
        self.note(f"{job.name}: deadlock")
        if job.tries < 3:
            tx = Tx(self.store, job.name)
            self.active.append(
                Job(job.name, job.body, job.process, job.then, job.failed, tx, job.body(tx), job.tries + 1)
            )
        elif job.failed is not None:
            job.failed()

    def finish(self, job: Job, result: Any) -> None:
        is_unknown = (
            bool(job.tx.writes) and self.faults.unknown_commit and self.rng.random() < self.faults.unknown_commit
        )
        if is_unknown and self.rng.random() < 0.5:
            self.drop(job)
            self.note(f"{job.name}: connection lost before COMMIT")
            if job.failed is not None:
                job.failed()
            return
        if job.tx.writes:
            self.commit(job, are_effects_lost=bool(is_unknown))
        else:
            self.drop(job)
        if is_unknown:
            self.note(f"{job.name}: connection lost after COMMIT")
            if job.failed is not None:
                job.failed()
        elif job.then is not None:
            job.then(result)

    def commit(self, job: Job, *, are_effects_lost: bool) -> None:
        tx = job.tx
        done = self.store.apply(tx)
        self.drop(job)
        for call, event in tx.told:
            self.history.first_call.setdefault(call.id, call)
            self.history.events[call.id].append(event)
        self.note(_told(done))
        checks.on_commit(self.history, done)
        for change in done.timers:
            if change.new is not None:
                due = max(change.new.due_at, self.store.now) + timedelta(seconds=self.rng.random() * LOOK_S)
                kind, object_id = change.key
                self.when(due, partial(self.look_at_timer, kind, object_id, change.new))
        for kind, call_id, offer_id in tx.after:
            is_lost = are_effects_lost or self.rng.random() < self.faults.effect_lost
            self.at(RELAY_S if is_lost else 0.02, partial(self.effect, kind, call_id, offer_id))
        if not are_effects_lost:
            for pool in sorted(set(tx.wakes)):
                self.send_wake(pool)
        for was, offer in ((offer.old, offer.new) for offer in done.offers):
            if offer is not None and (was is None or was.state is not offer.state):
                self.seen[f"offer {offer.state.value}"] += 1
            if self.is_calm and was is None and offer is not None:
                self.someone_answers(offer)

    # --- processes ---------------------------------------------------------------------------------------------------------------

    def is_up(self, process: str) -> bool:
        return self.dead.get(process, START) <= self.store.now

    def crash(self, process: str) -> None:
        """What it had under way is lost; it is back after a while."""
        self.history.crashes += 1
        self.dead[process] = self.store.now + timedelta(seconds=self.rng.choice((0.5, 3, 8)))
        self.note(f"{process} dies")
        for job in [job for job in self.active if job.process == process]:
            self.drop(job)
            if job.failed is not None and process in WEBS:  # who asked does not know, and asks again
                self.at(self.rng.uniform(0.2, 3), job.failed)
        if process in self.seats:
            self.seats[process] = Seats()
            self.when(self.dead[process], partial(self.wake_all, process))
        else:
            self.replica_dies(process)

    def web(self) -> str:
        up = [process for process in WEBS if self.is_up(process)]
        return self.rng.choice(up) if up else WEBS[0]

    def worker(self) -> str | None:
        up = [process for process in WORKERS if self.is_up(process)]
        return self.rng.choice(up) if up else None

    # --- timers --------------------------------------------------------------------------------------------------------------------

    def look_at_timer(self, kind: str, object_id: int, timer: Timer) -> None:
        if self.store.timers.rows.get((kind, object_id)) is not timer:
            return  # it was set again, cancelled or run
        worker = self.worker()
        later = partial(self.look_at_timer, kind, object_id, timer)
        if worker is None or (self.faults.timers_away and self.rng.random() < self.faults.timers_away):
            self.at(self.rng.choice((1, 4)), later)
            return

        def ran(is_taken: bool) -> None:
            if not is_taken:
                self.at(LOOK_S, later)

        self.spawn(kind, lambda tx: shell.run_timer(tx, kind, object_id), worker, ran, lambda: self.at(LOOK_S, later))
        self.at(1.0, later)  # its process may die with it

    # --- wakes and matchers ----------------------------------------------------------------------------------------------------------

    def send_wake(self, pool: str) -> None:
        faults, rng = self.faults, self.rng
        if faults.wake_lost and rng.random() < faults.wake_lost:
            return
        for _ in range(2 if faults.wake_twice and rng.random() < faults.wake_twice else 1):
            self.at(rng.random() * faults.wake_late_s, partial(self.heard, pool))

    def heard(self, pool: str) -> None:
        """One of them is the active consumer; while that changes, both hear it."""
        for worker in WORKERS:
            if self.is_up(worker):
                self.wake(worker, pool)
                if self.rng.random() < 0.8:
                    return

    def wake_all(self, worker: str) -> None:
        for pool in self.pools:
            self.wake(worker, pool)

    def wake(self, worker: str, pool: str) -> None:
        seats = self.seats[worker]
        if pool in seats.busy:
            seats.flags.add(pool)
        elif self.is_up(worker) and any(self.store.items.rows[key].pool == pool for key in self.store.line):
            seats.busy.add(pool)
            self.look(worker, pool, seats)

    def look(self, worker: str, pool: str, seats: Seats) -> None:
        if not self.is_up(worker) or self.seats[worker] is not seats:
            return

        def looked(done: matcher.Pass) -> None:
            if done.again_in_s is not None:
                self.at(done.again_in_s, partial(self.look, worker, pool, seats))
                return
            rest()

        def rest() -> None:
            seats.busy.discard(pool)
            if pool in seats.flags:
                seats.flags.discard(pool)
                self.wake(worker, pool)

        self.spawn(f"pass {pool}", lambda tx: matcher.one_pass(tx, pool, self.watch), worker, looked, rest)

    def watch(self, tx: Tx, state: PoolState, decided: Decided) -> None:
        checks.on_decision(self.history, tx, state, decided)

    def sweep(self, worker: str) -> None:
        self.at(SWEEP_S, partial(self.sweep, worker))
        if not self.is_up(worker):
            return
        store, now = self.store, self.store.now
        grace = now - timedelta(seconds=1)
        for agent_id in store.agents.rows:
            for offer_id in sorted(store.open_of_agent[agent_id]):
                offer = store.offers.rows[offer_id]
                if offer.state is OfferState.PENDING and offer.deadline < grace:
                    self.spawn("overdue", partial(shell.offer_timed_out, offer_id=offer_id, _=0), worker)
                elif (
                    offer.state is OfferState.WRAPPING and offer.wrap_ends_at is not None and offer.wrap_ends_at < grace
                ):
                    self.spawn("overdue", partial(shell.wrap_up_timed_out, offer_id=offer_id, _=0), worker)
        for agent in list(store.agents.rows.values()):
            is_lost = agent.presence in LOST and not store.is_connected(agent.id)
            if is_lost or agent.presence is PresenceState.RECONNECTING:
                self.spawn("lost", partial(shell.agent_is_lost, agent_id=agent.id, _=0), worker)
        self.wake_all(worker)

    # --- the provider ------------------------------------------------------------------------------------------------------------------

    def hook(self, name: str, body: Body) -> None:
        """A webhook: late, twice, out of order, lost for now; never lost for ever."""
        faults, rng = self.faults, self.rng
        if faults.hook_lost and rng.random() < faults.hook_lost:
            self.unheard.append((name, body))
            return
        for _ in range(2 if faults.hook_twice and rng.random() < faults.hook_twice else 1):
            self.at(rng.random() * faults.hook_late_s, partial(self.deliver, name, body))

    def deliver(self, name: str, body: Body) -> None:
        self.spawn(name, body, self.web(), failed=lambda: self.at(1.0, partial(self.deliver, name, body)))

    def effect(self, kind: str, call_id: int, offer_id: int) -> None:
        """What our commands do at the provider's; a command may come twice."""
        line = self.lines[call_id]
        if kind == "end":
            self.hang_up(line)
        elif kind == "end_leg":
            self.agent_out(line, offer_id)
        elif kind == "look":
            is_this = line.offer_id == offer_id
            has_caller, has_agent = line.is_on and is_this and line.caller_in, is_this and line.agent_in
            look = partial(shell.looked, call_id=call_id, offer_id=offer_id, has_caller=has_caller, has_agent=has_agent)
            later = partial(self.effect, kind, call_id, offer_id)
            self.spawn("looked", look, self.web(), failed=lambda: self.at(RELAY_S, later))
        elif kind == "connect" and line.is_on and line.offer_id < offer_id:
            offer = self.store.offers.rows[offer_id]
            line.offer_id, line.agent_id, line.caller_in, line.agent_in = offer_id, offer.agent_id, True, False
            self.in_conference(line, None, has_joined=True)
            if self.store.is_connected(offer.agent_id) and self.rng.random() < 0.92:
                self.at(self.rng.random(), partial(self.agent_in, line, offer_id))

    def reconcile(self, *, again: bool = True) -> None:
        """The provider is asked about calls of which we do not know that they are over."""
        if again:
            self.at(RECONCILE_S, self.reconcile)
        worker = self.worker()
        for call in list(self.store.calls.rows.values()) if worker is not None else ():
            if not call.is_over and not self.lines[call.id].is_on:
                self.spawn("reconciled", partial(shell.reconciled, call_id=call.id), worker or "")

    def agent_in(self, line: Line, offer_id: int) -> None:
        if line.is_on and line.offer_id == offer_id and not line.agent_in:
            line.agent_in = True
            self.in_conference(line, line.agent_id, has_joined=True)

    def agent_out(self, line: Line, offer_id: int) -> None:
        if line.agent_in and line.offer_id == offer_id:
            line.agent_in = False
            self.in_conference(line, line.agent_id, has_joined=False)

    def in_conference(self, line: Line, agent_id: int | None, *, has_joined: bool) -> None:
        line.seq += 1
        key = f"conference {line.call_id} {line.seq}"
        event = partial(
            shell.conference_event, key=key, call_id=line.call_id, offer_id=line.offer_id, agent_id=agent_id, seq=line.seq,
            has_joined=has_joined,
        )  # fmt: skip
        self.hook(f"{'agent' if agent_id else 'caller'} {'joins' if has_joined else 'leaves'} {line.call_id}", event)

    def hang_up(self, line: Line) -> None:
        if line.is_on:
            line.is_on = False
            self.agent_out(line, line.offer_id)
            gone = partial(shell.caller_gone, key=f"gone {line.call_id}", call_id=line.call_id)
            self.hook(f"caller of {line.call_id} is gone", gone)

    # --- people ------------------------------------------------------------------------------------------------------------------------

    def do(self, name: str, body: Body, *, tries: int = 2) -> None:
        """Somebody at a desk asks; who gets no answer asks again."""

        def failed() -> None:
            if tries > 1:
                self.at(self.rng.uniform(0.1, 3), lambda: self.do(name, body, tries=tries - 1))

        self.spawn(name, body, self.web(), failed=failed)

    def act(self) -> None:
        """Somebody does something, as long as there is something to do."""
        for name in self.rng.choices(list(self.swarm.weights), list(self.swarm.weights.values()), k=6):
            if getattr(self, f"act_{name}")():
                return

    def offers(self, *states: OfferState) -> list[Offer]:
        rows = self.store.offers.rows
        found = (rows[o] for ids in self.store.open_of_agent.values() for o in sorted(ids))
        return [offer for offer in found if offer.state in states]

    def someone(self, *states: PresenceState) -> AgentId | None:
        found = [a.id for a in self.store.agents.rows.values() if not states or a.presence in states]
        return self.rng.choice(found) if found else None

    def act_call(self) -> bool:
        if len(self.store.line) >= 9:
            return False
        self.calls_made += 1
        call_id, queue = self.calls_made, self.rng.choice(self.swarm.queues).key
        self.lines[call_id] = Line(call_id)
        digits = f"+1415555010{self.rng.randrange(10)}"
        body = partial(
            shell.incoming, key=f"in {call_id}", call_id=call_id, queue=queue, digits=digits, rules=self.rules
        )
        self.hook(f"call {call_id}", body)
        return True

    def act_accept(self) -> bool:
        return self.answer("accept", shell.accept, [OfferState.PENDING])

    def act_late_accept(self) -> bool:
        """Of any offer there ever was."""
        if not self.store.offers.rows:
            return False
        offer = self.rng.choice(list(self.store.offers.rows.values())[-6:])
        self.do("accept", partial(shell.accept, offer_id=offer.id, agent_id=offer.agent_id))
        return True

    def act_reject(self) -> bool:
        return self.answer("reject", shell.reject, [OfferState.PENDING])

    def answer(self, name: str, how: Callable[..., Steps[Any]], states: list[OfferState]) -> bool:
        offers = self.offers(*states)
        if not offers:
            return False
        offer = self.rng.choice(offers)
        if not self.store.is_connected(offer.agent_id):
            return False
        self.do(name, partial(how, offer_id=offer.id, agent_id=offer.agent_id))
        return True

    def act_give_up(self) -> bool:
        """A caller who still waits."""
        lines = [line for line in self.lines.values() if line.is_on and not line.agent_in]
        if lines:
            self.hang_up(self.rng.choice(lines))
        return bool(lines)

    def act_hang_up(self) -> bool:
        """Either of two who talk."""
        lines = [line for line in self.lines.values() if line.is_on and line.agent_in]
        if not lines:
            return False
        line = self.rng.choice(lines)
        if self.rng.random() < 0.5:
            self.hang_up(line)
        else:
            self.do("hang up", partial(shell.hang_up, call_id=line.call_id))
        return True

    def act_vanish(self) -> bool:
        """An agent's phone leaves the conversation, and may come back."""
        lines = [line for line in self.lines.values() if line.is_on and line.agent_in]
        if lines:
            line = self.rng.choice(lines)
            offer_id = line.offer_id
            self.agent_out(line, offer_id)
            if self.rng.random() < 0.4:
                self.at(self.rng.uniform(0.5, 10), partial(self.agent_in, line, offer_id))
        return bool(lines)

    def act_finish(self) -> bool:
        offers = self.offers(OfferState.WRAPPING, OfferState.ACCEPTED)
        if offers:
            offer = self.rng.choice(offers)
            self.do("finish", partial(shell.finish_wrap_up, call_id=offer.call_id, agent_id=offer.agent_id))
        return bool(offers)

    def act_come(self) -> bool:
        away = [state for state in PresenceState if state is not PresenceState.AVAILABLE]
        agent_id = self.someone(*away)
        if agent_id is None or not self.store.is_connected(agent_id):
            return False
        body = partial(shell.set_presence, agent_id=agent_id, state=PresenceState.AVAILABLE)
        self.do(checks.BY_A_PERSON, body)
        return True

    def act_leave(self) -> bool:
        agent_id = self.someone(PresenceState.AVAILABLE, PresenceState.BREAK)
        if agent_id is None:
            return False
        state = self.rng.choice((PresenceState.BREAK, PresenceState.BREAK, PresenceState.OFFLINE))
        self.do(checks.BY_A_PERSON, partial(shell.set_presence, agent_id=agent_id, state=state, reason="lunch"))
        return True

    def act_connect(self) -> bool:
        """A desk that was away is back, or a second window is opened."""
        agent_id = self.someone()
        if agent_id is None or (self.store.is_connected(agent_id) and self.rng.random() < 0.8):
            return False
        sid = f"{agent_id}.{self.rng.randrange(2)}"
        self.do("connect", partial(shell.desk_connected, agent_id=agent_id, sid=sid, replica=self.web()))
        return True

    def act_disconnect(self) -> bool:
        agent_id = self.someone()
        desks = [] if agent_id is None else [k for k in self.store.desks_of[agent_id] if not self.is_closed(k)]
        if desks:
            self.do("disconnect", partial(shell.desk_gone, sid=self.rng.choice(desks)))
        return bool(desks)

    def is_closed(self, sid: str) -> bool:
        return self.store.desks.rows[sid].is_closed

    def act_lapse(self) -> bool:
        """A replica cannot reach the database for a while: a lease runs out, and is renewed later; the desk notices nothing."""
        agent_id = self.someone()
        for sid in [] if agent_id is None else self.store.desks_of[agent_id]:
            if not self.is_closed(sid):
                self.set_lease(sid, None)
                self.at(self.rng.choice((1, 7, 20)), partial(self.renew, sid))
        return agent_id is not None

    def renew(self, sid: str) -> None:
        if not self.is_closed(sid):
            self.set_lease(sid, FOREVER)

    def set_lease(self, sid: str, until: datetime | None) -> None:
        """A statement of its own. None: it is over now."""

        def body(tx: Tx) -> Steps[None]:
            yield from tx.lock(self.store.desks, [sid])
            desk = tx.row(self.store.desks, sid)
            if not desk.is_closed:
                tx.put(self.store.desks, sid, desk._replace(lease_until=until or self.store.now))

        later = partial(self.set_lease, sid, until)
        self.spawn("lease", body, self.web(), failed=lambda: self.at(1.0, later))

    def act_replica_dies(self) -> bool:
        self.crash(self.web())
        return True

    def replica_dies(self, process: str) -> None:
        """Its leases run out; the desks come back elsewhere, most of them."""
        for sid, desk in sorted(self.store.desks.rows.items()):
            if desk.replica == process and not desk.is_closed and desk.lease_until == FOREVER:
                self.store.add(
                    self.store.desks,
                    sid,
                    desk._replace(
                        lease_until=self.store.now + timedelta(seconds=self.rng.randrange(20)), is_closed=True
                    ),
                )
                self.history.agent_changed[desk.agent_id] = self.store.now
                if self.rng.random() < 0.9:
                    back = partial(shell.desk_connected, agent_id=desk.agent_id, sid=sid, replica="web B")
                    self.at(self.rng.uniform(0.5, 6), partial(self.do, "connect", back, tries=5))

    def act_rank(self) -> bool:
        if self.acts_undoable and self.rng.random() < 0.4:
            self.do("undo", partial(shell.undo, act_id=self.acts_undoable.pop()))
            return True
        items = [self.store.items.rows[key] for key in sorted(self.store.line)]
        if not items:
            return False
        item: Item = self.rng.choice(items)
        tier, boost_s = self.rng.choice(((0, None), (1, None), (None, 0), (None, 30), (item.tier, 30)))
        body = partial(shell.prioritise, item_id=item.id, tier=tier, boost_s=boost_s, version=item.version)
        self.spawn("prioritise", body, self.web(), then=self.acts_undoable.append)
        return True

    def act_hold(self) -> bool:
        queue = self.rng.choice(list(self.store.queues.rows.values()))
        self.do("hold", partial(shell.hold, queue=queue.key, is_held=not queue.is_held))
        return True

    def act_hire(self) -> bool:
        n, queue = len(self.store.agents.rows), self.rng.choice(self.swarm.queues)
        if n >= 7:
            return False
        skills = {skill: self.rng.randint(1, 5) for skill in SKILLS if self.rng.random() < 0.4}
        new = an_agent(n, queue.pool, frozenset({queue.key}), skills)
        now = self.store.now
        new = new._replace(presence_since=now, idle_since=now, last_offered_at=now)
        self.store.add(self.store.agents, FIRST_AGENT + n, new)
        self.history.agent_changed[new.id] = now
        self.do("connect", partial(shell.desk_connected, agent_id=new.id, sid=f"{new.id}.0", replica=self.web()))
        return True

    def someone_answers(self, offer: Offer) -> None:
        if self.store.is_connected(offer.agent_id) and self.rng.random() < 0.7:
            body = partial(shell.accept, offer_id=offer.id, agent_id=offer.agent_id)
            self.at(self.rng.uniform(1, 8), partial(self.do, "accept", body))

    def happened(self) -> Counter[str]:
        """How often what has happened, for those who count."""
        found = Counter(self.seen)
        found.update(f"item {item.state.value}" for item in self.store.items.rows.values())
        found.update({f"refused {code}": count for code, count in self.refused.items()})
        return +(found + Counter(crash=self.history.crashes, deadlock=self.deadlocks))

    # --- the three parts ------------------------------------------------------------------------------------------------------------------

    def chaos(self) -> None:
        """Everybody is at work; acts come in bursts and after pauses."""
        for agent in self.swarm.agents:
            if self.rng.random() < 0.85:
                body = partial(shell.set_presence, agent_id=agent.id, state=PresenceState.AVAILABLE)
                self.at(self.rng.random(), partial(self.do, checks.BY_A_PERSON, body))
        for worker in WORKERS:
            self.at(self.rng.random() * SWEEP_S, partial(self.sweep, worker))
        self.at(RECONCILE_S, self.reconcile)
        at_s = 1.0
        for _ in range(self.swarm.acts):
            if self.rng.random() < 0.6:
                at_s += self.rng.expovariate(1 / self.swarm.gap_s)
            else:
                at_s += 0.001
            self.at(at_s, self.act)
        self.until(START + timedelta(seconds=at_s + 0.5))

    def calm(self) -> None:
        """Faults cease; within 30 s everything is as it should be, wakes or no wakes."""
        self.note("faults cease")
        self.faults = self.faults.cease()
        self.dead.clear()
        for name, body in self.unheard:
            self.deliver(name, body)
        for sid, desk in sorted(self.store.desks.rows.items()):
            if not desk.is_closed and desk.lease_until != FOREVER:
                self.set_lease(sid, FOREVER)
        self.is_calm = True
        for offer in self.offers(OfferState.PENDING):
            self.someone_answers(offer)
        self.history.calm_since = self.store.now
        self.pause(CALM_S)
        checks.when_calm(self.history)

    def pass_time(self, for_s: float) -> None:
        self.until(self.store.now + timedelta(seconds=for_s))

    def pause(self, for_s: float) -> None:
        end = self.store.now + timedelta(seconds=for_s)
        while self.store.now < end:
            self.until(min(end, self.store.now + timedelta(seconds=SWEEP_S)))
            checks.when_calm(self.history)

    def end(self) -> None:
        """Everybody hangs up and finishes; nothing is left."""
        self.note("everybody hangs up")
        self.is_calm = False
        for line in self.lines.values():
            self.hang_up(line)
        self.pause(SWEEP_S)
        self.reconcile(again=False)
        self.pause(SWEEP_S)
        for offer in self.offers(OfferState.WRAPPING):
            if offer.wrap_ends_at is None:
                self.do("finish", partial(shell.finish_wrap_up, call_id=offer.call_id, agent_id=offer.agent_id))
        self.pause(14.0)
        checks.when_calm(self.history)
        checks.at_the_end(self.history)


def _told(done: Commit) -> str:
    """One line about a commit."""
    parts = [f"{done.name}:"]
    for agent in done.agents:
        if agent.new is not None and (agent.old is None or agent.old.presence is not agent.new.presence):
            parts.append(f"agent {agent.key} {agent.new.presence.value}")
    for item in done.items:
        if item.new is not None and (item.old is None or item.old.state is not item.new.state):
            parts.append(f"item {item.key} {item.new.state.value}")
    for offer in done.offers:
        if offer.new is not None and (offer.old is None or offer.old.state is not offer.new.state):
            parts.append(f"offer {offer.key} of {offer.new.agent_id} {offer.new.state.value}")
    return " ".join(parts)
