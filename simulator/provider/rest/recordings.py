"""Recordings: list, read, sound with ranges, delete."""

from aiohttp import web

from simulator.keys import EXCHANGE
from simulator.provider.recording import AnyRecording, LegRecording
from simulator.provider.rest import forms, shapes
from simulator.provider.rest.shapes import RestFailed


async def list_recordings(request: web.Request) -> web.Response:
    """Of the account, or of one call; the newest first."""
    exchange = request.config_dict[EXCHANGE]
    wanted = request.match_info.get("call") or request.query.get("CallSid")
    if request.match_info.get("call") is not None and wanted not in exchange.legs:
        raise shapes.not_found(request.path)
    made = forms.time_filter(request.query, "DateCreated")
    found = [
        each
        for each in reversed(exchange.recordings.values())
        if (wanted is None or each.call_sid == wanted) and made(each.created_at)
    ]
    return forms.page(request, "recordings", found, lambda each: each.sid, shapes.recording)


async def start_recording(request: web.Request) -> web.Response:
    """Of a call in progress; one that is over, or has not been answered, cannot be recorded."""
    exchange, form = request.config_dict[EXCHANGE], await forms.read(request)
    leg = exchange.legs.get(request.match_info["call"])
    if leg is None:
        raise shapes.not_found(request.path)
    if leg.status != "in-progress":
        raise RestFailed(400, 21220, "Requested resource is not eligible for recording")
    made = exchange.record_leg(leg, forms.callback(form, "RecordingStatusCallback", "completed"))
    return web.json_response(shapes.recording(made), status=201)


async def update_recording(request: web.Request) -> web.Response:
    """Pause, go on, stop. Only while its call lasts."""
    made, form = _recording(request), await forms.read(request)
    if not isinstance(made, LegRecording) or made.call_sid != request.match_info["call"] or made.ended_at is not None:
        raise RestFailed(400, 21220, "Recording is not in progress")
    status = form.get("Status")
    if status not in {"in-progress", "paused", "stopped"}:
        raise RestFailed(400, 20001, f"Invalid Status {status}")
    if status == "stopped":
        made.end()
        made.leg.notify()
    else:
        made.status = status
    return web.json_response(shapes.recording(made))


async def get_recording(request: web.Request) -> web.Response:
    return web.json_response(shapes.recording(_recording(request)))


async def get_sound(request: web.Request) -> web.Response:
    """The file, or the part of it that was asked for."""
    sound = _recording(request).sound()
    try:
        part = request.http_range
    except ValueError:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(sound)}"})
    if part.start is None and part.stop is None:
        return web.Response(body=sound, content_type="audio/x-wav", headers={"Accept-Ranges": "bytes"})
    start, stop, _ = part.indices(len(sound))
    if start >= stop:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(sound)}"})
    headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(sound)}", "Accept-Ranges": "bytes"}
    return web.Response(status=206, body=sound[start:stop], content_type="audio/x-wav", headers=headers)


async def delete_recording(request: web.Request) -> web.Response:
    del request.config_dict[EXCHANGE].recordings[_recording(request).sid]
    return web.Response(status=204)


def _recording(request: web.Request) -> AnyRecording:
    found = request.config_dict[EXCHANGE].recordings.get(request.match_info["recording"])
    if found is None:
        raise shapes.not_found(request.path)
    return found
