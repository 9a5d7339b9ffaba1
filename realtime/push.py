"""Sends: pops right after the commit that made the offer, replays on connect, and what was not acknowledged again.

The log is the truth, the socket a hint. Every send carries all unacknowledged rows of the agent in order (clients drop what they
have), so two sends that overtake each other leave no gap. A socket hears what its agent is sent only after its snapshot (or what it
missed) is on its way. Each replica repeats the unacknowledged rows of its own sockets each second; the board is computed once a
second and sent to those who may see it, when it changed. Redis only carries a send to the other replicas (`hints.py`), and
no database connection is held while sending.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from time import monotonic
from typing import Any, Final

import structlog
from pydantic import BaseModel

from accounts.model import Me
from core.events import ConsultChanged, CustomerChanged, Event, OfferCreated, TicketChanged
from core.principal import Role
from infra.broker_outcome import heed_cancellation
from infra.crashpoints import crashpoint
from infra.outbox import AWAY, no_stray_cancellation
from infra.postgres import Connection
from infra.telemetry import metrics
from realtime import pop
from realtime import queries as sql
from realtime.messages import AgentsChangedData, CustomerChangedData
from realtime.server import FLOOR, NAMESPACE, DeskServer, DeskSocket
from realtime.viewers import LOOK_S, VIEWED_CUSTOMER
from routing.live import agents, board
from routing.messages import AgentLive, QueueStats
from ticketing import queries as tickets
from ticketing.model import TicketNotFound

log = structlog.get_logger()

MAX_REPLAY: Final = 200
REPEAT_S: Final = 1.0
GREETED_WITHIN_S: Final = 15.0
"""As long as the database is busy or away a new desk keeps its place; cut, it would only come back with a log-in more."""
BOARD_S: Final = 1.0
AGENTS_S: Final = 0.5
BOARD_AGAIN_S: Final = 5.0
"""Also unchanged, for who came between two changes."""


def envelope(seq: int | None, type_: str, at: datetime, data: Any) -> dict[str, Any]:
    body = data.model_dump(mode="json") if isinstance(data, BaseModel) else data
    return {"seq": seq, "type": type_, "v": 1, "at": at.isoformat(), "data": body}


class Push:
    def __init__(self, server: DeskServer) -> None:
        self._server = server
        self._database = server.outbox.database
        self._locks: dict[int, asyncio.Lock] = {}
        self._boards: dict[str, tuple[list[dict[str, Any]], float]] = {}
        self._stats: tuple[list[QueueStats], float] = [], 0.0
        """The figures of all queues and until when they are fresh enough for a snapshot."""
        self._agents: dict[int, AgentLive] | None = None
        """What was told of the agents last; None while nobody looks."""

    # --- effects -----------------------------------------------------------------------------------------------------

    async def to_agent(self, event: Event) -> None:
        """Effect: whatever this agent has not acknowledged, in order, to all sockets of the agent on all replicas."""
        agent_id: int = getattr(event, "agent_id")  # noqa: B009
        sent = await self.send(agent_id)
        if isinstance(event, OfferCreated) and (pops := [m for m in sent if m["type"] == "screen_pop"]):
            since_s = (self._database.clock.now() - datetime.fromisoformat(pops[-1]["at"])).total_seconds()
            metrics.pop_sent.observe(max(0.0, since_s))

    async def to_consulting(self, event: ConsultChanged) -> None:
        """Effect: who asked, and who was asked."""
        await self.send(event.agent_id)
        if event.with_agent_id is not None:
            await self.send(event.with_agent_id)

    async def to_agent_of_call(self, event: Event) -> None:
        async with self._database.acquire() as conn:
            row = await conn.fetchrow(sql.AGENT_OF_CALL, getattr(event, "call_id"))  # noqa: B009
        if row is not None and row["agent_id"] is not None:
            await self.send(row["agent_id"])

    async def ticket_changed(self, event: TicketChanged) -> None:
        """Effect: who views the ticket, has its call, has it or has just lost it, hears of the change."""
        async with self._database.acquire() as conn:
            agents = [row["agent_id"] for row in await conn.fetch(sql.AGENTS_OF_TICKET, event.ticket_id, event.version)]
            is_new = event.version == 1  # nobody can have it open yet
            summary = None
            if agents or not is_new:
                with contextlib.suppress(TicketNotFound):
                    summary = await tickets.summary(conn, ticket_id=event.ticket_id)
            viewed: int | None = await conn.fetchval(VIEWED_CUSTOMER, event.ticket_id)
        if viewed is not None:
            await self._tell_of_customer(viewed)
        if summary is None:
            return
        message = envelope(None, "ticket_changed", self._database.clock.now(), summary)
        for room in (*(f"agent:{agent_id}" for agent_id in agents), f"ticket:{event.ticket_id}"):
            await self._emit(message, room)

    async def customer_changed(self, event: CustomerChanged) -> None:
        """Effect: who has the customer on the screen reads them again."""
        await self._tell_of_customer(event.customer_id)

    async def _tell_of_customer(self, customer_id: int) -> None:
        """Only that there is something new: what of it may be seen differs from reader to reader."""
        data = CustomerChangedData(id=customer_id)
        message = envelope(None, "customer_changed", self._database.clock.now(), data)
        await self._emit(message, f"customer:{customer_id}")

    # --- the log -----------------------------------------------------------------------------------------------------

    async def send(self, agent_id: int, *, here_only: bool = False) -> list[dict[str, Any]]:
        async with self._locks.setdefault(agent_id, asyncio.Lock()):
            async with self._database.acquire() as conn:
                rows = await sql.unacked_rows(conn, agent_id=agent_id, limit=MAX_REPLAY)
                messages = await self._shown(conn, agent_id, rows)
            if messages:
                crashpoint("push.before_emit")
            for message in messages:
                await self._emit(message, f"agent:{agent_id}", here_only=here_only)
            if messages:
                crashpoint("push.after_emit")
        return messages

    async def _messages(self, conn: Connection, agent_id: int, after: int) -> list[dict[str, Any]]:
        rows = await sql.rows_after(conn, agent_id=agent_id, seq=after, limit=MAX_REPLAY)
        return await self._shown(conn, agent_id, rows)

    async def _shown(self, conn: Connection, agent_id: int, rows: Sequence[Any]) -> list[dict[str, Any]]:
        messages = []
        for row in rows:
            try:
                type_, data = await pop.payload(conn, agent_id=agent_id, row=row)
            except AWAY:
                raise
            except Exception:  # one row that cannot be shown must not hold up all that come after it
                log.exception("desk row not shown", agent=agent_id, seq=row["seq"])
                type_, data = "noop", {}
            messages.append(envelope(row["seq"], type_, row["created_at"], data))
        return messages

    async def _emit(self, message: dict[str, Any], room: str, *, here_only: bool = False) -> None:
        """To the sockets of this replica, then to those of the others, if Redis takes it."""
        await self._server.emit(message["type"], message, room=room, namespace=NAMESPACE, ignore_queue=here_only)

    # --- loops ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(self._greet())
            tasks.create_task(_every(REPEAT_S, self._repeat))
            tasks.create_task(_every(BOARD_S, self._show_boards))
            tasks.create_task(_every(AGENTS_S, self._show_agents))
            tasks.create_task(_every(LOOK_S, self._server.look_at_viewers))
            tasks.create_task(self._server.keep())

    async def _greet(self) -> None:
        """What a socket needs first: a snapshot, or the rows it has missed."""
        while True:
            heed_cancellation()  # building a snapshot asks Redis, whose client swallows cancellations on Python 3.11
            sid, last_seq = await self._server.next_started()
            desk = self._server.desks.get(sid)
            if desk is None:
                continue
            try:
                with no_stray_cancellation():
                    async with asyncio.timeout(5):
                        await self._start(desk, last_seq)
            except AWAY as error:
                log.warning("desk not greeted yet", error=type(error).__name__)
                if monotonic() - desk.since > GREETED_WITHIN_S or not self._server.start_again(sid, last_seq):
                    await self._server.cut(desk)  # the client comes back
                await asyncio.sleep(0.05)
            except Exception:
                log.exception("desk not greeted")
                await self._server.cut(desk)

    async def _start(self, desk: DeskSocket, last_seq: int | None) -> None:
        """First what is missing, then the agent's room, then what came in between: in order, and nothing falls through."""
        agent_id = desk.principal.user_id
        async with self._database.acquire() as conn:
            last, _ = await sql.head(conn, agent_id=agent_id)
            missed = await self._missed(conn, desk, last_seq, last)
            if missed is None:
                me, now = await me_of(conn, agent_id), self._database.clock.now()
                seen = pop.Seen(desk.is_agent, last, self._fresh_stats(desk))
                snapshot = await pop.desk(conn, me=me, principal=desk.principal, now=now, seen=seen)
                missed, told = [envelope(None, "snapshot", snapshot.server_time, snapshot)], snapshot.seq
            else:
                told = missed[-1]["seq"] if missed else last_seq or 0
        for message in missed:
            await self._emit(message, desk.sid, here_only=True)
        await self._server.hear(desk)
        if desk.is_agent:
            async with self._database.acquire() as conn:
                between = await self._messages(conn, agent_id, told)
            for message in between:
                await self._emit(message, desk.sid, here_only=True)

    def _fresh_stats(self, desk: DeskSocket) -> list[QueueStats] | None:
        """What the board read last, so that a thousand desks coming back do not count the same queues a thousand times."""
        stats, fresh_until = self._stats
        if monotonic() > fresh_until:
            return None
        return [queue for queue in stats if desk.queues is None or queue.key in desk.queues]

    async def _missed(
        self, conn: Connection, desk: DeskSocket, last_seq: int | None, last: int
    ) -> list[dict[str, Any]] | None:
        """The rows since `last_seq`, without a gap; None when only a snapshot will do."""
        if last_seq is None or not desk.is_agent or last_seq > last or last - last_seq > MAX_REPLAY:
            return None
        messages = await self._messages(conn, desk.principal.user_id, last_seq)
        is_whole = [message["seq"] for message in messages] == list(range(last_seq + 1, last_seq + 1 + len(messages)))
        return messages if is_whole and len(messages) >= last - last_seq else None

    async def _repeat(self) -> None:
        """Rows of our own sockets that nobody has acknowledged for a second. Other replicas do the same for theirs."""
        local = {desk.principal.user_id for desk in self._server.desks.values() if desk.is_agent}
        for agent_id in [known for known in self._locks if known not in local and not self._locks[known].locked()]:
            del self._locks[agent_id]
        if not local:
            return
        async with self._database.acquire() as conn:
            waiting = [row["agent_id"] for row in await conn.fetch(sql.UNACKED_AGENTS, list(local))]
        for agent_id in waiting:
            metrics.desk_repeats.inc()
            await self.send(agent_id, here_only=True)

    async def _show_boards(self) -> None:
        """Each replica tells its own sockets; nothing of the board goes through Redis."""
        rooms = {desk.board_room: desk.queues for desk in self._server.desks.values()}
        self._boards = {room: shown for room, shown in self._boards.items() if room in rooms}
        if not rooms:
            return
        async with self._database.acquire() as conn:
            now = self._database.clock.now()
            figures = await board(conn, now=now, agent_id=None)
        self._stats = figures, monotonic() + BOARD_S
        stats = [queue.model_dump(mode="json") for queue in figures]
        for room, queues in rooms.items():
            shown = [q for q in stats if queues is None or q["key"] in queues]
            before, at = self._boards.get(room, (None, 0.0))
            if shown != before or monotonic() - at > BOARD_AGAIN_S:
                self._boards[room] = shown, monotonic()
                await self._server.broadcast("queue_stats", envelope(None, "queue_stats", now, {"queues": shown}), room)

    async def _show_agents(self) -> None:
        """To those who have the floor on the screen, and only while there are any: whoever has changed since the last look, or everybody
        when somebody has just opened it."""
        if not any(desk.sees_floor for desk in self._server.desks.values()):
            self._agents = None
            return
        async with self._database.acquire() as conn:
            now = self._database.clock.now()
            read = {agent.id: agent for agent in await agents(conn)}
        known = {} if self._agents is None or self._server.has_new_floor else self._agents
        self._agents, self._server.has_new_floor = read, False
        items = [agent for agent in read.values() if known.get(agent.id) != agent]
        gone = [agent_id for agent_id in known if agent_id not in read]
        if items or gone:
            data = AgentsChangedData(items=items, gone=gone)
            await self._server.broadcast("agents_changed", envelope(None, "agents_changed", now, data), FLOOR)


async def _every(seconds: float, job: Callable[[], Awaitable[None]]) -> None:
    """Run until cancelled; one failure is not the next one's."""
    while True:
        heed_cancellation()
        await asyncio.sleep(seconds)
        try:
            with no_stray_cancellation():
                async with asyncio.timeout(5):
                    await job()
        except AWAY as error:
            log.debug("desks wait for the database", error=type(error).__name__)
        except Exception:
            log.exception("desks not told")


async def me_of(conn: Connection, user_id: int) -> Me:
    row = await conn.fetchrow(sql.USER, user_id)
    assert row is not None
    return Me(id=row["id"], email=row["email"], name=row["name"], role=Role(row["role"]), language=row["language"])
