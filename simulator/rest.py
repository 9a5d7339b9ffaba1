"""The provider's REST API: calls, conferences, participants.

Basic auth with the auth token or an API key; form-encoded writes; `.json` paths; pages; errors as the provider words
them. Unknown SIDs are 404, an ended call cannot be changed (21220).
"""

import base64
import binascii
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiMapping

from simulator import rest_shapes as shapes
from simulator.conference import Conference, Invitation, Seat
from simulator.config import Target
from simulator.exchange import Exchange
from simulator.flow import DocumentRequest, Inline, Program
from simulator.keys import EXCHANGE
from simulator.leg import Leg, StatusCallback
from simulator.rest_shapes import RestFailed
from simulator.twiml import Document, Verb

MAX_INLINE_TWIML = 4000
MAX_PAGE = 1000
CALL_NOT_IN_PROGRESS = 21220

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def rest_app() -> web.Application:
    app = web.Application(middlewares=[_edge])
    account = f"{shapes.account_path('{account}')}"
    room = account + "/Conferences/{room}"
    member = room + "/Participants/{member}.json"
    app.add_routes(
        [
            web.post(account + "/Calls.json", create_call),
            web.get(account + "/Calls.json", list_calls),
            web.get(account + "/Calls/{call}.json", get_call),
            web.post(account + "/Calls/{call}.json", update_call),
            web.delete(account + "/Calls/{call}.json", delete_call),
            web.get(account + "/Conferences.json", list_conferences),
            web.get(room + ".json", get_conference),
            web.post(room + ".json", update_conference),
            web.get(room + "/Participants.json", list_participants),
            web.post(room + "/Participants.json", create_participant),
            web.get(member, get_participant),
            web.post(member, update_participant),
            web.delete(member, delete_participant),
            web.route("*", "/{unknown:.*}", _unknown),
        ]
    )
    return app


@web.middleware
async def _edge(request: web.Request, handler: Handler) -> web.StreamResponse:
    exchange = request.config_dict[EXCHANGE]
    sent = {name: form_value(value) for name, value in (await request.post()).items()}
    entry = exchange.journal.add(
        "rest", method=request.method, path=request.path_qs, fields=sent, sid=request.match_info.get("call")
    )
    try:
        with exchange.clock.working():
            _authenticate(request, exchange)
            response = await handler(request)
    except RestFailed as failed:
        entry["error"] = failed.message
        response = failed.response()
    except web.HTTPMethodNotAllowed:
        response = RestFailed(405, 20004, "Method not allowed").response()
    entry["status"] = response.status
    return response


def _authenticate(request: web.Request, exchange: Exchange) -> None:
    config = exchange.config
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        user = password = ""
    known = {config.account_sid: config.auth_token, config.api_key_sid: config.api_key_secret}
    right = known.get(user, "")
    if scheme.lower() != "basic" or not right or not secrets.compare_digest(right.encode(), password.encode()):
        raise RestFailed(401, 20003, "Authenticate")
    account = request.match_info.get("account")
    if account is not None and account != config.account_sid:
        raise shapes.not_found(request.path)


async def _unknown(request: web.Request) -> web.StreamResponse:
    raise shapes.not_found(request.path)


# Calls


async def create_call(request: web.Request) -> web.Response:
    exchange, form = request.config_dict[EXCHANGE], await _form(request)
    to, from_ = form.get("To", ""), form.get("From", "")
    if not to:
        raise RestFailed(400, 21201, "No 'To' number is specified")
    if not from_:
        raise RestFailed(400, 21213, "No 'From' number is specified")
    if not _is_dialable(to):
        raise RestFailed(400, 21211, f"The phone number you are attempting to call, {to}, is not valid.")
    fallback: Target | None
    callback: StatusCallback | None
    if form.get("ApplicationSid"):
        if form["ApplicationSid"] != exchange.config.app_sid:
            raise RestFailed(400, 21218, "Invalid ApplicationSid")
        line = exchange.config.app_line
        program: Program = DocumentRequest(line.voice)
        fallback = line.fallback
        callback = StatusCallback(line.status_callback) if line.status_callback is not None else None
    else:
        program = _required_program(form)
        fallback = _target(form, "FallbackUrl", "FallbackMethod")
        callback = _callback(form, "StatusCallback", "completed")
    leg = exchange.call_out(
        from_, to, program, fallback=fallback, callback=callback, timeout_s=_whole(form, "Timeout", 60, 600)
    )
    return web.json_response(shapes.call(leg), status=201)


