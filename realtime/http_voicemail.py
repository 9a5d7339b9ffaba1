"""The API of voicemail: hear a message, delete it. The sound is the provider's; it goes through us, to who may see the ticket."""

from datetime import timedelta
from typing import Any, Final

from aiohttp import web

from accounts.audit import audit
from core.errors import NotFound, RingdeskError, Unavailable
from core.principal import LEADS, STAFF, actor_of
from cti import queries as calls
from cti import voicemail
from cti.http import TELEPHONY
from cti.twilio_api import NotInProgress
from infra.openapi import Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection
from realtime import queries as sql
from ticketing import queries as tickets
from ticketing.model import TicketNotFound

ROUTES: Final = Routes("calls")
MEDIA: Final = "audio/wav"
ONE_HEARING: Final = timedelta(minutes=30)
"""Parts that somebody asks for within so long belong to the hearing that is written down."""


class NoVoicemail(NotFound):
    code, title = "voicemail_not_found", "There is no such message"


class RecordingMissing(RingdeskError):
    status, code, title = 502, "recording_missing", "The telephony provider no longer has this recording"


class RecordingNotReady(Unavailable):
    code, title = "recording_not_ready", "The telephony provider does not give the recording yet"


@ROUTES.bare("GET", "/api/v1/voicemails/{id}/audio", roles=STAFF, errors=("502",), media=MEDIA)
async def hear_voicemail(call: Call[Nothing]) -> web.Response:
    """The sound of a message, for who may see its ticket; whole, or the part that Range asks for.

    503 when the provider does not give it now, 502 when it has it no longer."""

    async def allowed(tx: Tx) -> tuple[str, str, bool]:
        row = await visible_sound(tx.conn, call, calls.VOICEMAIL, NoVoicemail)
        await write_hearing(tx, call, "voicemail")
        return row["account_sid"], row["recording_sid"], row["is_ready"]

    return await served(call, *await call.resources.outbox.transact(allowed, request_id=call.request_id))


async def write_hearing(tx: Tx, call: Call[Nothing], kind: str) -> None:
    """Once for each hearing: players come back for parts."""
    asked, actor = call.request.headers.get("Range", ""), actor_of(call.who)
    is_from_start = not asked or asked.startswith("bytes=0-")
    since = tx.now - ONE_HEARING
    if is_from_start or not await tx.conn.fetchval(sql.HAS_HEARD, kind, str(call.id()), actor.id, since):
        await audit(tx, actor, f"{kind}.hear", kind, call.id())


async def served(call: Call[Nothing], account_sid: str, recording_sid: str, is_ready: bool) -> web.Response:
    """The sound of the provider, through us. Raises RecordingMissing, RecordingNotReady."""
    try:
        sound = await call.request.config_dict[TELEPHONY].twilio.sound(account_sid, recording_sid)
    except NotInProgress as missing:
        raise RecordingMissing if is_ready else RecordingNotReady from missing
    return _part(call.request, sound)


async def visible_sound(conn: Connection, call: Call[Nothing], statement: str, absent: type[NotFound]) -> Any:
    """The row of a message or a recording, for who may see its ticket. Raises `absent`, also for what may not be seen."""
    row = await conn.fetchrow(statement, call.id())
    if row is None or row["deleted_at"] is not None or row["ticket_id"] is None:
        raise absent
    try:
        await tickets.visible_ticket_id(conn, ref=str(row["ticket_id"]), principal=call.who)
    except TicketNotFound:
        raise absent from None
    return row


def _part(request: web.Request, sound: bytes) -> web.Response:
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, no-store"}
    try:
        wanted = request.http_range
    except ValueError:
        wanted = slice(len(sound), None)
    if wanted.start is None and wanted.stop is None:
        return web.Response(body=sound, content_type=MEDIA, headers=headers)
    start, stop, _ = wanted.indices(len(sound))
    if start >= stop:
        return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{len(sound)}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(sound)}"
    return web.Response(status=206, body=sound[start:stop], content_type=MEDIA, headers=headers)


@ROUTES.command("DELETE", "/api/v1/voicemails/{id}", roles=LEADS)
async def delete_voicemail(tx: Tx, call: Call[Nothing]) -> None:
    """Delete a message, here at once and at the telephony provider as soon as it answers. That there was one is still told."""
    row = await visible_sound(tx.conn, call, calls.VOICEMAIL, NoVoicemail)
    await calls.lock_call(tx.conn, call_id=row["call_id"])
    if not await voicemail.delete(tx, call.id()):
        raise NoVoicemail
    await audit(tx, actor_of(call.who), "voicemail.delete", "voicemail", call.id(), after={"call_id": row["call_id"]})
