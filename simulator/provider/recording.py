"""<Record>: a beep, then what the caller says until silence, a key, the limit or the end of the call.

Nothing said is no recording: the document goes on, and a caller who hangs up then is heard of by the call's end only. The sound is a real
WAV file, as long as what was said.
"""

import io
import math
import wave
from array import array
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from simulator.clock import Clock
from simulator.provider import fields
from simulator.provider.fields import API_VERSION
from simulator.provider.flow import DocumentRequest, Goto, HungUp
from simulator.provider.leg import Leg, StatusCallback
from simulator.provider.twiml import Document, Verb

if TYPE_CHECKING:
    from simulator.provider.engine import Engine
    from simulator.provider.exchange import Exchange

RATE = 8000
TONE_HZ = 440
BEEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Recording:
    sid: str
    call_sid: str
    account_sid: str
    created_at: datetime
    seconds: int
    status: str = "completed"
    source: str = "RecordVerb"

    def sound(self) -> bytes:
        return tone(self.seconds)


@dataclass(eq=False)
class LegRecording:
    """Of a leg, started over REST: runs, is paused and runs again, until the leg ends. Paused by `silence` it goes on without what is said."""

    sid: str
    leg: Leg
    clock: Clock
    created_at: datetime
    callback: StatusCallback | None
    status: str = "in-progress"
    source: str = "StartCallRecordingAPI"
    ended_at: datetime | None = None

    @property
    def call_sid(self) -> str:
        return self.leg.sid

    @property
    def account_sid(self) -> str:
        return self.leg.account_sid

    @property
    def seconds(self) -> int:
        return math.ceil(((self.ended_at or self.clock.now()) - self.created_at).total_seconds())

    def sound(self) -> bytes:
        return tone(self.seconds)

    def end(self) -> None:
        if self.ended_at is None:
            self.ended_at = self.clock.now()
            self.status = "completed" if self.seconds else "absent"


AnyRecording = Recording | LegRecording


def tone(seconds: int) -> bytes:
    """Of that length: 8 kHz, 16 bits, one channel."""
    samples = array("h", (int(8000 * math.sin(2 * math.pi * TONE_HZ * n / RATE)) for n in range(RATE * seconds)))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(samples.tobytes())
    return file.getvalue()


async def keep_until_end(exchange: "Exchange", made: LegRecording) -> None:
    """Then its callback goes out."""
    await made.leg.watch(lambda: made.leg.is_over or made.ended_at is not None, None)
    made.end()
    exchange.journal.add("recording", sid=made.call_sid, recording=made.sid, status=made.status, seconds=made.seconds)
    if made.callback is not None and made.status in made.callback.events:
        path = f"{exchange.config.base}{API_VERSION}/Accounts/{made.account_sid}/Recordings/{made.sid}"
        told = {
            "AccountSid": made.account_sid,
            "CallSid": made.call_sid,
            "RecordingSid": made.sid,
            "RecordingUrl": path,
            "RecordingStatus": made.status,
            "RecordingDuration": str(made.seconds),
            "RecordingChannels": "2",
            "RecordingStartTime": fields.rfc2822(made.created_at),
            "RecordingSource": made.source,
            "RecordingTrack": "both",
            "ErrorCode": "0",
        }
        exchange.callbacks.send(made.callback.target, told, made.leg.party)


async def record(engine: "Engine", verb: Verb, document: Document) -> None:
    """Returns (the document goes on) when nothing was said."""
    leg, exchange = engine.leg, engine.exchange
    action = engine.target(verb.get("action"), verb.get("method", "POST"), document)
    callback = None
    if "recordingStatusCallback" in verb.attributes:
        method = verb.get("recordingStatusCallbackMethod", "POST")
        callback = engine.target(verb.get("recordingStatusCallback"), method, document)
    events = (verb.get("recordingStatusCallbackEvent") or "completed").split()
    leg.keys.clear()
    if verb.flag("playBeep", True):
        await leg.rest(BEEP_S)
    began, spoken = engine.clock.now(), _Spoken(verb.whole("maxLength", 3600))
    try:
        digits = await _listen(engine, verb, spoken)
    except HungUp:
        digits = "hangup"
    seconds = math.ceil(spoken.seconds)
    status = "completed" if seconds else "absent"
    sid = exchange.chance.sid("recording")
    if seconds:
        exchange.keep_recording(Recording(sid, leg.sid, leg.account_sid, began, seconds))
    exchange.journal.add("recording", sid=leg.sid, recording=sid, status=status, seconds=seconds)
    url = f"{exchange.config.base}{API_VERSION}/Accounts/{leg.account_sid}/Recordings/{sid}"
    facts = {"RecordingUrl": url, "RecordingSid": sid, "RecordingDuration": str(seconds)}
    if callback is not None and status in events:
        told = {
            "AccountSid": leg.account_sid,
            "CallSid": leg.sid,
            **facts,
            "RecordingStatus": status,
            "RecordingChannels": "1",
            "RecordingStartTime": fields.rfc2822(began),
            "RecordingSource": "RecordVerb",
            "RecordingTrack": "inbound",
            "ErrorCode": "0",
        }
        exchange.callbacks.send(callback, told, leg.party)
    if not seconds:
        if digits == "hangup":
            raise HungUp
        return
    if digits == "hangup":
        engine.notify_action(action, {**facts, "Digits": digits})
        raise HungUp
    raise Goto(DocumentRequest(action, {**facts, "Digits": digits}))


@dataclass
class _Spoken:
    limit_s: float
    seconds: float = 0

    @property
    def left_s(self) -> float:
        return self.limit_s - self.seconds


async def _listen(engine: "Engine", verb: Verb, spoken: _Spoken) -> str:
    """The key that ended it; blank when silence or the limit did. `spoken` also counts what a hang-up cuts off."""
    leg, finish, silence_s = engine.leg, verb.get("finishOnKey", "1234567890*#"), verb.whole("timeout", 5)
    while spoken.left_s > 0:
        if not await leg.wait_for(lambda: bool(leg.keys or leg.speech), silence_s):
            return ""
        if not leg.keys:
            length_s = min(len(leg.speech.popleft()) / engine.exchange.config.speech_chars_per_s, spoken.left_s)
            since = engine.clock.now()
            try:
                await leg.wait_for(lambda: bool(leg.keys), length_s)
            finally:
                spoken.seconds += min((engine.clock.now() - since).total_seconds(), length_s)
        while leg.keys:
            key = leg.keys.popleft()
            if key in finish:
                return key
    return ""
