"""What a telephone system tells: read without surprises, and applied in the order it happened in."""

import contextlib
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.phone import Number, NumberKind
from cti import generic, zammad
from cti.pbx import (
    Cause,
    Direction,
    Kind,
    PbxEvent,
    Report,
    Stored,
    Unmappable,
    event_of,
    happened_at,
    key_of,
    next_ready,
)
from cti.pbx_service import shown_number
from cti.pbx_settings import Generic, Mapping, Outbound, bad_paths, connection_of, path_of, settings_of
from tests.unit.cti.laws import LAWS

NOW: Final = datetime(2026, 1, 5, 9, tzinfo=UTC)


# --- Zammad's words ------------------------------------------------------------------------------------------------------


def test_as_the_documentation_shows_it() -> None:
    report = zammad.parse(
        {
            "event": "newCall", "from": "4930609854180", "to": "4930609811111", "direction": "in", "callId": "4991155921769858278-1",
            "user[]": ["Alice", "Bob"], "queue": "Sales",
        }
    )  # fmt: skip
    assert report == Report(
        Kind.NEW_CALL,
        "4991155921769858278-1",
        Direction.IN,
        "4930609854180",
        "4930609811111",
        ("Alice", "Bob"),
        "Sales",
    )
    answer = zammad.parse({"event": "answer", "callId": 7, "user": "Alice", "answeringNumber": "21", "direction": "in"})
    assert answer == Report(Kind.ANSWER, "7", Direction.IN, users=("21", "Alice"))
    hangup = zammad.parse({"event": "hangup", "callId": "7", "cause": "noAnswer"})
    assert hangup == Report(Kind.HANGUP, "7", cause=Cause.NO_ANSWER)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "event"),
        ({"event": "newCall", "direction": "in"}, "call"),
        ({"event": "newCall", "direction": "in", "callId": " "}, "call"),
        ({"event": "newCall", "direction": "in", "callId": "x" * 251}, "call"),
        ({"event": "newCall", "direction": "in", "callId": {"id": 1}}, "call"),
        ({"event": "newCall", "callId": "1"}, "direction"),
        ({"event": "newCall", "callId": "1", "direction": "up"}, "direction"),
        ({"event": "hangup", "callId": "1", "direction": "up"}, "direction"),
        ({"event": "newCall", "callId": "1", "direction": "in", "from": ["1", {}], "to": {}}, "to"),
        ({"event": "newCall", "callId": "1", "direction": "in", "from": "1" * 201}, "from"),
        ({"event": "newCall", "callId": "1", "direction": "in", "user": ["x"] * 101}, "user"),
        ({"event": "newCall", "callId": "1", "direction": "in", "user": [["x"]]}, "user"),
        ({"event": "newCall", "callId": True, "direction": "in"}, "call"),
    ],
)
def test_what_cannot_be_mapped_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Unmappable) as caught:
        zammad.parse(fields)
    assert [each["field"] for each in caught.value.fields["errors"]] == [field]  # type: ignore[attr-defined]
    assert caught.value.status == 422


def test_other_events_say_nothing() -> None:
    assert zammad.parse({"event": "dtmf", "callId": "1", "dtmf": "4"}) is None


JSONS: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
WORDS: Final = st.sampled_from(["newCall", "answer", "hangup", "in", "out", "normalClearing", "anonymous", "1", ""])


@LAWS
@given(
    st.dictionaries(
        st.sampled_from(
            ["event", "from", "to", "direction", "callId", "user", "user[]", "queue", "cause", "answeringNumber"]
        ),
        JSONS | WORDS,
    )
)
def test_anything_is_read_or_refused_by_name(fields: dict[str, Any]) -> None:
    with contextlib.suppress(Unmappable):
        report = zammad.parse(fields)
        assert report is None or key_of("office", report)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("4930123", "1"),
        ("49", "9"),
        ("44155", "2"),
        ("4455", "9"),
        ("44x55", "2"),
        ("110", "3"),
        ("1100", "9"),
        ("", "9"),
    ],
)
def test_star_stands_for_one_or_more(number: str, shown: str) -> None:
    rules = [("49*", "11"), ("44*55", "22"), ("110", "33")]
    outbound = Outbound.model_validate(
        {"rules": [{"to": to, "caller_id": caller} for to, caller in rules], "default_caller_id": "99"}
    )
    assert shown_number(outbound, number) == shown * 2
    assert shown_number(Outbound(), number) is None


# --- in which order ------------------------------------------------------------------------------------------------------


