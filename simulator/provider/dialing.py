"""<Dial>: into a conference, or to clients and numbers of which the first to answer is bridged."""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from simulator.config import Target
from simulator.provider import twiml
from simulator.provider.conference import Seat, SeatOptions
from simulator.provider.flow import DocumentRequest, Goto, HungUp, Redirected, Stopped
from simulator.provider.leg import Leg, StatusCallback
from simulator.provider.twiml import Document, DocumentFailed, Verb

if TYPE_CHECKING:
    from simulator.provider.engine import Engine

CONFERENCE_FULL = 16020
MAX_TARGETS = 10
DEFAULT_TIMEOUT_S = 30
DEFAULT_TIME_LIMIT_S = 4 * 3600


async def dial(engine: "Engine", verb: Verb, document: Document) -> None:
    """Returns (the document goes on) only without an action URL."""
    action = engine.action(verb, document)
    conference = next((noun for noun in verb.children if noun.name == "Conference"), None)
    try:
        if conference is not None:
            facts = await _dial_conference(engine, verb, conference, document)
        else:
            facts = await _dial_out(engine, verb, document)
    except _LeftWhileDialing as left:
        engine.notify_action(action, left.facts)
        raise HungUp from left
    if action is not None:
        raise Goto(DocumentRequest(action, facts))


class _LeftWhileDialing(Exception):
    """The leg was hung up; the action URL still learns how the dial ended."""

    def __init__(self, facts: Mapping[str, str]) -> None:
        super().__init__("hung up")
        self.facts = facts


# Conferences


async def _dial_conference(engine: "Engine", verb: Verb, noun: Verb, document: Document) -> Mapping[str, str]:
    leg = engine.leg
    if not noun.text:
        raise DocumentFailed(twiml.SCHEMA_FAILED, "<Conference> without a name", document.url)
    conference = engine.exchange.conference(noun.text)
    options = seat_options(engine, noun, document)
    if len(conference.seats) >= min(options.max_participants, engine.exchange.config.conference_size):
        engine.exchange.journal.add("error", sid=leg.sid, code=CONFERENCE_FULL, why="the conference is full")
        return {"DialCallStatus": "failed"}
    leg.answer()
    seat = conference.join(leg, options)
    facts = {"DialCallStatus": "answered"}
    try:
        await _sit(engine, seat, verb.whole("timeLimit", DEFAULT_TIME_LIMIT_S))
    except HungUp:
        conference.leave(seat, "participant_hung_up")
        raise _LeftWhileDialing(facts) from None
    except Redirected:
        conference.leave(seat, "participant_updated_via_api")
        raise
    return facts


async def _sit(engine: "Engine", seat: Seat, limit_s: float) -> None:
    """Be in the conference, with music when due, until the seat is taken away."""
    leg, ends_at = engine.leg, engine.clock.now() + timedelta(seconds=limit_s)
    while not seat.has_left:
        music = seat.music
        if music is None:
            left_s = max((ends_at - engine.clock.now()).total_seconds(), 0)
            if not await leg.wait_for(lambda: seat.has_left or seat.music is not None, left_s):
                seat.conference.leave(seat, "participant_hung_up")
        else:
            await _listen(engine, seat, music)


async def _listen(engine: "Engine", seat: Seat, music: Target) -> None:
    request = DocumentRequest(music, {"ConferenceSid": seat.conference.sid})
    try:
        with engine.leg.until(lambda: seat.has_left or seat.music != music):
            await engine.play_waiting(request, twiml.HOLDING_VERBS, "conference music", is_endless=True)
    except Stopped:
        pass
    except DocumentFailed as failed:
        seat.broken_music = music
        engine.report(failed)


def seat_options(engine: "Engine", noun: Verb, document: Document) -> SeatOptions:
    def target(name: str, method: str) -> Target | None:
        url = noun.get(name)
        return engine.target(url, noun.get(method, "POST"), document) if url else None

    callback = target("statusCallback", "statusCallbackMethod")
    return SeatOptions(
        label=noun.get("participantLabel") or None,
        is_muted=noun.flag("muted", False),
        starts_conference=noun.flag("startConferenceOnEnter", True),
        ends_conference=noun.flag("endConferenceOnExit", False),
        coach_sid=noun.get("coach") or None,
        max_participants=noun.whole("maxParticipants", 250),
        wait=target("waitUrl", "waitMethod"),
        callback=StatusCallback(callback, frozenset(noun.get("statusCallbackEvent").split()))
        if callback is not None
        else None,
    )


