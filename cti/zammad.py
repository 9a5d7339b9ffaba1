"""The dialect of Zammad's generic CTI interface: three events, as form or JSON, and what may be answered.

As the original, but tolerant where that raises: events may come twice, late or in any order, events we do not know are acknowledged,
and a later event need not repeat the direction.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from cti.pbx import Cause, Direction, Kind, Report, Unmappable

KINDS: Final = {"newCall": Kind.NEW_CALL, "answer": Kind.ANSWER, "hangup": Kind.HANGUP}
LISTS: Final = ("user[]", "user")


def parse(fields: Mapping[str, Any]) -> Report | None:
    """`origCallId` is sipgate's, who speak the same words. None for an event that says nothing to us (`dtmf`). Raises Unmappable. Fields that came more than once hold lists."""
    event = _text(fields, "event")
    if not event:
        raise Unmappable("event", "is missing")
    kind = KINDS.get(event)
    if kind is None:
        return None
    direction = _direction(fields, kind)
    users = _users(fields)
    if kind is Kind.ANSWER:  # who it is stands in either; the number that answered is the surer sign
        users = (_text(fields, "answeringNumber"), *users)
    return Report(
        kind=kind,
        call=_named(fields, "callId", "call"),
        direction=direction,
        from_=_text(fields, "from"),
        to=_text(fields, "to"),
        users=tuple(user for user in users if user),
        queue=_text(fields, "queue"),
        cause=_cause(fields) if kind is Kind.HANGUP else None,
        previous=_named(fields, "origCallId", "previous_call"),
    )


def reject() -> dict[str, str]:
    return {"action": "reject", "reason": "busy"}


def dial(caller_id: str, number: str) -> dict[str, str]:
    """The documentation writes it both ways."""
    return {"action": "dial", "caller_id": caller_id, "callerId": caller_id, "number": number}


def _direction(fields: Mapping[str, Any], kind: Kind) -> Direction | None:
    text = _text(fields, "direction")
    if not text and kind is not Kind.NEW_CALL:
        return None
    if text not in ("in", "out"):
        raise Unmappable("direction", "must be in or out")
    return Direction(text)


def _cause(fields: Mapping[str, Any]) -> Cause:
    text = _text(fields, "cause")
    try:
        return Cause(text) if text else Cause.NORMAL_CLEARING
    except ValueError:  # a word of its own: the end is what counts
        return Cause.NORMAL_CLEARING


def _users(fields: Mapping[str, Any]) -> tuple[str, ...]:
    value = next((fields[name] for name in LISTS if name in fields), None)
    values = value if isinstance(value, list) else [value]
    return tuple(text for each in values if (text := _plain(each, "user")))


def _named(fields: Mapping[str, Any], name: str, ours: str) -> str:
    value = fields.get(name)
    return _plain(value[0] if isinstance(value, list) and value else value, ours)


def _text(fields: Mapping[str, Any], name: str) -> str:
    return _named(fields, name, name)


def _plain(value: Any, field: str) -> str:
    """Text or a number; nothing for null."""
    if value is None:
        return ""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value).strip()
    raise Unmappable(field, "is neither text nor a number")


def text_of(answer: Mapping[str, str]) -> str:
    """For the record."""
    return json.dumps(answer)


def answer_of(text: str | None) -> dict[str, str]:
    """From the record."""
    return {} if text is None else json.loads(text)
