"""What supervisors do to the line and to people by hand, and how it is undone within UNDO_WITHIN_S, from the audit log.

An act is one row of the audit log, with the values before and after; undoing it is another act, which puts the values before back as long
as nothing has touched the object since.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from accounts.audit import audit
from core.errors import Conflict, Invalid, NotFound, VersionConflict
from core.events import QueueHoldChanged
from core.ids import OfferId, WorkItemId
from core.principal import Principal, actor_of
from cti import queries as calls
from cti import service as telephony
from cti.model import UNDONE
from infra.outbox import Tx, publish
from routing import queries as sql
from routing import service
from routing.line import tell_queued
from routing.live import audited, presence_of
from routing.messages import Presence
from routing.model import ItemState, NotWaiting, PresenceState
from ticketing import service as tickets

UNDO_WITHIN_S: Final = 10
PRIORITISE: Final = "work_item.prioritise"
HOLD: Final = "queue.hold"
PUSH: Final = "work_item.push"
PICK: Final = "work_item.pick"
FORCE: Final = "presence.force"
NOT_AGAIN_S: Final = 120
"""So long nobody is asked for a call that they have given back or away."""
RANKED: Final = ("tier", "boost_s", "is_tier_by_hand", "is_boost_by_hand")


class TooLateToUndo(Conflict):
    code, title = "too_late_to_undo", "This can no longer be undone"


@dataclass(frozen=True, slots=True)
class Act:
    """`id` undoes it, until `undo_until`."""

    id: int
    undo_until: datetime


async def prioritise(
    tx: Tx, *, item_id: int, tier: int | None, boost_s: int | None, version: int, who: Principal
) -> tuple[Mapping[str, Any], Act]:
    """Another tier or head start for an item in line; it takes its new place at once. What is None stays as the rule
    says; what is said no later step of the rule changes. Returns the item as it is now."""
    if tier is None and boost_s is None:
        raise Invalid("Say a new tier or boost_s.", errors=[{"field": "tier", "message": "missing"}])
    before = await _waiting(tx, item_id)
    if before["version"] != version:
        raise VersionConflict(f"The item has version {before['version']} now.")
    wanted = {
        "tier": before["tier"] if tier is None else tier,
        "boost_s": before["boost_s"] if boost_s is None else boost_s,
        "is_tier_by_hand": before["is_tier_by_hand"] or tier is not None,
        "is_boost_by_hand": before["is_boost_by_hand"] or boost_s is not None,
    }
    return await _rank(tx, before, wanted, who)


async def _waiting(tx: Tx, item_id: int) -> Mapping[str, Any]:
    """Locked. Raises NotFound, NotWaiting."""
    item = await tx.conn.fetchrow(sql.LOCK_RANKED_ITEM, item_id)
    if item is None:
        raise NotFound("There is no such work item.")
    if item["state"] not in (ItemState.QUEUED, ItemState.OFFERING):
        raise NotWaiting(f"It is {item['state']}.")
    return dict(item)


async def _rank(
    tx: Tx, before: Mapping[str, Any], wanted: Mapping[str, Any], who: Principal, *, purpose: str | None = None
) -> tuple[Mapping[str, Any], Act]:
    row = await tx.conn.fetchrow(sql.RANK_ITEM, before["id"], *(wanted[name] for name in RANKED))
    assert row is not None
    after = dict(row)
    if after["state"] == ItemState.QUEUED:
        await tell_queued(
            tx, WorkItemId(after["id"]), after["version"], after["pool_id"], after["queue"], after["call_id"]
        )
    facts = (*RANKED, "ruleset_version", "version")
    act = await kept(
        tx, who, PRIORITISE, "work_item", before["id"],
        before={name: before[name] for name in facts}, after={name: after[name] for name in facts}, purpose=purpose,
    )  # fmt: skip
    return after, act


async def hold(
    tx: Tx, *, queue: str, is_held: bool, version: int, who: Principal, purpose: str | None = None
) -> tuple[Mapping[str, Any], Act]:
    """Offer nobody's call of this queue to anybody, until it is released. Callers are still taken and keep their places; what rings
    goes on ringing. `version`: the `hold_version` that was looked at. Returns the queue as it is now. Raises NotFound, VersionConflict."""
    is_a_text = queue.isprintable()  # NUL and halves of a surrogate pair cannot be asked for
    before = await tx.conn.fetchrow(sql.LOCK_HELD_QUEUE, queue) if is_a_text else None
    if before is None:
        raise NotFound("There is no such queue.")
    if before["hold_version"] != version:
        raise VersionConflict(
            f"The queue has been held or released since; its hold_version is {before['hold_version']} now."
        )
    after: Any = before
    if (before["held_since"] is not None) != is_held:
        after = await tx.conn.fetchrow(
            sql.HOLD_QUEUE, queue, tx.now if is_held else None, who.name if is_held else None
        )
        await publish(tx, QueueHoldChanged(queue=queue, pool=before["pool_id"], is_held=is_held))
    act = await kept(
        tx, who, HOLD, "queue", queue,
        before=_hold_of(before), after=_hold_of(after), purpose=purpose,
    )  # fmt: skip
    return dict(after), act


def _hold_of(queue: Any) -> dict[str, Any]:
    return {"is_held": queue["held_since"] is not None, "hold_version": queue["hold_version"]}


async def force_presence(
    tx: Tx, *, agent_id: int, state: str, reason: str | None, version: int, who: Principal
) -> tuple[Presence, Act]:
    """Set somebody else's presence, of somebody at work for its end; they are told by whom. Returns it as it is now.
    Raises NotFound, Invalid, VersionConflict."""
    await tx.conn.execute(sql.LOCK_AGENTS, [agent_id])
    before = await presence_of(tx.conn, agent_id)
    seen = await tx.conn.fetchval(sql.PRESENCE_VERSION, agent_id)
    if seen != version:
        raise VersionConflict(f"The agent's state has changed since; its presence_version is {seen} now.")
    await service.set_presence(tx, agent_id=agent_id, state=state, reason=reason, by=_by(who))
    after = await presence_of(tx.conn, agent_id)
    act = await kept(tx, who, FORCE, "agent", agent_id, before=audited(before), after=audited(after), purpose=reason)
    return after, act


def _by(who: Principal) -> str:
    return f"user:{who.user_id}"


async def kept(
    tx: Tx,
    who: Principal,
    action: str,
    kind: str,
    object_id: int | str,
    *,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    purpose: str | None,
) -> Act:
    """One row of the audit log, which undoes it."""
    act_id = await audit(tx, actor_of(who), action, kind, object_id, before=before, after=after, purpose=purpose)
    return Act(act_id, tx.now + timedelta(seconds=UNDO_WITHIN_S))


async def undo(tx: Tx, *, act_id: int, who: Principal) -> tuple[str, str]:
    """Put back what one's own last act changed. Returns kind and id of the object. Raises NotFound, TooLateToUndo, NotWaiting."""
    act = await tx.conn.fetchrow(sql.ACT, act_id, who.user_id, list(_UNDO))
    if act is None:
        raise NotFound("There is no such act of yours.")
    if tx.now - act["at"] > timedelta(seconds=UNDO_WITHIN_S):
        raise TooLateToUndo(f"An act can be undone for {UNDO_WITHIN_S} s.")
    await _UNDO[act["action"]](tx, act, who, f"undo of {act_id}")
    return act["object_kind"], act["object_id"]


