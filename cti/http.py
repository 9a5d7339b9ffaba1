"""The webhooks. Every voice webhook gets valid TwiML within two seconds, also with the database gone.

Order for each: limits → signature → strict parse → one transaction → answer. When the transaction cannot be had in time, a
voice webhook gets the emergency document (built from memory) that brings the caller back, and a callback gets 503 so that the
provider's retry or the reconciler repeats it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web

from core.errors import RingdeskError, Unavailable
from core.ids import CallId
from cti import queries as sql
from cti import service
from cti import twilio_voice as twiml
from cti.lines import Lines
from cti.signature import TwilioAccount
from cti.twilio_webhook import Webhook, verified
from infra.http import REQUEST_ID, HttpProblem
from infra.outbox import Outbox, Tx
from infra.postgres import CONNECTION_ERRORS, RETRYABLE_ERRORS, Connection
from infra.telemetry import metrics

log = structlog.get_logger()

DEADLINE_S: Final = 1.6
AWAY: Final = (TimeoutError, Unavailable, *CONNECTION_ERRORS, *RETRYABLE_ERRORS)

Position = Callable[[Connection, CallId], Awaitable["WaitState | None"]]


@dataclass(frozen=True, slots=True)
class WaitState:
    """What a waiting caller may be told: place in the queue from 1, and whether anybody is signed in at all."""

    position: int
    is_anybody_signed_in: bool


@dataclass(frozen=True, slots=True)
class Telephony:
    """What the webhooks need beside the common resources. `wait_state` is routing's answer, given by app."""

    accounts: dict[str, TwilioAccount]
    lines: Lines
    base: str
    outbox: Outbox
    wait_state: Position


TELEPHONY: Final = web.AppKey("TELEPHONY", Telephony)
VoiceHandler = Callable[[Telephony, Tx, Webhook], Awaitable[str]]


def xml(document: str, *, status: int = 200) -> web.Response:
    return web.Response(text=document, status=status, content_type="text/xml", charset="utf-8")


def _voice(handler: VoiceHandler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        t = request.config_dict[TELEPHONY]
        hook = await verified(request, accounts=t.accounts, public_url=t.base)
        try:
            async with asyncio.timeout(DEADLINE_S):
                answer = await t.outbox.transact(lambda tx: handler(t, tx, hook), request_id=request[REQUEST_ID])
        except AWAY:
            log.warning("emergency answer", endpoint=hook.endpoint)
        except RingdeskError as error:
            log.error("emergency answer", endpoint=hook.endpoint, code=error.code)
        except Exception:
            log.exception("emergency answer", endpoint=hook.endpoint)
        else:
            metrics.webhooks.labels(hook.endpoint, "ok").inc()
            return xml(answer)
        metrics.webhooks.labels(hook.endpoint, "emergency").inc()
        metrics.emergency_answers.inc()
        return xml(twiml.emergency(t.lines.of(hook.get("To")), t.base, hook.retry))

    return endpoint


def _callback(
    handler: Callable[[Tx, Webhook], Awaitable[None]], *, needs_call: bool = True
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        t = request.config_dict[TELEPHONY]
        hook = await verified(request, accounts=t.accounts, public_url=t.base, needs_call=needs_call)
        async with asyncio.timeout(DEADLINE_S):
            await t.outbox.transact(lambda tx: handler(tx, hook), request_id=request[REQUEST_ID])
        metrics.webhooks.labels(hook.endpoint, "ok").inc()
        return web.Response(status=204)

    return endpoint


async def _incoming(t: Telephony, tx: Tx, hook: Webhook) -> str:
    if hook.get("ErrorCode"):
        log.error("provider fell back", provider_code=hook.get("ErrorCode")[:10])
    return await service.incoming(tx, hook, t.lines.of(hook.get("To")), t.base)


async def _queue_done(t: Telephony, tx: Tx, hook: Webhook) -> str:
    return await service.queue_done(tx, hook, t.lines.of(hook.get("To")), t.base)


async def _dial_done(t: Telephony, tx: Tx, hook: Webhook) -> str:
    return await service.dial_done(tx, hook, t.lines.of(hook.get("To")), t.base)


async def _agent(t: Telephony, tx: Tx, hook: Webhook) -> str:
    return await service.agent_leg(tx, hook, t.lines.all(), t.lines.default, t.base)


async def _wait(request: web.Request) -> web.StreamResponse:
    """Never stored: each round says the place as it is now. Without the database, a quiet round."""
    t = request.config_dict[TELEPHONY]
    hook = await verified(request, accounts=t.accounts, public_url=t.base)
    line = t.lines.of(hook.get("To"))
    state: WaitState | None = None
    try:
        async with asyncio.timeout(DEADLINE_S), t.outbox.database.acquire() as conn:
            row = await conn.fetchrow(sql.CALL_BY_SID, hook.call_sid)
            if row is not None:
                state = await t.wait_state(conn, CallId(row["id"]))
    except AWAY:
        log.warning("wait document without position")
    metrics.webhooks.labels(hook.endpoint, "ok").inc()
    if state is None:
        return xml(twiml.wait(line, None))
    return xml(twiml.wait(line, state.position, nobody=not state.is_anybody_signed_in))


def webhooks() -> web.Application:
    """The sub-application mounted at /twilio. Its gate refuses unsigned requests to unknown paths too."""

    @web.middleware
    async def gate(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.match_info.http_exception is not None and request.match_info.http_exception.status == 404:
            raise HttpProblem(404, "There is no such webhook.")
        return await handler(request)

    app = web.Application(middlewares=[gate], client_max_size=128 * 1024)
    for path, endpoint in (
        ("/voice", _voice(_incoming)),
        ("/voice/fallback", _voice(_incoming)),
        ("/queue/wait", _wait),
        ("/queue/done", _voice(_queue_done)),
        ("/dial/done", _voice(_dial_done)),
        ("/agent", _voice(_agent)),
        ("/status", _callback(service.leg_status)),
        ("/conference", _callback(service.conference_event, needs_call=False)),
    ):
        app.router.add_route("POST", path, endpoint)
        app.router.add_route("GET", path, endpoint)
    return app
