"""Keeps the stored sums true: closes quarters that are over, fills them, and counts again those whose facts have changed since.

What is tracked: `closed_until` and the stretch [filled_from, filled_until) that is stored, in one row. A bucket is closed first: from then
on whoever changes a fact in it leaves a mark (migration 0021). It is filled only when every transaction that may not have seen it closed
is over, so a fact is either in the sums or marked; nobody waits for that but this loop. A mark goes away in the transaction that counts
again. Both are repeatable, and a crash in between costs a repetition. History is filled backwards, the newest first.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from core.errors import Conflict
from infra.postgres import Connection, Database
from reporting import queries as sql
from reporting.measures import PEAK, agent_cells, queue_cells
from reporting.model import BUCKET, EPOCH, Progress, Sums, bucket_of

MOST_BACK: Final = 96
"""Quarters of history filled in one round."""
MOST_AGAIN: Final = 200
PATIENCE: Final = 200
LOOK_EVERY_S: Final = 0.05


async def keep_up(database: Database, *, facts_kept: timedelta, figures_kept: timedelta | None = None) -> bool:
    """One round. True when there is more to do at once.

    `facts_kept`: older facts may be gone, so their figures stay as they are. `figures_kept`: older figures may be gone, None if none are."""
    facts_from = _age(database, facts_kept)
    async with database.acquire() as conn:
        await conn.execute(sql.CLOSE)
        await conn.execute(sql.KEPT_FROM, None if figures_kept is None else _age(database, figures_kept), facts_from)
        progress = await _progress(conn)
        has_news = progress.filled_until < progress.closed_until
        if (has_news or progress.filled_from > EPOCH) and not await _others_are_over(conn):
            return False
        while await _fill_forward(conn):
            pass
        # Each once: while calls of the last quarter end, it is marked all the time, and reads take it from the facts meanwhile.
        reopened = [row["bucket"] for row in await conn.fetch(sql.REOPENED, MOST_AGAIN)]
        for bucket in reopened:
            await _count_again(conn, bucket, facts_from=facts_from)
        return await _fill_back(conn, oldest=facts_from) or len(reopened) == MOST_AGAIN


def _age(database: Database, kept: timedelta) -> datetime:
    """The first quarter that is younger than that as a whole."""
    return bucket_of(database.clock.now() - kept) + BUCKET


async def recompute(conn: Connection, *, start: datetime, end: datetime) -> int:
    """Count the closed quarters in [start, end) again. Returns how many; those that are not filled yet are left to the loop.

    Raises Conflict when facts of that time may be gone: their figures cannot be counted again."""
    progress = await sql.progress(conn)
    if progress is None:
        return 0
    bucket, count = bucket_of(start), 0
    if progress.facts_from is not None and bucket < progress.facts_from:
        raise Conflict(
            f"Facts are kept since {progress.facts_from:%Y-%m-%dT%H:%MZ}; figures before that stay as they are."
        )
    while bucket < min(end, progress.filled_until):
        await _count_again(conn, bucket, facts_from=EPOCH)
        bucket, count = bucket + BUCKET, count + 1
    return count


async def _others_are_over(conn: Connection) -> bool:
    """Wait until every transaction that had a number by now has ended. False when one takes too long."""
    number = await conn.fetchval(sql.NEXT_TRANSACTION)
    for _ in range(PATIENCE):
        if await conn.fetchval(sql.ARE_OVER, number):
            return True
        await asyncio.sleep(LOOK_EVERY_S)
    return False


async def _fill_forward(conn: Connection) -> bool:
    """The next closed quarter. False when there is none."""
    async with conn.transaction():
        await conn.execute(sql.LOCK)
        progress = await _progress(conn)  # somebody else may have been here meanwhile
        bucket = progress.filled_until
        if bucket >= progress.closed_until:
            return False
        await _store(conn, bucket)
        await conn.execute(sql.FILLED_UNTIL, bucket + BUCKET)
        return True


async def _fill_back(conn: Connection, *, oldest: datetime) -> bool:
    """Quarters of history. True when there are more."""
    if (await _progress(conn)).filled_from == EPOCH:
        return False
    first = await conn.fetchval(sql.OLDEST_FACT)
    for _ in range(MOST_BACK):
        async with conn.transaction():
            await conn.execute(sql.LOCK)
            filled_from = (await _progress(conn)).filled_from
            if first is None or filled_from <= max(bucket_of(first), oldest):
                await conn.execute(sql.FILLED_FROM, EPOCH)
                return False
            await _store(conn, filled_from - BUCKET)
            await conn.execute(sql.FILLED_FROM, filled_from - BUCKET)
    return True


async def _count_again(conn: Connection, bucket: datetime, *, facts_from: datetime) -> None:
    async with conn.transaction():
        await conn.execute(sql.LOCK)
        await conn.execute(
            sql.TAKE_REOPENED, bucket
        )  # before the facts are read: what comes after it leaves its own mark
        if bucket >= facts_from:
            await _store(conn, bucket)


async def _store(conn: Connection, bucket: datetime) -> None:
    """The sums of one quarter, from its facts, in the place of those that were."""
    end = bucket + BUCKET
    queues = [row["key"] for row in await conn.fetch(sql.QUEUES)]
    stints = await sql.stints_between(conn, queues=queues, start=bucket, end=end)
    offers = await sql.offers_by_queue(conn, start=bucket, end=end)
    segments = await sql.segments_by_queue(conn, start=bucket, end=end)
    of_agents = await sql.offers_by_agent(conn, start=bucket, end=end)
    talks = await sql.segments_by_agent(conn, start=bucket, end=end)
    intervals = await sql.intervals_between(conn, start=bucket, end=end)
    by_queue = {key: sums for (_, key), sums in queue_cells(stints, offers, segments).items()}
    cells = agent_cells(of_agents, talks, intervals, start=bucket, end=end, now=end)
    at = bucket.isoformat()
    for statement in (sql.FORGET_QUEUES, sql.FORGET_WAITS, sql.FORGET_AGENTS):
        await conn.execute(statement, bucket)
    await conn.execute(sql.STORE_QUEUES, [{"bucket": at, "queue": key, **_row(sums)} for key, sums in by_queue.items()])
    await conn.execute(
        sql.STORE_WAITS,
        [
            {"bucket": at, "queue": key, "wait_s": wait_s, "answered": count}
            for key, sums in by_queue.items()
            for wait_s, count in sums.waits.items()
        ],
    )
    await conn.execute(
        sql.STORE_AGENTS, [{"bucket": at, "agent_id": key, **_row(sums)} for (_, key), sums in cells.items()]
    )


async def _progress(conn: Connection) -> Progress:
    """Written by the first round, and never taken away."""
    progress = await sql.progress(conn)
    assert progress is not None
    return progress


def _row(sums: Sums) -> Mapping[str, Any]:
    return {**sums.added, **({PEAK: sums.peaks[PEAK]} if PEAK in sums.peaks else {})}
