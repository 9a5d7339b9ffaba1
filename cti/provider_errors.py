"""What the provider's own console complains of (`/twilio/events`): kept once by its event id, counted and logged, without anybody in it.

Two spellings of the same thing: the console's error webhook (a form with `Sid`, `Level` and `Payload`) and its event stream (a list of
JSON events, signed over their hash). What is kept are ids, level and code; the request that failed, with the caller's number in it, stays there.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiohttp import web
from multidict import MultiDict, MultiMapping

from cti import queries as sql
from cti.signature import TwilioAccount
from cti.twilio_webhook import FORM, read_body, read_form, signed_by
from infra.http import HttpProblem
from infra.outbox import Tx
from infra.telemetry import metrics

log = structlog.get_logger()

ENDPOINT: Final = "/twilio/events"
MOST: Final = 100
LEVELS: Final = {"ERROR": "error", "WARNING": "warning", "WARN": "warning"}
KNOWN_CODES: Final = frozenset({
    10004, 11100, 11200, 11205, 11206, 11210, 11215, 11220, 11235, 11237, 11750, 11770, 12100, 12200, 12300, 12400,
    13214, 13223, 13224, 13225, 13227, 13310, 13410, 13520, 13617, 16011, 16020, 16021, 16025, 20003, 20101, 20104,
    20429, 21211, 21218, 21220, 22005, 31000, 31002, 31003, 31005, 31009, 31204, 31205, 32201, 32203, 34001,
})  # fmt: skip
"""Those worth a series of their own; all others count as `other` and stand in the log."""
_SID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CALL = re.compile(r"(?:CA|CF|RE)[0-9a-fA-F]{32}")


@dataclass(frozen=True, slots=True)
class Complaint:
    """`sid`: the event's id at the provider. `about`: the call, conference or recording, if it is one."""

    sid: str
    level: str
    code: str
    about: str | None = None

    @property
    def label(self) -> str:
        return self.code if self.code and int(self.code) in KNOWN_CODES else "other"


@dataclass(frozen=True, slots=True)
class Notice:
    account_sid: str
    complaints: tuple[Complaint, ...]


async def read(request: web.Request, *, accounts: Mapping[str, TwilioAccount], public_url: str) -> Notice:
    """Raises HttpProblem: 403 not the provider's, 400 neither of the two spellings."""
    raw = await read_body(request)
    is_form = request.content_type == FORM or not raw
    form = read_form(raw) if is_form else MultiDict[str]()
    fields = form if request.method == "POST" else request.query
    # The stream does not say outside its events whose it is; the errors of an account may be signed by its parent.
    candidates = [fields.get("AccountSid", ""), fields.get("ParentAccountSid", "")] if is_form else list(accounts)
    account_sid = signed_by(
        request, accounts, candidates, public_url=public_url, form=form, raw_body=raw, is_form=is_form
    )
    return Notice(account_sid, (of_form(fields),) if is_form else of_stream(raw))


async def keep(tx: Tx, notice: Notice) -> list[Complaint]:
    """Returns those that are new."""
    return [each for each in notice.complaints if await _is_new(tx, notice.account_sid, each)]


async def _is_new(tx: Tx, account_sid: str, each: Complaint) -> bool:
    key, about = f"{ENDPOINT}:{each.sid}", each.about
    call_sid = about if about is not None and about.startswith("CA") else None
    body = {"sid": each.sid, "level": each.level, "code": each.code, "about": about}
    return await tx.conn.fetchval(sql.CLAIM_EVENT, key, account_sid, ENDPOINT, call_sid, body, None) is not None


def tell(each: Complaint) -> None:
    """To those who run it."""
    metrics.provider_errors.labels(each.level, each.label).inc()
    say = log.error if each.level == "error" else log.warning
    say("provider complains", provider_code=each.code, event_sid=each.sid, about=each.about)


def of_form(form: MultiMapping[str]) -> Complaint:
    payload = _object(form.get("Payload", ""))
    return _complaint(
        form.get("Sid"),
        form.get("Level"),
        payload.get("error_code", form.get("ErrorCode")),
        payload.get("resource_sid"),
    )


def of_stream(raw: bytes) -> tuple[Complaint, ...]:
    """Events of other kinds are acknowledged: somebody may have subscribed to more."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise HttpProblem(400, "The body is neither a form nor JSON.") from error
    events = found if isinstance(found, list) else [found]
    if len(events) > MOST or not all(isinstance(each, dict) for each in events):
        raise HttpProblem(400, f"The body must be at most {MOST} events.")
    complaints = []
    for each in events:
        data = each.get("data")
        if isinstance(data, dict) and str(each.get("type", "")).startswith("com.twilio.error-logs."):
            about = data.get("correlation_sid") or data.get("resource_sid")
            complaints.append(_complaint(each.get("id"), data.get("level"), data.get("error_code"), about))
    return tuple(complaints)


def _complaint(sid: Any, level: Any, code: Any, about: Any) -> Complaint:
    if not isinstance(sid, str) or not _SID.fullmatch(sid):
        raise HttpProblem(400, "The event's id (Sid) is missing or malformed.")
    digits = str(code)
    return Complaint(
        sid,
        LEVELS.get(str(level).upper(), "error"),
        digits if digits.isascii() and digits.isdecimal() and len(digits) <= 6 else "",
        about if isinstance(about, str) and _CALL.fullmatch(about) else None,
    )


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
