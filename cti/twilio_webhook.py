"""From an HTTP request to a checked webhook: limits, signature, strict parse. Nothing below sees an unverified byte."""

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from multidict import MultiDict, MultiMapping

from core.ids import AgentId, OfferId, agent_of_identity
from cti.signature import SETTINGS_HEADER, SIGNATURE_HEADER, TwilioAccount, is_valid
from infra.http import HttpProblem
from infra.telemetry import metrics

log = structlog.get_logger()

MAX_BODY: Final = 64 * 1024
READ_TIMEOUT_S: Final = 5
FORM: Final = "application/x-www-form-urlencoded"
IDEMPOTENCY_HEADER: Final = "I-Twilio-Idempotency-Token"
_CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}")
_RECORDING_SID = re.compile(r"RE[0-9a-fA-F]{32}")
_ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A verified request. `form` keeps every field as it came, unknown ones too; `query` is what we put into the address."""

    endpoint: str
    key: str
    account_sid: str
    form: MultiDict[str]
    query: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        return self.form.get(name, "")

    @property
    def call_sid(self) -> str:
        return self.get("CallSid")

    @property
    def recording_sid(self) -> str:
        """Blank for what is none."""
        sid = self.get("RecordingSid")
        return sid if _RECORDING_SID.fullmatch(sid) else ""

    @property
    def attestation(self) -> str | None:
        """What carriers say of the caller's number, in the provider's words; None for nothing, which it may write as NULL."""
        words = self.get("StirVerstat")[:100]
        return None if words in ("", "NULL") else words

    @property
    def retry(self) -> int:
        """How often this caller was sent round already (`r` in the address)."""
        return number_of(self.query.get("r", "")) or 0

    @property
    def offer_id(self) -> OfferId | None:
        """The offer whose connection this is about (`o` in the address)."""
        found = number_of(self.query.get("o", ""))
        return None if found is None else OfferId(found)

    @property
    def agent_id(self) -> AgentId | None:
        """The agent whose phone this leg is; None for everybody else's."""
        caller = self.get("From")
        return agent_of_identity(caller) if caller.startswith("client:") else None

    def body(self) -> dict[str, str | list[str]]:
        """For the record: single values as text, repeated names as lists."""
        fields = {name: self.form.getall(name) for name in self.form}
        return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def number_of(text: str) -> int | None:
    """A whole number as we write them into addresses and names; None for anything else."""
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= 18 else None


def idempotency_key(endpoint: str, headers_token: str | None, path: str, form: MultiDict[str]) -> str:
    """The provider's token, else a hash of path, query and sorted fields."""
    if headers_token and len(headers_token) <= 128 and headers_token.isprintable():
        return f"{endpoint}:{headers_token}"
    digest = hashlib.sha256(path.encode("utf-8", "surrogatepass"))
    for name, value in sorted(form.items()):
        digest.update(f"\x00{name}\x01{value}".encode("utf-8", "surrogatepass"))
    return f"{endpoint}#{digest.hexdigest()}"


async def verified(
    request: web.Request, *, accounts: Mapping[str, TwilioAccount], public_url: str, needs_call: bool = True
) -> Webhook:
    """Read, check, parse. Raises HttpProblem: 413 too large, 408 too slow, 400 not a form, 403 not the provider's."""
    endpoint = request.path
    raw = await read_body(request)
    is_form = request.content_type == FORM or (not raw and request.method in ("GET", "POST"))
    form = read_form(raw) if is_form and request.method == "POST" else MultiDict()
    fields = form if request.method == "POST" else MultiDict(request.query)
    account_sid = signed_by(
        request,
        accounts,
        [fields.get("AccountSid", "")],
        public_url=public_url,
        form=form,
        raw_body=raw,
        is_form=is_form,
    )
    if needs_call and not _CALL_SID.fullmatch(fields.get("CallSid", "")):
        raise HttpProblem(400, "CallSid is missing or malformed.")
    key = idempotency_key(endpoint, request.headers.get(IDEMPOTENCY_HEADER), request.path_qs, fields)
    return Webhook(endpoint, key, account_sid, _storable(fields), _storable(request.query))


def signed_by(
    request: web.Request,
    accounts: Mapping[str, TwilioAccount],
    candidates: Sequence[str],
    *,
    public_url: str,
    form: MultiMapping[str],
    raw_body: bytes,
    is_form: bool,
) -> str:
    """The first of these accounts whose signature the request carries. Raises HttpProblem 403: none's."""
    settings = request.headers.getall(SETTINGS_HEADER, [])
    for account_sid in candidates:
        if _ACCOUNT_SID.fullmatch(account_sid) is not None and is_valid(
            accounts,
            account_sid=account_sid,
            signatures=request.headers.getall(SIGNATURE_HEADER, []),
            settings=",".join(settings) if settings else None,
            public_url=public_url,
            raw_path=request.raw_path,
            form=form,
            raw_body=raw_body,
            is_form=is_form,
        ):
            return account_sid
    metrics.webhooks.labels(request.path, "refused").inc()
    log.warning("webhook refused", endpoint=request.path)  # no token, no body: neither belongs in a log
    raise HttpProblem(403, "The signature does not match.")


def _storable(fields: MultiMapping[str]) -> MultiDict[str]:
    """Without what no database takes: NUL and half characters. Only now: the signature counts every byte."""

    def plain(text: str) -> str:
        return text.replace("\x00", "").encode("utf-8", "replace").decode()

    return MultiDict((plain(name), plain(value)) for name, value in fields.items())


async def read_body(request: web.Request) -> bytes:
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
    except web.RequestPayloadError as error:
        raise HttpProblem(400, "The body cannot be decoded.") from error


def read_form(raw: bytes) -> MultiDict[str]:
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
    except (ValueError, TypeError, OverflowError):  # the last for years and zones of a dozen digits
        return now
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    age = now - at
    return at if timedelta(seconds=3) < age < timedelta(days=1) else now
