"""What a person gives to whom, past the dispatcher: a push to somebody, a pick for oneself.

A person may overrule rules, cool-downs, a break and wrap-up; nobody can be given a second telephone. The act is an offer as the
dispatcher makes it, under the same locks in the same order, with a decision that names who chose.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from core.errors import NotFound, VersionConflict
from core.ids import AgentId
from core.principal import Principal, Role
from cti import queries as calls
from cti.model import CallerLeft
from infra.outbox import Tx
from infra.postgres import Connection
from routing import acts, service
from routing import queries as sql
from routing.decide import current_step, explain, verdict_of
from routing.explain import HELD, cannot_take
from routing.model import (
    AgentVerdict,
    AgentView,
    ByHand,
    CannotTake,
    Channel,
    IsATicket,
    ItemState,
    NotWaiting,
    OfferRow,
    PresenceState,
    Proposal,
    Step,
    Verdict,
    WaitingItem,
)
from routing.offering import make_offers

LOOKED_AT: Final = 100
"""Of so many others a decision by hand keeps the verdicts."""
OWN_CHOICE: Final = frozenset({Verdict.ELIGIBLE, Verdict.ON_BREAK, Verdict.EXCLUDED, Verdict.COOLING_DOWN})
"""What agents may overrule for themselves. Rules are for supervisors to overrule, and wrap-up is finished first."""

Push = Literal["yes", "anyway", "no"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """`push`: whether this agent can be given the item, at once or `anyway`."""

    agent_id: AgentId
    name: str
    verdict: Verdict
    push: Push


def hindrance(item: WaitingItem, agent: AgentView, now: datetime, phone: Verdict | None) -> tuple[Verdict, Push]:
    """Why not, or ELIGIBLE, and whether a person may overrule it. `phone`: IN_CALL or OFFERED when there is a call at the ear."""
    step = item.steps[current_step(item, now)]
    bare_item = replace(item, excluded=frozenset(), only=None)
    presence = PresenceState.AVAILABLE if agent.presence is PresenceState.BREAK else agent.presence
    bare = replace(
        agent, queues=agent.queues | {item.queue}, presence=presence, cooldown_until=None, has_had_enough=False,
        free_units=1 if agent.is_crowded else agent.free_units, ranks={},
    )  # fmt: skip
    lasting = verdict_of(bare_item, Step(0.0), bare, now).verdict
    if lasting is Verdict.WRAPPING and phone is not None and agent.free_units < 1:
        lasting = phone
    if lasting not in (Verdict.ELIGIBLE, Verdict.WRAPPING):
        return lasting, "no"
    found = verdict_of(item, step, agent, now).verdict
    return found, "yes" if found is Verdict.ELIGIBLE else "anyway"


async def candidates(conn: Connection, *, item: WaitingItem, pool: str, now: datetime, limit: int) -> list[Candidate]:
    """The agents of the pool, who would be asked first first, then who can be asked anyway, then who cannot."""
    agents = {agent.id: agent for agent in await sql.pool_agents(conn, pool=pool)}
    at_phone = await phones(conn, [agent.id for agent in agents.values() if agent.work == "wrapping"])
    found = []
    for verdict in explain(item, agents.values(), now):
        agent = agents[verdict.agent_id]
        why, push = hindrance(item, agent, now, at_phone.get(agent.id))
        found.append(Candidate(agent.id, agent.name, why, push))
    return sorted(found, key=lambda candidate: ("yes", "anyway", "no").index(candidate.push))[:limit]


async def push(
    tx: Tx, *, item_id: int, agent_id: int, version: int, anyway: bool, reason: str | None, who: Principal
) -> tuple[OfferRow, acts.Act]:
    """Offer this waiting item to this agent. Raises NotFound, IsATicket, NotWaiting, VersionConflict, CallerLeft, CannotTake."""
    item, agent, row = await _locked(tx, item_id, agent_id, version)
    found, can = hindrance(item, agent, tx.now, (await phones(tx.conn, [agent.id])).get(agent.id))
    if can == "no" or (can == "anyway" and not anyway):
        raise refusal(agent.name, found, anyway=can == "anyway")
    offer = await offer_to(tx, item, agent, row["pool_id"], found, f"{ByHand.PUSH}:{who.name}")
    act = await acts.kept(
        tx, who, acts.PUSH, "work_item", item.id,
        before={"version": version}, after={"offer_id": offer.id, "agent_id": agent.id, **_overruled(found)}, purpose=reason,
    )  # fmt: skip
    return offer, act


async def pick(tx: Tx, *, item_id: int, version: int, who: Principal) -> tuple[OfferRow, acts.Act | None]:
    """Take this waiting item oneself: offered and accepted at once. An agent sees the queues served."""
    is_agent = who.role is Role.AGENT
    if is_agent and not await tx.conn.fetchval(sql.SERVES_QUEUE_OF, who.user_id, item_id):
        raise NotFound("There is no such work item.")
    item, agent, row = await _locked(tx, item_id, who.user_id, version)
    if is_agent and item.queue not in agent.queues:
        raise NotFound("There is no such work item.")
    found, can = hindrance(item, agent, tx.now, (await phones(tx.conn, [agent.id])).get(agent.id))
    if can == "no" or (is_agent and found not in OWN_CHOICE):
        raise refusal(agent.name, found, anyway=False)
    if is_agent and item.only not in (None, agent.id):
        raise refusal(agent.name, Verdict.KEPT, anyway=False)
    if is_agent and agent.has_had_enough:
        raise refusal(agent.name, Verdict.LIMITED, anyway=False)
    if is_agent and row["held_since"] is not None:
        raise refusal(agent.name, HELD, anyway=False)
    offer = await offer_to(tx, item, agent, row["pool_id"], found, f"{ByHand.PICK}:{who.name}")
    accepted = await service.accept(tx, offer_id=offer.id, who=who)
    act = await acts.kept(
        tx, who, acts.PICK, "work_item", item.id,
        before={"version": version}, after={"offer_id": offer.id, "agent_id": agent.id, **_overruled(found)}, purpose=None,
    )  # fmt: skip
    return accepted, None if row["is_consultation"] else act


async def _locked(tx: Tx, item_id: int, agent_id: int, version: int) -> tuple[WaitingItem, AgentView, Any]:
    """The item, the agent and the item's row as they are under lock: call, agent, item. Raises IsATicket: those are not rung."""
    row = await tx.conn.fetchrow(sql.ITEM_DETAIL, item_id, None)
    if row is None:
        raise NotFound("There is no such work item.")
    if row["channel"] == Channel.TICKET:
        raise IsATicket
    call = None
    if row["call_id"] is not None:
        call = await calls.lock_call(tx.conn, call_id=row["call_id"])
    await tx.conn.execute(sql.LOCK_AGENTS, [agent_id])
    item = await tx.conn.fetchrow(sql.LOCK_RANKED_ITEM, item_id)
    if item is None:
        raise NotFound("There is no such work item.")
    if item["state"] != ItemState.QUEUED:
        raise NotWaiting(f"It is {item['state']}.")
    if item["version"] != version:
        raise VersionConflict(f"The item has version {item['version']} now.")
    if call is not None and call.is_over:
        raise CallerLeft
    agent = await tx.conn.fetchrow(sql.AGENT_IN_MIND, agent_id)
    if agent is None:
        raise NotFound("There is no such agent.")
    row = await tx.conn.fetchrow(sql.ITEM_DETAIL, item_id, None)
    return sql.item_of(row), sql.agent_of(agent), row


