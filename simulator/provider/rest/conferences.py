"""Conferences and their participants, by SID or label."""

from aiohttp import web

from simulator.keys import EXCHANGE
from simulator.provider.conference import Conference, Invitation, Seat
from simulator.provider.rest import forms, shapes
from simulator.provider.rest.shapes import RestFailed
from simulator.provider.twiml import Document, Verb


async def list_conferences(request: web.Request) -> web.Response:
    exchange, query = request.config_dict[EXCHANGE], request.query
    created = forms.time_filter(query, "DateCreated")
    rooms = [
        room
        for room in reversed(exchange.conferences.values())
        if ("FriendlyName" not in query or room.name == query["FriendlyName"])
        and ("Status" not in query or room.status == query["Status"])
        and created(room.created_at)
    ]
    return forms.page(request, "conferences", rooms, lambda room: room.sid, shapes.conference)


async def get_conference(request: web.Request) -> web.Response:
    return web.json_response(shapes.conference(_room(request)))


async def update_conference(request: web.Request) -> web.Response:
    room, form = _room(request), await forms.read(request)
    if room.is_over:
        raise shapes.not_found(request.path)
    if (announcement := forms.target(form, "AnnounceUrl", "AnnounceMethod")) is not None:
        request.config_dict[EXCHANGE].announce(room, announcement, None)
    if form.get("Status") == "completed":
        room.end()
    return web.json_response(shapes.conference(room))


async def list_participants(request: web.Request) -> web.Response:
    room, query = _room(request), request.query

    def wanted(seat: Seat) -> bool:
        flags = {"Muted": seat.is_muted, "Hold": seat.is_held, "Coaching": seat.is_coaching}
        return all(forms.flag(query, name, has) == has for name, has in flags.items())

    seats = [seat for seat in room.seats.values() if wanted(seat)]  # empty after the end, as at the provider
    return forms.page(
        request, "participants", seats, lambda seat: seat.leg.sid, lambda seat: shapes.participant(room, seat)
    )


async def create_participant(request: web.Request) -> web.Response:
    exchange, form = request.config_dict[EXCHANGE], await forms.read(request)
    name = request.match_info["room"]
    room = exchange.conferences.get(name) if name.startswith("CF") else exchange.conference(name)
    if room is None or room.is_over:
        raise shapes.not_found(request.path)
    to, from_ = form.get("To", ""), form.get("From", "")
    if not from_:
        raise RestFailed(400, 21213, "No 'From' number is specified")
    if not forms.is_dialable(to):
        raise RestFailed(400, 21211, f"The phone number you are attempting to call, {to}, is not valid.")
    label = form.get("Label")
    leg = exchange.call_out(
        from_,
        to,
        _seat_document(room, form),
        callback=forms.callback(form, "StatusCallback", "completed"),
        timeout_s=forms.whole(form, "Timeout", 60, 600),
        invited_to=room,
    )
    room.invite(leg, label)
    return web.json_response(shapes.participant(room, room.invited[leg.sid]), status=201)


async def get_participant(request: web.Request) -> web.Response:
    room = _room(request)
    return web.json_response(shapes.participant(room, _member(request, room)))


async def update_participant(request: web.Request) -> web.Response:
    room, form = _room(request), await forms.read(request)
    seat = _member(request, room)
    if isinstance(seat, Invitation):
        raise RestFailed(400, 20001, "The participant has not joined yet")
    if "Muted" in form:
        room.set_muted(seat, forms.flag(form, "Muted", seat.is_muted))
    if "Hold" in form or "HoldUrl" in form:
        held = forms.flag(form, "Hold", seat.is_held)
        room.set_held(seat, held, forms.target(form, "HoldUrl", "HoldMethod") or seat.hold)
    if form.keys() & {"Coaching", "CallSidToCoach", "EndConferenceOnExit"}:
        room.modify(
            seat,
            coach_sid=form.get("CallSidToCoach", seat.coach_sid),
            is_coaching=forms.flag(form, "Coaching", seat.is_coaching),
            ends_conference=forms.flag(form, "EndConferenceOnExit", seat.ends_conference),
        )
    if (announcement := forms.target(form, "AnnounceUrl", "AnnounceMethod")) is not None:
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


def _seat_document(room: Conference, form: forms.Form) -> Document:
    """The TwiML a participant created over REST amounts to."""
    attributes = {
        "participantLabel": form.get("Label", ""),
        "muted": form.get("Muted", ""),
        "startConferenceOnEnter": form.get("StartConferenceOnEnter", ""),
        "endConferenceOnExit": form.get("EndConferenceOnExit", ""),
        "coach": form.get("CallSidToCoach", "") if forms.flag(form, "Coaching", False) else "",
        "maxParticipants": form.get("MaxParticipants", ""),
        "waitUrl": form.get("WaitUrl", ""),
        "waitMethod": form.get("WaitMethod", ""),
        "statusCallback": form.get("ConferenceStatusCallback", ""),
        "statusCallbackMethod": form.get("ConferenceStatusCallbackMethod", ""),
        "statusCallbackEvent": " ".join(form.lists.get("ConferenceStatusCallbackEvent", ["start", "end"])),
    }
    given = {name: value for name, value in attributes.items() if value}
    return Document(None, (Verb("Dial", {}, "", (Verb("Conference", given, room.name),)),))
