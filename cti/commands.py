"""Commands to the provider: intended → sent → done | failed | unknown, claimed with a lease, unique per (object, kind).

They run after commit, at once in the committing process; the broker and a sweep repeat what did not end. A repeat reads first what
became of the call, because a time-out says nothing: redirecting a caller who already sits in the conference would tear the talk.
"""

import asyncio
import contextlib
from typing import Any, Final

import structlog

from core.errors import RingdeskError, Unavailable
from core.events import ProviderCommandIntended
from core.ids import OfferId, conference_name
from cti import consult, hold, outbound, outside, recording, service, telephone, voicemail
from cti import queries as sql
from cti import twilio_voice as twiml
from cti.lines import Lines
from cti.model import Call, CallState, Outcome
from cti.twilio_api import LIVING, Found, NotInProgress, TwilioApi
from infra.crashpoints import crashpoint
from infra.outbox import Outbox
from infra.postgres import CONNECTION_ERRORS
from infra.telemetry import metrics

log = structlog.get_logger()
LEASE_S: Final = 20
"""Longer than the three questions a command may ask of the provider, each with its time-out."""
SWEEP_S: Final = 2
MAX_LOOKS: Final = 4
TO_THE_LINE: Final = ("requeue", "fetch")
"""`fetch` only whom the provider says to sit in a conference where nobody is expected."""
MOVES: Final = ("connect", "put_through", *TO_THE_LINE)