async def phones(conn: Connection, agent_ids: Sequence[AgentId]) -> Mapping[int, Verdict]:
    """Who has a call at the ear already: one that rings, or one they talk in."""
    rows = await conn.fetch(sql.AT_THE_PHONE, list(agent_ids))
    return {row["agent_id"]: Verdict.IN_CALL if row["talks"] else Verdict.OFFERED for row in rows}


def refusal(name: str, verdict: str, *, anyway: bool) -> CannotTake:
    sentence = cannot_take(name, verdict)
    return CannotTake(sentence["en"], verdict=str(verdict), reason=sentence, anyway=anyway)


def _overruled(found: Verdict) -> Mapping[str, str]:
    return {} if found is Verdict.ELIGIBLE else {"overruled": found.value}


async def offer_to(tx: Tx, item: WaitingItem, agent: AgentView, pool: str, found: Verdict, by: str) -> OfferRow:
    """Over capacity by this unit, if need be; the automatic offers stop until it is given back."""
    looked_at = {each.id: each for each in await sql.pool_agents(tx.conn, pool=pool, limit=LOOKED_AT)} | {
        agent.id: agent
    }
    verdicts = _with_detail(explain(item, looked_at.values(), tx.now, chosen={agent.id}), {agent.id}, found)
    await tx.conn.execute(sql.MAKE_ROOM, agent.id)
    step = current_step(item, tx.now)
    (offer_id,) = await make_offers(tx, [Proposal(item, agent.id, step, by)], [verdicts])
    offer = await sql.offer_by_id(tx.conn, offer_id=offer_id)
    assert offer is not None
    return offer


def _with_detail(
    verdicts: Sequence[AgentVerdict], chosen: Collection[AgentId], found: Verdict
) -> Sequence[AgentVerdict]:
    """Beside the chosen one stands what was overruled."""
    if found is Verdict.ELIGIBLE:
        return verdicts
    return [replace(each, detail=found.value) if each.agent_id in chosen else each for each in verdicts]
