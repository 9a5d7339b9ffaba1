"""Scripted agents over the real interfaces: REST, the desk socket and the softphone.

An agent logs in, connects its desk, is available, and lives through offers and calls by its habits. It survives a
service that goes away: the socket is connected again with the last seq, requests without an answer are repeated.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from simulator.chance import Chance
from simulator.changes import Changes
from simulator.clock import Clock, RealClock
from simulator.people.api import Api, Refused, Unanswered, log_in, open_api
from simulator.people.desk import Desk
from simulator.people.desk_socket import DeskSocket
from simulator.people.ledger import Ledger

log = structlog.get_logger(__name__)

Range = tuple[float, float]
MAX_BACKOFF_S = 20.0
JOIN_TIMEOUT_S = 20.0
END_TIMEOUT_S = 20.0
PRESENCE_PAUSE_S = 2.0
LASTING_SHIFT = timedelta(seconds=10)
"""After a shorter one the agent backs off before it connects again."""
ATTEMPTS = 4
OVER = frozenset({"wrapping", "closed"})


@dataclass(frozen=True, slots=True)
class Habits:
    accept_after_s: Range = (1, 4)
    talk_s: Range = (10, 30)
    """After that the agent hangs up, if the caller has not."""
    wrap_up_s: Range = (2, 5)
    reject: float = 0.0
    ignore: float = 0.0
    dispositions: tuple[str, ...] = ("resolved", "information", "callback")


class ScriptedAgent:
    def __init__(
        self,
        *,
        url: str,
        simulator_url: str,
        email: str,
        password: str,
        chance: Chance,
        ledger: Ledger,
        habits: Habits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.email = email
        self.desk = Desk()
        self.is_ready = False
        """Connected and available."""
        self.gone = asyncio.Event()
        """Set when `run` has ended by itself."""
        self._url = url
        self._simulator_url = simulator_url.rstrip("/")
        self._password = password
        self._chance = chance
        self._ledger = ledger
        self._habits = habits or Habits()
        self._clock = clock or RealClock()
        self.changes = Changes(self._clock)
        self._jobs = _Jobs(self.changes)
        self._known_offers: set[int] = set()
        self._known_calls: set[int] = set()
        self._is_leaving = False

    def leave(self) -> None:
        """Take no more offers; `run` returns when the calls at hand are done."""
        self._is_leaving = True
        self.changes.notify()

    async def run(self) -> None:
        """Work until `leave`. Cancelling it ends at once, without saying goodbye."""
        async with open_api(self._url) as api, open_api(self._simulator_url) as phone:
            async with self._jobs.open():
                failures = 0
                while not self._is_done():
                    began_at = self._clock.now()
                    try:
                        await self._shift(api, phone)
                    except (Refused, Unanswered) as failed:
                        log.info("simulated agent starts over", agent=self.email, why=str(failed))
                    finally:
                        self.is_ready = False
                    lasted = self._clock.now() - began_at
                    failures = 0 if lasted > LASTING_SHIFT else failures + 1
                    pause_s = min(0.25 * 2**failures, MAX_BACKOFF_S) * self._chance.between(0.5, 1)
                    await self.changes.until(self._is_done, pause_s)
            await self._go_home(api)
        self.gone.set()

    # Connection

    async def _shift(self, api: Api, phone: Api) -> None:
        """From log-in to the loss of the connection, or to the end of the last call after `leave`."""
        await self._log_in(api)
        socket = DeskSocket(self._url, self.desk, self.changes)
        with self._ledger.attempt(self.email, "connect", self.desk.last_seq):
            await socket.connect(api)
        try:
            await self._work(api, phone, socket)
        finally:
            await socket.close()

    async def _work(self, api: Api, phone: Api, socket: DeskSocket) -> None:
        await self.changes.until(lambda: self.desk.last_seq is not None or socket.is_lost, JOIN_TIMEOUT_S)
        while not socket.is_lost and not self._is_done():
            await socket.settle()
            self._take_up_work(api, phone)
            if not await self._keep_presence(api):
                await self.changes.until(lambda: socket.is_lost or socket.is_owing, PRESENCE_PAUSE_S)
            self.is_ready = not self._is_leaving
            self.changes.notify()
            await self.changes.until(
                lambda: socket.is_lost or socket.is_owing or self._is_done() or self._has_news(), None
            )

    async def _log_in(self, api: Api) -> None:
        try:
            await api.get("/api/v1/session")
        except Refused as refused:
            if refused.status != 401:
                raise
            with self._ledger.attempt(self.email, "log_in", ""):
                await log_in(api, self.email, self._password)

    async def _keep_presence(self, api: Api) -> bool:
        """Be what this agent wants to be; False when the service does not let it yet."""
        wanted = self._wanted_presence()
        if self.desk.presence.get("state") == wanted:
            return True
        try:
            with self._ledger.attempt(self.email, wanted, ""):
                self.desk.see_presence(await api.put("/api/v1/presence", {"state": wanted}))
        except Refused:
            return False
        return self.desk.presence.get("state") == wanted

    def _wanted_presence(self) -> str:
        return "offline" if self._is_leaving else "available"

    async def _go_home(self, api: Api) -> None:
        with contextlib.suppress(Refused, Unanswered):
            await api.put("/api/v1/presence", {"state": "offline"})
            await api.delete("/api/v1/session")

    # Work

    def _has_news(self) -> bool:
        if self.desk.offers.keys() - self._known_offers or self.desk.calls.keys() - self._known_calls:
            return True
        return self.desk.presence.get("state") != self._wanted_presence()

    def _is_done(self) -> bool:
        return self._is_leaving and not self.desk.calls and not self._jobs.tasks

    def _take_up_work(self, api: Api, phone: Api) -> None:
        for offer_id in self.desk.offers.keys() - self._known_offers:
            self._known_offers.add(offer_id)
            self._jobs.add(self._consider(api, offer_id))
        for call_id in self.desk.calls.keys() - self._known_calls:
            self._known_calls.add(call_id)
            self._jobs.add(self._serve(api, phone, call_id))

    async def _consider(self, api: Api, offer_id: int) -> None:
        """Accept, reject or ignore; the call itself is taken up when it shows on the desk."""
        habits = self._habits
        if self._chance.happens(habits.ignore):
            return
        await self.changes.until(lambda: offer_id not in self.desk.offers, self._chance.between(*habits.accept_after_s))
        if offer_id not in self.desk.offers:
            return
        if self._chance.happens(habits.reject):
            await self._command(api, "reject", offer_id, f"/api/v1/offers/{offer_id}/reject", {})
            return
        call = self.desk.offers[offer_id]["call"]["id"]
        accepted = await self._command(api, "accept", offer_id, f"/api/v1/offers/{offer_id}/accept", {})
        if not accepted:
            self.desk.offers.pop(offer_id, None)
            return
        # The answer may be here before the event that shows the call.
        await self.changes.until(lambda: call in self._known_calls, JOIN_TIMEOUT_S)

    async def _serve(self, api: Api, phone: Api, call_id: int) -> None:
        """From accept to the end of wrap-up, wherever the call stands now."""
        leg = await self._connect_phone(api, phone, call_id) if self._state(call_id) not in OVER else None
        try:
            await self.changes.until(
                lambda: self._state(call_id) in OVER or self._state(call_id) == "in_call", JOIN_TIMEOUT_S
            )
            talk_s = self._chance.between(*self._habits.talk_s)
            if not await self.changes.until(lambda: self._state(call_id) in OVER, talk_s):
                await self._command(api, "hangup", call_id, f"/api/v1/calls/{call_id}/hangup", {})
                await self.changes.until(lambda: self._state(call_id) in OVER, END_TIMEOUT_S)
        finally:
            if leg is not None:
                with contextlib.suppress(Refused, Unanswered):
                    await phone.post(f"/phone/{leg}/hangup")
        await self._wrap_up(api, call_id)
        self._known_calls.discard(call_id)  # it may come back: a connection that failed, a new offer

    async def _connect_phone(self, api: Api, phone: Api, call_id: int) -> str | None:
        """The CallSid of the softphone's leg; None when it could not be connected."""
        for attempt in range(ATTEMPTS):
            try:
                with self._ledger.attempt(self.email, "phone", call_id):
                    token = (await api.post("/api/v1/voice-token"))["token"]
                    leg = await phone.post("/phone/connect", {"token": token, "params": {"CallId": str(call_id)}})
                    return str(leg["sid"])
            except Refused:
                return None
            except Unanswered:
                await self._clock.sleep(0.5 * 2**attempt)
        return None

    async def _wrap_up(self, api: Api, call_id: int) -> None:
        pause_s = self._chance.between(*self._habits.wrap_up_s)
        if await self.changes.until(lambda: self._state(call_id) == "closed", pause_s):
            return
        finish = {
            "disposition": self._chance.one_of(list(self._habits.dispositions)),
            "note": "Handled by a simulated agent.",
        }
        await self._command(api, "wrap_up", call_id, f"/api/v1/calls/{call_id}/wrap-up", finish)

    async def _command(self, api: Api, action: str, subject: int, path: str, body: dict[str, Any]) -> bool:
        """True when it was done. Commands are repeatable, so one without an answer is sent again."""
        for attempt in range(ATTEMPTS):
            try:
                with self._ledger.attempt(self.email, action, subject):
                    await api.post(path, body)
            except Refused:
                return False
            except Unanswered:
                await self._clock.sleep(0.5 * 2**attempt)
            else:
                return True
        return False

    def _state(self, call_id: int) -> str:
        return self.desk.call_state(call_id)


class _Jobs:
    """Offers and calls outlive a lost connection; they end with the agent."""

    def __init__(self, changes: Changes) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._changes = changes
        self._group: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as self._group:
            yield
            for task in self.tasks:
                task.cancel()

    def add(self, job: Coroutine[Any, Any, None]) -> None:
        assert self._group is not None, "open() first"
        task = self._group.create_task(self._guard(job))
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self._changes.notify()

    @staticmethod
    async def _guard(job: Coroutine[Any, Any, None]) -> None:
        try:
            await job
        except Exception:
            log.exception("simulated agent dropped a call")
