"""The dialect of no system in particular: signed requests, read by the mapping of their connection."""

import hmac
import re
from collections.abc import Mapping as Fields
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from zoneinfo import ZoneInfo

from cti.pbx import Cause, Direction, Kind, Report, Unmappable
from cti.pbx_settings import EVERY, IGNORE, FieldIn, Mapping, Step, TimeIn, path_of

SIGNATURE_HEADER: Final = "X-Ringdesk-Signature"
TIMESTAMP_HEADER: Final = "X-Ringdesk-Timestamp"
NONCE_HEADER: Final = "X-Ringdesk-Nonce"
WINDOW_S: Final = 300
_NONCE = re.compile(r"[A-Za-z0-9_-]{8,128}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v1=[0-9a-f]{64}")


def signature(secret: str, *, connection: str, timestamp: str, nonce: str, body: bytes) -> str:
    """HMAC-SHA256 over the lines `v1`, connection, timestamp, nonce and the body as it is on the wire."""
    head = f"v1\n{connection}\n{timestamp}\n{nonce}\n".encode()
    return "v1=" + hmac.new(secret.encode(), head + body, sha256).hexdigest()


def is_signed(
    secrets: Sequence[str],
    *,
    connection: str,
    signatures: Sequence[str],
    timestamps: Sequence[str],
    nonces: Sequence[str],
    body: bytes,
    now: datetime,
) -> bool:
    """Each header exactly once and well formed, the time within the window, and the signature that of one of the secrets.

    Whether the nonce is new is for the database to say."""
    if not (len(signatures) == len(timestamps) == len(nonces) == 1):
        return False
    given, timestamp, nonce = signatures[0], timestamps[0], nonces[0]
    if not (_SIGNATURE.fullmatch(given) and _TIMESTAMP.fullmatch(timestamp) and _NONCE.fullmatch(nonce)):
        return False
    is_right = False
    for secret in secrets:  # all of them, so that the time tells nothing
        expected = signature(secret, connection=connection, timestamp=timestamp, nonce=nonce, body=body)
        is_right |= hmac.compare_digest(expected, given)
    return is_right and abs(now.timestamp() - int(timestamp)) <= WINDOW_S


@dataclass(frozen=True, slots=True)
class _Posted:
    """What was posted: a JSON document, or form fields by name (those that came more than once hold lists)."""

    document: Any
    is_form: bool

    def at(self, path: str) -> list[Any]:
        """Everything at this place; a list at its end counts element by element."""
        found = [self.document]
        for step in (path,) if self.is_form else path_of(path):
            found = [inner for each in found for inner in _step(each, step)]
        return [each for value in found for each in (value if isinstance(value, list) else [value])]


def parse(mapping: Mapping, document: Any) -> Report | None:
    """None for an event that is to be ignored. Raises Unmappable, which names our field and the place where it was looked for."""
    posted = _Posted(document, mapping.body == "form")
    event = _required(posted, "event", mapping.event)
    if event == IGNORE:
        return None
    kind = Kind(_ours(event, "event", mapping.event, tuple(Kind)))
    direction = _text(posted, "direction", mapping.direction)
    if not direction and kind is Kind.NEW_CALL:
        raise Unmappable("direction", "is missing", mapping.direction.path)
    if direction:
        direction = _ours(direction, "direction", mapping.direction, tuple(Direction))
    cause = _text(posted, "cause", mapping.cause) if kind is Kind.HANGUP else ""
    if cause:
        cause = _ours(cause, "cause", mapping.cause, tuple(Cause))
    return Report(
        kind=kind,
        call=_required(posted, "call", mapping.call),
        direction=Direction(direction) if direction else None,
        from_=_text(posted, "from", mapping.from_),
        to=_text(posted, "to", mapping.to),
        users=tuple(_texts(posted, "user", mapping.user)),
        queue=_text(posted, "queue", mapping.queue),
        cause=Cause(cause or Cause.NORMAL_CLEARING) if kind is Kind.HANGUP else None,
        at=_time(posted, mapping.at),
        event_id=_text(posted, "event_id", mapping.event_id),
        previous=_text(posted, "previous_call", mapping.previous_call),
    )


def _ours(word: str, name: str, field: FieldIn | None, ours: Sequence[str]) -> str:
    if word not in ours:
        raise Unmappable(name, f"must be one of {', '.join(ours)}", None if field is None else field.path)
    return word


def _required(posted: _Posted, name: str, field: FieldIn) -> str:
    text = _text(posted, name, field)
    if not text:
        raise Unmappable(name, "is missing", field.path)
    return text


def _text(posted: _Posted, name: str, field: FieldIn | None) -> str:
    return next(iter(_texts(posted, name, field)), "")


def _texts(posted: _Posted, name: str, field: FieldIn | None) -> list[str]:
    """What stands there, in our words. Empty text counts as nothing."""
    if field is None:
        return []
    found = [] if field.path is None else [_plain(value, name, field.path) for value in posted.at(field.path)]
    texts = [_translated(text, name, field) for text in found if text]
    return texts or ([] if field.default is None else [field.default])


def _translated(text: str, name: str, field: FieldIn) -> str:
    if field.values is None:
        return text
    if text in field.values:
        return str(field.values[text])
    if field.default is not None:
        return field.default
    raise Unmappable(name, "has a value that the mapping does not name", field.path)


def _step(value: Any, step: Step) -> list[Any]:
    if step == EVERY:
        return value if isinstance(value, list) else []
    if isinstance(step, int):
        return [value[step]] if isinstance(value, list) and step < len(value) else []
    return [value[step]] if isinstance(value, Fields) and step in value else []


def _plain(value: Any, name: str, path: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value).strip()
    raise Unmappable(name, "is neither text nor a number", path)


def _time(posted: _Posted, field: TimeIn | None) -> datetime | None:
    """None when there is none."""
    if field is None:
        return None
    texts = [text for value in posted.at(field.path) if (text := _plain(value, "at", field.path))]
    if not texts:
        return None
    try:
        return _moment(texts[0], field)
    except (ValueError, OverflowError, OSError):
        raise Unmappable("at", f"is no time as {field.format}", field.path) from None


def _moment(text: str, field: TimeIn) -> datetime:
    if field.format in ("unix", "unix_ms"):
        return datetime.fromtimestamp(float(text) / (1000 if field.format == "unix_ms" else 1), UTC)
    is_iso = field.format == "iso"
    at = datetime.fromisoformat(text) if is_iso else datetime.strptime(text, field.format)  # noqa: DTZ007 - the zone comes next
    return (at if at.tzinfo is not None else at.replace(tzinfo=ZoneInfo(field.zone))).astimezone(UTC)