def stored(kind: Kind, *, id_: int = 1, ago_s: float = 0, cause: Cause | None = None) -> Stored:
    event = PbxEvent(kind, Direction.IN, Number(NumberKind.WITHHELD, ""), "", (), "support", "en", cause, None)
    return Stored(id_, NOW - timedelta(seconds=ago_s), event)


NEW, ANSWER, END = Kind.NEW_CALL, Kind.ANSWER, Kind.HANGUP
READY: Final = [
    ([stored(NEW)], False, False, NEW),
    ([stored(ANSWER)], False, False, None),
    ([stored(ANSWER, ago_s=2)], False, False, ANSWER),
    ([stored(ANSWER)], True, False, ANSWER),
    ([stored(END)], True, False, None),
    ([stored(END, ago_s=2)], True, False, END),
    ([stored(END)], True, True, END),
    ([stored(END, cause=Cause.NORMAL_CLEARING)], True, False, None),
    ([stored(END, cause=Cause.CANCEL)], True, False, END),
    ([stored(END, cause=Cause.CANCEL)], False, False, None),
    ([stored(END, id_=1, ago_s=2), stored(ANSWER, id_=2)], True, False, ANSWER),
    ([stored(END, ago_s=2), stored(ANSWER, ago_s=1), stored(NEW)], False, False, NEW),
    ([], True, True, None),
]


@pytest.mark.parametrize(("waiting", "is_known", "is_settled", "kind"), READY)
def test_what_presupposes_something_waits_for_it(
    waiting: list[Stored], is_known: bool, is_settled: bool, kind: Kind | None
) -> None:
    found = next_ready(waiting, is_known=is_known, is_settled=is_settled, now=NOW)
    assert (None if found is None else found.event.kind) == kind


def test_an_event_is_kept_and_read_again() -> None:
    event = PbxEvent(
        Kind.ANSWER,
        Direction.IN,
        Number(NumberKind.E164, "0301", "+49301"),
        "+4930",
        ("ava",),
        "sales",
        "de",
        Cause.BUSY,
        NOW,
    )
    assert event_of(json.loads(json.dumps(event.document()))) == event


def test_clock_of_a_system_is_believed_within_a_day_and_never_ahead() -> None:
    for told, at in (
        (None, NOW),
        (NOW - timedelta(minutes=3), NOW - timedelta(minutes=3)),
        (NOW + timedelta(minutes=6), NOW),
        (NOW - timedelta(days=2), NOW),
    ):
        assert happened_at(told, NOW) == at


def test_repeats_have_the_same_key_and_nothing_else_has() -> None:
    first = Report(Kind.NEW_CALL, "1", Direction.IN, "49301")
    others = [
        Report(Kind.ANSWER, "1", Direction.IN, "49301"), Report(Kind.NEW_CALL, "2", Direction.IN, "49301"),
        Report(Kind.NEW_CALL, "1", Direction.IN, "49301", users=("201",)), Report(Kind.NEW_CALL, "1", event_id="e1"),
    ]  # fmt: skip
    keys = {key_of("office", each) for each in (first, *others)} | {key_of("other", first)}
    assert len(keys) == 6
    assert key_of("office", first) in keys
    assert key_of("a", Report(Kind.HANGUP, "1", event_id="e")) == key_of(
        "a", Report(Kind.HANGUP, "1", Direction.IN, event_id="e")
    )


# --- a mapping -----------------------------------------------------------------------------------------------------------


def a_mapping(**changes: Any) -> Mapping:
    fields: dict[str, Any] = {
        "event": {
            "path": "data.type",
            "values": {"ring": "new_call", "up": "answer", "down": "hangup", "beat": "ignore"},
        },
        "call": "data.call.id",
        "from": "data.call.from",
        "to": "data.call.to",
        "user": "data.agents[*].ext",
        "queue": "data.queues[0].name",
        "cause": {"path": "data.why", "values": {"16": "normalClearing", "17": "busy"}, "default": "cancel"},
        "at": {"path": "data.at", "format": "%Y-%m-%d %H:%M:%S", "zone": "Asia/Shanghai"},
        "event_id": "id",
    }
    return Mapping.model_validate(fields | changes)


DOCUMENT: Final[dict[str, Any]] = {
    "id": 17,
    "data": {
        "type": "ring", "call": {"id": "c-1", "from": "13800138000", "to": "02155550123"}, "agents": [{"ext": "8001"}, {"ext": 8002}, {}],
        "queues": [{"name": "售前"}], "at": "2026-01-05 17:00:00",
    },
}  # fmt: skip


