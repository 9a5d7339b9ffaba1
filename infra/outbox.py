"""Transactions, events and their deliveries: how a fact becomes its consequences exactly once.

Policy. `Outbox.transaction()` yields a Tx; `publish(tx, event)` runs the inline reactions at once (depth ≤ 8) and remembers the
event. Just before COMMIT one statement writes all events of the transaction and one `deliveries` row per broker reaction
(kinds state and effect). After COMMIT an owned, bounded queue publishes the state messages and starts the effects in this
process; if the process dies first, or the broker is away, the relay sends every row that is still undone to its
consumer's queue by name. A consumer marks its row done *with* its effect. So the table is outbox, inbox and attempt
counter, and survives the loss of the broker. Wakes have no row: the dispatcher's sweep makes up for a lost one.

An error from COMMIT means unknown: callers repeat under an idempotency key, never assume failure.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal, TypeVar

import orjson
import structlog

from core.errors import RingdeskError, Unavailable
from core.events import BY_NAME, Event
from infra.broker_outcome import heed_cancellation, is_own_cancellation
from infra.bus import (
    RETRY_DELAYS_S,
    Broker,
    BrokerUnavailable,
    Consumer,
    Done,
    Message,
    Outcome,
    Outgoing,
    Park,
    RetryLater,
)
from infra.crashpoints import crashpoint
from infra.postgres import CONNECTION_ERRORS, RETRYABLE_ERRORS, Connection, Database
from infra.telemetry import metrics

log = structlog.get_logger()
T = TypeVar("T")

MAX_DEPTH: Final = 8
AFTER_COMMIT_LIMIT: Final = 10_000
EFFECT_LEASE_S: Final = 15
EFFECT_TIMEOUT_S: Final = 12
RELAY_BATCH: Final = 100
MAX_SENDS: Final = 8
"""A delivery confirmed so often by the broker and never finished is poison: it is parked."""
UNSENT_DELAY_S: Final = 5
RESULTS: Final[dict[type[Outcome], str]] = {Done: "done", RetryLater: "retried", Park: "parked"}

InlineReaction = Callable[["Tx", Any], Awaitable[object]]
EffectReaction = Callable[[Any], Awaitable[object]]
WakeReaction = Callable[[Any], str | None]


@dataclass(frozen=True, slots=True)
class Reaction:
    """Who reacts to what, and how. Built by the four functions below; listed in `app/choreography.py`."""

    kind: Literal["inline", "state", "effect", "wake"]
    name: str
    event: type[Event]
    run: Callable[..., Any]


def inline(name: str, event: type[Event], run: InlineReaction) -> Reaction:
    """In the same transaction: what must never be missing beside the fact itself."""
    return Reaction("inline", name, event, run)


def state(name: str, event: type[Event], run: InlineReaction) -> Reaction:
    """Later, once: the delivery is marked done in the transaction of the effect. `run(tx, event)`."""
    return Reaction("state", name, event, run)


def effect(name: str, event: type[Event], run: EffectReaction) -> Reaction:
    """After commit, repeatable, talks to the outside: started at once here, repeated through the broker. `run(event)`."""
    return Reaction("effect", name, event, run)


def wake(name: str, event: type[Event], pool_of: WakeReaction = lambda event: event.pool) -> Reaction:
    """Tell the pool's dispatcher to look. No row; a lost one costs at most one sweep."""
    return Reaction("wake", name, event, pool_of)


@dataclass(slots=True)
class Tx:
    """One open transaction. `now` is the database's clock at its start. Services use `conn`, never commit."""

    conn: Connection
    now: datetime
    request_id: str | None
    outbox: "Outbox"
    events: list[Event] = field(default_factory=list)
    on_commit: list[Callable[[], None]] = field(default_factory=list)
    depth: int = 0


async def publish(tx: Tx, event: Event) -> None:
    """Record a fact. Its inline reactions run now, in the order of the choreography."""
    if tx.depth >= MAX_DEPTH:
        raise RuntimeError(f"reactions of {event.name} are nested deeper than {MAX_DEPTH}")
    tx.events.append(event)
    tx.depth += 1
    try:
        for reaction in tx.outbox.inline.get(type(event), ()):
            await reaction.run(tx, event)
    finally:
        tx.depth -= 1


