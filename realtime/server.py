"""The Socket.IO server of the desks, with what python-socketio leaves open closed.

What is defended here (reference/reliability.md L18–L24): a client may only send `ack`, `painted`, `viewing` with one object in the
namespace /desk; anything else, the reserved names `connect` and `disconnect` included, is refused before dispatch, disconnected
and counted. A socket that does not finish its handshake in 5 s is closed. Identity comes from the single-use ticket, once, at connect; rooms are
built here. Inbound events of one client are handled in order. Frames are not compressed (127 instead of 32 KB per client).

Nothing here waits for a client: a socket is ended by saying so and, a moment later, by aborting its connection. A desk
whose engine socket is gone is dropped by a look every half second, whatever python-socketio made of it: a desk that only
seems connected would be offered calls that nobody sees.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

import engineio.async_drivers.aiohttp as driver
import orjson
import socketio
import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError
from socketio.exceptions import ConnectionRefusedError as Refused

from accounts import queries as accounts
from accounts import service as account_service
from accounts.model import TicketRefusal
from core.errors import RingdeskError
from core.principal import Principal
from customers.queries import customer_version
from infra.broker_outcome import heed_cancellation
from infra.crashpoints import crashpoint
from infra.http import allowed_origins
from infra.outbox import AWAY, Outbox, Tx, no_stray_cancellation
from infra.postgres import Connection
from infra.telemetry import metrics
from realtime import queries as sql
from realtime.hints import Hints
from realtime.messages import CLIENT_MESSAGES, AckIn, PaintedIn, ViewingIn
from realtime.viewers import Viewed, Viewers, wanted
from routing import queries as routing_sql
from routing import service as routing
from routing.model import LEASE_S
from ticketing.queries import ticket_summaries

log = structlog.get_logger()

NAMESPACE: Final = "/desk"
CONNECT_DEADLINE_S: Final = 5.0
CONNECT_TRIES: Final = 5
"""A page may try again with a new ticket on the same connection, but it may not guess tickets."""
RENEW_S: Final = 5.0
FLOOR: Final = "floor"
"""The room of those who have the floor on the screen. Their role is looked at again with their session."""
LOOK_S: Final = 0.5
MAX_FRAMES_PER_S: Final = 100
MAX_PACKETS_PER_S: Final = 50
MAX_BACKLOG: Final = 1000
"""Frames that wait for a client that does not read; then it is cut and comes back for what it missed."""
MAX_UNFINISHED: Final = 2000
MAX_SOCKETS_PER_USER: Final = 20
MAX_UNSENT: Final = 64 * 1024
"""Bytes on their way to a client; one that has more is told the next board, not this one."""
TOLD_AT_ONCE: Final = 500
CLOSE_GRACE_S: Final = 1.0
_FROM_CLIENT: Final = ("1", "3", "4")
"""Engine.IO: close, pong, message. The rest is for other transports."""


class _Json:
    """orjson in the shape python-socketio asks for."""

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        return orjson.dumps(value, default=_plain).decode()

    @staticmethod
    def loads(text: str | bytes, **_: Any) -> Any:
        return orjson.loads(text)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(type(value).__name__)


class _FrameRefused(OSError):
    """Ends the engine's loop over this client the orderly way; any other error would leave its desk behind."""


class _PlainWebSocket(driver.WebSocket):  # type: ignore[misc]
    _frames = 0
    _since = 0.0

    async def wait(self) -> str:
        frame = await super().wait()
        if not isinstance(frame, str) or not frame.startswith(_FROM_CLIENT):
            metrics.socket_refused.labels("frame").inc()
            raise _FrameRefused
        if monotonic() - self._since > 1:
            self._frames, self._since = 0, monotonic()
        self._frames += 1
        if self._frames > MAX_FRAMES_PER_S:
            metrics.socket_refused.labels("rate").inc()
            raise _FrameRefused
        return frame

    async def __call__(self, environ: Any) -> web.WebSocketResponse:
        request = environ["aiohttp.request"]
        self._sock = web.WebSocketResponse(max_msg_size=self.server.max_http_buffer_size, compress=False)
        await self._sock.prepare(request)
        self.environ = environ
        await self.handler(self)
        return self._sock


