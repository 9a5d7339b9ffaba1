"""A stand-in for `ringdesk up`: enters the named servers, tells about them, and waits to be told or killed.

`python embedded_host.py DATA_DIR postgres valkey rabbitmq` prints one JSON line, then stays until its input ends.
"""

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from app import embedded

STARTS = {
    "postgres": embedded.embedded_postgres,
    "valkey": embedded.embedded_valkey,
    "rabbitmq": embedded.private_rabbitmq,
}


async def main(data_dir: Path, names: list[str]) -> None:
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(STARTS[name](data_dir)) for name in names}
        told = {name: {"url": s.url, "where": s.where, "pid": s.pid} for name, s in servers.items()}
        print(json.dumps({"pid": os.getpid(), "servers": told}), flush=True)  # noqa: T201
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
