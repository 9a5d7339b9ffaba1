"""Sends: pops right after the commit that made the offer, replays on connect, and what was not acknowledged again.

The log is the truth, the socket a hint. Every send carries all unacknowledged rows of the agent in order (clients drop what they
have), so two sends that overtake each other leave no gap. Each replica repeats the unacknowledged rows of its own sockets
each second; the board is computed once a second and sent to those who may see it, when it changed. Redis only carries a send
to the other replicas: it gets PUBLISH_S, and after a failure it is left alone for OPEN_S, so that a hanging one holds up nobody.
"""

import asyncio
from datetime import datetime
from time import monotonic
from typing import Any, Final

import structlog
from pydantic import BaseModel
from redis.asyncio import Redis

from accounts.model import Me
from core.events import Event, TicketChanged
from core.principal import Role
from infra.postgres import Connection
from realtime import pop
from realtime import queries as sql
from realtime.server import AWAY, NAMESPACE, DeskServer, DeskSocket
from routing.live import board
from ticketing import queries as tickets

log = structlog.get_logger()

MAX_REPLAY: Final = 200
BOARD_S: Final = 1.0
PUBLISH_S: Final = 0.5
OPEN_S: Final = 3.0


def envelope(seq: int | None, type_: str, at: datetime, data: Any) -> dict[str, Any]:
    body = data.model_dump(mode="json") if isinstance(data, BaseModel) else data
    return {"seq": seq, "type": type_, "v": 1, "at": at.isoformat(), "data": body}


