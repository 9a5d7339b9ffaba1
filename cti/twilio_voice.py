"""TwiML documents: the only place that knows which verbs we use. Pure: settings in, XML text out.

`<Enqueue>` is a parking place, order and choice are ours. Every conversation is a conference named after our call id, so hold,
transfer and "the agent's browser died" are possible. All TwiML names the same conference callback: only the first participant's
counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from twilio.twiml.voice_response import Dial, Gather, VoiceResponse

from core.calendar import Calendar
from core.texts import in_language
from cti.menu import Menu, Way, way_along
from cti.texts import speakable, text_for

EMPTY: Final = '<?xml version="1.0" encoding="UTF-8"?><Response />'
CONFERENCE_EVENTS: Final = "start end join leave hold"
INLINE_LIMIT: Final = 4000
EMERGENCY_PAUSE_S: Final = 8
HOLD_PAUSE_S: Final = 20
OUTSIDE_RING_S: Final = 30
OUTSIDE_LIMIT_S: Final = 4 * 3600
MAX_RETRIES: Final = 60
AGENT_PAUSE_S: Final = 2
TAKE_KEY: Final = "1"
KEY_WAIT_S: Final = 4
KEY_ROUNDS: Final = 3
MAX_AGENT_RETRIES: Final = 15


@dataclass(frozen=True, slots=True)
class Recorder:
    """How a number takes messages. `key` is what a waiting caller presses; `is_offered` only where the organisation says so."""

    is_offered: bool = False
    key: str | None = None
    max_s: int = 120
    silence_s: int = 5
    after_hours: bool = False
    """Whether a closed number takes messages too."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """How the conversations of a number are recorded. `decline_key`: what a caller presses who does not want it."""

    decline_key: str | None = None
    keep_days: int = 90
    pause_on_hold: bool = True


@dataclass(frozen=True, slots=True)
class QueueRules:
    """What a queue says for itself: its hours, and (where `says_recording`) how its conversations are recorded, whatever the number says."""

    calendar: Calendar | None = None
    says_recording: bool = False
    recording: Recorded | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One of our numbers: where its calls go and how it speaks."""

    number: str
    region: str
    queue: str
    language: str = "en"
    texts: dict[str, str] = field(default_factory=dict)
    music: str | None = None
    """The address of what is played on hold; else there is a word and silence."""
    recorder: Recorder = Recorder()
    recording: Recorded | None = None
    calendar: Calendar | None = None
    menu: Menu | None = None
    queues: Mapping[str, QueueRules] = field(default_factory=dict)
    """Those that say something for themselves."""

    def within(self, queue: str | None) -> "Line":
        """The number as callers of this queue meet it; before any is known, of the number's own where it asks nothing."""
        known = queue or (self.queue if self.menu is None else None)
        rules = None if known is None else self.queues.get(known)
        return self if rules is None or not rules.says_recording else replace(self, recording=rules.recording)

    @property
    def may_record(self) -> bool:
        return self.recording is not None or any(rules.recording is not None for rules in self.queues.values())

    def way(self, path: str | None = None) -> Way | None:
        """Where in its menus a call is that has come along this path; None where the number asks nothing."""
        return None if self.menu is None else way_along(self.menu, path)

    def is_open(self, at: datetime) -> bool:
        return self.calendar is None or self.calendar.is_open(at)

    def lets_into(self, queue: str, at: datetime) -> bool:
        calendar = self.queues[queue].calendar if queue in self.queues else None
        return calendar is None or calendar.is_open(at)

    @property
    def say_language(self) -> str:
        return {"en": "en-US", "de": "de-DE", "zh": "zh-CN"}.get(self.language, self.language)

    @property
    def heard_language(self) -> str:
        """As the provider names what it listens for, which is not in all languages how it names what it says."""
        heard = {"zh-CN": "cmn-Hans-CN", "zh-TW": "cmn-Hant-TW", "zh-HK": "yue-Hant-HK"}
        return heard.get(self.say_language, self.say_language)


