"""Every row of the provider's signature rules (reference/telephony.md §2.5), signed with the provider's own library."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import MultiDict
from twilio.request_validator import HMAC_SHA256, RequestValidator

from cti.signature import TwilioAccount, candidate_urls, is_valid
from tests.unit.cti.laws import LAWS

SID, SUB, UNKNOWN = "AC" + "1" * 32, "AC" + "2" * 32, "AC" + "3" * 32
TOKEN, NEXT_TOKEN, SUB_TOKEN = "primary-token", "secondary-token", "token-of-the-sub-account"
KEY, KEY_SECRET = "webhooks_sharedkey_1", "a-shared-secret"
API_SECRET: Final = "the-api-key-secret"
ACCOUNTS: Final = {
    SID: TwilioAccount(SID, (TOKEN, NEXT_TOKEN), {KEY: KEY_SECRET, "empty": ""}, "SK1", API_SECRET),
    SUB: TwilioAccount(SUB, (SUB_TOKEN,)),
}
BASE: Final = "https://ring.example.com"
PATH: Final = "/twilio/voice"
FIELDS: Final = {"AccountSid": SID, "CallSid": "CA" + "a" * 32, "From": "+14155550100"}
SETTINGS: Final = f"key={KEY},algorithm=HMAC_SHA256"

Fields = Mapping[str, str] | Iterable[tuple[str, str]]


def sign(url: str, fields: Fields = (), token: str = TOKEN, algorithm: str | None = None) -> str:
    signature: str = RequestValidator(token).compute_signature(url, MultiDict(fields), algorithm)
    return signature


def accepts(
    signature: str | list[str],
    fields: Fields = (),
    *,
    path: str = PATH,
    base: str = BASE,
    account: str = SID,
    settings: str | None = None,
    body: bytes = b"x",
    is_form: bool = True,
) -> bool:
    signatures = [signature] if isinstance(signature, str) else signature
    return is_valid(
        ACCOUNTS,
        account_sid=account,
        signatures=signatures,
        settings=settings,
        public_url=base,
        raw_path=path,
        form=MultiDict(fields),
        raw_body=body,
        is_form=is_form,
    )


def test_right_signature_is_accepted_and_one_over_other_fields_is_not() -> None:
    assert accepts(sign(BASE + PATH, FIELDS), FIELDS)
    assert not accepts(sign(BASE + PATH, FIELDS), {**FIELDS, "From": "+14155550101"})
    assert not accepts(sign(BASE + PATH, FIELDS), {**FIELDS, "More": "1"})
    assert not accepts(sign(BASE + PATH), FIELDS)


@pytest.mark.parametrize(
    "signatures",
    [[], [""], ["", ""], ["no base64 at all \x7f"], ["ü" * 28], ["\ud800"], ["A" * 100_000], ["=" * 28], ["None"]],
)
def test_missing_or_hostile_signature_is_refused(signatures: list[str]) -> None:
    assert not accepts(signatures, FIELDS)


def test_signature_header_may_stand_once_only() -> None:
    good = sign(BASE + PATH, FIELDS)
    assert not accepts([good, good], FIELDS)
    assert not accepts([f"{good},{good}"], FIELDS)
    assert not accepts([f"{good} "], FIELDS)


# --- fields ----------------------------------------------------------------------------------------------------------


def test_repeated_names_count_with_each_distinct_value_once_in_byte_order() -> None:
    repeated = [("Event", "start"), ("AccountSid", SID), ("Event", "end"), ("Event", "start")]
    assert accepts(sign(BASE + PATH, repeated), repeated)
    assert accepts(sign(BASE + PATH, repeated), [("Event", "end"), ("Event", "start"), ("AccountSid", SID)])
    assert not accepts(sign(BASE + PATH, dict(repeated)), repeated)


def test_names_sort_by_bytes_not_by_letters() -> None:
    fields = {"b": "1", "B": "2", "_": "3", "ä": "4", "a": "5", "Z": "6"}
    text = "".join(name + fields[name] for name in sorted(fields, key=str.encode))
    assert accepts(sign(BASE + PATH + text), fields)


def test_blank_values_count() -> None:
    blank = {**FIELDS, "Digits": ""}
    assert accepts(sign(BASE + PATH, blank), blank)
    assert not accepts(sign(BASE + PATH, blank), FIELDS)
    assert not accepts(sign(BASE + PATH, FIELDS), blank)


def test_spaces_around_values_count() -> None:
    spaced = {**FIELDS, "CallerName": "  Ann  "}
    assert accepts(sign(BASE + PATH, spaced), spaced)
    assert not accepts(sign(BASE + PATH, spaced), {**FIELDS, "CallerName": "Ann"})


def test_other_scripts_are_signed_as_utf8() -> None:
    named = {**FIELDS, "CallerName": "王小明 🙂", "FromCity": "Köln"}
    assert accepts(sign(BASE + PATH, named), named)


# --- the address -----------------------------------------------------------------------------------------------------


def test_query_is_taken_byte_by_byte() -> None:
    path = "/twilio/voice?r=3&b=%7Ex&a=+%20"
    assert accepts(sign(BASE + path, FIELDS), FIELDS, path=path)
    for other in (
        "/twilio/voice?b=%7Ex&r=3&a=+%20",
        "/twilio/voice?r=3&b=~x&a=+%20",
        "/twilio/voice?r=3&b=%7ex&a=+%20",
    ):
        assert not accepts(sign(BASE + path, FIELDS), FIELDS, path=other)


def test_bare_question_mark_may_or_may_not_be_signed() -> None:
    assert accepts(sign(f"{BASE}{PATH}?", FIELDS), FIELDS, path=f"{PATH}?")
    assert accepts(sign(f"{BASE}{PATH}", FIELDS), FIELDS, path=f"{PATH}?")
    assert not accepts(sign(f"{BASE}{PATH}?", FIELDS), FIELDS, path=PATH)


@pytest.mark.parametrize(
    ("base", "signed"),
    [
        ("https://ring.example.com", "https://ring.example.com:443"),
        ("https://ring.example.com:443", "https://ring.example.com"),
        ("https://ring.example.com:443", "https://ring.example.com:443"),
        ("http://127.0.0.1", "http://127.0.0.1:80"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("https://ring.example.com:8443", "https://ring.example.com:8443"),
        ("https://ring.example.com:8443", "https://ring.example.com"),  # as the library's own check allows
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]:443"),
        ("https://[2001:db8::1]:443", "https://[2001:db8::1]"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]"),
        ("https://ann:pa%3Ass@ring.example.com", "https://ann:pa%3Ass@ring.example.com"),
        ("https://ann:pa%3Ass@ring.example.com", "https://ring.example.com"),
        ("https://ann:pa%3Ass@ring.example.com:8443", "https://ann:pa%3Ass@ring.example.com:8443"),
        ("https://ann:pa%3Ass@ring.example.com:8443", "https://ring.example.com"),
        ("https://ann:pa%3Ass@ring.example.com:8443", "https://ring.example.com:8443"),
        ("https://ann@[2001:db8::1]:443", "https://[2001:db8::1]"),
        ("https://ring.example.com/desk", "https://ring.example.com/desk"),
        ("https://ring.example.com/desk/", "https://ring.example.com/desk"),
    ],
)
def test_spellings_of_the_configured_address_are_the_same_place(base: str, signed: str) -> None:
    assert accepts(sign(signed + PATH, FIELDS), FIELDS, base=base)


@pytest.mark.parametrize(
    "signed",
    [
        f"http://ring.example.com{PATH}",
        f"wss://ring.example.com{PATH}",
        f"https://RING.example.com{PATH}",
        f"https://ring.example.com{PATH}/",
        f"https://ring.example.com/{PATH}",
        f"https://ring.example.com:80{PATH}",
        f"https://ring.example.com:8443{PATH}",
        f"https://evil.example.com{PATH}",
        f"https://ann:x@ring.example.com{PATH}",
        f"https://ring.example.com{PATH.upper()}",
        PATH,
    ],
)
def test_any_other_address_is_refused(signed: str) -> None:
    assert not accepts(sign(signed, FIELDS), FIELDS)


def test_fragment_is_neither_sent_nor_signed() -> None:
    assert accepts(sign(BASE + PATH, FIELDS), FIELDS, path=f"{PATH}#rc=2")
    assert not accepts(sign(f"{BASE}{PATH}#rc=2", FIELDS), FIELDS, path=f"{PATH}#rc=2")


def test_no_spelling_is_tried_twice() -> None:
    for base in ("https://a", "https://a:443", "https://a:1", "https://u:p@a:443", "http://[::1]:80"):
        for path in (PATH, f"{PATH}?"):
            urls = candidate_urls(base, path)
            assert len(urls) == len(set(urls))


# --- bodies that are not forms -----------------------------------------------------------------------------------------


def json_path(body: bytes) -> str:
    return f"/twilio/events?bodySHA256={hashlib.sha256(body).hexdigest()}"


@pytest.mark.parametrize("body", [b'{"a": 1}', b"[]", "König".encode(), b"\xff\xfe not utf-8", b"\x00"])
def test_json_body_is_held_to_its_hash(body: bytes) -> None:
    path = json_path(body)
    assert accepts(sign(BASE + path), path=path, body=body, is_form=False)
    assert not accepts(sign(BASE + path), path=path, body=body + b" ", is_form=False)


def test_json_body_without_hash_is_refused_though_the_address_is_signed() -> None:
    path = "/twilio/events"
    assert RequestValidator(TOKEN).validate(BASE + path, {}, sign(BASE + path)), "the hole in the library"
    assert not accepts(sign(BASE + path), path=path, body=b'{"forged": true}', is_form=False)


@pytest.mark.parametrize(
    "query", ["bodySHA256=", "bodySHA256", "bodySHA256=%ff", "bodySHA256={good}&bodySHA256={good}"]
)
def test_strange_hashes_are_refused(query: str) -> None:
    body = b"{}"
    path = "/twilio/events?" + query.replace("{good}", hashlib.sha256(body).hexdigest())
    assert not accepts(sign(BASE + path), path=path, body=body, is_form=False)


def test_hash_in_the_address_of_a_form_is_not_asked_about_the_form() -> None:
    path = json_path(b"something else")
    assert accepts(sign(BASE + path, FIELDS), FIELDS, path=path)


def test_get_is_signed_over_the_address_alone() -> None:
    path = f"{PATH}?AccountSid={SID}&CallSid=CA1&From=%2B14155550100"
    assert accepts(sign(BASE + path), path=path, body=b"")
    assert not accepts(sign(BASE + PATH, FIELDS), path=path, body=b"")


# --- keys ------------------------------------------------------------------------------------------------------------


def test_both_tokens_count_while_they_are_rotated() -> None:
    for token in (TOKEN, NEXT_TOKEN):
        assert accepts(sign(BASE + PATH, FIELDS, token), FIELDS)


@pytest.mark.parametrize("token", [SUB_TOKEN, KEY_SECRET, API_SECRET, "", "x"])
def test_no_other_secret_signs_for_the_account(token: str) -> None:
    assert not accepts(sign(BASE + PATH, FIELDS, token), FIELDS)


def test_the_named_account_decides_about_the_token() -> None:
    fields = {**FIELDS, "AccountSid": SUB}
    assert accepts(sign(BASE + PATH, fields, SUB_TOKEN), fields, account=SUB)
    assert not accepts(sign(BASE + PATH, fields, TOKEN), fields, account=SUB)


@pytest.mark.parametrize("account", [UNKNOWN, "", SID.lower(), f"{SID} ", "\x00"])
def test_unknown_account_is_refused(account: str) -> None:
    assert not accepts(sign(BASE + PATH, FIELDS), FIELDS, account=account)


def test_an_account_without_a_token_trusts_nobody() -> None:
    account = {SID: TwilioAccount(SID, ("",), {"k": ""})}
    for settings_header, algorithm in ((None, None), ("key=k,algorithm=HMAC_SHA256", HMAC_SHA256)):
        signature = sign(BASE + PATH, FIELDS, "", algorithm)
        assert not is_valid(
            account, account_sid=SID, signatures=[signature], settings=settings_header, public_url=BASE, raw_path=PATH,
            form=MultiDict(FIELDS), raw_body=b"x", is_form=True,
        )  # fmt: skip


def test_shared_key_signs_with_sha256() -> None:
    signature = sign(BASE + PATH, FIELDS, KEY_SECRET, HMAC_SHA256)
    assert accepts(signature, FIELDS, settings=SETTINGS)
    assert accepts(signature, FIELDS, settings=f" algorithm=HMAC_SHA256 , key={KEY} ")
    assert not accepts(signature, {**FIELDS, "From": "x"}, settings=SETTINGS)
    assert not accepts(signature, FIELDS), "the header says which key it is"
    assert not accepts(sign(BASE + PATH, FIELDS), FIELDS, settings=SETTINGS), "the token does not stand in for the key"
    assert not accepts(sign(BASE + PATH, FIELDS, TOKEN, HMAC_SHA256), FIELDS, settings=SETTINGS)
    assert not accepts(sign(BASE + PATH, FIELDS, KEY_SECRET), FIELDS, settings=SETTINGS), "SHA-1 is not what was said"


@pytest.mark.parametrize(
    "settings_header",
    [
        "",
        ",",
        "key",
        f"key={KEY}",
        "algorithm=HMAC_SHA256",
        f"key={KEY},algorithm=HMAC_SHA1",
        f"key={KEY},algorithm=HMAC_SHA512",
        f"key={KEY},algorithm=none",
        f"key={KEY},algorithm=HMAC_SHA256,extra=1",
        f"key=other,key={KEY},algorithm=HMAC_SHA256",
        f"key={KEY},algorithm=HMAC_SHA1,algorithm=HMAC_SHA256",
        "key=other,algorithm=HMAC_SHA256",
        "key=empty,algorithm=HMAC_SHA256",
        "key=,algorithm=HMAC_SHA256",
        f"key={KEY}\x00,algorithm=HMAC_SHA256",
        "\udcff",
        "=" * 5000,
    ],
)
def test_unknown_keys_and_algorithms_are_refused(settings_header: str) -> None:
    for secret in (KEY_SECRET, ""):
        for algorithm in (None, HMAC_SHA256):
            assert not accepts(sign(BASE + PATH, FIELDS, secret, algorithm), FIELDS, settings=settings_header)
    assert not accepts(sign(BASE + PATH, FIELDS), FIELDS, settings=settings_header)


# --- laws ------------------------------------------------------------------------------------------------------------

anything = st.text(st.characters(exclude_categories=()), max_size=40)
hostile_paths = anything.map(lambda text: f"/twilio/voice{text}") | anything | st.just("//[::1/x?bodySHA256=1")


@given(
    account=anything | st.just(SID),
    signatures=st.lists(anything | st.just(sign(BASE + PATH)), max_size=3),
    settings_header=st.none() | anything | st.just(SETTINGS) | anything.map(lambda text: f"key={KEY},{text}"),
    path=hostile_paths,
    form=st.lists(st.tuples(anything, anything), max_size=5),
    body=st.binary(max_size=40),
    is_form=st.booleans(),
    base=st.sampled_from([BASE, "https://u:p@[::1]:1", "http://127.0.0.1:8080/x"]),
)
@example(SID, ["A" * 28], None, "/\ud800", [], b"", True, BASE)
@example(SID, ["A" * 28], SETTINGS, "/", [("\udfff", "\ud800")], b"", True, BASE)
@example(SID, ["A" * 28], None, "//[::1/x?bodySHA256=1", [], b"x", False, BASE)
@example(SID, ["A" * 28], None, "/x?bodySHA256=" + "&" * 9000, [], b"x", False, BASE)
@LAWS
def test_never_raises_and_never_accepts_what_nobody_signed(
    account: str, signatures: list[str], settings_header: str | None, path: str, form: list[tuple[str, str]], body: bytes,
    is_form: bool, base: str,
) -> None:  # fmt: skip
    accepted = accepts(
        signatures, form, path=path, base=base, account=account, settings=settings_header, body=body, is_form=is_form
    )
    assert not accepted or (path.partition("#")[0] == PATH and not form)


names = st.text(max_size=12)


@given(
    form=st.lists(st.tuples(names, names), max_size=8),
    query=st.text(st.characters(codec="ascii", categories=["L", "N"])),
)
@LAWS
def test_what_the_library_signs_is_accepted(form: list[tuple[str, str]], query: str) -> None:
    path = f"{PATH}?q={query}"
    assert accepts(sign(BASE + path, form), form, path=path)
