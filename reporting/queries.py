"""SQL of reporting: the facts of a stretch of time, the stored sums, and how far those are. Everything is read along an index by time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from infra.postgres import Connection, record
from reporting.measures import AGENT_MEASURES, PEAK, QUEUE_MEASURES
from reporting.model import Interval, Offer, Offers, Progress, Segment, Segments, Stint, Stints

# --- facts --------------------------------------------------------------------------------------------------------------

STINT_COLUMNS: Final = "id, work_item_id, call_id, queue, entered_at, left_at, outcome, within_s, short_abandon_s"
OFFER_COLUMNS: Final = (
    "id, work_item_id, call_id, queue, agent_id, created_at, state, accepted_at IS NOT NULL AS is_accepted"
)
# Whether it is the first of its contact stays true: an earlier offer cannot be connected later. A wrap-up of no time has no start.
SEGMENT_COLUMNS: Final = """o.id, o.work_item_id, o.call_id, o.queue, o.agent_id, o.connected_at,
       coalesce(o.wrap_started_at, o.ended_at) AS wrap_started_at, o.ended_at, coalesce((
           SELECT false FROM offers e WHERE e.work_item_id = o.work_item_id AND e.id < o.id AND e.connected_at IS NOT NULL LIMIT 1
       ), true) AS is_first, coalesce((
           SELECT sum(round(date_part('epoch', h.ended_at - h.started_at) * 1000000)) FROM segments h
           WHERE h.call_id = o.call_id AND h.offer_id = o.id AND h.kind = 'hold' AND h.ended_at IS NOT NULL
       ), 0)::bigint AS hold_us"""
# Calls that agents make are counted for themselves (see `realtime.http_outbound`).
IS_COMPLETE: Final = "o.state = 'completed' AND o.connected_at IS NOT NULL AND NOT o.is_outbound"
QUARTER: Final = "date_bin('15 minutes', {}, 'epoch'::timestamptz)"
# Of calls: tickets that wait in a queue of their own are no contacts. Those that count alike as one row; waits of more than a whole second and of less than the next are alike.
STINTS_BETWEEN: Final = f"""
SELECT s.queue, s.bucket, s.outcome, s.within_s, s.short_abandon_s, s.us / 1000000 AS whole_s, s.us % 1000000 = 0 AS is_whole,
       count(*) AS count, coalesce(sum(s.us), 0)::bigint AS waited_us, coalesce(max(s.us), 0) AS longest_us
FROM (
    SELECT queue, {QUARTER.format("entered_at")} AS bucket, outcome, within_s, short_abandon_s,
           round(date_part('epoch', left_at - entered_at) * 1000000)::bigint AS us
    FROM stints WHERE queue = ANY($1) AND entered_at >= $2 AND entered_at < $3 AND call_id IS NOT NULL
) s
GROUP BY 1, 2, 3, 4, 5, 6, 7
"""


def _offers_by(key: str) -> str:
    return f"""
SELECT {key}, {QUARTER.format("created_at")} AS bucket, state, accepted_at IS NOT NULL AS is_accepted, count(*) AS count
FROM offers WHERE created_at >= $1 AND created_at < $2 AND NOT is_outbound GROUP BY 1, 2, 3, 4
"""


def _segments_by(key: str) -> str:
    return f"""
SELECT s.{key}, {QUARTER.format("s.ended_at")} AS bucket, count(*) AS count, count(*) FILTER (WHERE s.is_first) AS contacts,
       sum(greatest(0, round(date_part('epoch', s.wrap_started_at - s.connected_at) * 1000000)))::bigint AS talk_us,
       sum(greatest(0, round(date_part('epoch', s.ended_at - s.wrap_started_at) * 1000000)))::bigint AS wrap_us,
       sum(s.hold_us)::bigint AS hold_us