def _say(response: VoiceResponse | Gather, line: Line, kind: str, **values: object) -> None:
    response.say(text_for(line.texts, kind, line.language, **values), language=line.say_language)


CONSENT_S: Final = 3
"""So long a caller may think about it before the way goes on."""


def _say_consent(response: VoiceResponse, line: Line, base: str) -> None:
    """That the call is recorded, before anything is; and by what key the caller declines."""
    if line.recording is None:
        return
    key = line.recording.decline_key
    if key is None:
        _say(response, line, "consent")
        return
    gather = Gather(action=f"{base}/twilio/consent", method="POST", input="dtmf", num_digits=1, timeout=CONSENT_S)
    _say(gather, line, "consent_key", key=key)
    response.append(gather)


def enqueue(line: Line, base: str, *, greet: bool = True, asks: bool = False) -> str:
    """Greeting, then wait in our parking queue; the wait document is asked again each time it ends. `asks`: where the number records, the caller is told."""
    response = VoiceResponse()
    if greet:
        _say(response, line, "greeting")
    if asks:
        _say_consent(response, line, base)
    _park(response, base)
    return str(response)


def _park(response: VoiceResponse, base: str, tries: int = 0) -> None:
    """`tries` travels in the address, so that a queue that refuses again and again is noticed."""
    response.enqueue(
        "ringdesk",
        action=f"{base}/twilio/queue/done" + (f"?r={tries}" if tries else ""),
        wait_url=f"{base}/twilio/queue/wait",
        wait_url_method="POST",
    )


ROUND_S: Final = 10


def wait(
    line: Line,
    position: int | None,
    *,
    nobody: bool = False,
    base: str = "",
    minutes: tuple[int, int] | None = None,
) -> str:
    """One round of waiting. `position` counts from 1 in the caller's own queue; None when it is not known. `minutes`: how long others waited.

    Where the number offers it, a key pressed meanwhile asks for the recorder; it comes back to the same address."""
    response = VoiceResponse()
    key = line.recorder.key
    listening = response if key is None else Gather(action=f"{base}/twilio/queue/wait", num_digits=1, timeout=1)
    if nobody:
        _say(listening, line, "nobody")
    elif position == 1:
        _say(listening, line, "next")
    elif position is not None:
        _say(listening, line, "wait", position=position)
    if minutes is not None and not nobody:
        least, most = minutes
        if most == 1:
            _say(listening, line, "wait_short")
        elif least in (0, most):
            _say(listening, line, "wait_up_to", most=most)
        else:
            _say(listening, line, "wait_range", least=least, most=most)
    if key is not None:
        if position is not None:
            _say(listening, line, "voicemail_key", key=key)
        listening.pause(length=ROUND_S - 2)
        response.append(listening)
        response.pause(length=1)
    else:
        response.pause(length=ROUND_S)
    return str(response)


def menu(
    line: Line, base: str, way: Way, *, tries: int = 0, step: int | None = None, greet: bool = False, asks: bool = False
) -> str:
    """What may be chosen, by a key or by a word. Nothing chosen in time: the same way on, and `tries` says how often it was played.

    `step`: the version of a call that is in the menus already. It stands in the address with the menu, so that the same key in a menu that is heard
    once more, after going back, is another answer."""
    response, found = VoiceResponse(), way.here
    way_on = f"{base}/twilio/ivr?n={tries}" + ("" if step is None else f"&m={found.key}&s={step}")
    more = {"hints": ", ".join(found.words)} if found.words else {}
    gather = Gather(
        action=way_on,
        method="POST",
        input="dtmf speech" if found.words else "dtmf",
        num_digits=1,
        timeout=found.timeout_s,
        language=line.heard_language,
        **more,
    )
    if asks and line.recording is not None:
        if greet:
            _say(response, line, "greeting")
        _say_consent(response, line, base)
    elif greet:
        _say(gather, line, "greeting")
    elif tries:
        _say(gather, line, "menu_again")
    gather.say(speakable(in_language(dict(found.prompt), line.language)), language=line.say_language)
    if way.is_below and found.back is not None:
        _say(gather, line, "menu_back", key=found.back)
    if way.is_below and found.main is not None:
        _say(gather, line, "menu_main", key=found.main)
    response.append(gather)
    response.redirect(way_on, method="POST")
    return str(response)


