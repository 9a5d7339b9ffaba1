"""Calls: place, read, list, redirect, end."""

from aiohttp import web

from simulator.config import Target
from simulator.keys import EXCHANGE
from simulator.provider.flow import DocumentRequest, Program
from simulator.provider.leg import Leg, StatusCallback
from simulator.provider.rest import forms, shapes
from simulator.provider.rest.shapes import RestFailed

CALL_NOT_IN_PROGRESS = 21220


async def create_call(request: web.Request) -> web.Response:
    exchange, form = request.config_dict[EXCHANGE], await forms.read(request)
    to, from_ = form.get("To", ""), form.get("From", "")
    if not to:
        raise RestFailed(400, 21201, "No 'To' number is specified")
    if not from_:
        raise RestFailed(400, 21213, "No 'From' number is specified")
    if not forms.is_dialable(to):
        raise RestFailed(400, 21211, f"The phone number you are attempting to call, {to}, is not valid.")
    fallback: Target | None
    callback: StatusCallback | None
    if form.get("ApplicationSid"):
        if form["ApplicationSid"] != exchange.config.app_sid:
            raise RestFailed(400, 21218, "Invalid ApplicationSid")
        line = exchange.numbers.app.line
        program: Program = DocumentRequest(line.voice)
        fallback = line.fallback
        callback = StatusCallback(line.status_callback) if line.status_callback is not None else None
    else:
        program = _required_program(form)
        fallback = forms.target(form, "FallbackUrl", "FallbackMethod")
        callback = forms.callback(form, "StatusCallback", "completed")
    leg = exchange.call_out(
        from_, to, program, fallback=fallback, callback=callback, timeout_s=forms.whole(form, "Timeout", 60, 600)
    )
    return web.json_response(shapes.call(leg), status=201)


async def list_calls(request: web.Request) -> web.Response:
    exchange, query = request.config_dict[EXCHANGE], request.query
    started = forms.time_filter(query, "StartTime")
    ended = forms.time_filter(query, "EndTime")

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
    return forms.page(request, "calls", legs, lambda leg: leg.sid, shapes.call)


async def get_call(request: web.Request) -> web.Response:
    return web.json_response(shapes.call(_leg(request)))


async def update_call(request: web.Request) -> web.Response:
    leg, form = _leg(request), await forms.read(request)
    status = form.get("Status")
    if status not in {None, "completed", "canceled"}:
        raise RestFailed(400, 20001, f"Invalid Status {status}")
    if leg.is_over:
        raise RestFailed(400, CALL_NOT_IN_PROGRESS, "Call is not in-progress. Cannot redirect.")
    program = forms.program(form)
    if program is not None and leg.status != "in-progress":
        raise RestFailed(400, CALL_NOT_IN_PROGRESS, "Call is not in-progress. Cannot redirect.")
    if (fallback := forms.target(form, "FallbackUrl", "FallbackMethod")) is not None:
        leg.fallback = fallback
    if (callback := forms.callback(form, "StatusCallback", "completed")) is not None:
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


def _leg(request: web.Request) -> Leg:
    leg = request.config_dict[EXCHANGE].legs.get(request.match_info["call"])
    if leg is None:
        raise shapes.not_found(request.path)
    return leg


def _required_program(form: forms.Form) -> Program:
    program = forms.program(form)
    if program is None:
        raise RestFailed(400, 21205, "Url parameter is required.")
    return program
