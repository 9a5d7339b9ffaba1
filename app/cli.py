"""The command `ringdesk`. Each command says what it does; settings come from the environment, flags win."""

import asyncio
import contextlib
import importlib
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from pydantic import ValidationError

from core.errors import RingdeskError

app = App(
    name="ringdesk",
    help="Calls become tickets, agents and screen-pops; nothing answered is lost. Settings: environment variables RINGDESK_…, "
    "see `ringdesk settings`.",
    version=version("ringdesk"),
)
user_app = App(name="user", help="People who log in.")
app.command(user_app)
app.command("app.cli_rules:rules_app", name="rules", help="Which call goes where: read, try out, put in force.")
app.command("app.cli_figures:figures_app", name="figures", help="Figures of the past.")
app.command("app.cli_doctor:doctor", name="doctor")
app.command("app.cli_numbers:block_app", name="block", help="Whose calls are not let in.")
app.command("app.cli_numbers:do_not_call_app", name="do-not-call", help="Whom agents must not call.")
deliveries_app = App(name="deliveries", help="Events that consumers could not finish.")
app.command(deliveries_app)


def out(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def fail(text: str) -> int:
    print(text, file=sys.stderr)  # noqa: T201
    return 1


def load_settings(**flags: Any) -> Any:
    """Settings with the given flags; all faults at once, in plain words."""
    from app.settings import Settings

    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        faults = [
            f"  RINGDESK_{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors(include_url=False)
        ]
        raise SystemExit(fail("These settings cannot be used:\n" + "\n".join(faults))) from None


def run(main: Coroutine[Any, Any, int]) -> int:
    """Its exit code; what a person can mend is told in one sentence."""
    from app.embedded import EmbeddedError

    try:
        try:
            import uvloop

            return uvloop.run(main)
        except ImportError:
            return asyncio.run(main)
    except RingdeskError as error:
        return fail(f"ringdesk: {error.detail}")
    except EmbeddedError as error:
        return fail(f"ringdesk: {error}")
    except KeyboardInterrupt:
        return 130


@app.command
def up(
    *,
    port: int | None = None,
    host: str | None = None,
    data_dir: Path | None = None,
    broker: str | None = None,
    demo: bool | None = None,
    log_level: str | None = None,
) -> int:
    """Everything in one process, with embedded Postgres, Valkey and broker for each address that is not set.

    Parameters
    ----------
    port: Port to listen on; 0 takes a free one.
    host: Address to listen on.
    data_dir: Where the embedded servers keep their data.
    broker: auto (RabbitMQ when rabbitmq-server is installed, else local), local, or rabbitmq.
    demo: Demo data, simulator and background traffic at /demo; --no-demo for an empty installation.
    log_level: DEBUG, INFO, WARNING or ERROR.
    """
    # aiohttp reads the machine's certificates when it is imported: a tenth of a second in which Python can go on.
    threading.Thread(target=importlib.import_module, args=("aiohttp",), daemon=True).start()
    from app import up as module

    if demo is None:
        demo = "RINGDESK_TWILIO_ACCOUNTS" not in os.environ
    if log_level is None and "RINGDESK_LOG_LEVEL" not in os.environ:
        log_level = "WARNING"
    log_json = None if "RINGDESK_LOG_JSON" in os.environ else False
    settings = load_settings(
        port=port, host=host, data_dir=data_dir, broker=broker, demo=demo, log_level=log_level, log_json=log_json
    )
    return run(module.up(settings))


def _addresses(settings: Any) -> tuple[str, str, str]:
    missing = [n for n in ("database_url", "redis_url", "rabbitmq_url") if settings.secret(n) is None]
    if missing:
        names = ", ".join(f"RINGDESK_{name.upper()}" for name in missing)
        raise SystemExit(fail(f"ringdesk: set {names}; only `ringdesk up` starts servers of its own."))
    return settings.secret("database_url"), settings.secret("redis_url"), settings.secret("rabbitmq_url")


@app.command
def web(*, port: int | None = None, host: str | None = None) -> int:
    """One replica of API, webhooks and desks. Needs DATABASE_URL, REDIS_URL, RABBITMQ_URL and PUBLIC_URL."""
    from app import processes
    from infra.telemetry import configure_logging

    settings = load_settings(port=port, host=host)
    addresses = _addresses(settings)
    if settings.public_url is None:
        return fail("ringdesk: set RINGDESK_PUBLIC_URL to the address that browsers and the telephony provider use.")
    configure_logging(level=settings.log_level, json=settings.log_json)
    return run(processes.web(settings, *addresses))


@app.command
def worker(*, roles: str = "") -> int:
    """Background work: dispatcher, consumers, timers, telephony, housekeeping.

    Parameters
    ----------
    roles: Comma-separated choice of these; empty means all.
    """
    from app import processes
    from app.run import WORKER_ROLES
    from infra.telemetry import configure_logging

    wanted = [role.strip() for role in roles.split(",") if role.strip()]
    if unknown := set(wanted) - set(WORKER_ROLES):
        return fail(f"ringdesk: unknown roles {', '.join(sorted(unknown))}; known are {', '.join(WORKER_ROLES)}.")
    settings = load_settings()
    addresses = _addresses(settings)
    if settings.public_url is None:
        return fail("ringdesk: set RINGDESK_PUBLIC_URL to the address that the telephony provider uses.")
    configure_logging(level=settings.log_level, json=settings.log_json)
    return run(processes.worker(settings, *addresses, wanted))


def database_url(data_dir: Path) -> str:
    """The configured database, else the one of the running `ringdesk up` of this data directory."""
    settings = load_settings(data_dir=data_dir)
    url = settings.secret("database_url") or running_of(data_dir).get("database_url")
    if not url:
        raise SystemExit(
            fail(f"ringdesk: set RINGDESK_DATABASE_URL, or start `ringdesk up` with --data-dir {data_dir} first.")
        )
    return str(url)


def running_of(data_dir: Path) -> dict[str, Any]:
    """What `ringdesk up` wrote, if that process still lives."""
    try:
        found: dict[str, Any] = json.loads((data_dir / "run.json").read_text())
        os.kill(found["pid"], 0)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return {}
    return found


DataDir = Annotated[Path, Parameter(help="The data directory of a running `ringdesk up`.")]


@app.command
def migrate(*, data_dir: DataDir = Path(".data")) -> int:
    """Bring the database schema up to date (under a lock; safe to run from several places)."""
    from infra.migrate import migrate as run_migrations

    async def main() -> int:
        applied = await run_migrations(database_url(data_dir))
        out(f"{applied} migrations applied")
        return 0

    return run(main())


@app.command
def apply(file: Path, *, dry_run: bool = False, replace_rules: bool = False, data_dir: DataDir = Path(".data")) -> int:
    """Bring queues, agents, numbers, rules and dispositions in line with a file. Shows the difference first; idempotent.

    Parameters
    ----------
    file: The organisation file, such as demo/org.yaml.
    dry_run: Only show what would change.
    replace_rules: Overwrite rules that were published elsewhere.
    """
    from app.apply import apply as apply_org
    from app.one_off import one_off
    from app.org import read_org

    async def main() -> int:
        org = read_org(file)
        for warning in org.warnings:
            out(f"look at {file}: {warning}")
        async with one_off(database_url(data_dir)) as outbox, outbox.transaction() as tx:
            changes = await apply_org(tx, org, by=who(), replace_rules=replace_rules, dry_run=dry_run)
            for change in changes:
                out(str(change))
        verb = "would change" if dry_run else "changed"
        out(f"{len(changes)} {verb}" if changes else "nothing to change")
        return 0

    return run(main())


def who() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@user_app.command
def add(email: str, name: str, *, role: str = "agent", data_dir: DataDir = Path(".data")) -> int:
    """Add somebody. They can log in once a password is set with `ringdesk user set-password`."""
    from accounts import service as accounts
    from app.one_off import one_off
    from core.principal import Actor, Role

    if role not in list(Role):
        return fail(f"ringdesk: role must be one of {', '.join(Role)}.")

    async def main() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.transaction() as tx:
            user = await accounts.create_user(
                tx, email=email, name=name, role=Role(role), actor=Actor("cli", name=who())
            )
        out(f"user {user.id} added: {user.email}, {user.role.value}")
        return 0

    return run(main())


@user_app.command
def set_password(email: str, *, stdin: bool = False, data_dir: DataDir = Path(".data")) -> int:
    """Set somebody's password. Asks for it, or reads one line from standard input with --stdin; never from the arguments."""
    import getpass

    from accounts import queries, service
    from app.one_off import one_off
    from core.principal import Actor

    password = sys.stdin.readline().rstrip("\n") if stdin else getpass.getpass("New password: ")

    async def main() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.transaction() as tx:
            user = await queries.user_by_email(tx.conn, email=email)
            if user is None:
                return fail(f"ringdesk: there is no user {email}.")
            await service.set_password(tx, user.id, password, actor=Actor("cli", name=who()))
        out(f"password of {email} set; their sessions have ended")
        return 0

    return run(main())


@user_app.command
def disable(email: str, *, data_dir: DataDir = Path(".data")) -> int:
    """Lock somebody out: sessions, tokens and sockets end within seconds."""
    from accounts import queries, service
    from app.one_off import one_off
    from core.principal import Actor

    async def main() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.transaction() as tx:
            user = await queries.user_by_email(tx.conn, email=email)
            if user is None:
                return fail(f"ringdesk: there is no user {email}.")
            await service.disable_user(tx, user.id, actor=Actor("cli", name=who()))
        out(f"{email} is disabled")
        return 0

    return run(main())


@deliveries_app.command
def parked(*, data_dir: DataDir = Path(".data")) -> int:
    """List deliveries that were given up on, each with its reason."""
    from app.one_off import one_off
    from infra import outbox as outbox_module

    async def main() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.database.acquire() as conn:
            rows = await outbox_module.parked(conn)
        for row in rows:
            out(f"{row['event_id']:>10}  {row['consumer']:<28} {row['name'] or '':<24} {row['last_error']}")
        out(f"{len(rows)} parked")
        return 0

    return run(main())


@deliveries_app.command
def replay(*, event_id: int | None = None, consumer: str | None = None, data_dir: DataDir = Path(".data")) -> int:
    """Try parked deliveries again: all, or those of one event or consumer."""
    from accounts.audit import audit
    from app.one_off import one_off
    from core.principal import Actor
    from infra import outbox as outbox_module

    async def main() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.transaction() as tx:
            count = await outbox_module.replay(tx.conn, event_id=event_id, consumer=consumer)
            after = {"event_id": event_id, "consumer": consumer, "count": count}
            await audit(tx, Actor("cli", name=who()), "delivery.replay", "delivery", event_id, after=after)
        out(f"{count} will be tried again")
        return 0

    return run(main())


@contextlib.asynccontextmanager
async def _database(data_dir: Path, *, may_be_in_use: bool) -> AsyncIterator[str]:
    """The configured database, else that of the data directory: of the running `ringdesk up`, or started for this command."""
    from app.embedded import embedded_postgres

    configured = load_settings(data_dir=data_dir).secret("database_url")
    running_now = running_of(data_dir).get("database_url")
    if configured is not None:
        yield configured
    elif running_now is not None:
        if not may_be_in_use:
            raise SystemExit(fail(f"ringdesk: `ringdesk up` is running on {data_dir}: stop it first."))
        yield str(running_now)
    elif may_be_in_use and not (data_dir / "postgres").exists():
        raise SystemExit(fail(f"ringdesk: set RINGDESK_DATABASE_URL; there is no data in {data_dir}."))
    else:
        async with embedded_postgres(data_dir) as server:
            yield server.url


@app.command
def backup(*, to: Path, keep: int | None = None, data_dir: DataDir = Path(".data")) -> int:
    """Write the whole database, while it is in use, to a new folder: a dump and a manifest with row counts and checksums.

    Parameters
    ----------
    to: Where the folder is made, under a name with the time.
    keep: Afterwards erase all but so many of the newest backups there.
    """
    from accounts.audit import audit
    from app.embedded import client_programs
    from app.one_off import one_off
    from core.principal import Actor
    from infra import backup as module

    if keep is not None and keep < 1:
        return fail("ringdesk: --keep must be at least 1.")

    async def main() -> int:
        async with _database(data_dir, may_be_in_use=True) as url:
            made = await module.backup(url, to, ringdesk=version("ringdesk"), programs=client_programs())
            manifest = module.read_manifest(made)
            async with module.connected(url) as conn:
                is_replica = await conn.fetchval("SELECT pg_is_in_recovery()")
            if not is_replica:
                async with one_off(url) as outbox, outbox.transaction() as tx:
                    after = {"folder": made.name, "rows": manifest.rows}
                    await audit(tx, Actor("cli", name=who()), "database.backup", "database", None, after=after)
        out(f"{made}: {len(manifest.tables)} tables, {manifest.rows} rows, {manifest.dump_bytes} bytes")
        for old in module.forget_old(to, keep) if keep is not None else ():
            out(f"{old}: erased")
        return 0

    return run(main())


@app.command
def restore(
    folder: Path, *, replace: bool = False, ticket_leap: int | None = None, data_dir: DataDir = Path(".data")
) -> int:
    """Put a backup into an empty database, compare it with its manifest, bring its schema up to date. Ringdesk must be stopped.

    Parameters
    ----------
    folder: A folder made by `ringdesk backup`.
    replace: Into a database that is not empty: what it holds is gone once the backup has proved right, and stays if it does not.
    ticket_leap: By how much ticket numbers leap, so that those given out since the backup are not used again; 10000.
    """
    from app.after_restore import TICKET_LEAP, settle
    from app.embedded import client_programs
    from app.one_off import one_off
    from infra import backup as module
    from infra.migrate import migrate as run_migrations

    async def main() -> int:
        async with _database(data_dir, may_be_in_use=False) as url:
            manifest = await module.restore(url, folder, replace=replace, programs=client_programs())
            out(
                f"{len(manifest.tables)} tables, {manifest.rows} rows of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC: equal"
            )
            out(f"{await run_migrations(url)} migrations applied")
            async with one_off(url) as outbox:
                leap = TICKET_LEAP if ticket_leap is None else max(0, ticket_leap)
                people = await settle(outbox, manifest, by=who(), ticket_leap=leap)
        out(f"{people} people have to log in again; new ids and ticket numbers start higher")
        out("API tokens and passwords are those of the backup: revoke what was revoked since")
        return 0

    return run(main())


@app.command
def demo_data(*, data_dir: DataDir = Path(".data")) -> int:
    """Fill an empty database with the demo's organisation, customers and people; prints their one, random password, once."""
    import secrets

    from app.demo import seed
    from app.one_off import one_off

    async def main() -> int:
        password = secrets.token_urlsafe(12)
        async with one_off(database_url(data_dir)) as outbox:
            is_new = await seed(outbox, password)
        if is_new:
            out(f"the password of everybody at demo.example, shown only now: {password}")
        else:
            out("there are queues already; nothing done")
        return 0

    return run(main())


@app.command
def simulate(
    *,
    url: str = "http://127.0.0.1:8080",
    calls_per_minute: float = 20,
    agents: int = 5,
    duration: float = 60,
    seed: int = 1,
    simulator: str | None = None,
    password_stdin: bool = False,
) -> int:
    """Scripted callers and agents against a running demo; ends with one JSON line, exit code 1 if anything was lost.

    Parameters
    ----------
    url: Address of the service.
    calls_per_minute: How many calls arrive per minute, at random moments.
    agents: How many scripted agents log in; only people without a live desk are used.
    duration: Seconds during which calls arrive; then the last ones are let run out.
    seed: The same seed gives the same callers.
    simulator: Address of the simulator; by default the one at URL/demo.
    password_stdin: Read the demo's password from standard input, where it is not the documented one.
    """
    from core import demo_account
    from simulator.run import SimulationFailed
    from simulator.run import simulate as run_simulation

    password = sys.stdin.readline().rstrip("\n") if password_stdin else demo_account.PASSWORD

    async def main() -> int:
        report = await run_simulation(
            url, calls_per_minute, agents, duration, seed, simulator,
            log=lambda text: print(text, file=sys.stderr),  # noqa: T201
            password=password,
        )  # fmt: skip
        out(report.as_json_line())
        return 1 if report.lost else 0

    try:
        return run(main())
    except SimulationFailed as error:
        return fail(f"ringdesk: {error}")


@app.command(name="settings")
def show_settings() -> int:
    """Every setting with its environment variable, default and meaning."""
    from app.settings import Settings

    for name, field in Settings.model_fields.items():
        default = "unset" if field.default is None else field.default
        out(f"RINGDESK_{name.upper():<22} {default!s:<12} {field.description or ''}")
    return 0


@app.command
def schema(*, check: bool = False, out_dir: Path = Path()) -> int:
    """Write what is generated from the code: web/openapi.json and docs/reference/.

    Parameters
    ----------
    check: Write nothing; exit code 1 when a file is out of date.
    out_dir: The repository.
    """
    from app import reference

    if check:
        outdated = reference.outdated(out_dir)
        return fail("out of date: " + ", ".join(outdated) + "; run `ringdesk schema`") if outdated else 0
    for path in reference.write(out_dir):
        out(str(path))
    return 0


def main() -> None:
    with contextlib.suppress(BrokenPipeError):
        raise SystemExit(app(result_action="return_value"))
