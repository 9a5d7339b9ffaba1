"""Asking Twilio over REST: a thin, time-boxed wrapper around its own client.

The client's asynchronous transport knows no time-outs (it hands aiohttp None), so every call sits in one here. A time-out,
a 429 or a 5xx means *unknown*: the caller of this module looks the leg up before it asks again.
"""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from core.errors import RingdeskError, Unavailable
from cti.signature import TwilioAccount

if TYPE_CHECKING:
    from twilio.rest import Client

TIMEOUT_S: Final = 5.0
LIVING: Final = frozenset({"queued", "ringing", "in-progress"})
"""States of a leg at the provider that is not over."""
SOUND_TIMEOUT_S: Final = 10.0
MAX_SOUND: Final = 32 * 1024 * 1024
NOT_IN_PROGRESS: Final = frozenset({20404, 21220})


class NotInProgress(RingdeskError):
    """The leg is over (or was never there): nothing can be done with it."""

    code, title = "leg_not_in_progress", "The call is not in progress at the provider"


class ProviderBusy(Unavailable):
    """A plain no for now (429): what was asked for has not been done."""


@dataclass(frozen=True, slots=True)
class ProviderCall:
    sid: str
    status: str
    from_: str
    to: str
    direction: str
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Found:
    """A recording as the provider lists it."""

    sid: str
    status: str
    duration_s: int
    source: str = "RecordVerb"

    @property
    def is_message(self) -> bool:
        return self.source == "RecordVerb" and self.status == "completed" and self.duration_s > 0

    @property
    def is_coming(self) -> bool:
        return self.source == "RecordVerb" and self.status in ("in-progress", "paused", "stopped", "processing")


