"""Postgres puts together what counts alike; counted one by one the same facts give the same sums."""

from datetime import timedelta
from random import Random
from typing import Any

from infra.outbox import Tx
from infra.postgres import Connection
from reporting import queries as sql
from reporting.measures import agent_cells, queue_cells
from reporting.model import BUCKET, Cells
from tests.unit.reporting.given import NINE

HOUR = timedelta(hours=1)
OUTCOMES = ("answered", "abandoned", "callback_requested", "transferred_out", "overflowed", "closed", "failed", None)
EDGES = (
    0,
    1,
    999_999,
    4_999_999,
    5_000_000,
    5_000_001,
    19_999_999,
    20_000_000,
    20_000_001,
    59_999_999,
    60_000_000,
    60_000_001,
)
"""Microseconds at and around the settings."""


async def facts(conn: Connection, random: Random) -> None:
    await conn.execute(
        "INSERT INTO queues (key, name, pool_id) SELECT key, '{\"en\": \"Q\"}', 'p' FROM unnest(ARRAY['support', 'sales']) key"
    )
    for n in range(600):
        at = NINE + timedelta(microseconds=random.randrange(3_600_000_000))
        outcome = random.choice(OUTCOMES)
        wait = timedelta(microseconds=random.choice([random.choice(EDGES), random.randrange(100_000_000)]))
        left_at = None if outcome is None else at + wait
        await conn.execute(
            "INSERT INTO stints (work_item_id, call_id, queue, entered_at, left_at, outcome, within_s, target, short_abandon_s, zone) "
            "VALUES ($1, $1, $2, $3, $4, $5, $6, 0.8, $7, 'UTC')",
            n, random.choice(["support", "sales"]), at, left_at, outcome, random.choice([0, 20, 60]), random.choice([0, 5]),
        )  # fmt: skip
        state = random.choice(["completed", "completed", "rejected", "timeout", "rescinded", "canceled"])
        accepted = state == "completed" or (state == "canceled" and random.random() < 0.5)
        connected = at + wait if state == "completed" and random.random() < 0.9 else None
        talked = at + random.choice([timedelta(), wait, wait * 2])  # also before it began
        await conn.execute(
            "INSERT INTO offers (work_item_id, call_id, agent_id, queue, pool_id, step, units, state, created_at, deadline, accepted_at, "
            "connected_at, wrap_started_at, ended_at) VALUES ($1, $1, $2, $3, 'p', 0, 1, $4, $5::timestamptz, $5, $6, $7, $8, $9)",
            n // 2, random.randrange(1, 4), random.choice(["support", "sales"]), state, at, at if accepted else None, connected,
            None if random.random() < 0.1 else talked, max(talked, at + wait),
        )  # fmt: skip


async def one_by_one(conn: Connection) -> tuple[list[Any], list[Any], list[Any]]:
    start, end = NINE, NINE + 3 * HOUR
    read: list[list[Any]] = []
    for statement, record_of in (
        (sql.STINTS_PAGE, sql.stint_of),
        (sql.OFFERS_PAGE, sql.offer_of),
        (sql.SEGMENTS_PAGE, sql.segment_of),
    ):
        found = []
        for queue in ("support", "sales"):
            found += [record_of(row) for row in await conn.fetch(statement, queue, start, end, start, -1, 10_000)]
        read.append(found)
    return read[0], read[1], read[2]


def plain(cells: Cells[Any]) -> dict[Any, Any]:
    return {place: (dict(+sums.added), sums.peaks, dict(+sums.waits)) for place, sums in cells.items()}


async def test_what_is_put_together_counts_as_it_does_one_by_one(tx: Tx) -> None:
    for seed in (1, 2):
        await tx.conn.execute("DELETE FROM offers; DELETE FROM stints; DELETE FROM queues")
        await facts(tx.conn, Random(seed))
        start, end = NINE, NINE + 3 * HOUR
        singles = await one_by_one(tx.conn)
        assert all(len(records) > 100 for records in singles)
        stints = await sql.stints_between(tx.conn, queues=["support", "sales"], start=start, end=end)
        offers = await sql.offers_by_queue(tx.conn, start=start, end=end)
        segments = await sql.segments_by_queue(tx.conn, start=start, end=end)
        assert plain(queue_cells(stints, offers, segments)) == plain(queue_cells(*singles))
        by_agent = {"start": start, "end": end, "now": end}
        offers = await sql.offers_by_agent(tx.conn, start=start, end=end)
        segments = await sql.segments_by_agent(tx.conn, start=start, end=end)
        assert plain(agent_cells(offers, segments, [], **by_agent)) == plain(
            agent_cells(singles[1], singles[2], [], **by_agent)
        )


async def test_many_alike_are_one_record(tx: Tx) -> None:
    """So that an answer costs as much as there are kinds of waits, not as many calls as come."""
    await tx.conn.execute("INSERT INTO queues (key, name, pool_id) VALUES ('support', '{\"en\": \"Q\"}', 'p')")
    await tx.conn.execute(
        "INSERT INTO stints (work_item_id, call_id, queue, entered_at, left_at, outcome, within_s, target, short_abandon_s, zone) "
        "SELECT n, n, 'support', $1::timestamptz, $1::timestamptz + make_interval(secs => 7 + n / 1000.0), 'answered', 20, 0.8, 5, 'UTC' "
        "FROM generate_series(1, 900) n", NINE,
    )  # fmt: skip
    (found,) = await sql.stints_between(tx.conn, queues=["support"], start=NINE, end=NINE + BUCKET)
    assert (found.count, found.wait, found.longest_us) == (900, timedelta(seconds=7.5), 7_900_000)
