"""docs/howto/twilio.md, followed: its commands with its files, the simulator in place of Twilio, until the first call is answered."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from simulator.chance import Chance
from simulator.people.agents import ScriptedAgent
from simulator.people.api import open_api
from simulator.people.ledger import Ledger
from simulator.tasks import TaskOwner
from tests.e2e.running import ROOT, until

PAGE: Final = (ROOT / "docs" / "howto" / "twilio.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.S | re.M)
COMMANDS: Final = [line for kind, text in BLOCKS if not kind for line in text.splitlines() if line.startswith(".venv")]
NUMBER: Final = "+14155550199"
PASSWORD: Final = "correct-horse-battery-44"


def test_the_page_has_the_commands_in_this_order() -> None:
    assert [line.removeprefix(".venv/bin/ringdesk ").removesuffix(" --data-dir .live") for line in COMMANDS] == [
        "up",
        "apply first.yaml",
        "user set-password you@example.com",
        "doctor --twilio",
        "doctor --twilio --fix",
    ]


class Follower:
    """Types what the page says."""

    def __init__(self, folder: Path, port: int, simulator: str, account: str) -> None:
        self.folder, self.port = folder, port
        self.url = f"http://127.0.0.1:{port}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RINGDESK_")}
        exports = dict(re.findall(r"^export (\w+)='(.*)'$", PAGE, re.M))
        assert set(exports) == {"RINGDESK_PUBLIC_URL", "RINGDESK_TWILIO_ACCOUNTS"}
        self.environment = clean | {
            "RINGDESK_PUBLIC_URL": self.url,
            "RINGDESK_TWILIO_ACCOUNTS": account,
            "RINGDESK_TWILIO_API_BASE": f"{simulator}/twilio",
            "PYTHONPATH": str(ROOT),
        }
        (folder / "first.yaml").write_text(next(text for kind, text in BLOCKS if kind == "yaml"), encoding="utf-8")

    async def start(self, command: str, *more: str) -> Process:
        words = command.replace(".live", str(self.folder / "live")).split()
        words[0] = str(Path(sys.executable).with_name("ringdesk"))
        return await asyncio.create_subprocess_exec(
            *words, *more, cwd=self.folder, env=self.environment, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )

    async def type(self, command: str, *more: str, given: str = "") -> tuple[int | None, str]:
        process = await self.start(command, *more)
        async with asyncio.timeout(60):
            out, err = await process.communicate(given.encode())
        return process.returncode, (out + err).decode()


@contextlib.asynccontextmanager
async def ended(process: Process) -> AsyncIterator[Process]:
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                await process.wait()


async def line_with(process: Process, part: str) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while raw := await process.stdout.readline():
            if part in raw.decode():
                return raw.decode()
    raise AssertionError(f"the process ended before it said {part}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def test_the_page_followed_ends_with_an_answered_call() -> None:
    folder = Path(tempfile.mkdtemp(prefix="ringdesk-howto-"))
    folder.chmod(0o755)
    try:
        await _follow(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _follow(folder: Path) -> None:
    port = free_port()
    account = {
        "sid": "AC" + "7" * 32, "auth_tokens": ["token-of-the-howto"],
        "api_key_sid": "SK" + "7" * 32, "api_key_secret": "secret-of-the-howto-that-is-long", "app_sid": "AP" + "7" * 32,
    }  # fmt: skip
    simulator = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulator", "serve",
        "--public-url-of-service", f"http://127.0.0.1:{port}", "--account-env", "ACCOUNTS", "--blank",
        cwd=ROOT, env=os.environ | {"ACCOUNTS": json.dumps([account])}, stdout=PIPE,
    )  # fmt: skip
    async with ended(simulator):
        provider = (await line_with(simulator, "simulator ready")).split()[2]
        you = Follower(folder, port, provider, json.dumps([account]))
        async with ended(await you.start(COMMANDS[0], "--port", str(port), "--broker", "local")) as up:
            await line_with(up, "ringdesk ready")
            assert (await you.type(COMMANDS[1]))[0] == 0
            assert (await you.type(COMMANDS[2], "--stdin", given=f"{PASSWORD}\n"))[0] == 0
            code, told = await you.type(COMMANDS[3])
            assert (code, told.count("WRONG")) == (1, 6), told
            assert f"{NUMBER}: when a call comes in, it asks nobody; it must be {you.url}/twilio/voice" in told
            code, told = await you.type(COMMANDS[4])
            assert (code, told.count("changed")) == (0, 6), told
            assert (await you.type(COMMANDS[3]))[0] == 0
            await _call(you, provider)


async def _call(you: Follower, provider: str) -> None:
    """You at your desk; somebody calls."""
    agent = ScriptedAgent(
        url=you.url, simulator_url=provider, email="you@example.com", password=PASSWORD, chance=Chance(1), ledger=Ledger()
    )  # fmt: skip
    owner = TaskOwner()
    await owner.start()
    try:
        owner.spawn(agent.run(), "you")

        async def is_ready() -> bool:
            return agent.is_ready

        await until(is_ready, within_s=20, what="you are available")
        async with open_api(provider) as phones:
            sid = (await phones.post("/calls", {"from": "+14155550123", "to": NUMBER, "patience_s": 30, "talk_s": 1}))[
                "sid"
            ]

            async def was_spoken_with() -> bool:
                leg = await phones.get(f"/calls/{sid}")
                return bool(leg["is_talking"] or leg["ended_at"])

            await until(was_spoken_with, within_s=30, what="the call is answered")
        assert len(agent.desk.shown) == 1
    finally:
        await owner.stop()