WRITE_EVENTS: Final = """
WITH input AS MATERIALIZED (
    SELECT ord, name, v, body, correlation_id, nextval(pg_get_serial_sequence('events', 'id')) AS id
    FROM unnest($1::text[], $2::smallint[], $3::jsonb[], $4::text[]) WITH ORDINALITY AS t (name, v, body, correlation_id, ord)
), written AS (
    INSERT INTO events (id, name, v, body, correlation_id, request_id)
    SELECT id, name, v, body, correlation_id, $5 FROM input
), delivered AS (
    INSERT INTO deliveries (event_id, consumer, lease_until, next_at)
    SELECT i.id, c.consumer, CASE WHEN c.leased THEN now() + make_interval(secs => $9) END,
           now() + make_interval(secs => CASE WHEN c.leased THEN $9 ELSE 1 END)
    FROM unnest($6::bigint[], $7::text[], $8::boolean[]) AS c (ord, consumer, leased) JOIN input i USING (ord)
)
SELECT id FROM input ORDER BY ord
"""

CLAIM_STATE: Final = """
UPDATE deliveries SET done_at = now(), attempts = attempts + 1, lease_until = NULL
WHERE event_id = $1 AND consumer = $2 AND done_at IS NULL RETURNING attempts
"""
CLAIM_EFFECT: Final = """
UPDATE deliveries SET lease_until = now() + make_interval(secs => $3), attempts = attempts + 1
WHERE event_id = $1 AND consumer = $2 AND done_at IS NULL AND (lease_until IS NULL OR lease_until < now())
RETURNING attempts
"""
EFFECTS_DONE: Final = """
UPDATE deliveries d SET done_at = now(), lease_until = NULL, attempts = greatest(d.attempts, 1)
FROM unnest($1::bigint[], $2::text[]) AS x (event_id, consumer)
WHERE d.event_id = x.event_id AND d.consumer = x.consumer AND d.done_at IS NULL
"""
UNSENT: Final = """
UPDATE deliveries d SET sends = greatest(d.sends - 1, 0), next_at = now() + make_interval(secs => $3)
FROM unnest($1::bigint[], $2::text[]) AS x (event_id, consumer)
WHERE d.event_id = x.event_id AND d.consumer = x.consumer AND d.done_at IS NULL
"""
DELIVERY_STATE: Final = "SELECT done_at, parked_at, lease_until FROM deliveries WHERE event_id = $1 AND consumer = $2"
DELIVERY_FAILED: Final = """
UPDATE deliveries SET last_error = $3, lease_until = NULL, attempts = attempts + $6,
       next_at = now() + make_interval(secs => $4), parked_at = CASE WHEN $5 THEN now() ELSE parked_at END
WHERE event_id = $1 AND consumer = $2 AND done_at IS NULL RETURNING attempts
"""
DUE_DELIVERIES: Final = """
WITH due AS (
    SELECT event_id, consumer FROM deliveries
    WHERE done_at IS NULL AND parked_at IS NULL AND next_at <= now()
    ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE deliveries d SET sends = d.sends + 1,
           next_at = now() + make_interval(secs => least(300, 5 * power(2, d.sends))),
           parked_at = CASE WHEN d.sends >= $2 THEN now() END,
           last_error = CASE WHEN d.sends >= $2 THEN coalesce(d.last_error, 'no consumer finished it') ELSE d.last_error END
    FROM due WHERE d.event_id = due.event_id AND d.consumer = due.consumer
    RETURNING d.event_id, d.consumer, d.parked_at
)
SELECT c.consumer, c.parked_at, e.id, e.name, e.v, e.body, e.created_at, e.correlation_id, e.request_id
FROM claimed c JOIN events e ON e.id = c.event_id ORDER BY e.id
"""
PARKED: Final = """
SELECT d.event_id, d.consumer, d.attempts, d.sends, d.parked_at, d.last_error, e.name, e.correlation_id
FROM deliveries d LEFT JOIN events e ON e.id = d.event_id
WHERE d.parked_at IS NOT NULL AND d.done_at IS NULL ORDER BY d.parked_at LIMIT $1
"""
REPLAY: Final = """
UPDATE deliveries SET parked_at = NULL, sends = 0, attempts = 0, next_at = now(), lease_until = NULL
WHERE parked_at IS NOT NULL AND done_at IS NULL AND ($1::bigint IS NULL OR event_id = $1) AND ($2::text IS NULL OR consumer = $2)
RETURNING event_id
"""
# Each half along its own partial index: rows that are done, which are nearly all, are never read.
LAG: Final = """
SELECT u.undone, p.parked, coalesce(extract(epoch FROM clock_timestamp() - e.created_at), 0)::float8 AS lag_s
FROM (SELECT count(*) AS undone, min(event_id) AS oldest
      FROM (SELECT event_id FROM deliveries WHERE done_at IS NULL AND parked_at IS NULL ORDER BY next_at LIMIT 10000) d) u
CROSS JOIN (SELECT count(*) AS parked
            FROM (SELECT FROM deliveries WHERE parked_at IS NOT NULL AND done_at IS NULL LIMIT 10000) d) p
LEFT JOIN events e ON e.id = u.oldest
"""


