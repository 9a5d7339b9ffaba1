"""Is this webhook from the provider? A wrapper around twilio's check that never raises and closes its holes.

The library crashes on a missing header, an IPv6 host or a bytes body, takes any body for valid when no form fields are passed,
and normalises ports and credentials in its own way (telephony reference §2.5). So: the text to sign is built here for a short
list of URL spellings, from the *configured* public URL and the raw path, never from the Host header; a body that is not a form
needs `bodySHA256`; tokens are chosen by AccountSid; only known shared keys and HMAC_SHA256 are accepted.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlsplit

from multidict import MultiMapping
from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator, compare

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


def with_credentials(public_url: str, credentials: tuple[str, str] | None) -> str:
    """The address as the provider is given it: it brings name and password once it is asked for them."""
    if credentials is None:
        return public_url
    scheme, _, rest = public_url.partition("://")
    return f"{scheme}://{credentials[0]}:{credentials[1]}@{rest}"


def candidate_urls(public_url: str, raw_path: str) -> list[str]:
    """The spellings under which the provider may have known our URL, all for the same place.

    Port and credentials may or may not be signed (its library drops any port and adds the default one), and so a bare
    trailing `?`."""
    parts = urlsplit(public_url)
    credentials, _, host = parts.netloc.rpartition("@")
    bare, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):  # no port, or the colons of an IPv6 address
        bare, port = host, ""
    default = {"https": "443", "http": "80"}[parts.scheme]
    hosts = [f"{bare}:{port or default}", bare]
    if credentials:
        hosts += [f"{credentials}@{host}" for host in hosts]
    path = raw_path.partition("#")[0]
    paths = [path, path[:-1]] if path.endswith("?") else [path]
    base = parts.path.rstrip("/")
    return [f"{parts.scheme}://{host}{base}{path}" for host in hosts for path in paths]


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
    keys, algorithm = (account.auth_tokens, HMAC_SHA1) if settings is None else _shared_key(account, settings)
    texts = [_text(url, form) for url in candidate_urls(public_url, raw_path)]
    try:
        return any(compare(_sign(key, text, algorithm), signatures[0]) for key in keys if key for text in texts)
    except UnicodeEncodeError:  # bytes in the request line that are no text: nobody signs such
        return False


def _sign(key: str, text: str, algorithm: str) -> str:
    # The library's own routine, given the whole text as the "URL" and no fields: one implementation of the hash.
    signature: str = RequestValidator(key).compute_signature(text, {}, algorithm)
    return signature


def _body_matches(raw_path: str, raw_body: bytes) -> bool:
    query = raw_path.partition("#")[0].partition("?")[2]
    given = parse_qs(query).get("bodySHA256", [])
    return (
        len(given) == 1 and given[0].isascii() and hmac.compare_digest(given[0], hashlib.sha256(raw_body).hexdigest())
    )


def _shared_key(account: TwilioAccount, settings: str) -> tuple[Sequence[str], str]:
    """`key=<id>,algorithm=HMAC_SHA256`, each once → its secret; anything else → no key at all."""
    pairs = [part.strip().partition("=") for part in settings.split(",")]
    known = {name: value for name, _, value in pairs}
    if len(pairs) != 2 or known.get("algorithm") != HMAC_SHA256 or known.get("key") not in account.shared_keys:
        return (), HMAC_SHA256
    return (account.shared_keys[known["key"]],), HMAC_SHA256
