"""What an agent types during a call becomes a note of the ticket when the agent's part in the call ends, however it ends."""

from core.events import OfferEnded, WrapUpEnded
from core.ids import CallId, TicketId
from core.principal import Actor
from infra.outbox import Tx
from realtime import queries as sql
from ticketing import queries as tickets
from ticketing import service as ticketing


async def on_wrap_up_ended(tx: Tx, event: WrapUpEnded) -> None:
    """Inline: also when the time for wrap-up simply ran out."""
    if event.call_id is not None:
        await _keep(tx, event.call_id, event.agent_id)


async def on_offer_ended(tx: Tx, event: OfferEnded) -> None:
    """Inline: an accepted call that never came together may have words already."""
    if event.call_id is not None and event.outcome == "canceled":
        await _keep(tx, event.call_id, event.agent_id)


async def _keep(tx: Tx, call_id: CallId, agent_id: int) -> None:
    note = await tx.conn.fetchrow(sql.TAKE_NOTE, call_id, agent_id)
    if note is None or not note["body"].strip():
        return
    ticket = await tickets.ticket_of_call(tx.conn, call_id=call_id)
    if ticket is not None:
        author = Actor("user", agent_id, note["name"])
        await ticketing.add_note(tx, TicketId(ticket.id), body=note["body"], call_id=call_id, actor=author)