class Commands:
    def __init__(self, outbox: Outbox, twilio: TwilioApi, lines: Lines, base: str) -> None:
        self._outbox = outbox
        self._twilio = twilio
        self._lines = lines
        self._base = base

    async def run(self, event: ProviderCommandIntended) -> None:
        """Effect: do one command, if nobody else has or holds it. Raises Unavailable when it must be repeated."""
        await self._run(event.object, event.kind)

    async def _run(self, object_: str, kind: str) -> None:
        async with self._outbox.database.acquire() as conn:
            row = await conn.fetchrow(sql.CLAIM_COMMAND, object_, kind, LEASE_S)
            call = None if row is None else await sql.call_by_id(conn, call_id=row["call_id"])
        if row is None or (call is None and kind != "delete_recording"):
            return
        crashpoint("commands.after_claim")
        try:
            if call is None or kind == "delete_recording":  # a message may outlive its call
                await self._delete_recording(row["payload"])
            else:
                if kind in MOVES:
                    await self._wait_in_turn(call, row["id"])
                await self._do(kind, object_, call, row["payload"], row["attempts"])
            crashpoint("commands.after_answer")
        except NotInProgress:
            if kind != "end_leg" and call is not None:
                await self._caller_left(call)
            await self._end(row["id"], "failed", "leg_not_in_progress", kind)
        except Unavailable:
            await self._end(row["id"], "unknown", "no answer", kind)
            raise
        except RingdeskError as error:
            await self._end(row["id"], "failed", error.code, kind)
            log.error("provider refused a command", kind=kind, call=row["call_id"])
        else:
            await self._end(row["id"], "done", None, kind)

    async def _do(self, kind: str, object_: str, call: Call, payload: dict[str, Any], attempts: int) -> None:
        if kind == "end_leg":
            await self._twilio.end(call.account_sid, payload["sid"])
        elif kind == "dial":  # also when the call is over: what was asked for may ring there
            await outbound.carry_out(self._outbox, self._twilio, call, base=self._base)
        elif kind == "ring_agent":  # likewise
            await telephone.carry_out(
                self._outbox,
                self._twilio,
                call,
                offer_id=int(object_.removeprefix("offer_")),
                line=self._lines.of(call.our_number),
                base=self._base,
            )
        elif call.is_over and (kind not in TO_THE_LINE or call.outcome is not Outcome.DEFLECTED):
            return
        elif kind == "hold":
            await hold.carry_out(
                self._outbox, self._twilio, call, music_url=f"{self._base}/twilio/hold", is_repeat=attempts > 1
            )
        elif kind == "mute":
            await telephone.carry_out_mute(self._outbox, self._twilio, call, offer_id=payload["offer_id"])
        elif kind == "put_through":
            await outside.carry_out(
                self._outbox,
                self._twilio,
                call,
                line=self._lines.of(call.our_number),
                base=self._base,
                is_repeat=attempts > 1,
            )
        elif kind == "record":
            url = f"{self._base}/twilio/recording"
            await recording.carry_out(self._outbox, self._twilio, call, callback_url=url, is_repeat=attempts > 1)
        elif kind == "bring_together":
            await consult.bring_together(self._outbox, self._twilio, call, payload["consult_id"])
        elif kind == "consult_dial":
            from_ = self._lines.of(call.our_number).number
            await consult.dial(
                self._outbox, self._twilio, call, payload["consult_id"], from_=from_, is_repeat=attempts > 1
            )
        elif kind == "consult_look":
            consult_id = int(object_.removeprefix("consult_"))
            await consult.look(self._outbox, self._twilio, call, consult_id, is_last=attempts >= MAX_LOOKS)
        elif kind == "look":
            await self._look(call, OfferId(payload["offer_id"]), attempts)
        elif kind == "recordings":
            await self._look_for_messages(call)
        else:
            if attempts > 1:
                await self._check_leg(call)
            await self._move(kind, object_, call, is_repeat=attempts > 1)

    async def _delete_recording(self, payload: dict[str, Any]) -> None:
        with contextlib.suppress(NotInProgress):  # it is gone, which is what was wanted
            await self._twilio.delete_recording(payload["account_sid"], payload["sid"])

    async def _check_leg(self, call: Call) -> None:
        found = await self._twilio.fetch(call.account_sid, call.sid)
        if found.status not in LIVING:
            raise NotInProgress

    async def _move(self, kind: str, object_: str, call: Call, *, is_repeat: bool) -> None:
        """The customer's leg: into the conference, back to the line, or off."""
        if kind == "connect":
            if call.state is not CallState.CONNECTING or object_ != f"offer_{call.offer_id}" or call.caller_joined:
                return
            if is_repeat and await self._is_in_conference(call):
                return  # the first try arrived; moving the caller again would tear the talk
            async with self._outbox.database.acquire() as conn:
                must_tell = await recording.must_tell(conn, call)
            tells = self._lines.of(call.to_number).within(call.queue) if must_tell else None
            document = service.customers_seat(call, OfferId(call.offer_id or 0), self._base, tells=tells)
            await self._twilio.redirect(call.account_sid, call.sid, document)
        elif kind in TO_THE_LINE:
            if kind == "fetch" and not await self._is_in_conference(call):
                return
            line = self._lines.of(call.our_number)
            if call.state is CallState.QUEUED:
                says = "sorry" if call.transfer_id is None else "transfer"
                await self._twilio.redirect(
                    call.account_sid, call.sid, twiml.back_to_queue(line, self._base, says=says)
                )
            elif call.state is CallState.VOICEMAIL and await self._is_in_conference(call):  # let go before being back
                await self._twilio.redirect(call.account_sid, call.sid, twiml.to_recorder(line, self._base))
            elif call.outcome is Outcome.DEFLECTED and await self._is_in_conference(call):
                await self._twilio.redirect(call.account_sid, call.sid, twiml.deflected_at_once(line))
        elif kind == "end":
            await self._twilio.end(call.account_sid, call.sid)

    async def _wait_in_turn(self, call: Call, command_id: int) -> None:
        """Of two requests that move the caller's leg the later one must arrive last. Raises Unavailable while an older one is under way."""
        async with self._outbox.database.acquire() as conn:
            if await conn.fetchval(sql.IS_BEING_MOVED, call.id, command_id, MOVES):
                raise Unavailable("The caller is being moved just now.")

    async def _is_in_conference(self, call: Call) -> bool:
        return call.sid in await self._twilio.in_conference(call.account_sid, conference_name(call.id))

    async def _look(self, call: Call, offer_id: OfferId, attempts: int) -> None:
        """Who sits in the conference? A provider that does not say so for long counts as "nobody"."""
        try:
            present = await self._twilio.in_conference(call.account_sid, conference_name(call.id))
        except Unavailable:
            if attempts < MAX_LOOKS:
                raise
            present = frozenset()
        async with self._outbox.transaction() as tx:
            await service.looked(tx, call_id=call.id, offer_id=offer_id, present=present)

    async def _look_for_messages(self, call: Call) -> None:
        """Is the caller gone, and has a message been left? What the provider has forgotten is over, and nothing."""
        is_over, found = True, list[Found]()
        with contextlib.suppress(NotInProgress):
            is_over = (await self._twilio.fetch(call.account_sid, call.sid)).status in service.TERMINAL
            found = await self._twilio.recordings(call.account_sid, call.sid)
        async with self._outbox.transaction() as tx:
            await voicemail.looked(tx, call_id=call.id, found=found, is_over=is_over)

    async def _end(self, command_id: int, state: str, error: str | None, kind: str) -> None:
        metrics.provider_commands.labels(kind, state).inc()
        async with self._outbox.database.acquire() as conn:
            await conn.execute(sql.END_COMMAND, command_id, state, error)
        crashpoint("commands.after_end")

    async def _caller_left(self, call: Call) -> None:
        """The provider says that the customer's leg is over: believe it now instead of waiting for the callback."""
        async with self._outbox.transaction() as tx:
            await service.customer_gone(tx, sid=call.sid, at=tx.now)

    async def sweep(self) -> None:
        """Run until cancelled: repeat commands whose lease ran out, also with the broker away."""
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self.sweep_once()
            except (Unavailable, TimeoutError, *CONNECTION_ERRORS):
                log.debug("command sweep waits for the database")

    async def sweep_once(self) -> int:
        """Returns how many commands were tried again."""
        async with self._outbox.database.acquire() as conn:
            rows = await conn.fetch(sql.OPEN_COMMANDS)
        for row in rows:
            with contextlib.suppress(Unavailable):
                await self._run(row["object"], row["kind"])
        return len(rows)
