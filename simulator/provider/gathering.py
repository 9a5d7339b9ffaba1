"""<Gather>: digits and speech. Nothing entered in time: the document goes on."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from simulator.provider.flow import DocumentRequest, Goto
from simulator.provider.twiml import Document, Verb

if TYPE_CHECKING:
    from simulator.provider.engine import Engine

SPEECH_CONFIDENCE = "0.9"


async def gather(engine: "Engine", verb: Verb, document: Document) -> None:
    leg = engine.leg
    wanted = set((verb.get("input") or "dtmf").split())
    leg.keys.clear()  # what was typed before is not asked for

    def has_input() -> bool:
        return bool(("dtmf" in wanted and leg.keys) or ("speech" in wanted and leg.speech))

    facts: dict[str, str] | None = None
    if await _is_given(engine, verb, has_input):
        if "dtmf" in wanted and leg.keys:
            facts = {"Digits": await _digits(engine, verb)}
        else:
            facts = {"SpeechResult": leg.speech.popleft(), "Confidence": SPEECH_CONFIDENCE}
    elif verb.flag("actionOnEmptyResult", False):
        facts = {"Digits": ""} if "dtmf" in wanted else {"SpeechResult": "", "Confidence": "0.0"}
    if facts is None:
        return
    # Without an action the answer goes to the document's own address.
    target = engine.target(verb.get("action"), verb.get("method", "POST"), document)
    raise Goto(DocumentRequest(target, facts))


async def _is_given(engine: "Engine", verb: Verb, has_input: Callable[[], bool]) -> bool:
    leg = engine.leg
    leg.is_asked = True
    leg.notify()
    try:
        await engine.prompt_until(has_input, verb.children)
        return await leg.wait_for(has_input, verb.whole("timeout", 5))
    finally:
        leg.is_asked = False


async def _digits(engine: "Engine", verb: Verb) -> str:
    leg = engine.leg
    finish = verb.get("finishOnKey", "#")
    most = verb.whole("numDigits", 0)
    digits = ""
    while True:
        if not leg.keys and not await leg.wait_for(lambda: bool(leg.keys), verb.whole("timeout", 5)):
            return digits
        key = leg.keys.popleft()
        if finish and key in finish:
            return digits
        digits += key
        if most and len(digits) >= most:
            return digits
