"""The webhooks. Every voice webhook gets valid TwiML within two seconds, also with the database gone.

Order for each: limits → signature → strict parse → one transaction → answer. When the transaction cannot be had in time, a
voice webhook gets the emergency document (built from memory) that brings the caller back, and a callback gets 503 so that the
provider's retry or the reconciler repeats it.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import structlog
from aiohttp import encode_basic_auth, web

from core.errors import RingdeskError, Unavailable
from core.ids import CallId
from cti import ivr, outbound, outside, provider_errors, recording, service, telephone, voicemail
from cti import queries as sql
from cti import twilio_voice as twiml
from cti.connections import Connections
from cti.lines import Lines
from cti.model import CallState, Outcome
from cti.signature import TwilioAccount
from cti.twilio_api import TwilioApi
from cti.twilio_voice import Line
from cti.twilio_webhook import Webhook, number_of, verified
from cti.waiting import is_time_to_say, range_of
from infra.crashpoints import crashpoint
from infra.http import REQUEST_ID, HttpProblem
from infra.outbox import Outbox, Tx
from infra.postgres import CONNECTION_ERRORS, RETRYABLE_ERRORS, Connection
from infra.telemetry import metrics

log = structlog.get_logger()

DEADLINE_S: Final = 1.6
AWAY: Final = (TimeoutError, Unavailable, *CONNECTION_ERRORS, *RETRYABLE_ERRORS)

T = TypeVar("T")
Position = Callable[[Connection, CallId], Awaitable["WaitState | None"]]


@dataclass(frozen=True, slots=True)
class WaitState:
    """What a waiting caller may be told: place in the queue from 1, whether anybody is signed in at all, and how long others waited."""

    position: int
    is_anybody_signed_in: bool
    recent_waits_s: Sequence[float] = ()
    """Of those who were answered in this queue lately."""


@dataclass(frozen=True, slots=True)
class Telephony:
    """What the webhooks need beside the common resources. `wait_state` is routing's answer, given by app."""

    accounts: dict[str, TwilioAccount]
    lines: Lines
    base: str = field(repr=False)
    outbox: Outbox
    wait_state: Position
    connections: Connections
    twilio: TwilioApi
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    """Name and password that webhooks bring as Basic auth besides their signature; `base` holds them too."""
    given_up: set["asyncio.Task[Any]"] = field(default_factory=set)
    """Work that took too long: cancelled, kept until it has let go of its connection."""


TELEPHONY: Final = web.AppKey("TELEPHONY", Telephony)
VoiceHandler = Callable[[Telephony, Tx, Webhook], Awaitable[str]]


def xml(document: str, *, status: int = 200) -> web.Response:
    return web.Response(text=document, status=status, content_type="text/xml", charset="utf-8")