async def list_calls(request: web.Request) -> web.Response:
    exchange, query = request.config_dict[EXCHANGE], request.query
    started = _time_filter(query, "StartTime")
    ended = _time_filter(query, "EndTime")

    def wanted(leg: Leg) -> bool:
        return (
            ("Status" not in query or shapes.call(leg)["status"] == query["Status"])
            and ("From" not in query or leg.from_ == query["From"])
            and ("To" not in query or leg.to == query["To"])
            and ("ParentCallSid" not in query or leg.parent_sid == query["ParentCallSid"])
            and started(leg.started_at)
            and ended(leg.ended_at)
        )

    legs = [leg for leg in reversed(exchange.legs.values()) if wanted(leg)]
    return _page(request, "calls", legs, lambda leg: leg.sid, shapes.call)


async def get_call(request: web.Request) -> web.Response:
    return web.json_response(shapes.call(_leg(request)))


async def update_call(request: web.Request) -> web.Response:
    leg, form = _leg(request), await _form(request)
    status = form.get("Status")
    if status not in {None, "completed", "canceled"}:
        raise RestFailed(400, 20001, f"Invalid Status {status}")
    if leg.is_over:
        raise RestFailed(400, CALL_NOT_IN_PROGRESS, "Call is not in-progress. Cannot redirect.")
    program = _program(form)
    if program is not None and leg.status != "in-progress":
        raise RestFailed(400, CALL_NOT_IN_PROGRESS, "Call is not in-progress. Cannot redirect.")
    if (fallback := _target(form, "FallbackUrl", "FallbackMethod")) is not None:
        leg.fallback = fallback
    if (callback := _callback(form, "StatusCallback", "completed")) is not None:
        leg.callback = callback
    if status == "completed":
        leg.hang_up("completed" if leg.is_answered else "canceled")
    elif status == "canceled" and not leg.is_answered:
        leg.hang_up("canceled")
    elif program is not None:
        leg.redirect(program)
    return web.json_response(shapes.call(leg))


async def delete_call(request: web.Request) -> web.Response:
    leg = _leg(request)
    if not leg.is_over:
        raise RestFailed(409, 20009, "Cannot delete a call that is not over")
    del request.config_dict[EXCHANGE].legs[leg.sid]
    return web.Response(status=204)


# Conferences and participants


async def list_conferences(request: web.Request) -> web.Response:
    exchange, query = request.config_dict[EXCHANGE], request.query
    created = _time_filter(query, "DateCreated")
    rooms = [
        room
        for room in reversed(exchange.conferences.values())
        if ("FriendlyName" not in query or room.name == query["FriendlyName"])
        and ("Status" not in query or room.status == query["Status"])
        and created(room.created_at)
    ]
    return _page(request, "conferences", rooms, lambda room: room.sid, shapes.conference)


async def get_conference(request: web.Request) -> web.Response:
    return web.json_response(shapes.conference(_room(request)))


async def update_conference(request: web.Request) -> web.Response:
    room, form = _room(request), await _form(request)
    if room.is_over:
        raise shapes.not_found(request.path)
    if (announcement := _target(form, "AnnounceUrl", "AnnounceMethod")) is not None:
        request.config_dict[EXCHANGE].announce(room, announcement, None)
    if form.get("Status") == "completed":
        room.end()
    return web.json_response(shapes.conference(room))


async def list_participants(request: web.Request) -> web.Response:
    room, query = _room(request), request.query

    def wanted(seat: Seat) -> bool:
        flags = {"Muted": seat.is_muted, "Hold": seat.is_held, "Coaching": seat.is_coaching}
        return all(_flag(query, name, has) == has for name, has in flags.items())

    seats = [seat for seat in room.seats.values() if wanted(seat)]  # empty after the end, as at the provider
    return _page(request, "participants", seats, lambda seat: seat.leg.sid, lambda seat: shapes.participant(room, seat))


