"""`ringdesk block …`: whose calls are not let in."""

from datetime import timedelta
from pathlib import Path

from cyclopts import App

from app.cli import DataDir, database_url, out, run, who

block_app = App(name="block", help="Whose calls are not let in: list, add, remove.")
MOST_LISTED = 1000


@block_app.command(name="list")
def list_blocked(*, data_dir: DataDir = Path(".data")) -> int:
    """List the numbers, the latest first."""
    from app.one_off import one_off
    from cti import queries

    async def main() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.database.acquire() as conn:
            rows = await conn.fetch(queries.BLOCKED, None, MOST_LISTED)
        for row in rows:
            until = "" if row["expires_at"] is None else f"  until {row['expires_at']:%Y-%m-%d %H:%M}"
            out(
                f"{row['id']:>6}  {row['number']:<20} {row['added_at']:%Y-%m-%d} {row['added_by']}: {row['reason']}{until}"
            )
        return 0

    return run(main())


@block_app.command
def add(
    number: str, *, reason: str, region: str | None = None, days: int | None = None, data_dir: DataDir = Path(".data")
) -> int:
    """Block a number; its calls hear that we are busy.

    Parameters
    ----------
    number: In international form (+14155550123), or with --region.
    reason: Why, for those who read the list.
    region: Two letters (US, DE), for a number that is not written with +.
    days: For so long; without it until somebody removes it.
    """
    from app.one_off import one_off
    from core.principal import Actor
    from cti import blocked

    async def main() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.transaction() as tx:
            expires_at = None if days is None else tx.now + timedelta(days=days)
            found = await blocked.add(
                tx, number=number, region=region, reason=reason, expires_at=expires_at, actor=Actor("cli", name=who())
            )
        out(f"{found.id}  {found.number} is blocked")
        return 0

    return run(main())


@block_app.command
def remove(number: str, *, region: str | None = None, data_dir: DataDir = Path(".data")) -> int:
    """Let a number's calls in again.

    Parameters
    ----------
    number: As it was given, or as `ringdesk block list` shows it.
    region: Two letters (US, DE), for a number that is not written with +.
    """
    from app.one_off import one_off
    from core.principal import Actor
    from cti import blocked, queries

    async def main() -> int:
        value = blocked.form_of(number, region)
        async with one_off(database_url(data_dir)) as outbox, outbox.transaction() as tx:
            blocked_id = await tx.conn.fetchval(queries.BLOCKED_BY_NUMBER, value)
            if blocked_id is None:
                raise blocked.NotBlocked
            await blocked.remove(tx, blocked_id=blocked_id, actor=Actor("cli", name=who()))
        out(f"{value} is let in again")
        return 0

    return run(main())
