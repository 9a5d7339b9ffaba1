"""The API of routing: offers, presence, queues, agents, explanations. Those of rule sets are in http_rules.py."""

from collections import Counter
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from accounts.audit import audit
from core.errors import NotFound
from core.ids import conference_name
from core.principal import LEADS, READERS, STAFF, Principal, actor_of
from core.texts import Text
from infra.openapi import ApiModel, ApiQuery, Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection
from routing import acts, by_hand, explain, reach, service
from routing import queries as sql
from routing.decide import current_step
from routing.decide import explain as verdicts_of
from routing.live import FIRST_IN_LINE, agents, audited, board, in_hand_of, line_of, presence_of, shown_caller
from routing.messages import AgentLive, Presence, QueueStats
from routing.model import (
    AgentVerdict,
    Channel,
    IsATicket,
    ItemState,
    OfferRow,
    Verdict,
    WaitingItem,
    WrapMode,
)

ROUTES = Routes("routing")


class OfferBrief(BaseModel):
    id: int
    state: str


class CallBrief(BaseModel):
    id: int | None
    conference: str | None
    is_on_telephone: bool = False
    """The agent is rung on a telephone: their browser does not join."""


class Accepted(BaseModel):
    offer: OfferBrief
    call: CallBrief


class Rejected(BaseModel):
    offer: OfferBrief


class RejectIn(ApiModel):
    reason: str | None = Field(default=None, max_length=200)


def _brief(offer: OfferRow) -> OfferBrief:
    return OfferBrief(id=offer.id, state=offer.state.value)


async def _accepted(tx: Tx, offer: OfferRow) -> Accepted:
    name = None if offer.call_id is None else conference_name(offer.call_id)
    is_rung = await reach.is_rung(tx, offer.id)
    return Accepted(offer=_brief(offer), call=CallBrief(id=offer.call_id, conference=name, is_on_telephone=is_rung))


@ROUTES.command("POST", "/api/v1/offers/{id}/accept", roles=STAFF, returns=Accepted)
async def accept_offer(tx: Tx, call: Call[Nothing]) -> Accepted:
    """Take the offered call. 409 with offer_taken, offer_expired, offer_rescinded or caller_left when it is too late."""
    offer = await service.accept(tx, offer_id=call.id(), who=call.who)
    await audit(tx, actor_of(call.who), "offer.accept", "offer", offer.id, after={"state": offer.state.value})
    return await _accepted(tx, offer)


@ROUTES.command("POST", "/api/v1/offers/{id}/reject", roles=STAFF, body=RejectIn, returns=Rejected)
async def reject_offer(tx: Tx, call: Call[RejectIn]) -> Rejected:
    """Decline the offered call; it keeps its place in line and goes to the next agent."""
    offer = await service.reject(tx, offer_id=call.id(), who=call.who, reason=call.data.reason)
    after = {"state": offer.state.value, "reason": call.data.reason}
    await audit(tx, actor_of(call.who), "offer.reject", "offer", offer.id, after=after)
    return Rejected(offer=_brief(offer))


class PresenceIn(ApiModel):
    state: str = Field(max_length=20, description="available, break or offline")
    reason: str | None = Field(default=None, max_length=100)


@ROUTES.command("PUT", "/api/v1/presence", roles=STAFF, body=PresenceIn, returns=Presence)
async def set_own_presence(tx: Tx, call: Call[PresenceIn]) -> Presence:
    """Choose available, break (with a reason) or offline. During a call or wrap-up it applies at its end.

    Until then it is `next`, and choosing what is in force takes it back. Available ends an optional wrap-up."""
    data = call.data
    before = await presence_of(tx.conn, call.who.user_id)
    await service.set_presence(
        tx, agent_id=call.who.user_id, state=data.state, reason=data.reason, by=call.who.name, ends_wrap_up=True
    )
    after = await presence_of(tx.conn, call.who.user_id)
    await audit(
        tx, actor_of(call.who), "presence.set", "agent", call.who.user_id, before=audited(before), after=audited(after)
    )
    return after


