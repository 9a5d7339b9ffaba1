"""Requests to the service, as the provider makes them: signed, with its time limits, retries, cookies and faults.

Rules of one address may stand in its fragment (`#ct=2000&rt=8000&rc=2&rp=ct,5xx`, milliseconds), which is neither
sent nor signed. An answer is 2xx; everything else raises WebhookFailed with the provider's error code.
"""

import asyncio
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, unquote, urldefrag, urlencode, urljoin, urlsplit, urlunsplit

import aiohttp
from twilio.request_validator import RequestValidator
from yarl import URL

from simulator.chance import Chance
from simulator.clock import Clock
from simulator.config import Faults, SimulatorConfig, Target
from simulator.journal import Entry, Journal

RETRIEVAL_FAILED = 11200
CONNECTION_FAILED = 11205
MAX_REDIRECTS = 10
MAX_ANSWER_BYTES = 1 << 20
JOURNAL_TEXT = 8192


class WebhookFailed(Exception):
    def __init__(self, code: int, url: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.url = url
        self.why = why


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    charset: str
    body: bytes
    url: str
    """Where the answer came from in the end; relative addresses in it resolve against this."""


@dataclass(slots=True)
class Party:
    """On whose behalf a request is made: a call or a conference, with its own cookies and faults."""

    sid: str
    faults: Faults
    cookies: dict[str, SimpleCookie] = field(default_factory=dict)
    """By host, kept for the life of the call."""


@dataclass(frozen=True, slots=True)
class Rules:
    connect_s: float
    read_s: float
    total_s: float
    retries: int
    policy: frozenset[str]

    def retry(self, reason: str) -> bool:
        return reason in self.policy or "all" in self.policy


@dataclass(frozen=True, slots=True)
class _Request:
    target: Target
    fields: Mapping[str, str]
    party: Party
    kind: str
    rules: Rules
    token: str
    is_forged: bool


class _AttemptFailed(Exception):
    """One attempt failed; `reason` is the word of the retry policy."""

    def __init__(self, reason: str, code: int, why: str) -> None:
        super().__init__(why)
        self.reason, self.code, self.why = reason, code, why


class Webhooks:
    def __init__(self, config: SimulatorConfig, clock: Clock, journal: Journal, chance: Chance) -> None:
        self._config = config
        self._clock = clock
        self._journal = journal
        self._chance = chance
        self._signer = RequestValidator(config.auth_token)
        self._forger = RequestValidator(config.auth_token[::-1] + "x")
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            # A connection per request: one kept from before a restart of the service would fail without its fault.
            connector=aiohttp.TCPConnector(limit=500, force_close=True),
            auto_decompress=True,
        )

    async def close(self) -> None:
        if self._session is not None:
            async with asyncio.timeout(5):
                await self._session.close()

    async def send(self, target: Target, fields: Mapping[str, str], party: Party, kind: str) -> Answer:
        """Deliver one request (with the duplicates the faults ask for). Raises WebhookFailed."""
        faults = party.faults if party.faults.apply_to(target.url) else Faults()
        is_forged = self._chance.happens(faults.wrong_signature)
        request = _Request(target, fields, party, kind, self._rules(target.url), self._chance.token(), is_forged)
        if self._chance.happens(faults.concurrent_duplicate):
            first, second = await asyncio.gather(
                self._deliver(request, None),
                self._deliver(request, "concurrent_duplicate"),
                return_exceptions=True,
            )
            for answer in (first, second):
                if isinstance(answer, Answer):
                    return answer
            assert isinstance(first, BaseException)
            raise first
        answer = await self._deliver(request, "wrong_signature" if is_forged else None)
        if self._chance.happens(faults.duplicate):
            answer = await self._deliver(request, "duplicate")
        return answer

    async def _deliver(self, request: _Request, fault: str | None) -> Answer:
        """Attempts until one is answered, the retries are used up or the total time is over."""
        url, rules = urldefrag(request.target.url).url, request.rules
        entry: Entry = {}
        try:
            with self._clock.working():
                async with asyncio.timeout(rules.total_s):
                    for attempt in itertools.count():
                        entry = self._journal.add(
                            request.kind,
                            sid=request.party.sid,
                            url=url,
                            method=request.target.method,
                            fields=dict(request.fields),
                            attempt=attempt,
                            fault=fault,
                        )
                        began = time.monotonic()
                        try:
                            return await self._attempt(request, url, attempt, entry)
                        except _AttemptFailed as failed:
                            entry["error"] = failed.why
                            if attempt >= rules.retries or not rules.retry(failed.reason):
                                raise WebhookFailed(failed.code, url, failed.why) from failed
                        finally:
                            entry["took_s"] = round(time.monotonic() - began, 3)
        except TimeoutError:
            entry["error"] = f"no answer within {rules.total_s:g} s"
            raise WebhookFailed(RETRIEVAL_FAILED, url, entry["error"]) from None
        raise AssertionError("unreachable")

    async def _attempt(self, request: _Request, url: str, attempt: int, entry: Entry) -> Answer:
        """One request with the redirects and the Basic auth question it may meet."""
        method = request.target.method
        body: dict[str, str] | None = dict(request.fields)
        if method == "GET":
            url, body = _with_query(url, request.fields), None
        credentials: str | None = None
        for _ in range(MAX_REDIRECTS):
            headers = self._headers(request, url, body, attempt, credentials)
            status, location, answer = await self._exchange(request, url, method, body, headers)
            text = answer.body.decode(answer.charset, "replace")
            entry.update(status=status, content_type=answer.content_type, answer=text[:JOURNAL_TEXT])
            if status in {301, 302, 303, 307, 308} and location:
                if status in {301, 302, 303} and method != "GET":
                    method, body = "GET", None  # as the provider does: the fields are lost
                url = urljoin(url, location)
            elif status == 401 and credentials is None and (basic := _credentials(url)):
                credentials = basic  # sent only when asked for
            elif 200 <= status < 300:
                return answer
            else:
                raise _AttemptFailed("4xx" if status < 500 else "5xx", RETRIEVAL_FAILED, f"HTTP {status}")
        raise _AttemptFailed("redirects", RETRIEVAL_FAILED, "too many redirects")

    def _headers(
        self, request: _Request, url: str, body: dict[str, str] | None, attempt: int, credentials: str | None
    ) -> dict[str, str]:
        signer = self._forger if request.is_forged else self._signer
        headers = {
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
            "X-Twilio-Signature": signer.compute_signature(url, body or {}),
        }
        mode = self._config.idempotency_header
        if mode == "always" or (mode == "retries" and attempt):
            headers["I-Twilio-Idempotency-Token"] = request.token
        if credentials is not None:
            headers["Authorization"] = credentials
        if cookies := _cookie_header(request.party, url):
            headers["Cookie"] = cookies
        return headers

    async def _exchange(
        self, request: _Request, url: str, method: str, body: dict[str, str] | None, headers: dict[str, str]
    ) -> tuple[int, str | None, Answer]:
        assert self._session is not None, "open() first"
        rules = request.rules
        address, host = self._address(url)
        if host:
            headers["Host"] = host
        try:
            async with self._session.request(
                method,
                URL(address, encoded=True),
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=rules.connect_s, sock_read=rules.read_s),
            ) as response:
                content = b""
                async for chunk in response.content.iter_chunked(1 << 16):
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise _AttemptFailed("size", RETRIEVAL_FAILED, "the answer is too large")
                request.party.cookies.setdefault(urlsplit(url).netloc, SimpleCookie()).update(response.cookies)
                charset = response.charset or "utf-8"
                answer = Answer(
                    response.status,
                    response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
                    charset if _is_codec(charset) else "utf-8",
                    content,
                    url,
                )
                return response.status, response.headers.get("Location"), answer
        except aiohttp.ConnectionTimeoutError as failed:
            raise _AttemptFailed("ct", CONNECTION_FAILED, "connect timeout") from failed
        except aiohttp.ClientConnectorError as failed:
            raise _AttemptFailed("ct", CONNECTION_FAILED, f"cannot connect: {failed.strerror}") from failed
        except aiohttp.ServerTimeoutError as failed:
            raise _AttemptFailed("rt", RETRIEVAL_FAILED, f"no answer within {rules.read_s:g} s") from failed
        except (aiohttp.ClientError, OSError) as failed:
            raise _AttemptFailed("rt", RETRIEVAL_FAILED, f"connection lost: {failed!r}") from failed

    def _address(self, url: str) -> tuple[str, str | None]:
        """Where to connect, without credentials, and the Host header when it differs from that."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        plain = urlunsplit(parts._replace(netloc=host))
        if self._config.service_address is not None and plain.startswith(self._config.base):
            return self._config.service_address.rstrip("/") + "/" + plain[len(self._config.base) :], host
        return plain, None

    def _rules(self, url: str) -> Rules:
        given = dict(parse_qsl(urldefrag(url).fragment))

        def ms(name: str, default_s: float) -> float:
            value = given.get(name, "")
            return min(max(int(value), 100), 15_000) / 1000 if value.isdigit() else default_s

        retries = given.get("rc", "")
        return Rules(
            connect_s=ms("ct", self._config.connect_timeout_s),
            read_s=ms("rt", self._config.read_timeout_s),
            total_s=ms("tt", self._config.total_timeout_s),
            retries=min(int(retries), 5) if retries.isdigit() else self._config.retries,
            policy=frozenset(given.get("rp", "ct").split(",")),
        )


def _with_query(url: str, fields: Mapping[str, str]) -> str:
    if not fields:
        return url
    return url + ("&" if urlsplit(url).query else "?") + urlencode(fields)


def _credentials(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.username is None:
        return None
    return aiohttp.encode_basic_auth(unquote(parts.username), unquote(parts.password or ""))


def _cookie_header(party: Party, url: str) -> str:
    jar = party.cookies.get(urlsplit(url).netloc)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items()) if jar else ""


def _is_codec(name: str) -> bool:
    try:
        "".encode(name)
    except LookupError:
        return False
    return True
