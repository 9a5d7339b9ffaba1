"""The link does what its modes say, and counts it: what every test of a fault rests on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.chaos.stack import until
from tests.link import Link, Mode, Side

SOON_S = 0.3
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """A server that keeps what it got, and says it again."""

    def __init__(self) -> None:
        self.got = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while received := await reader.read(1000):
                self.got += received
                writer.write(received)
                await writer.drain()
        writer.close()

    async def has(self, expected: bytes) -> None:
        async def is_there() -> bool:
            return self.got == expected

        await until(is_there, within_s=5, what=f"the server has {expected!r}")


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def link(echo: Echo) -> AsyncIterator[Link]:
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    held = Link()
    held.lead_to_port(server.sockets[0].getsockname()[1])
    await held.open()
    yield held
    await held.close()
    server.close()


@asynccontextmanager
async def client(link: Link) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def says(streams: Streams, text: bytes) -> bytes:
    streams[1].write(text)
    await streams[1].drain()
    async with asyncio.timeout(5):
        return await streams[0].read(1000)


async def test_it_passes_both_ways(link: Link) -> None:
    async with client(link) as streams:
        assert await says(streams, b"hello") == b"hello"
    assert (link.connections, link.held, link.resets) == (1, 0, 0)


@pytest.mark.parametrize("mode", [Mode.RESET, Mode.REFUSE])
async def test_what_is_connected_is_reset_and_nothing_new_comes_through(link: Link, mode: Mode) -> None:
    async with client(link) as streams:
        assert await says(streams, b"before") == b"before"
        await link.set(mode)
        with pytest.raises(ConnectionResetError):
            await says(streams, b"after")
    assert link.resets >= 1
    with pytest.raises(OSError):  # noqa: PT011 - refused at once, or reset when it speaks
        async with client(link) as streams:
            assert await says(streams, b"new") == b"new"
    await link.set(Mode.PASS)
    async with client(link) as streams:
        assert await says(streams, b"again") == b"again"


async def test_a_black_hole_keeps_everything_and_gives_it_back(link: Link, echo: Echo) -> None:
    async with client(link) as streams:
        assert await says(streams, b"1") == b"1"
        await link.set(Mode.SWALLOW)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S):
                await says(streams, b"2")
        assert (echo.got, link.held) == (b"1", 1)
        await link.set(Mode.PASS)
        async with asyncio.timeout(5):
            assert await streams[0].read(1000) == b"2"


async def test_who_connects_to_a_black_hole_is_counted_and_gets_through_when_it_ends(link: Link) -> None:
    await link.set(Mode.SWALLOW)
    async with client(link) as streams:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S):
                await says(streams, b"1")
        assert link.held == 1
        await link.set(Mode.PASS)
        async with asyncio.timeout(5):
            assert await streams[0].read(1000) == b"1"


async def test_one_direction_only(link: Link, echo: Echo) -> None:
    async with client(link) as streams:
        assert await says(streams, b"1") == b"1"
        await link.set(Mode.ONLY_TO_SERVER)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S):
                await says(streams, b"2")
        await echo.has(b"12")
        await link.set(Mode.ONLY_TO_CLIENT)
        async with asyncio.timeout(5):
            assert await streams[0].read(1000) == b"2"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S):
                await says(streams, b"3")
        assert echo.got == b"12"


async def test_a_delay_is_kept(link: Link) -> None:
    async with client(link) as streams:
        link.delay_s = SOON_S
        began = asyncio.get_running_loop().time()
        assert await says(streams, b"slow") == b"slow"
        assert asyncio.get_running_loop().time() - began >= 2 * SOON_S * 0.9
        assert link.delayed == 2


async def test_after_the_pattern_nothing_is_told(link: Link, echo: Echo) -> None:
    """Also when it comes in two pieces; what was not armed for passes."""
    link.cut_after(b"COMMIT;", times=1)
    async with client(link) as streams:
        assert await says(streams, b"COMM") == b"COMM"
        with pytest.raises(ConnectionResetError):
            assert await says(streams, b"IT;") == b""
    await echo.has(b"COMMIT;")
    async with client(link) as streams:
        assert await says(streams, b"COMMIT;") == b"COMMIT;"
    assert link.cuts == 1


async def test_the_answer_can_be_what_breaks_it(link: Link, echo: Echo) -> None:
    link.cut_after(b"two", times=1, side=Side.CLIENT)
    async with client(link) as streams:
        assert await says(streams, b"one") == b"one"
        with suppress(ConnectionResetError):
            assert await says(streams, b"two") in (b"", b"two")
    await echo.has(b"onetwo")
    assert link.cuts == 1