class ReachIn(ApiModel):
    by: Literal["browser", "telephone"]


@ROUTES.command("PUT", "/api/v1/presence/reach", roles=STAFF, body=ReachIn, returns=Presence)
async def set_own_reach(tx: Tx, call: Call[ReachIn]) -> Presence:
    """Take calls in the browser, or on one's telephone, from the next call on. 409 no_telephone where the organisation allows none."""
    who, is_telephone = call.who, call.data.by == "telephone"
    before = await presence_of(tx.conn, who.user_id)
    await reach.choose(tx, agent_id=who.user_id, is_telephone=is_telephone, by=who.name)
    was = "telephone" if before.telephone is not None and before.telephone.is_used else "browser"
    await audit(
        tx, actor_of(who), "presence.reach", "agent", who.user_id, before={"by": was}, after={"by": call.data.by}
    )
    return await presence_of(tx.conn, who.user_id)


class ServiceLevelGoal(BaseModel):
    within_s: int
    target: float


class WrapUp(BaseModel):
    mode: WrapMode
    seconds: int
    extension_s: int
    default_disposition: str | None
    """The result of a call when nobody chose one."""


class CoolDowns(BaseModel):
    """How long an agent is not asked again for a call: after declining it, after it could not be joined (then for no other either),
    after missing it."""

    reject_s: int
    busy_s: int
    no_answer_s: int | None


class Queue(BaseModel):
    key: str
    name: Text
    channel: Channel
    service_level: ServiceLevelGoal
    offer_timeout_s: int
    misses_before_not_responding: int
    cool_downs: CoolDowns
    wrap_up: WrapUp


class QueueList(BaseModel):
    items: list[Queue]


@ROUTES.query("/api/v1/queues", roles=READERS, returns=QueueList)
async def list_queues(conn: Connection, call: Call[Nothing]) -> QueueList:
    """The queues as they are defined."""
    return QueueList(
        items=[
            Queue(
                key=row["key"],
                name=row["name"],
                channel=row["channel"],
                service_level=ServiceLevelGoal(within_s=row["within_s"], target=round(row["target"], 4)),
                offer_timeout_s=row["offer_timeout_s"],
                misses_before_not_responding=row["misses_before_not_responding"],
                cool_downs=CoolDowns(reject_s=row["reject_s"], busy_s=row["busy_s"], no_answer_s=row["no_answer_s"]),
                wrap_up=WrapUp(
                    mode=row["wrap_mode"],
                    seconds=row["wrap_s"],
                    extension_s=row["wrap_extension_s"],
                    default_disposition=row["default_disposition"],
                ),
            )
            for row in await conn.fetch(sql.QUEUES)
        ]
    )


class Board(BaseModel):
    queues: list[QueueStats]
    as_of: datetime


@ROUTES.query("/api/v1/queues/live", roles=READERS, returns=Board)
async def live_queues(conn: Connection, call: Call[Nothing]) -> Board:
    """Live numbers per queue; an agent sees the queues served."""
    now = call.resources.clock.now()
    agent_id = call.who.user_id if call.who.role == "agent" else None
    return Board(queues=await board(conn, now=now, agent_id=agent_id), as_of=now)


class AgentsLive(BaseModel):
    items: list[AgentLive]
    as_of: datetime


@ROUTES.query("/api/v1/agents", roles=LEADS, returns=AgentsLive)
async def list_agents(conn: Connection, call: Call[Nothing]) -> AgentsLive:
    """Who does what, since when."""
    return AgentsLive(items=await agents(conn), as_of=call.resources.clock.now())


class RankedItem(BaseModel):
    id: int
    state: str
    queue: str
    tier: int
    boost_s: int
    version: int


class ItemOut(RankedItem):
    rule: str
    step: int
    entered_at: datetime
    waited_s: float


