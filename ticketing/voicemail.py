"""A message somebody left: it stands in the call's ticket, which it opens where no queue had the call."""

from typing import Final

from accounts.audit import audit
from core.events import VoicemailLeft
from core.phone import Number, NumberKind
from core.principal import SYSTEM
from infra.outbox import Tx
from ticketing import model, service
from ticketing.model import TicketState

OPENED: Final = (TicketState.PENDING_CUSTOMER, TicketState.RESOLVED, TicketState.CLOSED)
"""Somebody has to hear the message, also when the ticket was done with before it came."""


async def on_voicemail_left(tx: Tx, event: VoicemailLeft) -> None:
    """Inline, in the transaction that keeps the message. A ticket that waited for the customer, or was done, is open again."""
    ticket = await service.lock_of_call(tx, event.call_id)
    if ticket is None:
        caller = event.caller or Number(NumberKind.WITHHELD, "")
        await service.bind_call(tx, event.call_id, caller=caller, queue=event.queue, language=event.language)
        ticket = await service.lock_of_call(tx, event.call_id)
    if ticket is None:
        return
    changes = {}
    if ticket.state in OPENED:
        changes = model.enter_state(ticket.state, TicketState.OPEN, now=tx.now, due_at=None)
    data = {"call_id": event.call_id, "voicemail_id": event.voicemail_id, "duration_s": event.duration_s}
    version = await service.save(
        tx, ticket, changes, actor=SYSTEM, told={"kind": "voicemail_left", "data": data}, call_id=event.call_id
    )
    await audit(tx, SYSTEM, "ticket.voicemail", "ticket", ticket.id, after={**data, "version": version})
