"""A signature holds no time: whoever recorded all requests of a call can send them again, with other tokens, in any order."""

import random
from typing import Any
from urllib.parse import urlsplit

from core.ids import CallId
from tests.stack import Stack

TABLES = (
    "calls",
    "legs",
    "tickets",
    "ticket_calls",
    "work_items",
    "offers",
    "segments",
    "provider_commands",
    "stints",
    "events",
)


async def everything(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    return {table: [dict(row) for row in await stack.rows(f"SELECT * FROM {table} ORDER BY 1, 2")] for table in TABLES}


async def test_all_requests_of_a_call_that_is_over_are_acknowledged_again_without_effect(stack: Stack) -> None:
    ava = await stack.agent("ava")
    leg = await stack.dial()
    await stack.pass_time(15)  # the greeting is over, the caller is in line
    call_id, phone = await ava.take()
    await stack.until(lambda: leg.is_talking, 10)
    await stack.pass_time(5)
    leg.leave()
    await stack.until(lambda: phone.is_over, 20)
    assert (await ava.ask("POST", f"/calls/{CallId(call_id)}/wrap-up", {"disposition": None, "note": None}))[0] == 200
    await stack.quiet()
    assert (await stack.call(leg.sid))["state"] == "closed"
    asked = [
        entry
        for kind in ("webhook", "callback")
        for entry in stack.exchange.journal.since(kind=kind)
        if entry.get("status") in (200, 204)
    ]
    paths = {urlsplit(entry["url"]).path for entry in asked}
    assert {"/twilio/voice", "/twilio/agent", "/twilio/status", "/twilio/conference", "/twilio/queue/done"} <= paths
    before = await everything(stack)
    for token in (None, "again"):
        random.Random(7).shuffle(asked)
        for n, entry in enumerate(asked):
            parts = urlsplit(entry["url"])
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            answer = await stack.hook(path, entry["fields"], token=None if token is None else f"{token}-{n}")
            assert answer.status in (200, 204), (path, answer.text)
            if path.startswith("/twilio/voice"):
                assert "<Enqueue" not in answer.text or token is None
    await stack.quiet()
    after = await everything(stack)
    for table in TABLES:
        assert after[table] == before[table], table