class StrayCancellation(Exception):
    """A library raised CancelledError in a task that nobody cancelled (reference L3)."""


AWAY: Final = (Unavailable, StrayCancellation, TimeoutError, *CONNECTION_ERRORS, *RETRYABLE_ERRORS)
"""Trouble that passes by itself: wait and try again."""


@contextlib.contextmanager
def no_stray_cancellation() -> Iterator[None]:
    """Inside, a stray CancelledError is an ordinary error: it must end no loop and leave no delivery without a record."""
    try:
        yield
    except asyncio.CancelledError as error:
        if is_own_cancellation():
            raise
        raise StrayCancellation from error


class Outbox:
    """Opens transactions and carries their events to the reactions. One per process.

    `relay`: this process sends what is undone. `starts_effects`: it runs after-commit jobs at all; a command of the command
    line does not, and so leases nothing to itself."""

    def __init__(self, database: Database, broker: Broker, *, relay: bool = True, starts_effects: bool = True) -> None:
        self.database = database
        self.broker = broker
        self.inline: dict[type[Event], tuple[Reaction, ...]] = {}
        self._later: dict[type[Event], tuple[Reaction, ...]] = {}
        self._wakes: dict[type[Event], tuple[Reaction, ...]] = {}
        self._by_consumer: dict[str, Reaction] = {}
        self._queue: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(AFTER_COMMIT_LIMIT)
        self._done: list[tuple[int, str]] = []
        self._nudge = asyncio.Event()
        self._relay = relay
        self._starts_effects = starts_effects

    def react(self, reactions: Sequence[Reaction]) -> None:
        """Take the choreography. Called once, by app, before any transaction."""
        for kinds, table in (
            (("inline",), self.inline),
            (("state", "effect"), self._later),
            (("wake",), self._wakes),
        ):
            for reaction in reactions:
                if reaction.kind in kinds:
                    table[reaction.event] = (*table.get(reaction.event, ()), reaction)
        names = [reaction.name for reaction in reactions if reaction.kind in ("state", "effect")]
        if len(names) != len(set(names)):
            raise ValueError("two broker reactions have the same name; a consumer has one event")
        self._by_consumer = {reaction.name: reaction for reaction in reactions if reaction.kind in ("state", "effect")}

    @property
    def consumers(self) -> list[Consumer]:
        """One queue per broker reaction. State consumers hear the exchange; effects start here and only repeats are sent."""
        return [
            Consumer(r.name, (r.event.name,) if r.kind == "state" else (), prefetch=16)
            for r in self._by_consumer.values()
        ]

    @contextlib.asynccontextmanager
    async def transaction(self, *, request_id: str | None = None, timeout_s: float = 1.0) -> AsyncIterator[Tx]:
        """BEGIN … COMMIT. Rolls back on any exception; on success hands the events to the after-commit queue."""
        async with self.database.acquire(timeout_s) as conn:
            async with conn.transaction():
                tx = Tx(conn, self.database.clock.now(), request_id, self)
                yield tx
                ids = await self._write(tx)
                if ids:
                    crashpoint("outbox.before_commit")
            if ids:
                crashpoint("outbox.after_commit")
            self._committed(tx, ids)

    async def transact(self, body: Callable[[Tx], Awaitable[T]], *, request_id: str | None = None, tries: int = 3) -> T:
        """Run `body(tx)` in a transaction; again if the database rolled it back for reasons of its own."""
        for attempt in range(1, tries + 1):
            try:
                async with self.transaction(request_id=request_id) as tx:
                    return await body(tx)
            except RETRYABLE_ERRORS as error:
                if attempt == tries:
                    raise Unavailable("The database is too busy for this change.") from error
                metrics.transaction_retries.inc()
                await asyncio.sleep(0.01 * 2**attempt)
        raise AssertionError("unreachable")

    async def _write(self, tx: Tx) -> list[int]:
        if not tx.events:
            return []
        ords, consumers, leased = [], [], []
        for ord_, event in enumerate(tx.events, 1):
            for reaction in self._later.get(type(event), ()):
                ords.append(ord_)
                consumers.append(reaction.name)
                leased.append(reaction.kind == "effect" and self._starts_effects)
        rows = await tx.conn.fetch(
            WRITE_EVENTS,
            [event.name for event in tx.events],
            [event.v for event in tx.events],
            [event.model_dump(mode="json") for event in tx.events],
            [event.correlation_id for event in tx.events],
            tx.request_id,
            ords,
            consumers,
            leased,
            EFFECT_LEASE_S,
        )
        return [row["id"] for row in rows]

    def _committed(self, tx: Tx, ids: list[int]) -> None:
        for hook in tx.on_commit:
            try:
                hook()
            except Exception:  # it is committed: an error now would say the opposite
                log.exception("after-commit hook failed")
        if not self._starts_effects:
            return
        pools: set[str] = set()
        messages: list[Outgoing] = []
        for event_id, event in zip(ids, tx.events, strict=True):
            pools |= {pool for reaction in self._wakes.get(type(event), ()) if (pool := reaction.run(event))}
            later = self._later.get(type(event), ())
            if any(reaction.kind == "state" for reaction in later):
                body = event.model_dump_json().encode()
                messages.append(
                    Outgoing(Message(event_id, event.name, event.v, body, tx.now, event.correlation_id, tx.request_id))
                )
            for reaction in later:
                if reaction.kind == "effect":
                    self._enqueue(partial(self._first_effect, reaction, event_id, event, tx.request_id))
        for pool in pools:
            self._enqueue(partial(self._wake, pool))
        if messages:
            self._enqueue(partial(self._publish, messages))

    def _enqueue(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            self._queue.put_nowait(job)
        except asyncio.QueueFull:
            metrics.after_commit_overflow.inc()  # the relay does it when its time has come (effects: when the lease is over)

    async def _wake(self, pool: str) -> None:
        with contextlib.suppress(BrokerUnavailable):
            await self.broker.wake(pool)

    async def _publish(self, messages: list[Outgoing]) -> None:
        with contextlib.suppress(BrokerUnavailable):
            await self.broker.publish(messages)
            crashpoint("outbox.after_publish")

    async def _first_effect(self, reaction: Reaction, event_id: int, event: Event, request_id: str | None) -> None:
        """The row was leased at commit. If this fails, the lease is given up and the relay repeats through the broker."""
        structlog.contextvars.bind_contextvars(
            consumer=reaction.name, correlation_id=event.correlation_id, request_id=request_id
        )
        try:
            await self._run_effect(reaction, event)
        except Exception as error:
            metrics.deliveries.labels(reaction.name, "failed").inc()
            await self._failed_at_first(event_id, reaction.name, error)
        else:
            crashpoint("outbox.after_effect")
            metrics.deliveries.labels(reaction.name, "done").inc()
            self._done.append((event_id, reaction.name))
            self._nudge.set()

    async def _run_effect(self, reaction: Reaction, event: Event) -> None:
        with no_stray_cancellation():
            async with asyncio.timeout(EFFECT_TIMEOUT_S):
                await reaction.run(event)

    async def run(self, *, workers: int = 8) -> None:
        """Run for ever: after-commit jobs, completion marks, and (unless another process does it) the relay."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(workers):
                    tasks.create_task(self._work())
                tasks.create_task(self._mark_done())
                if self._relay:
                    tasks.create_task(self._run_relay())
        finally:
            await self._flush_done()  # or the relay would repeat in another process what this one did last

    async def _work(self) -> None:
        while True:
            heed_cancellation()  # an effect's library may have swallowed it (redis on Python 3.11 does)
            job = await self._queue.get()
            try:
                with no_stray_cancellation():
                    async with asyncio.timeout(EFFECT_TIMEOUT_S + 3):
                        await job()
            except Exception:
                log.exception("after-commit job failed; the relay repeats it")
            finally:
                self._queue.task_done()
                structlog.contextvars.clear_contextvars()

    async def _mark_done(self) -> None:
        while True:
            heed_cancellation()
            await self._nudge.wait()
            self._nudge.clear()
            await asyncio.sleep(0.02)  # gather what ends together; off everybody's path
            await self._flush_done()

    async def _flush_done(self) -> None:
        done, self._done = self._done, []
        if not done:
            return
        try:
            with no_stray_cancellation():
                async with self.database.acquire() as conn:
                    await conn.execute(EFFECTS_DONE, [event_id for event_id, _ in done], [name for _, name in done])
        except AWAY:
            log.warning("effects not marked done; they will be repeated", count=len(done))

    async def drain(self, timeout_s: float = 5) -> None:
        """Finish what is queued while `run` runs (shutdown, tests)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._queue.join()
        await self._flush_done()

    # --- the relay -------------------------------------------------------------------------------------------------

    async def _run_relay(self) -> None:
        while True:
            heed_cancellation()
            try:
                with no_stray_cancellation():
                    sent = await self.relay_once()
            except AWAY as error:
                log.warning("relay could not run", error=type(error).__name__)
                sent = 0
            await asyncio.sleep(0.05 if sent == RELAY_BATCH else 0.5)

    async def relay_once(self) -> int:
        """Send one batch of undone deliveries to their consumers' queues by name. Returns how many.

        Only what the broker confirmed counts as sent: an outage, however long, parks nothing."""
        if not self.broker.health().is_up:
            return 0
        async with self.database.acquire() as conn:
            rows = await conn.fetch(DUE_DELIVERIES, RELAY_BATCH, MAX_SENDS)
        batch = [
            Outgoing(
                Message(
                    row["id"], row["name"], row["v"], orjson.dumps(row["body"]), row["created_at"],
                    row["correlation_id"], row["request_id"],
                ),
                consumer=row["consumer"],
            )
            for row in rows
            if row["parked_at"] is None
        ]  # fmt: skip
        for row in rows:
            if row["parked_at"] is not None:
                metrics.deliveries.labels(row["consumer"], "parked").inc()
                log.error("delivery parked", consumer=row["consumer"], event_id=row["id"], event_name=row["name"])
        if batch:
            crashpoint("relay.after_claim")
            await self._send_again(batch)
            crashpoint("relay.after_confirm")
        return len(rows)

    async def _send_again(self, batch: list[Outgoing]) -> None:
        confirmed = [False] * len(batch)
        try:
            confirmed = await self.broker.publish(batch)
        except BrokerUnavailable:
            log.warning("relay could not send", count=len(batch))
        metrics.relay_sent.inc(sum(confirmed))
        unsent = [outgoing for outgoing, is_confirmed in zip(batch, confirmed, strict=True) if not is_confirmed]
        if unsent:
            async with self.database.acquire() as conn:
                events, consumers = [o.message.event_id for o in unsent], [o.consumer for o in unsent]
                await conn.execute(UNSENT, events, consumers, UNSENT_DELAY_S)

    # --- consumers -------------------------------------------------------------------------------------------------

    async def consume(self, names: Sequence[str] | None = None) -> None:
        """Run until cancelled: consume for all broker reactions, or for the named ones."""
        async with asyncio.TaskGroup() as tasks:
            for consumer in self.consumers:
                if names is None or consumer.name in names:
                    tasks.create_task(self.broker.consume(consumer, self._handler(consumer.name)))

    def _handler(self, consumer: str) -> Callable[[Message], Awaitable[Outcome]]:
        return lambda message: self.handle(consumer, message)

    async def handle(self, consumer: str, message: Message) -> Outcome:
        """Do one delivery once. Never raises for expected trouble; says what to do with the message."""
        outcome = await self._handle(consumer, message)
        metrics.deliveries.labels(
            consumer if consumer in self._by_consumer else "unknown", RESULTS[type(outcome)]
        ).inc()
        return outcome

    async def _handle(self, consumer: str, message: Message) -> Outcome:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            consumer=consumer,
            event_id=message.event_id,
            correlation_id=message.correlation_id,
            request_id=message.request_id,
        )
        reaction = self._by_consumer.get(consumer)
        kind = BY_NAME.get(message.name)
        if reaction is None or kind is None or message.version > kind.v:
            return await self._park(
                message.event_id, consumer, f"unknown event or version: {message.name} v{message.version}"
            )
        try:
            event = kind.model_validate_json(message.body)
        except ValueError:
            return await self._park(message.event_id, consumer, "the body does not fit the event's model")
        # An effect's attempt was counted when it was claimed; a state reaction's claim was rolled back with its effect.
        attempts = 1 if reaction.kind == "state" else 0
        try:
            with no_stray_cancellation():
                async with asyncio.timeout(30):
                    if reaction.kind == "state":
                        return await self._state(reaction, message, event)
                    return await self._effect(reaction, message, event)
        except Exception as error:
            return await self._failed(message.event_id, consumer, error, attempts=attempts)

    async def _state(self, reaction: Reaction, message: Message, event: Event) -> Outcome:
        async with self.transaction(request_id=message.request_id) as tx:
            if await tx.conn.fetchval(CLAIM_STATE, message.event_id, reaction.name) is None:
                return await self._missing(tx.conn, message, reaction.name)
            await reaction.run(tx, event)
            crashpoint("consumer.before_commit")
        crashpoint("consumer.before_ack")
        return Done()

    async def _effect(self, reaction: Reaction, message: Message, event: Event) -> Outcome:
        async with self.database.acquire() as conn:
            if await conn.fetchval(CLAIM_EFFECT, message.event_id, reaction.name, EFFECT_LEASE_S) is None:
                return await self._missing(conn, message, reaction.name)
        await self._run_effect(reaction, event)
        crashpoint("consumer.after_effect")
        async with self.database.acquire() as conn:
            await conn.execute(EFFECTS_DONE, [message.event_id], [reaction.name])
        return Done()

    async def _missing(self, conn: Connection, message: Message, consumer: str) -> Outcome:
        """No claim: done before, leased by somebody else, or (purged or never written) nothing to do."""
        row = await conn.fetchrow(DELIVERY_STATE, message.event_id, consumer)
        if row is not None and row["done_at"] is None and row["lease_until"] is not None:
            return RetryLater(RETRY_DELAYS_S[1])
        return Done()

    async def _park(self, event_id: int, consumer: str, reason: str, *, attempts: int = 1) -> Outcome:
        try:
            async with self.database.acquire() as conn:
                await conn.fetchval(DELIVERY_FAILED, event_id, consumer, reason, 0, True, attempts)
        except AWAY:
            return RetryLater(RETRY_DELAYS_S[0])
        log.error("delivery parked", consumer=consumer, event_id=event_id, reason=reason)
        return Park(reason)

    async def _failed_at_first(self, event_id: int, consumer: str, error: Exception) -> None:
        """Nobody waits for an answer here: the relay sends the delivery a second later, and the repeat is judged."""
        reason = _tell_failure(event_id, consumer, error)
        with contextlib.suppress(*AWAY):  # then the lease runs out
            async with self.database.acquire() as conn:
                await conn.fetchval(DELIVERY_FAILED, event_id, consumer, reason, 1, False, 0)

    async def _failed(self, event_id: int, consumer: str, error: Exception, *, attempts: int) -> Outcome:
        """Count the attempt where it survives a crash, then wait or park."""
        reason = _tell_failure(event_id, consumer, error)
        try:
            async with self.database.acquire() as conn:
                tried = await conn.fetchval(DELIVERY_FAILED, event_id, consumer, reason, 1, False, attempts)
                if tried is None:
                    return Done()  # by somebody else, or by the transaction whose answer was lost
                is_final = isinstance(error, RingdeskError) and not error.retryable
                if is_final or tried > len(RETRY_DELAYS_S):
                    return await self._park(event_id, consumer, reason, attempts=0)
                delay = RETRY_DELAYS_S[max(tried, 1) - 1]
                await conn.fetchval(DELIVERY_FAILED, event_id, consumer, reason, delay + 10, False, 0)
                return RetryLater(delay)
        except AWAY:
            return RetryLater(RETRY_DELAYS_S[0])


def _tell_failure(event_id: int, consumer: str, error: Exception) -> str:
    """Log it and return the reason to keep. Exception texts may hold personal data: only the kind is kept."""
    reason = error.code if isinstance(error, RingdeskError) else type(error).__name__
    unexpected = None if isinstance(error, (RingdeskError, *AWAY)) else error
    log.warning("delivery failed", consumer=consumer, event_id=event_id, reason=reason, exc_info=unexpected)
    return reason


async def parked(conn: Connection, *, limit: int = 100) -> list[dict[str, Any]]:
    """What has been given up on, oldest first, each with its reason."""
    return [dict(row) for row in await conn.fetch(PARKED, limit)]


async def replay(conn: Connection, *, event_id: int | None = None, consumer: str | None = None) -> int:
    """Try parked deliveries again. Returns how many."""
    return len(await conn.fetch(REPLAY, event_id, consumer))


@dataclass(frozen=True, slots=True)
class Lag:
    """What consumers owe: counts up to 10,000, and the age of the oldest event that still has an undone delivery."""

    undone: int
    parked: int
    lag_s: float


async def lag(conn: Connection) -> Lag:
    row = await conn.fetchrow(LAG)
    return Lag(**dict(row)) if row else Lag(0, 0, 0.0)