def test_each_field_comes_from_its_place() -> None:
    assert generic.parse(a_mapping(), DOCUMENT) == Report(
        Kind.NEW_CALL,
        "c-1",
        Direction.IN,
        "13800138000",
        "02155550123",
        ("8001", "8002"),
        "售前",
        at=NOW,
        event_id="17",
    )


def changed(**changes: Any) -> dict[str, Any]:
    return {"id": 17, "data": DOCUMENT["data"] | changes}


def test_words_of_a_table_and_of_no_table() -> None:
    assert generic.parse(a_mapping(), changed(type="beat")) is None
    for why, cause in ((16, Cause.NORMAL_CLEARING), ("17", Cause.BUSY), ("99", Cause.CANCEL), (None, Cause.CANCEL)):
        report = generic.parse(a_mapping(), changed(type="down", why=why))
        assert report is not None
        assert report.cause is cause


@pytest.mark.parametrize(
    ("mapping", "document", "field", "path"),
    [
        (a_mapping(), {}, "event", "data.type"),
        (a_mapping(), [], "event", "data.type"),
        (a_mapping(), None, "event", "data.type"),
        (a_mapping(), changed(type="odd"), "event", "data.type"),
        (a_mapping(), changed(call={}), "call", "data.call.id"),
        (a_mapping(), changed(call={"id": {}}), "call", "data.call.id"),
        (a_mapping(), changed(call={"id": "1", "from": {"a": 1}}), "from", "data.call.from"),
        (a_mapping(), changed(at="yesterday"), "at", "data.at"),
        (a_mapping(at={"path": "data.at", "format": "unix"}), changed(at="1e400"), "at", "data.at"),
        (a_mapping(at={"path": "data.at", "format": "unix_ms"}), changed(at="nan"), "at", "data.at"),
        (a_mapping(direction="data.way"), changed(way="up"), "direction", "data.way"),
        (a_mapping(direction="data.way"), changed(), "direction", "data.way"),
        (a_mapping(cause="data.why"), changed(type="down", why="odd"), "cause", "data.why"),
        (a_mapping(event="data.type"), changed(type="beat"), "event", "data.type"),
    ],
)
def test_fault_names_our_field_and_its_place(mapping: Mapping, document: Any, field: str, path: str) -> None:
    with pytest.raises(Unmappable) as caught:
        generic.parse(mapping, document)
    assert caught.value.fields["errors"][0].items() >= {"field": field, "path": path}.items()  # type: ignore[index]


@LAWS
@given(JSONS, st.sampled_from(["data.type", "a[*].b", "x[0]", "$.data"]))
def test_any_document_is_read_or_refused(document: Any, path: str) -> None:
    mapping = a_mapping(call=path, user=path)
    for each in (document, {"data": document}, {"data": {"type": "ring", "call": document}, "a": document}):
        with contextlib.suppress(Unmappable):
            generic.parse(mapping, each)


@LAWS
@given(st.text(max_size=30))
def test_any_text_is_a_path_or_is_refused(text: str) -> None:
    try:
        steps = path_of(text)
    except ValueError:
        return
    assert steps


