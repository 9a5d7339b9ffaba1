import asyncio
import os
from pathlib import Path

import redis.asyncio

from app.embedded import embedded_valkey
from tests.integration.app.hosting import a_host, runs, seconds_until


async def test_answers_on_a_private_socket_and_leaves_nothing_behind(data_dir: Path) -> None:
    async with embedded_valkey(data_dir) as server:
        client = redis.asyncio.from_url(server.url)
        assert await client.set("key", "value")
        assert await client.eval("return redis.call('GET', KEYS[1])", 1, "key") == b"value"
        await client.aclose()
        assert server.seconds < 2
        assert os.stat(Path(server.where).parent).st_mode & 0o077 == 0
    assert not runs(server.pid)
    assert not Path(server.where).parent.exists()


async def test_kill_of_the_parent_ends_it_in_two_seconds(data_dir: Path) -> None:
    async with a_host(data_dir, "valkey") as host:
        valkey = host.servers["valkey"]
        host.kill()
        await seconds_until(lambda: not runs(valkey.pid), within_s=2)
        await seconds_until(lambda: not Path(valkey.where).exists(), within_s=1)
    async with embedded_valkey(data_dir) as again:
        assert runs(again.pid)


async def test_both_end_in_order_when_the_host_ends(data_dir: Path) -> None:
    async with a_host(data_dir, "postgres", "valkey") as host:
        async with asyncio.timeout(10):
            await host.end()
        assert host.process.returncode == 0
        assert not any(runs(server.pid) for server in host.servers.values())


async def test_works_where_only_root_may_enter(tmp_path: Path) -> None:
    async with embedded_valkey(tmp_path) as server:
        client = redis.asyncio.from_url(server.url)
        assert await client.ping()
        await client.aclose()
