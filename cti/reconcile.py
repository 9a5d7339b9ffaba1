"""Callbacks are hints, REST is the tie-breaker: find calls that ended unseen, and calls that we never heard of.

Runs at start and twice a minute. A non-terminal call older than a few seconds (at start and after an outage of ours: any) is
looked up at the provider; what is over there is over here (source "reconciled"). Calls in the provider's list that we do not know came while we were down: who still holds the
line comes back by the emergency redirect, who hung up gets a row in the call log. Telephones of agents are rung by us, so they are never among those; one that went
down unseen is treated as if its callback had come. Several processes may do it side by side: whoever
comes second finds nothing to do.
"""

import asyncio
from datetime import timedelta
from typing import Any, Final

import structlog

from core.errors import RingdeskError, Unavailable
from core.ids import agent_of_identity
from cti import missed, service, telephone, telephone_queries, voicemail
from cti import queries as sql
from cti.lines import Lines
from cti.model import Outcome
from cti.signature import TwilioAccount
from cti.twilio_api import NotInProgress, ProviderCall, TwilioApi
from infra.crashpoints import crashpoint
from infra.outbox import Outbox, Tx
from infra.phone import parse_number
from infra.postgres import CONNECTION_ERRORS, RETRYABLE_ERRORS

log = structlog.get_logger()
INTERVAL_S: Final = 30
MIN_AGE_S: Final = 15
RETRY_S: Final = 5
LOOK_BACK: Final = timedelta(hours=2)
BATCH: Final = 200


