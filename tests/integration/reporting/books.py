"""The figures of a floor: kept up, read in every way, and counted anew from nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reporting import figures, service
from reporting.catalogue import Group, value_of
from reporting.figures import Place, Question
from reporting.model import BUCKET, Progress, Size, Sums, bucket_of
from reporting.queries import progress
from tests.integration.routing.floor import Floor

DAY: Final = timedelta(days=1)
KEPT: Final = timedelta(days=800)
Picture = dict[tuple[str, str, Place], Any]


@dataclass
class Books:
    floor: Floor

    @property
    def now(self) -> datetime:
        return self.floor.database.clock.now()

    async def keep_up(self, *, facts_kept: timedelta = KEPT, figures_kept: timedelta | None = None) -> None:
        while await service.keep_up(self.floor.database, facts_kept=facts_kept, figures_kept=figures_kept):
            pass

    async def progress(self) -> Progress | None:
        async with self.floor.database.acquire() as conn:
            return await progress(conn)

    async def rows(
        self,
        metrics: str | None = None,
        *,
        group: Group = Group.NONE,
        size: Size = Size.NONE,
        start: datetime | None = None,
        end: datetime | None = None,
        now: datetime | None = None,
        queue: str | None = None,
    ) -> Mapping[Place, Sums]:
        now = now or self.now
        question = Question(start or now.astimezone(UTC).replace(microsecond=0), end, group, size, queue)
        async with self.floor.database.acquire() as conn:
            found = figures.metrics_of(metrics, group, of_queue=queue is not None)
            return (await figures.read(conn, question, found, now=now)).rows

    async def figures(self, **asked: Any) -> dict[str, float | None]:
        """Of the last day, everything together."""
        now = asked.pop("now", None) or self.now
        rows = await self.rows(start=bucket_of(now) - DAY, end=bucket_of(now) + BUCKET, now=now, **asked)
        total = figures.total_of(rows.values())
        return {
            metric.key: value_of(metric, total, is_now=True).value
            for metric in figures.metrics_of(None, asked.get("group", Group.NONE))
        }

    async def picture(self, *, start: datetime, end: datetime, now: datetime) -> Picture:
        """The sums by every grouping and cut, as of one moment."""
        found: Picture = {}
        for group in Group:
            for size in Size:
                rows = await self.rows(group=group, size=size, start=start, end=end, now=now)
                for place, sums in rows.items():
                    plain = (dict(+sums.added), dict(sums.peaks), dict(+sums.waits))
                    if any(plain):
                        found[group.value, size.value, place] = plain
        return found

    async def forget(self) -> None:
        """As if no figure had ever been stored: what is read then comes from the facts alone."""
        for table in ("queue_figures", "answered_waits", "agent_figures", "figures_progress", "figures_reopened"):
            await self.floor.execute(f"DELETE FROM {table}")

    async def recompute(self, start: datetime, end: datetime) -> int:
        async with self.floor.database.acquire() as conn:
            return await service.recompute(conn, start=start, end=end)

    async def a_past_of(self, name: str, *states: tuple[str, float]) -> None:
        """What somebody did, for so many seconds each, before the first that is known of them."""
        ident = self.floor.agent(name).user_id
        at: datetime = await self.floor.value("SELECT min(started_at) FROM agent_intervals WHERE agent_id = $1", ident)
        for state, seconds in reversed(states):
            since = at - timedelta(seconds=seconds)
            await self.floor.execute(
                "INSERT INTO agent_intervals (agent_id, state, started_at, ended_at) VALUES ($1, $2, $3, $4)",
                ident,
                state,
                since,
                at,
            )
            at = since
