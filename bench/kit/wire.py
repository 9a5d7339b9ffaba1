"""A desk on the wire: Engine.IO 4 over one WebSocket, by hand, so that ten thousand of them fit into one small process.

It offers permessage-deflate as browsers do, answers pings, joins a namespace with its ticket and hands every event on. Frames to the
server are masked with zeros, which is allowed and costs nothing.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import urlsplit

UPGRADE: Final = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: cmluZ2Rlc2sgYmVuY2ggMQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)

OnEvent = Callable[["Desk", bytes], None]


class Desk(asyncio.Protocol):
    """`on_event(desk, body)`: body is the JSON array of an event. `joined` is done when the namespace is open."""

    __slots__ = (
        "_buffer",
        "_is_open",
        "_on_event",
        "_transport",
        "_upgrade",
        "joined",
        "lost",
        "namespace",
        "owner",
        "ticket",
    )

    def __init__(self, owner: int, host: str, namespace: str, ticket: str, on_event: OnEvent) -> None:
        self.owner = owner
        self.namespace = namespace.encode()
        self.ticket = ticket.encode()
        self.joined: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()
        self.lost = False
        self._upgrade = UPGRADE.format(host=host).encode()
        self._on_event = on_event
        self._buffer = b""
        self._is_open = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is not one by name
        self._transport.write(self._upgrade)
        self._upgrade = b""

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._fail("the connection is lost")

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        if not self._is_open:
            head, blank, rest = data.partition(b"\r\n\r\n")
            if not blank:
                self._buffer = data
                return
            if b" 101 " not in head[:20]:
                self._fail(head[:200].decode(errors="replace"))
                return
            self._is_open, data = True, rest
        self._buffer = self._frames(data)

    def _frames(self, data: bytes) -> bytes:
        """Handle the whole frames; returns what is left."""
        at, size = 0, len(data)
        while size - at >= 2:
            length, begin = data[at + 1] & 127, at + 2
            if length == 126:
                length, begin = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                length, begin = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if begin > size or begin + length > size:
                break
            self._frame(data[at] & 15, data[begin : begin + length])
            at = begin + length
        return data[at:]

    def _frame(self, opcode: int, body: bytes) -> None:
        if opcode == 8:
            self.close()
        elif opcode != 1:
            return
        elif body == b"2":
            self.send(b"3")
        elif body.startswith(b"42"):
            self._on_event(self, body[body.index(b"[") :])
        elif body.startswith(b"0"):
            prefix = self.namespace + b"," if self.namespace != b"/" else b""
            self.send(b"40" + prefix + b'{"ticket":"' + self.ticket + b'","last_seq":null}')
            self.ticket = b""
        elif body.startswith(b"40"):
            if self.joined is not None and not self.joined.done():
                self.joined.set_result(None)
            self.joined = None
        elif body.startswith(b"44"):
            self._fail(body.decode(errors="replace"))

    def emit(self, event: bytes) -> None:
        """`event`: the JSON array."""
        self.send(b"42" + self.namespace + b"," + event)

    def send(self, text: bytes) -> None:
        assert self._transport is not None
        length = len(text)
        size = bytes([128 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
        self._transport.write(b"\x81" + size + b"\0\0\0\0" + text)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, why: str) -> None:
        if self.joined is not None and not self.joined.done():
            self.joined.set_exception(ConnectionError(why))
        self.joined = None


async def connect(
    url: str, owner: int, ticket: str, on_event: OnEvent, *, namespace: str = "/desk", within_s: float = 30
) -> Desk:
    """`owner` also chooses the source address: one has only 28,000 ports."""
    host = urlsplit(url).netloc
    desk = Desk(owner, host, namespace, ticket, on_event)
    joined = desk.joined
    assert joined is not None
    source = (f"127.0.0.{2 + owner % 8}", 0)
    where = urlsplit(url)
    await asyncio.get_running_loop().create_connection(
        lambda: desk, where.hostname or "", where.port or 80, local_addr=source
    )
    try:
        async with asyncio.timeout(within_s):
            await joined
    except TimeoutError:
        desk.abort()
        raise ConnectionError("no answer to the handshake") from None
    return desk
