"""Calls through the real service give the figures one expects, and live, history and a recount are one and the same."""

import asyncio
from datetime import timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from core.errors import Invalid, Unavailable
from infra.postgres import Connection
from reporting.catalogue import Group
from reporting.figures import MOST_UNFILLED, Question, metrics_of, read
from reporting.model import BUCKET, EPOCH, Size, bucket_of, period_of
from reporting.queries import PERIOD
from tests.integration.reporting.books import DAY, Books
from tests.integration.routing.floor import DE_POOL, POOL, Floor


async def a_morning(floor: Floor) -> None:
    """Answered at 15 s and at 25 s, abandoned at 1 s and at 8 s, one who waits; Ben declines once and misses once."""
    await floor.open()
    await floor.arrive("ava")
    for waited_s in (15, 25):
        await floor.serve("ava", waited_s=waited_s)
    await floor.present("ava", "break")
    for waited_s in (1, 8):
        await floor.hang_up(await floor.ring(waited_s=waited_s))
    await floor.arrive("ben")
    await floor.ring(waited_s=30)
    await floor.dispatch()
    await floor.reject("ben")
    await floor.arrive("chen")
    await floor.dispatch()
    await floor.run_out(await floor.offer_of("chen"))
    await floor.present("ben", "break")


async def test_calls_through_the_service_give_the_figures_one_expects(floor: Floor, books: Books) -> None:
    await a_morning(floor)
    for is_stored in (False, True):
        found = await books.figures()
        counts = {
            "offered": 5, "answered": 2, "abandoned": 1, "short_abandoned": 1, "undecided": 1, "overflowed": 0, "service_level": 33.3,
            "service_level_answered": 50.0, "service_level_left": 60.0, "service_level_60": 50.0, "service_level_not_short": 25.0,
            "service_level_offered": 20.0, "abandonment": 33.3, "abandonment_raw": 40.0, "offers_accepted": 2, "offers_missed": 2,
            "offer_answer_rate": 50.0, "handled": 2, "waiting_now": 1, "waiting_beyond_now": 1, "agents_break_now": 2,
            "agents_not_responding_now": 1, "agents_logged_in_now": 3,
        }  # fmt: skip
        assert {key: found[key] for key in counts} == counts
        assert found["asa"] == pytest.approx(20, abs=4)
        assert found["asa_p50"] in range(15, 20)
        assert found["asa_p90"] in range(25, 30)
        assert found["abandon_time"] == pytest.approx(8, abs=4)
        assert found["longest_wait_now"] == pytest.approx(30, abs=10)
        assert found["aht"] is not None
        if not is_stored:
            await books.keep_up()