def closed(line: Line, base: str) -> str:
    """Nobody is there at this hour."""
    if line.recorder.after_hours:
        return record(line, base, first="closed")
    return farewell(line, "closed")


def reject() -> str:
    """As the first verb, so that the call is neither answered nor paid for: the caller hears that we are busy."""
    response = VoiceResponse()
    response.reject(reason="busy")
    return str(response)


def record(line: Line, base: str, *, first: str | None = None) -> str:
    """A word, a beep, and what the caller says. `first` is said before: why nobody answers. Nothing heard: the document goes on."""
    response = VoiceResponse()
    if first is not None:
        _say(response, line, first)
    _say(response, line, "voicemail")
    response.record(
        action=f"{base}/twilio/voicemail/done",
        method="POST",
        max_length=line.recorder.max_s,
        timeout=line.recorder.silence_s,
        finish_on_key="#",
        play_beep=True,
        recording_status_callback=f"{base}/twilio/recording",
        recording_status_callback_method="POST",
        recording_status_callback_event="completed absent",
    )
    response.redirect(f"{base}/twilio/voicemail/done", method="POST")
    return str(response)


def to_recorder(line: Line, base: str) -> str:
    """From a conference that nobody else is in. Short enough to be sent over REST."""
    document = record(line, base, first="unreachable")
    return document if len(document) <= INLINE_LIMIT else to_recorder(replace(line, texts={}), base)


def farewell(line: Line, text: str) -> str:
    """A last word: `closed`, `voicemail_thanks`, `voicemail_empty`."""
    response = VoiceResponse()
    _say(response, line, text)
    response.hangup()
    return str(response)


def conference(
    base: str,
    name: str,
    *,
    offer_id: int,
    label: str,
    ends_with_caller: bool,
    tells: Line | None = None,
    is_telephone: bool = False,
) -> str:
    """Join the call's conference. It ends when the customer leaves; the agent leaving does not drop the customer.

    The result names the offer, so that the end of an earlier connection is not taken for the end of this one. The telephone of an agent asks for nothing
    afterwards: it is done."""
    response = VoiceResponse()
    if tells is not None:
        _say_consent(response, tells, base)
    dial = Dial() if is_telephone else Dial(action=f"{base}/twilio/dial/done?o={offer_id}", method="POST")
    dial.conference(
        name,
        start_conference_on_enter=True,
        end_conference_on_exit=ends_with_caller,
        participant_label=label,
        beep=False,
        status_callback=f"{base}/twilio/conference",
        status_callback_event=CONFERENCE_EVENTS,
        status_callback_method="POST",
    )
    response.append(dial)
    document = str(response)
    if tells is None or not tells.texts or len(document) <= INLINE_LIMIT:
        return document
    bare = replace(tells, texts={})
    return conference(base, name, offer_id=offer_id, label=label, ends_with_caller=ends_with_caller, tells=bare)


def hold(line: Line) -> str:
    """One round on hold; it is asked for again each time it ends."""
    response = VoiceResponse()
    _say(response, line, "hold")
    if line.music:
        response.play(line.music)
    else:
        response.pause(length=HOLD_PAUSE_S)
    return str(response)


def back_to_queue(line: Line, base: str, *, tries: int = 0, says: str = "sorry") -> str:
    """The connection failed, the agent is gone, or has given the call away: say so, keep the place. Short enough to be sent over REST."""
    response = VoiceResponse()
    _say(response, line, says)
    _park(response, base, tries)
    document = str(response)
    if len(document) <= INLINE_LIMIT:
        return document
    return back_to_queue(replace(line, texts={}), base, tries=tries, says=says)


