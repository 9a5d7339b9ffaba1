"""The events' shapes on the wire, one golden file each, and that no person can be read out of them.

A changed shape fails here. When it is meant: a field added is the same version; another meaning is a new one (`v`). Then
`RINGDESK_WRITE_GOLDEN=1 pytest tests/unit/app/test_events.py` writes the files.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import ValidationError

from core.events import BY_NAME, CATALOGUE, AgentPresenceChanged, CallQueued, Event, OfferEnded, TicketBound, WorkQueued
from core.ids import AgentId, CallId, CustomerId, OfferId, TicketId, WorkItemId
from core.phone import Number, NumberKind

FOLDER: Final = Path(__file__).resolve().parents[2] / "golden" / "events"
NOW: Final = datetime(2026, 11, 22, 10, tzinfo=UTC)
PHONE: Final = "+14155550199"
NAME: Final = "Ava Chen"


def shape(event: type[Event]) -> dict[str, Any]:
    return {"name": event.name, "v": event.v, "schema": event.model_json_schema(mode="serialization")}


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.name)
def test_shape_is_the_golden_one(event: type[Event]) -> None:
    path = FOLDER / f"{event.name}.json"
    if os.environ.get("RINGDESK_WRITE_GOLDEN"):
        path.write_text(json.dumps(shape(event), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == shape(event)


def test_every_golden_file_has_its_event() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(BY_NAME)
    assert len(BY_NAME) == len(CATALOGUE)


def _texts(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The text-valued parts of a field."""
    parts = [part.get("items", part) for part in schema.get("anyOf", [schema])]
    return [part for part in parts if part.get("type") not in ("integer", "number", "boolean", "null")]


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.name)
def test_no_field_can_hold_a_name_a_phone_or_a_text(event: type[Event]) -> None:
    """Every text on the wire is a time, one of a list, or matches a pattern that has no room for blanks and plus signs."""
    for name, field in event.model_json_schema(mode="serialization")["properties"].items():
        for text in _texts(field):
            assert text["type"] == "string", f"{name} is {text}"
            closed = text.get("format") == "date-time" or "enum" in text or "pattern" in text
            assert closed or "enum" in field, f"{event.name}.{name} may hold anything"


def test_what_people_typed_stays_off_the_wire() -> None:
    ended = OfferEnded(
        offer_id=OfferId(1), work_item_id=WorkItemId(1), agent_id=AgentId(1), queue="support", pool="pool_support",
        outcome="rejected", reason=f"{NAME} called from {PHONE}", version=1,
    )  # fmt: skip
    changed = AgentPresenceChanged(agent_id=AgentId(1), version=1, state="break", reason=NAME, pool=None, by=NAME)
    assert (ended.reason, changed.reason, changed.by) == ("other", "other", "agent")
    assert (
        AgentPresenceChanged(agent_id=AgentId(1), version=1, state="x", reason=None, pool=None, by="user:7").by
        == "user:7"
    )


@pytest.mark.parametrize("key", [NAME, PHONE, "a b", "客服", "x" * 81, 'a"b'])
def test_keys_are_no_texts(key: str) -> None:
    with pytest.raises(ValidationError):
        WorkQueued(work_item_id=WorkItemId(1), version=1, pool=key, queue="support")


def test_what_is_for_the_same_transaction_is_never_written() -> None:
    caller = Number(NumberKind.E164, PHONE, PHONE)
    queued = CallQueued(
        call_id=CallId(1), version=1, queue="support", entered_at=NOW, caller=caller, to_number=PHONE, language="de"
    )
    facts = {"call": {"from": PHONE}, "customer": {"company": NAME}}
    bound = TicketBound(
        call_id=CallId(1), ticket_id=TicketId(1), version=1, is_new=True, queue="support", entered_at=NOW,
        customer_id=CustomerId(1), match="one", facts=facts,
    )  # fmt: skip
    for event in (queued, bound):
        for text in (event.model_dump_json(), str(event.model_dump(mode="json")), repr(event)):
            assert PHONE not in text
            assert NAME not in text


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.name)
def test_unknown_fields_of_a_newer_sender_are_ignored(event: type[Event]) -> None:
    assert event.model_config.get("extra") == "ignore"
    assert event.model_config.get("frozen") is True
