"""What agents say of the end of their call before it is there: more time, wrap-up at all where a queue has it on request, the result so far."""

from datetime import datetime
from typing import Any

from core.errors import NotFound
from core.events import WrapUpChanged
from core.ids import CallId
from core.principal import Principal
from cti import queries as calls
from infra.outbox import Tx, publish
from infra.timers import move_timer
from routing import queries as sql
from routing.model import (
    NotWrappingUp,
    OfferRow,
    OfferState,
    WrapUpAlreadyExtended,
    WrapUpHasNoTimer,
    WrapUpNotExtensible,
    WrapUpNotOnRequest,
)
from routing.service import WRAP_TIMER


async def extend(tx: Tx, *, call_id: int, who: Principal) -> datetime:
    """Give the agent's wrap-up the queue's extension, once. Returns its new end.

    Raises NotWrappingUp, WrapUpHasNoTimer, WrapUpAlreadyExtended, WrapUpNotExtensible."""
    offer, settings = await _own(tx, call_id, who)
    if offer.state is not OfferState.WRAPPING:
        raise NotWrappingUp("Wrap-up can be extended once the call has ended.")
    if offer.wrap_ends_at is None:
        raise WrapUpHasNoTimer("It ends when you finish it.")
    if offer.wrap_extended_s:
        raise WrapUpAlreadyExtended("Wrap-up is extended once at most.")
    if not settings["wrap_extension_s"]:
        raise WrapUpNotExtensible("The queue allows no extension.")
    row = await tx.conn.fetchrow(sql.EXTEND_WRAP, offer.id, settings["wrap_extension_s"], offer.version)
    if row is None:
        raise NotWrappingUp("Wrap-up has ended meanwhile.")
    version: int = row["version"]
    ends_at: datetime = row["wrap_ends_at"]
    if not await move_timer(tx, WRAP_TIMER, offer.id, version=version, due_at=ends_at):
        raise NotWrappingUp("The time for wrap-up is over.")
    await _tell(tx, offer, version=version, is_requested=offer.wrap_requested, ends_at=ends_at)
    return ends_at


async def request(tx: Tx, *, call_id: int, who: Principal, is_wanted: bool) -> None:
    """During the call: the agent wants wrap-up after it, or no longer. Raises WrapUpNotOnRequest, NotWrappingUp."""
    offer, settings = await _own(tx, call_id, who)
    if settings["wrap_mode"] != "on_request":
        raise WrapUpNotOnRequest("This queue has its own rule for wrap-up.")
    if offer.state is not OfferState.ACCEPTED:
        raise NotWrappingUp("Wrap-up is asked for during the call.")
    version = await tx.conn.fetchval(sql.REQUEST_WRAP, offer.id, is_wanted)
    if version is not None:
        await _tell(tx, offer, version=version, is_requested=is_wanted, ends_at=None)


async def choose(tx: Tx, *, call_id: int, who: Principal, disposition: str | None) -> str | None:
    """Keep the result chosen so far, or none, with a call that is not finished: whatever ends it, the choice stands.

    Returns what it was before. Raises NotFound."""
    offer, _ = await _own(tx, call_id, who)
    if offer.disposition == disposition:
        return disposition
    version: int = await tx.conn.fetchval(sql.CHOOSE_DISPOSITION, offer.id, disposition)
    await _tell(tx, offer, version=version, is_requested=offer.wrap_requested, ends_at=offer.wrap_ends_at)
    return offer.disposition


async def _own(tx: Tx, call_id: int, who: Principal) -> tuple[OfferRow, Any]:
    """The agent's part in the call, locked against its end, and the settings of its queue."""
    await calls.lock_call(tx.conn, call_id=CallId(call_id))
    await tx.conn.execute(sql.LOCK_AGENTS, [who.user_id])
    row = await tx.conn.fetchrow(sql.OPEN_OFFER_OF_CALL, call_id, who.user_id)
    if row is None:
        raise NotFound("You have no open call with this id.")
    return sql.offer_of(row), await tx.conn.fetchrow(sql.QUEUE_SETTINGS, row["queue"])


async def _tell(tx: Tx, offer: OfferRow, *, version: int, is_requested: bool, ends_at: datetime | None) -> None:
    await publish(
        tx,
        WrapUpChanged(
            offer_id=offer.id,
            agent_id=offer.agent_id,
            version=version,
            is_requested=is_requested,
            ends_at=ends_at,
            call_id=offer.call_id,
        ),
    )