async def _undo_prioritise(tx: Tx, act: Any, who: Principal, purpose: str) -> None:
    item = await _waiting(tx, int(act["object_id"]))
    if await tx.conn.fetchval(sql.HAS_LATER_ACT, act["object_kind"], act["object_id"], act["action"], act["id"]):
        raise TooLateToUndo("It has been ranked again since.")
    if item["ruleset_version"] != act["after"].get("ruleset_version"):
        raise TooLateToUndo("It goes by other rules since.")
    await _rank(tx, item, act["before"], who, purpose=purpose)


async def _undo_hold(tx: Tx, act: Any, who: Principal, purpose: str) -> None:
    queue = await tx.conn.fetchrow(sql.LOCK_HELD_QUEUE, act["object_id"])
    if queue is None or queue["hold_version"] != act["after"].get("hold_version"):
        raise TooLateToUndo("The queue has been held or released since.")
    is_held, version = act["before"]["is_held"], queue["hold_version"]
    await hold(tx, queue=act["object_id"], is_held=is_held, version=version, who=who, purpose=purpose)


async def _undo_push(tx: Tx, act: Any, who: Principal, purpose: str) -> None:
    offer_id = act["after"]["offer_id"]
    if not await service.take_back(tx, offer_id=offer_id, reason=UNDONE):
        raise TooLateToUndo("It has been answered since, or the caller has left.")
    item_id = int(act["object_id"])
    await audit(
        tx, actor_of(who), "work_item.take_back", "work_item", item_id, after={"offer_id": offer_id}, purpose=purpose
    )


async def _undo_pick(tx: Tx, act: Any, who: Principal, purpose: str) -> None:
    """Who has not talked yet is as free as before; who has talked wraps up. Neither is asked for this call again for a while."""
    offer = await sql.offer_by_id(tx.conn, offer_id=act["after"]["offer_id"])
    call = None if offer is None or offer.call_id is None else await calls.lock_call(tx.conn, call_id=offer.call_id)
    if offer is None or call is None or (call.offer_id, str(offer.work_item_id)) != (offer.id, act["object_id"]):
        raise TooLateToUndo("You do not have this call any more.")
    await tx.conn.execute(sql.LOCK_AGENTS, [offer.agent_id])
    await tickets.lock_of_call(tx, call.id)
    await tx.conn.execute(sql.LOCK_ITEM, offer.work_item_id)
    await service.exclude(tx, offer, NOT_AGAIN_S, UNDONE)
    if not await telephony.give_back(tx, call, OfferId(offer.id)):
        raise TooLateToUndo("The call is over, or ends just now.")
    await tx.conn.execute(sql.SAY_WHY, offer.id, UNDONE)
    await audit(
        tx, actor_of(who), "work_item.give_back", "work_item", offer.work_item_id, after={"offer_id": offer.id}, purpose=purpose
    )  # fmt: skip


async def _undo_force(tx: Tx, act: Any, who: Principal, purpose: str) -> None:
    agent_id, before, after = int(act["object_id"]), act["before"], act["after"]
    await tx.conn.execute(sql.LOCK_AGENTS, [agent_id])
    now = await presence_of(tx.conn, agent_id)
    if audited(now) != after or now.since > act["at"]:
        raise TooLateToUndo("The state has changed since.")
    await service.restore_presence(
        tx,
        agent_id=agent_id,
        state=PresenceState(before["state"]),
        reason=before["reason"],
        following=(before.get("next"), before.get("next_reason")),
        by=_by(who),
    )
    await kept(tx, who, FORCE, "agent", agent_id, before=after, after=before, purpose=purpose)


_UNDO: Final[Mapping[str, Callable[[Tx, Any, Principal, str], Awaitable[None]]]] = {
    PRIORITISE: _undo_prioritise,
    HOLD: _undo_hold,
    PUSH: _undo_push,
    PICK: _undo_pick,
    FORCE: _undo_force,
}
