"""TwiML as data: a document is a tuple of verbs, checked when it is read.

A document that cannot be played raises DocumentFailed with the provider's code: 12100 it does not parse, 12200 a verb
or noun is unknown or not allowed there, 12300 the content type is none of the known ones. Unknown attributes are only
warnings, as at the provider.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PARSE_FAILED = 12100
SCHEMA_FAILED = 12200
CONTENT_TYPE_UNKNOWN = 12300
TOO_LARGE = 11750
INVALID_URL = 11100
INVALID_TEXT = 13520

MAX_DOCUMENT_BYTES = 64 * 1024
MAX_SAY = 4096


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


VERBS: Final = _names(
    "Say Play Pause Gather Enqueue Leave Dial Redirect Reject Hangup Record Sms Message Start Stop Connect Refer "
    "Pay Prompt Echo Queue"
)
"""Known to the provider. What of these the simulator does not play is refused when its turn comes, by name."""
WAITING_VERBS: Final = _names("Play Say Pause Hangup Redirect Leave Gather")
HOLDING_VERBS: Final = _names("Play Say Pause Redirect")
WHISPER_VERBS: Final = _names("Play Say Pause Gather Redirect Hangup Reject")
PROMPTS: Final = _names("Say Play Pause")
NOUNS: Final = {
    "Dial": _names("Client Number Conference Queue Sip Sim"),
    "Client": frozenset({"Identity", "Parameter"}),
    "Gather": PROMPTS,
}

_STATUS: Final = _names("statusCallback statusCallbackEvent statusCallbackMethod")
ATTRIBUTES: Final[Mapping[str, frozenset[str]]] = {
    "Say": frozenset({"voice", "language", "loop"}),
    "Play": frozenset({"loop", "digits"}),
    "Pause": frozenset({"length"}),
    "Gather": _names(
        "input action method timeout speechTimeout maxSpeechTime numDigits finishOnKey actionOnEmptyResult language "
        "hints partialResultCallback partialResultCallbackMethod bargeIn profanityFilter speechModel enhanced "
        "debug dtmfDetection"
    ),
    "Enqueue": _names("action method waitUrl waitUrlMethod maxQueueSize workflowSid"),
    "Leave": frozenset(),
    "Hangup": frozenset(),
    "Record": _names(
        "action method timeout finishOnKey maxLength playBeep trim recordingStatusCallback recordingStatusCallbackMethod "
        "recordingStatusCallbackEvent transcribe transcribeCallback"
    ),
    "Reject": frozenset({"reason"}),
    "Redirect": frozenset({"method"}),
    "Dial": _names(
        "action method timeout hangupOnStar timeLimit callerId record trim recordingStatusCallback ringTone "
        "recordingStatusCallbackMethod recordingStatusCallbackEvent answerOnBridge sequential referUrl referMethod "
        "recordingTrack events"
    ),
    "Conference": _names(
        "muted beep startConferenceOnEnter endConferenceOnExit participantLabel jitterBufferSize maxParticipants "
        "record region trim coach waitUrl waitMethod recordingStatusCallback recordingStatusCallbackMethod "
        "recordingStatusCallbackEvent eventCallbackUrl"
    )
    | _STATUS,
    "Client": frozenset({"url", "method"}) | _STATUS,
    "Number": _names("url method sendDigits byoc callReason machineDetection") | _STATUS,
}


class DocumentFailed(Exception):
    def __init__(self, code: int, why: str, url: str | None = None) -> None:
        super().__init__(why)
        self.code = code
        self.why = why
        self.url = url


@dataclass(frozen=True, slots=True)
class Verb:
    name: str
    attributes: Mapping[str, str]
    text: str
    children: tuple["Verb", ...] = ()

    def get(self, name: str, default: str = "") -> str:
        return self.attributes.get(name, default)

    def whole(self, name: str, default: int) -> int:
        """A whole number; what is none counts as absent, as at the provider."""
        value = self.get(name).strip()
        return int(value) if value.isdigit() else default

    def flag(self, name: str, default: bool) -> bool:
        value = self.get(name).strip().lower()
        return {"true": True, "false": False}.get(value, default)


@dataclass(frozen=True, slots=True)
class Document:
    url: str | None
    """Where it came from; None for TwiML given inline, whose URLs must be absolute."""
    verbs: tuple[Verb, ...]
    warnings: tuple[str, ...] = ()


def read(content_type: str, body: bytes, charset: str, url: str | None) -> Document:
    """The document in an answer, by the provider's content type rules. Raises DocumentFailed."""
    if content_type in {"text/xml", "application/xml", "text/html"}:
        return parse(body, url)
    if content_type == "text/plain":
        text = body.decode(charset, "replace")
        return Document(url, (Verb("Say", {}, text),), ("text/plain is read aloud",))
    if content_type.startswith("audio/"):
        return Document(url, (Verb("Play", {}, url or ""),))
    raise DocumentFailed(CONTENT_TYPE_UNKNOWN, f"content type {content_type or 'missing'!r}", url)


def parse(body: bytes, url: str | None) -> Document:
    if len(body) > MAX_DOCUMENT_BYTES:
        raise DocumentFailed(TOO_LARGE, f"the document has {len(body)} bytes", url)
    try:
        root = ET.fromstring(body)  # noqa: S314 - size is limited above, and expat bounds entity expansion
    except (ET.ParseError, ValueError, LookupError) as failed:
        raise DocumentFailed(PARSE_FAILED, f"not well-formed: {failed}", url) from failed
    if root.tag != "Response":
        raise DocumentFailed(SCHEMA_FAILED, f"the root element is <{root.tag}>, not <Response>", url)
    warnings: list[str] = []
    verbs = tuple(_verb(element, VERBS, "Response", warnings, url) for element in root)
    return Document(url, verbs, tuple(warnings))


def require(document: Document, allowed: frozenset[str], where: str) -> None:
    for verb in document.verbs:
        if verb.name not in allowed:
            raise DocumentFailed(SCHEMA_FAILED, f"<{verb.name}> is not allowed in {where}", document.url)


def _verb(element: ET.Element, allowed: frozenset[str], parent: str, warnings: list[str], url: str | None) -> Verb:
    name = element.tag
    if name not in allowed:
        raise DocumentFailed(SCHEMA_FAILED, f"<{name}> is not known in <{parent}>", url)
    known = ATTRIBUTES.get(name)
    if known is not None:
        warnings.extend(f"<{name}> has no attribute {a!r}" for a in element.attrib if a not in known)
    nouns = NOUNS.get(name)
    children = tuple(_verb(c, nouns, name, warnings, url) for c in element) if nouns else ()
    # Elements inside <Say> are speech markup: only their text is heard.
    text = "".join(element.itertext()) if name == "Say" else (element.text or "")
    if name == "Say" and len(text) > MAX_SAY:
        raise DocumentFailed(INVALID_TEXT, f"<Say> has {len(text)} characters", url)
    return Verb(name, dict(element.attrib), text.strip(), children)
