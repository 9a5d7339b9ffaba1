"""Is this webhook from the provider? A wrapper around twilio's check that never raises and closes its holes.

The library crashes on a missing header, an IPv6 host or a bytes body, takes any body for valid when no form fields are passed,
and normalises ports and credentials in its own way (telephony reference §2.5). So: the text to sign is built here for a short
list of URL spellings, from the *configured* public URL and the raw path, never from the Host header; a body that is not a form
needs `bodySHA256`; tokens are chosen by AccountSid; only known shared keys and HMAC_SHA256 are accepted.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlsplit

from multidict import MultiMapping
from twilio.request_validator import RequestValidator, compare

SETTINGS_HEADER: Final = "X-Twilio-Webhooks-Signature-Settings"
SIGNATURE_HEADER: Final = "X-Twilio-Signature"


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """One account or sub-account. Two auth tokens while rotating; shared keys by id (2026)."""

    sid: str
    auth_tokens: tuple[str, ...] = field(repr=False)
    shared_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    api_key_sid: str | None = None
    api_key_secret: str | None = field(default=None, repr=False)
    app_sid: str | None = None


def candidate_urls(public_url: str, raw_path: str) -> list[str]:
    """The spellings under which the provider may have known our URL, all for the same place.

    The default port may or may not be named, and a bare trailing `?` may or may not be signed."""
    parts = urlsplit(public_url)
    host = parts.netloc.rpartition("@")[2]
    bare, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    bare = bare or host
    default = {"https": "443", "http": "80"}[parts.scheme]
    hosts = [host]
    if not port or port == default:
        hosts = [bare, f"{bare}:{default}"]
    path = raw_path.partition("#")[0]
    paths = [path]
    if path.endswith("?"):
        paths.append(path[:-1])
    credentials = parts.netloc.rpartition("@")[0]
    heads = [f"{parts.scheme}://{h}" for h in hosts]
    if credentials:
        heads += [f"{parts.scheme}://{credentials}@{h}" for h in hosts]
    base = parts.path.rstrip("/")
    return [f"{head}{base}{p}" for head in heads for p in paths]


def _text(url: str, form: MultiMapping[str]) -> str:
    """URL, then each distinct name in byte order with each of its distinct values in byte order."""
    text = url
    for name in sorted(set(form.keys())):
        for value in sorted(set(form.getall(name))):
            text += name + value
    return text


def is_valid(
    accounts: Mapping[str, TwilioAccount],
    *,
    account_sid: str,
    signatures: Sequence[str],
    settings: str | None,
    public_url: str,
    raw_path: str,
    form: MultiMapping[str],
    raw_body: bytes,
    is_form: bool,
) -> bool:
    """True only for a request signed by the account it names. Never raises for hostile input."""
    account = accounts.get(account_sid)
    if account is None or len(signatures) != 1 or not signatures[0].isascii():
        return False
    if raw_body and not is_form and not _body_matches(raw_path, raw_body):
        return False
    signature = signatures[0]
    if settings is not None:
        secret = _shared_key(account, settings)
        if secret is None:
            return False
        return any(
            compare(_hmac_sha256(secret, _text(url, form)), signature) for url in candidate_urls(public_url, raw_path)
        )
    return any(
        compare(_hmac_sha1(token, _text(url, form)), signature)
        for token in account.auth_tokens
        if token
        for url in candidate_urls(public_url, raw_path)
    )


def _hmac_sha1(token: str, text: str) -> str:
    # The library's own routine, given the whole text as the "URL" and no fields: one implementation of the hash.
    signature: str = RequestValidator(token).compute_signature(text, {})
    return signature


def _hmac_sha256(secret: str, text: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def _body_matches(raw_path: str, raw_body: bytes) -> bool:
    given = parse_qs(urlsplit(raw_path).query).get("bodySHA256", [])
    return (
        len(given) == 1 and given[0].isascii() and hmac.compare_digest(given[0], hashlib.sha256(raw_body).hexdigest())
    )


def _shared_key(account: TwilioAccount, settings: str) -> str | None:
    """`key=<id>,algorithm=HMAC_SHA256` → the secret; anything else → None."""
    pairs = dict(part.strip().split("=", 1) for part in settings.split(",") if "=" in part)
    if set(pairs) != {"key", "algorithm"} or pairs["algorithm"] != "HMAC_SHA256":
        return None
    return account.shared_keys.get(pairs["key"])
