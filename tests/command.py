"""The command line, as from a shell."""

import asyncio

from app import cli


async def run(*words: str) -> int:
    """The exit code of a command, run in a thread: it brings its own event loop."""
    return int(await asyncio.to_thread(lambda: cli.app([*words], result_action="return_value")) or 0)
