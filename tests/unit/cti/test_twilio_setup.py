"""What is right at Twilio: which public addresses can be reached, which addresses count as the same."""

from types import SimpleNamespace
from typing import Any

import pytest

from cti.twilio_setup import PATIENCE, differences, fault_of_public_url, same_address, without_password

BASE = "https://desk.example.com"
SIMULATOR = "http://127.0.0.1:8080/demo/twilio"


def number(**more: Any) -> Any:
    found = {
        "phone_number": "+14155550199", "voice_application_sid": None,
        "voice_url": f"{BASE}/twilio/voice", "voice_method": "POST",
        "voice_fallback_url": f"{BASE}/twilio/voice/fallback", "voice_fallback_method": "POST",
        "status_callback": f"{BASE}/twilio/status", "status_callback_method": "POST",
    }  # fmt: skip
    return SimpleNamespace(**(found | more))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (None, "not set"),
        ("http://desk.example.com", "https"),
        ("https://localhost:8080", "only this machine"),
        ("http://127.0.0.1:8080", "only this machine"),
        ("https://[::1]:8443", "only this machine"),
        ("https://192.168.1.20", "only this machine"),
        ("https://10.0.0.1", "only this machine"),
        ("https://desk", "only this machine"),
        ("https://printer.local", "only this machine"),
    ],
)
def test_address_that_twilio_cannot_reach_is_said_to_be_so(url: str | None, why: str) -> None:
    assert why in (fault_of_public_url(url, None) or "")


def test_address_that_twilio_can_reach_is_none() -> None:
    assert fault_of_public_url(BASE, None) is None
    assert fault_of_public_url("https://8.8.8.8:8443", "https://api.twilio.com") is None


def test_simulator_on_this_machine_reaches_this_machine() -> None:
    assert fault_of_public_url("http://127.0.0.1:8080", SIMULATOR) is None
    assert fault_of_public_url("http://127.0.0.1:8080", "https://api.twilio.com") is not None
    assert fault_of_public_url(None, SIMULATOR) is not None


@pytest.mark.parametrize(
    ("one", "is_same"),
    [
        (f"{BASE}/twilio/voice{PATIENCE}", True),
        ("https://DESK.example.com:443/twilio/voice", True),
        ("https://user:secret@desk.example.com/twilio/voice", True),
        (f" {BASE}/twilio/voice ", True),
        (f"{BASE}/twilio/voice/", False),
        (f"{BASE}/twilio/voice?x=1", False),
        ("http://desk.example.com/twilio/voice", False),
        ("https://desk.example.com:8443/twilio/voice", False),
        ("https://desk.example.com:99999/twilio/voice", False),
        ("https://old.example.com/twilio/voice", False),
        ("", False),
    ],
)
def test_addresses_are_the_same_but_for_what_need_not_be(one: str, is_same: bool) -> None:
    assert same_address(one, f"{BASE}/twilio/voice") is is_same


def test_number_that_is_set_up_needs_nothing() -> None:
    assert differences(number(), BASE) == {}


def test_fallback_may_be_elsewhere_but_not_without_protection_and_not_nowhere() -> None:
    assert differences(number(voice_fallback_url="https://other.example.com/twilio/voice/fallback"), BASE) == {}
    for url in ("http://other.example.com/twilio/voice/fallback", "https://other.example.com/x", None):
        assert set(differences(number(voice_fallback_url=url), BASE)) == {"voice_fallback_url"}


def test_get_would_write_callers_numbers_into_addresses() -> None:
    assert differences(number(voice_method="GET"), BASE) == {"voice_method": ("GET", "POST")}


def test_app_in_place_of_a_numbers_own_addresses_is_taken_away() -> None:
    assert differences(number(voice_application_sid="AP1"), BASE) == {"voice_application_sid": ("AP1", "")}


def test_app_asks_for_agents_phones() -> None:
    app = SimpleNamespace(
        **{k: v for k, v in vars(number()).items() if k not in ("phone_number", "voice_application_sid")}
    )
    assert differences(app, BASE) == {"voice_url": (f"{BASE}/twilio/voice", f"{BASE}/twilio/agent")}


def test_password_in_an_address_is_not_shown() -> None:
    assert without_password("https://user:secret@old.example.com/x") == "https://***@old.example.com/x"
    assert without_password(f"{BASE}/x") == f"{BASE}/x"


def test_credentials_that_we_ask_for_must_be_in_the_address() -> None:
    wanted = "https://twilio:secret@desk.example.com/twilio/voice"
    assert same_address(wanted, wanted)
    assert not same_address("https://desk.example.com/twilio/voice", wanted)
    assert not same_address("https://twilio:old@desk.example.com/twilio/voice", wanted)
