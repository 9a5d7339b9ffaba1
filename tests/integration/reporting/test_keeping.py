"""Who keeps the figures: the loop of the worker, and the command that counts again."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from app.figures import keep_figures
from app.settings import Settings
from infra.postgres import open_database
from tests.command import run
from tests.integration.reporting.books import DAY, Books
from tests.integration.routing.floor import Floor


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while True:
            if await condition():  # type: ignore[misc]
                return
            await asyncio.sleep(0.02)


async def test_the_loop_stores_what_is_over_and_comes_back_after_the_database_was_away(
    floor: Floor, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.figures.INTERVAL_S", 0.05)
    await floor.open()
    await floor.hang_up(await floor.ring(waited_s=3600))
    async with open_database(database_url, size=2, application="the loop's own") as database:
        loop = asyncio.create_task(keep_figures(database, Settings()))
        try:
            await until(lambda: floor.fetch("SELECT 1 FROM queue_figures WHERE abandoned = 1"))
            ended = await floor.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'the loop''s own'"
            )
            assert ended
            await floor.hang_up(await floor.ring(waited_s=3600))
            await until(lambda: floor.fetch("SELECT 1 FROM queue_figures WHERE abandoned = 2"))
            assert not loop.done()
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)


async def test_the_command_counts_again_what_is_wrong(
    floor: Floor, books: Books, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGDESK_DATABASE_URL", database_url)
    await floor.open()
    await floor.hang_up(await floor.ring(waited_s=5000))
    await books.keep_up()
    await floor.execute("UPDATE queue_figures SET offered = 7, abandoned = 7")
    await floor.execute("UPDATE answered_waits SET answered = 7")
    today = datetime.now(UTC).date()
    words = ("figures", "recompute", "--from", f"{today - DAY}", "--to", f"{today + DAY}")
    assert await run(*words) == 0
    assert "quarters of an hour counted again" in capsys.readouterr().out
    assert [row["offered"] for row in await floor.fetch("SELECT offered FROM queue_figures")] == [1]
    assert await run(*words) == 0, "again changes nothing"
    assert [row["offered"] for row in await floor.fetch("SELECT offered FROM queue_figures")] == [1]
    rows = await floor.fetch("SELECT after FROM audit_log WHERE action = 'figures.recompute'")
    assert len(rows) == 2
    assert rows[0]["after"]["quarters"] >= 96, "all of yesterday, and what is closed of today"


async def test_the_command_says_what_it_cannot_do(
    floor: Floor, books: Books, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGDESK_DATABASE_URL", database_url)
    await floor.open()
    await books.keep_up(facts_kept=timedelta(days=30))
    today = datetime.now(UTC).date()

    async def refused(since: str, until: str) -> str:
        assert await run("figures", "recompute", "--from", since, "--to", until) == 1
        return capsys.readouterr().err

    assert "--from is no day" in await refused("yesterday", "2026-01-01")
    assert "--to is no day" in await refused("2026-01-01", "2026-01-02T10:00:00")
    assert "--to must be after --from" in await refused("2026-01-02", "2026-01-02")
    assert "Facts are kept since" in await refused(f"{today - 31 * DAY}", f"{today}")
    assert await floor.fetch("SELECT 1 FROM audit_log WHERE action = 'figures.recompute'") == []


async def test_contacts_that_are_gone_are_not_shown_as_none(floor: Floor, books: Books) -> None:
    from core.errors import Invalid
    from reporting.catalogue import Group
    from reporting.figures import Question, stretch_of_queue

    await floor.open()
    await books.keep_up(facts_kept=timedelta(days=30))
    today = books.now.date()
    async with floor.database.acquire() as conn:
        await stretch_of_queue(conn, Question(today - 29 * DAY, today, Group.QUEUE, queue="support"), now=books.now)
        with pytest.raises(Invalid, match="single contacts are kept since"):
            await stretch_of_queue(conn, Question(today - 31 * DAY, today, Group.QUEUE, queue="support"), now=books.now)
