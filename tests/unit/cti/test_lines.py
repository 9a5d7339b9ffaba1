"""Which line answers, and the token of the phone in the desk."""

import jwt
import pytest

from core import demo_account
from core.errors import Unavailable
from cti.lines import Lines
from cti.signature import TwilioAccount
from cti.twilio_voice import Line
from cti.voice_token import voice_token

SUPPORT = Line("+14155550199", "US", "support", "en")
GERMAN = Line("+4930901820", "DE", "de", "de")
ACCOUNT = TwilioAccount(
    demo_account.ACCOUNT_SID,
    (demo_account.AUTH_TOKEN,),
    {},
    demo_account.API_KEY_SID,
    demo_account.API_KEY_SECRET,
    demo_account.APP_SID,
)


def lines(*known: Line) -> Lines:
    built = Lines()
    built._lines = {line.number: line for line in known}
    return built


def test_dialled_number_has_its_line() -> None:
    assert lines(SUPPORT, GERMAN).of(GERMAN.number) is GERMAN


def test_unknown_number_is_answered_like_the_first() -> None:
    assert lines(SUPPORT, GERMAN).of("+10000000000") is SUPPORT
    assert lines(GERMAN).default is GERMAN


def test_without_any_number_callers_are_answered_in_english() -> None:
    line = lines().of("+1")
    assert (line.number, line.queue, line.say_language) == ("+1", "", "en-US")


def test_phone_token_names_the_agent_and_our_application_only() -> None:
    token = voice_token(ACCOUNT, 7)
    claims = jwt.decode(token.token, demo_account.API_KEY_SECRET, algorithms=["HS256"])
    assert token.identity == claims["grants"]["identity"] == "agent_7"
    assert claims["grants"]["voice"] == {"outgoing": {"application_sid": demo_account.APP_SID}}
    assert (claims["iss"], claims["sub"]) == (demo_account.API_KEY_SID, demo_account.ACCOUNT_SID)
    assert claims["exp"] - claims["nbf"] == token.ttl_s == 3600


@pytest.mark.parametrize("missing", ["api_key_sid", "api_key_secret", "app_sid"])
def test_account_without_what_a_phone_needs_is_unavailable(missing: str) -> None:
    fields = {"api_key_sid": "SK1", "api_key_secret": "s", "app_sid": "AP1"} | {missing: None}
    with pytest.raises(Unavailable):
        voice_token(TwilioAccount("AC1", ("t",), {}, **fields), 7)
    with pytest.raises(Unavailable):
        voice_token(None, 7)
