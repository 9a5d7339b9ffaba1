"""`ringdesk block …` and `ringdesk do-not-call …`: lists of numbers. Each list brings its words; what is done is the same."""

from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from app.cli import DataDir, database_url, out, run, who

if TYPE_CHECKING:
    from cti.number_list import NumberList

MOST_LISTED = 1000
Number = Annotated[
    str, Parameter(help="In international form (+14155550123), with --region in any, or as the list shows it.")
]
Reason = Annotated[str, Parameter(help="Why, for those who read the list.")]
RegionOf = Annotated[str | None, Parameter(help="Two letters (US, DE), for a number that is not written with +.")]
Days = Annotated[int | None, Parameter(help="For so long; without it until somebody removes it.")]


def _commands(name: str, module: str, about: str, *, adds: str, removes: str, added: str, removed: str) -> App:
    """`module` holds the list; the last four say what a command does, and what it has done to a number."""
    commands = App(name=name, help=f"{about}: list, add, remove.")

    def of() -> "NumberList":
        found: NumberList = import_module(module).LIST
        return found

    @commands.command(name="list")
    def list_numbers(*, data_dir: DataDir = Path(".data")) -> int:
        """List the numbers, the latest first."""
        from app.one_off import one_off
        from cti import number_list

        async def main() -> int:
            async with one_off(database_url(data_dir)) as outbox, outbox.database.acquire() as conn:
                rows = await number_list.page(conn, of(), limit=MOST_LISTED)
            for row in rows:
                until = "" if row.expires_at is None else f"  until {row.expires_at:%Y-%m-%d %H:%M}"
                out(f"{row.id:>6}  {row.number:<20} {row.added_at:%Y-%m-%d} {row.added_by}: {row.reason}{until}")
            return 0

        return run(main())

    @commands.command(help=adds)
    def add(
        number: str,
        *,
        reason: str,
        region: str | None = None,
        days: int | None = None,
        data_dir: DataDir = Path(".data"),
    ) -> int:
        from app.one_off import one_off
        from core.principal import Actor
        from cti import number_list

        async def main() -> int:
            async with one_off(database_url(data_dir)) as outbox, outbox.transaction() as tx:
                expires_at = None if days is None else tx.now + timedelta(days=days)
                actor = Actor("cli", name=who())
                found = await number_list.add(
                    tx, of(), number=number, region=region, reason=reason, expires_at=expires_at, actor=actor
                )
            out(f"{found.id}  {found.number} {added}")
            return 0

        return run(main())

    @commands.command(help=removes)
    def remove(number: Number, *, region: RegionOf = None, data_dir: DataDir = Path(".data")) -> int:
        from app.one_off import one_off
        from core.principal import Actor
        from cti import number_list

        async def main() -> int:
            async with one_off(database_url(data_dir)) as outbox, outbox.transaction() as tx:
                actor = Actor("cli", name=who())
                value = await number_list.remove_number(tx, of(), number=number, region=region, actor=actor)
            out(f"{value} {removed}")
            return 0

        return run(main())

    return commands


block_app = _commands(
    "block",
    "cti.blocked",
    "Whose calls are not let in",
    adds="Block a number; its calls hear that we are busy.",
    removes="Let a number's calls in again.",
    added="is blocked",
    removed="is let in again",
)
do_not_call_app = _commands(
    "do-not-call",
    "cti.do_not_call",
    "Whom agents must not call",
    adds="Put a number on the list.",
    removes="Take a number off the list.",
    added="must not be called",
    removed="may be called again",
)