class TwilioApi:
    """One client per account, opened inside the running loop."""

    def __init__(self, accounts: Mapping[str, TwilioAccount], api_base: str | None) -> None:
        self._accounts = accounts
        self._api_base = api_base
        self._clients: dict[str, Client] = {}
        self._transport: Any = None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["TwilioApi"]:
        try:
            yield self
        finally:
            if self._transport is not None:
                await self._transport.close()

    def _client(self, account_sid: str) -> "Client":
        client = self._clients.get(account_sid)
        if client is None:
            from twilio.rest import Client

            account = self._accounts.get(account_sid)
            if account is None:
                raise RingdeskError("No credentials for this provider account.")
            if self._transport is None:
                self._transport = transport()
            if account.api_key_sid and account.api_key_secret:
                client = Client(account.api_key_sid, account.api_key_secret, account_sid, http_client=self._transport)
            else:
                client = Client(account_sid, account.auth_tokens[0], http_client=self._transport)
            if self._api_base:
                client.api.base_url = self._api_base
            self._clients[account_sid] = client
        return client

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        if not self._clients:
            # A third of a second to import: not at the start, and not on the loop, where all would wait.
            await asyncio.to_thread(import_library)
        from aiohttp import ClientError
        from twilio.base.exceptions import TwilioException, TwilioRestException

        try:
            async with asyncio.timeout(TIMEOUT_S):
                yield
        except TwilioRestException as error:
            if error.code in NOT_IN_PROGRESS or error.status == 404:
                raise NotInProgress from error
            if error.status == 429:
                raise ProviderBusy("The telephony provider is busy.", provider_code=error.code) from error
            if error.status >= 500:
                raise Unavailable("The telephony provider is busy.", provider_code=error.code) from error
            raise RingdeskError("The telephony provider refused.", provider_code=error.code) from error
        except (TimeoutError, OSError, ClientError, TwilioException) as error:
            raise Unavailable("The telephony provider did not answer.") from error

    async def redirect(self, account_sid: str, sid: str, document: str) -> None:
        """Give a living leg a new document. Raises NotInProgress, Unavailable (unknown)."""
        async with self._asking():
            await self._client(account_sid).calls(sid).update_async(twiml=document)

    async def end(self, account_sid: str, sid: str) -> None:
        async with self._asking():
            await self._client(account_sid).calls(sid).update_async(status="completed")

    async def place(self, account_sid: str, from_: str, to: str, document: str, *, callback: str, ring_s: int) -> str:
        """Ring somebody, who hears this document once they answer. Returns the CallSid. Raises ProviderBusy, Unavailable (unknown)."""
        async with self._asking():
            made = await self._client(account_sid).calls.create_async(
                to=to,
                from_=from_,
                twiml=document,
                timeout=ring_s,
                status_callback=callback,
                status_callback_event=["initiated", "ringing", "answered", "completed"],
                status_callback_method="POST",
            )
        return str(made.sid)

    async def find_calls(self, account_sid: str, from_: str, to: str, *, since: datetime) -> list[str]:
        """The CallSids of calls that we had made between these numbers since then, newest first."""
        async with self._asking():
            found = await self._client(account_sid).calls.list_async(from_=from_, to=to, limit=20)
        made = ((call, call.date_created or call.start_time) for call in found if call.direction == "outbound-api")
        return [str(call.sid) for call, at in made if at is None or at > since]

    async def fetch(self, account_sid: str, sid: str) -> ProviderCall:
        async with self._asking():
            return _call_of(await self._client(account_sid).calls(sid).fetch_async())

    async def in_conference(self, account_sid: str, name: str) -> frozenset[str]:
        """The CallSids that sit in the living conference of that name; nobody when there is none."""
        sids: set[str] = set()
        async with self._asking():
            client = self._client(account_sid)
            for room in await client.conferences.list_async(friendly_name=name, limit=20):
                if str(getattr(room.status, "value", room.status)) != "completed":
                    found = await client.conferences(room.sid).participants.list_async(limit=50)
                    sids.update(participant.call_sid for participant in found)
        return frozenset(sids)

    async def is_held(self, account_sid: str, name: str, sid: str) -> bool:
        """Whether this leg is on hold in the living conference of that name. Raises NotInProgress when it does not sit there."""
        async with self._asking():
            found = await (await self._seat(account_sid, name, sid)).fetch_async()
        return bool(found.hold)

    async def set_held(self, account_sid: str, name: str, sid: str, *, is_held: bool, music_url: str) -> bool:
        """Put it on hold, or take it off. Returns what the provider says it is now. Asking for what is changes nothing."""
        more = {"hold_url": music_url, "hold_method": "POST"} if is_held else {}
        async with self._asking():
            found = await (await self._seat(account_sid, name, sid)).update_async(hold=is_held, **more)
        return bool(found.hold)

    async def set_muted(self, account_sid: str, name: str, sid: str, *, is_muted: bool) -> bool:
        """What this leg says is heard by nobody, or by all again. Returns what the provider says it is now. Asking for what is changes nothing."""
        async with self._asking():
            found = await (await self._seat(account_sid, name, sid)).update_async(muted=is_muted)
        return bool(found.muted)

    async def _seat(self, account_sid: str, name: str, sid: str) -> Any:
        return self._client(account_sid).conferences(await self._room(account_sid, name)).participants(sid)

    async def _room(self, account_sid: str, name: str) -> str:
        for room in await self._client(account_sid).conferences.list_async(friendly_name=name, limit=20):
            if str(getattr(room.status, "value", room.status)) != "completed":
                return str(room.sid)
        raise NotInProgress

    async def invite(
        self, account_sid: str, name: str, *, from_: str, to: str, label: str, ring_s: int, limit_s: int
    ) -> str:
        """Ring a number into the living conference of that name. Returns the CallSid of its leg. Raises NotInProgress without such a conference."""
        async with self._asking():
            room = await self._room(account_sid, name)
            made = await self._client(account_sid).conferences(room).participants.create_async(
                from_=from_, to=to, label=label, timeout=ring_s, time_limit=limit_s, beep="false",
                early_media=True, end_conference_on_exit=False,
            )  # fmt: skip
        return str(made.call_sid)

    async def participant(self, account_sid: str, name: str, label: str) -> str:
        """The CallSid of who has this label there, ringing or sitting. Raises NotInProgress when there is nobody."""
        async with self._asking():
            room = await self._room(account_sid, name)
            return str((await self._client(account_sid).conferences(room).participants(label).fetch_async()).call_sid)

    async def ends_conference(self, account_sid: str, name: str, sid: str) -> None:
        """The conference is over once this leg leaves it."""
        async with self._asking():
            await (await self._seat(account_sid, name, sid)).update_async(end_conference_on_exit=True)

    async def recordings(self, account_sid: str, sid: str) -> list[Found]:
        """What was recorded of this call."""
        async with self._asking():
            found = await self._client(account_sid).calls(sid).recordings.list_async(limit=20)
        return [
            Found(
                each.sid,
                str(getattr(each.status, "value", each.status)),
                int(each.duration) if str(each.duration or "").isdecimal() else 0,
                str(getattr(each.source, "value", each.source)),
            )
            for each in found
        ]

    async def start_recording(self, account_sid: str, sid: str, *, callback_url: str) -> tuple[str, str]:
        """Record this leg from now on, both sides apart. Returns the recording's sid and state."""
        async with self._asking():
            made = await self._client(account_sid).calls(sid).recordings.create_async(
                recording_channels="dual", recording_status_callback=callback_url, recording_status_callback_method="POST",
                recording_status_callback_event=["completed", "absent"],
            )  # fmt: skip
        return str(made.sid), _word(made.status)

    async def set_recording(self, account_sid: str, sid: str, recording_sid: str, *, is_running: bool) -> str:
        """Pause it, with silence in place of what is said, or let it go on. Returns the state that the provider answers."""
        more = {} if is_running else {"pause_behavior": "silence"}
        async with self._asking():
            recording = self._client(account_sid).calls(sid).recordings(recording_sid)
            found = await recording.update_async(status="in-progress" if is_running else "paused", **more)
        return _word(found.status)

    async def recording_status(self, account_sid: str, sid: str, recording_sid: str) -> str:
        async with self._asking():
            return _word((await self._client(account_sid).calls(sid).recordings(recording_sid).fetch_async()).status)

    async def delete_recording(self, account_sid: str, recording_sid: str) -> None:
        async with self._asking():
            await self._client(account_sid).recordings(recording_sid).delete_async()

    async def sound(self, account_sid: str, recording_sid: str) -> bytes:
        """The whole file. Raises NotInProgress when there is none, Unavailable; never follows to another host with our credentials."""
        from aiohttp import ClientError, ClientSession, encode_basic_auth

        account = self._accounts.get(account_sid)
        if account is None:
            raise RingdeskError("No credentials for this provider account.")
        user, secret = account.sid, account.auth_tokens[0]
        if account.api_key_sid and account.api_key_secret:
            user, secret = account.api_key_sid, account.api_key_secret
        base = (self._api_base or "https://api.twilio.com").rstrip("/")
        url = f"{base}/2010-04-01/Accounts/{account_sid}/Recordings/{recording_sid}.wav"
        headers = {"Authorization": encode_basic_auth(user, secret)}
        try:
            async with asyncio.timeout(SOUND_TIMEOUT_S):
                async with (
                    ClientSession(headers=headers) as session,
                    session.get(url, allow_redirects=False) as answer,
                ):
                    if answer.status == 404:
                        raise NotInProgress
                    if answer.status != 200:
                        raise Unavailable("The telephony provider does not give the recording now.")
                    sound = bytearray()
                    async for chunk in answer.content.iter_chunked(64 * 1024):
                        sound += chunk
                        if len(sound) > MAX_SOUND:
                            raise RingdeskError("The recording is too large.")
                    return bytes(sound)
        except (TimeoutError, OSError, ClientError) as error:
            raise Unavailable("The telephony provider does not give the recording now.") from error

    async def inbound_since(self, account_sid: str, since: datetime, *, limit: int = 1000) -> list[ProviderCall]:
        """Inbound calls that started after `since`, newest first."""
        async with self._asking():
            found = await self._client(account_sid).calls.list_async(start_time_after=since, limit=limit)
        return [call for call in map(_call_of, found) if call.direction == "inbound"]