async def create_participant(request: web.Request) -> web.Response:
    exchange, form = request.config_dict[EXCHANGE], await _form(request)
    name = request.match_info["room"]
    room = exchange.conferences.get(name) if name.startswith("CF") else exchange.conference(name)
    if room is None or room.is_over:
        raise shapes.not_found(request.path)
    to, from_ = form.get("To", ""), form.get("From", "")
    if not from_:
        raise RestFailed(400, 21213, "No 'From' number is specified")
    if not _is_dialable(to):
        raise RestFailed(400, 21211, f"The phone number you are attempting to call, {to}, is not valid.")
    label = form.get("Label")
    leg = exchange.call_out(
        from_,
        to,
        _seat_document(room, form),
        callback=_callback(form, "StatusCallback", "completed"),
        timeout_s=_whole(form, "Timeout", 60, 600),
        invited_to=room,
    )
    room.invite(leg, label)
    return web.json_response(shapes.participant(room, room.invited[leg.sid]), status=201)


async def get_participant(request: web.Request) -> web.Response:
    room = _room(request)
    return web.json_response(shapes.participant(room, _member(request, room)))


async def update_participant(request: web.Request) -> web.Response:
    room, form = _room(request), await _form(request)
    seat = _member(request, room)
    if isinstance(seat, Invitation):
        raise RestFailed(400, 20001, "The participant has not joined yet")
    if "Muted" in form:
        room.set_muted(seat, _flag(form, "Muted", seat.is_muted))
    if "Hold" in form or "HoldUrl" in form:
        held = _flag(form, "Hold", seat.is_held)
        room.set_held(seat, held, _target(form, "HoldUrl", "HoldMethod") or seat.hold)
    if form.keys() & {"Coaching", "CallSidToCoach", "EndConferenceOnExit"}:
        room.modify(
            seat,
            coach_sid=form.get("CallSidToCoach", seat.coach_sid),
            is_coaching=_flag(form, "Coaching", seat.is_coaching),
            ends_conference=_flag(form, "EndConferenceOnExit", seat.ends_conference),
        )
    if (announcement := _target(form, "AnnounceUrl", "AnnounceMethod")) is not None:
        request.config_dict[EXCHANGE].announce(room, announcement, seat)
    return web.json_response(shapes.participant(room, seat))


async def delete_participant(request: web.Request) -> web.Response:
    room = _room(request)
    member = _member(request, room)
    if isinstance(member, Invitation):
        member.leg.hang_up("canceled")
    else:
        room.leave(member, "participant_updated_via_api", is_kicked=True)
    return web.Response(status=204)


# Reading requests


def form_value(value: object) -> str:
    return value if isinstance(value, str) else "(file)"


class _Form(dict[str, str]):
    """Fields of a write; `lists` keeps the repeated ones."""

    lists: dict[str, list[str]]


async def _form(request: web.Request) -> _Form:
    posted = await request.post()
    form = _Form({name: form_value(value) for name, value in posted.items()})
    form.lists = {name: [form_value(v) for v in posted.getall(name)] for name in posted}
    return form


def _leg(request: web.Request) -> Leg:
    leg = request.config_dict[EXCHANGE].legs.get(request.match_info["call"])
    if leg is None:
        raise shapes.not_found(request.path)
    return leg


def _room(request: web.Request) -> Conference:
    room = request.config_dict[EXCHANGE].conferences.get(request.match_info["room"])
    if room is None:
        raise shapes.not_found(request.path)
    return room


def _member(request: web.Request, room: Conference) -> Seat | Invitation:
    wanted = request.match_info["member"]
    seat = room.seat(wanted)
    if seat is not None:
        return seat
    for invitation in room.invited.values():
        if wanted in {invitation.leg.sid, invitation.label}:
            return invitation
    raise shapes.not_found(request.path)


def _target(form: Mapping[str, str], name: str, method: str) -> Target | None:
    url = form.get(name)
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        raise RestFailed(400, 21205, f"{name} is not a valid URL: {url}")
    return Target(url, "GET" if form.get(method, "").upper() == "GET" else "POST")


def _program(form: _Form) -> Program | None:
    if (target := _target(form, "Url", "Method")) is not None:
        return DocumentRequest(target)
    if body := form.get("Twiml"):
        if len(body) > MAX_INLINE_TWIML:
            raise RestFailed(400, 20001, f"Twiml must be at most {MAX_INLINE_TWIML} characters")
        return Inline(body)
    return None


def _required_program(form: _Form) -> Program:
    program = _program(form)
    if program is None:
        raise RestFailed(400, 21205, "Url parameter is required.")
    return program


