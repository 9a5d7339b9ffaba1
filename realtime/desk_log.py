"""The log of what an agent's desk must be told: reactions that write rows, in the transaction of the fact itself.

Rows hold ids only; numbers are dense per agent because the head row is locked. The payload is built when it is sent (see `pop.py`):
what may no longer be shown is sent as a `noop` with its number.
"""

from typing import Any

from core.events import (
    AgentPresenceChanged,
    AgentTelephoneChanged,
    CallAgentLeft,
    CallAgentReady,
    CallAnswered,
    CallHoldChanged,
    ConsultChanged,
    OfferAccepted,
    OfferCreated,
    OfferEnded,
    RecordingChanged,
    WrapUpChanged,
    WrapUpEnded,
    WrapUpStarted,
)
from infra.outbox import Tx
from realtime import queries as sql


async def _append(
    tx: Tx, agent_id: int, type_: str, *, offer_id: int | None = None, call_id: int | None = None, **data: Any
) -> None:
    await tx.conn.fetchval(sql.APPEND, agent_id, type_, offer_id, call_id, data)


async def on_offer_created(tx: Tx, event: OfferCreated) -> None:
    await _append(tx, event.agent_id, "screen_pop", offer_id=event.offer_id, call_id=event.call_id)


async def on_offer_ended(tx: Tx, event: OfferEnded) -> None:
    await _append(
        tx, event.agent_id, "offer_ended", offer_id=event.offer_id, call_id=event.call_id, outcome=event.outcome,
        reason=event.reason, by=event.by_agent_id,
    )  # fmt: skip
    # Accepted, and then the two did not come together: the call leaves the desk as well.
    if event.outcome == "canceled" and await tx.conn.fetchval(sql.WAS_ACCEPTED, event.offer_id):
        await _append(tx, event.agent_id, "call_changed", offer_id=event.offer_id, call_id=event.call_id)


async def on_offer_accepted(tx: Tx, event: OfferAccepted) -> None:
    await _append(tx, event.agent_id, "call_changed", offer_id=event.offer_id, call_id=event.call_id)


async def on_call_fact(
    tx: Tx, event: CallAnswered | CallAgentLeft | CallAgentReady | CallHoldChanged | RecordingChanged
) -> None:
    row = await tx.conn.fetchrow(sql.AGENT_OF_CALL, event.call_id)
    if row is not None and row["agent_id"] is not None:
        await _append(tx, row["agent_id"], "call_changed", offer_id=row["offer_id"], call_id=event.call_id)


async def on_telephone_changed(tx: Tx, event: AgentTelephoneChanged) -> None:
    await _append(tx, event.agent_id, "call_changed", offer_id=event.offer_id, call_id=event.call_id)


async def on_consult_changed(tx: Tx, event: ConsultChanged) -> None:
    """Both desks, while both have a part in it."""
    await _append(tx, event.agent_id, "call_changed", offer_id=event.offer_id, call_id=event.call_id)
    if event.with_agent_id is not None and event.state != "over":
        await _append(tx, event.with_agent_id, "call_changed", offer_id=event.with_offer_id, call_id=event.call_id)


async def on_wrap_up(tx: Tx, event: WrapUpStarted | WrapUpChanged | WrapUpEnded) -> None:
    await _append(tx, event.agent_id, "call_changed", offer_id=event.offer_id, call_id=event.call_id)


async def on_presence_changed(tx: Tx, event: AgentPresenceChanged) -> None:
    await _append(tx, event.agent_id, "presence_changed", by=event.by)