FROM (SELECT {SEGMENT_COLUMNS} FROM offers o WHERE {IS_COMPLETE} AND o.ended_at >= $1 AND o.ended_at < $2) s
GROUP BY 1, 2
"""


OFFERS_BY_QUEUE: Final = _offers_by("queue")
OFFERS_BY_AGENT: Final = _offers_by("agent_id")
SEGMENTS_BY_QUEUE: Final = _segments_by("queue")
SEGMENTS_BY_AGENT: Final = _segments_by("agent_id")
# Of each agent what began last before the stretch, and what began in it. OFFSET keeps it a look-up for each agent: flattened, the planner
# may read all that agents ever did.
INTERVALS_BETWEEN: Final = """
SELECT i.agent_id, i.state, i.started_at, i.ended_at FROM agents a
CROSS JOIN LATERAL (SELECT max(b.started_at) AS at FROM agent_intervals b WHERE b.agent_id = a.id AND b.started_at <= $1) b
CROSS JOIN LATERAL (
    SELECT i.agent_id, i.state, i.started_at, i.ended_at FROM agent_intervals i
    WHERE i.agent_id = a.id AND i.started_at >= coalesce(b.at, $1) AND i.started_at < $2 OFFSET 0
) i
WHERE i.state <> 'offline' AND coalesce(i.ended_at, 'infinity') > greatest(i.started_at, $1)
"""
OPEN_STINTS: Final = (
    f"SELECT {STINT_COLUMNS} FROM stints WHERE left_at IS NULL AND queue = ANY($1) AND call_id IS NOT NULL"
)
OPEN_STATES: Final = (
    "SELECT state, count(*) AS agents FROM agent_intervals WHERE ended_at IS NULL AND state <> 'offline' GROUP BY state"
)
STINTS_PAGE: Final = f"""
SELECT {STINT_COLUMNS} FROM stints
WHERE queue = $1 AND entered_at >= $2 AND entered_at < $3 AND call_id IS NOT NULL AND (entered_at, id) > ($4, $5) ORDER BY entered_at, id LIMIT $6
"""
OFFERS_PAGE: Final = f"""
SELECT {OFFER_COLUMNS} FROM offers
WHERE queue = $1 AND NOT is_outbound AND created_at >= $2 AND created_at < $3 AND (created_at, id) > ($4, $5) ORDER BY created_at, id LIMIT $6
"""
SEGMENTS_PAGE: Final = f"""
SELECT {SEGMENT_COLUMNS} FROM offers o
WHERE {IS_COMPLETE} AND o.queue = $1 AND o.ended_at >= $2 AND o.ended_at < $3 AND (o.ended_at, o.id) > ($4, $5)
ORDER BY o.ended_at, o.id LIMIT $6
"""
OLDEST_FACT: Final = """
SELECT least(
    (SELECT min(s.at) FROM queues q CROSS JOIN LATERAL (SELECT min(entered_at) AS at FROM stints WHERE queue = q.key) s),
    (SELECT min(created_at) FROM offers),
    (SELECT min(i.at) FROM agents a CROSS JOIN LATERAL (SELECT min(started_at) AS at FROM agent_intervals WHERE agent_id = a.id) i))
"""
QUEUES: Final = "SELECT key, name, zone, is_active FROM queues ORDER BY position, key"
TICKETS_OF_CALLS: Final = """
SELECT c.call_id, t.id, t.number FROM ticket_calls c JOIN tickets t ON t.id = c.ticket_id WHERE c.call_id = ANY($1)
"""
NAMES_OF_AGENTS: Final = "SELECT id, name FROM agents WHERE id = ANY($1)"

# --- stored sums --------------------------------------------------------------------------------------------------------

# $5 how the time is cut, $6 in which zone: the wall clock at which the period begins, as `model.period_of` says.
PERIOD: Final = """CASE $5::text WHEN '15m' THEN f.bucket AT TIME ZONE 'UTC'
            WHEN '30m' THEN date_bin('30 minutes', f.bucket AT TIME ZONE 'UTC', timestamp '1970-01-01')
            WHEN 'day' THEN date_trunc('day', f.bucket AT TIME ZONE $6::text)
            WHEN 'month' THEN date_trunc('month', f.bucket AT TIME ZONE $6::text) END"""


def _sums_of(table: str, key: str, measures: Sequence[str]) -> str:
    """Buckets in [$1, $2) except $3, of the keys $4 (NULL: all)."""
    added = ", ".join(f"sum(f.{name})::bigint AS {name}" for name in measures)
    return f"""