def _callback(form: _Form, name: str, default: str) -> StatusCallback | None:
    """Events come as repeated parameters; one space-separated value is a single unknown event, and counts for none."""
    target = _target(form, name, f"{name}Method")
    if target is None:
        return None
    return StatusCallback(target, frozenset(form.lists.get(f"{name}Event") or default.split()))


def _seat_document(room: Conference, form: _Form) -> Document:
    """The TwiML a participant created over REST amounts to."""
    attributes = {
        "participantLabel": form.get("Label", ""),
        "muted": form.get("Muted", ""),
        "startConferenceOnEnter": form.get("StartConferenceOnEnter", ""),
        "endConferenceOnExit": form.get("EndConferenceOnExit", ""),
        "coach": form.get("CallSidToCoach", "") if _flag(form, "Coaching", False) else "",
        "maxParticipants": form.get("MaxParticipants", ""),
        "waitUrl": form.get("WaitUrl", ""),
        "waitMethod": form.get("WaitMethod", ""),
        "statusCallback": form.get("ConferenceStatusCallback", ""),
        "statusCallbackMethod": form.get("ConferenceStatusCallbackMethod", ""),
        "statusCallbackEvent": " ".join(form.lists.get("ConferenceStatusCallbackEvent", ["start", "end"])),
    }
    given = {name: value for name, value in attributes.items() if value}
    return Document(None, (Verb("Dial", {}, "", (Verb("Conference", given, room.name),)),))


def _flag(form: Mapping[str, str] | MultiMapping[str], name: str, default: bool) -> bool:
    return {"true": True, "false": False}.get(form.get(name, "").lower(), default)


def _whole(form: Mapping[str, str], name: str, default: int, most: int) -> int:
    value = form.get(name, "")
    return min(int(value), most) if value.isdigit() else default


def _is_dialable(to: str) -> bool:
    return to.startswith(("client:", "sip:")) or (to.startswith("+") and 4 <= len(to) <= 16 and to[1:].isdigit())


def _time_filter(query: MultiMapping[str], name: str) -> Callable[[datetime | None], bool]:
    """`Name=`, `Name<=` and `Name>=`; a bare date means that whole day (UTC)."""
    from_, to = _moment(query.get(f"{name}>")), _moment(query.get(f"{name}<"))
    day = _moment(query.get(name))

    def passes(at: datetime | None) -> bool:
        if from_ is None and to is None and day is None:
            return True
        return (
            at is not None
            and (from_ is None or at >= from_)
            and (to is None or at <= to)
            and (day is None or day <= at < day + timedelta(days=1))
        )

    return passes


def _moment(value: str | None) -> datetime | None:
    if not value:
        return None
    try:
        if len(value) == len("2026-01-31"):
            return datetime.combine(date.fromisoformat(value), time(), UTC)
        moment = datetime.fromisoformat(value)
    except ValueError as failed:
        raise RestFailed(400, 20001, f"Not a date: {value}") from failed
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _page(
    request: web.Request,
    name: str,
    found: list[T],
    sid_of: Callable[[T], str],
    shape: Callable[[T], dict[str, Any]],
) -> web.Response:
    """One page. The token names the last entry seen, so that new calls do not shift the pages."""
    query = request.query
    size = min(max(_whole(query, "PageSize", 50, MAX_PAGE), 1), MAX_PAGE)
    page = _whole(query, "Page", 0, 1_000_000)
    token = query.get("PageToken", "").removeprefix("PA")
    start = next((i + 1 for i, entry in enumerate(found) if sid_of(entry) == token), page * size)
    shown = found[start : start + size]
    filters = {k: v for k, v in query.items() if k not in {"Page", "PageToken", "PageSize"}}
    mount = request.path.index("/2010-04-01")

    def uri(number: int, after: str = "") -> str:
        more = {"PageSize": str(size), "Page": str(number)} | ({"PageToken": f"PA{after}"} if after else {})
        return f"{request.path[mount:]}?{urlencode(filters | more)}"

    has_more = start + size < len(found)
    return web.json_response(
        {
            name: [shape(entry) for entry in shown],
            "page": page,
            "page_size": size,
            "start": start,
            "end": start + max(len(shown) - 1, 0),
            "uri": uri(page),
            "first_page_uri": uri(0),
            "next_page_uri": uri(page + 1, sid_of(shown[-1])) if has_more else None,
            "previous_page_uri": uri(page - 1) if page > 0 else None,
        }
    )
