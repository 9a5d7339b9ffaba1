"""Where a fault strikes: the deployment, its crowd, and the count of how often the fault was seen to happen."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel
from aiohttp import ClientSession, ClientTimeout
from twilio.request_validator import RequestValidator

from core import demo_account
from tests.chaos.loads import GERMAN
from tests.chaos.stack import Load, Stack, until

TOLD_WITHIN_S: Final = 2.0
"""A document for the caller, at the worst."""
HOOK_TIMEOUT_S: Final = 15.0
CALLER: Final = "+4930555199"


@dataclass
class Scene:
    stack: Stack
    load: Load
    rng: random.Random
    happened: int = 0

    def proved(self, times: int = 1) -> None:
        """It happened: the run is void for a fault that nobody saw."""
        assert times > 0, "the fault did not happen"
        self.happened += times

    async def lasts(self, seconds: float) -> None:
        """How long the fault lasts: not a wait for anything."""
        await asyncio.sleep(seconds)

    async def seen(self, condition: Callable[[], Awaitable[object]], what: str, *, within_s: float = 30) -> float:
        return await until(condition, within_s=within_s, what=what)

    # --- the database, as its administrator ------------------------------------------------------------------------------

    @asynccontextmanager
    async def session(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Not over the link, and allowed to write whatever the server's settings say."""
        conn = await asyncpg.connect(self.stack.postgres.server.url, timeout=10)
        try:
            await conn.execute("SET default_transaction_read_only = off")
            yield conn
        finally:
            await conn.close(timeout=5)

    async def waiting_for_locks(self) -> int:
        return len(await self.stack.fetch("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

    # --- the broker, as its administrator --------------------------------------------------------------------------------

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        connection = await aio_pika.connect(self.stack.rabbit.url, timeout=10)
        try:
            yield await connection.channel()
        finally:
            await connection.close()

    async def depth(self, queue: str) -> int:
        """-1: there is no such queue."""
        async with self.channel() as channel:
            try:
                return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0
            except aio_pika.exceptions.ChannelClosed:
                return -1

    # --- the provider, by hand -------------------------------------------------------------------------------------------

    async def emergencies(self) -> float:
        return await self.stack.metric(self.stack.replicas[0], "ringdesk_emergency_answers_total")

    async def hook(
        self, path: str, fields: Mapping[str, str], *, token: str | None = None, replica: int = 0
    ) -> tuple[int, str]:
        """A signed webhook of ours straight to a replica: status and answer."""
        headers = {
            "X-Twilio-Signature": RequestValidator(demo_account.AUTH_TOKEN).compute_signature(
                self.stack.public_url + path, dict(fields)
            )
        }
        if token is not None:
            headers["I-Twilio-Idempotency-Token"] = token
        async with (
            ClientSession(timeout=ClientTimeout(total=HOOK_TIMEOUT_S)) as http,
            http.post(self.stack.replicas[replica] + path, data=dict(fields), headers=headers) as answer,
        ):
            return answer.status, await answer.text()

    async def hang_up(self, fields: Mapping[str, str]) -> None:
        """The last callback of a call that the simulator does not know; repeated as a provider would."""
        over = {**fields, "CallStatus": "completed", "SequenceNumber": "9", "CallbackSource": "call-progress-events"}

        async def is_taken() -> bool:
            return (await self.hook("/twilio/status", over))[0] in (200, 204)

        await self.seen(is_taken, "the callback is taken")

    async def assert_one_ticket(self, sid: str) -> None:
        async def is_over() -> bool:
            return bool(await self.stack.fetch("SELECT 1 FROM calls WHERE sid = $1 AND outcome IS NOT NULL", sid))

        await self.seen(is_over, f"{sid} is over")
        await self.stack.assert_accounted(sid)


def a_call(sid: str | None = None, **more: str) -> dict[str, str]:
    """The fields of a call that only this test makes."""
    return {
        "AccountSid": demo_account.ACCOUNT_SID, "ApiVersion": "2010-04-01", "CallSid": sid or "CA" + secrets.token_hex(16),
        "CallStatus": "ringing", "Direction": "inbound", "From": CALLER, "To": GERMAN, **more,
    }  # fmt: skip


Strike = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the catalogue. `strike` does it, undoes it, and proves that it happened."""

    id: str
    what: str
    injected: str
    proof: str
    strike: Strike
    is_slow: bool = False
    """Longer than some 15 s: only in the long version."""

    def __str__(self) -> str:
        return self.id