# Clients and numbers


async def _dial_out(engine: "Engine", verb: Verb, document: Document) -> Mapping[str, str]:
    leg = engine.leg
    children = [_child(engine, verb, noun, document) for noun in _targets(verb, document)]
    try:
        await leg.wait_for(
            lambda: any(child.is_ready for child in children) or all(child.is_over for child in children),
            verb.whole("timeout", DEFAULT_TIMEOUT_S),
        )
        chosen = next((child for child in children if child.is_ready), None)
        for child in children:
            if child is not chosen:
                child.hang_up("completed" if child.is_answered else "no-answer")
        if chosen is None:
            return {"DialCallStatus": _why_nobody(children), "DialCallSid": children[0].sid}
        await _bridge(engine, chosen, verb.whole("timeLimit", DEFAULT_TIME_LIMIT_S))
        return _result(engine, chosen)
    except HungUp:
        chosen = leg.partner
        _let_go(leg, children)
        if chosen is None:
            raise _LeftWhileDialing({"DialCallStatus": "canceled", "DialCallSid": children[0].sid}) from None
        raise _LeftWhileDialing(_result(engine, chosen)) from None
    except Redirected:
        _let_go(leg, children)
        raise


async def _bridge(engine: "Engine", child: Leg, limit_s: float) -> None:
    leg = engine.leg
    leg.answer()  # with answerOnBridge it was still ringing
    leg.partner, child.partner = child, leg
    child.bridged_at = engine.clock.now()
    leg.notify()
    child.notify()
    await leg.wait_for(lambda: child.is_over or leg.partner is None, limit_s)
    if leg.partner is child:
        child.hang_up("completed")
        separate(child)


def separate(leg: Leg) -> None:
    """End the bridge; both sides learn it."""
    partner = leg.partner
    leg.partner = None
    if partner is not None:
        partner.partner = None
        partner.notify()
    leg.notify()


def _let_go(leg: Leg, children: list[Leg]) -> None:
    separate(leg)
    for child in children:
        child.hang_up("completed" if child.is_answered else "canceled")


def _targets(verb: Verb, document: Document) -> list[Verb]:
    """The nouns to ring; a bare number in <Dial> is one of them."""
    if verb.text and not verb.children:
        return [Verb("Number", {}, verb.text)]
    unplayed = [noun.name for noun in verb.children if noun.name not in {"Client", "Number"}]
    if unplayed or not verb.children or len(verb.children) > MAX_TARGETS:
        why = f"the simulator does not dial <{unplayed[0]}>" if unplayed else "<Dial> needs one to ten targets"
        raise DocumentFailed(twiml.SCHEMA_FAILED, why, document.url)
    return list(verb.children)


def _child(engine: "Engine", verb: Verb, noun: Verb, document: Document) -> Leg:
    leg = engine.leg
    address = noun.text or next((n.text for n in noun.children if n.name == "Identity"), "")
    is_client = noun.name == "Client"
    callback = None
    if url := noun.get("statusCallback"):
        default = "" if is_client else "completed"
        callback = StatusCallback(
            engine.target(url, noun.get("statusCallbackMethod", "POST"), document),
            frozenset(noun.get("statusCallbackEvent", default).split()),
        )
    whisper = None
    if url := noun.get("url"):
        whisper = DocumentRequest(engine.target(url, noun.get("method", "POST"), document))
    timeout_s = verb.whole("timeout", DEFAULT_TIMEOUT_S)
    return engine.exchange.call_out(
        from_=verb.get("callerId") or leg.from_,
        to=f"client:{address}" if is_client else address,
        program=None,
        direction="outbound-dial",
        parent=leg,
        callback=callback,
        timeout_s=timeout_s,
        whisper=whisper,
        faults=leg.party.faults,
    )


def _why_nobody(children: list[Leg]) -> str:
    """One word for all: the best that was reached counts."""
    reached = {child.status for child in children}
    return next((word for word in ("no-answer", "busy", "failed", "canceled") if word in reached), "no-answer")


def _result(engine: "Engine", child: Leg) -> Mapping[str, str]:
    talked_s = 0
    if child.bridged_at is not None:
        talked_s = math.ceil((engine.clock.now() - child.bridged_at).total_seconds())
    return {
        "DialCallStatus": "completed",
        "DialCallSid": child.sid,
        "DialCallDuration": str(talked_s),
        "DialBridged": "true",
    }
