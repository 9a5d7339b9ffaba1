"""The provider's REST API: account, numbers, TwiML App, calls, conferences, participants, recordings.

Basic auth with the auth token or an API key; form-encoded writes; `.json` paths; pages; errors as the provider words
them. Unknown SIDs are 404, an ended call cannot be changed (21220).
"""

import base64
import binascii
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web

from simulator.keys import EXCHANGE
from simulator.provider.exchange import Exchange
from simulator.provider.rest import calls, conferences, forms, numbers, recordings, shapes
from simulator.provider.rest.shapes import RestFailed

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def rest_app() -> web.Application:
    app = web.Application(middlewares=[_edge])
    account = f"{shapes.account_path('{account}')}"
    room = account + "/Conferences/{room}"
    recording = account + "/Recordings/{recording}"
    member = room + "/Participants/{member}.json"
    number = account + "/IncomingPhoneNumbers/{number}.json"
    twiml_app = account + "/Applications/{app}.json"
    app.add_routes(
        [
            web.get(account + ".json", numbers.get_account),
            web.get(account + "/IncomingPhoneNumbers.json", numbers.list_numbers),
            web.get(number, numbers.get_number),
            web.post(number, numbers.update_number),
            web.get(account + "/Applications.json", numbers.list_apps),
            web.get(twiml_app, numbers.get_app),
            web.post(twiml_app, numbers.update_app),
            web.post(account + "/Calls.json", calls.create_call),
            web.get(account + "/Calls.json", calls.list_calls),
            web.get(account + "/Calls/{call}.json", calls.get_call),
            web.post(account + "/Calls/{call}.json", calls.update_call),
            web.delete(account + "/Calls/{call}.json", calls.delete_call),
            web.get(account + "/Conferences.json", conferences.list_conferences),
            web.get(room + ".json", conferences.get_conference),
            web.post(room + ".json", conferences.update_conference),
            web.get(room + "/Participants.json", conferences.list_participants),
            web.post(room + "/Participants.json", conferences.create_participant),
            web.get(member, conferences.get_participant),
            web.post(member, conferences.update_participant),
            web.delete(member, conferences.delete_participant),
            web.get(account + "/Recordings.json", recordings.list_recordings),
            web.get(account + "/Calls/{call}/Recordings.json", recordings.list_recordings),
            web.post(account + "/Calls/{call}/Recordings.json", recordings.start_recording),
            web.post(account + "/Calls/{call}/Recordings/{recording}.json", recordings.update_recording),
            web.get(account + "/Calls/{call}/Recordings/{recording}.json", recordings.get_recording),
            web.get(recording + ".json", recordings.get_recording),
            web.get(recording + ".wav", recordings.get_sound),
            web.delete(recording + ".json", recordings.delete_recording),
            web.route("*", "/{unknown:.*}", _unknown),
        ]
    )
    return app


@web.middleware
async def _edge(request: web.Request, handler: Handler) -> web.StreamResponse:
    exchange = request.config_dict[EXCHANGE]
    sent = {name: forms.form_value(value) for name, value in (await request.post()).items()}
    entry = exchange.journal.add(
        "rest", method=request.method, path=request.path_qs, fields=sent, sid=request.match_info.get("call")
    )
    try:
        with exchange.clock.working():
            _authenticate(request, exchange)
            if exchange.is_too_busy():
                raise RestFailed(429, 20429, "Too Many Requests")
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
    if user == config.api_key_sid and request.path.endswith(f"/Accounts/{account}.json"):
        raise RestFailed(401, 20003, "Authenticate")  # standard keys may not ask about accounts
    if account is not None and account != config.account_sid:
        raise shapes.not_found(request.path)


async def _unknown(request: web.Request) -> web.StreamResponse:
    raise shapes.not_found(request.path)