async def in_time(t: Telephony, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, or TimeoutError after our deadline.

    What hangs is cancelled but not waited for: giving up a connection that is dead without saying so takes seconds itself."""
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=DEADLINE_S)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if done:
        return task.result()
    t.given_up.add(task)
    task.add_done_callback(lambda ended: _let_go(t, ended))
    task.cancel()
    raise TimeoutError


def _let_go(t: Telephony, task: "asyncio.Task[Any]") -> None:
    t.given_up.discard(task)
    if not task.cancelled() and task.exception() is not None:
        log.debug("late work failed", error=type(task.exception()).__name__)


def _voice(handler: VoiceHandler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        t = request.config_dict[TELEPHONY]
        hook = await verified(request, accounts=t.accounts, public_url=t.base)
        transaction = t.outbox.transact(lambda tx: _voice_once(t, tx, hook, handler), request_id=request[REQUEST_ID])
        try:
            answer = await in_time(t, transaction)
        except AWAY:
            log.warning("emergency answer", endpoint=hook.endpoint)
        except RingdeskError as error:
            log.error("emergency answer", endpoint=hook.endpoint, code=error.code)
        except Exception:
            log.exception("emergency answer", endpoint=hook.endpoint)
        else:
            metrics.webhooks.labels(hook.endpoint, "ok").inc()
            crashpoint("voice.before_reply")
            return xml(answer)
        metrics.webhooks.labels(hook.endpoint, "emergency").inc()
        metrics.emergency_answers.inc()
        return xml(_emergency(t, hook))

    return endpoint


async def _voice_once(t: Telephony, tx: Tx, hook: Webhook, handler: VoiceHandler) -> str:
    answer = await handler(t, tx, hook)
    crashpoint("voice.before_commit")
    return answer


def _emergency(t: Telephony, hook: Webhook) -> str:
    """Customers come back to `/twilio/voice`. An agent's phone never may: it would become a customer's call."""
    line = t.lines.of(hook.get("To"))
    if hook.endpoint == telephone.ENDPOINT:
        return twiml.emergency_of_telephone(t.base, hook.retry, hook.offer_id, number_of(hook.query.get("n", "")) or 0)
    if hook.agent_id is None:
        return twiml.emergency(line, t.base, hook.retry)
    if hook.endpoint.endswith("/dial/done"):
        return twiml.EMPTY  # the conversation is over, so is this leg
    return twiml.emergency_of_agent(line, t.base, hook.retry, service.wanted_call(hook))


def _callback(
    handler: Callable[[Tx, Webhook], Awaitable[None]], *, needs_call: bool = True
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        t = request.config_dict[TELEPHONY]
        hook = await verified(request, accounts=t.accounts, public_url=t.base, needs_call=needs_call)
        await in_time(t, t.outbox.transact(lambda tx: handler(tx, hook), request_id=request[REQUEST_ID]))
        crashpoint("callback.before_reply")
        metrics.webhooks.labels(hook.endpoint, "ok").inc()
        return web.Response(status=204)

    return endpoint


async def _incoming(t: Telephony, tx: Tx, hook: Webhook) -> str:
    if hook.get("ErrorCode"):
        log.error("provider fell back", provider_code=hook.get("ErrorCode")[:10])
    if hook.agent_id is not None:
        return await _agent(t, tx, hook)
    return await service.incoming(tx, hook, t.lines.of(hook.get("To")), t.base)


async def _queue_done(t: Telephony, tx: Tx, hook: Webhook) -> str:
    return await service.queue_done(tx, hook, t.lines.of(hook.get("To")), t.base)


async def _dial_done(t: Telephony, tx: Tx, hook: Webhook) -> str:
    return await service.dial_done(tx, hook, t.lines.of(hook.get("To")), t.base)


async def _transfer_done(t: Telephony, tx: Tx, hook: Webhook) -> str:
    return await outside.done(tx, hook, t.lines.of(hook.get("To")), t.base)


async def _ivr(t: Telephony, tx: Tx, hook: Webhook) -> str:
    return await ivr.choose(tx, hook, t.lines.of(hook.get("To")), t.base)


async def _consent(t: Telephony, tx: Tx, hook: Webhook) -> str:
    return await recording.consent(tx, hook, t.lines.of(hook.get("To")), t.base)


async def _voicemail_done(t: Telephony, tx: Tx, hook: Webhook) -> str:
    return await voicemail.done(tx, hook, t.lines.of(hook.get("To")), t.base)


async def _agent(t: Telephony, tx: Tx, hook: Webhook) -> str:
    return await service.agent_leg(tx, hook, t.lines.all(), t.lines.default, t.base)


async def _telephone(t: Telephony, tx: Tx, hook: Webhook) -> str:
    return await telephone.pressed(tx, hook, t.lines.all(), t.lines.default, t.base)


async def _wait(request: web.Request) -> web.StreamResponse:
    """Never stored: each round says the place as it is now. Without the database, a quiet round."""
    t = request.config_dict[TELEPHONY]
    hook = await verified(request, accounts=t.accounts, public_url=t.base)
    line = t.lines.of(hook.get("To"))
    document = twiml.wait(line, None, base=t.base)
    try:
        pressed = hook.get("Digits")
        if line.may_record:  # who waits has heard that the conversation will be recorded
            heard = t.outbox.transact(
                lambda tx: recording.heard(tx, hook.call_sid, line), request_id=request[REQUEST_ID]
            )
            await in_time(t, heard)
        if (
            pressed
            and pressed == line.recorder.key
            and await in_time(t, _key_pressed(t, hook, line, request[REQUEST_ID]))
        ):
            document = twiml.leave()
        else:
            document = await in_time(t, _round(t, line, hook))
    except AWAY:
        log.warning("wait document without position")
    except Exception:
        log.exception("wait document without position")
    metrics.webhooks.labels(hook.endpoint, "ok").inc()
    return xml(document)


async def _hold(request: web.Request) -> web.StreamResponse:
    """What a caller on hold hears. From memory: it must go on whatever else does not."""
    t = request.config_dict[TELEPHONY]
    hook = await verified(request, accounts=t.accounts, public_url=t.base, needs_call=False)
    metrics.webhooks.labels(hook.endpoint, "ok").inc()
    return xml(twiml.hold(t.lines.of(hook.get("To"))))


async def _key_pressed(t: Telephony, hook: Webhook, line: Line, request_id: str) -> bool:
    return await t.outbox.transact(lambda tx: voicemail.key_pressed(tx, hook, line), request_id=request_id)


async def _round(t: Telephony, line: Line, hook: Webhook) -> str:
    """What the caller hears now; who is let go leaves the parking queue."""
    async with t.outbox.database.acquire() as conn:
        row = await conn.fetchrow(sql.CALL_BY_SID, hook.call_sid)
        if row is not None and (row["outcome"] == Outcome.DEFLECTED or row["state"] == CallState.VOICEMAIL):
            return twiml.leave()
        state = None if row is None else await t.wait_state(conn, CallId(row["id"]))
    if state is None:
        return twiml.wait(line, None, base=t.base)
    waited_s = number_of(hook.get("QueueTime")[:9]) or 0
    told = range_of(state.recent_waits_s, waited_s=waited_s) if is_time_to_say(waited_s) else None
    return twiml.wait(line, state.position, nobody=not state.is_anybody_signed_in, base=t.base, minutes=told)


async def _provider_events(request: web.Request) -> web.StreamResponse:
    """What the provider's console complains of."""
    t = request.config_dict[TELEPHONY]
    notice = await provider_errors.read(request, accounts=t.accounts, public_url=t.base)
    new = await in_time(
        t, t.outbox.transact(lambda tx: provider_errors.keep(tx, notice), request_id=request[REQUEST_ID])
    )
    for each in new:
        provider_errors.tell(each)
    metrics.webhooks.labels(provider_errors.ENDPOINT, "ok").inc()
    return web.Response(status=204)


def _question(t: Telephony, request: web.Request) -> web.Response | None:
    """With credentials in our addresses the provider asks without them first, is asked for them, and comes again. Nothing is read before."""
    if t.credentials is None:
        return None
    given = request.headers.get("Authorization", "")
    if hmac.compare_digest(given.encode("utf-8", "surrogateescape"), encode_basic_auth(*t.credentials).encode()):
        return None
    metrics.webhooks.labels("any", "without credentials" if not given else "refused").inc()
    return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="Ringdesk webhooks", charset="UTF-8"'})


def webhooks() -> web.Application:
    """The sub-application mounted at /twilio. Its gate refuses unsigned requests to unknown paths too."""

    @web.middleware
    async def gate(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.match_info.http_exception is not None and request.match_info.http_exception.status == 404:
            raise HttpProblem(404, "There is no such webhook.")
        question = _question(request.config_dict[TELEPHONY], request)
        return question if question is not None else await handler(request)

    app = web.Application(middlewares=[gate], client_max_size=128 * 1024)
    for path, endpoint in (
        ("/voice", _voice(_incoming)),
        ("/voice/fallback", _voice(_incoming)),
        ("/ivr", _voice(_ivr)),
        ("/consent", _voice(_consent)),
        ("/queue/wait", _wait),
        ("/hold", _hold),
        ("/queue/done", _voice(_queue_done)),
        ("/dial/done", _voice(_dial_done)),
        ("/transfer/done", _voice(_transfer_done)),
        ("/agent", _voice(_agent)),
        ("/telephone", _voice(_telephone)),
        ("/telephone/status", _callback(telephone.leg_status)),
        ("/voicemail/done", _voice(_voicemail_done)),
        (provider_errors.ENDPOINT.removeprefix("/twilio"), _provider_events),
        ("/recording", _callback(voicemail.recorded)),
        ("/status", _callback(outbound.leg_status)),
        ("/conference", _callback(outbound.conference_event, needs_call=False)),
    ):
        app.router.add_route("POST", path, endpoint)
        app.router.add_route("GET", path, endpoint)
    return app
