"""Events, their deliveries, and what becomes of them when everything around goes wrong."""
# ruff: noqa: PT012 - the error comes out of a block

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
import structlog

from core.errors import Conflict, NotFound, Unavailable
from core.events import AgentFreed, ConfigApplied, CustomerChanged, Event, RulesetPublished
from core.ids import AgentId, CustomerId
from infra import outbox as module
from infra.bus import RETRY_DELAYS_S, BrokerUnavailable, Done, Message, Outgoing, Park, RetryLater
from infra.local_broker import LocalBroker
from infra.outbox import Outbox, Reaction, Tx, effect, inline, lag, parked, publish, replay, state, wake
from infra.postgres import CONNECTION_ERRORS, Connection, Database, open_database
from infra.telemetry import metrics
from tests.invariants import broken
from tests.link import Link, Mode, link_to_postgres

pytestmark = pytest.mark.usefixtures("clean")
FACT = ConfigApplied(change_id=1)


async def leave_trace(tx: Tx, event: Event) -> None:
    """An effect inside a transaction: one row per run."""
    await tx.conn.execute(
        "INSERT INTO config_changes (digest, diff, applied_by) VALUES ($1, '[]', 'trace')", event.name
    )


async def traces(conn: Connection) -> int:
    return int(await conn.fetchval("SELECT count(*) FROM config_changes"))


class Effects:
    """Counts its runs; does what it is told to."""

    def __init__(self, *errors: BaseException) -> None:
        self.runs: list[Event] = []
        self._errors = list(errors)
        self.context: dict[str, Any] = {}

    async def __call__(self, event: Event) -> None:
        self.runs.append(event)
        self.context = structlog.contextvars.get_contextvars()
        await asyncio.sleep(0)
        if self._errors:
            raise self._errors.pop(0)


@pytest.fixture
def an_outbox(database: Database, broker: LocalBroker) -> Callable[..., Outbox]:
    def build(*reactions: Reaction, on: LocalBroker | None = None) -> Outbox:
        built = Outbox(database, on or broker)
        built.react(reactions)
        return built

    return build


@asynccontextmanager
async def outbox_behind_a_link(database_url: str, *reactions: Reaction) -> AsyncIterator[tuple[Outbox, Link]]:
    async with (
        LocalBroker() as broker,
        link_to_postgres(database_url) as (link, url),
        open_database(url, size=2) as database,
    ):
        outbox = Outbox(database, broker)
        outbox.react(reactions)
        yield outbox, link


@asynccontextmanager
async def running(outbox: Outbox) -> AsyncIterator[None]:
    """After-commit jobs, relay and consumers, as in a process."""
    await outbox.broker.declare(outbox.consumers, [])
    tasks = [asyncio.create_task(outbox.run()), asyncio.create_task(outbox.consume())]
    try:
        yield
    finally:
        assert not any(task.done() for task in tasks), "a loop has ended"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], Awaitable[object]], *, within_s: float = 8) -> None:
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110 - asked of the database
            await asyncio.sleep(0.02)


async def commit(outbox: Outbox, *events: Event, request_id: str | None = None) -> list[int]:
    async with outbox.transaction(request_id=request_id) as tx:
        for event in events:
            await publish(tx, event)
    async with outbox.database.acquire() as conn:
        rows = await conn.fetch("SELECT id FROM events ORDER BY id DESC LIMIT $1", len(events))
    return sorted(row["id"] for row in rows)


def message(event_id: int, event: Event = FACT, *, v: int = 1, body: bytes | None = None, name: str = "") -> Message:
    return Message(event_id, name or event.name, v, body or event.model_dump_json().encode(), datetime.now(UTC))


async def deliveries(conn: Connection) -> dict[str, Any]:
    return {row["consumer"]: dict(row) for row in await conn.fetch("SELECT * FROM deliveries")}


async def let_time_pass(conn: Connection) -> None:
    """Leases run out and every undone delivery is due."""
    await conn.execute(
        "UPDATE deliveries SET next_at = now() - interval '1 second', "
        "lease_until = CASE WHEN lease_until IS NOT NULL THEN now() - interval '1 second' END WHERE done_at IS NULL"
    )


# --- one transaction -----------------------------------------------------------------------------------------------