async def test_of_one_queue_nothing_of_another_is_counted(floor: Floor, books: Books) -> None:
    await a_morning(floor)
    await floor.hang_up(await floor.ring("de", waited_s=7))
    now = books.now
    start, end = bucket_of(now) - DAY, bucket_of(now) + BUCKET
    rows = await books.rows(group=Group.QUEUE, start=start, end=end, now=now)
    assert {key: sums.added["offered"] for (key, _), sums in rows.items()} == {"support": 5, "sales": 0, "de": 1}
    alone = await books.rows(queue="de", start=start, end=end, now=now)
    assert {key: (sums.added["offered"], sums.added["abandoned"]) for key, sums in alone.items()} == {
        (None, None): (1, 1)
    }
    by_agent = await books.rows(group=Group.AGENT, start=start, end=end, now=now)
    ava = by_agent[floor.agent("ava").user_id, None]
    assert (ava.added["segments"], ava.added["offers_accepted"]) == (2, 2)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_live_is_history_is_a_recount(floor: Floor, books: Books, seed: int) -> None:
    """After acts in any order, with quarters closed and filled in between: what is stored, what is read from the facts alone, what is
    filled anew and what is counted again are the same sums, by every grouping and every cut of time."""
    random = Random(seed)
    await floor.open()
    await books.a_past_of("ava", ("offline", 4000), ("available", 1700), ("talking", 900), ("break", 2000))
    await floor.arrive("ava", "ben", "dana")
    calls = {}
    for _ in range(45):
        act = random.choice(
            ["ring", "ring", "answer", "answer", "hang up", "finish", "reject", "break", "back", "past", "keep up"]
        )
        name = random.choice(["ava", "ben", "dana"])
        if act == "ring":
            call = await floor.ring(
                random.choice(["support", "sales", "de"]), waited_s=random.choice([0, 3, 30, 900, 3000])
            )
            calls[call.item_id] = call
        elif act == "answer":
            for pool in (POOL, DE_POOL):
                await floor.dispatch(pool)
                for who, item, _ in await floor.pending(pool):
                    await floor.talk(calls[item], who)
        elif act == "reject":
            await floor.dispatch()
            for who, _, offer in await floor.pending():
                await floor.reject(who, offer)
        elif act == "hang up" and calls:
            await floor.hang_up(calls[random.choice(list(calls))])
        elif act == "finish":
            for row in await floor.fetch("SELECT id FROM offers WHERE state = 'wrapping'"):
                await floor.run_timer("routing.wrap_up", row["id"])
        elif act in ("break", "back"):
            await floor.present(name, "break" if act == "break" else "available")
            await floor.connect(name)
        elif act == "past":
            await books.a_past_of(
                name, (random.choice(["available", "break", "talking", "wrapping"]), random.choice([1, 450, 2000]))
            )
        elif act == "keep up":
            await books.keep_up()
    await books.keep_up()
    now = books.now
    asked = {"start": bucket_of(now) - DAY, "end": bucket_of(now) + 2 * BUCKET, "now": now}
    kept = await books.picture(**asked)
    stored = await floor.fetch("SELECT * FROM queue_figures ORDER BY bucket, queue")
    assert kept
    await books.forget()
    assert await books.picture(**asked) == kept, "from the facts alone"
    await books.keep_up()
    assert await books.picture(**asked) == kept, "filled anew"
    assert await floor.fetch("SELECT * FROM queue_figures ORDER BY bucket, queue") == stored
    assert await books.recompute(asked["start"], asked["end"]) >= 96
    assert await books.picture(**asked) == kept, "counted again"


async def test_live_at_the_close_of_a_quarter_is_the_history_of_that_quarter(floor: Floor, books: Books) -> None:
    await a_morning(floor)
    await books.keep_up()
    bucket = bucket_of(books.now)
    asked = {"start": bucket - BUCKET, "end": bucket + BUCKET, "now": bucket + BUCKET}
    live = await books.picture(**asked)
    await floor.execute(
        "UPDATE figures_progress SET closed_until = $1", bucket + BUCKET
    )  # as at the end of the quarter
    await books.keep_up()
    progress = await books.progress()
    assert progress is not None
    assert progress.filled_until == bucket + BUCKET
    assert await books.picture(**asked) == live


async def test_a_late_end_opens_the_quarter_of_the_entry_again(floor: Floor, books: Books) -> None:
    await floor.open()
    await floor.arrive("ava")
    call, other = await floor.ring(waited_s=3000), await floor.ring(waited_s=3000)
    await books.keep_up()
    assert [row["waiting"] for row in await floor.fetch("SELECT waiting FROM queue_figures")] == [2]
    await floor.hang_up(other)
    await floor.dispatch()
    await floor.talk(call, "ava")
    assert await floor.value("SELECT count(DISTINCT bucket) FROM figures_reopened") == 1
    found = await books.figures()
    assert (found["answered"], found["abandoned"], found["undecided"]) == (1, 1, 0), (
        "at once, not only when it is stored"
    )
    await books.keep_up()
    (row,) = await floor.fetch("SELECT offered, answered, abandoned, waiting FROM queue_figures WHERE offered > 0")
    assert row == {"offered": 2, "answered": 1, "abandoned": 1, "waiting": None}
    assert await floor.value("SELECT count(*) FROM figures_reopened") == 0


async def test_a_late_state_opens_every_quarter_that_it_touches(floor: Floor, books: Books) -> None:
    await floor.open()
    await books.keep_up()
    await books.a_past_of("ava", ("available", 4000))
    before = await books.figures()
    assert before["available_time"] == 4000
    assert await floor.value("SELECT count(DISTINCT bucket) FROM figures_reopened") in (4, 5)
    await books.keep_up()
    assert await floor.value("SELECT sum(available_us) FROM agent_figures") == 4_000_000_000 - await _loose(floor)
    assert (await books.figures())["available_time"] == 4000