class VerdictOut(BaseModel):
    agent_id: int
    name: str
    verdict: str
    reason: Text


class Chosen(BaseModel):
    id: int
    name: str


class DecisionOut(BaseModel):
    at: datetime
    ruleset_version: int
    rule: str
    step: int
    chosen: Chosen | None
    sentence: Text
    verdicts: list[VerdictOut]
    counts: dict[str, int]


class Explanation(BaseModel):
    work_item: ItemOut
    sentences: list[Text]
    decisions: list[DecisionOut]


@ROUTES.query("/api/v1/work-items/{id}/explain", roles=STAFF, returns=Explanation)
async def explain_work_item(conn: Connection, call: Call[Nothing]) -> Explanation:
    """Why this agent, or why still waiting. Agents see items that were offered to them."""
    viewer = None if call.who.is_lead else call.who.user_id
    row = await conn.fetchrow(sql.ITEM_DETAIL, call.id(), viewer)
    if row is None:
        raise NotFound("There is no such work item.")
    now = call.resources.clock.now()
    item = sql.item_of(row)
    decisions = await conn.fetch(sql.DECISIONS_OF_ITEM, item.id)
    named = {verdict["agent_id"] for decision in decisions for verdict in decision["verdicts"]}
    names = {each["id"]: each["name"] for each in await conn.fetch(sql.NAMES_OF_AGENTS, list(named))}
    is_waiting = row["state"] == "queued"
    current: list[AgentVerdict] = []
    sentences: list[dict[str, str]] = []
    if is_waiting:
        current = verdicts_of(item, await sql.pool_agents(conn, pool=row["pool_id"]), now)
        sentences = explain.why_waiting(
            item,
            current,
            now,
            ahead=await conn.fetchval(sql.AHEAD, item.id),
            said_by_hand={
                name: row[name]
                for name, flag in (("tier", "is_tier_by_hand"), ("boost_s", "is_boost_by_hand"))
                if row[flag]
            },
        )
        if row["kept_for"] is not None:
            sentences.insert(0, explain.kept(row["kept_for"], row["sticky_until"], now))
        elif row["not_kept_for"] is not None and row["sticky_until"] > now:
            sentences.extend(
                explain.not_kept(each.name, each.verdict, row["not_kept_why"])
                for each in current
                if each.agent_id == row["not_kept_for"] and each.verdict is not Verdict.ELIGIBLE
            )
        if row["held_since"] is not None:
            sentences.insert(0, explain.held(row["queue_name"], row["held_by"]))
    elif row["state"] == "external":
        sentences = [explain.PLACED_ELSEWHERE]
    elif decisions:
        sentences = [explain.decision_sentence(dict(decisions[-1]))]
    overflows = [
        explain.overflowed(
            s["name"], s["reason"], s["waited_s"], s["next_name"], to_recorder=row["end_reason"] == service.AT_RECORDER
        )
        for s in await conn.fetch(sql.OVERFLOWS_OF_ITEM, item.id)
        if s["reason"] is not None
    ]
    waited = ((row["connected_at"] or row["ended_at"] or now) - item.entered_at).total_seconds()
    if row["state"] == ItemState.ABANDONED:
        sentences.append(explain.hung_up(waited, was_offered=bool(decisions)))
    return Explanation(
        work_item=ItemOut(
            id=item.id,
            state=row["state"],
            queue=item.queue,
            tier=item.tier,
            boost_s=row["boost_s"],
            version=row["version"],
            rule=item.rule,
            step=decisions[-1]["step"] if decisions and not is_waiting else current_step(item, row["ended_at"] or now),
            entered_at=item.entered_at,
            waited_s=round(waited, 1),
        ),
        sentences=overflows + sentences,
        decisions=[_decision(d, names) for d in decisions]
        + ([_now(item, current, now, is_held=row["held_since"] is not None)] if is_waiting else []),
    )


def _verdict(agent_id: int, name: str, verdict: str) -> VerdictOut:
    return VerdictOut(
        agent_id=agent_id, name=name, verdict=verdict, reason=explain.REASONS.get(verdict, {"en": verdict})
    )