def import_library() -> None:
    for part in ("twilio.rest.api.v2010", "twilio.http.async_http_client"):
        importlib.import_module(part)


def transport() -> Any:
    """The library's own, but for the way it gives credentials to aiohttp, which aiohttp is about to drop."""
    from aiohttp import encode_basic_auth
    from twilio.http.async_http_client import AsyncTwilioHttpClient

    class Transport(AsyncTwilioHttpClient):  # type: ignore[misc]
        async def request(
            self, method: str, url: str, params: Any = None, data: Any = None, headers: Any = None, auth: Any = None,
            timeout: float | None = None, allow_redirects: bool = False,
        ) -> Any:  # fmt: skip
            if auth is not None:
                headers = {**(headers or {}), "Authorization": encode_basic_auth(*auth)}
            return await super().request(
                method, url, params, data, headers, timeout=timeout, allow_redirects=allow_redirects
            )

    return Transport(pool_connections=True)


def _word(status: Any) -> str:
    return str(getattr(status, "value", status))


def _call_of(found: Any) -> ProviderCall:
    return ProviderCall(
        sid=found.sid,
        status=str(getattr(found.status, "value", found.status)),
        from_=getattr(found, "_from", None) or "",
        to=found.to or "",
        direction=found.direction or "",
        started_at=found.start_time,
        ended_at=found.end_time,
    )
