"""The provider's REST resources and errors as JSON."""

from datetime import datetime
from typing import Any, Final

from aiohttp import web

from simulator.config import Line, Target
from simulator.provider import fields
from simulator.provider.conference import Conference, Invitation, Seat
from simulator.provider.fields import API_VERSION
from simulator.provider.leg import Leg
from simulator.provider.numbers import App, OwnedNumber
from simulator.provider.recording import AnyRecording

ERRORS: Final = "https://www.twilio.com/docs/errors/"


class RestFailed(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def response(self) -> web.Response:
        body = {
            "code": self.code,
            "message": self.message,
            "more_info": f"{ERRORS}{self.code}",
            "status": self.status,
        }
        headers = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if self.status == 401 else None
        return web.json_response(body, status=self.status, headers=headers)


def not_found(path: str) -> RestFailed:
    return RestFailed(404, 20404, f"The requested resource {path} was not found")


def account_path(account_sid: str) -> str:
    return f"/{API_VERSION}/Accounts/{account_sid}"


def call(leg: Leg) -> dict[str, Any]:
    path = f"{account_path(leg.account_sid)}/Calls/{leg.sid}"
    return {
        "sid": leg.sid,
        "account_sid": leg.account_sid,
        "parent_call_sid": leg.parent_sid,
        "date_created": _date(leg.created_at),
        "date_updated": _date(leg.updated_at or leg.created_at),
        "from": leg.from_,
        "from_formatted": leg.from_,
        "to": leg.to,
        "to_formatted": leg.to,
        "phone_number_sid": leg.phone_number_sid,
        "status": "queued" if leg.status == "initiated" else leg.status,
        "start_time": _date(leg.started_at),
        "end_time": _date(leg.ended_at),
        "duration": str(leg.duration_s) if leg.is_over else None,
        "price": None,
        "price_unit": "USD",
        "direction": leg.direction,
        "answered_by": None,
        "annotation": None,
        "api_version": API_VERSION,
        "forwarded_from": leg.identity.get("ForwardedFrom"),
        "group_sid": None,
        "caller_name": leg.identity.get("CallerName"),
        "queue_time": str(leg.queue_time_ms),
        "trunk_sid": None,
        "stir_verstat": leg.identity.get("StirVerstat"),
        "uri": f"{path}.json",
        "subresource_uris": {"recordings": f"{path}/Recordings.json", "events": f"{path}/Events.json"},
    }


def conference(room: Conference) -> dict[str, Any]:
    path = f"{account_path(room.account_sid)}/Conferences/{room.sid}"
    return {
        "sid": room.sid,
        "account_sid": room.account_sid,
        "friendly_name": room.name,
        "status": room.status,
        "region": "us1",
        "date_created": _date(room.created_at),
        "date_updated": _date(room.updated_at or room.created_at),
        "api_version": API_VERSION,
        "reason_conference_ended": room.ended_because,
        "call_sid_ending_conference": room.ended_by,
        "uri": f"{path}.json",
        "subresource_uris": {"participants": f"{path}/Participants.json"},
    }


def participant(room: Conference, member: Seat | Invitation) -> dict[str, Any]:
    seat = member if isinstance(member, Seat) else None
    at = _date(seat.joined_at if seat is not None else member.leg.created_at)
    return {
        "account_sid": room.account_sid,
        "conference_sid": room.sid,
        "call_sid": member.leg.sid,
        "label": member.label,
        "call_sid_to_coach": seat.coach_sid if seat is not None else None,
        "coaching": seat.is_coaching if seat is not None else False,
        "muted": seat.is_muted if seat is not None else False,
        "hold": seat.is_held if seat is not None else False,
        "start_conference_on_enter": seat.starts_conference if seat is not None else True,
        "end_conference_on_exit": seat.ends_conference if seat is not None else False,
        "status": "connected" if seat is not None else _before_joining(member.leg),
        "queue_time": str(member.leg.queue_time_ms),
        "date_created": at,
        "date_updated": at,
        "uri": f"{account_path(room.account_sid)}/Conferences/{room.sid}/Participants/{member.leg.sid}.json",
    }


def recording(made: AnyRecording) -> dict[str, Any]:
    path = f"{account_path(made.account_sid)}/Recordings/{made.sid}"
    return {
        "sid": made.sid,
        "account_sid": made.account_sid,
        "call_sid": made.call_sid,
        "conference_sid": None,
        "status": made.status,
        "duration": str(made.seconds),
        "channels": 1,
        "source": made.source,
        "track": "inbound",
        "error_code": None,
        "price": None,
        "price_unit": "USD",
        "start_time": _date(made.created_at),
        "date_created": _date(made.created_at),
        "date_updated": _date(made.created_at),
        "encryption_details": None,
        "api_version": API_VERSION,
        "media_url": path,
        "uri": f"{path}.json",
        "subresource_uris": {},
    }


_NO_MESSAGES: Final = {
    "sms_url": "",
    "sms_method": "POST",
    "sms_fallback_url": "",
    "sms_fallback_method": "POST",
}
"""Of texts this provider knows nothing."""


def account(sid: str) -> dict[str, Any]:
    return {
        "sid": sid,
        "owner_account_sid": sid,
        "friendly_name": "Ringdesk simulator",
        "status": "active",
        "type": "Full",
        "date_created": None,
        "date_updated": None,
        "uri": f"{account_path(sid)}.json",
        "subresource_uris": {},
    }


def number(owned: OwnedNumber, account_sid: str) -> dict[str, Any]:
    return {
        "sid": owned.sid,
        "account_sid": account_sid,
        "friendly_name": owned.number,
        "phone_number": owned.number,
        "capabilities": {"voice": owned.receives_voice, "sms": False, "mms": False, "fax": False},
        "voice_receive_mode": "voice",
        "address_sid": None,
        "address_requirements": "none",
        "identity_sid": None,
        "bundle_sid": None,
        "sms_application_sid": "",
        "emergency_status": "Inactive",
        "emergency_address_sid": None,
        "emergency_address_status": "unregistered",
        "type": None,
        **_NO_MESSAGES,
        "voice_application_sid": owned.application_sid or None,
        "voice_caller_id_lookup": False,
        "trunk_sid": owned.trunk_sid or None,
        "status": "in-use",
        "origin": "twilio",
        "beta": False,
        "date_created": _date(owned.created_at),
        "date_updated": _date(owned.updated_at),
        "api_version": API_VERSION,
        "uri": f"{account_path(account_sid)}/IncomingPhoneNumbers/{owned.sid}.json",
        **_addresses(owned.line),
    }


def app(made: App, account_sid: str) -> dict[str, Any]:
    return {
        "sid": made.sid,
        "account_sid": account_sid,
        "friendly_name": made.name,
        "message_status_callback": "",
        "sms_status_callback": "",
        "public_application_connect_enabled": False,
        **_NO_MESSAGES,
        "voice_caller_id_lookup": False,
        "date_created": _date(made.created_at),
        "date_updated": _date(made.updated_at),
        "api_version": API_VERSION,
        "uri": f"{account_path(account_sid)}/Applications/{made.sid}.json",
        **_addresses(made.line),
    }


def _addresses(line: Line) -> dict[str, str]:
    targets = {"voice": line.voice, "voice_fallback": line.fallback}
    found = {f"{name}_url": target.url if target is not None else "" for name, target in targets.items()}
    found |= {f"{name}_method": target.method if target is not None else "POST" for name, target in targets.items()}
    callback = line.status_callback or Target("")
    return found | {"status_callback": callback.url, "status_callback_method": callback.method}


def _before_joining(leg: Leg) -> str:
    return leg.status if leg.status in {"queued", "ringing"} else "connecting"


def _date(at: datetime | None) -> str | None:
    return fields.rfc2822(at) if at is not None else None
