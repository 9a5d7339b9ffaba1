"""The API of transfers: whom a call may be given to, giving it at once, and speaking with them first."""

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from core.ids import CallId
from core.principal import STAFF
from core.texts import Text
from cti import consult as consulting
from cti import queries as calls
from cti.consult import Consult
from cti.http import TELEPHONY
from cti.model import Call as Telephone
from infra.openapi import ApiModel, ApiQuery, Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection
from routing import consult, explain, transfer
from routing.live import board

ROUTES = Routes("routing")


class TransferIn(ApiModel):
    """Exactly one of `queue`, `agent_id` and `number`."""

    queue: str | None = Field(default=None, max_length=80)
    agent_id: int | None = Field(default=None, ge=1, lt=2**63)
    number: str | None = Field(default=None, max_length=60)
    note: str | None = Field(default=None, max_length=1000, description="for whoever takes the call next")

    @model_validator(mode="after")
    def _one(self) -> "TransferIn":
        if sum(given is not None for given in (self.queue, self.agent_id, self.number)) != 1:
            raise ValueError("give exactly one of queue, agent_id and number")
        return self


class TransferredCall(BaseModel):
    id: int
    state: str


class Transferred(BaseModel):
    call: TransferredCall


@ROUTES.command("POST", "/api/v1/calls/{id}/transfer", roles=STAFF, body=TransferIn, returns=Transferred)
async def transfer_call(tx: Tx, call: Call[TransferIn]) -> Transferred:
    """Give the call in hand to a queue, an agent or a number outside; one's own part of it goes into wrap-up.

    409 with not_in_call, at_the_phone, cannot_take (the agent cannot take it now) or not_allowed_outside. Whoever does not take it loses nobody:
    the caller waits on at the head of the line."""
    data = call.data
    target = transfer.Target(data.queue, data.agent_id, data.number)
    lines = call.request.config_dict[TELEPHONY].lines
    moved = await transfer.blind(tx, call_id=CallId(call.id()), to=target, note=data.note, who=call.who, lines=lines)
    return Transferred(call=TransferredCall(id=moved.id, state=moved.state.value))


class ConsultOut(BaseModel):
    id: int
    state: Literal["asking", "connecting", "talking", "over"]
    outcome: str | None


class Consulted(Transferred):
    consult: ConsultOut


def _consulted(moved: Telephone, asked: Consult) -> Consulted:
    state = TransferredCall(id=moved.id, state=moved.state.value)
    return Consulted(call=state, consult=ConsultOut(id=asked.id, state=asked.state, outcome=asked.outcome))


@ROUTES.command("POST", "/api/v1/calls/{id}/consult", roles=STAFF, body=TransferIn, returns=Consulted)
async def consult_about_call(tx: Tx, call: Call[TransferIn]) -> Consulted:
    """Speak with an agent, somebody of a queue or a number outside about the call in hand first, while its customer is on hold.

    Taken off hold (`resume`) meanwhile, the customer hears and speaks with both. 409 with not_in_call, at_the_phone, consult_under_way, cannot_take
    or not_allowed_outside."""
    data = call.data
    target = transfer.Target(data.queue, data.agent_id, data.number)
    lines = call.request.config_dict[TELEPHONY].lines
    asked = await consult.begin(tx, call_id=CallId(call.id()), to=target, note=data.note, who=call.who, lines=lines)
    moved = await calls.call_by_id(tx.conn, call_id=call.id())
    assert moved is not None
    return _consulted(moved, asked)


@ROUTES.command("POST", "/api/v1/calls/{id}/consult/complete", roles=STAFF, returns=Consulted)
async def complete_consult(tx: Tx, call: Call[Nothing]) -> Consulted:
    """The call is theirs now, the customer off hold; one's own part of it goes into wrap-up. Asked again, it is the same.

    409 with consult_not_ready while they are not there yet, consult_over when they are there no more."""
    moved, _ = await consult.complete(tx, call_id=CallId(call.id()), who=call.who)
    asked = await consulting.last_of(tx, call_id=call.id(), agent_id=call.who.user_id)
    assert asked is not None
    return _consulted(moved, asked)


@ROUTES.command("POST", "/api/v1/calls/{id}/consult/end", roles=STAFF, returns=Consulted)
async def end_consult(tx: Tx, call: Call[Nothing]) -> Consulted:
    """Back to the customer, for who asked; out of the conversation, for who was asked. Asked again, nothing changes."""
    moved, asked = await consult.end(tx, call_id=CallId(call.id()), who=call.who)
    return _consulted(moved, asked)


class TargetAgent(BaseModel):
    agent_id: int
    name: str
    can: bool
    """Whether the call can be given to this agent now."""
    reason: Text


class TargetQueue(BaseModel):
    key: str
    name: Text
    waiting: int
    agents_available: int


class Targets(BaseModel):
    agents: list[TargetAgent]
    queues: list[TargetQueue]
    outside: list[str]
    """What numbers may begin with; empty: calls are not transferred outside."""


class TargetParams(ApiQuery):
    q: str = Field(default="", max_length=80, description="part of an agent's name")
    kind: Literal["all", "agents"] = "all"


@ROUTES.query("/api/v1/calls/{id}/transfer-targets", roles=STAFF, params=TargetParams, returns=Targets)
async def list_transfer_targets(conn: Connection, call: Call[TargetParams]) -> Targets:
    """To whom the call in hand can be transferred: up to 50 agents, who is free first, and all queues of calls."""
    now = call.resources.clock.now()
    agents = await transfer.colleagues(conn, call_id=call.id(), query=call.data.q.strip(), who=call.who, now=now)
    queues = await board(conn, now=now, agent_id=None) if call.data.kind == "all" else []
    prefixes = [row["prefix"] for row in await conn.fetch(calls.OUTSIDE_PREFIXES)]
    return Targets(
        agents=[
            TargetAgent(agent_id=each.agent_id, name=each.name, can=each.can, reason=explain.REASONS[each.verdict])
            for each in agents
        ],
        queues=[
            TargetQueue(key=q.key, name=q.name, waiting=q.waiting, agents_available=q.agents_available)
            for q in queues
            if q.channel == "voice"
        ],
        outside=prefixes,
    )
