"""Blind transfer: an agent gives the call in hand away, to a queue, to an agent, or to a number outside.

What decides. The customer is never without a place. To a queue: a new stay there, by that queue's rules, with the age the caller has; so whoever has
waited and talked comes before those who have just called. To an agent: offered to that agent at once, as a person's push is; not taken, the call
goes on in its own queue, ahead of later callers. To a number: the caller's leg rings it, and comes back to the head of the line if nobody answers
(`cti.outside`). The agent who gives away wraps up, and is not asked for the same call again for a while. Locks: call, agents by id, ticket, item.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from accounts.audit import audit
from core.errors import Conflict, Invalid, NotFound
from core.events import CallTransferred
from core.ids import AgentId, CallId, OfferId, WorkItemId
from core.principal import Principal, actor_of
from cti import consult, hold, outside
from cti import queries as calls
from cti import service as telephony
from cti.lines import Lines
from cti.model import Call, HandedOn
from infra.outbox import Tx, publish
from infra.postgres import Connection
from routing import by_hand, service
from routing import queries as sql
from routing.acts import NOT_AGAIN_S
from routing.line import tell_queued
from routing.model import AgentView, ByHand, Channel, ItemState, OfferRow, OfferState, Verdict, WaitingItem
from routing.rules import RANK
from ticketing import service as tickets

ACTION: Final = "call.transfer"
NOT_DISTURBED: Final = frozenset({Verdict.ON_BREAK, Verdict.WRAPPING})
"""Colleagues whom only a supervisor may overrule."""
MAX_FOUND: Final = 50


@dataclass(frozen=True, slots=True)
class Target:
    """One of the three."""

    queue: str | None = None
    agent_id: int | None = None
    number: str | None = None

    @property
    def kind(self) -> str:
        return "queue" if self.queue is not None else "agent" if self.agent_id is not None else "number"


@dataclass(frozen=True, slots=True)
class _Given:
    """What is given away, all of it locked."""

    call: Call
    item: Any
    offer: OfferRow
    transfer_id: int


class NotForOurs(Conflict):
    code, title = (
        "not_for_outbound_calls",
        "A call that you have made cannot be given away unheard; speak with somebody first",
    )


async def blind(tx: Tx, *, call_id: CallId, to: Target, note: str | None, who: Principal, lines: Lines) -> Call:
    """Returns the call as it is then. Raises NotFound, NotInCall, AtThePhone, Invalid, CannotTake, NotAllowedOutside."""
    call = await hold.in_hand(tx, call_id=call_id, who=who)
    if call.is_ours:
        raise NotForOurs
    await consult.refuse_while_open(tx, call)
    item = await tx.conn.fetchrow(sql.ITEM_OF_CALL, call.id)
    if item is None or call.offer_id is None:
        raise hold.NotInCall
    await tx.conn.execute(sql.LOCK_AGENTS, sorted({who.user_id} | ({to.agent_id} if to.agent_id else set())))
    ticket = await tickets.lock_of_call(tx, call.id)
    item = await tx.conn.fetchrow(sql.LOCK_ITEM, item["id"])
    offer = await sql.offer_by_id(tx.conn, offer_id=call.offer_id)
    if item is None or offer is None or offer.state is not OfferState.ACCEPTED:
        raise hold.NotInCall
    agent, number = None, None
    if to.queue is not None:
        if await tx.conn.fetchrow(sql.LOCK_QUEUE, to.queue) is None:
            raise unknown("queue", "there is no such queue of calls")
    elif to.agent_id is not None:
        agent = await willing(tx, item["id"], to.agent_id, who)
    else:
        number = await outside.allowed_number(tx, to.number or "", lines.of(call.to_number).region)
    transfer_id = await tx.conn.fetchval(
        calls.ADD_TRANSFER, call.id, offer.id, who.user_id, to.kind, to.queue, to.agent_id, number, note or None, tx.now
    )
    moved = await telephony.apply(tx, call, HandedOn(OfferId(offer.id), transfer_id, is_outside=number is not None))
    given = _Given(moved, item, offer, transfer_id)
    if number is not None:
        await tx.conn.fetchval(sql.SET_ITEM, item["id"], ItemState.WRAPPING, None, None)
    await service.wrap_up(tx, offer)
    if number is not None:
        await telephony.intend(tx, moved, f"transfer_{transfer_id}", "put_through")
    else:
        await service.exclude(tx, offer, NOT_AGAIN_S, "transferred")
        await telephony.intend(tx, moved, f"transfer_{transfer_id}", "requeue")
        if to.queue is not None:
            await _into_queue(tx, given, to.queue)
            if ticket is not None and ticket.queue == item["queue"] != to.queue:
                await tickets.set_queue(tx, ticket.id, to.queue, actor=actor_of(who))
        elif agent is not None:
            await _to_agent(tx, given, agent, who)
    await tell(tx, moved, transfer_id, by=who.user_id, to=to.kind)
    await audit(
        tx, actor_of(who), ACTION, "call", call.id,
        after={"transfer_id": transfer_id, "to": to.kind, "queue": to.queue, "agent_id": to.agent_id, "state": moved.state.value},
    )  # fmt: skip
    return moved


async def tell(tx: Tx, call: Call, transfer_id: int, *, by: int, to: str) -> None:
    """The call has been given away by this agent."""
    await publish(
        tx,
        CallTransferred(
            call_id=call.id, version=call.version, agent_id=AgentId(by), transfer_id=transfer_id, to=to, at=tx.now
        ),
    )


def unknown(field: str, message: str) -> Invalid:
    return Invalid(f"The {field} cannot be used.", errors=[{"field": field, "message": message}])


# --- to a queue ---------------------------------------------------------------------------------------------------------


async def _into_queue(tx: Tx, given: _Given, queue: str) -> None:
    """A new stay in that queue: what its rules say of this call now, no lower in rank than before, with the age it has."""
    item_id = WorkItemId(given.item["id"])
    known = await tx.conn.fetchrow(sql.FACTS_OF_ITEM, item_id)
    assert known is not None
    said = grouped({**known["facts"], "call.queue": queue})
    rules, facts = await service.rules_and_facts(tx, said, Channel.VOICE, queue, tx.now)
    rule = rules.first_match(facts)
    is_of_queue = rule.then.queue in (None, queue)
    waited_s = (tx.now - known["entered_at"]).total_seconds()
    steps = _later(rule.then.steps, waited_s, {key: known[key] for key in RANK}) if is_of_queue else []
    wanted = {"tier": rule.then.tier, "boost_s": rule.then.boost_s} if is_of_queue else {}
    tier, boost_s = (max(known[key], wanted.get(key, 0)) for key in RANK)
    tier = known["tier"] if known["is_tier_by_hand"] else tier
    boost_s = known["boost_s"] if known["is_boost_by_hand"] else boost_s
    await tx.conn.fetchval(sql.SET_ITEM, item_id, ItemState.QUEUED, None, None)
    row = await tx.conn.fetchrow(
        sql.REROUTE_ITEM,
        item_id,
        queue,
        tier,
        boost_s,
        steps,
        rule.name if is_of_queue else known["rule"],
        rules.version,
    )
    assert row is not None
    await tx.conn.execute(sql.ADD_STINT, item_id, tx.now)
    await tx.conn.execute(sql.KEEP_ITEM_FOR, item_id, None, None, None)
    await tx.conn.execute(sql.SET_NEXT_LOOK, item_id, tx.now)
    await tell_queued(tx, item_id, row["version"], row["pool_id"], row["queue"], given.call.id)


def grouped(facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {}
    for name, value in facts.items():
        group, _, field = name.partition(".")
        groups.setdefault(group, {})[field] = value
    return groups


def _later(steps: Sequence[Mapping[str, Any]], by_s: float, known: Mapping[str, int]) -> list[dict[str, Any]]:
    """Steps count from the entry of the call; in its new queue it has not waited yet. None of them ranks it lower than it is known."""
    return [
        {**step, "after_s": step["after_s"] and step["after_s"] + by_s}
        | {key: max(step[key], known[key]) for key in RANK if key in step}
        for step in steps
    ]


# --- to an agent --------------------------------------------------------------------------------------------------------


async def willing(tx: Tx, item_id: int, agent_id: int, who: Principal) -> AgentView:
    """The agent, who is locked, if nothing but rules and cool-downs speaks against it. Raises Invalid, CannotTake."""
    row = await tx.conn.fetchrow(sql.AGENT_IN_MIND, agent_id)
    if row is None or agent_id == who.user_id:
        raise unknown("agent_id", "there is no such agent to transfer to")
    agent = sql.agent_of(row)
    item = sql.item_of(await tx.conn.fetchrow(sql.ITEM_DETAIL, item_id, None))
    found, can = _hindrance(item, agent, tx.now, (await by_hand.phones(tx.conn, [agent.id])).get(agent.id))
    if not can:
        raise by_hand.refusal(agent.name, found, anyway=False)
    return agent


def _hindrance(item: WaitingItem, agent: AgentView, now: datetime, phone: Verdict | None) -> tuple[Verdict, bool]:
    """What speaks against giving it to this agent, and whether it can be done all the same."""
    found, can = by_hand.hindrance(item, agent, now, phone)
    return found, can != "no" and found not in NOT_DISTURBED


async def _to_agent(tx: Tx, given: _Given, agent: AgentView, who: Principal) -> None:
    """Back in the line of its own queue, and out of it at once to this agent."""
    item_id = given.item["id"]
    await tx.conn.fetchval(sql.SET_ITEM, item_id, ItemState.QUEUED, None, None)
    await tx.conn.execute(sql.ADD_STINT, item_id, tx.now)
    await tx.conn.execute(sql.SET_NEXT_LOOK, item_id, tx.now)
    item = sql.item_of(await tx.conn.fetchrow(sql.ITEM_DETAIL, item_id, None))
    found, _ = by_hand.hindrance(item, agent, tx.now, None)
    await by_hand.offer_to(tx, item, agent, given.item["pool_id"], found, f"{ByHand.TRANSFER}:{who.name}")


# --- whom one may choose from -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Colleague:
    agent_id: AgentId
    name: str
    verdict: Verdict
    can: bool


async def colleagues(conn: Connection, *, call_id: int, query: str, who: Principal, now: datetime) -> list[Colleague]:
    """Agents whose name has this in it; who can take the call first. Raises NotFound."""
    call = await calls.call_by_id(conn, call_id=call_id)
    item = await conn.fetchrow(sql.ITEM_OF_CALL, call_id)
    if call is None or item is None or call.agent_id != who.user_id:
        raise NotFound("There is no such call of yours.")
    about = sql.item_of(await conn.fetchrow(sql.ITEM_DETAIL, item["id"], None))
    agents = [sql.agent_of(row) for row in await conn.fetch(sql.AGENTS_BY_NAME, who.user_id, query, MAX_FOUND)]
    phones = await by_hand.phones(conn, [agent.id for agent in agents])
    found = []
    for agent in agents:
        verdict, can = _hindrance(about, agent, now, phones.get(agent.id))
        found.append(Colleague(agent.id, agent.name, verdict, can))
    return sorted(found, key=lambda each: (not each.can, each.name))
