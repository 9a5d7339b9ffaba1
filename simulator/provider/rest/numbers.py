"""The account, its phone numbers and its TwiML App: read, and change the addresses that are asked."""

from dataclasses import replace

from aiohttp import web

from simulator.config import Line, Target
from simulator.keys import EXCHANGE
from simulator.provider.numbers import App, OwnedNumber
from simulator.provider.rest import forms, shapes
from simulator.provider.rest.shapes import RestFailed


async def get_account(request: web.Request) -> web.Response:
    return web.json_response(shapes.account(request.config_dict[EXCHANGE].config.account_sid))


async def list_numbers(request: web.Request) -> web.Response:
    """By `PhoneNumber` exactly: patterns with `*` are not spoken."""
    numbers, wanted = request.config_dict[EXCHANGE].numbers, request.query.get("PhoneNumber")
    found = list(numbers) if wanted is None else [each for each in (numbers.named(wanted),) if each is not None]
    account = request.match_info["account"]
    return forms.page(
        request, "incoming_phone_numbers", found, lambda each: each.sid, lambda each: shapes.number(each, account)
    )


async def get_number(request: web.Request) -> web.Response:
    return web.json_response(shapes.number(_number(request), request.match_info["account"]))


async def update_number(request: web.Request) -> web.Response:
    owned, form = _number(request), await forms.read(request)
    owned.line = _changed(owned.line, form)
    owned.application_sid = form.get("VoiceApplicationSid", owned.application_sid)
    owned.trunk_sid = form.get("TrunkSid", owned.trunk_sid)
    owned.updated_at = request.config_dict[EXCHANGE].clock.now()
    return web.json_response(shapes.number(owned, request.match_info["account"]))


async def list_apps(request: web.Request) -> web.Response:
    app, account = request.config_dict[EXCHANGE].numbers.app, request.match_info["account"]
    found = [app] if request.query.get("FriendlyName", app.name) == app.name else []
    return forms.page(request, "applications", found, lambda each: each.sid, lambda each: shapes.app(each, account))


async def get_app(request: web.Request) -> web.Response:
    return web.json_response(shapes.app(_app(request), request.match_info["account"]))


async def update_app(request: web.Request) -> web.Response:
    app, form = _app(request), await forms.read(request)
    app.line, app.name = _changed(app.line, form), form.get("FriendlyName", app.name)
    app.updated_at = request.config_dict[EXCHANGE].clock.now()
    return web.json_response(shapes.app(app, request.match_info["account"]))


def _changed(line: Line, form: forms.Form) -> Line:
    """A blank address takes it away; a method alone changes the method only."""
    voice = _target(form, "VoiceUrl", "VoiceMethod", line.voice)
    return replace(
        line,
        voice=voice if voice is not None else Target(""),
        fallback=_target(form, "VoiceFallbackUrl", "VoiceFallbackMethod", line.fallback),
        status_callback=_target(form, "StatusCallback", "StatusCallbackMethod", line.status_callback),
    )


def _target(form: forms.Form, name: str, method: str, now: Target | None) -> Target | None:
    url = form.get(name, now.url if now is not None else "")
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        raise RestFailed(400, 21502, f"{name} is not valid")
    verb = form.get(method, now.method if now is not None else "POST").upper()
    if verb not in ("GET", "POST"):
        raise RestFailed(400, 21403, f"{method} is not valid")
    return Target(url, verb)


def _number(request: web.Request) -> OwnedNumber:
    found = request.config_dict[EXCHANGE].numbers.with_sid(request.match_info["number"])
    if found is None:
        raise shapes.not_found(request.path)
    return found


def _app(request: web.Request) -> App:
    app = request.config_dict[EXCHANGE].numbers.app
    if app.sid != request.match_info["app"]:
        raise shapes.not_found(request.path)
    return app