class Reconciler:
    def __init__(self, outbox: Outbox, twilio: TwilioApi, accounts: dict[str, TwilioAccount], lines: Lines) -> None:
        self._outbox = outbox
        self._twilio = twilio
        self._accounts = accounts
        self._lines = lines
        self._looked_until = 0
        self._rings_until = 0

    async def run(self) -> None:
        """Run until cancelled."""
        min_age_s = 0  # nobody was here to be told how calls ended
        while True:
            try:
                await self.once(min_age_s=min_age_s)
            except (Unavailable, TimeoutError, *CONNECTION_ERRORS, *RETRYABLE_ERRORS) as error:
                log.debug("reconciler waits", error=type(error).__name__)
                min_age_s, pause_s = 0, RETRY_S
            except RingdeskError as error:
                log.warning("reconciler could not ask the provider", code=error.code)
                pause_s = INTERVAL_S
            else:
                min_age_s, pause_s = MIN_AGE_S, INTERVAL_S
            await asyncio.sleep(pause_s)

    async def once(self, *, min_age_s: int = MIN_AGE_S) -> int:
        """Returns how many calls were corrected or found."""
        closed = await self._close_ended(min_age_s) + await self._close_telephones(min_age_s)
        return closed + await self._find_unseen() + await self._find_calls_of_messages()

    async def _close_ended(self, min_age_s: int) -> int:
        """A pass looks at so many, the next one goes on from there: a thousand long calls hide no short one."""
        async with self._outbox.database.acquire() as conn:
            rows = await conn.fetch(sql.OPEN_CALLS, min_age_s, self._looked_until, BATCH)
        closed = 0
        for row in rows:
            try:
                closed += await self._close_if_ended(row)
            except RingdeskError as error:
                if isinstance(error, Unavailable):
                    raise
                log.warning("call cannot be looked up", call=row["id"], code=error.code)
            self._looked_until = row["id"]
        if len(rows) < BATCH:
            self._looked_until = 0
        return closed

    async def _close_if_ended(self, row: Any) -> bool:
        ended_at, status = None, "completed"
        try:
            found = await self._twilio.fetch(row["account_sid"], row["sid"])
        except NotInProgress:
            pass  # the provider has forgotten it
        else:
            if found.status not in service.TERMINAL:
                return False
            ended_at, status = found.ended_at, found.status
        async with self._outbox.transaction() as tx:
            is_news = await service.reconciled(tx, sid=row["sid"], at=ended_at, status=status)
            crashpoint("reconcile.before_commit")
        if is_news:
            log.warning("call closed by reconciling", call=row["id"])
        return is_news

    async def _close_telephones(self, min_age_s: int) -> int:
        """Those of agents, rung by us, which are down at the provider and not here."""
        async with self._outbox.database.acquire() as conn:
            rows = await conn.fetch(telephone_queries.OPEN_RINGS, min_age_s, self._rings_until, BATCH)
        closed = 0
        for row in rows:
            status = "completed"
            try:
                status = (await self._twilio.fetch(row["account_sid"], row["sid"])).status
            except NotInProgress:
                pass  # the provider has forgotten it
            except RingdeskError as error:
                if isinstance(error, Unavailable):
                    raise
                log.warning("telephone of an agent cannot be looked up", offer=row["offer_id"], code=error.code)
                status = ""
            if status in service.TERMINAL:
                async with self._outbox.transaction() as tx:
                    closed += await telephone.reconciled(tx, offer_id=row["offer_id"], status=status, at=tx.now)
            self._rings_until = row["offer_id"]
        if len(rows) < BATCH:
            self._rings_until = 0
        return closed

    async def _find_unseen(self) -> int:
        found_count = 0
        since = self._outbox.database.clock.now() - LOOK_BACK
        for account_sid in self._accounts:
            try:
                listed = await self._twilio.inbound_since(account_sid, since)
            except RingdeskError as error:
                log.warning("calls of an account cannot be listed", code=error.code)
                continue
            over = [call for call in listed if call.status in service.TERMINAL]
            async with self._outbox.database.acquire() as conn:
                known = {row["sid"] for row in await conn.fetch(sql.KNOWN_SIDS, [call.sid for call in over])}
            for call in over:
                if call.sid not in known and agent_of_identity(call.from_) is None:
                    async with self._outbox.transaction() as tx:
                        found_count += await self._reconstruct(tx, account_sid, call)
        return found_count

    async def _find_calls_of_messages(self) -> int:
        """A message came whose call we did not know: by now we do, or the provider says whose it was."""
        since = self._outbox.database.clock.now() - LOOK_BACK
        async with self._outbox.database.acquire() as conn:
            rows = await conn.fetch(sql.VOICEMAILS_WITHOUT_CALL, since)
        found_count = 0
        for row in rows:
            try:
                call = await self._twilio.fetch(row["account_sid"], row["call_sid"])
            except RingdeskError as error:
                log.warning("call of a message cannot be looked up", code=error.code)
                continue
            async with self._outbox.transaction() as tx:
                if call.status in service.TERMINAL:
                    await self._reconstruct(tx, row["account_sid"], call, outcome=Outcome.VOICEMAIL)
                found_count += await voicemail.attach(
                    tx, row["id"], row["call_sid"], row["duration_s"], queue=self._lines.of(call.to).queue
                )
        return found_count

    async def _reconstruct(
        self, tx: Tx, account_sid: str, call: ProviderCall, *, outcome: Outcome = Outcome.ABANDONED_IVR
    ) -> int:
        line = self._lines.of(call.to)
        number = parse_number(call.from_, line.region)
        started = call.started_at or tx.now
        new = await tx.conn.fetchval(
            sql.RECONSTRUCT, account_sid, call.sid, number.raw[:200], number.kind.value, number.value, call.to, line.language,
            started, max(call.ended_at or tx.now, started), outcome.value, line.queue,
        )  # fmt: skip
        if new is None:
            return 0
        log.warning("missed call found by reconciling", call=new)
        await missed.record(
            tx, call_id=new, number=number.value, kind=number.kind.value, to_number=call.to, queue=line.queue,
            outcome=outcome, at=call.ended_at or tx.now,
        )  # fmt: skip
        crashpoint("reconcile.before_commit_of_missed")
        return 1
