"""The floors of our dependencies are real: what is installed and locked keeps them, none is below a known hole, and the lowest set works.

Tools that ask a server which versions are bad report "none" when they cannot reach it, so the known ones are written down here.
"""

import asyncio
import os
import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import dev

ROOT: Final = Path(__file__).resolve().parent.parent
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME: Final = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
EMBEDDED: Final = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"]["embedded"]]
DEVELOPMENT: Final = [Requirement(text) for text in PROJECT["dependency-groups"]["dev"]]
SAFE_FROM: Final = {
    "aiohttp": (
        "3.13.4",
        "request smuggling and memory exhaustion in the parser (CVE-2025-69229, -69230, CVE-2026-22815)",
    ),
    "python-engineio": ("4.13.2", "one packet stalls the server (CVE-2026-48802)"),
    "python-socketio": (
        "5.16.2",
        "servers talk in JSON since 5.14, in pickle before; attachments are bounded since 5.16.2",
    ),
    "aio-pika": ("10.2", "a consumer whose queue was deleted and made again never came back (issue 334)"),
}


def floor(requirement: Requirement) -> Version:
    floors = [Version(each.version) for each in requirement.specifier if each.operator == ">="]
    assert len(floors) == 1, f"{requirement} needs exactly one floor"
    return floors[0]


@pytest.mark.parametrize("requirement", [*RUNTIME, *EMBEDDED, *DEVELOPMENT], ids=lambda each: each.name)
def test_installed_version_keeps_the_floor(requirement: Requirement) -> None:
    if requirement.marker is None or requirement.marker.evaluate():
        assert Version(version(requirement.name)) >= floor(requirement)


@pytest.mark.parametrize(
    ("lock", "wanted"), [("requirements.lock", RUNTIME), ("requirements-dev.lock", [*RUNTIME, *DEVELOPMENT])]
)
def test_locked_versions_keep_the_floors(lock: str, wanted: list[Requirement]) -> None:
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", (ROOT / lock).read_text(), re.M))
    for requirement in [*wanted, *EMBEDDED]:
        assert Version(pinned[requirement.name.replace(".", "-")]) >= floor(requirement), requirement


def test_no_floor_is_below_a_known_hole() -> None:
    floors = {requirement.name: floor(requirement) for requirement in RUNTIME}
    for name, (safe, why) in SAFE_FROM.items():
        assert floors[name] >= Version(safe), why


async def _run(*command: str | Path, within_s: float = 300) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(within_s):
            text, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, text.decode()[-3000:]
    return text.decode()


@pytest.mark.timeout(900)
@pytest.mark.skipif(os.environ.get("RINGDESK_TEST_FULL") != "1", reason="fetches packages; in the long version")
async def test_service_starts_on_the_lowest_versions(tmp_path: Path) -> None:
    """In an environment of its own with every direct dependency at its floor: `ringdesk up` gets ready and stops in good order."""
    uv, lowest, python = dev._uv(), tmp_path / "lowest.txt", tmp_path / "venv" / "bin" / "python"
    await _run(
        uv, "pip", "compile", "--quiet", "--resolution", "lowest-direct", "--extra", "embedded", "--python", sys.executable,
        "pyproject.toml", "-o", lowest,
    )  # fmt: skip
    await _run(uv, "venv", "--python", sys.executable, tmp_path / "venv")
    await _run(uv, "pip", "install", "--quiet", "--python", python, "-r", lowest)
    await _run(uv, "pip", "install", "--quiet", "--no-deps", "--python", python, "-e", ROOT)
    up = await asyncio.create_subprocess_exec(
        str(python.with_name("ringdesk")), "up", "--port", "0", "--broker", "local", "--no-demo", "--data-dir", str(tmp_path / "data"),
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert up.stdout is not None
    said = b""
    try:
        async with asyncio.timeout(100):
            while b"ringdesk ready" not in said:
                line = await up.stdout.readline()
                assert line, said.decode()
                said += line
        up.terminate()
        async with asyncio.timeout(30):
            said += await up.stdout.read()
            assert await up.wait() == 0, said.decode()
    finally:
        if up.returncode is None:
            up.kill()
            await up.wait()
    assert b"Traceback" not in said, said.decode()
