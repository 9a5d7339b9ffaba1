"""Hints between replicas stay inside their deployment, also on a Redis that others use too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from realtime.hints import Hints
from tests.servers import Addresses


@asynccontextmanager
async def hints_of(address: str, database: int) -> AsyncIterator[Hints]:
    hints = Hints(f"{address}?db={database}")
    try:
        yield hints
    finally:
        await hints.aclose()


@pytest.fixture
def address(addresses: Addresses) -> str:
    return addresses.redis.partition("?")[0]


async def test_a_deployment_hears_itself_and_no_other_on_the_same_server(address: str) -> None:
    async with hints_of(address, 11) as mine, hints_of(address, 11) as replica, hints_of(address, 12) as foreign:
        heard: asyncio.Queue[bytes] = asyncio.Queue()

        async def listen() -> None:
            async for message in mine._listen():
                heard.put_nowait(message)

        listening = asyncio.create_task(listen())
        client: Any = Redis.from_url(address)

        async def is_heard() -> bool:
            return bool(dict(await client.pubsub_numsub(mine.channel))[mine.channel.encode()])

        try:
            async with asyncio.timeout(10):
                while not await is_heard():  # noqa: ASYNC110 - the server tells only who asks
                    await asyncio.sleep(0.01)
                await foreign._publish({"method": "emit", "event": "of others"})
                await replica._publish({"method": "emit", "event": "of ours"})
                messages = [await heard.get()]
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await client.aclose()
    assert [b"of ours" in message for message in messages] == [True]
