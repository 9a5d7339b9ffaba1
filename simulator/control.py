"""The simulator's own HTTP interface: callers, softphones, callees and the journal."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from twilio.jwt import JwtDecodeError
from twilio.jwt.access_token import AccessToken

from simulator.config import Faults, SimulatorConfig
from simulator.keys import EXCHANGE
from simulator.people.person import Digits, Person, Spoken, Step, live
from simulator.provider.callees import Callee
from simulator.provider.exchange import Exchange, NumberUnknown
from simulator.provider.leg import Leg

WITHHELD: Final = "+266696687"
"""What the provider sends for a hidden number (ANONYMOUS on a keypad)."""
WITHHELD_WORDS: Final = frozenset({"", "anonymous", "withheld", "restricted", "private", "unavailable"})
MAX_LISTED: Final = 500

Body = TypeVar("Body", bound=BaseModel)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Address = Annotated[str, Field(max_length=200)]
Fields = Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=50)]


class ControlFailed(Exception):
    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


class StartCall(Person):
    """A person dials `to`. An empty `from` or a word such as anonymous withholds the number."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    from_: Address = Field(default="", alias="from")
    to: Address
    say: Spoken | None = None
    """Spoken into the first <Gather> that listens."""
    faults: Faults | None = None
    fields: Fields = Field(default_factory=dict)
    """Further webhook fields, such as ForwardedFrom, CallerName or StirVerstat."""


class PressDigits(BaseModel):
    digits: Digits


class Speak(BaseModel):
    text: Spoken


class ConnectPhone(BaseModel):
    token: Annotated[str, Field(max_length=8192)]
    params: Fields = Field(default_factory=dict)


def control_routes() -> list[web.RouteDef]:
    return [
        web.post("/calls", start_call),
        web.get("/calls", list_calls),
        web.get("/calls/{sid}", get_call),
        web.post("/calls/{sid}/hangup", hang_up_call),
        web.post("/calls/{sid}/digits", press_digits),
        web.post("/calls/{sid}/say", speak),
        web.post("/phone/connect", connect_phone),
        web.get("/phone/{sid}", get_call),
        web.post("/phone/{sid}/hangup", hang_up_call),
        web.post("/phone/{sid}/digits", press_digits),
        web.put("/callees/{address}", describe_callee),
        web.get("/journal", read_journal),
    ]


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ControlFailed as failed:
        body = {
            "type": "about:blank",
            "title": "The simulator cannot do this",
            "status": failed.status,
            "code": failed.code,
            "detail": failed.detail,
        }
        return web.json_response(body, status=failed.status, content_type="application/problem+json")


# Callers


async def start_call(request: web.Request) -> web.Response:
    exchange, wanted = request.config_dict[EXCHANGE], await _body(request, StartCall)
    from_ = WITHHELD if wanted.from_.lower() in WITHHELD_WORDS else wanted.from_
    try:
        leg = exchange.call_in(from_, wanted.to, identity=wanted.fields, faults=wanted.faults)
    except NumberUnknown as unknown:
        raise ControlFailed(404, "number_unknown", f"Nobody has the number {wanted.to}.") from unknown
    script = (Step(say=wanted.say), *wanted.script) if wanted.say is not None else wanted.script
    person = Person(script=script, patience_s=wanted.patience_s, talk_s=wanted.talk_s)
    exchange.tasks.spawn(live(person, leg), f"caller.{leg.sid}")
    return web.json_response(_shape(leg), status=201)


async def list_calls(request: web.Request) -> web.Response:
    exchange = request.config_dict[EXCHANGE]
    state = request.query.get("state")
    legs = [leg for leg in reversed(exchange.legs.values()) if state is None or leg.is_over == (state == "ended")]
    return web.json_response({"items": [_shape(leg) for leg in legs[:MAX_LISTED]]})


async def get_call(request: web.Request) -> web.Response:
    return web.json_response(_shape(_leg(request)))