async def _loose(floor: Floor) -> int:
    """What of it lies in the quarter that is not over."""
    return int(
        await floor.value(
            "SELECT coalesce(sum(extract(epoch FROM ended_at - greatest(started_at, date_bin('15 minutes', now(), 'epoch'))) * 1000000), 0) "
            "FROM agent_intervals WHERE state = 'available' AND ended_at > date_bin('15 minutes', now(), 'epoch')"
        )
    )


async def test_a_fact_of_a_transaction_that_has_not_seen_the_close_is_not_lost(floor: Floor, books: Books) -> None:
    """It began before the quarter was closed and ends after: filling waits for it."""
    await floor.open()
    bucket = bucket_of(books.now)
    async with floor.database.acquire() as conn, floor.database.acquire() as other:
        late = other.transaction()
        await late.start()
        await other.execute(
            "INSERT INTO stints (work_item_id, call_id, queue, entered_at, left_at, outcome, within_s, target, short_abandon_s, zone) "
            "VALUES (1, 1, 'support', $1, $1, 'abandoned', 20, 0.8, 0, 'UTC')", bucket,
        )  # fmt: skip
        keeping = asyncio.create_task(books.keep_up())
        await _until(conn, "SELECT EXISTS (SELECT 1 FROM figures_progress)")
        await conn.execute("UPDATE figures_progress SET closed_until = $1", bucket + BUCKET)
        assert not keeping.done()
        assert await conn.fetchval("SELECT count(*) FROM queue_figures") == 0
        await late.commit()
        await keeping
    assert await floor.fetch("SELECT bucket, offered, abandoned FROM queue_figures") == [
        {"bucket": bucket, "offered": 1, "abandoned": 1}
    ]


async def _until(conn: Connection, question: str) -> None:
    async with asyncio.timeout(5):
        while True:
            if await conn.fetchval(question):
                return
            await asyncio.sleep(0.01)


async def test_an_interrupted_round_is_carried_on(floor: Floor, books: Books) -> None:
    """The process dies with quarters closed and not filled, and with marks not worked off."""
    await a_morning(floor)
    await books.keep_up()
    whole = await books.picture(start=bucket_of(books.now) - DAY, end=bucket_of(books.now), now=bucket_of(books.now))
    back = bucket_of(books.now) - 4 * BUCKET
    await floor.execute("UPDATE figures_progress SET filled_until = $1, filled_from = $1", back)
    await floor.execute("DELETE FROM queue_figures WHERE bucket >= $1", back)
    await books.keep_up()
    progress = await books.progress()
    assert progress is not None
    assert (progress.filled_from, progress.filled_until) == (EPOCH, progress.closed_until)
    assert (
        await books.picture(start=bucket_of(books.now) - DAY, end=bucket_of(books.now), now=bucket_of(books.now))
        == whole
    )


async def test_two_workers_at_once_do_each_quarter_once(floor: Floor, books: Books) -> None:
    await a_morning(floor)
    await floor.ring(waited_s=3600)
    await asyncio.gather(books.keep_up(), books.keep_up(), books.keep_up())
    await books.recompute(bucket_of(books.now) - DAY, books.now)
    assert (await books.figures())["offered"] == 6


async def test_figures_outlive_their_facts(floor: Floor, books: Books) -> None:
    """Facts that are purged open nothing again, and marks of what may be purged are dropped."""
    await floor.open()
    await floor.hang_up(await floor.ring(waited_s=7200))
    await books.keep_up()
    for table in ("stints", "offers", "work_items", "ticket_calls", "tickets", "calls"):
        await floor.execute(f"DELETE FROM {table}")
    await floor.execute("INSERT INTO figures_reopened (bucket) SELECT bucket FROM queue_figures")
    await books.keep_up(facts_kept=timedelta(hours=1))
    assert await floor.value("SELECT count(*) FROM figures_reopened") == 0
    assert (await books.figures())["abandoned"] == 1