@dataclass(slots=True)
class DeskSocket:
    """One connected desk."""

    sid: str
    eio_sid: str
    principal: Principal
    is_agent: bool
    board_room: str
    queues: frozenset[str] | None
    viewing: Viewed | None = None
    sees_floor: bool = False
    since: float = field(default_factory=monotonic)
    packets: int = 0
    packets_since: float = field(default_factory=monotonic)


@dataclass(slots=True)
class _Handshake:
    """An engine socket that is not a desk yet."""

    since: float = field(default_factory=monotonic)
    tries: int = 0


class DeskServer(socketio.AsyncServer):  # type: ignore[misc]
    """Knows its sockets; what to send them is `push.py`'s business."""

    def __init__(self, outbox: Outbox, *, public_url: str, replica: str, redis_url: str | None) -> None:
        self.hints = Hints(redis_url) if redis_url else None
        super().__init__(
            async_mode="aiohttp",
            client_manager=self.hints,
            json=_Json,
            transports=["websocket"],
            allow_upgrades=False,
            cors_allowed_origins=sorted(allowed_origins(public_url)),
            ping_interval=10,
            ping_timeout=10,
            max_http_buffer_size=64 * 1024,
            async_handlers=False,
            always_connect=False,
            namespaces=[NAMESPACE],
            logger=logging.getLogger("socketio.desk"),
            engineio_logger=logging.getLogger("engineio.desk"),
        )
        self.eio._async = {**driver._async, "websocket": _PlainWebSocket}  # noqa: SLF001
        self.outbox = outbox
        self.replica = replica
        self.viewers = Viewers(replica)
        self.has_new_floor = False
        """Somebody has opened the floor, and is to be told of all agents, whatever was told before."""
        self.desks: dict[str, DeskSocket] = {}
        self._fresh: dict[str, _Handshake] = {}
        self._started: asyncio.Queue[tuple[str, int | None]] = asyncio.Queue(10_000)
        self.on("connect", self._on_connect, namespace=NAMESPACE)
        self.on("disconnect", self._on_disconnect, namespace=NAMESPACE)
        self.on("ack", self._on_ack, namespace=NAMESPACE)
        self.on("painted", self._on_painted, namespace=NAMESPACE)
        self.on("viewing", self._on_viewing, namespace=NAMESPACE)

    # --- the gate ----------------------------------------------------------------------------------------------------

    async def _handle_eio_connect(self, eio_sid: str, environ: Any) -> Any:
        if len(self._fresh) >= MAX_UNFINISHED:
            metrics.socket_refused.labels("crowd").inc()
            return False
        self._fresh[eio_sid] = _Handshake()
        return await super()._handle_eio_connect(eio_sid, environ)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: Any) -> None:
        self._fresh.pop(eio_sid, None)
        await super()._handle_eio_disconnect(eio_sid, reason)

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        """Only a CONNECT to /desk, a DISCONNECT, and the three events pass. After a DISCONNECT there is nothing to stay for."""
        if self._is_gone(eio_sid):
            return  # frames that were on their way when it ended
        try:
            problem = self._fault(eio_sid, data)
        except Exception:  # whatever a hostile packet does to the parser
            problem = "malformed"
        if problem is None:
            try:
                await super()._handle_eio_message(eio_sid, data)
            except Exception:
                log.exception("socket packet not handled")
                problem = "error"
        if problem is not None:
            metrics.socket_refused.labels(problem).inc()
            log.warning("socket packet refused", reason=problem)
        if problem is not None or data.startswith("1"):
            await self.end(eio_sid)

    def _fault(self, eio_sid: str, data: Any) -> str | None:
        if not isinstance(data, str):
            return "binary"
        packet = self.packet_class(encoded_packet=data)
        if packet.namespace != NAMESPACE:
            return "namespace"
        sid = self.manager.sid_from_eio_sid(eio_sid, NAMESPACE)
        if packet.packet_type == 0:
            handshake = self._fresh.get(eio_sid)
            if handshake is None or sid is not None:
                return "second_connect"
            handshake.tries += 1
            return None if handshake.tries <= CONNECT_TRIES else "rate"
        if sid is None:
            return "before_connect"
        if packet.packet_type == 1:
            return None
        if packet.packet_type != 2 or packet.id is not None:
            return "packet_type"
        return self._event_fault(sid, packet.data)

    def _event_fault(self, sid: str, data: Any) -> str | None:
        if (
            not isinstance(data, list)
            or len(data) != 2
            or not isinstance(data[0], str)
            or data[0] not in CLIENT_MESSAGES
        ):
            return "event"
        try:
            CLIENT_MESSAGES[data[0]].model_validate(data[1])
        except ValidationError:
            return "payload"
        desk = self.desks.get(sid)
        if desk is None:
            return "unknown"
        if monotonic() - desk.packets_since > 1:
            desk.packets, desk.packets_since = 0, monotonic()
        desk.packets += 1
        return "rate" if desk.packets > MAX_PACKETS_PER_S else None

    # --- connect and disconnect ----------------------------------------------------------------------------------------

    async def _on_connect(self, sid: str, environ: Any, auth: Any = None) -> None:
        ticket = auth.get("ticket") if isinstance(auth, dict) else None
        last_seq = auth.get("last_seq") if isinstance(auth, dict) else None
        if not isinstance(ticket, str):
            raise self._refuse("ticket_invalid")
        if not isinstance(last_seq, int) or isinstance(last_seq, bool) or last_seq < 0:
            last_seq = None
        try:
            with no_stray_cancellation():
                async with asyncio.timeout(4):
                    found = await self.outbox.transact(lambda tx: self._admit(tx, sid, ticket))
        except AWAY as error:
            log.warning("desk not admitted", error=type(error).__name__)
            raise self._refuse("ticket_invalid") from error  # spent or not: come again with another
        except RingdeskError as error:
            raise self._refuse("forbidden") from error
        if isinstance(found, TicketRefusal):
            raise self._refuse(f"ticket_{found.value}" if found is not TicketRefusal.FORBIDDEN else "forbidden")
        principal, is_agent, queues = found
        eio_sid = self.manager.eio_sid_from_sid(sid, NAMESPACE)
        shown = None if principal.is_lead else queues
        self.desks[sid] = DeskSocket(sid, eio_sid, principal, is_agent, board_room(shown), shown)
        self._fresh.pop(eio_sid, None)
        if self._is_gone(eio_sid) or self._started.full():
            await self._on_disconnect(sid)
            raise self._refuse("ticket_invalid")
        await self.enter_room(sid, board_room(shown), namespace=NAMESPACE)
        metrics.sockets.set(len(self.desks))
        self._started.put_nowait((sid, last_seq))

    def _is_gone(self, eio_sid: str | None) -> bool:
        socket = self.eio.sockets.get(eio_sid)
        return socket is None or socket.closed or socket.closing

    async def _admit(self, tx: Tx, sid: str, ticket: str) -> TicketRefusal | tuple[Principal, bool, frozenset[str]]:
        found = await account_service.redeem_realtime_ticket(tx, ticket)
        if isinstance(found, TicketRefusal):
            return found
        is_agent = bool(await tx.conn.fetchval(sql.IS_AGENT, found.user_id))
        if is_agent:
            await routing.desk_connected(tx, agent_id=found.user_id, replica=self.replica, sid=sid)
        queues = await sql.queues_of_agents(tx.conn, ids=[found.user_id])
        return found, is_agent, queues[found.user_id]

    def _refuse(self, code: str) -> Refused:
        metrics.socket_refused.labels(code).inc()
        return Refused(code, {"code": code})

    async def _on_disconnect(self, sid: str, reason: Any = None) -> None:
        desk = self.desks.pop(sid, None)
        metrics.sockets.set(len(self.desks))
        if desk is None:
            return
        with contextlib.suppress(*AWAY):
            if desk.is_agent:
                async with self.outbox.database.acquire() as conn:
                    await conn.execute(routing_sql.DISCONNECT, self.replica, sid)
            await self._stop_viewing(desk)

    async def hear(self, desk: DeskSocket) -> None:
        """From now on this socket gets what is sent to its agent."""
        await self.enter_room(desk.sid, f"agent:{desk.principal.user_id}", namespace=NAMESPACE)

    async def broadcast(self, event: str, data: Any, room: str) -> None:
        """To this replica's sockets in the room: one frame, built once and written to each connection.

        Only for what the next message replaces: it passes by the queue of each socket, and who reads too slowly is left out.
        python-socketio's own emit makes a task and a queue entry for each socket, ten times the work."""
        packet = self.packet_class(2, namespace=NAMESPACE, data=[event, data])
        frame = _text_frame(f"4{packet.encode()}".encode())
        for number, (_, eio_sid) in enumerate(list(self.manager.get_participants(NAMESPACE, room)), 1):
            if not self._is_gone(eio_sid):
                request: web.Request | None = self.environ.get(eio_sid, {}).get("aiohttp.request")
                transport = None if request is None else request.transport
                if (
                    transport is not None
                    and not transport.is_closing()
                    and transport.get_write_buffer_size() < MAX_UNSENT
                ):
                    transport.write(frame)
            if number % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def next_started(self) -> tuple[str, int | None]:
        """The next socket whose handshake is done, with the client's last sequence number."""
        return await self._started.get()

    def start_again(self, sid: str, last_seq: int | None) -> bool:
        """Back to the end of the line. False when that is full."""
        if self._started.full():
            return False
        self._started.put_nowait((sid, last_seq))
        return True

    # --- inbound ---------------------------------------------------------------------------------------------------------

    async def _on_ack(self, sid: str, data: Any) -> None:
        desk = self.desks.get(sid)
        if desk is not None and desk.is_agent:
            crashpoint("desk.before_ack")
            await self._write(sql.ACK, desk.principal.user_id, AckIn.model_validate(data).seq)

    async def _on_painted(self, sid: str, data: Any) -> None:
        desk = self.desks.get(sid)
        painted = PaintedIn.model_validate(data)
        if desk is not None and await self._write(
            sql.PAINTED, painted.offer_id, desk.principal.user_id, painted.ms, painted.layer, fetch=True
        ):
            metrics.pop_layer_painted.labels(painted.layer).observe(painted.ms / 1000)
            if painted.layer == "identity":
                metrics.pop_painted.observe(painted.ms / 1000)

    async def _on_viewing(self, sid: str, data: Any) -> None:
        """Follow one ticket or customer: its changes and who else looks at it come live. Rights are checked against the object itself."""
        desk = self.desks.get(sid)
        if desk is None:
            return
        message = ViewingIn.model_validate(data)
        viewed = wanted(message)
        await self._show_floor(desk, is_wanted=message.is_floor and desk.principal.is_lead)
        with contextlib.suppress(*AWAY):
            if desk.viewing != viewed:
                await self._stop_viewing(desk)
            if viewed is None or not await self._may_see(desk.principal, viewed):
                return
            desk.viewing = viewed
            await self.enter_room(sid, viewed.room, namespace=NAMESPACE)
            async with self.outbox.database.acquire() as conn:
                await self.viewers.view(conn, sid, desk.principal.user_id, viewed, is_editing=message.is_editing)
            if sid not in self.desks:  # ended meanwhile: nobody else would take the row away before its lease ends
                await self._stop_viewing(desk)
                return
            await self.tell_viewers([viewed], to_all=True)

    async def _show_floor(self, desk: DeskSocket, *, is_wanted: bool) -> None:
        if desk.sees_floor is not is_wanted:
            desk.sees_floor = is_wanted
            self.has_new_floor |= is_wanted
            move = self.enter_room if is_wanted else self.leave_room
            await move(desk.sid, FLOOR, namespace=NAMESPACE)

    async def tell_viewers(self, objects: Collection[Viewed], *, to_all: bool = False) -> None:
        """Who looks at these now, to those who do: where it has changed, or (`to_all`) in any case and on all replicas."""
        async with self.viewers.lock:
            async with self.outbox.database.acquire() as conn:
                read = await self.viewers.read(conn, objects)
            at = self.outbox.database.clock.now()
            for viewed, data in (read if to_all else self.viewers.news(read)).items():
                message = {
                    "seq": None,
                    "type": "viewers",
                    "v": 1,
                    "at": at.isoformat(),
                    "data": data.model_dump(mode="json"),
                }
                await self.emit("viewers", message, room=viewed.room, namespace=NAMESPACE, ignore_queue=not to_all)
                self.viewers.told(viewed, data)

    async def look_at_viewers(self) -> None:
        """What changed elsewhere, or was told and not heard."""
        if objects := {desk.viewing for desk in self.desks.values() if desk.viewing is not None}:
            await self.tell_viewers(objects)

    async def _may_see(self, principal: Principal, viewed: Viewed) -> bool:
        async with self.outbox.database.acquire() as conn:
            if viewed.kind == "customer":
                return await customer_version(conn, customer_id=viewed.id) is not None
            return bool(await ticket_summaries(conn, ids=[viewed.id], principal=principal))

    async def _write(self, statement: str, *args: Any, fetch: bool = False) -> Any:
        try:
            async with self.outbox.database.acquire() as conn:
                return await (conn.fetchval(statement, *args) if fetch else conn.execute(statement, *args))
        except AWAY:
            log.debug("desk message not kept, database away")  # an ack comes again with the next one
            return None

    # --- life ------------------------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Run until cancelled: renew leases, close what never finished its handshake, cut what lost its session."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_around())
            tasks.create_task(self._keep_leases())

    async def _look_around(self) -> None:
        while True:
            heed_cancellation()
            await asyncio.sleep(LOOK_S)
            try:
                await self._look()
            except Exception:
                log.exception("look at the sockets failed")

    async def _look(self) -> None:
        for eio_sid, handshake in list(self._fresh.items()):
            if monotonic() - handshake.since > CONNECT_DEADLINE_S:
                self._fresh.pop(eio_sid, None)
                metrics.socket_refused.labels("handshake_timeout").inc()
                await self.end(eio_sid)
        for desk in list(self.desks.values()):
            if self._is_gone(desk.eio_sid):
                await self._forget(desk)
            elif self.eio.sockets[desk.eio_sid].queue.qsize() > MAX_BACKLOG:
                metrics.socket_refused.labels("slow").inc()
                await self.cut(desk)
        # Counted first: a list for each of thousands of people, twice a second, would keep the garbage collector busy.
        held = Counter(desk.principal.user_id for desk in self.desks.values())
        for user_id in [user_id for user_id, sockets in held.items() if sockets > MAX_SOCKETS_PER_USER]:
            desks = sorted((d for d in self.desks.values() if d.principal.user_id == user_id), key=lambda d: d.since)
            for desk in desks[:-MAX_SOCKETS_PER_USER]:
                metrics.socket_refused.labels("crowd").inc()
                await self.cut(desk)

    async def _forget(self, desk: DeskSocket) -> None:
        with contextlib.suppress(KeyError):
            await self.manager.disconnect(desk.sid, NAMESPACE, ignore_queue=True)
        await self._on_disconnect(desk.sid)

    async def cut(self, desk: DeskSocket) -> None:
        """End a desk's socket; the page comes back with a new ticket, if it gets one."""
        await self.disconnect(desk.sid, namespace=NAMESPACE)
        await self.end(desk.eio_sid)

    async def end(self, eio_sid: str) -> None:
        """End an engine socket without waiting for its peer: what is queued is sent if it reads, and then it is over."""
        environ = self.environ.get(eio_sid) or {}
        socket = self.eio.sockets.pop(eio_sid, None)
        if socket is None:
            return
        await socket.close(wait=False)
        await socket.queue.put(None)  # the writer's sign to close
        request: web.Request | None = environ.get("aiohttp.request")
        if request is not None and request.transport is not None:
            asyncio.get_running_loop().call_later(CLOSE_GRACE_S, request.transport.abort)

    async def end_all(self) -> None:
        """At the end of the process: no page waits for a server that is gone. Leases go with their sockets."""
        await asyncio.gather(*(self.end(eio_sid) for eio_sid in list(self.eio.sockets)), return_exceptions=True)
        await asyncio.sleep(0)

    async def aclose(self) -> None:
        if self.eio.service_task_event is not None:
            await self.shutdown()
        if self.hints is not None:
            await self.hints.aclose()

    async def _keep_leases(self) -> None:
        while True:
            heed_cancellation()
            try:
                with no_stray_cancellation():
                    async with asyncio.timeout(4):
                        await self._renew()
            except AWAY:
                log.debug("leases not renewed, database away")
            except Exception:
                log.exception("leases not renewed")
            await asyncio.sleep(RENEW_S)

    async def _renew(self) -> None:
        if not self.desks:
            return
        desks = list(self.desks.values())
        hashes = list({d.principal.session_hash for d in desks if d.principal.session_hash is not None})
        now = self.outbox.database.clock.now()
        async with self.outbox.database.acquire() as conn:
            await conn.execute(routing_sql.RENEW_LEASES, self.replica, LEASE_S, [d.sid for d in desks if d.is_agent])
            live = await accounts.live_principals(conn, hashes=hashes, now=now)
            await accounts.touch_sessions(conn, hashes=list(live), now=now)
            await self.viewers.renew(conn, [d.sid for d in desks if d.viewing is not None])
            queues = await sql.queues_of_agents(conn, ids=[d.principal.user_id for d in desks])
            blind = [d for d in desks if d.viewing is not None and not await self._still_sees(conn, d)]
        for desk in desks:
            current = live.get(desk.principal.session_hash or b"")
            if current is None or current.role is not desk.principal.role:
                log.info("desk cut: session ended or role changed")
                await self.cut(desk)
            elif desk.queues is not None and desk.queues != queues[desk.principal.user_id]:
                await self._move_board(desk, queues[desk.principal.user_id])
        for desk in blind:
            await self._stop_viewing(desk)

    async def _still_sees(self, conn: Connection, desk: DeskSocket) -> bool:
        if desk.principal.is_lead or desk.viewing is None or desk.viewing.kind != "ticket":
            return True
        return bool(await ticket_summaries(conn, ids=[desk.viewing.id], principal=desk.principal))

    async def _move_board(self, desk: DeskSocket, queues: frozenset[str]) -> None:
        """The agent serves other queues than before."""
        await self.leave_room(desk.sid, desk.board_room, namespace=NAMESPACE)
        desk.queues, desk.board_room = queues, board_room(queues)
        await self.enter_room(desk.sid, desk.board_room, namespace=NAMESPACE)

    async def _stop_viewing(self, desk: DeskSocket) -> None:
        viewed, desk.viewing = desk.viewing, None
        if viewed is None:
            return
        if desk.sid in self.desks:
            await self.leave_room(desk.sid, viewed.room, namespace=NAMESPACE)
        async with self.outbox.database.acquire() as conn:
            await self.viewers.leave(conn, desk.sid)
        await self.tell_viewers([viewed], to_all=True)


def _text_frame(body: bytes) -> bytes:
    """A whole WebSocket message from a server: unmasked, not compressed."""
    size = len(body)
    if size < 126:
        return bytes([0x81, size]) + body
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + body
    return b"\x81\x7f" + size.to_bytes(8, "big") + body


def board_room(queues: frozenset[str] | None) -> str:
    """One room for all who see the same queues; None is everything."""
    return "board:*" if queues is None else "board:" + ",".join(sorted(queues))
