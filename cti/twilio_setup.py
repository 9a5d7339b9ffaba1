"""Is the account at Twilio set up for us? Asks over REST what is set, says what to change, and changes it when told to.

Looked at: whether the public address can be one that Twilio reaches, whether tokens and API key are let in, what each of our
numbers asks when a call comes in, and what the TwiML App of the agents' phones asks. Nothing here needs the database.
"""

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit, urlunsplit

from core.errors import RingdeskError, Unavailable
from core.loopback import LOOPBACK
from cti.signature import TwilioAccount
from cti.twilio_api import TIMEOUT_S, import_library, transport

if TYPE_CHECKING:
    from twilio.rest import Client

REACH_TIMEOUT_S: Final = 8.0
PATIENCE: Final = "#ct=2000&rt=8000&rc=2&rp=ct,5xx"
"""How long Twilio waits for the first answer of a call, and that it asks again: neither sent nor signed (its defaults: 15 s, once)."""
FALLBACK: Final = "/twilio/voice/fallback"

Kind = Literal["ok", "look", "wrong", "changed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`look`: works, but somebody should know. `wrong`: calls or phones do not work until it is changed."""

    kind: Kind
    about: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """`object`: `number` or `app`, `sid` its id at the provider."""

    object: str
    sid: str
    before: Mapping[str, str]
    after: Mapping[str, str]


Record = Callable[[Change], Awaitable[None]]


class RefusedByProvider(RingdeskError):
    code, title = "provider_refused", "The telephony provider refused"

    def __init__(self, status: int, provider_code: int) -> None:
        super().__init__(f"The telephony provider refused (HTTP {status}, its error {provider_code}).")
        self.http_status, self.provider_code = status, provider_code

    @property
    def is_about_credentials(self) -> bool:
        return self.http_status in (401, 403)


# --- what is right -----------------------------------------------------------------------------------------------------


def fault_of_public_url(public_url: str | None, api_base: str | None) -> str | None:
    """Why Twilio cannot reach this address; None when it may. A provider on this machine (the simulator) reaches this machine."""
    if public_url is None:
        return "is not set. Set it to the https address under which the provider reaches Ringdesk."
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    if api_base is not None and (urlsplit(api_base).hostname or "") in LOOPBACK:
        return None
    if host in LOOPBACK or host.endswith((".localhost", ".local", ".internal")) or _is_inside(host):
        return f"is {public_url}, which only this machine or network knows. Take a tunnel or a public host name."
    if parts.scheme != "https":
        return f"is {public_url}. It must begin with https."
    return None


def _is_inside(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host


def same_address(found: str, wanted: str) -> bool:
    """Without what is not signed or need not be: the rules in the fragment, the default port, the case of the host, and credentials
    that we do not ask for."""
    asks = urlsplit(wanted).username is not None
    return _plain(found) == _plain(wanted) and (not asks or _credentials(found) == _credentials(wanted))


def _credentials(url: str) -> str:
    return urlsplit(url.strip()).netloc.rpartition("@")[0]


def _plain(url: str) -> tuple[str, str, int | None, str, str]:
    parts = urlsplit(url.strip())
    try:
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        port = -1
    return parts.scheme.lower(), (parts.hostname or "").lower(), port, parts.path, parts.query


def differences(found: Any, public_url: str) -> dict[str, tuple[str, str]]:
    """What must be another: attribute → (is, should be). `found`: a number or an app as the library gives it."""
    is_number = hasattr(found, "phone_number")
    voice = f"{public_url}/twilio/voice{PATIENCE}" if is_number else f"{public_url}/twilio/agent"
    changes: dict[str, tuple[str, str]] = {}
    for name, verb, wanted in (
        ("voice_url", "voice_method", voice),
        ("voice_fallback_url", "voice_fallback_method", f"{public_url}{FALLBACK}"),
        ("status_callback", "status_callback_method", f"{public_url}/twilio/status"),
    ):
        url, method = getattr(found, name) or "", getattr(found, verb) or "POST"
        may_be_elsewhere = name == "voice_fallback_url" and _is_fallback(url)
        if not same_address(url, wanted) and not may_be_elsewhere:
            changes[name] = (url, wanted)
        if method != "POST":
            changes[verb] = (method, "POST")
    if is_number and found.voice_application_sid:
        changes["voice_application_sid"] = (found.voice_application_sid, "")
    return changes


def _is_fallback(url: str) -> bool:
    """On another host it helps the more: that is what it is for."""
    parts = urlsplit(url)
    return parts.scheme == "https" and parts.path == FALLBACK


MEANING: Final = {
    "voice_url": "when a call comes in, it asks",
    "voice_fallback_url": "when that fails, it asks",
    "status_callback": "when a call is over, it tells",
    "voice_method": "a call that comes in is told by",
    "voice_fallback_method": "the fallback is asked by",
    "status_callback_method": "the end of a call is told by",
    "voice_application_sid": "instead of its own addresses it asks those of the TwiML App",
}


def in_words(name: str, now: str, wanted: str) -> str:
    if name == "voice_application_sid":
        return f"{MEANING[name]} {now}; it must ask its own"
    return f"{MEANING[name]} {without_password(now) or 'nobody'}; it must be {without_password(wanted)}"


def without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc="***@" + parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else url


# --- asking ------------------------------------------------------------------------------------------------------------


async def reaches_us(public_url: str, version: str) -> str | None:
    """Why this address does not lead to Ringdesk, asked from here; None when it does."""
    from aiohttp import ClientError, ClientSession

    try:
        async with (
            asyncio.timeout(REACH_TIMEOUT_S),
            ClientSession() as session,
            session.get(f"{public_url}/version", allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                return f"answers with HTTP {answer.status}"
            body = await answer.json(content_type=None)
    except TimeoutError:
        return f"does not answer within {REACH_TIMEOUT_S:g} s"
    except (OSError, ClientError) as error:
        return f"cannot be reached ({type(error).__name__})"
    except ValueError:
        return "is answered by another program"
    found = body.get("version") if isinstance(body, dict) else None
    if found is None:
        return "is answered by another program"
    return None if found == version else f"is answered by Ringdesk {found}, and this is {version}"


class Setup:
    """`record` is told of each change that was made, at once."""

    def __init__(
        self,
        accounts: Mapping[str, TwilioAccount],
        *,
        public_url: str,
        api_base: str | None,
        fix: bool = False,
        record: Record | None = None,
    ) -> None:
        self._accounts = accounts
        self._public_url = public_url
        self._api_base = api_base
        self._fix = fix
        self._record = record
        self._transport: Any = None
        self._let_in: dict[str, str] = {}
        """Account → the token that opens it."""
        self.findings: list[Finding] = []

    async def examine(self, numbers: Sequence[str]) -> list[Finding]:
        """Raises Unavailable when the provider does not answer: then nothing is known."""
        await asyncio.to_thread(import_library)
        self._transport = transport()
        try:
            for index, account in enumerate(self._accounts.values()):
                await self._examine_account(account)
                await self._examine_phones(account, is_first=index == 0)
            if not numbers:
                self._say(
                    "wrong", "numbers", "none is in the organisation: name one under `numbers` and apply the file."
                )
            for number in numbers:
                await self._examine_number(number)
        finally:
            await self._transport.close()
        return self.findings

    def _say(self, kind: Kind, about: str, text: str) -> None:
        self.findings.append(Finding(kind, about, text))

    async def _examine_account(self, account: TwilioAccount) -> None:
        about = f"account {account.sid}"
        refused: list[str] = []
        for place, token in zip(("first", "second"), account.auth_tokens, strict=False):
            try:
                async with _asking():
                    found = (
                        await self._client(account.sid, token, account.sid)
                        .api.v2010.accounts(account.sid)
                        .fetch_async()
                    )
            except RefusedByProvider as error:
                if not error.is_about_credentials and error.http_status != 404:
                    raise
                refused.append(place)
                continue
            self._let_in.setdefault(account.sid, token)
        if account.sid not in self._let_in:
            which = "the auth token is" if len(account.auth_tokens) == 1 else "both auth tokens are"
            self._say(
                "wrong", about, f"{which} refused. Copy it from the provider's console into RINGDESK_TWILIO_ACCOUNTS."
            )
            return
        if refused == ["first"]:
            self._say("wrong", about, "the first auth token is no longer let in, the second is: put the second first.")
        elif refused:
            self._say(
                "look", about, "the second auth token is not let in (yet): right before a rotation, else take it out."
            )
        status = str(getattr(found.status, "value", found.status))
        if status != "active":
            self._say("wrong", about, f"it is {status}: the provider carries no calls for it.")
        elif str(getattr(found.type, "value", found.type)) == "Trial":
            self._say(
                "look",
                about,
                "it is a trial: callers hear the provider's notice first, and one call at a time may be all.",
            )
        elif not refused:
            self._say("ok", about, "the auth token is let in.")

    async def _examine_phones(self, account: TwilioAccount, *, is_first: bool) -> None:
        """The API key that signs the tokens of the agents' phones, and the TwiML App that those call."""
        about = f"phones of {account.sid}"
        if missing := [name for name in ("api_key_sid", "api_key_secret", "app_sid") if not getattr(account, name)]:
            if is_first:
                self._say("wrong", about, f"{' and '.join(missing)} missing: agents cannot talk in the browser.")
            return
        assert account.api_key_sid is not None
        assert account.api_key_secret is not None
        try:
            async with _asking():
                keyed = self._client(account.api_key_sid, account.api_key_secret, account.sid)
                found = await keyed.applications(account.app_sid).fetch_async()
        except RefusedByProvider as error:
            if error.is_about_credentials:
                self._say(
                    "wrong",
                    about,
                    f"the API key {account.api_key_sid} is refused: make a new one and put both parts in.",
                )
            elif error.http_status == 404:
                self._say("wrong", about, f"the account has no TwiML App {account.app_sid}.")
            else:
                raise
            return
        self._say("ok", about, f"the API key {account.api_key_sid} is let in.")
        await self._settle("app", f"TwiML App {found.sid}", found)

    async def _examine_number(self, number: str) -> None:
        """In whichever of the accounts it is."""
        for sid, token in self._let_in.items():
            async with _asking():
                found = await self._client(sid, token, sid).incoming_phone_numbers.list_async(
                    phone_number=number, limit=20
                )
            exact = next((each for each in found if each.phone_number == number), None)
            if exact is None:
                continue
            if exact.trunk_sid:
                self._say(
                    "wrong", number, f"the SIP trunk {exact.trunk_sid} takes its calls: take the number out of it."
                )
            elif not (exact.capabilities or {}).get("voice", True):
                self._say("wrong", number, "it cannot take calls (no voice capability): take another number.")
            else:
                await self._settle("number", number, exact)
            return
        if len(self._let_in) == len(self._accounts):
            whose = "the account has no" if len(self._accounts) == 1 else "none of the accounts has"
            self._say("wrong", number, f"{whose} such number.")
        else:
            self._say("wrong", number, "not found where we are let in; an account refuses us.")

    async def _settle(self, kind: str, about: str, found: Any) -> None:
        changes = differences(found, self._public_url)
        if not changes:
            self._say("ok", about, f"it asks {without_password(self._public_url)}.")
            return
        if not self._fix:
            for name, (now, wanted) in changes.items():
                self._say("wrong", about, f"{in_words(name, now, wanted)}.")
            return
        async with _asking():
            after = await found.update_async(**{name: wanted for name, (_, wanted) in changes.items()})
        left = differences(after, self._public_url)
        made = {name: change for name, change in changes.items() if name not in left}
        if made and self._record is not None:
            before = {name: without_password(now) for name, (now, _) in made.items()}
            set_now = {name: without_password(wanted) for name, (_, wanted) in made.items()}
            await self._record(Change(kind, found.sid, before, set_now))
        for name, (now, wanted) in made.items():
            self._say(
                "changed",
                about,
                f"{name} was {without_password(now) or 'blank'}, is {without_password(wanted) or 'blank'}.",
            )
        for name, (now, wanted) in left.items():
            self._say("wrong", about, f"{in_words(name, now, wanted)}; the provider did not take the change.")

    def _client(self, user: str, secret: str, account_sid: str) -> "Client":
        from twilio.rest import Client

        client = Client(user, secret, account_sid, http_client=self._transport)
        if self._api_base:
            client.api.base_url = self._api_base
        return client


@contextlib.asynccontextmanager
async def _asking() -> AsyncIterator[None]:
    """Raises RefusedByProvider, or Unavailable: busy, out of reach or too slow."""
    from aiohttp import ClientError
    from twilio.base.exceptions import TwilioException, TwilioRestException

    try:
        async with asyncio.timeout(TIMEOUT_S):
            yield
    except TwilioRestException as error:
        if error.status == 429 or error.status >= 500:
            raise Unavailable("The telephony provider is busy.", provider_code=error.code) from error
        raise RefusedByProvider(error.status, error.code or 0) from error
    except (TimeoutError, OSError, ClientError, TwilioException, ValueError) as error:
        raise Unavailable("The telephony provider did not answer.") from error
