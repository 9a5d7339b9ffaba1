"""Each person's own keys, the same in every browser."""

from typing import Any

import pytest

from tests.stack import Agent, Stack

MINE = {"accept": ["Ctrl+Shift+Q"], "focusNote": []}


async def put(ava: Agent, version: int, bindings: Any, *, is_off: bool = False) -> tuple[int, Any]:
    return await ava.ask("PUT", "/keys", {"version": version, "bindings": bindings, "is_off": is_off})


async def test_keys_are_kept_per_person_and_versioned(stack: Stack) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    assert (await ava.ask("GET", "/keys"))[1] == {"is_off": False, "bindings": {}, "version": 0}
    assert (await put(ava, 0, MINE))[1] == {"is_off": False, "bindings": MINE, "version": 1}
    status, refused = await put(ava, 0, {})
    assert (status, refused["code"], refused["current"]["bindings"]) == (409, "version_conflict", MINE)
    assert (await put(ava, 1, {}, is_off=True))[1] == {"is_off": True, "bindings": {}, "version": 2}
    assert (await ben.ask("GET", "/keys"))[1]["version"] == 0
    assert await stack.value("SELECT count(*) FROM audit_log WHERE action = 'keys.set'") == 2


@pytest.mark.parametrize(
    "bindings",
    [
        {"accept": ["A B"]},
        {"accept": [""]},
        {"a b": ["A"]},
        {"accept": ["A", "B", "C", "D"]},
        {"accept": ["Hyper+A"]},
        {"accept": "A"},
    ],
)
async def test_what_is_no_key_is_refused(stack: Stack, bindings: Any) -> None:
    status, refused = await put(await stack.agent("ava"), 0, bindings)
    assert status == 422
    assert refused["errors"][0]["field"].startswith("bindings")
