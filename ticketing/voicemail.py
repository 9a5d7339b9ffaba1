"""A message somebody left: it stands in the call's ticket, which it opens where no queue had the call."""

from accounts.audit import audit
from core.events import VoicemailLeft
from core.phone import Number, NumberKind
from core.principal import SYSTEM
from infra.outbox import Tx
from ticketing import model, service
from ticketing.model import TicketState


async def on_voicemail_left(tx: Tx, event: VoicemailLeft) -> None:
    """Inline, in the transaction that keeps the message. A ticket that waited for the customer waits no longer."""
    caller = event.caller or Number(NumberKind.WITHHELD, "")
    await service.bind_call(tx, event.call_id, caller=caller, queue=event.queue, language=event.language)
    ticket = await service.lock_of_call(tx, event.call_id)
    if ticket is None:
        return
    changes = {}
    if ticket.state is TicketState.PENDING_CUSTOMER:
        changes = model.enter_state(ticket.state, TicketState.OPEN, now=tx.now, due_at=None)
    data = {"call_id": event.call_id, "voicemail_id": event.voicemail_id, "duration_s": event.duration_s}
    version = await service.save(
        tx, ticket, changes, actor=SYSTEM, told={"kind": "voicemail_left", "data": data}, call_id=event.call_id
    )
    await audit(tx, SYSTEM, "ticket.voicemail", "ticket", ticket.id, after={**data, "version": version})