def put_through(line: Line, base: str, number: str, *, transfer_id: int) -> str:
    """Ring a number outside, with our own number as the caller's; the result names the transfer. Short enough to be sent over REST."""
    response = VoiceResponse()
    _say(response, line, "transfer")
    dial = Dial(
        action=f"{base}/twilio/transfer/done?t={transfer_id}",
        method="POST",
        caller_id=line.number,
        timeout=OUTSIDE_RING_S,
        time_limit=OUTSIDE_LIMIT_S,
    )
    dial.number(number)
    response.append(dial)
    document = str(response)
    if len(document) <= INLINE_LIMIT:
        return document
    return put_through(replace(line, texts={}), base, number, transfer_id=transfer_id)


def not_yours(line: Line) -> str:
    response = VoiceResponse()
    _say(response, line, "taken")
    response.hangup()
    return str(response)


def press_to_take(line: Line, base: str, queue: str, *, offer_id: int, tries: int = 0) -> str:
    """What an agent's telephone hears: whose call it is, and what takes it. Said three times in all; whoever presses nothing, as no box for messages does,
    is hung up on. Another key brings the telephone back with `tries`, how often it was said by then. Short enough to be sent over REST."""
    response = VoiceResponse()
    for said in range(tries, KEY_ROUNDS):
        action = f"{base}/twilio/telephone?o={offer_id}&n={said + 1}"
        gather = Gather(action=action, method="POST", input="dtmf", num_digits=1, timeout=KEY_WAIT_S)
        _say(gather, line, "take_key", queue=queue, key=TAKE_KEY)
        response.append(gather)
    response.hangup()
    return str(response)


def goodbye(line: Line) -> str:
    response = VoiceResponse()
    _say(response, line, "goodbye")
    response.hangup()
    return str(response)


def leave() -> str:
    """In place of a round of waiting: out of the parking queue, to `/twilio/queue/done`."""
    response = VoiceResponse()
    response.leave()
    return str(response)


def deflected(line: Line) -> str:
    response = VoiceResponse()
    _say(response, line, "deflected")
    response.hangup()
    return str(response)


def deflected_at_once(line: Line) -> str:
    """Short enough to be sent over REST."""
    document = deflected(line)
    return document if len(document) <= INLINE_LIMIT else deflected(replace(line, texts={}))


def emergency(line: Line, base: str, retry: int) -> str:
    """Needs nothing but memory. The caller is the retry: after the pause Twilio asks /twilio/voice again."""
    response = VoiceResponse()
    if retry >= MAX_RETRIES:
        _say(response, line, "goodbye")
        response.hangup()
        return str(response)
    if retry % 4 == 0:  # not every eight seconds the same sentence
        _say(response, line, "emergency")
    response.pause(length=EMERGENCY_PAUSE_S)
    response.redirect(f"{base}/twilio/voice?r={retry + 1}", method="POST")
    return str(response)


def emergency_of_agent(line: Line, base: str, retry: int, call_id: str) -> str:
    """The same for an agent's phone, which must never come back as a customer: it asks for its own document again.

    The call's id stands in the address, because the phone's own parameters come with its first request only."""
    response = VoiceResponse()
    if retry < MAX_AGENT_RETRIES:
        if retry == 0:
            response.say(text_for({}, "emergency", line.language), language=line.say_language)
        response.pause(length=AGENT_PAUSE_S)
        query = urlencode({"r": retry + 1, "CallId": call_id} if call_id else {"r": retry + 1})
        response.redirect(f"{base}/twilio/agent?{query}", method="POST")
    else:
        response.hangup()
    return str(response)


def emergency_of_telephone(base: str, retry: int, offer_id: int | None, tries: int) -> str:
    """For the telephone of an agent, which is nobody's customer either: after a pause it asks again, and hears once more what to press."""
    response = VoiceResponse()
    if offer_id is not None and retry < MAX_AGENT_RETRIES:
        response.pause(length=AGENT_PAUSE_S)
        query = urlencode({"o": offer_id, "n": tries, "r": retry + 1})
        response.redirect(f"{base}/twilio/telephone?{query}", method="POST")
    else:
        response.hangup()
    return str(response)