class Push:
    def __init__(self, server: DeskServer, redis: Redis) -> None:
        self._server = server
        self._redis = redis
        self._database = server.outbox.database
        self._locks: dict[int, asyncio.Lock] = {}
        self._redis_again_at = 0.0

    # --- effects -----------------------------------------------------------------------------------------------------

    async def to_agent(self, event: Event) -> None:
        """Effect: whatever this agent has not acknowledged, in order, to all sockets of the agent on all replicas."""
        agent_id: int = getattr(event, "agent_id")  # noqa: B009
        await self.send(agent_id)

    async def to_agent_of_call(self, event: Event) -> None:
        async with self._database.acquire() as conn:
            row = await conn.fetchrow(sql.AGENT_OF_CALL, getattr(event, "call_id"))  # noqa: B009
        if row is not None and row["agent_id"] is not None:
            await self.send(row["agent_id"])

    async def ticket_changed(self, event: TicketChanged) -> None:
        """Effect: who views the ticket or has its call hears of the change, each with the rights of that person."""
        async with self._database.acquire() as conn:
            agents = [row["agent_id"] for row in await conn.fetch(sql.AGENTS_OF_TICKET, event.ticket_id)]
            summary = await tickets.summary(conn, ticket_id=event.ticket_id)
        message = envelope(None, "ticket_changed", self._database.clock.now(), summary)
        for agent_id in agents:
            await self._emit("ticket_changed", message, f"agent:{agent_id}")
        await self._emit("ticket_changed", message, f"ticket:{event.ticket_id}")

    # --- the log -----------------------------------------------------------------------------------------------------

    async def send(self, agent_id: int, *, here_only: bool = False) -> None:
        async with self._locks.setdefault(agent_id, asyncio.Lock()):
            async with self._database.acquire() as conn:
                _, acked = await sql.head(conn, agent_id=agent_id)
                messages = await self._messages(conn, agent_id, acked)
            for message in messages:
                await self._emit(message["type"], message, f"agent:{agent_id}", here_only=here_only)

    async def _messages(self, conn: Connection, agent_id: int, after: int) -> list[dict[str, Any]]:
        messages = []
        for row in await sql.rows_after(conn, agent_id=agent_id, seq=after, limit=MAX_REPLAY):
            type_, data = await pop.payload(conn, self._redis, agent_id=agent_id, row=row)
            messages.append(envelope(row["seq"], type_, row["created_at"], data))
        return messages

    async def _emit(self, type_: str, message: dict[str, Any], room: str, *, here_only: bool = False) -> None:
        """To the sockets of this replica, then, if Redis answers in time, to those of the others."""
        here_only = here_only or monotonic() < self._redis_again_at
        try:
            async with asyncio.timeout(PUBLISH_S):
                await self._server.emit(type_, message, room=room, namespace=NAMESPACE, ignore_queue=here_only)
        except TimeoutError:
            self._redis_again_at = monotonic() + OPEN_S
            log.warning("not published to other replicas; they repeat what is not acknowledged")

    # --- loops ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(self._greet())
            tasks.create_task(self._repeat())
            tasks.create_task(self._boards())
            tasks.create_task(self._server.keep())

    async def _greet(self) -> None:
        """What a socket needs first: a snapshot, or the rows it has missed."""
        while True:
            sid, last_seq = await self._server.next_started()
            desk = self._server.desks.get(sid)
            if desk is None:
                continue
            try:
                async with asyncio.timeout(5), self._database.acquire() as conn:
                    await self._start(conn, desk, last_seq)
            except AWAY:
                log.warning("desk not greeted, database away")
                await self._server.disconnect(sid, namespace=NAMESPACE)  # the client comes back
            except Exception:
                log.exception("desk not greeted")
                await self._server.disconnect(sid, namespace=NAMESPACE)

    async def _start(self, conn: Connection, desk: DeskSocket, last_seq: int | None) -> None:
        agent_id = desk.principal.user_id
        last, _ = await sql.head(conn, agent_id=agent_id)
        is_resumable = last_seq is not None and last_seq <= last and last - last_seq <= MAX_REPLAY and desk.is_agent
        if is_resumable and last_seq is not None:
            messages = await self._messages(conn, agent_id, last_seq)
            is_resumable = not messages or messages[0]["seq"] == last_seq + 1  # purged rows: too old to resume
            if is_resumable:
                for message in messages:
                    await self._emit(message["type"], message, desk.sid, here_only=True)
                return
        snapshot = await pop.desk(
            conn, self._redis, me=await me_of(conn, agent_id), principal=desk.principal, now=self._database.clock.now()
        )
        await self._emit(
            "snapshot", envelope(None, "snapshot", snapshot.server_time, snapshot), desk.sid, here_only=True
        )

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(1)
            local = {desk.principal.user_id for desk in self._server.desks.values() if desk.is_agent}
            for agent_id in [known for known in self._locks if known not in local and not self._locks[known].locked()]:
                del self._locks[agent_id]
            if not local:
                continue
            try:
                async with asyncio.timeout(5):
                    async with self._database.acquire() as conn:
                        waiting = [row["agent_id"] for row in await conn.fetch(sql.UNACKED_AGENTS, list(local))]
                    for agent_id in waiting:
                        await self.send(agent_id, here_only=True)
            except AWAY:
                log.debug("unacknowledged rows wait for the database")

    async def _boards(self) -> None:
        """Each replica tells its own sockets; nothing of the board goes through Redis."""
        sent: dict[str, Any] = {}
        while True:
            await asyncio.sleep(BOARD_S)
            rooms = {desk.board_room: desk.queues for desk in self._server.desks.values()}
            sent = {room: value for room, value in sent.items() if room in rooms}
            if not rooms:
                continue
            try:
                async with asyncio.timeout(5), self._database.acquire() as conn:
                    now = self._database.clock.now()
                    stats = [q.model_dump(mode="json") for q in await board(conn, now=now, agent_id=None)]
            except AWAY:
                continue  # the tiles show their age
            for room, queues in rooms.items():
                shown = [q for q in stats if queues is None or q["key"] in queues]
                message = envelope(None, "queue_stats", now, {"queues": shown})
                await self._emit("queue_stats", message, room, here_only=True)


async def me_of(conn: Connection, user_id: int) -> Me:
    row = await conn.fetchrow(sql.USER, user_id)
    assert row is not None
    return Me(id=row["id"], email=row["email"], name=row["name"], role=Role(row["role"]), language=row["language"])
