"""A look at the live figures, with 10 thousand to 10 million contacts stored, and with 1 to 50 calls a second in the quarter that is open.

python3 dev.py bench figures [--quick] [--only stored | "at once"]
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bench.kit.report import Report, latencies, options, run, say
from bench.kit.servers import servers
from infra.postgres import Connection, Database, open_database
from reporting.catalogue import Group
from reporting.figures import Question, metrics_of, read
from reporting.model import BUCKET, EPOCH, bucket_of

STORED: Final = (10_000, 1_000_000, 10_000_000)
PER_S: Final = (1, 10, 50)
QUEUES: Final = 40
AGENTS: Final = 500
MOST_INTERVALS: Final = 1_000_000
"""Their constraint against overlaps is dear to fill; what is read of them is one look-up an agent."""
TODAY_H: Final = 12
LOOKS: Final = 30

CONTACTS: Final = (
    """INSERT INTO stints (work_item_id, call_id, queue, entered_at, left_at, connected_at, outcome, within_s, target, short_abandon_s, zone)
       SELECT $1::bigint + n, n, 'queue' || (n % 40), at, at + interval '9 seconds', at + interval '9 seconds', 'answered', 20, 0.8, 5, 'UTC'
       FROM (SELECT n, $3::timestamptz + make_interval(secs => n * $4::float8) AS at FROM generate_series(0, $2::integer - 1) n) t""",
    """INSERT INTO offers (work_item_id, call_id, agent_id, queue, pool_id, step, units, state, created_at, deadline, accepted_at, connected_at,
                           wrap_started_at, ended_at)
       SELECT $1::bigint + n, n, n % 500 + 1, 'queue' || (n % 40), 'pool', 0, 1, 'completed', at, at, at, at, at + interval '60 seconds',
              at + interval '90 seconds'
       FROM (SELECT n, $3::timestamptz + make_interval(secs => n * $4::float8) AS at FROM generate_series(0, $2::integer - 1) n) t""",
)
STATES: Final = """
INSERT INTO agent_intervals (agent_id, state, started_at, ended_at)
SELECT n % 500 + 1, CASE n / 500 % 2 WHEN 0 THEN 'available' ELSE 'talking' END, at, $2::timestamptz + make_interval(secs => (n + 500) * $3::float8)
FROM (SELECT n, $2::timestamptz + make_interval(secs => n * $3::float8) AS at FROM generate_series(0, $1::integer - 1) n) t
"""
FIGURES: Final = (
    """INSERT INTO queue_figures (bucket, queue, offered, answered, within)
       SELECT b, 'queue' || q, 10, 10, 10 FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 second', '15 minutes') b, generate_series(0, 39) q""",
    """INSERT INTO answered_waits (bucket, queue, wait_s, answered)
       SELECT b, 'queue' || q, 9, 10 FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 second', '15 minutes') b, generate_series(0, 39) q""",
    """INSERT INTO agent_figures (bucket, agent_id, available_us, talking_us)
       SELECT b, a, 500000000, 400000000 FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 second', '15 minutes') b, generate_series(1, 500) a""",
)  # fmt: skip


async def main() -> int:
    report = Report("figures", options(__doc__ or ""))
    is_quick = report.options.quick
    stored = (200, 2_000) if is_quick else STORED
    async with servers(report) as running:
        url = await running.create_migrated("product")
        async with open_database(url, size=2, application="ringdesk") as database:
            async with database.acquire() as conn:
                await _furnish(conn, bucket_of(datetime.now(UTC)))
            if report.options.wants("stored"):
                medians = await _with_more_and_more(report, database, stored, looks=3 if is_quick else LOOKS)
                report.ratio(
                    f"a look with {stored[-1]:,} to one with {stored[0]:,} stored", medians[-1] / medians[0], 1.5
                )
            if report.options.wants("at once"):
                await _with_more_at_once(report, database, (1,) if is_quick else PER_S, looks=3 if is_quick else LOOKS)
    say(f"written: {report.write().name}")
    return 0


