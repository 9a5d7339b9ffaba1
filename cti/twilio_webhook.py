"""From an HTTP request to a checked webhook: limits, signature, strict parse. Nothing below sees an unverified byte."""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from multidict import MultiDict

from cti.signature import SETTINGS_HEADER, SIGNATURE_HEADER, TwilioAccount, is_valid
from infra.http import HttpProblem
from infra.telemetry import metrics

log = structlog.get_logger()

MAX_BODY: Final = 64 * 1024
READ_TIMEOUT_S: Final = 5
FORM: Final = "application/x-www-form-urlencoded"
IDEMPOTENCY_HEADER: Final = "I-Twilio-Idempotency-Token"
_CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}")
_ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A verified request. `form` keeps every field as it came, unknown ones too."""

    endpoint: str
    key: str
    account_sid: str
    form: MultiDict[str]
    retry: int

    def get(self, name: str) -> str:
        return self.form.get(name, "")

    @property
    def call_sid(self) -> str:
        return self.get("CallSid")

    def body(self) -> dict[str, str | list[str]]:
        """For the record: single values as text, repeated names as lists. NUL cannot be stored."""
        fields: dict[str, str | list[str]] = {}
        for name in set(self.form.keys()):
            values = [value.replace("\x00", "") for value in self.form.getall(name)]
            fields[name.replace("\x00", "")] = values[0] if len(values) == 1 else values
        return fields


def idempotency_key(endpoint: str, headers_token: str | None, path: str, form: MultiDict[str]) -> str:
    """The provider's token, else a hash of path, query and sorted fields."""
    if headers_token and len(headers_token) <= 128 and headers_token.isprintable():
        return f"{endpoint}:{headers_token}"
    digest = hashlib.sha256(path.encode())
    for name, value in sorted(form.items()):
        digest.update(f"\x00{name}\x01{value}".encode("utf-8", "surrogatepass"))
    return f"{endpoint}#{digest.hexdigest()}"


async def verified(
    request: web.Request, *, accounts: dict[str, TwilioAccount], public_url: str, needs_call: bool = True
) -> Webhook:
    """Read, check, parse. Raises HttpProblem: 413 too large, 408 too slow, 400 not a form, 403 not the provider's."""
    endpoint = request.path
    raw = await _read(request)
    is_form = request.content_type == FORM or (not raw and request.method in ("GET", "POST"))
    form = _form(raw) if is_form and request.method == "POST" else MultiDict()
    fields = form if request.method == "POST" else MultiDict(request.query)
    account_sid = fields.get("AccountSid", "")
    ok = _ACCOUNT_SID.fullmatch(account_sid) is not None and is_valid(
        accounts,
        account_sid=account_sid,
        signatures=request.headers.getall(SIGNATURE_HEADER, []),
        settings=request.headers.get(SETTINGS_HEADER),
        public_url=public_url,
        raw_path=request.raw_path,
        form=form,
        raw_body=raw,
        is_form=is_form,
    )
    if not ok:
        metrics.webhooks.labels(endpoint, "refused").inc()
        log.warning("webhook refused", endpoint=endpoint)  # no token, no body: neither belongs in a log
        raise HttpProblem(403, "The signature does not match.")
    if needs_call and not _CALL_SID.fullmatch(fields.get("CallSid", "")):
        raise HttpProblem(400, "CallSid is missing or malformed.")
    retry_text = request.query.get("r", "0")
    retry = int(retry_text) if retry_text.isdecimal() and len(retry_text) < 5 else 0
    key = idempotency_key(endpoint, request.headers.get(IDEMPOTENCY_HEADER), request.path_qs, fields)
    return Webhook(endpoint, key, account_sid, fields, retry)


async def _read(request: web.Request) -> bytes:
    if (request.content_length or 0) > MAX_BODY:
        raise HttpProblem(413, "A webhook has at most 64 KiB.")
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            raw = bytearray()
            async for chunk in request.content.iter_chunked(16384):
                raw += chunk
                if len(raw) > MAX_BODY:
                    raise HttpProblem(413, "A webhook has at most 64 KiB.")
            return bytes(raw)
    except TimeoutError as error:
        raise HttpProblem(408, "The body came too slowly.") from error


def _form(raw: bytes) -> MultiDict[str]:
    """Blanks and spaces are kept: they are part of what was signed."""
    try:
        text = raw.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=500)
    except (UnicodeDecodeError, ValueError) as error:
        raise HttpProblem(400, "The body is not a form in UTF-8.") from error
    return MultiDict(pairs)


def happened_at(timestamp: str, now: datetime) -> datetime:
    """When a callback's fact happened. The payload has whole seconds, so it only counts when the callback is clearly late.

    A time in the future or older than a day is not believed."""
    try:
        at = parsedate_to_datetime(timestamp)
    except (ValueError, TypeError):
        return now
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    age = now - at
    return at if timedelta(seconds=3) < age < timedelta(days=1) else now
