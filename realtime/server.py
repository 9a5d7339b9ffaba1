"""The Socket.IO server of the desks, with what python-socketio leaves open closed.

What is defended here (reference/reliability.md L18–L24): a client may only send `ack`, `painted`, `viewing` with one object in the
namespace /desk; anything else, the reserved names `connect` and `disconnect` included, is refused before dispatch, disconnected
and counted. A socket that does not finish its handshake in 5 s is closed. Identity comes from the single-use ticket, once, at connect; rooms are
built here. Inbound events of one client are handled in order. Frames are not compressed (127 instead of 32 KB per client).
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
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
from core.errors import RingdeskError, Unavailable
from core.principal import Principal
from infra.http import allowed_origins
from infra.outbox import Outbox, Tx
from infra.postgres import CONNECTION_ERRORS, RETRYABLE_ERRORS
from infra.telemetry import metrics
from realtime import queries as sql
from realtime.messages import AckIn, PaintedIn, ViewingIn
from routing import queries as routing_sql
from routing import service as routing
from routing.model import LEASE_S

log = structlog.get_logger()

NAMESPACE: Final = "/desk"
INBOUND: Final[Mapping[str, type[BaseModel]]] = {"ack": AckIn, "painted": PaintedIn, "viewing": ViewingIn}
CONNECT_DEADLINE_S: Final = 5.0
RENEW_S: Final = 5.0
MAX_PACKETS_PER_S: Final = 50
AWAY: Final = (Unavailable, TimeoutError, *CONNECTION_ERRORS, *RETRYABLE_ERRORS)


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


class _PlainWebSocket(driver.WebSocket):  # type: ignore[misc]
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
    viewing: int | None = None
    packets: int = 0
    packets_since: float = field(default_factory=monotonic)


class DeskServer(socketio.AsyncServer):  # type: ignore[misc]
    """Knows its sockets; what to send them is `push.py`'s business."""

    def __init__(self, outbox: Outbox, *, public_url: str, replica: str, redis_url: str | None) -> None:
        manager = socketio.AsyncRedisManager(redis_url, channel="ringdesk.desk") if redis_url else None
        super().__init__(
            async_mode="aiohttp",
            client_manager=manager,
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
        )
        self.eio._async = {**driver._async, "websocket": _PlainWebSocket}  # noqa: SLF001
        self.outbox = outbox
        self.replica = replica
        self.desks: dict[str, DeskSocket] = {}
        self._fresh: dict[str, float] = {}
        self._started: asyncio.Queue[tuple[str, int | None]] = asyncio.Queue(10_000)
        self.on("connect", self._on_connect, namespace=NAMESPACE)
        self.on("disconnect", self._on_disconnect, namespace=NAMESPACE)
        self.on("ack", self._on_ack, namespace=NAMESPACE)
        self.on("painted", self._on_painted, namespace=NAMESPACE)
        self.on("viewing", self._on_viewing, namespace=NAMESPACE)

    # --- the gate ----------------------------------------------------------------------------------------------------

    async def _handle_eio_connect(self, eio_sid: str, environ: Any) -> Any:
        self._fresh[eio_sid] = monotonic()
        return await super()._handle_eio_connect(eio_sid, environ)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: Any) -> None:
        self._fresh.pop(eio_sid, None)
        await super()._handle_eio_disconnect(eio_sid, reason)

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        """Only a CONNECT to /desk (once), a DISCONNECT, and the three events pass."""
        try:
            problem = self._fault(eio_sid, data)
        except Exception:  # whatever a hostile packet does to the parser
            problem = "malformed"
        if problem is None:
            await super()._handle_eio_message(eio_sid, data)
            return
        metrics.socket_refused.labels(problem).inc()
        log.warning("socket packet refused", reason=problem)
        await self.eio.disconnect(eio_sid)

    def _fault(self, eio_sid: str, data: Any) -> str | None:
        if not isinstance(data, str):
            return "binary"
        packet = self.packet_class(encoded_packet=data)
        if packet.namespace != NAMESPACE:
            return "namespace"
        sid = self.manager.sid_from_eio_sid(eio_sid, NAMESPACE)
        if packet.packet_type == 0:
            return None if eio_sid in self._fresh and sid is None else "second_connect"
        if sid is None:
            return "before_connect"
        if packet.packet_type == 1:
            return None
        if packet.packet_type != 2 or packet.id is not None:
            return "packet_type"
        return self._event_fault(sid, packet.data)

    def _event_fault(self, sid: str, data: Any) -> str | None:
        if not isinstance(data, list) or len(data) != 2 or not isinstance(data[0], str) or data[0] not in INBOUND:
            return "event"
        try:
            INBOUND[data[0]].model_validate(data[1])
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
            async with asyncio.timeout(4):
                found = await self.outbox.transact(lambda tx: self._admit(tx, sid, ticket))
        except (*AWAY, RingdeskError) as error:
            log.warning("desk not admitted", error=type(error).__name__)
            raise self._refuse("forbidden") from error
        if isinstance(found, TicketRefusal):
            raise self._refuse(f"ticket_{found.value}" if found is not TicketRefusal.FORBIDDEN else "forbidden")
        principal, is_agent, queues = found
        shown = None if principal.is_lead else frozenset(queues)
        room = "board:*" if shown is None else "board:" + ",".join(sorted(shown))
        eio_sid = self.manager.eio_sid_from_sid(sid, NAMESPACE)
        self.desks[sid] = DeskSocket(sid, eio_sid, principal, is_agent, room, shown)
        self._fresh.pop(eio_sid, None)
        await self.enter_room(sid, f"agent:{principal.user_id}", namespace=NAMESPACE)
        await self.enter_room(sid, room, namespace=NAMESPACE)
        metrics.sockets.set(len(self.desks))
        self._started.put_nowait((sid, last_seq))

    async def _admit(self, tx: Tx, sid: str, ticket: str) -> TicketRefusal | tuple[Principal, bool, list[str]]:
        found = await account_service.redeem_realtime_ticket(tx, ticket)
        if isinstance(found, TicketRefusal):
            return found
        is_agent = bool(await tx.conn.fetchval(sql.IS_AGENT, found.user_id))
        if is_agent:
            await routing.desk_connected(tx, agent_id=found.user_id, replica=self.replica, sid=sid)
        queues = [row["queue_key"] for row in await tx.conn.fetch(sql.QUEUES_OF_AGENT, found.user_id)]
        return found, is_agent, queues

    def _refuse(self, code: str) -> Refused:
        metrics.socket_refused.labels(code).inc()
        return Refused(code, {"code": code})

    async def _on_disconnect(self, sid: str, reason: Any = None) -> None:
        desk = self.desks.pop(sid, None)
        metrics.sockets.set(len(self.desks))
        if desk is None or not desk.is_agent:
            return
        with contextlib.suppress(*AWAY):
            async with self.outbox.database.acquire() as conn:
                await conn.execute(routing_sql.DISCONNECT, self.replica, sid)

    async def next_started(self) -> tuple[str, int | None]:
        """The next socket whose handshake is done, with the client's last sequence number."""
        return await self._started.get()

    # --- inbound ---------------------------------------------------------------------------------------------------------

    async def _on_ack(self, sid: str, data: Any) -> None:
        desk = self.desks.get(sid)
        if desk is not None and desk.is_agent:
            await self._write(sql.ACK, desk.principal.user_id, AckIn.model_validate(data).seq)

    async def _on_painted(self, sid: str, data: Any) -> None:
        desk = self.desks.get(sid)
        painted = PaintedIn.model_validate(data)
        if desk is not None and await self._write(
            sql.PAINTED, painted.offer_id, desk.principal.user_id, painted.ms, fetch=True
        ):
            metrics.pop_painted.observe(painted.ms / 1000)

    async def _on_viewing(self, sid: str, data: Any) -> None:
        """Follow one ticket: its changes come live. Rights are checked against the ticket itself."""
        desk = self.desks.get(sid)
        if desk is None:
            return
        wanted = ViewingIn.model_validate(data).ticket_id
        if desk.viewing is not None:
            await self.leave_room(sid, f"ticket:{desk.viewing}", namespace=NAMESPACE)
            desk.viewing = None
        if wanted is not None and await self._may_see(desk.principal, wanted):
            desk.viewing = wanted
            await self.enter_room(sid, f"ticket:{wanted}", namespace=NAMESPACE)

    async def _may_see(self, principal: Principal, ticket_id: int) -> bool:
        from ticketing.queries import ticket_summaries

        try:
            async with self.outbox.database.acquire() as conn:
                return bool(await ticket_summaries(conn, ids=[ticket_id], principal=principal))
        except AWAY:
            return False

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
        renewed = 0.0
        while True:
            await asyncio.sleep(0.5)
            late = [eio for eio, since in self._fresh.items() if monotonic() - since > CONNECT_DEADLINE_S]
            for eio_sid in late:
                self._fresh.pop(eio_sid, None)
                metrics.socket_refused.labels("handshake_timeout").inc()
                await self.eio.disconnect(eio_sid)
            if monotonic() - renewed < RENEW_S:
                continue
            renewed = monotonic()
            try:
                async with asyncio.timeout(4):
                    await self._renew()
            except AWAY:
                log.debug("leases not renewed, database away")

    async def _renew(self) -> None:
        if not self.desks:
            return
        agents = [desk.sid for desk in self.desks.values() if desk.is_agent]
        hashes = {d.principal.session_hash for d in self.desks.values() if d.principal.session_hash is not None}
        async with self.outbox.database.acquire() as conn:
            await conn.execute(routing_sql.RENEW_LEASES, self.replica, LEASE_S, agents)
            live = await accounts.live_principals(conn, hashes=list(hashes), now=self.outbox.database.clock.now())
        for desk in list(self.desks.values()):
            current = live.get(desk.principal.session_hash or b"")
            if current is None or current.role is not desk.principal.role:
                log.info("desk cut: session ended or role changed")
                await self.disconnect(desk.sid, namespace=NAMESPACE)

    def each(self, wanted: Callable[[DeskSocket], bool]) -> list[DeskSocket]:
        return [desk for desk in self.desks.values() if wanted(desk)]
