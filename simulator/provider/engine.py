"""Plays TwiML on one leg.

Control flow is by exception, because any verb, at any depth, may end what is being played: `Goto` (the next document
takes over), `LeftQueue` (<Leave>), and from the leg itself HungUp, Redirected and Stopped. A document that cannot be
fetched or played sends the leg to its fallback URL once per failure; without one, or when that fails too, the caller
hears an error message and the call ends.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from simulator.config import Target
from simulator.provider import dialing, fields, gathering, queueing, recording, twiml
from simulator.provider.flow import DocumentRequest, Goto, HungUp, Inline, LeftQueue, Program, Redirected
from simulator.provider.leg import Heard, Leg
from simulator.provider.twiml import Document, DocumentFailed, Verb
from simulator.provider.webhooks import WebhookFailed

if TYPE_CHECKING:
    from simulator.provider.exchange import Exchange

MAX_DOCUMENTS = 100
"""Documents that may follow each other within LOOP_WINDOW: a redirect loop ends here."""
LOOP_WINDOW = timedelta(seconds=10)
MAX_HOPS = 10
LOOP_FOREVER_S = 24 * 3600.0


class Engine:
    def __init__(self, exchange: "Exchange", leg: Leg) -> None:
        self.exchange = exchange
        self.leg = leg
        self.clock = exchange.clock
        self._barge_in: Callable[[], bool] = lambda: False
        self._is_first_verb = True
        self._first_fields: Mapping[str, str] = leg.first_fields

    async def run(self, program: Program) -> None:
        """Play until the leg is over. A document that ends hangs up."""
        following: Program | None = program
        since, documents = self.clock.now(), 0
        try:
            while following is not None:
                documents += 1
                if self.clock.now() - since > LOOP_WINDOW:
                    since, documents = self.clock.now(), 0
                if documents > MAX_DOCUMENTS:
                    raise DocumentFailed(twiml.SCHEMA_FAILED, "documents follow each other without end")
                following = await self._play_one(following)
            self.leg.hang_up("completed")
        except HungUp:
            pass
        except DocumentFailed as failed:
            self.report(failed)
            self._hear("Say", "We are sorry, an application error has occurred. Goodbye.")
            self.leg.answer()
            self.leg.hang_up("completed")

    async def attend(self, whisper: DocumentRequest | None) -> Program | None:
        """A dialled leg: hear the whisper, then wait to be bridged and let go.

        Returns what REST gave it to play instead, or None when it is over.
        """
        try:
            if whisper is not None:
                await self.play_waiting(whisper, twiml.WHISPER_VERBS, "a whisper document")
            self.leg.is_ready = True
            if self.leg.parent is not None:
                self.leg.parent.notify()
            await self.leg.wait_for(lambda: False, None)
        except HungUp:
            pass
        except Redirected as redirected:
            self.leg.is_ready = False
            dialing.separate(self.leg)
            return redirected.program
        except DocumentFailed as failed:
            self.report(failed)
            self.leg.hang_up("completed")
        return None

    async def _play_one(self, program: Program) -> Program | None:
        """Play one document to its end; returns what follows, None at the end of the document."""
        content = program.fields if isinstance(program, DocumentRequest) else {}
        try:
            try:
                await self.play(await self._document(program))
            except DocumentFailed as failed:
                await self.play(await self._fall_back(failed, content))
        except Goto as jump:
            return jump.request
        except Redirected as redirected:
            return redirected.program
        return None

    async def play(self, document: Document) -> None:
        for verb in document.verbs:
            if self._is_first_verb and verb.name not in {"Pause", "Redirect", "Reject"}:
                self._is_first_verb = False
                if not (verb.name == "Dial" and verb.flag("answerOnBridge", False)):
                    self.leg.answer()
            await self._verb(verb, document)

    async def play_waiting(
        self, request: DocumentRequest, allowed: frozenset[str], where: str, *, is_endless: bool = False
    ) -> None:
        """Play documents beside the main one (wait, hold, whisper), again and again if endless.

        They never fall back: DocumentFailed reaches the verb that asked for them.
        """
        following: DocumentRequest | None = request
        round_began, hops = self.clock.now(), 0
        while following is not None:
            document = await self.fetch(following)
            twiml.require(document, allowed, where)
            try:
                await self.play(document)
            except Goto as jump:
                following, hops = jump.request, hops + 1
                if hops < MAX_HOPS:
                    continue
            else:
                following = self.waiting_request(request) if is_endless else None
            if following is not None and self.clock.now() == round_began:
                await self.leg.rest(1)  # documents without length must not be asked for in a tight loop
            round_began, hops = self.clock.now(), 0

    def waiting_request(self, request: DocumentRequest) -> DocumentRequest:
        """The same request with what it says about the queue brought up to date."""
        queue = self.exchange.queues.get(self.leg.queue_name) if self.leg.queue_name else None
        if queue is None:
            return request
        return DocumentRequest(request.target, queue.fields(self.leg, self.clock.now()))

    # Documents

    async def fetch(self, request: DocumentRequest) -> Document:
        """Raises DocumentFailed; an interrupted leg leaves the answer unheard."""
        return await self.leg.result_of(self.exchange.tasks.spawn, self._fetch(request))

    async def _fetch(self, request: DocumentRequest) -> Document:
        content = fields.standard(self.leg) | dict(self._first_fields) | dict(request.fields)
        try:
            answer = await self.exchange.webhooks.send(request.target, content, self.leg.party, "webhook")
        except WebhookFailed as failed:
            raise DocumentFailed(failed.code, failed.why, failed.url) from failed
        document = twiml.read(answer.content_type, answer.body, answer.charset, answer.url)
        self._first_fields = {}
        for warning in document.warnings:
            self.exchange.journal.add("warning", sid=self.leg.sid, url=answer.url, why=warning)
        return document

    async def _document(self, program: Program) -> Document:
        match program:
            case DocumentRequest():
                return await self.fetch(program)
            case Inline(body):
                return twiml.parse(body.encode(), None)
            case document:
                return document

    async def _fall_back(self, failed: DocumentFailed, content: Mapping[str, str]) -> Document:
        """The fallback document, asked for with the fields of the request that failed."""
        fallback = self.leg.fallback
        if fallback is None:
            raise failed
        self.report(failed)
        facts = {"ErrorCode": str(failed.code), "ErrorUrl": failed.url or ""}
        return await self.fetch(DocumentRequest(fallback, {**content, **facts}))

    def target(self, url: str, method: str, document: Document) -> Target:
        """The address in an attribute, resolved against the document it stands in."""
        resolved = urljoin(document.url or "", url) if url or document.url else ""
        if urlsplit(resolved).scheme not in {"http", "https"}:
            raise DocumentFailed(twiml.INVALID_URL, f"not a URL: {url!r}", document.url)
        return Target(resolved, "GET" if method.upper() == "GET" else "POST")

    def action(self, verb: Verb, document: Document) -> Target | None:
        if "action" not in verb.attributes:
            return None
        return self.target(verb.get("action"), verb.get("method", "POST"), document)

    def notify_action(self, target: Target | None, facts: Mapping[str, str]) -> None:
        """Tell an action URL how it ended for a leg that is over or elsewhere; the answer is not played."""
        if target is None:
            return
        content = fields.standard(self.leg) | dict(facts)

        async def tell() -> None:
            try:
                await self.exchange.webhooks.send(target, content, self.leg.party, "webhook")
            except WebhookFailed as failed:
                self.report(DocumentFailed(failed.code, failed.why, failed.url))

        self.exchange.tasks.spawn(tell(), f"action.{self.leg.sid}")

    def report(self, failed: DocumentFailed) -> None:
        self.exchange.journal.add("error", sid=self.leg.sid, code=failed.code, url=failed.url, why=failed.why)

    # Verbs

    async def _verb(self, verb: Verb, document: Document) -> None:
        match verb.name:
            case "Say" | "Play" | "Pause":
                await self.prompt(verb)
            case "Gather":
                await gathering.gather(self, verb, document)
            case "Record":
                await recording.record(self, verb, document)
            case "Enqueue":
                await queueing.enqueue(self, verb, document)
            case "Leave":
                raise LeftQueue
            case "Dial":
                await dialing.dial(self, verb, document)
            case "Redirect":
                raise Goto(DocumentRequest(self.target(verb.text, verb.get("method", "POST"), document)))
            case "Reject":
                self._reject(verb)
            case "Hangup":
                self.leg.hang_up("completed")
                raise HungUp
            case unplayed:
                raise DocumentFailed(twiml.SCHEMA_FAILED, f"the simulator does not play <{unplayed}>", document.url)

    def _reject(self, verb: Verb) -> None:
        """Leaves the call unanswered only as its first verb; later it is a hang-up."""
        unanswered = "busy" if verb.get("reason") == "busy" else "no-answer"
        self.leg.hang_up("completed" if self.leg.is_answered else unanswered)
        raise HungUp

    async def prompt(self, verb: Verb) -> None:
        """Say, Play or Pause; ends early when an enclosing <Gather> has input."""
        if verb.name == "Pause":
            await self.leg.wait_for(self._barge_in, verb.whole("length", 1))
            return
        config = self.exchange.config
        once_s = len(verb.text) / config.speech_chars_per_s if verb.name == "Say" else config.play_s
        loop = verb.whole("loop", 1)
        self._hear(verb.name, verb.text or verb.get("digits"))
        await self.leg.wait_for(self._barge_in, once_s * loop if loop else LOOP_FOREVER_S)

    async def prompt_until(self, has_input: Callable[[], bool], prompts: tuple[Verb, ...]) -> None:
        """Play prompts until there is input."""
        self._barge_in = has_input
        try:
            for verb in prompts:
                if has_input():
                    return
                await self.prompt(verb)
        finally:
            self._barge_in = lambda: False

    def _hear(self, verb: str, text: str) -> None:
        self.leg.heard.append(Heard(self.clock.now(), verb, text))
        self.exchange.journal.add("heard", sid=self.leg.sid, verb=verb, text=text)
