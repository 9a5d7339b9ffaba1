"""Status callbacks: separate requests whose order nobody promises and whose answer nobody reads."""

import asyncio
from collections.abc import Mapping
from typing import Final

from simulator.chance import Chance
from simulator.clock import Clock
from simulator.config import Faults, Target
from simulator.journal import Journal
from simulator.provider import fields
from simulator.provider.leg import Leg
from simulator.provider.webhooks import Party, WebhookFailed, Webhooks
from simulator.tasks import TaskOwner

CONFERENCE_EVENTS: Final = {
    "conference-start": "start",
    "conference-end": "end",
    "participant-join": "join",
    "participant-leave": "leave",
    "participant-mute": "mute",
    "participant-unmute": "mute",
    "participant-hold": "hold",
    "participant-unhold": "hold",
    "participant-modify": "modify",
    "participant-speech-start": "speaker",
    "participant-speech-stop": "speaker",
    "announcement-end": "announcement",
    "announcement-fail": "announcement",
}


class Callbacks:
    def __init__(self, webhooks: Webhooks, clock: Clock, journal: Journal, chance: Chance, tasks: TaskOwner) -> None:
        self._webhooks = webhooks
        self._clock = clock
        self._journal = journal
        self._chance = chance
        self._tasks = tasks
        self._overtaken: dict[str, asyncio.Event] = {}
        """By party: set once a later callback has gone, which releases the one held back."""

    def leg_event(self, leg: Leg, event: str) -> None:
        """`event`: initiated, ringing, answered or completed; sent only to who subscribed to it."""
        callback = leg.callback
        if callback is None or event not in callback.events:
            return
        content = fields.status_callback(leg, event, leg.sequence, self._clock.now())
        leg.sequence += 1
        self.send(callback.target, content, leg.party)

    def send(self, target: Target, content: Mapping[str, str], party: Party) -> None:
        self._tasks.spawn(self._send(target, content, party), f"callback.{party.sid}")

    async def _send(self, target: Target, content: Mapping[str, str], party: Party) -> None:
        faults = party.faults if party.faults.apply_to(target.url) else Faults()
        if self._chance.happens(faults.drop):
            self._journal.add("fault", sid=party.sid, fault="drop", url=target.url, fields=dict(content))
            return
        if self._chance.happens(faults.delay):
            self._journal.add("fault", sid=party.sid, fault="delay", url=target.url)
            await self._clock.sleep(faults.delay_s)
        elif party.sid not in self._overtaken and self._chance.happens(faults.reorder):
            self._journal.add("fault", sid=party.sid, fault="reorder", url=target.url)
            await self._be_overtaken(party.sid, faults.delay_s)
        try:
            await self._webhooks.send(target, content, party, "callback")
        except WebhookFailed as failed:
            self._journal.add("error", sid=party.sid, code=failed.code, url=failed.url, why=failed.why)
        finally:
            if (held := self._overtaken.get(party.sid)) is not None:
                held.set()

    async def _be_overtaken(self, sid: str, limit_s: float) -> None:
        overtaken = self._overtaken[sid] = asyncio.Event()
        alarm = self._clock.call_later(limit_s, overtaken.set)
        try:
            await overtaken.wait()
        finally:
            alarm.cancel()
            del self._overtaken[sid]
