"""One connection of a desk to the service's Socket.IO namespace, from ticket to loss."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import socketio

from simulator.changes import Changes
from simulator.people.api import Api, Unanswered
from simulator.people.desk import Desk, Verdict

NAMESPACE = "/desk"
CONNECT_TIMEOUT_S = 10.0
DISCONNECT_TIMEOUT_S = 3.0


class DeskSocket:
    """Feeds the desk, acknowledges, reports pops as painted. A gap counts as a loss: the owner connects again."""

    def __init__(self, base_url: str, desk: Desk, changes: Changes) -> None:
        self._base_url = base_url
        self._desk = desk
        self._changes = changes
        self._painted: list[int] = []
        self._acked: int | None = None
        self._refused: Any = None
        self.is_lost = False
        # Tickets are for one use, so the library must not reconnect by itself.
        self._socket = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        self._socket.on("*", self._receive, namespace=NAMESPACE)
        self._socket.on("disconnect", self._lose, namespace=NAMESPACE)
        self._socket.on("connect_error", self._refuse, namespace=NAMESPACE)

    async def connect(self, api: Api) -> None:
        """Raises Unanswered (also for a refused ticket: the next one may do) or Refused."""
        ticket = (await api.post("/api/v1/realtime-ticket"))["ticket"]
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._socket.connect(
                    self._base_url,
                    auth={"ticket": ticket, "last_seq": self._desk.last_seq},
                    transports=["websocket"],
                    namespaces=[NAMESPACE],
                    wait_timeout=CONNECT_TIMEOUT_S,
                )
        except (socketio.exceptions.SocketIOError, OSError, TimeoutError) as failed:
            await self.close()
            raise Unanswered(f"socket: {failed} {self._refused or ''}") from failed

    @property
    def is_owing(self) -> bool:
        """Something was received that is not acknowledged or not reported as painted."""
        return self._desk.last_seq != self._acked or bool(self._painted)

    async def close(self) -> None:
        self.is_lost = True
        self._changes.notify()
        with contextlib.suppress(Exception):  # whatever the library meets while hanging up, it is over
            async with asyncio.timeout(DISCONNECT_TIMEOUT_S):
                await self._socket.disconnect()

    async def settle(self) -> None:
        """Acknowledge and report."""
        if not self.is_owing:
            return
        seq, painted, self._painted = self._desk.last_seq, self._painted, []
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                if seq is not None:
                    await self._socket.emit("ack", {"seq": seq}, namespace=NAMESPACE)
                for offer_id in painted:
                    await self._socket.emit("painted", {"offer_id": offer_id, "ms": 1}, namespace=NAMESPACE)
        except (socketio.exceptions.SocketIOError, OSError, TimeoutError):
            self._lose()
        else:
            self._acked = seq

    # A plain function: the library starts a task per message, and only what never waits keeps their order.
    def _receive(self, kind: str, envelope: dict[str, Any]) -> None:
        if self.is_lost:
            return
        known = set(self._desk.shown)
        if self._desk.receive(kind, envelope, datetime.now(UTC)) is Verdict.GAP:
            self.is_lost = True
        self._painted.extend(self._desk.shown.keys() - known)
        self._changes.notify()

    def _lose(self, *_: object) -> None:
        self.is_lost = True
        self._changes.notify()

    def _refuse(self, data: object = None) -> None:
        self._refused = data