def _decision(row: Any, names: dict[Any, str]) -> DecisionOut:
    return DecisionOut(
        at=row["at"],
        ruleset_version=row["ruleset_version"],
        rule=row["rule"],
        step=row["step"],
        chosen=None
        if row["chosen_agent_id"] is None
        else Chosen(id=row["chosen_agent_id"], name=row["chosen_name"] or ""),
        sentence=explain.decision_sentence(dict(row)),
        verdicts=[_verdict(v["agent_id"], names.get(v["agent_id"], ""), v["verdict"]) for v in row["verdicts"]],
        counts=row["counts"],
    )


NOBODY_NOW: Final = {"en": "Nobody can take it at this moment.", "zh-CN": "目前没有坐席可以接听。"}
OFFER_IS_DUE: Final = {"en": "Somebody is free for it and is about to be asked.", "zh-CN": "已有空闲坐席，即将分配。"}


def _now(item: WaitingItem, verdicts: list[AgentVerdict], now: datetime, *, is_held: bool) -> DecisionOut:
    """What a decision at this moment would say: as a rule, that nobody can have it."""
    is_due = not is_held and any(verdict.verdict is Verdict.ELIGIBLE for verdict in verdicts)
    return DecisionOut(
        at=now,
        ruleset_version=item.ruleset_version,
        rule=item.rule,
        step=current_step(item, now),
        chosen=None,
        sentence=OFFER_IS_DUE if is_due else NOBODY_NOW,
        verdicts=[_verdict(v.agent_id, v.name, v.verdict.value) for v in verdicts[:20]],
        counts=dict(Counter(v.verdict.value for v in verdicts)),
    )


class Undo(BaseModel):
    """Until then `POST /api/v1/acts/{id}/undo` puts it back."""

    id: int
    until: datetime


def _undo(act: acts.Act) -> Undo:
    return Undo(id=act.id, until=act.undo_until)


class ForcedPresenceIn(PresenceIn):
    reason: str | None = Field(default=None, max_length=200)
    version: int = Field(ge=1, description="the agent's presence_version that was looked at")


class ForcedPresence(Presence):
    undo: Undo


@ROUTES.command("PUT", "/api/v1/agents/{id}/presence", roles=LEADS, body=ForcedPresenceIn, returns=ForcedPresence)
async def force_presence(tx: Tx, call: Call[ForcedPresenceIn]) -> ForcedPresence:
    """A supervisor sets an agent's presence; the agent is told by whom. During a call or wrap-up it applies at its end (`next`)."""
    data = call.data
    after, act = await acts.force_presence(
        tx, agent_id=call.id(), state=data.state, reason=data.reason, version=data.version, who=call.who
    )
    return ForcedPresence(**after.model_dump(), undo=_undo(act))


class RankIn(ApiModel):
    tier: int | None = Field(default=None, ge=0, le=9, description="higher goes first, strictly")
    boost_s: int | None = Field(default=None, ge=0, le=86_400, description="head start in the line, in seconds")
    version: int = Field(ge=1, description="the item's version that was looked at")


class RankedAnew(RankedItem):
    undo: Undo


@ROUTES.command("PATCH", "/api/v1/work-items/{id}", roles=LEADS, body=RankIn, returns=RankedAnew)
async def rank_work_item(tx: Tx, call: Call[RankIn]) -> RankedAnew:
    """Give an item in line another tier or head start; it takes its new place at once. 409 not_waiting when somebody has it."""
    data = call.data
    item, act = await acts.prioritise(
        tx, item_id=call.id(), tier=data.tier, boost_s=data.boost_s, version=data.version, who=call.who
    )
    return RankedAnew(**{name: item[name] for name in RankedItem.model_fields}, undo=_undo(act))


class HoldIn(ApiModel):
    is_held: bool
    version: int = Field(ge=1, description="the queue's hold_version that was looked at")
    reason: str | None = Field(default=None, max_length=200)


