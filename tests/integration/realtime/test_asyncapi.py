"""The AsyncAPI document is valid by the official schema, whole, and true: what really travels fits it."""

import json
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.exceptions import best_match

from app import asyncapi
from core.events import BY_NAME, CATALOGUE
from realtime.messages import CLIENT_MESSAGES, SERVER_MESSAGES
from tests.integration.realtime.conftest import People
from tests.stack import Stack

GOLDEN: Final = Path(__file__).resolve().parents[2] / "golden"
DOCUMENT: Final = asyncapi.document("test")


def validator(message: str) -> Draft202012Validator:
    schema = DOCUMENT["components"]["messages"][message]["payload"]
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def test_document_is_valid_by_the_official_schema() -> None:
    official = json.loads((GOLDEN / "asyncapi" / "3.0.0.json").read_text(encoding="utf-8"))
    fault = best_match(Draft7Validator(official).iter_errors(DOCUMENT))
    assert fault is None, f"{fault.json_path}: {fault.message[:500]}"
    broken = {**DOCUMENT, "operations": {"x": {"action": "shout", "channel": {"$ref": "#/channels/desk"}}}}
    assert not Draft7Validator(official).is_valid(broken)


def test_every_reference_leads_somewhere() -> None:
    def check(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                found: Any = DOCUMENT
                for part in value["$ref"].removeprefix("#/").split("/"):
                    assert part in found, value
                    found = found[part]
            for part in value.values():
                check(part)
        elif isinstance(value, list):
            for part in value:
                check(part)

    check(DOCUMENT)


def test_every_event_and_message_is_in_it() -> None:
    assert set(DOCUMENT["channels"]) == {event.name for event in CATALOGUE} | {"desk"}
    assert set(DOCUMENT["channels"]["desk"]["messages"]) == set(SERVER_MESSAGES) | set(CLIENT_MESSAGES)
    for event in CATALOGUE:
        required = set(event.model_json_schema(mode="serialization")["required"])
        schema = DOCUMENT["components"]["messages"][event.name]["payload"]
        resolved = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        assert required == set(resolved["required"])


async def test_what_travels_fits_it(live: Stack, person: People) -> None:
    """One call from the first ring to the wrap-up: every event written, every message a desk hears."""
    ava = await live.agent("ava")
    page = await person("ava")
    async with page.desk() as desk:
        await desk.get("snapshot")
        leg = await live.dial()
        call_id, _ = await ava.take()
        await desk.until(lambda desk: desk.of("screen_pop") and desk.of("call_changed") and desk.of("queue_stats"))
        leg.leave()
        await live.quiet()
        await page.ask("POST", f"/calls/{call_id}/wrap-up", {"disposition": None, "note": "x"})
        await page.ask("PUT", "/presence", {"state": "break", "reason": "lunch"})
        await desk.get("presence_changed")
        heard = list(desk.events)
    assert {"snapshot", "screen_pop", "call_changed", "queue_stats", "presence_changed"} <= {e["type"] for e in heard}
    for event in heard:
        fault = best_match(validator(f"desk.{event['type']}").iter_errors(event))
        assert fault is None, f"{event['type']} {fault.json_path}: {fault.message[:300]}"
    written = await live.rows("SELECT name, body FROM events")
    assert len({row["name"] for row in written}) >= 8
    for row in written:
        assert row["name"] in BY_NAME
        fault = best_match(validator(row["name"]).iter_errors(row["body"]))
        assert fault is None, f"{row['name']} {fault.json_path}: {fault.message[:300]}"
