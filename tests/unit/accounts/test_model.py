"""Passwords, addresses, tokens: the rules without a database."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts import passwords
from accounts.audit import changes
from accounts.cookies import cookie_name
from accounts.middleware import LOOKUP_TTL_S, LOOKUPS_KEPT, Lookups
from accounts.model import InvalidEmail, fingerprint, may_grant, normalise_email, password_fault
from core.principal import Principal, Role

EMAIL = "ava.chen@example.com"


@pytest.mark.parametrize(
    "password",
    [
        "correct-horse-battery",
        "demo-ringdesk",
        "x" * 40 + "yzab",
        "密码需要十二个字符以上的长度",
        "p" * 1000 + "qrst",
        "with blanks in it",
    ],
)
def test_long_password_is_accepted(password: str) -> None:
    assert password_fault(password, email=EMAIL) is None


@pytest.mark.parametrize(
    "password",
    [
        "",
        "eleven-char",
        "PASSWORD1234",
        "aaaaaaaaaaaaaaaa",
        "abababababab",
        "123456789012",
        "987654321098",
        "abcdefghijkl",
        "ava.chen1234",
        "AVA.CHEN!",
        "x" * 1025,
        "qwertyuiop12",
        "woaini1314520",
    ],
)
def test_guessable_password_is_refused(password: str) -> None:
    assert password_fault(password, email=EMAIL)


async def test_whole_password_counts() -> None:
    long = "x" * 72
    stored = await passwords.hash_password(long + "a")
    assert await passwords.is_right(stored, long + "a")
    assert not await passwords.is_right(stored, long + "b"), "the 73rd byte differs"
    assert not await passwords.is_right(stored, long)


async def test_password_typed_on_another_keyboard_is_the_same() -> None:
    stored = await passwords.hash_password("Zoë's ﬁsh 密码")
    assert await passwords.is_right(stored, "Zoe\u0308's fish 密码")
    assert not await passwords.is_right(stored, "Zoe's fish 密码")


async def test_hash_is_argon2id_salted_and_current() -> None:
    first, second = [await passwords.hash_password("correct-horse-battery") for _ in range(2)]
    assert first.startswith("$argon2id$")
    assert first != second
    assert not passwords.is_outdated(first)


async def test_nobody_costs_the_same_and_never_gets_in() -> None:
    assert not passwords.is_outdated(passwords.NOBODY), "other parameters would take another time"
    for password in ("", "A", "correct-horse-battery"):
        assert not await passwords.is_right(None, password)
        assert not await passwords.is_right("not a hash", password)


@settings(max_examples=20)
@given(st.text(max_size=300).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)))
def test_email_is_refused_or_stays_as_it_is(text: str) -> None:
    try:
        email = normalise_email(text)
    except InvalidEmail:
        return
    assert normalise_email(email) == email


@pytest.mark.parametrize(
    ("typed", "email"), [(" Ava@Example.COM ", "ava@example.com"), ("小明@例子.中国", "小明@例子.中国")]
)
def test_email_is_trimmed_and_lowered(typed: str, email: str) -> None:
    assert normalise_email(typed) == email


@pytest.mark.parametrize("user_role", Role)
@pytest.mark.parametrize("token_role", Role)
def test_token_never_outranks_its_user(user_role: Role, token_role: Role) -> None:
    allowed = user_role is Role.ADMIN or token_role in (user_role, Role.INTEGRATION)
    assert may_grant(user_role, token_role) is allowed


@pytest.mark.parametrize(
    ("public_url", "name"),
    [
        ("https://desk.example.com", "__Host-ringdesk"),
        ("https://desk.example.com:8443/", "__Host-ringdesk"),
        ("http://127.0.0.1:8080", "ringdesk_8080"),
        ("http://localhost:9000", "ringdesk_9000"),
        ("http://[::1]:8080", "ringdesk_8080"),
        ("http://localhost", "ringdesk_80"),
    ],
)
def test_cookie_is_named_by_scheme_and_port(public_url: str, name: str) -> None:
    assert cookie_name(public_url) == name


@pytest.mark.parametrize(
    "public_url",
    ["http://desk.example.com", "http://127.0.0.1.evil.example:8080", "http://10.0.0.1:8080", "ftp://localhost", ""],
)
def test_cookie_over_plain_http_is_for_this_machine_only(public_url: str) -> None:
    with pytest.raises(ValueError, match="must be https"):
        cookie_name(public_url)


def test_lookup_is_remembered_for_less_than_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("accounts.middleware.monotonic", lambda: now[0])
    lookups, ava = Lookups(), Principal(1, Role.AGENT, "Ava", EMAIL)
    lookups.put(b"key", ava, asked_at=100.0)
    now[0] = 100.0 + LOOKUP_TTL_S
    assert lookups.get(b"key") == ava
    now[0] += 0.01
    assert lookups.get(b"key") is None
    assert LOOKUP_TTL_S < 5
    lookups.put(b"key", ava, asked_at=now[0])
    lookups.forget(b"key")
    assert lookups.get(b"key") is None


def test_lookups_do_not_grow_without_end() -> None:
    lookups, ava = Lookups(), Principal(1, Role.AGENT, "Ava", EMAIL)
    for n in range(LOOKUPS_KEPT + 5):
        lookups.put(n.to_bytes(4, "big"), ava, asked_at=1e12)
    kept = sum(lookups.get(n.to_bytes(4, "big")) is not None for n in range(LOOKUPS_KEPT + 5))
    assert 0 < kept <= LOOKUPS_KEPT


def test_fingerprint_is_not_the_secret() -> None:
    assert len(fingerprint("secret")) == 32
    assert fingerprint("secret") != fingerprint("Secret")


def test_changes_are_only_what_differs() -> None:
    assert changes({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": None}) == ({"b": 2}, {"b": 3})
    assert changes({}, {"a": 1}) == ({"a": None}, {"a": 1})