async def hang_up_call(request: web.Request) -> web.Response:
    """Repeatable: a call that is over stays as it ended."""
    leg = _leg(request)
    leg.leave()
    return web.json_response(_shape(leg))


async def press_digits(request: web.Request) -> web.Response:
    leg, pressed = _leg(request), await _body(request, PressDigits)
    leg.press(pressed.digits)
    return web.json_response(_shape(leg))


async def speak(request: web.Request) -> web.Response:
    leg, spoken = _leg(request), await _body(request, Speak)
    leg.say(spoken.text)
    return web.json_response(_shape(leg))


async def describe_callee(request: web.Request) -> web.Response:
    callee = await _body(request, Callee)
    request.config_dict[EXCHANGE].callees.describe(request.match_info["address"], callee)
    return web.json_response(callee.model_dump())


# Softphones


async def connect_phone(request: web.Request) -> web.Response:
    """What the Voice SDK's `device.connect({params})` does: the token's TwiML App is called as the token's identity."""
    exchange, wanted = request.config_dict[EXCHANGE], await _body(request, ConnectPhone)
    identity = _identity(wanted.token, exchange.config)
    leg = exchange.connect_phone(identity, wanted.params)
    return web.json_response(_shape(leg), status=201)


def _identity(token: str, config: SimulatorConfig) -> str:
    try:
        payload = AccessToken.from_jwt(token, config.api_key_secret).payload
    except JwtDecodeError as failed:
        raise ControlFailed(401, "token_invalid", f"The access token is not valid: {failed}") from failed
    grants = payload.get("grants") or {}
    voice = grants.get("voice") or {}
    if payload.get("iss") != config.api_key_sid or payload.get("sub") != config.account_sid:
        raise ControlFailed(401, "token_invalid", "The access token is of another account.")
    if (voice.get("outgoing") or {}).get("application_sid") != config.app_sid:
        raise ControlFailed(403, "token_without_grant", "The access token may not call this application.")
    return str(grants.get("identity") or "")


# Records


async def read_journal(request: web.Request) -> web.Response:
    """`?since=` an entry number, `?limit=`, and any fact to filter by: `?kind=webhook&sid=CA…`."""
    query = dict(request.query)
    since, limit = _whole(query.pop("since", "0")), _whole(query.pop("limit", "1000"))
    journal = request.config_dict[EXCHANGE].journal
    items = journal.since(since, limit, **query)
    return web.json_response({"items": items, "next": items[-1]["n"] if items else max(since, journal.last)})


def _shape(leg: Leg) -> dict[str, Any]:
    return {
        "sid": leg.sid,
        "status": leg.status,
        "from": leg.from_,
        "to": leg.to,
        "direction": leg.direction,
        "said": [{"at": h.at.isoformat(), "verb": h.verb, "text": h.text} for h in leg.heard],
        "conference": leg.conference.name if leg.conference is not None else None,
        "queue": leg.queue_name,
        "is_talking": leg.is_talking,
        "is_held": leg.seat.is_held if leg.seat is not None else False,
        "created_at": leg.created_at.isoformat(),
        "answered_at": leg.answered_at.isoformat() if leg.answered_at is not None else None,
        "ended_at": leg.ended_at.isoformat() if leg.ended_at is not None else None,
    }


def _leg(request: web.Request) -> Leg:
    exchange: Exchange = request.config_dict[EXCHANGE]
    leg = exchange.legs.get(request.match_info["sid"])
    if leg is None:
        raise ControlFailed(404, "call_unknown", "There is no such call.")
    return leg


async def _body(request: web.Request, model: type[Body]) -> Body:
    try:
        content: Mapping[str, Any] = json.loads(await request.read())
        return model.model_validate(content)
    except ValidationError as failed:
        raise ControlFailed(422, "invalid", str(failed)) from failed
    except ValueError as failed:
        raise ControlFailed(400, "invalid_json", "The body is not JSON.") from failed


def _whole(value: str) -> int:
    if not value.isdigit():
        raise ControlFailed(422, "invalid", f"Not a whole number: {value}")
    return int(value)
