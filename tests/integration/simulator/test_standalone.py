"""The simulator as a process of its own."""

import asyncio
import signal
import sys

from aiohttp import ClientSession


async def test_it_serves_until_it_is_told_to_stop() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulator", "serve", "--public-url-of-service", "http://127.0.0.1:9", "--seed", "1",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60), ClientSession() as http:
            ready = (await process.stdout.readline()).decode()
            url = ready.split()[2]
            async with http.post(f"{url}/calls", json={"from": "+1", "to": "+2"}) as response:
                assert response.status == 201
            process.send_signal(signal.SIGTERM)
            await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0
    assert ready.startswith("simulator ready http://127.0.0.1:")
