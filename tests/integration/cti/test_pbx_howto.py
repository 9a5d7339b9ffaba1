"""The examples of the how-to do what they say: each file is applied, each event posted, each call answered and wrapped up."""

import asyncio
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from app.org import parse_org
from tests.integration.cti.pbx import EXTENSIONS, Pbx, connect
from tests.stack import ORG, Stack

PAGE: Final = (Path(__file__).resolve().parents[3] / "docs" / "howto" / "connect-a-pbx.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"^ *```(\w*)\n(.*?)^ *```", PAGE, re.S | re.M)


def examples() -> dict[str, tuple[dict[str, Any], list[str]]]:
    """Connections by key, with the bodies that follow them."""
    found: dict[str, tuple[dict[str, Any], list[str]]] = {}
    last: list[str] = []
    for kind, text in BLOCKS:
        if kind == "yaml" and "cti_connections" in text:
            (connection,) = YAML(typ="safe").load(text)["cti_connections"]
            found[connection["key"]] = (connection, last := [])
        elif kind in ("json", ""):
            last += text.strip().splitlines()
    return found


EXAMPLES: Final = examples()


def test_there_are_the_examples_that_are_promised() -> None:
    assert list(EXAMPLES) == ["office", "asterisk", "cloud_cn", "branch"]


@pytest.mark.parametrize("key", [key for key in EXAMPLES if key != "office"])
async def test_the_events_of_an_example_are_one_answered_call(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    connection, bodies = EXAMPLES[key]
    monkeypatch.setenv(connection["secret_env"], "secret-of-the-examples")
    pbx: Pbx = await connect(stack, connection)
    ava = await stack.agent("ava")
    await stack.agent("ben")
    for body in bodies:
        answer = await pbx.sign(body.encode(), connection=key, secret="secret-of-the-examples")
        assert (answer.status, answer.text) == (200, "{}"), body
    (call,) = await stack.rows("SELECT * FROM calls")
    assert (call["outcome"], call["agent_id"], call["from_kind"]) == ("answered", ava.id, "e164")
    assert call["from_value"] in ("+4915112345678", "+8613912345678")
    assert call["queue"] == ("sales" if key == "cloud_cn" else "support")


async def test_the_token_of_the_first_example_lets_in(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, _ = EXAMPLES["office"]
    pbx = await connect(stack, connection)
    monkeypatch.setenv(connection["token_env"], "token-of-the-examples")
    await stack.parts.telephony.connections.refresh(stack.parts.resources.database)
    fields = {"event": "newCall", "from": "49306666666", "to": "4930123456", "direction": "in", "callId": "1"}
    assert (await pbx.post(fields, token="token-of-the-examples")).text == '{"action":"reject","reason":"busy"}'


def test_agents_of_the_page_can_be_applied() -> None:
    text = next(text for kind, text in BLOCKS if kind == "yaml" and text.startswith("agents"))
    org = parse_org("queues: [{key: support, name: {en: Support}}]\n" + text)
    assert org.agents[0].extensions == ["201", "Li Wei"]
    assert EXTENSIONS.keys() == {agent["email"].split("@")[0] for agent in ORG["agents"]}


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
async def test_the_script_of_the_page_signs(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, bodies = EXAMPLES["asterisk"]
    monkeypatch.setenv(connection["secret_env"], "secret-of-the-examples")
    await connect(stack, connection)
    script = tmp_path / "ringdesk-post"
    script.write_text(next(text for kind, text in BLOCKS if kind == "sh"), encoding="utf-8")
    environment = os.environ | {"URL": stack.url, "SECRET": "secret-of-the-examples"}
    process = await asyncio.create_subprocess_exec(
        "sh", str(script), "asterisk", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment
    )
    out, _ = await process.communicate(bodies[0].encode() + b"\n")
    assert (process.returncode, out) == (0, b"{}")
    await stack.quiet()
    assert json.loads(bodies[0])["linkedid"] in (await stack.rows("SELECT sid FROM calls"))[0]["sid"]
