"""The webhooks of telephone systems: `/cti/zammad/{token}` and `/cti/generic/{connection}`.

Order for each: is it let in (from memory) → limits → strict parse → one transaction → answer. When the transaction cannot be had in time
the answer is 503, which says that it was not taken: whoever posts may post again, as often as they like.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
import structlog
from aiohttp import web
from multidict import MultiDict

from core.errors import Conflict, Unauthenticated, Unavailable
from cti import generic, pbx_service, zammad
from cti import queries as sql
from cti.http import AWAY, TELEPHONY, Telephony, in_time
from cti.pbx import Report, Unmappable
from cti.pbx_service import Received
from cti.pbx_settings import Connection
from cti.twilio_webhook import FORM, read_body, read_form
from infra.http import REQUEST_ID, HttpProblem, json_response
from infra.outbox import Tx
from infra.telemetry import metrics

log = structlog.get_logger()

JSON: Final = "application/json"
Work = Callable[[Tx], Awaitable[Received | None]]


class WrongToken(Unauthenticated):
    code, title = "token_invalid", "There is no such token"


class WrongSignature(Unauthenticated):
    code, title = "signature_invalid", "The signature does not hold"


class NonceUsed(Conflict):
    code, title = "nonce_used", "This nonce was used for something else"


NOBODYS: Final = (secrets.token_hex(32),)


async def _zammad(request: web.Request) -> web.StreamResponse:
    t = request.config_dict[TELEPHONY]
    connection = t.connections.by_token(request.match_info["token"])
    if connection is None:
        raise _refused("/cti/zammad", WrongToken())
    raw = await read_body(request)
    report = _mapped("/cti/zammad", lambda: zammad.parse(_fields(request, raw)))
    return await _answer(request, t, "/cti/zammad", lambda tx: _received(tx, t, connection, report))


async def _generic(request: web.Request) -> web.StreamResponse:
    t = request.config_dict[TELEPHONY]
    raw = await read_body(request)
    found = t.connections.generic(request.match_info["connection"])
    signatures = request.headers.getall(generic.SIGNATURE_HEADER, [])
    nonces = request.headers.getall(generic.NONCE_HEADER, [])
    # The same work for a name that nobody has: the time tells as little as the answer.
    is_signed = generic.is_signed(
        NOBODYS if found is None else found[1] or NOBODYS,
        connection=request.match_info["connection"],
        signatures=signatures,
        timestamps=request.headers.getall(generic.TIMESTAMP_HEADER, []),
        nonces=nonces,
        body=raw,
        now=t.outbox.database.clock.now(),
    )
    if found is None or not is_signed:  # who does not know the secret learns no name
        raise _refused("/cti/generic", WrongSignature())
    connection = found[0]
    report = _mapped("/cti/generic", lambda: generic.parse(connection.mapping, _document(connection.mapping.body, raw)))

    async def work(tx: Tx) -> Received | None:
        if await tx.conn.fetchval(sql.USE_NONCE, connection.key, nonces[0], signatures[0]) is None:
            if await tx.conn.fetchval(sql.NONCE_SIGNATURE, connection.key, nonces[0]) != signatures[0]:
                raise NonceUsed
            return None  # the very same request again: its answer was lost
        return await _received(tx, t, connection, report)

    return await _answer(request, t, "/cti/generic", work)


async def _received(tx: Tx, t: Telephony, connection: Connection, report: Report | None) -> Received | None:
    """Events that mean nothing here are acknowledged."""
    return None if report is None else await pbx_service.receive(tx, connection, report, t.lines.all())


async def _answer(request: web.Request, t: Telephony, endpoint: str, work: Work) -> web.StreamResponse:
    try:
        received = await in_time(t, t.outbox.transact(work, request_id=request[REQUEST_ID]))
    except AWAY as error:
        metrics.webhooks.labels(endpoint, "unavailable").inc()
        raise Unavailable("This was not taken; post it again.") from error
    metrics.webhooks.labels(endpoint, "ok").inc()
    if received is not None and received.goes_on:
        await _go_on(request, t, received.sid)
    return json_response({} if received is None else received.answer)


async def _go_on(request: web.Request, t: Telephony, sid: str) -> None:
    """What was taken is applied step by step. A timer goes on where this ends."""
    try:
        while await in_time(
            t, t.outbox.transact(lambda tx: pbx_service.go_on(tx, sid), request_id=request[REQUEST_ID])
        ):
            pass
    except AWAY as error:
        log.warning("event of a telephone system is applied later", error=type(error).__name__)


def _refused(endpoint: str, error: Unauthenticated) -> Unauthenticated:
    metrics.webhooks.labels(endpoint, "refused").inc()
    log.warning("webhook refused", endpoint=endpoint)  # no token, no body: neither belongs in a log
    return error


def _mapped(endpoint: str, parse: Callable[[], Report | None]) -> Report | None:
    try:
        return parse()
    except Unmappable as error:
        metrics.webhooks.labels(endpoint, "unmappable").inc()
        log.warning("event of a telephone system cannot be mapped", endpoint=endpoint, errors=error.fields["errors"])
        raise


def _fields(request: web.Request, raw: bytes) -> dict[str, Any]:
    """Form or JSON, as its type says; where nothing says, as it looks."""
    is_json = request.content_type == JSON or (request.content_type != FORM and raw.lstrip()[:1] == b"{")
    document = _document("json" if is_json else "form", raw)
    if not isinstance(document, dict):
        raise HttpProblem(400, "The body is not a JSON object.")
    return document


def _document(body: str, raw: bytes) -> Any:
    """The posted values, without what no database takes. Form fields that came more than once hold lists."""
    if body == "form":
        form: MultiDict[str] = read_form(raw)
        fields = {name: form.getall(name) for name in form}
        return _storable({name: values[0] if len(values) == 1 else values for name, values in fields.items()})
    try:
        return _storable(orjson.loads(raw))
    except orjson.JSONDecodeError:
        raise HttpProblem(400, "The body is not JSON.") from None
    except RecursionError:
        raise HttpProblem(400, "The body is nested too deep.") from None


def _storable(document: Any) -> Any:
    """Without NUL and half characters."""
    if isinstance(document, str):
        return document.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(document, list):
        return [_storable(each) for each in document]
    if isinstance(document, dict):
        return {_storable(name): _storable(each) for name, each in document.items()}
    return document


def pbx_webhooks() -> web.Application:
    """The sub-application mounted at /cti."""
    app = web.Application(client_max_size=128 * 1024)
    app.router.add_post(r"/zammad/{token:[^/]{1,200}}", _zammad)
    app.router.add_post(r"/generic/{connection:[a-z][a-z0-9_]{0,39}}", _generic)
    return app
