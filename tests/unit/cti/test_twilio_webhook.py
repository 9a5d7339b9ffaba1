"""The key of a webhook, its record, and when what it tells happened."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from cti.twilio_webhook import Webhook, happened_at, idempotency_key, number_of
from tests.unit.cti.laws import LAWS

NOW: Final = datetime(2026, 1, 5, 9, tzinfo=UTC)
ENDPOINT: Final = "/twilio/voice"


def key(token: str | None = None, path: str = ENDPOINT, **fields: str) -> str:
    return idempotency_key(ENDPOINT, token, path, MultiDict(fields))


def hook(form: dict[str, str] | None = None, **query: str) -> Webhook:
    return Webhook(ENDPOINT, "k", "AC1", MultiDict(form or {}), query)


# --- the key ---------------------------------------------------------------------------------------------------------


def test_token_of_the_provider_is_the_key_whatever_the_fields_say() -> None:
    assert key("abc", CallSid="CA1") == key("abc", CallSid="CA2")
    assert key("abc") != key("abd")


def test_one_token_at_two_endpoints_is_two_webhooks() -> None:
    assert idempotency_key("/twilio/voice", "abc", "/", MultiDict()) != idempotency_key(
        "/twilio/status", "abc", "/", MultiDict()
    )


@pytest.mark.parametrize("token", [None, "", "x" * 129, "line\nbreak", "null\x00", "\udcff", "\x7f"])
def test_without_a_usable_token_the_fields_decide(token: str | None) -> None:
    assert key(token, CallSid="CA1") == key(None, CallSid="CA1")
    assert key(token, CallSid="CA1") != key(token, CallSid="CA2")


def test_order_of_the_fields_does_not_matter_but_address_and_repeats_do() -> None:
    def of(path: str, *pairs: tuple[str, str]) -> str:
        return idempotency_key(ENDPOINT, None, path, MultiDict(pairs))

    assert of("/", ("a", "1"), ("b", "2")) == of("/", ("b", "2"), ("a", "1"))
    assert of("/", ("a", "1")) != of("/?r=1", ("a", "1"))
    assert of("/", ("a", "1")) != of("/", ("a", "1"), ("a", "1"))
    assert of("/", ("a", "1"), ("b", "")) != of("/", ("a", "1"))
    assert of("/", ("ab", "c")) != of("/", ("a", "bc"))


anything = st.text(st.characters(exclude_categories=()), max_size=20)


@given(token=st.none() | anything, path=anything, form=st.lists(st.tuples(anything, anything), max_size=6))
@LAWS
def test_any_request_has_a_key_that_fits_its_column(token: str | None, path: str, form: list[tuple[str, str]]) -> None:
    made = idempotency_key(ENDPOINT, token, path, MultiDict(form))
    assert made == idempotency_key(ENDPOINT, token, path, MultiDict(reversed(form)))
    assert len(made) < 200
    assert made.isprintable()
    made.encode()


# --- the record ------------------------------------------------------------------------------------------------------


def test_record_keeps_every_field_and_repeated_ones_as_lists() -> None:
    form = MultiDict([("CallSid", "CA1"), ("Event", "a"), ("Event", "b"), ("Blank", "")])
    body = Webhook(ENDPOINT, "k", "AC1", form).body()
    assert body == {"CallSid": "CA1", "Event": ["a", "b"], "Blank": ""}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("7", 7),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("７", None),
        ("²", None),
        ("9" * 19, None),
        (" 1", None),
    ],
)
def test_numbers_in_addresses(text: str, number: int | None) -> None:
    assert number_of(text) == number
    assert hook(r=text).retry == (number or 0)
    assert hook(o=text).offer_id == number


@pytest.mark.parametrize(
    ("caller", "agent"),
    [
        ("client:agent_7", 7),
        ("agent_7", None),
        ("client:agent_", None),
        ("client:agent_7x", None),
        ("client:Agent_7", None),
        ("sip:agent_7@example.com", None),
        ("+14155550100", None),
        ("", None),
    ],
)
def test_whose_phone_it_is(caller: str, agent: int | None) -> None:
    assert hook({"From": caller}).agent_id == agent


# --- when it happened --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ago", "is_believed"),
    [
        (timedelta(seconds=0), False),
        (timedelta(seconds=3), False),
        (timedelta(seconds=4), True),
        (timedelta(minutes=10), True),
        (timedelta(hours=23, minutes=59), True),
        (timedelta(days=1), False),
        (timedelta(days=400), False),
        (timedelta(seconds=-1), False),
        (timedelta(days=-400), False),
    ],
)
def test_late_callbacks_tell_their_time_and_strange_times_are_not_believed(ago: timedelta, is_believed: bool) -> None:
    said = NOW - ago
    assert happened_at(format_datetime(said), NOW) == (said if is_believed else NOW)


def test_other_zones_are_read() -> None:
    said = (NOW - timedelta(minutes=5)).astimezone(timezone(timedelta(hours=9)))
    assert happened_at(format_datetime(said), NOW) == said


def test_time_without_a_zone_is_utc() -> None:
    assert happened_at("Mon, 05 Jan 2026 08:55:00 -0000", NOW) == NOW - timedelta(minutes=5)


@pytest.mark.parametrize(
    "said",
    [
        "",
        " ",
        "yesterday",
        "2026-01-05T08:55:00Z",
        "Mon, 99 Jan 2026 08:55:00 +0000",
        "0",
        "\x00",
        "Mon, 05 Jan 99999 08:55:00 +0000",
        "Mon, 05 Jan 2200000000 08:55:00 +0000",
        "Mon, 05 Jan 2026 08:55:00 +2400000000000",
    ],
)
def test_unreadable_times_are_now(said: str) -> None:
    assert happened_at(said, NOW) == NOW


@given(
    st.text()
    | st.from_regex(
        r"(Mon, )?[0-9]{1,3} (Jan|Feb|Foo) [0-9]{1,6} [0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,3})? [+-]?[0-9A-Z]{0,6}"
    )
)
@LAWS
def test_no_text_breaks_it_or_leads_into_the_future(said: str) -> None:
    assert NOW - timedelta(days=1) < happened_at(said, NOW) <= NOW
