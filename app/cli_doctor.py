"""`ringdesk doctor`: what is set, what is found, what runs, and whether Twilio is set up for us."""

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from app.cli import DataDir, fail, load_settings, out, run, running_of, who
from core.errors import Unavailable

if TYPE_CHECKING:
    from cti.twilio_setup import Change, Finding

RIGHT, WRONG, NOT_ASKED = 0, 1, 2
LABELS: Final = {"ok": "ok", "look": "note", "wrong": "WRONG", "changed": "changed"}


def doctor(
    *,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    twilio: bool = False,
    fix: bool = False,
    number: Annotated[list[str] | None, Parameter(negative=())] = None,
    data_dir: DataDir = Path(".data"),
) -> int:
    """What is set, what is found, what runs; changes nothing without --fix.

    With --twilio: exit code 0 when calls will come in, 1 when something has to be changed, 2 when the provider could not be asked.

    Parameters
    ----------
    as_json: One JSON object: database_url, redis_url, broker, version, …
    twilio: Ask Twilio too: credentials, the addresses of our numbers and of the TwiML App.
    fix: With --twilio: set the addresses at Twilio that are wrong, and print what was changed.
    number: With --twilio: look at this number instead of those of the organisation; may be repeated.
    """
    if not twilio and (fix or number):
        return fail("ringdesk: --fix and --number belong to --twilio.")
    settings = load_settings(data_dir=data_dir)
    running = running_of(data_dir)
    found = _found(settings, running)
    if not twilio:
        _show(found, as_json=as_json)
        return RIGHT
    return run(_twilio(settings, running, found, as_json=as_json, fix=fix, numbers=number))


def _found(settings: Any, running: dict[str, Any]) -> dict[str, Any]:
    from app.embedded import find_rabbitmq

    rabbit = find_rabbitmq()
    return {
        "version": version("ringdesk"),
        "running": running.get("public_url"),
        "database_url": settings.secret("database_url") or running.get("database_url"),
        "redis_url": settings.secret("redis_url") or running.get("redis_url"),
        "rabbitmq_url": settings.secret("rabbitmq_url") or running.get("rabbitmq_url"),
        "broker": running.get("broker")
        or ("rabbitmq" if settings.rabbitmq_url or (rabbit and settings.broker != "local") else "local"),
        "rabbitmq_server": None if rabbit is None else str(rabbit),
        "accounts": len(settings.accounts()),
    }


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        out(json.dumps(found))
        return
    for name, value in found.items():
        shown = value if value is not None else "embedded" if name.endswith("_url") else "none"
        out(f"{name:<16} {_masked(str(shown))}")


def _masked(text: str) -> str:
    """An address without its password."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", text)


async def _twilio(
    settings: Any,
    running: dict[str, Any],
    found: dict[str, Any],
    *,
    as_json: bool,
    fix: bool,
    numbers: list[str] | None,
) -> int:
    from cti import twilio_setup as setup
    from cti.twilio_setup import Finding

    public_url = settings.public_url or running.get("public_url")
    api_base = settings.twilio_api_base
    findings: list[Finding] = []
    if settings.twilio_accounts is None and api_base is None:
        if running.get("public_url") is None:
            return fail("ringdesk: set RINGDESK_TWILIO_ACCOUNTS to the account that is to be looked at.")
        api_base = f"{running['public_url']}/demo/twilio"
        findings.append(
            Finding("look", "account", "RINGDESK_TWILIO_ACCOUNTS is not set: this is the demo's simulator.")
        )
    fault = setup.fault_of_public_url(public_url, api_base)
    if fault is None and public_url is not None:
        unreached = await setup.reaches_us(public_url, version("ringdesk"))
        fault = (
            None
            if unreached is None
            else f"({public_url}) {unreached}: is the tunnel or proxy up, and Ringdesk behind it?"
        )
    findings.append(
        Finding("ok", "RINGDESK_PUBLIC_URL", f"{public_url} leads to Ringdesk.")
        if fault is None
        else Finding("wrong", "RINGDESK_PUBLIC_URL", fault)
    )
    code = NOT_ASKED
    if setup.fault_of_public_url(public_url, api_base) is None and public_url is not None:
        try:
            findings += await _ask(settings, found["database_url"], public_url, api_base, fix=fix, numbers=numbers)
            code = WRONG if any(each.kind == "wrong" for each in findings) else RIGHT
        except Unavailable as error:
            findings.append(Finding("wrong", "Twilio", f"{error.detail} Nothing more could be looked at."))
    else:
        code = WRONG
    _tell(findings, found, as_json=as_json, fix=fix)
    return code


async def _ask(
    settings: Any, url: str | None, public_url: str, api_base: str | None, *, fix: bool, numbers: list[str] | None
) -> "list[Finding]":
    from accounts.audit import audit
    from app.one_off import one_off
    from core.principal import Actor
    from cti import queries
    from cti.signature import with_credentials
    from cti.twilio_setup import Setup

    public_url = with_credentials(public_url, settings.basic_auth())
    if url is None:
        if fix or not numbers:
            why = (
                "who changes something is written down there"
                if fix
                else "our numbers are there; or name one with --number"
            )
            raise SystemExit(fail(f"ringdesk: set RINGDESK_DATABASE_URL: {why}."))
        return await Setup(settings.accounts(), public_url=public_url, api_base=api_base).examine(numbers)
    async with one_off(url) as outbox:

        async def record(change: "Change") -> None:
            async with outbox.transaction() as tx:
                await audit(
                    tx, Actor("cli", name=who()), "telephony.set_up", change.object, change.sid,
                    before=dict(change.before), after=dict(change.after),
                )  # fmt: skip

        if not numbers:
            async with outbox.database.acquire() as conn:
                numbers = sorted(await queries.lines(conn))
        setup = Setup(settings.accounts(), public_url=public_url, api_base=api_base, fix=fix, record=record)
        return await setup.examine(numbers)


def _tell(findings: "list[Finding]", found: dict[str, Any], *, as_json: bool, fix: bool) -> None:
    if as_json:
        rows = [{"kind": each.kind, "about": each.about, "text": each.text} for each in findings]
        out(json.dumps(found | {"twilio": rows}, ensure_ascii=False))
        return
    for each in findings:
        out(f"{LABELS[each.kind]:<8} {each.about}: {each.text}")
    wrong = sum(each.kind == "wrong" for each in findings)
    if not wrong:
        out("Everything is as it must be: call the number.")
    elif not fix and any(each.kind == "wrong" and "it must" in each.text for each in findings):
        out(f"{wrong} to change; `ringdesk doctor --twilio --fix` sets the addresses.")
    else:
        out(f"{wrong} to change.")
