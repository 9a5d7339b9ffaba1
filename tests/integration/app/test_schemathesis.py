"""A foreign judge of the OpenAPI document: schemathesis sends boundary values, rejected values and random ones to every operation.

Beside `test_openapi.py`, whose generator knows ids that exist and so gets behind the first 404. Here: no server error, nothing
undocumented, no wrong method. The long version adds the boundary values, sends many times more, and asks as every role.
Whether rights are heeded is `test_rights.py`'s: schemathesis spoils the cookie and leaves our token on, and finds that it is valid.
"""

import asyncio
import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from limits import parse

from accounts import service as accounts
from app.web import OPERATIONS
from core.principal import Role
from infra import openapi
from infra.openapi import Operation
from tests.builders import TESTER, a_user
from tests.stack import Stack

IS_FULL: Final = os.environ.get("RINGDESK_TEST_FULL") == "1"
EXAMPLES: Final = 20 if IS_FULL else 3
PHASES: Final = "examples,coverage,fuzzing" if IS_FULL else "fuzzing"
ROLES: Final = tuple(Role) if IS_FULL else (Role.ADMIN,)
SEED: Final = 20261127
CHECKS: Final = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "allow_header_conformance", "missing_required_header",
)  # fmt: skip


def has_input(operation: Operation) -> bool:
    """Without any there is one request, however many are asked for."""
    return "{" in operation.path or bool(operation.data.model_fields)


async def token_of(stack: Stack, role: Role) -> str:
    async with stack.parts.resources.outbox.transaction() as tx:
        user = await a_user(tx, role=role)
        _, secret = await accounts.create_token(
            tx, user.id, role=role, label="x", expires_at=tx.now + timedelta(hours=1), actor=TESTER
        )
    return secret


async def run(stack: Stack, folder: Path, role: Role) -> tuple[int, str, dict[str, Any]]:
    """(exit code, what it printed, its report)."""
    report = folder / f"{role.value}.json"
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{stack.url}/api/v1/openapi.json", "--url", stack.url,
        "--header", f"Authorization: Bearer {await token_of(stack, role)}", "--checks", ",".join(CHECKS),
        "--phases", PHASES, "--max-examples", str(EXAMPLES), "--seed", str(SEED), "--workers", "2",
        "--continue-on-failure", "--no-color", "--report", "json", "--report-json-path", str(report),
        "--request-timeout", "10", "--suppress-health-check", "all", "--warnings", "off",
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(1200 if IS_FULL else 110):
            text, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, text.decode(), json.loads(report.read_text())


@pytest.mark.timeout(1300 if IS_FULL else 120)
@pytest.mark.parametrize("role", ROLES)
async def test_no_request_gets_an_undocumented_answer(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    monkeypatch.setattr(openapi, "API_PER_PRINCIPAL", parse("1000000 per second"))
    code, text, report = await run(stack, tmp_path, role)
    assert code == 0, text[-20_000:]
    assert report["operations"]["tested"] == report["operations"]["total"] == len(OPERATIONS)
    assert report["test_cases"]["generated"] >= sum(EXAMPLES if has_input(each) else 1 for each in OPERATIONS)
    assert report["warnings"]["missing_auth"] == []
