"""The exchange: every call, conference and queue of the account, and the ways in.

Calls come in from callers (`call_in`) and softphones (`connect_phone`), or go out over REST and <Dial>
(`call_out`). Each leg has one job that plays its TwiML (`engine`); this module begins and ends legs.
"""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TypeVar

from simulator.chance import Chance
from simulator.config import Faults, Line, SimulatorConfig, Target
from simulator.journal import Journal
from simulator.provider import conference as conferences
from simulator.provider import twiml
from simulator.provider.callbacks import CONFERENCE_EVENTS, Callbacks
from simulator.provider.callees import Callees
from simulator.provider.conference import Conference, Seat
from simulator.provider.engine import Engine
from simulator.provider.flow import DocumentRequest, HungUp, Program
from simulator.provider.leg import Direction, Leg, StatusCallback
from simulator.provider.numbers import Numbers
from simulator.provider.queue import Queue
from simulator.provider.recording import AnyRecording, LegRecording, keep_until_end
from simulator.provider.twiml import DocumentFailed
from simulator.provider.webhooks import Party, WebhookFailed, Webhooks
from simulator.tasks import TaskOwner


class NumberUnknown(Exception):
    """Nobody configured the dialled number."""


class Exchange:
    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.clock = config.clock
        self.chance = Chance(config.seed)
        self.journal = Journal(config.clock, config.journal_size)
        self.tasks = TaskOwner(self._crashed)
        self.webhooks = Webhooks(config, config.clock, self.journal, self.chance)
        self.callbacks = Callbacks(self.webhooks, config.clock, self.journal, self.chance, self.tasks)
        self.callees = Callees()
        self.numbers = Numbers(config)
        self.legs: dict[str, Leg] = {}
        self.conferences: dict[str, Conference] = {}
        self._running: dict[str, Conference] = {}
        """By name, until the event of their end."""
        self.queues: dict[str, Queue] = {}
        self.recordings: dict[str, AnyRecording] = {}
        self._next_slot_at = config.clock.now()
        self._asked_at: deque[datetime] = deque()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Exchange"]:
        await self.tasks.start()
        await self.webhooks.open()
        try:
            yield self
        finally:
            await self.tasks.stop()
            await self.webhooks.close()

    # The ways in

    def call_in(
        self,
        from_: str,
        to: str,
        *,
        identity: Mapping[str, str] | None = None,
        faults: Faults | None = None,
    ) -> Leg:
        """Somebody dials one of our numbers. Raises NumberUnknown."""
        line, owned = self.numbers.line(to), self.numbers.named(to)
        if line is None or owned is None:
            raise NumberUnknown(to)
        leg = self._new_leg(from_, to, "inbound", "ringing", line, faults)
        leg.identity = dict(identity or {})
        leg.phone_number_sid = owned.sid
        self._begin(leg, DocumentRequest(line.voice))
        return leg

    def connect_phone(self, identity: str, parameters: Mapping[str, str]) -> Leg:
        """A softphone calls the TwiML App; `parameters` are what its SDK passed on."""
        line = self.numbers.app.line
        leg = self._new_leg(f"client:{identity}", "", "inbound", "ringing", line, None)
        leg.application_sid = self.config.app_sid
        leg.first_fields = dict(parameters)
        self._begin(leg, DocumentRequest(line.voice))
        return leg

    def call_out(
        self,
        from_: str,
        to: str,
        program: Program | None,
        *,
        direction: Direction = "outbound-api",
        parent: Leg | None = None,
        fallback: Target | None = None,
        callback: StatusCallback | None = None,
        timeout_s: float = 60,
        faults: Faults | None = None,
        whisper: DocumentRequest | None = None,
        invited_to: Conference | None = None,
    ) -> Leg:
        """Ring somebody; once answered the leg plays `program`.

        Without a program it is dialled by `parent`: it hears `whisper` and then waits to be bridged.
        """
        leg = self._new_leg(from_, to, direction, "queued", None, faults)
        leg.fallback = fallback
        leg.callback = callback
        leg.parent = parent
        wait_s = self._slot_wait_s() if direction == "outbound-api" else 0.0
        leg.queue_time_ms = int(wait_s * 1000)
        leg.on_answer = self._answered
        self.tasks.spawn(self._lead(leg, program, wait_s, timeout_s, whisper, invited_to), f"leg.{leg.sid}")
        return leg

    # Conferences and queues

    def conference(self, name: str) -> Conference:
        """The running conference of that name, or a new one."""
        if name in self._running:
            return self._running[name]
        created = Conference(
            party=Party(self.chance.sid("conference"), self.config.faults),
            name=name,
            account_sid=self.config.account_sid,
            emit=self._conference_event,
            now=self.clock.now,
            created_at=self.clock.now(),
        )
        self.conferences[created.sid] = self._running[name] = created
        _forget(self.conferences, self.config.keep_ended)
        return created

    def announce(self, conference: Conference, target: Target, seat: Seat | None) -> None:
        """Fetch an announcement for one participant or for all, and report how it went."""
        self.tasks.spawn(self._announce(conference, target, seat), f"announce.{conference.sid}")

    async def _announce(self, conference: Conference, target: Target, seat: Seat | None) -> None:
        content = {"ConferenceSid": conference.sid, "AccountSid": conference.account_sid}
        error: str | None = None
        try:
            answer = await self.webhooks.send(target, content, conference.party, "webhook")
            document = twiml.read(answer.content_type, answer.body, answer.charset, answer.url)
            twiml.require(document, twiml.PROMPTS, "an announcement")
        except (WebhookFailed, DocumentFailed) as failed:
            error = failed.why
        conference.announced(target.url, seat=seat, error=error)

    def queue(self, name: str, max_size: int | None = None) -> Queue:
        if name not in self.queues:
            self.queues[name] = Queue(self.chance.sid("queue"), name, max_size or self.config.queue_size)
        return self.queues[name]

    def record_leg(self, leg: Leg, callback: StatusCallback | None) -> LegRecording:
        """Over REST; until the leg ends."""
        made = LegRecording(self.chance.sid("recording"), leg, self.clock, self.clock.now(), callback)
        self.keep_recording(made)
        self.tasks.spawn(keep_until_end(self, made), f"recording.{made.sid}")
        return made

    def keep_recording(self, made: AnyRecording) -> None:
        self.recordings[made.sid] = made
        while len(self.recordings) > self.config.keep_ended:
            del self.recordings[next(iter(self.recordings))]

    # Life of a leg

    def _new_leg(
        self, from_: str, to: str, direction: Direction, status: str, line: Line | None, faults: Faults | None
    ) -> Leg:
        leg = Leg(
            clock=self.clock,
            party=Party(self.chance.sid("call"), faults or self.config.faults),
            account_sid=self.config.account_sid,
            from_=from_,
            to=to,
            direction=direction,
            created_at=self.clock.now(),
            status=status,
            fallback=line.fallback if line is not None else None,
            callback=StatusCallback(line.status_callback) if line is not None and line.status_callback else None,
        )
        self.legs[leg.sid] = leg
        _forget(self.legs, self.config.keep_ended)
        self.journal.add("call", sid=leg.sid, event="created", direction=direction, **{"from": from_}, to=to)
        return leg

    def _begin(self, leg: Leg, program: Program) -> None:
        leg.started_at = self.clock.now()
        leg.on_answer = self._answered
        self.tasks.spawn(self._play(leg, program), f"leg.{leg.sid}")

    async def _play(self, leg: Leg, program: Program) -> None:
        try:
            await Engine(self, leg).run(program)
        finally:
            self._ended(leg)

    async def _lead(
        self,
        leg: Leg,
        program: Program | None,
        wait_s: float,
        timeout_s: float,
        whisper: DocumentRequest | None,
        invited_to: Conference | None,
    ) -> None:
        """An outgoing leg from its slot to its end."""
        try:
            await self._ring(leg, wait_s, timeout_s)
            if leg.is_answered and program is None:
                program = await Engine(self, leg).attend(whisper)
            if leg.is_answered and program is not None:
                await Engine(self, leg).run(program)
            if not leg.is_answered and invited_to is not None:
                invited_to.add_failed(leg)
        finally:
            self._ended(leg)

    async def _ring(self, leg: Leg, wait_s: float, timeout_s: float) -> None:
        try:
            if wait_s > 0:
                await leg.rest(wait_s)
            leg.started_at = self.clock.now()
            for status in ("initiated", "ringing"):
                leg.status = status
                self.callbacks.leg_event(leg, status)
            self.tasks.spawn(self.callees.ring(leg), f"callee.{leg.sid}")
            if not await leg.wait_for(lambda: leg.is_answered, timeout_s):
                leg.hang_up("no-answer")
        except HungUp:
            pass

    def _answered(self, leg: Leg) -> None:
        self.journal.add("call", sid=leg.sid, event="answered")
        self.callbacks.leg_event(leg, "answered")

    def _ended(self, leg: Leg) -> None:
        if not self.tasks.is_open:
            return  # the provider itself goes away: nobody is told anything
        leg.hang_up("completed" if leg.is_answered else "failed")
        self.journal.add("call", sid=leg.sid, event="ended", status=leg.status, seconds=leg.duration_s)
        self.callbacks.leg_event(leg, "completed")

    def is_too_busy(self) -> bool:
        """Whether one more REST request is refused: too many in the last second, or by chance."""
        limit, now = self.config.requests_per_second, self.clock.now()
        if limit is not None:
            while self._asked_at and (now - self._asked_at[0]).total_seconds() >= 1:
                self._asked_at.popleft()
            if len(self._asked_at) >= limit:
                return True
            self._asked_at.append(now)
        return self.config.rest_busy > 0 and self.chance.happens(self.config.rest_busy)

    def _slot_wait_s(self) -> float:
        """REST creates calls at a limited rate; the rest of them queue."""
        per_second = self.config.calls_per_second
        if per_second is None:
            return 0
        now = self.clock.now()
        starts_at = max(now, self._next_slot_at)
        self._next_slot_at = starts_at + timedelta(seconds=1 / per_second)
        return (starts_at - now).total_seconds()

    def _conference_event(self, conference: Conference, event: str, facts: Mapping[str, str]) -> None:
        if event == "conference-end":
            self._running.pop(conference.name, None)
        self.journal.add("conference", sid=conference.sid, name=conference.name, event=event, facts=dict(facts))
        callback = conference.callback
        if callback is not None and CONFERENCE_EVENTS[event] in callback.events:
            content = conferences.event_fields(conference, event, facts)
            self.callbacks.send(callback.target, content, conference.party)

    def _crashed(self, job: str, crash: Exception) -> None:
        self.journal.add("error", job=job, why=repr(crash))


Entry = TypeVar("Entry", Leg, Conference)


def _forget(entries: dict[str, Entry], keep: int) -> None:
    """Drop the oldest that are over; what is alive stays."""
    if len(entries) > keep:
        for sid in [sid for sid, entry in entries.items() if entry.is_over][: len(entries) - keep]:
            del entries[sid]
