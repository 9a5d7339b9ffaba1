"""Webhook fields as the provider sends them."""

import itertools
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from simulator.provider.leg import Leg
from tests.stack import ACCOUNT, CALLER, SUPPORT

_sids = itertools.count(1)
NUMBER_FIELDS: Final = ("City", "State", "Zip", "Country")


def new_sid(kind: str = "CA") -> str:
    return f"{kind}{next(_sids):032x}"


def standard(
    sid: str, *, from_: str = CALLER, to: str = SUPPORT, status: str = "ringing", **more: str
) -> dict[str, str]:
    """What comes with every request about a call."""
    looked_up = {f"{who}{what}": "" for who in ("From", "To", "Caller", "Called") for what in NUMBER_FIELDS}
    return {
        "AccountSid": ACCOUNT,
        "ApiVersion": "2010-04-01",
        "CallSid": sid,
        "CallStatus": status,
        "Direction": "inbound",
        "From": from_,
        "Caller": from_,
        "To": to,
        "Called": to,
        **looked_up,
        **more,
    }


def of_leg(leg: Leg, status: str | None = None, **more: str) -> dict[str, str]:
    return standard(leg.sid, from_=leg.from_, to=leg.to, status=status or leg.status, **more)


def status_callback(sid: str, status: str = "completed", *, sequence: int = 0, **more: str) -> dict[str, str]:
    return standard(
        sid,
        status=status,
        Timestamp=format_datetime(datetime.now(UTC)),
        SequenceNumber=str(sequence),
        CallbackSource="call-progress-events",
        CallDuration="12",
        Duration="1",
        **more,
    )


def queue_done(sid: str, result: str, *, status: str = "in-progress", waited_s: int = 3, **more: str) -> dict[str, str]:
    more = {"QueueResult": result, "QueueSid": "QU" + "0" * 32, "QueueTime": str(waited_s), **more}
    return standard(sid, status=status, **more)


def conference_event(
    call_id: int,
    event: str,
    *,
    sid: str | None = None,
    label: str = "",
    sequence: int | None = None,
    room: str = "CF" + "0" * 32,
    **more: str,
) -> dict[str, str]:
    """`participant-join`, `participant-leave` with a CallSid; `conference-start`, `conference-end` without."""
    fields = {
        "AccountSid": ACCOUNT,
        "ConferenceSid": room,
        "FriendlyName": f"call_{call_id}",
        "StatusCallbackEvent": event,
        "Timestamp": format_datetime(datetime.now(UTC)),
    }
    if sequence is not None:
        fields["SequenceNumber"] = str(sequence)
    if sid is not None:
        fields |= {"CallSid": sid, "Muted": "false", "Hold": "false", "Coaching": "false"}
    if label:
        fields["ParticipantLabel"] = label
    return fields | more
