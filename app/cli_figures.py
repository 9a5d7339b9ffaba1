"""`ringdesk figures …`: the stored figures of the past."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from app.cli import DataDir, database_url, fail, out, run, who

AT_ONCE: Final = timedelta(hours=1)
figures_app = App(name="figures", help="Figures of the past.")


@figures_app.command
def recompute(
    *,
    start: Annotated[str, Parameter(name="--from")],
    end: Annotated[str, Parameter(name="--to")],
    data_dir: DataDir = Path(".data"),
) -> int:
    """Count the closed quarters of a time again from the facts. Changes nothing where the figures were right.

    Parameters
    ----------
    start: First moment, such as 2026-11-28 (a day in UTC) or 2026-11-28T09:15:00Z.
    end: The moment after the last.
    """
    from accounts.audit import audit
    from app.one_off import one_off
    from core.principal import Actor
    from infra.postgres import later
    from reporting import service as figures
    from reporting.model import bucket_of

    since, until = _moment(start), _moment(end)
    if since is None or until is None:
        return fail(f"ringdesk: {'--from' if since is None else '--to'} is no day and no moment with its offset.")
    if until <= since:
        return fail("ringdesk: --to must be after --from.")

    async def main() -> int:
        count, at = 0, bucket_of(since)
        async with one_off(database_url(data_dir)) as outbox:
            while at < until:
                following = min(later(at, AT_ONCE.total_seconds()), until)
                async with outbox.database.acquire() as conn:
                    count += await figures.recompute(conn, start=at, end=following)
                at = following
            async with outbox.transaction() as tx:
                after = {"from": since.isoformat(), "to": until.isoformat(), "quarters": count}
                await audit(tx, Actor("cli", name=who()), "figures.recompute", "figures", None, after=after)
        out(f"{count} quarters of an hour counted again")
        return 0

    return run(main())


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    return moment.replace(tzinfo=UTC) if len(text) == len(date.min.isoformat()) else None