def test_form_fields_are_named_as_they_are() -> None:
    mapping = Mapping.model_validate(
        {"body": "form", "event": "event", "call": "call.id", "from": "from", "user": "user[]"}
    )
    report = generic.parse(mapping, {"event": "answer", "call.id": "1", "from": "2", "user[]": ["201", "202"]})
    assert report == Report(Kind.ANSWER, "1", Direction.IN, "2", users=("201", "202"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event": {"path": "e", "values": {"x": "newcall"}}}, "'newcall' is none of new_call"),
        ({"direction": {"path": "d", "default": "inbound"}}, "'inbound' is none of in, out"),
        ({"cause": {"values": {"1": "busy"}, "default": "busy"}}, "values without a path"),
        ({"call": {}}, "needs a path"),
        ({"at": {"path": "t", "format": "DD.MM."}}, "format must be"),
        ({"at": {"path": "t", "zone": "Mars"}}, "no time zone"),
        ({"caller": "x"}, "Extra inputs"),
    ],
)
def test_mapping_is_checked_when_it_is_written(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        a_mapping(**change)


def test_paths_that_lead_nowhere_are_found() -> None:
    assert bad_paths(a_mapping()) == []
    found = dict(bad_paths(a_mapping(**{"call": "a..b", "from": "a[x]", "to": "a b", "at": "a[-1]"})))
    assert set(found) == {"call", "from", "to", "at"}
    assert "write it as data.call.id" in found["call"]


def test_connection_goes_to_the_database_and_back() -> None:
    connection = Generic.model_validate(
        {
            "key": "cloud", "dialect": "generic", "secret_env": "RINGDESK_CTI_CLOUD", "queue": "sales",
            "numbers": {"style": "national", "region": "CN"}, "mapping": a_mapping().model_dump(by_alias=True),
        }
    )  # fmt: skip
    assert connection_of("cloud", "generic", json.loads(json.dumps(settings_of(connection)))) == connection


# --- signatures ----------------------------------------------------------------------------------------------------------

SECRET, BODY, NONCE = "secret-of-the-tests-1", b'{"a": 1}', "nonce-0001"
AT: Final = str(int(NOW.timestamp()))


def signed(**changes: Any) -> dict[str, Any]:
    made = {"secret": SECRET, "connection": "cloud", "timestamp": AT, "nonce": NONCE, "body": BODY}
    sign_with = made | {name: value for name, value in changes.items() if name in made}
    right = generic.signature(**sign_with)
    asked = {
        "connection": "cloud", "signatures": [right], "timestamps": [sign_with["timestamp"]], "nonces": [sign_with["nonce"]], "body": BODY,
        "now": NOW,
    }  # fmt: skip
    return asked | {name: value for name, value in changes.items() if name in asked and name not in made}


def test_signature_is_that_of_the_documentation() -> None:
    """The same as `printf 'v1\\ncloud\\n1767603600\\nnonce-0001\\n{"a": 1}' | openssl dgst -sha256 -hmac secret-of-the-tests-1`."""
    assert signed()["signatures"] == ["v1=b048916539c33a29efbe058cd6d89b7e712bf11db99f7f7137eee93a980f4c7d"]


SIGNATURES: Final = [
    ("right", {}, True),
    ("another secret", {"secret": "secret-of-somebody-else"}, False),
    ("signed for another connection", {"connection": "office"}, False),
    ("another body", {"body": b'{"a": 2}'}, False),
    ("a space in the body", {"body": b'{"a":1}'}, False),
    ("no signature", {"signatures": []}, False),
    (
        "two signatures",
        {"signatures": [generic.signature(SECRET, connection="cloud", timestamp=AT, nonce=NONCE, body=BODY)] * 2},
        False,
    ),
    ("no time", {"timestamps": []}, False),
    ("another time", {"timestamps": [str(int(AT) + 1)]}, False),
    ("another nonce", {"nonces": ["nonce-0002"]}, False),
    ("no nonce", {"nonces": []}, False),
    ("at the edge of the window", {"timestamp": str(int(AT) - 300)}, True),
    ("too old", {"timestamp": str(int(AT) - 301)}, False),
    ("ahead within the window", {"timestamp": str(int(AT) + 300)}, True),
    ("too far ahead", {"timestamp": str(int(AT) + 301)}, False),
    ("a time that is none", {"timestamp": "now"}, False),
    ("a time in other digits", {"timestamp": AT.replace("1", "１")}, False),
    ("a time without end", {"timestamp": "9" * 400}, False),
    ("a nonce too short", {"nonce": "x"}, False),
    ("a nonce with a line break", {"nonce": "nonce-00\n01"}, False),
    (
        "upper case",
        {"signatures": [generic.signature(SECRET, connection="cloud", timestamp=AT, nonce=NONCE, body=BODY).upper()]},
        False,
    ),
    (
        "without version",
        {"signatures": [generic.signature(SECRET, connection="cloud", timestamp=AT, nonce=NONCE, body=BODY)[3:]]},
        False,
    ),
    ("no text at all", {"signatures": ["é" * 67]}, False),
]


@pytest.mark.parametrize(("changes", "is_right"), [row[1:] for row in SIGNATURES], ids=[row[0] for row in SIGNATURES])
def test_signature_table(changes: dict[str, Any], is_right: bool) -> None:
    assert generic.is_signed([SECRET], **signed(**changes)) is is_right


def test_while_the_secret_is_changed_both_hold() -> None:
    assert generic.is_signed(["the-old-secret-of-it", SECRET], **signed())
    assert not generic.is_signed([], **signed())


def test_every_changed_byte_of_the_body_breaks_it() -> None:
    draw = random.Random(1)
    for position in range(len(BODY)):
        broken = bytearray(BODY)
        broken[position] ^= 1 << draw.randrange(8)
        assert not generic.is_signed([SECRET], **signed() | {"body": bytes(broken)})


def test_stars_of_hostile_patterns_end() -> None:
    rules = Outbound.model_validate({"rules": [{"to": "1*" * 15, "caller_id": "11"}]})
    assert shown_number(rules, "1" * 200 + "2") == "11"