async def test_event_deliveries_and_inline_effects_are_written_together(
    an_outbox: Callable[..., Outbox], conn: Connection
) -> None:
    outbox = an_outbox(
        inline("inline", ConfigApplied, leave_trace),
        state("later", ConfigApplied, leave_trace),
        effect("outside", ConfigApplied, Effects()),
        effect("other", AgentFreed, Effects()),
    )
    [event_id] = await commit(outbox, FACT, request_id="request-1")
    row = await conn.fetchrow("SELECT * FROM events")
    assert row is not None
    assert (row["id"], row["name"], row["v"], row["body"]) == (event_id, "config.applied", 1, {"change_id": 1})
    assert row["request_id"] == "request-1"
    found = await deliveries(conn)
    assert set(found) == {"later", "outside"}
    assert found["later"]["lease_until"] is None
    assert found["outside"]["lease_until"] is not None, "an effect is leased to the process that committed it"
    assert await traces(conn) == 1


@pytest.mark.parametrize("where", ["body", "inline reaction", "a later inline reaction"])
async def test_error_leaves_nothing(an_outbox: Callable[..., Outbox], conn: Connection, where: str) -> None:
    async def fail(_: Tx, __: Event) -> None:
        raise Conflict("no")

    reactions = [inline("inline", ConfigApplied, leave_trace), state("later", ConfigApplied, leave_trace)]
    if where != "body":
        reactions.insert(0 if where == "inline reaction" else 2, inline("fails", ConfigApplied, fail))
    outbox = an_outbox(*reactions)
    with pytest.raises(Conflict):
        async with outbox.transaction() as tx:
            await publish(tx, FACT)
            raise Conflict("no")
    assert await conn.fetchval("SELECT count(*) FROM events") == 0
    assert await deliveries(conn) == {}
    assert await traces(conn) == 0
    assert outbox._queue.empty(), "nothing may start for what never happened"


