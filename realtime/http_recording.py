"""The API of recordings: pause and go on by the agent, hear one, delete one. The sound is the provider's; it goes through us, to who may see the ticket."""

from typing import Final

from aiohttp import web
from pydantic import BaseModel

from accounts.audit import audit
from core.errors import NotFound
from core.ids import CallId
from core.principal import LEADS, STAFF, actor_of
from cti import hold, recording
from cti import queries as calls
from infra.openapi import Call, Nothing, Routes
from infra.outbox import Tx
from realtime.http_voicemail import MEDIA, RecordingNotReady, served, visible_sound, write_hearing

ROUTES: Final = Routes("calls")


class NoRecording(NotFound):
    code, title = "recording_not_found", "There is no such recording"


class RecordingSet(BaseModel):
    id: int
    state: str
    """What the provider has said last; the answer to this command comes later."""
    is_pause_wanted: bool


@ROUTES.command("POST", "/api/v1/calls/{id}/recording/pause", roles=STAFF, returns=RecordingSet)
async def pause_recording(tx: Tx, call: Call[Nothing]) -> RecordingSet:
    """Pause the recording of the call in hand, for a card number say. It is paused once the desk says so, not before.

    409 with not_in_call, at_the_phone or not_recorded."""
    return await _set_paused(tx, call, is_paused=True)


@ROUTES.command("POST", "/api/v1/calls/{id}/recording/resume", roles=STAFF, returns=RecordingSet)
async def resume_recording(tx: Tx, call: Call[Nothing]) -> RecordingSet:
    """Let the recording of the call in hand go on. Refusals as of `pause`."""
    return await _set_paused(tx, call, is_paused=False)


async def _set_paused(tx: Tx, call: Call[Nothing], *, is_paused: bool) -> RecordingSet:
    mine = await hold.in_hand(tx, call_id=CallId(call.id()), who=call.who)
    found = await recording.set_paused(tx, mine, is_paused=is_paused)
    action = "recording.pause" if is_paused else "recording.resume"
    await audit(tx, actor_of(call.who), action, "call", mine.id, after={"recording_id": found.id})
    return RecordingSet(id=found.id, state=found.state, is_pause_wanted=found.is_paused)


@ROUTES.bare("GET", "/api/v1/recordings/{id}/audio", roles=STAFF, errors=("502",), media=MEDIA)
async def hear_recording(call: Call[Nothing]) -> web.Response:
    """The sound of a recorded call, for who may see its ticket; whole, or the part that Range asks for. Each hearing is written down.

    503 when the provider does not give it now, 502 when it has it no longer."""

    async def allowed(tx: Tx) -> tuple[str, str, bool]:
        row = await visible_sound(tx.conn, call, calls.RECORDING, NoRecording)
        if row["sid"] is None:
            raise RecordingNotReady
        await write_hearing(tx, call, "recording")
        return row["account_sid"], row["sid"], row["is_ready"]

    return await served(call, *await call.resources.outbox.transact(allowed, request_id=call.request_id))


@ROUTES.command("DELETE", "/api/v1/recordings/{id}", roles=LEADS)
async def delete_recording(tx: Tx, call: Call[Nothing]) -> None:
    """Delete a recording, here at once and at the telephony provider as soon as it answers. That there was one is still told."""
    row = await visible_sound(tx.conn, call, calls.RECORDING, NoRecording)
    await calls.lock_call(tx.conn, call_id=row["call_id"])
    if not await recording.delete(tx, call.id()):
        raise NoRecording
    await audit(tx, actor_of(call.who), "recording.delete", "recording", call.id(), after={"call_id": row["call_id"]})
