"""Settings: every fault at once, by the name of its variable, and no secret in what is printed."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from app.cli import load_settings
from app.settings import Settings

ACCOUNT = {"sid": "AC" + "0a" * 16, "auth_tokens": ["s3cret-token"]}


def faults(**given: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        Settings(**given)
    assert "s3cret" not in str(caught.value)
    return {str(item["loc"][0]): item["msg"] for item in caught.value.errors()}


def test_all_faults_are_told_at_once_with_what_depends_on_two_fields() -> None:
    found = faults(port=70_000, broker="kafka", public_url="ftp://x", host="0.0.0.0", demo=True)
    assert set(found) == {"port", "broker", "public_url", "host"}
    assert "loopback" in found["host"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("desk.example.com", "http(s)"),
        ("https://", "http(s)"),
        ("https://desk.example.com:0", "http(s)"),
        ("https://desk.example.com:99999", "http(s)"),
        ("http://desk.example.com", "use https"),
        ("https://desk.example.com/ringdesk", "scheme, host and port only"),
        ("https://desk.example.com?x=1", "scheme, host and port only"),
        ("https://me@desk.example.com", "scheme, host and port only"),
    ],
)
def test_public_url_that_cannot_be_used(url: str, said: str) -> None:
    assert said in faults(public_url=url)["public_url"]


@pytest.mark.parametrize(
    "url", ["https://desk.example.com", "http://127.0.0.1:8080", "http://[::1]:1", "http://localhost"]
)
def test_public_url_is_kept_without_its_last_slash(url: str) -> None:
    assert Settings(public_url=url + "/").public_url == url


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("{}", "at least one account"),
        ("[]", "at least one account"),
        ("[1]", "each account is an object"),
        (json.dumps([ACCOUNT | {"sid": "AC" + "z" * 32}]), "32 hex digits"),
        (json.dumps([ACCOUNT | {"auth_tokens": []}]), "one or two tokens"),
        (json.dumps([ACCOUNT | {"auth_tokens": ["s3cret", "s3cret2", "s3cret3"]}]), "one or two tokens"),
        (json.dumps([ACCOUNT | {"auth_token": "s3cret"}]), "unknown keys ['auth_token']"),
        (json.dumps([ACCOUNT | {"shared_keys": {"id": ["s3cret"]}}]), "shared_keys must map ids to secrets"),
        (json.dumps([ACCOUNT | {"app_sid": 5}]), "app_sid must be text"),
    ],
)
def test_accounts_that_cannot_be_used(document: str, said: str) -> None:
    assert said in faults(twilio_accounts=document)["twilio_accounts"]


def test_accounts_are_read_and_masked() -> None:
    settings = Settings(twilio_accounts=json.dumps([ACCOUNT]), host="0.0.0.0")
    assert settings.accounts()[str(ACCOUNT["sid"])].auth_tokens == ("s3cret-token",)
    assert "s3cret" not in repr(settings)


def test_only_loopback_is_served_with_the_demo_account() -> None:
    assert "loopback" in faults(host="0.0.0.0")["host"]
    assert "loopback" in faults(host="0.0.0.0", demo=True, twilio_accounts=json.dumps([ACCOUNT]))["host"]
    for host in ("127.0.0.1", "localhost", "::1"):
        assert Settings(host=host, demo=True).host == host


def test_demo_has_no_public_address() -> None:
    assert "--no-demo" in faults(demo=True, public_url="https://desk.example.com")["public_url"]
    assert Settings(demo=True, public_url="http://127.0.0.1:8080").demo


def test_command_line_names_the_variables(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGDESK_PORT", "abc")
    monkeypatch.setenv("RINGDESK_TWILIO_ACCOUNTS", '[{"sid": "s3cret"}]')
    with pytest.raises(SystemExit) as stopped:
        load_settings(broker="kafka")
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert said.count("\n  RINGDESK_") == 3
    for name in ("RINGDESK_PORT", "RINGDESK_TWILIO_ACCOUNTS", "RINGDESK_BROKER"):
        assert name in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    "value",
    [
        "name",
        "name:",
        ":s3cret-password",
        "name:s3cret",
        "name:s3cret-pass word",
        "na me:s3cret-password",
        "n:s3cret/password",
    ],
)
def test_credentials_of_webhooks_fit_into_an_address(value: str) -> None:
    assert "name:password" in faults(webhook_credentials=value)["webhook_credentials"]


def test_credentials_of_webhooks_are_name_and_password() -> None:
    assert Settings(webhook_credentials="twilio:s3cret-password").basic_auth() == ("twilio", "s3cret-password")
    assert Settings().basic_auth() is None