@pytest.mark.parametrize("size", list(Size))
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/Santiago", "Australia/Lord_Howe"])
async def test_stored_sums_are_cut_where_the_others_are(floor: Floor, size: Size, zone: str) -> None:
    """Also where clocks change: Postgres and Python have their own knowledge of zones."""
    year = [EPOCH + timedelta(days=20_454) + n * 7 * BUCKET for n in range(365 * 96 // 7)]
    statement = f"SELECT {PERIOD} AS period FROM unnest($4::timestamptz[]) WITH ORDINALITY AS f (bucket, n) ORDER BY n"
    for number in (1, 2, 3):
        statement += f", ${number}::text"
    found = await floor.fetch(statement, "", "", "", year, size.value, zone)
    assert [row["period"] for row in found] == [period_of(bucket, size, ZoneInfo(zone)) for bucket in year]


async def ask(floor: Floor, question: Question, metrics: str | None = None) -> None:
    async with floor.database.acquire() as conn:
        await read(conn, question, metrics_of(metrics, question.group), now=floor.database.clock.now())


async def test_what_is_not_counted_yet_is_said_and_not_guessed(floor: Floor, books: Books) -> None:
    await floor.open()
    now = bucket_of(books.now)
    await ask(floor, Question(now - MOST_UNFILLED, now))
    with pytest.raises(Unavailable, match="still being counted"):
        await ask(floor, Question(now - MOST_UNFILLED - BUCKET, now))
    await books.keep_up()
    await ask(floor, Question(now - 30 * DAY, now))


async def test_what_is_no_longer_kept_is_said_and_not_shown_as_nothing(floor: Floor, books: Books) -> None:
    await floor.open()
    await books.keep_up(figures_kept=10 * DAY)
    now = bucket_of(books.now)
    await ask(floor, Question(now - 9 * DAY, now))
    with pytest.raises(Invalid, match="at most 100 days"):
        await ask(floor, Question(now - 101 * DAY, now, Group.AGENT))
    with pytest.raises(Invalid, match="figures are kept since"):
        await ask(floor, Question(now - 11 * DAY, now))


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/Los_Angeles", "Asia/Kathmandu"])
async def test_today_is_the_queues_own(floor: Floor, books: Books, zone: str) -> None:
    await floor.open()
    await floor.execute("UPDATE queues SET zone = $1", zone)
    now = books.now
    midnight = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    for offset_s in (-1, 0):
        call = await floor.ring()
        await floor.hang_up(call)
        at = midnight + timedelta(seconds=offset_s)
        await floor.execute("UPDATE stints SET entered_at = $2, left_at = $2 WHERE work_item_id = $1", call.item_id, at)
        await floor.execute("UPDATE work_items SET entered_at = $2, virtual_start = $2 WHERE id = $1", call.item_id, at)
    for _ in range(2):
        async with floor.database.acquire() as conn:
            today = await read(conn, Question(None, None, Group.QUEUE), metrics_of(None, Group.QUEUE), now=now)
            days = await read(
                conn,
                Question(midnight.date() - DAY, midnight.date() + DAY, Group.NONE, Size.DAY),
                metrics_of("offered", Group.NONE),
                now=now,
            )
        assert today.rows["support", None].added["offered"] == 1
        local = midnight.replace(tzinfo=None)
        assert {period: sums.added["offered"] for (_, period), sums in days.rows.items()} == {local: 1, local - DAY: 1}
        await books.keep_up()


async def test_queues_in_several_zones_have_no_common_day(floor: Floor, books: Books) -> None:
    await floor.open()
    await floor.execute("UPDATE queues SET zone = 'Europe/Berlin' WHERE key = 'de'")
    now = books.now
    with pytest.raises(Invalid, match=r"^zone: .*Europe/Berlin, UTC"):
        await ask(floor, Question(None, None))
    await ask(floor, Question(None, None, zone="Europe/Berlin"))
    await ask(floor, Question(None, None, Group.QUEUE, Size.DAY))
    await ask(floor, Question(None, None, queue="de", size=Size.DAY))
    await ask(floor, Question(bucket_of(now) - DAY, bucket_of(now)))