async def test_inline_reactions_end_at_the_depth_limit(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    depths: list[int] = []

    async def again(tx: Tx, event: Event) -> None:
        depths.append(tx.depth)
        await publish(tx, event)

    outbox = an_outbox(inline("again", ConfigApplied, again))
    with pytest.raises(RuntimeError, match="deeper than 8"):
        await commit(outbox, FACT)
    assert depths == [1, 2, 3, 4, 5, 6, 7, 8]
    assert await conn.fetchval("SELECT count(*) FROM events") == 0


async def test_events_keep_the_order_of_publishing(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    async def follow_up(tx: Tx, _: Event) -> None:
        await publish(tx, RulesetPublished(version=1))

    outbox = an_outbox(inline("follow-up", ConfigApplied, follow_up))
    await commit(outbox, FACT, CustomerChanged(customer_id=CustomerId(1), version=1))
    names = [row["name"] for row in await conn.fetch("SELECT name FROM events ORDER BY id")]
    assert names == ["config.applied", "ruleset.published", "customer.changed"]


async def test_failing_hook_does_not_deny_what_is_committed(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    outbox, after = an_outbox(), []

    def fail() -> None:
        raise ValueError

    async with outbox.transaction() as tx:
        tx.on_commit += [fail, lambda: after.append("second")]
        await publish(tx, FACT)
    assert after == ["second"]
    assert await conn.fetchval("SELECT count(*) FROM events") == 1


def test_two_broker_reactions_of_one_name_are_refused(an_outbox: Callable[..., Outbox]) -> None:
    with pytest.raises(ValueError, match="same name"):
        an_outbox(effect("one", ConfigApplied, Effects()), effect("one", AgentFreed, Effects()))


# --- again, when the database says so ------------------------------------------------------------------------------


async def test_serialization_failure_runs_the_body_again(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    outbox, runs = an_outbox(state("later", ConfigApplied, leave_trace)), 0
    await conn.execute("INSERT INTO skills (key, name) VALUES ('a', '{\"n\": 0}')")

    async def body(tx: Tx) -> int:
        nonlocal runs
        runs += 1
        await tx.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await tx.conn.fetchval("SELECT name FROM skills")
        if runs == 1:
            await conn.execute("UPDATE skills SET name = '{\"n\": 1}'")
        await tx.conn.execute("UPDATE skills SET name = '{\"n\": 2}'")
        await publish(tx, FACT)
        return runs

    assert await outbox.transact(body) == 2
    assert await conn.fetchval("SELECT name FROM skills") == {"n": 2}
    assert await conn.fetchval("SELECT count(*) FROM events") == 1


async def test_deadlock_ends_with_both_done(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    outbox, first_tries = an_outbox(), asyncio.Barrier(2)
    await conn.execute("INSERT INTO skills (key, name) VALUES ('a', '{}'), ('b', '{}')")

    def body(*order: str) -> Callable[[Tx], Awaitable[None]]:
        runs = 0

        async def lock(tx: Tx) -> None:
            nonlocal runs
            runs += 1
            await tx.conn.execute("SELECT 1 FROM skills WHERE key = $1 FOR UPDATE", order[0])
            if runs == 1:
                await first_tries.wait()
            await tx.conn.execute("SELECT 1 FROM skills WHERE key = $1 FOR UPDATE", order[1])
            await publish(tx, FACT)

        return lock

    await asyncio.gather(outbox.transact(body("a", "b")), outbox.transact(body("b", "a")))
    assert await conn.fetchval("SELECT count(*) FROM events") == 2


async def test_trouble_that_stays_is_unavailable(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    outbox, runs = an_outbox(), 0

    async def body(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        await tx.conn.execute("SET LOCAL lock_timeout = '20ms'")
        await tx.conn.execute("LOCK TABLE skills IN ACCESS EXCLUSIVE MODE")

    async with conn.transaction():
        await conn.execute("LOCK TABLE skills IN ACCESS SHARE MODE")
        with pytest.raises(Unavailable):
            await outbox.transact(body)
    assert runs == 3


async def test_lost_answer_to_a_commit_is_unknown_and_the_fact_stands(database_url: str, conn: Connection) -> None:
    """Lab finding L14: the error comes although everything is committed. The relay carries it on."""
    outside = Effects()
    reactions = (effect("outside", ConfigApplied, outside), state("later", ConfigApplied, leave_trace))
    async with outbox_behind_a_link(database_url, *reactions) as (outbox, link):
        link.cut_after(b"COMMIT", times=1)
        with pytest.raises(CONNECTION_ERRORS):
            await commit(outbox, FACT)
        assert link.cuts == 1
        assert await conn.fetchval("SELECT count(*) FROM events") == 1
        assert outbox._queue.empty(), "unknown: nothing is started here"
        await let_time_pass(conn)
        async with running(outbox):
            await until(lambda: _all_done(conn))
    assert len(outside.runs) == 1
    assert await traces(conn) == 1


async def _all_done(conn: Connection) -> bool:
    return await conn.fetchval("SELECT count(*) = 0 FROM deliveries WHERE done_at IS NULL") is True


# --- state reactions -----------------------------------------------------------------------------------------------


async def test_twenty_simultaneous_deliveries_have_one_effect(
    an_outbox: Callable[..., Outbox], conn: Connection
) -> None:
    outbox = an_outbox(state("later", ConfigApplied, leave_trace))
    [event_id] = await commit(outbox, FACT)
    outcomes = await asyncio.gather(*(outbox.handle("later", message(event_id)) for _ in range(20)))
    assert outcomes == [Done()] * 20
    assert await traces(conn) == 1
    assert (await deliveries(conn))["later"]["attempts"] == 1


async def test_state_reaction_climbs_the_ladder_and_parks_with_its_reason(
    an_outbox: Callable[..., Outbox], conn: Connection
) -> None:
    healed = False

    async def fail(tx: Tx, event: Event) -> None:
        await leave_trace(tx, event)
        if not healed:
            raise KeyError("the caller's name")

    outbox = an_outbox(state("later", ConfigApplied, fail))
    [event_id] = await commit(outbox, FACT)
    outcomes = [await outbox.handle("later", message(event_id)) for _ in range(5)]
    assert outcomes == [*(RetryLater(delay) for delay in RETRY_DELAYS_S), Park("KeyError")]
    assert await traces(conn) == 0, "the effect goes with its failed transaction"
    [row] = await parked(conn)
    assert (row["consumer"], row["last_error"], row["attempts"], row["name"]) == ("later", "KeyError", 5, FACT.name)
    now = await lag(conn)
    assert (now.undone, now.parked, now.lag_s) == (0, 1, 0)
    assert await outbox.relay_once() == 0, "what is parked waits for a person"
    healed = True
    assert await replay(conn, consumer="other") == 0
    assert await replay(conn, event_id=event_id) == 1
    async with running(outbox):
        await until(lambda: _all_done(conn))
    assert await traces(conn) == 1
    assert await broken(conn) == {}


async def test_error_that_no_repeat_can_mend_is_parked_at_once(
    an_outbox: Callable[..., Outbox], conn: Connection
) -> None:
    async def fail(_: Tx, __: Event) -> None:
        raise NotFound("gone")

    outbox = an_outbox(state("later", ConfigApplied, fail), effect("outside", ConfigApplied, Effects(NotFound())))
    [event_id] = await commit(outbox, FACT)
    assert await outbox.handle("later", message(event_id)) == Park("not_found")
    await let_time_pass(conn)
    assert await outbox.handle("outside", message(event_id)) == Park("not_found")
    assert {row["consumer"] for row in await parked(conn)} == {"later", "outside"}


@pytest.mark.parametrize(
    "unfit", [{"v": 2}, {"name": "weather.changed"}, {"body": b'{"change_id": "x"}'}, {"body": b"\xff"}]
)
async def test_message_that_cannot_be_understood_is_parked(
    an_outbox: Callable[..., Outbox], conn: Connection, unfit: dict[str, Any]
) -> None:
    outbox = an_outbox(state("later", ConfigApplied, leave_trace))
    [event_id] = await commit(outbox, FACT)
    assert isinstance(await outbox.handle("later", message(event_id, **unfit)), Park)
    assert len(await parked(conn)) == 1
    assert await traces(conn) == 0


async def test_message_without_a_row_is_done(an_outbox: Callable[..., Outbox]) -> None:
    """Purged, or never committed: nothing is owed."""
    outbox = an_outbox(state("later", ConfigApplied, leave_trace), effect("outside", ConfigApplied, Effects()))
    assert await outbox.handle("later", message(4711)) == Done()
    assert await outbox.handle("outside", message(4711)) == Done()


async def test_database_away_is_tried_again_without_counting(database_url: str, conn: Connection) -> None:
    async with outbox_behind_a_link(database_url, state("later", ConfigApplied, leave_trace)) as (outbox, link):
        [event_id] = await commit(outbox, FACT)
        await link.set(Mode.RESET)
        assert await outbox.handle("later", message(event_id)) == RetryLater(RETRY_DELAYS_S[0])
        assert isinstance(await outbox.handle("later", message(event_id, v=2)), RetryLater)
        await link.set(Mode.PASS)
        assert await outbox.handle("later", message(event_id)) == Done()
    assert (await deliveries(conn))["later"]["attempts"] == 1


# --- effects -------------------------------------------------------------------------------------------------------


async def test_effect_starts_in_the_committing_process(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    outside = Effects()
    outbox = an_outbox(effect("outside", AgentFreed, outside))
    event = AgentFreed(agent_id=AgentId(7), version=1, pool="pool_a")
    runner = asyncio.create_task(outbox.run())  # and no consumer
    await commit(outbox, event, request_id="request-1")
    await until(lambda: _all_done(conn), within_s=1)
    runner.cancel()
    await asyncio.gather(runner, return_exceptions=True)
    assert outside.runs == [event]
    assert outside.context["request_id"] == "request-1"
    row = (await deliveries(conn))["outside"]
    assert (row["attempts"], row["sends"], row["lease_until"]) == (1, 0, None)


async def test_failed_effect_is_repeated_through_the_broker(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    outside = Effects(OSError())
    outbox = an_outbox(effect("outside", ConfigApplied, outside))
    async with running(outbox):
        await commit(outbox, FACT)
        await until(lambda: _all_done(conn))
    assert len(outside.runs) == 2
    assert (await deliveries(conn))["outside"]["sends"] == 1


async def test_effects_of_a_dead_process_are_run_by_another(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    outside = Effects()
    dead, alive = (an_outbox(effect("outside", ConfigApplied, outside)) for _ in range(2))
    await commit(dead, FACT)  # its after-commit jobs never run
    assert await alive.relay_once() == 0, "the lease still holds"
    await let_time_pass(conn)
    async with running(alive):
        await until(lambda: _all_done(conn))
    assert len(outside.runs) == 1


async def test_process_that_starts_no_effects_leases_none(
    database: Database, broker: LocalBroker, an_outbox: Callable[..., Outbox], conn: Connection
) -> None:
    outside = Effects()
    command_line = Outbox(database, broker, relay=False, starts_effects=False)
    command_line.react((effect("outside", ConfigApplied, outside), state("later", ConfigApplied, leave_trace)))
    await commit(command_line, FACT)
    assert command_line._queue.empty()
    assert (await deliveries(conn))["outside"]["lease_until"] is None
    async with running(
        an_outbox(effect("outside", ConfigApplied, outside), state("later", ConfigApplied, leave_trace))
    ):
        await until(lambda: _all_done(conn), within_s=3)
    assert len(outside.runs) == 1


async def test_effect_is_run_by_one_at_a_time(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    outside = Effects()
    outbox = an_outbox(effect("outside", ConfigApplied, outside))
    [event_id] = await commit(outbox, FACT)
    assert await outbox.handle("outside", message(event_id)) == RetryLater(5), "the committing process has it"
    await let_time_pass(conn)
    outcomes = await asyncio.gather(*(outbox.handle("outside", message(event_id)) for _ in range(10)))
    assert set(outcomes) <= {Done(), RetryLater(5)}
    assert len(outside.runs) == 1
    assert await outbox.handle("outside", message(event_id)) == Done()
    assert len(outside.runs) == 1


async def test_effect_has_as_many_tries_as_a_state_reaction(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    outside = Effects(*(OSError() for _ in range(20)))
    outbox = an_outbox(effect("outside", ConfigApplied, outside))
    [event_id] = await commit(outbox, FACT)
    await let_time_pass(conn)
    outcomes = [await outbox.handle("outside", message(event_id)) for _ in range(5)]
    assert outcomes == [*(RetryLater(delay) for delay in RETRY_DELAYS_S), Park("OSError")]
    assert len(outside.runs) == 5


async def test_stray_cancellations_end_no_loop(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    """Lab finding L3: a library raises CancelledError in a task that nobody has cancelled."""
    outside = Effects(*(asyncio.CancelledError() for _ in range(20)))
    outbox = an_outbox(effect("outside", ConfigApplied, outside))
    async with running(outbox):
        for _ in range(20):
            await commit(outbox, FACT)
        await until(lambda: _all_done(conn))
    assert len(outside.runs) == 40


async def test_workers_stop_also_when_a_library_swallows_the_cancellation(
    an_outbox: Callable[..., Outbox], conn: Connection
) -> None:
    """redis does on Python 3.11, where `asyncio.wait_for` returns instead of raising when both happen at once."""
    inside = asyncio.Event()

    async def swallow(_: Event) -> None:
        inside.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)

    outbox = an_outbox(effect("outside", ConfigApplied, swallow))
    runner = asyncio.create_task(outbox.run(workers=1))
    await commit(outbox, FACT)
    await inside.wait()
    runner.cancel()
    async with asyncio.timeout(1):
        await asyncio.gather(runner, return_exceptions=True)


async def test_hanging_effect_is_ended_and_repeated(
    an_outbox: Callable[..., Outbox], conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EFFECT_TIMEOUT_S", 0.05)
    runs = 0

    async def hang_once(_: Event) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            await asyncio.Event().wait()

    outbox = an_outbox(effect("outside", ConfigApplied, hang_once))
    async with running(outbox):
        await commit(outbox, FACT)
        await until(lambda: _all_done(conn))
    assert runs == 2


async def test_after_commit_queue_is_bounded_and_loses_nothing(
    an_outbox: Callable[..., Outbox], conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AFTER_COMMIT_LIMIT", 3)
    outside = Effects()
    outbox = an_outbox(effect("outside", ConfigApplied, outside))
    before = metrics.after_commit_overflow._value.get()
    await commit(outbox, *(ConfigApplied(change_id=n) for n in range(10)))
    assert outbox._queue.qsize() == 3
    assert metrics.after_commit_overflow._value.get() - before == 7
    async with running(outbox):
        await outbox.drain(2)
        assert len(outside.runs) == 3
        await let_time_pass(conn)
        await until(lambda: _all_done(conn))
    assert sorted(event.change_id for event in outside.runs if isinstance(event, ConfigApplied)) == list(range(10))


async def test_wakes_of_one_transaction_coalesce(an_outbox: Callable[..., Outbox], broker: LocalBroker) -> None:
    outbox, woken = an_outbox(wake("wake", AgentFreed)), asyncio.Event()
    await broker.declare([], ["pool_a"])
    runner = asyncio.create_task(outbox.run())
    listener = asyncio.create_task(broker.consume_wakes("pool_a", woken.set))
    await commit(outbox, *(AgentFreed(agent_id=AgentId(n), version=1, pool="pool_a") for n in range(5)))
    async with asyncio.timeout(2):
        await woken.wait()
    for task in (runner, listener):
        task.cancel()
    await asyncio.gather(runner, listener, return_exceptions=True)


# --- the relay -----------------------------------------------------------------------------------------------------


class MoodyBroker(LocalBroker):
    """Says yes, says no, or says nothing; keeps count."""

    def __init__(self) -> None:
        super().__init__()
        self.mood = "no"
        self.asked = 0

    async def publish(self, batch: Sequence[Outgoing]) -> list[bool]:
        self.asked += len(batch)
        if self.mood == "no":
            return [False] * len(batch)
        if self.mood == "raises":
            raise BrokerUnavailable
        if self.mood == "swallows":
            return [True] * len(batch)
        return await super().publish(batch)


@pytest.mark.parametrize("mood", ["no", "raises"])
async def test_long_outage_of_the_broker_parks_nothing(
    an_outbox: Callable[..., Outbox], conn: Connection, mood: str
) -> None:
    async with MoodyBroker() as moody:
        moody.mood = mood
        outbox = an_outbox(state("later", ConfigApplied, leave_trace), on=moody)
        await commit(outbox, FACT)
        for _ in range(12):
            await let_time_pass(conn)
            assert await outbox.relay_once() == 1
        assert moody.asked == 12
        row = (await deliveries(conn))["later"]
        assert (row["sends"], row["parked_at"]) == (0, None)
        moody.mood = "yes"
        async with running(outbox):
            await let_time_pass(conn)
            await until(lambda: _all_done(conn))
    assert await traces(conn) == 1
    assert await broken(conn) == {}


async def test_poison_is_parked_after_so_many_sends(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    """A message that ends its process each time leaves no attempt behind: only the sends tell."""
    async with MoodyBroker() as moody:
        moody.mood = "swallows"
        outbox = an_outbox(state("later", ConfigApplied, leave_trace), on=moody)
        await commit(outbox, FACT)
        for _ in range(module.MAX_SENDS + 3):
            await let_time_pass(conn)
            await outbox.relay_once()
        assert moody.asked == module.MAX_SENDS
    [row] = await parked(conn)
    assert (row["sends"], row["last_error"]) == (module.MAX_SENDS + 1, "no consumer finished it")


async def test_relay_leaves_a_closed_broker_alone(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    async with LocalBroker() as closed:
        outbox = an_outbox(state("later", ConfigApplied, leave_trace), on=closed)
    await commit(outbox, FACT)
    await let_time_pass(conn)
    assert await outbox.relay_once() == 0
    assert (await deliveries(conn))["later"]["sends"] == 0


async def test_relay_skips_nothing_that_commits_out_of_order(
    an_outbox: Callable[..., Outbox], conn: Connection
) -> None:
    """F29: an older id that is committed later than a newer one."""
    outbox = an_outbox(state("later", ConfigApplied, leave_trace))
    async with running(outbox):
        late = outbox.transaction()
        tx = await late.__aenter__()
        await publish(tx, FACT)
        await outbox._write(tx)  # has its ids, is not committed
        tx.events.clear()
        await commit(outbox, FACT)
        await until(lambda: _done(conn, 1))
        await late.__aexit__(None, None, None)
        await until(lambda: _done(conn, 2))
    order = [r["event_id"] for r in await conn.fetch("SELECT event_id FROM deliveries ORDER BY done_at")]
    assert order == sorted(order, reverse=True)


async def _done(conn: Connection, count: int) -> object:
    return await conn.fetchval("SELECT count(*) FROM deliveries WHERE done_at IS NOT NULL") == count


async def test_erased_broker_loses_nothing(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    reactions = (state("later", ConfigApplied, leave_trace), effect("outside", ConfigApplied, Effects(OSError())))
    async with LocalBroker() as first:
        await commit(an_outbox(*reactions, on=first), *(ConfigApplied(change_id=n) for n in range(50)))
    async with LocalBroker() as second:
        outbox = an_outbox(*reactions, on=second)
        await let_time_pass(conn)
        async with running(outbox):
            await until(lambda: _all_done(conn))
    assert await traces(conn) == 50
    assert await broken(conn) == {}


async def test_two_relays_send_each_delivery_once(an_outbox: Callable[..., Outbox], conn: Connection) -> None:
    async with MoodyBroker() as moody:
        moody.mood = "swallows"
        relays = [an_outbox(state("later", ConfigApplied, leave_trace), on=moody) for _ in range(2)]
        await commit(relays[0], *(ConfigApplied(change_id=n) for n in range(300)))
        await let_time_pass(conn)
        while sum(await asyncio.gather(*(relay.relay_once() for relay in relays))):
            pass
        assert moody.asked == 300


async def test_error_of_a_reaction_is_not_taken_for_one_of_the_database(an_outbox: Callable[..., Outbox]) -> None:
    async def body(tx: Tx) -> None:
        await tx.conn.execute("SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await an_outbox().transact(body)