class HeldQueue(BaseModel):
    key: str
    held_since: datetime | None
    held_by: str | None
    hold_version: int
    undo: Undo


@ROUTES.command("PUT", "/api/v1/queues/{key}/hold", roles=LEADS, body=HoldIn, returns=HeldQueue)
async def hold_queue(tx: Tx, call: Call[HoldIn]) -> HeldQueue:
    """Hold a queue or release it. Held, it takes callers, who keep their places, and offers them to nobody; what rings goes on ringing."""
    data, key = call.data, call.request.match_info["key"]
    queue, act = await acts.hold(
        tx, queue=key, is_held=data.is_held, version=data.version, who=call.who, purpose=data.reason
    )
    facts = ("key", "held_since", "held_by", "hold_version")
    return HeldQueue(**{name: queue[name] for name in facts}, undo=_undo(act))


class PushIn(ApiModel):
    agent_id: int = Field(ge=1)
    version: int = Field(ge=1, description="the item's version that was looked at")
    anyway: bool = Field(
        default=False, description="overrule what a person may overrule, such as a break or a missing skill"
    )
    reason: str | None = Field(default=None, max_length=200)


class Pushed(BaseModel):
    offer: OfferBrief
    deadline: datetime
    undo: Undo


@ROUTES.command("POST", "/api/v1/work-items/{id}/push", roles=LEADS, body=PushIn, returns=Pushed)
async def push_work_item(tx: Tx, call: Call[PushIn]) -> Pushed:
    """Offer an item in line to one agent. 409 cannot_take says why not, and whether `anyway` overrules it.

    Nobody gets a second telephone. Undone while it rings."""
    data = call.data
    offer, act = await by_hand.push(
        tx, item_id=call.id(), agent_id=data.agent_id, version=data.version, anyway=data.anyway, reason=data.reason, who=call.who
    )  # fmt: skip
    return Pushed(offer=_brief(offer), deadline=offer.deadline, undo=_undo(act))


class PickIn(ApiModel):
    version: int = Field(ge=1, description="the item's version that was looked at")


class Picked(Accepted):
    """`undo` is null of a consultation: who is asked declines, or leaves it."""

    undo: Undo | None


@ROUTES.command("POST", "/api/v1/work-items/{id}/pick", roles=STAFF, body=PickIn, returns=Picked)
async def pick_work_item(tx: Tx, call: Call[PickIn]) -> Picked:
    """Take an item out of the line oneself: offered and accepted at once. Agents pick from the queues they serve.

    Undone, the caller is back in the line, in the old place, and the agent is not asked for this call again for two minutes."""
    offer, act = await by_hand.pick(tx, item_id=call.id(), version=call.data.version, who=call.who)
    taken = await _accepted(tx, offer)
    return Picked(offer=taken.offer, call=taken.call, undo=None if act is None else _undo(act))


class CandidateOut(BaseModel):
    """`push`: whether this agent can be given the item, at once or `anyway`."""

    agent_id: int
    name: str
    verdict: str
    reason: Text
    push: by_hand.Push


class CandidateList(BaseModel):
    items: list[CandidateOut]


@ROUTES.query("/api/v1/work-items/{id}/candidates", roles=LEADS, returns=CandidateList)
async def list_candidates(conn: Connection, call: Call[Nothing]) -> CandidateList:
    """To whom an item in line can be pushed, and why not to others: up to 500 agents of its pool, who would be asked first first."""
    row = await conn.fetchrow(sql.ITEM_DETAIL, call.id(), None)
    if row is None:
        raise NotFound("There is no such work item.")
    if row["channel"] == Channel.TICKET:
        raise IsATicket
    found = await by_hand.candidates(
        conn, item=sql.item_of(row), pool=row["pool_id"], now=call.resources.clock.now(), limit=500
    )
    return CandidateList(
        items=[
            CandidateOut(
                agent_id=each.agent_id,
                name=each.name,
                verdict=each.verdict.value,
                reason=explain.REASONS[each.verdict],
                push=each.push,
            )
            for each in found
        ]
    )


