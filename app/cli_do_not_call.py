"""`ringdesk do-not-call …`: whom agents must not call."""

from datetime import timedelta
from pathlib import Path

from cyclopts import App

from app.cli import DataDir, database_url, out, run, who

do_not_call_app = App(name="do-not-call", help="Whom agents must not call: list, add, remove.")
MOST_LISTED = 1000


@do_not_call_app.command(name="list")
def list_numbers(*, data_dir: DataDir = Path(".data")) -> int:
    """List the numbers, the latest first."""
    from app.one_off import one_off
    from cti import outbound_queries as queries

    async def main() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.database.acquire() as conn:
            rows = await conn.fetch(queries.DO_NOT_CALL_PAGE, None, MOST_LISTED)
        for row in rows:
            until = "" if row["expires_at"] is None else f"  until {row['expires_at']:%Y-%m-%d %H:%M}"
            out(
                f"{row['id']:>6}  {row['number']:<20} {row['added_at']:%Y-%m-%d} {row['added_by']}: {row['reason']}{until}"
            )
        return 0

    return run(main())


@do_not_call_app.command
def add(
    number: str, *, reason: str, region: str | None = None, days: int | None = None, data_dir: DataDir = Path(".data")
) -> int:
    """Put a number on the list.

    Parameters
    ----------
    number: In international form (+14155550123), or with --region.
    reason: Why, for those who read the list.
    region: Two letters (US, DE), for a number that is not written with +.
    days: For so long; without it until somebody removes it.
    """
    from app.one_off import one_off
    from core.principal import Actor
    from cti import do_not_call

    async def main() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.transaction() as tx:
            expires_at = None if days is None else tx.now + timedelta(days=days)
            found = await do_not_call.add(
                tx, number=number, region=region, reason=reason, expires_at=expires_at, actor=Actor("cli", name=who())
            )
        out(f"{found.id}  {found.number} must not be called")
        return 0

    return run(main())


@do_not_call_app.command
def remove(number: str, *, region: str | None = None, data_dir: DataDir = Path(".data")) -> int:
    """Take a number off the list.

    Parameters
    ----------
    number: As it was given, or as `ringdesk do-not-call list` shows it.
    region: Two letters (US, DE), for a number that is not written with +.
    """
    from app.one_off import one_off
    from core.principal import Actor
    from cti import blocked, do_not_call
    from cti import outbound_queries as queries

    async def main() -> int:
        value = blocked.form_of(number, region)
        async with one_off(database_url(data_dir)) as outbox, outbox.transaction() as tx:
            listed_id = await tx.conn.fetchval(queries.DO_NOT_CALL_BY_NUMBER, value)
            if listed_id is None:
                raise do_not_call.NotListed
            await do_not_call.remove(tx, listed_id=listed_id, actor=Actor("cli", name=who()))
        out(f"{value} may be called again")
        return 0

    return run(main())