async def _with_more_and_more(
    report: Report, database: Database, stored: tuple[int, ...], *, looks: int
) -> list[float]:
    now = bucket_of(datetime.now(UTC)) + BUCKET / 2
    today = bucket_of(now) - timedelta(hours=TODAY_H)
    medians, before, have = [], today, 0
    async with database.acquire() as conn:
        await _seed(conn, 0, 4_000, today, TODAY_H * 3600 / 4_000)
        await _fill(conn, today, bucket_of(now))
    for number in stored:
        # A contact each 1.5 s by day and night: 10 million are half a year.
        start = before - timedelta(seconds=1.5 * (number - have))
        async with database.acquire() as conn:
            await _seed(conn, 1_000_000 + have, number - have, start, 1.5)
            await _fill(conn, max(bucket_of(start), bucket_of(before) - timedelta(days=30)), bucket_of(before))
        before, have = bucket_of(start), number
        rounds = [await _looks(database, now, looks) for _ in range(report.options.repetitions)]
        row = report.add("a look at all queues today, every metric", stored=number, **latencies(rounds))
        medians.append(row["p50"]["median"])
    return medians


async def _with_more_at_once(report: Report, database: Database, rates: tuple[int, ...], *, looks: int) -> None:
    """What grows the price: the quarter that is open, read from the facts."""
    now = bucket_of(datetime.now(UTC)) + BUCKET - timedelta(seconds=1)
    have = 0
    for rate in rates:
        more = rate * 899 - have
        async with database.acquire() as conn:
            await _seed(conn, 100_000_000 + have, more, bucket_of(now), 899 / more, with_states=False)
        have = rate * 899
        rounds = [await _looks(database, now, looks) for _ in range(report.options.repetitions)]
        report.add("a look at the end of a quarter", calls_per_s=rate, **latencies(rounds))


async def _furnish(conn: Connection, closed_until: datetime) -> None:
    await conn.execute("SET statement_timeout = 0")
    await conn.execute(
        "INSERT INTO queues (key, name, pool_id) SELECT 'queue' || n, '{\"en\": \"Q\"}', 'pool' FROM generate_series(0, 39) n"
    )
    await conn.execute("INSERT INTO agents (id, name) SELECT n, 'Agent ' || n FROM generate_series(1, 500) n")
    await conn.execute(
        "INSERT INTO figures_progress (closed_until, filled_from, filled_until) VALUES ($1, $2, $1)",
        closed_until,
        EPOCH,
    )


async def _seed(
    conn: Connection, first: int, count: int, since: datetime, gap_s: float, *, with_states: bool = True
) -> None:
    """`since`, one every `gap_s`, as facts that have been there for long. In portions, so that none is a transaction of minutes."""
    await conn.execute("SET statement_timeout = 0")
    await conn.execute("SET session_replication_role = replica")
    for at in range(0, count, 500_000):
        number, start = min(500_000, count - at), since + timedelta(seconds=at * gap_s)
        for statement in CONTACTS:
            await conn.execute(statement, first + at, number, start, gap_s, timeout=900)
    states = min(count, MOST_INTERVALS)
    if with_states and states:
        await conn.execute(STATES, states, since, gap_s * count / (states + 600), timeout=900)
    await conn.execute("SET session_replication_role = origin")
    await conn.execute("VACUUM ANALYZE", timeout=900)


async def _fill(conn: Connection, since: datetime, until: datetime) -> None:
    for statement in FIGURES:
        await conn.execute(statement, since, until, timeout=900)


async def _looks(database: Database, now: datetime, count: int) -> list[float]:
    question: Any = Question(bucket_of(now) - timedelta(hours=TODAY_H), bucket_of(now) + BUCKET, Group.QUEUE)
    metrics, times = metrics_of(None, Group.QUEUE), []
    for _ in range(count):
        began = time.perf_counter()
        async with database.acquire() as conn:
            await read(conn, question, metrics, now=now)
        times.append((time.perf_counter() - began) * 1000)
    return times


if __name__ == "__main__":
    run(main())
