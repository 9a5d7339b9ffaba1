"""The fields the provider sends about a call: the standard set, and what status callbacks add."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from simulator.provider.leg import Leg

API_VERSION: Final = "2010-04-01"
COUNTRIES: Final = {"1": "US", "44": "GB", "49": "DE", "86": "CN", "81": "JP", "33": "FR"}
EVENT_STATUS: Final = {"initiated": "initiated", "ringing": "ringing", "answered": "in-progress"}


def rfc2822(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC))


def standard(leg: Leg) -> dict[str, str]:
    """The fields of every request about a leg; `CallStatus` as of now."""
    fields = {
        "CallSid": leg.sid,
        "AccountSid": leg.account_sid,
        "ApiVersion": API_VERSION,
        "CallStatus": leg.status,
        "Direction": leg.direction,
        "From": leg.from_,
        "To": leg.to,
        "Caller": leg.from_,
        "Called": leg.to,
    }
    for name, number in (("From", leg.from_), ("To", leg.to), ("Caller", leg.from_), ("Called", leg.to)):
        if number.startswith("+"):
            fields |= {f"{name}City": "", f"{name}State": "", f"{name}Zip": "", f"{name}Country": _country(number)}
    if leg.parent_sid is not None:
        fields["ParentCallSid"] = leg.parent_sid
    if leg.application_sid is not None:
        fields["ApplicationSid"] = leg.application_sid
    return fields | dict(leg.identity)


def status_callback(leg: Leg, event: str, sequence: int, now: datetime) -> dict[str, str]:
    """What a leg event adds to the standard set; the status is that of the event, not of now."""
    fields = standard(leg) | {
        "CallStatus": EVENT_STATUS.get(event, leg.status),
        "Timestamp": rfc2822(now),
        "SequenceNumber": str(sequence),
        "CallbackSource": "call-progress-events",
    }
    if event == "completed":
        fields |= {"CallDuration": str(leg.duration_s), "Duration": str(math.ceil(leg.duration_s / 60))}
        if leg.status == "completed":
            fields["SipResponseCode"] = "200"
    return fields


def queue(position: int, sid: str, waited_s: int, average_s: int, size: int, max_size: int) -> Mapping[str, str]:
    return {
        "QueuePosition": str(position),
        "QueueSid": sid,
        "QueueTime": str(waited_s),
        "AvgQueueTime": str(average_s),
        "CurrentQueueSize": str(size),
        "MaxQueueSize": str(max_size),
    }


def _country(number: str) -> str:
    """By prefix only: all this simulator's world needs."""
    return next((COUNTRIES[number[1 : 1 + n]] for n in (1, 2) if number[1 : 1 + n] in COUNTRIES), "")