class WaitingTicket(BaseModel):
    number: str
    subject: str


class WaitingOut(BaseModel):
    """`caller` is null when the number is withheld; agents see it masked, and no `customer`. `ticket`: of what is no call."""

    id: int
    call_id: int | None
    caller: str | None
    customer: str | None
    ticket: WaitingTicket | None
    state: Literal["queued", "offering"]
    tier: int
    boost_s: int
    step: int
    entered_at: datetime
    waited_s: float
    version: int


class Line(BaseModel):
    items: list[WaitingOut]
    as_of: datetime


class LineParams(ApiQuery):
    limit: int = Field(default=FIRST_IN_LINE, ge=1, le=FIRST_IN_LINE, description="how many, from the head of the line")


@ROUTES.query("/api/v1/queues/{key}/waiting", roles=STAFF, params=LineParams, returns=Line)
async def list_waiting(conn: Connection, call: Call[LineParams]) -> Line:
    """The first in line of a queue, in their order. Agents see the queues they serve."""
    now = call.resources.clock.now()
    rows = await line_of(conn, key=call.request.match_info["key"], who=call.who, limit=call.data.limit)
    return Line(
        items=[
            WaitingOut(
                **{
                    name: row[name]
                    for name in ("id", "call_id", "state", "tier", "boost_s", "step", "entered_at", "version")
                },
                caller=shown_caller(row, call.who),
                customer=row["customer"] if call.who.is_lead else None,
                ticket=None
                if row["ticket_number"] is None
                else WaitingTicket(number=row["ticket_number"], subject=row["subject"]),
                waited_s=round(max(0.0, (now - row["entered_at"]).total_seconds()), 1),
            )
            for row in rows
        ],
        as_of=now,
    )


class InHandAgent(BaseModel):
    id: int
    name: str


class InHandTicket(WaitingTicket):
    id: int


class InHandOut(BaseModel):
    """`since`: of the conversation, or of the assignment. `caller` is null when the number is withheld."""

    id: int
    call_id: int | None
    caller: str | None
    customer: str | None
    ticket: InHandTicket | None
    agent: InHandAgent | None
    since: datetime


class InHand(BaseModel):
    items: list[InHandOut]
    as_of: datetime


@ROUTES.query("/api/v1/queues/{key}/in-hand", roles=LEADS, returns=InHand)
async def list_in_hand(conn: Connection, call: Call[Nothing]) -> InHand:
    """The calls of a queue that somebody talks to now, of a ticket queue what is assigned, and with whom: what the board counts as in call."""
    rows = await in_hand_of(conn, key=call.request.match_info["key"])
    return InHand(items=[_in_hand(row, call.who) for row in rows], as_of=call.resources.clock.now())


def _in_hand(row: Any, who: Principal) -> InHandOut:
    ticket, agent = row["ticket_id"], row["agent_id"]
    return InHandOut(
        id=row["id"],
        call_id=row["call_id"],
        caller=shown_caller(row, who),
        customer=row["customer"],
        ticket=None if ticket is None else InHandTicket(id=ticket, number=row["ticket_number"], subject=row["subject"]),
        agent=None if agent is None else InHandAgent(id=agent, name=row["agent_name"]),
        since=row["since"],
    )


class Undone(BaseModel):
    object_kind: str
    object_id: str


@ROUTES.command("POST", "/api/v1/acts/{id}/undo", roles=STAFF, returns=Undone)
async def undo_act(tx: Tx, call: Call[Nothing]) -> Undone:
    """Put back what one's own act changed, within 10 s and as long as nothing has changed it since (409 too_late_to_undo)."""
    kind, object_id = await acts.undo(tx, act_id=call.id(), who=call.who)
    return Undone(object_kind=kind, object_id=object_id)