SELECT f.{key} AS key, {PERIOD} AS period, {added}{f", max(f.{PEAK}) AS {PEAK}" if table == "queue_figures" else ""}
FROM {table} f WHERE f.bucket >= $1 AND f.bucket < $2 AND f.bucket <> ALL($3) AND ($4::{"text" if key == "queue" else "bigint"}[] IS NULL OR f.{key} = ANY($4))
GROUP BY 1, 2
"""


def _store(table: str, columns: Sequence[str]) -> str:
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_populate_recordset(NULL::{table}, $1)"


QUEUE_SUMS: Final = _sums_of("queue_figures", "queue", QUEUE_MEASURES)
AGENT_SUMS: Final = _sums_of("agent_figures", "agent_id", AGENT_MEASURES)
WAITS: Final = f"""
SELECT f.queue AS key, {PERIOD} AS period, f.wait_s, sum(f.answered)::bigint AS answered
FROM answered_waits f WHERE f.bucket >= $1 AND f.bucket < $2 AND f.bucket <> ALL($3) AND ($4::text[] IS NULL OR f.queue = ANY($4))
GROUP BY 1, 2, 3
"""
STORE_QUEUES: Final = _store("queue_figures", ("bucket", "queue", *QUEUE_MEASURES, PEAK))
STORE_WAITS: Final = _store("answered_waits", ("bucket", "queue", "wait_s", "answered"))
STORE_AGENTS: Final = _store("agent_figures", ("bucket", "agent_id", *AGENT_MEASURES))
FORGET_QUEUES: Final = "DELETE FROM queue_figures WHERE bucket = $1"
FORGET_WAITS: Final = "DELETE FROM answered_waits WHERE bucket = $1"
FORGET_AGENTS: Final = "DELETE FROM agent_figures WHERE bucket = $1"

# --- how far they are -----------------------------------------------------------------------------------------------------

PROGRESS: Final = "SELECT closed_until, filled_from, filled_until, kept_from, facts_from FROM figures_progress"
CLOSE: Final = """
INSERT INTO figures_progress (closed_until, filled_from, filled_until) SELECT b, b, b FROM date_bin('15 minutes', clock_timestamp(), 'epoch'::timestamptz) b
WHERE NOT EXISTS (SELECT 1 FROM figures_progress WHERE closed_until >= b)
ON CONFLICT (is_only) DO UPDATE SET closed_until = excluded.closed_until WHERE figures_progress.closed_until < excluded.closed_until
"""
LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('figures', 0))"
FILLED_UNTIL: Final = "UPDATE figures_progress SET filled_until = $1"
FILLED_FROM: Final = "UPDATE figures_progress SET filled_from = $1"
KEPT_FROM: Final = """
UPDATE figures_progress SET kept_from = $1, facts_from = $2 WHERE (kept_from, facts_from) IS DISTINCT FROM ($1, $2)
"""
# Numbers of transactions as text: the driver has no type for them.
NEXT_TRANSACTION: Final = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
ARE_OVER: Final = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8"
REOPENED_BETWEEN: Final = (
    "SELECT DISTINCT bucket FROM figures_reopened WHERE bucket >= $1 AND bucket < $2 ORDER BY bucket"
)
REOPENED: Final = "SELECT DISTINCT bucket FROM figures_reopened ORDER BY bucket DESC LIMIT $1"
TAKE_REOPENED: Final = "DELETE FROM figures_reopened WHERE bucket = $1"


async def progress(conn: Connection) -> Progress | None:
    """None before the first quarter was closed."""
    row = await conn.fetchrow(PROGRESS)
    return None if row is None else Progress(**record(row))


async def stints_between(conn: Connection, *, queues: Sequence[str], start: datetime, end: datetime) -> list[Stints]:
    return [_stints_of(row) for row in await conn.fetch(STINTS_BETWEEN, queues, start, end)]


def _stints_of(row: Any) -> Stints:
    wait = None
    if row["whole_s"] is not None:
        wait = timedelta(seconds=row["whole_s"] if row["is_whole"] else row["whole_s"] + 0.5)
    return Stints(
        row["queue"], row["bucket"], row["outcome"], row["within_s"], row["short_abandon_s"], wait, row["count"], row["waited_us"], row["longest_us"]
    )  # fmt: skip


async def offers_by_queue(conn: Connection, *, start: datetime, end: datetime) -> list[Offers]:
    return [Offers(r["queue"], 0, *list(r.values())[1:]) for r in await conn.fetch(OFFERS_BY_QUEUE, start, end)]


async def offers_by_agent(conn: Connection, *, start: datetime, end: datetime) -> list[Offers]:
    return [Offers("", *r.values()) for r in await conn.fetch(OFFERS_BY_AGENT, start, end)]


async def segments_by_queue(conn: Connection, *, start: datetime, end: datetime) -> list[Segments]:
    return [Segments(r["queue"], 0, *list(r.values())[1:]) for r in await conn.fetch(SEGMENTS_BY_QUEUE, start, end)]


async def segments_by_agent(conn: Connection, *, start: datetime, end: datetime) -> list[Segments]:
    return [Segments("", *r.values()) for r in await conn.fetch(SEGMENTS_BY_AGENT, start, end)]


async def intervals_between(conn: Connection, *, start: datetime, end: datetime) -> list[Interval]:
    return [Interval(*row.values()) for row in await conn.fetch(INTERVALS_BETWEEN, start, end)]


async def open_stints(conn: Connection, *, queues: Sequence[str]) -> list[Stint]:
    return [stint_of(row) for row in await conn.fetch(OPEN_STINTS, queues)]


def stint_of(row: Any) -> Stint:
    return Stint(**record(row))


def offer_of(row: Any) -> Offer:
    return Offer(**record(row))


def segment_of(row: Any) -> Segment:
    return Segment(**record(row))
